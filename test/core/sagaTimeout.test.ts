// The time limit of a whole saga, on a clock that is moved by hand, passing in every place: fault 7.
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Option, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import type { Ledger } from "./ledger.ts"
import { inFiber, reasons, saga, trip, uncertainOf } from "./ledger.ts"

describe("F7 the limit of the saga", () => {
  const limited = new Saga.SagaTimedOut({ saga: "Trip", limitMillis: 1_000 })

  saga(
    "to the millisecond: what may be cut is cut, it unwinds, and the caller gets SagaTimedOut",
    (ledger) =>
      Effect.gen(function*() {
        const fiber = yield* ledger.start(trip.pipe(
          Saga.step("a", ledger.step({ after: () => Effect.sleep(900) })),
          Saga.step("b", ledger.silent()),
          Saga.timeout("1 second")
        ))
        yield* TestClock.adjust(999)
        assert.strictEqual(ledger.text, "+a +b")
        yield* TestClock.adjust(1)
        const exit = yield* Fiber.await(fiber)
        assert.deepStrictEqual(reasons(exit), [["Fail", limited]])
        assert.deepStrictEqual(uncertainOf(exit), [["b", "Interrupted"]])
        assert.strictEqual(ledger.text, "+a +b -a")
      })
  )

  saga("the unwind is not cut by it", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step({ undo: () => Effect.sleep("20 seconds") })),
        Saga.step("b", ledger.step({ undo: () => Effect.sleep("20 seconds") })),
        Saga.check("c", { error: Schema.String, action: () => Effect.fail("no") }),
        Saga.timeout("1 second")
      ))
      yield* TestClock.adjust("40 seconds")
      assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "no"]])
      assert.strictEqual(ledger.text, "+a +b -b -a")
    }))

  saga("an action with `interruptible: false` is awaited and compensated", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", { ...ledger.step({ after: () => Effect.sleep("1 minute") }), interruptible: false }),
        Saga.timeout("1 second")
      ))
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.await(fiber)
      assert.deepStrictEqual(reasons(exit), [["Fail", limited]])
      assert.deepStrictEqual(uncertainOf(exit), [])
      assert.strictEqual(ledger.text, "+a -a")
    }))

  saga("also when the caller forbids interruption", (ledger) =>
    Effect.gen(function*() {
      const saga = trip.pipe(Saga.step("a", ledger.silent()), Saga.timeout("1 second"))
      const fiber = yield* Effect.forkChild(Effect.uninterruptible(ledger.observe(Saga.run(saga, undefined))))
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.await(fiber)
      assert.deepStrictEqual(reasons(exit), [["Fail", limited]])
      ledger.check(exit)
    }))

  saga("a saga that ends in time leaves no limit behind", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(Saga.step("a", ledger.step()), Saga.timeout("1 second")))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(exit, Exit.succeed({ a: "a" }))
    }))

  saga("a step that fails first is the cause, and the limit is none", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", ledger.fails("no")),
        Saga.timeout("1 second")
      ))
      assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
      assert.deepStrictEqual(Exit.isFailure(exit) && Saga.aftermath(exit.cause).others, [])
    }))

  saga("an interruption before the limit is an interruption", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", ledger.silent()),
        Saga.timeout("1 second")
      ))
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.strictEqual(ledger.text, "+a +b -a")
    }), inFiber.interruption)

  saga("an interruption while the limit unwinds changes nothing", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step({ undo: () => gate.await })),
        Saga.step("b", ledger.silent()),
        Saga.timeout("1 second")
      ))
      yield* TestClock.adjust("1 second")
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.strictEqual(ledger.text, "+a +b -a")
    }), inFiber.interruption)

  const places: ReadonlyArray<readonly [string, (ledger: Ledger) => Saga.AnySaga, string]> = [
    ["a sleep", (ledger) => trip.pipe(Saga.step("a", ledger.step()), Saga.sleep("night", "8 hours")), "+a -a"],
    [
      "a delay between two attempts",
      (ledger) =>
        trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.step("b", { ...ledger.fails("busy"), retry: Schedule.spaced("1 hour") })
        ),
      "+a !b -a"
    ],
    [
      "a parallel",
      (ledger) =>
        trip.pipe(Saga.parallel((fork) => [
          fork.pipe(Saga.step("a", ledger.step()), Saga.step("b", ledger.knowing({ after: () => Effect.never }))),
          fork.pipe(Saga.step("c", ledger.step()), Saga.sleep("night", "8 hours")),
          fork.pipe(Saga.step("d", ledger.step()))
        ])),
      "+a +b +c +d -d -c -b?Interrupted -a"
    ],
    [
      "a forEach",
      (ledger) =>
        trip.pipe(Saga.forEach("lines", {
          item: Schema.String,
          items: () => ["x", "y", "z"],
          key: (item) => item,
          each: (fork) =>
            fork.pipe(
              Saga.step("a", ledger.step({ after: ({ path }) => Effect.sleep(path === "lines/x/a" ? 1 : 9_999) }))
            )
        })),
      "+lines/x/a +lines/y/a -lines/x/a"
    ],
    [
      "a nested saga",
      (ledger) =>
        trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.nested("in", trip.pipe(Saga.step("b", ledger.step()), Saga.step("c", ledger.silent())), () => {})
        ),
      "+a +in/b +in/c -in/b -a"
    ],
    [
      "the first way of an orElse",
      (ledger) =>
        trip.pipe(Saga.orElse(
          "way",
          (fork) => fork.pipe(Saga.step("a", ledger.step()), Saga.step("b", ledger.silent())),
          (fork) => fork.pipe(Saga.step("c", ledger.step()))
        )),
      "+way/first/a +way/first/b -way/first/a"
    ],
    [
      "the local unwind of an orElse",
      (ledger) =>
        trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.orElse(
            "way",
            (fork) =>
              fork.pipe(
                Saga.step("b", ledger.step({ undo: () => Effect.sleep(2_000) })),
                Saga.step("c", ledger.fails("no"))
              ),
            (fork) => fork.pipe(Saga.step("d", ledger.step()))
          )
        ),
      "+a +way/first/b !way/first/c -way/first/b -a"
    ],
    [
      "the second way of an orElse",
      (ledger) =>
        trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.orElse(
            "way",
            (fork) => fork.pipe(Saga.step("b", ledger.step()), Saga.step("c", ledger.fails("no"))),
            (fork) => fork.pipe(Saga.step("d", ledger.step()), Saga.sleep("night", "8 hours"))
          )
        ),
      "+a +way/first/b !way/first/c -way/first/b +way/second/d -way/second/d -a"
    ],
    [
      "a verify",
      (ledger) =>
        trip.pipe(
          Saga.step("a", {
            ...ledger.silent(),
            timeout: 900,
            whenUncertain: "report",
            verify: (_, { path }) => Effect.delay(Effect.succeed(Option.some(path)), 200)
          }),
          Saga.step("b", ledger.step())
        ),
      "+a -a"
    ]
  ]
  for (const [where, build, text] of places) {
    saga(`it passes during ${where}`, (ledger) =>
      Effect.gen(function*() {
        const saga = build(ledger) as Saga.Saga<void, unknown, unknown, unknown, string, never, "Reversible">
        const fiber = yield* ledger.start(saga.pipe(Saga.timeout("1 second")))
        yield* TestClock.adjust(999)
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", limited]])
        assert.strictEqual(ledger.text, text)
      }), where === "a parallel" ? inFiber.together : undefined)
  }

  saga("it bounds the part before the commit point only", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step({ after: () => Effect.sleep(999) })),
        Saga.pivot("b", ledger.action({ after: () => Effect.sleep("1 hour") })),
        Saga.retriable("c", { ...ledger.action({ after: () => Effect.sleep("1 hour") }), retry: Schedule.forever }),
        Saga.timeout("1 second")
      ))
      yield* TestClock.adjust("3 hours")
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed({ a: "a", b: "b", c: "c" }))
    }))
})
