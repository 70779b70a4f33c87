/** 27. No observer changes a run, whatever is wrong with the tracer, the metrics, the loggers or the readers around it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Metric, Schedule, Schema, Stream, Tracer } from "effect"
import { Saga, SagaObserver } from "effect-saga"
import { SagaFacts, SagaLogging, SagaMetrics, SagaTracing } from "effect-saga/telemetry"
import { Traces } from "./traces.ts"

const Watching = SagaObserver.layer([
  SagaTracing.observer,
  SagaMetrics.observer,
  SagaLogging.observer,
  SagaFacts.observer
]).pipe(Layer.provideMerge(SagaFacts.layer))

/** A saga in which each step ends in another way: what it does, and with what it ends. */
const story = Effect.gen(function*() {
  const ledger: Array<string> = []
  const write = (line: string) => Effect.sync(() => void ledger.push(line))
  let busy = true
  const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
    Saga.step("flight", { action: () => write("+flight"), compensation: () => write("-flight") }),
    Saga.step("hotel", {
      error: Schema.String,
      action: () => Effect.suspend(() => busy ? (busy = false, Effect.fail("busy")) : write("+hotel")),
      retry: Schedule.recurs(1),
      compensation: () => Effect.andThen(write("-hotel"), Effect.fail("no")),
      compensationRetry: Schedule.recurs(1)
    }),
    Saga.step("car", { action: () => Effect.die("lost"), compensation: () => write("-car") }),
    Saga.onStuck(({ error }) => write(error.message))
  )
  const outcome = yield* Saga.outcome(saga, undefined, { executionId: "1" })
  return [...ledger, outcome._tag]
})

/** Something of which every use is an error, and how often it was used. */
class Broken {
  uses = 0
  readonly use = (): never => {
    this.uses++
    throw new Error("broken")
  }

  /** A tracer whose spans cannot do one thing. */
  tracerWithout(part: "end" | "attribute" | "event"): Tracer.Tracer {
    return Tracer.make({ span: (options) => Object.assign(new Tracer.NativeSpan(options), { [part]: this.use }) })
  }

  /** A registry that has no metric and takes none. */
  get registry(): Map<string, never> {
    return Object.assign(new Map<string, never>(), { get: this.use, set: this.use })
  }
}

describe("27. the run is the same", () => {
  const sameWith = (watch: <A>(run: Effect.Effect<A>) => Effect.Effect<A>) =>
    Effect.gen(function*() {
      const plain = yield* story
      assert.deepStrictEqual(plain.slice(0, 5), ["+flight", "+hotel", "-hotel", "-hotel", "-flight"])
      assert.deepStrictEqual(plain.slice(6), ["Stuck"])
      assert.deepStrictEqual(yield* watch(story), plain)
    }).pipe(Effect.provide(Logger.layer([])))

  it.effect("when all watch and nothing is wrong", () =>
    Effect.gen(function*() {
      const traces = new Traces()
      yield* sameWith((run) => run.pipe(Effect.provide(Watching), Effect.withTracer(traces.tracer)))
      assert.strictEqual(traces.spans.length, 6)
      assert.deepStrictEqual(traces.open, [])
    }))

  it.effect("when the tracer makes no span", () =>
    Effect.gen(function*() {
      const broken = new Broken()
      const tracer = Tracer.make({ span: broken.use })
      yield* sameWith((run) => run.pipe(Effect.provide(Watching), Effect.withTracer(tracer)))
      assert.strictEqual(broken.uses, 1)
    }))

  for (const part of ["end", "attribute", "event"] as const) {
    it.effect(`when a span throws at "${part}"`, () =>
      Effect.gen(function*() {
        const broken = new Broken()
        yield* sameWith((run) => run.pipe(Effect.provide(Watching), Effect.withTracer(broken.tracerWithout(part))))
        assert.strictEqual(broken.uses, 1)
      }))
  }

  it.effect("when no metric can be updated", () =>
    Effect.gen(function*() {
      const broken = new Broken()
      yield* sameWith((run) =>
        run.pipe(Effect.provide(Watching), Effect.provideService(Metric.MetricRegistry, broken.registry))
      )
      assert.strictEqual(broken.uses, 1)
    }))

  it.effect("when every logger throws", () =>
    Effect.gen(function*() {
      const broken = new Broken()
      const loggers = Logger.layer([Logger.make<unknown, void>(broken.use)])
      yield* sameWith((run) => run.pipe(Effect.provide(Watching), Effect.provide(loggers)))
      assert.isAbove(broken.uses, 2)
    }))

  it.effect("when a reader of its facts dies, or never reads on", () =>
    Effect.gen(function*() {
      const broken = new Broken()
      yield* sameWith((run) =>
        Effect.gen(function*() {
          for (const reader of [Effect.sync(broken.use), Effect.never]) {
            yield* Effect.forkChild(Stream.runForEach(SagaFacts.stream, () => reader), { startImmediately: true })
          }
          return yield* run
        }).pipe(Effect.provide(Watching))
      )
      assert.strictEqual(broken.uses, 1)
    }))
})

describe("observers beside each other", () => {
  it.effect("a broken tracer costs the trace, and nothing of the metrics, the log and the facts", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const stuck = Metric.withAttributes(SagaMetrics.executionsEnded, { saga: "Trip", outcome: "Stuck" })
      const counts = yield* Effect.gen(function*() {
        const reader = yield* SagaFacts.stream.pipe(
          Stream.takeUntil(({ event }) => event._tag === "SagaStuck"),
          Stream.runCount,
          Effect.forkChild({ startImmediately: true })
        )
        yield* story
        return [yield* Fiber.join(reader), (yield* Metric.value(stuck)).count]
      }).pipe(
        Effect.provide(Watching),
        Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])),
        Effect.withTracer(new Broken().tracerWithout("end")),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
      assert.deepStrictEqual(counts, [15, 1])
      assert.strictEqual(lines[0], "An observer of saga Trip (1) threw and is told no more of it,Error: broken")
      assert.strictEqual(lines.at(-1), `Saga "Trip": a compensation has failed to its last try`)
    }))
})
