/** Events that steps publish while they run, in a fiber. */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option, Schedule, Schema } from "effect"
import { Saga, SagaObserver } from "effect-saga"
import { DomainEvent, EventBus, type EventBusService, MemoryBus, SagaEvents } from "effect-saga/events"
import { JournalUnavailable } from "effect-saga/SagaJournal"
import { TestClock } from "effect/testing"
import { Gate, logged } from "../engine/world.ts"

const Sent = DomainEvent.make("Sent", { payload: Schema.Int, key: () => "o" })
const trip = Saga.make("Trip", { payload: Schema.Void, key: () => "e" })
const say = (context: Saga.StepContext, ...numbers: ReadonlyArray<number>) =>
  Effect.forEach(numbers, (n) => SagaEvents.publish(context, Sent, n), { discard: true })

/** What the bus is given while something runs, and what else is told, in order. */
const told = <A, E>(
  run: (mark: (words: string) => Effect.Effect<void>) => Effect.Effect<A, E, EventBus>
): Effect.Effect<readonly [ReadonlyArray<string>, Exit.Exit<A, E>]> =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    const mark = (words: string) => Effect.sync(() => void lines.push(words))
    const bus: EventBusService = {
      publish: (_, payload, options) => mark(`${options?.id?.slice(7)}=${String(payload)}`),
      subscribe: () => Effect.never,
      "~mail": undefined
    }
    const exit = yield* Effect.exit(Effect.provideService(run(mark), EventBus, bus))
    return [lines, exit] as const
  })

it.effect("comes when the action has succeeded, before anything else begins", () =>
  Effect.gen(function*() {
    const [lines] = yield* told((mark) =>
      Saga.run(
        trip.pipe(
          Saga.check("a", {
            action: (_, context) => Effect.andThen(say(context, 1, 2), mark("a ends"))
          }),
          Saga.check("b", { action: () => mark("b") }),
          Saga.pivot("c", { action: (_, context) => say(context, 3) })
        ),
        undefined
      )
    )
    assert.deepStrictEqual(lines, ["a ends", "a#1=1", "a#2=2", "b", "c#1=3"])
  }))

it.effect("an attempt that fails, is cut, or dies has published nothing", () =>
  Effect.gen(function*() {
    const [lines] = yield* told(() =>
      Saga.run(
        trip.pipe(
          Saga.check("a", {
            error: Schema.String,
            retry: Schedule.recurs(2),
            action: (_, context) =>
              Effect.andThen(
                context.attempt === 3 ? Effect.void : say(context, context.attempt),
                context.attempt < 3 ? Effect.fail("no") : Effect.void
              )
          }),
          Saga.check("b", {
            error: Schema.String,
            retry: Schedule.recurs(1),
            action: (_, context) =>
              Effect.andThen(say(context, context.attempt), context.attempt < 2 ? Effect.fail("no") : Effect.void)
          }),
          Saga.step("c", {
            action: (_, context) => Effect.andThen(say(context, 9), Effect.die("bug")),
            compensation: () => Effect.void
          })
        ),
        undefined
      )
    )
    assert.deepStrictEqual(lines, ["b#1=2"])
  }))

it.effect("a compensation publishes too, and what was published before it stays", () =>
  Effect.gen(function*() {
    const [lines] = yield* told(() =>
      Saga.outcome(
        trip.pipe(
          Saga.step("a", {
            action: (_, context) => say(context, 1),
            compensation: (_given, _state, context) =>
              Effect.andThen(say(context, context.attempt), context.attempt < 2 ? Effect.fail("no") : Effect.void),
            compensationRetry: Schedule.recurs(1)
          }),
          Saga.check("b", { error: Schema.String, action: () => Effect.fail("no") })
        ),
        undefined
      )
    )
    assert.deepStrictEqual(lines, ["a#1=1", "a/compensation#1=2"])
  }))

it.effect("a bus that takes nothing stops a saga, and no unwind", () =>
  Effect.gen(function*() {
    const bus: EventBusService = {
      publish: () => Effect.die("no route"),
      subscribe: () => Effect.never,
      "~mail": undefined
    }
    const undone: Array<string> = []
    const saga = trip.pipe(
      Saga.step("a", { action: () => Effect.void, compensation: () => Effect.sync(() => undone.push("a")) }),
      Saga.step("b", {
        action: (_, context) => say(context, 1),
        compensation: (_given, _state, context) => Effect.andThen(say(context, 2), Effect.sync(() => undone.push("b")))
      }),
      Saga.check("c", { action: () => Effect.sync(() => void undone.push("never")) })
    )
    const [end, lines] = yield* logged(Effect.provideService(Saga.outcome(saga, undefined), EventBus, bus))
    assert.deepStrictEqual([end._tag, undone], ["Compensated", ["b", "a"]])
    assert.include(lines.join(), "The bus did not take what Trip/e has published, which unwinds")
  }))

