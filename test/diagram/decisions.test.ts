// What the timeline of an execution shows that persons have decided about: each golden file is an execution of an engine.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Option, Result, Schedule, Schema } from "effect"
import type { SagaEvent } from "effect-saga"
import { Saga, SagaState } from "effect-saga"
import { timeline } from "effect-saga/diagram"
import type { ExecutionStatus, SagaEngineService } from "effect-saga/SagaEngine"
import { SagaEngine } from "effect-saga/SagaEngine"
import { SagaJournal } from "effect-saga/SagaJournal"
import { TestClock } from "effect/testing"
import { golden } from "./runs.ts"

const ann = { actor: "ann", comment: "the bank is up again" }
const bob = { actor: "bob", comment: "ticket 7" }
const step = (millis: number) => ({ action: () => Effect.sleep(millis), compensation: () => Effect.sleep(millis) })
const once = Schedule.recurs(0)

/** The outside world at its worst: what it refuses, it refuses until it is mended. */
class World {
  broken = true
  readonly refuses = (millis: number, why: string) => () =>
    Effect.andThen(Effect.sleep(millis), Effect.suspend(() => this.broken ? Effect.fail(why) : Effect.void))
  readonly loses = (millis: number) => () =>
    Effect.andThen(
      Effect.sleep(millis),
      Effect.suspend(() => this.broken ? Effect.die(new Error("connection reset")) : Effect.void)
    )
}

const trip = Saga.make("Trip", { payload: Schema.Void, key: () => "t1" })

const locked = (world: World) =>
  trip.pipe(
    Saga.step("flight", step(200)),
    Saga.step("hotel", { ...step(300), compensation: world.refuses(100, "closed"), compensationRetry: once }),
    Saga.step("car", { ...step(100), compensation: world.refuses(100, "lost"), compensationRetry: once }),
    Saga.check("funds", { error: Schema.String, action: () => Effect.fail("declined") })
  )

const uncertain = (world: World) =>
  trip.pipe(
    Saga.step("flight", step(200)),
    Saga.pivot("payment", { success: Schema.String, action: () => Effect.as(world.loses(300)(), "paid"), retry: once }),
    Saga.retriable("mail", { action: () => Effect.sleep(100), retry: Schedule.forever })
  )

const unfinished = (world: World) =>
  trip.pipe(
    Saga.pivot("payment", { action: () => Effect.sleep(300), retry: once }),
    Saga.retriable("mail", { error: Schema.String, action: world.refuses(100, "no answer"), retry: Schedule.recurs(1) })
  )

type AnyTrip = Saga.Saga<void, any, any, any, any, never>

/** Time goes on until the execution stands so. */
const until = (engine: SagaEngineService, state: ExecutionStatus["state"], id = "Trip/t1") =>
  Effect.gen(function*() {
    for (let turns = 0; turns < 1_000; turns++) {
      yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
      if (Option.getOrThrow(yield* engine.poll(id)).state === state) return
      yield* TestClock.adjust(100)
    }
    assert.fail(`It did not become ${state}`)
  })

const factsOf = (engine: SagaEngineService, id = "Trip/t1") =>
  Effect.map(engine.history(id), (entries) => entries.map(({ event }) => event!))

/** An execution that came to a state, and what is done with it then. */
const told = (
  name: string,
  sagaOf: (world: World) => AnyTrip,
  state: ExecutionStatus["state"],
  then: (engine: SagaEngineService, world: World, saga: AnyTrip) => Effect.Effect<string | void, unknown>
) =>
  it.effect(name, () =>
    Effect.gen(function*() {
      const world = new World()
      const saga = sagaOf(world)
      const engine = yield* SagaEngine
      yield* engine.register(saga)
      yield* engine.start(saga, undefined)
      yield* until(engine, state)
      yield* TestClock.adjust("1 second")
      const id = (yield* then(engine, world, saga)) ?? "Trip/t1"
      const facts = yield* factsOf(engine, id)
      assert.strictEqual(Result.isSuccess(SagaState.fold(facts)), true)
      yield* golden(`${name.replaceAll(/[ ,:]+/g, "-")}.txt`, timeline(facts))
    }).pipe(Effect.provide(SagaEngine.layerWith({ evictAfter: "1 day" })), Effect.provide(SagaJournal.layerMemory)))

