/**
 * A `SqlClient` on the SQLite that Node brings along: one file, one connection, nothing to install.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { hasProperty } from "effect/Predicate"
import * as Reactivity from "effect/reactivity/Reactivity"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlConnection from "effect/sql/SqlConnection"
import * as SqlError from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import { JournalLocked, JournalUnavailable } from "../SagaJournal.ts"
import { EngineLock } from "./EngineLock.ts"

/**
 * How a database is opened.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The path of the file, which is created if there is none; its directory must exist. Or `":memory:"`. */
  readonly filename: string
  /**
   * When a commit is on disk. `"FULL"`: before it returns. `"NORMAL"`: the last commits before a power cut may be lost,
   * those before the death of the process are not. `"OFF"`: a power cut may damage the file.
   *
   * @default "FULL"
   */
  readonly synchronous?: "FULL" | "NORMAL" | "OFF" | undefined
  /**
   * How long a statement waits for another connection that is writing. The event loop goes on meanwhile.
   *
   * @default "5 seconds"
   */
  readonly busyTimeout?: Duration.Input | undefined
  /**
   * How long an engine waits for another one to let go of the file.
   *
   * @default "5 seconds"
   */
  readonly lockTimeout?: Duration.Input | undefined
  /**
   * How many prepared statements are kept.
   *
   * @default 200
   */
  readonly preparedStatements?: number | undefined
}

/** SQLite's result codes, as far as they are told apart here. */
const code = { busy: 5, readOnly: 8, cannotOpen: 14, notADatabase: 26, unique: 2067, primaryKey: 1555, rowId: 2579 }

const resultCode = (cause: unknown): number | undefined =>
  hasProperty(cause, "errcode") && typeof cause.errcode === "number" ? cause.errcode : undefined

const isBusy = (cause: unknown): boolean => ((resultCode(cause) ?? 0) & 0xff) === code.busy

const words = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

const sqlError = (cause: unknown, operation: string, message = words(cause)): SqlError.SqlError => {
  const errcode = resultCode(cause)
  if (errcode !== undefined) {
    // Effect looks for the code in `errno`, and knows the violation of a primary key by no other name.
    const errno = errcode === code.primaryKey || errcode === code.rowId ? code.unique : errcode
    Object.assign(cause as object, { errno })
  }
  const hint = hasProperty(cause, "code") && cause.code === "ERR_OUT_OF_RANGE"
    ? ". Provide SqlClient.SafeIntegers to read integers as bigints"
    : ""
  return new SqlError.SqlError({ reason: SqlError.classifySqliteError(cause, { message: message + hint, operation }) })
}

const openError = (filename: string) => (cause: unknown): SqlError.SqlError => {
  const hints: Record<number, string> = {
    [code.busy]: ". Another process is using it: stop that process, or wait longer with busyTimeout",
    [code.readOnly]: ". Let this process write to the file and to its directory",
    [code.cannotOpen]: ". Create its directory, and let this process write there",
    [code.notADatabase]: ". Choose another file: this one holds something else"
  }
  const hint = hints[(resultCode(cause) ?? 0) & 0xff] ?? ""
  return sqlError(cause, "open", `Cannot open the SQLite database "${filename}": ${words(cause)}${hint}`)
}

const toBound = (value: unknown): SQLInputValue => {
  switch (typeof value) {
    case "string":
    case "bigint":
      return value
    case "number":
      // Node writes every number as a fraction: a text column would hold "5.0".
      return Number.isSafeInteger(value) && !Object.is(value, -0) ? BigInt(value) : value
    case "boolean":
      return value ? 1n : 0n
    case "undefined":
      return null
    case "object": {
      if (value === null) return value
      if (ArrayBuffer.isView(value)) return value as Uint8Array
      if (value instanceof ArrayBuffer) return new Uint8Array(value)
      if (value instanceof Date) return value.toISOString()
    }
  }
  // Node would take an object in the first place for named parameters, and bind nothing.
  throw new TypeError(
    `${Object.prototype.toString.call(value)} is no value of SQLite. Encode it first, for example as JSON text`
  )
}

