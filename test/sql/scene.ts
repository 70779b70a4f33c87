/** Two processes on one database, and a third one that holds locks and looks on. */
import { PgClient } from "@effect/sql-pg"
import { Clock, Effect, Fiber, Redacted, type Scope } from "effect"
import type { Journal } from "effect-saga/SagaJournal"
import { SqlSagaJournal } from "effect-saga/sql"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlError } from "effect/sql"
import * as Postgres from "./postgres.ts"
import { type Proxy, proxy } from "./proxy.ts"

export interface Scene {
  /** Who looks on. */
  readonly sql: PgClient.PgClient
  /** A journal as one more process has it. */
  readonly journal: (options?: SqlSagaJournal.Options) => Effect.Effect<Journal, unknown, Scope.Scope>
  /** The same over a wire that can be cut. */
  readonly wired: (options?: SqlSagaJournal.Options) => Effect.Effect<readonly [Journal, Proxy], unknown, Scope.Scope>
  /** Waits until so many statements wait for a lock, and names their sessions, the oldest first. */
  readonly stalled: (count: number) => Effect.Effect<ReadonlyArray<number>, SqlError.SqlError>
  /** Executes a statement in a transaction that stays open while the body runs. */
  readonly holding: <A, E, R>(
    statement: string,
    body: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | SqlError.SqlError, R>
  /** Starts something that has to wait for what a statement holds, and says what became of it afterwards. */
  readonly against: <A, E, R>(
    statement: string,
    effect: Effect.Effect<A, E, R>,
    waiting?: number
  ) => Effect.Effect<A, E | SqlError.SqlError, R>
}

/** Asks again and again, until the answer is one. */
export const until = <A, E, R>(ask: Effect.Effect<A, E, R>, isEnough: (answer: A) => boolean): Effect.Effect<A, E, R> =>
  Effect.flatMap(ask, (answer) => isEnough(answer) ? Effect.succeed(answer) : until(ask, isEnough))

const journalOn = (sql: SqlClient.SqlClient, options?: SqlSagaJournal.Options) =>
  Effect.provideService(SqlSagaJournal.make(options), SqlClient.SqlClient, sql)

/** Connections take the time from here: a test that holds its own clock must not hold theirs. */
const live = Clock.Clock.defaultValue()

const connectTo = (url: string) =>
  PgClient.make({ url: Redacted.make(url) }).pipe(
    Effect.provide(Reactivity.layer),
    Effect.provideService(Clock.Clock, live)
  )

/** Opens a scene on a database. */
export const openScene = (
  database: Postgres.TestDatabase["Service"]
): Effect.Effect<Scene, SqlError.SqlError, Scope.Scope> =>
  Effect.gen(function*() {
    const sql = yield* database.connect()
    const holder = yield* database.connect()
    const stalled: Scene["stalled"] = (count) =>
      until(
        Effect.map(
          sql<{ readonly pid: number }>`SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock' ORDER BY query_start`,
          (rows) => rows.map(({ pid }) => pid)
        ),
        (pids) => pids.length >= count
      )
    const holding: Scene["holding"] = (statement, body) =>
      holder.withTransaction(Effect.andThen(holder.unsafe(statement), body))
    return {
      sql,
      journal: (options) => Effect.flatMap(database.connect(), (client) => journalOn(client, options)),
      wired: (options) =>
        Effect.gen(function*() {
          const wire = yield* proxy(database.url)
          return [yield* journalOn(yield* connectTo(wire.url), options), wire] as const
        }),
      stalled,
      holding,
      against: (statement, effect, waiting = 1) =>
        Effect.flatMap(
          holding(
            statement,
            Effect.tap(Effect.forkDetach(effect, { startImmediately: true }), () => stalled(waiting))
          ),
          Fiber.join
        )
    }
  })

/** A scene on a database of its own, on the server of the run. */
export const scene: Effect.Effect<Scene, SqlError.SqlError, Scope.Scope> = Effect.flatMap(
  Effect.flatMap(Postgres.serverUrl, Postgres.database),
  openScene
)
