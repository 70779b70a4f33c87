/** A row of the business and the saga that belongs to it: one commit, or nothing. On both databases. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Latch, Layer, Option, Redacted, Schema, type Scope, Tracer } from "effect"
import { Saga } from "effect-saga"
import { DomainEvent } from "effect-saga/events"
import { type Journal, JournalCipher, JournalUnavailable } from "effect-saga/SagaJournal"
import { SqlSagaEngine, SqlSagaJournal } from "effect-saga/sql"
import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
import { Reactivity } from "effect/reactivity"
import { SqlClient, SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import { fork } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { StoreService } from "../engine/world.ts"
import { boot, errorOf, eventually, inTime, logged, state, tagOf, turn } from "../engine/world.ts"
import * as Postgres from "./postgres.ts"
import { openScene } from "./scene.ts"
import { ship } from "./startInShip.ts"

// ------------------------------------------------------------------------------------------- places

/** A database with a journal and a table of the business. */
interface Place {
  /** The client of the business. */
  readonly sql: SqlClient.SqlClient
  /** What another process has. */
  readonly another: Effect.Effect<SqlClient.SqlClient, unknown, Scope.Scope>
  /** Where engines are. On SQLite they share the client of the business. */
  readonly store: StoreService
  readonly journal: Journal
  /** The database as a program is told of it. */
  readonly url: string
  /** Waits until somebody waits for somebody else's transaction, as far as that can be seen. */
  readonly stalled: Effect.Effect<unknown, unknown>
}

type Open = (options?: SqlSagaJournal.Options) => Effect.Effect<Place, unknown, Scope.Scope>

const placeOf = (
  sql: SqlClient.SqlClient,
  journal: Journal,
  rest: Omit<Place, "sql" | "journal" | "store">
): Effect.Effect<Place, unknown> =>
  Effect.as(sql`CREATE TABLE orders (id varchar(50) PRIMARY KEY)`, {
    sql,
    journal,
    store: {
      journal,
      bury: ({ id }) => Effect.asVoid(Effect.orDie(sql`UPDATE saga_leases SET expires_at_millis = 0 WHERE id = ${id}`)),
      tamper: () => Effect.void
    },
    ...rest
  })

const onPostgres: Open = (options) =>
  Effect.gen(function*() {
    const database = yield* Effect.flatMap(Postgres.serverUrl, Postgres.database)
    const scene = yield* openScene(database)
    const sql = yield* database.connect()
    return yield* placeOf(sql, yield* scene.journal(options), {
      another: database.connect(),
      url: database.url,
      stalled: scene.stalled(1)
    })
  })

const onSqlite: Open = (options) =>
  Effect.gen(function*() {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-saga-start-in-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
    )
    const filename = join(folder, "business.db")
    const services = yield* Layer.build(NodeSqlite.layer({ filename, synchronous: "OFF" }))
    const sql = Context.get(services, SqlClient.SqlClient)
    return yield* placeOf(sql, yield* Effect.provideContext(SqlSagaJournal.make(options), services), {
      another: Effect.map(NodeSqlite.make({ filename }), ({ client }) => client).pipe(Effect.provide(Reactivity.layer)),
      url: filename,
      stalled: Effect.forEach(Array.from({ length: 20 }), () => turn)
    })
  })

const places = { PostgreSQL: onPostgres, SQLite: onSqlite }

const everywhere = (
  what: string,
  body: (place: Place) => Effect.Effect<unknown, unknown, Scope.Scope>,
  options?: SqlSagaJournal.Options
) => {
  for (const [name, open] of Object.entries(places)) {
    it.effect(`${name}: ${what}`, () => Effect.scoped(Effect.flatMap(open(options), body)))
  }
}

// ------------------------------------------------------------------------------------------- the business

const startIn = (
  sql: SqlClient.SqlClient,
  payload: { readonly id: string },
  options?: Parameters<typeof SqlSagaEngine.startIn>[2]
) => Effect.provideService(SqlSagaEngine.startIn(ship, payload, options), SqlClient.SqlClient, sql)

const insert = (sql: SqlClient.SqlClient, id: string) => sql`INSERT INTO orders (id) VALUES (${id})`

/** An order and its saga in one transaction, and what comes after them in it. */
const place = <A = void, E = never>(sql: SqlClient.SqlClient, id: string, more?: Effect.Effect<A, E>) =>
  sql.withTransaction(Effect.gen(function*() {
    yield* insert(sql, id)
    const executionId = yield* startIn(sql, { id })
    yield* more ?? Effect.void
    return executionId
  }))

