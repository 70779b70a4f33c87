// Branches that are chosen, `when` and `match`: rule 13.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schema } from "effect"
import { Saga } from "effect-saga"
import { inFiber, Ledger, reasons, saga, throwing, trip, uncertainOf } from "./ledger.ts"

describe("when", () => {
  const express = (ledger: Ledger) =>
    Saga.make("Ship", { payload: Schema.Boolean }).pipe(
      Saga.step("a", ledger.step()),
      Saga.when("courier", ({ payload }) =>
        payload, (fork) =>
        fork.pipe(Saga.step("b", ledger.step()), Saga.step("c", ledger.step()))),
      Saga.check("d", {
        success: Schema.String,
        error: Schema.String,
        action: ({ courier }) =>
          courier === undefined ? Effect.succeed("none") : Effect.fail(courier.b)
      })
    )

  saga("the predicate holds: the branch runs, and is compensated in its place", (ledger) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(reasons(yield* ledger.run(express(ledger), true)), [["Fail", "courier/b"]])
      assert.strictEqual(ledger.text, "+a +courier/b +courier/c -courier/c -courier/b -a")
    }))

  saga("it does not hold: the result is undefined", (ledger) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* ledger.run(express(ledger), false),
        Exit.succeed({ a: "a", courier: undefined, d: "none" })
      )
      assert.strictEqual(ledger.text, "+a")
    }))

  saga("rule 13: the predicate is evaluated once, whatever happens later", (ledger) =>
    Effect.gen(function*() {
      let times = 0
      const exit = yield* ledger.run(trip.pipe(
        Saga.when("maybe", () => ++times > 0, (fork) => fork.pipe(Saga.step("a", ledger.step()))),
        Saga.step("b", ledger.fails("no"))
      ))
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(times, 1)
      assert.strictEqual(ledger.text, "+maybe/a !b -maybe/a")
    }))

  saga("a predicate that throws is a defect, and what is before it is compensated", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.when("maybe", throwing, (fork) => fork.pipe(Saga.step("b", ledger.step())))
      ))
      assert.include(String(reasons(exit)), "boom")
      assert.deepStrictEqual(uncertainOf(exit), [])
      assert.strictEqual(ledger.text, "+a -a")
    }))

  saga(
    "an output of the branch that throws is a defect, and its steps are compensated",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.when("maybe", () =>
            true, (fork) =>
            fork.pipe(Saga.step("b", ledger.step()), Saga.output(Schema.String, throwing)))
        ))
        assert.include(String(reasons(exit)), "boom")
        assert.strictEqual(ledger.text, "+a +maybe/b -maybe/b -a")
      })
  )

  saga("an output of the branch is the result", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.when("maybe", () =>
          true, (fork) =>
          fork.pipe(Saga.step("a", ledger.step()), Saga.output(Schema.Int, ({ a }) => a.length)))
      ))
      assert.deepStrictEqual(exit, Exit.succeed({ maybe: 7 }))
    }))
})

describe("match", () => {
  const kinds = (ledger: Ledger) =>
    Saga.make("Wrap", { payload: Schema.Literals(["gift", "plain", "a/b"]) }).pipe(
      Saga.step("a", ledger.step()),
      Saga.match("kind", ({ payload }) => payload, {
        gift: (fork) => fork.pipe(Saga.step("b", ledger.step())),
        plain: (fork) => fork,
        "a/b": (fork) => fork.pipe(Saga.step("b", ledger.step()))
      })
    )

  saga("one case runs: the result has its tag and its value", (ledger) =>
    Effect.gen(function*() {
      assert.deepStrictEqual<unknown>(
        yield* ledger.run(kinds(ledger), "gift"),
        Exit.succeed({ a: "a", kind: { _tag: "gift", value: { b: "kind/gift/b" } } })
      )
      assert.strictEqual(ledger.text, "+a +kind/gift/b")
    }))

  saga("a case without steps", (ledger) =>
    Effect.gen(function*() {
      assert.deepStrictEqual<unknown>(
        yield* ledger.run(kinds(ledger), "plain"),
        Exit.succeed({ a: "a", kind: { _tag: "plain", value: {} } })
      )
    }))

  saga("a tag with a slash is one segment of the path", (ledger) =>
    Effect.gen(function*() {
      yield* ledger.run(kinds(ledger), "a/b")
      assert.strictEqual(ledger.text, "+a +kind/a%2Fb/b")
    }))

  saga("a later failure compensates the case in its place", (ledger) =>
    Effect.gen(function*() {
      yield* ledger.run(kinds(ledger).pipe(Saga.step("z", ledger.fails("no"))), "gift")
      assert.strictEqual(ledger.text, "+a +kind/gift/b !z -kind/gift/b -a")
    }))

  for (const tag of ["other", "toString", "__proto__"]) {
    saga(
      `a tag without a case, "${tag}": a defect that names the cases; what is before it is compensated`,
      (ledger) =>
        Effect.gen(function*() {
          const exit = yield* ledger.run(trip.pipe(
            Saga.step("a", ledger.step()),
            // The types exclude it.
            Saga.match("kind", () => tag as "gift", {
              gift: (fork) => fork,
              plain: (fork) => fork
            })
          ))
          const [[kind, error]] = reasons(exit) as [[string, Saga.CaseMissing]]
          assert.deepStrictEqual([kind, error._tag], ["Die", "CaseMissing"])
          assert.strictEqual(
            error.message,
            `Saga "Trip", match "kind": there is no case "${tag}" among "gift", "plain". ` +
              "Add the case or return one of these tags"
          )
          assert.strictEqual(ledger.text, "+a -a")
        })
    )
  }

  saga("rule 13: the tag is evaluated once", (ledger) =>
    Effect.gen(function*() {
      let times = 0
      yield* ledger.run(trip.pipe(
        Saga.match("kind", () => ++times > 1 ? "plain" : "gift", {
          gift: (fork) => fork.pipe(Saga.step("a", ledger.step())),
          plain: (fork) => fork
        }),
        Saga.step("b", ledger.fails("no"))
      ))
      assert.strictEqual(times, 1)
      assert.strictEqual(ledger.text, "+kind/gift/a !b -kind/gift/a")
    }))

  saga("a tag that throws is a defect, and what is before it is compensated", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.match("kind", throwing, { gift: (fork) => fork })
      ))
      assert.include(String(reasons(exit)), "boom")
      assert.strictEqual(ledger.text, "+a -a")
    }))

  it.effect("decisions are facts, recorded before their branch starts", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* ledger.run(kinds(ledger).pipe(Saga.when("no", () => false, (fork) => fork)), "gift")
      assert.deepStrictEqual(ledger.told.slice(3), [
        "BranchChosen kind",
        "StepStarted kind/gift/b",
        "StepSucceeded kind/gift/b",
        "BranchChosen no",
        "SagaSucceeded"
      ])
      assert.deepInclude(ledger.facts[3], { tag: "gift" })
      assert.deepInclude(ledger.facts[6], { tag: null })
    }))

  saga("an interruption in a case unwinds it in its place", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.match("kind", () => "gift", {
          gift: (fork) => fork.pipe(Saga.step("b", ledger.step()), Saga.step("c", ledger.silent()))
        })
      ))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(ledger.text, "+a +kind/gift/b +kind/gift/c -kind/gift/b -a")
    }), inFiber.interruption)
})
