/**
 * Executions as metrics, by saga and outcome. A label never holds what there are many of: no execution id, no path, no
 * key of an item.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Metric from "effect/Metric"
import type { ObservedExecution, SagaObserver } from "../SagaObserver.ts"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

/**
 * Executions that have started. Label: `saga`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const executionsStarted: Metric.Counter<number> = counter(
  "saga_executions_started",
  "Executions of sagas that have started"
)

/**
 * Executions that have ended. Labels: `saga`, and `outcome` as `Succeeded`, `Compensated` or `Stuck`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const executionsEnded: Metric.Counter<number> = counter(
  "saga_executions_ended",
  "Executions of sagas that have ended, by outcome"
)

/**
 * How long executions took from their first to their last fact. Labels: `saga`, `outcome`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const executionDuration: Metric.Histogram<Duration.Duration> = Metric.timer("saga_execution_duration", {
  description: "How long executions of sagas took, by outcome"
})

/**
 * Actions that have failed after their last attempt. Label: `saga`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const stepsFailed: Metric.Counter<number> = counter(
  "saga_steps_failed",
  "Actions of sagas that have failed after their last attempt"
)

/**
 * Actions of which nobody knows whether they took place. Label: `saga`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const stepsUncertain: Metric.Counter<number> = counter(
  "saga_steps_uncertain",
  "Actions of sagas of unknown outcome"
)

/**
 * Compensations that have ended. Labels: `saga`, and `outcome` as `Succeeded` or `Failed`, which is after the last try.
 *
 * @category metrics
 * @since 0.1.0
 */
export const compensationsEnded: Metric.Counter<number> = counter(
  "saga_compensations_ended",
  "Compensations of sagas that have ended, by outcome"
)

/**
 * Counts executions, failures and compensations, and measures how long executions take.
 *
 * **Details**
 *
 * The series are in the `MetricRegistry` of the run and have its `CurrentMetricAttributes` beside their own. Parts of a
 * nested saga count for the saga that was started.
 *
 * **Example** (How many executions were compensated)
 *
 * ```ts
 * import { Saga, SagaObserver } from "effect-saga"
 * import { SagaMetrics } from "effect-saga/telemetry"
 * import { Effect, Metric, Schema } from "effect"
 *
 * const pay = Saga.make("Pay", { payload: Schema.Void }).pipe(
 *   Saga.check("funds", { error: Schema.String, action: () => Effect.fail("no money") })
 * )
 * const compensated = Metric.withAttributes(SagaMetrics.executionsEnded, { saga: "Pay", outcome: "Compensated" })
 * const program = Effect.flip(Saga.run(pay, undefined)).pipe(
 *   Effect.andThen(Metric.value(compensated)),
 *   Effect.provide(SagaObserver.layer([SagaMetrics.observer]))
 * )
 * Effect.runSync(program).count // => 1
 * ```
 *
 * @category observers
 * @since 0.1.0
 */
export const observer: SagaObserver = {
  observe: ({ context, saga }) => {
    const bySaga = labelled(context, { saga })
    const byOutcome = (outcome: string) => labelled(context, { saga, outcome })
    let startedAtMillis: number | undefined
    const ended = (outcome: string, atMillis: number) => {
      const labels = byOutcome(outcome)
      executionsEnded.updateUnsafe(1, labels)
      if (startedAtMillis === undefined) return
      executionDuration.updateUnsafe(Duration.millis(atMillis - startedAtMillis), labels)
    }
    return {
      onEvent: (event) => {
        switch (event._tag) {
          case "SagaStarted":
            startedAtMillis = event.atMillis
            return executionsStarted.updateUnsafe(1, bySaga)
          case "StepFailed":
            return stepsFailed.updateUnsafe(1, bySaga)
          case "StepUncertain":
            return stepsUncertain.updateUnsafe(1, bySaga)
          case "CompensationSucceeded":
            return compensationsEnded.updateUnsafe(1, byOutcome("Succeeded"))
          case "CompensationFailed":
            return compensationsEnded.updateUnsafe(1, byOutcome("Failed"))
          case "SagaSucceeded":
            return ended("Succeeded", event.atMillis)
          case "SagaCompensated":
            return ended("Compensated", event.atMillis)
          case "SagaStuck":
            return ended("Stuck", event.atMillis)
        }
      }
    }
  }
}

const labelled = (
  context: ObservedExecution["context"],
  labels: Readonly<Record<string, string>>
): ObservedExecution["context"] =>
  Context.add(context, Metric.CurrentMetricAttributes, {
    ...Context.get(context, Metric.CurrentMetricAttributes),
    ...labels
  })
