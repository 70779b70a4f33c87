/** What somebody broke who knew the documents alone. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Effect, Exit, Fiber, Layer, Option, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { DomainEvent, MemoryBus, SagaEvents } from "effect-saga/events"
import type { EngineOptions } from "effect-saga/SagaEngine"
import { SagaEngine } from "effect-saga/SagaEngine"
import { JournalUnavailable, SagaJournal } from "effect-saga/SagaJournal"
import { TestClock } from "effect/testing"
import { memory, sqlite } from "./stores.ts"
import { boot, errorOf, eventually, fact, faultOn, Gate, inTime, logged, state, tagOf, turn, World } from "./world.ts"

const trip = Saga.make("Trip", { payload: Schema.Void })
const id = { executionId: "e" }

/** Throws when it is looked at. */
class Bad extends Data.TaggedError("Bad")<{ readonly inner?: Error }> {
  override get message(): string {
    return this.inner!.message
  }
}

const deep = (): unknown => {
  let value: unknown = "deep"
  for (let n = 0; n < 20_000; n++) value = { value }
  return value
}

for (const [name, backend] of Object.entries({ memory, sqlite })) {
  const fault = faultOn(backend)

  describe(`on ${name}`, () => {
    fault("who starts what runs already is told at once, also after a restart", (store) =>
      Effect.gen(function*() {
        const gate = new Gate()
        const saga = trip.pipe(Saga.step("a", { action: () => gate.pass, compensation: () => Effect.void }))
        const other = Saga.make("Other", { payload: Schema.Void })
        const first = yield* boot(store, [saga], { grace: 0 })
        yield* first.engine.start(saga, undefined, id)
        yield* gate.reached
        yield* first.close
        const { engine } = yield* boot(store, [saga])
        while (gate.count < 2) yield* turn
        assert.strictEqual(yield* inTime("it joins", engine.start(saga, undefined, id), 2_000), "e")
        const conflict = yield* inTime("it is told", Effect.exit(engine.start(other, undefined, id)), 2_000)
        assert.strictEqual(tagOf(conflict), "ExecutionConflict")
        yield* gate.open
        yield* inTime("it ends", engine.await(saga, "e"))
      }))

    const errors: Record<string, unknown> = {
      "whose message throws": new Bad({}),
      "whose text throws": { toString: () => Bad.prototype.message },
      "that is no object any more": (() => {
        const { proxy, revoke } = Proxy.revocable({}, {})
        revoke()
        return proxy
      })(),
      "that is too deep": deep()
    }
    for (const [what, error] of Object.entries(errors)) {
      fault(
        `an error ${what} harms nothing: in an action, in a predicate, in a compensation`,
        (store) =>
          Effect.gen(function*() {
            const world = new World()
            const dies = trip.pipe(Saga.step("a", world.step()), Saga.check("b", { action: () => Effect.die(error) }))
            const typed = Saga.make("Typed", { payload: Schema.Void }).pipe(
              Saga.step("a", world.step()),
              Saga.check("b", { error: Schema.Unknown, action: () => Effect.fail(error) })
            )
            const decides = Saga.make("Decides", { payload: Schema.Void }).pipe(
              Saga.step("a", world.step()),
              Saga.when("b", () => {
                throw error
              }, (fork) => fork)
            )
            const undoes = Saga.make("Undoes", { payload: Schema.Void }).pipe(
              Saga.step("a", world.step()),
              Saga.step("b", {
                ...world.step({ undo: () => Effect.fail(error) }),
                compensationRetry: Schedule.recurs(0)
              }),
              Saga.check("c", world.fails())
            )
            const { engine } = yield* boot(store, [dies, typed, decides, undoes])
            for (const saga of [dies, typed, decides] as ReadonlyArray<Saga.Saga<void, any, any, any, any, never>>) {
              const executionId = saga === dies ? "dies" : saga === typed ? "typed" : "decides"
              yield* engine.start(saga, undefined, { executionId })
              yield* state(store.journal, executionId, "Compensated")
              assert.strictEqual(world.text(executionId), "+a -a")
              assert.isTrue(Exit.isFailure(yield* inTime("it is told", Effect.exit(engine.await(saga, executionId)))))
            }
            yield* engine.start(undoes, undefined, { executionId: "undoes" })
            yield* state(store.journal, "undoes", "Stuck")
            assert.strictEqual(world.text("undoes"), "+a +b !c -a")
            assert.strictEqual(
              Option.getOrThrow(yield* engine.poll("undoes")).problem,
              "CompensationFailed: b"
            )
            yield* world.check
          })
      )
    }

    fault("what has slept runs when it runs", (store) =>
      Effect.gen(function*() {
        const gate = new Gate()
        const saga = trip.pipe(
          Saga.sleep("pause", "1 hour"),
          Saga.step("a", { action: () => gate.pass, compensation: () => Effect.void })
        )
        const { engine } = yield* boot(store, [saga], { evictAfter: 0 })
        yield* engine.start(saga, undefined, id)
        yield* state(store.journal, "e", "Waiting")
        yield* TestClock.adjust("1 hour")
        yield* gate.reached
        const status = Option.getOrThrow(yield* engine.poll("e"))
        assert.deepStrictEqual([status.state, status.dueAtMillis], ["Running", undefined])
        yield* gate.open
        yield* inTime("it ends", engine.await(saga, "e"))
      }))

    fault("an execution of another saga is none of this one", (store) =>
      Effect.gen(function*() {
        const other = Saga.make("Other", { payload: Schema.Void })
        const { engine } = yield* boot(store, [trip, other])
        yield* engine.execute(trip, undefined, id)
        const { message } = errorOf(yield* Effect.exit(engine.await(other, "e"))) as Error
        assert.strictEqual(
          message,
          "There is no execution \"e\" of saga \"Other\" in this journal. Start it, or look whether it was purged"
        )
        assert.strictEqual(tagOf(yield* Effect.exit(engine.outcome(other, "e"))), "ExecutionNotFound")
      }))

    fault("several sagas that are taken away one after the other share one grace", (store) =>
      Effect.gen(function*() {
        const hangs = (saga: string) =>
          Saga.make(saga, { payload: Schema.Void }).pipe(
            Saga.step("a", { action: () => Effect.never, compensation: () => Effect.void })
          )
        const sagas = ["A", "B", "C", "D"].map(hangs)
        const { close, engine } = yield* boot(store, sagas, { grace: 300 })
        for (const [index, saga] of sagas.entries()) {
          yield* engine.start(saga, undefined, { executionId: `e${index}` })
          yield* fact(store.journal, `e${index}`, "StepStarted a")
        }
        const before = performance.now()
        yield* close
        assert.isBelow(performance.now() - before, 900)
      }))
  })
}

