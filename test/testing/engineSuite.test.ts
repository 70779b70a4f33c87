/** The suite of engines on ours, and each broken engine breaks a promise. */
import { Effect, Exit, Layer, Option, Stream } from "effect"
import { SagaEngine } from "effect-saga/SagaEngine"
import { SqlSagaEngine } from "effect-saga/sql"
import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
import { PromiseBroken, SagaEngineTest } from "effect-saga/testing"
import { registerSuite } from "effect-saga/testing/vitest"
import { expect, it } from "vitest"

type Engine = SagaEngine["Service"]

registerSuite("the engine in memory", SagaEngineTest.suite("in memory", SagaEngine.layerMemory))
registerSuite(
  "the engine on SQLite",
  SagaEngineTest.suite(
    "on SQLite",
    SqlSagaEngine.layer.pipe(Layer.provide(NodeSqlite.layer({ filename: ":memory:", synchronous: "OFF" })))
  )
)

/** Each broken engine, with the promise that it breaks. */
const breaks: Readonly<Record<string, readonly [promise: string, change: (engine: Engine) => Partial<Engine>]>> = {
  "cancels nothing": ["what nobody has started is not found", () => ({ cancel: () => Effect.void })],
  "runs what is started again": ["the same id with the same payload joins, and nothing runs again", (engine) => {
    let count = 0
    return {
      execute: (saga, payload, options) =>
        engine.execute(saga, payload, { ...options, executionId: `${options?.executionId}-${count++}` })
    }
  }],
  "says that all is well": ["it ends as in a fiber: a step that fails", (engine) => ({
    outcome: (saga, executionId) =>
      Effect.as(engine.outcome(saga, executionId, { onStuck: "fail" }), {
        _tag: "Succeeded",
        executionId,
        result: undefined as never
      })
  })],
  "tells no last fact": ["it ends as in a fiber: no step", (engine) => ({
    events: (saga, executionId) =>
      Stream.filter(engine.events(saga, executionId), ({ _tag }) => _tag !== "SagaSucceeded")
  })],
  "polls what is not so": ["it ends as in a fiber: a step that fails", (engine) => ({
    poll: (executionId) =>
      Effect.map(engine.poll(executionId), Option.map((status) => ({ ...status, state: "Succeeded" as const })))
  })],
  "tries nothing again": [
    "what is stuck waits for a person, who has it tried again",
    () => ({ retry: () => Effect.void })
  ],
  "skips nothing": ["a person who did it by hand skips it, or gives it up", () => ({ skip: () => Effect.void })],
  "abandons nothing": ["a person who did it by hand skips it, or gives it up", () => ({ abandon: () => Effect.void })],
  "lists nothing": [
    "lists and counts say what there is",
    () => ({ list: () => Effect.succeed({ executions: [], next: undefined }) })
  ],
  "counts nothing": ["lists and counts say what there is", () => ({ counts: () => Effect.succeed([]) })],
  "forgets who it is told to be": [
    "odd ids are carried, and those that cannot be are refused",
    (engine) => ({ execute: (saga, payload) => engine.execute(saga, payload) })
  ]
}

it.each(Object.entries(breaks))("an engine that %s breaks a promise", async (_, [promise, change]) => {
  const layer = Layer.effect(SagaEngine, Effect.map(SagaEngine, (engine) => ({ ...engine, ...change(engine) })))
  const suite = SagaEngineTest.suite("broken", Layer.provide(layer, SagaEngine.layerMemory))
  const { test } = suite.find(({ name }) => name === promise)!
  // One that waits for what a broken engine does not do waits for ever.
  const inTime = Effect.timeoutOrElse(test, { duration: 1_000, orElse: () => Effect.fail("it does not end") })
  expect(Exit.isFailure(await Effect.runPromise(Effect.exit(inTime)))).toBe(true)
})

it("a promise that is broken says which, and how", async () => {
  const Liar = Layer.effect(
    SagaEngine,
    Effect.map(SagaEngine, (engine) => ({ ...engine, counts: () => Effect.succeed([]) }))
  )
  const suite = SagaEngineTest.suite("Liar", Liar.pipe(Layer.provide(SagaEngine.layerMemory)))
  const lists = suite.find(({ name }) => name.startsWith("lists and counts"))!
  const error = await Effect.runPromise(Effect.flip(lists.test))
  expect(error).toBeInstanceOf(PromiseBroken)
  expect(error.message).toBe(
    "Liar breaks a promise: lists and counts say what there is. [] instead of [[\"Double\",\"Succeeded\",3]]"
  )
})
