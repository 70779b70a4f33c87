/**
 * A process with an engine, for `recovery.ts` to kill, freeze and stop. It says on its standard output what it does, a
 * line each: `ready`, `act <execution>` for each action that starts, `started`.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, ManagedRuntime, Redacted, Schema } from "effect"
import { writeSync } from "node:fs"
import { parseArgs } from "node:util"
import { Saga } from "../../src/index.ts"
import { SagaEngine } from "../../src/SagaEngine.ts"
import { SqlSagaEngine } from "../../src/sql/index.ts"
import * as NodeSqlite from "../../src/sql/NodeSqlite.ts"

const { values } = parseArgs({
  options: {
    url: { type: "string" },
    filename: { type: "string" },
    start: { type: "string", default: "0" },
    stepMillis: { type: "string", default: "200" },
    leaseMillis: { type: "string", default: "2000" }
  }
})

// Not by console: a line that is written is out, even if the process dies right after.
const say = (line: string): void => void writeSync(1, `${line}\n`)

const step = {
  action: (_: unknown, { executionId }: Saga.StepContext) =>
    Effect.andThen(Effect.sync(() => say(`act ${executionId}`)), Effect.sleep(Number(values.stepMillis))),
  compensation: () => Effect.void
}

const saga = Saga.make("Recovered", { payload: Schema.Number, key: String }).pipe(
  Saga.step("first", step),
  Saga.step("second", step),
  Saga.step("third", step),
  Saga.step("fourth", step),
  Saga.step("fifth", step)
)

const Client = values.url === undefined
  ? NodeSqlite.layer({ filename: values.filename! })
  : PgClient.layer({ url: Redacted.make(values.url) })
const Live = Saga.register(saga).pipe(
  Layer.provideMerge(SqlSagaEngine.layerWith({ lease: Number(values.leaseMillis) })),
  Layer.provide(Client)
)

const runtime = ManagedRuntime.make(Live)
process.once("SIGTERM", () => void runtime.dispose().then(() => process.exit(0)))
const engine = await runtime.runPromise(SagaEngine)
say("ready")
await runtime.runPromise(
  Effect.forEach(
    Array.from({ length: Number(values.start) }, (_, n) => n),
    (n) => engine.start(saga, n),
    { concurrency: "unbounded", discard: true }
  )
)
say("started")
// Until somebody ends it.
setInterval(() => {}, 1_000_000)