/** A transaction that has placed an order and stays open until it is let go. */
const placing = (sql: SqlClient.SqlClient, id: string, end: Effect.Effect<void, string> = Effect.void) =>
  Effect.gen(function*() {
    const [placed, gate] = [Latch.makeUnsafe(), Latch.makeUnsafe()]
    const body = place(sql, id, Effect.andThen(placed.open, Effect.andThen(gate.await, end)))
    const fiber = yield* Effect.forkChild(Effect.exit(body), { startImmediately: true })
    yield* inTime("the transaction is open", placed.await)
    return { goOn: Effect.andThen(gate.open, Fiber.join(fiber)) }
  })

const orders = (sql: SqlClient.SqlClient) =>
  Effect.map(sql<{ readonly id: string }>`SELECT id FROM orders ORDER BY id`, (rows) => rows.map(({ id }) => id))

const tables = ["executions", "facts", "tags", "definitions"]

/** How many rows there are in the tables of a journal. */
const rowsOf = (sql: SqlClient.SqlClient, prefix = "saga_") =>
  Effect.map(
    Effect.forEach(tables, (table) => sql.unsafe(`SELECT 1 FROM ${prefix}${table}`).unprepared),
    (all) => all.map((rows) => rows.length)
  )

const none = [0, 0, 0, 0]
const one = [1, 1, 2, 1]

const neither = ({ sql }: Place) =>
  Effect.gen(function*() {
    assert.deepStrictEqual(yield* orders(sql), [])
    assert.deepStrictEqual(yield* rowsOf(sql), none)
  })

// ------------------------------------------------------------------------------------------- one commit

