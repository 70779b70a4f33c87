/** `Saga.joined`: parts that are undone alone when they fail, and stay undoable by the saga around them. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Schedule } from "effect"
import { Saga } from "effect-saga"
import { during, Ledger, reasonsOf, uncertainOf } from "./ledger.ts"

const no = Effect.fail("no")

describe("a joined part", () => {
  it.effect("that succeeds is undone by the saga around it, in its place", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* Effect.gen(function*() {
        yield* ledger.step("before")
        yield* Saga.joined(Effect.andThen(ledger.step("inner 1"), ledger.step("inner 2")))
        yield* ledger.step("after")
        return yield* no
      }).pipe(Saga.scoped, Effect.flip)
      assert.deepStrictEqual(ledger.lines, [
        "+before",
        "+inner 1",
        "+inner 2",
        "+after",
        "-after",
        "-inner 2",
        "-inner 1",
        "-before"
      ])
    }))

  it.effect("that succeeds in a saga that succeeds stays", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      assert.strictEqual(yield* Saga.scoped(Saga.joined(ledger.step("inner"))), "inner")
      assert.deepStrictEqual(ledger.lines, ["+inner"])
    }))

  it.effect("that fails is undone at once, also when its error is caught, and once only", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* Effect.gen(function*() {
        yield* ledger.step("before")
        const error = yield* Effect.flip(Saga.joined(Effect.andThen(ledger.step("cheap"), no)))
        assert.strictEqual(error, "no")
        yield* ledger.step("dear")
        return yield* no
      }).pipe(Saga.scoped, Effect.flip)
      assert.deepStrictEqual(ledger.lines, ["+before", "+cheap", "-cheap", "+dear", "-dear", "-before"])
    }))

  it.effect("25. that fails is undone to the end before another way starts", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const slowly = (name: string) => Effect.andThen(Effect.sleep("1 second"), ledger.undo(name))
      const cheap = Saga.withCompensation(ledger.act("cheap"), slowly)
      const supplier = Saga.joined(Effect.andThen(cheap, no)).pipe(
        Effect.catchIf((error) => error === "no", () => ledger.step("dear"))
      )
      assert.strictEqual(yield* supplier.pipe(Saga.scoped, during("1 second")), "dear")
      assert.deepStrictEqual(ledger.lines, ["+cheap", "-cheap", "+dear"])
    }))

  it.effect("in a joined part, each in its place", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const middle = Effect.gen(function*() {
        yield* ledger.step("middle")
        yield* Saga.joined(ledger.step("innermost"))
        yield* ledger.step("after")
      })
      yield* Saga.joined(middle).pipe(Effect.andThen(no), Saga.scoped, Effect.flip)
      assert.deepStrictEqual(ledger.lines, ["+middle", "+innermost", "+after", "-after", "-innermost", "-middle"])
    }))

  it.effect("in one that fails is undone with it, and the saga around goes on", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const middle = Effect.gen(function*() {
        yield* ledger.step("middle")
        yield* Saga.joined(ledger.step("innermost"))
        return yield* no
      })
      yield* ledger.step("outer").pipe(Effect.andThen(Effect.ignore(Saga.joined(middle))), Saga.scoped)
      assert.deepStrictEqual(ledger.lines, ["+outer", "+middle", "+innermost", "-innermost", "-middle"])
    }))

  it.effect("several side by side are parts each", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const supplier = (name: string) =>
        Saga.joined(Effect.andThen(ledger.step(`${name} 1`), Effect.andThen(Effect.yieldNow, ledger.step(`${name} 2`))))
      yield* Effect.all([supplier("a"), supplier("b")], { concurrency: 2 }).pipe(
        Effect.andThen(no),
        Saga.scoped,
        Effect.flip
      )
      assert.deepStrictEqual(ledger.lines, ["+a 1", "+b 1", "+a 2", "+b 2", "-b 2", "-b 1", "-a 2", "-a 1"])
    }))

  it.effect("23. 10,000 of them inside each other overflow no stack", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const deep = (core: ReturnType<Ledger["step"]>) => {
        let part: Effect.Effect<string, unknown, Saga.SagaScope> = core
        for (let depth = 0; depth < 10_000; depth++) part = Saga.joined(part)
        return part
      }
      const exit = yield* deep(ledger.step("core")).pipe(Effect.andThen(no), Saga.scoped, Effect.exit)
      assert.deepStrictEqual(reasonsOf(exit), ["no"])
      assert.deepStrictEqual(ledger.lines.splice(0), ["+core", "-core"])

      const failing = Effect.tap(ledger.step("core"), Effect.die("bug"))
      assert.deepStrictEqual(reasonsOf(yield* Effect.exit(Saga.scoped(deep(failing)))), ["bug"])
      assert.deepStrictEqual(ledger.lines, ["+core", "-core"])
    }))
})

describe("what a joined part hands to the saga around it", () => {
  const stays = (ledger: Ledger, name: string) =>
    Saga.withCompensation(ledger.act(name), () => Effect.fail(`${name} stays`), {
      name,
      compensationRetry: Schedule.recurs(0)
    })
  const lost = (ledger: Ledger, name: string, whenUncertain: "report" | "stuck") =>
    Effect.andThen(ledger.write(`+${name}`), Effect.fail("no answer")).pipe(
      Saga.withCompensation(() => ledger.write(`-${name}`), { name, whenUncertain, isUncertain: () => true })
    )

  it.effect("compensations that fail are listed with the others of the saga", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const error = yield* Effect.gen(function*() {
        yield* stays(ledger, "before")
        yield* Saga.joined(Effect.andThen(stays(ledger, "inner 1"), ledger.step("inner 2")))
        return yield* no
      }).pipe(Saga.scoped, Effect.flip, Effect.provide(ledger.layer))
      if (!(error instanceof Saga.CompensationFailed)) return assert.fail("it must be stuck")
      assert.deepStrictEqual(error.failures.map(({ path }) => path), ["inner 1", "before"])
      assert.deepStrictEqual(error.compensated, ["inner 2"])
      assert.deepStrictEqual(error.uncompensated, ["inner 1", "before"])
    }))

  it.effect("a part that cannot be undone when it fails: its `CompensationFailed` is its error, the rest is undone", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const part = Saga.joined(Effect.andThen(stays(ledger, "inner"), no))
      const error = yield* ledger.step("before").pipe(
        Effect.andThen(part),
        Saga.scoped,
        Effect.flip,
        Effect.provide(ledger.layer)
      )
      assert.deepStrictEqual(ledger.lines, ["+before", "+inner", "-before"])
      if (!(error instanceof Saga.CompensationFailed)) return assert.fail("it must be stuck")
      assert.deepStrictEqual(error.uncompensated, ["inner"])
    }))

  it.effect("a step of unknown outcome is listed when the saga fails: the part succeeded, or failed and was caught", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const after = (part: Effect.Effect<unknown, unknown, Saga.SagaScope>) =>
        part.pipe(Effect.andThen(no), Saga.scoped, Effect.exit, Effect.provide(ledger.layer))
      const charge = lost(ledger, "charge", "report")
      assert.deepStrictEqual(uncertainOf(yield* after(Saga.joined(Effect.ignore(charge)))), ["charge DeclaredByError"])
      assert.deepStrictEqual(uncertainOf(yield* after(Effect.ignore(Saga.joined(charge)))), ["charge DeclaredByError"])
      const both = Effect.andThen(Effect.ignore(lost(ledger, "seat", "report")), Saga.joined(charge))
      assert.deepStrictEqual(uncertainOf(yield* after(both)), ["seat DeclaredByError", "charge DeclaredByError"])
    }))

  it.effect(`a step that is "stuck" makes the whole saga stuck: nothing of it is compensated`, () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const charge = lost(ledger, "charge", "stuck")
      for (
        const part of [Saga.joined(Effect.ignore(charge)), Saga.joined(charge), Effect.ignore(Saga.joined(charge))]
      ) {
        const error = yield* ledger.step("seat").pipe(
          Effect.andThen(part),
          Effect.andThen(no),
          Saga.scoped,
          Effect.flip,
          Effect.provide(ledger.layer)
        )
        assert.deepStrictEqual(ledger.lines.splice(0), ["+seat", "+charge"])
        if (!(error instanceof Saga.CompensationFailed)) return assert.fail("it must be stuck")
        assert.deepStrictEqual(error.uncertain.map(({ path }) => path), ["charge"])
        assert.deepStrictEqual(error.uncompensated, ["seat"])
      }
    }))

  it.effect("6. is never reported as undone while a compensation is open, though its own failure was caught", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const part = Saga.joined(Effect.all([stays(ledger, "inner 1"), ledger.step("inner 2"), no]))
      const error = yield* ledger.step("before").pipe(
        Effect.andThen(Effect.ignore(part)),
        Effect.andThen(Effect.fail("later")),
        Saga.scoped,
        Effect.flip,
        Effect.provide(ledger.layer)
      )
      assert.deepStrictEqual(ledger.lines, ["+before", "+inner 1", "+inner 2", "-inner 2", "-before"])
      if (!(error instanceof Saga.CompensationFailed)) return assert.fail("it must be stuck")
      assert.deepStrictEqual(Cause.squash(error.original), "later")
      assert.deepStrictEqual(error.failures.map(({ path }) => path), ["inner 1"])
      assert.deepStrictEqual(error.compensated, ["inner 2", "before"])
      assert.deepStrictEqual(error.uncompensated, ["inner 1"])
    }))

  it.effect("its compensations are told why the saga around unwinds", () =>
    Effect.gen(function*() {
      const told: Array<unknown> = []
      const step = Saga.withCompensation(
        Effect.void,
        (_, { cause }) => Effect.sync(() => told.push(Cause.squash(cause)))
      )
      yield* Saga.joined(Saga.joined(step)).pipe(Effect.andThen(no), Saga.scoped, Effect.flip)
      assert.deepStrictEqual(told, ["no"])
    }))

  it.effect("a commit inside it is none of its business", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const part = Effect.andThen(ledger.step("inner"), Saga.scoped(ledger.step("committed")))
      const exit = yield* Saga.joined(part).pipe(Effect.andThen(no), Saga.scoped, Effect.exit)
      assert.deepStrictEqual(ledger.lines, ["+inner", "+committed", "-inner"])
      assert.isTrue(Exit.isFailure(exit))
    }))
})
