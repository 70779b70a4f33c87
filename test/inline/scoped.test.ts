/** Inline sagas as a whole: what is undone, in which order, what the caller gets, and what a scope commits. */
import { assert, describe, it } from "@effect/vitest"
import { Data, Deferred, Effect, Exit, Schedule } from "effect"
import { Saga } from "effect-saga"
import { during, Ledger, reasonsOf, uncertainOf } from "./ledger.ts"

class SoldOut extends Data.TaggedError("SoldOut")<{ readonly what: string }> {}
class Declined extends Data.TaggedError("Declined")<{ readonly why: string }> {}

describe("forward", () => {
  it.effect("a saga that succeeds undoes nothing and returns its value", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const both = Effect.zipWith(ledger.step("seat"), ledger.step("meal"), (seat, meal) => `${seat} and ${meal}`)
      assert.strictEqual(yield* Saga.scoped(both), "seat and meal")
      assert.deepStrictEqual(ledger.lines, ["+seat", "+meal"])
    }))

  it.effect("23. a saga without steps is its body", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Saga.scoped(Effect.succeed(1)), 1)
      assert.strictEqual(yield* Effect.flip(Saga.scoped(Effect.fail("no"))), "no")
    }))

  it.effect("each run of one saga value has its own books", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      let runs = 0
      const saga = Saga.scoped(
        Effect.andThen(ledger.step("seat"), Effect.suspend(() => ++runs < 3 ? Effect.fail("no") : Effect.void))
      )
      yield* Effect.retry(saga, Schedule.recurs(2))
      assert.deepStrictEqual(ledger.lines, ["+seat", "-seat", "+seat", "-seat", "+seat"])
    }))

  it.effect("`withCompensation` takes the action first or last", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const body = Effect.gen(function*() {
        yield* Saga.withCompensation(ledger.act("first"), ledger.undo)
        yield* Saga.withCompensation(ledger.undo)(ledger.act("last"))
        return yield* Effect.fail("no")
      })
      yield* Effect.flip(Saga.scoped(body))
      assert.deepStrictEqual(ledger.lines, ["+first", "+last", "-last", "-first"])
    }))

  it.effect("an action with two compensations is undone by both, the outer one first", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const twice = ledger.act("seat").pipe(
        Saga.withCompensation(() => ledger.write("-inner")),
        Saga.withCompensation(() => ledger.write("-outer"))
      )
      yield* Effect.flip(Saga.scoped(Effect.andThen(twice, Effect.fail("no"))))
      assert.deepStrictEqual(ledger.lines, ["+seat", "-outer", "-inner"])
    }))
})

describe("backward", () => {
  it.effect("1. a typed failure undoes what came before, in reverse, and not itself; the error is the caller's", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const soldOut = new SoldOut({ what: "car" })
      const exit = yield* Effect.gen(function*() {
        yield* ledger.step("flight")
        yield* ledger.step("hotel")
        yield* Effect.andThen(ledger.write("tried"), soldOut).pipe(Saga.withCompensation(() => ledger.write("-car")))
      }).pipe(Saga.scoped, Effect.exit)
      assert.deepStrictEqual(ledger.lines, ["+flight", "+hotel", "tried", "-hotel", "-flight"])
      assert.deepStrictEqual(reasonsOf(exit), [soldOut])
      assert.deepStrictEqual(uncertainOf(exit), [])
    }))

  it.effect("a defect of the body outside any step does the same", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const exit = yield* Effect.exit(Saga.scoped(Effect.andThen(ledger.step("seat"), Effect.die("bug"))))
      assert.deepStrictEqual(ledger.lines, ["+seat", "-seat"])
      assert.deepStrictEqual(reasonsOf(exit), ["bug"])
    }))

  const thrown = Effect.sync(() => {
    throw "bug"
  })
  for (const [what, action] of [["defect", Effect.die("bug")], ["throw", thrown]] as const) {
    it.effect(`2. a ${what} in a step unwinds; the cause keeps it and reports the step as uncertain`, () =>
      Effect.gen(function*() {
        const ledger = new Ledger()
        const meal = Saga.withCompensation(action, () => ledger.write("-meal"), { name: "meal" })
        const exit = yield* Effect.andThen(ledger.step("seat"), meal).pipe(
          Saga.scoped,
          Effect.exit,
          Effect.provide(ledger.layer)
        )
        assert.deepStrictEqual(ledger.lines, ["+seat", "-seat"])
        assert.deepStrictEqual(reasonsOf(exit), ["bug"])
        assert.deepStrictEqual(uncertainOf(exit), ["meal Died"])
        assert.deepStrictEqual(ledger.logged, [
          "Warn: An inline saga has ended with steps of unknown outcome: meal (Died). Ask their participants"
        ])
      }))
  }

  it.effect("15. a finalizer of the user that fails stops no compensation, and both causes are kept", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const exit = yield* ledger.step("seat").pipe(
        Effect.andThen(Effect.fail("declined")),
        Effect.ensuring(Effect.andThen(ledger.write("finalizer"), Effect.die("bug"))),
        Saga.scoped,
        Effect.exit
      )
      assert.deepStrictEqual(ledger.lines, ["+seat", "finalizer", "-seat"])
      assert.deepStrictEqual(reasonsOf(exit), ["declined", "bug"])
    }))

  it.effect("23. 10,000 steps: no stack overflows, the reverse order is exact", () =>
    Effect.gen(function*() {
      const undone: Array<number> = []
      const steps = Effect.forEach(Array.from({ length: 10_000 }, (_, n) => n), (n) =>
        Effect.succeed(n).pipe(Saga.withCompensation((n) =>
          Effect.sync(() => {
            undone.push(n)
          })
        )))
      assert.strictEqual(yield* Effect.flip(Saga.scoped(Effect.andThen(steps, Effect.fail("no")))), "no")
      assert.deepStrictEqual(
        undone,
        Array.from({ length: 10_000 }, (_, n) =>
          9_999 - n)
      )
    }))
})