describe("one commit", () => {
  everywhere("a commit is both, and an engine runs it", (here) =>
    Effect.gen(function*() {
      const { engine } = yield* boot(here.store, [ship], { poll: 20 })
      const executionId = yield* place(here.sql, "A-1")
      assert.strictEqual(executionId, "Ship/A-1")
      assert.strictEqual(yield* inTime("it ends", engine.await(ship, executionId)), "van for A-1")
      assert.deepStrictEqual(yield* orders(here.sql), ["A-1"])
    }))

  everywhere("it waits for an engine that comes later", (here) =>
    Effect.gen(function*() {
      yield* place(here.sql, "A-1")
      assert.deepStrictEqual(yield* rowsOf(here.sql), one)
      const { engine } = yield* boot(here.store, [ship], { poll: 20 })
      assert.strictEqual(yield* inTime("it ends", engine.await(ship, "Ship/A-1")), "van for A-1")
    }))

  everywhere("an engine elsewhere runs what a process without one has started", (here) =>
    Effect.gen(function*() {
      const { engine } = yield* boot(here.store, [ship], { poll: 20 })
      yield* place(yield* here.another, "A-1")
      yield* state(here.journal, "Ship/A-1", "Succeeded")
      assert.strictEqual(yield* engine.execute(ship, { id: "A-1" }), "van for A-1")
    }))

  everywhere("nobody sees it before", (here) =>
    Effect.gen(function*() {
      const other = yield* here.another
      const { engine } = yield* boot(here.store, [ship], { poll: 20 })
      const { goOn } = yield* placing(here.sql, "A-1")
      for (let n = 0; n < 20; n++) {
        yield* turn
        assert.deepStrictEqual((yield* rowsOf(other)).slice(0, 3), [0, 0, 0])
      }
      yield* goOn
      assert.strictEqual(yield* inTime("it ends", engine.await(ship, "Ship/A-1")), "van for A-1")
    }))

  everywhere(
    "an event that the bus is given in a transaction is no part of it: kept beside it, or refused by the one file that it has locked",
    (here) =>
      Effect.gen(function*() {
        const Placed = DomainEvent.make("Placed", { payload: Schema.String, key: (order) => order })
        const { bus } = yield* boot(here.store, [])
        let published: Exit.Exit<void, unknown> | undefined
        const transaction = here.sql.withTransaction(Effect.gen(function*() {
          yield* insert(here.sql, "A-1")
          published = yield* Effect.exit(bus.publish(Placed, "A-1"))
          return yield* Effect.fail("rolled back")
        }))
        yield* inTime("it is answered", Effect.flip(transaction))
        assert.deepStrictEqual(yield* orders(here.sql), [])
        const { events } = yield* here.journal.events.log({ from: [{ type: "Placed", after: 0 }], limit: 10 })
        const isKept = here.url.includes("://")
        assert.deepStrictEqual(events.map(({ key }) => key), isKept ? ["A-1"] : [])
        assert.strictEqual(isKept ? published?._tag : tagOf(published!), isKept ? "Success" : "JournalUnavailable")
      }),
    { statementTimeout: "100 millis" }
  )

  const ends: Record<string, Effect.Effect<void, string>> = {
    "a failure": Effect.fail("no"),
    "a defect": Effect.die("no"),
    "an interruption": Effect.interrupt
  }
  for (const [what, end] of Object.entries(ends)) {
    everywhere(`${what} after it is neither`, (here) =>
      Effect.gen(function*() {
        const { engine } = yield* boot(here.store, [ship], { poll: 20 })
        assert.isTrue(Exit.isFailure(yield* Effect.exit(place(here.sql, "A-1", end))))
        assert.deepStrictEqual(yield* orders(here.sql), [])
        assert.deepStrictEqual((yield* rowsOf(here.sql)).slice(0, 3), [0, 0, 0])
        assert.deepStrictEqual(yield* engine.poll("Ship/A-1"), Option.none())
        // Nothing of it is in the way of the next one.
        yield* place(here.sql, "A-1")
        assert.strictEqual(yield* inTime("it ends", engine.await(ship, "Ship/A-1")), "van for A-1")
      }))
  }

  everywhere("a failure of the business before it is neither", (here) =>
    Effect.gen(function*() {
      yield* insert(here.sql, "A-1")
      assert.strictEqual(tagOf(yield* Effect.exit(place(here.sql, "A-1"))), "SqlError")
      assert.deepStrictEqual(yield* rowsOf(here.sql), none)
    }))

  everywhere(
    "an inner transaction that fails takes it along, and the outer one commits without it",
    (here) =>
      Effect.gen(function*() {
        yield* here.sql.withTransaction(Effect.gen(function*() {
          yield* insert(here.sql, "A-1")
          yield* Effect.exit(place(here.sql, "A-2", Effect.fail("no")))
          yield* place(here.sql, "A-3")
        }))
        assert.deepStrictEqual(yield* orders(here.sql), ["A-1", "A-3"])
        assert.deepStrictEqual(yield* rowsOf(here.sql), one)
        assert.isTrue(Option.isSome(yield* here.journal.find("Ship/A-3")))
      })
  )

  everywhere("several in one transaction", (here) =>
    Effect.gen(function*() {
      yield* here.sql.withTransaction(Effect.forEach(["A-1", "A-2", "A-3"], (id) => place(here.sql, id)))
      const { engine } = yield* boot(here.store, [ship], { poll: 20 })
      for (const id of ["A-1", "A-2", "A-3"]) {
        assert.strictEqual(yield* inTime("it ends", engine.await(ship, `Ship/${id}`)), `van for ${id}`)
      }
    }))

  everywhere("without a transaction it commits by itself", (here) =>
    Effect.gen(function*() {
      assert.strictEqual(yield* startIn(here.sql, { id: "A-1" }), "Ship/A-1")
      assert.deepStrictEqual(yield* rowsOf(yield* here.another), one)
    }))

  for (const inside of [false, true]) {
    const where = inside ? "in a transaction that goes on all the same" : "without a transaction"
    for (const table of ["facts", "tags", "definitions"]) {
      everywhere(`when the ${table} cannot be written ${where}, nothing is`, (here) =>
        Effect.gen(function*() {
          const { sql } = here
          yield* sql.onDialectOrElse({
            pg: () => sql.unsafe(`ALTER TABLE saga_${table} ADD CHECK (false)`),
            orElse: () =>
              sql.unsafe(`CREATE TRIGGER refuse BEFORE INSERT ON saga_${table} BEGIN SELECT RAISE(ABORT, 'no'); END`)
          })
          const starting = Effect.exit(startIn(sql, { id: "A-1" }))
          const exit = yield* inside
            ? Effect.result(sql.withTransaction(Effect.tap(starting, () => Effect.exit(insert(sql, "A-1")))))
            : Effect.result(starting)
          if (exit._tag === "Success") assert.strictEqual(tagOf(exit.success), "JournalUnavailable")
          // PostgreSQL does not commit it.
          else assert.match(Cause.pretty(Cause.fail(exit.failure)), /rolled back an aborted transaction/)
          assert.deepStrictEqual(yield* rowsOf(sql), none)
          assert.deepStrictEqual(yield* orders(sql), inside && exit._tag === "Success" ? ["A-1"] : [])
        }))
    }
  }
})

// ------------------------------------------------------------------------------------------- who has the id

