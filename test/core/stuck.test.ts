// A saga that is stuck: who is told, and what: rule 7.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Logger, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import type { Ledger } from "./ledger.ts"
import { saga, stuckOf, trip } from "./ledger.ts"

describe("rule 7: a person is told", () => {
  /** A saga that fails, and one of whose compensations fails too. */
  const once = (ledger: Ledger) =>
    trip.pipe(
      Saga.step("a", ledger.step()),
      Saga.step("b", ledger.step({ undo: () => Effect.fail("busy") })),
      Saga.step("c", ledger.step()),
      Saga.step("d", ledger.fails("no")),
      Saga.unwind({ retry: Schedule.recurs(0) })
    )

  saga("`onStuck` is told once, before the caller knows", (ledger) =>
    Effect.gen(function*() {
      const told: Array<Saga.Stuck> = []
      const exit = yield* ledger.run(
        once(ledger).pipe(
          Saga.onStuck((stuck) => Effect.andThen(ledger.mark("told"), Effect.sync(() => told.push(stuck))))
        )
      )
      assert.strictEqual(ledger.text, "+a +b +c !d -c -a told")
      const error = stuckOf(exit)
      assert.deepStrictEqual(told.map((stuck) => [stuck.saga, stuck.executionId]), [["Trip", error.executionId]])
      assert.strictEqual(told[0]!.error, error)
    }))

  saga("it is not told of a saga that was compensated, or that succeeded", (ledger) =>
    Effect.gen(function*() {
      yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", ledger.fails("no")),
        Saga.onStuck(() => ledger.mark("told"))
      ))
      yield* Saga.run(trip.pipe(Saga.onStuck(() => ledger.mark("told"))), undefined)
      assert.strictEqual(ledger.text, "+a !b -a")
    }))

  const logged = (ledger: Ledger, saga: Saga.Saga<void, unknown, unknown, unknown, string, never>) =>
    Effect.gen(function*() {
      const lines: Array<readonly [string, string]> = []
      const logger = Logger.make<unknown, unknown>(({ logLevel, message }) => {
        lines.push([logLevel, String(Array.isArray(message) ? message[0] : message)])
      })
      const exit = yield* ledger.observe(Saga.run(saga, undefined, { executionId: "e1" })).pipe(
        Effect.exit,
        Effect.provide(Logger.layer([logger]))
      )
      ledger.check(exit)
      assert.deepStrictEqual(stuckOf(exit).uncompensated, ["b"])
      return lines
    })
  const line = `Saga "Trip" (e1) is stuck: the compensation of "b" failed 1 times. Still in place: b. ` +
    `Undo this by hand, in this order`

  saga("without it an error is logged", (ledger) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* logged(ledger, once(ledger)), [["Error", line]])
    }))

  const hooks: ReadonlyArray<readonly [string, () => Effect.Effect<unknown, unknown>]> = [
    ["fails", () => Effect.fail("pager")],
    ["dies", () => Effect.die("pager")],
    ["interrupts itself", () => Effect.interrupt],
    ["throws", () => {
      throw new Error("pager")
    }]
  ]
  for (const [what, hook] of hooks) {
    saga(`one that ${what} changes nothing: both go to the log`, (ledger) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(
          yield* logged(ledger, once(ledger).pipe(Saga.onStuck(hook))),
          [["Error", line], ["Error", "Its `onStuck` failed"]]
        )
      }))
  }

  it.effect("the outcome as a value", () =>
    Effect.gen(function*() {
      const saga = trip.pipe(
        Saga.step("a", { action: () => Effect.void, compensation: () => Effect.fail("busy") }),
        Saga.check("b", { error: Schema.String, action: () => Effect.fail("no") }),
        Saga.unwind({ retry: Schedule.recurs(0) })
      )
      const outcome = yield* Saga.outcome(saga, undefined, { executionId: "e1" })
      if (outcome._tag !== "Stuck") return assert.fail(outcome._tag)
      assert.strictEqual(outcome.executionId, "e1")
      assert.deepStrictEqual(stuckOf(Exit.fail(outcome.error)).uncompensated, ["a"])
    }))
})