faultOn(memory)(
  "who forgets to register a saga is told what its executions wait for, once",
  (store) =>
    Effect.gen(function*() {
      const { engine } = yield* boot(store, [])
      const starts = Effect.forEach(["e", "f"], (executionId) => engine.start(trip, undefined, { executionId }))
      const [, lines] = yield* logged(starts)
      assert.deepStrictEqual(lines, [
        "Saga \"Trip\", version 1, is not registered here (Saga.register): what is started waits until an engine has it"
      ])
      yield* engine.register(trip)
      yield* state(store.journal, "e", "Succeeded")
      yield* state(store.journal, "f", "Succeeded")
    })
)

it("a version that no journal can hold is no version", () => {
  for (const version of [Number.NaN, Number.POSITIVE_INFINITY, 1.5, -1, Date.now()]) {
    assert.throws(() => Saga.make("Trip", { payload: Schema.Void, version }), /its version is .* a whole number/)
  }
})

it.effect("options that no engine could live with are refused by name", () =>
  Effect.gen(function*() {
    const wrong: ReadonlyArray<EngineOptions> = [
      { concurrency: 0 },
      { concurrency: -1 },
      { concurrency: Number.NaN },
      { concurrency: 1.5 },
      { quarantineAfter: 0 },
      { lease: "25 days" },
      { poll: "Infinity" }
    ]
    for (const options of wrong) {
      const [name] = Object.keys(options)
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(
        Layer.provide(SagaEngine.layerWith(options), SagaJournal.layerMemory)
      )))
      assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", `The option "${name}" of an engine is`)
    }
  }))

