/** `Saga.race` and `Saga.timeoutOption`: what the loser did is undone, what the winner did stays undoable. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option, Schedule } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { during, Ledger, reasonsOf, uncertainOf } from "./ledger.ts"

const start = Effect.forkChild({ startImmediately: true })
const no = Effect.fail("no")

/** A step that takes effect at once, and then some time to go on. */
const slowly = (ledger: Ledger, name: string, millis: number) => Effect.tap(ledger.step(name), Effect.sleep(millis))

/** A step whose compensation fails at once. */
const stays = (ledger: Ledger, name: string) =>
  Saga.withCompensation(ledger.act(name), () => Effect.fail(`${name} stays`), {
    name,
    compensationRetry: Schedule.recurs(0)
  })

describe("race", () => {
  it.effect("the first success wins, what the other one did is undone before the race ends", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const winner = yield* Saga.race(slowly(ledger, "slow", 10), slowly(ledger, "fast", 1)).pipe(
        Effect.tap(() => ledger.write("race over")),
        Saga.scoped,
        during("1 millis")
      )
      assert.strictEqual(winner, "fast")
      assert.deepStrictEqual(ledger.lines, ["+slow", "+fast", "-slow", "race over"])
    }))

  it.effect("it takes its contestants in a pipe, too", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const winner = yield* ledger.step("self").pipe(Saga.race(Effect.never), Saga.scoped)
      assert.strictEqual(winner, "self")
      assert.deepStrictEqual(ledger.lines, ["+self"])
    }))

  it.effect("what the winner did is undone when the saga fails later, in its place", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* Effect.gen(function*() {
        yield* ledger.step("before")
        yield* Saga.race(slowly(ledger, "slow", 10), slowly(ledger, "fast", 1))
        yield* ledger.step("after")
        return yield* no
      }).pipe(Saga.scoped, Effect.flip, during("1 millis"))
      assert.deepStrictEqual(ledger.lines, [
        "+before",
        "+slow",
        "+fast",
        "-slow",
        "+after",
        "-after",
        "-fast",
        "-before"
      ])
    }))

  it.effect("20. both succeed in the same tick: one is kept, the other one undone", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const gate = yield* Deferred.make<void>()
      const contestant = (name: string) =>
        Effect.andThen(Deferred.await(gate), ledger.act(name)).pipe(
          Saga.withCompensation(ledger.undo),
          Effect.uninterruptible
        )
      const fiber = yield* start(Saga.scoped(Saga.race(contestant("a"), contestant("b"))))
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Fiber.join(fiber), "a")
      assert.deepStrictEqual(ledger.lines, ["+a", "+b", "-b"])
    }))

  it.effect("the loser ignores its interruption: it is awaited, and undone", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const stubborn = Effect.andThen(Effect.sleep(10), ledger.act("stubborn")).pipe(
        Saga.withCompensation(ledger.undo),
        Effect.uninterruptible
      )
      const fiber = yield* start(Saga.scoped(Saga.race(stubborn, ledger.step("fast"))))
      yield* TestClock.adjust("9 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(fiber), "fast")
      assert.deepStrictEqual(ledger.lines, ["+fast", "+stubborn", "-stubborn"])
    }))

  it.effect("a step of the loser that is cut off is reported", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const inFlight = Saga.withCompensation(Effect.never, () => ledger.write("-slow"), { name: "slow" })
      const exit = yield* Saga.race(inFlight, ledger.step("fast")).pipe(
        Effect.andThen(no),
        Saga.scoped,
        Effect.exit,
        Effect.provide(ledger.layer)
      )
      assert.deepStrictEqual(ledger.lines, ["+fast", "-fast"])
      assert.deepStrictEqual(reasonsOf(exit), ["no"])
      assert.deepStrictEqual(uncertainOf(exit), ["slow Interrupted"])
    }))

  it.effect("one fails: the other one is waited for, and what the failed one did is undone", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const failing = Effect.andThen(ledger.step("failing"), no)
      const winner = yield* Saga.race(failing, slowly(ledger, "slow", 1)).pipe(Saga.scoped, during("1 millis"))
      assert.strictEqual(winner, "slow")
      assert.deepStrictEqual(ledger.lines, ["+failing", "+slow", "-failing"])
    }))

  it.effect("both fail: both are undone, and the error is the one of Effect.race", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const failing = (name: string) => Effect.andThen(slowly(ledger, name, 1), Effect.fail(`${name} failed`))
      const exit = yield* Saga.race(failing("a"), failing("b")).pipe(Saga.scoped, Effect.exit, during("1 millis"))
      assert.deepStrictEqual(ledger.lines, ["+a", "+b", "-b", "-a"])
      const plain = yield* Effect.race(failing("a"), failing("b")).pipe(Saga.scoped, Effect.exit, during("1 millis"))
      assert.deepStrictEqual(reasonsOf(exit), ["a failed", "b failed"])
      assert.deepStrictEqual(reasonsOf(exit), reasonsOf(plain))
    }))

  it.effect("both fail and cannot be undone: one error lists what is left of both", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const failing = (name: string) => Effect.andThen(stays(ledger, name), no)
      const exit = yield* Saga.race(failing("a"), failing("b")).pipe(
        Saga.scoped,
        Effect.exit,
        Effect.provide(ledger.layer)
      )
      const errors = reasonsOf(exit)
      assert.strictEqual(errors.length, 1)
      if (!(errors[0] instanceof Saga.CompensationFailed)) return assert.fail("it must be stuck")
      assert.sameMembers([...errors[0].uncompensated], ["a", "b"])
    }))

  it.effect("9. the compensation of the loser fails: the race fails with that, and the saga undoes the winner", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const loser = Effect.andThen(stays(ledger, "loser"), Effect.never)
      const error = yield* ledger.step("before").pipe(
        Effect.andThen(Saga.race(loser, ledger.step("winner"))),
        Saga.scoped,
        Effect.flip,
        Effect.provide(ledger.layer)
      )
      assert.deepStrictEqual(ledger.lines, ["+before", "+loser", "+winner", "-winner", "-before"])
      assert.deepStrictEqual(error.uncompensated, ["loser"])
    }))

  it.effect("interrupted: both are undone", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const fiber = yield* start(Saga.scoped(Saga.race(slowly(ledger, "a", 10), slowly(ledger, "b", 10))))
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(ledger.lines, ["+a", "+b", "-b", "-a"])
    }))

  it.effect("interrupted while the loser is undone: all of it is undone, once", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const loser = ledger.act("loser").pipe(
        Saga.withCompensation((name) => Effect.andThen(Effect.sleep(10), ledger.undo(name))),
        Effect.andThen(Effect.never)
      )
      const fiber = yield* start(Saga.scoped(Saga.race(loser, ledger.step("winner"))))
      yield* Effect.sync(() => fiber.interruptUnsafe())
      yield* TestClock.adjust("10 millis")
      assert.deepStrictEqual(reasonsOf(yield* Fiber.await(fiber)), ["interrupted"])
      assert.deepStrictEqual(ledger.lines, ["+loser", "+winner", "-loser", "-winner"])
    }))

  it.effect("in a joined part, in a race: each is undone by the scope that dropped it", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const inner = Saga.race(slowly(ledger, "inner slow", 10), slowly(ledger, "inner fast", 1))
      const part = Saga.joined(Effect.andThen(inner, ledger.step("part")))
      const won = yield* Saga.race(Effect.tap(part, Effect.sleep(10)), slowly(ledger, "outer", 5)).pipe(
        Saga.scoped,
        during("5 millis")
      )
      assert.strictEqual(won, "outer")
      assert.deepStrictEqual(ledger.lines, [
        "+inner slow",
        "+inner fast",
        "+outer",
        "-inner slow",
        "+part",
        "-part",
        "-inner fast"
      ])
    }))

  it.effect("the gotcha: Effect.race leaves what the loser did in place", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* Effect.race(slowly(ledger, "slow", 10), slowly(ledger, "fast", 1)).pipe(Saga.scoped, during("1 millis"))
      assert.deepStrictEqual(ledger.lines, ["+slow", "+fast"])
    }))
})

