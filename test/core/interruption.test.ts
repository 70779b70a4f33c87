// Interruption of the fiber that runs a saga, in every phase: rules 3 to 6, faults 3, 4, 12 to 14.
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Latch, Option, Schedule, Scope } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { inFiber, Ledger, saga, settle, trip } from "./ledger.ts"

describe("F3 interruption before step n starts: n never runs", () => {
  saga("before the first step: the saga leaves no trace", (ledger) =>
    Effect.gen(function*() {
      const saga = trip.pipe(Saga.step("a", ledger.step()))
      const fiber = yield* Effect.forkChild(ledger.observe(Saga.run(saga, undefined)))
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      assert.strictEqual(ledger.text, "")
      assert.deepStrictEqual(ledger.facts, [])
    }), inFiber.interruption)

  saga("between two steps: what is done is compensated", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", { ...ledger.step({ after: () => gate.await }), interruptible: false }),
        Saga.step("b", ledger.step())
      ))
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      assert.strictEqual(ledger.text, "+a -a")
    }), inFiber.interruption)

  saga("after the last step, before anyone knows: compensated", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", { ...ledger.step({ after: () => gate.await }), interruptible: false })
      ))
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.strictEqual(ledger.text, "+a +b -b -a")
    }), inFiber.interruption)
})

describe("F4 interruption during step n", () => {
  saga("it is cut, its outcome is unknown, and what is before it is compensated", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", ledger.silent()),
        Saga.step("c", ledger.step())
      ))
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      assert.strictEqual(ledger.text, "+a +b -a")
    }), inFiber.interruption)

  it.effect("it is reported as uncertain in the facts and in the log", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const fiber = yield* ledger.start(trip.pipe(Saga.step("a", ledger.step()), Saga.step("b", ledger.silent())))
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(ledger.told, [
        "SagaStarted",
        "StepStarted a",
        "StepSucceeded a",
        "StepStarted b",
        "StepUncertain b",
        "UnwindStarted",
        "CompensationStarted a",
        "CompensationSucceeded a",
        "SagaCompensated"
      ])
      assert.deepStrictEqual(ledger.state.open, ["b"])
      assert.deepInclude(ledger.facts[4], { reason: "Interrupted", whenUncertain: "report" })
    }))

  saga("`interruptible: false`: it is awaited, and compensated", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", { ...ledger.step({ before: () => gate.await }), interruptible: false }),
        Saga.step("c", ledger.step())
      ))
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      assert.strictEqual(ledger.text, "+a")
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.strictEqual(ledger.text, "+a +b -b -a")
    }), inFiber.interruption)

  saga("`interruptible: false` and a typed failure: not compensated", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", {
          ...ledger.step({ before: () => Effect.andThen(gate.await, Effect.fail("no")) }),
          interruptible: false
        })
      ))
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.strictEqual(ledger.text, "+a !b -a")
    }), inFiber.interruption)

  saga("`whenUncertain: compensate`: its compensation is told that nobody knows", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", ledger.knowing({ after: () => Effect.never }))
      ))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(ledger.text, "+a +b -b?Interrupted -a")
    }), inFiber.interruption)

  saga("`whenUncertain: compensate` when nothing had happened yet", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", ledger.knowing({ before: () => Effect.never }))
      ))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(ledger.text, "+a ~b?Interrupted -a")
    }), inFiber.interruption)

  saga(
    "`whenUncertain: stuck`: nothing is compensated, and `onStuck` is told what the caller cannot see",
    (ledger) =>
      Effect.gen(function*() {
        const told = yield* Deferred.make<Saga.Stuck>()
        const fiber = yield* ledger.start(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.step("b", { ...ledger.silent(), whenUncertain: "stuck" }),
          Saga.onStuck((stuck) => Deferred.succeed(told, stuck))
        ))
        yield* Fiber.interrupt(fiber)
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
        const { error } = yield* Deferred.await(told)
        if (error._tag !== "CompensationFailed") return assert.fail(error._tag)
        assert.deepStrictEqual(error.uncertain.map(({ path, reason }) => [path, reason]), [["b", "Interrupted"]])
        assert.deepStrictEqual(error.uncompensated, ["a"])
        assert.strictEqual(ledger.text, "+a +b")
      }),
    inFiber.interruption
  )

  for (const [answer, text] of [["Some", "+a +b verify -b -a"], ["None", "+a verify -a"]] as const) {
    saga(`\`verify\` finds ${answer}: ${text}`, (ledger) =>
      Effect.gen(function*() {
        const fiber = yield* ledger.start(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.step("b", {
            ...(answer === "Some" ? ledger.silent() : ledger.step({ before: () => Effect.never })),
            verify: (_, { path }) =>
              Effect.as(ledger.mark("verify"), answer === "Some" ? Option.some(path) : Option.none())
          })
        ))
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(ledger.text, text)
      }), inFiber.interruption)
  }

  saga("a check that is cut is not uncertain", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.check("b", { action: () => Effect.never })
      ))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(ledger.text, "+a -a")
      if (ledger.observed) assert.deepStrictEqual(ledger.state.open, [])
    }), inFiber.interruption)

  saga("a delay between two attempts is cut; that the attempt failed is known", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", { ...ledger.fails("busy"), retry: Schedule.spaced("1 hour") })
      ))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(ledger.text, "+a !b -a")
      if (ledger.observed) assert.deepStrictEqual(ledger.state.open, [])
    }), inFiber.interruption)

  saga("a sleep is cut", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.sleep("night", "8 hours"),
        Saga.step("b", ledger.step())
      ))
      yield* TestClock.adjust("7 hours")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(ledger.text, "+a -a")
    }), inFiber.interruption)

  saga(
    "an action that shields itself is awaited; its answer is lost to the interruption, so it is uncertain",
    (ledger) =>
      Effect.gen(function*() {
        const gate = yield* Latch.make()
        const shielded = ledger.step({ after: () => gate.await })
        const fiber = yield* ledger.start(trip.pipe(
          Saga.step("a", {
            ...shielded,
            action: (state, context) => Effect.uninterruptible(shielded.action(state, context))
          })
        ))
        const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* settle
        assert.isUndefined(fiber.pollUnsafe())
        yield* gate.open
        yield* Fiber.await(interruption)
        assert.strictEqual(ledger.text, "+a")
        if (ledger.observed) assert.deepStrictEqual(ledger.state.open, ["a"])
      }),
    inFiber.interruption
  )

  saga("where the caller forbids interruption the saga goes forward", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const saga = trip.pipe(
        Saga.step("a", ledger.step({ before: () => gate.await })),
        Saga.step("b", ledger.step())
      )
      const fiber = yield* Effect.forkChild(Effect.uninterruptible(ledger.observe(Saga.run(saga, undefined))), {
        startImmediately: true
      })
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.strictEqual(ledger.text, "+a +b")
    }), inFiber.interruption)
})

