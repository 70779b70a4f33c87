/** What a person decides about events that were not delivered, and about those who read events. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { DeadLetterNotFound, SubscriptionNotFound } from "../../ExecutionError.ts"
import type { DeadLetter, JournalUnavailable } from "../../Journal.ts"
import type { Engine } from "./engine.ts"
import { limitOf, wrong } from "./queries.ts"

/** Those that nobody has decided about yet, by their numbers. */
export const deadLetters = (
  engine: Engine,
  { after = 0, limit }: { readonly after?: number | undefined; readonly limit?: number | undefined }
): Effect.Effect<ReadonlyArray<DeadLetter>, JournalUnavailable> =>
  Effect.suspend(() => {
    const most = Math.min(limitOf(limit), mostAtOnce)
    if (!isNumber(after)) throw wrong("after", after, "the number of a dead letter, or none to begin with the first")
    return engine.journal.events.deadLetters({ after, limit: most })
  })

const mostAtOnce = 0x7fff_ffff

const isNumber = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

/** Does something with the dead letter of a number, if there is one. */
const withLetter = (
  number: number,
  decide: Effect.Effect<boolean, JournalUnavailable>
): Effect.Effect<void, DeadLetterNotFound | JournalUnavailable> =>
  Effect.flatMap(
    isNumber(number) ? decide : Effect.succeed(false),
    (found) => found ? Effect.void : Effect.fail(new DeadLetterNotFound({ number }))
  )

/** Hands a dead letter out again, and tells those here who may be waiting for it. */
export const redeliver = (
  engine: Engine,
  number: number
): Effect.Effect<void, DeadLetterNotFound | JournalUnavailable> =>
  Effect.map(
    withLetter(
      number,
      Effect.flatMap(Clock.currentTimeMillis, (now) => engine.journal.events.redeliver(number, now))
    ),
    () => {
      engine.redelivered++
      engine.intake.poke()
    }
  )

/** Deletes a dead letter. */
export const discard = (
  engine: Engine,
  number: number
): Effect.Effect<void, DeadLetterNotFound | JournalUnavailable> =>
  withLetter(number, engine.journal.events.discard(number))

/** Forgets a subscription. */
export const unsubscribe = (
  engine: Engine,
  subscription: string
): Effect.Effect<void, SubscriptionNotFound | JournalUnavailable> =>
  Effect.flatMap(
    engine.journal.events.unsubscribe(subscription),
    (found) => found ? Effect.void : Effect.fail(new SubscriptionNotFound({ subscription }))
  )
