/** What callers ask, in each state of an execution and from each side: cancel, wait, let go, close. Every store runs it. */
import { assert, describe } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Latch, Option, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import type { Backend, Booted, BootOptions, StoreService } from "./world.ts"
import {
  boot,
  errorOf,
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

const trip = Saga.make("Trip", { payload: Schema.Void })
const id = { executionId: "e" }

type AnyTrip = Saga.Saga<void, any, any, any, any, never>

export const suite = (name: string, backend: Backend): void => {
  cancelling(`${name}: cancel, from its owner`, faultOn(backend), (owner) => Effect.succeed(owner))
  if (backend.shared) {
    cancelling(
      `${name}: cancel, from another engine`,
      (title, body) => faultOn(backend)(title, (store) => body(together(store))),
      (_, store) => boot(store, [], { poll: 20 })
    )
  }
  waiting(name, backend)
  closing(name, backend)
}

// ------------------------------------------------------------------------------------------- cancel

const cancelling = (
  name: string,
  fault: (title: string, body: Parameters<ReturnType<typeof faultOn>>[1]) => void,
  /** Who asks. */
  askerOf: (owner: Booted, store: StoreService) => Effect.Effect<Booted, never, any>
): void => {
  const bootBoth = (store: StoreService, saga: AnyTrip, options?: BootOptions) =>
    Effect.gen(function*() {
      const owner = yield* boot(store, [saga], { poll: 20, ...options })
      return [owner, yield* askerOf(owner, store)] as const
    })
  const cancel = ({ engine }: Booted, executionId = "e") =>
    inTime("an answer to cancel", Effect.exit(engine.cancel(executionId)))

  describe(`${name}`, () => {
    fault("unknown: says so", (store) =>
      Effect.gen(function*() {
        const [, asker] = yield* bootBoth(store, trip)
        assert.strictEqual(tagOf(yield* cancel(asker)), "ExecutionNotFound")
      }))

    fault("before the first step has started: nothing runs", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(Saga.step("a", world.step()))
        const sent = Latch.makeUnsafe()
        const { journal } = store
        const told: StoreService = {
          ...store,
          journal: { ...journal, send: (word) => Effect.tap(journal.send(word), () => sent.open) }
        }
        const owner = yield* boot(told, [], { poll: 20 })
        const asker = yield* askerOf(owner, told)
        yield* owner.engine.start(saga, undefined, id)
        const asking = yield* Effect.forkChild(cancel(asker), { startImmediately: true })
        yield* inTime("the word is there", sent.await)
        yield* owner.engine.register(saga)
        assert.isTrue(Exit.isSuccess(yield* Fiber.join(asking)))
        assert.strictEqual(tagOf(yield* inTime("it ends", Effect.exit(asker.engine.await(saga, "e")))), "SagaCancelled")
        assert.strictEqual(world.text("e"), "")
      }))

    fault("in flight: the action is awaited, then undone", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = trip.pipe(
          Saga.step("a", world.step()),
          Saga.step("b", world.step({ after: () => gate.pass })),
          Saga.step("c", world.step())
        )
        const [owner, asker] = yield* bootBoth(store, saga)
        yield* owner.engine.start(saga, undefined, id)
        const told1 = yield* Effect.forkChild(Effect.exit(asker.engine.await(saga, "e")), { startImmediately: true })
        yield* gate.reached
        assert.isTrue(Exit.isSuccess(yield* cancel(asker)))
        assert.include(yield* told(store.journal, "e"), "CancelRequested")
        assert.strictEqual(world.text("e"), "+a +b")
        // The second one is no other.
        assert.isTrue(Exit.isSuccess(yield* cancel(asker)))
        yield* gate.open
        assert.strictEqual(tagOf(yield* inTime("it ends", Fiber.join(told1))), "SagaCancelled")
        assert.strictEqual(tagOf(yield* Effect.exit(owner.engine.await(saga, "e"))), "SagaCancelled")
        assert.strictEqual(world.text("e"), "+a +b -b -a")
        const facts = yield* told(store.journal, "e")
        assert.strictEqual(facts.filter((words) => words === "CancelRequested").length, 1)
        assert.strictEqual(tagOf(yield* cancel(asker)), "AlreadyFinal")
        yield* world.check
      }))

    for (const evictAfter of ["1 second", "1 day"] as const) {
      const where = evictAfter === "1 day" ? "in memory" : "out of memory"
      fault(`waiting ${where}: at once`, (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = trip.pipe(
            Saga.step("a", world.step()),
            Saga.sleep("pause", "1 hour"),
            Saga.step("b", world.step())
          )
          const [owner, asker] = yield* bootBoth(store, saga, { evictAfter })
          yield* owner.engine.start(saga, undefined, id)
          if (evictAfter === "1 day") yield* fact(store.journal, "e", "TimerSet pause")
          else yield* state(store.journal, "e", "Waiting")
          assert.isTrue(Exit.isSuccess(yield* cancel(asker)))
          assert.strictEqual(
            tagOf(yield* inTime("it ends", Effect.exit(asker.engine.await(saga, "e")))),
            "SagaCancelled"
          )
          assert.strictEqual(world.text("e"), "+a -a")
          assert.notInclude(yield* told(store.journal, "e"), "TimerFired pause")
          yield* TestClock.adjust("2 hours")
          yield* turn
          assert.strictEqual(world.text("e"), "+a -a")
          yield* world.check
        }))

      fault(`in the pause between two tries ${where}: at once, and no more tries`, (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = trip.pipe(
            Saga.step("a", world.step()),
            Saga.step("b", { ...world.step({ before: () => Effect.fail("busy") }), retry: Schedule.spaced("1 hour") })
          )
          const [owner, asker] = yield* bootBoth(store, saga, { evictAfter })
          yield* owner.engine.start(saga, undefined, id)
          if (evictAfter === "1 day") yield* fact(store.journal, "e", "StepAttemptFailed b")
          else yield* state(store.journal, "e", "Waiting")
          assert.isTrue(Exit.isSuccess(yield* cancel(asker)))
          assert.strictEqual(
            tagOf(yield* inTime("it ends", Effect.exit(asker.engine.await(saga, "e")))),
            "SagaCancelled"
          )
          assert.strictEqual(world.text("e"), "+a !b -a")
          yield* world.check
        }))
    }

    fault(
      "in the pivot, which then succeeds: it is past its commit point, and finished",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const gate = new Gate()
          const saga = trip.pipe(
            Saga.step("a", world.step()),
            Saga.pivot("pay", world.action({ before: () => gate.pass })),
            Saga.retriable("mail", { ...world.action(), retry: Schedule.forever })
          )
          const [owner, asker] = yield* bootBoth(store, saga)
          yield* owner.engine.start(saga, undefined, id)
          yield* gate.reached
          const asking = yield* Effect.forkChild(cancel(asker), { startImmediately: true })
          for (let n = 0; n < 20; n++) yield* turn
          assert.isUndefined(asking.pollUnsafe())
          yield* gate.open
          const answer = tagOf(yield* Fiber.join(asking))
          // Who asks from elsewhere may find that it has ended.
          assert.include(asker === owner ? ["AlreadyCommitted"] : ["AlreadyCommitted", "AlreadyFinal"], answer)
          yield* inTime("it ends", asker.engine.await(saga, "e"))
          assert.strictEqual(world.text("e"), "+a +pay +mail")
          yield* world.check
        })
    )

    fault("in the pivot, which then fails: undone, as it would have been anyway", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = trip.pipe(
          Saga.step("a", world.step()),
          Saga.pivot("pay", world.action({ before: () => Effect.andThen(gate.pass, Effect.fail("poor")) }))
        )
        const [owner, asker] = yield* bootBoth(store, saga)
        yield* owner.engine.start(saga, undefined, id)
        yield* gate.reached
        const asking = yield* Effect.forkChild(cancel(asker), { startImmediately: true })
        for (let n = 0; n < 20; n++) yield* turn
        yield* gate.open
        const answer = yield* Fiber.join(asking)
        // Who asks from elsewhere may find that it has ended.
        if (Exit.isFailure(answer)) assert.strictEqual(tagOf(answer), "AlreadyFinal")
        assert.strictEqual(errorOf(yield* inTime("it ends", Effect.exit(asker.engine.await(saga, "e")))), "poor")
        assert.strictEqual(world.text("e"), "+a !pay -a")
        yield* world.check
      }))

    fault("behind the pivot, in flight and waiting: it is past its commit point", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = trip.pipe(
          Saga.step("a", world.step()),
          Saga.pivot("pay", world.action()),
          Saga.retriable("mail", { ...world.action({ before: () => gate.pass }), retry: Schedule.forever }),
          Saga.sleep("pause", "1 hour"),
          Saga.retriable("more", { ...world.action(), retry: Schedule.forever })
        )
        const [owner, asker] = yield* bootBoth(store, saga)
        yield* owner.engine.start(saga, undefined, id)
        yield* gate.reached
        assert.strictEqual(tagOf(yield* cancel(asker)), "AlreadyCommitted")
        yield* gate.open
        yield* state(store.journal, "e", "Waiting")
        assert.strictEqual(tagOf(yield* cancel(asker)), "AlreadyCommitted")
        yield* state(store.journal, "e", "Waiting")
        assert.strictEqual(world.text("e"), "+a +pay +mail")
        yield* TestClock.adjust("1 hour")
        yield* inTime("it ends", asker.engine.await(saga, "e"))
        assert.strictEqual(world.text("e"), "+a +pay +mail +more")
        yield* world.check
      }))

    fault("while it unwinds: nothing changes, and the cause stays", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = trip.pipe(
          Saga.step("a", world.step()),
          Saga.step("b", world.step({ undo: () => gate.pass })),
          Saga.check("no", world.fails())
        )
        const [owner, asker] = yield* bootBoth(store, saga)
        yield* owner.engine.start(saga, undefined, id)
        yield* gate.reached
        assert.strictEqual(Option.getOrThrow(yield* asker.engine.poll("e")).state, "Compensating")
        const asking = yield* Effect.forkChild(cancel(asker), { startImmediately: true })
        for (let n = 0; n < 20; n++) yield* turn
        yield* gate.open
        const answer = yield* Fiber.join(asking)
        if (Exit.isFailure(answer)) assert.strictEqual(tagOf(answer), "AlreadyFinal")
        assert.strictEqual(errorOf(yield* inTime("it ends", Effect.exit(asker.engine.await(saga, "e")))), "no")
        assert.strictEqual(world.text("e"), "+a +b !no -b -a")
        yield* world.check
      }))

    fault("while it unwinds: the answer does not wait for the end", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = trip.pipe(Saga.step("a", world.step({ undo: () => gate.pass })), Saga.check("no", world.fails()))
        const [owner, asker] = yield* bootBoth(store, saga)
        yield* owner.engine.start(saga, undefined, id)
        yield* gate.reached
        assert.isTrue(Exit.isSuccess(yield* cancel(asker)))
        assert.strictEqual(Option.getOrThrow(yield* asker.engine.poll("e")).state, "Compensating")
        yield* gate.open
        yield* state(store.journal, "e", "Compensated")
        yield* world.check
      }))

    fault("stuck: a person has to decide", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(
          Saga.step("a", {
            ...world.step({ undo: () => Effect.fail("locked") }),
            compensationRetry: Schedule.recurs(0)
          }),
          Saga.check("no", world.fails())
        )
        const [owner, asker] = yield* bootBoth(store, saga)
        yield* owner.engine.start(saga, undefined, id)
        yield* state(store.journal, "e", "Stuck")
        const answer = yield* cancel(asker)
        assert.strictEqual(tagOf(answer), "ExecutionStuck")
        assert.include((errorOf(answer) as Error).message, "CompensationFailed: a")
        yield* world.check
      }))

    fault("ended: says how", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const ok = trip.pipe(Saga.step("a", world.step()))
        const [owner, asker] = yield* bootBoth(store, ok)
        yield* owner.engine.execute(ok, undefined, id)
        assert.deepInclude(errorOf(yield* cancel(asker)), { _tag: "AlreadyFinal", state: "Succeeded" })
        assert.deepStrictEqual(yield* asker.engine.await(ok, "e"), { a: "a" })
      }))

    for (const [end, saga] of Object.entries({ Succeeded: [], Compensated: ["no"] })) {
      fault(`while its last fact is on its way (${end}): says how it ended`, (store) =>
        Effect.gen(function*() {
          const world = new World()
          const last = new Gate()
          const steps = trip.pipe(Saga.step("a", world.step()))
          const whole: AnyTrip = saga.length === 0 ? steps : steps.pipe(Saga.check("no", world.fails()))
          const [owner, asker] = yield* bootBoth(store, whole, {
            through: (journal) => ({
              ...journal,
              write: (lease, batch) => {
                const written = journal.write(lease, batch)
                return batch.facts.some(({ tag }) => tag === `Saga${end}`)
                  ? Effect.andThen(last.pass, written)
                  : written
              }
            })
          })
          yield* owner.engine.start(whole, undefined, id)
          yield* last.reached
          const asking = yield* Effect.forkChild(cancel(asker), { startImmediately: true })
          for (let n = 0; n < 50; n++) yield* turn
          yield* last.open
          const answer = yield* Fiber.join(asking)
          // From elsewhere it may be seen to unwind.
          if (end === "Compensated" && asker !== owner && Exit.isSuccess(answer)) return
          assert.deepInclude(errorOf(answer), { _tag: "AlreadyFinal", state: end })
          yield* state(store.journal, "e", end as "Succeeded")
          assert.notInclude(yield* told(store.journal, "e"), "CancelRequested")
        }))
    }

    fault("ten at once: one fact, all are answered", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = trip.pipe(Saga.step("a", world.step({ after: () => gate.pass })), Saga.step("b", world.step()))
        const [owner, asker] = yield* bootBoth(store, saga)
        yield* owner.engine.start(saga, undefined, id)
        yield* gate.reached
        const answers = yield* Effect.all(
          Array.from({ length: 10 }, (_, index) => cancel(index % 2 === 0 ? asker : owner)),
          { concurrency: "unbounded" }
        )
        assert.isTrue(answers.every(Exit.isSuccess))
        yield* gate.open
        yield* state(store.journal, "e", "Compensated")
        assert.strictEqual((yield* told(store.journal, "e")).filter((words) => words === "CancelRequested").length, 1)
        assert.strictEqual(world.text("e"), "+a -a")
        yield* world.check
      }))

    fault("and its process dies: it unwinds in the next", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = trip.pipe(
          Saga.step("a", world.step()),
          Saga.step("b", world.step({ after: () => gate.pass })),
          Saga.step("c", world.step())
        )
        const [owner, asker] = yield* bootBoth(store, saga)
        yield* owner.engine.start(saga, undefined, id)
        yield* gate.reached
        assert.isTrue(Exit.isSuccess(yield* cancel(asker)))
        yield* owner.kill
        yield* gate.open
        const next = yield* boot(store, [saga])
        const outcome = yield* inTime("it ends", next.engine.outcome(saga, "e"))
        assert(outcome._tag === "Compensated")
        assert.deepStrictEqual(outcome.uncertain.map(({ path, reason }) => [path, reason]), [["b", "ProcessLost"]])
        assert.strictEqual(world.text("e"), "+a +b -a")
        assert.strictEqual(tagOf(yield* Effect.exit(next.engine.await(saga, "e"))), "SagaCancelled")
        yield* world.check
      }))
  })
}