describe("the id is taken", () => {
  everywhere(
    "by the same request: it joins, in the same transaction, in another, and when it has ended",
    (here) =>
      Effect.gen(function*() {
        const { sql } = here
        yield* sql.withTransaction(Effect.gen(function*() {
          assert.strictEqual(yield* startIn(sql, { id: "A-1" }), "Ship/A-1")
          assert.strictEqual(yield* startIn(sql, { id: "A-1" }), "Ship/A-1")
        }))
        assert.strictEqual(yield* place(sql, "A-1"), "Ship/A-1")
        assert.deepStrictEqual(yield* rowsOf(sql), one)
        const { engine } = yield* boot(here.store, [ship], { poll: 20 })
        assert.strictEqual(yield* engine.start(ship, { id: "A-1" }), "Ship/A-1")
        yield* inTime("it ends", engine.await(ship, "Ship/A-1"))
        const rows = yield* rowsOf(sql)
        assert.strictEqual(yield* startIn(sql, { id: "A-1" }), "Ship/A-1")
        assert.deepStrictEqual(yield* rowsOf(sql), rows)
        assert.strictEqual(yield* engine.await(ship, "Ship/A-1"), "van for A-1")
        assert.deepStrictEqual(yield* orders(sql), ["A-1"])
      })
  )

  everywhere("by an execution that an engine has started", (here) =>
    Effect.gen(function*() {
      const { engine } = yield* boot(here.store, [ship], { poll: 20 })
      yield* engine.execute(ship, { id: "A-1" })
      assert.strictEqual(yield* place(here.sql, "A-1"), "Ship/A-1")
      assert.strictEqual(
        tagOf(yield* Effect.exit(startIn(here.sql, { id: "A-2" }, { executionId: "Ship/A-1" }))),
        "ExecutionConflict"
      )
    }))

  everywhere(
    "by another payload or another saga: a conflict, and the transaction goes on",
    (here) =>
      Effect.gen(function*() {
        const { sql } = here
        const other = Saga.make("Other", { payload: Schema.Struct({ id: Schema.String }) })
        yield* sql.withTransaction(Effect.gen(function*() {
          yield* startIn(sql, { id: "A-1" }, { executionId: "e" })
          const payload = yield* Effect.exit(startIn(sql, { id: "A-2" }, { executionId: "e" }))
          const saga = yield* Effect.exit(
            Effect.provideService(
              SqlSagaEngine.startIn(other, { id: "A-1" }, { executionId: "e" }),
              SqlClient.SqlClient,
              sql
            )
          )
          assert.strictEqual(tagOf(payload), "ExecutionConflict")
          assert.match((errorOf(payload) as Error).message, /execution "e" of saga "Ship" exists with another payload/)
          assert.strictEqual(tagOf(saga), "ExecutionConflict")
          assert.match(
            (errorOf(saga) as Error).message,
            /The id "e" belongs to an execution of saga "Ship", not "Other"/
          )
          yield* insert(sql, "A-1")
        }))
        assert.deepStrictEqual(yield* orders(sql), ["A-1"])
        assert.deepStrictEqual(yield* rowsOf(sql), one)
      })
  )

  everywhere("an engine does not take it for something of its own", (here) =>
    Effect.gen(function*() {
      yield* startIn(here.sql, { id: "A-1" })
      const { engine } = yield* boot(here.store, [])
      const exit = yield* Effect.exit(engine.start(ship, { id: "A-2" }, { executionId: "Ship/A-1" }))
      assert.strictEqual(tagOf(exit), "ExecutionConflict")
      assert.strictEqual(yield* engine.start(ship, { id: "A-1" }), "Ship/A-1")
    }))

  everywhere("by a fact that nobody can read: a conflict", (here) =>
    Effect.gen(function*() {
      yield* place(here.sql, "A-1")
      yield* here.sql`UPDATE saga_facts SET data = 'x'`
      assert.strictEqual(tagOf(yield* Effect.exit(startIn(here.sql, { id: "A-1" }))), "ExecutionConflict")
    }))

  everywhere("what cannot be started writes nothing, and the transaction goes on", (here) =>
    Effect.gen(function*() {
      const { sql } = here
      yield* sql.withTransaction(Effect.gen(function*() {
        assert.strictEqual(
          tagOf(yield* Effect.exit(startIn(sql, { id: "" }, { executionId: "" }))),
          "ExecutionIdInvalid"
        )
        assert.strictEqual(tagOf(yield* Effect.exit(startIn(sql, { id: 5 as never }))), "PayloadRefused")
        const big = yield* Effect.exit(startIn(sql, { id: "x".repeat(1_100_000) }, { executionId: "e" }))
        assert.strictEqual(tagOf(big), "PayloadRefused")
        yield* insert(sql, "A-1")
      }))
      assert.deepStrictEqual(yield* orders(sql), ["A-1"])
      assert.deepStrictEqual(yield* rowsOf(sql), none)
    }))

  for (const commits of [true, false]) {
    const end = commits ? Effect.void : Effect.fail("no")
    const what = commits ? "commits, and others join" : "is rolled back, and another starts"

    everywhere(`two at once wait for each other: the first ${what}`, (here) =>
      Effect.gen(function*() {
        const other = yield* here.another
        const { goOn } = yield* placing(here.sql, "A-1", end)
        const asking = yield* Effect.forkChild(
          Effect.forEach(
            [
              other.withTransaction(startIn(other, { id: "A-1" })),
              startIn(other, { id: "A-2" }, { executionId: "Ship/A-1" })
            ],
            Effect.exit,
            { concurrency: 2 }
          ),
          { startImmediately: true }
        )
        yield* here.stalled
        assert.isUndefined(asking.pollUnsafe())
        assert.strictEqual(Exit.isSuccess(yield* goOn), commits)
        const [same, different] = yield* inTime("they have their answers", Fiber.join(asking))
        if (commits) assert.deepStrictEqual(same, Exit.succeed("Ship/A-1"))
        // Who comes first of those who wait is not said, and they want different things.
        const [won, lost] = Exit.isSuccess(same!) ? [same, different!] : [different!, same!]
        assert.deepStrictEqual(won, Exit.succeed("Ship/A-1"))
        assert.strictEqual(tagOf(lost), "ExecutionConflict")
        assert.deepStrictEqual(yield* rowsOf(here.sql), one)
        assert.deepStrictEqual(yield* orders(here.sql), commits ? ["A-1"] : [])
      }))

    everywhere(`an engine that starts it meanwhile waits: the transaction ${what}`, (here) =>
      Effect.gen(function*() {
        const { engine } = yield* boot(here.store, [ship], { poll: 20 })
        const { goOn } = yield* placing(here.sql, "A-1", end)
        const asking = yield* Effect.forkChild(engine.execute(ship, { id: "A-1" }), { startImmediately: true })
        yield* here.stalled
        assert.isUndefined(asking.pollUnsafe())
        yield* goOn
        assert.strictEqual(yield* inTime("it ends", Fiber.join(asking)), "van for A-1")
        assert.deepStrictEqual(yield* orders(here.sql), commits ? ["A-1"] : [])
        const facts = yield* here.journal.facts("Ship/A-1", 0)
        assert.deepStrictEqual(facts.map(({ tag }) => tag), [
          "SagaStarted",
          "StepStarted",
          "StepSucceeded",
          "SagaSucceeded"
        ])
      }))
  }
})

