/** What a person decides about events that were not delivered, and about those who read events. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { DeadLetterNotFound, SubscriptionNotFound } from "../../ExecutionError.ts"
import type { JournalUnavailable } from "../../Journal.ts"
import type { Engine } from "./engine.ts"

/** Hands a dead letter out again, and tells those here who may be waiting for it. */
export const redeliver = (
  engine: Engine,
  number: number
): Effect.Effect<void, DeadLetterNotFound | JournalUnavailable> =>
  Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    if (!(yield* engine.journal.events.redeliver(number, now))) return yield* new DeadLetterNotFound({ number })
    engine.redelivered++
    engine.intake.poke()
  })

/** Deletes a dead letter. */
export const discard = (
  engine: Engine,
  number: number
): Effect.Effect<void, DeadLetterNotFound | JournalUnavailable> =>
  Effect.flatMap(
    engine.journal.events.discard(number),
    (found) => found ? Effect.void : Effect.fail(new DeadLetterNotFound({ number }))
  )

/** Forgets a subscription. */
export const unsubscribe = (
  engine: Engine,
  subscription: string
): Effect.Effect<void, SubscriptionNotFound | JournalUnavailable> =>
  Effect.flatMap(
    engine.journal.events.unsubscribe(subscription),
    (found) => found ? Effect.void : Effect.fail(new SubscriptionNotFound({ subscription }))
  )
