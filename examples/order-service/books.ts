/**
 * The books of the participants: a database of their own, which the death of the order service does not touch. What they
 * are asked to do comes with a key and is posted once; what is undone is posted again with the opposite sign. Every call
 * is on record, also one that changed nothing.
 *
 * It knows nothing of sagas, and never waits.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql"
import * as NodeSqlite from "../../src/sql/NodeSqlite.ts"

/** What somebody did for an order. */
export interface Deed {
  readonly order: string
  readonly account: string
  readonly amount: number
}

/** What became of a call. `repeated`: its key was known, and nothing was posted. */
export const Verdict = Schema.Literals(["applied", "undone", "repeated", "refused", "nothing to undo"])
export type Verdict = typeof Verdict.Type

export interface Call {
  readonly key: string
  readonly verdict: Verdict
  /** Which process called. */
  readonly pid: number
}

export interface Posting extends Deed {
  readonly key: string
}

/** Somebody asks for what was undone before: nobody would undo it a second time. */
export class AlreadyUndone extends Schema.TaggedError<AlreadyUndone>()("AlreadyUndone", { key: Schema.String }) {}

export class Books extends Context.Service<Books, {
  /** Posts a deed under its key, once. */
  readonly post: (key: string, deed: Deed) => Effect.Effect<"applied" | "repeated">
  /** Posts the opposite of what was posted under `actionKey`, once. What never was, will not be from then on. */
  readonly undo: (key: string, actionKey: string) => Effect.Effect<"undone" | "repeated" | "nothing to undo">
  /** Puts a refusal on record. Returns how many there were under this key before. */
  readonly refuse: (key: string) => Effect.Effect<number>
  readonly has: (key: string) => Effect.Effect<boolean>
  readonly calls: Effect.Effect<ReadonlyArray<Call>>
  readonly postings: Effect.Effect<ReadonlyArray<Posting>>
}>()("order-service/Books") {
  static readonly layer = (filename: string): Layer.Layer<Books, SqlError.SqlError> =>
    Layer.effect(Books, makeBooks).pipe(Layer.provide(NodeSqlite.layer({ filename, synchronous: "OFF" })))
}

const makeBooks = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE IF NOT EXISTS calls (key TEXT NOT NULL, verdict TEXT NOT NULL, pid INTEGER NOT NULL)`
  yield* sql`CREATE INDEX IF NOT EXISTS calls_by_key ON calls (key)`
  yield* sql`CREATE TABLE IF NOT EXISTS postings
    (key TEXT PRIMARY KEY, "order" TEXT NOT NULL, account TEXT NOT NULL, amount INTEGER NOT NULL)`

  const called = (key: string, verdict: Verdict) =>
    sql`INSERT INTO calls ${sql.insert({ key, verdict, pid: process.pid })}`
  const posted = (key: string) => Effect.map(sql<Posting>`SELECT * FROM postings WHERE key = ${key}`, ([one]) => one)
  const enter = (posting: Posting) => sql`INSERT INTO postings ${sql.insert({ ...posting })}`
  const atOnce = <A, E>(work: Effect.Effect<A, E>) => Effect.orDie(sql.withTransaction(work))

  return Books.of({
    post: (key, deed) =>
      atOnce(Effect.gen(function*() {
        const known = yield* posted(key)
        if (known?.amount === 0) return yield* new AlreadyUndone({ key })
        if (known === undefined) yield* enter({ key, ...deed })
        const verdict = known === undefined ? "applied" : "repeated"
        yield* called(key, verdict)
        return verdict
      })),
    undo: (key, actionKey) =>
      atOnce(Effect.gen(function*() {
        const done = yield* posted(actionKey)
        const known = (yield* posted(key)) !== undefined
        const verdict = known ? "repeated" : done === undefined || done.amount === 0 ? "nothing to undo" : "undone"
        if (done === undefined) yield* enter({ key: actionKey, order: "", account: "", amount: 0 })
        if (verdict === "undone") yield* enter({ ...done!, key, amount: -done!.amount })
        yield* called(key, verdict)
        return verdict
      })),
    refuse: (key) =>
      atOnce(Effect.gen(function*() {
        const [before] = yield* sql<{ readonly count: number }>`SELECT count(*) AS count FROM calls WHERE key = ${key}`
        yield* called(key, "refused")
        return before!.count
      })),
    has: (key) => Effect.orDie(Effect.map(posted(key), (posting) => posting !== undefined && posting.amount !== 0)),
    calls: Effect.orDie(sql<Call>`SELECT * FROM calls`),
    postings: Effect.orDie(sql<Posting>`SELECT * FROM postings WHERE amount <> 0`)
  })
})
