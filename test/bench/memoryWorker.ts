/**
 * A process whose heap is measured by `memory.ts`: `--mode waiting` fills an engine with executions that sleep,
 * `--mode through` runs executions to their end. It prints one line of JSON, in bytes.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, ManagedRuntime, Redacted, Schema } from "effect"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { Saga } from "../../src/index.ts"
import { SagaEngine } from "../../src/SagaEngine.ts"
import { SqlSagaEngine } from "../../src/sql/index.ts"
import * as NodeSqlite from "../../src/sql/NodeSqlite.ts"

const { values } = parseArgs({
  options: {
    mode: { type: "string" },
    store: { type: "string" },
    count: { type: "string" },
    url: { type: "string" },
    folder: { type: "string" }
  }
})
const count = Number(values.count)

const step = { action: () => Effect.void, compensation: () => Effect.void }
const payload = Schema.Struct({ n: Schema.Number })

const through = Saga.make("Through", { payload }).pipe(
  Saga.step("first", step),
  Saga.step("second", step),
  Saga.step("third", step)
)

const waiting = Saga.make("Waiting", { payload }).pipe(
  Saga.step("first", step),
  Saga.sleep("month", "30 days"),
  Saga.step("second", step)
)

const makeRuntime = () => {
  const Engine = values.store === "memory"
    ? SagaEngine.layerMemory
    : values.store === "postgres"
    ? Layer.provide(SqlSagaEngine.layer, PgClient.layer({ url: Redacted.make(values.url!) }))
    : Layer.provide(
      SqlSagaEngine.layer,
      NodeSqlite.layer({ filename: join(values.folder!, "memory.db"), synchronous: "OFF" })
    )
  return ManagedRuntime.make(
    Layer.mergeAll(Saga.register(through), Saga.register(waiting)).pipe(Layer.provideMerge(Engine))
  )
}

const heap = async (): Promise<number> => {
  // What is told by observers and finalizers is let go of in later turns.
  for (let turn = 0; turn < 4; turn++) {
    globalThis.gc!()
    await sleep(20)
  }
  return process.memoryUsage().heapUsed
}

const runThrough = (engine: SagaEngine["Service"], count: number) =>
  Effect.runPromise(
    Effect.forEach(Array.from({ length: count }, (_, n) => n), (n) => engine.execute(through, { n }), {
      concurrency: 100,
      discard: true
    })
  )

const withEngine = async <A>(body: (engine: SagaEngine["Service"]) => Promise<A>): Promise<A> => {
  const runtime = makeRuntime()
  const result = await body(await runtime.runPromise(SagaEngine))
  await runtime.dispose()
  return result
}

const untilAllWait = async (engine: SagaEngine["Service"]) => {
  const deadline = performance.now() + 120_000
  while (performance.now() < deadline) {
    // Only who has left memory has this state.
    const found = await Effect.runPromise(
      Effect.map(engine.list({ state: "Waiting", limit: count }), ({ executions }) => executions)
    )
    if (found.length === count) return
    await sleep(500)
  }
  throw new Error("Not all of the executions have left memory")
}

const answer = async () => {
  // Compiles what there is to compile, and fills what is filled once.
  const warm = Math.min(5_000, count)
  if (values.mode === "waiting") {
    return withEngine(async (engine) => {
      await runThrough(engine, warm)
      const before = await heap()
      const started = performance.now()
      await Effect.runPromise(
        Effect.forEach(Array.from({ length: count }, (_, n) => n), (n) => engine.start(waiting, { n }), {
          concurrency: 100,
          discard: true
        })
      )
      await untilAllWait(engine)
      const millis = performance.now() - started
      return { before, after: await heap(), millis }
    })
  }
  await withEngine((engine) => runThrough(engine, warm))
  const start = await heap()
  const open = await withEngine(async (engine) => {
    await runThrough(engine, warm)
    const before = await heap()
    const started = performance.now()
    await runThrough(engine, count)
    const millis = performance.now() - started
    return { before, after: await heap(), millis }
  })
  return { ...open, start, closed: await heap() }
}

process.stdout.write(`${JSON.stringify(await answer())}\n`)
