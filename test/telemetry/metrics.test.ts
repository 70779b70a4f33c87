/** `SagaMetrics`: what is counted for which ending, under which labels. */
import { assert, describe, it } from "@effect/vitest"
import type { Context } from "effect"
import { Effect, Fiber, Logger, Metric, Schedule, Schema } from "effect"
import { Saga, SagaObserver } from "effect-saga"
import { SagaMetrics } from "effect-saga/telemetry"
import { TestClock } from "effect/testing"

/** Runs an effect with metrics of its own, and gives them as `name{labels} value`, sorted. */
const measured = (effect: Effect.Effect<unknown, unknown>): Effect.Effect<ReadonlyArray<string>> =>
  effect.pipe(
    Effect.exit,
    Effect.andThen(Metric.snapshot),
    Effect.provide(SagaObserver.layer([SagaMetrics.observer])),
    Effect.provide(Logger.layer([])),
    Effect.provideService(Metric.MetricRegistry, new Map()),
    Effect.map((snapshot) => snapshot.map(show).sort())
  )

const show = ({ attributes, id, state, type }: Metric.Metric.Snapshot): string => {
  const labels = Object.entries(attributes ?? {}).sort().map(([key, value]) => `${key}=${value}`)
  const value = type === "Counter" ? state.count : type === "Histogram" ? `${state.count} of ${state.sum}` : type
  return `${id}{${labels.join(", ")}} ${value}`
}

const pay = Saga.make("Pay", { payload: Schema.Void })
const charge = { action: () => Effect.void, compensation: () => Effect.void }
const declined = Saga.check("funds", { error: Schema.String, action: () => Effect.fail("declined") })

describe("what is counted", () => {
  it.effect("a success", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* measured(Saga.run(pay.pipe(Saga.step("card", charge)), undefined)), [
        "saga_execution_duration{outcome=Succeeded, saga=Pay, time_unit=milliseconds} 1 of 0",
        "saga_executions_ended{outcome=Succeeded, saga=Pay} 1",
        "saga_executions_started{saga=Pay} 1"
      ])
    }))

  it.effect("a failure and what was compensated", () =>
    Effect.gen(function*() {
      const saga = pay.pipe(Saga.step("card", charge), Saga.step("points", charge), declined)
      assert.deepStrictEqual(yield* measured(Saga.run(saga, undefined)), [
        "saga_compensations_ended{outcome=Succeeded, saga=Pay} 2",
        "saga_execution_duration{outcome=Compensated, saga=Pay, time_unit=milliseconds} 1 of 0",
        "saga_executions_ended{outcome=Compensated, saga=Pay} 1",
        "saga_executions_started{saga=Pay} 1",
        "saga_steps_failed{saga=Pay} 1"
      ])
    }))

  it.effect("a stuck execution, a step of unknown outcome and a compensation after its last try", () =>
    Effect.gen(function*() {
      const saga = pay.pipe(
        Saga.step("card", {
          ...charge,
          compensation: () => Effect.fail("no"),
          compensationRetry: Schedule.recurs(3)
        }),
        Saga.step("points", { ...charge, action: () => Effect.die("lost") })
      )
      assert.deepStrictEqual(yield* measured(Saga.run(saga, undefined)), [
        "saga_compensations_ended{outcome=Failed, saga=Pay} 1",
        "saga_execution_duration{outcome=Stuck, saga=Pay, time_unit=milliseconds} 1 of 0",
        "saga_executions_ended{outcome=Stuck, saga=Pay} 1",
        "saga_executions_started{saga=Pay} 1",
        "saga_executions_stuck{reason=CompensationFailed, saga=Pay} 1",
        "saga_steps_uncertain{saga=Pay} 1"
      ])
    }))

  it.effect("the duration of an execution, with its unwind", () =>
    Effect.gen(function*() {
      const slow = { action: () => Effect.sleep(30), compensation: () => Effect.sleep(12) }
      const saga = pay.pipe(Saga.step("card", slow), declined)
      const fiber = yield* Effect.forkChild(measured(Saga.run(saga, undefined)), { startImmediately: true })
      yield* TestClock.adjust(42)
      assert.include(
        yield* Fiber.join(fiber),
        "saga_execution_duration{outcome=Compensated, saga=Pay, time_unit=milliseconds} 1 of 42"
      )
    }))

  it.effect("no duration of an execution that is told from its middle on", () =>
    Effect.gen(function*() {
      const told = Effect.contextWith((context: Context.Context<never>) =>
        Effect.sync(() =>
          SagaMetrics.observer.observe({ executionId: "1", saga: "Pay", version: 1, context })
            .onEvent({ _tag: "SagaSucceeded", atMillis: 42, result: undefined })
        )
      )
      assert.deepStrictEqual(yield* measured(told), ["saga_executions_ended{outcome=Succeeded, saga=Pay} 1"])
    }))
})

describe("labels", () => {
  it.effect("are the saga that was started and the outcome: never an id, a path, a key, or what is nested", () =>
    Effect.gen(function*() {
      const ship = Saga.make("Ship", { payload: Schema.Void }).pipe(Saga.step("label", charge))
      const saga = pay.pipe(
        Saga.nested("shipping", ship, () => undefined),
        Saga.forEach("lines", {
          item: Schema.String,
          items: () => ["a", "b", "c"],
          key: (sku) => sku,
          each: (fork) => fork.pipe(Saga.step("reserve", charge))
        }),
        declined
      )
      const twice = Effect.all([Saga.outcome(saga, undefined), Saga.outcome(saga, undefined)])
      assert.deepStrictEqual(yield* measured(twice), [
        "saga_compensations_ended{outcome=Succeeded, saga=Pay} 8",
        "saga_execution_duration{outcome=Compensated, saga=Pay, time_unit=milliseconds} 2 of 0",
        "saga_executions_ended{outcome=Compensated, saga=Pay} 2",
        "saga_executions_started{saga=Pay} 2",
        "saga_steps_failed{saga=Pay} 2"
      ])
    }))

  it.effect("stand beside those of the run, and tell sagas apart", () =>
    Effect.gen(function*() {
      const ship = Saga.make("Ship", { payload: Schema.Void })
      const both = Effect.andThen(Saga.run(pay, undefined), Saga.run(ship, undefined))
      const lines = yield* measured(Effect.provideService(both, Metric.CurrentMetricAttributes, { region: "eu" }))
      assert.deepStrictEqual(lines.filter((line) => line.includes("started")), [
        "saga_executions_started{region=eu, saga=Pay} 1",
        "saga_executions_started{region=eu, saga=Ship} 1"
      ])
    }))

  it.effect("give a metric that can be read by name and label", () =>
    Effect.gen(function*() {
      const started = Metric.withAttributes(SagaMetrics.executionsStarted, { saga: "Pay" })
      const took = Metric.withAttributes(SagaMetrics.executionDuration, { saga: "Pay", outcome: "Succeeded" })
      const [{ count }, { count: took1 }] = yield* Saga.run(pay, undefined).pipe(
        Effect.andThen(Effect.all([Metric.value(started), Metric.value(took)])),
        Effect.provide(SagaObserver.layer([SagaMetrics.observer])),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
      assert.deepStrictEqual([count, took1], [1, 1])
    }))
})
