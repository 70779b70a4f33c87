/**
 * How telemetry names what it speaks of: the attributes of a span and the annotations of a log line have the same keys.
 * It holds names, never a payload, a result or an item.
 */
import type { By } from "../../SagaEvent.ts"
import type { ObservedExecution } from "../../SagaObserver.ts"
import type { StepPath } from "../../StepPath.ts"
import { printable } from "../../StepPath.ts"

/** Which execution it is. */
export const identityOf = ({ executionId, saga, version }: ObservedExecution) => ({
  "saga.name": saga,
  "saga.version": version,
  "saga.executionId": printable(executionId)
})

/** Who has decided it, and why, as far as that is said. */
export const byOf = ({ actor, comment }: { readonly [Field in keyof By]?: string | undefined }) => ({
  ...(actor === undefined ? {} : { "saga.actor": printable(actor) }),
  ...(comment === undefined ? {} : { "saga.comment": printable(comment) })
})

/** Where in the saga it is. */
export const placeOf = (path: StepPath) => ({ "saga.path": path })
