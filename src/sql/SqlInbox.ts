/**
 * What a consumer of events has handled, in its own database: in the transaction in which it handles an event it writes down
 * that it has. It neither reads events nor sends any.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { isStorable } from "./internal/batch.ts"
import { prefixOf } from "./internal/prefix.ts"
import { UnsupportedDialect } from "./SqlSagaJournal.ts"

/**
 * What one consumer has handled.
 *
 * @category models
 * @since 0.1.0
 */
export interface Inbox {
  /**
   * Runs an effect in a transaction that also notes the event, unless it is noted already: then there is none of it. What the
   * effect writes with the same client is there if and only if the note is; if it fails neither is.
   */
  readonly once: <A, E, R>(
    event: { readonly id: string },
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<Option.Option<A>, E | SqlError, R>
  /**
   * Forgets what was handled longer ago, and says how many events that were. One that comes again after that is handled again:
   * give more time than any sender may take.
   */
  readonly forget: (olderThan: Duration.Input) => Effect.Effect<number, SqlError>
}

/**
 * Makes the inbox of a consumer in the database of the client, and its table.
 *
 * **When to use**
 *
 * Use where an event that is handed out again must not be handled again, as behind `SagaEvents.relay`: what hands events on at
 * least once, and an inbox, are once together.
 *
 * **Details**
 *
 * The name of the consumer tells its events from those of others in the same table. Of two that handle the same event at once
 * the second waits for the first. The client is of PostgreSQL or SQLite.
 *
 * **Gotchas**
 *
 * A crash before the commit has neither written nor noted anything, one behind it both: the event comes again, and is passed
 * over. That holds for what is written in the same database, and for nothing else that the effect does: it starts a saga by
 * `SqlSagaEngine.startIn`, which is part of the transaction as `start` of an engine is not.
 *
 * **Example** (An event that comes twice)
 *
 * ```ts
 * import { SqlInbox } from "effect-saga/sql"
 * import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
 * import { Effect } from "effect"
 * import { SqlClient } from "effect/sql"
 *
 * const program = Effect.gen(function*() {
 *   const sql = yield* SqlClient.SqlClient
 *   yield* sql`CREATE TABLE parcels (of TEXT)`
 *   const inbox = yield* SqlInbox.make("warehouse")
 *   const send = sql`INSERT INTO parcels VALUES ('A-1')`
 *   for (const id of ["shipped 1", "shipped 1"]) yield* inbox.once({ id }, send)
 *   return yield* sql`SELECT of FROM parcels`
 * })
 * const rows = await Effect.runPromise(program.pipe(Effect.provide(NodeSqlite.layer({ filename: ":memory:" }))))
 * rows.length // => 1
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  consumer: string,
  options: { readonly prefix?: string | undefined } = {}
): Effect.Effect<Inbox, SqlError | Migrator.MigrationError | UnsupportedDialect, SqlClient.SqlClient> => {
  const prefix = prefixOf(options)
  return Effect.gen(function*() {
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const dialect = sql.onDialectOrElse({ pg: () => "pg", sqlite: () => "sqlite", orElse: () => undefined })
    if (dialect === undefined) return yield* new UnsupportedDialect({ dialect: "of this client" })
    const table = sql(`${prefix}inbox`)
    yield* Migrator.make({})({
      table: `${prefix}inbox_migrations`,
      loader: Effect.succeed([[1, "inbox", Effect.succeed(tableOf(sql, `${prefix}inbox`))]])
    }).pipe(Effect.provideService(SqlClient.SqlClient, sql))
    const note = (id: string) =>
      Effect.flatMap(
        Clock.currentTimeMillis,
        (now) =>
          sql`INSERT INTO ${table} (consumer, event_id, at_millis) VALUES (${consumer}, ${storable(id)}, ${
            Math.trunc(now)
          })
ON CONFLICT (consumer, event_id) DO NOTHING RETURNING 1`
      )
    return {
      once: ({ id }, effect) =>
        sql.withTransaction(
          Effect.flatMap(note(id), (rows) => rows.length === 0 ? Effect.succeedNone : Effect.asSome(effect))
        ),
      forget: (olderThan) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const millis = Number.isNaN(olderThan) ? Number.NaN : Duration.toMillis(olderThan)
          if (!(millis > 0)) {
            throw new RangeError(
              `\`forget\` was given ${millis} ms: give a time above 0, longer than any sender may take`
            )
          }
          if (millis === Infinity) return Effect.succeed(0)
          const before = Math.trunc(now - millis)
          return Effect.map(
            sql`DELETE FROM ${table} WHERE consumer = ${consumer} AND at_millis < ${before} RETURNING 1`,
            (rows) => rows.length
          )
        })
    }
  })
}

/** A text that no database would give back as it was is written as JSON writes it. */
const storable = (id: string): string => isStorable(id) ? id : JSON.stringify(id)

const tableOf = (sql: SqlClient.SqlClient, table: string): Effect.Effect<void, SqlError> => {
  const [text, integer] = sql.onDialectOrElse({
    pg: () => [`text COLLATE "C"`, "bigint"],
    orElse: () => ["TEXT", "INTEGER"]
  })
  return Effect.asVoid(
    sql.unsafe(`CREATE TABLE ${table} (
  consumer ${text} NOT NULL,
  event_id ${text} NOT NULL,
  at_millis ${integer} NOT NULL,
  PRIMARY KEY (consumer, event_id)
)`).unprepared
  )
}