interface Prepared {
  readonly statement: StatementSync
  /** Whether it returns rows. */
  readonly reads: boolean
  bigInts: boolean
  arrays: boolean
}

const prepare = (database: DatabaseSync, sql: string): Prepared => {
  const statement = database.prepare(sql)
  const rest = sql.slice(statement.sourceSQL.length).replaceAll(/--.*|\/\*[^]*?\*\/|[\s;]/g, "")
  if (rest !== "") {
    throw new TypeError(`One statement at a time: SQLite would ignore what follows the first in "${sql}"`)
  }
  return { statement, reads: statement.columns().length > 0, bigInts: false, arrays: false }
}

/** The prepared statements of a connection; when there are too many, the one that was not used longest goes. */
const preparing = (database: DatabaseSync, capacity: number) => {
  const kept = new Map<string, Prepared>()
  return (sql: string): Prepared => {
    const prepared = kept.get(sql) ?? prepare(database, sql)
    kept.delete(sql)
    kept.set(sql, prepared)
    if (kept.size > capacity) kept.delete(kept.keys().next().value!)
    return prepared
  }
}

const set = (prepared: Prepared, bigInts: boolean, arrays: boolean): StatementSync => {
  if (prepared.bigInts !== bigInts) prepared.statement.setReadBigInts(prepared.bigInts = bigInts)
  if (prepared.arrays !== arrays) prepared.statement.setReturnArrays(prepared.arrays = arrays)
  return prepared.statement
}

/** Time goes on in here when a test holds it: other processes do not know of tests. */
const live = Clock.Clock.defaultValue()

/** Runs `attempt` again and again, with pauses that grow, until something else than `isBusy` comes of it. */
const whileBusy = <A, E, R>(
  attempt: Effect.Effect<A, E, R>,
  timeout: Duration.Duration,
  isBusy: (error: E) => boolean,
  pauseMillis: (round: number) => number
): Effect.Effect<A, E, R> =>
  Effect.catchIf(attempt, isBusy, () => {
    const deadline = live.currentTimeMillisUnsafe() + Duration.toMillis(timeout)
    const next = (round: number): Effect.Effect<A, E, R> =>
      Effect.flatMap(live.sleep(Duration.millis(pauseMillis(round))), () =>
        Effect.catchIf(attempt, (error) =>
          isBusy(error) && live.currentTimeMillisUnsafe() < deadline, () =>
          next(round + 1)))
    return next(0)
  })

interface Connection extends SqlConnection.Connection {
  readonly database: DatabaseSync
}

/** How many rows of a stream are read at once. */
const chunkSize = 128

const connect = (database: DatabaseSync, options: Options): Connection => {
  const kept = preparing(database, options.preparedStatements ?? 200)
  const busyTimeout = Duration.fromInputUnsafe(options.busyTimeout ?? "5 seconds")

  // A statement outside of a transaction that found the database busy did nothing. Inside of one, the lock is held.
  const mayTryAgain = (error: SqlError.SqlError) => isBusy(error.reason.cause) && !database.isTransaction

  const run = <A>(operation: (safeIntegers: boolean) => A): Effect.Effect<A, SqlError.SqlError> =>
    Effect.withFiber((fiber) => {
      const safeIntegers = Context.get(fiber.context, SqlClient.SafeIntegers)
      const attempt = Effect.try({
        try: () => operation(safeIntegers),
        catch: (cause) => sqlError(cause, "execute")
      })
      return whileBusy(attempt, busyTimeout, mayTryAgain, (round) => Math.min(2 ** round, 50))
    })

  const all = (prepared: Prepared, params: ReadonlyArray<unknown>, bigInts: boolean, arrays: boolean) =>
    set(prepared, bigInts, arrays).all(...params.map(toBound)) as ReadonlyArray<any>

  // The client transforms no rows, so what would transform them is never passed.
  return {
    database,
    execute: (sql, params) => run((bigInts) => all(kept(sql), params, bigInts, false)),
    executeUnprepared: (sql, params) => run((bigInts) => all(prepare(database, sql), params, bigInts, false)),
    executeValues: (sql, params) => run((bigInts) => all(kept(sql), params, bigInts, true)),
    executeValuesUnprepared: (sql, params) => run((bigInts) => all(prepare(database, sql), params, bigInts, true)),
    executeRaw: (sql, params) =>
      run((bigInts) => {
        const prepared = kept(sql)
        return prepared.reads
          ? all(prepared, params, bigInts, false)
          : set(prepared, bigInts, false).run(...params.map(toBound))
      }),
    executeStream: (sql, params) =>
      Stream.unwrap(Effect.map(
        Effect.acquireRelease(
          // Not a kept statement: the next use of that would end the stream.
          run((bigInts) => set(prepare(database, sql), bigInts, false).iterate(...params.map(toBound))),
          (rows) => Effect.sync(() => void rows.return?.())
        ),
        (rows) => Stream.fromPull(Effect.succeed(nextChunk(rows)))
      ))
  }
}

