/** Compensations of inline steps: their tries and limits, what they run with, and what their caller gets when they fail. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Fiber, Layer, Logger, Schedule } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { during, Ledger, reasonsOf } from "./ledger.ts"

const failing = Effect.fail("declined")

/** Runs a saga whose first steps succeed and that then fails, and returns the error of a stuck one. */
const stuck = (steps: Effect.Effect<unknown, unknown, Saga.SagaScope>) =>
  steps.pipe(
    Effect.andThen(failing),
    Saga.scoped,
    Effect.flip,
    Effect.flatMap((error) =>
      error instanceof Saga.CompensationFailed
        ? Effect.succeed<Saga.CompensationFailed<unknown>>(error)
        : Effect.die(error)
    )
  )

/** A step whose compensation fails at once. */
const unmovable = (name: string) =>
  Saga.withCompensation(Effect.void, () => Effect.fail(`${name} stays`), {
    name,
    compensationRetry: Schedule.recurs(0)
  })

describe("tries", () => {
  it.effect("9. a compensation that fails is tried five times, 100, 200, 400 and 800 ms apart", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const at: Array<number> = []
      const busy = Effect.andThen(
        Effect.clockWith((clock) => Effect.map(clock.currentTimeMillis, (now) => at.push(now))),
        Effect.fail("busy")
      )
      const fiber = yield* stuck(Saga.withCompensation(Effect.void, () => busy)).pipe(
        Effect.provide(ledger.layer),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1500 millis")
      assert.strictEqual((yield* Fiber.join(fiber)).failures[0]!.attempts, 5)
      assert.deepStrictEqual(at, [0, 100, 300, 700, 1_500])
    }))

  it.effect("a compensation that works in its last try leaves no trace of the others", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const told: Array<unknown> = []
      const exit = yield* Effect.succeed("seat").pipe(
        Saga.withCompensation((seat, { attempt, cause }) => {
          told.push([seat, attempt, Cause.squash(cause)])
          return attempt < 3 ? Effect.fail("busy") : Effect.void
        }, { compensationRetry: Schedule.recurs(2) }),
        Effect.andThen(failing),
        Saga.scoped,
        Effect.exit,
        Effect.provide(ledger.layer)
      )
      assert.deepStrictEqual(reasonsOf(exit), ["declined"])
      assert.deepStrictEqual(told, [["seat", 1, "declined"], ["seat", 2, "declined"], ["seat", 3, "declined"]])
      assert.deepStrictEqual(ledger.logged, [])
    }))

  it.effect("`compensationRetry` is given the error, the defect, or `CompensationTimedOut`", () =>
    Effect.gen(function*() {
      const inputs: Array<unknown> = []
      const compensationRetry = Schedule.recurs(3).pipe(
        Schedule.setInputType<unknown>(),
        Schedule.while(({ input }) => {
          inputs.push(input)
          return true
        })
      )
      const tries = [Effect.fail("busy"), Effect.die("bug"), Effect.never, Effect.void]
      yield* Saga.withCompensation(Effect.void, (_, { attempt }) => tries[attempt - 1]!, {
        compensationRetry,
        compensationTimeout: "1 second",
        name: "seat"
      }).pipe(Effect.andThen(failing), Saga.scoped, Effect.flip, during("1 second"))
      assert.deepStrictEqual(inputs, [
        "busy",
        "bug",
        new Saga.CompensationTimedOut({ path: "seat", limitMillis: 1_000, abandoned: false })
      ])
    }))
})

describe("what it is given", () => {
  const values = [undefined, null, NaN, -0, "", [], new Map([[1, 2]]), new Date(0), () => 1, Effect.void]
  it.effect("24. is the value that the action has returned, whatever it is", () =>
    Effect.gen(function*() {
      const given: Array<unknown> = []
      const step = (value: unknown) =>
        Saga.withCompensation(Effect.succeed(value), (value) =>
          Effect.sync(() => {
            given.unshift(value)
          }))
      yield* Effect.forEach(values, step).pipe(Effect.andThen(failing), Saga.scoped, Effect.flip)
      assert.strictEqual(given.length, values.length)
      assert.isTrue(given.every((value, index) => Object.is(value, values[index])))
    }))
})

