/** What a journal promises to who starts executions and writes their facts. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Claimed, Lease } from "../../../SagaJournal.ts"
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
  factsOf,
  idsOf,
  missing,
  start,
  starting,
  update
} from "./records.ts"

export const writing = (test: WritePromise): void => {
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
            problem: null,
            uncertain: false,
            tags: {}
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
        // It does not wait any more.
        assert.strictEqual(claimed!.execution.state, "Running")
        assert.strictEqual(claimed!.execution.updatedAtMillis, 3_000)
        assert.isFalse(claimed!.clean)
      }))

    test("a start carries what it can be found by, and that a step of it is uncertain", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        const tags = { tenant: "acme", region: "eu" }
        const one = { ...starting(start("one", { tags })), updates: [update("one", "Stuck", { uncertain: true })] }
        assert.deepStrictEqual(yield* journal.write(lease, one), committed)
        const found = Option.getOrThrow(yield* journal.find("one"))
        assert.deepStrictEqual([found.tags, found.uncertain], [tags, true])
        assert.deepStrictEqual(yield* journal.settled(["one"]), [found])
        // Who comes later with the same id changes nothing in them.
        const other = starting(start("one", { tags: { tenant: "other" } }), start("two", { tags: {} }))
        assert.deepStrictEqual(yield* journal.write(lease, other), missing("one"))
        assert.deepStrictEqual(yield* journal.write(lease, other), missing("one"))
        assert.deepStrictEqual(yield* journal.find("one"), Option.some(found))
        assert.deepStrictEqual((yield* journal.list({ limit: 9, tags: { tenant: "other" } })).executions, [])
        assert.deepStrictEqual(Option.getOrThrow(yield* journal.find("two")).tags, {})
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

    test("what an update leaves as it was stays as it was", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        const ids = ["first", "second", "third"]
        // Not clean and uncertain, by a batch of their own or the one that started them; or neither, as all begin.
        yield* journal.write(lease, starting(start("first")))
        const isBad = { clean: false, uncertain: true, dueAtMillis: 1 }
        yield* journal.write(lease, batch({ updates: [update("first", "Waiting", isBad)] }))
        yield* journal.write(lease, { ...starting(start("second")), updates: [update("second", "Waiting", isBad)] })
        const isLeft = { clean: null, uncertain: null, dueAtMillis: 1 }
        yield* journal.write(lease, { ...starting(start("third")), updates: [update("third", "Waiting", isLeft)] })
        const what = (claimed: ReadonlyArray<Claimed>) =>
          [...claimed].sort((a, b) => a.execution.executionId < b.execution.executionId ? -1 : 1).map((
            { clean, execution }
          ) => [execution.executionId, clean, execution.uncertain])
        const expected = [["first", false, true], ["second", false, true], ["third", true, false]]
        assert.deepStrictEqual(what(yield* claimAll(journal, lease)), expected)
        yield* journal.write(lease, batch({ updates: ids.map((id) => update(id, "Waiting", isLeft)) }))
        assert.deepStrictEqual(what(yield* claimAll(journal, lease)), expected)
        // Of several the last one counts, and what that leaves the one before it.
        const isGood = { clean: true, uncertain: false, released: false }
        const updates = ids.flatMap((id) => [update(id, "Running", isGood), update(id, "Waiting", isLeft)])
        yield* journal.write(lease, batch({ facts: ids.map((id) => fact(id, 1)), updates }))
        const uncertain = yield* Effect.forEach(ids, (id) => journal.find(id))
        assert.deepStrictEqual(uncertain.map((row) => Option.getOrThrow(row).uncertain), [false, false, false])
      }))

    test("of an execution that is not there nothing is written, and who wanted to change it is told", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        yield* journal.write(lease, starting(start("there")))
        const late = batch({
          facts: [fact("nobody", 3), fact("there", 1), fact("nobody", 4)],
          updates: [update("nobody", "Running")]
        })
        assert.deepStrictEqual(yield* journal.write(lease, late), missing("nobody"))
        assert.deepStrictEqual(yield* contents(journal, "nobody"), [[Option.none(), []]])
        assert.strictEqual((yield* journal.facts("there", 0)).length, 2)
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
}