// ------------------------------------------------------------------------------------------- death

describe("a process that is killed", () => {
  const killed = (url: string, moment: "before" | "after") =>
    Effect.promise(async () => {
      const program = new URL("startInKilled.ts", import.meta.url).pathname
      const child = fork(program, [url, moment], { stdio: ["ignore", "inherit", "inherit", "ipc"] })
      const [, signal] = await once(child, "exit")
      assert.strictEqual(signal, "SIGKILL")
    })

  everywhere("before the commit leaves neither", (here) =>
    Effect.gen(function*() {
      yield* killed(here.url, "before")
      yield* neither(here)
      // Where the server has not noticed the death yet, this waits until it has; both are free.
      yield* place(here.sql, "A-1")
      const { engine } = yield* boot(here.store, [ship], { poll: 20 })
      assert.strictEqual(yield* inTime("it ends", engine.await(ship, "Ship/A-1")), "van for A-1")
    }))

  everywhere("after the commit leaves both, and an engine runs it", (here) =>
    Effect.gen(function*() {
      const { engine } = yield* boot(here.store, [ship], { poll: 20 })
      yield* killed(here.url, "after")
      assert.deepStrictEqual(yield* orders(here.sql), ["A-1"])
      assert.strictEqual(yield* inTime("it ends", engine.await(ship, "Ship/A-1")), "van for A-1")
    }))

  everywhere(
    "an engine that dies with it is followed by the next, as with any other",
    (here) =>
      Effect.gen(function*() {
        yield* place(here.sql, "A-1")
        const first = yield* boot(here.store, [ship], { poll: 20, dieAt: 1 })
        yield* first.died
        const { engine } = yield* boot(here.store, [ship], { poll: 20 })
        assert.strictEqual(yield* inTime("it ends", engine.await(ship, "Ship/A-1")), "van for A-1")
        const facts = yield* here.journal.facts("Ship/A-1", 0)
        assert.deepStrictEqual(facts.map(({ sequence, tag }) => `${sequence} ${tag}`), [
          "0 SagaStarted",
          "1 StepStarted",
          "2 StepSucceeded",
          "3 SagaSucceeded"
        ])
      })
  )
})

// ------------------------------------------------------------------------------------------- what is written

