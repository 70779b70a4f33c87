/** What a migration may tell of, and what it says where it may not. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Option, Result, Schema } from "effect"
import { Saga, SagaObserver, SagaState } from "effect-saga"
import { SagaEngine } from "effect-saga/SagaEngine"
import type { SagaEvent } from "effect-saga/SagaEvent"
import { TestClock } from "effect/testing"
import { memory } from "./stores.ts"
import { boot, faultOn, state } from "./world.ts"

const untyped: any = Saga
const done = { action: () => Effect.void, compensation: () => Effect.void }
const give = { ...done, success: Schema.String, error: Schema.String, action: () => Effect.succeed("") }

const trip: any = Saga.make("Trip", { payload: Schema.Void, version: 3 }).pipe(
  Saga.step("a", done),
  Saga.step("b", give),
  Saga.forEach("lines", {
    item: Schema.String,
    items: () => [],
    key: String,
    each: (fork) => fork.pipe(Saga.step("pick", give))
  }),
  Saga.match("way", () => "x/y", { "x/y": (fork) => fork.pipe(Saga.step("go", give)) }),
  Saga.nested("in", Saga.make("In", { payload: Schema.Void }).pipe(Saga.sleep("rest", 1)), () => undefined)
)
const told = (version: unknown, options?: unknown) => trip.pipe(untyped.migrateFrom(version, options))

describe("a migration that is refused when it is defined", () => {
  const cases: ReadonlyArray<readonly [what: string, define: () => unknown, message: string]> = [
    ...[3, 4, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY].map((version) =>
      [
        `from version ${version}`,
        () => told(version),
        `Saga "Trip": \`migrateFrom\` is told of version ${version}, and this is version 3: give a whole number below it`
      ] as const
    ),
    [
      "twice from one version",
      () => told(1).pipe(untyped.migrateFrom(1)),
      "Saga \"Trip\": there is a `migrateFrom(1, ...)` already: say all of it at once"
    ],
    [
      "to a name that is none",
      () => told(1, { steps: { old: { name: "a/b" } } }),
      "Saga \"Trip\", at \"old\": \"a/b\" is no name: use 1 to 100 of the characters A-Z a-z 0-9 . _ -"
    ],
    [
      "through Schema.Any",
      () => told(1, { steps: { b: { success: Schema.Any } } }),
      "Saga \"Trip\", at \"b\": `Schema.Any` lets values through that no journal can hold. Write the schema of the value"
    ],
    [
      "of a payload through Schema.Any",
      () => told(1, { payload: Schema.Array(Schema.Any) }),
      "Saga \"Trip\", at \"payload\": `Schema.Any` lets values through that no journal can hold. Write the schema of the value"
    ],
    [
      "in a branch",
      () => trip.pipe(untyped.when("maybe", () => true, (fork: any) => fork.pipe(untyped.migrateFrom(1)))),
      "Saga \"Trip\", at \"maybe\": `timeout`, `unwind`, `onStuck` and `migrateFrom` hold for a whole saga: say them outside the branch"
    ]
  ]
  it.each(cases)("%s", (_, define, message) => assert.throws(define, message))
})

describe("a migration that is refused when its saga is registered", () => {
  const cases: ReadonlyArray<readonly [what: string, steps: Record<string, Saga.NodeMigration>, message: string]> = [
    [
      "of what is not there",
      { c: {} },
      "at \"c\": `migrateFrom(1, ...)` tells of it, and the saga has nothing at \"c\""
    ],
    [
      "to what is not there",
      { old: { name: "c" } },
      "at \"old\": `migrateFrom(1, ...)` tells of it, and the saga has nothing at \"c\""
    ],
    ["of what was below another name", { "l/*/pick": {} }, "and the saga has nothing at \"l/*/pick\""],
    [
      "of two nodes under one name",
      { old: { name: "b" }, b: {} },
      "at \"b\": `migrateFrom(1, ...)` tells of it, and \"old\" is called \"b\" already"
    ],
    ["of one item", { "lines/7/pick": {} }, "and \"7\" is the key of an item: write a `*` for all keys"],
    ["of any node", { "*": {} }, "and the saga has nothing at \"*\""],
    ["of any case", { "way/*/go": {} }, "and the saga has nothing at \"way/*/go\""],
    ["of an item alone", { "lines/*": {} }, "and the saga has nothing at \"lines/*\""],
    [
      "of the result of what has none",
      { a: { success: Schema.String } },
      "and it has no result today: leave `success` out"
    ],
    [
      "of the error of what has none",
      { a: { error: Schema.String } },
      "and it declares no error today: leave `error` out"
    ],
    [
      "of the result of no step",
      { lines: { success: Schema.String } },
      "and it has no result today: leave `success` out"
    ],
    ["of the items of a step", { b: { item: Schema.String } }, "and `item` is for a forEach"],
    ["of the payload of a step", { b: { payload: Schema.String } }, "and `payload` is for a nested saga"]
  ]
  it.effect.each(cases)("%s", ([, steps, message]) =>
    Effect.gen(function*() {
      const engine = yield* SagaEngine
      const exit = yield* Effect.exit(Effect.scoped(engine.register(told(1, { steps }))))
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.strictEqual((error as { _tag?: string })._tag, "SagaDefinitionError")
      assert.include((error as Error).message, message)
    }).pipe(Effect.provide(SagaEngine.layerMemory)))

  it.effect("and all that is there may be told of", () =>
    Effect.gen(function*() {
      const engine = yield* SagaEngine
      const steps: Record<string, Saga.NodeMigration> = {
        old: { name: "a" },
        b: { success: Schema.String, error: Schema.String },
        rows: { name: "lines", item: Schema.String },
        "rows/*/pack": { name: "pick", success: Schema.String },
        "way/x%2Fy/went": { name: "go" },
        within: { name: "in", payload: Schema.Void },
        "within/sleep": { name: "rest" }
      }
      yield* Effect.scoped(engine.register(told(1, { steps }).pipe(untyped.migrateFrom(0), untyped.migrateFrom(2))))
    }).pipe(Effect.provide(SagaEngine.layerMemory)))
})