const nextChunk = (rows: ReturnType<StatementSync["iterate"]>) =>
  Effect.flatMap(
    Effect.try({
      try: () => {
        const chunk: Array<unknown> = []
        while (chunk.length < chunkSize) {
          const next = rows.next()
          if (next.done === true) break
          chunk.push(next.value)
        }
        return chunk
      },
      catch: (cause) => sqlError(cause, "stream")
    }),
    ([first, ...others]) => first === undefined ? Cause.done() : Effect.succeed([first, ...others] as const)
  )

const open = (options: Options): Effect.Effect<DatabaseSync, SqlError.SqlError, Scope.Scope> => {
  const attempt = <A>(operation: () => A) => Effect.try({ try: operation, catch: openError(options.filename) })
  const timeout = Duration.fromInputUnsafe(options.busyTimeout ?? "5 seconds")
  const isBusyError = (error: SqlError.SqlError) => isBusy(error.reason.cause)
  return Effect.acquireRelease(
    // No waiting inside of SQLite: that would block the event loop.
    attempt(() => new DatabaseSync(options.filename, { timeout: 0 })),
    (database) => Effect.sync(() => database.close())
  ).pipe(Effect.tap((database) =>
    whileBusy(
      attempt(() => {
        database.exec("PRAGMA journal_mode = WAL")
        const synchronous = options.synchronous ?? "FULL"
        database.exec(`PRAGMA synchronous = ${synchronous}`)
        // On macOS, what was only synced may still sit in the cache of the disk.
        if (synchronous === "FULL") database.exec("PRAGMA fullfsync = ON")
      }),
      timeout,
      isBusyError,
      (round) => Math.min(2 ** round, 50)
    )
  ))
}

/** How long an engine waits before it asks again for the lock. */
const lockPauseMillis = 50

const locking = (
  options: Options,
  attempt: Effect.Effect<void, JournalLocked | JournalUnavailable, Scope.Scope>
): EngineLock["Service"] => ({
  acquire: whileBusy(
    attempt,
    Duration.fromInputUnsafe(options.lockTimeout ?? "5 seconds"),
    (error) => error._tag === "JournalLocked",
    () => lockPauseMillis
  )
})

/** A second database beside the first, locked as a whole. The operating system unlocks it when the process dies. */
const lockedFile = (filename: string) => {
  const database = new DatabaseSync(filename, { timeout: 0 })
  try {
    database.exec("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE")
    return database
  } catch (cause) {
    // Who waits for the lock tries often, and must not leave a file open each time.
    database.close()
    throw cause
  }
}

const sidecarLock = (options: Options, location: string): EngineLock["Service"] =>
  locking(
    options,
    Effect.asVoid(Effect.acquireRelease(
      Effect.try({
        try: () => lockedFile(`${location}.lock`),
        catch: (cause) =>
          isBusy(cause)
            ? new JournalLocked({ journal: options.filename })
            : new JournalUnavailable({ operation: "lock", cause })
      }),
      (database) => Effect.sync(() => database.close())
    ))
  )

