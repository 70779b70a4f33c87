// Steps in order, what an action is told, typed failures, defects, retries: rules 1 to 3, faults 1, 2, 8, 15, 16.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { inFiber, Ledger, reasons, saga, trip, uncertainOf } from "./ledger.ts"

describe("rule 1: steps run in order", () => {
  saga(
    "each action gets the payload and the results so far, the caller gets all results",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(
          Saga.make("Sum", { payload: Schema.Int }).pipe(
            Saga.step("a", {
              success: Schema.Int,
              action: ({ payload }) => Effect.succeed(payload + 1),
              compensation: () => Effect.void
            }),
            Saga.sleep("pause", 0),
            Saga.check("b", { success: Schema.Int, action: ({ a, payload }) => Effect.succeed(a + payload) }),
            Saga.step("c", { action: () => Effect.void, compensation: () => Effect.void })
          ),
          10
        )
        assert.deepStrictEqual(exit, Exit.succeed({ a: 11, b: 21, c: undefined }))
      })
  )

  saga("an output takes the place of the results", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.output(Schema.String, (state) => Object.keys(state).join())
      ))
      assert.deepStrictEqual(exit, Exit.succeed("payload,a"))
    }))

  saga(
    "an action is told execution, path, attempt and key, its compensation another key and the action's",
    (ledger) =>
      Effect.gen(function*() {
        const seen: Array<unknown> = []
        const told = trip.pipe(
          Saga.step("a", {
            action: (_, { attempt, executionId, idempotencyKey, path }) =>
              Effect.sync(() => void seen.push({ attempt, executionId, idempotencyKey, path })),
            compensation: (_, __, { actionKey, attempt, cause, executionId, idempotencyKey, path }) =>
              Effect.sync(() => {
                const why = reasons(Exit.failCause(cause))
                seen.push({ actionKey, attempt, executionId, idempotencyKey, path, why })
              })
          }),
          Saga.check("no", { error: Schema.String, action: () => Effect.fail("no") })
        )
        yield* Effect.exit(ledger.observe(Saga.run(told, undefined, { executionId: "e1" })))
        assert.deepStrictEqual(seen, [
          { attempt: 1, executionId: "e1", idempotencyKey: "e1/a", path: "a" },
          {
            actionKey: "e1/a",
            attempt: 1,
            executionId: "e1",
            idempotencyKey: "e1/a/compensation",
            path: "a",
            why: [["Fail", "no"]]
          }
        ])
      })
  )

  saga("two runs have two execution ids, hence other keys", (ledger) =>
    Effect.gen(function*() {
      const keys: Array<string> = []
      const keyed = trip.pipe(
        Saga.check("a", { action: (_, { idempotencyKey }) => Effect.sync(() => void keys.push(idempotencyKey)) })
      )
      yield* ledger.observe(Saga.run(keyed, undefined))
      yield* ledger.observe(Saga.run(keyed, undefined))
      assert.match(keys[0]!, /^[0-9a-f]{32}\/a$/)
      assert.match(keys[1]!, /^[0-9a-f]{32}\/a$/)
      assert.notStrictEqual(keys[0], keys[1])
    }))

  saga(
    "an action whose compensation is wanted is told the same execution id as before",
    (ledger) =>
      Effect.gen(function*() {
        const outcome = yield* ledger.observe(Saga.outcome(
          trip.pipe(Saga.step("a", ledger.step()), Saga.step("b", ledger.fails("no"))),
          undefined
        ))
        assert.strictEqual(outcome._tag, "Compensated")
        ledger.check(Exit.fail("no"))
        assert.strictEqual(ledger.text, "+a !b -a")
      })
  )
})

describe("a payload that does not match its schema", () => {
  const seats = Saga.make("Seats", { payload: Schema.Struct({ seats: Schema.Int.check(Schema.isGreaterThan(0)) }) })

  saga("is a defect before anything runs", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(seats.pipe(Saga.step("a", ledger.step())), { seats: 0 })
      const [[tag, defect]] = reasons(exit) as [[string, Saga.PayloadInvalid]]
      assert.strictEqual(tag, "Die")
      assert.strictEqual(defect._tag, "PayloadInvalid")
      assert.strictEqual(
        defect.message,
        `Saga "Seats" did not start, its payload does not match its schema: Expected a value greater than 0\n` +
          `  at ["seats"]`
      )
      assert.strictEqual(ledger.text, "")
      assert.deepStrictEqual(ledger.facts, [])
    }), inFiber.payload)
})

