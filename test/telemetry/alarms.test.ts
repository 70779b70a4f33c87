/** Whoever is on call is told once of each execution that needs a person: by the log, by a counter, by `onStuck`. */
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Fiber, Metric, Schedule, Schema, Scope } from "effect"
import type { SagaObserver } from "effect-saga"
import { Saga } from "effect-saga"
import { BatchRefused } from "effect-saga/SagaJournal"
import { SagaLogging, SagaMetrics } from "effect-saga/telemetry"
import { TestClock } from "effect/testing"
import { memory, postgres, sqlite } from "../engine/stores.ts"
import { boot, eventually, fact, faultOn, Gate, inTime, state, turn } from "../engine/world.ts"
import type { AnyTrip, Way } from "./alarms.ts"
import { counters, forging, printed, Seen, trip, ways } from "./alarms.ts"

const test = faultOn(memory)
const once = Schedule.recurs(0)
const ann = { actor: "ann", comment: "ticket 7" }

for (const [reason, { come, verbs }] of Object.entries<Way>(ways)) {
  describe(`it is ${reason}`, () => {
    test("one line says which execution it is, and what a person can do about it", (store) =>
      Effect.gen(function*() {
        const seen = new Seen()
        yield* seen.watch(Effect.andThen(come(store, { onStuck: seen.onStuck }), seen.told))
        assert.deepStrictEqual(seen.alarms.map(({ level }) => level), ["Error"])
        const [{ annotations, text }] = seen.alarms as [(typeof seen.alarms)[number]]
        assert.include(text, printed)
        assert.include(text, "is stuck")
        assert.notInclude(text, "\n")
        assert.deepStrictEqual(verbs.filter((verb) => !text.includes(`\`${verb}\``)), [])
        assert.deepInclude(annotations, { "saga.name": "Trip", "saga.version": 1, "saga.executionId": printed })
      }))

    test("`onStuck` of the engine is told once, with the row as it is recorded", (store) =>
      Effect.gen(function*() {
        const seen = new Seen()
        const booted = yield* seen.watch(Effect.tap(come(store, { onStuck: seen.onStuck }), seen.told))
        assert.strictEqual(seen.calls.length, 1)
        const { executions } = yield* booted.engine.list({ state: "Stuck" })
        assert.deepStrictEqual(seen.calls, executions)
        assert.match(seen.calls[0]!.problem!, new RegExp(`^${reason}: `))
      }))

    test("it is counted once, under its reason", (store) =>
      Effect.gen(function*() {
        const seen = new Seen()
        yield* seen.watch(Effect.gen(function*() {
          yield* come(store, { onStuck: seen.onStuck })
          yield* seen.told
          const all = yield* counters
          assert.include(all, `saga_executions_stuck{reason=${reason}, saga=Trip} 1`)
          assert.include(all, "saga_executions_ended{outcome=Stuck, saga=Trip} 1")
          assert.strictEqual(all.filter((line) => line.includes("stuck")).length, 1)
        }))
      }))

    test("with `SagaLogging` there is no second line about it", (store) =>
      Effect.scoped(Effect.gen(function*() {
        const seen = new Seen()
        const logging = yield* SagaLogging.observer
        yield* seen.watch(Effect.andThen(come(store, { onStuck: seen.onStuck }), seen.told), [logging])
        assert.strictEqual(seen.lines.filter(({ level }) => level === "Error").length, 1)
        const loud = seen.lines.filter(({ level, text }) => level !== "Debug" && text.includes("is stuck"))
        assert.strictEqual(loud.length, 1)
        assert.deepStrictEqual(
          seen.lines.filter(({ text }) => text.startsWith("Saga \"Trip\" is stuck (")).map(({ level }) => level),
          ["Debug"]
        )
      })))
  })
}

