// Branches side by side: rule 8, faults 19 and 20.
import { assert, describe } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Latch, Schedule } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { inFiber, reasons, saga, settle, stuckOf, trip, uncertainOf } from "./ledger.ts"

describe("branches that succeed", () => {
  saga("all run at once, and their results are the saga's", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const slow = ledger.step({ before: ({ path }) => Effect.andThen(ledger.mark(path), gate.await) })
      const fiber = yield* ledger.start(trip.pipe(
        Saga.parallel((fork) => [
          fork.pipe(Saga.step("a", slow), Saga.step("b", ledger.step())),
          fork.pipe(Saga.step("c", slow)),
          fork
        ]),
        Saga.step("d", ledger.step())
      ))
      assert.strictEqual(ledger.text, "a c")
      yield* gate.open
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed({ a: "a", b: "b", c: "c", d: "d" }))
    }))

  saga("a branch without steps", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(Saga.parallel((fork) => [fork]), Saga.step("a", ledger.step())))
      assert.deepStrictEqual(exit, Exit.succeed({ a: "a" }))
    }))

  for (const concurrency of [1, 2, 3] as const) {
    saga(`\`concurrency: ${concurrency}\`: so many at once`, (ledger) =>
      Effect.gen(function*() {
        let now = 0
        let most = 0
        const busy = ledger.step({
          before: () => Effect.sync(() => void (most = Math.max(most, ++now))),
          after: () => Effect.andThen(Effect.sleep(1), Effect.sync(() => void now--))
        })
        const fiber = yield* ledger.start(trip.pipe(
          Saga.parallel((fork) => [
            fork.pipe(Saga.step("a", busy)),
            fork.pipe(Saga.step("b", busy)),
            fork.pipe(Saga.step("c", busy)),
            fork.pipe(Saga.step("d", busy))
          ], { concurrency })
        ))
        yield* TestClock.adjust(9)
        assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
        assert.strictEqual(most, concurrency)
      }))
  }

  saga("a branch sees what was before the fork, not what its siblings do", (ledger) =>
    Effect.gen(function*() {
      const seen: Array<ReadonlyArray<string>> = []
      const look = { action: (state: object) => Effect.sync(() => void seen.push(Object.keys(state))) }
      yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.parallel((fork) => [
          fork.pipe(Saga.step("b", ledger.step()), Saga.check("lookB", look)),
          fork.pipe(Saga.step("c", ledger.step()), Saga.check("lookC", look))
        ])
      ))
      assert.deepStrictEqual(seen, [["payload", "a", "b"], ["payload", "a", "c"]])
    }))
})

