// Who watches is told every fact in order and changes nothing: fault 27.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, Option, Result, Schedule, Schema } from "effect"
import type { SagaEvent } from "effect-saga"
import { Saga, SagaObserver, SagaState } from "effect-saga"
import { TestClock } from "effect/testing"
import { Ledger, throwing, trip } from "./ledger.ts"

/** A saga of every kind of node that fails at its end, so that every kind of fact but the last ones of others is told. */
const everything = (ledger: Ledger) =>
  trip.pipe(
    Saga.step("a", {
      ...ledger.step({ before: ({ attempt }) => attempt === 1 ? Effect.fail("busy") : Effect.void }),
      retry: Schedule.recurs(1)
    }),
    Saga.sleep("pause", 0),
    Saga.forEach("all", {
      item: Schema.String,
      items: () => ["x"],
      key: (item) => item,
      each: (fork) => fork.pipe(Saga.step("b", ledger.step()))
    }),
    Saga.when("maybe", () => true, (fork) => fork.pipe(Saga.step("c", ledger.step()))),
    Saga.nested("in", trip.pipe(Saga.step("d", ledger.step())), () => {}),
    Saga.orElse(
      "way",
      (fork) => fork.pipe(Saga.step("e", ledger.step()), Saga.step("f", ledger.fails("no"))),
      (fork) => fork.pipe(Saga.step("g", ledger.step()))
    ),
    Saga.step("h", ledger.step({ undo: ({ attempt }) => attempt === 1 ? Effect.fail("busy") : Effect.void })),
    Saga.step("i", { ...ledger.step({ undo: () => Effect.fail("busy") }), compensationRetry: Schedule.recurs(0) }),
    Saga.step("j", ledger.step({ after: () => Effect.die("lost") })),
    Saga.unwind({ retry: Schedule.recurs(1) })
  )

const told = [
  "SagaStarted",
  "StepStarted a",
  "StepAttemptFailed a",
  "StepSucceeded a",
  "TimerSet pause",
  "TimerFired pause",
  "ItemsListed all",
  "StepStarted all/x/b",
  "StepSucceeded all/x/b",
  "BranchChosen maybe",
  "StepStarted maybe/c",
  "StepSucceeded maybe/c",
  "NestedStarted in",
  "StepStarted in/d",
  "StepSucceeded in/d",
  "StepStarted way/first/e",
  "StepSucceeded way/first/e",
  "StepStarted way/first/f",
  "StepFailed way/first/f",
  "UnwindStarted",
  "CompensationStarted way/first/e",
  "CompensationSucceeded way/first/e",
  "FellBack way",
  "StepStarted way/second/g",
  "StepSucceeded way/second/g",
  "StepStarted h",
  "StepSucceeded h",
  "StepStarted i",
  "StepSucceeded i",
  "StepStarted j",
  "StepUncertain j",
  "UnwindStarted",
  "CompensationStarted i",
  "CompensationFailed i",
  "CompensationStarted h",
  "CompensationAttemptFailed h",
  "CompensationSucceeded h",
  "CompensationStarted way/second/g",
  "CompensationSucceeded way/second/g",
  "CompensationStarted in/d",
  "CompensationSucceeded in/d",
  "CompensationStarted maybe/c",
  "CompensationSucceeded maybe/c",
  "CompensationStarted all/x/b",
  "CompensationSucceeded all/x/b",
  "CompensationStarted a",
  "CompensationSucceeded a",
  "SagaStuck"
]

const watching = (onEvent: (fact: SagaEvent) => void): SagaObserver.SagaObserver => ({
  observe: () => ({ onEvent })
})

