/** What a store will never take, what it may take later, and which stores there are. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, type Scope, Tracer } from "effect"
import { type Journal, SagaJournal } from "effect-saga/SagaJournal"
import { SqlSagaJournal } from "effect-saga/sql"
import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
import { Reactivity } from "effect/reactivity"
import { SqlClient, Statement } from "effect/sql"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { describe } from "vitest"
import {
  acquire,
  batch,
  claimAll,
  committed,
  contents,
  fact,
  idsOf,
  leaseLost,
  start,
  starting
} from "../../src/testing/internal/journal/records.ts"
import { scene } from "./scene.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "saga-refusals-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

/** A journal on a file, as one more process has it. */
const onFile = (filename: string, options?: SqlSagaJournal.Options) =>
  Effect.map(
    Layer.build(Layer.provide(
      SqlSagaJournal.layerWith(options ?? {}),
      NodeSqlite.layer({ filename, lockTimeout: 0, busyTimeout: 0 })
    )),
    (context) => Context.get(context, SagaJournal)
  )

const journals: Record<string, Effect.Effect<Journal, unknown, Scope.Scope>> = {
  PostgreSQL: Effect.flatMap(scene, ({ journal }) => journal()),
  SQLite: onFile(":memory:")
}

for (const [name, journal] of Object.entries(journals)) {
  it.effect(`${name} refuses data that it could not give back, and nothing of the batch is written`, () =>
    Effect.gen(function*() {
      const store = yield* journal
      const lease = yield* acquire(store)
      yield* store.write(lease, starting(start("one")))
      const before = yield* contents(store, "one", "two")
      const big = batch({
        starts: [start("two")],
        facts: [fact("two", 0), fact("one", 1, "x".repeat(5 * 1024 * 1024))]
      })
      const error = yield* Effect.flip(store.write(lease, big))
      assert.strictEqual(error._tag, "BatchRefused")
      assert.match(error.message, /Fact 1 \(StepSucceeded\) of "one" is longer/)
      assert.deepStrictEqual(yield* contents(store, "one", "two"), before)
    }))
}

describe("on PostgreSQL", () => {
  // Random text is not compressed.
  const long = Array.from({ length: 4_000 }, (_, index) => ((index * 7_919) % 99_991).toString(36)).join("")

  it.effect("an event whose key does not fit into an index is refused, and the rest can be kept", () =>
    Effect.gen(function*() {
      const journal = yield* journals["PostgreSQL"]!
      const event = (key: string) => ({ id: key.slice(0, 9), type: "Paid", key, data: "{}" })
      const error = yield* Effect.flip(journal.events.keep([event("o"), event(long)], 0))
      assert.strictEqual(error._tag, "BatchRefused")
      assert.deepStrictEqual(yield* journal.events.keep([event("o")], 0), ["o"])
    }))

  it.effect("an id that does not fit into an index is refused, and the rest can be written", () =>
    Effect.gen(function*() {
      const journal = yield* journals["PostgreSQL"]!
      const lease = yield* acquire(journal)
      const error = yield* Effect.flip(journal.write(lease, starting(start(long), start("one"))))
      assert.strictEqual(error._tag, "BatchRefused")
      assert.deepStrictEqual(yield* journal.find("one"), Option.none())
      assert.deepStrictEqual(yield* journal.write(lease, starting(start("one"))), committed)
    }))

  it.effect("a server whose user may not write is unavailable", () =>
    Effect.gen(function*() {
      const { journal: open, sql } = yield* scene
      const journal = yield* open()
      const lease = yield* acquire(journal)
      yield* sql.unsafe(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE insufficient_privilege; END $$"
      )
      yield* sql.unsafe("CREATE TRIGGER refuse BEFORE INSERT ON saga_facts EXECUTE FUNCTION refuse()")
      assert.strictEqual((yield* Effect.flip(journal.write(lease, starting(start("one")))))._tag, "JournalUnavailable")
      yield* sql.unsafe("DROP TRIGGER refuse ON saga_facts")
      assert.deepStrictEqual(yield* journal.write(lease, starting(start("one"))), committed)
    }))
})

