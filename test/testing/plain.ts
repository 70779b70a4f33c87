/** An exploration in a program of its own, on engines that die beside others: it ends when it has nothing to do. Run by plain Node. */
import { Effect, Layer, Schema } from "effect"
import { Saga } from "../../src/index.ts"
import { SagaJournal } from "../../src/SagaJournal.ts"
import { SagaTest } from "../../src/testing/index.ts"

const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
  Saga.step("a", { action: () => Effect.void, compensation: () => Effect.void })
)
const options = { payload: undefined, services: Layer.empty, journal: SagaJournal.layerMemory }
const { ended } = await Effect.runPromise(
  SagaTest.explore(saga, { ...options, depth: 3, limit: 300, places: ["journal"] })
)
console.log(Object.keys(ended).join())
