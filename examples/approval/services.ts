/**
 * A budget, requests that wait for a person, and a supplier. A request that has been withdrawn cannot be decided.
 */
import { Context, Deferred, Effect, HashMap, Layer, Option, Ref, Schema } from "effect"
import * as Ledger from "../ledger.ts"

export class Refused extends Schema.TaggedError<Refused>()("Refused", { by: Schema.String }) {
  override get message() {
    return `${this.by} said no`
  }
}

export class NobodyAnswered extends Schema.TaggedError<NobodyAnswered>()("NobodyAnswered", {}) {
  override get message() {
    return "the time for an answer has passed"
  }
}

export class Budget extends Context.Service<Budget, {
  readonly hold: (team: string, amount: number, key: string) => Effect.Effect<void>
  readonly release: (key: string) => Effect.Effect<void>
  readonly held: Ledger.Ledger["sums"]
}>()("approval/Budget") {
  static readonly layer = Layer.effect(
    Budget,
    Effect.map(Ledger.make, (ledger) => ({
      hold: (team, amount, key) => ledger.enter(key, { account: team, amount }),
      release: ledger.cancel,
      held: ledger.sums
    }))
  )
}

export class Approvals extends Context.Service<Approvals, {
  readonly request: (id: string) => Effect.Effect<void>
  readonly withdraw: (id: string) => Effect.Effect<void>
  /** Waits for the decision, and tells who approved. */
  readonly decision: (id: string) => Effect.Effect<string, Refused>
  /** Answers a request, and tells whether anyone was still waiting for it. */
  readonly decide: (id: string, by: string, approved: boolean) => Effect.Effect<boolean>
}>()("approval/Approvals") {
  static readonly layer = Layer.effect(
    Approvals,
    Effect.gen(function*() {
      const open = yield* Ref.make(HashMap.empty<string, Deferred.Deferred<string, Refused>>())
      const find = (id: string) => Effect.map(Ref.get(open), HashMap.get(id))

      return {
        request: (id) =>
          Ref.update(open, (all) => HashMap.has(all, id) ? all : HashMap.set(all, id, Deferred.makeUnsafe())),
        withdraw: (id) => Ref.update(open, HashMap.remove(id)),
        decision: (id) =>
          Effect.flatMap(
            find(id),
            Option.match({ onNone: () => Effect.die(new Error(`${id} was never requested`)), onSome: Deferred.await })
          ),
        decide: (id, by, approved) =>
          Effect.flatMap(
            find(id),
            Option.match({
              onNone: () => Effect.succeed(false),
              onSome: Deferred.complete(approved ? Effect.succeed(by) : new Refused({ by }))
            })
          )
      }
    })
  )
}

export class Supplier extends Context.Service<Supplier, {
  readonly order: (item: string, key: string) => Effect.Effect<void>
  readonly ordered: Ledger.Ledger["sums"]
}>()("approval/Supplier") {
  static readonly layer = Layer.effect(
    Supplier,
    Effect.map(Ledger.make, (ledger) => ({
      order: (item, key) => ledger.enter(key, { account: item, amount: 1 }),
      ordered: ledger.sums
    }))
  )
}