describe("what is written", () => {
  everywhere("is what an engine writes", (here) =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_000)
      const span = Tracer.externalSpan({ traceId: "t", spanId: "s", sampled: true })
      const { engine } = yield* boot(here.store, [])
      const traced = { executionId: "engine" }
      yield* Effect.withParentSpan(engine.start(ship, { id: "A-1" }, traced), span)
      yield* Effect.withParentSpan(startIn(here.sql, { id: "A-1" }, { executionId: "own" }), span)
      const written = (executionId: string) =>
        Effect.gen(function*() {
          const row = Option.getOrThrow(yield* here.journal.find(executionId))
          const facts = yield* here.journal.facts(executionId, 0)
          // An engine that does not have the saga has no clock for it either.
          return JSON.stringify([row, facts], (key, value) =>
            key === "executionId" || key === "startedAtMillis" || key === "updatedAtMillis"
              ? 0
              : key === "data"
              ? JSON.parse(value, (key, value) => key === "atMillis" ? 0 : value)
              : value)
        })
      assert.strictEqual(yield* written("own"), yield* written("engine"))
      const [fact] = yield* here.journal.facts("own", 0)
      assert.deepStrictEqual(JSON.parse(fact!.data), {
        _tag: "SagaStarted",
        atMillis: 1_000,
        saga: "Ship",
        version: 1,
        payload: { id: "A-1" },
        trace: { traceId: "t", spanId: "s", sampled: true }
      })
      assert.isTrue(
        Option.isSome(yield* here.journal.definition(Option.getOrThrow(yield* here.journal.find("own")).definition))
      )
    }))

  everywhere("it is found by its tags, and has nobody for an author", (here) =>
    Effect.gen(function*() {
      yield* boot(here.store, [])
      yield* startIn(here.sql, { id: "A-1" })
      yield* startIn(here.sql, { id: "B-1" })
      const { executions } = yield* here.journal.list({ limit: 10, tags: { tenant: "B", kind: "van" } })
      assert.deepStrictEqual(executions.map(({ executionId, tags }) => [executionId, tags]), [
        ["Ship/B-1", { tenant: "B", kind: "van" }]
      ])
      const history = yield* here.journal.history("Ship/B-1")
      assert.deepStrictEqual(history.map(({ engine, tag }) => [engine, tag]), [["", "SagaStarted"]])
    }))

  everywhere("its definition is kept as it is today", (here) =>
    Effect.gen(function*() {
      const id = yield* startIn(here.sql, { id: "A-1" })
      const { definition } = Option.getOrThrow(yield* here.journal.find(id))
      const kept = Option.getOrThrow(yield* here.journal.definition(definition))
      assert.strictEqual(kept, JSON.stringify(Saga.definition(ship)))
    }))

  everywhere("what was removed can be started again", (here) =>
    Effect.gen(function*() {
      const first = yield* boot(here.store, [ship], { poll: 20 })
      yield* startIn(here.sql, { id: "A-1" })
      yield* inTime("it ends", first.engine.await(ship, "Ship/A-1"))
      yield* first.close
      assert.deepStrictEqual(yield* here.journal.remove(["Ship/A-1"]), ["Ship/A-1"])
      assert.deepStrictEqual((yield* rowsOf(here.sql)).slice(0, 3), [0, 0, 0])
      yield* startIn(here.sql, { id: "A-1" })
      assert.deepStrictEqual(yield* rowsOf(here.sql), one)
    }))

  everywhere("a long payload is warned of", (here) =>
    Effect.gen(function*() {
      const [, lines] = yield* logged(startIn(here.sql, { id: "x".repeat(300_000) }, { executionId: "e" }))
      assert.deepStrictEqual(lines, ["The payload of saga \"Ship\" takes 300009 characters of JSON in the journal"])
    }))

  everywhere("it has an id of its own when it is given none", (here) =>
    Effect.gen(function*() {
      const any = Saga.make("Any", { payload: Schema.Void })
      const starting = Effect.provideService(SqlSagaEngine.startIn(any, undefined), SqlClient.SqlClient, here.sql)
      const ids = [yield* starting, yield* starting]
      assert.strictEqual(new Set(ids).size, 2)
      for (const id of ids) assert.isTrue(Option.isSome(yield* here.journal.find(id)))
    }))

  everywhere("with another prefix", (here) =>
    Effect.gen(function*() {
      const prefix = "other_"
      yield* startIn(here.sql, { id: "A-1" }, { prefix })
      assert.deepStrictEqual(yield* rowsOf(here.sql, prefix), one)
      const { engine } = yield* boot(here.store, [ship], { poll: 20 })
      assert.strictEqual(yield* inTime("it ends", engine.await(ship, "Ship/A-1")), "van for A-1")
    }), { prefix: "other_" })

  it("a prefix that is none is told at once", () => {
    for (const prefix of ["", "Saga_", "a; DROP TABLE orders; --", "x".repeat(32)]) {
      assert.throws(
        () => SqlSagaEngine.startIn(ship, { id: "A-1" }, { prefix }),
        /The names of tables cannot begin with/
      )
    }
  })

  everywhere("where there are no tables it is said what to do", (here) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(startIn(here.sql, { id: "A-1" }, { prefix: "none_" }))
      assert.strictEqual(tagOf(exit), "JournalUnavailable")
      assert.match(
        (errorOf(exit) as Error).message,
        /did not answer to "startIn": The tables "none_\.\.\." are not there.* Run SqlSagaJournal\.layerMigrations/
      )
    }))

  it.effect("a client that renames columns is no obstacle", () =>
    Effect.scoped(Effect.gen(function*() {
      const database = yield* Effect.flatMap(Postgres.serverUrl, Postgres.database)
      const shout = (name: string) => name.toUpperCase()
      const sql = yield* database.connect({ transformResultNames: shout, transformQueryNames: shout })
      yield* Effect.provideService(SqlSagaJournal.make(), SqlClient.SqlClient, sql)
      yield* sql.withTransaction(startIn(sql, { id: "A-1" }))
      assert.strictEqual(yield* startIn(sql, { id: "A-1" }), "Ship/A-1")
      assert.strictEqual(
        tagOf(yield* Effect.exit(startIn(sql, { id: "A-2" }, { executionId: "Ship/A-1" }))),
        "ExecutionConflict"
      )
    })))

  it.effect("a client that reads bigints is no obstacle", () =>
    Effect.scoped(Effect.gen(function*() {
      const here = yield* onSqlite()
      for (const id of ["A-1", "A-1", "B-1"]) {
        yield* Effect.provideService(startIn(here.sql, { id }), SqlClient.SafeIntegers, true)
      }
      assert.deepStrictEqual(yield* rowsOf(here.sql), [2, 2, 4, 1])
    })))

  it.effect("PostgreSQL: who has the id is removed before it can be looked at: it starts after all", () =>
    Effect.scoped(Effect.gen(function*() {
      const here = yield* onPostgres()
      yield* startIn(here.sql, { id: "A-1" })
      let looks = 0
      const remove = Effect.forEach(tables, (table) => here.sql.unsafe(`DELETE FROM saga_${table}`))
      const unsafe = (text: string, params?: ReadonlyArray<unknown>) => {
        const statement = here.sql.unsafe(text, params)
        return !text.startsWith("SELECT x.saga") ? statement : Effect.suspend(() => {
          looks++
          return Effect.andThen(remove, statement)
        })
      }
      const { onDialectOrElse } = here.sql
      const late = { onDialectOrElse, unsafe, withoutTransforms: () => late }
      assert.strictEqual(yield* startIn(late as never, { id: "A-1" }), "Ship/A-1")
      assert.strictEqual(looks, 1)
      assert.deepStrictEqual(yield* rowsOf(here.sql), one)
    })))

  it.effect("PostgreSQL: a transaction that may not see the other one fails as its isolation demands, and joins when repeated", () =>
    Effect.scoped(Effect.gen(function*() {
      const here = yield* onPostgres()
      const other = yield* here.another
      const placing = here.sql.withTransaction(Effect.gen(function*() {
        yield* orders(here.sql)
        yield* Effect.exit(startIn(other, { id: "A-1" }))
        return yield* startIn(here.sql, { id: "A-1" })
      })).pipe(
        Effect.provideService(SqlClient.BeginTransaction, "BEGIN ISOLATION LEVEL REPEATABLE READ")
      )
      const exit = yield* Effect.exit(placing)
      assert.strictEqual(tagOf(exit), "JournalUnavailable")
      const { cause } = errorOf(exit) as { readonly cause: SqlError.SqlError }
      assert.isTrue(SqlError.isSqlError(cause))
      assert.isTrue(cause.isRetryable)
      assert.strictEqual(yield* placing, "Ship/A-1")
    })))
})

