/**
 * One saga in several ways of writing: each step reserves a seat, and releases it again when a later step fails. Each way
 * is a program as one would write it. Nothing is measured here.
 */
import { Effect, Exit, Schema, Scope } from "effect"
import type { SagaObserver } from "../../src/index.ts"
import { Saga } from "../../src/index.ts"

/** What all of them have done: shows that no way saves time by doing less. */
export const ledger = { reserved: 0, released: 0, facts: 0 }

export interface Case {
  readonly steps: number
  /** The last step fails. */
  readonly fails: boolean
  /** What the second step waits for. */
  readonly gate?: Effect.Effect<void>
}

type Seat = Effect.Effect<number, "sold out">

const reserve = (seat: number): Effect.Effect<number> =>
  Effect.sync(() => {
    ledger.reserved++
    return seat
  })

const release = (_seat: number): Effect.Effect<void> =>
  Effect.sync(() => {
    ledger.released++
  })

const action = ({ fails, gate, steps }: Case, index: number): Seat => {
  if (fails && index === steps - 1) return Effect.fail("sold out")
  return gate !== undefined && index === 1 ? Effect.andThen(gate, reserve(index)) : reserve(index)
}

/** The steps one after the other, each made safe by `undoable`. */
const inOrder = <R>(given: Case, undoable: (self: Seat) => Effect.Effect<number, "sold out", R>) =>
  Effect.gen(function*() {
    const seats: Array<number> = []
    for (let index = 0; index < given.steps; index++) seats.push(yield* undoable(action(given, index)))
    return seats
  })

/** What a program costs that undoes nothing. */
export const bare = (given: Case) => inOrder(given, (self) => self)

export const byHand = (given: Case) =>
  Effect.scoped(
    Effect.flatMap(Effect.scope, (scope) =>
      inOrder(given, (self) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.tap(
            restore(self),
            (seat) => Scope.addFinalizerExit(scope, (exit) => Exit.isSuccess(exit) ? Effect.void : release(seat))
          )
        )))
  )

export const acquireRelease = (given: Case) =>
  Effect.scoped(
    inOrder(given, (self) =>
      Effect.acquireRelease(self, (seat, exit) => Exit.isSuccess(exit) ? Effect.void : release(seat)))
  )

export const inline = (given: Case) => Saga.scoped(inOrder(given, (self) => self.pipe(Saga.withCompensation(release))))

/** A defined saga is a value: it is built here, once, and what is measured is its run. */
export const defined = (given: Case) => {
  let saga = Saga.make("Reserve", { payload: Schema.Void })
  for (let index = 0; index < given.steps; index++) {
    const longer = Saga.step(`seat-${index}` as "seat", {
      success: Schema.Number,
      error: Schema.Literal("sold out"),
      action: () => action(given, index),
      compensation: release
    })(saga)
    // The type of a saga lists its steps, which a loop cannot know.
    saga = longer as unknown as typeof saga
  }
  return Saga.run(saga, undefined)
}

/** One `forEach` over so many items, of one step each. */
export const forEach = (items: number) => {
  const saga = Saga.make("ReserveEach", { payload: Schema.Void }).pipe(
    Saga.forEach("seats", {
      item: Schema.Number,
      items: () => Array.from({ length: items }, (_, index) => index),
      key: String,
      each: (fork) =>
        fork.pipe(
          Saga.step("seat", { success: Schema.Number, action: ({ item }) => reserve(item), compensation: release })
        )
    })
  )
  return Saga.run(saga, undefined)
}

/** An observer that counts facts. */
export const counting: SagaObserver.SagaObserver = {
  observe: () => ({
    onEvent: () => {
      ledger.facts++
    }
  })
}
