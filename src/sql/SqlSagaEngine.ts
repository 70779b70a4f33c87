/**
 * The engine on a SQL database: `SagaEngine` and `SqlSagaJournal` in one layer. Nothing else is here.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import type * as SqlClient from "effect/sql/SqlClient"
import type { EngineOptions } from "../SagaEngine.ts"
import { SagaEngine } from "../SagaEngine.ts"
import type { JournalLocked } from "../SagaJournal.ts"
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
export const layer: Layer.Layer<SagaEngine, OpenError | JournalLocked, SqlClient.SqlClient> = Layer.provide(
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
): Layer.Layer<SagaEngine, OpenError | JournalLocked, SqlClient.SqlClient> =>
  Layer.provide(SagaEngine.layerWith(options), SqlSagaJournal.layerWith(options))
