// Save-points: another way when the first one fails: rule 9, fault 25.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { inFiber, Ledger, reasons, saga, settle, stuckOf, trip, uncertainOf } from "./ledger.ts"

describe("F25 a typed failure of the first way", () => {
  saga("it is unwound fully before the second starts", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.orElse(
          "way",
          (fork) =>
            fork.pipe(
              Saga.step("b", ledger.step()),
              Saga.step("c", ledger.step({ undo: () => Effect.sleep(10) })),
              Saga.step("d", ledger.fails("no"))
            ),
          (fork) => fork.pipe(Saga.step("e", ledger.step({ before: () => ledger.stamp("second") })))
        ),
        Saga.step("f", ledger.step())
      ))
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed({ a: "a", way: { e: "way/second/e" }, f: "f" }))
      assert.strictEqual(
        ledger.text,
        "+a +way/first/b +way/first/c !way/first/d -way/first/c -way/first/b second@10 +way/second/e +f"
      )
    }))

  saga("a first way that succeeds is all", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(Saga.orElse(
        "way",
        (fork) => fork.pipe(Saga.step("a", ledger.step())),
        (fork) => fork.pipe(Saga.step("b", ledger.step()))
      )))
      assert.deepStrictEqual(exit, Exit.succeed({ way: { a: "way/first/a" } }))
      assert.strictEqual(ledger.text, "+way/first/a")
    }))

  saga("both ways may have steps of the same name; their keys differ", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(Saga.orElse(
        "way",
        (fork) => fork.pipe(Saga.step("a", ledger.step()), Saga.step("b", ledger.fails("no"))),
        (fork) => fork.pipe(Saga.step("a", ledger.step()))
      )))
      assert.deepStrictEqual(exit, Exit.succeed({ way: { a: "way/second/a" } }))
    }))

  saga("the second way sees the state before, nothing of the first", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.orElse(
          "way",
          (fork) => fork.pipe(Saga.step("b", ledger.step()), Saga.step("c", ledger.fails("no"))),
          (fork) =>
            fork.pipe(Saga.check("keys", {
              success: Schema.Array(Schema.String),
              action: (state) => Effect.succeed(Object.keys(state))
            }))
        )
      ))
      assert.deepStrictEqual(exit, Exit.succeed({ a: "a", way: { keys: ["payload", "a"] } }))
    }))

  saga("both fail: the error is the second's, and each is unwound once", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.orElse(
          "way",
          (fork) => fork.pipe(Saga.step("b", ledger.step()), Saga.step("c", ledger.fails("first"))),
          (fork) => fork.pipe(Saga.step("d", ledger.step()), Saga.step("e", ledger.fails("second")))
        )
      ))
      assert.deepStrictEqual(reasons(exit), [["Fail", "second"]])
      assert.strictEqual(
        ledger.text,
        "+a +way/first/b !way/first/c -way/first/b +way/second/d !way/second/e -way/second/d -a"
      )
    }))

  saga(
    "a later failure compensates the second way in its place, and not the first again",
    (ledger) =>
      Effect.gen(function*() {
        const failing = trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.orElse(
            "way",
            (fork) => fork.pipe(Saga.step("b", ledger.step()), Saga.step("c", ledger.fails("no"))),
            (fork) => fork.pipe(Saga.step("d", ledger.step()))
          ),
          Saga.step("e", ledger.fails("late"))
        )
        const outcome = yield* ledger.observe(Saga.outcome(failing, undefined))
        if (outcome._tag !== "Compensated") return assert.fail(outcome._tag)
        assert.strictEqual(
          ledger.text,
          "+a +way/first/b !way/first/c -way/first/b +way/second/d !e -way/second/d -a"
        )
        assert.sameMembers([...outcome.compensated], ["way/first/b", "way/second/d", "a"])
      })
  )

  saga("an orElse in a first way, in a second way", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.orElse(
          "x",
          (fork) =>
            fork.pipe(
              Saga.step("a", ledger.step()),
              Saga.orElse(
                "y",
                (inner) => inner.pipe(Saga.step("b", ledger.step()), Saga.step("c", ledger.fails("1"))),
                (inner) => inner.pipe(Saga.step("d", ledger.step()), Saga.step("e", ledger.fails("2")))
              )
            ),
          (fork) =>
            fork.pipe(Saga.orElse(
              "z",
              (inner) => inner.pipe(Saga.step("f", ledger.fails("3"))),
              (inner) => inner.pipe(Saga.step("g", ledger.step()))
            ))
        ),
        Saga.step("h", ledger.fails("4"))
      ))
      assert.deepStrictEqual(reasons(exit), [["Fail", "4"]])
      assert.strictEqual(
        ledger.text,
        "+x/first/a +x/first/y/first/b !x/first/y/first/c -x/first/y/first/b +x/first/y/second/d " +
          "!x/first/y/second/e -x/first/y/second/d -x/first/a !x/second/z/first/f +x/second/z/second/g !h " +
          "-x/second/z/second/g"
      )
    }))

  it.effect("the facts: a local unwind, then FellBack, before the second way starts", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* ledger.run(trip.pipe(Saga.orElse(
        "way",
        (fork) => fork.pipe(Saga.step("a", ledger.step()), Saga.step("b", ledger.fails("no"))),
        (fork) => fork.pipe(Saga.step("c", ledger.step()))
      )))
      assert.deepStrictEqual(ledger.told, [
        "SagaStarted",
        "StepStarted way/first/a",
        "StepSucceeded way/first/a",
        "StepStarted way/first/b",
        "StepFailed way/first/b",
        "UnwindStarted",
        "CompensationStarted way/first/a",
        "CompensationSucceeded way/first/a",
        "FellBack way",
        "StepStarted way/second/c",
        "StepSucceeded way/second/c",
        "SagaSucceeded"
      ])
      assert.deepInclude(ledger.facts[5], { scope: "way" })
    }))
})