// ------------------------------------------------------------------------------------------- secrets

describe("secrets", () => {
  const login = Saga.make("Login", { payload: Schema.Redacted(Schema.String) }).pipe(
    Saga.output(Schema.Int, ({ payload }) => Redacted.value(payload).length)
  )
  const loginIn = (sql: SqlClient.SqlClient, password: string) =>
    SqlSagaEngine.startIn(login, Redacted.make(password), { executionId: "e" }).pipe(
      Effect.provideService(SqlClient.SqlClient, sql)
    )
  /** Who opens a text in another place than that it was sealed for gets another text. */
  const turned = (text: string, by: number) =>
    Array.from(text, (character) => String.fromCharCode(character.charCodeAt(0) + by)).join("")
  const cipher = JournalCipher.of({
    seal: (text, place) => Effect.succeed(turned(text, place.length)),
    open: (text, place) => Effect.succeed(turned(text, -place.length))
  })
  const sealed = Effect.provideService(JournalCipher, cipher)

  everywhere("are sealed for the engines that have the cipher", (here) =>
    Effect.gen(function*() {
      const { sql } = here
      assert.strictEqual(yield* sql.withTransaction(sealed(loginIn(sql, "hunter2"))), "e")
      const [fact] = yield* here.journal.facts("e", 0)
      assert.match(fact!.data, /^\{"sealed":/)
      assert.notInclude(fact!.data, "hunter2")
      assert.strictEqual(yield* sealed(loginIn(sql, "hunter2")), "e")
      const conflict = yield* Effect.exit(sealed(loginIn(sql, "hunter3")))
      assert.strictEqual(tagOf(conflict), "ExecutionConflict")
      assert.include((errorOf(conflict) as Error).message, "exists with another payload")
      const { engine } = yield* sealed(boot(here.store, [login], { poll: 20 }))
      assert.strictEqual(yield* inTime("it ends", engine.await(login, "e")), 7)
    }))

  everywhere("are refused without a cipher, as an engine refuses them", (here) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(loginIn(here.sql, "hunter2"))
      assert.isTrue(Exit.hasDies(exit))
      assert.match((errorOf(exit) as Error).message, /its payload holds a `Schema.Redacted`/)
      assert.deepStrictEqual(yield* rowsOf(here.sql), none)
    }))

  everywhere("that cannot be sealed are not written, and the transaction goes on", (here) =>
    Effect.gen(function*() {
      const unavailable = Effect.fail(new JournalUnavailable({ operation: "seal", cause: "no key" }))
      const exit = yield* here.sql.withTransaction(
        Effect.tap(
          Effect.exit(
            Effect.provideService(loginIn(here.sql, "x"), JournalCipher, { ...cipher, seal: () => unavailable })
          ),
          () => insert(here.sql, "A-1")
        )
      )
      assert.strictEqual(tagOf(exit), "JournalUnavailable")
      assert.deepStrictEqual(yield* orders(here.sql), ["A-1"])
      assert.deepStrictEqual(yield* rowsOf(here.sql), none)
    }))
})