for (const [name, backend] of Object.entries({ SQLite: sqlite, PostgreSQL: postgres })) {
  describe(`on ${name}`, () => {
    for (const [reason, { come }] of Object.entries<Way>(ways)) {
      faultOn(backend)(`one line, one count and one call of ${reason}`, (store) =>
        Effect.gen(function*() {
          const seen = new Seen()
          yield* seen.watch(Effect.gen(function*() {
            const { engine } = yield* come(store, { onStuck: seen.onStuck })
            yield* seen.told
            assert.include(yield* counters, `saga_executions_stuck{reason=${reason}, saga=Trip} 1`)
            assert.deepStrictEqual(seen.calls, (yield* engine.list({ state: "Stuck" })).executions)
          }))
          assert.deepStrictEqual(
            seen.alarms.map(({ level, text }) => [level, text.includes(printed)]),
            [["Error", true]]
          )
        }), 30_000)
    }
  })
}

describe("the line", () => {
  for (
    const [reason, cause] of [["CompensationFailed", "locked"], ["Refused", "too long"], [
      "Defect",
      "is broken"
    ]] as const
  ) {
    test(`has the cause of a ${reason}`, (store) =>
      Effect.gen(function*() {
        const seen = new Seen()
        yield* seen.watch(Effect.andThen(ways[reason].come(store, { onStuck: seen.onStuck }), seen.told))
        assert.include(Cause.pretty(seen.alarms[0]!.cause), cause)
      }))
  }

  test("is told of an uncertain execution too: one warning, and one is counted", (store) =>
    Effect.gen(function*() {
      const saga: AnyTrip = trip.pipe(
        Saga.step("a", { action: () => Effect.die("cut"), compensation: () => Effect.void })
      )
      const seen = new Seen()
      yield* Effect.scoped(Effect.gen(function*() {
        const logging = yield* SagaLogging.observer
        yield* seen.watch(
          Effect.gen(function*() {
            const { engine } = yield* boot(store, [saga], { onStuck: seen.onStuck })
            yield* Effect.exit(engine.execute(saga, undefined, { executionId: forging }))
            yield* Effect.repeat(turn, { times: 20 })
            assert.include(yield* counters, "saga_executions_uncertain{saga=Trip} 1")
          }),
          [logging]
        )
      }))
      assert.deepStrictEqual(seen.alarms.map(({ level }) => level), ["Warn"])
      assert.strictEqual(
        seen.alarms[0]!.text,
        `Saga "Trip" (${printed}) was compensated, but for steps of unknown outcome: a (Died). Ask their participants`
      )
      assert.strictEqual(seen.alarms[0]!.annotations["saga.executionId"], printed)
      assert.deepStrictEqual(seen.calls, [])
    }))

  test("is not there for a saga that tells of itself by `Saga.onStuck`; the engine tells of it all the same", (store) =>
    Effect.gen(function*() {
      const seen = new Seen()
      const own: Array<string> = []
      const saga: AnyTrip = trip.pipe(
        Saga.pivot("a", { action: () => Effect.die("cut"), retry: once }),
        Saga.onStuck(({ executionId }) => Effect.sync(() => void own.push(executionId)))
      )
      yield* seen.watch(Effect.gen(function*() {
        const { engine } = yield* boot(store, [saga], { onStuck: seen.onStuck })
        yield* engine.start(saga, undefined, { executionId: "e" })
        yield* eventually("the engine tells", Effect.sync(() => seen.calls.length > 0))
      }))
      assert.deepStrictEqual([own, seen.calls.length, seen.alarms], [["e"], 1, []])
    }))

  test("is there too when an observer throws that is told of it, which is said beside", (store) =>
    Effect.gen(function*() {
      const seen = new Seen()
      const throwing: SagaObserver.SagaObserver = {
        observe: () => ({
          onEvent: () => {},
          onParked: () => {
            throw new Error("no room")
          }
        })
      }
      yield* seen.watch(
        Effect.andThen(ways.DefinitionChanged.come(store, { onStuck: seen.onStuck }), seen.told),
        [throwing]
      )
      assert.deepStrictEqual(seen.alarms.map(({ level }) => level), ["Error", "Warn"])
      assert.include(seen.alarms[1]!.text, `An observer of saga Trip (${printed}) threw`)
      assert.strictEqual(seen.calls.length, 1)
    }))

  test("is not there for what others have parked meanwhile", (store) =>
    Effect.gen(function*() {
      const seen = new Seen()
      const saga = trip.pipe(Saga.step("a", { action: () => Effect.void, compensation: () => Effect.void }))
      let tried = 0
      yield* seen.watch(Effect.gen(function*() {
        // A value is refused; when it is to be parked for that, somebody else has it.
        const { engine } = yield* boot(store, [saga], {
          onStuck: seen.onStuck,
          through: (journal) => ({
            ...journal,
            write: (lease, batch) => {
              if (batch.facts.some((fact) => fact.tag === "StepSucceeded")) {
                return Effect.fail(new BatchRefused({ cause: "too long" }))
              }
              if (!batch.updates.some((update) => update.state === "Stuck")) return journal.write(lease, batch)
              tried++
              return Effect.succeed({ _tag: "Committed", missing: ["e"] })
            }
          })
        })
        yield* engine.start(saga, undefined, { executionId: "e" })
        yield* eventually("it is to be parked", Effect.sync(() => tried > 0))
        yield* Effect.repeat(turn, { times: 50 })
        assert.notInclude((yield* counters).join(), "stuck")
      }))
      assert.deepStrictEqual([seen.calls, seen.alarms], [[], []])
    }))
})

