// Actions of unknown outcome: why they are, what becomes of them, and the question that may settle it: rules 2 and 4.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Latch, Logger, Option, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import type { Ledger } from "./ledger.ts"
import { inFiber, reasons, saga, stuckOf, trip, uncertainOf } from "./ledger.ts"

/** How an outcome becomes unknown: what is added to a step, and how its run is brought about. */
const ways: ReadonlyArray<{
  readonly reason: Saga.UncertainReason
  readonly after: () => Effect.Effect<unknown, string>
  readonly isUncertain?: (error: string) => boolean
  readonly timeout?: number
  readonly bring: (fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<unknown>
}> = [
  { reason: "Interrupted", after: () => Effect.never, bring: Fiber.interrupt },
  { reason: "TimedOut", after: () => Effect.never, timeout: 1_000, bring: () => TestClock.adjust(1_000) },
  { reason: "Died", after: () => Effect.die("boom"), bring: () => Effect.void },
  {
    reason: "DeclaredByError",
    after: () => Effect.fail("lost"),
    isUncertain: (error) => error === "lost",
    bring: () => Effect.void
  }
]

/** Two steps, the second of which ends in that way. */
const start = (
  ledger: Ledger,
  { after, isUncertain, timeout }: (typeof ways)[number],
  options: {
    readonly whenUncertain: "report" | "stuck"
    readonly verify?: (_: unknown, context: Saga.StepContext) => Effect.Effect<Option.Option<string>, unknown>
  }
) =>
  ledger.start(trip.pipe(
    Saga.step("a", ledger.step()),
    Saga.step("b", {
      ...ledger.step({ after }),
      ...options,
      ...(timeout === undefined ? {} : { timeout }),
      ...(isUncertain === undefined ? {} : { isUncertain })
    }),
    Saga.step("c", ledger.step())
  ))

describe("rule 4: what becomes of a step of unknown outcome", () => {
  for (const way of ways) {
    const failed = way.reason === "DeclaredByError" ? " !b" : ""
    const where = way.reason === "Interrupted" ? inFiber.interruption : undefined

    saga(`${way.reason}, "report": listed, not compensated; what is before it is`, (ledger) =>
      Effect.gen(function*() {
        const fiber = yield* start(ledger, way, { whenUncertain: "report" })
        yield* way.bring(fiber)
        const exit = yield* Fiber.await(fiber)
        assert.strictEqual(ledger.text, `+a +b${failed} -a`)
        if (way.reason !== "Interrupted") assert.deepStrictEqual(uncertainOf(exit), [["b", way.reason]])
        if (ledger.observed) assert.deepStrictEqual(ledger.state.open, ["b"])
      }), where)

    saga(`${way.reason}, "compensate": its compensation is told the reason`, (ledger) =>
      Effect.gen(function*() {
        const fiber = yield* ledger.start(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.step("b", {
            ...ledger.knowing({ after: way.after }),
            ...(way.timeout === undefined ? {} : { timeout: way.timeout }),
            ...(way.isUncertain === undefined ? {} : { isUncertain: way.isUncertain })
          })
        ))
        yield* way.bring(fiber)
        const exit = yield* Fiber.await(fiber)
        assert.strictEqual(ledger.text, `+a +b${failed} -b?${way.reason} -a`)
        assert.deepStrictEqual(uncertainOf(exit), [])
      }), where)

    saga(`${way.reason}, "stuck": nothing is compensated, a person decides`, (ledger) =>
      Effect.gen(function*() {
        const fiber = yield* start(ledger, way, { whenUncertain: "stuck" })
        yield* way.bring(fiber)
        const exit = yield* Fiber.await(fiber)
        assert.strictEqual(ledger.text, `+a +b${failed}`)
        if (ledger.observed) assert.deepStrictEqual([ledger.state.status, ledger.state.open], ["Stuck", ["b", "a"]])
        if (way.reason === "Interrupted") return
        const [[tag, error]] = reasons(exit) as [[string, Saga.CompensationFailed<string>]]
        assert.deepStrictEqual([tag, error._tag, error.reason], ["Fail", "CompensationFailed", "StepUncertain"])
        const unknown = new Saga.StepUncertain({ path: "b", reason: way.reason })
        assert.deepStrictEqual(
          error.failures.map(({ cause, path }) => [path, Cause.squash(cause)]),
          [["b", unknown]]
        )
        assert.deepStrictEqual(error.uncertain.map(({ path, reason }) => [path, reason]), [["b", way.reason]])
        assert.deepStrictEqual([error.compensated, error.uncompensated], [[], ["a"]])
        assert.include(error.message, `whether "b" (${way.reason}) took place is unknown, so nothing was compensated`)
      }), where)

    saga(`${way.reason}, and \`verify\` finds that it succeeded`, (ledger) =>
      Effect.gen(function*() {
        const fiber = yield* start(ledger, way, {
          whenUncertain: "stuck",
          verify: (_, { path }) => Effect.as(ledger.mark("verify"), Option.some(path))
        })
        yield* way.bring(fiber)
        const exit = yield* Fiber.await(fiber)
        // An interruption is one all the same: the step is done, then undone.
        const interrupted = way.reason === "Interrupted"
        assert.strictEqual(ledger.text, `+a +b${failed} verify ${interrupted ? "-b -a" : "+c"}`)
        if (!interrupted) assert.deepStrictEqual(exit, Exit.succeed({ a: "a", b: "b", c: "c" }))
      }), where)

    saga(
      `${way.reason}, and \`verify\` finds that it did not happen: a failure like any other`,
      (ledger) =>
        Effect.gen(function*() {
          const fiber = yield* ledger.start(trip.pipe(
            Saga.step("a", ledger.step()),
            Saga.step("b", {
              ...ledger.step({ before: way.after }),
              whenUncertain: "stuck",
              verify: () => Effect.as(ledger.mark("verify"), Option.none()),
              ...(way.timeout === undefined ? {} : { timeout: way.timeout }),
              ...(way.isUncertain === undefined ? {} : { isUncertain: way.isUncertain })
            })
          ))
          yield* way.bring(fiber)
          const exit = yield* Fiber.await(fiber)
          assert.strictEqual(ledger.text, `+a${failed} verify -a`)
          assert.deepStrictEqual(uncertainOf(exit), [])
          if (way.reason === "DeclaredByError") assert.deepStrictEqual(reasons(exit), [["Fail", "lost"]])
          if (ledger.observed) assert.deepStrictEqual(ledger.state.open, [])
        }),
      where
    )
  }

  it.effect("what is uncertain is in the log when nobody has to look", () =>
    Effect.gen(function*() {
      const lines: Array<unknown> = []
      const logger = Logger.make(({ logLevel, message }) => lines.push([logLevel, message]))
      yield* Saga.run(
        trip.pipe(Saga.step("a", { action: () => Effect.die("x"), compensation: () => Effect.void })),
        undefined,
        {
          executionId: "e1"
        }
      ).pipe(Effect.exit, Effect.provide(Logger.layer([logger])))
      assert.deepStrictEqual(lines, [[
        "Warn",
        ["Saga \"Trip\" (e1) was compensated, but for steps of unknown outcome: a (Died). Ask their participants"]
      ]])
    }))
})

