/** `effect/workflow` on its durable engine, `ClusterWorkflowEngine`, in one process. */
import { NodeCrypto } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Logger, ManagedRuntime, Redacted, Schema } from "effect"
import { ClusterWorkflowEngine, SingleRunner } from "effect/cluster"
import type { SqlClient, SqlError } from "effect/sql"
import { Activity, Workflow } from "effect/workflow"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeSqlite from "../../../src/sql/NodeSqlite.ts"
import { asked, databaseAmong, freshDatabase, measure, seen } from "./peer.ts"

const succeeds = asked.scenario === "success"

const Trip = Workflow.make("Trip", {
  payload: { n: Schema.Number },
  error: Schema.String,
  idempotencyKey: ({ n }) => String(n)
})

const action = (name: string) => Activity.make({ name, execute: Effect.sync(() => void seen.actions++) })

const undo = (name: string) => Activity.make({ name, execute: Effect.sync(() => void seen.compensations++) })

const third = succeeds
  ? action("third")
  : Activity.make({ name: "third", error: Schema.String, execute: Effect.fail("no") })

const TripLayer = Trip.toLayer(() =>
  Effect.gen(function*() {
    yield* action("first").pipe(Trip.withCompensation(() => undo("undo first")))
    yield* action("second").pipe(Trip.withCompensation(() => undo("undo second")))
    yield* third
  })
)

const run = async (Sql: Layer.Layer<SqlClient.SqlClient, SqlError.SqlError>) => {
  const Engine = ClusterWorkflowEngine.layer.pipe(
    Layer.provide(SingleRunner.layer()),
    Layer.provide(Sql),
    Layer.provide(NodeCrypto.layer)
  )
  // The standard output is for the one line of figures.
  const Logging = Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])
  const runtime = ManagedRuntime.make(Layer.provideMerge(TripLayer, Engine).pipe(Layer.provideMerge(Logging)))
  await measure(
    "effect/workflow",
    (n) => runtime.runPromise(Effect.match(Trip.execute({ n }), { onSuccess: () => true, onFailure: () => false }))
  )
  await runtime.dispose()
}

if (databaseAmong("postgres", "sqlite") === "postgres") {
  const { drop, url } = await freshDatabase()
  await run(PgClient.layer({ url: Redacted.make(url), maxConnections: 32 }))
  await drop()
} else {
  const folder = mkdtempSync(join(tmpdir(), "peer-cluster-"))
  await run(NodeSqlite.layer({ filename: join(folder, "cluster.db") }))
  rmSync(folder, { recursive: true })
}
