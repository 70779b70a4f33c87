/**
 * Three aggregates, event-sourced in plain SQL: what one is, is the list of what has happened to it. A command is handled once,
 * by its key: events and key are written in one transaction. It knows nothing of sagas.
 */
import { Context, Effect, Layer } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { EventBus } from "../../src/events/index.ts"
import * as NodeSqlite from "../../src/sql/NodeSqlite.ts"
import { recorded, type RecordedType } from "./events.ts"

/** Which aggregate: of its kind the one of an order, or all of the stock. */
export type Stream = `order ${string}` | `payment ${string}` | "stock"

export interface Happened {
  readonly sequence: number
  readonly stream: Stream
  readonly type: RecordedType
  readonly order: string
}

/** What a command makes of what has happened to its aggregate so far. */
type Decide = (past: ReadonlyArray<Happened>) => ReadonlyArray<RecordedType>

export class Aggregates extends Context.Service<Aggregates, {
  /** Handles a command, once by its key. */
  readonly handle: (key: string, stream: Stream, order: string, decide: Decide) => Effect.Effect<void>
  readonly happened: Effect.Effect<ReadonlyArray<Happened>>
  /** Publishes what has happened, in order and for ever. The lists are the outbox: what was not published is, after a crash. */
  readonly publish: Effect.Effect<never, never, EventBus>
}>()("order-fulfilment/Aggregates") {
  static readonly layer = (filename: string): Layer.Layer<Aggregates, SqlError.SqlError> =>
    Layer.effect(Aggregates, make).pipe(Layer.provide(NodeSqlite.layer({ filename, synchronous: "OFF" })))
}

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE IF NOT EXISTS happened
    (sequence INTEGER PRIMARY KEY, stream TEXT NOT NULL, type TEXT NOT NULL, "order" TEXT NOT NULL)`
  yield* sql`CREATE TABLE IF NOT EXISTS commands (key TEXT PRIMARY KEY)`
  yield* sql`CREATE TABLE IF NOT EXISTS published (sequence INTEGER NOT NULL)`

  const handle = Effect.fnUntraced(function*(key: string, stream: Stream, order: string, decide: Decide) {
    const known = yield* sql`INSERT INTO commands (key) VALUES (${key}) ON CONFLICT DO NOTHING RETURNING 1`
    if (known.length === 0) return
    const past = yield* sql<Happened>`SELECT * FROM happened WHERE stream = ${stream} ORDER BY sequence`
    for (const type of decide(past)) yield* sql`INSERT INTO happened ${sql.insert({ stream, type, order })}`
  })

  const publishNext = Effect.gen(function*() {
    const bus = yield* EventBus
    const [last] = yield* sql<
      { readonly sequence: number }
    >`SELECT coalesce(max(sequence), 0) AS sequence FROM published`
    const next = yield* sql<Happened>`SELECT * FROM happened WHERE sequence > ${
      last!.sequence
    } ORDER BY sequence LIMIT 100`
    // All at once: the bus keeps them in one go, in the order in which they are given.
    yield* Effect.forEach(
      next,
      ({ order, sequence, stream, type }) => bus.publish(recorded[type], { order }, { id: `${stream} ${sequence}` }),
      { concurrency: "unbounded", discard: true }
    )
    const upTo = next.at(-1)?.sequence
    if (upTo === undefined) yield* Effect.sleep("5 millis")
    else yield* sql`INSERT INTO published (sequence) VALUES (${upTo})`
  })

  return Aggregates.of({
    handle: (key, stream, order, decide) => Effect.orDie(sql.withTransaction(handle(key, stream, order, decide))),
    happened: Effect.orDie(sql<Happened>`SELECT * FROM happened ORDER BY sequence`),
    publish: Effect.forever(Effect.orDie(publishNext))
  })
})

// ------------------------------------------------------------------------------------------- commands

const has = (past: ReadonlyArray<Happened>, order: string, ...types: ReadonlyArray<RecordedType>): boolean =>
  past.some((one) => one.order === order && types.includes(one.type))

const command = (key: string, stream: Stream, order: string, decide: Decide) =>
  Aggregates.use((aggregates) => aggregates.handle(key, stream, order, decide))

/** Each is on the shelf once for every order but those that ask for what is not there. */
export const Stock = {
  reserve: (key: string, order: string) =>
    command(key, "stock", order, () => [order.startsWith("rare") ? "StockRefused" : "StockReserved"]),
  release: (key: string, order: string) =>
    command(key, "stock", order, (past) => has(past, order, "StockReserved") ? ["StockReleased"] : [])
}

export const Payment = {
  request: (key: string, order: string) => command(key, `payment ${order}`, order, () => ["PaymentRequested"]),
  remind: (key: string, order: string) => command(key, `payment ${order}`, order, () => ["PaymentReminded"]),
  /** What the customer does. */
  answer: (key: string, order: string, type: "PaymentConfirmed" | "PaymentFailed") =>
    command(
      key,
      `payment ${order}`,
      order,
      (past) => has(past, order, "PaymentConfirmed", "PaymentFailed", "PaymentReturned") ? [] : [type]
    ),
  /** Gives the money back, or asks for none any more. */
  cancel: (key: string, order: string) => command(key, `payment ${order}`, order, () => ["PaymentReturned"])
}

export const Order = {
  place: (order: string) => command(`place ${order}`, `order ${order}`, order, () => ["OrderPlaced"]),
  send: (key: string, order: string) => command(key, `order ${order}`, order, () => ["ParcelSent"]),
  complete: (key: string, order: string) => command(key, `order ${order}`, order, () => ["OrderCompleted"])
}