describe("with Effect's combinators", () => {
  it.effect("20. Effect.all side by side: a sibling that succeeds in the tick of the failure is undone", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const gate = yield* Deferred.make<void>()
      const opened = Deferred.await(gate)
      const branches = Effect.all([
        ledger.step("before"),
        Effect.andThen(opened, ledger.act("same tick")).pipe(Saga.withCompensation(ledger.undo)),
        Effect.andThen(opened, Effect.fail("no")),
        Effect.andThen(Effect.yieldNow, Deferred.succeed(gate, undefined))
      ], { concurrency: "unbounded" })
      assert.strictEqual(yield* Effect.flip(Saga.scoped(branches)), "no")
      assert.deepStrictEqual(ledger.lines, ["+before", "+same tick", "-same tick", "-before"])
    }))

  it.effect("19. Effect.all side by side: what is cut off in flight is reported, the rest is undone", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const inFlight = Effect.andThen(ledger.write("+hotel"), Effect.never)
      const exit = yield* Effect.all([
        ledger.step("flight"),
        inFlight.pipe(Saga.withCompensation(() => ledger.write("-hotel"), { name: "hotel" })),
        Effect.andThen(Effect.yieldNow, Effect.fail("no car"))
      ], { concurrency: "unbounded" }).pipe(Saga.scoped, Effect.exit, Effect.provide(ledger.layer))
      assert.deepStrictEqual(ledger.lines, ["+flight", "+hotel", "-flight"])
      assert.strictEqual(reasonsOf(exit)[0], "no car")
      assert.deepStrictEqual(uncertainOf(exit), ["hotel Interrupted"])
    }))

  it.effect("steps side by side are undone in the reverse order of their successes", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const later = (name: string, millis: number) =>
        Effect.sleep(millis).pipe(Effect.andThen(ledger.act(name)), Saga.withCompensation(ledger.undo))
      yield* Effect.all([later("slow", 3), later("fast", 1), later("middle", 2)], { concurrency: 3 }).pipe(
        Effect.andThen(Effect.fail("no")),
        Saga.scoped,
        Effect.flip,
        during("3 millis")
      )
      assert.deepStrictEqual(ledger.lines, ["+fast", "+middle", "+slow", "-slow", "-middle", "-fast"])
    }))

  it.effect("a step that is retried counts once, when it succeeds", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      let tries = 0
      const flaky = Effect.suspend(() => ++tries < 3 ? new SoldOut({ what: `try ${tries}` }) : ledger.act("seat"))
      yield* flaky.pipe(
        Saga.withCompensation(ledger.undo),
        Effect.retry(Schedule.recurs(5)),
        Effect.andThen(Effect.fail("no")),
        Saga.scoped,
        Effect.flip
      )
      assert.strictEqual(tries, 3)
      assert.deepStrictEqual(ledger.lines, ["+seat", "-seat"])
    }))

  it.effect("a failure that is caught inside undoes nothing, and a later one everything", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const car = Saga.withCompensation(new SoldOut({ what: "car" }), () => ledger.write("-car"))
      const train = car.pipe(Effect.catchTag("SoldOut", () => ledger.step("train")))
      const trip = Effect.andThen(ledger.step("flight"), train)
      assert.strictEqual(yield* Saga.scoped(trip), "train")
      assert.deepStrictEqual(ledger.lines.splice(0), ["+flight", "+train"])

      const declined = new Declined({ why: "no money" })
      const error = yield* trip.pipe(Effect.andThen(declined), Saga.scoped, Effect.flip)
      assert.strictEqual(error, declined)
      assert.deepStrictEqual(ledger.lines, ["+flight", "+train", "-train", "-flight"])
    }))
})

describe("a scope in a scope", () => {
  it.effect("21. that succeeds is committed: the outer one no longer undoes it", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* Effect.gen(function*() {
        yield* ledger.step("outer")
        yield* Saga.scoped(ledger.step("inner"))
        return yield* Effect.fail("no")
      }).pipe(Saga.scoped, Effect.flip)
      assert.deepStrictEqual(ledger.lines, ["+outer", "+inner", "-outer"])
    }))

  it.effect("21. that fails is undone first, and alone when its error is caught", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const inner = Saga.scoped(Effect.andThen(ledger.step("inner"), Effect.fail("inner failed")))
      const failing = Saga.scoped(Effect.andThen(ledger.step("outer"), inner))
      assert.strictEqual(yield* Effect.flip(failing), "inner failed")
      assert.deepStrictEqual(ledger.lines.splice(0), ["+outer", "+inner", "-inner", "-outer"])

      const caught = Saga.scoped(Effect.andThen(ledger.step("outer"), Effect.ignore(inner)))
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(caught)))
      assert.deepStrictEqual(ledger.lines, ["+outer", "+inner", "-inner"])
    }))

  it.effect("a step belongs to the innermost scope around it, also when it was made outside", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const step = ledger.step("seat")
      yield* Effect.andThen(Saga.scoped(step), Effect.andThen(step, Effect.fail("no"))).pipe(Saga.scoped, Effect.flip)
      assert.deepStrictEqual(ledger.lines, ["+seat", "+seat", "-seat"])
    }))
})
