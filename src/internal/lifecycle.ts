/**
 * How an execution begins and ends, as events: how a run in a fiber gives them to the bus around it. In an engine they are kept
 * with the facts that they tell of.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { LifecycleChange, LifecycleState } from "../DomainEvent.ts"
import { EventBus } from "../EventBus.ts"
import type { Execution } from "./execution.ts"
import { give } from "./outbox.ts"
import { quietly } from "./recorder.ts"
import type { Definition } from "./tree.ts"

/** What is told of an execution. */
export const changeOf = (
  { saga, version }: Definition,
  executionId: string,
  state: LifecycleState
): LifecycleChange => ({ executionId, saga, version, state })

/** The id of such an event. No path has such a name. */
export const lifecycleId = (executionId: string, which: string | number): string => `${executionId}/#${which}`

/**
 * Gives one to the bus, if its saga says so. What has ended has ended, whether or not that could be told: then the log says so.
 */
export const tell = ({ id, tree: { definition, options: { lifecycle } } }: Execution, state: LifecycleState) => {
  if (lifecycle?.states.has(state) !== true) return Effect.void
  const told = Effect.flatMap(Effect.serviceOption(EventBus), (bus) =>
    Option.isNone(bus)
      ? Effect.die(new Error("There is no `EventBus` around this run"))
      : give(bus.value, lifecycle.event, changeOf(definition, id, state), {
        id: lifecycleId(id, state),
        correlationId: id
      }))
  return Effect.catchCause(
    told,
    (cause) => quietly(Effect.logError(`That "${id}" is ${state} was not published`, cause))
  )
}
