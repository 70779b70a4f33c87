/** Reading the events that the journal of an engine holds, for a subscription. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type { AnySubscription, EventLog, LogEntry } from "../../EventSubscription.ts"
import { run, subscriptionProblem } from "../../EventSubscription.ts"
import type { DeadLetter, KeptEvent } from "../../Journal.ts"
import { onClock } from "../wait.ts"
import { envelopeIn } from "./codec.ts"
import type { Engine } from "./engine.ts"

/** How many events are read at once. */
const page = 100

interface Entry extends LogEntry {
  readonly kept: KeptEvent | DeadLetter
}

/** Handles all events of some types, for ever. */
export const subscribe = (engine: Engine, subscription: AnySubscription): Effect.Effect<never> =>
  Effect.scoped(Effect.gen(function*() {
    const { name } = subscription
    const { events } = engine.journal
    const types = Array.from(new Set(subscription.events.map(({ type }) => type)))
    const news = Latch.makeUnsafe(false)
    const problem = subscriptionProblem(subscription, engine.subscriptions)
    if (problem !== undefined) return yield* Effect.die(problem)
    yield* Effect.acquireRelease(
      Effect.sync(() => engine.subscriptions.set(name, news)),
      () => Effect.sync(() => engine.subscriptions.delete(name))
    )
    const entryOf = (kept: KeptEvent | DeadLetter): Entry => {
      const kind = subscription.events.find(({ type }) => type === kept.type)
      return { kept, type: kept.type, id: kept.id, event: envelopeIn(kind?.payload, kept) }
    }
    // Where others write there may be some at any time.
    let asked = -1
    const again = Effect.suspend(() => {
      if (asked === engine.redelivered && !engine.journal.shared) return Effect.succeed([])
      asked = engine.redelivered
      return engine.patiently(events.redelivered(name, types, page))
    })
    let positions = yield* engine.patiently(events.advance(name, types, 0))
    const log: EventLog<Entry> = {
      read: Effect.gen(function*() {
        news.closeUnsafe()
        const next = yield* engine.patiently(events.log({ from: positions, limit: page }))
        const letters = next.events.length > 0 ? [] : yield* again
        const { upTo } = next
        const done = positions.every(({ after }) => after >= upTo)
          ? Effect.void
          : Effect.map(engine.patiently(events.advance(name, types, upTo)), (reached) => {
            positions = reached
          })
        return { entries: [...next.events, ...letters].map(entryOf), done }
      }),
      settle: ({ kept }, problem) =>
        problem !== undefined
          ? Effect.flatMap(
            Clock.currentTimeMillis,
            (now) => engine.patiently(events.bury(kept, name, problem, now))
          )
          : "number" in kept
          ? engine.patiently(events.discard(kept.number))
          : Effect.void,
      more: engine.journal.shared
        ? Effect.raceFirst(news.await, onClock(engine.live, Effect.sleep(engine.settings.pollMillis)))
        : news.await
    }
    return yield* run(log, subscription)
  }))
