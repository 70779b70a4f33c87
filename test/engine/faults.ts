/** Faults 28 to 43: crash, takeover, identity. Every store runs all of it. */
import { assert, describe } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option, Result, Schedule, Schema, Stream } from "effect"
import { Saga, SagaState } from "effect-saga"
import type { Journal } from "effect-saga/SagaJournal"
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
  logged,
  state,
  tagOf,
  together,
  told,
  turn,
  World
} from "./world.ts"

/** How most sagas here begin. */
const trip = Saga.make("Trip", { payload: Schema.Void })
const id = { executionId: "e" }

/** Never suspects anybody: most tests kill more engines than one would in a lifetime. */
const patient = { quarantineAfter: 1_000 }

/** Nothing that is recorded contradicts anything. */
const legal = (journal: Journal, booted: Booted, saga: Saga.AnySaga, executionId = "e") =>
  Effect.gen(function*() {
    const facts = yield* Stream.runCollect(booted.engine.events(saga as never, executionId))
    const folded = SagaState.fold(Array.from(facts))
    assert.isTrue(Result.isSuccess(folded), JSON.stringify(folded))
    const row = Option.getOrThrow(yield* journal.find(executionId))
    assert.strictEqual(Result.getOrThrow(folded).status, row.state)
    return Array.from(facts)
  })

/** How often something is among the facts. */
const timesOf = (facts: ReadonlyArray<string>, words: string): number => facts.filter((one) => one === words).length

