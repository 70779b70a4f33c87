/** `SagaBacklog`: what the gauges say, when, and when the journal does not answer. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Logger, Metric, Option, References, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { DomainEvent, EventBus } from "effect-saga/events"
import type { ExecutionStatus, SagaEngineService } from "effect-saga/SagaEngine"
import { SagaEngine } from "effect-saga/SagaEngine"
import type { Journal } from "effect-saga/SagaJournal"
import { JournalUnavailable, SagaJournal } from "effect-saga/SagaJournal"
import { SagaBacklog } from "effect-saga/telemetry"
import { TestClock } from "effect/testing"
import { postgres, sqlite } from "../engine/stores.ts"
import { boot, eventually, faultOn, turn } from "../engine/world.ts"

const second = 1_000
const start = Saga.make("Pay", { payload: Schema.Void })
const pay = start.pipe(Saga.sleep("pause", "1 hour"))
const never = { action: () => Effect.never, compensation: () => Effect.void }
const lost = { action: () => Effect.die("lost"), compensation: () => Effect.void, whenUncertain: "stuck" } as const

/** The gauges as `name{labels} value`, sorted, without those that are 0. */
const gauges = Effect.map(Metric.snapshot, (snapshot) =>
  snapshot.flatMap(({ attributes, id, state, type }) => {
    const labels = Object.entries(attributes ?? {}).sort().map(([key, value]) => `${key}=${value}`)
    const value = type === "Gauge" ? state.value : `a ${type}`
    return value === 0 ? [] : [`${id}{${labels.join(", ")}} ${value}`]
  }).sort())

/** All series, those too that are 0. */
const series = Effect.map(Metric.snapshot, (snapshot) => snapshot.map(({ attributes, id }) => ({ id, attributes })))

/** Runs a program with an engine, metrics of its own, and the layer under test. */
const watched = <E, R>(
  program: (engine: SagaEngineService) => Effect.Effect<void, E, R>,
  { every, through = (journal) => journal }: SagaBacklog.Options & {
    readonly through?: (journal: Journal) => Journal
  } = {}
) => {
  const Store = Layer.effect(SagaJournal, Effect.map(SagaJournal, through)).pipe(Layer.provide(SagaJournal.layerMemory))
  const Live = SagaBacklog.layer(every === undefined ? {} : { every }).pipe(
    Layer.provideMerge(SagaEngine.layerWith({ evictAfter: 0, grace: 0 })),
    Layer.provide(Store)
  )
  return Effect.flatMap(SagaEngine, program).pipe(
    Effect.provide(Live),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )
}

const state = (engine: SagaEngineService, executionId: string, wanted: ExecutionStatus["state"]) =>
  eventually(
    `${executionId} is ${wanted}`,
    Effect.map(engine.poll(executionId), (row) => Option.isSome(row) && row.value.state === wanted)
  )

/** Time passes, and the look that is due then is over. */
const pass = (millis: number) => Effect.andThen(TestClock.adjust(millis), Effect.repeat(turn, { times: 5 }))

