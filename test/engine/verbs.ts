/** What a person on call can decide, in every state of an execution, on every store. */
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Result, Schedule, Schema, Stream } from "effect"
import { Saga, SagaState } from "effect-saga"
import type { By, SagaEngineService } from "effect-saga/SagaEngine"
import { TestClock } from "effect/testing"
import type { Backend, Booted, StoreService } from "./world.ts"
import {
  boot,
  errorOf,
  eventually,
  fact,
  faultOn,
  Gate,
  inTime,
  problem,
  state,
  tagOf,
  together,
  told,
  World
} from "./world.ts"

const id = { executionId: "e" }
const ann: By = { actor: "ann", comment: "ticket 7" }
const bob: By = { actor: "bob", comment: "looked too" }
const once = Schedule.recurs(0)

/** Any saga, as a test of engines has it. */
type AnyTrip = Saga.Saga<void, any, any, any, any, never>

const trip = Saga.make("Trip", { payload: Schema.Void })

/** The outside world at its worst: what fails or cannot say does so until it is mended. */
class Trouble extends World {
  broken = true
  readonly gate = new Gate()

  /** Takes effect, and dies before it can say so. */
  readonly lost = { after: () => this.broken ? Effect.die(new Error("cut")) : Effect.void }
  readonly failing = { before: () => this.broken ? Effect.fail("down") : Effect.void }
  readonly locked = { undo: () => this.broken ? Effect.fail("locked") : Effect.void }
  readonly held = { before: () => this.gate.pass }

  mend(): void {
    this.broken = false
  }
}

// ------------------------------------------------------------------------------------------- situations

/** How an execution comes to be as a person on call finds it. Returns an engine that has its saga. */
interface Situation {
  readonly state: SagaEngineState
  readonly saga: (world: Trouble) => AnyTrip
  readonly come: (store: StoreService, world: Trouble, saga: AnyTrip) => Effect.Effect<Booted, unknown, any>
}

type SagaEngineState = Effect.Success<ReturnType<SagaEngineService["list"]>>["executions"][number]["state"]

/** Runs it until its row says so. */
const until = (wanted: SagaEngineState): Situation["come"] => (store, _, saga) =>
  Effect.gen(function*() {
    const booted = yield* boot(store, [saga], { poll: 20 })
    yield* booted.engine.start(saga, undefined, id)
    yield* state(store.journal, "e", wanted)
    return booted
  })

const held: Situation["come"] = (store, world, saga) =>
  Effect.gen(function*() {
    const booted = yield* boot(store, [saga], { poll: 20 })
    yield* booted.engine.start(saga, undefined, id)
    yield* world.gate.reached
    return booted
  })

const killing = { quarantineAfter: 1, poll: 20 }

/** Dies with it until it is parked. */
const quarantined: Situation["come"] = (store, world, saga) =>
  Effect.gen(function*() {
    for (let boots = 0; boots < 2; boots++) {
      const before = world.gate.count
      const doomed = yield* boot(store, [saga], killing)
      if (boots === 0) yield* doomed.engine.start(saga, undefined, id)
      yield* eventually("it is in it", Effect.sync(() => world.gate.count > before))
      yield* doomed.kill
    }
    const booted = yield* boot(store, [saga], killing)
    yield* state(store.journal, "e", "Stuck")
    return booted
  })

const undecodable: Situation["come"] = (store, _, saga) =>
  Effect.gen(function*() {
    const first = yield* boot(store, [saga])
    yield* first.engine.start(saga, undefined, id)
    yield* state(store.journal, "e", "Waiting")
    yield* first.close
    const facts = yield* store.journal.facts("e", 0)
    const { data, sequence } = facts.find(({ tag }) => tag === "StepSucceeded")!
    yield* store.tamper("e", sequence, data.replace("\"result\":\"a\"", "\"result\":5"))
    yield* TestClock.adjust("1 hour")
    const booted = yield* boot(store, [saga], { poll: 20 })
    yield* state(store.journal, "e", "Stuck")
    return booted
  })

const changed: Situation["come"] = (store, world, saga) =>
  Effect.gen(function*() {
    const first = yield* boot(store, [saga])
    yield* first.engine.start(saga, undefined, id)
    yield* state(store.journal, "e", "Waiting")
    yield* first.close
    yield* TestClock.adjust("1 hour")
    const other: AnyTrip = trip.pipe(Saga.step("other", world.step()))
    const second = yield* boot(store, [other], { poll: 20 })
    yield* state(store.journal, "e", "Stuck")
    return second
  })

