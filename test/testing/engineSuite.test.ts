/** The suite of engines on ours, and each broken engine breaks a promise; which one first is written down. */
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

const breaks: Readonly<Record<string, (engine: Engine) => Partial<Engine>>> = {
  "cancels nothing": () => ({ cancel: () => Effect.void }),
  "runs what is started again": (engine) => {
    let count = 0
    return {
      execute: (saga, payload, options) =>
        engine.execute(saga, payload, { ...options, executionId: `${options?.executionId}-${count++}` })
    }
  },
  "waits for nobody": (engine) => ({
    await: (saga, executionId) => engine.await(saga, executionId, { onStuck: "fail" }),
    outcome: (saga, executionId) =>
      Effect.as(engine.outcome(saga, executionId, { onStuck: "fail" }), {
        _tag: "Succeeded",
        executionId,
        result: undefined as never
      })
  }),
  "tells no last fact": (engine) => ({
    events: (saga, executionId) =>
      Stream.filter(engine.events(saga, executionId), ({ _tag }) => _tag !== "SagaSucceeded")
  }),
  "polls what is not yet": (engine) => ({
    poll: (executionId) =>
      Effect.map(engine.poll(executionId), Option.map((status) => ({ ...status, state: "Succeeded" as const })))
  }),
  "tries nothing again": () => ({ retry: () => Effect.void }),
  "skips nothing": () => ({ skip: () => Effect.void }),
  "abandons nothing": () => ({ abandon: () => Effect.void }),
  "lists nothing": () => ({ list: () => Effect.succeed({ executions: [], next: undefined }) }),
  "counts nothing": () => ({ counts: () => Effect.succeed([]) }),
  "forgets who it is told to be": (engine) => ({ start: (saga, payload) => engine.start(saga, payload) })
}

const brokenIn = (change: (engine: Engine) => Partial<Engine>) =>
  Effect.gen(function*() {
    const layer = Layer.effect(
      SagaEngine,
      Effect.map(SagaEngine, (engine) => ({ ...engine, ...change(engine) }))
    ).pipe(Layer.provide(Layer.fresh(SagaEngine.layerMemory)))
    const tests = SagaEngineTest.suite("broken", layer)
    // One that waits for what a broken engine does not do waits for ever.
    const inTime = ({ test }: (typeof tests)[number]) =>
      Effect.exit(Effect.timeoutOrElse(test, { duration: 1_000, orElse: () => Effect.fail("it does not end") }))
    const exits = yield* Effect.forEach(tests, inTime, { concurrency: "unbounded" })
    return tests.filter((_, index) => Exit.isFailure(exits[index]!)).map(({ name }) => name)
  })

it("each broken one breaks a promise", { timeout: 60_000 }, async () => {
  const lines: Array<string> = []
  for (const [name, change] of Object.entries(breaks)) {
    const broken = await Effect.runPromise(brokenIn(change))
    expect(broken).not.toEqual([])
    lines.push(`${name}\n  first: ${broken[0]}\n`)
  }
  await expect(lines.join("\n")).toMatchFileSnapshot("golden/engines.txt")
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
