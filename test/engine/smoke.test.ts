import { it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema, Stream } from "effect"
import { Saga } from "effect-saga"
import { SagaEngine } from "effect-saga/SagaEngine"
import { TestClock } from "effect/testing"

class No extends Schema.TaggedError<No>()("No", { why: Schema.String }) {}
const log: Array<string> = []
const saga = Saga.make("Trip", { payload: Schema.Struct({ id: Schema.String, fail: Schema.Boolean }), key: (p) => p.id }).pipe(
  Saga.step("a", { success: Schema.String, action: () => Effect.sync(() => (log.push("a"), "A")), compensation: (a) => Effect.sync(() => log.push(`-${a}`)) }),
  Saga.sleep("wait", "3 days"),
  Saga.parallel((fork) => [
    fork.pipe(Saga.step("b", { success: Schema.String, action: () => Effect.sync(() => (log.push("b"), "B")), compensation: (a) => Effect.sync(() => log.push(`-${a}`)) })),
    fork.pipe(Saga.step("c", { success: Schema.String, action: () => Effect.sync(() => (log.push("c"), "C")), compensation: (a) => Effect.sync(() => log.push(`-${a}`)) }))
  ]),
  Saga.check("d", { error: No, action: ({ payload }) => payload.fail ? Effect.fail(new No({ why: "x" })) : Effect.void })
)
it.effect("runs", () =>
  Effect.gen(function*() {
    const engine = yield* SagaEngine
    const fiber = yield* Effect.forkChild(engine.execute(saga, { id: "1", fail: false }), { startImmediately: true })
    yield* TestClock.adjust("1 hour")
    console.log(yield* engine.poll("Trip/1"))
    yield* TestClock.adjust("3 days")
    console.log(yield* Fiber.join(fiber), log)
    const f2 = yield* Effect.forkChild(Effect.flip(engine.execute(saga, { id: "2", fail: true })), { startImmediately: true })
    yield* TestClock.adjust("3 days")
    console.log(yield* Fiber.join(f2), log)
    console.log((yield* Stream.runCollect(engine.events(saga, "Trip/2"))).map((e) => e._tag).join(" "))
    const id = yield* engine.start(saga, { id: "3", fail: true })
    yield* TestClock.adjust("1 day")
    yield* engine.cancel(id)
    console.log(yield* Effect.flip(engine.await(saga, id)), log)
    console.log(yield* Effect.flip(engine.cancel(id)))
    console.log(yield* Effect.flip(engine.start(saga, { id: "3", fail: false })))
  }).pipe(Effect.provide(Saga.register(saga).pipe(Layer.provideMerge(SagaEngine.layerMemory)))))
