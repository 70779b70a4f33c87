/**
 * The floor: no saga at all, only a loop that writes and commits one row for each step, and nothing else that a journal
 * would need. Compensated, these are five rows: two steps, the failure, two compensations.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Exit, Redacted, Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { asked, databaseAmong, freshDatabase, measure, seen } from "./peer.ts"

const table = "CREATE TABLE fact (saga BIGINT, sequence INT, data TEXT, PRIMARY KEY (saga, sequence))"
const data = JSON.stringify({ _tag: "StepSucceeded", step: "reserve", value: null })
const succeeds = asked.scenario === "success"
const rows = succeeds ? 3 : 5

const count = () => {
  seen.actions += succeeds ? 3 : 2
  seen.compensations += succeeds ? 0 : 2
  return succeeds
}

const postgres = async () => {
  const { drop, url } = await freshDatabase()
  const scope = Scope.makeUnsafe()
  const config = { url: Redacted.make(url), maxConnections: asked.connections }
  const sql = await Effect.runPromise(
    Scope.provide(Effect.provide(PgClient.make(config), Reactivity.layer), scope)
  )
  await Effect.runPromise(sql.unsafe(table))
  await measure("raw", (n) => {
    let effect: Effect.Effect<unknown, unknown> = Effect.void
    for (let i = 0; i < rows; i++) {
      effect = Effect.andThen(effect, sql`INSERT INTO fact VALUES (${n}, ${i}, ${data})`)
    }
    return Effect.runPromise(Effect.map(effect, count))
  })
  await Effect.runPromise(Scope.close(scope, Exit.void))
  await drop()
}

const sqlite = async () => {
  const folder = mkdtempSync(join(tmpdir(), "peer-raw-"))
  const database = new DatabaseSync(join(folder, "raw.db"))
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
  database.exec(table)
  const insert = database.prepare("INSERT INTO fact VALUES (?, ?, ?)")
  await measure("raw", async (n) => {
    for (let i = 0; i < rows; i++) insert.run(n, i, data)
    return count()
  })
  database.close()
  rmSync(folder, { recursive: true })
}

await (databaseAmong("postgres", "sqlite") === "postgres" ? postgres() : sqlite())