describe("F19 one branch fails", () => {
  saga(
    "no new step starts, what is in flight is awaited, then every success is compensated",
    (ledger) =>
      Effect.gen(function*() {
        const gate = yield* Latch.make()
        const bad = yield* Latch.make()
        const fiber = yield* ledger.start(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.parallel((fork) => [
            fork.pipe(Saga.step("b", ledger.step({ before: () => gate.await })), Saga.step("c", ledger.step())),
            fork.pipe(
              Saga.step("d", ledger.step()),
              Saga.step("e", ledger.step({ before: () => Effect.andThen(bad.await, Effect.fail("no")) }))
            )
          ]),
          Saga.step("f", ledger.step())
        ))
        yield* bad.open
        yield* settle
        assert.isUndefined(fiber.pollUnsafe())
        assert.strictEqual(ledger.text, "+a +d !e")
        yield* gate.open
        assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "no"]])
        assert.strictEqual(ledger.text, "+a +d !e +b -d -b -a")
      })
  )

  saga(
    "in flight with a time limit: it is not cut by the sibling, but by its own limit",
    (ledger) =>
      Effect.gen(function*() {
        const fiber = yield* ledger.start(trip.pipe(
          Saga.parallel((fork) => [
            fork.pipe(Saga.step("a", { ...ledger.silent(), timeout: "1 second", whenUncertain: "report" })),
            fork.pipe(Saga.step("b", ledger.fails("no")))
          ])
        ))
        yield* TestClock.adjust(999)
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust(1)
        const exit = yield* Fiber.await(fiber)
        assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
        assert.deepStrictEqual(uncertainOf(exit), [["a", "TimedOut"]])
      })
  )

  saga("retry delays and sleeps of the siblings are cut", (ledger) =>
    Effect.gen(function*() {
      const bad = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.parallel((fork) => [
          fork.pipe(Saga.step("a", ledger.step()), Saga.sleep("night", "8 hours"), Saga.step("b", ledger.step())),
          fork.pipe(Saga.step("c", { ...ledger.fails("busy"), retry: Schedule.spaced("8 hours") })),
          fork.pipe(Saga.step("d", ledger.step({ before: () => Effect.andThen(bad.await, Effect.fail("no")) })))
        ])
      ))
      yield* bad.open
      const exit = yield* Fiber.await(fiber)
      assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
      assert.strictEqual(ledger.text, "+a !c !d -a")
      if (Exit.isSuccess(exit)) return assert.fail("it succeeded")
      assert.deepStrictEqual(Saga.aftermath(exit.cause).others.map(({ attempts, path }) => [path, attempts]), [[
        "c",
        1
      ]])
    }))

  saga("an attempt in flight is awaited, and no further one is made", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.parallel((fork) => [
          fork.pipe(Saga.step("a", {
            ...ledger.step({ before: () => Effect.andThen(gate.await, Effect.fail("busy")) }),
            retry: Schedule.forever
          })),
          fork.pipe(Saga.step("b", ledger.fails("no")))
        ])
      ))
      yield* gate.open
      assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "no"]])
      assert.strictEqual(ledger.text, "!b !a")
    }))

  saga("two fail: the first is the cause, the other is annotated", (ledger) =>
    Effect.gen(function*() {
      const [first, second] = [yield* Latch.make(), yield* Latch.make()]
      const after = (latch: Latch.Latch, error: string) =>
        ledger.step({ before: () => Effect.andThen(latch.await, Effect.fail(error)) })
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.parallel((fork) => [
          fork.pipe(Saga.step("b", after(second, "second"))),
          fork.pipe(Saga.step("c", after(first, "first")))
        ])
      ))
      yield* first.open
      yield* settle
      yield* second.open
      const exit = yield* Fiber.await(fiber)
      assert.deepStrictEqual(reasons(exit), [["Fail", "first"]])
      if (Exit.isSuccess(exit)) return assert.fail("it succeeded")
      const { others, uncertain } = Saga.aftermath(exit.cause)
      assert.deepStrictEqual(
        others.map(({ attempts, cause, path }) => [path, attempts, reasons(Exit.failCause(cause))]),
        [["b", 1, [["Fail", "second"]]]]
      )
      assert.deepStrictEqual(uncertain, [])
      assert.strictEqual(ledger.text, "+a !c !b -a")
    }))

  saga("a branch that fails before the others have started: they do not start", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.parallel((fork) => [
          fork.pipe(Saga.step("a", ledger.step())),
          fork.pipe(Saga.step("b", ledger.fails("no"))),
          fork.pipe(Saga.step("c", ledger.step()))
        ])
      ))
      assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
      assert.strictEqual(ledger.text, "+a !b -a")
    }), inFiber.together)

  saga(
    "F20 a sibling that succeeds in the same tick as the failure is compensated",
    (ledger) =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const fiber = yield* ledger.start(trip.pipe(
          Saga.parallel((fork) => [
            fork.pipe(Saga.step("a", ledger.step({ before: () => Deferred.await(gate) }))),
            fork.pipe(
              Saga.step("b", ledger.step({ before: () => Effect.andThen(Deferred.await(gate), Effect.fail("no")) }))
            ),
            fork.pipe(
              Saga.step("c", ledger.step({ before: () => Deferred.await(gate) })),
              Saga.step("d", ledger.step())
            )
          ])
        ))
        yield* Deferred.succeed(gate, undefined)
        assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "no"]])
        assert.strictEqual(ledger.text, "+a !b +c -c -a")
      })
  )

  saga("branches are compensated side by side, each in reverse", (ledger) =>
    Effect.gen(function*() {
      const slow = ledger.step({ undo: () => Effect.sleep(10) })
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step({ undo: () => ledger.stamp("a") })),
        Saga.parallel((fork) => [
          fork.pipe(Saga.step("b", slow), Saga.step("c", slow)),
          fork.pipe(Saga.step("d", slow), Saga.step("e", slow))
        ]),
        Saga.step("f", ledger.fails("no"))
      ))
      yield* TestClock.adjust(20)
      assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "no"]])
      assert.strictEqual(ledger.text, "+a +b +c +d +e !f -e -c -d -b a@20 -a")
    }), inFiber.together)

  saga("a compensation that fails in one branch stops none in the others", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.parallel((fork) => [
          fork.pipe(Saga.step("b", ledger.step()), Saga.step("c", ledger.step({ undo: () => Effect.fail("busy") }))),
          fork.pipe(Saga.step("d", ledger.step()))
        ]),
        Saga.step("e", ledger.fails("no")),
        Saga.unwind({ retry: Schedule.recurs(0) })
      ))
      const error = stuckOf(exit)
      assert.deepStrictEqual([error.compensated, error.uncompensated], [["d", "b", "a"], ["c"]])
      assert.strictEqual(ledger.text, "+a +b +c +d !e -d -b -a")
    }), inFiber.together)
})

