/** Steps that are replaced or held, and the traces of what then happened. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { toMermaid } from "effect-saga/diagram"
import { DomainEvent, MemoryBus } from "effect-saga/events"
import { SagaEngine } from "effect-saga/SagaEngine"
import { SagaTest } from "effect-saga/testing"
import { TestClock } from "effect/testing"

class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {}

const undone: Array<string> = []
const item = {
  success: Schema.String,
  error: Declined,
  action: () => Effect.succeed("real"),
  compensation: (given: string, _: unknown, { path }: Saga.CompensationContext) =>
    Effect.sync(() => void undone.push(`${path} ${given}`))
}
const order = Saga.make("Order", { payload: Schema.Array(Schema.String) }).pipe(
  Saga.step("seat", item),
  Saga.forEach("lines", {
    item: Schema.String,
    items: ({ payload }) => payload,
    key: (line) => line,
    each: (fork) => fork.pipe(Saga.step("reserve", item))
  }),
  Saga.check("funds", { error: Declined, action: () => Effect.void })
)

describe("a stub", () => {
  it.effect("stands in for an action, and its result is what is compensated", () =>
    Effect.gen(function*() {
      undone.length = 0
      const saga = order.pipe(
        SagaTest.stub("seat", () => Effect.succeed("stub")),
        SagaTest.stub("funds", () => Effect.fail(new Declined()))
      )
      assert.deepStrictEqual(yield* Effect.flip(Saga.run(saga, [])), new Declined())
      assert.deepStrictEqual(undone, ["seat stub"])
    }))

  it.effect("stands in for one item, or for all", () =>
    Effect.gen(function*() {
      const name = (_: unknown, { path }: Saga.StepContext) => Effect.succeed(path)
      const one = yield* Saga.run(order.pipe(SagaTest.stub("lines/tea/reserve", name)), ["tea", "cup"])
      assert.deepStrictEqual(one.lines, [{ reserve: "lines/tea/reserve" }, { reserve: "real" }])
      const all = yield* Saga.run(order.pipe(SagaTest.stub("lines/*/reserve", name)), ["tea", "cup"])
      assert.deepStrictEqual(all.lines, [{ reserve: "lines/tea/reserve" }, { reserve: "lines/cup/reserve" }])
    }))

  it.effect("stands in for a compensation, and the original is left alone", () =>
    Effect.gen(function*() {
      undone.length = 0
      const saga = order.pipe(
        SagaTest.stub("~seat", () => Effect.sync(() => void undone.push("stub"))),
        SagaTest.stub("funds", () => Effect.fail(new Declined()))
      )
      yield* Effect.flip(Saga.run(saga, []))
      assert.deepStrictEqual(undone, ["stub"])
      assert.deepStrictEqual(yield* Saga.run(order, []), { seat: "real", lines: [], funds: undefined })
    }))

  it.effect("that gives what its step cannot give is a defect", () =>
    Effect.gen(function*() {
      const wrong = [
        order.pipe(SagaTest.stub("lines/tea/reserve", () => Effect.succeed(5))),
        order.pipe(SagaTest.stub("funds", () => Effect.fail("no")))
      ]
      for (const saga of wrong) {
        const exit = yield* Effect.exit(Saga.run(saga, ["tea"]))
        assert.isTrue(Exit.isFailure(exit))
        const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(defect, SagaTest.StubInvalid)
      }
    }))

  it("of a place that is not there is refused at once", () => {
    const misspelt: string = "seats"
    assert.throws(
      () => order.pipe(SagaTest.stub(misspelt, () => Effect.void)),
      `Saga "Order", at "seats": there is no such place: its places are seat, ~seat, lines/*/reserve, ~lines/*/reserve, funds`
    )
    assert.throws(() => order.pipe(SagaTest.stub("~funds", () => Effect.void)), "there is no such place")
  })

  it.effect("works on an engine too", () =>
    Effect.gen(function*() {
      const engine = yield* SagaEngine
      const saga = order.pipe(SagaTest.stub("seat", () => Effect.succeed("stub")))
      yield* engine.register(saga)
      assert.strictEqual((yield* engine.execute(saga, [])).seat, "stub")
    }).pipe(Effect.scoped, Effect.provide(SagaEngine.layerMemory)))
})

describe("a gate", () => {
  it.effect("holds an action before its effect until it is opened", () =>
    Effect.gen(function*() {
      const gate = yield* SagaTest.gate
      const fiber = yield* Effect.forkChild(Saga.run(order.pipe(SagaTest.hold("seat", gate)), []))
      yield* gate.reached
      assert.strictEqual(yield* gate.count, 1)
      assert.isUndefined(fiber.pollUnsafe())
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(fiber)).seat, "real")
    }))

  it.effect("holds an action behind its effect, so that nobody knows of it", () =>
    Effect.gen(function*() {
      const done: Array<string> = []
      const saga = Saga.make("One", { payload: Schema.Void }).pipe(
        Saga.step("seat", { action: () => Effect.sync(() => void done.push("seat")), compensation: () => Effect.void })
      )
      const gate = yield* SagaTest.gate
      const held = saga.pipe(SagaTest.hold("seat", gate, { behind: true }))
      const fiber = yield* Effect.forkChild(SagaTest.trace(Saga.run(held, undefined)))
      yield* gate.reached
      assert.deepStrictEqual(done, ["seat"])
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
    }))

  it.effect("holds a compensation", () =>
    Effect.gen(function*() {
      undone.length = 0
      const gate = yield* SagaTest.gate
      const saga = order.pipe(
        SagaTest.hold("~seat", gate),
        SagaTest.stub("funds", () => Effect.fail(new Declined()))
      )
      const fiber = yield* Effect.forkChild(Effect.exit(Saga.run(saga, [])))
      yield* gate.reached
      assert.deepStrictEqual(undone, [])
      yield* gate.open
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(undone, ["seat real"])
    }))
})

