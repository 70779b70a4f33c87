/** What persons decide about an execution, and where it goes in an engine: as lines, spans and counters. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Context, Effect, Exit, Logger, Metric, References, Schedule, Schema, Tracer } from "effect"
import type { SagaEvent } from "effect-saga"
import { Saga, SagaObserver } from "effect-saga"
import type { ExecutionStatus, SagaEngineService } from "effect-saga/SagaEngine"
import { SagaLogging, SagaMetrics, SagaTracing } from "effect-saga/telemetry"
import { TestClock } from "effect/testing"
import { memory } from "../engine/stores.ts"
import { boot, eventually, fact, faultOn, inTime, state, turn } from "../engine/world.ts"
import type { AnyTrip, Line } from "./alarms.ts"
import { counters, Seen, trip, ways } from "./alarms.ts"
import { Traces } from "./traces.ts"

const test = faultOn(memory)
const once = Schedule.recurs(0)
const ann = { actor: "ann", comment: "ticket 7" }
const cause = Cause.fail("no")

type Fact = SagaEvent extends infer E ? E extends SagaEvent ? Omit<E, "atMillis"> : never : never

/** Facts with a time each: that of their position, in tens of milliseconds. */
const at = (facts: ReadonlyArray<Fact>): ReadonlyArray<SagaEvent> =>
  facts.map((fact, index) => ({ atMillis: index * 10, ...fact }) as SagaEvent)

const started: Fact = { _tag: "SagaStarted", saga: "Pay", version: 1, payload: undefined }
const begun = (path: string): Fact => ({ _tag: "StepStarted", path })
const done = (path: string): Fact => ({ _tag: "StepSucceeded", path, attempts: 1, result: undefined })
const lost = (path: string): Fact => ({
  _tag: "StepUncertain",
  path,
  attempts: 1,
  reason: "Died",
  whenUncertain: "stuck",
  cause
})
const stuck = (path: string): Fact => ({ _tag: "SagaStuck", reason: "StepUncertain", open: [path] })

/** What a watch is told that is no fact. */
interface After {
  readonly atMillis: number
  readonly tell: (watch: SagaObserver.Watch) => void
}

const left = (atMillis: number): After => ({ atMillis, tell: (watch) => watch.onLeft!() })
const park = (parked: SagaObserver.Parked): After => ({
  atMillis: parked.atMillis,
  tell: (watch) => watch.onParked!(parked)
})

/** Tells one watch of an observer, on a clock that is set by the facts. */
const told = (
  observer: SagaObserver.SagaObserver,
  facts: ReadonlyArray<SagaEvent | After>,
  context: Context.Context<never>,
  startedAtMillis?: number
): void => {
  let now = 0
  const clock = { currentTimeMillisUnsafe: () => now, currentTimeNanosUnsafe: () => BigInt(now) * 1_000_000n }
  const watch = observer.observe({
    executionId: "e1\u2028forged",
    saga: "Pay",
    version: 1,
    startedAtMillis,
    context: Context.add(context, Clock.Clock, clock as Clock.Clock)
  })
  for (const fact of facts) {
    now = Math.max(now, fact.atMillis)
    if ("tell" in fact) fact.tell(watch)
    else watch.onEvent(fact)
  }
}