for (const times of [2, 7]) {
  it.effect(`a bus that is out of reach ${times} times is tried again for six seconds, and then gives up`, () =>
    Effect.gen(function*() {
      const given: Array<string> = []
      let left = 0
      const bus: EventBusService = {
        publish: (event, _, options) =>
          Effect.suspend(() =>
            left-- > 0
              ? Effect.fail(new JournalUnavailable({ operation: "publish", cause: "away" }))
              : Effect.sync(() => void given.push(`${event.type} ${options?.id}`))
          ),
        subscribe: () => Effect.never,
        "~mail": undefined
      }
      const away = Effect.sync(() => {
        left = times
      })
      const saga = trip.pipe(
        Saga.pivot("a", { action: (_, context) => Effect.andThen(say(context, 1), away) }),
        Saga.retriable("b", { retry: Schedule.recurs(0), action: () => away }),
        Saga.publish("c", Sent, () => 2)
      )
      const run = yield* Effect.forkChild(
        Effect.provideService(Saga.outcome(saga, undefined, { executionId: "Trip/e" }), EventBus, bus)
      )
      yield* TestClock.adjust("20 seconds")
      const { _tag } = yield* Fiber.join(run)
      assert.deepStrictEqual(
        [_tag, given],
        times === 2 ? ["Succeeded", ["Sent Trip/e/a#1", "Sent Trip/e/c"]] : ["Stuck", []]
      )
    }))
}

it.effect("`verify` publishes what it finds done, and an attempt that was cut does not", () =>
  Effect.gen(function*() {
    const saga = trip.pipe(
      Saga.step("a", {
        success: Schema.Int,
        timeout: "1 second",
        whenUncertain: "report",
        action: (_, context) => Effect.as(Effect.andThen(say(context, 1), Effect.never), 1),
        verify: (_, context) => Effect.as(say(context, 2), Option.some(7)),
        compensation: () => Effect.void
      })
    )
    const fiber = yield* Effect.forkChild(told(() => Saga.run(saga, undefined)))
    yield* TestClock.adjust("2 seconds")
    const [lines, exit] = yield* Fiber.join(fiber)
    assert.deepStrictEqual(exit, Exit.succeed({ a: 7 }))
    assert.deepStrictEqual(lines, ["a#1=2"])
  }))

it.effect("branches side by side publish what is theirs, each before what follows it", () =>
  Effect.gen(function*() {
    const [lines] = yield* told((mark) =>
      Saga.run(
        Saga.make("Trip", { payload: Schema.Array(Schema.String), key: () => "e" }).pipe(
          Saga.forEach("each", {
            item: Schema.String,
            items: ({ payload }) => payload,
            key: (item) => item,
            concurrency: 2,
            each: (fork) =>
              fork.pipe(
                Saga.check("a", { action: (_, context) => say(context, 1) }),
                Saga.check("b", { action: (_, { path }) => mark(path) })
              )
          })
        ),
        ["x", "y"]
      )
    )
    for (const item of ["x", "y"]) {
      const at = lines.indexOf(`each/${item}/a#1=1`)
      assert.isAtLeast(at, 0)
      assert.isAbove(lines.indexOf(`each/${item}/b`), at)
    }
    assert.strictEqual(lines.length, 4)
  }))

it.effect("the fact tells what its attempt has published", () =>
  Effect.gen(function*() {
    const saga = trip.pipe(Saga.check("a", { action: (_, context) => say(context, 1) }))
    const [, exit] = yield* told(() => SagaObserver.collect(Saga.run(saga, undefined)))
    const facts = Exit.isSuccess(exit)
      ? exit.value[1].map((fact) => "published" in fact ? fact.published : fact._tag)
      : []
    assert.deepStrictEqual(facts, [
      "SagaStarted",
      "StepStarted",
      [{ eventId: "Trip/e/a#1", type: "Sent", key: "o" }],
      "SagaSucceeded"
    ])
  }))

