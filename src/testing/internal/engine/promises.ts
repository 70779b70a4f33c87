/** What an engine promises beyond what a fiber does: identity, callers, cancelling, persons, values. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Saga from "../../../Saga.ts"
import type { SagaEngine } from "../../../SagaEngine.ts"
import { gate } from "../../Doubles.ts"
import { assert } from "../expect.ts"

/** A promise, tried on an engine. */
export type Promised = (engine: SagaEngine["Service"]) => Effect.Effect<unknown, unknown, Scope.Scope>

/** The tag of what an effect fails with. */
const tagOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(
    Effect.flip(effect),
    (error) => typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : String(error)
  )

/** Nothing is tried again. */
const never = Schedule.recurs(0)

const by = { actor: "test", comment: "to see" }
const id = { executionId: "one" }

const double = (calls: Array<number> = []) =>
  Saga.make("Double", { payload: Schema.Int }).pipe(
    Saga.check("calls", { action: ({ payload }) => Effect.sync(() => void calls.push(payload)) }),
    Saga.output(Schema.Int, ({ payload }) => 2 * payload)
  )

/** A saga that is held in its first step, or behind its commit point. */
const held = Effect.map(gate, (gate) => {
  const undone: Array<string> = []
  const saga = Saga.make("Held", { payload: Schema.Void }).pipe(
    Saga.step("a", {
      action: () => gate.pass,
      compensation: () => Effect.sync(() => void undone.push("a"))
    }),
    Saga.step("b", { action: () => Effect.void, compensation: () => Effect.sync(() => void undone.push("b")) })
  )
  const committed = Saga.make("Committed", { payload: Schema.Void }).pipe(
    Saga.pivot("pivot", { action: () => Effect.void }),
    Saga.retriable("late", { action: () => gate.pass, retry: never })
  )
  return { gate, saga, committed, undone }
})

/** A saga that is stuck until somebody mends what it stands on. */
const stuck = (broken: { is: boolean }) => {
  const undone: Array<string> = []
  const saga = Saga.make("Stuck", { payload: Schema.Void }).pipe(
    Saga.step("a", {
      success: Schema.String,
      action: () => Effect.succeed("seat"),
      compensationRetry: never,
      compensation: (seat) =>
        Effect.suspend(() => broken.is ? Effect.fail("busy") : Effect.sync(() => void undone.push(seat)))
    }),
    Saga.check("no", { error: Schema.String, action: () => Effect.fail("no") }),
    Saga.onStuck(() => Effect.void)
  )
  return { saga, undone }
}

