/** `SagaFacts`: who reads which facts, in which order, and what becomes of a reader that is slow, late or gone. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schema, Scope, Stream } from "effect"
import { Saga, SagaObserver, SagaState } from "effect-saga"
import { SagaFacts } from "effect-saga/telemetry"

const watched = (facts: Layer.Layer<SagaFacts.SagaFacts>) =>
  SagaObserver.layer([SagaFacts.observer]).pipe(Layer.provideMerge(facts))

const charge = { action: () => Effect.void, compensation: () => Effect.void }
const pay = Saga.make("Pay", { payload: Schema.Void }).pipe(Saga.step("card", charge))
const tags = ["SagaStarted", "StepStarted", "StepSucceeded", "SagaSucceeded"]

/** Reads all facts in a fiber that has joined when this returns. */
const read = Effect.forkChild(Stream.runCollect(SagaFacts.stream), { startImmediately: true })

/** The facts that were read up to the end of the stream. */
const until = (scope: Scope.Closeable, reader: Fiber.Fiber<ReadonlyArray<SagaFacts.ObservedFact>>) =>
  Effect.andThen(Scope.close(scope, Exit.void), Fiber.join(reader))

describe("a reader", () => {
  it.effect("gets all facts of all runs, those of a run in order and numbered, until the layer closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(watched(SagaFacts.layer), scope)
      const facts = yield* Effect.gen(function*() {
        const reader = yield* read
        const run = (executionId: string) => Saga.run(pay, undefined, { executionId })
        yield* Effect.all([run("a"), run("b")], { concurrency: 2 })
        return yield* until(scope, reader)
      }).pipe(Effect.provideContext(context))
      for (const id of ["a", "b"]) {
        const own = facts.filter(({ execution }) => execution.executionId === id)
        assert.deepStrictEqual(own.map(({ event }) => event._tag), tags)
        assert.deepStrictEqual(own.map(({ position }) => position), [1, 2, 3, 4])
        assert.strictEqual(SagaState.fold(own.map(({ event }) => event)).pipe((state) => state._tag), "Success")
      }
      assert.strictEqual(facts.length, 8)
    }))

  it.effect("gets the facts from the moment on in which it reads, and each reader gets all", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(watched(SagaFacts.layer), scope)
      yield* Effect.gen(function*() {
        const answer = yield* Deferred.make<void>()
        const slow = Saga.make("Slow", { payload: Schema.Void }).pipe(
          Saga.step("card", { ...charge, action: () => Deferred.await(answer) })
        )
        const early = yield* read
        const run = yield* Effect.forkChild(Saga.run(slow, undefined), { startImmediately: true })
        const late = yield* read
        yield* Deferred.succeed(answer, undefined)
        yield* Fiber.join(run)
        const [all, some] = yield* Effect.all([until(scope, early), until(scope, late)])
        assert.deepStrictEqual(all.map(({ event }) => event._tag), tags)
        assert.deepStrictEqual(some.map(({ event, position }) => `${position} ${event._tag}`), [
          "3 StepSucceeded",
          "4 SagaSucceeded"
        ])
      }).pipe(Effect.provideContext(context))
    }))

  it.effect("that starts after the layer has closed reads nothing", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(watched(SagaFacts.layer), scope)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* Effect.provideContext(Stream.runCollect(SagaFacts.stream), context), [])
    }))
})

describe("a run never waits", () => {
  it.effect("a reader that falls behind loses the oldest facts, and shows it; others lose nothing", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(watched(SagaFacts.layerWith({ bufferSize: 6 })), scope)
      yield* Effect.gen(function*() {
        const go = yield* Deferred.make<void>()
        const seen: Array<SagaFacts.ObservedFact> = []
        const slow = yield* SagaFacts.stream.pipe(
          Stream.runForEach((fact) => Effect.andThen(Deferred.await(go), Effect.sync(() => seen.push(fact)))),
          Effect.forkChild({ startImmediately: true })
        )
        const quick = yield* read
        for (const executionId of ["1", "2", "3"]) {
          yield* Saga.run(pay, undefined, { executionId })
          yield* Effect.yieldNow
        }
        yield* Deferred.succeed(go, undefined)
        assert.strictEqual((yield* until(scope, quick)).length, 12)
        yield* Fiber.join(slow)
        // The first run is what it holds in its hands, the others are in its buffer of six.
        const kept = seen.map(({ execution, position }) => `${execution.executionId}.${position}`)
        assert.deepStrictEqual(kept, ["1.1", "1.2", "1.3", "1.4", "2.3", "2.4", "3.1", "3.2", "3.3", "3.4"])
      }).pipe(Effect.provideContext(context))
    }))

  it.effect("a reader that is interrupted, or that fails, concerns nobody else", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(watched(SagaFacts.layer), scope)
      yield* Effect.gen(function*() {
        const gone = yield* read
        const failing = yield* SagaFacts.stream.pipe(
          Stream.runForEach(() => Effect.fail("no")),
          Effect.forkChild({ startImmediately: true })
        )
        const stays = yield* read
        yield* Fiber.interrupt(gone)
        assert.deepStrictEqual(yield* Saga.run(pay, undefined), { card: undefined })
        assert.deepStrictEqual(yield* Fiber.await(failing), Exit.fail("no"))
        yield* Saga.run(pay, undefined)
        assert.strictEqual((yield* until(scope, stays)).length, 8)
      }).pipe(Effect.provideContext(context))
    }))
})