describe("rule 9: anything else goes outward", () => {
  const first = (ledger: Ledger, step: ReturnType<Ledger["step"]> & { readonly interruptible?: boolean }) =>
    trip.pipe(
      Saga.step("a", ledger.step()),
      Saga.orElse(
        "way",
        (fork) => fork.pipe(Saga.step("b", ledger.step()), Saga.step("c", step)),
        (fork) => fork.pipe(Saga.step("d", ledger.step()))
      )
    )

  saga("a defect", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(first(ledger, ledger.step({ before: () => Effect.die("boom") })))
      assert.deepStrictEqual(reasons(exit), [["Die", "boom"]])
      assert.strictEqual(ledger.text, "+a +way/first/b -way/first/b -a")
    }))

  saga("an interruption", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(first(ledger, ledger.silent()))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(ledger.text, "+a +way/first/b +way/first/c -way/first/b -a")
    }), inFiber.interruption)

  saga("an interruption of the second way", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.orElse(
          "way",
          (fork) => fork.pipe(Saga.step("b", ledger.step()), Saga.step("c", ledger.fails("no"))),
          (fork) => fork.pipe(Saga.step("d", ledger.step()), Saga.step("e", ledger.silent()))
        )
      ))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(
        ledger.text,
        "+a +way/first/b !way/first/c -way/first/b +way/second/d +way/second/e -way/second/d -a"
      )
    }), inFiber.interruption)

  saga(
    "F13 an interruption during the local unwind: it finishes, then all is unwound, the second way does not start",
    (ledger) =>
      Effect.gen(function*() {
        const gate = yield* Latch.make()
        const fiber = yield* ledger.start(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.orElse(
            "way",
            (fork) =>
              fork.pipe(
                Saga.step("b", ledger.step()),
                Saga.step("c", ledger.step({ undo: () => gate.await })),
                Saga.step("d", ledger.fails("no"))
              ),
            (fork) => fork.pipe(Saga.step("e", ledger.step()))
          )
        ))
        const interrupt = Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        const interruption = yield* interrupt
        yield* interrupt
        yield* settle
        assert.isUndefined(fiber.pollUnsafe())
        yield* gate.open
        yield* Fiber.await(interruption)
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
        assert.strictEqual(
          ledger.text,
          "+a +way/first/b +way/first/c !way/first/d -way/first/c -way/first/b -a"
        )
      }),
    inFiber.interruption
  )

  saga(
    "a step of unknown outcome, although the failure is typed: it reaches the caller as a defect",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.orElse(
            "way",
            (fork) =>
              fork.pipe(
                Saga.step("b", ledger.step()),
                Saga.step("c", {
                  ...ledger.step({ after: () => Effect.fail("lost") }),
                  whenUncertain: "report",
                  isUncertain: () => true
                })
              ),
            (fork) => fork.pipe(Saga.step("d", ledger.step()))
          )
        ))
        assert.deepStrictEqual(reasons(exit), [["Die", "lost"]])
        assert.deepStrictEqual(
          uncertainOf(exit),
          [["way/first/c", "DeclaredByError"]]
        )
        assert.strictEqual(ledger.text, "+a +way/first/b +way/first/c !way/first/c -way/first/b -a")
      })
  )

  saga(
    "a step of unknown outcome that is compensated counts as unwound: the second way starts",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(Saga.orElse(
          "way",
          (fork) =>
            fork.pipe(
              Saga.step("a", { ...ledger.knowing({ after: () => Effect.fail("lost") }), isUncertain: () => true })
            ),
          (fork) => fork.pipe(Saga.step("b", ledger.step()))
        )))
        assert.isTrue(Exit.isSuccess(exit))
        assert.strictEqual(
          ledger.text,
          "+way/first/a !way/first/a -way/first/a?DeclaredByError +way/second/b"
        )
      })
  )

  saga(
    "a compensation of the first way that fails: the second does not start, the saga is stuck",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.orElse(
            "way",
            (fork) =>
              fork.pipe(
                Saga.step("b", ledger.step()),
                Saga.step("c", ledger.step({ undo: () => Effect.fail("busy") })),
                Saga.step("d", ledger.fails("no"))
              ),
            (fork) => fork.pipe(Saga.step("e", ledger.step()))
          ),
          Saga.unwind({ retry: Schedule.recurs(0) })
        ))
        const error = stuckOf(exit)
        assert.deepStrictEqual(error.failures.map(({ path }) => path), ["way/first/c"])
        assert.deepStrictEqual([error.compensated, error.uncompensated], [["way/first/b", "a"], ["way/first/c"]])
        assert.strictEqual(ledger.text, "+a +way/first/b +way/first/c !way/first/d -way/first/b -a")
      })
  )

  saga(
    "a step with `whenUncertain: stuck`: nothing is compensated, not even locally",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.orElse(
            "way",
            (fork) =>
              fork.pipe(
                Saga.step("b", ledger.step()),
                Saga.step("c", { ...ledger.step({ after: () => Effect.die("boom") }), whenUncertain: "stuck" })
              ),
            (fork) => fork.pipe(Saga.step("d", ledger.step()))
          )
        ))
        const error = stuckOf(exit)
        assert.deepStrictEqual(error.uncompensated, ["way/first/b", "a"])
        assert.strictEqual(ledger.text, "+a +way/first/b +way/first/c")
      })
  )

  saga(
    "stuck after a first way was unwound before: that one counts as compensated",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.orElse(
            "way",
            (fork) => fork.pipe(Saga.step("a", ledger.step()), Saga.step("b", ledger.fails("no"))),
            (fork) => fork.pipe(Saga.step("c", ledger.step()))
          ),
          Saga.step("d", { ...ledger.step({ after: () => Effect.die("boom") }), whenUncertain: "stuck" })
        ))
        const error = stuckOf(exit)
        assert.deepStrictEqual([error.compensated, error.uncompensated], [["way/first/a"], ["way/second/c"]])
        assert.strictEqual(ledger.text, "+way/first/a !way/first/b -way/first/a +way/second/c +d")
      })
  )

  saga(
    "a first way that succeeded is compensated with the rest; when that fails the saga is stuck",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.orElse(
            "way",
            (fork) => fork.pipe(Saga.step("b", ledger.step({ undo: () => Effect.fail("busy") }))),
            (fork) => fork
          ),
          Saga.step("c", ledger.fails("no")),
          Saga.unwind({ retry: Schedule.recurs(0) })
        ))
        const error = stuckOf(exit)
        assert.deepStrictEqual([error.compensated, error.uncompensated], [["a"], ["way/first/b"]])
        assert.strictEqual(ledger.text, "+a +way/first/b !c -a")
      })
  )

  saga(
    "an interruption while the failure of the first way is awaited: no other way",
    (ledger) =>
      Effect.gen(function*() {
        const gate = yield* Latch.make()
        const failing = ledger.step({ before: () => Effect.andThen(gate.await, Effect.fail("no")) })
        const fiber = yield* ledger.start(first(ledger, { ...failing, interruptible: false }))
        const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* settle
        yield* gate.open
        yield* Fiber.await(interruption)
        assert.strictEqual(ledger.text, "+a +way/first/b !way/first/c -way/first/b -a")
        assert.notInclude(ledger.told, "FellBack way")
      }),
    inFiber.interruption
  )

  saga("a defect beside the typed failure: no other way, both are kept", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(Saga.orElse(
        "way",
        (fork) =>
          fork.pipe(Saga.parallel((inner) => [
            inner.pipe(Saga.check("a", { action: () => Effect.andThen(gate.await, Effect.die("boom")) })),
            inner.pipe(Saga.step("b", ledger.fails("no")))
          ])),
        (fork) => fork.pipe(Saga.step("c", ledger.step()))
      )))
      yield* gate.open
      const exit = yield* Fiber.await(fiber)
      assert.deepStrictEqual(reasons(exit), [["Die", "no"]])
      if (Exit.isSuccess(exit)) return assert.fail("it succeeded")
      const { others } = Saga.aftermath(exit.cause)
      assert.deepStrictEqual(
        others.map(({ cause, path }) => [path, reasons(Exit.failCause(cause))]),
        [["way/first/a", [["Die", "boom"]]]]
      )
      assert.strictEqual(ledger.text, "!way/first/b")
    }))
})
