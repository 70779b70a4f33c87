/**
 * The node that publishes an event. In an engine the event is kept with the fact that says so; in a fiber it is given to the bus
 * around the run, and then there is a fact.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { envelopeOf, EventBus } from "../EventBus.ts"
import type { Frame } from "./frame.ts"
import { give } from "./outbox.ts"
import type { AnyEffect, PublishNode } from "./tree.ts"

/** Publishes an event, once. What cannot be published is a defect: the types exclude most of it. */
export const publish = (frame: Frame, node: PublishNode): AnyEffect =>
  Effect.uninterruptible(Effect.suspend(() => {
    const { execution } = frame
    const { history, recorder, residence } = execution
    const path = frame.pathOf(node.name)
    if (history?.published.has(path) === true) return Effect.void
    const { event } = node
    const eventId = `${execution.id}/${path}`
    const options = { id: eventId, correlationId: execution.id, causationId: eventId }
    const made = envelopeOf(event, node.payloadOf(frame.state), options)
    return Effect.flatMap(Effect.orDie(made), ({ key, payload }) => {
      const admitted = recorder?.admit?.(path, event.payload, payload) ?? Exit.succeed(payload)
      if (Exit.isFailure(admitted)) return admitted
      const record = Effect.sync(() =>
        recorder?.record({
          _tag: "EventPublished",
          atMillis: recorder.now(),
          path,
          eventId,
          type: event.type,
          key,
          payload: admitted.value
        })
      )
      if (residence !== undefined) return record
      return Effect.flatMap(Effect.serviceOption(EventBus), (bus) =>
        Option.isNone(bus)
          ? Effect.die(new Error(`"${path}" publishes ${event.type}, and there is no \`EventBus\` around this run`))
          : Effect.andThen(give(bus.value, event, payload, options), record))
    })
  }))