export const promises: Readonly<Record<string, Promised>> = {
  "the same id with the same payload joins, and nothing runs again": (engine) =>
    Effect.gen(function*() {
      const calls: Array<number> = []
      const saga = double(calls)
      yield* engine.register(saga)
      assert.strictEqual(yield* engine.execute(saga, 21, id), 42)
      assert.strictEqual(yield* engine.execute(saga, 21, id), 42)
      assert.strictEqual(yield* engine.start(saga, 21, id), "one")
      assert.deepStrictEqual([...calls], [21])
    }),
  "the same id with another payload is a conflict": (engine) =>
    Effect.gen(function*() {
      const saga = double()
      yield* engine.register(saga)
      yield* engine.execute(saga, 21, id)
      assert.strictEqual(yield* tagOf(engine.execute(saga, 22, id)), "ExecutionConflict")
      assert.strictEqual(yield* engine.await(saga, "one"), 42)
    }),
  "a hundred starts of one id at once are one run with a hundred equal answers": (engine) =>
    Effect.gen(function*() {
      const calls: Array<number> = []
      const saga = double(calls)
      yield* engine.register(saga)
      const all = Array.from({ length: 100 }, () => engine.execute(saga, 21, id))
      const answers = yield* Effect.all(all, { concurrency: "unbounded" })
      assert.deepStrictEqual([answers.length, new Set(answers).size, calls.length], [100, 1, 1])
    }),
  "the key of a saga is its identity": (engine) =>
    Effect.gen(function*() {
      const saga = Saga.make("Keyed", { payload: Schema.String, key: (name) => name })
      yield* engine.register(saga)
      assert.strictEqual(yield* engine.start(saga, "a/b"), "Keyed/a%2Fb")
      assert.strictEqual(yield* engine.start(saga, "a/b"), "Keyed/a%2Fb")
    }),
  "odd ids are carried, and those that cannot be are refused": (engine) =>
    Effect.gen(function*() {
      const saga = double()
      yield* engine.register(saga)
      for (const executionId of ["a/b", "'; DROP TABLE x; --", "🧳", "a\u202eb", "%00", " "]) {
        assert.strictEqual(yield* engine.execute(saga, 1, { executionId }), 2)
        assert.isTrue(Option.isSome(yield* engine.poll(executionId)))
      }
      assert.strictEqual(yield* tagOf(engine.start(saga, 1, { executionId: "" })), "ExecutionIdInvalid")
    }),
  "what nobody has started is not found": (engine) =>
    Effect.gen(function*() {
      const saga = double()
      yield* engine.register(saga)
      assert.isTrue(Option.isNone(yield* engine.poll("nobody")))
      assert.strictEqual(yield* tagOf(engine.await(saga, "nobody")), "ExecutionNotFound")
      assert.strictEqual(yield* tagOf(engine.cancel("nobody")), "ExecutionNotFound")
    }),
  "who is interrupted while waiting changes nothing": (engine) =>
    Effect.gen(function*() {
      const { gate, saga, undone } = yield* held
      yield* engine.register(saga)
      const caller = yield* Effect.forkChild(engine.execute(saga, undefined, id))
      yield* gate.reached
      yield* Fiber.interrupt(caller)
      yield* gate.open
      assert.deepStrictEqual(yield* engine.await(saga, "one"), { a: undefined, b: undefined })
      assert.deepStrictEqual([...undone], [])
    }),
  "a cancel waits for the action in flight, undoes it, and answers who waits": (engine) =>
    Effect.gen(function*() {
      const { gate, saga, undone } = yield* held
      yield* engine.register(saga)
      const caller = yield* Effect.forkChild(tagOf(engine.execute(saga, undefined, id)))
      yield* gate.reached
      const cancel = yield* Effect.forkChild(engine.cancel("one"))
      yield* Effect.yieldNow
      assert.deepStrictEqual([...undone], [])
      yield* gate.open
      yield* Fiber.join(cancel)
      assert.strictEqual(yield* Fiber.join(caller), "SagaCancelled")
      assert.deepStrictEqual([...undone], ["a"])
    }),
  "a cancel behind the commit point is refused, and one behind the end": (engine) =>
    Effect.gen(function*() {
      const { committed, gate } = yield* held
      yield* engine.register(committed)
      yield* engine.start(committed, undefined, id)
      yield* gate.reached
      assert.strictEqual(yield* tagOf(engine.cancel("one")), "AlreadyCommitted")
      yield* gate.open
      yield* engine.await(committed, "one")
      assert.strictEqual(yield* tagOf(engine.cancel("one")), "AlreadyFinal")
    }),
  "values come back as they were": (engine) =>
    Effect.gen(function*() {
      const values = {
        date: new Date(5),
        map: new Map([["a", 1n]]),
        none: undefined,
        nothing: null,
        nan: Number.NaN,
        text: "\u0000\"🧳"
      }
      const Values = Schema.Struct({
        date: Schema.Date,
        map: Schema.ReadonlyMap(Schema.String, Schema.BigInt),
        none: Schema.UndefinedOr(Schema.String),
        nothing: Schema.Null,
        nan: Schema.Number,
        text: Schema.String
      })
      const saga = Saga.make("Values", { payload: Values }).pipe(
        Saga.step("same", {
          success: Values,
          action: ({ payload }) => Effect.succeed(payload),
          compensation: () => Effect.void
        })
      )
      yield* engine.register(saga)
      assert.deepStrictEqual(yield* engine.execute(saga, values, id), { same: values })
    }),
  "a result that cannot be recorded leaves the step unknown": (engine) =>
    Effect.gen(function*() {
      const undone: Array<number> = []
      const saga = Saga.make("Unwritten", { payload: Schema.Void }).pipe(
        Saga.step("a", {
          success: Schema.Int,
          action: () => Effect.succeed(0.5),
          compensation: (value) => Effect.sync(() => void undone.push(value))
        })
      )
      yield* engine.register(saga)
      yield* engine.start(saga, undefined, id)
      const outcome = yield* engine.outcome(saga, "one")
      assert.strictEqual(outcome._tag, "Compensated")
      assert.deepStrictEqual([...undone], [0.5])
    }),
  "an oversize payload is refused, and nothing is started": (engine) =>
    Effect.gen(function*() {
      const saga = Saga.make("Large", { payload: Schema.String })
      yield* engine.register(saga)
      assert.strictEqual(yield* tagOf(engine.start(saga, "x".repeat(2_000_000), id)), "PayloadRefused")
      assert.isTrue(Option.isNone(yield* engine.poll("one")))
    }),
  "what is stuck waits for a person, who has it tried again": (engine) =>
    Effect.gen(function*() {
      const broken = { is: true }
      const { saga, undone } = stuck(broken)
      yield* engine.register(saga)
      assert.strictEqual(yield* tagOf(engine.execute(saga, undefined, { ...id, onStuck: "fail" })), "ExecutionStuck")
      broken.is = false
      yield* engine.retry("one", by)
      assert.strictEqual(yield* tagOf(engine.await(saga, "one")), "no")
      assert.deepStrictEqual([...undone], ["seat"])
      assert.strictEqual(yield* tagOf(engine.retry("one", by)), "AlreadyFinal")
    }),
  "a person who did it by hand skips it, or gives it up": (engine) =>
    Effect.gen(function*() {
      const { saga, undone } = stuck({ is: true })
      yield* engine.register(saga)
      for (const executionId of ["one", "two"]) {
        yield* engine.start(saga, undefined, { executionId })
        yield* tagOf(engine.await(saga, executionId, { onStuck: "fail" }))
      }
      yield* engine.skip("one", "a", undefined, by)
      assert.strictEqual(yield* tagOf(engine.await(saga, "one")), "no")
      yield* engine.abandon("two", by)
      assert.strictEqual(yield* tagOf(engine.await(saga, "two")), "ExecutionAbandoned")
      assert.deepStrictEqual([...undone], [])
      const [first, second] = [yield* engine.poll("one"), yield* engine.poll("two")]
      assert.deepStrictEqual([first, second].map((one) => Option.getOrThrow(one).state), ["Compensated", "Abandoned"])
    }),
  "lists and counts say what there is": (engine) =>
    Effect.gen(function*() {
      const saga = double()
      yield* engine.register(saga)
      for (const executionId of ["a", "b", "c"]) yield* engine.execute(saga, 1, { executionId })
      const { executions } = yield* engine.list()
      assert.sameMembers(executions.map(({ executionId }) => executionId), ["a", "b", "c"])
      const counts = yield* engine.counts()
      assert.deepStrictEqual(counts.map(({ count, saga, state }) => [saga, state, count]), [["Double", "Succeeded", 3]])
      assert.isTrue((yield* engine.history("a")).length > 2)
    }),
  "several sagas and versions run side by side, each as it is registered": (engine) =>
    Effect.gen(function*() {
      const version = (version: number) =>
        Saga.make("Versioned", { payload: Schema.Void, version }).pipe(Saga.output(Schema.Int, () => version))
      const [one, two] = [version(1), version(2)]
      yield* engine.register(one)
      yield* engine.register(two)
      assert.strictEqual(yield* engine.execute(one, undefined, { executionId: "v1" }), 1)
      assert.strictEqual(yield* engine.execute(two, undefined, { executionId: "v2" }), 2)
    }),
  "a saga that it does not know stays live until it is registered": (engine) =>
    Effect.gen(function*() {
      const saga = double()
      yield* engine.start(saga, 4, id)
      assert.strictEqual(Option.getOrThrow(yield* engine.poll("one")).state, "Running")
      yield* engine.register(saga)
      assert.strictEqual(yield* engine.await(saga, "one"), 8)
    }),
  "a fault in one execution changes no other": (engine) =>
    Effect.gen(function*() {
      const saga = Saga.make("Some", { payload: Schema.Int }).pipe(
        Saga.check("a", {
          error: Schema.String,
          action: ({ payload }) =>
            payload % 3 === 0 ? Effect.void : payload % 3 === 1 ? Effect.fail("no") : Effect.die(new Error("lost"))
        })
      )
      yield* engine.register(saga)
      const run = (payload: number) => Effect.exit(engine.execute(saga, payload, { executionId: `some-${payload}` }))
      const exits = yield* Effect.forEach(Array.from({ length: 30 }, (_, payload) => payload), run, {
        concurrency: "unbounded"
      })
      exits.forEach((exit, payload) => assert.strictEqual(Exit.isSuccess(exit), payload % 3 === 0))
    })
}
