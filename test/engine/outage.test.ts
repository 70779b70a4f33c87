/** Faults 44 to 47: the database goes away, hangs, is full or says no, and the engine is not started again for it. */
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Redacted, Schema } from "effect"
import { Saga } from "effect-saga"
import { SagaJournal } from "effect-saga/SagaJournal"
import { SqlSagaJournal } from "effect-saga/sql"
import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
import { SqlClient } from "effect/sql"
import * as Postgres from "../sql/postgres.ts"
import { postgresWith } from "./stores.ts"
import type { StoreService } from "./world.ts"
import { boot, eventually, Gate, inTime, logged, state, turn, World } from "./world.ts"

const trip = Saga.make("Trip", { payload: Schema.Void })

const storeOf = (journal: StoreService["journal"]): StoreService => ({
  journal,
  bury: () => Effect.void,
  tamper: () => Effect.void
})

const steps = (world: World) =>
  trip.pipe(Saga.step("a", world.step()), Saga.step("b", world.step()), Saga.step("c", world.step()))

const all = { a: "a", b: "b", c: "c" }

const ids = Array.from({ length: 8 }, (_, index) => `e${index}`)

it.live("F44 connections that are cut at each write cost time, and nothing else", () =>
  Effect.gen(function*() {
    const database = yield* Postgres.TestDatabase
    const journal = yield* SagaJournal
    const world = new World()
    const saga = steps(world)
    let killed = 0
    const { engine } = yield* boot(storeOf(journal), [saga], {
      through: (journal) => ({
        ...journal,
        // At the same moment, so that it is cut before, in and after its commit.
        write: (lease, batch) =>
          Effect.map(
            Effect.all([
              Effect.result(journal.write(lease, batch)),
              Effect.map(Effect.orDie(database.killConnections), (count) => killed += count)
            ], { concurrency: 2 }),
            ([written]) => written
          ).pipe(Effect.flatMap(Effect.fromResult))
      })
    })
    const exits = yield* Effect.forEach(
      ids,
      (executionId) => inTime("it ends", engine.execute(saga, undefined, { executionId }), 60_000),
      { concurrency: "unbounded" }
    )
    for (const result of exits) assert.deepStrictEqual(result, all)
    assert.isAbove(killed, 5)
    for (const id of ids) assert.match(world.text(id), /^\+a (=a )*\+b (=b )*\+c( =c)*$/)
    yield* world.check
  }).pipe(Effect.scoped, Effect.provide(postgresWith())), 90_000)

it.live(
  "F45 a server that is not there yet is waited for, and one that comes and goes is no reason to end",
  () =>
    Effect.gen(function*() {
      const server = yield* Postgres.privateServer
      yield* server.stop
      const Client = PgClient.layer({ url: Redacted.make(server.url) })
      const opening = yield* Effect.forkChild(logged(Layer.build(Layer.provide(SqlSagaJournal.layer, Client))), {
        startImmediately: true
      })
      yield* Effect.sleep("300 millis")
      assert.isUndefined(opening.pollUnsafe())
      yield* server.start
      const [context, lines] = yield* inTime("it is there", Fiber.join(opening))
      assert.isTrue(lines.some((line) => line.includes("did not answer")), lines.join())
      const world = new World()
      const saga = trip.pipe(
        Saga.step("a", world.step()),
        Saga.sleep("pause", "1500 millis"),
        Saga.step("b", world.step()),
        Saga.step("c", world.step())
      )
      const store = storeOf(yield* Effect.provide(SagaJournal, context))
      const { engine } = yield* boot(store, [saga], { evictAfter: 0, poll: 50 })
      const told = yield* Effect.forkChild(
        Effect.forEach(
          ids,
          (executionId) => engine.execute(saga, undefined, { executionId }),
          { concurrency: "unbounded" }
        ),
        { startImmediately: true }
      )
      for (const down of [server.stop, server.kill, server.stop]) {
        yield* Effect.sleep("300 millis")
        yield* down
        yield* Effect.sleep("300 millis")
        yield* server.start
      }
      for (const result of yield* inTime("all end", Fiber.join(told), 30_000)) assert.deepStrictEqual(result, all)
      for (const id of ids) assert.match(world.text(id), /^\+a (=a )*\+b (=b )*\+c( =c)*$/)
      yield* world.check
    }).pipe(Effect.scoped),
  90_000
)