describe("timeoutOption", () => {
  it.effect("in time: Some, and undoable by the saga around", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const seat = Saga.timeoutOption(slowly(ledger, "seat", 1), "2 millis")
      assert.deepStrictEqual(yield* seat.pipe(Saga.scoped, during("1 millis")), Option.some("seat"))
      assert.deepStrictEqual(ledger.lines.splice(0), ["+seat"])
      yield* seat.pipe(Effect.andThen(no), Saga.scoped, Effect.flip, during("1 millis"))
      assert.deepStrictEqual(ledger.lines, ["+seat", "-seat"])
    }))

  it.effect("too late: what was done is undone, the result is None, and the saga goes on", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const answer = yield* slowly(ledger, "seat", 10).pipe(
        Saga.timeoutOption("2 millis"),
        Effect.tap(() => ledger.write("after")),
        Saga.scoped,
        during("2 millis")
      )
      assert.deepStrictEqual(answer, Option.none())
      assert.deepStrictEqual(ledger.lines, ["+seat", "-seat", "after"])
    }))

  for (const first of ["success", "limit"] as const) {
    it.effect(`a success at the limit, ${first} first: what is done and the answer agree`, () =>
      Effect.gen(function*() {
        const ledger = new Ledger()
        const gate = yield* Deferred.make<void>()
        const open = Effect.forkChild(Effect.andThen(Effect.sleep(2), Deferred.succeed(gate, undefined)), {
          startImmediately: true
        })
        const late = Effect.andThen(Deferred.await(gate), ledger.act("seat")).pipe(Saga.withCompensation(ledger.undo))
        if (first === "success") yield* open
        const fiber = yield* start(Saga.scoped(Saga.timeoutOption(late, "2 millis")))
        if (first === "limit") yield* open
        yield* TestClock.adjust("2 millis")
        const answer = yield* Fiber.join(fiber)
        assert.deepStrictEqual(
          [Option.isSome(answer), ledger.lines],
          first === "success" ? [true, ["+seat"]] : [false, []]
        )
      }))
  }

  it.effect("what ignores the limit and succeeds after it is undone", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const stubborn = Effect.andThen(Effect.sleep(10), ledger.act("seat")).pipe(
        Saga.withCompensation(ledger.undo),
        Effect.uninterruptible
      )
      const answer = yield* Saga.timeoutOption(stubborn, "2 millis").pipe(Saga.scoped, during("10 millis"))
      assert.deepStrictEqual(answer, Option.none())
      assert.deepStrictEqual(ledger.lines, ["+seat", "-seat"])
    }))

  it.effect("a step that the limit cuts off is treated by its `whenUncertain`", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const cut = (whenUncertain: "report" | "stuck") =>
        Saga.withCompensation(Effect.never, () => ledger.write("-seat"), { name: "seat", whenUncertain }).pipe(
          Saga.timeoutOption("2 millis"),
          Saga.scoped,
          Effect.exit,
          Effect.provide(ledger.layer),
          during("2 millis")
        )
      assert.deepStrictEqual(yield* cut("report"), Exit.succeed(Option.none()))
      assert.deepStrictEqual(ledger.logged.splice(0), [
        "Warn: An inline saga has ended with steps of unknown outcome: seat (Interrupted). Ask their participants"
      ])
      assert.instanceOf(reasonsOf(yield* cut("stuck"))[0], Saga.CompensationFailed)
      assert.deepStrictEqual(ledger.lines, [])
    }))

  it.effect("a failure in time is the saga's, and is undone like any other", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const exit = yield* ledger.step("seat").pipe(
        Effect.andThen(no),
        Saga.timeoutOption("2 millis"),
        Saga.scoped,
        Effect.exit
      )
      assert.deepStrictEqual(reasonsOf(exit), ["no"])
      assert.deepStrictEqual(ledger.lines, ["+seat", "-seat"])
    }))

  it.effect("the gotcha: Effect.timeoutOption leaves what was done in place", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* slowly(ledger, "seat", 10).pipe(Effect.timeoutOption("2 millis"), Saga.scoped, during("2 millis"))
      assert.deepStrictEqual(ledger.lines, ["+seat"])
    }))
})