export const suite = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)

  describe(`${name}: crash and takeover`, () => {
    fault(
      "F28 crash before the start is recorded: nothing ran, starting again is safe",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = trip.pipe(Saga.step("a", world.step()))
          const asked = yield* Deferred.make<void>()
          const first = yield* boot(store, [saga], {
            through: (journal) => ({
              ...journal,
              write: () => Effect.andThen(Deferred.succeed(asked, undefined), Effect.never)
            })
          })
          yield* Effect.forkChild(first.engine.execute(saga, undefined, id), { startImmediately: true })
          yield* inTime("the start is to be written", Deferred.await(asked))
          yield* first.kill
          const second = yield* boot(store, [saga])
          assert.isTrue(Option.isNone(yield* second.engine.poll("e")))
          assert.strictEqual(tagOf(yield* Effect.exit(second.engine.await(saga, "e"))), "ExecutionNotFound")
          assert.strictEqual(world.text("e"), "")
          assert.deepStrictEqual(yield* second.engine.execute(saga, undefined, id), { a: "a" })
          assert.strictEqual(world.text("e"), "+a")
          yield* world.check
        })
    )

    fault("F29 crash after the start, before step 1: resumes alone", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(
          Saga.when("if", () => true, (fork) => fork.pipe(Saga.step("a", world.step())))
        )
        const first = yield* boot(store, [saga], { dieAt: 1 })
        yield* Effect.forkChild(first.engine.start(saga, undefined, id), { startImmediately: true })
        yield* first.died
        assert.deepStrictEqual(yield* told(store.journal, "e"), ["SagaStarted"])
        assert.strictEqual(world.text("e"), "")
        const second = yield* boot(store, [saga])
        yield* state(store.journal, "e", "Succeeded")
        assert.strictEqual(world.text("e"), "+if/a")
        assert.deepStrictEqual(yield* second.engine.await(saga, "e"), { if: { a: "if/a" } })
        yield* legal(store.journal, second, saga)
        yield* world.check
      }))

    fault(
      "F29 started by a process that does not run it, which then dies: runs where it is known",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = trip.pipe(Saga.step("a", world.step()))
          const first = yield* boot(store, [])
          assert.strictEqual(yield* first.engine.start(saga, undefined, id), "e")
          yield* first.kill
          yield* boot(store, [saga])
          yield* state(store.journal, "e", "Succeeded")
          assert.strictEqual(world.text("e"), "+a")
          yield* world.check
        })
    )

    fault("F30 crash during an action: runs again with the same key", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = trip.pipe(
          Saga.step("a", world.step()),
          Saga.step("b", world.step({ before: () => gate.pass })),
          Saga.step("c", world.step())
        )
        const first = yield* boot(store, [saga])
        yield* first.engine.start(saga, undefined, id)
        yield* gate.reached
        yield* first.kill
        assert.strictEqual(world.text("e"), "+a")
        yield* gate.open
        const second = yield* boot(store, [saga])
        assert.deepStrictEqual(yield* second.engine.await(saga, "e"), { a: "a", b: "b", c: "c" })
        assert.strictEqual(gate.count, 2)
        assert.strictEqual(world.text("e"), "+a +b +c")
        yield* legal(store.journal, second, saga)
        yield* world.check
      }))

    fault(
      "F30 crash during an action that runs at most once: its outcome is unknown, what came before is undone",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const gate = new Gate()
          const saga = trip.pipe(
            Saga.step("a", world.step()),
            Saga.step("b", { ...world.step({ after: () => gate.pass }), delivery: "at-most-once" })
          )
          const first = yield* boot(store, [saga])
          yield* first.engine.start(saga, undefined, id)
          yield* gate.reached
          yield* first.kill
          yield* gate.open
          const second = yield* boot(store, [saga])
          const outcome = yield* second.engine.outcome(saga, "e")
          assert(outcome._tag === "Compensated")
          assert.deepStrictEqual(outcome.uncertain.map(({ path, reason }) => [path, reason]), [["b", "ProcessLost"]])
          assert.deepStrictEqual(outcome.compensated, ["a"])
          assert.strictEqual(world.text("e"), "+a +b -a")
          assert.deepStrictEqual(world.inPlace("e"), ["b"])
          yield* legal(store.journal, second, saga)
          yield* world.check
        })
    )

    fault("F31 effect done, fact not stored: called again with its key, done once", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = trip.pipe(Saga.step("a", world.step({ after: () => gate.pass })), Saga.step("b", world.step()))
        const first = yield* boot(store, [saga])
        yield* first.engine.start(saga, undefined, id)
        yield* gate.reached
        yield* first.kill
        yield* gate.open
        const second = yield* boot(store, [saga])
        yield* second.engine.await(saga, "e")
        assert.strictEqual(world.text("e"), "+a =a +b")
        yield* world.check
      }))

    fault("F32 crash after the fact: not run again", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(Saga.step("a", world.step()), Saga.step("b", world.step()))
        // The second write holds that a succeeded.
        const first = yield* boot(store, [saga], { dieAt: 2 })
        yield* first.engine.start(saga, undefined, id)
        yield* first.died
        assert.include(yield* told(store.journal, "e"), "StepSucceeded a")
        assert.strictEqual(world.text("e"), "+a")
        const second = yield* boot(store, [saga])
        assert.deepStrictEqual(yield* second.engine.await(saga, "e"), { a: "a", b: "b" })
        assert.strictEqual(world.text("e"), "+a +b")
        yield* world.check
      }))

    fault("F33 crash after the failure fact: unwinds, never goes forward", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const undoing = new Gate()
        const saga = trip.pipe(
          Saga.step("a", world.step({ undo: () => undoing.pass })),
          Saga.check("b", world.fails()),
          Saga.step("c", world.step())
        )
        const first = yield* boot(store, [saga])
        yield* first.engine.start(saga, undefined, id)
        yield* undoing.reached
        yield* first.kill
        assert.include(yield* told(store.journal, "e"), "StepFailed b")
        yield* undoing.open
        const second = yield* boot(store, [saga])
        assert.strictEqual(errorOf(yield* Effect.exit(second.engine.await(saga, "e"))), "no")
        assert.strictEqual(world.text("e"), "+a !b -a")
        assert.strictEqual(timesOf(yield* told(store.journal, "e"), "StepStarted b"), 1)
        yield* legal(store.journal, second, saga)
        yield* world.check
      }))

    fault("F34 crash in a compensation: that one again, not the others", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const undone = new Gate()
        const saga = trip.pipe(
          Saga.step("a", world.step()),
          Saga.step("b", world.step({ undone: () => undone.pass })),
          Saga.step("c", world.step()),
          Saga.check("d", world.fails())
        )
        const first = yield* boot(store, [saga])
        yield* first.engine.start(saga, undefined, id)
        yield* undone.reached
        yield* first.kill
        yield* undone.open
        const second = yield* boot(store, [saga])
        assert.strictEqual(errorOf(yield* Effect.exit(second.engine.await(saga, "e"))), "no")
        assert.strictEqual(world.text("e"), "+a +b +c !d -c -b =-b -a")
        assert.deepStrictEqual(world.inPlace("e"), [])
        yield* legal(store.journal, second, saga)
        yield* world.check
      }))

    fault("F35 crash after the last compensation: one outcome", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const undone = new Gate()
        const saga = trip.pipe(
          Saga.step("a", world.step({ undone: () => undone.pass })),
          Saga.check("b", world.fails())
        )
        const first = yield* boot(store, [saga])
        yield* first.engine.start(saga, undefined, id)
        yield* undone.reached
        assert.strictEqual(world.text("e"), "+a !b -a")
        yield* first.kill
        yield* undone.open
        const second = yield* boot(store, [saga])
        const exits = yield* Effect.all([1, 2, 3].map(() => Effect.exit(second.engine.await(saga, "e"))))
        assert.deepStrictEqual(exits.map(errorOf), ["no", "no", "no"])
        yield* second.close
        const third = yield* boot(store, [saga])
        assert.strictEqual(errorOf(yield* Effect.exit(third.engine.await(saga, "e"))), "no")
        assert.strictEqual(world.text("e"), "+a !b -a =-a")
        assert.strictEqual(timesOf(yield* told(store.journal, "e"), "SagaCompensated"), 1)
        yield* legal(store.journal, third, saga)
        yield* world.check
      }))

    fault("F35 crash after the last fact, before anybody is told: one outcome", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(Saga.step("a", world.step()), Saga.check("b", world.fails()))
        const count = yield* boot(store, [saga])
        yield* Effect.exit(count.engine.execute(saga, undefined, { executionId: "before" }))
        const { writes } = count.process
        yield* count.close
        const first = yield* boot(store, [saga], { dieAt: writes })
        yield* Effect.forkChild(Effect.exit(first.engine.execute(saga, undefined, id)), { startImmediately: true })
        yield* first.died
        assert.strictEqual((yield* told(store.journal, "e")).at(-1), "SagaCompensated")
        const second = yield* boot(store, [saga])
        assert.strictEqual(errorOf(yield* Effect.exit(second.engine.execute(saga, undefined, id))), "no")
        assert.strictEqual(world.text("e"), "+a !b -a")
        yield* world.check
      }))

    for (const fails of [false, true]) {
      fault(
        `F36 crash after each append, and twice in a row: a saga that ${fails ? "fails" : "succeeds"}`,
        (store) =>
          Effect.gen(function*() {
            const world = new World()
            const saga = trip.pipe(
              Saga.step("a", world.step()),
              Saga.parallel((fork) => [
                fork.pipe(Saga.step("b", world.step()), Saga.step("c", world.step())),
                fork.pipe(
                  Saga.forEach("lines", {
                    item: Schema.String,
                    items: () => ["x", "y"],
                    key: (item) => item,
                    concurrency: 2,
                    each: (fork) => fork.pipe(Saga.step("d", world.step()))
                  })
                )
              ]),
              fails ? Saga.check("end", world.fails()) : Saga.check("end", world.action())
            )
            const attempt = (executionId: string, deaths: ReadonlyArray<number>) =>
              Effect.gen(function*() {
                let seen = 0
                for (const dieAt of deaths) {
                  const doomed = yield* boot(store, [saga], { ...patient, dieAt })
                  const done = yield* Effect.forkChild(
                    Effect.exit(doomed.engine.execute(saga, undefined, { executionId }))
                  )
                  yield* eventually(
                    "it dies or ends",
                    Effect.sync(() => doomed.process.dead || done.pollUnsafe() !== undefined)
                  )
                  if (doomed.process.dead) {
                    seen++
                    yield* doomed.died
                  } else yield* doomed.close
                }
                const last = yield* boot(store, [saga], patient)
                const exit = yield* Effect.exit(
                  inTime("it ends", last.engine.execute(saga, undefined, { executionId }))
                )
                if (fails) assert.strictEqual(errorOf(exit), "no")
                else assert.isTrue(Exit.isSuccess(exit))
                const inPlace = fails ? [] : ["a", "b", "c", "end", "lines/x/d", "lines/y/d"]
                assert.deepStrictEqual(Array.from(world.inPlace(executionId)).sort(), inPlace, world.text(executionId))
                yield* legal(store.journal, last, saga, executionId)
                const { writes } = last.process
                yield* last.close
                return { writes, seen }
              })
            const { writes } = yield* attempt("whole", [])
            assert.isAtLeast(writes, 5)
            let deaths = 0
            for (let k = 1; k <= writes; k++) {
              deaths += (yield* attempt(`once ${k}`, [k])).seen
              deaths += (yield* attempt(`twice ${k}`, [k, 1 + (k % 2)])).seen
            }
            // Batches differ with the time that things take: the last places may be behind the end.
            assert.isAtLeast(deaths, writes)
            yield* world.check
          }),
        60_000
      )
    }

    fault("F37 crash while waiting: wakes once", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(
          Saga.step("a", world.step()),
          Saga.sleep("pause", "1 hour"),
          Saga.step("b", world.step())
        )
        // It stays in memory while it waits, and dies with its process.
        const first = yield* boot(store, [saga], { evictAfter: "2 hours" })
        yield* first.engine.start(saga, undefined, id)
        yield* fact(store.journal, "e", "TimerSet pause")
        yield* TestClock.adjust("30 minutes")
        yield* first.kill
        const second = yield* boot(store, [saga], { evictAfter: 0 })
        yield* state(store.journal, "e", "Waiting")
        yield* second.kill
        const third = yield* boot(store, [saga])
        yield* TestClock.adjust("29 minutes")
        yield* turn
        assert.strictEqual(world.text("e"), "+a")
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* inTime("it wakes", third.engine.await(saga, "e")), { a: "a", b: "b" })
        assert.strictEqual(world.text("e"), "+a +b")
        assert.strictEqual(timesOf(yield* told(store.journal, "e"), "TimerFired pause"), 1)
        yield* legal(store.journal, third, saga)
        yield* world.check
      }))

    fault("F37 due while no process was there: wakes once, as soon as there is one", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(Saga.sleep("pause", "1 hour"), Saga.step("b", world.step()))
        const first = yield* boot(store, [saga])
        yield* first.engine.start(saga, undefined, id)
        yield* state(store.journal, "e", "Waiting")
        yield* first.kill
        yield* TestClock.adjust("3 hours")
        const second = yield* boot(store, [saga])
        yield* inTime("it wakes", second.engine.await(saga, "e"))
        assert.strictEqual(world.text("e"), "+b")
        assert.strictEqual(timesOf(yield* told(store.journal, "e"), "TimerFired pause"), 1)
        yield* world.check
      }))

    fault(
      "F37 crash in the pause between two tries: the next try is the next, at its time",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const tries: Array<readonly [attempt: number, key: string]> = []
          const saga = trip.pipe(
            Saga.step("a", {
              ...world.step({
                before: ({ attempt, idempotencyKey }) => {
                  tries.push([attempt, idempotencyKey])
                  return attempt < 3 ? Effect.fail("busy") : Effect.void
                }
              }),
              retry: Schedule.spaced("1 hour")
            })
          )
          const first = yield* boot(store, [saga])
          yield* first.engine.start(saga, undefined, id)
          yield* state(store.journal, "e", "Waiting")
          yield* first.kill
          yield* TestClock.adjust("59 minutes")
          const second = yield* boot(store, [saga], { evictAfter: "1 day" })
          yield* turn
          assert.strictEqual(tries.length, 1)
          yield* TestClock.adjust("1 minute")
          yield* eventually("the second try", Effect.sync(() => tries.length === 2))
          yield* eventually(
            "both are on record",
            Effect.map(told(store.journal, "e"), (facts) => timesOf(facts, "StepAttemptFailed a") === 2)
          )
          yield* second.kill
          const third = yield* boot(store, [saga])
          yield* TestClock.adjust("1 hour")
          yield* inTime("it ends", third.engine.await(saga, "e"))
          assert.deepStrictEqual(tries, [[1, "e/a"], [2, "e/a"], [3, "e/a"]])
          assert.strictEqual(world.text("e"), "!a !a +a")
          yield* world.check
        })
    )
  })

  describe(`${name}: identity`, () => {
    const order = Saga.make("Order", {
      payload: Schema.Struct({ id: Schema.String, cents: Schema.Int, note: Schema.optionalKey(Schema.String) }),
      key: ({ id }) => id
    })

    fault("F38 same id, same payload: joins", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = order.pipe(Saga.step("a", world.step({ after: () => gate.pass })))
        const { close, engine } = yield* boot(store, [saga])
        const payload = { id: "1", cents: 5 }
        const running = yield* Effect.forkChild(engine.execute(saga, payload), { startImmediately: true })
        yield* gate.reached
        const joining = yield* Effect.forkChild(engine.execute(saga, { ...payload }), { startImmediately: true })
        assert.strictEqual(yield* engine.start(saga, payload), "Order/1")
        yield* gate.open
        assert.deepStrictEqual(yield* Fiber.join(running), { a: "a" })
        assert.deepStrictEqual(yield* Fiber.join(joining), { a: "a" })
        // It has ended, here and in the next process.
        assert.deepStrictEqual(yield* engine.execute(saga, payload), { a: "a" })
        yield* close
        const next = yield* boot(store, [saga])
        assert.deepStrictEqual(yield* next.engine.execute(saga, payload), { a: "a" })
        assert.strictEqual(world.text("Order/1"), "+a")
        yield* world.check
      }))

    fault("F39 same id, other payload: ExecutionConflict, both hashes shown", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = order.pipe(Saga.step("a", world.step({ after: () => gate.pass })))
        const other = Saga.make("Other", { payload: Schema.Void }).pipe(Saga.step("b", world.step()))
        const first = yield* boot(store, [saga, other])
        yield* first.engine.start(saga, { id: "1", cents: 5 })
        yield* gate.reached
        const refused = (booted: Booted) =>
          Effect.gen(function*() {
            const { engine } = booted
            const conflict = yield* Effect.flip(engine.start(saga, { id: "1", cents: 6 }))
            assert(conflict._tag === "ExecutionConflict")
            assert.notStrictEqual(conflict.payloadHash, conflict.existingPayloadHash)
            assert.include(conflict.message, conflict.payloadHash)
            assert.include(conflict.message, conflict.existingPayloadHash)
            assert.strictEqual(
              tagOf(yield* Effect.exit(engine.execute(saga, { id: "1", cents: 5, note: "x" }))),
              "ExecutionConflict"
            )
            const stranger = yield* Effect.flip(engine.start(other, undefined, { executionId: "Order/1" }))
            assert(stranger._tag === "ExecutionConflict")
            assert.deepStrictEqual([stranger.saga, stranger.existing], ["Other", "Order"])
            return [conflict.payloadHash, conflict.existingPayloadHash]
          })
        const here = yield* refused(first)
        yield* gate.open
        yield* state(store.journal, "Order/1", "Succeeded")
        yield* first.close
        // The same of an execution that is not in memory.
        assert.deepStrictEqual(yield* refused(yield* boot(store, [saga, other])), here)
        assert.strictEqual(world.text("Order/1"), "+a")
        yield* world.check
      }))

    fault("F40 100 starts of one id at once: one run, 100 equal answers", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = order.pipe(Saga.step("a", world.step()), Saga.step("b", world.step()))
        const engines = backend.shared ? yield* both(together(store), saga) : [yield* boot(store, [saga])]
        const answers = yield* Effect.forEach(
          Array.from({ length: 100 }, (_, index) => engines[index % engines.length]!),
          ({ engine }) => engine.execute(saga, { id: "1", cents: 5 }),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(answers, Array.from({ length: 100 }, () => ({ a: "a", b: "b" })))
        assert.strictEqual(world.text("Order/1"), "+a +b")
        assert.strictEqual(timesOf(yield* told(store.journal, "Order/1"), "SagaStarted"), 1)
        yield* world.check
      }))

    fault(
      "F40 100 starts of one id at once, of which half want something else: one run",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = order.pipe(Saga.step("a", world.step()))
          const { engine } = yield* boot(store, [saga])
          const exits = yield* Effect.forEach(
            Array.from({ length: 100 }, (_, index) => index % 2),
            (cents) => Effect.exit(engine.execute(saga, { id: "1", cents })),
            { concurrency: "unbounded" }
          )
          const odd = exits.filter((_, index) => index % 2 === 1)
          assert.strictEqual(exits.filter(Exit.isSuccess).length, 50)
          const conflicts = Exit.isSuccess(odd[0]!) ? exits.filter((_, index) => index % 2 === 0) : odd
          assert.deepStrictEqual(Array.from(new Set(conflicts.map(tagOf))), ["ExecutionConflict"])
          assert.strictEqual(world.text("Order/1"), "+a")
          yield* world.check
        })
    )
  })

  describe(`${name}: two engines`, () => {
    if (backend.shared) severalEngines(fault)

    fault(
      "F43 an engine that closes takes no new work, lets steps finish in its grace, and hands over",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const gate = new Gate()
          const saga = trip.pipe(
            Saga.step("a", world.step({ after: () => gate.pass })),
            Saga.step("b", world.step())
          )
          const first = yield* boot(store, [saga])
          yield* first.engine.start(saga, undefined, id)
          yield* gate.reached
          const closing = yield* Effect.forkChild(first.close, { startImmediately: true })
          yield* turn
          assert.isUndefined(closing.pollUnsafe())
          yield* gate.open
          yield* inTime("it closes", Fiber.join(closing))
          const facts = yield* told(store.journal, "e")
          assert.include(facts, "StepSucceeded a")
          assert.notInclude(facts, "StepStarted b")
          assert.notInclude(facts, "UnwindStarted")
          assert.strictEqual(world.text("e"), "+a")
          const second = yield* boot(store, [saga])
          yield* inTime("the next one goes on", second.engine.await(saga, "e"))
          assert.strictEqual(world.text("e"), "+a +b")
          yield* legal(store.journal, second, saga)
          yield* world.check
        })
    )

    fault(
      "F43 what is started while an engine closes is refused or runs in the next, and is not lost",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const gate = new Gate()
          const saga = trip.pipe(
            Saga.step("a", world.step({ after: (at) => at.executionId === "e" ? gate.pass : Effect.void }))
          )
          const first = yield* boot(store, [saga])
          yield* first.engine.start(saga, undefined, id)
          yield* gate.reached
          const closing = yield* Effect.forkChild(first.close, { startImmediately: true })
          yield* turn
          const late = yield* inTime(
            "an answer",
            Effect.exit(first.engine.start(saga, undefined, { executionId: "late" }))
          )
          assert.strictEqual(world.text("late"), "")
          yield* gate.open
          yield* inTime("it closes", Fiber.join(closing))
          const second = yield* boot(store, [saga])
          yield* state(store.journal, "e", "Succeeded")
          if (Exit.isSuccess(late)) yield* inTime("it runs", second.engine.await(saga, "late"))
          else assert.isTrue(Option.isNone(yield* second.engine.poll("late")))
          yield* world.check
        })
    )
  })
}

