/**
 * Writes the request to start an execution in whatever transaction is open around the caller, which decides whether it is
 * there. A request whose id is taken fails no statement: on PostgreSQL that would end the transaction of the caller.
 */
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import * as SqlClient from "effect/sql/SqlClient"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { JournalUnavailable } from "../../Journal.ts"
import type { SagaStart } from "../../SagaStart.ts"
import { tagsText } from "./batch.ts"
import { beginningOn, type Row } from "./database.ts"

/** The execution that has the id: its saga and its first fact. */
export interface Existing {
  readonly saga: string
  readonly data: string
}

/** Whoever reads these facts knows by the lease, which is none, that no engine has written them. */
const byNobody = { lease: 0, batch: 0 }

type Write = (sql: SqlClient.SqlClient, prefix: string, request: SagaStart) => Effect.Effect<
  Existing | undefined,
  SqlError
>

/** Writes all rows of a request or none. Undefined: they are there. */
export const writeStart = (
  sql: SqlClient.SqlClient,
  prefix: string,
  request: SagaStart
): Effect.Effect<Existing | undefined, JournalUnavailable> => {
  const write = sql.onDialectOrElse({
    pg: () => toPostgres,
    sqlite: () => toSqlite,
    orElse: () => undefined
  })
  return write === undefined
    ? Effect.fail(unavailable(new Error("There is no journal in this dialect: use a client for PostgreSQL or SQLite")))
    : Effect.mapError(write(sql, prefix, request), (cause) =>
      unavailable(
        lacks(cause)
          ? new Error(
            `The tables "${prefix}..." are not there, or not those of this release. Run SqlSagaJournal.layerMigrations`,
            { cause }
          )
          : cause
      ))
}

const unavailable = (cause: unknown) => new JournalUnavailable({ operation: "startIn", cause })

/** Whether the tables are not as they should be. */
const lacks = (error: unknown): boolean => {
  if (!isSqlError(error)) return false
  const { cause } = error.reason
  // PostgreSQL: undefined table, undefined column.
  return hasProperty(cause, "code") && (cause.code === "42P01" || cause.code === "42703")
    || cause instanceof Error && /no such table|has no column named/.test(cause.message)
}

// ------------------------------------------------------------------------------------------- PostgreSQL

/** One statement: it is a transaction of its own if there is no other, and waits for whoever has the id and may not commit. */
const toPostgres: Write = (sql, prefix, request) => {
  const { definition, fact, row } = request
  const text = `WITH started AS (
  INSERT INTO ${prefix}executions (execution_id, saga, version, definition, state, due_at_millis, clean,
    started_at_millis, updated_at_millis, tags)
  VALUES ($1::text, $2::text, $3::int, $4::text, 'Running', 0, true, $5::bigint, $5::bigint, $10::text)
  ON CONFLICT (execution_id) DO NOTHING RETURNING execution_id
),
first AS (
  INSERT INTO ${prefix}facts (execution_id, sequence, tag, data, lease, batch)
  SELECT execution_id, $6::int, $7::text, $8::text, ${byNobody.lease}, ${byNobody.batch} FROM started
),
defined AS (
  INSERT INTO ${prefix}definitions (hash, saga, version, data)
  SELECT $4::text, $2::text, $3::int, $9::text FROM started ON CONFLICT (hash) DO NOTHING
),
tagged AS (
  INSERT INTO ${prefix}tags (name, value, started_at_millis, execution_id)
  SELECT t.key, t.value, $5::bigint, s.execution_id FROM started s, json_each_text($10::text::json) t
)
SELECT execution_id FROM started`
  const start = sql.unsafe<Row>(text, [
    row.executionId,
    row.saga,
    row.version,
    row.definition,
    Math.trunc(row.startedAtMillis),
    fact.sequence,
    fact.tag,
    fact.data,
    definition.data,
    tagsText(row.tags) ?? null
  ])
  const existing = sql.unsafe<Existing & Row>(
    `SELECT x.saga, f.data FROM ${prefix}executions x
JOIN ${prefix}facts f ON f.execution_id = x.execution_id AND f.sequence = 0 WHERE x.execution_id = $1`,
    [row.executionId]
  )
  const write: Effect.Effect<Existing | undefined, SqlError> = Effect.flatMap(
    start,
    ([started]) =>
      started !== undefined ? Effect.undefined : Effect.flatMap(existing, ([existing]) =>
        // What had the id has been deleted since.
        existing === undefined ? write : Effect.succeed(existing))
  )
  return write
}

// ------------------------------------------------------------------------------------------- SQLite

/** A transaction, inside of another one a savepoint: what fails in here leaves nothing, whatever the caller makes of that. */
const toSqlite: Write = (sql, prefix, request) => {
  const { definition, fact, row } = request
  const query = (text: string, ...params: ReadonlyArray<unknown>) => sql.unsafe<Row>(text, params)
  const write = Effect.gen(function*() {
    const startedAt = Math.trunc(row.startedAtMillis)
    const tags = tagsText(row.tags) ?? null
    const [started] = yield* query(
      `INSERT INTO ${prefix}executions (execution_id, saga, version, definition, state, due_at_millis, clean,
  started_at_millis, updated_at_millis, tags)
VALUES (?, ?, ?, ?, 'Running', 0, 1, ?, ?, ?) ON CONFLICT (execution_id) DO NOTHING RETURNING number`,
      row.executionId,
      row.saga,
      row.version,
      row.definition,
      startedAt,
      startedAt,
      tags
    )
    if (started === undefined) {
      const [existing] = yield* sql.unsafe<Existing & Row>(
        `SELECT x.saga, f.data FROM ${prefix}executions x
JOIN ${prefix}facts f ON f.number = x.number AND f.sequence = 0 WHERE x.execution_id = ?`,
        [row.executionId]
      )
      return existing!
    }
    yield* query(
      `INSERT INTO ${prefix}facts (number, sequence, tag, data, lease, batch)
VALUES (?, ?, ?, ?, ${byNobody.lease}, ${byNobody.batch})`,
      started["number"],
      fact.sequence,
      fact.tag,
      fact.data
    )
    yield* query(
      `INSERT INTO ${prefix}definitions (hash, saga, version, data) VALUES (?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING`,
      definition.hash,
      definition.saga,
      definition.version,
      definition.data
    )
    yield* query(
      `INSERT INTO ${prefix}tags (name, value, started_at_millis, execution_id)
SELECT t.key, t.value, ?, ? FROM json_each(?) t`,
      startedAt,
      row.executionId,
      tags
    )
    return undefined
  })
  return Effect.provideService(sql.withTransaction(write), SqlClient.BeginTransaction, beginningOn(sql))
}