const situations = {
  "running": {
    state: "Running",
    saga: (world) => trip.pipe(Saga.step("a", world.step()), Saga.step("b", world.step(world.held))),
    come: held
  },
  "running behind its commit point": {
    state: "Running",
    saga: (world) =>
      trip.pipe(
        Saga.step("a", world.step()),
        Saga.retriable("b", { ...world.action(world.held), retry: Schedule.forever })
      ),
    come: held
  },
  "waiting": {
    state: "Waiting",
    saga: (world) => trip.pipe(Saga.step("a", world.step()), Saga.sleep("pause", "1 day")),
    come: until("Waiting")
  },
  "compensating": {
    state: "Compensating",
    saga: (world) =>
      trip.pipe(Saga.step("a", world.step({ undo: () => world.gate.pass })), Saga.check("no", world.fails())),
    come: held
  },
  "stuck, a compensation failed": {
    state: "Stuck",
    saga: (world) =>
      trip.pipe(
        Saga.step("a", world.step()),
        Saga.step("b", { ...world.step(world.locked), compensationRetry: once }),
        Saga.check("no", world.fails())
      ),
    come: until("Stuck")
  },
  "stuck, an action is uncertain": {
    state: "Stuck",
    saga: (world) =>
      trip.pipe(
        Saga.step("a", world.step()),
        Saga.step("b", { ...world.step(world.lost), whenUncertain: "stuck" }),
        Saga.step("c", world.step())
      ),
    come: until("Stuck")
  },
  "stuck, the pivot is uncertain": {
    state: "Stuck",
    saga: (world) =>
      trip.pipe(
        Saga.step("a", world.step()),
        Saga.pivot("b", world.action(world.lost)),
        Saga.retriable("c", { ...world.action(), retry: once })
      ),
    come: until("Stuck")
  },
  "stuck, a retriable is exhausted": {
    state: "Stuck",
    saga: (world) =>
      trip.pipe(
        Saga.step("a", world.step()),
        Saga.retriable("b", { ...world.action(world.failing), retry: once }),
        Saga.retriable("c", { ...world.action(), retry: once })
      ),
    come: until("Stuck")
  },
  "stuck, quarantined": {
    state: "Stuck",
    saga: (world) =>
      trip.pipe(
        Saga.step("a", world.step()),
        Saga.step("b", world.step({ before: () => world.broken ? world.gate.pass : Effect.void }))
      ),
    come: quarantined
  },
  "stuck, undecodable": {
    state: "Stuck",
    saga: (world) =>
      trip.pipe(Saga.step("a", world.step()), Saga.sleep("pause", "1 hour"), Saga.step("b", world.step())),
    come: undecodable
  },
  "stuck, its definition has changed": {
    state: "Stuck",
    saga: (world) =>
      trip.pipe(Saga.step("a", world.step()), Saga.sleep("pause", "1 hour"), Saga.step("b", world.step())),
    come: changed
  },
  "succeeded": {
    state: "Succeeded",
    saga: (world) => trip.pipe(Saga.step("a", world.step())),
    come: until("Succeeded")
  },
  "compensated": {
    state: "Compensated",
    saga: (world) => trip.pipe(Saga.step("a", world.step()), Saga.check("no", world.fails())),
    come: until("Compensated")
  },
  "abandoned": {
    state: "Abandoned",
    saga: (world) => trip.pipe(Saga.step("a", world.step()), Saga.sleep("pause", "1 day")),
    come: (store, world, saga) =>
      Effect.tap(until("Waiting")(store, world, saga), ({ engine }) => engine.abandon("e", bob))
  }
} satisfies Readonly<Record<string, Situation>>

type Name = keyof typeof situations

// ------------------------------------------------------------------------------------------- the table

/** What a verb does: it is done, or the tag of its error. */
const verbs = {
  retry: (engine) => engine.retry("e", ann),
  skip: (engine) => engine.skip("e", "b", "b", ann),
  "skip without a value": (engine) => engine.skip("e", "b", undefined, ann),
  compensate: (engine) => engine.compensate("e", ann),
  abandon: (engine) => engine.abandon("e", ann),
  rerun: (engine) => engine.rerun("e", ann)
} satisfies Readonly<Record<string, (engine: SagaEngineService) => Effect.Effect<unknown, unknown>>>