describe("F1 typed failure of step n", () => {
  saga(
    "n-1 to 1 are compensated in reverse, not n, and the caller gets the original error",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.step("b", ledger.step()),
          Saga.step("c", ledger.fails("no")),
          Saga.step("d", ledger.step())
        ))
        assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
        assert.strictEqual(ledger.text, "+a +b !c -b -a")
      })
  )

  saga("of the first step: nothing is compensated", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(Saga.step("a", ledger.fails("no")), Saga.step("b", ledger.step())))
      assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
      assert.strictEqual(ledger.text, "!a")
    }))

  saga("the error is the very object that the step failed with", (ledger) =>
    Effect.gen(function*() {
      class SoldOut extends Schema.TaggedError<SoldOut>()("SoldOut", { seat: Schema.String }) {}
      const error = new SoldOut({ seat: "1A" })
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.check("b", { error: SoldOut, action: () => Effect.fail(error) })
      ))
      assert.strictEqual(Exit.isFailure(exit) && reasons(exit)[0]![1], error)
    }), inFiber.identity)

  saga("the outcome as a value: why, what was compensated, nothing uncertain", (ledger) =>
    Effect.gen(function*() {
      const failing = trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", ledger.step()),
        Saga.step("c", ledger.fails("no"))
      )
      const outcome = yield* ledger.observe(Saga.outcome(failing, undefined, { executionId: "e1" }))
      if (outcome._tag !== "Compensated") return assert.fail(outcome._tag)
      assert.strictEqual(outcome.executionId, "e1")
      assert.deepStrictEqual(reasons(Exit.failCause(outcome.cause)), [["Fail", "no"]])
      assert.deepStrictEqual(outcome.compensated, ["b", "a"])
      assert.deepStrictEqual([outcome.uncertain, outcome.others], [[], []])
    }))
})

describe("F2 defect or throw in step n", () => {
  const defects: ReadonlyArray<readonly [string, () => Effect.Effect<never>]> = [
    ["a defect", () => Effect.die("boom")],
    ["a throw in an effect", () => Effect.sync(() => thrown("boom"))],
    ["an action that throws", () => thrown("boom")],
    ["a rejected promise", () => Effect.promise(() => Promise.reject("boom"))]
  ]
  const thrown = (defect: unknown): never => {
    throw defect
  }
  for (const [what, action] of defects) {
    saga(`${what}: unwinds likewise, the cause keeps the defect, n is uncertain`, (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.step("b", { action, compensation: () => Effect.die("must not run") })
        ))
        if (Exit.isSuccess(exit)) return assert.fail("it succeeded")
        assert.deepStrictEqual(reasons(exit), [["Die", "boom"]])
        const { others, uncertain } = Saga.aftermath(exit.cause)
        assert.deepStrictEqual(uncertain.map(({ path, reason }) => [path, reason]), [["b", "Died"]])
        assert.deepStrictEqual(others, [])
        assert.strictEqual(ledger.text, "+a -a")
      }))
  }

  saga("a step that interrupts itself: likewise", (ledger) =>
    Effect.gen(function*() {
      const outcome = yield* ledger.observe(Saga.outcome(
        trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.step("b", ledger.step({ after: () => Effect.interrupt }))
        ),
        undefined
      ))
      if (outcome._tag !== "Compensated") return assert.fail(outcome._tag)
      assert.deepStrictEqual(outcome.uncertain.map(({ path, reason }) => [path, reason]), [["b", "Interrupted"]])
      assert.strictEqual(ledger.text, "+a +b -a")
    }))

  saga("a check only reads: it is not uncertain", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.check("b", { action: () => Effect.die("boom") })
      ))
      if (Exit.isSuccess(exit)) return assert.fail("it succeeded")
      assert.deepStrictEqual(reasons(exit), [["Die", "boom"]])
      assert.deepStrictEqual(Saga.aftermath(exit.cause).uncertain, [])
      assert.strictEqual(ledger.text, "+a -a")
    }))

  saga(
    "F15 a finalizer of the action fails too: both causes are kept, compensations run",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.step("b", {
            error: Schema.String,
            action: () => Effect.ensuring(Effect.fail("no"), Effect.die("finalizer")),
            compensation: () => Effect.void
          })
        ))
        assert.deepStrictEqual(reasons(exit).map(([, error]) => error), ["no", "finalizer"])
        assert.strictEqual(ledger.text, "+a -a")
      })
  )

  saga(
    "F15 a finalizer around the saga fails: compensations have run, both causes are kept",
    (ledger) =>
      Effect.gen(function*() {
        const failing = trip.pipe(Saga.step("a", ledger.step()), Saga.step("b", ledger.fails("no")))
        const exit = yield* Effect.exit(
          ledger.observe(Saga.run(failing, undefined)).pipe(
            Effect.ensuring(ledger.mark("finalizer")),
            Effect.onExit(() => Effect.fail("worse"))
          )
        )
        assert.deepStrictEqual(reasons(exit), [["Fail", "no"], ["Fail", "worse"]])
        assert.strictEqual(ledger.text, "+a !b -a finalizer")
      })
  )
})

