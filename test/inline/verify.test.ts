/** `verify` of inline steps: what it finds, when it is asked, and what comes of a question without an answer. */
import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Fiber, Option } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { Ledger, reasonsOf, uncertainOf, undoing, whyUncertain } from "./ledger.ts"

class NoAnswer extends Data.TaggedError("NoAnswer")<{}> {}
class Refused extends Data.TaggedError("Refused")<{}> {}

describe("verify", () => {
  const lost = (ledger: Ledger, verify: Effect.Effect<Option.Option<string>, unknown>) =>
    Effect.andThen(ledger.write("+charge"), new NoAnswer()).pipe(
      Saga.withCompensation((bill: string) => ledger.write(`-charge ${bill}`), {
        name: "charge",
        isUncertain: () => true,
        compensationTimeout: "1 second",
        verify: Effect.andThen(ledger.write("asked"), verify)
      })
    )

  it.effect("that finds a result makes the step a success, and a later failure undoes it", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const charge = lost(ledger, Effect.succeedSome("bill"))
      assert.strictEqual(yield* Saga.scoped(charge), "bill")
      assert.deepStrictEqual(ledger.lines.splice(0), ["+charge", "asked"])

      const exit = yield* Effect.exit(Saga.scoped(Effect.andThen(charge, Effect.fail("no"))))
      assert.deepStrictEqual(ledger.lines, ["+charge", "asked", "-charge bill"])
      assert.deepStrictEqual(reasonsOf(exit), ["no"])
    }))

  it.effect("that finds nothing makes it a failure: neither compensated nor reported", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const exit = yield* Effect.exit(Saga.scoped(lost(ledger, Effect.succeedNone)))
      assert.deepStrictEqual(ledger.lines, ["+charge", "asked"])
      assert.deepStrictEqual(reasonsOf(exit), [new NoAnswer()])
      assert.deepStrictEqual(uncertainOf(exit), [])
    }))

  for (const [what, verify] of [["fails", Effect.fail("down")], ["dies", Effect.die("bug")]] as const) {
    it.effect(`that ${what} leaves the outcome unknown, and says why`, () =>
      Effect.gen(function*() {
        const ledger = new Ledger()
        const exit = yield* Effect.provide(Effect.exit(Saga.scoped(lost(ledger, verify))), ledger.layer)
        assert.deepStrictEqual(reasonsOf(exit), [new NoAnswer()])
        assert.deepStrictEqual(uncertainOf(exit), ["charge DeclaredByError"])
        assert.deepStrictEqual(whyUncertain(exit), [new NoAnswer(), what === "fails" ? "down" : "bug"])
      }))
  }

  for (const [how, hang] of [["can", Effect.never], ["cannot", Effect.uninterruptible(Effect.never)]] as const) {
    it.effect(`that hangs and ${how} be interrupted is given up at the limit: unknown`, () =>
      Effect.gen(function*() {
        const ledger = new Ledger()
        const fiber = yield* lost(ledger, hang).pipe(
          Saga.scoped,
          Effect.exit,
          Effect.provide(ledger.layer),
          Effect.forkDetach({ startImmediately: true })
        )
        yield* TestClock.adjust("999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 minute")
        const exit = fiber.pollUnsafe()
        if (exit === undefined) return assert.fail("it still waits for `verify`")
        assert.deepStrictEqual(uncertainOf(yield* exit), ["charge DeclaredByError"])
      }))
  }

  it.effect("is asked after an interruption too, and the fiber waits for the answer", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const fiber = yield* Effect.andThen(ledger.write("+charge"), Effect.never).pipe(
        Saga.withCompensation((bill: string) => ledger.write(`-charge ${bill}`), {
          verify: Effect.andThen(Effect.sleep("1 second"), Effect.succeedSome("bill"))
        }),
        Effect.andThen(ledger.step("never")),
        Saga.scoped,
        Effect.forkChild({ startImmediately: true })
      )
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      assert.deepStrictEqual(ledger.lines, ["+charge"])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(ledger.lines, ["+charge", "-charge bill"])
      assert.deepStrictEqual(reasonsOf(yield* Fiber.await(fiber)), ["interrupted"])
    }))

  it.effect("that finds a result after an interruption from inside makes the step a success, too", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const shared = yield* Effect.forkChild(Effect.never)
      yield* Fiber.interrupt(shared)
      const bill = yield* Fiber.join(shared).pipe(
        Saga.withCompensation(ledger.undo, { verify: Effect.succeedSome("bill") }),
        Saga.scoped
      )
      assert.strictEqual(bill, "bill")
      assert.deepStrictEqual(ledger.lines, [])
    }))

  it.effect("is not asked when the outcome is known", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const verify = Effect.andThen(ledger.write("asked"), Effect.succeedNone)
      const certain = Saga.withCompensation(new Refused(), () => Effect.void, { verify })
      yield* Effect.exit(Saga.scoped(Saga.withCompensation(Effect.void, () => Effect.void, { verify })))
      yield* Effect.exit(Saga.scoped(certain))
      assert.deepStrictEqual(ledger.lines, [])
    }))

  it.effect("comes before whenUncertain: what it finds is given to the compensation as a success", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* Effect.die("bug").pipe(
        Effect.as("bill"),
        Saga.withCompensation(undoing(ledger, "charge"), {
          whenUncertain: "compensate",
          verify: Effect.succeedSome("bill")
        }),
        Effect.andThen(Effect.fail("no")),
        Saga.scoped,
        Effect.exit
      )
      assert.deepStrictEqual(ledger.lines, [`-charge Succeeded "bill"`])
    }))
})
