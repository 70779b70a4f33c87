/** Inline steps of unknown outcome: what makes one, and what `whenUncertain` does about it. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Effect, Exit, Option } from "effect"
import { Saga } from "effect-saga"
import { during, Ledger, reasonsOf, uncertainOf, undoing, whyUncertain } from "./ledger.ts"

class NoAnswer extends Data.TaggedError("NoAnswer")<{}> {}
class Refused extends Data.TaggedError("Refused")<{}> {}

const stuckOf = (exit: Exit.Exit<unknown, unknown>): Saga.CompensationFailed<unknown> => {
  const error = reasonsOf(exit)[0]
  if (error instanceof Saga.CompensationFailed) return error
  throw new Error(`not stuck: ${String(exit)}`)
}

describe("whenUncertain", () => {
  const endings = {
    Died: Effect.die("bug"),
    DeclaredByError: Effect.fail(new NoAnswer()),
    Interrupted: Effect.interrupt
  } as const

  for (const [reason, ending] of Object.entries(endings)) {
    const cut = (ledger: Ledger) => Effect.andThen(ledger.write("+charge"), ending)
    const isUncertain = (error: NoAnswer) => error._tag === "NoAnswer"

    it.effect(`"report" (${reason}): the step is not compensated, and is listed`, () =>
      Effect.gen(function*() {
        const ledger = new Ledger()
        for (const options of [{}, { whenUncertain: "report" }] as const) {
          const charge = cut(ledger).pipe(
            Saga.withCompensation(() => ledger.write("-charge"), { ...options, isUncertain, name: "charge" })
          )
          const exit = yield* ledger.step("seat").pipe(
            Effect.andThen(charge),
            Saga.scoped,
            Effect.exit,
            Effect.provide(ledger.layer)
          )
          assert.deepStrictEqual(ledger.lines.splice(0), ["+seat", "+charge", "-seat"])
          assert.deepStrictEqual(uncertainOf(exit), [`charge ${reason}`])
          assert.deepStrictEqual(ledger.logged.splice(0), [
            `Warn: An inline saga has ended with steps of unknown outcome: charge (${reason}). Ask their participants`
          ])
        }
      }))

    it.effect(`"compensate" (${reason}): the compensation runs in its place and is told why`, () =>
      Effect.gen(function*() {
        const ledger = new Ledger()
        const charge = cut(ledger).pipe(
          Saga.withCompensation(undoing(ledger, "charge"), { whenUncertain: "compensate", isUncertain })
        )
        const exit = yield* Effect.exit(Saga.scoped(Effect.andThen(ledger.step("seat"), charge)))
        assert.deepStrictEqual(ledger.lines, ["+seat", "+charge", `-charge Unknown ${reason}`, "-seat"])
        assert.deepStrictEqual(uncertainOf(exit), [])
      }))

    it.effect(`"stuck" (${reason}): nothing is compensated, and the caller is told what a person must do`, () =>
      Effect.gen(function*() {
        const ledger = new Ledger()
        const charge = cut(ledger).pipe(
          Saga.withCompensation(() => ledger.write("-charge"), { whenUncertain: "stuck", isUncertain, name: "charge" })
        )
        const exit = yield* Effect.gen(function*() {
          yield* ledger.step("flight")
          yield* ledger.step("hotel")
          yield* charge
        }).pipe(Saga.scoped, Effect.exit, Effect.provide(ledger.layer))
        assert.deepStrictEqual(ledger.lines, ["+flight", "+hotel", "+charge"])
        const { compensated, failures, original, reason: why, uncertain, uncompensated } = stuckOf(exit)
        assert.strictEqual(why, "StepUncertain")
        assert.deepStrictEqual(uncertain.map((step) => [step.path, step.reason]), [["charge", reason]])
        assert.deepStrictEqual(compensated, [])
        assert.deepStrictEqual(uncompensated, ["hotel", "flight"])
        assert.deepStrictEqual(failures.map((failure) => failure.path), ["charge"])
        assert.deepStrictEqual(
          Cause.findErrorOption(failures[0]!.cause),
          Option.some(new Saga.StepUncertain({ path: "charge", reason: reason as keyof typeof endings }))
        )
        assert.deepStrictEqual(reasonsOf(Exit.failCause(original)), reasonsOf(yield* Effect.exit(ending)))
        assert.strictEqual(ledger.logged.length, 1)
        assert.match(ledger.logged[0]!, /^Error: .*"charge".*: hotel, flight\./)
      }))
  }

  it.effect(`"compensate": the compensation of a step that succeeded is given its result`, () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const charge = Saga.withCompensation(Effect.succeed(5), undoing(ledger, "charge"), {
        whenUncertain: "compensate"
      })
      yield* Effect.flip(Saga.scoped(Effect.andThen(charge, Effect.fail("no"))))
      assert.deepStrictEqual(ledger.lines, ["-charge Succeeded 5"])
    }))

  it.effect(`"stuck" makes no difference to a step that succeeds, or fails for certain`, () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const stuck = {
        whenUncertain: "stuck",
        isUncertain: (error: Refused | NoAnswer) => error._tag === "NoAnswer"
      } as const
      const exit = yield* ledger.act("seat").pipe(
        Saga.withCompensation(ledger.undo, { whenUncertain: "stuck" }),
        Effect.andThen(Saga.withCompensation(new Refused(), () => ledger.write("-charge"), stuck)),
        Saga.scoped,
        Effect.exit
      )
      assert.deepStrictEqual(ledger.lines, ["+seat", "-seat"])
      assert.deepStrictEqual(reasonsOf(exit), [new Refused()])
    }))

  it.effect("steps without a name are called by their position", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const exit = yield* Saga.withCompensation(Effect.void, () => Effect.void).pipe(
        Effect.andThen(Saga.withCompensation(Effect.die("bug"), () => Effect.void)),
        Saga.scoped,
        Effect.exit,
        Effect.provide(ledger.layer)
      )
      assert.deepStrictEqual(uncertainOf(exit), ["#2 Died"])
    }))
})

describe("an unknown outcome whose failure is caught", () => {
  const lost = (ledger: Ledger, whenUncertain: "report" | "stuck") =>
    Effect.andThen(ledger.write("+charge"), new NoAnswer()).pipe(
      Saga.withCompensation(() => ledger.write("-charge"), { whenUncertain, isUncertain: () => true, name: "charge" }),
      Effect.ignore
    )

  it.effect("is reported when the saga succeeds", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* Effect.provide(Saga.scoped(lost(ledger, "report")), ledger.layer)
      assert.deepStrictEqual(ledger.logged, [
        "Warn: An inline saga has ended with steps of unknown outcome: charge (DeclaredByError). Ask their participants"
      ])
    }))

  it.effect("16. stays so when the step is tried again and fails for certain", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      let tries = 0
      const answer = (): Effect.Effect<never, NoAnswer | Refused> => ++tries === 1 ? new NoAnswer() : new Refused()
      const exit = yield* Effect.suspend(answer).pipe(
        Saga.withCompensation(undoing(ledger, "charge"), {
          whenUncertain: "compensate",
          isUncertain: (error) => error._tag === "NoAnswer"
        }),
        Effect.retry({ times: 1 }),
        Saga.scoped,
        Effect.exit
      )
      assert.strictEqual(tries, 2)
      assert.deepStrictEqual(reasonsOf(exit), [new Refused()])
      assert.deepStrictEqual(ledger.lines, ["-charge Unknown DeclaredByError"])
    }))

  it.effect("in a scope inside is listed by the scope around it, with its own", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const dying = (name: string) => Saga.withCompensation(Effect.die("bug"), () => Effect.void, { name })
      const exit = yield* Effect.exit(dying("outer")).pipe(
        Effect.andThen(Saga.scoped(dying("inner"))),
        Saga.scoped,
        Effect.exit,
        Effect.provide(ledger.layer)
      )
      assert.deepStrictEqual(uncertainOf(exit), ["inner Died", "outer Died"])
    }))

  it.effect("is reported when the saga fails later", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const exit = yield* lost(ledger, "report").pipe(
        Effect.andThen(Effect.fail("no")),
        Saga.scoped,
        Effect.exit,
        Effect.provide(ledger.layer)
      )
      assert.deepStrictEqual(reasonsOf(exit), ["no"])
      assert.deepStrictEqual(uncertainOf(exit), ["charge DeclaredByError"])
    }))

  it.effect(`makes the saga stuck with "stuck", however it ends`, () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      for (const end of [Effect.void, Effect.fail("no")]) {
        const exit = yield* ledger.step("seat").pipe(
          Effect.andThen(lost(ledger, "stuck")),
          Effect.andThen(end),
          Saga.scoped,
          Effect.exit,
          Effect.provide(ledger.layer)
        )
        assert.deepStrictEqual(ledger.lines.splice(0), ["+seat", "+charge"])
        assert.deepStrictEqual(stuckOf(exit).uncompensated, ["seat"])
        assert.deepStrictEqual(stuckOf(exit).uncertain.map(({ path }) => path), ["charge"])
      }
    }))
})

describe("isUncertain", () => {
  it.effect("chooses among the typed errors of the action", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const seen: Array<unknown> = []
      const charge = (error: NoAnswer | Refused) =>
        Effect.fail(error).pipe(
          Saga.withCompensation(() => Effect.void, {
            name: "charge",
            isUncertain: (error) => {
              seen.push(error)
              return error._tag === "NoAnswer"
            }
          }),
          Saga.scoped,
          Effect.exit,
          Effect.provide(ledger.layer)
        )
      assert.deepStrictEqual(uncertainOf(yield* charge(new Refused())), [])
      assert.deepStrictEqual(uncertainOf(yield* charge(new NoAnswer())), ["charge DeclaredByError"])
      assert.deepStrictEqual(seen, [new Refused(), new NoAnswer()])
    }))

  it.effect("that throws leaves the outcome unknown, and its defect is kept", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const exit = yield* new Refused().pipe(
        Saga.withCompensation(() => ledger.write("-charge"), {
          isUncertain: () => {
            throw "bug in the predicate"
          }
        }),
        Saga.scoped,
        Effect.exit,
        Effect.provide(ledger.layer)
      )
      assert.deepStrictEqual(ledger.lines, [])
      assert.deepStrictEqual(reasonsOf(exit), [new Refused()])
      assert.deepStrictEqual(whyUncertain(exit), [new Refused(), "bug in the predicate"])
    }))
})

describe("time limits inside", () => {
  const slow = (ledger: Ledger) => Effect.andThen(ledger.write("+charge"), Effect.never)

  it.effect("6. a limit around a step cuts it off: unknown", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const exit = yield* slow(ledger).pipe(
        Saga.withCompensation(undoing(ledger, "charge"), { whenUncertain: "compensate" }),
        Effect.timeout("5 seconds"),
        Saga.scoped,
        Effect.exit,
        during("5 seconds")
      )
      assert.deepStrictEqual(ledger.lines, ["+charge", "-charge Unknown Interrupted"])
      assert.isTrue(Exit.isFailure(exit) && Cause.isTimeoutError(Cause.squash(exit.cause)))
    }))

  it.effect("the gotcha: a limit inside an action is a typed failure, which says that nothing took place", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const exit = yield* slow(ledger).pipe(
        Effect.timeout("5 seconds"),
        Saga.withCompensation(() => ledger.write("-charge"), { name: "charge" }),
        Saga.scoped,
        Effect.exit,
        during("5 seconds")
      )
      assert.deepStrictEqual(ledger.lines, ["+charge"])
      assert.deepStrictEqual(uncertainOf(exit), [])
    }))

  it.effect("its way out: to name that error in `isUncertain`", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* slow(ledger).pipe(
        Effect.timeout("5 seconds"),
        Saga.withCompensation(undoing(ledger, "charge"), {
          whenUncertain: "compensate",
          isUncertain: Cause.isTimeoutError
        }),
        Saga.scoped,
        Effect.exit,
        during("5 seconds")
      )
      assert.deepStrictEqual(ledger.lines, ["+charge", "-charge Unknown DeclaredByError"])
    }))

  it.effect("a limit that passes after a step has succeeded undoes it", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* ledger.step("seat").pipe(
        Effect.andThen(Effect.never),
        Effect.timeout("5 seconds"),
        Saga.scoped,
        Effect.exit,
        during("5 seconds")
      )
      assert.deepStrictEqual(ledger.lines, ["+seat", "-seat"])
    }))
})
