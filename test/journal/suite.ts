/** What every journal promises. Each backend runs all of it. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, type Layer, Option, Result, Scope } from "effect"
import { type Journal, type Lease, SagaJournal } from "effect-saga/SagaJournal"
import { TestClock } from "effect/testing"
import { describe } from "vitest"
import {
  acquire,
  batch,
  claimAll,
  committed,
  contents,
  fact,
  factsOf,
  idsOf,
  kind,
  leaseLost,
  missing,
  start,
  starting,
  update,
  waiting
} from "./records.ts"

export interface Backend {
  /** A journal with nothing in it. */
  readonly layer: Layer.Layer<SagaJournal, unknown>
  /** Whether it notices the death of a holder before its lease has run out. */
  readonly noticesDeath: boolean
}

export const suite = (name: string, { layer, noticesDeath }: Backend) =>
  describe(name, () => {
    const test = <E>(promise: string, body: (journal: Journal) => Effect.Effect<void, E, Scope.Scope>) =>
      it.effect(promise, () => Effect.provide(Effect.flatMap(SagaJournal, body), layer))

    describe("starting", () => {
      test("an execution is found as it was started, with its facts", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          const one = start("one", { version: 3, definition: "h", startedAtMillis: 12_345 })
          const facts = factsOf("one", 0, 2)
          assert.deepStrictEqual(yield* journal.write(lease, batch({ starts: [one], facts })), committed)
          assert.deepStrictEqual(
            yield* journal.find("one"),
            Option.some({
              executionId: "one",
              saga: "Trip",
              version: 3,
              definition: "h",
              state: "Running",
              dueAtMillis: 0,
              startedAtMillis: 12_345,
              updatedAtMillis: 12_345,
              problem: null
            })
          )
          assert.deepStrictEqual(yield* journal.facts("one", 0), facts)
          assert.deepStrictEqual(yield* journal.facts("one", 2), facts.slice(2))
          assert.deepStrictEqual(yield* journal.facts("one", 3), [])
          assert.deepStrictEqual(yield* contents(journal, "two"), [[Option.none(), []]])
        }))

      test("where an id is taken, nothing of it is written, and everything of the others", (journal) =>
        Effect.gen(function*() {
          const [first, second] = [yield* acquire(journal), yield* acquire(journal)]
          yield* journal.write(first, starting(start("taken")))
          const before = yield* contents(journal, "taken")
          const late = batch({
            starts: [start("taken", { saga: "Other" }), start("free")],
            facts: [...factsOf("taken", 0, 1), ...factsOf("free", 0, 1)],
            updates: [update("taken", "Succeeded"), update("free", "Succeeded")]
          })
          assert.deepStrictEqual(yield* journal.write(second, late), missing("taken"))
          assert.deepStrictEqual(yield* contents(journal, "taken"), before)
          const free = Option.getOrThrow(yield* journal.find("free"))
          assert.strictEqual(free.state, "Succeeded")
          assert.strictEqual((yield* journal.facts("free", 0)).length, 2)
        }))

      test("one that nobody owns can be claimed at once, one that is owned not at all", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          yield* journal.write(lease, starting(start("owned"), start("free", { owned: false })))
          const claimed = yield* claimAll(journal, lease, { nowMillis: 0 })
          assert.deepStrictEqual(idsOf(claimed), ["free"])
          assert.isTrue(claimed[0]!.clean)
          assert.deepStrictEqual(yield* claimAll(journal, lease), [])
        }))

      test("a start and what changes in it in the same batch are one", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          const updates = [update("one", "Waiting", { dueAtMillis: 7, clean: false, updatedAtMillis: 3_000 })]
          yield* journal.write(lease, { ...starting(start("one")), updates })
          const [claimed] = yield* claimAll(journal, lease, { nowMillis: 7 })
          assert.strictEqual(claimed!.execution.state, "Waiting")
          assert.strictEqual(claimed!.execution.updatedAtMillis, 3_000)
          assert.isFalse(claimed!.clean)
        }))

      test("of a hundred starts of one id at once one is written", (journal) =>
        Effect.gen(function*() {
          const leases = yield* Effect.all([acquire(journal), acquire(journal)])
          const write = (lease: Lease) => journal.write(lease, starting(start("same")))
          const written = yield* Effect.forEach(
            Array.from({ length: 100 }, (_, index) => leases[index % 2]!),
            (lease) => write(lease),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(written.filter((one) => one._tag === "Committed" && one.missing.length === 0).length, 1)
          assert.strictEqual((yield* journal.facts("same", 0)).length, 1)
        }))
    })

    describe("writing", () => {
      test("where the place of a fact is taken, nothing of that execution is written", (journal) =>
        Effect.gen(function*() {
          const [first, second] = [yield* acquire(journal), yield* acquire(journal)]
          yield* journal.write(first, starting(start("one"), start("two")))
          yield* journal.send({ executionId: "one", kind: "Cancel", data: "{}" })
          const [signal] = yield* journal.signals(first)
          yield* journal.write(first, batch({ facts: [fact("one", 1, "1")] }))
          const before = yield* contents(journal, "one")
          const late = batch({
            facts: [fact("one", 1), fact("one", 2), fact("two", 1)],
            updates: [update("one", "Succeeded"), update("two", "Succeeded")],
            signals: [signal!.id]
          })
          assert.deepStrictEqual(yield* journal.write(second, late), missing("one"))
          assert.deepStrictEqual(yield* contents(journal, "one"), before)
          assert.deepStrictEqual(yield* journal.signals(first), [signal!])
          assert.strictEqual(Option.getOrThrow(yield* journal.find("two")).state, "Succeeded")
        }))

      test("a batch that is written again counts once", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          const first = batch({
            starts: [start("one"), start("two")],
            facts: [...factsOf("one", 0, 2), fact("two", 0)],
            updates: [update("two", "Succeeded")]
          })
          assert.deepStrictEqual(yield* journal.write(lease, first), committed)
          const before = yield* contents(journal, "one", "two")
          assert.deepStrictEqual(yield* journal.write(lease, first), committed)
          assert.deepStrictEqual(yield* contents(journal, "one", "two"), before)
          const second = batch({ facts: factsOf("one", 3, 4), updates: [update("one", "Stuck", { problem: "why" })] })
          assert.deepStrictEqual(yield* journal.write(lease, second), committed)
          assert.deepStrictEqual(yield* journal.write(lease, second), committed)
          assert.strictEqual((yield* journal.facts("one", 0)).length, 5)
        }))

      test("a batch that is written again names the same executions as missing", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          yield* journal.write(lease, starting(start("taken")))
          const late = starting(start("taken"), start("free"))
          assert.deepStrictEqual(yield* journal.write(lease, late), missing("taken"))
          assert.deepStrictEqual(yield* journal.write(lease, late), missing("taken"))
          assert.strictEqual((yield* journal.facts("free", 0)).length, 1)
        }))

      test("a batch that is written again undoes nothing that has happened since", (journal) =>
        Effect.gen(function*() {
          const [first, second] = [yield* acquire(journal), yield* acquire(journal)]
          yield* journal.write(first, starting(start("one"), start("two")))
          const release = batch({
            facts: [fact("one", 1)],
            updates: [update("one", "Waiting", { dueAtMillis: 5 }), update("two", "Waiting", { dueAtMillis: 5 })]
          })
          assert.deepStrictEqual(yield* journal.write(first, release), committed)
          assert.strictEqual((yield* claimAll(journal, second)).length, 2)
          yield* journal.write(second, batch({ facts: [fact("one", 2)] }))
          assert.deepStrictEqual(yield* journal.write(first, release), committed)
          assert.deepStrictEqual(yield* claimAll(journal, first), [])
          assert.deepStrictEqual(
            yield* journal.write(
              second,
              batch({ facts: [fact("one", 3), fact("two", 1)], updates: [update("one", "Succeeded")] })
            ),
            committed
          )
        }))

      test("an equal batch under another id or another lease is somebody else's", (journal) =>
        Effect.gen(function*() {
          const [first, second] = [yield* acquire(journal), yield* acquire(journal)]
          const one = starting(start("one"))
          yield* journal.write(first, one)
          assert.deepStrictEqual(yield* journal.write(first, { ...one, id: one.id + 1_000_000 }), missing("one"))
          assert.deepStrictEqual(yield* journal.write(second, one), missing("one"))
        }))

      test("of several changes of one execution the last one counts", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          yield* journal.write(lease, starting(start("one")))
          yield* journal.write(
            lease,
            batch({
              facts: factsOf("one", 1, 4),
              updates: [update("one", "Compensating", { released: false }), update("one", "Stuck", { problem: "no" })]
            })
          )
          const found = Option.getOrThrow(yield* journal.find("one"))
          assert.deepStrictEqual([found.state, found.problem], ["Stuck", "no"])
        }))

      test("without facts only who owns an execution changes it", (journal) =>
        Effect.gen(function*() {
          const [first, second] = [yield* acquire(journal), yield* acquire(journal)]
          yield* journal.write(first, starting(start("one")))
          const change = { updates: [update("one", "Waiting", { dueAtMillis: 9 })] }
          assert.deepStrictEqual(yield* journal.write(second, batch(change)), committed)
          assert.strictEqual(Option.getOrThrow(yield* journal.find("one")).state, "Running")
          assert.deepStrictEqual(yield* journal.write(first, batch(change)), committed)
          assert.strictEqual(Option.getOrThrow(yield* journal.find("one")).dueAtMillis, 9)
        }))

      test("with a fact an execution that nobody owns goes on: a person has decided", (journal) =>
        Effect.gen(function*() {
          const [first, second] = [yield* acquire(journal), yield* acquire(journal)]
          yield* journal.write(first, {
            ...starting(start("one")),
            updates: [update("one", "Stuck", { problem: "why" })]
          })
          assert.deepStrictEqual(yield* claimAll(journal, first), [])
          const decision = batch({ facts: [fact("one", 1)], updates: [update("one", "Running", { dueAtMillis: 0 })] })
          assert.deepStrictEqual(yield* journal.write(second, decision), committed)
          const [claimed] = yield* claimAll(journal, second, { nowMillis: 0 })
          assert.deepStrictEqual([claimed?.execution.state, claimed?.execution.problem], ["Running", null])
        }))

      test("nothing is as well written as a thousand executions", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          assert.deepStrictEqual(yield* journal.write(lease, batch({})), committed)
          const ids = Array.from({ length: 1_000 }, (_, index) => `many-${index}`)
          const many = batch({
            starts: ids.map((id) => start(id)),
            facts: ids.flatMap((id) => factsOf(id, 0, 2)),
            updates: ids.map((id) => update(id, "Succeeded"))
          })
          assert.deepStrictEqual(yield* journal.write(lease, many), committed)
          assert.strictEqual((yield* journal.settled(ids)).length, 1_000)
          assert.strictEqual((yield* journal.facts("many-999", 0)).length, 3)
        }))

      test("batches side by side are all written", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          const ids = Array.from({ length: 50 }, (_, index) => `side-${index}`)
          const written = yield* Effect.forEach(ids, (id) =>
            Effect.andThen(
              journal.write(lease, starting(start(id))),
              journal.write(lease, batch({ facts: [fact(id, 1)], updates: [update(id, "Succeeded")] }))
            ), { concurrency: "unbounded" })
          assert.deepStrictEqual(written, ids.map(() => committed))
          assert.strictEqual((yield* journal.settled(ids)).length, 50)
        }))
    })

    describe("leases", () => {
      /** Ends a lease as if its holder were frozen: it has run out and another engine takes over. */
      const fence = (journal: Journal, taker: Lease) =>
        Effect.gen(function*() {
          yield* TestClock.adjust("1 second")
          let count = 0
          while (count === 0) count = yield* journal.takeOver(taker)
          return count
        })
      const acquireShort = (journal: Journal) => journal.acquire({ name: "short", leaseMillis: 1 })

      test("nothing is written under a lease that has been ended", (journal) =>
        Effect.gen(function*() {
          const [frozen, taker] = [yield* acquireShort(journal), yield* acquire(journal)]
          const first = starting(start("one"))
          yield* journal.write(frozen, first)
          yield* fence(journal, taker)
          const before = yield* contents(journal, "one", "two")
          const late = [
            first,
            batch({ facts: [fact("one", 1)], updates: [update("one", "Succeeded")] }),
            starting(start("two")),
            batch({ updates: [update("one", "Succeeded")] }),
            batch({})
          ]
          for (const one of late) assert.deepStrictEqual(yield* journal.write(frozen, one), leaseLost)
          assert.deepStrictEqual(yield* contents(journal, "one", "two"), before)
          assert.deepStrictEqual(yield* claimAll(journal, frozen), [])
          assert.strictEqual(yield* journal.takeOver(frozen), 0)
          assert.deepStrictEqual(idsOf(yield* claimAll(journal, taker)), ["one"])
        }))

      test("it is not renewed once it was ended, and is as long as nobody has", (journal) =>
        Effect.gen(function*() {
          const [frozen, taker] = [yield* acquireShort(journal), yield* acquire(journal)]
          yield* journal.write(frozen, starting(start("one")))
          yield* TestClock.adjust("1 second")
          assert.isTrue(yield* journal.renew(frozen, 1))
          yield* fence(journal, taker)
          assert.isFalse(yield* journal.renew(frozen, 60_000))
          assert.deepStrictEqual(yield* journal.write(frozen, starting(start("two"))), leaseLost)
          assert.isTrue(yield* journal.renew(taker, 60_000))
        }))

      test("a lease that runs is left alone", (journal) =>
        Effect.gen(function*() {
          const [lease, taker] = [yield* acquire(journal), yield* acquire(journal)]
          yield* journal.write(lease, starting(start("one")))
          assert.strictEqual(yield* journal.takeOver(taker), 0)
          assert.deepStrictEqual(yield* journal.write(lease, batch({ facts: [fact("one", 1)] })), committed)
        }))

      test("a lease that nobody holds is lost", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          for (const none of [{ id: lease.id + 1_000, epoch: 0 }, { id: lease.id, epoch: lease.epoch + 1 }]) {
            assert.deepStrictEqual(yield* journal.write(none, starting(start("one"))), leaseLost)
            assert.isFalse(yield* journal.renew(none, 1_000))
            assert.deepStrictEqual(yield* journal.signals({ id: lease.id + 1_000, epoch: 0 }), [])
            yield* journal.end(none)
          }
          assert.deepStrictEqual(yield* journal.find("one"), Option.none())
          assert.isTrue(yield* journal.renew(lease, 1_000))
        }))

      test("its end gives back what it owns, not clean, and counts as no takeover", (journal) =>
        Effect.gen(function*() {
          const [lease, other] = [yield* acquire(journal), yield* acquire(journal)]
          yield* journal.write(lease, starting(start("one"), start("two")))
          yield* journal.write(lease, batch({ updates: [update("two", "Stuck", { released: false })] }))
          yield* journal.end(lease)
          assert.deepStrictEqual(yield* journal.write(lease, batch({ facts: [fact("one", 1)] })), leaseLost)
          const claimed = yield* claimAll(journal, other, { nowMillis: 0 })
          assert.deepStrictEqual(idsOf(claimed), ["one"])
          assert.deepStrictEqual([claimed[0]!.clean, claimed[0]!.takeovers], [false, 0])
          yield* journal.end(lease)
          assert.strictEqual(yield* journal.takeOver(other), 0)
        }))

      test("takeovers without a new fact add up, and a new fact or an owner that gives it back ends the count", (journal) =>
        Effect.gen(function*() {
          const taker = yield* acquire(journal)
          const die = (then: (lease: Lease) => Effect.Effect<unknown, unknown>, suspects = false) =>
            Effect.gen(function*() {
              const lease = yield* acquireShort(journal)
              const [claimed] = yield* claimAll(journal, lease, { suspects })
              assert.deepStrictEqual(claimed?.execution.executionId, "one")
              yield* Effect.orDie(then(lease))
              yield* fence(journal, taker)
              return claimed!.takeovers
            })
          yield* journal.write(taker, starting(start("one", { owned: false })))
          const counts = [
            yield* die(() => Effect.void),
            yield* die(() => Effect.void),
            yield* die((lease) => journal.write(lease, batch({ facts: [fact("one", 1)] })), true),
            yield* die(() => Effect.void)
          ]
          assert.deepStrictEqual(counts, [0, 1, 2, 1])
          const [suspect] = yield* claimAll(journal, taker, { suspects: true })
          assert.deepStrictEqual([suspect!.takeovers, suspect!.clean], [2, false])
          yield* journal.write(taker, batch({ updates: [update("one", "Waiting", { dueAtMillis: 0 })] }))
          const [again] = yield* claimAll(journal, taker)
          assert.deepStrictEqual([again!.takeovers, again!.clean], [0, true])
        }))

      test("hundreds of executions are taken over at once", (journal) =>
        Effect.gen(function*() {
          const [frozen, taker] = [yield* acquireShort(journal), yield* acquire(journal)]
          const ids = Array.from({ length: 1_100 }, (_, index) => `many-${index}`)
          yield* journal.write(frozen, starting(...ids.map((id) => start(id))))
          assert.strictEqual(yield* fence(journal, taker), 1_100)
          assert.strictEqual((yield* claimAll(journal, taker, { limit: 2_000 })).length, 1_100)
          assert.strictEqual(yield* journal.takeOver(taker), 0)
        }))

      test("what is stuck or final is nobody's after a takeover, and stays what it is", (journal) =>
        Effect.gen(function*() {
          const [frozen, taker] = [yield* acquireShort(journal), yield* acquire(journal)]
          yield* journal.write(frozen, starting(start("stuck"), start("done"), start("runs")))
          const updates = [
            update("stuck", "Stuck", { released: false, problem: "why" }),
            update("done", "Succeeded", { released: false, dueAtMillis: 4 })
          ]
          yield* journal.write(frozen, batch({ updates }))
          yield* fence(journal, taker)
          assert.deepStrictEqual(idsOf(yield* claimAll(journal, taker)), ["runs"])
          assert.deepStrictEqual(
            (yield* journal.settled(["stuck", "done", "runs"])).map(({ state }) => state).sort(),
            ["Stuck", "Succeeded"]
          )
          assert.deepStrictEqual(yield* journal.nextDue([kind]), Option.none())
        }))

      if (noticesDeath) {
        test("the death of its holder is noticed before it has run out", (journal) =>
          Effect.gen(function*() {
            const scope = yield* Scope.make()
            const lease = yield* Scope.provide(acquire(journal), scope)
            const taker = yield* acquire(journal)
            yield* journal.write(lease, starting(start("one")))
            assert.strictEqual(yield* journal.takeOver(taker), 0)
            yield* Scope.close(scope, Exit.void)
            assert.strictEqual(yield* journal.takeOver(taker), 1)
            assert.deepStrictEqual(yield* journal.write(lease, batch({ facts: [fact("one", 1)] })), leaseLost)
          }))
      }
    })

    describe("claiming", () => {
      test("those due first come first, so many as are asked for, and those not due not at all", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          for (const due of [50, 10, 40, 30, 20]) yield* journal.write(lease, waiting(due, start(`due-${due}`)))
          assert.deepStrictEqual(idsOf(yield* claimAll(journal, lease, { nowMillis: 9 })), [])
          assert.deepStrictEqual(idsOf(yield* claimAll(journal, lease, { nowMillis: 40, limit: 2 })), [
            "due-10",
            "due-20"
          ])
          assert.deepStrictEqual(idsOf(yield* claimAll(journal, lease, { nowMillis: 40 })), ["due-30", "due-40"])
          assert.deepStrictEqual(yield* journal.nextDue([kind]), Option.some(50))
        }))

      test("only the versions that are asked for, whichever is due first", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          yield* journal.write(lease, waiting(3, start("a1", { saga: "A", version: 1 })))
          yield* journal.write(lease, waiting(2, start("a2", { saga: "A", version: 2 })))
          yield* journal.write(lease, waiting(1, start("b1", { saga: "B", version: 1 })))
          yield* journal.write(lease, waiting(0, start("c1", { saga: "C", version: 1 })))
          const sagas = [{ saga: "A", version: 1 }, { saga: "B", version: 1 }]
          assert.deepStrictEqual(yield* journal.nextDue(sagas), Option.some(1))
          assert.deepStrictEqual(idsOf(yield* claimAll(journal, lease, { sagas, limit: 1 })), ["b1"])
          assert.deepStrictEqual(idsOf(yield* claimAll(journal, lease, { sagas })), ["a1"])
          assert.deepStrictEqual(yield* journal.nextDue(sagas), Option.none())
          assert.deepStrictEqual(yield* claimAll(journal, lease, { sagas: [] }), [])
          assert.deepStrictEqual(yield* journal.nextDue([]), Option.none())
        }))

      test("what is claimed comes with everything that is known of it", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          const facts = factsOf("one", 0, 3)
          yield* journal.write(lease, {
            ...waiting(7, start("one"), start("two")),
            facts: [...facts, fact("two", 0, "\"2\"")]
          })
          const signal = (data: string) => journal.send({ executionId: "one", kind: "Event", data })
          yield* signal("1")
          yield* signal("2")
          const [one, two] = yield* claimAll(journal, lease)
          assert.deepStrictEqual(one!.execution, {
            ...Option.getOrThrow(yield* journal.find("one"))
          })
          assert.deepStrictEqual(one!.facts, facts)
          assert.deepStrictEqual(one!.signals.map(({ data, executionId, kind }) => [executionId, kind, data]), [
            ["one", "Event", "1"],
            ["one", "Event", "2"]
          ])
          assert.deepStrictEqual(one!.signals, yield* journal.signals(lease))
          assert.deepStrictEqual([one!.signalCount, one!.clean, one!.takeovers], [2, true, 0])
          assert.deepStrictEqual(two!.facts, [fact("two", 0, "\"2\"")])
          assert.deepStrictEqual([two!.signals, two!.signalCount], [[], 0])
        }))

      test("of two who claim at once each execution goes to one", (journal) =>
        Effect.gen(function*() {
          const leases = yield* Effect.all([acquire(journal), acquire(journal)])
          const ids = Array.from({ length: 200 }, (_, index) => `one-${index}`)
          yield* journal.write(leases[0], waiting(1, ...ids.map((id) => start(id))))
          const claimed: Array<string> = []
          const claiming = (lease: Lease) =>
            Effect.gen(function*() {
              while (claimed.length < ids.length) claimed.push(...idsOf(yield* claimAll(journal, lease, { limit: 7 })))
            })
          yield* Effect.all(leases.map(claiming), { concurrency: 2 })
          assert.deepStrictEqual(claimed.sort(), ids.sort())
        }))

      test("what is due later than any time is never due, until a signal comes", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          for (const due of [null, Infinity, 9e15, Number.MAX_VALUE]) {
            yield* journal.write(lease, waiting(due, start(`due-${due}`)))
          }
          assert.deepStrictEqual(yield* journal.nextDue([kind]), Option.none())
          assert.deepStrictEqual(yield* claimAll(journal, lease), [])
          assert.isTrue(yield* journal.send({ executionId: "due-Infinity", kind: "Event", data: "{}" }))
          assert.deepStrictEqual(idsOf(yield* claimAll(journal, lease, { nowMillis: 0 })), ["due-Infinity"])
        }))
    })

    describe("signals", () => {
      test("one makes an execution that waits claimable at once", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          yield* journal.write(lease, waiting(1e14, start("one")))
          assert.isTrue(yield* journal.send({ executionId: "one", kind: "Cancel", data: "\"now\"" }))
          assert.deepStrictEqual(yield* journal.nextDue([kind]), Option.some(0))
          const [claimed] = yield* claimAll(journal, lease, { nowMillis: 0 })
          assert.deepStrictEqual(claimed?.signals.map(({ data, kind }) => [kind, data]), [["Cancel", "\"now\""]])
        }))

      test("one that its owner had not seen when it gave the execution back is not missed", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          yield* journal.write(lease, starting(start("seen"), start("unseen")))
          for (const executionId of ["seen", "unseen"]) yield* journal.send({ executionId, kind: "Event", data: "{}" })
          yield* journal.write(
            lease,
            batch({
              updates: [
                update("seen", "Waiting", { dueAtMillis: 1e14, signals: 1 }),
                update("unseen", "Waiting", { dueAtMillis: 1e14, signals: 0 })
              ]
            })
          )
          assert.deepStrictEqual(idsOf(yield* claimAll(journal, lease, { nowMillis: 0 })), ["unseen"])
        }))

      test("however a signal and the return of an execution meet, it is not missed", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          const ids = Array.from({ length: 100 }, (_, index) => `race-${index}`)
          yield* journal.write(lease, starting(...ids.map((id) => start(id))))
          yield* Effect.forEach(ids, (executionId) =>
            Effect.all([
              journal.write(lease, batch({ updates: [update(executionId, "Waiting", { dueAtMillis: 1e14 })] })),
              journal.send({ executionId, kind: "Event", data: "{}" })
            ], { concurrency: 2 }), { concurrency: "unbounded" })
          assert.sameMembers([...idsOf(yield* claimAll(journal, lease, { nowMillis: 0 }))], ids)
        }))

      test("none is left for what is unknown, stuck or final", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          for (const state of ["Stuck", "Succeeded", "Compensated", "Abandoned"] as const) {
            yield* journal.write(lease, { ...starting(start(state)), updates: [update(state, state)] })
            assert.isFalse(yield* journal.send({ executionId: state, kind: "Event", data: "{}" }))
            yield* journal.write(lease, batch({ facts: [fact(state, 1)], updates: [update(state, "Running")] }))
            const claimed = yield* claimAll(journal, lease)
            assert.deepStrictEqual(claimed, [])
            assert.isTrue(yield* journal.send({ executionId: state, kind: "Later", data: "{}" }))
            const [later] = yield* claimAll(journal, lease)
            assert.deepStrictEqual(later?.signals.map(({ kind }) => kind), ["Later"])
          }
          assert.isFalse(yield* journal.send({ executionId: "nobody", kind: "Event", data: "{}" }))
        }))

      test("an owner is given its own in order, until it has answered them", (journal) =>
        Effect.gen(function*() {
          const [first, second] = [yield* acquire(journal), yield* acquire(journal)]
          yield* journal.write(first, starting(start("a"), start("b")))
          yield* journal.write(second, starting(start("c")))
          for (const executionId of ["b", "c", "a", "b"]) {
            yield* journal.send({ executionId, kind: "Event", data: "{}" })
          }
          const signals = yield* journal.signals(first)
          assert.deepStrictEqual(signals.map(({ executionId }) => executionId), ["b", "a", "b"])
          assert.deepStrictEqual((yield* journal.signals(second)).map(({ executionId }) => executionId), ["c"])
          const answered = signals.slice(0, 2)
          const answer = batch({ facts: [fact("b", 1)], signals: answered.map(({ id }) => id) })
          yield* journal.write(first, answer)
          assert.deepStrictEqual(yield* journal.signals(first), signals.slice(2))
          yield* journal.write(first, batch({ signals: signals.map(({ id }) => id) }))
          assert.deepStrictEqual(yield* journal.signals(first), [])
        }))
    })

    describe("reading", () => {
      test("of many executions those that are stuck or final are told", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          const states = [
            "Running",
            "Waiting",
            "Compensating",
            "Stuck",
            "Succeeded",
            "Compensated",
            "Abandoned"
          ] as const
          for (const state of states) {
            yield* journal.write(lease, {
              ...starting(start(state)),
              updates: [update(state, state, { problem: "p" })]
            })
          }
          const settled = yield* journal.settled([...states, "nobody"])
          assert.deepStrictEqual(settled.map(({ state }) => state).sort(), [
            "Abandoned",
            "Compensated",
            "Stuck",
            "Succeeded"
          ])
          assert.isTrue(settled.every(({ executionId, problem, state }) => executionId === state && problem === "p"))
          assert.deepStrictEqual(yield* journal.settled([]), [])
        }))

      test("pages go through all executions by age, without a gap and without a repetition", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          // Three start at a time.
          const starts = Array.from(
            { length: 20 },
            (_, index) => start(`id-${(index * 7) % 20}`, { startedAtMillis: Math.floor(index / 3) })
          )
          yield* journal.write(lease, starting(...starts))
          const expected = [...starts].sort((a, b) =>
            a.startedAtMillis - b.startedAtMillis || (a.executionId < b.executionId ? -1 : 1)
          ).map(({ executionId }) => executionId)
          const seen: Array<string> = []
          let after: { readonly startedAtMillis: number; readonly executionId: string } | undefined
          while (true) {
            const listed = yield* journal.list({ limit: 3, after })
            if (listed.length === 0) break
            assert.isAtMost(listed.length, 3)
            seen.push(...listed.map(({ executionId }) => executionId))
            after = listed.at(-1)
          }
          assert.deepStrictEqual(seen, expected)
        }))

      test("a list is of one saga, or of one state, or of both", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          for (const saga of ["A", "B"]) {
            for (const state of ["Running", "Stuck", "Succeeded", "Waiting"] as const) {
              const id = `${saga}-${state}`
              yield* journal.write(lease, { ...starting(start(id, { saga })), updates: [update(id, state)] })
            }
          }
          const list = (options: Partial<Parameters<Journal["list"]>[0]>) =>
            Effect.map(journal.list({ limit: 100, ...options }), (rows) => rows.map(({ executionId }) => executionId))
          assert.deepStrictEqual(yield* list({ saga: "A" }), ["A-Running", "A-Stuck", "A-Succeeded", "A-Waiting"])
          for (const state of ["Running", "Stuck", "Succeeded", "Waiting"] as const) {
            assert.deepStrictEqual(yield* list({ state }), [`A-${state}`, `B-${state}`])
            assert.deepStrictEqual(yield* list({ state, saga: "B" }), [`B-${state}`])
            const after = { startedAtMillis: 1_000, executionId: `A-${state}` }
            assert.deepStrictEqual(yield* list({ state, after }), [`B-${state}`])
          }
          assert.deepStrictEqual(yield* list({ saga: "C" }), [])
          assert.deepStrictEqual(yield* list({ state: "Abandoned" }), [])
        }))

      test("a definition is kept as it was first given", (journal) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* journal.definition("h"), Option.none())
          yield* journal.define({ hash: "h", ...kind, data: "{\"a\":1}" })
          yield* journal.define({ hash: "h", ...kind, data: "{\"a\":1}" })
          yield* journal.define({ hash: "other", ...kind, data: "{}" })
          assert.deepStrictEqual(yield* journal.definition("h"), Option.some("{\"a\":1}"))
        }))
    })

    describe("text", () => {
      const odd = {
        "an emoji": "🧳✈️👩‍👩‍👧",
        "quotes": `'"\`''""--; DROP TABLE saga_facts; /*`,
        "backslashes": "\\ \\\\ \\u0000 \\x00 \\n",
        "right-to-left": "\u202Eשלום\u202C مرحبا",
        "a prototype": "__proto__",
        "nothing": "",
        "blanks": " \t\r\n ",
        "placeholders": "$1 ? :a @b %s {} {1,2} [1] NULL",
        "a control character": "\u0001\u007F",
        "a separator": "\u2028\u2029\uFEFF",
        "a thousand characters": "ä".repeat(1_000)
      }

      for (const [what, text] of Object.entries(odd)) {
        test(`an id, a name and data with ${what} come back as they are`, (journal) =>
          Effect.gen(function*() {
            const lease = yield* acquire(journal)
            const data = JSON.stringify({ text, nul: "\0", lone: "\uD83E" })
            const saga = { saga: text, version: 1 }
            yield* journal.define({ hash: text, ...saga, data })
            yield* journal.write(lease, {
              ...waiting(1e14, start(text, { ...saga, definition: text }), start("beside")),
              facts: [fact(text, 0, data), fact(text, 1, data), fact("beside", 0)]
            })
            assert.isTrue(yield* journal.send({ executionId: text, kind: text, data }))
            const [claimed] = yield* claimAll(journal, lease, { sagas: [saga], nowMillis: 0 })
            assert.deepStrictEqual(claimed!.execution, Option.getOrThrow(yield* journal.find(text)))
            assert.deepStrictEqual(claimed!.facts, [fact(text, 0, data), fact(text, 1, data)])
            assert.deepStrictEqual(claimed!.signals.map(({ executionId, kind }) => [executionId, kind]), [[text, text]])
            assert.strictEqual(claimed!.signals[0]!.data, data)
            const answer = batch({
              facts: [fact(text, 2)],
              updates: [update(text, "Stuck", { problem: text, signals: 1 })],
              signals: claimed!.signals.map(({ id }) => id)
            })
            assert.deepStrictEqual(yield* journal.write(lease, answer), committed)
            const [settled] = yield* journal.settled([text])
            assert.deepStrictEqual([settled?.executionId, settled?.problem], [text, text])
            assert.deepStrictEqual(yield* journal.list({ limit: 10, saga: text, state: "Stuck" }), [settled!])
            assert.deepStrictEqual(yield* journal.definition(text), Option.some(data))
            assert.deepStrictEqual(yield* journal.write(lease, starting(start(text))), missing(text))
          }))
      }

      for (const [what, text] of [["NUL", "a\0b"], ["half a character", "a\uD83E"]] as const) {
        test(`an id with ${what} is carried or refused, and never taken for another one`, (journal) =>
          Effect.gen(function*() {
            const lease = yield* acquire(journal)
            const others = ["a", "ab", "a\uFFFD", "a\uFFFDb", "a\uD83D"]
            const written = yield* Effect.result(journal.write(lease, starting(start(text))))
            for (const other of others) {
              assert.deepStrictEqual(yield* journal.find(other), Option.none())
              assert.isFalse(yield* journal.send({ executionId: other, kind: "Event", data: "{}" }))
            }
            yield* journal.write(lease, starting(start("a\uFFFD"), start("a\uFFFDb")))
            if (Result.isSuccess(written)) {
              assert.strictEqual(Option.getOrThrow(yield* journal.find(text)).executionId, text)
            } else {
              assert.strictEqual(written.failure._tag, "BatchRefused")
              assert.deepStrictEqual(yield* contents(journal, text), [[Option.none(), []]])
              assert.deepStrictEqual(yield* journal.settled([text]), [])
              assert.isFalse(yield* journal.send({ executionId: text, kind: "Event", data: "{}" }))
            }
          }))
      }

      test("a problem is stored whatever is in it", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          const updates = [update("one", "Stuck", { problem: "lost\0 \uD83E contact" })]
          assert.deepStrictEqual(yield* journal.write(lease, { ...starting(start("one")), updates }), committed)
          assert.match(Option.getOrThrow(yield* journal.find("one")).problem!, /^lost.* contact$/)
        }))

      test("a MiB of data comes back as it is", (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          const data = JSON.stringify("🧳 \\ \" ä".repeat(110_000))
          assert.isAtLeast(data.length, 1024 * 1024)
          yield* journal.write(lease, {
            ...waiting(0, start("one"), start("two")),
            facts: [fact("one", 0, data), fact("one", 1, data), fact("two", 0)]
          })
          const [one] = yield* claimAll(journal, lease)
          assert.isTrue(one!.facts.length === 2 && one!.facts.every((found) => found.data === data))
        }))
    })
  })
