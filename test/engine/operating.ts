/** What a person on call does beside deciding about one execution: finding, doing again, many at once, keeping order. */
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Result, Schedule, Schema, Stream } from "effect"
import { Saga, SagaState } from "effect-saga"
import type { By } from "effect-saga/SagaEngine"
import { readArchived } from "effect-saga/SagaEngine"
import { TestClock } from "effect/testing"
import type { Backend, Booted, StoreService } from "./world.ts"
import {
  boot,
  errorOf,
  eventually,
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
const once = Schedule.recurs(0)
const trip = Saga.make("Trip", { payload: Schema.Void })
type AnyTrip = Saga.Saga<void, any, any, any, any, never>

const idsOf = (executions: ReadonlyArray<{ readonly executionId: string }>) =>
  executions.map(({ executionId }) => executionId)

export const suite = (name: string, backend: Backend): void => {
  finding(name, backend)
  again(name, backend)
  many(name, backend)
  order(name, backend)
}

// ------------------------------------------------------------------------------------------- finding

const finding = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)

  describe(`${name}: finding`, () => {
    const order = Saga.make("Order", {
      payload: Schema.Struct({ id: Schema.String, tenant: Schema.String, waits: Schema.Boolean }),
      key: ({ id }) => id,
      tags: ({ tenant, waits }) => ({ tenant, kind: waits ? "slow" : "fast" })
    }).pipe(Saga.sleep("pause", ({ payload }) => payload.waits ? "1 hour" : 0))

    const shop = (store: StoreService) =>
      Effect.gen(function*() {
        const booted = yield* boot(store, [order], { evictAfter: 0 })
        for (const [index, tenant] of ["acme", "acme", "globex", "acme"].entries()) {
          yield* TestClock.adjust(10)
          yield* booted.engine.start(order, { id: `o/${index}`, tenant, waits: index % 2 === 1 })
        }
        for (const index of [0, 1, 2, 3]) {
          yield* state(store.journal, `Order/o%2F${index}`, index % 2 === 1 ? "Waiting" : "Succeeded")
        }
        return booted
      })
    const all = [0, 1, 2, 3].map((index) => `Order/o%2F${index}`)
    const some = (...indexes: ReadonlyArray<number>) => indexes.map((index) => all[index])

    fault(
      "by saga, version, state, tag, time, the beginning of the id, and by all of them",
      (store) =>
        Effect.gen(function*() {
          const { engine } = yield* shop(store)
          const list = (filter: Parameters<typeof engine.list>[0]) =>
            Effect.map(engine.list(filter), ({ executions }) => idsOf(executions))
          assert.deepStrictEqual(yield* list({}), all)
          assert.deepStrictEqual(yield* list({ saga: "Order", version: 1 }), all)
          assert.deepStrictEqual(yield* list({ saga: "Order", version: 2 }), [])
          assert.deepStrictEqual(yield* list({ saga: "Other" }), [])
          assert.deepStrictEqual(yield* list({ state: "Waiting" }), some(1, 3))
          assert.deepStrictEqual(yield* list({ state: ["Waiting", "Succeeded"] }), all)
          assert.deepStrictEqual(yield* list({ state: [] }), [])
          assert.deepStrictEqual(yield* list({ tags: { tenant: "acme" } }), some(0, 1, 3))
          assert.deepStrictEqual(yield* list({ tags: { tenant: "acme", kind: "slow" } }), some(1, 3))
          assert.deepStrictEqual(yield* list({ tags: { tenant: "nobody" } }), [])
          assert.deepStrictEqual(yield* list({ tags: { tenant: "acme" }, state: "Succeeded" }), some(0))
          assert.deepStrictEqual(yield* list({ idPrefix: "Order/o%2F" }), all)
          assert.deepStrictEqual(yield* list({ idPrefix: "Order/o%2F3", state: "Waiting" }), some(3))
          assert.deepStrictEqual(yield* list({ startedFromMillis: 20, startedBeforeMillis: 40 }), some(1, 2))
          assert.deepStrictEqual(yield* list({ uncertain: true }), [])
          assert.deepStrictEqual(yield* list({ uncertain: false, state: "Waiting" }), some(1, 3))
          assert.deepStrictEqual(yield* engine.counts(), [
            { saga: "Order", version: 1, state: "Succeeded", count: 2 },
            { saga: "Order", version: 1, state: "Waiting", count: 2 }
          ])
          assert.strictEqual(yield* engine.preview({ tags: { kind: "slow" } }), 2)
        })
    )

    fault("by the key that its saga made of its payload", (store) =>
      Effect.gen(function*() {
        const { engine } = yield* shop(store)
        const { executions, next } = yield* engine.list({ saga: "Order", key: "o/2" })
        assert.deepStrictEqual(idsOf(executions), some(2))
        assert.deepStrictEqual(executions[0]!.tags, { tenant: "globex", kind: "fast" })
        assert.isUndefined(next)
        assert.deepStrictEqual((yield* engine.list({ saga: "Order", key: "o" })).executions, [])
        assert.deepStrictEqual((yield* engine.list({ saga: "Order", key: "o/2", state: "Stuck" })).executions, [])
        const exit = yield* Effect.exit(engine.list({ key: "o/2" }))
        assert.include(String(errorOf(exit)), "the `saga` that made it, too")
      }))

    fault("page by page, without a gap and without a repetition", (store) =>
      Effect.gen(function*() {
        const { engine } = yield* shop(store)
        const seen: Array<string> = []
        let page = yield* engine.list({ limit: 1 })
        while (true) {
          seen.push(...idsOf(page.executions))
          if (page.next === undefined) break
          page = yield* engine.list({ limit: 1, after: page.next })
        }
        assert.deepStrictEqual(seen, all)
      }))

    fault("what is stuck, the stalest first", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga: AnyTrip = trip.pipe(Saga.retriable("b", { ...world.fails(), retry: once }))
        const { engine } = yield* boot(store, [saga], { poll: 20 })
        for (const executionId of ["x", "y", "z"]) {
          yield* TestClock.adjust(10)
          yield* engine.start(saga, undefined, { executionId })
          yield* state(store.journal, executionId, "Stuck")
        }
        yield* TestClock.adjust(10)
        yield* engine.retry("x", ann)
        const isAgain = Effect.map(told(store.journal, "x"), (all) =>
          all.filter((one) => one === "SagaStuck").length === 2)
        yield* eventually("it is stuck again", isAgain)
        yield* state(store.journal, "x", "Stuck")
        assert.deepStrictEqual(idsOf((yield* engine.list({ state: "Stuck" })).executions), ["y", "z", "x"])
      }))

    fault(
      "a plan: what is done, in flight with which attempt, to come, and what would be undone",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const gate = new Gate()
          const saga: AnyTrip = trip.pipe(
            Saga.step("a", world.step()),
            Saga.check("look", world.action()),
            Saga.step("b", world.step({ before: () => gate.pass })),
            Saga.pivot("c", world.action())
          )
          const { engine } = yield* boot(store, [saga])
          yield* engine.start(saga, undefined, id)
          yield* gate.reached
          // It needs no saga: any engine can tell.
          const other = backend.shared ? (yield* boot(store, [])).engine : engine
          const plan = yield* other.plan("e")
          assert.deepStrictEqual(plan.steps.map(({ attempts, path, status }) => [path, status, attempts]), [
            ["a", "Done", 1],
            ["look", "Done", 1],
            ["b", "InFlight", 1],
            ["c", "ToCome", 0]
          ])
          assert.strictEqual(plan.commit, "Before")
          const { allowed, awaited, compensated, uncompensated } = plan.ifUnwoundNow
          assert.deepStrictEqual({ allowed, awaited, compensated, uncompensated }, {
            allowed: true,
            awaited: ["b"],
            compensated: ["a"],
            uncompensated: ["look"]
          })
          yield* gate.open
          assert.strictEqual(tagOf(yield* Effect.exit(other.plan("nobody"))), "ExecutionNotFound")
          assert.strictEqual(tagOf(yield* Effect.exit(other.history("nobody"))), "ExecutionNotFound")
        })
    )

    fault("a history: every fact with its engine, decoded where the saga is known", (store) =>
      Effect.gen(function*() {
        const saga = Saga.make("Dated", { payload: Schema.Date }).pipe(
          Saga.check("look", { action: () => Effect.void })
        )
        const { close, engine } = yield* boot(store, [saga], { name: "shop-1" })
        yield* engine.execute(saga, new Date(5), id)
        const history = yield* engine.history("e")
        assert.deepStrictEqual(history.map(({ engine, sequence }) => [sequence, engine]), [
          [0, "shop-1"],
          [1, "shop-1"],
          [2, "shop-1"],
          [3, "shop-1"]
        ])
        assert.deepInclude(history[0]!.event, { payload: new Date(5) })
        yield* close
        const other = yield* boot(store, [], { name: "shop-2" })
        const [first] = yield* other.engine.history("e")
        assert.deepInclude(first!.event, { payload: "1970-01-01T00:00:00.005Z" })
        assert.strictEqual(first!.engine, "shop-1")
        assert.include(first!.text, "1970-01-01T00:00:00.005Z")
      }))
  })
}

