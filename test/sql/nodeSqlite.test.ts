import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Result, Scope, Stream } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlError } from "effect/sql"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { EngineLock } from "../../src/sql/EngineLock.ts"
import * as NodeSqlite from "../../src/sql/NodeSqlite.ts"

const memory = Effect.provide(NodeSqlite.layer({ filename: ":memory:" }))

const temporaryDirectory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "effect-saga-sqlite-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)
const temporaryFile = Effect.map(temporaryDirectory, (path) => join(path, "journal.db"))

/** A client of its own, as another process would have, until the scope closes. */
const open = (options: NodeSqlite.Options) => Effect.provide(NodeSqlite.make(options), Reactivity.layer)

const reasonOf = <A>(result: Result.Result<A, SqlError.SqlError>) => {
  if (Result.isSuccess(result)) return assert.fail("it succeeded")
  return result.failure.reason
}

describe("values", () => {
  const roundTrip = (value: unknown, type: string) =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const [row] = yield* sql<{ readonly value: unknown; readonly type: string }>`
        SELECT v AS value, typeof(v) AS type FROM (SELECT ${value} AS v)`
      assert.strictEqual(row?.type, type)
      return row?.value
    })

  const same: ReadonlyArray<readonly [name: string, value: string | number | null, type: string]> = [
    ["null", null, "null"],
    ["a fraction", 0.1, "real"],
    ["the largest number", Number.MAX_VALUE, "real"],
    ["infinity", Infinity, "real"],
    ["the largest safe integer", Number.MAX_SAFE_INTEGER, "integer"],
    ["the smallest safe integer", Number.MIN_SAFE_INTEGER, "integer"],
    ["minus zero", -0, "real"],
    ["no text", "", "text"],
    ["text outside of ASCII", "Grüße, 東京 👩‍👩‍👧 \u{1F9D1}\u0301", "text"],
    ["text with NUL inside", "a\0b\0", "text"],
    ["text that looks like SQL", "'; DROP TABLE x; -- ?", "text"],
    ["a long text", "x".repeat(1_000_000), "text"]
  ]
  it.effect.each(same)("%s comes back as it was", ([, value, type]) =>
    Effect.gen(function*() {
      assert.strictEqual(yield* roundTrip(value, type), value)
    }).pipe(memory))

  it.effect("a whole number in a text column has no fraction", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE t (a TEXT)`
      yield* sql`INSERT INTO t VALUES (${5})`
      assert.deepStrictEqual(yield* sql`SELECT a FROM t`.values, [["5"]])
    }).pipe(memory))

  it.effect("bytes come back as bytes", () =>
    Effect.gen(function*() {
      const bytes = Uint8Array.from([0, 255, 1, 0])
      assert.deepStrictEqual(yield* roundTrip(bytes, "blob"), bytes)
      assert.deepStrictEqual(yield* roundTrip(Buffer.from(bytes), "blob"), bytes)
      assert.deepStrictEqual(yield* roundTrip(bytes.buffer, "blob"), bytes)
      assert.deepStrictEqual(yield* roundTrip(new Uint8Array(), "blob"), new Uint8Array())
    }).pipe(memory))

  it.effect("booleans, undefined and dates become what SQLite knows, in the first place too", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* roundTrip(true, "integer"), 1)
      assert.strictEqual(yield* roundTrip(false, "integer"), 0)
      assert.strictEqual(yield* roundTrip(undefined, "null"), null)
      assert.strictEqual(yield* roundTrip(new Date(0), "text"), "1970-01-01T00:00:00.000Z")
    }).pipe(memory))

  it.effect("big integers are exact with SafeIntegers, and refused without", () =>
    Effect.gen(function*() {
      const big = 2n ** 63n - 1n
      const exact = Effect.provideService(roundTrip(big, "integer"), SqlClient.SafeIntegers, true)
      assert.strictEqual(yield* exact, big)
      const refused = reasonOf(yield* Effect.result(roundTrip(big, "integer")))
      assert.include(refused.message, "SafeIntegers")
      // The same kept statement again: what was set for one call is not left for the next.
      assert.strictEqual(yield* exact, big)
      assert.strictEqual(yield* roundTrip(1n, "integer"), 1)
      const tooBig = reasonOf(yield* Effect.result(roundTrip(2n ** 63n, "integer")))
      assert.include(tooBig.message, "too large")
    }).pipe(memory))

  it.effect.each([{}, { a: 1 }, [1], () => 1, Symbol("s"), new Map(), new Date(Number.NaN)])(
    "a value that SQLite does not know is refused, not bound as something else (%#)",
    (value) =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const reason = reasonOf(yield* Effect.result(sql.unsafe("SELECT ? AS v", [value])))
        assert.strictEqual(reason._tag, "UnknownError")
      }).pipe(memory)
  )
})

describe("statements", () => {
  it.effect("a violated unique key is told apart, primary keys and row ids included, and names its columns", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE u (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT NOT NULL CHECK (b <> ''))`
      yield* sql`CREATE TABLE p (x INTEGER, y INTEGER, PRIMARY KEY (x, y)) WITHOUT ROWID`
      yield* sql`INSERT INTO u VALUES (1, 'a', 'b')`
      yield* sql`INSERT INTO p VALUES (1, 2)`
      const violated = (statement: Effect.Effect<unknown, SqlError.SqlError>) =>
        Effect.map(Effect.result(statement), (result) => {
          const reason = reasonOf(result)
          return reason._tag === "UniqueViolation" ? reason.constraint : reason._tag
        })
      assert.strictEqual(yield* violated(sql`INSERT INTO u VALUES (2, 'a', 'b')`), "u.a")
      assert.strictEqual(yield* violated(sql`INSERT INTO u VALUES (1, 'c', 'b')`), "u.id")
      assert.strictEqual(yield* violated(sql`INSERT INTO p VALUES (1, 2)`), "p.x, p.y")
      assert.strictEqual(yield* violated(sql`INSERT INTO u VALUES (3, 'd', NULL)`), "ConstraintError")
      assert.strictEqual(yield* violated(sql`INSERT INTO u VALUES (3, 'd', '')`), "ConstraintError")
    }).pipe(memory))

  it.effect("a statement that SQLite does not understand fails with its words", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const result = yield* Effect.result(sql`SELEC 1`)
      assert.include(reasonOf(result).message, "near \"SELEC\": syntax error")
    }).pipe(memory))

  it.effect("a second statement in one text is refused instead of ignored, comments are not", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const result = yield* Effect.result(sql`SELECT 1; DROP TABLE x`)
      assert.include(reasonOf(result).message, "One statement at a time")
      assert.lengthOf(yield* sql.unsafe("SELECT 1; -- and\n/* no\nmore */ ;"), 1)
    }).pipe(memory))

  it.effect("rows, values, raw results and what is returned by a write", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      assert.deepStrictEqual(yield* sql`CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)`, [])
      const rows = yield* sql`INSERT INTO t (a) VALUES ('x'), ('y') RETURNING id, a`
      assert.deepStrictEqual(rows.map((row) => ({ ...row })), [{ id: 1, a: "x" }, { id: 2, a: "y" }])
      assert.deepStrictEqual(yield* sql`SELECT id, a FROM t`.values, [[1, "x"], [2, "y"]])
      // The same statement, kept, gives rows again.
      assert.strictEqual((yield* sql`SELECT id, a FROM t`)[0]?.["a"], "x")
      const raw = yield* sql`UPDATE t SET a = 'z'`.raw
      assert.deepStrictEqual({ ...(raw as object) }, { changes: 2, lastInsertRowid: 2 })
      assert.deepStrictEqual(yield* sql`SELECT a FROM t`.unprepared.pipe(Effect.map((r) => r.length)), 2)
      assert.strictEqual(sql.driver, "effect-saga/node-sqlite")
    }).pipe(memory))

  it.effect("few kept statements serve many different ones, before and after the table changes", () =>
    Effect.gen(function*() {
      const { client: sql } = yield* open({ filename: ":memory:", preparedStatements: 2 })
      yield* sql`CREATE TABLE t (a INTEGER)`
      yield* sql`INSERT INTO t VALUES (1)`
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 5; i++) {
          assert.strictEqual((yield* sql.unsafe<{ readonly s: number }>(`SELECT a + ${i} AS s FROM t`))[0]?.s, 1 + i)
        }
      }
      assert.deepStrictEqual(yield* sql`SELECT * FROM t`.values, [[1]])
      yield* sql`ALTER TABLE t ADD COLUMN b INTEGER DEFAULT 7`
      assert.deepStrictEqual(yield* sql`SELECT * FROM t`.values, [[1, 7]])
      assert.deepStrictEqual({ ...(yield* sql`SELECT * FROM t`)[0] }, { a: 1, b: 7 })
    }))

  it.effect("a statement is prepared once as long as it is kept", () =>
    Effect.gen(function*() {
      const prepare = DatabaseSync.prototype.prepare
      const texts: Array<string> = []
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          DatabaseSync.prototype.prepare = function(...args) {
            texts.push(args[0])
            return prepare.apply(this, args)
          }
        }),
        () => Effect.sync(() => void (DatabaseSync.prototype.prepare = prepare))
      )
      const { client: sql } = yield* open({ filename: ":memory:", preparedStatements: 2 })
      for (const n of [1, 2, 3]) yield* sql`SELECT ${n}`
      yield* sql`SELECT 'other'`
      yield* sql`SELECT ${4}`
      // The third text sends away the one that was not used longest, which is the other one.
      yield* sql`SELECT 'third'`
      yield* sql`SELECT ${5}`
      yield* sql`SELECT 'other'`
      assert.deepStrictEqual(texts, ["SELECT ?", "SELECT 'other'", "SELECT 'third'", "SELECT 'other'"])
    }))

  it.effect("a stream reads in pieces, keeps the connection, and gives it back when it is left early", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const numbers = sql<{ readonly n: number }>`
        WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < ${1000}) SELECT n FROM count`
      assert.strictEqual(yield* Stream.runFold(numbers.stream, () => 0, (sum, { n }) => sum + n), 500_500)
      const few = yield* numbers.stream.pipe(Stream.take(3), Stream.runCollect)
      assert.deepStrictEqual(few.map(({ n }) => n), [1, 2, 3])
      yield* sql`CREATE TABLE after (a)`
      yield* sql`DROP TABLE after`
      const failed = yield* Effect.result(Stream.runDrain(sql`SELECT 1 UNION ALL SELECT 9007199254740993`.stream))
      assert.include(reasonOf(failed).message, "SafeIntegers")
      assert.deepStrictEqual(yield* Stream.runCollect(sql`SELECT 1 WHERE 0`.stream), [])
    }).pipe(memory))

  it.effect("a stream in a transaction goes on beside other statements", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE t (n INTEGER PRIMARY KEY)`
      yield* sql`CREATE TABLE copy (n INTEGER PRIMARY KEY)`
      yield* sql`INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 300) SELECT n FROM c`
      yield* sql<{ readonly n: number }>`SELECT n FROM t`.stream.pipe(
        Stream.runForEach(({ n }) => sql`INSERT INTO copy VALUES (${n})`),
        sql.withTransaction
      )
      assert.deepStrictEqual(yield* sql`SELECT count(*), sum(n) FROM copy`.values, [[300, 45_150]])
    }).pipe(memory))
})

describe("transactions", () => {
  const rows = (sql: SqlClient.SqlClient) => Effect.map(sql`SELECT a FROM t ORDER BY a`.values, (rows) => rows.flat())

  it.effect("what fails is rolled back, to the savepoint or to the beginning", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE t (a INTEGER)`
      yield* sql.withTransaction(Effect.gen(function*() {
        yield* sql`INSERT INTO t VALUES (1)`
        const inner = Effect.andThen(sql`INSERT INTO t VALUES (2)`, Effect.fail("inner"))
        assert.strictEqual(yield* Effect.flip(sql.withTransaction(inner)), "inner")
        yield* sql.withTransaction(sql`INSERT INTO t VALUES (3)`)
      }))
      const failed = sql.withTransaction(Effect.andThen(sql`INSERT INTO t VALUES (4)`, Effect.fail("outer")))
      assert.strictEqual(yield* Effect.flip(failed), "outer")
      const died = sql.withTransaction(Effect.andThen(sql`INSERT INTO t VALUES (5)`, Effect.die("defect")))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(died)))
      assert.deepStrictEqual(yield* rows(sql), [1, 3])
    }).pipe(memory))

  it.effect("an interrupted transaction is rolled back and the connection is free", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE t (a INTEGER)`
      const inside = yield* Deferred.make<void>()
      const fiber = yield* sql`INSERT INTO t VALUES (1)`.pipe(
        Effect.andThen(Deferred.succeed(inside, undefined)),
        Effect.andThen(Effect.never),
        sql.withTransaction,
        Effect.forkChild
      )
      yield* Deferred.await(inside)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* rows(sql), [])
    }).pipe(memory))

  it.effect("a commit that fails leaves no transaction behind", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE parent (id INTEGER PRIMARY KEY)`
      yield* sql`CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)`
      const exit = yield* Effect.exit(sql.withTransaction(sql`INSERT INTO child VALUES (1)`))
      assert.isTrue(Exit.isFailure(exit))
      yield* sql.withTransaction(sql`INSERT INTO parent VALUES (1)`)
      assert.deepStrictEqual(yield* sql`SELECT (SELECT count(*) FROM child), (SELECT count(*) FROM parent)`.values, [[
        0,
        1
      ]])
    }).pipe(memory))

  it.effect("fibers that read and write in transactions lose no update", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE t (a INTEGER)`
      yield* sql`INSERT INTO t VALUES (0)`
      const increment = sql.withTransaction(Effect.gen(function*() {
        const [a] = yield* rows(sql)
        yield* Effect.yieldNow
        yield* sql`UPDATE t SET a = ${Number(a) + 1}`
      }))
      yield* Effect.all(Array.from({ length: 50 }, () => increment), { concurrency: "unbounded", discard: true })
      assert.deepStrictEqual(yield* rows(sql), [50])
    }).pipe(memory))

  it.effect("two clients of one file lose no update, and the one that waits does not block the other", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const clients = [(yield* open({ filename })).client, (yield* open({ filename })).client] as const
      yield* clients[0]`CREATE TABLE t (a INTEGER)`
      yield* clients[0]`INSERT INTO t VALUES (0)`
      const increment = (sql: SqlClient.SqlClient) =>
        sql.withTransaction(Effect.gen(function*() {
          const [a] = yield* rows(sql)
          yield* Effect.yieldNow
          yield* sql`UPDATE t SET a = ${Number(a) + 1}`
        }))
      yield* Effect.all(
        Array.from({ length: 40 }, (_, i) => increment(clients[i % 2]!)),
        { concurrency: "unbounded", discard: true }
      )
      assert.deepStrictEqual(yield* rows(clients[1]), [40])
    }))

  it.effect("who finds the file busy for too long is told so, and that it may be tried again", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const { client: holder } = yield* open({ filename })
      const { client: other } = yield* open({ filename, busyTimeout: "30 millis" })
      yield* holder`CREATE TABLE t (a INTEGER)`
      yield* holder.withTransaction(Effect.gen(function*() {
        yield* holder`INSERT INTO t VALUES (1)`
        for (const write of [other`INSERT INTO t VALUES (2)`, other.withTransaction(Effect.void)]) {
          const reason = reasonOf(yield* Effect.result(write))
          assert.strictEqual(reason._tag, "LockTimeoutError")
          assert.isTrue(reason.isRetryable)
        }
        // Reading goes on, without what is not committed.
        assert.deepStrictEqual(yield* rows(other), [])
      }))
      yield* other`INSERT INTO t VALUES (2)`
      assert.deepStrictEqual(yield* rows(other), [1, 2])
    }))
})

describe("files", () => {
  it.effect("a file is in WAL mode with synchronous FULL unless told otherwise", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const pragmas = (sql: SqlClient.SqlClient) =>
        Effect.map(
          Effect.all([sql`PRAGMA journal_mode`.values, sql`PRAGMA synchronous`.values]),
          (answers) => answers.flat(2)
        )
      const { client } = yield* open({ filename })
      assert.deepStrictEqual(yield* pragmas(client), ["wal", 2])
      yield* client`CREATE TABLE t (a)`
      assert.includeMembers(yield* Effect.promise(() => readdir(join(filename, ".."))), ["journal.db-wal"])
      const { client: normal } = yield* open({ filename, synchronous: "NORMAL" })
      assert.deepStrictEqual(yield* pragmas(normal), ["wal", 1])
      const { client: off } = yield* open({ filename, synchronous: "OFF" })
      assert.deepStrictEqual(yield* pragmas(off), ["wal", 0])
    }))

  it.effect("what was written is there when the file is opened again", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      yield* Effect.scoped(Effect.flatMap(open({ filename }), ({ client }) => client`CREATE TABLE t AS SELECT 1 AS a`))
      const { client } = yield* open({ filename })
      assert.deepStrictEqual(yield* client`SELECT a FROM t`.values, [[1]])
    }))

  it.effect("a closed client fails, it does not die", () =>
    Effect.gen(function*() {
      const { client } = yield* Effect.scoped(open({ filename: ":memory:" }))
      assert.include(reasonOf(yield* Effect.result(client`SELECT 1`)).message, "not open")
    }))

  const refused = (filename: string) => Effect.map(Effect.result(Effect.scoped(open({ filename }))), reasonOf)

  it.effect("a path that cannot be opened is named, with what to do", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "missing", "journal.db")
      const reason = yield* refused(filename)
      assert.strictEqual(reason._tag, "ConnectionError")
      assert.strictEqual(
        reason.message,
        `Cannot open the SQLite database "${filename}": unable to open database file. `
          + "Create its directory, and let this process write there"
      )
    }))

  it.effect("a file that is something else is named, with what to do, and not touched", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      yield* Effect.promise(() => writeFile(filename, "no database, but long enough to be taken for one".repeat(100)))
      const reason = yield* refused(filename)
      assert.include(reason.message, `"${filename}"`)
      assert.include(reason.message, "Choose another file")
    }))
})

describe("lock", () => {
  const lockTimeout = "120 millis"

  const locked = (lock: EngineLock["Service"]) =>
    Effect.map(
      Effect.result(Effect.scoped(lock.acquire)),
      (result) => Result.isSuccess(result) ? "free" : result.failure._tag
    )

  /** Another process that holds the lock of a file. */
  const holder = (filename: string) =>
    Effect.acquireRelease(
      Effect.callback<ChildProcess, Error>((resume) => {
        const program = join(import.meta.dirname, "fixtures", "holdLock.ts")
        const child = spawn(process.execPath, [program, filename], { stdio: ["ignore", "pipe", "inherit"] })
        child.stdout!.once("data", () => resume(Effect.succeed(child)))
        child.once("exit", (status) => resume(Effect.fail(new Error(`The process ended: ${status}`))))
      }),
      (child) => kill(child)
    )
  const kill = (child: ChildProcess) =>
    Effect.callback<void>((resume) => {
      if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
      child.once("exit", () => resume(Effect.void))
      child.kill("SIGKILL")
    })

  it.effect("another process is excluded while one holds it, and not after that was killed", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const child = yield* holder(filename)
      const { client, lock } = yield* open({ filename, lockTimeout })
      const failure = yield* Effect.flip(Effect.scoped(lock.acquire))
      assert.strictEqual(failure._tag, "JournalLocked")
      assert.include(failure.message, filename)
      // Who only reads or writes tables of its own is not excluded.
      assert.deepStrictEqual(yield* client`SELECT pid FROM written`.values, [[child.pid]])
      yield* client`CREATE TABLE mine (a)`
      yield* kill(child)
      assert.strictEqual(child.signalCode, "SIGKILL")
      yield* lock.acquire
      assert.strictEqual(yield* locked((yield* open({ filename, lockTimeout })).lock), "JournalLocked")
    }))

  it.effect("who waits gets it when the holder dies, and the event loop goes on until then", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const child = yield* holder(filename)
      const { lock } = yield* open({ filename, lockTimeout: "20 seconds" })
      const waiting = yield* Effect.forkChild(lock.acquire, { startImmediately: true })
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 120)))
      assert.isUndefined(waiting.pollUnsafe())
      yield* kill(child)
      yield* Fiber.join(waiting)
    }))

  it.effect("a second engine in the same process is excluded until the scope of the first closes", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const { lock } = yield* open({ filename, lockTimeout })
      const { lock: other } = yield* open({ filename, lockTimeout })
      const scope = yield* Scope.make()
      yield* Scope.provide(lock.acquire, scope)
      assert.strictEqual(yield* locked(other), "JournalLocked")
      assert.strictEqual(yield* locked(lock), "JournalLocked")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* locked(other), "free")
      assert.strictEqual(yield* locked(lock), "free")
    }))

  it.effect("a symbolic link to a file leads to the same lock", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const { lock } = yield* open({ filename })
      yield* lock.acquire
      const link = join(yield* temporaryDirectory, "link.db")
      yield* Effect.promise(() => symlink(filename, link))
      assert.strictEqual(yield* locked((yield* open({ filename: link, lockTimeout })).lock), "JournalLocked")
    }))

  it.effect("a database in memory has a lock of its own", () =>
    Effect.gen(function*() {
      const { lock } = yield* open({ filename: ":memory:", lockTimeout })
      yield* Effect.scoped(Effect.gen(function*() {
        yield* lock.acquire
        assert.strictEqual(yield* locked(lock), "JournalLocked")
        assert.strictEqual(yield* locked((yield* open({ filename: ":memory:", lockTimeout })).lock), "free")
      }))
      assert.strictEqual(yield* locked(lock), "free")
    }))

  it.effect("who gives up waiting holds nothing", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const { lock } = yield* open({ filename })
      const { lock: other } = yield* open({ filename, lockTimeout: "20 seconds" })
      const scope = yield* Scope.make()
      yield* Scope.provide(lock.acquire, scope)
      const waiting = yield* Effect.forkChild(Effect.scoped(other.acquire), { startImmediately: true })
      yield* Fiber.interrupt(waiting)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* locked(lock), "free")
    }))

  it.effect("a lock file that cannot be made is a journal out of reach", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const { lock } = yield* open({ filename, lockTimeout })
      yield* Effect.promise(() => rm(join(filename, ".."), { recursive: true }))
      assert.strictEqual(yield* locked(lock), "JournalUnavailable")
    }))

  it.effect("the layer provides the client and its lock", () =>
    Effect.gen(function*() {
      const lock = yield* EngineLock
      yield* lock.acquire
      assert.strictEqual(yield* locked(lock), "JournalLocked")
      const sql = yield* SqlClient.SqlClient
      assert.deepStrictEqual(yield* sql`SELECT 1`.values, [[1]])
    }).pipe(Effect.provide(NodeSqlite.layer({ filename: ":memory:", lockTimeout }))))
})
