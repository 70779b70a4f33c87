/** The engine of this package, asked and measured as the peers are: `node durableEngine.ts --database postgres ...`. */
import { PgClient } from "@effect/sql-pg"
import { Effect, Fiber, Layer, ManagedRuntime, Redacted, Schedule, Schema } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Saga } from "../../src/index.ts"
import { SagaEngine } from "../../src/SagaEngine.ts"
import { SqlSagaEngine } from "../../src/sql/index.ts"
import * as NodeSqlite from "../../src/sql/NodeSqlite.ts"
import { asked, databaseAmong, freshDatabase, measure, seen } from "./peers/peer.ts"

const succeeds = asked.scenario === "success"

const act = Effect.sync(() => void seen.actions++)
const undo = Effect.sync(() => void seen.compensations++)
const step = { action: () => act, compensation: () => undo }

const trip = Saga.make("Trip", { payload: Schema.Struct({ n: Schema.Number }) }).pipe(
  Saga.step("first", step),
  Saga.step("second", step),
  Saga.step("third", {
    error: Schema.String,
    action: () => succeeds ? act : Effect.fail("no"),
    compensation: () => undo
  })
)

/** Ten pages a second, of one filter after the other. */
const list = (engine: SagaEngine["Service"]) => {
  const filters = [{}, { state: "Stuck" }, { saga: "Trip", state: "Running" }, { uncertain: true }, {
    state: "Succeeded"
  }] as const
  let listed = 0
  const next = Effect.suspend(() => engine.list(filters[listed++ % filters.length]))
  return Effect.repeat(next, Schedule.fixed("100 millis"))
}

const run = async (Sql: Layer.Layer<SqlClient.SqlClient, SqlError.SqlError>) => {
  const runtime = ManagedRuntime.make(
    Saga.register(trip).pipe(Layer.provideMerge(SqlSagaEngine.layer), Layer.provide(Sql))
  )
  const engine = await runtime.runPromise(SagaEngine)
  const listing = asked.listing ? Effect.runFork(list(engine)) : undefined
  await measure("effect-saga", (n) =>
    Effect.runPromise(
      Effect.match(engine.execute(trip, { n }), { onSuccess: () => true, onFailure: () => false })
    ))
  await listing?.pipe(Fiber.interrupt, Effect.runPromise)
  await runtime.dispose()
}

if (databaseAmong("postgres", "sqlite") === "postgres") {
  const { drop, url } = await freshDatabase()
  await run(PgClient.layer({ url: Redacted.make(url) }))
  await drop()
} else {
  const folder = mkdtempSync(join(tmpdir(), "bench-durable-"))
  await run(NodeSqlite.layer({ filename: join(folder, "durable.db") }))
  rmSync(folder, { recursive: true })
}