describe("an execution that was decided about", () => {
  told("a compensation is tried again", locked, "Stuck", (engine, world) =>
    Effect.gen(function*() {
      world.broken = false
      yield* engine.retry("Trip/t1", ann)
      yield* until(engine, "Compensated")
    }))

  told("what is tried again is stuck again", locked, "Stuck", (engine) =>
    Effect.gen(function*() {
      yield* engine.retry("Trip/t1", ann)
      yield* until(engine, "Stuck")
    }))

  told(
    "one of two compensations was done by hand",
    locked,
    "Stuck",
    (engine) => engine.skip("Trip/t1", "car", undefined, bob)
  )

  told("both compensations were done by hand", locked, "Stuck", (engine) =>
    Effect.gen(function*() {
      yield* engine.skip("Trip/t1", "car", undefined, bob)
      yield* TestClock.adjust("1 second")
      yield* engine.skip("Trip/t1", "hotel", undefined, { actor: "ann", comment: "called them" })
      yield* until(engine, "Compensated")
    }))

  told("a pivot took place, as a person found out", uncertain, "Stuck", (engine) =>
    Effect.gen(function*() {
      yield* engine.skip("Trip/t1", "payment", "paid", bob)
      yield* until(engine, "Succeeded")
    }))

  told("a pivot of unknown outcome is given up", uncertain, "Stuck", (engine) =>
    Effect.gen(function*() {
      yield* engine.compensate("Trip/t1", bob)
      yield* until(engine, "Compensated")
    }))

  told("forward recovery goes on", unfinished, "Stuck", (engine, world) =>
    Effect.gen(function*() {
      world.broken = false
      yield* engine.retry("Trip/t1", ann)
      yield* until(engine, "Succeeded")
    }))

  told("one that was stuck is abandoned", locked, "Stuck", (engine) => engine.abandon("Trip/t1", bob))

  told(
    "one that ran is abandoned",
    () => trip.pipe(Saga.step("flight", step(200)), Saga.step("hotel", { ...step(0), action: () => Effect.never })),
    "Running",
    (engine) => engine.abandon("Trip/t1", bob)
  )

  told(
    "one that sleeps is cancelled by a person",
    () => trip.pipe(Saga.step("flight", step(200)), Saga.sleep("pause", "1 hour")),
    "Running",
    (engine) =>
      Effect.gen(function*() {
        yield* engine.compensate("Trip/t1", bob)
        yield* until(engine, "Compensated")
      })
  )

  told("a rerun keeps what still stands", unfinished, "Stuck", (engine, world) =>
    Effect.gen(function*() {
      yield* engine.abandon("Trip/t1", bob)
      yield* TestClock.adjust("2 days")
      world.broken = false
      const id = yield* engine.rerun("Trip/t1", { ...ann, keepResults: true, executionId: "Trip/again" })
      yield* until(engine, "Succeeded", id)
      return id
    }))
})

describe("facts that were written by hand", () => {
  const started: SagaEvent = { _tag: "SagaStarted", atMillis: 0, saga: "Trip", version: 1, payload: undefined }
  const lost: SagaEvent = {
    _tag: "StepUncertain",
    atMillis: 500,
    path: "hotel",
    attempts: 1,
    reason: "Died",
    whenUncertain: "stuck",
    cause: Cause.die("lost")
  }

  it.effect("a cancel that came too late, and a new version", () =>
    golden(
      "a-cancel-too-late-and-a-new-version.txt",
      timeline([
        started,
        { _tag: "StepStarted", atMillis: 100, path: "payment" },
        { _tag: "CancelRefused", atMillis: 200, ...bob },
        { _tag: "CancelRefused", atMillis: 300 },
        { _tag: "SagaMigrated", atMillis: 1_000, from: 1, to: 2 },
        { _tag: "StepSucceeded", atMillis: 1_500, path: "payment", attempts: 1, result: "paid" }
      ])
    ))

  it("what persons write is shown, not obeyed", () => {
    const text = timeline([
      started,
      { _tag: "StepStarted", atMillis: 0, path: "hotel" },
      lost,
      { _tag: "SagaStuck", atMillis: 500, reason: "StepUncertain", open: ["hotel"] },
      { _tag: "StepSkipped", atMillis: 900, path: "hotel", actor: "\u001b[2Jann", comment: "a\nb\u202e", result: "" }
    ])
    assert.include(text, "decided    after 900 ms, skip of hotel by %1B[2Jann: a%0Ab%E2%80%AE")
    assert.match(text, /✓ hotel .* done by hand$/m)
    assert.notMatch(text.replaceAll("\n", ""), /[\p{Cc}\p{Cf}]/u)
  })

  it("the rows of an execution that stood still are as long as it did", () => {
    const text = timeline([
      started,
      { _tag: "StepStarted", atMillis: 0, path: "hotel" },
      lost,
      { _tag: "SagaStuck", atMillis: 500, reason: "StepUncertain", open: ["hotel"] },
      { _tag: "RetryRequested", atMillis: 1_500, ...ann },
      { _tag: "StepSucceeded", atMillis: 2_000, path: "hotel", attempts: 2, result: "" }
    ])
    const [, worked, stood, again] = /✓ hotel +(█+)(░+)(█+) +2 s  2 attempts$/m.exec(text)!
    const soFar = timeline([
      started,
      { _tag: "StepStarted", atMillis: 0, path: "hotel" },
      lost,
      { _tag: "SagaStuck", atMillis: 500, reason: "StepUncertain", open: ["hotel"] },
      { _tag: "RetryRequested", atMillis: 1_500, ...ann }
    ])
    assert.match(soFar, /^Trip has been running for 1.5 s\n/)
    assert.match(soFar, /▸ hotel .*running$/m)
    assert.deepStrictEqual([worked!.length, again!.length].map((columns) => Math.round(stood!.length / columns)), [
      2,
      2
    ])
  })

  it("a decision about nothing is refused, and what came before is shown", () => {
    const text = timeline([started, { _tag: "StepSkipped", atMillis: 1, path: "hotel", ...ann, result: "" }])
    assert.match(text, /mismatch   The fact StepSkipped of "hotel" is of a step that is not open;/)
  })
})
