/** What a journal promises to who takes executions, and to who sends them signals. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Lease } from "../../../SagaJournal.ts"
import { assert } from "../expect.ts"
import { describe } from "./promise.ts"
import type { WritePromise } from "./promise.ts"
import {
  acquire,
  batch,
  claimAll,
  fact,
  factsOf,
  idsOf,
  kind,
  patience,
  start,
  starting,
  update,
  waiting
} from "./records.ts"

export const claiming = (test: WritePromise): void => {
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
            const wait = patience()
            while (claimed.length < ids.length) {
              wait()
              claimed.push(...idsOf(yield* claimAll(journal, lease, { limit: 7 })))
            }
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
}