describe("the gauges", () => {
  it.effect("count the events that subscriptions have before them, and dead letters", () =>
    watched((engine) =>
      Effect.gen(function*() {
        const Paid = DomainEvent.make("Paid", { payload: Schema.Int, key: () => "o" })
        const bus = yield* EventBus
        const handle = ({ payload }: { readonly payload: number }) => payload < 3 ? Effect.fail("no") : Effect.never
        for (const n of [1, 2, 3, 4]) yield* bus.publish(Paid, n)
        yield* Effect.forkChild(bus.subscribe({ name: "s", events: [Paid], handle, retry: Schedule.recurs(0) }))
        yield* eventually("two are dead", Effect.map(engine.deadLetterCount, (count) => count === 2))
        yield* pass(30 * second)
        assert.deepStrictEqual(yield* gauges, [
          "saga_dead_letters{} 2",
          "saga_events_behind{subscription=s, type=Paid} 4"
        ])
        for (const { number } of yield* engine.deadLetters()) yield* engine.discard(number)
        yield* engine.unsubscribe("s")
        yield* pass(30 * second)
        assert.deepStrictEqual(yield* gauges, [])
      })
    ))

  it.effect("count what has not ended by saga and state, and tell how old the oldest is", () =>
    watched((engine) =>
      Effect.gen(function*() {
        const busy = Saga.make("Busy", { payload: Schema.Void }).pipe(Saga.step("a", never))
        const stuck = Saga.make("Lost", { payload: Schema.Void }).pipe(
          Saga.sleep("pause", 5 * second),
          Saga.step("a", lost),
          Saga.onStuck(() => Effect.void)
        )
        for (const saga of [busy, stuck, pay]) yield* engine.register(saga)
        yield* engine.start(pay, undefined, { executionId: "p1" })
        yield* engine.start(stuck, undefined, { executionId: "l1" })
        yield* state(engine, "l1", "Waiting")
        yield* pass(5 * second)
        yield* state(engine, "l1", "Stuck")
        yield* engine.start(pay, undefined, { executionId: "p2" })
        yield* engine.start(busy, undefined, { executionId: "b1" })
        yield* state(engine, "p2", "Waiting")
        yield* pass(25 * second)
        assert.deepStrictEqual(yield* gauges, [
          "saga_executions{saga=Busy, state=Running} 1",
          "saga_executions{saga=Lost, state=Stuck} 1",
          "saga_executions{saga=Pay, state=Waiting} 2",
          "saga_oldest_execution_seconds{saga=Busy, state=Running} 25",
          // Since it is stuck, not since it started.
          "saga_oldest_execution_seconds{saga=Lost, state=Stuck} 25",
          "saga_oldest_execution_seconds{saga=Pay, state=Waiting} 30"
        ])
      })
    ))

  it.effect("are set at once, then as often as it says, by the clock of the layer", () =>
    watched((engine) =>
      Effect.gen(function*() {
        yield* engine.register(pay)
        yield* engine.start(pay, undefined, { executionId: "p1" })
        yield* state(engine, "p1", "Waiting")
        yield* pass(0)
        assert.deepStrictEqual(yield* gauges, [])
        yield* pass(9 * second)
        assert.deepStrictEqual(yield* gauges, [])
        yield* pass(second)
        const told = (age: number) => [
          "saga_executions{saga=Pay, state=Waiting} 1",
          `saga_oldest_execution_seconds{saga=Pay, state=Waiting} ${age}`
        ]
        assert.deepStrictEqual(yield* gauges, told(10))
        yield* pass(9 * second)
        assert.deepStrictEqual(yield* gauges, told(10))
        yield* pass(second)
        assert.deepStrictEqual(yield* gauges, told(20))
      }), { every: "10 seconds" }))

  it.effect("what was there before the layer is seen by its first look", () =>
    Effect.gen(function*() {
      const engine = yield* SagaEngine
      yield* engine.register(pay)
      yield* engine.start(pay, undefined, { executionId: "p1" })
      yield* state(engine, "p1", "Waiting")
      yield* Effect.andThen(pass(0), gauges).pipe(
        Effect.map((lines) => assert.deepStrictEqual(lines, ["saga_executions{saga=Pay, state=Waiting} 1"])),
        Effect.provide(SagaBacklog.layer()),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
    }).pipe(Effect.provide(SagaEngine.layerWith({ evictAfter: 0 })), Effect.provide(SagaJournal.layerMemory)))

  it.effect("of what is gone go to 0, and versions count together", () =>
    watched((engine) =>
      Effect.gen(function*() {
        const next = Saga.make("Pay", { payload: Schema.Void, version: 2 }).pipe(Saga.sleep("pause", "1 hour"))
        yield* engine.register(pay)
        yield* engine.register(next)
        yield* engine.start(pay, undefined, { executionId: "p1" })
        yield* pass(10 * second)
        yield* engine.start(next, undefined, { executionId: "p2" })
        yield* state(engine, "p2", "Waiting")
        yield* pass(20 * second)
        assert.deepStrictEqual(yield* gauges, [
          "saga_executions{saga=Pay, state=Waiting} 2",
          "saga_oldest_execution_seconds{saga=Pay, state=Waiting} 30"
        ])
        const by = { actor: "ann", comment: "no more" }
        yield* engine.abandon("p1", by)
        yield* engine.abandon("p2", by)
        yield* pass(30 * second)
        assert.deepStrictEqual(yield* gauges, [])
        assert.strictEqual((yield* series).length, 9)
      })
    ))

  it.effect("have no label but the saga and the state, beside those of the layer", () =>
    watched((engine) =>
      Effect.gen(function*() {
        yield* engine.register(pay)
        for (let n = 0; n < 5; n++) yield* engine.start(pay, undefined, { executionId: `p${n}` })
        yield* pass(30 * second)
        const all = yield* series
        assert.deepStrictEqual(
          [...new Set(all.map(({ attributes }) => Object.keys(attributes!).sort().join()))],
          ["region", "region,saga,state"]
        )
        assert.strictEqual(all.length, 9)
      })
    ).pipe(Effect.provideService(Metric.CurrentMetricAttributes, { region: "eu" })))
})

for (const [name, backend] of Object.entries({ SQLite: sqlite, PostgreSQL: postgres })) {
  faultOn(backend)(`the gauges tell the same of a journal on ${name}`, (store) =>
    Effect.gen(function*() {
      const stuck = Saga.make("Lost", { payload: Schema.Void }).pipe(
        Saga.step("a", lost),
        Saga.onStuck(() => Effect.void)
      )
      const { engine } = yield* boot(store, [pay, stuck], { evictAfter: 0 })
      for (const executionId of ["p1", "p2"]) yield* engine.start(pay, undefined, { executionId })
      yield* engine.start(stuck, undefined, { executionId: "l1" })
      for (const executionId of ["p1", "p2"]) yield* state(engine, executionId, "Waiting")
      yield* state(engine, "l1", "Stuck")
      yield* TestClock.adjust(20 * second)
      const told = [
        "saga_executions{saga=Lost, state=Stuck} 1",
        "saga_executions{saga=Pay, state=Waiting} 2",
        "saga_oldest_execution_seconds{saga=Lost, state=Stuck} 20",
        "saga_oldest_execution_seconds{saga=Pay, state=Waiting} 20"
      ]
      yield* eventually("it is told", Effect.map(gauges, (lines) => lines.join() === told.join())).pipe(
        Effect.provide(SagaBacklog.layer()),
        Effect.provideService(SagaEngine, engine),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
    }), 30_000)
}

describe("the journal", () => {
  it.effect("is asked for the next page where one is empty", () =>
    watched((engine) =>
      Effect.gen(function*() {
        yield* engine.register(pay)
        yield* engine.start(pay, undefined, { executionId: "p1" })
        yield* state(engine, "p1", "Waiting")
        yield* pass(30 * second)
        assert.deepStrictEqual(yield* gauges, [
          "saga_executions{saga=Pay, state=Waiting} 1",
          "saga_oldest_execution_seconds{saga=Pay, state=Waiting} 30"
        ])
      }), {
      through: (journal) => ({
        ...journal,
        list: (options) =>
          options.after === undefined
            ? Effect.succeed({ executions: [], next: { millis: -1, executionId: "" } })
            : journal.list(options)
      })
    }))

  it.effect("is asked for the oldest only where there is one", () =>
    Effect.gen(function*() {
      const asked: Array<unknown> = []
      const through = (journal: Journal): Journal => ({
        ...journal,
        list: (options) => {
          asked.push([options.saga, options.states, options.limit])
          return journal.list(options)
        }
      })
      yield* watched((engine) =>
        Effect.gen(function*() {
          yield* engine.register(pay)
          yield* engine.start(pay, undefined, { executionId: "p1" })
          yield* state(engine, "p1", "Waiting")
          yield* pass(30 * second)
          assert.deepStrictEqual(asked, [["Pay", ["Waiting"], 1]])
        }), { through })
    }))

  it.effect("is out of reach: the last values stay, one debug line says so, and it goes on when it is back", () =>
    Effect.gen(function*() {
      let away: "no" | "counts" | "list" = "no"
      const gone = (operation: "counts" | "list") =>
        Effect.suspend(() =>
          away === operation ? Effect.fail(new JournalUnavailable({ operation, cause: "away" })) : Effect.void
        )
      const lines: Array<string> = []
      const logger = Logger.make<unknown, void>(({ cause, logLevel, message }) => {
        lines.push(`${logLevel}: ${message}, ${Cause.hasFails(cause)}`)
      })
      yield* watched((engine) =>
        Effect.gen(function*() {
          yield* engine.register(pay)
          yield* engine.start(pay, undefined, { executionId: "p1" })
          yield* state(engine, "p1", "Waiting")
          yield* pass(30 * second)
          const before = yield* gauges
          assert.strictEqual(before.length, 2)
          const said = "Debug: The gauges of the backlog keep their last values: the journal could not be read, true"
          yield* engine.start(pay, undefined, { executionId: "p2" })
          yield* state(engine, "p2", "Waiting")
          for (const operation of ["counts", "list"] as const) {
            away = operation
            yield* pass(90 * second)
            assert.deepStrictEqual(yield* gauges, before)
          }
          assert.deepStrictEqual(lines, [said])
          away = "no"
          yield* pass(30 * second)
          assert.include(yield* gauges, "saga_executions{saga=Pay, state=Waiting} 2")
          away = "counts"
          yield* pass(60 * second)
          assert.deepStrictEqual(lines, [said, said])
        }), {
        through: (journal) => ({
          ...journal,
          count: (filter) => Effect.andThen(gone("counts"), journal.count(filter)),
          list: (options) => Effect.andThen(gone("list"), journal.list(options))
        })
      }).pipe(
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(References.MinimumLogLevel, "All")
      )
    }))

  it.effect("is asked no more when the layer has closed", () =>
    Effect.gen(function*() {
      let asked = 0
      const through = (journal: Journal): Journal => ({
        ...journal,
        count: (filter) => Effect.andThen(Effect.sync(() => void asked++), journal.count(filter))
      })
      yield* watched(() => pass(90 * second), { through })
      const before = asked
      assert.strictEqual(before, 4)
      yield* pass(900 * second)
      assert.strictEqual(asked, before)
    }))
})

it.effect("an option that nobody could live with is refused by name", () =>
  Effect.gen(function*() {
    for (const every of [0, -1, "25 days", Infinity] as const) {
      const exit = yield* Effect.exit(watched(() => Effect.void, { every }))
      assert.isTrue(Exit.isFailure(exit))
      if (Exit.isFailure(exit)) assert.include(Cause.pretty(exit.cause), `The option "every" of a backlog`)
    }
  }))