/** Faults of several engines on one store. */
const severalEngines = (faultOfOne: ReturnType<typeof faultOn>): void => {
  const fault: typeof faultOfOne = (name, body) => faultOfOne(name, (store) => body(together(store)))

  fault(
    "F41 two engines start and wait for the same: one run, one outcome, both are told",
    (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(Saga.step("a", world.step()), Saga.check("b", world.fails()))
        const [one, two] = yield* both(store, saga)
        for (let n = 0; n < 5; n++) {
          const exits = yield* Effect.all(
            [one, two, one, two].map(({ engine }) =>
              Effect.exit(engine.execute(saga, undefined, { executionId: `e${n}` }))
            ),
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(exits.map(errorOf), ["no", "no", "no", "no"])
          assert.strictEqual(world.text(`e${n}`), "+a !b -a")
        }
        yield* world.check
      })
  )

  fault("F41 await, outcome, poll and events from an engine that does not own it", (store) =>
    Effect.gen(function*() {
      const world = new World()
      const gate = new Gate()
      const saga = trip.pipe(Saga.step("a", world.step({ after: () => gate.pass })))
      const owner = yield* boot(store, [saga])
      // It runs nothing and knows the saga from the question.
      const other = yield* boot(store, [], { poll: 20 })
      yield* owner.engine.start(saga, undefined, id)
      yield* gate.reached
      const waiting = yield* Effect.forkChild(other.engine.await(saga, "e"), { startImmediately: true })
      const executing = yield* Effect.forkChild(other.engine.execute(saga, undefined, id), { startImmediately: true })
      const facts = yield* Effect.forkChild(Stream.runCollect(other.engine.events(saga, "e")), {
        startImmediately: true
      })
      assert.strictEqual(Option.getOrThrow(yield* other.engine.poll("e")).state, "Running")
      yield* turn
      assert.isUndefined(waiting.pollUnsafe())
      yield* gate.open
      assert.deepStrictEqual(yield* inTime("await answers", Fiber.join(waiting)), { a: "a" })
      assert.deepStrictEqual(yield* inTime("execute answers", Fiber.join(executing)), { a: "a" })
      const tags = (yield* inTime("the facts end", Fiber.join(facts))).map(({ _tag }) => _tag)
      assert.deepStrictEqual(Array.from(tags), ["SagaStarted", "StepStarted", "StepSucceeded", "SagaSucceeded"])
      assert.strictEqual((yield* other.engine.outcome(saga, "e"))._tag, "Succeeded")
      yield* world.check
    }))

  fault(
    "F42 an owner that was frozen past its lease cannot write, adopts the outcome, and says so",
    (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = trip.pipe(
          Saga.step("a", world.step({ after: () => gate.pass })),
          Saga.step("b", world.step())
        )
        let frozen = false
        const thaw = new Gate()
        const freezing = <A, E>(effect: Effect.Effect<A, E>) =>
          Effect.suspend(() => frozen ? Effect.andThen(thaw.pass, effect) : effect)
        let lease: { readonly id: number; readonly epoch: number } | undefined
        const body = Effect.gen(function*() {
          const first = yield* boot(store, [saga], {
            poll: 20,
            lease: 60,
            through: (journal) => ({
              ...journal,
              acquire: (options) => Effect.tap(journal.acquire(options), (given) => Effect.sync(() => lease ??= given)),
              write: (held, batch) => freezing(journal.write(held, batch)),
              renew: (held, millis) => freezing(journal.renew(held, millis)),
              takeOver: (held) => freezing(journal.takeOver(held)),
              claim: (held, options) => freezing(journal.claim(held, options)),
              find: (executionId) => freezing(journal.find(executionId))
            })
          })
          const waiting = yield* Effect.forkChild(first.engine.execute(saga, undefined, id), { startImmediately: true })
          yield* gate.reached
          frozen = true
          yield* store.bury(lease!)
          // In memory leases go by the clock of the test.
          yield* TestClock.adjust("1 hour")
          yield* gate.open
          const second = yield* boot(store, [saga])
          assert.deepStrictEqual(yield* inTime("the second ends it", second.engine.await(saga, "e")), {
            a: "a",
            b: "b"
          })
          const before = yield* told(store.journal, "e")
          assert.strictEqual(world.text("e"), "+a =a +b")
          frozen = false
          yield* thaw.open
          assert.deepStrictEqual(yield* inTime("the first adopts it", Fiber.join(waiting)), { a: "a", b: "b" })
          assert.isAtLeast(thaw.count, 1)
          assert.deepStrictEqual(yield* told(store.journal, "e"), before)
          assert.strictEqual(world.text("e"), "+a =a +b")
          // It goes on with a lease of its own.
          assert.deepStrictEqual(
            yield* inTime("it works again", first.engine.execute(saga, undefined, { executionId: "next" })),
            { a: "a", b: "b" }
          )
        })
        const [, lines] = yield* logged(body)
        assert.isTrue(lines.some((line) => line.includes("has lost its lease")), lines.join("\n"))
        yield* world.check
      })
  )

  fault("F43 what an engine hands over while it closes, the other one finishes", (store) =>
    Effect.gen(function*() {
      const world = new World()
      const gate = new Gate()
      const saga = trip.pipe(
        Saga.step("a", world.step({ after: () => gate.pass })),
        Saga.step("b", world.step())
      )
      const [first, second] = yield* both(store, saga)
      const ids = Array.from({ length: 20 }, (_, index) => `e${index}`)
      for (const executionId of ids) yield* first.engine.start(saga, undefined, { executionId })
      yield* eventually("all are in flight", Effect.sync(() => gate.count === ids.length))
      const closing = yield* Effect.forkChild(first.close, { startImmediately: true })
      yield* turn
      yield* gate.open
      yield* inTime("it closes", Fiber.join(closing))
      for (const executionId of ids) {
        yield* inTime("the other ends it", second.engine.await(saga, executionId))
        assert.strictEqual(world.text(executionId), "+a +b")
      }
      yield* world.check
    }))
}

const both = (store: StoreService, saga: Saga.AnySaga) =>
  Effect.all([boot(store, [saga], { poll: 20 }), boot(store, [saga], { poll: 20 })])
