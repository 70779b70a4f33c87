/** Asking a store until it answers. It knows what is asked by its error alone. */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { Journal, JournalLocked, Lease } from "../../Journal.ts"
import { JournalUnavailable } from "../../Journal.ts"
import { onClock } from "../wait.ts"

/** No store can tell a later time: what is held for ever is held for so long. */
const longestLease = 1e14

/** Takes a lease, however long the store is out of reach. A store that serves one engine, and serves one, is an error. */
export const acquire = (
  journal: Journal,
  settings: { readonly name: string; readonly leaseMillis: number },
  live: Clock.Clock,
  scope: Scope.Scope
): Effect.Effect<Lease, JournalLocked> => {
  const { leaseMillis, name } = settings
  const lease = journal.acquire({ name, leaseMillis: Math.min(leaseMillis, longestLease) })
  return untilAnswered(Scope.provide(lease, scope), live, 100)
}

/** Asks a store again and again while it is out of reach. */
export const untilAnswered = <A, E = never>(
  ask: Effect.Effect<A, E | JournalUnavailable>,
  live: Clock.Clock,
  pauseMillis: number
): Effect.Effect<A, E> =>
  Effect.catch(
    ask,
    (error) =>
      !(error instanceof JournalUnavailable) ? Effect.fail(error) : Effect.logWarning(error.message).pipe(
        Effect.andThen(onClock(live, Effect.sleep(pauseMillis))),
        Effect.andThen(Effect.suspend(() => untilAnswered<A, E>(ask, live, Math.min(pauseMillis * 2, 1_000))))
      )
  )