it.effect("what does not match its schema, or is said when the attempt is over, is a defect", () =>
  Effect.gen(function*() {
    const wrong = trip.pipe(Saga.check("a", { action: (_, context) => say(context, 0.5) }))
    const [, exit] = yield* told(() => Saga.run(wrong, undefined))
    assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), "The event Sent was not published")
    let late: Effect.Effect<void, never, EventBus> = Effect.void
    const leaks = trip.pipe(
      Saga.check("a", { action: (_, context) => Effect.sync(() => void (late = say(context, 1))) }),
      Saga.check("b", { action: () => Effect.suspend(() => late) })
    )
    const [lines, second] = yield* told(() => Saga.run(leaks, undefined))
    assert.include(
      String(Exit.isFailure(second) && Cause.squash(second.cause)),
      `"a" published Sent when its attempt 1 was over`
    )
    assert.deepStrictEqual(lines, [])
  }))

it.effect("an action alone, with a context that was made by hand, gives it to the bus", () =>
  Effect.gen(function*() {
    const [lines] = yield* told(() =>
      SagaEvents.publish({ executionId: "e", path: "a", attempt: 1, idempotencyKey: "e/a" }, Sent, 1)
    )
    assert.deepStrictEqual(lines, ["undefined=1"])
  }))

it.effect("a saga that waits for it receives it", () =>
  Effect.gen(function*() {
    const waits = Saga.make("Waits", { payload: Schema.Void }).pipe(
      Saga.awaitEvent("sent", Sent, { correlate: () => "o" }),
      Saga.output(Schema.Int, ({ sent }) => sent)
    )
    const sends = trip.pipe(Saga.check("a", { action: (_, context) => say(context, 5) }))
    const waiting = yield* Effect.forkChild(Saga.run(waits, undefined))
    yield* Saga.run(sends, undefined)
    assert.strictEqual(yield* Fiber.join(waiting), 5)
  }).pipe(Effect.provide(MemoryBus.layer)))

const limited = { correlate: () => "o", timeout: "1 minute" } as const

/** What a saga gives within two seconds. */
const soon = <S, O, A, E>(saga: Saga.Saga<void, S, O, A, E, EventBus>) =>
  Effect.gen(function*() {
    const running = yield* Effect.forkChild(Saga.run(saga, undefined))
    yield* TestClock.adjust("2 seconds")
    return running.pollUnsafe()
  }).pipe(Effect.provide(MemoryBus.layer))

it.effect("what the last step of a branch publishes comes to the branch beside it at once", () =>
  Effect.gen(function*() {
    const saga = trip.pipe(
      Saga.parallel((fork) => [
        fork.pipe(Saga.sleep("nap", "1 second"), Saga.check("a", { action: (_, context) => say(context, 5) })),
        fork.pipe(Saga.awaitEvent("sent", Sent, limited))
      ]),
      Saga.output(Schema.Int, ({ sent }) => sent)
    )
    assert.deepStrictEqual(yield* soon(saga), Exit.succeed(5))
  }))

it.effect("so does what a compensation publishes, before the next one begins", () =>
  Effect.gen(function*() {
    const saga = trip.pipe(
      Saga.parallel((fork) => [
        fork.pipe(
          Saga.sleep("nap", "1 second"),
          Saga.orElse("way", (first) =>
            first.pipe(
              Saga.step("slow", {
                action: () => Effect.void,
                compensation: () => Effect.sleep("1 hour"),
                compensationTimeout: "2 hours"
              }),
              Saga.step("a", { action: () => Effect.void, compensation: (_given, _state, context) => say(context, 6) }),
              Saga.check("no", { error: Schema.String, action: () => Effect.fail("no") })
            ), (second) => second)
        ),
        fork.pipe(
          Saga.awaitEvent("sent", Sent, limited),
          Saga.check("heard", { action: ({ sent }) => Effect.sync(() => void heard.push(sent)) })
        )
      ])
    )
    const heard: Array<number> = []
    yield* soon(saga)
    assert.deepStrictEqual(heard, [6])
    yield* TestClock.adjust("2 hours")
  }))

it.effect("a saga that is cut when its action has just succeeded has published, before it unwinds", () =>
  Effect.gen(function*() {
    const [lines] = yield* told((mark) =>
      Effect.gen(function*() {
        const gate = new Gate()
        const saga = trip.pipe(
          Saga.step("a", {
            interruptible: false,
            action: (_, context) => Effect.andThen(say(context, 1), gate.pass),
            compensation: () => mark("undone")
          }),
          Saga.check("b", { action: () => mark("never") })
        )
        const running = yield* Effect.forkChild(Saga.run(saga, undefined))
        yield* gate.reached
        yield* Effect.forkChild(Fiber.interrupt(running), { startImmediately: true })
        yield* gate.open
        yield* Fiber.await(running)
      })
    )
    assert.deepStrictEqual(lines, ["a#1=1", "undone"])
  }))
