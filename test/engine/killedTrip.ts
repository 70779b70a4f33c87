/**
 * The saga of the processes that are killed. What its steps did stands in a file, as in the books of a participant: a line
 * for each call.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Redacted, Schedule, Schema } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { appendFileSync } from "node:fs"
import { Saga } from "../../src/index.ts"
import type { SagaJournal } from "../../src/SagaJournal.ts"
import { SqlSagaJournal } from "../../src/sql/index.ts"
import * as NodeSqlite from "../../src/sql/NodeSqlite.ts"

/** Six steps, two of them in a parallel group and one in a forEach, before one that fails. */
export const tripOf = (books: string) => {
  const write = (sign: string, { path }: { readonly path: string }, key: string) =>
    Effect.sync(() => appendFileSync(books, `${sign} ${path} ${key}\n`))
  const step = {
    success: Schema.String,
    action: (_: unknown, context: Saga.StepContext) =>
      Effect.as(write("+", context, context.idempotencyKey), context.path),
    compensation: (given: string, _: unknown, context: Saga.CompensationContext) =>
      given === context.path ? write("-", context, context.actionKey) : Effect.die(new Error(`it was given ${given}`))
  }
  return Saga.make("Killed", { payload: Schema.Struct({ rooms: Schema.Array(Schema.String) }) }).pipe(
    Saga.step("a", step),
    Saga.parallel((fork) => [fork.pipe(Saga.step("b", step)), fork.pipe(Saga.step("c", step))]),
    Saga.forEach("rooms", {
      item: Schema.String,
      items: ({ payload }) => payload.rooms,
      key: (item) => item,
      concurrency: 1,
      each: (fork) => fork.pipe(Saga.step("d", step))
    }),
    Saga.step("e", { ...step, retry: Schedule.recurs(0) }),
    Saga.step("f", step),
    Saga.check("no", { error: Schema.String, action: () => Effect.fail("no") })
  )
}

export const payload = { rooms: ["1", "2/3"] }

/** The journal in a database: the URL of a server or the path of a file. */
export const journalOf = (database: string): Layer.Layer<SagaJournal, unknown> => {
  const Sql: Layer.Layer<SqlClient.SqlClient, SqlError.SqlError> = database.startsWith("postgres")
    ? PgClient.layer({ url: Redacted.make(database) })
    : NodeSqlite.layer({ filename: database })
  return SqlSagaJournal.layer.pipe(Layer.provide(Sql))
}
