/** What a journal promises about the right to write: who has it, who has lost it, and what becomes of what it was for. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type { Journal, Lease } from "../../../SagaJournal.ts"
import { assert } from "../expect.ts"
import { describe } from "./promise.ts"
import type { WritePromise } from "./promise.ts"
import {
  acquire,
  batch,
  claimAll,
  committed,
  contents,
  fact,
  idsOf,
  kind,
  leaseLost,
  patience,
  start,
  starting,
  update
} from "./records.ts"

export const leases = (test: WritePromise, noticesDeath: boolean): void => {
  describe("leases", () => {
    /** Ends a lease as if its holder were frozen: it has run out and another engine takes over. */
    const fence = (journal: Journal, taker: Lease) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("1 second")
        let count = 0
        const wait = patience()
        while (count === 0) {
          wait()
          count = yield* journal.takeOver(taker)
        }
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
        assert.deepStrictEqual(yield* claimAll(journal, taker), [])
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
}
