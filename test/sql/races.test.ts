/** What can come between two statements of two processes, on a real server. Each test sees to it that it does. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Layer, Option, Result, Scope } from "effect"
import type { Journal, Lease } from "effect-saga/SagaJournal"
import { SqlSagaJournal } from "effect-saga/sql"
import { SqlClient } from "effect/sql"
import { describe } from "vitest"
import {
  acquire,
  batch,
  claimAll,
  committed,
  contents,
  fact,
  factsOf,
  idsOf,
  leaseLost,
  missing,
  start,
  starting,
  update,
  waiting
} from "../../src/testing/internal/journal/records.ts"
import * as Postgres from "./postgres.ts"
import { openScene, type Scene, scene, until } from "./scene.ts"

const live = Clock.Clock.defaultValue()

const race = <E>(what: string, body: (scene: Scene) => Effect.Effect<void, E, Scope.Scope>) =>
  it.effect(what, () => Effect.flatMap(scene, body))

/** A lease that has run out when it is taken. */
const acquireShort = (journal: Journal) => journal.acquire({ name: "short", leaseMillis: 0 })

/** Locks the row of a lease, as a statement under it does or as one that changes it, or ends it. */
const share = (lease: Lease) => `SELECT 1 FROM saga_leases WHERE id = ${lease.id} FOR SHARE`
const lock = (lease: Lease) => `SELECT 1 FROM saga_leases WHERE id = ${lease.id} FOR UPDATE`
const end = (lease: Lease) => `UPDATE saga_leases SET ended = true, epoch = epoch + 1 WHERE id = ${lease.id}`

/** Locks the row of an execution, so that a batch that changes it stalls in its middle. */
const stall = (executionId: string) => `SELECT 1 FROM saga_executions WHERE execution_id = '${executionId}' FOR UPDATE`

