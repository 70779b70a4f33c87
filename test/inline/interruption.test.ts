/** Inline sagas that are interrupted, at every moment, once or several times; and the scope around them closing. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { Ledger, reasonsOf } from "./ledger.ts"

const start = Effect.forkChild({ startImmediately: true })

/** Interrupts a fiber without waiting for its end. */
const interrupt = (fiber: Fiber.Fiber<unknown, unknown>) => Effect.sync(() => fiber.interruptUnsafe())

describe("interruption", () => {
  it.effect("3. before a step starts: it never runs, what came before is undone", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const fiber = yield* Effect.gen(function*() {
        yield* ledger.step("seat")
        yield* ledger.write("waiting")
        yield* Effect.never
        yield* ledger.step("meal")
      }).pipe(Saga.scoped, start)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(ledger.lines, ["+seat", "waiting", "-seat"])
    }))

  it.effect("before the saga starts: nothing runs", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const fiber = yield* Effect.forkChild(Saga.scoped(ledger.step("seat")))
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(ledger.lines, [])
    }))

  it.effect("4. during a step: cut off, then by its `whenUncertain`", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const meal = Effect.andThen(ledger.write("+meal"), Effect.never)
      const fiber = yield* ledger.step("seat").pipe(
        Effect.andThen(Saga.withCompensation(meal, (attempt) => ledger.write(`-meal ${attempt._tag}`), {
          whenUncertain: "compensate"
        })),
        Saga.scoped,
        start
      )
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(ledger.lines, ["+seat", "+meal", "-meal Unknown", "-seat"])
      assert.deepStrictEqual(reasonsOf(yield* Fiber.await(fiber)), ["interrupted"])
    }))

  const uncut = {
    "a step that cannot be cut: it is awaited, and then undone as a success": {
      meal: (action: Effect.Effect<string>, undo: (name: string) => Effect.Effect<void>) =>
        action.pipe(Saga.withCompensation(undo, { name: "meal" }), Effect.uninterruptible),
      lines: ["+seat", "asked", "-meal", "-seat"],
      logged: []
    },
    "an action that cannot be cut, but says afterwards that it was: it is awaited, and uncertain": {
      meal: (action: Effect.Effect<string>, undo: (name: string) => Effect.Effect<void>) =>
        action.pipe(Effect.uninterruptible, Saga.withCompensation(undo, { name: "meal" })),
      lines: ["+seat", "asked", "-seat"],
      logged: [
        "Warn: An inline saga has ended with steps of unknown outcome: meal (Interrupted). Ask their participants"
      ]
    }
  }
  for (const [what, { lines, logged, meal }] of Object.entries(uncut)) {
    it.effect(`4. during ${what}`, () =>
      Effect.gen(function*() {
        const ledger = new Ledger()
        const answer = yield* Deferred.make<string>()
        const fiber = yield* ledger.step("seat").pipe(
          Effect.andThen(meal(Effect.andThen(ledger.write("asked"), Deferred.await(answer)), ledger.undo)),
          Effect.andThen(ledger.step("never")),
          Saga.scoped,
          Effect.provide(ledger.layer),
          start
        )
        yield* interrupt(fiber)
        assert.deepStrictEqual(ledger.lines, ["+seat", "asked"])
        yield* Deferred.succeed(answer, "meal")
        yield* Fiber.await(fiber)
        assert.deepStrictEqual(ledger.lines, lines)
        assert.deepStrictEqual(ledger.logged, logged)
      }))
  }

  it.effect("5. by the action itself, in the tick in which it takes effect: never forgotten", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const fiber = yield* Effect.yieldNow.pipe(
        Effect.andThen(Effect.withFiber((self) => {
          self.interruptUnsafe()
          return ledger.write("+seat")
        })),
        Saga.withCompensation(({ _tag }) => ledger.write(`-seat ${_tag}`), { whenUncertain: "compensate" }),
        Saga.scoped,
        start
      )
      yield* Fiber.await(fiber)
      assert.match(ledger.lines.join(), /^(?:\+seat,)?-seat (?:Unknown|Succeeded)$/)
    }))

  it.effect("12. 13. during the unwind, three times: it runs to its end, and the caller waits for it", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const slowly = (name: string) => Effect.andThen(Effect.sleep("1 second"), ledger.undo(name))
      const step = (name: string) => Saga.withCompensation(ledger.act(name), slowly)
      const fiber = yield* step("flight").pipe(
        Effect.andThen(step("hotel")),
        Effect.andThen(Effect.never),
        Saga.scoped,
        start
      )
      yield* interrupt(fiber)
      for (let second = 0; second < 2; second++) {
        yield* interrupt(fiber)
        yield* TestClock.adjust("999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* interrupt(fiber)
        yield* TestClock.adjust("1 millis")
      }
      assert.deepStrictEqual(reasonsOf(yield* Fiber.await(fiber)).at(0), "interrupted")
      assert.deepStrictEqual(ledger.lines, ["+flight", "+hotel", "-hotel", "-flight"])
    }))

  it.effect("12. during an unwind after a failure: the compensations finish", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const slowly = (name: string) => Effect.andThen(Effect.sleep("1 second"), ledger.undo(name))
      const fiber = yield* Saga.withCompensation(ledger.act("seat"), slowly).pipe(
        Effect.andThen(Effect.fail("no")),
        Saga.scoped,
        start
      )
      yield* interrupt(fiber)
      yield* TestClock.adjust("1 second")
      yield* Fiber.await(fiber)
      assert.deepStrictEqual(ledger.lines, ["+seat", "-seat"])
    }))

  it.effect("13. during the pause between two tries of a compensation: the pause is not cut short", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      let tries = 0
      const fiber = yield* ledger.act("seat").pipe(
        Saga.withCompensation((seat) => ++tries === 1 ? Effect.fail("busy") : ledger.undo(seat)),
        Effect.andThen(Effect.fail("no")),
        Saga.scoped,
        start
      )
      assert.strictEqual(tries, 1)
      yield* interrupt(fiber)
      yield* TestClock.adjust("99 millis")
      assert.strictEqual(tries, 1)
      yield* TestClock.adjust("1 millis")
      yield* Fiber.await(fiber)
      assert.deepStrictEqual(ledger.lines, ["+seat", "-seat"])
    }))

  it.effect("7. by a time limit around the saga: the limit does not cut the unwind, and waits for it", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const slowly = (name: string) => Effect.andThen(Effect.sleep("3 seconds"), ledger.undo(name))
      const fiber = yield* Saga.withCompensation(ledger.act("seat"), slowly).pipe(
        Effect.andThen(Effect.never),
        Saga.scoped,
        Effect.timeout("1 second"),
        start
      )
      yield* TestClock.adjust("3999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const exit = yield* Fiber.await(fiber)
      assert.deepStrictEqual(ledger.lines, ["+seat", "-seat"])
      assert.isTrue(Exit.isFailure(exit) && Cause.isTimeoutError(Cause.squash(exit.cause)))
    }))

  it.effect("of one branch, while the saga goes on: the branch is a part of the saga, nothing is undone yet", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* Effect.gen(function*() {
        const branch = yield* start(Effect.andThen(ledger.step("branch"), Effect.never))
        yield* Fiber.interrupt(branch)
        assert.deepStrictEqual(ledger.lines, ["+branch"])
        return yield* Effect.fail("no")
      }).pipe(Saga.scoped, Effect.flip)
      assert.deepStrictEqual(ledger.lines, ["+branch", "-branch"])
    }))

  it.effect("after the saga has succeeded undoes nothing", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const fiber = yield* start(Effect.andThen(Saga.scoped(ledger.step("seat")), Effect.never))
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(ledger.lines, ["+seat"])
    }))

  it.effect("in a region that cannot be interrupted is seen after it, and the saga has ended", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const gate = yield* Deferred.make<void>()
      const fiber = yield* ledger.step("seat").pipe(
        Effect.andThen(Deferred.await(gate)),
        Saga.scoped,
        Effect.uninterruptible,
        Effect.andThen(ledger.write("after")),
        start
      )
      yield* interrupt(fiber)
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(reasonsOf(yield* Fiber.await(fiber)), ["interrupted"])
      assert.deepStrictEqual(ledger.lines, ["+seat"])
    }))
})

describe("14. the enclosing scope closes while a saga runs", () => {
  it.effect("the saga is unwound inside the close", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const scope = yield* Scope.make()
      const saga = Saga.withCompensation(ledger.act("seat"), (seat) =>
        Effect.andThen(Effect.sleep("1 second"), ledger.undo(seat)))
      yield* Effect.forkIn(Saga.scoped(Effect.andThen(saga, Effect.never)), scope, { startImmediately: true })
      const closing = yield* start(Effect.andThen(Scope.close(scope, Exit.void), ledger.write("closed")))
      assert.deepStrictEqual(ledger.lines, ["+seat"])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(ledger.lines, ["+seat", "-seat", "closed"])
    }))

  it.effect("18. what the scope holds is still open for the compensations of a saga inside it", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* Effect.gen(function*() {
        yield* Effect.acquireRelease(ledger.write("open"), () => ledger.write("close"))
        yield* Saga.scoped(Effect.andThen(ledger.step("seat"), Effect.fail("no")))
      }).pipe(Effect.scoped, Effect.flip)
      assert.deepStrictEqual(ledger.lines, ["open", "+seat", "-seat", "close"])
    }))
})