describe("F8 retries", () => {
  const busy = (times: number) => (context: Saga.StepContext) =>
    context.attempt <= times ? Effect.fail(`busy ${context.attempt}`) : Effect.void

  saga("until it succeeds: one idempotency key over all attempts", (ledger) =>
    Effect.gen(function*() {
      const keys = new Set<string>()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", {
          ...ledger.step({
            before: (context) =>
              Effect.andThen(
                ledger.stamp(`try ${context.attempt}`),
                Effect.suspend(() => {
                  keys.add(context.idempotencyKey)
                  return busy(2)(context)
                })
              )
          }),
          retry: Schedule.exponential("100 millis")
        })
      ))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed({ a: "a" }))
      assert.strictEqual(ledger.text, "try 1@0 !a try 2@100 !a try 3@300 +a")
      assert.strictEqual(keys.size, 1)
    }))

  it.effect("exhausted: one failure, with the number of attempts", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", {
          ...ledger.step({ before: busy(9) }),
          retry: Schedule.max([Schedule.spaced(10), Schedule.recurs(2)])
        })
      ))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "busy 3"]])
      assert.strictEqual(ledger.text, "+a !b !b !b -a")
      assert.deepStrictEqual(
        ledger.facts.flatMap((fact) =>
          fact._tag === "StepAttemptFailed"
            ? [[fact.attempt, fact.atMillis, fact.nextAtMillis]]
            : fact._tag === "StepFailed"
            ? [[fact.attempts, fact.atMillis]]
            : []
        ),
        [[1, 0, 10], [2, 10, 20], [3, 20]]
      )
    }))

  saga("a defect is not retried", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", { ...ledger.step({ after: () => Effect.die("boom") }), retry: Schedule.recurs(3) })
      ))
      assert.deepStrictEqual(reasons(exit), [["Die", "boom"]])
      assert.strictEqual(ledger.text, "+a")
    }))

  saga("the schedule sees the typed error and decides by it", (ledger) =>
    Effect.gen(function*() {
      const retry = Schedule.forever.pipe(
        Schedule.setInputType<unknown>(),
        Schedule.while(({ input }) => Effect.succeed(input !== "busy 3"))
      )
      const exit = yield* ledger.run(trip.pipe(Saga.step("a", { ...ledger.step({ before: busy(9) }), retry })))
      assert.deepStrictEqual(reasons(exit), [["Fail", "busy 3"]])
      assert.strictEqual(ledger.text, "!a !a !a")
    }))

  saga("a schedule that dies ends the step, and what is before it is compensated", (ledger) =>
    Effect.gen(function*() {
      const retry = Schedule.forever.pipe(Schedule.tap(() => Effect.die("schedule")))
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", { ...ledger.fails("no"), retry })
      ))
      assert.deepStrictEqual(reasons(exit), [["Fail", "no"], ["Die", "schedule"]])
      assert.deepStrictEqual(uncertainOf(exit), [])
      assert.strictEqual(ledger.text, "+a !b -a")
    }))
})

describe("F16 no compensation", () => {
  saga("a check and a pivot are skipped in the unwind", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.check("b", { action: () => Effect.void }),
        Saga.pivot("c", { success: Schema.String, error: Schema.String, action: ledger.fails("no").action })
      ))
      assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
      assert.strictEqual(ledger.text, "+a !c -a")
    }))

  it("check, pivot and retriable are shown as not compensated", () => {
    const ledger = new Ledger()
    const shape = Saga.definition(trip.pipe(
      Saga.step("a", ledger.step()),
      Saga.check("b", { action: () => Effect.void }),
      Saga.pivot("c", { action: () => Effect.void }),
      Saga.retriable("d", { retry: Schedule.forever, action: () => Effect.void })
    ))
    assert.deepStrictEqual(
      shape.nodes.map((node) => [node.kind, "compensated" in node && node.compensated]),
      [["step", true], ["check", false], ["pivot", false], ["retriable", false]]
    )
  })
})