// ------------------------------------------------------------------------------------------- the rest

it.effect("SQLite: an engine waits for a transaction for longer than it gives a statement, and goes on after it", () =>
  Effect.scoped(Effect.gen(function*() {
    const here = yield* onSqlite({ statementTimeout: "20 millis" })
    const [{ engine }, lines] = yield* logged(boot(here.store, [ship], { poll: 20 }))
    const { goOn } = yield* placing(here.sql, "A-1")
    const asking = yield* Effect.forkChild(engine.start(ship, { id: "B-1" }), { startImmediately: true })
    yield* eventually("it is told that there was no answer", Effect.sync(() => lines.length > 0))
    assert.match(lines[0]!, /no answer within 20ms/)
    yield* goOn
    yield* inTime("it is started", Fiber.join(asking))
    for (const id of ["A-1", "B-1"]) {
      assert.strictEqual(yield* inTime("it ends", engine.await(ship, `Ship/${id}`)), `van for ${id}`)
    }
  })))

const Shipped = DomainEvent.make("Shipped", { payload: Schema.String, key: (id) => id })

it.effect("SQLite: who asks an engine inside of a transaction is told at once that it would wait for itself", () =>
  Effect.scoped(Effect.gen(function*() {
    const here = yield* onSqlite()
    const { bus, engine } = yield* boot(here.store, [ship], { poll: 20 })
    yield* engine.execute(ship, { id: "A-1" })
    const by = { actor: "ann", comment: "no" }
    const asked: Record<string, Effect.Effect<unknown, unknown>> = {
      start: engine.start(ship, { id: "B-1" }),
      await: engine.await(ship, "Ship/A-1"),
      find: engine.poll("Ship/A-1"),
      facts: engine.cancel("Ship/A-1"),
      publish: bus.publish(Shipped, "A-1"),
      kinds: engine.list(),
      deadLetterCount: engine.deadLetterCount,
      history: engine.history("Ship/A-1")
    }
    yield* here.sql.withTransaction(Effect.gen(function*() {
      for (const [operation, asking] of Object.entries(asked)) {
        const exit = yield* inTime(operation, Effect.exit(asking), 1_000)
        assert.include(
          (errorOf(exit) as Error).message,
          `The journal did not answer to "${operation}": it is asked inside of a transaction on the same SQLite file`
        )
        assert.strictEqual(tagOf(exit), "JournalUnavailable")
      }
      assert.strictEqual(tagOf(yield* Effect.exit(engine.abandon("Ship/A-1", by))), "JournalUnavailable")
      yield* insert(here.sql, "A-1")
      yield* startIn(here.sql, { id: "C-1" })
    }))
    assert.deepStrictEqual(yield* orders(here.sql), ["A-1"])
    assert.strictEqual(yield* inTime("it ends", engine.await(ship, "Ship/C-1")), "van for C-1")
    assert.strictEqual(yield* inTime("it is asked again", engine.execute(ship, { id: "B-1" })), "van for B-1")
  })))

it.effect("PostgreSQL: what an engine starts inside of a transaction is no part of it", () =>
  Effect.scoped(Effect.gen(function*() {
    const here = yield* onPostgres()
    const { engine } = yield* boot(here.store, [ship], { poll: 20 })
    yield* Effect.exit(here.sql.withTransaction(
      Effect.andThen(engine.start(ship, { id: "A-1" }), Effect.fail("rolled back"))
    ))
    assert.strictEqual(yield* inTime("it ends", engine.await(ship, "Ship/A-1")), "van for A-1")
  })))
