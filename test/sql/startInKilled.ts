/**
 * A process without an engine that takes an order and starts its saga in one transaction, and is killed by SIGKILL before
 * the commit or after it.
 *
 * `node startInKilled.ts <database> <before | after>`
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { SqlSagaEngine } from "../../src/sql/index.ts"
import * as NodeSqlite from "../../src/sql/NodeSqlite.ts"
import { ship } from "./startInShip.ts"

const [database, moment] = process.argv.slice(2) as [string, "before" | "after"]

const die = Effect.sync(() => process.kill(process.pid, "SIGKILL"))

const program = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql.withTransaction(Effect.gen(function*() {
    yield* sql`INSERT INTO orders (id) VALUES ('A-1')`
    yield* SqlSagaEngine.startIn(ship, { id: "A-1" })
    if (moment === "before") yield* die
  }))
  yield* die
})

await Effect.runPromise(
  database.startsWith("postgres")
    ? Effect.provide(program, PgClient.layer({ url: Redacted.make(database) }))
    : Effect.provide(program, NodeSqlite.layer({ filename: database }))
)
