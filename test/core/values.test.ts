// Values that break naive code reach everyone who is given them as they are: fault 24, in-process.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { inFiber, Ledger, reasons, saga, settle, stuckOf, trip, uncertainOf } from "./ledger.ts"

class Money extends Schema.Class<Money>("Money")({ cents: Schema.Int }) {
  get text() {
    return `${this.cents / 100} €`
  }
}

const own: unknown = JSON.parse("{\"__proto__\": {\"polluted\": true}, \"constructor\": 1}")

const values: ReadonlyArray<readonly [name: string, schema: Schema.Top, value: unknown]> = [
  ["undefined", Schema.Undefined, undefined],
  ["null", Schema.Null, null],
  ["NaN", Schema.Number, NaN],
  ["-0", Schema.Number, -0],
  ["an infinity", Schema.Number, Infinity],
  ["an empty string", Schema.String, ""],
  ["text with NUL and half a surrogate", Schema.String, "a\u0000b\ud800"],
  ["a bigint", Schema.BigInt, 2n ** 70n],
  ["a Date", Schema.Date, new Date(0)],
  ["an invalid Date", Schema.Date, new Date(NaN)],
  ["a Map", Schema.ReadonlyMap(Schema.String, Schema.Number), new Map([["a", 1]])],
  ["a Set", Schema.ReadonlySet(Schema.String), new Set(["a"])],
  ["a class", Money, new Money({ cents: 150 })],
  ["own __proto__", Schema.Unknown, own],
  ["an object without a prototype", Schema.Unknown, Object.create(null)],
  ["an Effect", Schema.Unknown, Effect.die("must not run")],
  ["a promise", Schema.Unknown, Promise.resolve(1)],
  ["an Exit", Schema.Unknown, Exit.fail("not mine")],
  ["a function", Schema.Unknown, () => "not called"],
  ["a symbol", Schema.Unknown, Symbol.for("s")]
]

/** What no schema writes down: an engine has a clear error. */
const unrecordable = new Set(["an invalid Date", "an Effect", "a promise", "an Exit", "a function", "a symbol"])

/** In a fiber it is the same value; from an engine, which has written it down and read it back, an equal one. */
const assertSame = ({ store }: Ledger, actual: unknown, expected: unknown) =>
  store === undefined
    ? assert.isTrue(Object.is(actual, expected))
    // `JSON.stringify` writes -0 as 0.
    : assert.deepStrictEqual(actual, Object.is(expected, -0) ? 0 : expected)

describe("F24 a result", () => {
  for (const [name, schema, value] of values) {
    saga(
      `${name}: the next step, a branch, the compensation and the caller get it as it is`,
      (ledger) =>
        Effect.gen(function*() {
          const seen: Array<unknown> = []
          const see = (value: unknown) => Effect.sync(() => void seen.push(value))
          const making = Saga.make("Values", { payload: Schema.Boolean }).pipe(
            Saga.step("made", {
              success: schema,
              action: () => Effect.succeed(value),
              compensation: (made) => see(made)
            }),
            Saga.check("next", { action: ({ made }) => see(made) }),
            Saga.when("branch", () =>
              true, (fork) =>
              fork.pipe(Saga.check("inside", { action: ({ made }) => see(made) }))),
            Saga.check("end", {
              error: Schema.String,
              action: ({ payload }) =>
                payload ? Effect.void : Effect.fail("no")
            }),
            Saga.output(schema, ({ made }) => made)
          )
          const exit = yield* ledger.run(making, true)
          if (Exit.isFailure(exit)) return assert.fail(String(exit.cause))
          assertSame(ledger, exit.value, value)
          assert.isTrue(Exit.isFailure(yield* new Ledger(ledger).run(making, false)))
          assert.strictEqual(seen.length, 5)
          for (const one of seen) assertSame(ledger, one, value)
        }),
      unrecordable.has(name) ? inFiber.unrecordable : undefined
    )
  }

  it.effect("the facts hold the same values", () =>
    Effect.gen(function*() {
      for (const [name, schema, value] of values) {
        const ledger = new Ledger()
        yield* ledger.run(trip.pipe(
          Saga.check("made", { success: schema, action: () => Effect.succeed(value) }),
          Saga.output(schema, ({ made }) => made)
        ))
        const [succeeded, ended] = ledger.facts.slice(-2)
        assert.isTrue(succeeded?._tag === "StepSucceeded" && Object.is(succeeded.result, value), name)
        assert.isTrue(ended?._tag === "SagaSucceeded" && Object.is(ended.result, value), name)
      }
    }))
})