faultOn(memory)("a limit that is none is refused by name, and none is a hundred", (store) =>
  Effect.gen(function*() {
    const { engine } = yield* boot(store, [])
    for (const limit of [-1, 1.5, Number.NaN]) {
      const exit = yield* Effect.exit(engine.list({ limit }))
      assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "\"limit\"")
    }
    assert.deepStrictEqual((yield* engine.list({ limit: undefined })).executions, [])
  }))

faultOn(memory)(
  "a saga that cannot be registered yet can be given up, and an engine that is closed takes none",
  (store) =>
    Effect.gen(function*() {
      const { close, engine } = yield* boot(store, [], {
        through: (journal) => ({
          ...journal,
          define: () => Effect.fail(new JournalUnavailable({ operation: "define", cause: new Error("away") }))
        })
      })
      const registering = yield* Effect.forkChild(Effect.scoped(engine.register(trip)), { startImmediately: true })
      for (let n = 0; n < 5; n++) yield* turn
      yield* inTime("it is given up", Fiber.interrupt(registering), 2_000)
      yield* close
      const exit = yield* Effect.exit(Effect.scoped(engine.register(trip)))
      assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "the engine is closed")
    })
)

it("what a store says is heard through what its client says", () => {
  const cause = new Error("Query failed", { cause: new Error("value out of range") })
  assert.include(new JournalUnavailable({ operation: "list", cause }).message, "Query failed: value out of range")
})

faultOn(memory)(
  "an orElse that has fallen back stays so after a crash, whatever `verify` of its first way did",
  (store) =>
    Effect.gen(function*() {
      const world = new World()
      const gate = new Gate()
      const saga = trip.pipe(
        Saga.orElse(
          "way",
          (fork) =>
            fork.pipe(
              Saga.step("a", {
                ...world.knowing({ before: () => Effect.fail("unknown") }),
                isUncertain: () => true,
                verify: () => Effect.die(new Error("nobody there"))
              })
            ),
          (fork) => fork.pipe(Saga.step("b", world.step()))
        ),
        Saga.step("last", world.step({ before: () => gate.count === 0 ? gate.pass : Effect.void }))
      )
      const first = yield* boot(store, [saga])
      yield* first.engine.start(saga, undefined, id)
      yield* gate.reached
      yield* first.kill
      const next = yield* boot(store, [saga])
      const outcome = yield* inTime("it ends", next.engine.outcome(saga, "e"))
      assert.strictEqual(outcome._tag, "Succeeded")
      assert.deepStrictEqual(world.inPlace("e"), ["way/second/b", "last"])
    })
)

for (const name of ["first", "other"] as const) {
  faultOn(memory)(
    `a node of the first way that is called "${name}": its verdict counts after a crash`,
    (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = trip.pipe(
          Saga.orElse(
            "way",
            (fork) =>
              fork.pipe(
                // The compiler knows a name only when it is written down.
                Saga.when(name as "first", () => true, (inner) =>
                  inner.pipe(Saga.parallel((fork) => [
                    fork.pipe(
                      Saga.step("held", world.step({ before: () => gate.count === 0 ? gate.pass : Effect.void }))
                    ),
                    fork.pipe(Saga.step("fails", world.step({ before: () => Effect.fail("no") })))
                  ])))
              ),
            (fork) => fork.pipe(Saga.step("b", world.step()))
          )
        )
        const first = yield* boot(store, [saga])
        yield* first.engine.start(saga, undefined, id)
        yield* gate.reached
        yield* fact(store.journal, "e", `StepFailed way/first/${name}/fails`)
        yield* first.kill
        const next = yield* boot(store, [saga])
        const outcome = yield* inTime("it ends", next.engine.outcome(saga, "e"))
        assert.strictEqual(outcome._tag, "Compensated")
        assert.strictEqual(world.text("e"), "!way/first/" + name + "/fails")
      })
  )
}