describe("lines", () => {
  const linesOf = (facts: ReadonlyArray<Fact>): Effect.Effect<ReadonlyArray<Line>> =>
    Effect.gen(function*() {
      const seen = new Seen()
      yield* seen.watch(Effect.scoped(Effect.gen(function*() {
        const observer = yield* SagaLogging.observer
        told(observer, at(facts), yield* Effect.context<never>())
      })))
      return seen.lines
    })

  it.effect("say who has decided what, and why, at info", () =>
    Effect.gen(function*() {
      const by = { actor: "ann\nERROR", comment: "a\u2028b" }
      const lines = yield* linesOf([
        { ...started, rerunOf: "e0\u2028", ...by } as Fact,
        { _tag: "CancelRequested", ...by },
        { _tag: "CancelRefused", ...by },
        { _tag: "RetryRequested", ...by },
        { _tag: "StepSkipped", path: "card", result: "secret", ...by },
        { _tag: "CompensationSkipped", path: "card", ...by },
        { _tag: "UnwindRequested", ...by },
        { _tag: "SagaAbandoned", ...by }
      ])
      assert.deepStrictEqual(lines.map(({ level, text }) => `${level}: ${text}`), [
        `Info: Saga "Pay" does an execution again`,
        `Info: Saga "Pay" is cancelled`,
        `Info: Saga "Pay" is past its commit point, and not cancelled`,
        `Info: Saga "Pay": a person has what is open tried again`,
        `Info: Saga "Pay": a person says what a step has given`,
        `Info: Saga "Pay": a person says that a step is undone`,
        `Info: Saga "Pay": a person has it unwound`,
        `Info: Saga "Pay" was abandoned by a person`
      ])
      for (const { annotations } of lines) {
        assert.deepInclude(annotations, {
          "saga.executionId": "e1%E2%80%A8forged",
          "saga.actor": "ann%0AERROR",
          "saga.comment": "a%E2%80%A8b"
        })
      }
      assert.strictEqual(lines[0]!.annotations["saga.rerunOf"], "e0%E2%80%A8")
      assert.strictEqual(lines[4]!.annotations["saga.path"], "card")
      assert.notInclude(JSON.stringify(lines), "secret")
    }))

  it.effect("of what programs do, and of what was kept, are for debugging; a new version is told of", () =>
    Effect.gen(function*() {
      const lines = yield* linesOf([
        { _tag: "CancelRequested" },
        { _tag: "CancelRefused" },
        { ...done("card"), keptFrom: "e0" } as Fact,
        { _tag: "SagaMigrated", from: 1, to: 3 }
      ])
      assert.deepStrictEqual(lines.map(({ level, text }) => `${level}: ${text}`), [
        `Debug: Saga "Pay" is cancelled`,
        `Debug: Saga "Pay" is past its commit point, and not cancelled`,
        `Debug: Saga "Pay": a result is kept from the execution that it does again`,
        `Info: Saga "Pay" goes on as version 3`
      ])
      assert.notProperty(lines[0]!.annotations, "saga.actor")
      assert.strictEqual(lines[2]!.annotations["saga.keptFrom"], "e0")
    }))
})

