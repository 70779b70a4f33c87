/**
 * A payment provider behind a network that loses messages. What it was asked it remembers by key, so that it can tell
 * later whether a payment took place.
 */
import { Context, Effect, Layer, Option, Schema } from "effect"
import * as Ledger from "../ledger.ts"

/** What the network does to the next messages. */
export const Network = Context.Reference<"works" | "loses the request" | "loses the answer" | "breaks down">(
  "lost-answer/Network",
  { defaultValue: () => "works" }
)

export class NoAnswer extends Schema.TaggedError<NoAnswer>()("NoAnswer", {}) {
  override get message() {
    return "the payment provider did not answer"
  }
}

export class Payments extends Context.Service<Payments, {
  readonly charge: (card: string, cents: number, key: string) => Effect.Effect<string>
  /** The receipt of a payment, if it took place. */
  readonly find: (key: string) => Effect.Effect<Option.Option<string>, NoAnswer>
  readonly charged: Ledger.Ledger["sums"]
}>()("lost-answer/Payments") {
  static readonly layer = Layer.effect(
    Payments,
    Effect.map(Ledger.make, (ledger) => {
      const receipt = (key: string) => `receipt of ${key}`

      return {
        charge: Effect.fn("Payments.charge")(function*(card, cents, key) {
          const network = yield* Network
          if (network === "loses the request") return yield* Effect.never
          yield* ledger.enter(key, { account: card, amount: cents })
          return network === "works" ? receipt(key) : yield* Effect.never
        }),
        find: Effect.fn("Payments.find")(function*(key) {
          if ((yield* Network) === "breaks down") return yield* new NoAnswer()
          return (yield* ledger.has(key)) ? Option.some(receipt(key)) : Option.none()
        }),
        charged: ledger.sums
      }
    })
  )
}