type Verb = keyof typeof verbs

/** The columns in the order of `verbs`. */
const table: Readonly<Record<Name, readonly [string, string, string, string, string, string]>> = {
  "running": ["VerbRefused", "VerbRefused", "VerbRefused", "done", "done", "VerbRefused"],
  "running behind its commit point": [
    "VerbRefused",
    "VerbRefused",
    "VerbRefused",
    "AlreadyCommitted",
    "done",
    "VerbRefused"
  ],
  "waiting": ["VerbRefused", "VerbRefused", "VerbRefused", "done", "done", "VerbRefused"],
  "compensating": ["VerbRefused", "VerbRefused", "VerbRefused", "VerbRefused", "done", "VerbRefused"],
  "stuck, a compensation failed": ["done", "VerbRefused", "done", "done", "done", "VerbRefused"],
  "stuck, an action is uncertain": ["done", "done", "VerbRefused", "done", "done", "VerbRefused"],
  "stuck, the pivot is uncertain": ["done", "done", "VerbRefused", "done", "done", "VerbRefused"],
  "stuck, a retriable is exhausted": ["done", "done", "VerbRefused", "AlreadyCommitted", "done", "VerbRefused"],
  "stuck, quarantined": ["done", "VerbRefused", "VerbRefused", "done", "done", "VerbRefused"],
  "stuck, undecodable": ["done", "VerbRefused", "VerbRefused", "VerbRefused", "done", "VerbRefused"],
  "stuck, its definition has changed": ["done", "VerbRefused", "VerbRefused", "VerbRefused", "done", "VerbRefused"],
  "succeeded": ["AlreadyFinal", "AlreadyFinal", "AlreadyFinal", "AlreadyFinal", "AlreadyFinal", "done"],
  "compensated": ["AlreadyFinal", "AlreadyFinal", "AlreadyFinal", "AlreadyFinal", "AlreadyFinal", "done"],
  "abandoned": ["AlreadyFinal", "AlreadyFinal", "AlreadyFinal", "AlreadyFinal", "AlreadyFinal", "done"]
}

export const suite = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)

  describe(`${name}: every verb in every state`, () => {
    for (const situation of Object.keys(table) as ReadonlyArray<Name>) {
      for (const [column, verb] of (Object.keys(verbs) as ReadonlyArray<Verb>).entries()) {
        const expected = table[situation][column]!
        fault(`${situation}: ${verb} is ${expected}`, (store) =>
          Effect.gen(function*() {
            const world = new Trouble()
            const { come, saga, state: wanted } = situations[situation] as Situation
            const { engine } = yield* come(store, world, saga(world))
            const before = yield* store.journal.facts("e", 0)
            const row = Option.getOrThrow(yield* engine.poll("e"))
            assert.strictEqual(row.state, wanted)
            const exit = yield* inTime("an answer", Effect.exit<unknown, unknown, never>(verbs[verb](engine)))
            if (expected === "done") {
              assert.isTrue(Exit.isSuccess(exit), String(exit))
              // Who and why, for ever.
              const history = yield* engine.history(verb === "rerun" ? (exit as Exit.Success<string>).value : "e")
              assert.isTrue(history.some(({ actor, comment }) => actor === "ann" && comment === "ticket 7"))
              assert.isTrue(
                Result.isSuccess(SagaState.fold(history.flatMap(({ event }) => event ?? []))) ||
                  situation === "stuck, undecodable"
              )
              if (verb === "abandon") yield* state(store.journal, "e", "Abandoned")
              if (verb === "compensate" && situation !== "stuck, a compensation failed") {
                world.mend()
                yield* world.gate.open
                yield* state(store.journal, "e", "Compensated")
                assert.deepStrictEqual(world.inPlace("e").filter((path) => path !== "b"), [])
              }
            } else {
              const error = errorOf(exit) as { readonly _tag: string; readonly message: string }
              assert.strictEqual(error._tag, expected)
              if (expected === "VerbRefused") assert.include(error.message, `it is ${wanted}. `)
              if (expected === "AlreadyFinal") assert.include(error.message, `it is ${wanted}`)
              // A compensate that was refused because of the commit point is on record: its owner has answered.
              const after = (yield* store.journal.facts("e", 0)).filter(({ tag }) => tag !== "CancelRefused")
              assert.deepStrictEqual(after, before)
              assert.deepStrictEqual(Option.getOrThrow(yield* engine.poll("e")), row)
            }
            yield* world.gate.open
            yield* world.check
          }))
      }
    }

    for (const verb of Object.keys(verbs) as ReadonlyArray<Verb>) {
      fault(`unknown: ${verb} says so`, (store) =>
        Effect.gen(function*() {
          const { engine } = yield* boot(store, [trip])
          assert.strictEqual(
            tagOf(yield* Effect.exit<unknown, unknown, never>(verbs[verb](engine))),
            "ExecutionNotFound"
          )
        }))
    }
  })

  deciding(name, backend)
  onCall(name, backend)
}

