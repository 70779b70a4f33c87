/**
 * What was seen of `withCompensation` of effect/workflow 4.1.0 on its cluster engine, and what happens here instead. The
 * line over each test says what the other does.
 */
import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { memory } from "./stores.ts"
import { boot, errorOf, fact, faultOn, Gate, inTime, state, tagOf, told, turn, World } from "./world.ts"

const fault = faultOn(memory)
const trip = Saga.make("Trip", { payload: Schema.Void })
const id = { executionId: "e" }

// It replays for ever, and runs every other compensation again each time.
fault(
  "a compensation that dies is tried as often as it says, and the others run once",
  (store) =>
    Effect.gen(function*() {
      const world = new World()
      let tries = 0
      const saga = trip.pipe(
        Saga.step("a", world.step()),
        Saga.step("b", {
          ...world.step({ undo: () => Effect.andThen(Effect.sync(() => tries++), Effect.die(new Error("broken"))) }),
          compensationRetry: Schedule.recurs(2)
        }),
        Saga.step("c", world.step()),
        Saga.check("no", world.fails())
      )
      const { engine } = yield* boot(store, [saga])
      yield* engine.start(saga, undefined, id)
      yield* state(store.journal, "e", "Stuck")
      assert.strictEqual(tries, 3)
      assert.strictEqual(world.text("e"), "+a +b +c !no -c -a")
      for (let n = 0; n < 50; n++) yield* turn
      yield* TestClock.adjust("1 day")
      assert.strictEqual(tries, 3)
      yield* world.check
    })
)

// It spins at 500 to 1,000 replays a second.
fault("a compensation that waits for its next try costs nothing until then", (store) =>
  Effect.gen(function*() {
    const world = new World()
    let tries = 0
    const saga = trip.pipe(
      Saga.step("a", {
        ...world.step({ undo: () => Effect.suspend(() => ++tries === 1 ? Effect.fail("busy") : Effect.void) }),
        compensationRetry: Schedule.spaced("1 hour")
      }),
      Saga.check("no", world.fails())
    )
    let claims = 0
    const { engine } = yield* boot(store, [saga], {
      through: (journal) => ({
        ...journal,
        claim: (lease, options) =>
          Effect.tap(journal.claim(lease, options), (claimed) => Effect.sync(() => claims += claimed.length))
      })
    })
    yield* engine.start(saga, undefined, id)
    yield* fact(store.journal, "e", "CompensationAttemptFailed a")
    for (let n = 0; n < 200; n++) yield* turn
    yield* TestClock.adjust("59 minutes")
    assert.deepStrictEqual([tries, claims], [1, 0])
    yield* TestClock.adjust("1 minute")
    yield* state(store.journal, "e", "Compensated")
    assert.deepStrictEqual([tries, claims], [2, 1])
    yield* world.check
  }))

// It blocks the shutdown of its process.
fault(
  "a compensation that hangs is cut when its engine closes, and run again by the next",
  (store) =>
    Effect.gen(function*() {
      const world = new World()
      let hangs = true
      const hang = Effect.suspend(() => hangs ? Effect.never : Effect.void)
      const saga = trip.pipe(Saga.step("a", world.step({ undo: () => hang })), Saga.check("no", world.fails()))
      const first = yield* boot(store, [saga], { grace: 20 })
      yield* first.engine.start(saga, undefined, id)
      yield* fact(store.journal, "e", "CompensationStarted a")
      yield* inTime("it closes", first.close, 5_000)
      hangs = false
      const second = yield* boot(store, [saga])
      assert.strictEqual(errorOf(yield* inTime("it ends", Effect.exit(second.engine.await(saga, "e")))), "no")
      assert.strictEqual(world.text("e"), "+a !no -a")
      yield* world.check
    })
)

// It ends it for good.
fault("a process that does not know a saga leaves its executions alone", (store) =>
  Effect.gen(function*() {
    const world = new World()
    const saga = trip.pipe(Saga.step("a", world.step()), Saga.sleep("pause", "1 hour"), Saga.step("b", world.step()))
    const first = yield* boot(store, [saga], { evictAfter: 0 })
    yield* first.engine.start(saga, undefined, id)
    yield* state(store.journal, "e", "Waiting")
    yield* first.close
    const stranger = yield* boot(store, [])
    yield* TestClock.adjust("2 hours")
    for (let n = 0; n < 20; n++) yield* turn
    assert.strictEqual(Option.getOrThrow(yield* stranger.engine.poll("e")).state, "Waiting")
    const second = yield* boot(store, [saga])
    assert.deepStrictEqual(yield* inTime("it ends", second.engine.await(saga, "e")), { a: "a", b: "b" })
    yield* world.check
  }))

