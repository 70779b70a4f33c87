/** `SagaTracing`: which spans a run leaves, under which parents, with which links, times, attributes and events. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Logger, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { DomainEvent, MemoryBus, SagaEvents } from "effect-saga/events"
import { TestClock } from "effect/testing"
import { Traces } from "./traces.ts"

/** Runs an effect for a while of virtual time, and gives its exit. */
const runFor = <A, E, R>(millis: number, effect: Effect.Effect<A, E, R>): Effect.Effect<Exit.Exit<A, E>, never, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust(millis)
    return yield* Fiber.await(fiber)
  })

const after = (millis: number) => () => Effect.sleep(millis)
const again = (times: number) => Schedule.max([Schedule.spaced(10), Schedule.recurs(times)])

const trip = Saga.make("Trip", { payload: Schema.Void, version: 3 }).pipe(
  Saga.step("flight", { action: after(10), compensation: after(1) }),
  Saga.step("hotel", { action: after(20), compensation: after(2) })
)

const declined = trip.pipe(
  Saga.check("funds", { error: Schema.String, action: () => Effect.fail("declined") })
)

describe("the shape of a trace", () => {
  it.effect("a run is a span below that of its caller, each action one below it, from its start to its end", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      yield* runFor(30, traces.watch(Effect.withSpan(Saga.run(trip, undefined), "caller")))
      assert.deepStrictEqual(traces.outline, [
        "caller 0-30 ok",
        "  saga Trip 0-30 ok",
        "    action flight 0-10 ok",
        "    action hotel 10-30 ok"
      ])
      assert.strictEqual(traces.named("saga Trip").attributes.get("saga.outcome"), "Succeeded")
    }))

  it.effect("a compensation is a span of its own that links to its action's", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const exit = yield* runFor(33, traces.watch(Saga.run(declined, undefined)))
      assert.deepStrictEqual(exit, Exit.fail("declined"))
      assert.deepStrictEqual(traces.outline, [
        "saga Trip 0-33 failed",
        "  action flight 0-10 ok",
        "  action hotel 10-30 ok",
        "  action funds 30-30 failed",
        "  compensation hotel 30-32 ok -> action hotel",
        "  compensation flight 32-33 ok -> action flight"
      ])
    }))

  it.effect("events that a step has published stand in its span", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const Told = DomainEvent.make("Told", { payload: Schema.String, key: (key) => key })
      const Undone = DomainEvent.make("Undone", { payload: Schema.String, key: (key) => key })
      const saga = Saga.make("Pay", { payload: Schema.Void }).pipe(
        Saga.step("card", {
          action: (_, context) =>
            Effect.andThen(SagaEvents.publish(context, Told, "a"), SagaEvents.publish(context, Told, "b")),
          compensation: (_, __, context) => SagaEvents.publish(context, Undone, "a")
        }),
        Saga.check("stock", { error: Schema.String, action: () => Effect.fail("none left") })
      )
      yield* runFor(0, traces.watch(Effect.provide(Saga.run(saga, undefined), MemoryBus.layer)))
      assert.strictEqual(traces.named("action card").attributes.get("saga.events"), "Told,Told")
      assert.strictEqual(traces.named("compensation card").attributes.get("saga.events"), "Undone")
    }))

  it.effect("spans that the code of a step opens are below the step's, in actions and in compensations", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const saga = Saga.make("Pay", { payload: Schema.Void }).pipe(
        Saga.step("card", {
          action: () => Effect.withSpan(Effect.sleep(5), "POST /charges"),
          compensation: () => Effect.withSpan(Effect.sleep(3), "POST /refunds")
        }),
        Saga.check("stock", { error: Schema.String, action: () => Effect.fail("none left") })
      )
      yield* runFor(8, traces.watch(Saga.run(saga, undefined)))
      assert.deepStrictEqual(traces.outline, [
        "saga Pay 0-8 failed",
        "  action card 0-5 ok",
        "    POST /charges 0-5 ok",
        "  action stock 5-5 failed",
        "  compensation card 5-8 ok -> action card",
        "    POST /refunds 5-8 ok"
      ])
    }))

  it.effect("the question whether an action took place is below it too", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const saga = Saga.make("Pay", { payload: Schema.Void }).pipe(
        Saga.step("card", {
          action: () => Effect.die("lost"),
          verify: () => Effect.withSpan(Effect.succeedSome(undefined), "GET /charges"),
          compensation: () => Effect.void
        })
      )
      yield* traces.watch(Saga.run(saga, undefined))
      assert.deepStrictEqual(traces.outline, ["saga Pay 0-0 ok", "  action card 0-0 ok", "    GET /charges 0-0 ok"])
    }))

  it.effect("branches in parallel stand side by side, and each compensation links to its own", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const saga = Saga.make("Order", { payload: Schema.Void }).pipe(
        Saga.forEach("lines", {
          item: Schema.Finite,
          items: () => [10, 20],
          key: (millis) => `sku/${millis}`,
          concurrency: 2,
          each: (fork) =>
            fork.pipe(Saga.step("reserve", {
              action: ({ item }) => Effect.sleep(item),
              compensation: (_, { item }) => Effect.sleep(item)
            }))
        }),
        Saga.check("funds", { error: Schema.String, action: () => Effect.fail("declined") })
      )
      yield* runFor(40, traces.watch(Saga.run(saga, undefined)))
      assert.deepStrictEqual(traces.outline.filter((line) => !line.includes("compensation")), [
        "saga Order 0-40 failed",
        "  action reserve 0-10 ok",
        "  action reserve 0-20 ok",
        "  action funds 20-20 failed"
      ])
      const undone = traces.spans.filter(({ name }) => name === "compensation reserve").map((span) => ({
        path: span.attributes.get("saga.path"),
        undoes: span.links.map(({ span }) => span._tag === "Span" && span.attributes.get("saga.path"))
      }))
      assert.sameDeepMembers(undone, [
        { path: "lines/sku%2F10/reserve", undoes: ["lines/sku%2F10/reserve"] },
        { path: "lines/sku%2F20/reserve", undoes: ["lines/sku%2F20/reserve"] }
      ])
    }))

  it.effect("two runs at once have a trace each", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const run = (executionId: string) => Saga.run(trip, undefined, { executionId })
      yield* runFor(30, traces.watch(Effect.all([run("a"), run("b")], { concurrency: 2 })))
      const belonging = traces.spans.map(({ attributes, traceId }) =>
        `${attributes.get("saga.executionId")} ${traceId}`
      )
      assert.strictEqual(traces.spans.length, 6)
      assert.strictEqual(new Set(belonging).size, 2)
    }))
})