describe("rule 2: errors that mean `unknown`", () => {
  saga("an error that `isUncertain` does not name is a failure: it did not happen", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", { ...ledger.fails("refused"), whenUncertain: "stuck", isUncertain: (error) => error === "lost" })
      ))
      assert.deepStrictEqual(reasons(exit), [["Fail", "refused"]])
      assert.deepStrictEqual(uncertainOf(exit), [])
    }))

  saga(
    "an uncertain error is retried with the same key, but not under `at-most-once`",
    (ledger) =>
      Effect.gen(function*() {
        const lost = {
          ...ledger.step({ after: ({ attempt }) => attempt === 1 ? Effect.fail("lost") : Effect.void }),
          whenUncertain: "report",
          isUncertain: () => true,
          retry: Schedule.recurs(1)
        } as const
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", lost),
          Saga.step("b", { ...lost, delivery: "at-most-once" })
        ))
        assert.deepStrictEqual(reasons(exit), [["Fail", "lost"]])
        assert.deepStrictEqual(uncertainOf(exit), [["b", "DeclaredByError"]])
        assert.strictEqual(ledger.text, "+a !a =a +b !b -a")
      })
  )

  saga(
    "F16 after an uncertain error a plain one does not say that it did not happen",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", {
            ...ledger.step({
              before: ({ attempt }) => attempt === 2 ? Effect.fail("refused") : Effect.void,
              after: () => Effect.fail("lost")
            }),
            whenUncertain: "report",
            isUncertain: (error) => error === "lost",
            retry: Schedule.recurs(1)
          })
        ))
        assert.deepStrictEqual(reasons(exit), [["Fail", "refused"]])
        assert.deepStrictEqual(uncertainOf(exit), [["a", "DeclaredByError"]])
      })
  )

  saga("an `isUncertain` that throws leaves it open", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", {
          ...ledger.step({ after: () => Effect.fail("no") }),
          whenUncertain: "report",
          isUncertain: () => {
            throw new Error("boom")
          }
        })
      ))
      assert.include(String(reasons(exit)), "boom")
      assert.deepStrictEqual(uncertainOf(exit), [["b", "Died"]])
      assert.strictEqual(ledger.text, "+a +b !b -a")
    }))

  saga("several at once: each is listed", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.parallel((fork) => [
          fork.pipe(Saga.step("b", ledger.step({ after: () => Effect.andThen(Effect.yieldNow, Effect.die("b")) }))),
          fork.pipe(Saga.step("c", ledger.step({ after: () => Effect.andThen(Effect.yieldNow, Effect.die("c")) }))),
          fork.pipe(Saga.step("d", ledger.step()))
        ])
      ))
      assert.deepStrictEqual(reasons(exit), [["Die", "b"]])
      assert.deepStrictEqual(uncertainOf(exit), [["b", "Died"], ["c", "Died"]])
      if (Exit.isSuccess(exit)) return assert.fail("it succeeded")
      assert.deepStrictEqual(Saga.aftermath(exit.cause).others.map(({ path }) => path), ["c"])
      assert.strictEqual(ledger.text, "+a +b +c +d -d -a")
    }))

  saga(
    "one that is `stuck` beside one that is reported: nothing is compensated, both are listed",
    (ledger) =>
      Effect.gen(function*() {
        const lost = () => Effect.andThen(Effect.yieldNow, Effect.die("lost"))
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.parallel((fork) => [
            fork.pipe(Saga.step("b", ledger.step({ after: lost }))),
            fork.pipe(Saga.step("c", { ...ledger.step({ after: lost }), whenUncertain: "stuck" })),
            fork.pipe(Saga.step("d", ledger.knowing({ after: lost })))
          ])
        ))
        const error = stuckOf(exit)
        assert.deepStrictEqual(error.uncertain.map(({ path }) => path), ["c", "b"])
        assert.deepStrictEqual([error.compensated, error.uncompensated], [[], ["d", "a"]])
        assert.strictEqual(ledger.text, "+a +b +c +d")
      })
  )
})

