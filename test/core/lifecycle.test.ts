/** Sagas in a fiber that tell others how they begin and end. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { EventBus, MemoryBus, SagaEvents } from "effect-saga/events"
import { TestClock } from "effect/testing"
import { logged } from "../engine/world.ts"

const Told = SagaEvents.lifecycle("Trip")
const trip = Saga.make("Trip", { payload: Schema.String, key: (id) => id, version: 3 })

/** What is told while something runs. */
const listening = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const told: Array<string> = []
    const bus = yield* EventBus
    const reading = yield* Effect.forkChild(bus.subscribe({
      name: "list",
      events: [Told],
      handle: ({ correlationId, key, payload: { executionId, saga, state, version } }) =>
        Effect.sync(() => {
          assert.deepStrictEqual([key, correlationId, saga, version], [executionId, executionId, "Trip", 3])
          told.push(`${executionId} ${state}`)
        })
    }))
    yield* Effect.exit(effect)
    yield* TestClock.adjust("1 millis")
    yield* Fiber.interrupt(reading)
    return told
  }).pipe(Effect.provide(MemoryBus.layer))

const all = trip.pipe(Saga.publishLifecycle(Told))
const step = { action: () => Effect.void, compensation: () => Effect.void }
const fails = { error: Schema.String, action: () => Effect.fail("no") }

it.effect("one that succeeds has begun and succeeded, also where another ends in between", () =>
  Effect.gen(function*() {
    const saga = all.pipe(Saga.step("a", step))
    const both = Effect.andThen(Saga.run(saga, "one"), Saga.run(saga, "two"))
    assert.deepStrictEqual(
      yield* listening(both),
      ["Trip/one Started", "Trip/one Succeeded", "Trip/two Started", "Trip/two Succeeded"]
    )
  }))

it.effect("one that fails, or is interrupted, is compensated", () =>
  Effect.gen(function*() {
    const failing = all.pipe(Saga.step("a", step), Saga.check("b", fails))
    assert.deepStrictEqual(yield* listening(Saga.run(failing, "x")), ["Trip/x Started", "Trip/x Compensated"])
    const slow = all.pipe(Saga.step("a", step), Saga.sleep("pause", "1 hour"))
    const cut = Effect.gen(function*() {
      const running = yield* Effect.forkChild(Saga.run(slow, "y"), { startImmediately: true })
      yield* Fiber.interrupt(running)
    })
    assert.deepStrictEqual(yield* listening(cut), ["Trip/y Started", "Trip/y Compensated"])
  }))

it.effect("one that cannot be undone is stuck", () =>
  Effect.gen(function*() {
    const saga = all.pipe(
      Saga.step("a", { ...step, compensation: () => Effect.fail("no"), compensationRetry: Schedule.recurs(0) }),
      Saga.check("b", fails),
      Saga.onStuck(() => Effect.void)
    )
    assert.deepStrictEqual(yield* listening(Saga.outcome(saga, "x")), ["Trip/x Started", "Trip/x Stuck"])
  }))

it.effect("only the states that are asked for are told, wherever in the saga that is said", () =>
  Effect.gen(function*() {
    const saga = trip.pipe(Saga.publishLifecycle(Told, "Succeeded"), Saga.step("a", step))
    assert.deepStrictEqual(yield* listening(Saga.run(saga, "x")), ["Trip/x Succeeded"])
    assert.deepStrictEqual(yield* listening(Saga.run(trip.pipe(Saga.step("a", step)), "x")), [])
  }))

it.effect("of one that is nested in another nothing is told", () =>
  Effect.gen(function*() {
    const outer = Saga.make("Outer", { payload: Schema.String }).pipe(
      Saga.nested("inner", all.pipe(Saga.step("a", step)), ({ payload }) => payload)
    )
    assert.deepStrictEqual(yield* listening(Saga.run(outer, "x")), [])
  }))

it.effect("a payload that is refused begins nothing", () =>
  Effect.gen(function*() {
    const saga = Saga.make("Trip", { payload: Schema.NonEmptyString, version: 3 }).pipe(Saga.publishLifecycle(Told))
    assert.deepStrictEqual(yield* listening(Saga.run(saga, "")), [])
  }))

it.effect("a bus that does not take it changes no end, and the log says so", () =>
  Effect.gen(function*() {
    const run = Saga.run(all.pipe(Saga.step("a", step), Saga.output(Schema.Int, () => 7)), "x")
    const [exit, lines] = yield* logged(Effect.exit(
      Effect.provideService(run, EventBus, {
        publish: () => Effect.die("no route"),
        subscribe: () => Effect.never,
        "~mail": undefined
      })
    ))
    assert.deepStrictEqual(exit, Exit.succeed(7))
    assert.deepStrictEqual(lines.map((line) => line.split(",")[0]), [
      `That "Trip/x" is Started was not published`,
      `That "Trip/x" is Succeeded was not published`
    ])
  }))