describe("what a span says", () => {
  it.effect("which execution and which step it is, and after how many attempts it ended", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      yield* runFor(33, traces.watch(Effect.exit(Saga.run(declined, undefined, { executionId: "no-1" }))))
      const execution = { "saga.name": "Trip", "saga.version": 3, "saga.executionId": "no-1" }
      const attributesOf = (name: string) => Object.fromEntries(traces.named(name).attributes)
      assert.deepStrictEqual(attributesOf("saga Trip"), { ...execution, "saga.outcome": "Compensated" })
      for (const name of ["action flight", "compensation flight"]) {
        assert.deepStrictEqual(attributesOf(name), { ...execution, "saga.path": "flight", "saga.attempts": 1 })
      }
    }))

  it.effect("a failure ends its span with its cause, that of the execution too", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      yield* runFor(33, traces.watch(Saga.run(declined, undefined)))
      for (const name of ["action funds", "saga Trip"]) {
        const { status } = traces.named(name)
        assert.deepStrictEqual(status._tag === "Ended" && status.exit, Exit.fail("declined"))
      }
    }))

  it.effect("attempts of an action are one span; those that failed are its events", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      let left = 2
      const saga = Saga.make("Pay", { payload: Schema.Void }).pipe(
        Saga.step("card", {
          error: Schema.String,
          action: () => Effect.suspend(() => left-- > 0 ? Effect.fail("busy") : Effect.withSpan(Effect.void, "POST")),
          retry: again(2),
          compensation: () => Effect.void
        })
      )
      yield* runFor(20, traces.watch(Saga.run(saga, undefined)))
      assert.deepStrictEqual(traces.outline, ["saga Pay 0-20 ok", "  action card 0-20 ok", "    POST 20-20 ok"])
      assert.deepStrictEqual(traces.eventsOf("action card"), ["0 StepAttemptFailed", "10 StepAttemptFailed"])
      const [, , attributes] = traces.named("action card").events[1]!
      assert.deepInclude(attributes, { "saga.attempt": 2, "saga.nextAtMillis": 20 })
      assert.include(attributes["saga.cause"], "busy")
      assert.strictEqual(traces.named("action card").attributes.get("saga.attempts"), 3)
    }))

  it.effect("tries of a compensation are one span; those that failed are its events", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      let left = 1
      const saga = Saga.make("Pay", { payload: Schema.Void }).pipe(
        Saga.step("card", {
          action: () => Effect.void,
          compensation: () => Effect.suspend(() => left-- > 0 ? Effect.fail("busy") : Effect.void),
          compensationRetry: again(1)
        }),
        Saga.check("stock", { error: Schema.String, action: () => Effect.fail("none left") })
      )
      yield* runFor(10, traces.watch(Saga.run(saga, undefined)))
      assert.include(traces.outline, "  compensation card 0-10 ok -> action card")
      assert.deepStrictEqual(traces.eventsOf("compensation card"), ["0 CompensationAttemptFailed"])
      assert.strictEqual(traces.named("compensation card").attributes.get("saga.attempts"), 2)
    }))

  it.effect("an unknown outcome is an attribute and an event, and its compensation links to it", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const saga = Saga.make("Pay", { payload: Schema.Void }).pipe(
        Saga.step("card", {
          action: () => Effect.never,
          timeout: 10,
          whenUncertain: "compensate",
          compensation: () => Effect.void
        })
      )
      yield* runFor(10, traces.watch(Saga.run(saga, undefined)))
      assert.deepStrictEqual(traces.outline, [
        "saga Pay 0-10 failed",
        "  action card 0-10 failed",
        "  compensation card 10-10 ok -> action card"
      ])
      const card = traces.named("action card")
      assert.strictEqual(card.attributes.get("saga.uncertain"), "TimedOut")
      assert.deepStrictEqual(card.events.map(([name, , attributes]) => [name, attributes]), [
        ["StepUncertain", { "saga.uncertain": "TimedOut", "saga.whenUncertain": "compensate" }]
      ])
      assert.isFalse(traces.named("saga Pay").attributes.has("saga.uncertain"))
    }))

  it.effect("an execution that leaves a step of unknown outcome says which", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const saga = Saga.make("Pay", { payload: Schema.Void }).pipe(
        Saga.step("card", { action: () => Effect.die("lost"), compensation: () => Effect.void })
      )
      yield* Effect.exit(traces.watch(Saga.run(saga, undefined)))
      assert.deepStrictEqual(traces.outline, ["saga Pay 0-0 failed", "  action card 0-0 failed"])
      assert.deepStrictEqual(traces.named("saga Pay").attributes.get("saga.uncertain"), ["card"])
    }))

  it.effect("decisions, timers and unwinding are events of the execution", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const inner = Saga.make("Wrap", { payload: Schema.Void }).pipe(Saga.check("paper", { action: () => Effect.void }))
      const saga = Saga.make("Gift", { payload: Schema.Void }).pipe(
        Saga.sleep("pause", 10),
        Saga.nested("wrapped", inner, () => undefined),
        Saga.when("card", () => false, (fork) => fork),
        Saga.forEach("lines", {
          item: Schema.String,
          items: () => ["a", "b"],
          key: (key) => key,
          each: (fork) => fork
        }),
        Saga.orElse(
          "courier",
          (fork) => fork.pipe(Saga.check("cheap", { error: Schema.String, action: () => Effect.fail("full") })),
          (fork) => fork.pipe(Saga.check("dear", { error: Schema.String, action: () => Effect.fail("closed") }))
        )
      )
      yield* runFor(10, traces.watch(Saga.run(saga, undefined)))
      const events = traces.named("saga Gift").events.map(([name, time, { "saga.cause": cause, ...attributes }]) => [
        `${time / 1_000_000n} ${name}`,
        cause === undefined ? attributes : { ...attributes, cause: String(cause).split("\n")[0] }
      ])
      assert.deepStrictEqual(events, [
        ["0 TimerSet", { "saga.path": "pause", "saga.fireAtMillis": 10 }],
        ["10 TimerFired", { "saga.path": "pause" }],
        ["10 NestedStarted", { "saga.path": "wrapped", "saga.nested": "Wrap" }],
        ["10 BranchChosen", { "saga.path": "card", "saga.tag": null }],
        ["10 ItemsListed", { "saga.path": "lines", "saga.items": 2 }],
        ["10 UnwindStarted", { "saga.path": "courier", cause: "Error: full" }],
        ["10 FellBack", { "saga.path": "courier", cause: "Error: full" }],
        ["10 UnwindStarted", { "saga.path": "", cause: "Error: closed" }]
      ])
      assert.deepInclude(traces.outline, "  action dear 10-10 failed")
      assert.strictEqual(traces.outline[0], "saga Gift 0-10 failed")
    }))

  it.effect("77. no payload, item, key of a choice or result is in a span", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const saga = Saga.make("Pay", { payload: Schema.String }).pipe(
        Saga.step("token", {
          success: Schema.String,
          action: ({ payload }) => Effect.succeed(`${payload} of a result`),
          compensation: () => Effect.void
        }),
        Saga.forEach("cards", {
          item: Schema.String,
          items: ({ token }) => [token],
          key: () => "first",
          each: (fork) => fork.pipe(Saga.check("expiry", { action: () => Effect.void }))
        }),
        Saga.nested(
          "charge",
          Saga.make("Charge", { payload: Schema.String }).pipe(Saga.check("limit", { action: () => Effect.void })),
          ({ token }) => token
        ),
        Saga.output(Schema.String, ({ token }) => token)
      )
      assert.strictEqual(yield* traces.watch(Saga.run(saga, "secret")), "secret of a result")
      const written = traces.spans.map(({ attributes, events, status }) => [
        ...attributes,
        ...events.map(([name, , attributes]) => [name, attributes]),
        status._tag === "Ended" && status.exit
      ])
      assert.strictEqual(written.length, 4)
      assert.notInclude(JSON.stringify(written), "secret")
    }))
})