// ------------------------------------------------------------------------------------------- again

const again = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)
  const Place = Schema.Struct({ to: Schema.String })
  const journey = Saga.make("Journey", { payload: Place })
  type AnyJourney = Saga.Saga<typeof Place.Type, any, any, any, any, never>

  /** It is stuck at the second retriable, and given up. */
  const abandoned = (store: StoreService, world: World, saga: AnyJourney) =>
    Effect.gen(function*() {
      const booted = yield* boot(store, [saga], { poll: 20 })
      yield* booted.engine.start(saga, { to: "rome" }, id)
      yield* state(store.journal, "e", "Stuck")
      yield* booted.engine.abandon("e", ann)
      return booted
    })

  describe(`${name}: doing again`, () => {
    let undoKeys: Array<string> = []
    const saga = (
      world: World,
      isBroken: () => boolean,
      more: (saga: any) => AnyJourney = (saga) => saga
    ): AnyJourney => {
      undoKeys = []
      const noted = {
        ...world.action(),
        compensation: (_: string, __: unknown, { actionKey, executionId, path }: Saga.CompensationContext) =>
          Effect.sync(() => {
            undoKeys.push(actionKey)
            world.mark(executionId, `~${path}`)
          })
      }
      return more(journey.pipe(
        Saga.step("a", noted),
        Saga.forEach("legs", {
          item: Schema.String,
          items: () => ["x", "y"],
          key: (leg) => leg,
          each: (fork) => fork.pipe(Saga.step("book", noted))
        }),
        Saga.step("b", {
          ...world.step({ after: () => isBroken() ? Effect.die(new Error("cut")) : Effect.void }),
          whenUncertain: "stuck"
        }),
        Saga.step("c", world.step())
      ))
    }

    fault("from the start, with the payload of the old one or with another", (store) =>
      Effect.gen(function*() {
        const world = new World()
        let isBroken = true
        const its = saga(world, () => isBroken)
        const { engine } = yield* abandoned(store, world, its)
        isBroken = false
        const same = yield* engine.rerun("e", ann)
        yield* state(store.journal, same, "Succeeded")
        assert.strictEqual(world.text(same), "+a +legs/x/book +legs/y/book +b +c")
        const other = yield* engine.rerun("e", { ...ann, payload: { to: "oslo" }, executionId: "f" })
        assert.strictEqual(other, "f")
        yield* state(store.journal, "f", "Succeeded")
        const [first] = yield* engine.history("f")
        assert.deepInclude(first!.event, { rerunOf: "e", payload: { to: "oslo" }, ...ann })
        // Asked again it joins, and does nothing twice.
        assert.strictEqual(yield* engine.rerun("e", { ...ann, payload: { to: "oslo" }, executionId: "f" }), "f")
        const conflict = yield* Effect.exit(engine.rerun("e", { ...ann, executionId: "f" }))
        assert.strictEqual(tagOf(conflict), "ExecutionConflict")
        // What was found by the old id finds the new one.
        assert.deepStrictEqual(idsOf((yield* engine.list({ idPrefix: "e" })).executions), ["e", same])
        yield* world.check
      }))

    fault(
      "keeping the results that stand: they are not done again, and undone under the keys they have",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          let isBroken = true
          const its: AnyJourney = saga(world, () => isBroken, (begun) => begun.pipe(Saga.check("no", world.fails())))
          const { engine } = yield* abandoned(store, world, its)
          isBroken = false
          const kept = yield* engine.rerun("e", { ...ann, keepResults: true, executionId: "f" })
          yield* state(store.journal, kept, "Compensated")
          // `b` was uncertain and is not kept.
          assert.strictEqual(world.text("f"), "+b +c !no -c -b ~legs/y/book ~legs/x/book ~a")
          assert.deepStrictEqual(undoKeys, ["e/legs/y/book", "e/legs/x/book", "e/a"])
          const facts = yield* told(store.journal, "f")
          assert.deepStrictEqual(facts.slice(0, 8), [
            "SagaStarted",
            "StepStarted a",
            "StepSucceeded a",
            "ItemsListed legs",
            "StepStarted legs/x/book",
            "StepSucceeded legs/x/book",
            "StepStarted legs/y/book",
            "StepSucceeded legs/y/book"
          ])
          assert.isTrue(
            Result.isSuccess(SagaState.fold((yield* engine.history("f")).flatMap(({ event }) => event ?? [])))
          )
        })
    )

    fault("results are kept once: nothing is undone by two", (store) =>
      Effect.gen(function*() {
        const world = new World()
        let isBroken = true
        const its = saga(world, () => isBroken)
        const { engine } = yield* abandoned(store, world, its)
        isBroken = false
        yield* engine.rerun("e", { ...ann, keepResults: true, executionId: "f" })
        yield* state(store.journal, "f", "Succeeded")
        for (const executionId of ["g", undefined, "f"]) {
          const options = { ...ann, keepResults: true, ...executionId === undefined ? {} : { executionId } }
          const error = errorOf(yield* Effect.exit(engine.rerun("e", options))) as { readonly message: string }
          assert.include(error.message, "Its results belong to execution \"f\" now")
        }
        // What has succeeded stands, and is undone behind nobody's back.
        const error = errorOf(yield* Effect.exit(engine.rerun("f", { ...ann, keepResults: true })))
        assert.include((error as { readonly message: string }).message, "Only results of what was abandoned")
        assert.isTrue(
          Result.isSuccess(SagaState.fold((yield* engine.history("e")).flatMap(({ event }) => event ?? [])))
        )
      }))

    fault("an id that belongs to another execution is none for a rerun", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const its = saga(world, () => true)
        const { engine } = yield* abandoned(store, world, its)
        yield* engine.start(its, { to: "rome" }, { executionId: "other" })
        for (const executionId of ["e", "other"]) {
          assert.strictEqual(tagOf(yield* Effect.exit(engine.rerun("e", { ...ann, executionId }))), "VerbRefused")
        }
      }))

    fault("what was undone is not kept", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const its: AnyJourney = journey.pipe(
          Saga.check("look", world.action()),
          Saga.step("a", world.step()),
          Saga.check("no", world.fails())
        )
        const { engine } = yield* boot(store, [its], { poll: 20 })
        yield* engine.start(its, { to: "rome" }, id)
        yield* state(store.journal, "e", "Compensated")
        assert.strictEqual(tagOf(yield* Effect.exit(engine.rerun("e", { ...ann, keepResults: true }))), "VerbRefused")
        const next = yield* engine.rerun("e", ann)
        yield* state(store.journal, next, "Compensated")
        assert.strictEqual(world.text(next), "+look +a !no -a")
      }))

    fault(
      "a payload that does not fit, a saga that is not here: refused, and nothing is started",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const its = saga(world, () => true)
          const { close, engine } = yield* abandoned(store, world, its)
          const refused = yield* Effect.exit(engine.rerun("e", { ...ann, payload: { to: 5 } }))
          assert.strictEqual(tagOf(refused), "PayloadRefused")
          yield* close
          const other = yield* boot(store, [])
          const unknown = errorOf(yield* Effect.exit(other.engine.rerun("e", ann))) as { readonly message: string }
          assert.include(unknown.message, "Saga \"Journey\" is not registered here")
          assert.strictEqual((yield* other.engine.list()).executions.length, 1)
        })
    )

    fault(
      "a crash while what is kept is gone through: it goes on with what is kept",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          let isBroken = true
          const its = saga(world, () => isBroken)
          const { engine, kill } = yield* abandoned(store, world, its)
          isBroken = false
          yield* engine.rerun("e", { ...ann, keepResults: true, executionId: "f" })
          yield* kill
          const next = yield* boot(store, [its])
          yield* inTime("it ends", next.engine.await(its, "f"))
          assert.deepStrictEqual(world.inPlace("f").filter((path) => !["b", "c"].includes(path)), [])
        })
    )
  })
}

