/** An event that is given to an engine: checked, written down, and kept in its journal. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { DomainEvent } from "../../DomainEvent.ts"
import type { EventBusService, PublishOptions } from "../../EventBus.ts"
import { envelopeOf, EventRefused } from "../../EventBus.ts"
import type { AnySubscription } from "../../EventSubscription.ts"
import type { JournalUnavailable } from "../../Journal.ts"
import { eventText } from "./codec.ts"
import type { Engine } from "./engine.ts"
import { secretIn } from "./secrets.ts"
import { subscribe } from "./subscribing.ts"

/** Keeps an event in the journal; whoever awaits it is woken, in whatever process. */
const receive = <Type extends string, P extends Schema.Top>(
  engine: Engine,
  event: DomainEvent<Type, P>,
  payload: P["Type"],
  options: PublishOptions
): Effect.Effect<void, EventRefused | JournalUnavailable> =>
  Effect.gen(function*() {
    const closed = engine.closed("publish")
    if (closed !== undefined) return yield* closed
    const { type } = event
    const secret = secretIn(event.payload, engine.registry.sealed)
    if (secret !== undefined) return yield* new EventRefused({ type, issue: `it holds ${secret}` })
    const envelope = yield* envelopeOf(event, payload, options)
    const data = eventText(event.payload, envelope)
    if (Result.isFailure(data)) return yield* new EventRefused({ type, issue: data.failure })
    const { id, key } = envelope
    return yield* Effect.catchTag(
      engine.guarded("publish", engine.intake.give({ id, type, key, data: data.success })),
      "BatchRefused",
      (error) => Effect.fail(new EventRefused({ type, issue: error.message }))
    )
  })

/** The bus of an engine. Its sagas get their events from the journal. */
export const busOf = (engine: Engine): EventBusService => ({
  publish: (event, payload, options = {}) => receive(engine, event, payload, options),
  // The services of the handler are those around this effect.
  subscribe: (subscription) => subscribe(engine, subscription as unknown as AnySubscription),
  "~mail": undefined
})