describe("counters", () => {
  it.effect("count each time that it is stuck, and the end; what is skipped counts nowhere", () =>
    Effect.gen(function*() {
      const facts = at([
        started,
        begun("card"),
        lost("card"),
        stuck("card"),
        { _tag: "RetryRequested", ...ann },
        lost("card"),
        stuck("card"),
        { _tag: "StepSkipped", path: "card", result: undefined, ...ann },
        { _tag: "SagaSucceeded", result: undefined }
      ])
      told(SagaMetrics.observer, facts, yield* Effect.context<never>())
      assert.deepStrictEqual(yield* counters, [
        "saga_executions_ended{outcome=Stuck, saga=Pay} 2",
        "saga_executions_ended{outcome=Succeeded, saga=Pay} 1",
        "saga_executions_started{saga=Pay} 1",
        "saga_executions_stuck{reason=StepUncertain, saga=Pay} 2",
        "saga_steps_uncertain{saga=Pay} 2"
      ])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("tell of an abandoned one, and the duration of what started in another stay", () =>
    Effect.gen(function*() {
      const context = yield* Effect.context<never>()
      told(SagaMetrics.observer, [{ _tag: "SagaAbandoned", atMillis: 70, ...ann }], context, 50)
      const labels = { saga: "Pay", outcome: "Abandoned" }
      const took = yield* Metric.value(Metric.withAttributes(SagaMetrics.executionDuration, labels))
      assert.deepStrictEqual([took.count, took.sum], [1, 20])
      assert.deepStrictEqual(yield* counters, ["saga_executions_ended{outcome=Abandoned, saga=Pay} 1"])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("tell of one that was parked, and that no fact tells of", () =>
    Effect.gen(function*() {
      const parked = { atMillis: 30, reason: "Quarantined", problem: "Quarantined: of e1" } as const
      told(SagaMetrics.observer, [park(parked)], yield* Effect.context<never>(), 10)
      const labels = { saga: "Pay", outcome: "Stuck" }
      const took = yield* Metric.value(Metric.withAttributes(SagaMetrics.executionDuration, labels))
      assert.deepStrictEqual([took.count, took.sum], [1, 20])
      assert.deepStrictEqual(yield* counters, [
        "saga_executions_ended{outcome=Stuck, saga=Pay} 1",
        "saga_executions_stuck{reason=Quarantined, saga=Pay} 1"
      ])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("spans", () => {
  const traced = (facts: ReadonlyArray<SagaEvent | After>): Traces => {
    const traces = new Traces()
    told(SagaTracing.observer, facts, Context.make(Tracer.Tracer, traces.tracer))
    assert.deepStrictEqual(traces.open, [])
    assert.strictEqual(traces.ends, traces.spans.length)
    return traces
  }

  it("what is tried again goes on in a span that links to the one before; the decision is a span of no length", () => {
    const traces = traced(at([
      started,
      begun("card"),
      lost("card"),
      stuck("card"),
      { _tag: "RetryRequested", ...ann },
      { _tag: "StepAttemptFailed", path: "card", attempt: 2, cause, nextAtMillis: 60 },
      done("card"),
      { _tag: "SagaSucceeded", result: undefined }
    ]))
    assert.deepStrictEqual(traces.outline, [
      "saga Pay 0-30 failed",
      "  action card 10-20 failed",
      "decision RetryRequested 40-40 ok -> saga Pay",
      "saga Pay 50-70 ok -> saga Pay"
    ])
    assert.deepInclude(Object.fromEntries(traces.named("decision RetryRequested").attributes), {
      "saga.name": "Pay",
      "saga.executionId": "e1%E2%80%A8forged",
      "saga.actor": "ann",
      "saga.comment": "ticket 7"
    })
  })

  it("an action that is tried again runs in a span of its own, one that goes on in that which is open", () => {
    const runs: Array<string> = []
    const action = (watch: SagaObserver.Watch) => {
      const current = Effect.map(Effect.service(Tracer.ParentSpan), (span) => void runs.push(span.spanId))
      Effect.runSync(watch.around!(Effect.orDie(current), "card", "action") as Effect.Effect<void>)
    }
    const traces = traced([
      ...at([started, begun("card")]),
      { atMillis: 10, tell: action },
      ...at([started, begun("card"), lost("card"), stuck("card"), { _tag: "RetryRequested", ...ann }]).slice(2),
      { atMillis: 50, tell: action },
      { atMillis: 55, tell: action },
      { ...done("card"), atMillis: 60 } as SagaEvent,
      { _tag: "SagaSucceeded", atMillis: 60, result: undefined }
    ])
    assert.deepStrictEqual(traces.outline.filter((line) => line.includes("action")), [
      "  action card 10-20 failed",
      "  action card 50-60 ok"
    ])
    const [first, second] = traces.spans.filter(({ name }) => name === "action card")
    assert.deepStrictEqual(runs, [first!.spanId, second!.spanId, second!.spanId])
  })

  it("a step that is skipped while it runs ends its span, and one that has ended is not ended twice", () => {
    const skip: Fact = { _tag: "StepSkipped", path: "card", result: undefined, ...ann }
    const traces = traced(
      at([started, begun("card"), skip, lost("card"), { _tag: "SagaSucceeded", result: undefined }])
    )
    assert.deepStrictEqual(traces.outline, ["saga Pay 0-40 ok", "  action card 10-20 ok"])
    assert.deepStrictEqual(traces.eventsOf("saga Pay"), ["20 StepSkipped"])
    const undone: Fact = { _tag: "CompensationSkipped", path: "card", ...ann }
    const after = traced(at([
      started,
      begun("card"),
      done("card"),
      { _tag: "CompensationStarted", path: "card" },
      { _tag: "CompensationFailed", path: "card", attempts: 1, cause },
      stuck("card"),
      undone
    ]))
    assert.deepStrictEqual(after.outline, [
      "saga Pay 0-50 failed",
      "  action card 10-20 ok",
      "  compensation card 30-40 failed -> action card",
      "decision CompensationSkipped 60-60 ok -> saga Pay"
    ])
    assert.strictEqual(after.named("decision CompensationSkipped").attributes.get("saga.path"), "card")
  })

  it("one that is abandoned while it runs ends with all that is in flight", () => {
    const traces = traced(at([started, begun("card"), { _tag: "SagaAbandoned", ...ann }]))
    assert.deepStrictEqual(traces.outline, ["saga Pay 0-20 failed", "  action card 10-20 interrupted"])
    assert.strictEqual(traces.named("saga Pay").attributes.get("saga.outcome"), "Abandoned")
    const { status } = traces.named("saga Pay")
    assert.include(
      status._tag === "Ended" && Exit.isFailure(status.exit) ? Cause.pretty(status.exit.cause) : "",
      "was abandoned"
    )
    const late = traced([{ _tag: "SagaAbandoned", atMillis: 5, ...ann }])
    assert.deepStrictEqual(late.outline, ["decision SagaAbandoned 5-5 ok"])
    assert.strictEqual(late.spans[0]!.attributes.get("saga.outcome"), "Abandoned")
  })

  it("one that leaves ends its spans, and says so; what has ended stays as it is", () => {
    const traces = traced([...at([started, begun("seat"), done("seat"), begun("card")]), left(45)])
    assert.deepStrictEqual(traces.outline, [
      "saga Pay 0-45 ok",
      "  action seat 10-20 ok",
      "  action card 30-45 interrupted"
    ])
    assert.strictEqual(traces.named("saga Pay").attributes.get("saga.outcome"), "Left")
    // Who was told of nothing has nothing to end.
    assert.deepStrictEqual(traced([left(5)]).spans, [])
    const ended = traced([...at([started, { _tag: "SagaSucceeded", result: undefined }]), left(25)])
    assert.strictEqual(ended.named("saga Pay").attributes.get("saga.outcome"), "Succeeded")
  })

  it("one that was parked is a span that failed, with the reason and no values", () => {
    const parked = { atMillis: 30, reason: "Undecodable", problem: "Undecodable: expected 5, got secret" } as const
    for (const before of [[], at([started, begun("card")])]) {
      const traces = traced([...before, park(parked)])
      assert.match(traces.outline[0]!, /^saga Pay \d+-30 failed$/)
      const { attributes, status } = traces.named("saga Pay")
      assert.deepStrictEqual([attributes.get("saga.outcome"), attributes.get("saga.reason")], ["Stuck", "Undecodable"])
      assert.notInclude(JSON.stringify([[...attributes], status._tag === "Ended" && status.exit]), "secret")
    }
  })

  it("what was kept takes no time, and says where it took place", () => {
    const traces = traced([
      {
        _tag: "SagaStarted",
        atMillis: 90_000,
        saga: "Pay",
        version: 1,
        payload: undefined,
        rerunOf: "e0\u2028",
        ...ann
      },
      { _tag: "StepStarted", atMillis: 10, path: "card" },
      { _tag: "StepSucceeded", atMillis: 20, path: "card", attempts: 1, result: undefined, keptFrom: "e0\u2028" },
      { _tag: "SagaSucceeded", atMillis: 90_010, result: undefined }
    ])
    assert.deepStrictEqual(traces.outline, ["saga Pay 90000-90010 ok", "  action card 90000-90000 ok"])
    assert.strictEqual(traces.named("action card").attributes.get("saga.keptFrom"), "e0%E2%80%A8")
    assert.strictEqual(traces.named("saga Pay").attributes.get("saga.rerunOf"), "e0%E2%80%A8")
    assert.strictEqual(traces.named("saga Pay").attributes.get("saga.actor"), "ann")
  })

  it("a cancel and a new version are events", () => {
    const traces = traced(at([
      started,
      { _tag: "SagaMigrated", from: 1, to: 2 },
      { _tag: "CancelRefused", ...ann },
      { _tag: "CancelRequested" },
      { _tag: "SagaSucceeded", result: undefined }
    ]))
    assert.deepStrictEqual(traces.named("saga Pay").events.map(([name, , attributes]) => [name, attributes]), [
      ["SagaMigrated", { "saga.fromVersion": 1, "saga.toVersion": 2 }],
      ["CancelRefused", { "saga.actor": "ann", "saga.comment": "ticket 7" }],
      ["CancelRequested", {}]
    ])
  })
})

describe("in an engine", () => {
  /** Runs with spans and counters. */
  const watching = <A, E, R>(traces: Traces, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    new Seen().watch(effect, [SagaTracing.observer]).pipe(Effect.withTracer(traces.tracer))

  test("what is tried again goes on in the trace of who started it, each action in a span of its stay", (store) =>
    Effect.gen(function*() {
      const traces = new Traces()
      let broken = true
      const saga: AnyTrip = trip.pipe(
        Saga.step("seat", { action: () => Effect.void, compensation: () => Effect.void }),
        Saga.pivot("card", {
          action: () =>
            Effect.withSpan(Effect.suspend(() => broken ? Effect.die("cut") : Effect.void), "POST /charges"),
          retry: once
        })
      )
      yield* watching(
        traces,
        Effect.gen(function*() {
          const { close, engine } = yield* boot(store, [saga])
          yield* Effect.withSpan(engine.start(saga, undefined, { executionId: "e" }), "caller")
          yield* state(store.journal, "e", "Stuck")
          broken = false
          yield* engine.retry("e", ann)
          yield* inTime("it ends", engine.await(saga, "e"))
          yield* close
        })
      )
      assert.deepStrictEqual(traces.open, [])
      const { traceId } = traces.named("caller")
      assert.deepStrictEqual([...new Set(traces.spans.map((span) => span.traceId))], [traceId])
      const names = traces.spans.map(({ name }) => name).filter((name) => !name.startsWith("decision"))
      assert.deepStrictEqual(names, [
        "caller",
        "saga Trip",
        "action seat",
        "action card",
        "POST /charges",
        "saga Trip",
        "action card",
        "POST /charges"
      ])
      const [, last] = traces.spans.filter(({ name }) => name === "action card")
      const [, post] = traces.spans.filter(({ name }) => name === "POST /charges")
      assert.strictEqual(post!.parent._tag === "Some" && post!.parent.value, last)
      assert.strictEqual(last!.status._tag === "Ended" && last!.status.exit._tag, "Success")
    }))

  test("one that sleeps leaves no span open, nor one whose engine closes", (store) =>
    Effect.gen(function*() {
      const traces = new Traces()
      const saga: AnyTrip = trip.pipe(
        Saga.sleep("pause", "1 hour"),
        Saga.step("seat", { action: () => Effect.never, compensation: () => Effect.void })
      )
      yield* watching(
        traces,
        Effect.gen(function*() {
          const { close, engine } = yield* boot(store, [saga], { evictAfter: 0, grace: 0 })
          yield* engine.start(saga, undefined, { executionId: "e" })
          yield* state(store.journal, "e", "Waiting")
          yield* eventually("its span has ended", Effect.sync(() => traces.open.length === 0))
          yield* TestClock.adjust("1 hour")
          yield* fact(store.journal, "e", "StepStarted seat")
          yield* eventually("it runs", Effect.sync(() => traces.open.includes("action seat")))
          yield* close
        })
      )
      assert.deepStrictEqual(traces.open, [])
      assert.deepStrictEqual(
        traces.spans.filter(({ name }) => name === "saga Trip").map(({ attributes }) => attributes.get("saga.outcome")),
        ["Left", "Left"]
      )
    }))

  for (const reason of ["Quarantined", "Refused", "Defect"] as const) {
    test(`one that is parked leaves no span open: ${reason}`, (store) =>
      Effect.gen(function*() {
        const traces = new Traces()
        const seen = new Seen()
        const come = Effect.andThen(ways[reason].come(store, { onStuck: seen.onStuck }), seen.told)
        yield* seen.watch(come, [SagaTracing.observer]).pipe(Effect.withTracer(traces.tracer))
        const parked = traces.spans.filter(({ attributes }) => attributes.get("saga.reason") === reason)
        assert.deepStrictEqual(parked.map(({ name, status }) => [name, status._tag]), [["saga Trip", "Ended"]])
        // Who is killed ends nothing.
        if (reason !== "Quarantined") assert.deepStrictEqual(traces.open, [])
      }))
  }

  test("what was recorded before an engine ran it counts as started once, a rerun too", (store) =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make<unknown, void>(({ logLevel, message }) => void lines.push(`${logLevel}: ${message}`))
      const saga: AnyTrip = trip.pipe(
        Saga.step("seat", { action: () => Effect.void, compensation: () => Effect.void }),
        Saga.sleep("pause", "1 hour"),
        Saga.check("funds", { error: Schema.String, action: () => Effect.fail("declined") })
      )
      yield* watching(
        new Traces(),
        Effect.scoped(Effect.gen(function*() {
          const observer = yield* SagaLogging.observer
          yield* Effect.gen(function*() {
            const other = yield* boot(store, [])
            yield* other.engine.start(saga, undefined, { executionId: "e" })
            yield* other.close
            const first = yield* boot(store, [saga], { evictAfter: 0 })
            yield* state(store.journal, "e", "Waiting")
            yield* first.close
            const { engine } = yield* boot(store, [saga], { evictAfter: 0 })
            yield* TestClock.adjust("1 hour")
            yield* state(store.journal, "e", "Compensated")
            yield* engine.rerun("e", { ...ann, executionId: "f" })
            yield* state(store.journal, "f", "Waiting")
            yield* TestClock.adjust("1 hour")
            yield* state(store.journal, "f", "Compensated")
            yield* Effect.repeat(turn, { times: 20 })
          }).pipe(
            Effect.updateService(SagaObserver.Observers, (observers) => [...observers, observer]),
            Effect.provideService(Logger.CurrentLoggers, new Set([logger])),
            Effect.provideService(References.MinimumLogLevel, "All")
          )
          const all = yield* counters
          assert.include(all, "saga_executions_started{saga=Trip} 2")
          assert.include(all, "saga_executions_ended{outcome=Compensated, saga=Trip} 2")
        }))
      )
      assert.strictEqual(lines.filter((line) => line === `Debug: Saga "Trip" has started`).length, 1)
      assert.strictEqual(lines.filter((line) => line === `Info: Saga "Trip" does an execution again`).length, 1)
    }))
})

describe("what a person decides in an engine that has the saga", () => {
  /** Everything that is seen of a decision about an execution that is stuck in its compensation, or in its pivot. */
  const decided = (
    store: Parameters<typeof boot>[0],
    saga: AnyTrip,
    decide: (engine: SagaEngineService) => Effect.Effect<void, unknown>,
    end: ExecutionStatus["state"]
  ) =>
    Effect.gen(function*() {
      const seen = new Seen()
      const traces = new Traces()
      const count = yield* Effect.scoped(Effect.gen(function*() {
        const logging = yield* SagaLogging.observer
        return yield* seen.watch(
          Effect.gen(function*() {
            const { close, engine } = yield* boot(store, [saga])
            yield* Effect.withSpan(engine.start(saga, undefined, { executionId: "e" }), "caller")
            yield* state(store.journal, "e", "Stuck")
            yield* decide(engine)
            yield* state(store.journal, "e", end)
            yield* Effect.repeat(turn, { times: 20 })
            yield* close
            return yield* counters
          }),
          [logging, SagaTracing.observer]
        ).pipe(Effect.withTracer(traces.tracer))
      }))
      assert.deepStrictEqual(traces.open, [])
      assert.strictEqual(new Set(traces.spans.map(({ traceId }) => traceId)).size, 1)
      const lines = seen.lines.filter(({ annotations }) => "saga.actor" in annotations)
      return {
        lines: lines.map(({ level, text }) => `${level}: ${text}`),
        spans: traces.spans.flatMap(({ name }) => name.startsWith("decision") ? [name] : []),
        count
      }
    })
  const locked: AnyTrip = trip.pipe(
    Saga.step("a", {
      action: () => Effect.void,
      compensation: () => Effect.fail("locked"),
      compensationRetry: once
    }),
    Saga.check("no", { error: Schema.String, action: () => Effect.fail("declined") })
  )
  const pivot: AnyTrip = trip.pipe(
    Saga.pivot("a", { success: Schema.String, action: () => Effect.die("cut"), retry: once })
  )

  test("abandon counts as an outcome", (store) =>
    Effect.gen(function*() {
      const seen = yield* decided(store, locked, (engine) => engine.abandon("e", ann), "Abandoned")
      assert.deepStrictEqual(seen.lines, [`Info: Saga "Trip" was abandoned by a person`])
      assert.deepStrictEqual(seen.spans, ["decision SagaAbandoned"])
      assert.include(seen.count, "saga_executions_ended{outcome=Abandoned, saga=Trip} 1")
      assert.include(seen.count, "saga_executions_ended{outcome=Stuck, saga=Trip} 1")
      assert.include(seen.count, "saga_executions_started{saga=Trip} 1")
    }))

  test("compensate is told", (store) =>
    Effect.gen(function*() {
      const given = yield* decided(store, pivot, (engine) => engine.compensate("e", ann), "Compensated")
      assert.deepStrictEqual(given.lines, [`Info: Saga "Trip": a person has it unwound`])
      assert.deepStrictEqual(given.spans, ["decision UnwindRequested"])
      assert.include(given.count, "saga_executions_uncertain{saga=Trip} 1")
    }))

  test("retry is told before what is tried again", (store) =>
    Effect.gen(function*() {
      const seen = yield* decided(store, locked, (engine) => engine.retry("e", ann), "Stuck")
      assert.deepStrictEqual(seen.lines, [`Info: Saga "Trip": a person has what is open tried again`])
      assert.deepStrictEqual(seen.spans, ["decision RetryRequested"])
      assert.include(seen.count, "saga_executions_ended{outcome=Stuck, saga=Trip} 2")
      assert.include(seen.count, "saga_compensations_ended{outcome=Failed, saga=Trip} 2")
    }))

  test("skip is told, and nothing counts twice", (store) =>
    Effect.gen(function*() {
      const skipped = yield* decided(store, pivot, (engine) => engine.skip("e", "a", "paid", ann), "Succeeded")
      assert.deepStrictEqual(skipped.lines, [`Info: Saga "Trip": a person says what a step has given`])
      assert.deepStrictEqual(skipped.spans, ["decision StepSkipped"])
      assert.deepStrictEqual(skipped.count, [
        "saga_executions_ended{outcome=Stuck, saga=Trip} 1",
        "saga_executions_ended{outcome=Succeeded, saga=Trip} 1",
        "saga_executions_started{saga=Trip} 1",
        "saga_executions_stuck{reason=PivotUncertain, saga=Trip} 1",
        "saga_steps_uncertain{saga=Trip} 1"
      ])
    }))

  test("an execution that runs here and is abandoned ends its spans and counts once", (store) =>
    Effect.gen(function*() {
      const seen = new Seen()
      const traces = new Traces()
      const saga: AnyTrip = trip.pipe(
        Saga.step("seat", { action: () => Effect.never, compensation: () => Effect.void })
      )
      yield* seen.watch(
        Effect.gen(function*() {
          const { engine } = yield* boot(store, [saga])
          yield* engine.start(saga, undefined, { executionId: "e" })
          yield* eventually("it runs", Effect.sync(() => traces.open.includes("action seat")))
          yield* engine.abandon("e", ann)
          yield* eventually("its spans have ended", Effect.sync(() => traces.open.length === 0))
          yield* Effect.repeat(turn, { times: 20 })
          assert.deepStrictEqual(yield* counters, [
            "saga_executions_ended{outcome=Abandoned, saga=Trip} 1",
            "saga_executions_started{saga=Trip} 1"
          ])
        }),
        [SagaTracing.observer]
      ).pipe(Effect.withTracer(traces.tracer))
      assert.strictEqual(traces.named("saga Trip").attributes.get("saga.outcome"), "Abandoned")
    }))
})
