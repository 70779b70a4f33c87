/**
 * Handing a saga to an engine. It knows the engine by its key alone, so that a program without one loads none.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { SagaEngine, SagaEngineService } from "./SagaEngine.ts"
import type { Phase, Saga } from "./SagaValue.ts"

/** The engine, as its own module declares it. */
const Engine = Context.Service<SagaEngine, SagaEngineService>("effect-saga/SagaEngine" satisfies typeof SagaEngine.key)

/**
 * Runs a saga on the engine for as long as the layer lives.
 *
 * **Details**
 *
 * The services of its actions and compensations are those around this layer, not those of who starts an execution.
 * Several versions of a saga may be registered side by side: an execution keeps its own. What an older version has
 * started that is not there goes on under the newest that has a `Saga.migrateFrom` it. When the layer closes, what is in
 * flight gets the engine's grace, and is given back.
 *
 * **Gotchas**
 *
 * Registering a version twice is a defect, and so is a saga with `Schema.Redacted` on an engine without a cipher. What
 * crashed before is taken up again as soon as its saga is registered.
 *
 * **Example** (An engine that runs one saga)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { SagaEngine } from "effect-saga/SagaEngine"
 * import { Effect, Layer, Schema } from "effect"
 *
 * const add = Saga.make("Add", { payload: Schema.Int }).pipe(Saga.output(Schema.Int, ({ payload }) => payload + 1))
 * const Live = Saga.register(add).pipe(Layer.provideMerge(SagaEngine.layerMemory))
 * const program = SagaEngine.use((engine) => engine.execute(add, 1))
 * await Effect.runPromise(program.pipe(Effect.provide(Live))) // => 2
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const register = <P0, S, O, A, E, R>(
  saga: Saga<P0, S, O, A, E, R, Phase>
): Layer.Layer<never, never, R | SagaEngine> =>
  Layer.effectDiscard(
    // The engine captures the context of this call, which is where the services of the saga are.
    Effect.flatMap(Engine, (engine) => engine.register(saga)) as Effect.Effect<void, never, R | SagaEngine>
  )