// ------------------------------------------------------------------------------------------- deciding

const deciding = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)
  const stuck = (store: StoreService, situation: Name = "stuck, a retriable is exhausted") =>
    Effect.gen(function*() {
      const world = new Trouble()
      const { come, saga } = situations[situation] as Situation
      const its = saga(world)
      const booted = yield* come(store, world, its)
      return { ...booted, world, saga: its }
    })

  describe(`${name}: deciding`, () => {
    for (const verb of ["retry", "skip", "compensate", "abandon", "rerun"] as const) {
      fault(`${verb} wants to know who and why, in few words`, (store) =>
        Effect.gen(function*() {
          const { engine } = yield* stuck(store)
          const by = (actor: string, comment: string): Effect.Effect<unknown, unknown> =>
            verb === "skip"
              ? engine.skip("e", "b", "b", { actor, comment })
              : verb === "rerun"
              ? engine.rerun("e", { actor, comment })
              : engine[verb]("e", { actor, comment })
          for (
            const [actor, comment, why] of [
              ["", "why", "who decides"],
              ["ann", " \n", "who decides"],
              ["a".repeat(201), "why", "more than 200"],
              ["ann", "w".repeat(4_001), "more than 4000"]
            ] as const
          ) {
            const error = errorOf(yield* Effect.exit(by(actor, comment))) as { readonly message: string }
            assert.include(error.message, why)
          }
          assert.strictEqual(Option.getOrThrow(yield* engine.poll("e")).state, "Stuck")
        }))
    }

    fault("two persons at once: one is obeyed, the other is told who was first", (store) =>
      Effect.gen(function*() {
        const { engine, world } = yield* stuck(store)
        world.mend()
        const exits = yield* Effect.all(
          [ann, bob].map((by) => Effect.exit(engine.abandon("e", by))),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
        assert.strictEqual(tagOf(exits.find(Exit.isFailure)!), "AlreadyFinal")
        const words = yield* told(store.journal, "e")
        assert.strictEqual(words.filter((word) => word === "SagaAbandoned").length, 1)
      }))

    fault(
      "two persons at once, on two engines: the second is told who was first and what was decided",
      (alone) =>
        Effect.gen(function*() {
          const store = backend.shared ? together(alone) : alone
          const { engine, world } = yield* stuck(store, "stuck, a compensation failed")
          // It is stuck again at once, or goes on: what the second finds is either, and it was not the first.
          const gate = new Gate()
          const waits = { ...store.journal, claim: () => Effect.andThen(gate.pass, Effect.succeed([])) }
          const exits = yield* Effect.gen(function*() {
            const other = backend.shared ? (yield* boot({ ...store, journal: waits }, [])).engine : engine
            const first = yield* Effect.exit(other.skip("e", "b", undefined, ann))
            return [first, yield* Effect.exit(engine.retry("e", bob))] as const
          })
          assert.isTrue(Exit.isSuccess(exits[0]), String(exits[0]))
          const second = exits[1]
          if (Exit.isFailure(second) && tagOf(second) === "VerbRefused") {
            assert.include(
              (errorOf(second) as { readonly message: string }).message,
              "ann was first: CompensationSkipped"
            )
          } else assert.strictEqual(tagOf(second), "AlreadyFinal")
          yield* gate.open
          yield* state(store.journal, "e", "Compensated")
          assert.strictEqual(world.text("e"), "+a +b !no -a")
        })
    )

    fault(
      "a value that does not fit its step is refused with the reason, and the execution stays as it is",
      (store) =>
        Effect.gen(function*() {
          const { engine } = yield* stuck(store, "stuck, an action is uncertain")
          const error = errorOf(yield* Effect.exit(engine.skip("e", "b", 5, ann))) as { readonly message: string }
          assert.include(error.message, "The value is none of \"b\": Expected string")
          const none = errorOf(yield* Effect.exit(engine.skip("e", "c", "c", ann))) as { readonly message: string }
          assert.include(none.message, "Open are b")
          assert.strictEqual(Option.getOrThrow(yield* engine.poll("e")).state, "Stuck")
        })
    )

    fault(
      "of several open paths each is settled by itself, and behind the last one it goes on",
      (store) =>
        Effect.gen(function*() {
          const world = new Trouble()
          const saga: AnyTrip = trip.pipe(
            Saga.parallel((fork) => [
              fork.pipe(Saga.step("a", { ...world.step(world.locked), compensationRetry: once })),
              fork.pipe(Saga.step("b", { ...world.step(world.locked), compensationRetry: once })),
              fork.pipe(Saga.step("c", { ...world.step(world.locked), compensationRetry: once }))
            ]),
            Saga.check("no", world.fails())
          )
          const { engine } = yield* until("Stuck")(store, world, saga)
          yield* engine.skip("e", "b", undefined, ann)
          assert.strictEqual(Option.getOrThrow(yield* engine.poll("e")).state, "Stuck")
          const why = yield* problem(store.journal, "e")
          assert.match(why, /^CompensationFailed: (?:a, c|c, a)$/)
          assert.include(
            (errorOf(yield* Effect.exit(engine.skip("e", "b", undefined, bob))) as { readonly message: string })
              .message,
            "There is nothing to skip at \"b\""
          )
          world.mend()
          yield* engine.retry("e", bob)
          assert.strictEqual(errorOf(yield* inTime("it ends", Effect.exit(engine.await(saga, "e")))), "no")
          const outcome = yield* engine.outcome(saga, "e")
          assert.strictEqual(outcome._tag, "Compensated")
          assert.deepStrictEqual(world.inPlace("e"), ["b"])
        })
    )

    fault("compensate says when nobody answers, and the request stands", (store) =>
      Effect.gen(function*() {
        const world = new Trouble()
        const saga = (situations["waiting"] as Situation).saga(world)
        const owner = yield* boot(store, [saga], { evictAfter: 0 })
        yield* owner.engine.start(saga, undefined, id)
        yield* state(store.journal, "e", "Waiting")
        yield* owner.close
        const other = yield* boot(store, [], { lease: "300 millis", poll: 20 })
        const error = errorOf(yield* inTime("an answer", Effect.exit(other.engine.compensate("e", ann))))
        assert.include((error as { readonly message: string }).message, "The request stands")
        yield* other.close
        yield* boot(store, [saga], { poll: 20 })
        yield* state(store.journal, "e", "Compensated")
        assert.strictEqual(world.text("e"), "+a -a")
      }))

    fault("who waits for a stuck execution gets its end when a person has decided", (store) =>
      Effect.gen(function*() {
        const { engine, saga, world } = yield* stuck(store)
        const waiting = yield* Effect.forkChild(engine.await(saga, "e"), { startImmediately: true })
        world.mend()
        yield* engine.retry("e", ann)
        assert.deepStrictEqual(yield* inTime("the end", Fiber.join(waiting)), { a: "a", b: "b", c: "c" })
      }))

    fault("who waits for an execution that is abandoned is told so", (store) =>
      Effect.gen(function*() {
        const { engine, saga } = yield* stuck(store)
        const waiting = yield* Effect.forkChild(Effect.exit(engine.await(saga, "e")), { startImmediately: true })
        yield* engine.abandon("e", ann)
        assert.strictEqual(tagOf(yield* inTime("the end", Fiber.join(waiting))), "ExecutionAbandoned")
        assert.strictEqual(tagOf(yield* Effect.exit(engine.outcome(saga, "e"))), "ExecutionAbandoned")
      }))

    fault(
      "an execution that runs is abandoned: what is in flight is cut, and nothing of it is recorded",
      (store) =>
        Effect.gen(function*() {
          const { engine, world } = yield* stuck(store, "running")
          const before = yield* told(store.journal, "e")
          yield* engine.abandon("e", ann)
          yield* world.gate.open
          yield* eventually("it is cut", Effect.sync(() => world.gate.inside === 0))
          assert.deepStrictEqual(yield* told(store.journal, "e"), [...before, "SagaAbandoned"])
          assert.strictEqual(world.text("e"), "+a")
        })
    )

    fault(
      "retry has all the tries of a schedule again, and behind them it is stuck again",
      (store) =>
        Effect.gen(function*() {
          const world = new Trouble()
          const saga: AnyTrip = trip.pipe(
            Saga.retriable("b", { ...world.action(world.failing), retry: Schedule.recurs(2) })
          )
          const { engine } = yield* until("Stuck")(store, world, saga)
          assert.strictEqual(world.text("e"), "!b !b !b")
          yield* engine.retry("e", ann)
          yield* eventually("it is tried again", Effect.sync(() => world.text("e") === "!b !b !b !b !b !b"))
          yield* state(store.journal, "e", "Stuck")
          const plan = yield* engine.plan("e")
          assert.strictEqual(plan.steps[0]!.attempts, 6)
          const words = yield* told(store.journal, "e")
          assert.strictEqual(words.filter((word) => word === "SagaStuck").length, 2)
        })
    )

    fault("a decision survives a crash right behind it", (store) =>
      Effect.gen(function*() {
        const { kill, saga, world } = yield* stuck(store, "stuck, an action is uncertain")
        yield* kill
        // An engine without the saga decides and dies.
        const other = yield* boot(store, [], { poll: 20 })
        yield* other.engine.retry("e", ann)
        yield* other.kill
        world.mend()
        const last = yield* boot(store, [saga], { poll: 20 })
        assert.deepStrictEqual(yield* inTime("it ends", last.engine.await(saga, "e")), { a: "a", b: "b", c: "c" })
        assert.strictEqual(world.text("e"), "+a +b =b +c")
        yield* world.check
      }))
  })
}

