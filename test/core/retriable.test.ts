// Forward recovery: actions that are repeated until they succeed: rule 11.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Latch, Option, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { Ledger, leftOf, reasons, saga, settle, trip } from "./ledger.ts"

describe("rule 11: a retriable", () => {
  saga(
    "is repeated until it succeeds, also after defects and limits, with one key",
    (ledger) =>
      Effect.gen(function*() {
        const ends = [Effect.fail("busy"), Effect.die("boom"), Effect.never, Effect.void]
        const fiber = yield* ledger.start(trip.pipe(
          Saga.pivot("a", ledger.action()),
          Saga.retriable("b", {
            ...ledger.action({ after: ({ attempt }) => ends[attempt - 1]! }),
            timeout: "1 second",
            retry: Schedule.spaced("1 second")
          })
        ))
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed({ a: "a", b: "b" }))
        assert.strictEqual(ledger.text, "+a +b !b =b =b =b")
      })
  )

  saga(
    "commits by being started, without a pivot before it: its failure compensates nothing",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.retriable("b", { ...ledger.action({ before: () => Effect.fail("busy") }), retry: Schedule.recurs(1) })
        ))
        assert.deepStrictEqual(leftOf(exit), ["b"])
        assert.strictEqual(ledger.text, "+a !b !b")
      })
  )

  saga(
    "that exhausts its schedule is stuck: ForwardRecoveryFailed names what is left, in order",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.pivot("b", ledger.action()),
          Saga.retriable("c", ledger.retriable()),
          Saga.retriable("d", { ...ledger.action({ before: () => Effect.fail("busy") }), retry: Schedule.recurs(2) }),
          Saga.sleep("night", "8 hours"),
          Saga.when("maybe", () => true, (fork) => fork.pipe(Saga.retriable("e", ledger.retriable()))),
          Saga.parallel((fork) => [
            fork.pipe(Saga.retriable("f", ledger.retriable())),
            fork.pipe(Saga.retriable("g", ledger.retriable()))
          ]),
          Saga.onStuck(({ error }) => ledger.mark(error._tag))
        ))
        const [[, error]] = reasons(exit) as [[string, Saga.ForwardRecoveryFailed]]
        assert.deepStrictEqual([error._tag, error.saga, error.left], [
          "ForwardRecoveryFailed",
          "Trip",
          ["d", "maybe", "f", "g"]
        ])
        assert.deepStrictEqual(
          error.failures.map(({ attempts, cause, path }) => [path, attempts, Cause.squash(cause)]),
          [["d", 3, "busy"]]
        )
        assert.match(
          error.message,
          /^Saga "Trip" \([0-9a-f]{32}\) is committed and could not be finished; left to do: d, maybe, f, g\. Nothing is compensated after the commit point: finish these by hand$/
        )
        assert.strictEqual(ledger.text, "+a +b +c !d !d !d ForwardRecoveryFailed")
      })
  )

  saga("siblings finish when one exhausts its schedule", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.pivot("a", ledger.action()),
        Saga.parallel((fork) => [
          fork.pipe(
            Saga.retriable("b", { ...ledger.action({ before: () => Effect.fail("busy") }), retry: Schedule.recurs(0) }),
            Saga.retriable("c", ledger.retriable())
          ),
          fork.pipe(
            Saga.retriable("d", ledger.retriable({ before: () => gate.await })),
            Saga.retriable("e", ledger.retriable())
          )
        ]),
        Saga.retriable("f", ledger.retriable())
      ))
      yield* settle
      yield* gate.open
      assert.deepStrictEqual(leftOf(yield* Fiber.await(fiber)), ["b", "c", "f"])
      assert.strictEqual(ledger.text, "+a !b +d +e")
    }))

  for (const concurrency of [1, 2]) {
    saga(
      `the items of a forEach finish when one exhausts its schedule, ${concurrency} at a time`,
      (ledger) =>
        Effect.gen(function*() {
          const exit = yield* ledger.run(trip.pipe(
            Saga.pivot("a", ledger.action()),
            Saga.forEach("mails", {
              item: Schema.String,
              items: () => ["x", "y", "z"],
              key: (item) => item,
              concurrency,
              each: (fork) =>
                fork.pipe(
                  Saga.retriable("send", {
                    ...ledger.action({
                      before: ({ path }) => path.includes("x") ? Effect.fail("busy") : Effect.yieldNow
                    }),
                    retry: Schedule.recurs(0)
                  }),
                  Saga.retriable("log", ledger.retriable())
                )
            })
          ))
          assert.deepStrictEqual(leftOf(exit), ["mails/x/send", "mails/x/log"])
          assert.sameMembers(
            ledger.text.split(" "),
            ["+a", "!mails/x/send", "+mails/y/send", "+mails/y/log", "+mails/z/send", "+mails/z/log"]
          )
        })
    )
  }

  saga("what its schedule throws makes it stuck, and keeps both causes", (ledger) =>
    Effect.gen(function*() {
      const retry = Schedule.forever.pipe(Schedule.tap(() => Effect.die("schedule")))
      const exit = yield* ledger.run(trip.pipe(
        Saga.retriable("a", { ...ledger.action({ before: () => Effect.fail("busy") }), retry })
      ))
      const [[, error]] = reasons(exit) as [[string, Saga.ForwardRecoveryFailed]]
      assert.deepStrictEqual(
        reasons(Exit.failCause(error.failures[0]!.cause)),
        [["Fail", "busy"], ["Die", "schedule"]]
      )
    }))

  saga("`verify` settles it after its last try", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.retriable("a", {
          ...ledger.action({ after: () => Effect.die("lost") }),
          retry: Schedule.recurs(0),
          verify: (_, { path }) => Effect.succeed(Option.some(path))
        })
      ))
      assert.deepStrictEqual(exit, Exit.succeed({ a: "a" }))
    }))
})

it.effect("facts after the commit point: StepFailed, then SagaStuck, no unwind", () =>
  Effect.gen(function*() {
    const ledger = new Ledger()
    yield* ledger.run(trip.pipe(
      Saga.pivot("a", ledger.action()),
      Saga.retriable("b", { ...ledger.action({ before: () => Effect.fail("busy") }), retry: Schedule.recurs(0) })
    ))
    assert.deepStrictEqual(ledger.told.slice(3), ["StepStarted b", "StepFailed b", "SagaStuck"])
    assert.deepInclude(ledger.facts[5], { reason: "ForwardRecoveryFailed", open: ["b"] })
  }))