describe("F24 a payload", () => {
  const echo = <S extends Schema.Top>(payload: S) =>
    Saga.make("Echo", { payload }).pipe(Saga.output(payload, (state) => state.payload))

  saga("of a class keeps its prototype", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(echo(Money), new Money({ cents: 150 }))
      assert.strictEqual(Exit.isSuccess(exit) && exit.value.text, "1.5 €")
    }))

  saga("of odd numbers is as given", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(echo(Schema.Array(Schema.Number)), [NaN, -0, Infinity])
      if (Exit.isFailure(exit)) return assert.fail("it failed")
      for (const [index, number] of [NaN, -0, Infinity].entries()) assertSame(ledger, exit.value[index], number)
    }))

  saga("gets the defaults of its schema", (ledger) =>
    Effect.gen(function*() {
      const payload = Schema.Struct({
        seats: Schema.Int.pipe(Schema.withConstructorDefault(Effect.succeed(1)))
      })
      assert.deepStrictEqual(
        yield* ledger.run(echo(payload), forced<{ readonly seats: number }>({})),
        Exit.succeed({ seats: 1 })
      )
    }))

  const forced = <A>(value: unknown): A => value as A

  saga("that is another type, at run time: a defect that says what is wrong", (ledger) =>
    Effect.gen(function*() {
      const [[, error]] = reasons(yield* ledger.run(echo(Money), forced<Money>(1))) as [
        [string, Saga.PayloadInvalid]
      ]
      assert.strictEqual(error._tag, "PayloadInvalid")
      assert.include(error.message, "Expected object")
    }), inFiber.payload)

  it.effect("with a check that is asynchronous", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const payload = Schema.Struct({
        id: Schema.String.pipe(Schema.withConstructorDefault(Effect.delay(Effect.succeed("made"), 0)))
      })
      const fiber = yield* ledger.start(echo(payload), forced<{ readonly id: string }>({}))
      yield* settle
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed({ id: "made" }))
    }))
})

describe("F24 an error", () => {
  for (const error of [undefined, null, NaN, 0, "", false]) {
    // As an error of any type or a defect, JSON has no way to hold these two.
    const where = error === undefined || Number.isNaN(error) ? inFiber.unrecordable : undefined

    saga(`${String(error)} is an error like any other`, (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", ledger.step({ undo: ({ cause }) => ledger.mark(String(reasons(Exit.failCause(cause)))) })),
          Saga.check("b", { error: Schema.Unknown, action: () => Effect.fail(error) })
        ))
        assert.deepStrictEqual(reasons(exit), [["Fail", error]])
        assert.strictEqual(ledger.text, `+a ${String([["Fail", error]])} -a`)
      }), where)

    saga(`${String(error)} as the error of a compensation, in every try`, (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", ledger.step({ undo: () => Effect.fail(error) })),
          Saga.step("b", ledger.fails("no")),
          Saga.unwind({ retry: Schedule.recurs(1) })
        ))
        const [failure] = stuckOf(exit).failures
        assert.deepStrictEqual([failure?.attempts, reasons(Exit.failCause(failure!.cause))], [2, [["Fail", error]]])
      }))

    saga(`${String(error)} as a defect`, (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.step("b", ledger.step({ before: () => Effect.die(error) }))
        ))
        assert.deepStrictEqual(reasons(exit), [["Die", error]])
        assert.deepStrictEqual(uncertainOf(exit), [["b", "Died"]])
        assert.strictEqual(ledger.text, "+a -a")
      }), where)
  }
})