// ------------------------------------------------------------------------------------------- wait

const waiting = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)

  describe(`${name}: who waits`, () => {
    fault("is interrupted: has let go, and the execution goes on", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = trip.pipe(Saga.step("a", world.step({ after: () => gate.pass })), Saga.step("b", world.step()))
        const { engine } = yield* boot(store, [saga])
        const executing = yield* Effect.forkChild(engine.execute(saga, undefined, id), { startImmediately: true })
        yield* gate.reached
        const waiting = yield* Effect.forkChild(engine.await(saga, "e"), { startImmediately: true })
        yield* inTime("they let go", Fiber.interruptAll([executing, waiting]))
        const late = yield* Effect.forkChild(Effect.timeoutOption(engine.await(saga, "e"), "1 minute"), {
          startImmediately: true
        })
        yield* turn
        yield* TestClock.adjust("1 minute")
        assert.isTrue(Option.isNone(yield* inTime("its limit passes", Fiber.join(late))))
        yield* gate.open
        assert.deepStrictEqual(yield* inTime("it ends", engine.await(saga, "e")), { a: "a", b: "b" })
        assert.strictEqual(world.text("e"), "+a +b")
        assert.notInclude(yield* told(store.journal, "e"), "UnwindStarted")
        yield* world.check
      }))

    fault("starts and is interrupted at once: it exists whole or not at all", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(Saga.step("a", world.step()))
        const { engine } = yield* boot(store, [saga])
        const ids = Array.from({ length: 20 }, (_, index) => `e${index}`)
        for (const [index, executionId] of ids.entries()) {
          const starting = yield* Effect.forkChild(engine.start(saga, undefined, { executionId }), {
            startImmediately: index % 2 === 0
          })
          for (let n = 0; n < index % 5; n++) yield* Effect.yieldNow
          yield* Fiber.interrupt(starting)
        }
        // Whoever asks again gets it.
        for (const executionId of ids) {
          assert.deepStrictEqual(
            yield* inTime("it ends", engine.execute(saga, undefined, { executionId })),
            { a: "a" }
          )
          assert.strictEqual(world.text(executionId), "+a")
        }
        yield* world.check
      }))

    fault("for one that is stuck: goes on waiting, unless asked not to", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(
          Saga.step("a", {
            ...world.step({ undo: () => Effect.fail("locked") }),
            compensationRetry: Schedule.recurs(0)
          }),
          Saga.check("no", world.fails())
        )
        const first = yield* boot(store, [saga])
        const early = yield* Effect.forkChild(
          Effect.exit(first.engine.execute(saga, undefined, { ...id, onStuck: "fail" })),
          {
            startImmediately: true
          }
        )
        const failure = errorOf(yield* inTime("it is told", Fiber.join(early))) as {
          readonly _tag: string
          readonly executionId: string
          readonly saga: string
          readonly problem: string
        }
        assert.deepInclude(failure, { _tag: "ExecutionStuck", executionId: "e", saga: "Trip" })
        assert.include(failure.problem, "CompensationFailed: a")
        const asks = ({ engine }: Booted) =>
          Effect.gen(function*() {
            const waits = yield* Effect.forkChild(engine.await(saga, "e"), { startImmediately: true })
            const joins = yield* Effect.forkChild(engine.execute(saga, undefined, id), { startImmediately: true })
            assert.strictEqual(
              tagOf(yield* Effect.exit(engine.await(saga, "e", { onStuck: "fail" }))),
              "ExecutionStuck"
            )
            assert.strictEqual(
              tagOf(yield* Effect.exit(engine.outcome(saga, "e", { onStuck: "fail" }))),
              "ExecutionStuck"
            )
            const status = Option.getOrThrow(yield* engine.poll("e"))
            assert.deepStrictEqual([status.state, status.problem], ["Stuck", "CompensationFailed: a"])
            for (let n = 0; n < 20; n++) yield* turn
            assert.isUndefined(waits.pollUnsafe())
            assert.isUndefined(joins.pollUnsafe())
            yield* Fiber.interruptAll([waits, joins])
          })
        yield* asks(first)
        yield* first.close
        yield* asks(yield* boot(store, [saga]))
        assert.strictEqual(world.text("e"), "+a !no")
        yield* world.check
      }))

    fault("for what is unknown: is told so", (store) =>
      Effect.gen(function*() {
        const { engine } = yield* boot(store, [trip])
        assert.strictEqual(tagOf(yield* Effect.exit(engine.await(trip, "e"))), "ExecutionNotFound")
        assert.strictEqual(tagOf(yield* Effect.exit(engine.outcome(trip, "e"))), "ExecutionNotFound")
        assert.isTrue(Option.isNone(yield* engine.poll("e")))
        assert.deepStrictEqual((yield* engine.list()).executions, [])
      }))

    fault(
      "leaves nothing of itself in the actions: neither references nor services",
      (store) =>
        Effect.gen(function*() {
          const Tenant = Context.Reference<string>("test/Tenant", { defaultValue: () => "nobody" })
          class Mail extends Context.Service<Mail, { readonly from: string }>()("test/Mail") {}
          const seen: Array<readonly [string, string]> = []
          const look = Effect.gen(function*() {
            seen.push([yield* Tenant, (yield* Mail).from])
          })
          const saga = trip.pipe(
            Saga.step("a", { action: () => look, compensation: () => look }),
            Saga.sleep("pause", "1 hour"),
            Saga.check("no", { error: Schema.String, action: () => Effect.andThen(look, Effect.fail("no")) })
          )
          const { engine } = yield* boot(store, [])
          yield* engine.register(saga).pipe(
            Effect.provideService(Mail, { from: "the layer" }),
            Effect.provideService(Tenant, "the layer")
          )
          const executing = yield* Effect.forkChild(
            engine.execute(saga, undefined, id).pipe(
              Effect.provideService(Tenant, "the caller"),
              Effect.provideService(Mail, { from: "the caller" }),
              Effect.exit
            ),
            { startImmediately: true }
          )
          yield* state(store.journal, "e", "Waiting")
          yield* TestClock.adjust("1 hour")
          assert.strictEqual(errorOf(yield* inTime("it ends", Fiber.join(executing))), "no")
          assert.deepStrictEqual(seen, [1, 2, 3].map(() => ["the layer", "the layer"] as const))
        })
    )
  })
}