describe("facts", () => {
  it.effect("are told in order, with the time by the clock of the run", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* ledger.run(everything(ledger))
      assert.deepStrictEqual(ledger.told, told)
    }))

  it.effect("carry the time by the clock of the run", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step({ after: () => Effect.sleep(5) })),
        Saga.sleep("pause", 10)
      ))
      yield* TestClock.adjust("1 second")
      yield* Fiber.await(fiber)
      assert.deepStrictEqual(ledger.facts, [
        { _tag: "SagaStarted", atMillis: 0, saga: "Trip", version: 1, payload: undefined },
        { _tag: "StepStarted", atMillis: 0, path: "a" },
        { _tag: "StepSucceeded", atMillis: 5, path: "a", attempts: 1, result: "a" },
        { _tag: "TimerSet", atMillis: 5, path: "pause", fireAtMillis: 15 },
        { _tag: "TimerFired", atMillis: 15, path: "pause" },
        { _tag: "SagaSucceeded", atMillis: 15, result: { a: "a" } }
      ])
    }))

  it.effect("every one of them may follow those before it, and the state says what runs", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      yield* ledger.run(everything(ledger))
      const statuses: Array<string> = []
      let state = SagaState.empty
      for (const fact of ledger.facts) {
        state = Result.getOrThrow(SagaState.apply(state, fact))
        if (statuses.at(-1) !== state.status) statuses.push(state.status)
      }
      assert.deepStrictEqual(statuses, ["Running", "Waiting", "Running", "Compensating", "Stuck"])
      assert.deepStrictEqual(state.open, ["i"])
    }))

  it.effect("go to each observer, in each run under its own execution id", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const named = (name: string): SagaObserver.SagaObserver => ({
        observe: ({ executionId, saga, version }) => ({
          onEvent: ({ _tag }) => void seen.push(`${name} ${saga} ${version} ${executionId} ${_tag}`)
        })
      })
      const layer = Layer.provideMerge(
        SagaObserver.layer([named("inner")]),
        SagaObserver.layer([named("outer"), Effect.succeed(named("made"))])
      )
      const run = (executionId: string) => Saga.run(trip, undefined, { executionId })
      yield* Effect.provide(Effect.andThen(run("e1"), run("e2")), layer)
      assert.deepStrictEqual(
        seen,
        ["e1", "e2"].flatMap((id) =>
          ["SagaStarted", "SagaSucceeded"].flatMap((tag) =>
            ["outer", "made", "inner"].map((name) => `${name} Trip 1 ${id} ${tag}`)
          )
        )
      )
    }))

  it.effect("of a nested saga are the outer run's", () =>
    Effect.gen(function*() {
      let observed = 0
      const observer: SagaObserver.SagaObserver = {
        observe: () => {
          observed++
          return { onEvent: () => {} }
        }
      }
      yield* Saga.run(trip.pipe(Saga.nested("in", trip, () => {})), undefined).pipe(
        Effect.provide(SagaObserver.layer([observer]))
      )
      assert.strictEqual(observed, 1)
    }))

  it.effect("are recorded before anyone learns of them: the caller, the next action", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const last = () => ledger.told.at(-1)
      const seen: Array<unknown> = []
      const look = { action: () => Effect.sync(() => void seen.push(last())) }
      yield* ledger.run(trip.pipe(Saga.check("a", look), Saga.check("b", look)))
      assert.deepStrictEqual([...seen, last()], ["StepStarted a", "StepStarted b", "SagaSucceeded"])
    }))

  it.effect("`collect` returns them beside the result", () =>
    Effect.gen(function*() {
      const [exit, facts] = yield* SagaObserver.collect(
        Effect.exit(Saga.run(trip.pipe(Saga.check("a", { action: () => Effect.die("boom") })), undefined))
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(facts.map(({ _tag }) => _tag), [
        "SagaStarted",
        "StepStarted",
        "StepFailed",
        "UnwindStarted",
        "SagaCompensated"
      ])
    }))
})

