/** What a journal promises to who keeps it in order: numbers, histories, what goes and what it says of itself. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type { Filter, Journal, Lease } from "../../../SagaJournal.ts"
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
  finalStates,
  idsOf,
  listAll,
  missing,
  openStates,
  patience,
  start,
  starting,
  update
} from "./records.ts"

const named = (journal: Journal, name: string, leaseMillis = 60_000) => journal.acquire({ name, leaseMillis })

export const keeping = (test: WritePromise): void => {
  describe("counting", () => {
    test("executions are counted by saga, version and state", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        assert.deepStrictEqual(yield* journal.count({}), [])
        let count = 0
        for (const saga of ["A", "B"]) {
          for (const version of [1, 2]) {
            for (const state of ["Running", "Succeeded"] as const) {
              const ids = Array.from({ length: ++count }, (_, index) => `${saga}${version}${state}${index}`)
              const starts = ids.map((id) => start(id, { saga, version }))
              yield* journal.write(lease, { ...starting(...starts), updates: ids.map((id) => update(id, state)) })
            }
          }
        }
        const counts = (filter: Pick<Filter, "saga" | "version" | "states">) =>
          Effect.map(
            journal.count(filter),
            (rows) => rows.map(({ count, saga, state, version }) => `${saga}${version} ${state} ${count}`).sort()
          )
        assert.deepStrictEqual(yield* counts({}), [
          "A1 Running 1",
          "A1 Succeeded 2",
          "A2 Running 3",
          "A2 Succeeded 4",
          "B1 Running 5",
          "B1 Succeeded 6",
          "B2 Running 7",
          "B2 Succeeded 8"
        ])
        assert.deepStrictEqual(yield* counts({ saga: "B", version: 1 }), ["B1 Running 5", "B1 Succeeded 6"])
        assert.deepStrictEqual(yield* counts({ version: 2, states: ["Running"] }), ["A2 Running 3", "B2 Running 7"])
        assert.deepStrictEqual(yield* counts({ states: ["Stuck"] }), [])
        assert.deepStrictEqual(yield* counts({ states: [] }), [])
        assert.deepStrictEqual(yield* counts({ saga: "C" }), [])
      }))
  })

  describe("histories", () => {
    test("each fact comes with the name of the engine that wrote it, however that engine ended", (journal) =>
      Effect.gen(function*() {
        const [frozen, other] = [yield* named(journal, "frozen", 1), yield* named(journal, "🧳 \"other\"")]
        yield* journal.write(frozen, batch({ starts: [start("one")], facts: factsOf("one", 0, 1) }))
        yield* TestClock.adjust("1 second")
        let taken = 0
        const wait = patience()
        while (taken === 0) {
          wait()
          taken = yield* journal.takeOver(other)
        }
        yield* claimAll(journal, other)
        yield* journal.write(other, batch({ facts: [fact("one", 2)] }))
        yield* journal.end(other)
        const scope = yield* Scope.make()
        const last = yield* Scope.provide(named(journal, "last"), scope)
        yield* claimAll(journal, last)
        yield* journal.write(last, batch({ facts: [fact("one", 3)], updates: [update("one", "Succeeded")] }))
        yield* Scope.close(scope, Exit.void)
        const history = yield* journal.history("one")
        assert.deepStrictEqual(history.map(({ engine }) => engine), ["frozen", "frozen", "🧳 \"other\"", "last"])
        const facts = yield* journal.facts("one", 0)
        assert.deepStrictEqual(history, facts.map((fact, index) => ({ ...fact, engine: history[index]!.engine })))
        assert.deepStrictEqual(yield* journal.history("nobody"), [])
      }))
  })

  describe("removing", () => {
    /** One execution of each state, and one beside, each with facts and tags, all that go on with signals. */
    const fill = (journal: Journal, lease: Lease) =>
      Effect.gen(function*() {
        const ids = [...finalStates, ...openStates]
        yield* journal.write(lease, starting(...[...ids, "beside"].map((id) => start(id, { tags: { of: "all", id } }))))
        for (const executionId of [...ids, "beside"]) yield* journal.send({ executionId, kind: "Event", data: "{}" })
        const updates = ids.map((id) => update(id, id, { released: false }))
        yield* journal.write(lease, batch({ facts: ids.flatMap((id) => factsOf(id, 1, 3)), updates }))
        return ids
      })

    test("what is final goes with all that belongs to it, and what goes on or is stuck stays as it is", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        const ids = yield* fill(journal, lease)
        const before = yield* contents(journal, ...openStates, "beside")
        const removed = yield* journal.remove([...ids, "nobody"])
        assert.deepStrictEqual([...removed].sort(), [...finalStates].sort())
        assert.deepStrictEqual(yield* journal.remove(ids), [])
        assert.deepStrictEqual(yield* journal.remove([]), [])
        assert.deepStrictEqual(yield* contents(journal, ...openStates, "beside"), before)
        for (const id of finalStates) {
          assert.deepStrictEqual(yield* contents(journal, id), [[Option.none(), []]])
          assert.deepStrictEqual(yield* journal.history(id), [])
          assert.isFalse(yield* journal.send({ executionId: id, kind: "Event", data: "{}" }))
          const late = batch({ facts: factsOf(id, 4, 5), updates: [update(id, "Running")] })
          assert.deepStrictEqual(yield* journal.write(lease, late), missing(id))
          assert.deepStrictEqual(yield* contents(journal, id), [[Option.none(), []]])
        }
        const left = [...openStates, "beside"].sort()
        assert.deepStrictEqual((yield* journal.signals(lease)).map(({ executionId }) => executionId).sort(), left)
        assert.deepStrictEqual([...(yield* listAll(journal, { limit: 3, tags: { of: "all" } })).ids].sort(), left)
        assert.deepStrictEqual((yield* journal.count({})).map(({ count }) => count).sort(), [1, 1, 1, 2])
      }))

    test("an id that has gone is free, and nothing is left of who had it", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        yield* fill(journal, lease)
        yield* journal.remove(finalStates)
        const again = start("Succeeded", { owned: false, tags: { of: "another" } })
        assert.deepStrictEqual(yield* journal.write(lease, starting(again)), committed)
        const tagged = (tags: Filter["tags"]) => Effect.map(listAll(journal, { limit: 9, tags }), ({ ids }) => ids)
        assert.deepStrictEqual(yield* tagged({ of: "another" }), ["Succeeded"])
        assert.deepStrictEqual(yield* tagged({ id: "Succeeded" }), [])
        const [claimed] = yield* claimAll(journal, lease)
        assert.deepStrictEqual(claimed!.facts, [fact("Succeeded", 0)])
        assert.deepStrictEqual([claimed!.signals, claimed!.signalCount], [[], 0])
      }))

    test("a list goes on behind what has gone", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        const ids = Array.from({ length: 25 }, (_, index) => `id-${index}`)
        const starts = ids.map((id, index) => start(id, { startedAtMillis: index }))
        yield* journal.write(lease, { ...starting(...starts), updates: ids.map((id) => update(id, "Succeeded")) })
        const gone: Array<string> = []
        let page = yield* journal.list({ limit: 10, updatedBeforeMillis: 1e6 })
        const longest = patience()
        while (page.executions.length > 0) {
          longest()
          gone.push(...yield* journal.remove(page.executions.map(({ executionId }) => executionId)))
          page = yield* journal.list({ limit: 10, updatedBeforeMillis: 1e6, after: page.next })
        }
        assert.deepStrictEqual(gone.sort(), [...ids].sort())
      }))
  })

  describe("inspecting", () => {
    test("it tells its time, its tables, and which leases nobody has ended and how many executions each owns", (journal) =>
      Effect.gen(function*() {
        const empty = yield* journal.inspect({ longerThan: 0 })
        assert.deepStrictEqual([empty.leases, empty.longFacts], [[], []])
        assert.isTrue(empty.schema === undefined || empty.schema.found === empty.schema.known)
        const [one, two] = [yield* named(journal, "one", 10_000), yield* named(journal, "two", 20_000)]
        const [gone, idle] = [yield* named(journal, "gone"), yield* named(journal, "idle")]
        yield* journal.write(one, starting(start("a"), start("b"), start("c", { owned: false })))
        yield* journal.write(two, starting(start("d")))
        yield* journal.write(gone, starting(start("e")))
        yield* journal.end(gone)
        const { leases, nowMillis } = yield* journal.inspect({ longerThan: 1_000 })
        assert.isTrue(nowMillis >= empty.nowMillis && nowMillis < empty.nowMillis + 60_000)
        const told = [...leases].sort((a, b) => a.name < b.name ? -1 : 1)
        assert.deepStrictEqual(told.map(({ id, name, owned }) => [id, name, owned]), [
          [idle.id, "idle", 0],
          [one.id, "one", 2],
          [two.id, "two", 1]
        ])
        const left = told.slice(1).map(({ expiresAtMillis }) => expiresAtMillis - nowMillis)
        assert.isTrue(left[0]! > 5_000 && left[0]! <= 10_000 && left[1]! > 15_000 && left[1]! <= 20_000, left.join())
      }))

    test("the longest facts of what is not final are told, the longest first", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        const long = (id: string, sequence: number, length: number, letter = "x") =>
          fact(id, sequence, `"${letter.repeat(length - 2)}"`)
        yield* journal.write(
          lease,
          batch({
            starts: [start("runs"), start("stuck", { saga: "Other" }), start("done")],
            facts: [
              fact("runs", 0),
              long("runs", 1, 300),
              long("runs", 2, 200),
              long("runs", 3, 201),
              // Counted are characters, not what they take.
              long("stuck", 0, 250, "🧳"),
              long("stuck", 1, 200, "🧳"),
              long("done", 0, 400)
            ],
            updates: [update("stuck", "Stuck"), update("done", "Succeeded")]
          })
        )
        const { longFacts } = yield* journal.inspect({ longerThan: 200 })
        assert.deepStrictEqual(longFacts, [
          { executionId: "runs", sequence: 1, tag: "StepSucceeded", length: 300 },
          { executionId: "stuck", sequence: 0, tag: "SagaStarted", length: 250 },
          { executionId: "runs", sequence: 3, tag: "StepSucceeded", length: 201 }
        ])
        yield* journal.write(
          lease,
          batch({ facts: Array.from({ length: 150 }, (_, index) => long("runs", 4 + index, 500 + index)) })
        )
        const most = (yield* journal.inspect({ longerThan: 200 })).longFacts
        assert.deepStrictEqual(most.map(({ length }) => length), Array.from({ length: 100 }, (_, index) => 649 - index))
        assert.deepStrictEqual(idsOf(yield* claimAll(journal, lease)), [])
      }))
  })
}