describe("facts of an execution that was taken on", () => {
  const facts: ReadonlyArray<SagaEvent> = [
    { _tag: "SagaStarted", atMillis: 0, saga: "Trip", version: 1, payload: null },
    { _tag: "ItemsListed", atMillis: 0, path: "rows", keys: ["a/b"], items: [1] },
    { _tag: "StepStarted", atMillis: 1, path: "rows/a%2Fb/pack" },
    { _tag: "StepSucceeded", atMillis: 2, path: "rows/a%2Fb/pack", attempts: 1, result: 1 },
    { _tag: "TimerSet", atMillis: 3, path: "sleep", fireAtMillis: 9 },
    {
      _tag: "SagaMigrated",
      atMillis: 4,
      from: 1,
      to: 2,
      definition: "Trip@2#1",
      renamed: { rows: "lines", "rows/*/pack": "pick", sleep: "rest" }
    },
    { _tag: "TimerFired", atMillis: 9, path: "rest" },
    { _tag: "UnwindStarted", atMillis: 9, scope: "", cause: Cause.fail("no") },
    { _tag: "CompensationStarted", atMillis: 10, path: "lines/a%2Fb/pick" },
    { _tag: "CompensationSucceeded", atMillis: 11, path: "lines/a%2Fb/pick", attempts: 1 },
    { _tag: "SagaCompensated", atMillis: 12, uncertain: [] }
  ]

  it("fold under the names that they have last", () => {
    const state = Result.getOrThrow(SagaState.fold(facts))
    assert.deepStrictEqual(
      [state.version, state.status, Array.from(state.steps, ([path, { status }]) => `${path} ${status}`)],
      [2, "Compensated", ["lines/a%2Fb/pick Compensated"]]
    )
    assert.deepStrictEqual(Array.from(state.decisions, ([path, decision]) => [path, decision.path]), [[
      "lines",
      "lines"
    ]])
    assert.isTrue(Result.isFailure(SagaState.fold(facts.filter(({ _tag }) => _tag !== "SagaMigrated"))))
  })
})

faultOn(memory)(
  "who watches is told that it was taken on, of the version that did, before all else",
  (store) =>
    Effect.gen(function*() {
      const one = Saga.make("Trip", { payload: Schema.Void }).pipe(Saga.sleep("rest", "1 hour"))
      const two = Saga.make("Trip", { payload: Schema.Void, version: 2 }).pipe(
        Saga.sleep("pause", "1 hour"),
        Saga.migrateFrom(1, { steps: { rest: { name: "pause" } } })
      )
      const first = yield* boot(store, [one])
      yield* first.engine.start(one, undefined, { executionId: "e" })
      yield* state(store.journal, "e", "Waiting")
      yield* first.close
      yield* TestClock.adjust("1 hour")
      const seen: Array<string> = []
      const observer = SagaObserver.layer([{
        observe: ({ version }) => ({
          onEvent: (event) => void seen.push(`${version} ${event._tag} ${"path" in event ? event.path : ""}`.trim())
        })
      }])
      const context = yield* Layer.build(observer)
      const { engine } = yield* boot(store, [], { poll: 5 })
      yield* Effect.provide(engine.register(two), context)
      yield* state(store.journal, "e", "Succeeded")
      assert.deepStrictEqual(seen, ["2 SagaMigrated", "2 TimerFired pause", "2 SagaSucceeded"])
      assert.strictEqual(Option.getOrThrow(yield* engine.poll("e")).version, 1)
    })
)
