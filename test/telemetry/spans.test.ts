/** `SagaTracing` and what is around a run: its tracer, its spans, its sampling, its clock. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Option, References, Schema, Tracer } from "effect"
import type { SagaEvent } from "effect-saga"
import { Saga } from "effect-saga"
import { SagaTracing } from "effect-saga/telemetry"
import { Traces } from "./traces.ts"

const pay = Saga.make("Pay", { payload: Schema.Void }).pipe(
  Saga.step("card", { action: () => Effect.void, compensation: () => Effect.void }),
  Saga.check("stock", { error: Schema.String, action: () => Effect.fail("none left") })
)
const run = Effect.flip(Saga.run(pay, undefined))
const names = ["saga Pay", "action card", "action stock", "compensation card"]

describe("the spans around", () => {
  it.effect("no span is made where tracing is off", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      assert.strictEqual(yield* traces.watch(Effect.withTracerEnabled(run, false)), "none left")
      assert.deepStrictEqual(traces.spans, [])
    }))

  it.effect("a span that lets itself not be a parent is passed over", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const quiet = { annotations: Context.make(Tracer.DisablePropagation, true) }
      yield* traces.watch(run.pipe(Effect.withSpan("quiet", quiet), Effect.withSpan("caller")))
      assert.deepStrictEqual(traces.outline.slice(0, 2), ["caller 0-0 ok", "  saga Pay 0-0 failed"])
      yield* traces.watch(Effect.withSpan(run, "alone", quiet))
      assert.deepStrictEqual(traces.spans[5]?.parent, Option.none())
    }))

  it.effect("a span of another process is a parent, and decides what is sampled", () =>
    Effect.gen(function*() {
      const sampledUnder = Effect.fnUntraced(function*(sampled: boolean) {
        const traces = new Traces()
        const remote = Tracer.externalSpan({ spanId: "s", traceId: "t", sampled })
        yield* traces.watch(Effect.withParentSpan(run, remote))
        assert.strictEqual(Option.getOrUndefined(traces.named("saga Pay").parent), remote)
        return traces.spans.map((span) => [span.name, span.traceId, span.sampled])
      })
      assert.deepStrictEqual(yield* sampledUnder(true), names.map((name) => [name, "t", true]))
      assert.deepStrictEqual(yield* sampledUnder(false), names.map((name) => [name, "t", false]))
    }))

  it.effect("nothing is sampled below the minimum trace level", () =>
    Effect.gen(function*() {
      const sampledAt = Effect.fnUntraced(function*(level: "Info" | "Error") {
        const traces = new Traces()
        yield* traces.watch(run).pipe(
          Effect.provideService(Tracer.MinimumTraceLevel, "Error"),
          Effect.provideService(Tracer.CurrentTraceLevel, level)
        )
        return traces.spans.map(({ sampled }) => sampled)
      })
      assert.deepStrictEqual(yield* sampledAt("Info"), [false, false, false, false])
      assert.deepStrictEqual(yield* sampledAt("Error"), [true, true, true, true])
    }))

  it.effect("span annotations and links apply to every span", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const request = Tracer.externalSpan({ spanId: "s", traceId: "t" })
      yield* run.pipe(Effect.annotateSpans("tenant", "acme"), Effect.linkSpans(request), traces.watch)
      assert.deepStrictEqual(traces.spans.map(({ attributes }) => attributes.get("tenant")), names.map(() => "acme"))
      assert.deepStrictEqual(traces.spans.map(({ links }) => links[0]?.span), names.map(() => request))
      assert.strictEqual(traces.named("compensation card").links[1]?.span, traces.named("action card"))
    }))
})

/** The nanoseconds from the start of a span to its end; undefined when it is open. */
const timesOf = ({ status }: Tracer.Span) => [status.startTime, status._tag === "Ended" ? status.endTime : undefined]