describe("F27 an observer", () => {
  for (const tag of new Set(told.map((text) => text.split(" ")[0]!))) {
    it.effect(`that throws at ${tag}: the run does not change, and other observers are told everything`, () =>
      Effect.gen(function*() {
        const [plain, ledger] = [new Ledger(), new Ledger()]
        yield* plain.run(everything(plain))
        const seen: Array<string> = []
        const layer = SagaObserver.layer([
          watching(({ _tag }) => {
            seen.push(_tag)
            if (_tag === tag) throwing()
          })
        ])
        const exit = yield* ledger.run(everything(ledger)).pipe(Effect.provide(layer))
        assert.isTrue(Exit.isFailure(exit))
        assert.strictEqual(ledger.text, plain.text)
        assert.deepStrictEqual(ledger.told, told)
        assert.strictEqual(seen.at(-1), tag)
        assert.strictEqual(seen.filter((one) => one === tag).length, 1)
      }))
  }

  const warnings = (observer: SagaObserver.SagaObserver) =>
    Effect.gen(function*() {
      const lines: Array<unknown> = []
      const logger = Logger.make<unknown, void>(({ logLevel, message }) =>
        void lines.push([logLevel, [message].flat().map(String)])
      )
      const ledger = new Ledger({ observed: false })
      const exit = yield* Saga.run(
        trip.pipe(Saga.step("a", ledger.step()), Saga.step("b", ledger.fails("no"))),
        undefined,
        { executionId: "e1" }
      ).pipe(
        Effect.exit,
        Effect.provide([SagaObserver.layer([observer]), Logger.layer([logger])])
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(ledger.text, "+a !b -a")
      return lines
    })
  const line = "An observer of saga Trip (e1) threw and is told no more of it"

  it.effect("that throws is named in the log, once", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* warnings(watching(throwing)), [["Warn", [line, "Error: boom"]]])
    }))

  it.effect("that throws at the very last fact too", () =>
    Effect.gen(function*() {
      const observer = watching(({ _tag }) => _tag === "SagaCompensated" ? throwing() : undefined)
      assert.deepStrictEqual(yield* warnings(observer), [["Warn", [line, "Error: boom"]]])
    }))

  it.effect("that cannot be set up for a run", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* warnings({ observe: throwing }), [["Warn", [line, "Error: boom"]]])
    }))

  it.effect("whose `around` throws: the action and the compensation run without it", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* warnings({ observe: () => ({ onEvent: () => {}, around: throwing }) }),
        [["Warn", [line, "Error: boom"]]]
      )
    }))

  it.effect("runs actions and compensations inside its `around`, the question whether one took place too", () =>
    Effect.gen(function*() {
      const ledger = new Ledger({ observed: false })
      const observer: SagaObserver.SagaObserver = {
        observe: () => ({
          onEvent: () => {},
          around: (effect, path, kind) => Effect.andThen(ledger.mark(`${kind} ${path}`), effect)
        })
      }
      yield* Saga.run(
        trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.step("b", {
            ...ledger.step({ after: () => Effect.die("lost") }),
            verify: () => Effect.succeed(Option.some("b"))
          }),
          Saga.step("c", ledger.fails("no"))
        ),
        undefined
      ).pipe(Effect.exit, Effect.provide(SagaObserver.layer([observer])))
      assert.strictEqual(
        ledger.text,
        "action a +a action b +b action b action c !c compensation b -b compensation a -a"
      )
    }))
})

describe("F27 a logger that throws", () => {
  const broken = Logger.layer([
    Logger.make<unknown, void>(() => {
      throw new Error("logger")
    })
  ])

  it.effect("at the warning about uncertain steps, at the report of a stuck saga: the run does not change", () =>
    Effect.gen(function*() {
      const run = (ledger: Ledger, saga: Saga.Saga<void, unknown, unknown, unknown, string, never>) =>
        Effect.exit(Effect.provide(ledger.observe(Saga.run(saga, undefined)), broken))
      const uncertain = new Ledger()
      const exit = yield* run(
        uncertain,
        trip.pipe(
          Saga.step("a", uncertain.step()),
          Saga.step("b", uncertain.step({ after: () => Effect.die("lost") }))
        )
      )
      uncertain.check(exit)
      assert.strictEqual(uncertain.text, "+a +b -a")
      const stuck = new Ledger()
      const end = yield* run(stuck, everything(stuck))
      stuck.check(end)
      assert.strictEqual(stuck.told.at(-1), "SagaStuck")
    }))

  it.effect("at the warning about an observer that threw", () =>
    Effect.gen(function*() {
      const observer = watching(throwing)
      const ledger = new Ledger({ observed: false })
      const exit = yield* Saga.run(trip.pipe(Saga.step("a", ledger.step())), undefined).pipe(
        Effect.exit,
        Effect.provide([SagaObserver.layer([observer]), broken])
      )
      assert.deepStrictEqual(exit, Exit.succeed({ a: "a" }))
    }))
})
