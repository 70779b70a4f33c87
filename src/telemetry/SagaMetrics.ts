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
 * Executions that have ended, or have become stuck. Labels: `saga`, and `outcome` as `Succeeded`, `Compensated`,
 * `Abandoned` or `Stuck`. One that a person lets go on counts again when it ends or becomes stuck again.
 *
 * @category metrics
 * @since 0.1.0
 */
export const executionsEnded: Metric.Counter<number> = counter(
  "saga_executions_ended",
  "Executions of sagas that have ended, by outcome"
)

/**
 * Executions that have become stuck, by why: each time one more that waits for a person. Labels: `saga`, and `reason` as
 * `CompensationFailed`, `StepUncertain`, `PivotUncertain` or `ForwardRecoveryFailed`; or, where an engine has parked it
 * and no fact says so, `Quarantined`, `Undecodable`, `DefinitionChanged`, `Refused` (the journal will not take a value) or
 * `Defect` (of the toolkit).
 *
 * @category metrics
 * @since 0.1.0
 */
export const executionsStuck: Metric.Counter<number> = counter(
  "saga_executions_stuck",
  "Executions of sagas that have become stuck, by reason"
)

/**
 * Executions that were compensated but for steps of unknown outcome: each is one more participant to ask. Label: `saga`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const executionsUncertain: Metric.Counter<number> = counter(
  "saga_executions_uncertain",
  "Executions of sagas that were compensated but for steps of unknown outcome"
)

/**
 * How long executions took from their first to their last fact, with all that they waited. Labels: `saga`, `outcome`.
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
 * In an engine each fact counts where it is recorded, in one process: the sum over all processes is right. An execution
 * that was recorded before an engine ran it counts as started when the first one takes it. What a person skips counts
 * nowhere, what is tried again counts again when it fails again. A person's `abandon` counts in the engine that was asked,
 * if the saga runs there.
 *
 * **Gotchas**
 *
 * A process that dies right behind a commit has not counted it. How many are stuck now is told by `SagaBacklog`.
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
  observe: ({ context, saga, startedAtMillis: before }) => {
    const bySaga = labelled(context, { saga })
    const byOutcome = (outcome: string) => labelled(context, { saga, outcome })
    let startedAtMillis = before
    const ended = (outcome: string, atMillis: number) => {
      const labels = byOutcome(outcome)
      executionsEnded.updateUnsafe(1, labels)
      if (startedAtMillis === undefined) return
      executionDuration.updateUnsafe(Duration.millis(atMillis - startedAtMillis), labels)
    }
    const stuck = (reason: string, atMillis: number) => {
      executionsStuck.updateUnsafe(1, labelled(context, { saga, reason }))
      ended("Stuck", atMillis)
    }
    return {
      onParked: ({ atMillis, reason }) => stuck(reason, atMillis),
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
            if (event.uncertain.length > 0) executionsUncertain.updateUnsafe(1, bySaga)
            return ended("Compensated", event.atMillis)
          case "SagaStuck":
            return stuck(event.reason, event.atMillis)
          case "SagaAbandoned":
            return ended("Abandoned", event.atMillis)
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
