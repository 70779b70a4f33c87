// What types exclude and untyped code does all the same: a defect that unwinds, and nothing is lost.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"

const untyped = <A>(value: unknown): A => value as A

const undone: Array<string> = []
const begun = Saga.make("Trip", { payload: Schema.Void }).pipe(
  Saga.step("seat", { action: () => Effect.void, compensation: () => Effect.sync(() => undone.push("seat")) })
)

const defectOf = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "it succeeded"

describe("an action that returns no Effect", () => {
  const bad = { action: () => untyped<Effect.Effect<void>>(Promise.resolve()), compensation: () => Effect.void }
  const message = "TypeError: The action of \"bad\" returned object, not an Effect: wrap it in one"
  for (const [name, options] of [["plain", bad], ["retried", { ...bad, retry: Schedule.recurs(1) }]] as const) {
    it.effect(`is a defect, and what came before is undone: ${name}`, () =>
      Effect.gen(function*() {
        undone.length = 0
        const exit = yield* Effect.exit(Saga.run(begun.pipe(Saga.step("bad", options)), undefined))
        assert.strictEqual(defectOf(exit), message)
        assert.deepStrictEqual(undone, ["seat"])
      }))
  }
})

it.effect("an onStuck that returns no Effect does not take the error away", () =>
  Effect.gen(function*() {
    const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
      Saga.step("seat", {
        action: () => Effect.void,
        compensation: () => Effect.fail("no"),
        compensationRetry: Schedule.recurs(0)
      }),
      Saga.check("funds", { error: Schema.String, action: () => Effect.fail("no money") }),
      Saga.onStuck(() => untyped<Effect.Effect<void>>(undefined))
    )
    const outcome = yield* Saga.outcome(saga, undefined)
    assert.strictEqual(outcome._tag, "Stuck")
  }))

it.effect("a key of a forEach that is no string is a defect that names the item", () =>
  Effect.gen(function*() {
    undone.length = 0
    const saga = begun.pipe(Saga.forEach("lines", {
      item: Schema.Int,
      items: () => [7],
      key: () => untyped<string>(undefined),
      each: (fork) => fork
    }))
    const exit = yield* Effect.exit(Saga.run(saga, undefined))
    assert.strictEqual(defectOf(exit), "TypeError: `key` of forEach \"lines\" gave undefined for item 0, not a string")
    assert.deepStrictEqual(undone, ["seat"])
  }))