/** Which sessions hold the lock of a lease. */
const holders = (scene: Scene) =>
  Effect.map(
    scene.sql<{ readonly pid: number }>`SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    (rows) => rows.map(({ pid }) => pid)
  )

describe("a batch and a takeover", () => {
  race(
    "a batch that has found its lease is waited for, and after it nothing is written",
    (scene) =>
      Effect.gen(function*() {
        const [frozen, taker] = [yield* scene.journal(), yield* scene.journal()]
        const [lease, other] = [yield* acquireShort(frozen), yield* acquire(taker)]
        yield* frozen.write(lease, starting(start("one")))
        const late = batch({ facts: [fact("one", 1)], updates: [update("one", "Running", { released: false })] })
        const writing = Effect.gen(function*() {
          const write = yield* Effect.forkDetach(frozen.write(lease, late), { startImmediately: true })
          yield* scene.stalled(1)
          const take = yield* Effect.forkDetach(taker.takeOver(other), { startImmediately: true })
          yield* scene.stalled(2)
          assert.isUndefined(take.pollUnsafe())
          return [write, take] as const
        })
        const [write, take] = yield* scene.holding(stall("one"), writing)
        assert.deepStrictEqual(yield* Fiber.join(write), committed)
        assert.strictEqual(yield* Fiber.join(take), 1)
        assert.deepStrictEqual(yield* frozen.write(lease, batch({ facts: [fact("one", 2)] })), leaseLost)
        const [claimed] = yield* claimAll(taker, other)
        assert.deepStrictEqual(claimed?.facts, factsOf("one", 0, 1))
      })
  )

  race("a batch that comes while its lease is being ended writes nothing", (scene) =>
    Effect.gen(function*() {
      const journal = yield* scene.journal()
      const lease = yield* acquire(journal)
      yield* journal.write(lease, starting(start("one")))
      const before = yield* contents(journal, "one", "two")
      const late = batch({
        starts: [start("two")],
        facts: [fact("one", 1), fact("two", 0)],
        updates: [update("one", "Succeeded")]
      })
      assert.deepStrictEqual(yield* scene.against(end(lease), journal.write(lease, late)), leaseLost)
      assert.deepStrictEqual(yield* contents(journal, "one", "two"), before)
    }))

  race("a claim that comes while its lease is being ended takes nothing", (scene) =>
    Effect.gen(function*() {
      const journal = yield* scene.journal()
      const lease = yield* acquire(journal)
      yield* journal.write(lease, waiting(0, start("one")))
      assert.deepStrictEqual(yield* scene.against(end(lease), claimAll(journal, lease)), [])
      const other = yield* acquire(journal)
      assert.deepStrictEqual(idsOf(yield* claimAll(journal, other)), ["one"])
    }))

  race(
    "a renewal that comes while its lease is being ended is refused and changes nothing",
    (scene) =>
      Effect.gen(function*() {
        const journal = yield* scene.journal()
        const lease = yield* acquire(journal)
        const row = scene.sql`SELECT expires_at_millis, ended FROM saga_leases WHERE id = ${lease.id}`.values
        const [[expires]] = (yield* row) as [[bigint]]
        assert.isFalse(yield* scene.against(end(lease), journal.renew(lease, 3_600_000)))
        assert.deepStrictEqual(yield* row, [[expires, true]])
        assert.deepStrictEqual(yield* holders(scene), [])
      })
  )

  race("a takeover that comes while the lease is being renewed leaves it alone", (scene) =>
    Effect.gen(function*() {
      const [slow, taker] = [yield* scene.journal(), yield* scene.journal()]
      const [lease, other] = [yield* acquireShort(slow), yield* acquire(taker)]
      yield* slow.write(lease, starting(start("one")))
      const renewal = `UPDATE saga_leases SET expires_at_millis = expires_at_millis + 60000 WHERE id = ${lease.id}`
      assert.strictEqual(yield* scene.against(renewal, taker.takeOver(other)), 0)
      assert.deepStrictEqual(yield* slow.write(lease, batch({ facts: [fact("one", 1)] })), committed)
    }))

  race("of two takers at once each execution goes through one", (scene) =>
    Effect.gen(function*() {
      const dead = yield* scene.journal()
      const lease = yield* acquireShort(dead)
      const ids = Array.from({ length: 1_200 }, (_, index) => `one-${index}`)
      yield* dead.write(lease, starting(...ids.map((id) => start(id))))
      const takers = [yield* scene.journal(), yield* scene.journal()]
      const leases = yield* Effect.forEach(takers, acquire)
      const taking = Effect.all(takers.map((taker, index) => taker.takeOver(leases[index]!)), { concurrency: 2 })
      const counts = yield* scene.against(lock(lease), taking, 2)
      assert.strictEqual(counts[0]! + counts[1]!, ids.length)
      const claimed = yield* claimAll(takers[0]!, leases[0]!, { limit: 2_000 })
      assert.deepStrictEqual([...idsOf(claimed)].sort(), ids.sort())
      assert.isTrue(claimed.every(({ takeovers }) => takeovers === 1))
    }))

  race("what a taker that died has left is finished by the next one", (scene) =>
    Effect.gen(function*() {
      const dead = yield* scene.journal()
      const lease = yield* acquire(dead)
      yield* dead.write(lease, starting(...Array.from({ length: 700 }, (_, index) => start(`one-${index}`))))
      // It ended the lease and gave back a page.
      yield* scene.sql.unsafe(end(lease))
      yield* scene.sql`UPDATE saga_executions SET owner = NULL, clean = false, takeovers = 1, due_at_millis = 0
        WHERE execution_id IN (SELECT execution_id FROM saga_executions LIMIT 500)`
      const taker = yield* scene.journal()
      const other = yield* acquire(taker)
      assert.strictEqual(yield* taker.takeOver(other), 200)
      const claimed = yield* claimAll(taker, other)
      assert.strictEqual(claimed.filter(({ takeovers }) => takeovers === 1).length, 700)
      assert.deepStrictEqual(yield* scene.sql`SELECT id FROM saga_leases WHERE NOT returned`.values, [[
        BigInt(other.id)
      ]])
    }))
})

describe("a batch without an answer", () => {
  race(
    "whose commit was done counts once, and its answer is the second time the same",
    (scene) =>
      Effect.gen(function*() {
        const [journal, wire] = yield* scene.wired()
        const lease = yield* acquire(journal)
        yield* journal.write(lease, starting(start("taken"), start("one")))
        const lossy = batch({
          starts: [start("lossy"), start("taken")],
          facts: [fact("lossy", 0), fact("lossy", 1), fact("taken", 0), fact("one", 1)],
          updates: [update("one", "Waiting", { dueAtMillis: 0 }), update("lossy", "Succeeded")]
        })
        yield* wire.loseAnswerTo("lossy")
        const first = yield* Effect.flip(journal.write(lease, lossy))
        assert.strictEqual(first._tag, "JournalUnavailable")
        // It was written, and another process has gone on from there.
        yield* until(scene.sql`SELECT 1 FROM saga_facts WHERE execution_id = 'lossy'`, (rows) => rows.length === 2)
        assert.strictEqual(wire.lost(), 1)
        const other = yield* scene.journal()
        const another = yield* acquire(other)
        assert.deepStrictEqual(idsOf(yield* claimAll(other, another)), ["one"])
        const before = yield* contents(other, "lossy", "one", "taken")
        assert.deepStrictEqual(yield* journal.write(lease, lossy), missing("taken"))
        assert.deepStrictEqual(yield* contents(other, "lossy", "one", "taken"), before)
        assert.deepStrictEqual(
          yield* other.write(another, batch({ facts: [fact("one", 2)], updates: [update("one", "Succeeded")] })),
          committed
        )
      })
  )

  race(
    "whose session was killed before its commit was not written, and is the second time",
    (scene) =>
      Effect.gen(function*() {
        const journal = yield* scene.journal()
        const lease = yield* acquire(journal)
        yield* journal.write(lease, starting(start("one")))
        const cut = batch({ facts: [fact("one", 1)], updates: [update("one", "Succeeded")] })
        const killing = Effect.gen(function*() {
          const write = yield* Effect.forkDetach(Effect.flip(journal.write(lease, cut)), { startImmediately: true })
          const [pid] = yield* scene.stalled(1)
          yield* scene.sql`SELECT pg_terminate_backend(${pid!})`
          return yield* Fiber.join(write)
        })
        assert.strictEqual((yield* scene.holding(stall("one"), killing))._tag, "JournalUnavailable")
        assert.deepStrictEqual(yield* journal.facts("one", 1), [])
        assert.deepStrictEqual(yield* journal.write(lease, cut), committed)
        assert.deepStrictEqual(yield* journal.facts("one", 0), [fact("one", 0), fact("one", 1)])
      })
  )

  race("whose session is frozen is given up in time, and counts once when it wakes", (scene) =>
    Effect.gen(function*() {
      const journal = yield* scene.journal({ statementTimeout: "300 millis" })
      const lease = yield* acquire(journal)
      yield* journal.write(lease, starting(start("one")))
      const cut = batch({ facts: [fact("one", 1)], updates: [update("one", "Succeeded")] })
      const freezing = Effect.gen(function*() {
        const write = yield* Effect.forkDetach(Effect.flip(journal.write(lease, cut)), { startImmediately: true })
        const [pid] = yield* scene.stalled(1)
        yield* Effect.acquireRelease(
          Effect.sync(() => process.kill(pid!, "SIGSTOP")),
          () => Effect.sync(() => process.kill(pid!, "SIGCONT"))
        )
        const before = live.currentTimeMillisUnsafe()
        assert.strictEqual((yield* Fiber.join(write))._tag, "JournalUnavailable")
        assert.isBelow(live.currentTimeMillisUnsafe() - before, 2_000)
        return pid!
      })
      const pid = yield* scene.holding(stall("one"), freezing)
      // The frozen one has the lease and the place of the fact: the second attempt is given up too.
      const again = yield* Effect.flip(journal.write(lease, cut))
      assert.strictEqual(again._tag, "JournalUnavailable")
      process.kill(pid, "SIGCONT")
      const written = until(Effect.result(journal.write(lease, cut)), Result.isSuccess)
      assert.deepStrictEqual(yield* written, Result.succeed(committed))
      assert.deepStrictEqual(yield* journal.facts("one", 0), [fact("one", 0), fact("one", 1)])
    }))

  race("a claim whose answer was lost is delivered by the next one", (scene) =>
    Effect.gen(function*() {
      const [journal, wire] = yield* scene.wired()
      const lease = yield* acquire(journal)
      const sagas = [{ saga: "Lossy", version: 1 }]
      yield* journal.write(lease, waiting(0, start("one", { saga: "Lossy" }), start("two", { saga: "Lossy" })))
      yield* wire.loseAnswerTo("Lossy")
      yield* Effect.flip(claimAll(journal, lease, { sagas, limit: 1 }))
      assert.strictEqual(wire.lost(), 1)
      const owned = scene.sql`SELECT 1 FROM saga_executions WHERE owner IS NOT NULL`
      yield* until(owned, (rows) => rows.length === 1)
      const claimed = yield* claimAll(journal, lease, { sagas })
      assert.deepStrictEqual([...idsOf(claimed)].sort(), ["one", "two"])
      assert.deepStrictEqual(yield* claimAll(journal, lease, { sagas }), [])
    }))

  race("a claim without an answer that is still under way is waited for", (scene) =>
    Effect.gen(function*() {
      const [journal, wire] = yield* scene.wired()
      const lease = yield* acquire(journal)
      const sagas = [{ saga: "Lossy", version: 1 }]
      yield* journal.write(lease, waiting(0, start("one", { saga: "Lossy" }), start("two", { saga: "Lossy" })))
      yield* wire.loseAnswerTo("Lossy")
      yield* Effect.flip(claimAll(journal, lease, { sagas, limit: 1 }))
      // What its statement would still be doing: it holds the lease and takes the other one.
      const [, [own]] = (yield* until(
        scene.sql`SELECT execution_id, claim FROM saga_executions ORDER BY owner NULLS FIRST`.values,
        (rows) => rows[1]?.[1] !== 0
      )) as unknown as [unknown, [string]]
      const taking = `WITH lease AS (${share(lease)})
        UPDATE saga_executions SET owner = ${lease.id}, claim = 1 FROM lease WHERE execution_id <> '${own}'`
      const claimed = yield* scene.against(taking, claimAll(journal, lease, { sagas }))
      assert.deepStrictEqual([...idsOf(claimed)].sort(), ["one", "two"])
    }))

  it.effect("when the server was gone is written when it is back, and what was committed is there", () =>
    Effect.gen(function*() {
      const server = yield* Postgres.privateServer
      const { journal: open } = yield* openScene(yield* Postgres.database(server.url))
      const journal = yield* open()
      const lease = yield* acquire(journal)
      yield* journal.write(lease, starting(start("one")))
      yield* server.kill
      const next = batch({ facts: [fact("one", 1)] })
      assert.strictEqual((yield* Effect.flip(journal.write(lease, next)))._tag, "JournalUnavailable")
      yield* server.start
      const written = yield* until(Effect.result(journal.write(lease, next)), Result.isSuccess)
      assert.deepStrictEqual(written, Result.succeed(committed))
      assert.deepStrictEqual(yield* journal.facts("one", 0), factsOf("one", 0, 0).concat(fact("one", 1)))
    }))
})

describe("the lock of an engine", () => {
  race("whose session is cut moves to another one, and nobody takes over meanwhile", (scene) =>
    Effect.gen(function*() {
      const journal = yield* scene.journal()
      const lease = yield* acquire(journal)
      yield* journal.write(lease, starting(start("one")))
      const [pid] = yield* holders(scene)
      const taker = yield* scene.journal()
      const other = yield* acquire(taker)
      yield* scene.sql`SELECT pg_terminate_backend(${pid!}, 10000)`
      assert.notInclude(yield* holders(scene), pid)
      assert.strictEqual(yield* taker.takeOver(other), 0)
      yield* until(holders(scene), (pids) => pids.length === 2)
      assert.isTrue(yield* journal.renew(lease, 60_000))
      assert.deepStrictEqual(yield* journal.write(lease, batch({ facts: [fact("one", 1)] })), committed)
    }))

  race("a process that is gone is noticed long before its lease has run out", (scene) =>
    Effect.gen(function*() {
      const [journal, wire] = yield* scene.wired()
      const lease = yield* journal.acquire({ name: "dies", leaseMillis: 3_600_000 })
      yield* journal.write(lease, starting(start("one")))
      const taker = yield* scene.journal()
      const other = yield* acquire(taker)
      assert.strictEqual(yield* taker.takeOver(other), 0)
      yield* wire.cut
      yield* until(holders(scene), (pids) => pids.length === 1)
      assert.strictEqual(yield* taker.takeOver(other), 1)
    }))

  race(
    "a process that is frozen keeps it, and is taken over when its lease has run out",
    (scene) =>
      Effect.gen(function*() {
        const [journal, wire] = yield* scene.wired({ statementTimeout: "20 seconds" })
        const lease = yield* journal.acquire({ name: "freezes", leaseMillis: 1_000 })
        yield* journal.write(lease, starting(start("one")))
        yield* wire.hold
        const late = yield* Effect.forkChild(journal.write(lease, batch({ facts: [fact("one", 1)] })), {
          startImmediately: true
        })
        const taker = yield* scene.journal()
        const other = yield* acquire(taker)
        assert.strictEqual(yield* until(taker.takeOver(other), (count) => count > 0), 1)
        assert.strictEqual((yield* holders(scene)).length, 2)
        yield* wire.resume
        assert.deepStrictEqual(yield* Fiber.join(late), leaseLost)
        assert.deepStrictEqual(yield* taker.facts("one", 1), [])
        assert.isFalse(yield* journal.renew(lease, 1_000))
        yield* until(holders(scene), (pids) => pids.length === 1)
      })
  )

  race("is free when its lease has ended, and its session is back in the pool", (scene) =>
    Effect.gen(function*() {
      const journal = yield* scene.journal()
      for (let round = 0; round < 30; round++) yield* journal.end(yield* acquire(journal))
      assert.deepStrictEqual(yield* holders(scene), [])
    }))

  it.effect("in a pool with one connection is refused with a hint", () =>
    Effect.gen(function*() {
      const sql = yield* (yield* Postgres.database(yield* Postgres.serverUrl)).connect({ maxConnections: 1 })
      const options = { statementTimeout: "200 millis" } as const
      const journal = yield* Effect.provideService(SqlSagaJournal.make(options), SqlClient.SqlClient, sql)
      assert.match((yield* Effect.flip(acquire(journal))).message, /give the pool at least two/)
    }))
})

describe("the tables", () => {
  const layerOf = (sql: SqlClient.SqlClient, options: SqlSagaJournal.Options = {}) =>
    Layer.provide(SqlSagaJournal.layerWith(options), Layer.succeed(SqlClient.SqlClient, sql))

  race("are made once by many at once", (scene) =>
    Effect.gen(function*() {
      const build = Effect.scoped(Layer.build(Layer.fresh(layerOf(scene.sql))))
      yield* Effect.all(Array.from({ length: 8 }, () => build), { concurrency: "unbounded" })
      assert.strictEqual((yield* scene.sql`SELECT 1 FROM saga_migrations`).length, 2)
    }))

  race("are made by one while the other waits", (scene) =>
    Effect.gen(function*() {
      // As the migrator makes it.
      yield* scene.sql`CREATE TABLE saga_migrations (migration_id integer primary key,
        created_at timestamp with time zone not null default now(), name text not null)`
      const build = Effect.scoped(Layer.build(Layer.fresh(layerOf(scene.sql))))
      const both = Effect.all([build, build], { concurrency: 2, discard: true })
      yield* scene.against("LOCK TABLE saga_migrations IN ACCESS EXCLUSIVE MODE", both, 2)
      assert.strictEqual((yield* scene.sql`SELECT 1 FROM saga_migrations`).length, 2)
      assert.deepStrictEqual((yield* (yield* scene.journal()).list({ limit: 1 })).executions, [])
    }))

  race("of a newer release are refused", (scene) =>
    Effect.gen(function*() {
      yield* scene.journal()
      yield* scene.sql`INSERT INTO saga_migrations (migration_id, name) VALUES (99, 'of the future')`
      for (const migrations of [true, false]) {
        const error = yield* Effect.flip(Layer.build(layerOf(scene.sql, { migrations })))
        assert.deepInclude(error, { _tag: "SchemaMismatch", table: "saga_migrations", found: 99, expected: 2 })
        assert.match(error.message, /newer release/)
      }
    }))

  race("that are not there are missed, if they are not to be made", (scene) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Layer.build(layerOf(scene.sql, { migrations: false, prefix: "other_" })))
      assert.deepInclude(error, { _tag: "SchemaMismatch", table: "other_migrations", found: 0 })
      const migrating = SqlSagaJournal.layerMigrationsWith({ prefix: "other_" })
      yield* Layer.build(Layer.provide(migrating, Layer.succeed(SqlClient.SqlClient, scene.sql)))
      yield* Layer.build(layerOf(scene.sql, { migrations: false, prefix: "other_" }))
    }))

  race("of two prefixes know nothing of each other", (scene) =>
    Effect.gen(function*() {
      const journals = [yield* scene.journal({ prefix: "one_" }), yield* scene.journal({ prefix: "two_" })]
      const leases = yield* Effect.forEach(journals, acquire)
      yield* journals[0]!.write(leases[0]!, starting(start("one")))
      assert.deepStrictEqual(yield* journals[1]!.find("one"), Option.none())
      yield* journals[1]!.write(leases[1]!, starting(start("one")))
      assert.strictEqual(yield* journals[0]!.takeOver(leases[0]!), 0)
    }))
})

describe("around the caller", () => {
  race(
    "a transaction of the caller holds nothing that is written, and its rollback takes nothing back",
    (scene) =>
      Effect.gen(function*() {
        const journal = yield* Effect.provideService(SqlSagaJournal.make(), SqlClient.SqlClient, scene.sql)
        const lease = yield* acquire(journal)
        const exit = yield* Effect.exit(scene.sql.withTransaction(Effect.gen(function*() {
          yield* scene.sql`CREATE TABLE inside (a int)`
          yield* journal.write(lease, starting(start("one")))
          assert.isTrue(yield* journal.send({ executionId: "one", kind: "Cancel", data: "{}" }))
          return yield* Effect.fail("rolled back")
        })))
        assert.isTrue(Exit.isFailure(exit))
        assert.deepStrictEqual(yield* scene.sql`SELECT to_regclass('inside') AS inside`, [{ inside: null }])
        assert.deepStrictEqual(yield* journal.facts("one", 0), [fact("one", 0)])
      })
  )
})
