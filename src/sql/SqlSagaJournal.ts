/**
 * The journal of an engine in a SQL database: PostgreSQL for several processes, SQLite for one.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { type Journal, JournalUnavailable, SagaJournal } from "../SagaJournal.ts"
import { EngineLock } from "./EngineLock.ts"
import { type Database, liveClock, makeDatabase } from "./internal/database.ts"
import { foundSchema, knownSchema, migrate, migrationsTable } from "./internal/migrations.ts"
import { makePostgres } from "./internal/postgres.ts"
import { prefixOf } from "./internal/prefix.ts"
import { makeSqlite } from "./internal/sqlite.ts"

/**
 * How a journal is kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * What the names of its tables begin with: lower-case letters, digits and `_`, at most 31.
   *
   * @default "saga_"
   */
  readonly prefix?: string | undefined
  /**
   * Whether the layer makes the tables and what a new release changes in them. If not, `layerMigrations` does, for
   * example in a deployment step whose user may create tables.
   *
   * @default true
   */
  readonly migrations?: boolean | undefined
  /**
   * How long a statement may take before it counts as not answered. It must be well below the lease of the engine.
   *
   * @default "3 seconds"
   */
  readonly statementTimeout?: Duration.Input | undefined
}

/**
 * The client speaks a dialect in which there is no journal.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnsupportedDialect extends Data.TaggedError("UnsupportedDialect")<{ readonly dialect: string }> {
  override get message(): string {
    return `There is no journal for the dialect "${this.dialect}": use a client for PostgreSQL or SQLite`
  }
}

/**
 * The tables are not those that this release works with.
 *
 * @category errors
 * @since 0.1.0
 */
export class SchemaMismatch extends Data.TaggedError("SchemaMismatch")<{
  /** The table that says which changes were made. */
  readonly table: string
  readonly found: number
  readonly expected: number
}> {
  override get message(): string {
    return this.found > this.expected
      ? `A newer release of effect-saga has changed the tables of the journal (${this.table}: ${this.found}, known here: ${this.expected}). Update this process`
      : `The tables of the journal are ${
        this.found === 0 ? "not there" : "those of an older release"
      } (${this.table}: ${this.found}, needed: ${this.expected}). Run SqlSagaJournal.layerMigrations, or leave out "migrations: false"`
  }
}

/**
 * What can go wrong when a journal is opened.
 *
 * @category errors
 * @since 0.1.0
 */
export type OpenError = JournalUnavailable | UnsupportedDialect | SchemaMismatch

const open = Effect.fnUntraced(function*(timeout: Duration.Duration) {
  const client = yield* SqlClient.SqlClient
  const dialect = client.onDialect({
    pg: () => "pg",
    sqlite: () => "sqlite",
    mysql: () => "mysql",
    mssql: () => "mssql",
    clickhouse: () => "clickhouse"
  })
  if (dialect !== "pg" && dialect !== "sqlite") return yield* new UnsupportedDialect({ dialect })
  return [makeDatabase(client, timeout), dialect] as const
})

/** A database that is not there yet is waited for; one that does not want us is an error. */
const patiently = <A>(
  ask: Effect.Effect<A, Migrator.MigrationError | SqlError>,
  pauseMillis = 100
): Effect.Effect<A, JournalUnavailable> =>
  Effect.catch(ask, (cause) => {
    const error = new JournalUnavailable({ operation: "migrate", cause })
    if (!isSqlError(cause) || !cause.isRetryable) return Effect.fail(error)
    return Effect.logWarning(error.message).pipe(
      Effect.andThen(liveClock.sleep(Duration.millis(pauseMillis))),
      Effect.andThen(Effect.suspend(() => patiently(ask, Math.min(pauseMillis * 2, 1_000))))
    )
  })

/** Makes the tables, or only looks whether they are there. */
const prepare = Effect.fnUntraced(function*({ apart, sql }: Database, prefix: string, migrations: boolean) {
  // Without a limit: what another process changes at the moment may take its time.
  if (migrations) yield* patiently(apart(migrate(sql, prefix)))
  const found = yield* patiently(apart(foundSchema(sql, prefix)))
  if (found !== knownSchema) {
    return yield* new SchemaMismatch({ table: migrationsTable(prefix), found, expected: knownSchema })
  }
})

/**
 * Makes a journal in the database of the client.
 *
 * **Details**
 *
 * See `layer`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<Journal, OpenError, SqlClient.SqlClient | Scope.Scope> => {
  const prefix = prefixOf(options)
  const timeout = Duration.fromInputUnsafe(options.statementTimeout ?? "3 seconds")
  return Effect.gen(function*() {
    const [database, dialect] = yield* open(timeout)
    yield* prepare(database, prefix, options.migrations ?? true)
    return dialect === "sqlite"
      ? makeSqlite(database, prefix, yield* Effect.serviceOption(EngineLock))
      // All of PGlite is one session, and a session does not lock itself out.
      : yield* makePostgres(database, prefix, database.sql.driver !== "pglite")
  })
}

/**
 * A journal in the database of the client, whose tables it makes.
 *
 * **When to use**
 *
 * Use to give an engine a journal that outlives its process.
 *
 * **Details**
 *
 * The client is of PostgreSQL or SQLite. A batch is written by one statement, or one transaction of SQLite, that is on
 * disk when it returns if the database is set up so. It never joins a transaction of the caller.
 *
 * On PostgreSQL an engine keeps one connection of the pool for a lock by which others see at once that it has died, so the
 * pool needs at least two, and a proxy between them must not share sessions among clients. On SQLite, `NodeSqlite` keeps a
 * second engine away from the file; with another client, a dead engine is noticed when its lease has run out.
 *
 * **Gotchas**
 *
 * Two processes that make the tables at once wait for each other. A database that is out of reach is waited for, with
 * warnings in the log. A process that meets the tables of a newer release does
 * not start: update those that read first.
 *
 * **Example** (A journal in memory, as a database)
 *
 * ```ts
 * import { SagaJournal } from "effect-saga/SagaJournal"
 * import { SqlSagaJournal } from "effect-saga/sql"
 * import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
 * import { Effect, Layer } from "effect"
 *
 * const Store = SqlSagaJournal.layer.pipe(Layer.provide(NodeSqlite.layer({ filename: ":memory:" })))
 * const program = SagaJournal.use((journal) => journal.count({})).pipe(Effect.provide(Store))
 *
 * await Effect.runPromise(program) // => []
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<SagaJournal, OpenError, SqlClient.SqlClient> = Layer.effect(SagaJournal, make())

/**
 * The same as `layer`, with options.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<SagaJournal, OpenError, SqlClient.SqlClient> =>
  Layer.effect(SagaJournal, make(options))

/**
 * The same as `layerMigrations`, with options.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMigrationsWith = (
  options: Pick<Options, "prefix">
): Layer.Layer<never, OpenError, SqlClient.SqlClient> => {
  const prefix = prefixOf(options)
  return Layer.effectDiscard(
    Effect.flatMap(open(Duration.infinity), ([database]) => prepare(database, prefix, true))
  )
}

/**
 * Makes the tables, or what this release changes in them, and nothing else.
 *
 * **When to use**
 *
 * Use where the user of the engine may not create tables: this layer with another client in a deployment step,
 * `layerWith({ migrations: false })` in the engine.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMigrations: Layer.Layer<never, OpenError, SqlClient.SqlClient> = layerMigrationsWith({})
