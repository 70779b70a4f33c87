import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Result } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import * as Postgres from "./postgres.ts"

/** Asks again while the connection is the trouble. */
const persistently = <A, R>(effect: Effect.Effect<A, SqlError.SqlError, R>) =>
  Effect.retry(effect, { times: 20, while: (error) => error.reason._tag === "ConnectionError" })

it.effect("answers, and is as safe as in production", () =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    assert.deepStrictEqual(yield* sql`SELECT ${"Grüße"}::text AS word, 1::int AS one`, [{ word: "Grüße", one: 1 }])
    assert.deepStrictEqual(yield* sql`SELECT current_setting('fsync'), current_setting('synchronous_commit')`.values, [
      ["on", "on"]
    ])
  }).pipe(Effect.provide(Postgres.layer())))

it.effect("each test has a database of its own, which is gone afterwards", () =>
  Effect.gen(function*() {
    const used = Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE t AS SELECT 1 AS a`
      return (yield* Postgres.TestDatabase).url
    })
    const urls = yield* Effect.all(
      [1, 2].map(() => Effect.provide(used, Postgres.layer(), { local: true })),
      { concurrency: 2 }
    )
    assert.strictEqual(new Set(urls).size, 2)
    const sql = yield* SqlClient.SqlClient
    const names = urls.map((url) => new URL(url).pathname.slice(1))
    assert.deepStrictEqual(yield* sql`SELECT datname FROM pg_database WHERE ${sql.in("datname", names)}`, [])
  }).pipe(Effect.provide(Postgres.layer())))

it.effect("killed connections fail what they run, and the client opens others", () =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const database = yield* Postgres.TestDatabase
    yield* sql`CREATE TABLE t (a INT)`
    const inside = yield* Effect.forkChild(
      // Its rollback has no connection left and dies of that: a result would not hold it.
      Effect.exit(sql.withTransaction(Effect.andThen(sql`INSERT INTO t VALUES (1)`, sql`SELECT pg_sleep(60)`))),
      { startImmediately: true }
    )
    const other = yield* database.connect()
    const asleep = other`SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()`
    while ((yield* asleep).length === 0) yield* Effect.yieldNow
    assert.isAtLeast(yield* database.killConnections, 2)
    assert.isTrue(Exit.isFailure(yield* Fiber.join(inside)))
    assert.deepStrictEqual(yield* persistently(sql`SELECT a FROM t`), [])
  }).pipe(Effect.provide(Postgres.layer({ maxConnections: 2 }))))

it.effect("a private server loses nothing that was committed when it is killed", () =>
  Effect.gen(function*() {
    const server = yield* Postgres.privateServer
    const database = yield* Postgres.database(server.url)
    const sql = yield* database.connect()
    yield* sql`CREATE TABLE t (a INT)`
    yield* sql`INSERT INTO t VALUES (1)`
    yield* server.kill
    assert.isTrue(Result.isFailure(yield* Effect.result(sql`SELECT 1`)))
    yield* server.start
    assert.deepStrictEqual(yield* persistently(sql`SELECT a FROM t`), [{ a: 1 }])
    yield* server.stop
    assert.isTrue(Result.isFailure(yield* Effect.result(sql`SELECT 1`)))
    yield* server.start
    assert.deepStrictEqual(yield* persistently(sql`SELECT a FROM t`), [{ a: 1 }])
  }))

it.effect("a frozen server answers when it is thawed, and not before", () =>
  Effect.gen(function*() {
    const server = yield* Postgres.privateServer
    const database = yield* Postgres.database(server.url)
    const sql = yield* database.connect()
    yield* sql`SELECT 1`
    yield* server.freeze
    const asked = yield* Effect.forkChild(sql`SELECT 2 AS two`, { startImmediately: true })
    yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 200)))
    assert.isUndefined(asked.pollUnsafe())
    yield* server.thaw
    assert.deepStrictEqual(yield* Fiber.join(asked), [{ two: 2 }])
  }))