describe("a compensation that cannot do its work", () => {
  const ways = {
    "9. fails": Effect.fail("busy"),
    "10. dies": Effect.die("bug"),
    "10. throws": Effect.suspend((): Effect.Effect<void> => {
      throw "thrown"
    }),
    "interrupts itself": Effect.interrupt
  }
  for (const [what, way] of Object.entries(ways)) {
    it.effect(`${what}: the others run, once, and the caller gets it all`, () =>
      Effect.gen(function*() {
        const ledger = new Ledger()
        const hotel = ledger.act("hotel").pipe(
          Saga.withCompensation(() => Effect.andThen(ledger.write("-hotel?"), way), {
            name: "hotel",
            compensationRetry: Schedule.recurs(1)
          })
        )
        const error = yield* stuck(
          Effect.gen(function*() {
            yield* ledger.step("flight")
            yield* hotel
            yield* ledger.step("car")
          })
        ).pipe(Effect.provide(ledger.layer))
        assert.deepStrictEqual(ledger.lines, ["+flight", "+hotel", "+car", "-car", "-hotel?", "-hotel?", "-flight"])
        assert.deepStrictEqual(error.compensated, ["car", "flight"])
        assert.deepStrictEqual(error.uncompensated, ["hotel"])
        assert.deepStrictEqual(error.uncertain, [])
        assert.deepStrictEqual(Cause.squash(error.original), "declined")
        assert.strictEqual(error.failures.length, 1)
        const failure = error.failures[0]!
        assert.strictEqual(failure.path, "hotel")
        assert.strictEqual(failure.attempts, 2)
        assert.deepStrictEqual(failure.cause.reasons.map(({ _tag }) => _tag), [
          what === "9. fails" ? "Fail" : what === "interrupts itself" ? "Interrupt" : "Die"
        ])
        assert.strictEqual(ledger.logged.length, 1)
        assert.match(ledger.logged[0]!, /^Error: .*"hotel"/)
      }))
  }

  it.effect("throws while it is being made: the same", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const thrower = ledger.act("hotel").pipe(
        Saga.withCompensation((): Effect.Effect<void> => {
          throw "thrown"
        }, { name: "hotel", compensationRetry: Schedule.recurs(0) })
      )
      const error = yield* stuck(Effect.andThen(ledger.step("flight"), thrower)).pipe(
        Effect.provide(ledger.layer)
      )
      assert.deepStrictEqual(ledger.lines, ["+flight", "+hotel", "-flight"])
      assert.strictEqual(Cause.squash(error.failures[0]!.cause), "thrown")
    }))

  it.effect("several: each is listed, in the order in which they would have to be undone", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const steps = Effect.all([unmovable("a"), ledger.step("b"), unmovable("c")])
      const error = yield* stuck(steps).pipe(Effect.provide(ledger.layer))
      assert.deepStrictEqual(error.failures.map(({ cause, path }) => [path, Cause.squash(cause)]), [
        ["c", "c stays"],
        ["a", "a stays"]
      ])
      assert.deepStrictEqual(error.uncompensated, ["c", "a"])
      assert.deepStrictEqual(error.compensated, ["b"])
    }))

  it.effect("steps of one name, and steps without, are told apart", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const undone = (name: string | undefined, ok: boolean) =>
        Saga.withCompensation(Effect.void, () => ok ? Effect.void : Effect.fail("no"), {
          ...name === undefined ? {} : { name },
          compensationRetry: Schedule.recurs(0)
        })
      const named = Effect.all([undone("line", true), undone("line", false), undone("line", true)])
      const unnamed = Effect.all([
        undone(undefined, true),
        Saga.joined(undone(undefined, false)),
        undone(undefined, true)
      ])
      const first = yield* stuck(named).pipe(Effect.provide(ledger.layer))
      assert.deepStrictEqual([first.compensated, first.uncompensated], [["line", "line"], ["line"]])
      const second = yield* stuck(unnamed).pipe(Effect.provide(ledger.layer))
      assert.deepStrictEqual([second.compensated.length, second.uncompensated.length], [2, 1])
      assert.strictEqual(new Set([...second.compensated, ...second.uncompensated]).size, 3)
    }))

  it.effect("its error is one typed error: `catchTag` finds it", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const left = yield* Saga.withCompensation(Effect.void, () => Effect.die("bug"), {
        name: "seat",
        compensationRetry: Schedule.recurs(0)
      }).pipe(
        Effect.andThen(Effect.die("another bug")),
        Saga.scoped,
        Effect.catchTag("CompensationFailed", ({ uncompensated }) => Effect.succeed(uncompensated)),
        Effect.provide(ledger.layer)
      )
      assert.deepStrictEqual(left, ["seat"])
    }))

  it.effect("an interrupted caller cannot see it: it is logged", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const fiber = yield* Saga.withCompensation(Effect.void, () => Effect.fail("busy"), {
        name: "seat",
        compensationRetry: Schedule.recurs(0)
      }).pipe(
        Effect.andThen(Effect.never),
        Saga.scoped,
        Effect.provide(ledger.layer),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Fiber.interrupt(fiber)
      assert.include(reasonsOf(yield* Fiber.await(fiber)), "interrupted")
      assert.strictEqual(ledger.logged.length, 1)
      assert.match(ledger.logged[0]!, /^Error: .*"seat"/)
    }))

  it.effect("27. a logger that throws changes nothing", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const throwing = Logger.layer([Logger.make(() => {
        ledger.lines.push("logged")
        throw "bug in the logger"
      })])
      const steps = Effect.andThen(ledger.step("flight"), unmovable("hotel"))
      const error = yield* stuck(steps).pipe(Effect.provide(throwing))
      assert.deepStrictEqual(ledger.lines, ["+flight", "-flight", "logged"])
      assert.deepStrictEqual(error.uncompensated, ["hotel"])
    }))
})