describe("`onStuck` of an engine", () => {
  const lost: AnyTrip = trip.pipe(Saga.pivot("a", { action: () => Effect.die("cut"), retry: once }))
  const fine: AnyTrip = Saga.make("Fine", { payload: Schema.Void })

  test("is told again when it is stuck again; each time is counted, and the end too, with its whole duration", (store) =>
    Effect.gen(function*() {
      const seen = new Seen()
      const saga: AnyTrip = trip.pipe(
        Saga.pivot("a", {
          action: () => Effect.andThen(Effect.sleep(10), Effect.die("cut")),
          success: Schema.String,
          retry: once
        })
      )
      yield* seen.watch(Effect.gen(function*() {
        const { engine } = yield* boot(store, [saga], { onStuck: seen.onStuck })
        yield* engine.start(saga, undefined, { executionId: "e" })
        yield* fact(store.journal, "e", "StepStarted a")
        yield* TestClock.adjust(10)
        yield* eventually("it is told", Effect.sync(() => seen.calls.length === 1))
        yield* TestClock.adjust(990)
        yield* engine.retry("e", ann)
        yield* state(store.journal, "e", "Running")
        yield* Effect.repeat(turn, { times: 5 })
        yield* TestClock.adjust(10)
        yield* eventually("it is told again", Effect.sync(() => seen.calls.length === 2))
        yield* engine.skip("e", "a", "paid", ann)
        yield* state(store.journal, "e", "Succeeded")
        yield* Effect.repeat(turn, { times: 20 })
        const took = (outcome: string) =>
          Effect.map(
            Metric.value(Metric.withAttributes(SagaMetrics.executionDuration, { saga: "Trip", outcome })),
            ({ count, sum }) => [count, sum]
          )
        assert.deepStrictEqual([yield* took("Stuck"), yield* took("Succeeded")], [[2, 1_020], [1, 1_010]])
        assert.deepStrictEqual(yield* counters, [
          "saga_executions_ended{outcome=Stuck, saga=Trip} 2",
          "saga_executions_ended{outcome=Succeeded, saga=Trip} 1",
          "saga_executions_started{saga=Trip} 1",
          "saga_executions_stuck{reason=PivotUncertain, saga=Trip} 2",
          "saga_steps_uncertain{saga=Trip} 2"
        ])
      }))
      assert.strictEqual(seen.calls.length, 2)
      assert.strictEqual(seen.alarms.length, 2)
    }))

  for (
    const [how, onStuck] of Object.entries<() => Effect.Effect<void>>({
      fails: () => Effect.fail("no") as unknown as Effect.Effect<void>,
      dies: () => Effect.die(new Error("pager")),
      throws: () => {
        throw new Error("pager")
      },
      "gives no effect": () => "told" as unknown as Effect.Effect<void>
    })
  ) {
    test(`that ${how} harms nothing, and is logged`, (store) =>
      Effect.gen(function*() {
        const seen = new Seen()
        yield* seen.watch(Effect.gen(function*() {
          const { engine } = yield* boot(store, [lost, fine], { onStuck })
          yield* engine.start(lost, undefined, { executionId: forging })
          yield* eventually("it is logged", Effect.sync(() => seen.alarms.length === 2))
          assert.strictEqual(
            seen.alarms[1]!.text,
            `The \`onStuck\` of the engine failed for execution "${printed}", which is stuck`
          )
          yield* inTime("another one ends", engine.execute(fine, undefined))
          yield* engine.start(lost, undefined, { executionId: "f" })
          yield* eventually("the next one too", Effect.sync(() => seen.alarms.length === 4))
        }))
      }))
  }

  test("that hangs holds up nobody, and is cut when the engine has had its grace", (store) =>
    Effect.gen(function*() {
      const seen = new Seen()
      const ended: Array<string> = []
      yield* seen.watch(Effect.gen(function*() {
        const { close, engine } = yield* boot(store, [lost, fine], {
          grace: 20,
          onStuck: ({ executionId }) =>
            Effect.onInterrupt(Effect.never, () => Effect.sync(() => void ended.push(executionId)))
        })
        for (const executionId of ["e", "f"]) yield* engine.start(lost, undefined, { executionId })
        for (const executionId of ["e", "f"]) yield* state(store.journal, executionId, "Stuck")
        yield* inTime("another one ends", engine.execute(fine, undefined))
        assert.deepStrictEqual(ended, [])
        yield* inTime("it closes", close, 5_000)
        assert.deepStrictEqual(ended, ["e", "f"])
      }))
    }))

  test("is told of what becomes stuck while the engine closes", (store) =>
    Effect.gen(function*() {
      const seen = new Seen()
      yield* seen.watch(Effect.gen(function*() {
        const gate = new Gate()
        const { close, engine } = yield* boot(store, [lost], {
          onStuck: seen.onStuck,
          through: (journal) => ({
            ...journal,
            write: (lease, batch) =>
              batch.updates.some((update) => update.state === "Stuck")
                ? Effect.andThen(gate.pass, journal.write(lease, batch))
                : journal.write(lease, batch)
          })
        })
        yield* engine.start(lost, undefined, { executionId: "e" })
        yield* gate.reached
        const closing = yield* Effect.forkChild(close, { startImmediately: true })
        yield* turn
        yield* gate.open
        yield* inTime("it closes", Fiber.join(closing), 5_000)
      }))
      assert.deepStrictEqual(seen.calls.map(({ executionId, state }) => [executionId, state]), [["e", "Stuck"]])
    }))

  test("is told when the journal can say so already", (store) =>
    Effect.gen(function*() {
      const states: Array<string | undefined> = []
      const scope = yield* Scope.make()
      const { engine } = yield* boot(store, [lost], {
        onStuck: ({ executionId }) =>
          Effect.orDie(Effect.map(store.journal.find(executionId), (row) => {
            states.push(row._tag === "Some" ? row.value.state : undefined)
          }))
      }).pipe(Effect.provideService(Scope.Scope, scope))
      yield* engine.start(lost, undefined, { executionId: "e" })
      yield* eventually("it is told", Effect.sync(() => states.length > 0))
      assert.deepStrictEqual(states, ["Stuck"])
    }))
})
