// Time limits of steps, on a clock that is moved by hand: rule 4, faults 6 and 16.
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Schedule } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import type { Ledger } from "./ledger.ts"
import { reasons, saga, trip, uncertainOf } from "./ledger.ts"

/** A step that takes effect, never answers, and is cut off after a second. */
const slow = (ledger: Ledger) => ({ ...ledger.silent(), timeout: "1 second", whenUncertain: "report" } as const)

describe("F6 the limit of a step", () => {
  saga("to the millisecond: unknown outcome, not failure; a defect for the caller", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", slow(ledger))
      ))
      yield* TestClock.adjust(999)
      assert.strictEqual(ledger.text, "+a +b")
      yield* TestClock.adjust(1)
      const exit = yield* Fiber.await(fiber)
      assert.deepStrictEqual(reasons(exit), [["Die", new Saga.StepTimedOut({ path: "b", limitMillis: 1_000 })]])
      assert.deepStrictEqual(uncertainOf(exit), [["b", "TimedOut"]])
      assert.strictEqual(ledger.text, "+a +b -a")
    }))

  saga(
    "an action that answers a millisecond before has succeeded, and its limit is gone",
    (ledger) =>
      Effect.gen(function*() {
        const fiber = yield* ledger.start(trip.pipe(
          Saga.step("a", { ...slow(ledger), ...ledger.step({ after: () => Effect.sleep(999) }) }),
          Saga.sleep("later", "1 hour")
        ))
        yield* TestClock.adjust("2 hours")
        assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed({ a: "a" }))
      })
  )

  saga("`timeoutError` makes it an error of the step; the outcome stays unknown", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", { ...slow(ledger), timeoutError: () => "too slow" })
      ))
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.await(fiber)
      assert.deepStrictEqual(reasons(exit), [["Fail", "too slow"]])
      assert.deepStrictEqual(uncertainOf(exit), [["b", "TimedOut"]])
      assert.strictEqual(ledger.text, "+a +b -a")
    }))

  saga("a `timeoutError` that throws: the outcome is unknown for the same reason", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", {
          ...slow(ledger),
          timeoutError: () => {
            throw new Error("boom")
          }
        })
      ))
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.await(fiber)
      assert.include(String(reasons(exit)), "boom")
      assert.deepStrictEqual(uncertainOf(exit), [["b", "TimedOut"]])
      assert.strictEqual(ledger.text, "+a +b -a")
    }))

  saga("what the cut-off action still has to say is kept", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", {
          ...slow(ledger),
          ...ledger.step({ after: () => Effect.onInterrupt(Effect.never, () => Effect.die("finalizer")) })
        })
      ))
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.await(fiber)
      assert.deepStrictEqual(reasons(exit).map(([tag]) => tag), ["Die", "Die"])
      assert.strictEqual(reasons(exit)[1]![1], "finalizer")
      assert.deepStrictEqual(uncertainOf(exit), [["a", "TimedOut"]])
    }))

  saga("an action that ignores its interruption is awaited", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", { ...slow(ledger), ...ledger.step({ after: () => Effect.uninterruptible(gate.await) }) })
      ))
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(fiber.pollUnsafe())
      yield* gate.open
      assert.deepStrictEqual(uncertainOf(yield* Fiber.await(fiber)), [["a", "TimedOut"]])
    }))

  saga("it holds for `interruptible: false` too: that is about others", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(Saga.step("a", { ...slow(ledger), interruptible: false })))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(uncertainOf(yield* Fiber.await(fiber)), [["a", "TimedOut"]])
    }))

  saga("of a check: nothing is uncertain", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.check("b", { action: () => Effect.never, timeout: "1 second" })
      ))
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.await(fiber)
      assert.deepStrictEqual(reasons(exit), [["Die", new Saga.StepTimedOut({ path: "b", limitMillis: 1_000 })]])
      assert.deepStrictEqual(uncertainOf(exit), [])
      assert.strictEqual(ledger.text, "+a -a")
    }))
})