// ------------------------------------------------------------------------------------------- many

const many = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)
  const stuck = (store: StoreService, count: number) =>
    Effect.gen(function*() {
      const world = new World()
      const saga: AnyTrip = trip.pipe(Saga.retriable("b", { ...world.fails(), retry: once }))
      const { engine } = yield* boot(store, [saga], { poll: 20 })
      for (let index = 0; index < count; index++) yield* engine.start(saga, undefined, { executionId: `e${index}` })
      const filter = { state: "Stuck", saga: "Trip" } as const
      yield* eventually("all are stuck", Effect.map(engine.preview(filter), (found) => found === count))
      return { engine, filter, world }
    })

  describe(`${name}: many at once`, () => {
    fault("not faster than asked for", (store) =>
      Effect.gen(function*() {
        const { engine, filter } = yield* stuck(store, 5)
        const seen: Array<number> = []
        const bulk = engine.bulk("abandon", filter, ann, { perSecond: 2 }).pipe(
          Stream.runForEach(({ decided }) => Effect.sync(() => void seen.push(decided)))
        )
        const running = yield* Effect.forkChild(bulk, { startImmediately: true })
        for (let count = 1; count <= 5; count++) {
          yield* eventually("the next", Effect.sync(() => seen.length === count))
          yield* TestClock.adjust(499)
          assert.strictEqual(seen.length, count)
          yield* TestClock.adjust(1)
        }
        yield* inTime("the end", Fiber.join(running))
      }))

    fault("who stops reading stops it, and another one goes on with what is left", (store) =>
      Effect.gen(function*() {
        const { engine, filter } = yield* stuck(store, 5)
        const bulk = engine.bulk("abandon", filter, ann, { perSecond: Infinity })
        yield* Stream.runDrain(Stream.take(bulk, 2))
        assert.strictEqual(yield* engine.preview(filter), 3)
        const rest = yield* Stream.runCollect(bulk)
        assert.strictEqual(rest.length, 3)
      }))

    fault("what is stuck again at once is not taken again: it comes to an end", (store) =>
      Effect.gen(function*() {
        const { engine, filter } = yield* stuck(store, 4)
        yield* TestClock.adjust(10)
        const slowly = engine.bulk("retry", filter, ann, { perSecond: Infinity }).pipe(
          // The first is stuck again before the next is asked for.
          Stream.tap(({ executionId }) =>
            eventually(
              "it is stuck again",
              Effect.map(
                told(store.journal, executionId),
                (all) => all.filter((one) => one === "SagaStuck").length === 2
              )
            )
          )
        )
        const progress = yield* inTime("the bulk", Stream.runCollect(slowly))
        assert.strictEqual(progress.length, 4)
      }))

    fault("what refuses is told, and the others are decided all the same", (store) =>
      Effect.gen(function*() {
        const { engine } = yield* stuck(store, 3)
        const progress = yield* Stream.runCollect(
          engine.bulk("compensate", { saga: "Trip" }, ann, { perSecond: Infinity })
        )
        assert.deepStrictEqual(
          progress.map(({ refused }) => refused?._tag),
          Array.from({ length: 3 }, () => "AlreadyCommitted" as const)
        )
        assert.strictEqual(progress.at(-1)!.refusals, 3)
        const wrong = yield* Effect.exit(Stream.runDrain(engine.bulk("retry", {}, ann, { perSecond: 0 })))
        assert.include(String(errorOf(wrong)), "perSecond")
      }))

    fault("a storm of decisions runs no more at once than the engine may", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const gate = new Gate()
        let isLocked = true
        const saga: AnyTrip = trip.pipe(
          Saga.step("a", {
            ...world.step({ undo: () => isLocked ? Effect.fail("locked") : gate.pass }),
            compensationRetry: once
          }),
          Saga.check("no", world.fails())
        )
        const { engine } = yield* boot(store, [saga], { poll: 20, concurrency: 3 })
        for (let index = 0; index < 12; index++) yield* engine.start(saga, undefined, { executionId: `e${index}` })
        const filter = { state: "Stuck" } as const
        yield* eventually("all are stuck", Effect.map(engine.preview(filter), (found) => found === 12))
        isLocked = false
        yield* Stream.runDrain(engine.bulk("retry", filter, ann, { perSecond: Infinity }))
        yield* gate.reached
        yield* eventually("three are there", Effect.sync(() => gate.inside === 3))
        yield* gate.open
        yield* eventually("all end", Effect.map(engine.preview({ state: "Compensated" }), (count) => count === 12))
        assert.isAtMost(gate.most, 3)
        yield* world.check
      }))
  })
}

