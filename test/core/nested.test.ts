// A saga in the place of a step: fault 21.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { inFiber, Ledger, reasons, saga, stuckOf, throwing, trip, uncertainOf } from "./ledger.ts"

describe("F21 a nested saga", () => {
  const inner = (ledger: Ledger) =>
    Saga.make("Inner", { payload: Schema.String }).pipe(
      Saga.step("a", ledger.step()),
      Saga.step("b", ledger.step())
    )

  saga("has its own payload and its own names; its result is its output", (ledger) =>
    Effect.gen(function*() {
      const saga = inner(ledger).pipe(Saga.output(Schema.String, ({ a, payload }) => `${payload} ${a}`))
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.nested("in", saga, ({ a }) => a.toUpperCase())
      ))
      assert.deepStrictEqual(exit, Exit.succeed({ a: "a", in: "A in/a" }))
      assert.strictEqual(ledger.text, "+a +in/a +in/b")
    }))

  saga(
    "fails: its own part is compensated first, then the outer part; the caller gets its error",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("x", ledger.step()),
          Saga.nested("in", inner(ledger).pipe(Saga.step("c", ledger.fails("inner"))), () => ""),
          Saga.step("y", ledger.step())
        ))
        assert.deepStrictEqual(reasons(exit), [["Fail", "inner"]])
        assert.strictEqual(ledger.text, "+x +in/a +in/b !in/c -in/b -in/a -x")
      })
  )

  saga(
    "the outer fails after inner success: the inner is unwound in its place, once",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("x", ledger.step()),
          Saga.nested("in", inner(ledger), () => ""),
          Saga.step("y", ledger.step()),
          Saga.step("z", ledger.fails("outer"))
        ))
        assert.deepStrictEqual(reasons(exit), [["Fail", "outer"]])
        assert.strictEqual(ledger.text, "+x +in/a +in/b +y !z -y -in/b -in/a -x")
      })
  )

  saga("the same saga twice, and in itself", (ledger) =>
    Effect.gen(function*() {
      const pair = Saga.make("Pair", { payload: Schema.Void }).pipe(
        Saga.nested("in1", inner(ledger), () => ""),
        Saga.nested("in2", inner(ledger), () => "")
      )
      const exit = yield* ledger.run(trip.pipe(
        Saga.nested("pair", pair, () => {}),
        Saga.step("z", ledger.fails("no"))
      ))
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(
        ledger.text,
        "+pair/in1/a +pair/in1/b +pair/in2/a +pair/in2/b !z -pair/in2/b -pair/in2/a -pair/in1/b -pair/in1/a"
      )
    }))

  saga("interrupted inside: all of it unwinds", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("x", ledger.step()),
        Saga.nested("in", inner(ledger).pipe(Saga.step("c", ledger.silent())), () => "")
      ))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(ledger.text, "+x +in/a +in/b +in/c -in/b -in/a -x")
    }), inFiber.interruption)

  saga("stuck inside: the path says where", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.nested("in", trip.pipe(Saga.step("a", ledger.step({ undo: () => Effect.fail("busy") }))), () => {}),
        Saga.step("z", ledger.fails("no")),
        Saga.unwind({ retry: Schedule.recurs(0) })
      ))
      const error = stuckOf(exit)
      assert.deepStrictEqual([error.saga, error.uncompensated], ["Trip", ["in/a"]])
    }))

  saga("`onStuck` is the outermost saga's", (ledger) =>
    Effect.gen(function*() {
      const bad = trip.pipe(
        Saga.step("a", ledger.step({ undo: () => Effect.fail("busy") })),
        Saga.onStuck(() => ledger.mark("inner told"))
      )
      yield* ledger.run(trip.pipe(
        Saga.nested("in", bad, () => {}),
        Saga.step("z", ledger.fails("no")),
        Saga.unwind({ retry: Schedule.recurs(0) }),
        Saga.onStuck(() => ledger.mark("outer told"))
      ))
      assert.strictEqual(ledger.text, "+in/a !z outer told")
    }))
})