describe("limits", () => {
  const hang = (
    ledger: Ledger,
    name: string,
    how: Effect.Effect<never>,
    options?: { compensationTimeout: "1 second" }
  ) =>
    Saga.withCompensation(ledger.act(name), () => Effect.andThen(ledger.write(`-${name}?`), how), {
      ...options,
      name,
      compensationRetry: Schedule.recurs(0)
    })

  it.effect("11. a compensation that hangs is cut off after 30 seconds, the others run", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const steps = Effect.andThen(ledger.step("flight"), hang(ledger, "hotel", Effect.never))
      const fiber = yield* stuck(steps).pipe(Effect.provide(ledger.layer), Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("29999 millis")
      assert.deepStrictEqual(ledger.lines, ["+flight", "+hotel", "-hotel?"])
      yield* TestClock.adjust("1 millis")
      const { failures } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(ledger.lines, ["+flight", "+hotel", "-hotel?", "-flight"])
      assert.deepStrictEqual(
        Cause.squash(failures[0]!.cause),
        new Saga.CompensationTimedOut({ path: "hotel", limitMillis: 30_000, abandoned: false })
      )
    }))

  it.effect("11. `compensationTimeout` bounds each try, and the finalizers of the try are awaited", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const how = Effect.onInterrupt(Effect.never, () => ledger.write("cut off"))
      const steps = Saga.withCompensation(Effect.void, () => how, {
        compensationTimeout: "1 second",
        compensationRetry: Schedule.recurs(1)
      })
      const error = yield* stuck(steps).pipe(Effect.provide(ledger.layer), during("2 seconds"))
      assert.deepStrictEqual(ledger.lines, ["cut off", "cut off"])
      assert.strictEqual(error.failures[0]!.attempts, 2)
    }))

  it.effect("11. one that ignores its interruption is given up a second later, and reported so", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const stubborn = hang(ledger, "hotel", Effect.uninterruptible(Effect.never), { compensationTimeout: "1 second" })
      const fiber = yield* stuck(Effect.andThen(ledger.step("flight"), stubborn)).pipe(
        Effect.provide(ledger.layer),
        Effect.forkDetach({ startImmediately: true })
      )
      yield* TestClock.adjust("1999 millis")
      assert.deepStrictEqual(ledger.lines, ["+flight", "+hotel", "-hotel?"])
      yield* TestClock.adjust("1 millis")
      const { failures } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(ledger.lines, ["+flight", "+hotel", "-hotel?", "-flight"])
      assert.deepStrictEqual(
        Cause.squash(failures[0]!.cause),
        new Saga.CompensationTimedOut({ path: "hotel", limitMillis: 1_000, abandoned: true })
      )
    }))

  for (const compensationTimeout of ["0 millis", "-1 second", "Infinity"] as const) {
    it.effect(`a limit of ${compensationTimeout} is refused when the step is made`, () =>
      Effect.sync(() => {
        assert.throws(
          () => Saga.withCompensation(Effect.void, () => Effect.void, { compensationTimeout }),
          /`compensationTimeout` must be longer than zero and finite/
        )
      }))
  }
})