describe("interruption of parallel branches", () => {
  saga("all are cut, all successes are compensated, all cut ones are uncertain", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.parallel((fork) => [
          fork.pipe(Saga.step("b", ledger.step()), Saga.step("c", ledger.silent())),
          fork.pipe(Saga.step("d", ledger.silent())),
          fork.pipe(Saga.step("e", ledger.step()), Saga.sleep("night", "8 hours"))
        ])
      ))
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      assert.strictEqual(ledger.text, "+a +b +c +d +e -e -b -a")
      if (ledger.observed) assert.deepStrictEqual(ledger.state.open, ["c", "d"])
    }), inFiber.interruption)

  saga("while a failed one waits for its siblings: these are cut", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.parallel((fork) => [
          fork.pipe(Saga.step("a", ledger.knowing({ after: () => Effect.never }))),
          fork.pipe(Saga.step("b", ledger.fails("no")))
        ])
      ))
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(ledger.text, "+a !b -a?Interrupted")
    }), inFiber.interruption)

  saga("`interruptible: false` in one branch: awaited there, cut in the other", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.parallel((fork) => [
          fork.pipe(
            Saga.step("a", { ...ledger.step({ before: () => gate.await }), interruptible: false }),
            Saga.step("b", ledger.step())
          ),
          fork.pipe(Saga.step("c", ledger.knowing({ after: () => Effect.never })))
        ])
      ))
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.strictEqual(ledger.text, "+c +a -c?Interrupted -a")
    }), inFiber.interruption)
})

describe("parallel in parallel", () => {
  saga(
    "a failure inside stops the branches outside at once, also while its own siblings are awaited",
    (ledger) =>
      Effect.gen(function*() {
        const [bad, inside, outside] = [yield* Latch.make(), yield* Latch.make(), yield* Latch.make()]
        const fiber = yield* ledger.start(trip.pipe(
          Saga.parallel((fork) => [
            fork.pipe(
              Saga.step("a", ledger.step()),
              Saga.parallel((inner) => [
                inner.pipe(Saga.step("b", ledger.step({ before: () => Effect.andThen(bad.await, Effect.fail("no")) }))),
                inner.pipe(Saga.step("c", ledger.step({ before: () => inside.await })), Saga.step("d", ledger.step()))
              ])
            ),
            fork.pipe(Saga.step("e", ledger.step({ before: () => outside.await })), Saga.step("f", ledger.step())),
            fork.pipe(Saga.sleep("night", "8 hours"))
          ])
        ))
        yield* bad.open
        yield* settle
        yield* outside.open
        yield* settle
        assert.strictEqual(ledger.text, "+a !b +e")
        yield* inside.open
        assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "no"]])
        assert.strictEqual(ledger.text, "+a !b +e +c -e -c -a")
      })
  )

  saga("an outer failure stops the inner branches and cuts their waits", (ledger) =>
    Effect.gen(function*() {
      const bad = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.parallel((fork) => [
          fork.pipe(
            Saga.parallel((inner) => [
              inner.pipe(Saga.step("a", ledger.step()), Saga.sleep("night", "8 hours"), Saga.step("b", ledger.step())),
              inner.pipe(Saga.step("c", { ...ledger.fails("busy"), retry: Schedule.spaced("1 hour") }))
            ]),
            Saga.step("d", ledger.step())
          ),
          fork.pipe(Saga.step("e", ledger.step({ before: () => Effect.andThen(bad.await, Effect.fail("no")) })))
        ])
      ))
      yield* bad.open
      assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "no"]])
      assert.strictEqual(ledger.text, "+a !c !e -a")
    }))
})
