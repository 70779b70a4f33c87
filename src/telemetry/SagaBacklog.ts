/**
 * What an engine has before it as gauges: how many executions are live or stuck, how old the oldest of them are, and which
 * events wait for somebody. They are read from the journal from time to time, so that also what nobody runs is seen. It
 * changes nothing.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type { JournalUnavailable } from "../Journal.ts"
import type { ExecutionStatus, ListOptions, SagaEngine, SagaEngineService } from "../SagaEngine.ts"

/** The engine by its key alone: telemetry without one loads none. */
const Engine = Context.Service<SagaEngine, SagaEngineService>("effect-saga/SagaEngine" satisfies typeof SagaEngine.key)

/**
 * How many executions there are. Labels: `saga`, and `state` as `Running`, `Waiting`, `Compensating` or `Stuck`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const executions: Metric.Gauge<number> = Metric.gauge("saga_executions", {
  description: "Executions of sagas that have not ended, by state"
})

/**
 * How old the oldest execution is in seconds: since its start, and one that is stuck since it is. 0 where there is none.
 * Labels: `saga`, `state`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const oldestSeconds: Metric.Gauge<number> = Metric.gauge("saga_oldest_execution_seconds", {
  description: "Age of the oldest execution of a saga since its start, of the oldest stuck one since it is stuck"
})

/**
 * How many kept events subscriptions have before them. Labels: `subscription`, and `type` of the events.
 *
 * @category metrics
 * @since 0.1.0
 */
export const eventsBehind: Metric.Gauge<number> = Metric.gauge("saga_events_behind", {
  description: "Kept events that a subscription has not handled"
})

/**
 * How many dead letters there are. Without labels.
 *
 * @category metrics
 * @since 0.1.0
 */
export const deadLetters: Metric.Gauge<number> = Metric.gauge("saga_dead_letters", {
  description: "Events that nobody has received, or a subscription could not handle"
})

/**
 * How often is looked.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * How long to wait between two looks: from a millisecond to 24 days.
   *
   * @default "30 seconds"
   */
  readonly every?: Duration.Input
}

/** In which an execution can be that has not ended. */
const states = ["Running", "Waiting", "Compensating", "Stuck"] as const

/** What one look says of one series. */
interface Reading {
  readonly gauge: Metric.Gauge<number>
  readonly labels: Metric.Metric.AttributeSet
  readonly value: number
}

/**
 * Looks at the journal from time to time, at once for the first time, and sets the gauges.
 *
 * **When to use**
 *
 * Use beside `SagaMetrics`, whose counters tell what happens in this process, to be woken by what does not happen: a stuck
 * execution that nobody looks at, or one that runs for longer than it should.
 *
 * **Details**
 *
 * A look counts the executions that have not ended, and reads the oldest one of each saga in each state; it counts the events
 * that each subscription has before it, and the dead letters; all of it from indexes. The gauges are in the `MetricRegistry` that is around the layer, with its `CurrentMetricAttributes`. No label
 * holds an id. What is not there any more goes to 0. Times are those of the `Clock` around the layer.
 *
 * When the journal is out of reach the gauges keep their last values, and a debug line says so, once until it is back.
 *
 * **Gotchas**
 *
 * Every process with this layer on one journal reports the same numbers: take the highest of them, not the sum. An
 * execution that sleeps for a month is `Waiting` for a month, and old.
 *
 * **Example** (How many wait for a person)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { SagaEngine } from "effect-saga/SagaEngine"
 * import { SagaBacklog } from "effect-saga/telemetry"
 * import { Effect, Layer, Metric, Schema } from "effect"
 * import { TestClock } from "effect/testing"
 *
 * const pay = Saga.make("Pay", { payload: Schema.Void }).pipe(
 *   Saga.step("card", {
 *     action: () => Effect.die("no answer"),
 *     compensation: () => Effect.void,
 *     whenUncertain: "stuck"
 *   }),
 *   Saga.onStuck(() => Effect.void)
 * )
 * const stuck = { saga: "Pay", state: "Stuck" }
 * const program = Effect.gen(function*() {
 *   const engine = yield* SagaEngine
 *   yield* Effect.flip(engine.execute(pay, undefined, { onStuck: "fail" }))
 *   yield* TestClock.adjust("1 minute")
 *   const { value } = yield* Metric.value(Metric.withAttributes(SagaBacklog.executions, stuck))
 *   const oldest = yield* Metric.value(Metric.withAttributes(SagaBacklog.oldestSeconds, stuck))
 *   return [value, oldest.value]
 * })
 * const Live = Layer.mergeAll(Saga.register(pay), SagaBacklog.layer({ every: "30 seconds" })).pipe(
 *   Layer.provideMerge(SagaEngine.layerMemory),
 *   Layer.provideMerge(TestClock.layer())
 * )
 * await Effect.runPromise(Effect.provide(program, Live)) // => [1, 60]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<never, never, SagaEngine> =>
  Layer.effectDiscard(
    Effect.suspend(() => Effect.forkScoped(watch(everyMillisOf(options)), { startImmediately: true }))
  )

/** Timers know no longer time. */
const longestMillis = 0x7fff_ffff

