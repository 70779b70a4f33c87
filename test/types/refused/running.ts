/** Sagas that are run without what they need, or whose ends are not what they are taken for. */
import { Effect, Schema } from "effect"
import { Saga } from "effect-saga"
import type { Order } from "../order.ts"
import { placeOrder } from "../order.ts"

declare const order: Order
const start = Saga.make("Start", { payload: Schema.Struct({ id: Schema.String }) }).pipe(
  Saga.step("a", {
    success: Schema.String,
    error: Schema.Literal("sold out"),
    action: () => Effect.succeed("x"),
    compensation: () => Effect.void
  })
)

// @ts-expect-error a payload of another type
Saga.run(start, { id: 1 })
// @ts-expect-error no payload
Saga.run(start)
// @ts-expect-error an option that it does not know
Saga.run(start, { id: "1" }, { timeout: "1 second" })
// @ts-expect-error services that nobody provides
Effect.runPromise(Saga.run(placeOrder, order))
// @ts-expect-error errors that nobody handles
export const unhandled: Effect.Effect<unknown> = Saga.run(start, { id: "1" })
// @ts-expect-error a stuck saga that nobody handles
export const stuck: Effect.Effect<unknown, "sold out"> = Saga.run(start, { id: "1" })
// @ts-expect-error a result of another type
export const result: Effect.Effect<{ readonly a: number }, unknown> = Saga.run(start, { id: "1" })
// @ts-expect-error the result of an outcome that may have failed
Effect.map(Saga.outcome(start, { id: "1" }), (outcome) => outcome.result)
// @ts-expect-error a saga for an effect
Effect.runPromise(start)
// @ts-expect-error an effect for a saga
Saga.run(Effect.void, undefined)
// @ts-expect-error a branch, run alone
start.pipe(Saga.when("w", () => true, (fork) => (Saga.run(fork, undefined), fork)))
// @ts-expect-error a hook that can read nothing of the saga's state
start.pipe(Saga.onStuck(({ state }) => Effect.log(state)))