it.live("F46 a server that does not answer is given up in time, and asked again", () =>
  Effect.gen(function*() {
    const server = yield* Postgres.privateServer
    const Client = PgClient.layer({ url: Redacted.make(server.url) })
    const Store = Layer.provide(SqlSagaJournal.layerWith({ statementTimeout: "200 millis" }), Client)
    const journal = yield* Effect.provide(SagaJournal, yield* Layer.build(Store))
    const world = new World()
    const saga = steps(world)
    const { engine } = yield* boot(storeOf(journal), [saga], { poll: 50 })
    assert.deepStrictEqual(yield* engine.execute(saga, undefined, { executionId: "before" }), all)
    yield* server.freeze
    const starting = yield* Effect.forkChild(
      engine.execute(saga, undefined, { executionId: "during" }),
      { startImmediately: true }
    )
    const before = performance.now()
    const asked = yield* Effect.exit(engine.poll("before"))
    assert.isTrue(Exit.isFailure(asked))
    assert.isBelow(performance.now() - before, 2_000)
    yield* Effect.sleep("500 millis")
    assert.isUndefined(starting.pollUnsafe())
    assert.strictEqual(world.text("during"), "")
    yield* server.thaw
    assert.deepStrictEqual(yield* inTime("it ends", Fiber.join(starting)), all)
    assert.strictEqual(world.text("during"), "+a +b +c")
  }).pipe(Effect.scoped), 60_000)

const trouble = {
  "SQLite, full": ["PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000"],
  "SQLite, read-only": ["PRAGMA query_only = 1", "PRAGMA query_only = 0"],
  "PostgreSQL, read-only": [
    "CREATE TRIGGER refuse BEFORE INSERT ON saga_facts EXECUTE FUNCTION refuse()",
    "DROP TRIGGER refuse ON saga_facts"
  ]
}
const refuse =
  "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE read_only_sql_transaction; END $$"

for (const [name, [begin, end]] of Object.entries(trouble)) {
  const isSqlite = name.startsWith("SQLite")
  const Sqlite = NodeSqlite.layer({ filename: ":memory:" })
  const Store: Layer.Layer<SagaJournal | SqlClient.SqlClient, unknown> = isSqlite
    ? Layer.provideMerge(SqlSagaJournal.layer, Sqlite)
    : postgresWith()
  it.effect(`F47 ${name}: nothing starts whose intent could not be stored, and it goes on when it can`, () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const store = storeOf(yield* SagaJournal)
      const world = new World()
      const gate = new Gate()
      const { action, ...undo } = world.step({ after: () => gate.pass })
      // More than fits into the pages that are there.
      const large = (state: unknown, context: Saga.StepContext) =>
        Effect.as(action(state, context), "x".repeat(200_000))
      const saga = trip.pipe(
        Saga.step("a", { ...undo, action: large }),
        Saga.step("b", world.step())
      )
      let refused = 0
      const { engine } = yield* boot(store, [saga], {
        through: (journal) => ({
          ...journal,
          write: (lease, batch) => Effect.tapError(journal.write(lease, batch), () => Effect.sync(() => refused++))
        })
      })
      yield* engine.start(saga, undefined, { executionId: "e" })
      yield* gate.reached
      if (!isSqlite) yield* sql.unsafe(refuse)
      yield* sql.unsafe(begin!)
      yield* gate.open
      const starting = yield* Effect.forkChild(engine.start(saga, undefined, { executionId: "f" }), {
        startImmediately: true
      })
      yield* eventually("it was refused", Effect.sync(() => refused > 1))
      for (let n = 0; n < 20; n++) yield* turn
      assert.strictEqual(world.text("e"), "+a")
      assert.strictEqual(world.text("f"), "")
      assert.isUndefined(starting.pollUnsafe())
      yield* sql.unsafe(end!)
      yield* inTime("it starts", Fiber.join(starting))
      yield* state(store.journal, "e", "Succeeded")
      yield* state(store.journal, "f", "Succeeded")
      assert.strictEqual(world.text("e"), "+a +b")
      yield* world.check
    }).pipe(Effect.scoped, Effect.provide(Store)))
}