describe("18. services", () => {
  class Shop extends Context.Service<Shop, { readonly name: string }>()("Shop") {}
  const Volume = Context.Reference<number>("test/Volume", { defaultValue: () => 0 })

  const reserve = (ledger: Ledger) =>
    Shop.pipe(
      Effect.flatMap(({ name }) => ledger.act(name)),
      Saga.withCompensation((given) =>
        Effect.gen(function*() {
          const { name } = yield* Shop
          yield* ledger.write(`-${given} by ${name} at ${yield* Volume}`)
        })
      )
    )

  it.effect("a compensation runs with those that its step ran with, not with those around the saga", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* Effect.gen(function*() {
        yield* reserve(ledger)
        yield* reserve(ledger).pipe(Effect.provideService(Shop, { name: "second" }))
        yield* reserve(ledger).pipe(
          Effect.provideService(Volume, 11),
          Effect.provide(Layer.succeed(Shop, { name: "third" }))
        )
        return yield* failing
      }).pipe(Saga.scoped, Effect.provideService(Shop, { name: "first" }), Effect.flip)
      assert.deepStrictEqual(ledger.lines, [
        "+first",
        "+second",
        "+third",
        "-third by third at 11",
        "-second by second at 0",
        "-first by first at 0"
      ])
    }))

  it.effect("also when the services are provided inside the scope, around all steps", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* Effect.andThen(reserve(ledger), failing).pipe(
        Effect.provideService(Shop, { name: "inside" }),
        Saga.scoped,
        Effect.flip
      )
      assert.deepStrictEqual(ledger.lines, ["+inside", "-inside by inside at 0"])
    }))
})

describe("a compensation that is a saga itself", () => {
  it.effect("has a scope of its own, undone when the try fails", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const refund = (attempt: number) =>
        Saga.scoped(Effect.andThen(ledger.step(`voucher ${attempt}`), attempt === 1 ? Effect.fail("no") : Effect.void))
      const exit = yield* ledger.act("charge").pipe(
        Saga.withCompensation((_, { attempt }) => refund(attempt), { compensationRetry: Schedule.recurs(1) }),
        Effect.andThen(failing),
        Saga.scoped,
        Effect.exit
      )
      assert.deepStrictEqual(ledger.lines, ["+charge", "+voucher 1", "-voucher 1", "+voucher 2"])
      assert.deepStrictEqual(reasonsOf(exit), ["declined"])
    }))

  const without = {
    "a step": (ledger: Ledger) => ledger.step("voucher"),
    "a joined step": (ledger: Ledger) => Saga.joined(ledger.step("voucher")),
    "a race": (ledger: Ledger) => Saga.race(ledger.step("voucher"), ledger.step("voucher"))
  }
  for (const [what, refund] of Object.entries(without)) {
    it.effect(`cannot add ${what} to the saga that is being undone: \`SagaScopeClosed\``, () =>
      Effect.gen(function*() {
        const ledger = new Ledger()
        const steps = ledger.act("charge").pipe(
          Saga.withCompensation(() => refund(ledger), { name: "charge", compensationRetry: Schedule.recurs(0) })
        )
        const { failures } = yield* stuck(steps).pipe(Effect.provide(ledger.layer))
        assert.deepStrictEqual(ledger.lines, ["+charge"])
        assert.deepStrictEqual(
          failures.map(({ cause }) => Cause.squash(cause)),
          [new Saga.SagaScopeClosed({ step: "voucher" })]
        )
      }))
  }
})