describe("the payload of a nested saga", () => {
  const inner = (ledger: Ledger) =>
    Saga.make("Inner", { payload: Schema.Struct({ seats: Schema.Int }) }).pipe(Saga.step("a", ledger.step()))

  saga(
    "is checked; one that does not match is a defect, nothing inside runs, what is before it is compensated",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("x", ledger.step()),
          Saga.nested("in", inner(ledger), () => ({ seats: 1.5 }))
        ))
        const [[tag, error]] = reasons(exit) as [[string, Saga.PayloadInvalid]]
        assert.deepStrictEqual([tag, error._tag, error.saga], ["Die", "PayloadInvalid", "Inner"])
        assert.include(error.message, "integer")
        assert.strictEqual(ledger.text, "+x -x")
      })
  )

  saga("that cannot be computed is a defect, and what is before it is compensated", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("x", ledger.step()),
        Saga.nested("in", inner(ledger), throwing)
      ))
      assert.include(String(reasons(exit)), "boom")
      assert.strictEqual(ledger.text, "+x -x")
    }))

  saga("rule 13: is computed once", (ledger) =>
    Effect.gen(function*() {
      let times = 0
      yield* ledger.run(trip.pipe(
        Saga.nested("in", inner(ledger), () => ({ seats: ++times })),
        Saga.step("z", ledger.fails("no"))
      ))
      assert.strictEqual(times, 1)
      assert.strictEqual(ledger.text, "+in/a !z -in/a")
    }))

  it.effect("is in the facts, with name and version", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const inner = Saga.make("Inner", { payload: Schema.String, version: 7 })
      yield* ledger.run(trip.pipe(Saga.nested("in", inner, () => "hello")))
      assert.deepStrictEqual(ledger.facts[1], {
        _tag: "NestedStarted",
        atMillis: 0,
        path: "in",
        saga: "Inner",
        version: 7,
        payload: "hello"
      })
    }))

  saga("an output inside that throws: a defect, and all is compensated", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("x", ledger.step()),
        Saga.nested("in", inner(ledger).pipe(Saga.output(Schema.String, throwing)), () => ({ seats: 1 }))
      ))
      assert.include(String(reasons(exit)), "boom")
      assert.strictEqual(ledger.text, "+x +in/a -in/a -x")
    }))
})

describe("the limit of a nested saga", () => {
  const inner = (ledger: Ledger) =>
    Saga.make("Inner", { payload: Schema.Void }).pipe(
      Saga.step("a", ledger.step()),
      Saga.step("b", ledger.silent()),
      Saga.timeout("1 second")
    )

  saga("bounds the inner part: all unwinds", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("x", ledger.step({ after: () => Effect.sleep("1 minute") })),
        Saga.nested("in", inner(ledger), () => {})
      ))
      yield* TestClock.adjust(60_999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      const exit = yield* Fiber.await(fiber)
      assert.deepStrictEqual(reasons(exit), [["Fail", new Saga.SagaTimedOut({ saga: "Inner", limitMillis: 1_000 })]])
      assert.deepStrictEqual(
        uncertainOf(exit),
        [["in/b", "Interrupted"]]
      )
      assert.strictEqual(ledger.text, "+x +in/a +in/b -in/a -x")
    }))

  saga("ends with the inner part", (ledger) =>
    Effect.gen(function*() {
      const quick = trip.pipe(Saga.step("a", ledger.step()), Saga.timeout("1 second"))
      const fiber = yield* ledger.start(trip.pipe(Saga.nested("in", quick, () => {}), Saga.sleep("night", "8 hours")))
      yield* TestClock.adjust("9 hours")
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
    }))

  saga("the nearer limit wins: the outer one", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(Saga.nested("in", inner(ledger), () => {}), Saga.timeout(999)))
      yield* TestClock.adjust(999)
      assert.deepStrictEqual(
        reasons(yield* Fiber.await(fiber)),
        [["Fail", new Saga.SagaTimedOut({ saga: "Trip", limitMillis: 999 })]]
      )
    }))

  saga("in a parallel: the siblings are stopped and compensated", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.parallel((fork) => [
          fork.pipe(Saga.nested("in", inner(ledger), () => {})),
          fork.pipe(Saga.step("x", ledger.step()), Saga.sleep("night", "8 hours"), Saga.step("y", ledger.step()))
        ])
      ))
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(
        reasons(yield* Fiber.await(fiber)),
        [["Fail", new Saga.SagaTimedOut({ saga: "Inner", limitMillis: 1_000 })]]
      )
      assert.strictEqual(ledger.text, "+in/a +in/b +x -x -in/a")
    }), inFiber.together)

  saga(
    "in the first way of an orElse: a declared error, so the second way runs when the first is clean",
    (ledger) =>
      Effect.gen(function*() {
        const slow = trip.pipe(Saga.step("a", ledger.step()), Saga.sleep("night", "8 hours"), Saga.timeout("1 second"))
        const fiber = yield* ledger.start(trip.pipe(Saga.orElse(
          "way",
          (fork) => fork.pipe(Saga.nested("in", slow, () => {})),
          (fork) => fork.pipe(Saga.step("b", ledger.step()))
        )))
        yield* TestClock.adjust(1_000)
        assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed({ way: { b: "way/second/b" } }))
        assert.strictEqual(ledger.text, "+way/first/in/a -way/first/in/a +way/second/b")
      })
  )

  saga("does not cut the unwind of its own save-point", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const saga = trip.pipe(
        Saga.orElse(
          "way",
          (fork) =>
            fork.pipe(Saga.step("a", ledger.step({ undo: () => gate.await })), Saga.step("b", ledger.fails("no"))),
          (fork) => fork.pipe(Saga.step("c", ledger.step()))
        ),
        Saga.timeout("1 second")
      )
      const fiber = yield* ledger.start(trip.pipe(Saga.nested("in", saga, () => {})))
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* gate.open
      assert.deepStrictEqual(
        reasons(yield* Fiber.await(fiber)),
        [["Fail", new Saga.SagaTimedOut({ saga: "Trip", limitMillis: 1_000 })]]
      )
      assert.strictEqual(ledger.text, "+in/way/first/a !in/way/first/b -in/way/first/a")
    }))
})