const everyMillisOf = ({ every = "30 seconds" }: Options): number => {
  const millis = Duration.toMillis(every)
  if (millis >= 1 && millis <= longestMillis) return millis
  throw new RangeError(`The option "every" of a backlog is ${millis} ms: give a time from a millisecond to 24 days`)
}

const watch = (everyMillis: number): Effect.Effect<never, never, SagaEngine> =>
  Effect.flatMap(Engine, (engine) => {
    const series = new Map<string, Reading>()
    let isAway = false
    const read = Effect.flatMap(look(engine), (readings) => {
      isAway = false
      return set(readings, series)
    })
    const patient = Effect.catchCause(read, (cause) => {
      if (isAway) return Effect.void
      isAway = true
      return Effect.logDebug("The gauges of the backlog keep their last values: the journal could not be read", cause)
    })
    return Effect.forever(Effect.andThen(patient, Effect.sleep(everyMillis)))
  })

/** Everything is read before a gauge is set: half of a look is none. */
const look = (engine: SagaEngineService): Effect.Effect<ReadonlyArray<Reading>, JournalUnavailable> =>
  Effect.gen(function*() {
    const nowMillis = yield* Clock.currentTimeMillis
    const counts = yield* engine.counts({ state: states })
    const sagas = new Set(counts.map(({ saga }) => saga))
    const readings: Array<Reading> = []
    for (const saga of sagas) {
      for (const state of states) {
        const count = counts.reduce((sum, of) => of.saga === saga && of.state === state ? sum + of.count : sum, 0)
        const oldest = count === 0 ? undefined : yield* oldestOf(engine, { saga, state, limit: 1 })
        const since = state === "Stuck" ? oldest?.updatedAtMillis : oldest?.startedAtMillis
        const millis = since === undefined ? 0 : Math.max(0, nowMillis - since)
        const labels = { saga, state }
        readings.push({ gauge: executions, labels, value: count })
        readings.push({ gauge: oldestSeconds, labels, value: millis / 1_000 })
      }
    }
    for (const { behind, name, type } of yield* engine.subscriptions) {
      readings.push({ gauge: eventsBehind, labels: { subscription: name, type }, value: behind })
    }
    readings.push({ gauge: deadLetters, labels: {}, value: yield* engine.deadLetterCount })
    return readings
  })

/** The first of a list: a page may be empty although there is a next one. */
const oldestOf = (
  engine: SagaEngineService,
  options: ListOptions
): Effect.Effect<ExecutionStatus | undefined, JournalUnavailable> =>
  Effect.flatMap(engine.list(options), ({ executions: [oldest], next }) =>
    oldest !== undefined || next === undefined
      ? Effect.succeed(oldest)
      : oldestOf(engine, { ...options, after: next }))

/** Sets the gauges; a series that is not there any more goes to 0. */
const set = (readings: ReadonlyArray<Reading>, series: Map<string, Reading>): Effect.Effect<void> =>
  Effect.map(Effect.context<never>(), (context) => {
    const gone = new Map(series)
    const update = ({ gauge, labels, value }: Reading) => {
      const own = { ...Context.get(context, Metric.CurrentMetricAttributes), ...labels }
      gauge.updateUnsafe(value, Context.add(context, Metric.CurrentMetricAttributes, own))
    }
    for (const reading of readings) {
      const key = JSON.stringify([reading.gauge.id, reading.labels])
      series.set(key, reading)
      gone.delete(key)
      update(reading)
    }
    for (const reading of gone.values()) update({ ...reading, value: 0 })
  })