// It is stored and never read, and blocks every execution behind it.
fault("a payload that is too large is refused, and nobody else notices", (store) =>
  Effect.gen(function*() {
    const world = new World()
    const saga = Saga.make("Trip", { payload: Schema.String }).pipe(Saga.step("a", world.step()))
    const { engine } = yield* boot(store, [saga])
    const refused = yield* Effect.exit(engine.start(saga, "x".repeat(2_000_000), id))
    assert.strictEqual(tagOf(refused), "PayloadRefused")
    assert.isTrue(Option.isNone(yield* engine.poll("e")))
    assert.deepStrictEqual(yield* engine.execute(saga, "x", { executionId: "f" }), { a: "a" })
  }))

// The step is forgotten, and its effect stays.
fault("a step that was renamed after it was done is not forgotten", (store) =>
  Effect.gen(function*() {
    const world = new World()
    const old = trip.pipe(Saga.step("a", world.step()), Saga.sleep("pause", "1 hour"), Saga.check("no", world.fails()))
    const first = yield* boot(store, [old], { evictAfter: 0 })
    yield* first.engine.start(old, undefined, id)
    yield* state(store.journal, "e", "Waiting")
    yield* first.close
    const renamed = trip.pipe(
      Saga.step("b", world.step()),
      Saga.sleep("pause", "1 hour"),
      Saga.check("no", world.fails())
    )
    const second = yield* boot(store, [renamed])
    yield* TestClock.adjust("1 hour")
    yield* state(store.journal, "e", "Stuck")
    const { problem } = Option.getOrThrow(yield* second.engine.poll("e"))
    assert.include(problem, "DefinitionChanged")
    assert.include(problem, "\"a\"")
    assert.strictEqual(world.text("e"), "+a")
  }))

// The second one is given the result of the first.
fault("two steps of one name are no saga", () =>
  Effect.sync(() => {
    const step = { action: () => Effect.void, compensation: () => Effect.void }
    const twice = () => (trip.pipe(Saga.step("a", step)) as unknown as typeof trip).pipe(Saga.step("a", step))
    assert.throws(twice, /"a"/)
  }))

// What was done before it stays.
fault("an error that another way answers has undone what was done on the first", (store) =>
  Effect.gen(function*() {
    const world = new World()
    const saga = trip.pipe(
      Saga.orElse(
        "send",
        (fork) => fork.pipe(Saga.step("pack", world.step()), Saga.check("truck", world.fails())),
        (fork) => fork.pipe(Saga.step("bike", world.step()))
      )
    )
    const { engine } = yield* boot(store, [saga])
    yield* engine.execute(saga, undefined, id)
    assert.strictEqual(world.text("e"), "+send/first/pack !send/first/truck -send/first/pack +send/second/bike")
    yield* world.check
  }))

// They are cut, and never undone.
fault("siblings in flight are awaited, and undone", (store) =>
  Effect.gen(function*() {
    const world = new World()
    const gate = new Gate()
    const saga = trip.pipe(
      Saga.parallel((fork) => [
        fork.pipe(Saga.step("slow", world.step({ before: () => gate.pass }))),
        fork.pipe(Saga.check("no", world.fails()))
      ])
    )
    const { engine } = yield* boot(store, [saga])
    const executing = yield* Effect.forkChild(Effect.exit(engine.execute(saga, undefined, id)), {
      startImmediately: true
    })
    yield* gate.reached
    yield* fact(store.journal, "e", "StepFailed no")
    for (let n = 0; n < 20; n++) yield* turn
    assert.notInclude(yield* told(store.journal, "e"), "CompensationStarted slow")
    yield* gate.open
    assert.strictEqual(errorOf(yield* inTime("it ends", Fiber.join(executing))), "no")
    assert.strictEqual(world.text("e"), "!no +slow -slow")
    yield* world.check
  }))

// There is no list.
fault("every execution is found in the list, by saga and by state", (store) =>
  Effect.gen(function*() {
    const world = new World()
    const waits = trip.pipe(Saga.sleep("pause", "1 hour"))
    const fails = Saga.make("Other", { payload: Schema.Void }).pipe(
      Saga.step("a", world.step()),
      Saga.check("no", world.fails())
    )
    const { engine } = yield* boot(store, [waits, fails], { evictAfter: 0 })
    yield* engine.start(waits, undefined, { executionId: "one" })
    yield* state(store.journal, "one", "Waiting")
    assert.isTrue(Exit.isFailure(yield* Effect.exit(engine.execute(fails, undefined, { executionId: "two" }))))
    const idsOf = (rows: ReadonlyArray<{ readonly executionId: string }>) => rows.map(({ executionId }) => executionId)
    assert.deepStrictEqual(idsOf((yield* engine.list()).executions).slice().sort(), ["one", "two"])
    assert.deepStrictEqual(idsOf((yield* engine.list({ state: "Waiting" })).executions), ["one"])
    assert.deepStrictEqual(idsOf((yield* engine.list({ saga: "Other" })).executions), ["two"])
  }))