describe("rule 4: the question whether it took place", () => {
  const ask = (ledger: Ledger, verify: () => Effect.Effect<Option.Option<string>, unknown>) =>
    trip.pipe(
      Saga.step("a", ledger.step()),
      Saga.step("b", { ...ledger.step({ after: () => Effect.die("lost") }), verify })
    )
  const bad: ReadonlyArray<readonly [string, () => Effect.Effect<Option.Option<string>, unknown>]> = [
    ["fails", () => Effect.fail("no answer")],
    ["dies", () => Effect.die("no answer")],
    ["is interrupted from inside", () => Effect.interrupt],
    ["throws", () => {
      throw new Error("no answer")
    }]
  ]
  for (const [what, verify] of bad) {
    saga(`one that ${what} leaves it open`, (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(ask(ledger, verify))
        assert.deepStrictEqual(uncertainOf(exit), [["b", "Died"]])
        assert.deepStrictEqual(reasons(exit)[0], ["Die", "lost"])
        assert.isFalse(reasons(exit).some(([tag]) => tag === "Fail"))
        assert.strictEqual(ledger.text, "+a +b -a")
      }))
  }

  const limits = [
    ["30 seconds", 30_000, {}],
    ["the limit of its step", 60_000, { timeout: 60_000 }],
    ["30 seconds, whatever the limit of the compensation is", 30_000, { compensationTimeout: 1_000 }]
  ] as const
  for (const [what, millis, options] of limits) {
    saga(`one that hangs is given up after ${what}`, (ledger) =>
      Effect.gen(function*() {
        const fiber = yield* ledger.start(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.step("b", {
            ...ledger.step({ after: () => Effect.die("lost") }),
            whenUncertain: "report",
            verify: () => Effect.never,
            ...options
          })
        ))
        yield* TestClock.adjust(millis - 1)
        assert.strictEqual(ledger.text, "+a +b")
        yield* TestClock.adjust(1)
        assert.strictEqual(ledger.text, "+a +b -a")
        assert.deepStrictEqual(uncertainOf(yield* Fiber.await(fiber)), [["b", "Died"]])
      }))
  }

  saga(
    "it is asked once, after the last attempt, with the state and the key of the action",
    (ledger) =>
      Effect.gen(function*() {
        const asked: Array<unknown> = []
        const keys: Array<string> = []
        const numbers = Saga.make("Numbers", { payload: Schema.Int })
        const exit = yield* ledger.run(
          numbers.pipe(
            Saga.step("a", {
              success: Schema.Int,
              error: Schema.String,
              isUncertain: () => true,
              whenUncertain: "report",
              retry: Schedule.recurs(2),
              action: (_, { idempotencyKey }) =>
                Effect.andThen(Effect.sync(() => keys.push(idempotencyKey)), Effect.fail("lost")),
              verify: ({ payload }, { attempt, idempotencyKey, path }) =>
                Effect.sync(() => {
                  asked.push([attempt, path, idempotencyKey === keys[0]])
                  return Option.some(payload + 1)
                }),
              compensation: () => Effect.void
            })
          ),
          1
        )
        assert.deepStrictEqual(exit, Exit.succeed({ a: 2 }))
        assert.strictEqual(keys.length, 3)
        assert.deepStrictEqual(asked, [[3, "a", true]])
      })
  )

  saga("it is not asked about a failure that says that it did not happen", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", { ...ledger.fails("no"), verify: () => Effect.die("must not be asked") })
      ))
      assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
    }))

  saga("an interruption waits for it", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(ask(ledger, () => Effect.as(gate.await, Option.some("b"))))
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* TestClock.adjust(0)
      assert.isUndefined(fiber.pollUnsafe())
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.strictEqual(ledger.text, "+a +b -b -a")
    }), inFiber.interruption)
})
