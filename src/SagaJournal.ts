/**
 * The journal of an engine as a service. What it must keep and what it promises stands in `Journal`, whose words are
 * exported from here too.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import { makeMemory } from "./internal/engine/journalMemory.ts"
import type { Journal } from "./Journal.ts"

export * from "./Journal.ts"
export * from "./JournalCipher.ts"

/**
 * The journal of the engines that run here.
 *
 * **When to use**
 *
 * Use to give an engine a store: this one in memory, `SqlSagaJournal` of `effect-saga/sql`, or one of your own that keeps
 * the promises of `Journal`.
 *
 * **Example** (Two engines, one after the other, on one journal)
 *
 * ```ts
 * import { SagaEngine } from "effect-saga/SagaEngine"
 * import { SagaJournal } from "effect-saga/SagaJournal"
 * import { Effect, Layer } from "effect"
 *
 * const list = SagaEngine.use((engine) => Effect.map(engine.list(), ({ executions }) => executions)).pipe(
 *   Effect.provide(SagaEngine.layer, { local: true })
 * )
 * const program = Effect.andThen(list, list).pipe(Effect.provide(SagaJournal.layerMemory))
 * await Effect.runPromise(program) // => []
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class SagaJournal extends Context.Service<SagaJournal, Journal>()("effect-saga/SagaJournal") {
  /** A journal in memory: it outlives the engines that use it, and not its process. */
  static readonly layerMemory: Layer.Layer<SagaJournal> = Layer.sync(SagaJournal, makeMemory)
}