describe("rule 4: a limit is per attempt, and `retry` sees it", () => {
  /** Does not answer in its first attempts. */
  const deaf = (ledger: Ledger, attempts: number) => ({
    ...ledger.step({
      before: ({ attempt }) => ledger.stamp(`try ${attempt}`),
      after: ({ attempt }) => attempt <= attempts ? Effect.never : Effect.void
    }),
    timeout: "1 second",
    whenUncertain: "report",
    retry: Schedule.spaced("100 millis")
  } as const)

  saga("a step that is cut off is tried again with the same key", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(Saga.step("a", deaf(ledger, 2)), Saga.step("b", ledger.step())))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed({ a: "a", b: "b" }))
      assert.strictEqual(ledger.text, "try 1@0 +a try 2@1100 =a try 3@2200 =a +b")
    }))

  saga("so is a check", (ledger) =>
    Effect.gen(function*() {
      const { compensation: _, whenUncertain: __, ...check } = deaf(ledger, 2)
      const fiber = yield* ledger.start(trip.pipe(Saga.check("a", check)))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed({ a: "a" }))
      assert.strictEqual(ledger.text, "try 1@0 +a try 2@1100 =a try 3@2200 =a")
    }))

  saga("`at-most-once` never tries again what was cut off", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(Saga.step("a", { ...deaf(ledger, 2), delivery: "at-most-once" })))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(uncertainOf(yield* Fiber.await(fiber)), [["a", "TimedOut"]])
      assert.strictEqual(ledger.text, "try 1@0 +a")
    }))

  saga("`at-most-once` tries again what failed by a typed error", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", {
          ...deaf(ledger, 0),
          ...ledger.step({ before: ({ attempt }) => attempt === 1 ? Effect.fail("busy") : Effect.void }),
          delivery: "at-most-once"
        })
      ))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed({ a: "a" }))
      assert.strictEqual(ledger.text, "!a +a")
    }))

  saga(
    "the schedule is given the typed error or StepTimedOut, also where there is a `timeoutError`",
    (ledger) =>
      Effect.gen(function*() {
        const seen: Array<unknown> = []
        const retry = Schedule.recurs(2).pipe(
          Schedule.setInputType<unknown>(),
          Schedule.tap(({ input }) => Effect.sync(() => seen.push(input)))
        )
        const fiber = yield* ledger.start(trip.pipe(
          Saga.step("a", {
            ...slow(ledger),
            ...ledger.step({ before: ({ attempt }) => attempt === 1 ? Effect.fail("busy") : Effect.never }),
            timeoutError: () => "too slow",
            retry
          })
        ))
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "too slow"]])
        assert.deepStrictEqual(seen, ["busy", new Saga.StepTimedOut({ path: "a", limitMillis: 1_000 })])
      })
  )

  saga(
    "F16 a typed failure after a cut-off attempt: unknown, not `did not happen`",
    (ledger) =>
      Effect.gen(function*() {
        const fiber = yield* ledger.start(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.step("b", {
            ...deaf(ledger, 1),
            ...ledger.step({
              before: ({ attempt }) => attempt === 2 ? Effect.fail("refused") : Effect.void,
              after: () => Effect.never
            }),
            retry: Schedule.recurs(1)
          })
        ))
        yield* TestClock.adjust("1 minute")
        const exit = yield* Fiber.await(fiber)
        assert.deepStrictEqual(reasons(exit), [["Fail", "refused"]])
        assert.deepStrictEqual(uncertainOf(exit), [["b", "TimedOut"]])
        assert.strictEqual(ledger.text, "+a +b !b -a")
      })
  )

  saga("F16 and its compensation is told so, if it wants to know", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", {
          ...ledger.knowing({
            before: ({ attempt }) => attempt === 2 ? Effect.fail("refused") : Effect.void,
            after: () => Effect.never
          }),
          timeout: "1 second",
          retry: Schedule.recurs(1)
        })
      ))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "refused"]])
      assert.strictEqual(ledger.text, "+a !a -a?TimedOut")
    }))
})
