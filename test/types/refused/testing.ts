/** Tests that say what the saga does not know. */
import { Effect, Layer, Schema } from "effect"
import { Saga } from "effect-saga"
import { SagaTest } from "effect-saga/testing"

const seat = { success: Schema.String, action: () => Effect.succeed("1A"), compensation: () => Effect.void }
const order = Saga.make("Order", { payload: Schema.Void }).pipe(
  Saga.step("seat", seat),
  Saga.parallel((fork) => [fork.pipe(Saga.step("meal", seat)), fork.pipe(Saga.step("car", seat))]),
  Saga.when("gift", () => true, (fork) => fork.pipe(Saga.step("paper", seat)))
)
const options = { payload: undefined, services: Layer.empty }
declare const gate: SagaTest.Gate

// What must compile: places at the top, in a parallel, inside of a node, with a path that is known at run time only.
const known: string = "seat"
order.pipe(SagaTest.stub("seat", () => Effect.succeed("2B")), SagaTest.stub("~meal", () => Effect.void))
order.pipe(Saga.output(Schema.String, ({ seat }) => seat), SagaTest.hold("~seat", gate))
order.pipe(SagaTest.hold("gift/paper", gate), SagaTest.hold("~car", gate), SagaTest.hold(known, gate))
SagaTest.explore(order, { ...options, invariant: ({ calls }) => Effect.sync(() => calls.length) })
SagaTest.explore(order, {
  ...options,
  invariant: ({ status }) => status === "Stuck" ? Effect.fail("stuck") : Effect.void
})

// @ts-expect-error a stub of a step that is misspelt
order.pipe(SagaTest.stub("seats", () => Effect.succeed("1A")))
// @ts-expect-error a stub of a compensation that is misspelt
order.pipe(SagaTest.stub("~seats", () => Effect.void))
// @ts-expect-error a stub of another result
order.pipe(SagaTest.stub("seat", () => Effect.succeed(1)))
// @ts-expect-error a gate at a step that is misspelt
order.pipe(SagaTest.hold("seats", gate))
// @ts-expect-error an invariant that says false, and does not fail
SagaTest.explore(order, { ...options, invariant: () => Effect.succeed(false) })
// @ts-expect-error an invariant that compares, and does not fail
SagaTest.explore(order, { ...options, invariant: ({ calls }) => Effect.sync(() => calls.length > 0) })
