/** Reading the events that the journal of an engine holds, for a subscription. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type { AnySubscription, EventLog, LogEntry } from "../../EventSubscription.ts"
import { run } from "../../EventSubscription.ts"
import type { KeptEvent } from "../../Journal.ts"
import { onClock } from "../wait.ts"
import { envelopeIn } from "./codec.ts"
import type { Engine } from "./engine.ts"

/** How many events are read at once. */
const page = 100

interface Entry extends LogEntry {
  readonly kept: KeptEvent
}

/** Handles all events of some types, for ever. */
export const subscribe = (engine: Engine, subscription: AnySubscription): Effect.Effect<never> =>
  Effect.scoped(Effect.gen(function*() {
    const { name } = subscription
    const { events } = engine.journal
    const types = subscription.events.map(({ type }) => type)
    const news = Latch.makeUnsafe(false)
    yield* Effect.acquireRelease(
      Effect.sync(() => engine.news.add(news)),
      () => Effect.sync(() => engine.news.delete(news))
    )
    const log: EventLog<Entry> = {
      position: engine.patiently(events.position(name, types)),
      read: (after) =>
        Effect.suspend(() => {
          news.closeUnsafe()
          return Effect.map(engine.patiently(events.log({ types, after, limit: page })), ({ events, upTo }) => ({
            entries: events.map((kept) => {
              const kind = subscription.events.find(({ type }) => type === kept.type)
              return { kept, sequence: kept.sequence, event: envelopeIn(kind?.payload, kept) }
            }),
            upTo
          }))
        }),
      advance: (from, to) => engine.patiently(events.advance(name, from, to)),
      bury: ({ kept }, reason) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => engine.patiently(events.bury(kept, reason, now))).pipe(
          Effect.andThen(Effect.logWarning(`The event ${kept.type} "${kept.id}" is a dead letter: ${reason}`))
        ),
      more: engine.journal.shared
        ? Effect.raceFirst(news.await, onClock(engine.live, Effect.sleep(engine.settings.pollMillis)))
        : news.await
    }
    return yield* run(log, subscription)
  }))