const Paid = DomainEvent.make("Paid", { payload: Schema.String, key: (order) => order })

faultOn(memory)(
  "a saga with events is not registered under a bus in memory, of which its engine hears nothing",
  (store) =>
    Effect.gen(function*() {
      const { engine } = yield* boot(store, [])
      const awaiting = trip.pipe(Saga.awaitEvent("paid", Paid, { correlate: () => "o" }))
      const wrong = [
        awaiting,
        Saga.make("Deep", { payload: Schema.Void }).pipe(
          Saga.orElse("way", (fork) => fork, (fork) => fork.pipe(Saga.publish("told", Paid, () => "o")))
        ),
        Saga.make("Whole", { payload: Schema.Void }).pipe(Saga.publishLifecycle(SagaEvents.lifecycle("Whole")))
      ]
      const register = (saga: Saga.AnySaga) => Effect.provide(engine.register(saga), MemoryBus.layer)
      for (const saga of wrong) {
        const exit = yield* Effect.exit(register(saga))
        assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "the `EventBus` around its registration")
      }
      // What has no events may have one around.
      yield* register(trip)
      yield* engine.execute(trip, undefined)
    })
)

faultOn(memory)(
  "a subscription that nobody could run is refused by name, by every bus",
  (store) =>
    Effect.gen(function*() {
      const { bus } = yield* boot(store, [])
      const PaidOtherwise = DomainEvent.make("Paid", { payload: Schema.Int, key: String })
      const wrong: ReadonlyArray<
        readonly [{ readonly name: string; readonly events: ReadonlyArray<DomainEvent.AnyDomainEvent> }, string]
      > = [
        [{ name: "", events: [Paid] }, "its name is empty"],
        [{ name: "none", events: [] }, "it reads no events"],
        [{ name: "two", events: [Paid, PaidOtherwise] }, "it reads Paid by two definitions: one type has one schema"]
      ]
      for (const one of [bus, yield* MemoryBus.make()]) {
        for (const [subscription, words] of wrong) {
          const exit = yield* Effect.exit(one.subscribe({ ...subscription, handle: () => Effect.void }))
          assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", words)
        }
      }
    })
)

class Coded extends Data.TaggedError("Coded")<{ readonly code: number }> {}

faultOn(memory)(
  "the reason of a dead letter says what was in the error, and what it was caused by",
  (store) =>
    Effect.gen(function*() {
      const { bus, engine } = yield* boot(store, [])
      const errors: Record<string, unknown> = {
        coded: new Coded({ code: 5 }),
        object: { _tag: "X", code: 6 },
        caused: new Error("outer", { cause: new Error("inner") }),
        text: "no route"
      }
      yield* Effect.forkChild(bus.subscribe({
        name: "s",
        events: [Paid],
        handle: ({ payload }) => Effect.fail(errors[payload]),
        retry: Schedule.recurs(0)
      }))
      for (const key of Object.keys(errors)) yield* bus.publish(Paid, key)
      yield* eventually("all are dead letters", Effect.map(engine.deadLetters(), ({ length }) => length === 4))
      const reasons = (yield* engine.deadLetters()).map(({ reason }) =>
        reason.replace("\"s\" could not handle it: ", "")
      )
      assert.deepStrictEqual(reasons, [
        "Coded: {\"code\":5,\"_tag\":\"Coded\"}",
        "{\"_tag\":\"X\",\"code\":6}",
        "Error: outer, because of Error: inner",
        "no route"
      ])
    })
)