// ------------------------------------------------------------------------------------------- on call

const onCall = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)
  /** Somebody is called: comes to a stuck execution. */
  const called = (store: StoreService, situation: Name) =>
    Effect.gen(function*() {
      const world = new Trouble()
      const { come, saga } = situations[situation] as Situation
      const its = saga(world)
      const booted = yield* come(store, world, its)
      const { executions } = yield* booted.engine.list({ state: "Stuck" })
      assert.deepStrictEqual(executions.map(({ executionId }) => executionId), ["e"])
      return { ...booted, world, saga: its, problem: executions[0]!.problem! }
    })
  const end = (booted: Booted, saga: AnyTrip) => inTime("it ends", booted.engine.outcome(saga, "e"))

  describe(`${name}: on call`, () => {
    fault("a compensation failed, and its cause is mended: retry", (store) =>
      Effect.gen(function*() {
        const found = yield* called(store, "stuck, a compensation failed")
        // What compensate, or retry, will do.
        const { allowed, compensated } = (yield* found.engine.plan("e")).ifUnwoundNow
        assert.deepStrictEqual({ allowed, compensated }, { allowed: true, compensated: ["b"] })
        assert.strictEqual(found.problem, "CompensationFailed: b")
        found.world.mend()
        yield* found.engine.retry("e", ann)
        const outcome = yield* end(found, found.saga)
        assert.strictEqual(outcome._tag, "Compensated")
        assert.strictEqual(found.world.text("e"), "+a +b !no -a -b")
        yield* found.world.check
      }))

    fault("a compensation failed, and was done by hand: skip", (store) =>
      Effect.gen(function*() {
        const found = yield* called(store, "stuck, a compensation failed")
        yield* found.engine.skip("e", "b", undefined, ann)
        const outcome = yield* end(found, found.saga)
        assert.strictEqual(outcome._tag, "Compensated")
        assert.deepStrictEqual(found.world.inPlace("e"), ["b"])
        if (outcome._tag === "Compensated") assert.deepStrictEqual([...outcome.compensated].sort(), ["a", "b"])
      }))

    fault(
      "an action is uncertain, and its participant says that it took place: skip with what it gave",
      (store) =>
        Effect.gen(function*() {
          const found = yield* called(store, "stuck, an action is uncertain")
          assert.strictEqual(found.problem, "StepUncertain: b")
          const { executions } = yield* found.engine.list({ uncertain: true })
          assert.strictEqual(executions.length, 1)
          yield* found.engine.skip("e", "b", "b", ann)
          const outcome = yield* end(found, found.saga)
          assert.deepStrictEqual(outcome, { _tag: "Succeeded", executionId: "e", result: { a: "a", b: "b", c: "c" } })
          assert.strictEqual(found.world.text("e"), "+a +b +c")
          assert.isFalse(Option.getOrThrow(yield* found.engine.poll("e")).uncertain)
        })
    )

    fault("an action is uncertain, and can be asked again with its key: retry", (store) =>
      Effect.gen(function*() {
        const found = yield* called(store, "stuck, an action is uncertain")
        found.world.mend()
        yield* found.engine.retry("e", ann)
        assert.strictEqual((yield* end(found, found.saga))._tag, "Succeeded")
        assert.strictEqual(found.world.text("e"), "+a +b =b +c")
        yield* found.world.check
      }))

    fault(
      "an action is uncertain, and nobody can say: compensate, and it is reported",
      (store) =>
        Effect.gen(function*() {
          const found = yield* called(store, "stuck, an action is uncertain")
          const plan = yield* found.engine.plan("e")
          assert.deepStrictEqual(plan.ifUnwoundNow.compensated, ["a"])
          yield* found.engine.compensate("e", ann)
          const outcome = yield* end(found, found.saga)
          assert.strictEqual(outcome._tag, "Compensated")
          if (outcome._tag === "Compensated") assert.deepStrictEqual(outcome.uncertain.map(({ path }) => path), ["b"])
          assert.strictEqual(found.world.text("e"), "+a +b -a")
          assert.isTrue(Option.getOrThrow(yield* found.engine.poll("e")).uncertain)
        })
    )

    fault("the pivot is uncertain, and took place: skip with what it gave", (store) =>
      Effect.gen(function*() {
        const found = yield* called(store, "stuck, the pivot is uncertain")
        assert.strictEqual(found.problem, "PivotUncertain: b")
        yield* found.engine.skip("e", "b", "b", ann)
        assert.strictEqual((yield* end(found, found.saga))._tag, "Succeeded")
        assert.strictEqual(found.world.text("e"), "+a +b +c")
      }))

    fault("the pivot is uncertain, and did not take place: compensate", (store) =>
      Effect.gen(function*() {
        const found = yield* called(store, "stuck, the pivot is uncertain")
        yield* found.engine.compensate("e", ann)
        const outcome = yield* end(found, found.saga)
        assert.strictEqual(outcome._tag, "Compensated")
        if (outcome._tag === "Compensated") assert.deepStrictEqual(outcome.uncertain.map(({ path }) => path), ["b"])
        assert.strictEqual(found.world.text("e"), "+a +b -a")
      }))

    fault("the pivot is uncertain, and may be asked again: retry", (store) =>
      Effect.gen(function*() {
        const found = yield* called(store, "stuck, the pivot is uncertain")
        found.world.mend()
        yield* found.engine.retry("e", ann)
        assert.strictEqual((yield* end(found, found.saga))._tag, "Succeeded")
        assert.strictEqual(found.world.text("e"), "+a +b =b +c")
      }))

    fault("a retriable is exhausted: retry when its participant is back", (store) =>
      Effect.gen(function*() {
        const found = yield* called(store, "stuck, a retriable is exhausted")
        assert.strictEqual(found.problem, "ForwardRecoveryFailed: b")
        found.world.mend()
        yield* found.engine.retry("e", ann)
        assert.strictEqual((yield* end(found, found.saga))._tag, "Succeeded")
        assert.strictEqual(found.world.text("e"), "+a !b +b +c")
      }))

    fault("a retriable is exhausted, and was done by hand: skip with what it gave", (store) =>
      Effect.gen(function*() {
        const found = yield* called(store, "stuck, a retriable is exhausted")
        yield* found.engine.skip("e", "b", "by hand", ann)
        const outcome = yield* end(found, found.saga)
        assert.deepStrictEqual(outcome._tag === "Succeeded" && outcome.result, { a: "a", b: "by hand", c: "c" })
      }))

    fault("it kills its process: retry once that is mended, and it goes on", (store) =>
      Effect.gen(function*() {
        const found = yield* called(store, "stuck, quarantined")
        assert.include(found.problem, "Quarantined: 2 engines in a row")
        found.world.mend()
        yield* found.engine.retry("e", ann)
        assert.strictEqual((yield* end(found, found.saga))._tag, "Succeeded")
        assert.strictEqual(found.world.text("e"), "+a +b")
      }))

    fault(
      "it kills its process, and will again: compensate, and what was in flight is reported",
      (store) =>
        Effect.gen(function*() {
          const found = yield* called(store, "stuck, quarantined")
          yield* found.engine.compensate("e", ann)
          const outcome = yield* end(found, found.saga)
          assert.strictEqual(outcome._tag, "Compensated")
          if (outcome._tag === "Compensated") {
            assert.deepStrictEqual(outcome.uncertain.map(({ path, reason }) => [path, reason]), [["b", "ProcessLost"]])
          }
          assert.strictEqual(found.world.text("e"), "+a -a")
        })
    )

    fault("its definition has changed: retry when the old one is back", (store) =>
      Effect.gen(function*() {
        const found = yield* called(store, "stuck, its definition has changed")
        assert.include(found.problem, "DefinitionChanged: ")
        yield* found.close
        const old = yield* boot(store, [found.saga], { poll: 20 })
        yield* old.engine.retry("e", ann)
        assert.strictEqual((yield* end(old, found.saga))._tag, "Succeeded")
        assert.strictEqual(found.world.text("e"), "+a +b")
      }))

    fault("its definition has changed for good: abandon, and do it again", (store) =>
      Effect.gen(function*() {
        const found = yield* called(store, "stuck, its definition has changed")
        yield* found.engine.abandon("e", ann)
        const again = yield* found.engine.rerun("e", ann)
        yield* state(store.journal, again, "Succeeded")
        assert.strictEqual(found.world.text(again), "+other")
        assert.match(again, /^e~/)
        const [first] = yield* found.engine.history(again)
        assert.deepInclude(first!.event, { rerunOf: "e", actor: "ann", comment: "ticket 7" })
      }))

    fault("a row cannot be decoded: retry when the schema can, or abandon it", (store) =>
      Effect.gen(function*() {
        const found = yield* called(store, "stuck, undecodable")
        assert.include(found.problem, "Undecodable: StepSucceeded of \"a\"")
        // Retried too early it is parked again, and says so again.
        yield* found.engine.retry("e", ann)
        yield* fact(store.journal, "e", "RetryRequested")
        yield* state(store.journal, "e", "Stuck")
        assert.include(yield* problem(store.journal, "e"), "Undecodable: ")
        yield* found.engine.abandon("e", ann)
        assert.strictEqual(Option.getOrThrow(yield* found.engine.poll("e")).state, "Abandoned")
        const history = yield* found.engine.history("e")
        assert.deepStrictEqual(history.slice(-2).map(({ actor, event }) => [actor, event?._tag]), [
          ["ann", "RetryRequested"],
          ["ann", "SagaAbandoned"]
        ])
      }))

    fault(
      "many are stuck for one reason: look how many, and decide about all of them",
      (store) =>
        Effect.gen(function*() {
          const world = new Trouble()
          const saga: AnyTrip = trip.pipe(Saga.retriable("b", { ...world.action(world.failing), retry: once }))
          const { engine } = yield* boot(store, [saga], { poll: 20 })
          for (let index = 0; index < 7; index++) {
            yield* engine.start(saga, undefined, { executionId: `e${index}` })
          }
          const stuck = { state: "Stuck", saga: "Trip" } as const
          yield* eventually("all are stuck", Effect.map(engine.preview(stuck), (count) => count === 7))
          assert.deepStrictEqual(yield* engine.counts({ saga: "Trip" }), [
            { saga: "Trip", version: 1, state: "Stuck", count: 7 }
          ])
          world.mend()
          const progress = yield* inTime(
            "the bulk",
            Stream.runCollect(engine.bulk("retry", stuck, ann, { perSecond: Infinity }))
          )
          assert.deepStrictEqual(progress.map(({ decided }) => decided), [1, 2, 3, 4, 5, 6, 7])
          assert.isTrue(progress.every(({ refusals, refused }) => refusals === 0 && refused === undefined))
          yield* eventually("all end", Effect.map(engine.preview({ state: "Succeeded" }), (count) => count === 7))
        })
    )
  })
}
