/** What others are told of the beginning and the end of an execution, as a journal keeps it. */
import type { LifecycleState } from "../../DomainEvent.ts"
import type { PublishedEvent } from "../../Journal.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import { changeOf, lifecycleId } from "../lifecycle.ts"
import type { StoredEvent } from "./codec.ts"
import type { Registered } from "./registry.ts"

/** Which facts are told of. */
const states: { readonly [Tag in SagaEvent["_tag"]]?: LifecycleState } = {
  SagaStarted: "Started",
  SagaSucceeded: "Succeeded",
  SagaCompensated: "Compensated",
  SagaStuck: "Stuck",
  SagaAbandoned: "Abandoned"
}

const toldState = (
  registered: Registered | undefined,
  executionId: string,
  state: LifecycleState,
  which: string | number,
  occurredAtMillis: number,
  keptAtMillis = occurredAtMillis
): ReadonlyArray<PublishedEvent> => {
  if (registered === undefined) return []
  const { definition, options: { lifecycle } } = registered.tree
  if (lifecycle?.states.has(state) !== true) return []
  const payload = changeOf(definition, executionId, state)
  const stored: StoredEvent = { occurredAtMillis, correlationId: executionId, payload }
  const { key, type } = lifecycle.event
  const id = lifecycleId(executionId, which)
  return [{ executionId, id, type, key: key(payload), data: JSON.stringify(stored), keptAtMillis }]
}

/** What is told of an execution that is left to a person without a fact. */
export const toldParked = (registered: Registered, executionId: string): ReadonlyArray<PublishedEvent> => {
  const now = registered.clock.currentTimeMillisUnsafe()
  return toldState(registered, executionId, "Stuck", `Stuck@${now}`, now)
}

/** What is told with a fact. */
export const toldOf = (
  registered: Registered | undefined,
  executionId: string,
  fact: SagaEvent,
  number: number,
  keptAtMillis?: number
): ReadonlyArray<PublishedEvent> => {
  const state = states[fact._tag]
  return state === undefined
    ? []
    : toldState(registered, executionId, state, number, fact.atMillis, keptAtMillis)
}