// ------------------------------------------------------------------------------------------- close

const closing = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)
  const grace = 50
  const closeInTime = ({ close }: Booted) =>
    Effect.gen(function*() {
      const from = performance.now()
      yield* close
      const millis = performance.now() - from
      assert.isAtLeast(millis, grace - 1)
      // Another second for what ignores its interruption, and a little for this machine.
      assert.isBelow(millis, grace + 1_000 + 1_500)
      return millis
    })

  describe(`${name}: an engine closes`, () => {
    fault(
      "an action goes on beyond the grace: cut, and run again by the next with its key",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const gate = new Gate()
          const saga = trip.pipe(Saga.step("a", world.step()), Saga.step("b", world.step({ after: () => gate.pass })))
          const first = yield* boot(store, [saga], { grace })
          yield* first.engine.start(saga, undefined, id)
          yield* gate.reached
          yield* closeInTime(first)
          assert.strictEqual(gate.inside, 0)
          const facts = yield* told(store.journal, "e")
          assert.deepStrictEqual(facts.slice(-2), ["StepSucceeded a", "StepStarted b"])
          yield* gate.open
          const second = yield* boot(store, [saga])
          yield* inTime("the next one goes on", second.engine.await(saga, "e"))
          assert.strictEqual(world.text("e"), "+a +b =b")
          yield* world.check
        })
    )

    fault("an action that runs at most once goes on beyond the grace: unknown", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = trip.pipe(
          Saga.step("a", world.step()),
          Saga.step("b", { ...world.step({ after: () => gate.pass }), delivery: "at-most-once" })
        )
        const first = yield* boot(store, [saga], { grace })
        yield* first.engine.start(saga, undefined, id)
        yield* gate.reached
        yield* closeInTime(first)
        const second = yield* boot(store, [saga])
        const outcome = yield* inTime("the next one goes on", second.engine.outcome(saga, "e"))
        assert(outcome._tag === "Compensated")
        assert.deepStrictEqual(outcome.uncertain.map(({ path }) => path), ["b"])
        assert.strictEqual(world.text("e"), "+a +b -a")
        yield* world.check
      }))

    fault(
      "an action that ignores its interruption does not block the close, and is not recorded by whom it outlives",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const gate = new Gate()
          const saga = trip.pipe(
            Saga.step("a", world.step({ after: () => Effect.uninterruptible(gate.pass) })),
            Saga.step("b", world.step())
          )
          const first = yield* boot(store, [saga], { grace })
          yield* first.engine.start(saga, undefined, id)
          yield* gate.reached
          const [millis, lines] = yield* logged(closeInTime(first))
          assert.isAtLeast(millis, grace + 900)
          assert.isTrue(
            lines.some((line) => line.includes("ignored their interruption") && line.includes("e")),
            lines.join()
          )
          const before = yield* told(store.journal, "e")
          yield* gate.open
          for (let n = 0; n < 20; n++) yield* turn
          assert.deepStrictEqual(yield* told(store.journal, "e"), before)
          const second = yield* boot(store, [saga])
          yield* inTime("the next one goes on", second.engine.await(saga, "e"))
          assert.strictEqual(world.text("e"), "+a =a +b")
          yield* world.check
        })
    )

    fault("a compensation goes on beyond the grace: cut, and run again by the next", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = trip.pipe(
          Saga.step("a", world.step()),
          Saga.step("b", world.step({ undone: () => gate.pass })),
          Saga.check("no", world.fails())
        )
        const first = yield* boot(store, [saga], { grace })
        yield* first.engine.start(saga, undefined, id)
        yield* gate.reached
        yield* closeInTime(first)
        assert.strictEqual((yield* told(store.journal, "e")).at(-1), "CompensationStarted b")
        yield* gate.open
        const second = yield* boot(store, [saga])
        assert.strictEqual(errorOf(yield* inTime("it ends", Effect.exit(second.engine.await(saga, "e")))), "no")
        assert.strictEqual(world.text("e"), "+a +b !no -b =-b -a")
        yield* world.check
      }))

    fault("a compensation that ignores its interruption does not block the close", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        const saga = trip.pipe(
          Saga.step("a", world.step({ undone: () => Effect.uninterruptible(gate.pass) })),
          Saga.check("no", world.fails())
        )
        const first = yield* boot(store, [saga], { grace })
        yield* first.engine.start(saga, undefined, id)
        yield* gate.reached
        yield* closeInTime(first)
        yield* gate.open
        for (let n = 0; n < 20; n++) yield* turn
        assert.strictEqual((yield* told(store.journal, "e")).at(-1), "CompensationStarted a")
        const second = yield* boot(store, [saga])
        assert.strictEqual(errorOf(yield* inTime("it ends", Effect.exit(second.engine.await(saga, "e")))), "no")
        assert.strictEqual(world.text("e"), "+a !no -a =-a")
        yield* world.check
      }))

    fault(
      "side by side: what ends in its grace is recorded, what does not is run again, what waits just waits",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const short = new Gate()
          const long = new Gate()
          const saga = trip.pipe(
            Saga.parallel((fork) => [
              fork.pipe(Saga.step("short", world.step({ after: () => short.pass })), Saga.step("then", world.step())),
              fork.pipe(Saga.step("long", world.step({ after: () => long.pass }))),
              fork.pipe(Saga.sleep("pause", "1 hour"), Saga.step("late", world.step())),
              fork.pipe(
                Saga.step("busy", {
                  ...world.step({ before: ({ attempt }) => attempt === 1 ? Effect.fail("busy") : Effect.void }),
                  retry: Schedule.spaced("2 hours")
                })
              )
            ])
          )
          const first = yield* boot(store, [saga], { grace: 200 })
          yield* first.engine.start(saga, undefined, id)
          yield* short.reached
          yield* long.reached
          yield* fact(store.journal, "e", "StepAttemptFailed busy")
          const closing = yield* Effect.forkChild(first.close, { startImmediately: true })
          yield* turn
          yield* short.open
          yield* inTime("it closes", Fiber.join(closing))
          const facts = yield* told(store.journal, "e")
          assert.include(facts, "StepSucceeded short")
          for (const words of ["StepStarted then", "StepSucceeded long", "TimerFired pause", "UnwindStarted"]) {
            assert.notInclude(facts, words)
          }
          yield* long.open
          const second = yield* boot(store, [saga])
          yield* fact(store.journal, "e", "StepSucceeded then")
          yield* fact(store.journal, "e", "StepSucceeded long")
          yield* TestClock.adjust("1 hour")
          yield* fact(store.journal, "e", "StepSucceeded late")
          yield* TestClock.adjust("1 hour")
          yield* inTime("it ends", second.engine.await(saga, "e"))
          const marks = world.text("e").split(" ")
          assert.deepStrictEqual(
            marks.slice().sort(),
            ["!busy", "+busy", "+late", "+long", "+short", "+then", "=long"].sort()
          )
          yield* world.check
        })
    )

    fault("who waits on it is not left hanging", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(Saga.sleep("pause", "1 hour"), Saga.step("a", world.step()))
        const first = yield* boot(store, [saga], { grace })
        const waiting = yield* Effect.forkChild(Effect.exit(first.engine.execute(saga, undefined, id)), {
          startImmediately: true
        })
        yield* state(store.journal, "e", "Waiting")
        yield* first.close
        assert.isTrue(Exit.isFailure(yield* inTime("it is told", Fiber.join(waiting))))
        const again = yield* inTime(
          "it is told",
          Effect.exit(first.engine.start(saga, undefined, { executionId: "f" }))
        )
        assert.isTrue(Exit.isFailure(again))
        const second = yield* boot(store, [saga])
        assert.isTrue(Option.isNone(yield* second.engine.poll("f")))
        yield* TestClock.adjust("1 hour")
        yield* inTime("it goes on", second.engine.await(saga, "e"))
        yield* world.check
      }))
  })
}
