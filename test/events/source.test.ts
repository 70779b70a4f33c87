/** Events as a stream: one at a time, each until it is acknowledged. */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Schedule, Schema, Stream } from "effect"
import { DomainEvent, EventBus, MemoryBus, SagaEvents } from "effect-saga/events"
import { TestClock } from "effect/testing"
import { logged } from "../engine/world.ts"

const Paid = DomainEvent.make("Paid", { payload: Schema.Int, key: () => "o" })

const publish = (...numbers: ReadonlyArray<number>) =>
  EventBus.use((bus) => Effect.forEach(numbers, (n) => bus.publish(Paid, n)))

const source = SagaEvents.source({ name: "reader", events: [Paid], retry: Schedule.recurs(1) })

it.effect("the next event comes when the one before is acknowledged", () =>
  Effect.gen(function*() {
    yield* publish(1, 2)
    const seen: Array<number> = []
    const acks: Array<Effect.Effect<void>> = []
    yield* Effect.forkChild(Stream.runForEach(source, ({ ack, event }) =>
      Effect.sync(() => {
        seen.push(event.payload)
        acks.push(ack)
      })))
    yield* TestClock.adjust("1 hour")
    assert.deepStrictEqual(seen, [1])
    yield* acks[0]!
    yield* TestClock.adjust("1 hour")
    assert.deepStrictEqual(seen, [1, 2])
  }).pipe(Effect.provide(MemoryBus.layer)))

it.effect("what was refused comes again, and then the rest", () =>
  Effect.gen(function*() {
    yield* publish(1, 2)
    const seen: Array<number> = []
    const [, lines] = yield* logged(Effect.gen(function*() {
      yield* Effect.forkChild(Stream.runForEach(source, ({ ack, event, nack }) => {
        seen.push(event.payload)
        return event.payload === 1 ? nack("no") : ack
      }))
      yield* TestClock.adjust("1 hour")
    }))
    assert.deepStrictEqual(seen, [1, 1, 2])
    assert.strictEqual(
      lines.filter((line) => line.endsWith(`is a dead letter: "reader" could not handle it: no`)).length,
      1
    )
  }).pipe(Effect.provide(MemoryBus.layer)))

it.effect("what was not acknowledged comes to the next that reads under the name", () =>
  Effect.gen(function*() {
    yield* publish(1, 2, 3)
    const first = yield* source.pipe(
      Stream.mapEffect(({ ack, event }) => Effect.as(event.payload === 1 ? ack : Effect.void, event.payload)),
      Stream.take(2),
      Stream.runCollect
    )
    const all = yield* source.pipe(
      Stream.mapEffect(({ ack, event }) => Effect.as(ack, event.payload)),
      Stream.takeUntil((n) => n === 3),
      Stream.runCollect
    )
    assert.deepStrictEqual(first, [1, 2])
    // A page is noted when all of it is handled.
    assert.deepStrictEqual(all, [1, 2, 3])
  }).pipe(Effect.provide(MemoryBus.layer)))

it.effect("a second one of the same name is a defect", () =>
  Effect.gen(function*() {
    yield* Effect.forkChild(Stream.runDrain(source))
    yield* TestClock.adjust("1 millis")
    const second = yield* Effect.forkChild(Stream.runDrain(source))
    const exit = yield* Fiber.await(second)
    assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), `"reader" runs here already`)
  }).pipe(Effect.provide(MemoryBus.layer)))
