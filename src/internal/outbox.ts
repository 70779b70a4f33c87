/**
 * What an attempt publishes if it succeeds: how a step says it, and how a run in a fiber hands it on. In an engine it is kept
 * with the fact that the attempt succeeded.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import type { AnyDomainEvent, DomainEvent, Envelope } from "../DomainEvent.ts"
import type { EventBusService, PublishOptions } from "../EventBus.ts"

/** An event that is on its way. */
export interface Outgoing {
  readonly event: AnyDomainEvent
  readonly envelope: Envelope
  /** What a journal keeps of it; undefined in a fiber. */
  readonly data: string | undefined
  readonly bus: EventBusService
}

/** What fact tells that. */
export const mentionOf = ({ envelope: { id, key, type } }: Outgoing) => ({ eventId: id, type, key })

/** By this a context takes what its step publishes. One that was made by hand has it not. */
export const outbox = "~effect-saga/outbox"

/** A context that takes what its step publishes. */
export interface Speaker {
  readonly [outbox]: (event: AnyDomainEvent, payload: unknown, bus: EventBusService) => Effect.Effect<void>
}

/** How long a bus that is out of reach is tried again: six seconds. */
const patience = Schedule.max([Schedule.exponential(100), Schedule.recurs(6)])

/** Gives an event to a bus in a fiber. One that the bus does not take is a defect. */
export const give = <Type extends string, P extends Schema.Top>(
  bus: EventBusService,
  event: DomainEvent<Type, P>,
  payload: P["Type"],
  options: PublishOptions
): Effect.Effect<void> =>
  Effect.orDie(Effect.retry(bus.publish(event, payload, options), {
    schedule: patience,
    while: (error) => error._tag === "JournalUnavailable"
  }))

/** Gives events to the bus, in order. One that it does not take is a defect. */
export const send = (events: ReadonlyArray<Outgoing>): Effect.Effect<void> =>
  Effect.uninterruptible(Effect.forEach(events, ({ bus, envelope, event }) => {
    const { causationId = "", correlationId = "", id, occurredAtMillis, payload } = envelope
    // What was made of it by its own schema matches that.
    return give(bus, { ...event, key: () => envelope.key }, payload, {
      id,
      occurredAtMillis,
      correlationId,
      causationId
    })
  }, { discard: true }))
