/**
 * How telemetry names what it speaks of: the attributes of a span and the annotations of a log line have the same keys.
 * It holds names, never a payload, a result or an item.
 */
import type { ObservedExecution } from "../../SagaObserver.ts"
import type { StepPath } from "../../StepPath.ts"

/** Which execution it is. */
export const identityOf = ({ executionId, saga, version }: ObservedExecution) => ({
  "saga.name": saga,
  "saga.version": version,
  "saga.executionId": executionId
})

/** Where in the saga it is. */
export const placeOf = (path: StepPath) => ({ "saga.path": path })