describe("nothing is left open", () => {
  const undone = { action: after(10), compensation: after(1) }
  const stubborn = { ...undone, compensation: () => Effect.fail("no"), compensationRetry: again(1) }
  const failing = { error: Schema.String, action: () => Effect.fail("declined") }
  const start = Saga.make("Trip", { payload: Schema.Void })

  type AnyTrip = Saga.Saga<void, unknown, unknown, unknown, unknown, never>
  const endings: Record<string, readonly [AnyTrip, ReadonlyArray<string>]> = {
    "a success": [trip, ["saga Trip 0-30 ok", "  action flight 0-10 ok", "  action hotel 10-30 ok"]],
    "a defect": [
      start.pipe(Saga.step("flight", undone), Saga.check("funds", { action: () => Effect.die("lost") })),
      [
        "saga Trip 0-11 failed",
        "  action flight 0-10 ok",
        "  action funds 10-10 failed",
        "  compensation flight 10-11 ok -> action flight"
      ]
    ],
    "the time limit of the saga": [
      trip.pipe(Saga.timeout(15)),
      [
        "saga Trip 0-16 failed",
        "  action flight 0-10 ok",
        "  action hotel 10-15 interrupted",
        "  compensation flight 15-16 ok -> action flight"
      ]
    ],
    "a failing branch beside others": [
      start.pipe(Saga.parallel((fork) => [
        fork.pipe(Saga.step("flight", undone), Saga.step("seat", undone)),
        fork.pipe(Saga.check("funds", { ...failing, action: () => Effect.andThen(Effect.sleep(5), failing.action()) }))
      ])),
      [
        "saga Trip 0-11 failed",
        "  action flight 0-10 ok",
        "  action funds 0-5 failed",
        "  compensation flight 10-11 ok -> action flight"
      ]
    ],
    "a compensation that fails to its last try": [
      start.pipe(Saga.step("flight", undone), Saga.step("hotel", stubborn), Saga.check("funds", failing)),
      [
        "saga Trip 0-31 failed",
        "  action flight 0-10 ok",
        "  action hotel 10-20 ok",
        "  action funds 20-20 failed",
        "  compensation hotel 20-30 failed -> action hotel",
        "  compensation flight 30-31 ok -> action flight"
      ]
    ],
    "a compensation that ignores its limit": [
      start.pipe(
        Saga.step("flight", {
          ...undone,
          compensation: () => Effect.uninterruptible(Effect.never),
          compensationTimeout: 5,
          compensationRetry: Schedule.recurs(0)
        }),
        Saga.check("funds", failing)
      ),
      [
        "saga Trip 0-1015 failed",
        "  action flight 0-10 ok",
        "  action funds 10-10 failed",
        "  compensation flight 10-1015 failed -> action flight"
      ]
    ],
    "a pivot of unknown outcome": [
      start.pipe(
        Saga.step("flight", undone),
        Saga.pivot("pay", { action: () => Effect.interrupt, retry: Schedule.recurs(0) })
      ),
      ["saga Trip 0-10 failed", "  action flight 0-10 ok", "  action pay 10-10 interrupted"]
    ],
    "forward recovery that fails": [
      start.pipe(
        Saga.pivot("pay", { action: () => Effect.void }),
        Saga.parallel((fork) => [
          fork.pipe(Saga.retriable("mail", { action: () => Effect.die("down"), retry: again(1) })),
          fork.pipe(Saga.retriable("points", { action: after(20), retry: again(1) }))
        ])
      ),
      ["saga Trip 0-20 failed", "  action pay 0-0 ok", "  action mail 0-10 failed", "  action points 0-20 ok"]
    ]
  }

  for (const [name, [saga, outline]] of Object.entries(endings)) {
    it.effect(`after ${name}`, () =>
      Effect.gen(function*() {
        const traces = new Traces()
        yield* runFor(2_000, Effect.provide(traces.watch(Saga.run(saga, undefined)), Logger.layer([])))
        assert.deepStrictEqual(traces.outline, outline)
      }))
  }

  it.effect("after an interruption", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const fiber = yield* Effect.forkChild(traces.watch(Saga.run(trip, undefined)), { startImmediately: true })
      yield* TestClock.adjust(15)
      assert.deepStrictEqual(traces.open, ["saga Trip", "action hotel"])
      fiber.interruptUnsafe()
      yield* TestClock.adjust(1)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      assert.deepStrictEqual(traces.outline, [
        "saga Trip 0-16 interrupted",
        "  action flight 0-10 ok",
        "  action hotel 10-15 interrupted",
        "  compensation flight 15-16 ok -> action flight"
      ])
    }))

  it.effect("after an interruption past the commit point", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const started = yield* Deferred.make<void>()
      const saga = start.pipe(
        Saga.retriable("mail", {
          action: () => Effect.andThen(Deferred.succeed(started, undefined), Effect.sleep(10)),
          retry: again(1)
        }),
        Saga.retriable("points", { action: after(10), retry: again(1) }),
        Saga.onStuck(() => Effect.void)
      )
      const fiber = yield* Effect.forkChild(traces.watch(Saga.run(saga, undefined)), { startImmediately: true })
      yield* Deferred.await(started)
      fiber.interruptUnsafe()
      yield* TestClock.adjust(10)
      yield* Fiber.await(fiber)
      assert.deepStrictEqual(traces.outline, ["saga Trip 0-10 failed", "  action mail 0-10 ok"])
    }))

  it.effect("a stuck execution ends its span with an error that says why and where to look", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const saga = start.pipe(
        Saga.step("flight", undone),
        Saga.pivot("pay", { action: () => Effect.interrupt, retry: Schedule.recurs(0) }),
        Saga.onStuck(() => Effect.void)
      )
      yield* runFor(10, traces.watch(Saga.run(saga, undefined)))
      const { attributes, status } = traces.named("saga Trip")
      assert.strictEqual(attributes.get("saga.outcome"), "Stuck")
      assert.strictEqual(attributes.get("saga.reason"), "PivotUncertain")
      assert.deepStrictEqual(attributes.get("saga.open"), ["pay", "flight"])
      const cause = status._tag === "Ended" && Exit.isFailure(status.exit) ? status.exit.cause : Cause.empty
      assert.include(
        Cause.pretty(cause),
        "ExecutionStuck: Stuck (PivotUncertain), a person has to look at: pay, flight"
      )
    }))
})