describe("a trace", () => {
  const tried = order.pipe(
    Saga.when("gift", () => true, (fork) => fork.pipe(Saga.step("paper", item))),
    Saga.orElse(
      "way",
      (fork) => fork.pipe(Saga.step("cheap", { ...item, retry: Schedule.recurs(1) })),
      (fork) => fork.pipe(Saga.step("fast", item))
    ),
    SagaTest.stub("way/first/cheap", () => Effect.fail(new Declined())),
    SagaTest.stub("~seat", () => Effect.fail("busy"))
  )

  it.effect("is the same text each time, whatever happened", () =>
    Effect.gen(function*() {
      const stuck = tried.pipe(SagaTest.stub("way/second/fast", () => Effect.die("lost")))
      const fiber = yield* Effect.forkChild(SagaTest.trace(Saga.run(stuck, ["tea"])))
      yield* TestClock.adjust("1 minute")
      const { exit, trace } = yield* Fiber.join(fiber)
      assert.isTrue(Exit.isFailure(exit))
      yield* Effect.promise(() =>
        import("vitest").then(({ expect }) => expect(trace.text).toMatchFileSnapshot("golden/trace.txt"))
      )
      assert.strictEqual(SagaTest.calls(trace, stuck, "way/first/cheap"), 2)
      assert.strictEqual(SagaTest.calls(trace, stuck, "~seat"), 5)
      assert.strictEqual(SagaTest.calls(trace, stuck, "funds"), 1)
      assert.strictEqual(SagaTest.calls(trace, stuck, "lines/tea/reserve"), 1)
      assert.strictEqual(SagaTest.calls(trace, stuck, "lines/*/reserve"), 1)
      assert.strictEqual(SagaTest.calls(trace, stuck, "lines/cup/reserve"), 0)
      const misspelt = () => SagaTest.calls(trace, stuck, "~funds")
      assert.throws(misspelt, `Saga "Order", at "~funds": there is no such place: its places are seat, ~seat, lines/*/`)
      const another = Saga.make("Another", { payload: Schema.Void }).pipe(Saga.step("seat", item))
      assert.strictEqual(SagaTest.calls(trace, another, "seat"), 0)
    }))

  it.effect("knows what came before what", () =>
    Effect.gen(function*() {
      const saga = order.pipe(SagaTest.stub("funds", () => Effect.fail(new Declined())))
      const { trace } = yield* SagaTest.trace(Effect.exit(Saga.run(saga, ["tea"])))
      yield* SagaTest.inOrder(trace, ["seat", "lines/tea/reserve", "funds", "~lines/tea/reserve", "~seat"])
      const late = yield* Effect.flip(SagaTest.inOrder(trace, ["lines/tea/reserve", "seat"]))
      assert.include(late.message, "seat started before lines/tea/reserve had ended")
      const missing = yield* Effect.flip(SagaTest.inOrder(trace, ["seat", "hotel"]))
      assert.include(missing.message, "Not in the order seat, hotel: hotel did not start\n\nOrder started")
      const nothing = yield* SagaTest.trace(Effect.void)
      assert.strictEqual((yield* Effect.flip(SagaTest.inOrder(nothing.trace, ["seat"]))).problem, "no saga ran")
    }))

  it.effect("knows of waits and events what came before what", () =>
    Effect.gen(function*() {
      const Told = DomainEvent.make("Told", { payload: Schema.String, key: (order) => order })
      const saga = Saga.make("Waits", { payload: Schema.String }).pipe(
        Saga.publish("told", Told, ({ payload }) => payload),
        Saga.awaitEvent("heard", Told, { correlate: ({ payload }) => payload }),
        Saga.check("end", { action: () => Effect.void })
      )
      const { trace } = yield* SagaTest.trace(Effect.exit(Saga.run(saga, "A-1")))
      yield* SagaTest.inOrder(trace, ["told", "heard", "end"])
      const late = yield* Effect.flip(SagaTest.inOrder(trace, ["heard", "told"]))
      assert.include(late.message, "told started before heard had ended")
    }).pipe(Effect.provide(MemoryBus.layer)))

  it.effect("what runs side by side is in no order", () =>
    Effect.gen(function*() {
      const saga = Saga.make("Two", { payload: Schema.Void }).pipe(
        Saga.parallel((fork) => [
          fork.pipe(Saga.step("left", { action: () => Effect.sleep(10), compensation: () => Effect.void })),
          fork.pipe(Saga.step("right", { action: () => Effect.sleep(5), compensation: () => Effect.void }))
        ])
      )
      const fiber = yield* Effect.forkChild(SagaTest.trace(Saga.run(saga, undefined)))
      yield* TestClock.adjust("1 second")
      const { trace } = yield* Fiber.join(fiber)
      assert.strictEqual((yield* Effect.flip(SagaTest.inOrder(trace, ["left", "right"])))._tag, "OutOfOrder")
      assert.strictEqual((yield* Effect.flip(SagaTest.inOrder(trace, ["right", "left"])))._tag, "OutOfOrder")
    }))

  it("of the shape is its diagram", () => {
    assert.include(toMermaid(order), "flowchart")
  })
})
