/** What the bus in memory holds, for whom, and what becomes of it. Its order and its promises are those of every bus. */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Schema } from "effect"
import { DomainEvent, MemoryBus } from "effect-saga/events"
import { TestClock } from "effect/testing"
import { Gate, logged } from "../engine/world.ts"

const Paid = DomainEvent.make("Paid", { payload: Schema.Int, key: () => "o" })
const Refused = DomainEvent.make("Refused", { payload: Schema.Int, key: () => "o" })

it.effect("a slow subscription that runs holds what it has not handled, however long ago it was published", () =>
  Effect.gen(function*() {
    const unmatched: Array<number> = []
    const bus = yield* MemoryBus.make({
      keep: "1 minute",
      onUnmatched: ({ payload }) => Effect.sync(() => unmatched.push(Number(payload)))
    })
    const gate = new Gate()
    const seen: Array<number> = []
    yield* Effect.forkScoped(
      bus.subscribe({
        name: "slow",
        events: [Paid],
        handle: ({ payload }) =>
          Effect.andThen(payload === 1 ? gate.pass : Effect.void, Effect.sync(() => seen.push(payload)))
      }),
      { startImmediately: true }
    )
    yield* bus.publish(Paid, 1)
    yield* gate.reached
    yield* bus.publish(Paid, 2)
    yield* bus.publish(Refused, 3)
    yield* TestClock.adjust("1 hour")
    // What stands behind it is told when it may go.
    assert.deepStrictEqual(unmatched, [])
    yield* gate.open
    yield* TestClock.adjust("1 millis")
    assert.deepStrictEqual(seen, [1, 2])
    yield* TestClock.adjust("1 millis")
    assert.deepStrictEqual(unmatched, [3])
  }))

it.effect("a subscription that gains a kind of events gets those that are kept", () =>
  Effect.gen(function*() {
    const bus = yield* MemoryBus.make()
    const seen: Array<string> = []
    const read = (...events: ReadonlyArray<typeof Paid | typeof Refused>) =>
      Effect.forkScoped(
        bus.subscribe({
          name: "both",
          events,
          handle: ({ payload, type }) => Effect.sync(() => seen.push(`${type} ${payload}`))
        }),
        { startImmediately: true }
      )
    yield* bus.publish(Refused, 1)
    yield* bus.publish(Paid, 2)
    const old = yield* read(Paid)
    yield* TestClock.adjust("1 millis")
    yield* Fiber.interrupt(old)
    yield* read(Paid, Refused)
    yield* TestClock.adjust("1 millis")
    assert.deepStrictEqual(seen, ["Paid 2", "Refused 1"])
  }))

it.effect("a name is one subscription: a second one beside it is a defect", () =>
  Effect.gen(function*() {
    const bus = yield* MemoryBus.make()
    const subscribed = bus.subscribe({ name: "one", events: [Paid], handle: () => Effect.void })
    const first = yield* Effect.forkScoped(subscribed, { startImmediately: true })
    const exit = yield* Effect.exit(subscribed)
    assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), `"one" runs here already`)
    yield* Fiber.interrupt(first)
    const again = yield* Effect.forkScoped(subscribed, { startImmediately: true })
    assert.isUndefined(again.pollUnsafe())
  }))

it.effect("`onUnmatched` that dies or hangs is logged, and the next event is told", () =>
  Effect.gen(function*() {
    const told: Array<number> = []
    const bus = yield* MemoryBus.make({
      keep: "1 minute",
      onUnmatched: ({ payload }) =>
        Effect.suspend(() => {
          told.push(Number(payload))
          if (payload === 1) throw new Error("bug")
          return payload === 2 ? Effect.never : Effect.void
        })
    })
    for (const n of [1, 2, 3]) yield* bus.publish(Paid, n, { id: `event ${n}` })
    yield* TestClock.adjust("2 minutes")
    assert.deepStrictEqual(told, [1, 2, 3])
  }).pipe(
    logged,
    Effect.map(([, lines]) =>
      assert.deepStrictEqual(
        lines.map((line) => line.slice(0, line.indexOf("\"", line.indexOf("\"") + 1) + 1)),
        [1, 2].map((n) => `\`onUnmatched\` failed for the event Paid "event ${n}"`)
      )
    )
  ))