// ------------------------------------------------------------------------------------------- order

const order = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)
  const quick: AnyTrip = trip.pipe(Saga.check("look", { action: () => Effect.void }))

  describe(`${name}: keeping order`, () => {
    const old = (store: StoreService) =>
      Effect.gen(function*() {
        const world = new World()
        const waits = Saga.make("Waits", { payload: Schema.Void }).pipe(Saga.sleep("pause", "10 days"))
        const fails = Saga.make("Fails", { payload: Schema.Void }).pipe(
          Saga.retriable("b", { ...world.fails(), retry: once })
        )
        const booted = yield* boot(store, [quick, waits, fails], { evictAfter: 0 })
        for (let index = 0; index < 7; index++) {
          yield* booted.engine.execute(quick, undefined, { executionId: `e${index}` })
        }
        yield* booted.engine.start(waits, undefined, { executionId: "waits" })
        yield* booted.engine.start(fails, undefined, { executionId: "stuck" })
        yield* state(store.journal, "waits", "Waiting")
        yield* state(store.journal, "stuck", "Stuck")
        yield* TestClock.adjust("2 days")
        yield* booted.engine.execute(quick, undefined, { executionId: "new" })
        return booted
      })

    fault(
      "what ended long ago is deleted in batches; what is live, stuck or new stays",
      (store) =>
        Effect.gen(function*() {
          const { engine } = yield* old(store)
          const counts = yield* Stream.runCollect(engine.purge({ olderThan: "1 day", batch: 3 }))
          assert.strictEqual(counts.at(-1), 7)
          assert.isAtLeast(counts.length, 3)
          assert.deepStrictEqual(idsOf((yield* engine.list()).executions).slice().sort(), ["new", "stuck", "waits"])
          assert.deepStrictEqual(yield* store.journal.facts("e0", 0), [])
          assert.strictEqual(tagOf(yield* Effect.exit(engine.await(quick, "e0"))), "ExecutionNotFound")
          assert.deepStrictEqual(yield* Stream.runCollect(engine.purge({ olderThan: "1 day" })), [0])
          for (const olderThan of [Number.NaN, -1, 0, "-1 day"] as const) {
            const exit = yield* Effect.exit(Stream.runDrain(engine.purge({ olderThan })))
            assert.include(String(errorOf(exit)), "olderThan")
          }
          // The same id can be started anew.
          yield* engine.execute(quick, undefined, { executionId: "e0" })
          // States that are not final are no matter of it, whoever asks.
          const wrong = yield* Effect.exit(
            Stream.runDrain(engine.purge({ olderThan: 1, states: ["Stuck" as "Abandoned"] }))
          )
          assert.include(String(errorOf(wrong)), "never deleted")
          assert.deepStrictEqual(yield* store.journal.remove(["stuck", "waits", "nobody"]), [])
        })
    )

    fault(
      "each is archived before it is deleted, as a line that folds; when that fails nothing is lost",
      (store) =>
        Effect.gen(function*() {
          const { engine } = yield* old(store)
          const full = yield* Effect.exit(
            Stream.runDrain(engine.purge({ olderThan: "1 day", archive: () => Effect.fail("disk full") }))
          )
          assert.strictEqual(errorOf(full), "disk full")
          assert.strictEqual(yield* engine.preview({ saga: "Trip" }), 8)
          const lines: Array<string> = []
          const history = yield* engine.history("e3")
          yield* Stream.runDrain(engine.purge({
            olderThan: "1 day",
            batch: 2,
            archive: (some) => Effect.sync(() => void lines.push(...some))
          }))
          assert.strictEqual(lines.length, 7)
          assert.isTrue(lines.every((line) => !line.includes("\n")))
          const archived = yield* Effect.forEach(lines, readArchived)
          const third = archived.find(({ executionId }) => executionId === "e3")!
          assert.deepInclude(third, { saga: "Trip", version: 1, state: "Succeeded" })
          assert.deepStrictEqual(third.facts.map(({ _tag }) => _tag), history.map(({ event }) => event!._tag))
          const folded = SagaState.fold(third.facts)
          assert.strictEqual(Result.isSuccess(folded) && folded.success.status, "Succeeded")
          assert.strictEqual(tagOf(yield* Effect.exit(readArchived("{}"))), "ArchiveInvalid")
        })
    )

    fault("a purge while executions end and start deletes none of those", (store) =>
      Effect.gen(function*() {
        const { engine } = yield* old(store)
        const purging = yield* Effect.forkChild(
          Stream.runDrain(Stream.repeat(engine.purge({ olderThan: "1 day", batch: 1 }), Schedule.recurs(20))),
          { startImmediately: true }
        )
        const ran = yield* Effect.forEach(
          Array.from({ length: 30 }, (_, index) => `during${index}`),
          (executionId) => Effect.exit(engine.execute(quick, undefined, { executionId })),
          { concurrency: 5 }
        )
        yield* inTime("the purge", Fiber.join(purging))
        assert.isTrue(ran.every(Exit.isSuccess))
        assert.strictEqual(yield* engine.preview({ idPrefix: "during" }), 30)
      }))

    fault("the doctor finds nothing where nothing is wrong", (store) =>
      Effect.gen(function*() {
        const { engine } = yield* old(store)
        assert.deepStrictEqual((yield* engine.doctor).filter(({ about }) => about !== "ClockSkew"), [])
      }))

    fault(
      "the doctor finds unknown sagas, rows that cannot be read, changed definitions and long values",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const sagaOf = (saga: string, more: (saga: any) => any): AnyTrip =>
            more(Saga.make(saga, { payload: Schema.Void }).pipe(Saga.step("a", world.step()))).pipe(
              Saga.sleep("pause", "10 days")
            )
          const long = { success: Schema.String, action: () => Effect.succeed("x".repeat(600_000)) }
          const first = yield* boot(store, [
            sagaOf("Gone", (saga) => saga),
            sagaOf("Torn", (saga) => saga),
            sagaOf("Changed", (saga) => saga),
            sagaOf("Long", (saga) => saga.pipe(Saga.check("much", long)))
          ], { evictAfter: 0 })
          for (const name of ["Gone", "Torn", "Changed", "Long"]) {
            yield* first.engine.start(
              sagaOf(name, (saga) => name === "Long" ? saga.pipe(Saga.check("much", long)) : saga),
              undefined,
              {
                executionId: name
              }
            )
            yield* state(store.journal, name, "Waiting")
          }
          yield* first.close
          const torn = (yield* store.journal.facts("Torn", 0)).find(({ tag }) => tag === "StepSucceeded")!
          yield* store.tamper("Torn", torn.sequence, "{ torn")
          const second = yield* boot(store, [
            sagaOf("Torn", (saga) => saga),
            Saga.make("Changed", { payload: Schema.Void }).pipe(Saga.step("b", world.step())),
            sagaOf("Long", (saga) => saga.pipe(Saga.check("much", long)))
          ])
          const findings = yield* second.engine.doctor
          const about = (what: string) => findings.filter((finding) => finding.about === what)
          assert.deepStrictEqual(about("UnknownSaga").map(({ executionIds }) => executionIds), [["Gone"]])
          assert.deepStrictEqual(about("Undecodable").map(({ executionIds }) => executionIds), [["Torn"]])
          assert.deepStrictEqual(about("DefinitionChanged").map(({ executionIds }) => executionIds), [["Changed"]])
          assert.deepStrictEqual(about("LongFact").map(({ executionIds }) => executionIds), [["Long"]])
          assert.isTrue(findings.every(({ advice, problem }) => advice.length > 10 && problem.length > 10))
        })
    )

    if (backend.shared) {
      fault(
        "an action that hangs in another process is let go of when its execution is abandoned",
        (alone) =>
          Effect.gen(function*() {
            const store = together(alone)
            const world = new World()
            const gate = new Gate()
            const saga: AnyTrip = trip.pipe(Saga.step("a", world.step({ before: () => gate.pass })))
            const owner: Booted = yield* boot(store, [saga], { poll: 10 })
            yield* owner.engine.start(saga, undefined, id)
            yield* gate.reached
            const other = yield* boot(store, [])
            yield* other.engine.abandon("e", ann)
            yield* eventually("it is let go of", Effect.sync(() => gate.inside === 0))
            assert.strictEqual(Option.getOrThrow(yield* owner.engine.poll("e")).state, "Abandoned")
            assert.strictEqual(world.text("e"), "")
            void problem
          })
      )
    }
  })
}
