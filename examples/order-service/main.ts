/**
 * 200 orders, and a service that is killed in the middle of them. Started again it goes on where it was: every order ends
 * as it would have ended, and the books of the participants show that nothing was lost and nothing was done twice.
 *
 * This process starts the service, kills it, starts it again, and judges. It reads the journal while the service writes
 * it: any program may.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Array, Console, Effect, Layer, Stream } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { timeline } from "../../src/diagram/index.ts"
import { SagaEngine } from "../../src/SagaEngine.ts"
import type { ExecutionRecord } from "../../src/SagaJournal.ts"
import { SagaJournal } from "../../src/SagaJournal.ts"
import { SqlSagaEngine, SqlSagaJournal } from "../../src/sql/index.ts"
import * as NodeSqlite from "../../src/sql/NodeSqlite.ts"
import { Killable } from "../killable.ts"
import { Books } from "./books.ts"
import { incoming, ordersOf, type Refusal } from "./intake.ts"
import { prove } from "./proof.ts"
import { marked, named, numbered, seconds } from "./report.ts"
import { fulfil } from "./saga.ts"

/** The order whose parcel is booked at once, while the carrier takes very long to say so. */
const watched = { execution: "Fulfil/o-077", key: "Fulfil/o-077/parcel/first/snail" }

const colors = process.stdout.isTTY && process.stdout.hasColors()

const Folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "order-service-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

/** Starts the service on the files of a folder. It tells what it has refused. */
const start = (folder: string) =>
  Killable.start<ReadonlyArray<Refusal>>(
    join(import.meta.dirname, "worker.ts"),
    [join(folder, "journal.sqlite"), join(folder, "books.sqlite")],
    join(folder, "worker.log")
  )

const isAtRest = ({ state }: ExecutionRecord) => state === "Succeeded" || state === "Compensated" || state === "Stuck"

const inputs = incoming()
const orders = ordersOf(inputs)

/** Kills the service when half of the orders are done, starts it again, and waits until all are. */
const killedInTheMiddle = Effect.fn(function*(folder: string) {
  const journal = yield* SagaJournal
  const books = yield* Books
  const executions = Effect.map(journal.list({ limit: 1_000 }), (page) => page.executions)

  const first = yield* start(folder)
  yield* Console.log(`  process ${first.pid} takes orders`)
  const half = Effect.gen(function*() {
    const done = (yield* executions).filter(isAtRest).length
    return done >= orders.size / 2 && (yield* books.has(watched.key)) ? true : undefined
  })
  yield* first.until(half)
  yield* first.end("SIGKILL")
  const killedAtMillis = Date.now()

  const all = yield* executions
  const open = all.filter((execution) => !isAtRest(execution))
  const begun = yield* Effect.filter(
    open,
    ({ executionId }) => Effect.map(journal.facts(executionId, 1), (facts) => facts.length > 0)
  )
  yield* Console.log(
    `  SIGKILL: ${all.length - open.length} are done, ${begun.length} in flight, ${
      orders.size - all.length + open.length - begun.length
    } still to come`
  )

  const second = yield* start(folder)
  const done = Effect.map(
    executions,
    (all) => all.length === orders.size && all.every(isAtRest) && second.message !== undefined ? all : undefined
  )
  const ended = yield* second.until(done)
  const inFlight = new Set(begun.map(({ executionId }) => executionId))
  const lastOf = (some: ReadonlyArray<ExecutionRecord>) =>
    seconds(Math.max(...some.map(({ updatedAtMillis }) => updatedAtMillis)) - second.startedAtMillis)
  yield* Console.log(
    `  process ${second.pid} has ended what was in flight ${
      lastOf(ended.filter(({ executionId }) => inFlight.has(executionId)))
    } after its start, and the rest after ${lastOf(ended)}`
  )
  yield* second.end("SIGTERM")

  return {
    ended,
    refusals: yield* second.told,
    calls: yield* books.calls,
    postings: yield* books.postings,
    marks: [[killedAtMillis, "killed"], [second.startedAtMillis, "started again"]] as const
  }
}, Effect.timeout("1 minute"))

const program = Effect.gen(function*() {
  const folder = yield* Folder
  const file = NodeSqlite.layer({ filename: join(folder, "journal.sqlite") })
  yield* Console.log(`${inputs.length} orders, and a service that is killed in the middle of them\n`)
  const { calls, ended, marks, postings, refusals } = yield* killedInTheMiddle(folder).pipe(
    Effect.provide([SqlSagaJournal.layer.pipe(Layer.provide(file)), Books.layer(join(folder, "books.sqlite"))])
  )

  const of = (state: ExecutionRecord["state"]) => ended.filter((execution) => execution.state === state)
  const problems = Object.entries(Array.groupBy(of("Stuck"), ({ problem }) => problem ?? ""))
  const totals = numbered([
    [of("Succeeded").length, "succeeded", ""],
    [of("Compensated").length, "compensated", "and nothing of them is left"],
    [of("Stuck").length, "stuck", problems.map(([problem, some]) => `${some.length} ${problem}`).join(", ")],
    [refusals.length, "refused", ""]
  ])
  yield* Console.log(`\n${totals}\n${named(refusals)}\n`)

  const { faults, leftOver, standing, verdicts } = prove(orders, ended, calls, postings)
  const ledger = numbered([
    [calls.length, "calls", "came to the participants"],
    [verdicts.repeated, "came again", "known by their keys, and not done again"],
    [verdicts.refused, "refused", "and nothing done"],
    [verdicts.applied, "done", ""],
    [verdicts.undone, "undone", ""],
    [standing, "left", `of these ${leftOver} by orders that are stuck`],
    [faults.length, "faults", faults.length === 0 ? "nothing was lost, and nothing done twice" : ""]
  ])
  yield* Console.log(`The books of the participants\n\n${ledger}\n`)

  const facts = yield* SagaEngine.use((engine) => Stream.runCollect(engine.events(fulfil, watched.execution))).pipe(
    Effect.provide(SqlSagaEngine.layer.pipe(Layer.provide(file)))
  )
  yield* Console.log(`Order o-077, which both processes had\n\n${marked(timeline(facts, { colors }), facts, marks)}`)

  if (faults.length > 0) {
    yield* Console.error(faults.join("\n"))
    process.exitCode = 1
  }
})

program.pipe(Effect.scoped, NodeRuntime.runMain)