const memoryLock = (options: Options): EngineLock["Service"] => {
  let held = false
  return locking(
    options,
    Effect.asVoid(Effect.acquireRelease(
      Effect.suspend(() => {
        if (held) return Effect.fail(new JournalLocked({ journal: options.filename }))
        held = true
        return Effect.void
      }),
      () => Effect.sync(() => void (held = false))
    ))
  )
}

/**
 * Opens a database: its client, and the lock that engines take on it. Both last as long as the scope.
 *
 * **Details**
 *
 * See `layer`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Options
): Effect.Effect<
  { readonly client: SqlClient.SqlClient; readonly lock: EngineLock["Service"] },
  SqlError.SqlError,
  Scope.Scope | Reactivity.Reactivity
> =>
  Effect.gen(function*() {
    const database = yield* open(options)
    const connection = connect(database, options)
    const { acquirer, borrower, isTransaction, onCommitFailure, transactionAcquirer } = SqlClient.makeSqliteAcquirers({
      connection: Effect.succeed(connection),
      semaphore: yield* Semaphore.make(1),
      isTransaction: () => database.isOpen && database.isTransaction
    })
    const client = yield* SqlClient.make({
      acquirer,
      borrower,
      transactionAcquirer,
      isTransaction,
      onCommitFailure,
      compiler: Statement.makeCompilerSqlite(),
      driver: "effect-saga/node-sqlite",
      // Takes the right to write at once: who takes it later, after reading, may find that what was read has changed.
      beginTransaction: "BEGIN IMMEDIATE",
      releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
      prepareTransactionControls: true,
      spanAttributes: [["db.system.name", "sqlite"]]
    })
    // The path without symbolic links, so that all names of a file lead to the same lock.
    const location = database.location()
    return { client, lock: location === null ? memoryLock(options) : sidecarLock(options, location) }
  })

/**
 * A `SqlClient` on one SQLite file, and the lock that keeps a second engine away from it.
 *
 * **When to use**
 *
 * Use for an engine in a single process. Several processes that share the work need PostgreSQL.
 *
 * **Details**
 *
 * The file is in WAL mode: readers and one writer do not wait for each other, and any other program may read it
 * meanwhile. Transactions begin with `BEGIN IMMEDIATE` and nest. Whole numbers are written as integers, `true` and `false`
 * as 1 and 0, `undefined` as NULL, a `Date` as ISO text. A violated primary key reads as `UniqueViolation`, like any other unique key.
 *
 * **Gotchas**
 *
 * A commit that returned is on disk, even if the power fails at once (`synchronous: "FULL"`). A transaction in which
 * the process dies never was. Statements run one at a time and occupy the thread while they run.
 *
 * The lock is a second file, `<filename>.lock`. It is free when its holder dies, however it dies, and it stays where it
 * is: a process that deletes it, or opens and closes it by other means than SQLite, breaks the lock. Network file
 * systems lock nothing reliably.
 *
 * **Example** (Asking a database in memory)
 *
 * ```ts
 * import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
 * import { Effect } from "effect"
 * import { SqlClient } from "effect/sql"
 *
 * const program = Effect.gen(function*() {
 *   const sql = yield* SqlClient.SqlClient
 *   return yield* sql<{ readonly two: number }>`SELECT 1 + 1 AS two`
 * }).pipe(Effect.provide(NodeSqlite.layer({ filename: ":memory:" })))
 *
 * Effect.runSync(program)[0]?.two // => 2
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<SqlClient.SqlClient | EngineLock, SqlError.SqlError> =>
  Layer.effectContext(
    Effect.map(
      make(options),
      ({ client, lock }) => Context.make(SqlClient.SqlClient, client).pipe(Context.add(EngineLock, lock))
    )
  ).pipe(
    Layer.provide(Reactivity.layer)
  )