describe("on SQLite", () => {
  it.effect("while another process writes it is unavailable", () =>
    Effect.gen(function*() {
      const filename = join(yield* folder, "journal.db")
      const journal = yield* onFile(filename)
      const lease = yield* acquire(journal)
      const other = new DatabaseSync(filename)
      other.exec("BEGIN IMMEDIATE")
      assert.strictEqual((yield* Effect.flip(journal.write(lease, starting(start("one")))))._tag, "JournalUnavailable")
      other.close()
      assert.deepStrictEqual(yield* journal.write(lease, starting(start("one"))), committed)
    }))

  it.effect("a disk that is full, or that may not be written, is unavailable", () =>
    Effect.gen(function*() {
      const { client } = yield* NodeSqlite.make({ filename: ":memory:" })
      const journal = yield* Effect.provideService(SqlSagaJournal.make(), SqlClient.SqlClient, client)
      const lease = yield* acquire(journal)
      for (
        const [trouble, relief] of [["max_page_count = 1", "max_page_count = 1000000"], [
          "query_only = 1",
          "query_only = 0"
        ]]
      ) {
        yield* client.unsafe(`PRAGMA ${trouble}`)
        const big = batch({ starts: [start(trouble!)], facts: [fact(trouble!, 0, "x".repeat(100_000))] })
        assert.strictEqual((yield* Effect.flip(journal.write(lease, big)))._tag, "JournalUnavailable")
        yield* client.unsafe(`PRAGMA ${relief}`)
        assert.deepStrictEqual(yield* contents(journal, trouble!), [[Option.none(), []]])
        assert.deepStrictEqual(yield* journal.write(lease, big), committed)
      }
    }).pipe(Effect.provide(Reactivity.layer)))

  it.effect("one engine at a time: a second one is told, and the next one takes over at once", () =>
    Effect.gen(function*() {
      const filename = join(yield* folder, "journal.db")
      const one = Effect.gen(function*() {
        const journal = yield* onFile(filename)
        const lease = yield* journal.acquire({ name: "dies", leaseMillis: 3_600_000 })
        yield* journal.write(lease, starting(start("one")))
        const second = yield* onFile(filename)
        const error = yield* Effect.flip(acquire(second))
        assert.deepInclude(error, { _tag: "JournalLocked", journal: filename })
        // It may still start and tell, which the first one then finds.
        assert.isTrue(yield* second.send({ executionId: "one", kind: "Cancel", data: "{}" }))
        assert.strictEqual((yield* journal.signals(lease)).length, 1)
        return lease
      })
      const lost = yield* Effect.scoped(one)
      const next = yield* onFile(filename)
      const lease = yield* acquire(next)
      assert.strictEqual(yield* next.takeOver(lease), 1)
      assert.deepStrictEqual(yield* next.write(lost, batch({ facts: [fact("one", 1)] })), leaseLost)
      assert.deepStrictEqual(idsOf(yield* claimAll(next, lease)), ["one"])
    }))
})

it.effect("another dialect is refused", () =>
  Effect.gen(function*() {
    const { client } = yield* NodeSqlite.make({ filename: ":memory:" })
    const other = Object.assign(Object.create(client), {
      onDialect: ({ mysql }: Parameters<SqlClient.SqlClient["onDialect"]>[0]) => mysql()
    })
    const error = yield* Effect.flip(Effect.provideService(SqlSagaJournal.make(), SqlClient.SqlClient, other))
    assert.deepInclude(error, { _tag: "UnsupportedDialect", dialect: "mysql" })
  }).pipe(Effect.provide(Reactivity.layer)))

it("a prefix that could be more than a name is refused at once", () => {
  for (const prefix of ["", "Saga_", "1_", "a-b", "a;b", "a\"", "x".repeat(32)]) {
    assert.throws(() => SqlSagaJournal.layerWith({ prefix }), TypeError, /The names of tables cannot begin with/)
    assert.throws(() => SqlSagaJournal.layerMigrationsWith({ prefix }), TypeError)
  }
})

it.effect("nothing of the caller reaches its statements: no span, no transformer", () =>
  Effect.gen(function*() {
    const { journal: open } = yield* scene
    const journal = yield* open()
    const seen: Array<string> = []
    const tracer = Tracer.make({
      span: (options) => {
        seen.push(options.name)
        return new Tracer.NativeSpan(options)
      }
    })
    const around = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) =>
      effect.pipe(
        Effect.provideService(Tracer.Tracer, tracer),
        Effect.provideService(Statement.CurrentTransformer, (statement) => {
          seen.push(statement.compile()[0])
          return Effect.succeed(statement)
        })
      )
    const lease = yield* around(acquire(journal))
    yield* around(journal.write(lease, starting(start("one"))))
    yield* around(Effect.withSpan(journal.list({ limit: 1 }), "own"))
    assert.deepStrictEqual(seen, ["own"])
  }))
