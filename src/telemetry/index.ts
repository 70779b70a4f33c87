/**
 * Ready-made observers: executions as traces, metrics, log lines and a stream of facts. Give them to
 * `SagaObserver.layer`; none of them can change a run.
 *
 * @since 0.1.0
 */
export * as SagaBacklog from "./SagaBacklog.ts"
export * as SagaFacts from "./SagaFacts.ts"
export * as SagaLogging from "./SagaLogging.ts"
export * as SagaMetrics from "./SagaMetrics.ts"
export * as SagaTracing from "./SagaTracing.ts"
