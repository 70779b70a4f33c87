/**
 * What every engine promises, as tests that anybody can run who writes one: that a saga ends on it as it does in a fiber,
 * and what an engine adds to that. It knows no store, no test framework, and of an engine its service alone.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SagaEngine } from "../SagaEngine.ts"
import type { PromiseTest } from "./Conformance.ts"
import { promiseTest } from "./Conformance.ts"
import { inFiber, onEngine } from "./internal/engine/equal.ts"
import type { Promised } from "./internal/engine/promises.ts"
import { promises } from "./internal/engine/promises.ts"
import { scenes } from "./internal/engine/scenes.ts"
import { assert } from "./internal/expect.ts"

/**
 * The promises of an engine as tests: each makes one of its own by the layer, which has to give an engine with nothing in
 * its journal each time that it is built.
 *
 * **When to use**
 *
 * Use to prove an engine of your own equal to those of effect-saga, which run the same tests. Under vitest `registerSuite`
 * of `effect-saga/testing/vitest` takes the list; with any other runner each `test` is an Effect that fails with a
 * `PromiseBroken`. What must survive the death of a process is proved by `SagaTest.explore` with a `journal`.
 *
 * **Details**
 *
 * Sagas of every kind of node, with every kind of end, run in a fiber and on the engine: what the caller gets, which calls
 * are made and which facts are recorded have to be equal. Then comes what a fiber does not have: identity, joining and
 * conflicts, cancelling, persons on call, values, lists. The clock is the one that is around; no test needs more than a
 * few hundredths of a second of it.
 *
 * **Example** (The engine in memory)
 *
 * ```ts
 * import { SagaEngine } from "effect-saga/SagaEngine"
 * import { SagaEngineTest } from "effect-saga/testing"
 * import { Effect } from "effect"
 *
 * const promises = SagaEngineTest.suite("in memory", SagaEngine.layerMemory)
 * promises.length > 50 // => true
 * await Effect.runPromise(promises[0]!.test) // => undefined
 * ```
 *
 * @category suites
 * @since 0.1.0
 */
export const suite = (name: string, layer: Layer.Layer<SagaEngine, unknown>): ReadonlyArray<PromiseTest> => {
  const on = (promise: string, body: Promised) =>
    promiseTest(
      name,
      promise,
      Effect.scoped(Effect.flatMap(SagaEngine, body)).pipe(Effect.provide(Layer.fresh(layer), { local: true }))
    )
  return [
    ...Object.entries(scenes).map(([scene, saga]) =>
      on(`it ends as in a fiber: ${scene}`, (engine) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* onEngine(engine, saga, "scene"), yield* inFiber(saga))
        }))
    ),
    ...Object.entries(promises).map(([promise, body]) => on(promise, body))
  ]
}