describe("F12 F13 interruptions while it unwinds", () => {
  saga("F12 a compensation that runs finishes, and so do the others", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", ledger.step({ undo: () => Effect.andThen(ledger.mark("undoing"), gate.await) })),
        Saga.step("c", ledger.fails("no"))
      ))
      assert.strictEqual(ledger.text, "+a +b !c undoing")
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.strictEqual(ledger.text, "+a +b !c undoing -b -a")
    }), inFiber.interruption)

  /** Interrupts a second and a third time while the first interruption waits for something. */
  const thrice = <A, E>(fiber: Fiber.Fiber<A, E>, meanwhile: Effect.Effect<unknown>) =>
    Effect.gen(function*() {
      const interrupt = Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      const first = yield* interrupt
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* interrupt
      yield* settle
      yield* interrupt
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* meanwhile
      yield* Fiber.await(first)
    })

  saga("F13 in an action that is not interruptible: as one", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", { ...ledger.step({ before: () => gate.await }), interruptible: false })
      ))
      yield* thrice(fiber, gate.open)
      assert.strictEqual(ledger.text, "+a +b -b -a")
    }), inFiber.interruption)

  saga("F13 in the finalizer of an action: as one", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", ledger.step({ after: () => Effect.onInterrupt(Effect.never, () => gate.await) }))
      ))
      yield* thrice(fiber, gate.open)
      assert.strictEqual(ledger.text, "+a +b -a")
    }), inFiber.interruption)

  saga("F13 in `verify`: as one", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", { ...ledger.silent(), verify: () => Effect.as(gate.await, Option.some("b")) })
      ))
      yield* thrice(fiber, gate.open)
      assert.strictEqual(ledger.text, "+a +b -b -a")
    }), inFiber.interruption)

  saga("F13 in a compensation: as one", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", ledger.step({ undo: () => gate.await })),
        Saga.step("c", ledger.silent())
      ))
      yield* thrice(fiber, gate.open)
      assert.strictEqual(ledger.text, "+a +b +c -b -a")
    }), inFiber.interruption)

  saga("F13 between two tries of a compensation: as one", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", ledger.step({ undo: ({ attempt }) => attempt < 3 ? Effect.fail("busy") : Effect.void })),
        Saga.step("c", ledger.silent())
      ))
      yield* thrice(fiber, TestClock.adjust("1 second"))
      assert.strictEqual(ledger.text, "+a +b +c -b -a")
    }), inFiber.interruption)

  saga("F13 in `onStuck`: it ends", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", { ...ledger.step({ undo: () => Effect.die("boom") }), compensationRetry: Schedule.recurs(0) }),
        Saga.step("c", ledger.silent()),
        Saga.onStuck(() => Effect.andThen(gate.await, ledger.mark("told")))
      ))
      yield* thrice(fiber, gate.open)
      assert.strictEqual(ledger.text, "+a +b +c -a told")
    }), inFiber.interruption)
})

describe("F14 the enclosing scope closes while a saga runs", () => {
  saga("it is unwound inside the close", (ledger) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const saga = trip.pipe(
        Saga.step("a", ledger.step({ undo: () => Effect.yieldNow })),
        Saga.step("b", ledger.silent())
      )
      const fiber = yield* Effect.forkIn(ledger.observe(Saga.run(saga, undefined)), scope, { startImmediately: true })
      assert.strictEqual(ledger.text, "+a +b")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(ledger.text, "+a +b -a")
      ledger.check(yield* Fiber.await(fiber))
    }), inFiber.interruption)

  saga("a time limit around the saga is an interruption", (ledger) =>
    Effect.gen(function*() {
      const saga = trip.pipe(Saga.step("a", ledger.step()), Saga.step("b", ledger.silent()))
      const fiber = yield* Effect.forkChild(Effect.timeoutOption(ledger.observe(Saga.run(saga, undefined)), "1 second"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed(Option.none()))
      assert.strictEqual(ledger.text, "+a +b -a")
    }), inFiber.interruption)

  saga("the loser of a race is unwound", (ledger) =>
    Effect.gen(function*() {
      const saga = trip.pipe(Saga.step("a", ledger.step()), Saga.step("b", ledger.silent()))
      const winner = yield* Effect.race(ledger.observe(Saga.run(saga, undefined)), Effect.succeed("fast"))
      assert.strictEqual(winner, "fast")
      assert.strictEqual(ledger.text, "+a +b -a")
    }), inFiber.interruption)
})
