/**
 * Sixty orders that are fulfilled by events alone, by a service that is killed in the middle. Each ends as it should, each command
 * was handled once, and of what failed nothing is left.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Array, Console, Effect, Layer } from "effect"
import { deepStrictEqual } from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { SagaJournal } from "../../src/SagaJournal.ts"
import { SqlSagaJournal } from "../../src/sql/index.ts"
import * as NodeSqlite from "../../src/sql/NodeSqlite.ts"
import { Killable } from "../killable.ts"
import { Aggregates, type Happened, Order } from "./aggregates.ts"

/** What kinds of orders there are, and what must have happened to each in the end, in this order. */
const kinds = {
  plain: "OrderPlaced StockReserved PaymentRequested PaymentConfirmed ParcelSent OrderCompleted",
  forgetful: "OrderPlaced StockReserved PaymentRequested PaymentReminded PaymentConfirmed ParcelSent OrderCompleted",
  silent: "OrderPlaced StockReserved PaymentRequested PaymentReminded PaymentReturned StockReleased",
  broke: "OrderPlaced StockReserved PaymentRequested PaymentFailed PaymentReturned StockReleased",
  moved: "OrderPlaced StockReserved PaymentRequested PaymentConfirmed ParcelSent PaymentReturned StockReleased",
  rare: "OrderPlaced StockRefused"
}
const names = Object.keys(kinds) as ReadonlyArray<keyof typeof kinds>
const orders = names.flatMap((kind) => Array.range(1, 10).map((n) => `${kind}-${n}`))

const Folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "order-fulfilment-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

const storyOf = (happened: ReadonlyArray<Happened>, order: string): string =>
  happened.filter((one) => one.order === order).map(({ type }) => type).join(" ")

const program = Effect.gen(function*() {
  const folder = yield* Folder
  const files = [join(folder, "journal.sqlite"), join(folder, "books.sqlite")] as const
  const start = Killable.start(join(import.meta.dirname, "worker.ts"), files, join(folder, "worker.log"))

  yield* Effect.gen(function*() {
    const { happened } = yield* Aggregates
    const journal = yield* SagaJournal
    yield* Effect.forEach(orders, Order.place)
    const times = (type: Happened["type"]) =>
      Effect.map(happened, (all) => all.filter((one) => one.type === type).length)

    const first = yield* start
    yield* first.until(Effect.map(times("ParcelSent"), (sent) => sent >= 5 ? true : undefined))
    yield* first.end("SIGKILL")
    yield* Console.log(
      `${orders.length} orders; the service is killed when some parcels are under way, and started again\n`
    )

    const second = yield* start
    const final = Effect.map(
      journal.count({ states: ["Succeeded", "Compensated"] }),
      (counts) => counts.reduce((sum, { count }) => sum + count, 0)
    )
    yield* second.until(Effect.map(final, (count) => count === orders.length ? true : undefined))
    yield* second.end("SIGTERM")

    const all = yield* happened
    for (const kind of names) {
      const stories = new Set(orders.filter((order) => order.startsWith(kind)).map((order) => storyOf(all, order)))
      deepStrictEqual(Array.fromIterable(stories), [kinds[kind]], kind)
      yield* Console.log(`10 ${kind}: ${kinds[kind].replaceAll(" ", ", ")}`)
    }
    deepStrictEqual(yield* journal.events.deadLetters({ after: 0, limit: 10 }), [])
  }).pipe(Effect.provide([
    SqlSagaJournal.layer.pipe(Layer.provide(NodeSqlite.layer({ filename: files[0] }))),
    Aggregates.layer(files[1])
  ]))
}).pipe(Effect.scoped, Effect.timeout("1 minute"))

program.pipe(NodeRuntime.runMain)