describe("time", () => {
  it.effect("spans are timed by the clock of the spans inside, which may be apart from that of the facts", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const clock = yield* Clock.Clock
      const apart: Clock.Clock = Object.create(clock, { currentTimeNanosUnsafe: { value: () => 300_000_123n } })
      const saga = Saga.make("Pay", { payload: Schema.Void }).pipe(
        Saga.check("card", { action: () => Effect.withSpan(Effect.void, "POST") })
      )
      yield* Effect.provideService(traces.watch(Saga.run(saga, undefined)), Clock.Clock, apart)
      const times = traces.spans.map((span) => [span.name, ...timesOf(span)])
      assert.deepStrictEqual(
        times,
        ["saga Pay", "action card", "POST"].map((name) => [name, 300_000_123n, 300_000_123n])
      )
    }))

  it.effect("times are zero where tracer timing is off, as those of other spans", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const clock = yield* Clock.Clock
      const late: Clock.Clock = Object.create(clock, { currentTimeNanosUnsafe: { value: () => 5n } })
      yield* traces.watch(Effect.withTracerTiming(run, false)).pipe(Effect.provideService(Clock.Clock, late))
      assert.deepStrictEqual(traces.spans.map(timesOf), names.map(() => [0n, 0n]))
    }))

  /** Tells facts one by one, each at a time in microseconds by a clock that is set by hand. */
  const told = (facts: ReadonlyArray<readonly [atMicros: number, fact: SagaEvent]>): Traces => {
    let micros = 0
    const traces = new Traces()
    const clock = {
      currentTimeMillisUnsafe: () => Math.floor(micros / 1_000),
      currentTimeNanosUnsafe: () => BigInt(micros) * 1_000n
    }
    const context = Context.make(Tracer.Tracer, traces.tracer).pipe(Context.add(Clock.Clock, clock as Clock.Clock))
    const watch = SagaTracing.observer.observe({ executionId: "1", saga: "Pay", version: 1, context })
    for (const [atMicros, fact] of facts) {
      micros = atMicros
      watch.onEvent(fact)
    }
    return traces
  }

  /** The times of an action's span, by when its facts were told and the millisecond that they were stamped with. */
  const cardTimes = (started: readonly [number, number], succeeded: readonly [number, number]) =>
    timesOf(
      told([
        [started[0], { _tag: "StepStarted", atMillis: started[1], path: "card" }],
        [succeeded[0], { _tag: "StepSucceeded", atMillis: succeeded[1], path: "card", attempts: 1, result: undefined }]
      ]).named("action card")
    )

  it("a fact that is told in its own millisecond, or the next, is timed by when it is told", () => {
    assert.deepStrictEqual(cardTimes([5_900, 5], [6_001, 5]), [5_900_000n, 6_001_000n])
  })

  it("a fact that is told late is timed by when it was stamped", () => {
    assert.deepStrictEqual(cardTimes([9_100, 5], [19_200, 12]), [5_100_000n, 12_200_000n])
  })

  it("no span ends before it starts", () => {
    assert.deepStrictEqual(cardTimes([9_100, 5], [10_000, 5]), [5_100_000n, 5_100_000n])
  })

  it("an execution that is told from its middle on has a span from there on, and no link to what was before", () => {
    const traces = told([
      [5_000, { _tag: "StepSucceeded", atMillis: 5, path: "card", attempts: 1, result: undefined }],
      [6_000, { _tag: "CompensationStarted", atMillis: 6, path: "card" }],
      [7_000, { _tag: "CompensationSucceeded", atMillis: 7, path: "card", attempts: 1 }],
      [7_000, { _tag: "SagaCompensated", atMillis: 7, uncertain: [] }]
    ])
    assert.deepStrictEqual(traces.outline, ["saga Pay 5-7 failed", "  compensation card 6-7 ok"])
  })
})

describe("around", () => {
  it.effect("code outside of steps keeps the span of the caller", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const saga = Saga.make("Pay", { payload: Schema.Void }).pipe(
        Saga.check("stock", { error: Schema.String, action: () => Effect.fail("none left") })
      )
      const current = yield* Effect.flip(Saga.run(saga, undefined)).pipe(
        Effect.andThen(Effect.currentSpan),
        Effect.withSpan("caller"),
        traces.watch
      )
      assert.strictEqual(current, traces.named("caller"))
    }))

  it.effect("a step keeps the services and references that it had", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      const seen: Array<unknown> = []
      const saga = Saga.make("Pay", { payload: Schema.Void }).pipe(
        Saga.check("stock", {
          action: () => Effect.map(References.CurrentLogAnnotations, (annotations) => void seen.push(annotations))
        })
      )
      yield* traces.watch(Saga.run(saga, undefined)).pipe(Effect.annotateLogs("tenant", "acme"))
      assert.deepStrictEqual(seen, [{ tenant: "acme" }])
    }))
})
