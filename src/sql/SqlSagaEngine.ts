/**
 * The engine on a SQL database: `SagaEngine` and `SqlSagaJournal` in one layer, and starting an execution in a transaction
 * of one's own.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import type { EventBus } from "../EventBus.ts"
import type { EngineOptions, StartError, StartOptions } from "../SagaEngine.ts"
import { SagaEngine } from "../SagaEngine.ts"
import type { JournalLocked } from "../SagaJournal.ts"
import * as SagaStart from "../SagaStart.ts"
import type { AnySaga, Phase, Saga } from "../SagaValue.ts"
import { prefixOf } from "./internal/prefix.ts"
import { writeStart } from "./internal/startStatements.ts"
import type { OpenError, Options as JournalOptions } from "./SqlSagaJournal.ts"
import * as SqlSagaJournal from "./SqlSagaJournal.ts"

/**
 * How the engine and its journal behave.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends EngineOptions, JournalOptions {}

/**
 * An engine whose executions survive their process, on the `SqlClient` that is around it.
 *
 * **When to use**
 *
 * Use with `NodeSqlite.layer` for one process and one file, with `PgClient.layer` of `@effect/sql-pg` for several
 * processes. The tables are made when the layer is built.
 *
 * **Gotchas**
 *
 * On PostgreSQL the engine keeps one connection of the pool for itself: give the pool two or more. One SQLite file serves
 * one engine: a second one in another process fails with `JournalLocked`.
 *
 * If the process dies after an action and before its fact is stored, the action runs again with the same idempotency key.
 *
 * **Example** (One file, nothing to install or to start)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { SagaEngine } from "effect-saga/SagaEngine"
 * import { SqlSagaEngine } from "effect-saga/sql"
 * import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
 * import { Effect, Layer, Schema } from "effect"
 *
 * const greet = Saga.make("Greet", { payload: Schema.String, key: (name) => name }).pipe(
 *   Saga.output(Schema.String, ({ payload }) => `hello ${payload}`)
 * )
 * const Live = Saga.register(greet).pipe(
 *   Layer.provideMerge(SqlSagaEngine.layer),
 *   Layer.provide(NodeSqlite.layer({ filename: ":memory:" }))
 * )
 * const program = SagaEngine.use((engine) => engine.execute(greet, "you"))
 * await Effect.runPromise(program.pipe(Effect.provide(Live))) // => "hello you"
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<SagaEngine | EventBus, OpenError | JournalLocked, SqlClient.SqlClient> = Layer.provide(
  SagaEngine.layer,
  SqlSagaJournal.layer
)

/**
 * `layer` with options.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (
  options: Options
): Layer.Layer<SagaEngine | EventBus, OpenError | JournalLocked, SqlClient.SqlClient> =>
  Layer.provide(SagaEngine.layerWith(options), SqlSagaJournal.layerWith(options))

/**
 * Which execution is meant, and where its journal is.
 *
 * @category models
 * @since 0.1.0
 */
export interface StartInOptions extends StartOptions, Pick<JournalOptions, "prefix"> {}

/**
 * Starts an execution, or joins the one that has the id, in the transaction that is open around the caller, and returns its
 * id. When that commits, an engine finds the execution and runs it; when not, there was none.
 *
 * **When to use**
 *
 * Use where a saga belongs to rows of yours, such as an order and its fulfilment: both are one commit, and neither is ever
 * there without the other. Where nothing else is written, `start` of an engine is simpler, and sooner.
 *
 * **Details**
 *
 * What is written are the rows that `start` would write, through the `SqlClient` of the caller. It needs the tables and no
 * engine: the one that runs the saga may be in any process. It looks every `poll` what others wrote, 250 ms unless said
 * otherwise, and takes what is committed.
 *
 * The rules are those of `start`. The same id and payload join, and are answered with the id; another payload or another
 * saga is an `ExecutionConflict`. After that error, `ExecutionIdInvalid` and `PayloadRefused` nothing was written, and the
 * transaction can go on. Without a transaction around it, it commits by itself. Where the engines have a `JournalCipher`,
 * provide it here too.
 *
 * If the process dies before the commit, nothing was started; if it dies after it, the execution runs all the same. If it
 * dies during the commit, or the answer to that is lost, nobody here knows: do it again with the same id.
 *
 * **Gotchas**
 *
 * Do not wait for the execution inside of the transaction: nobody else sees it yet, and it would never end.
 *
 * Who starts the same id meanwhile waits until this transaction is over: an engine too, with all that it writes in the
 * same batch. So does, at its first start, who starts a version of a saga that no engine has registered yet. Where all share
 * one connection or one file, as on SQLite, every engine waits for every transaction. Keep it short.
 *
 * `JournalUnavailable` has the error of the client as its `cause`. On PostgreSQL the transaction is aborted then, and
 * cannot commit any more; one of a stricter isolation level than `READ COMMITTED` is also aborted where it would join what
 * it may not see, and joins when it is repeated.
 *
 * **Example** (An order and its saga in one commit)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { SagaEngine } from "effect-saga/SagaEngine"
 * import { SqlSagaEngine } from "effect-saga/sql"
 * import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
 * import { Effect, Layer, Schema } from "effect"
 * import { SqlClient } from "effect/sql"
 *
 * const ship = Saga.make("Ship", { payload: Schema.String, key: (order) => order }).pipe(
 *   Saga.output(Schema.String, ({ payload }) => `shipped ${payload}`)
 * )
 * const Live = Saga.register(ship).pipe(
 *   Layer.provideMerge(SqlSagaEngine.layerWith({ poll: "50 millis" })),
 *   Layer.provideMerge(NodeSqlite.layer({ filename: ":memory:" }))
 * )
 * const program = Effect.gen(function*() {
 *   const sql = yield* SqlClient.SqlClient
 *   yield* sql`CREATE TABLE orders (id TEXT PRIMARY KEY)`
 *   const executionId = yield* sql.withTransaction(Effect.gen(function*() {
 *     yield* sql`INSERT INTO orders (id) VALUES ('A-1')`
 *     return yield* SqlSagaEngine.startIn(ship, "A-1")
 *   }))
 *   return yield* SagaEngine.use((engine) => engine.await(ship, executionId))
 * })
 * await Effect.runPromise(program.pipe(Effect.provide(Live))) // => "shipped A-1"
 * ```
 *
 * @category starting
 * @since 0.1.0
 */
export const startIn = <P0, S, O, A, E, R>(
  saga: Saga<P0, S, O, A, E, R, Phase>,
  payload: P0,
  options: StartInOptions = {}
): Effect.Effect<string, StartError, SqlClient.SqlClient> => request(saga, payload, options, prefixOf(options))

const request = Effect.fnUntraced(
  function*(saga: AnySaga, payload: unknown, { executionId }: StartInOptions, prefix: string) {
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const start = yield* SagaStart.make(saga, payload, executionId)
    for (const words of start.warnings) yield* Effect.logWarning(words)
    const existing = yield* writeStart(sql, prefix, start)
    return existing === undefined ? start.row.executionId : yield* start.joined(existing.saga, existing.data)
  }
)
