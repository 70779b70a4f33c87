// The point of no return and what its unknown outcome means: rule 10, faults 16 and 26.
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Latch, Option, Schedule } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { inFiber, reasons, saga, settle, stuckOf, trip } from "./ledger.ts"

describe("rule 10: the pivot", () => {
  saga("succeeds: the saga goes forward from there", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.pivot("b", ledger.action()),
        Saga.retriable("c", { ...ledger.action(), retry: Schedule.forever })
      ))
      assert.deepStrictEqual(exit, Exit.succeed({ a: "a", b: "b", c: "c" }))
    }))

  saga("its typed failure unwinds", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.pivot("b", ledger.action({ before: () => Effect.fail("declined") })),
        Saga.retriable("c", { ...ledger.action(), retry: Schedule.forever })
      ))
      assert.deepStrictEqual(reasons(exit), [["Fail", "declined"]])
      assert.strictEqual(ledger.text, "+a !b -a")
    }))

  saga("its typed failure is retried if it has a schedule", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.pivot("b", {
          ...ledger.action({ before: ({ attempt }) => attempt < 3 ? Effect.fail("busy") : Effect.void }),
          retry: Schedule.recurs(2)
        })
      ))
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(ledger.text, "+a !b !b +b")
    }))

  saga("is never cut by an interruption: it is awaited, then all is done", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.pivot("b", ledger.action({ before: () => gate.await }))
      ))
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.strictEqual(ledger.text, "+a +b")
      if (ledger.observed) assert.strictEqual(ledger.state.status, "Succeeded")
    }), inFiber.interruption)

  saga("interrupted and refused: unwinds", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.pivot("b", ledger.action({ before: () => Effect.andThen(gate.await, Effect.fail("declined")) }))
      ))
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.strictEqual(ledger.text, "+a !b -a")
    }), inFiber.interruption)

  saga("interrupted before it starts: it does not start", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", { ...ledger.step({ after: () => gate.await }), interruptible: false }),
        Saga.pivot("b", ledger.action())
      ))
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.strictEqual(ledger.text, "+a -a")
    }), inFiber.interruption)
})

describe("F26 a pivot of unknown outcome", () => {
  saga("is tried again with the same key by its schedule, also after a defect", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.pivot("b", {
          ...ledger.action({
            after: ({ attempt }) => attempt === 1 ? Effect.die("lost") : attempt === 2 ? Effect.never : Effect.void
          }),
          timeout: "1 second",
          retry: Schedule.spaced("1 second")
        })
      ))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed({ a: "a", b: "b" }))
      assert.strictEqual(ledger.text, "+a +b =b =b")
    }))

  saga("without more tries and nobody to ask: stuck, never unwound", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.pivot("b", { ...ledger.action({ after: () => Effect.die("lost") }), retry: Schedule.recurs(2) })
      ))
      const error = stuckOf(exit)
      assert.strictEqual(error.reason, "PivotUncertain")
      assert.deepStrictEqual(
        error.failures.map(({ attempts, cause, path }) => [path, attempts, Cause.squash(cause)]),
        [["b", 3, new Saga.PivotUncertain({ path: "b", reason: "Died" })]]
      )
      assert.deepStrictEqual(error.uncertain.map(({ path, reason }) => [path, reason]), [["b", "Died"]])
      assert.deepStrictEqual([error.compensated, error.uncompensated], [[], ["a"]])
      assert.deepStrictEqual(reasons(Exit.failCause(error.original)), [["Die", "lost"]])
      assert.strictEqual(ledger.text, "+a +b =b =b")
    }))

  saga("`at-most-once`: not tried again", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.pivot("a", {
          ...ledger.action({ after: () => Effect.die("lost") }),
          retry: Schedule.forever,
          delivery: "at-most-once"
        })
      ))
      assert.strictEqual(stuckOf(exit).reason, "PivotUncertain")
      assert.strictEqual(ledger.text, "+a")
    }))

  saga("`verify` finds that it took place: forward", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.pivot("b", {
          ...ledger.action({ after: () => Effect.die("lost") }),
          verify: (_, { path }) => Effect.succeed(Option.some(path))
        }),
        Saga.retriable("c", { ...ledger.action(), retry: Schedule.forever })
      ))
      assert.deepStrictEqual(exit, Exit.succeed({ a: "a", b: "b", c: "c" }))
      assert.strictEqual(ledger.text, "+a +b +c")
    }))

  saga("`verify` finds that it did not: unwinds", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.pivot("b", {
          ...ledger.action({ before: () => Effect.die("lost") }),
          verify: () => Effect.succeed(Option.none())
        })
      ))
      assert.deepStrictEqual(reasons(exit), [["Die", "lost"]])
      assert.strictEqual(ledger.text, "+a -a")
    }))

  saga(
    "F16 a typed failure after an attempt of unknown outcome does not unwind: stuck",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.pivot("b", {
            ...ledger.action({
              before: ({ attempt }) => attempt === 2 ? Effect.fail("already charged") : Effect.void,
              after: () => Effect.die("lost")
            }),
            retry: Schedule.recurs(1)
          })
        ))
        assert.strictEqual(stuckOf(exit).reason, "PivotUncertain")
        assert.strictEqual(ledger.text, "+a +b !b")
      })
  )

  saga("an error that `isUncertain` names: stuck", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.pivot("a", { ...ledger.action({ after: () => Effect.fail("lost") }), isUncertain: () => true })
      ))
      assert.deepStrictEqual(stuckOf(exit).uncertain.map(({ reason }) => reason), ["DeclaredByError"])
    }))

  saga("an interrupted caller: `onStuck` is told", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.pivot("b", ledger.action({ after: () => Effect.andThen(gate.await, Effect.die("lost")) })),
        Saga.onStuck(({ error }) => ledger.mark(error._tag === "CompensationFailed" ? error.reason : error._tag))
      ))
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.strictEqual(ledger.text, "+a +b PivotUncertain")
    }), inFiber.interruption)

  saga(
    "an interruption cuts the delay before its next try; its outcome is unknown, so it is stuck",
    (ledger) =>
      Effect.gen(function*() {
        const fiber = yield* ledger.start(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.pivot("b", { ...ledger.action({ after: () => Effect.die("lost") }), retry: Schedule.spaced("1 hour") }),
          Saga.onStuck(() => ledger.mark("stuck"))
        ))
        yield* settle
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(ledger.text, "+a +b stuck")
      }),
    inFiber.interruption
  )

  saga("a saga limit does not cut it, nor the delay between its tries", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.pivot("b", {
          ...ledger.action({ before: ({ attempt }) => attempt === 1 ? Effect.fail("busy") : Effect.sleep("1 hour") }),
          retry: Schedule.spaced("1 hour")
        }),
        Saga.timeout("1 second")
      ))
      yield* TestClock.adjust("2 hours")
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
      assert.strictEqual(ledger.text, "+a !b +b")
    }))
})
