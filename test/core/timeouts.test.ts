// Time limits of steps and of sagas, on a clock that is moved by hand: rules 3 and 4, faults 6, 7, 16.
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Option, Schedule, Schema } from "effect"
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
    }))

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
    }))

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
      }))
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
