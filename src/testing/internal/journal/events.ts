/** What a journal promises to who brings events to executions: what is kept, who is woken, what is read, what is forgotten. */
import * as Effect from "effect/Effect"
import type { EventRecord, Journal, KeptEvent, LettersRequest, WaitRecord } from "../../../SagaJournal.ts"
import { assert } from "../expect.ts"
import { describe } from "./promise.ts"
import type { WritePromise } from "./promise.ts"
import { acquire, batch, claimAll, fact, idsOf, patience, start, starting, update } from "./records.ts"

const event = (id: string, fields: Partial<EventRecord> = {}): EventRecord => ({
  id,
  type: "Paid",
  key: "o",
  data: `{"of":"${id}"}`,
  ...fields
})

const wait = (executionId: string, fields: Partial<WaitRecord> = {}): WaitRecord => ({
  executionId,
  path: "paid",
  type: "Paid",
  key: "o",
  ...fields
})

const request = (executionId: string, fields: Partial<LettersRequest> = {}): LettersRequest => ({
  executionId,
  type: "Paid",
  key: "o",
  after: 0,
  ...fields
})

/** Which events each request is answered with, by their ids. */
const idsIn = (journal: Journal, ...requests: ReadonlyArray<LettersRequest>) =>
  Effect.map(journal.events.read(requests, 100), (pages) => pages.map((page) => page.map(({ id }) => id)))

/** The number of the first event that an execution could receive. */
const firstFor = (journal: Journal, executionId: string) =>
  Effect.map(journal.events.read([request(executionId)], 1), (pages) => pages[0]![0]!.sequence)

/** Wakes until nobody is left to be woken. */
const wakeAll = (journal: Journal) =>
  Effect.gen(function*() {
    const more = patience()
    let count = 0
    for (let told = 1; told > 0; count += told) {
      more()
      told = yield* journal.events.wake
    }
    return count
  })

export const events = (test: WritePromise): void => {
  describe("events", () => {
    test("an event is kept once, by its id, and is read as it was", (journal) =>
      Effect.gen(function*() {
        const odd = event("'\"\u{1F4E8}", { type: "A/b", key: "ключ %", data: "{\"a\":\"\\u0000\"}" })
        assert.deepStrictEqual(yield* journal.events.keep([event("a"), event("b"), event("a")], 0), ["a", "b"])
        assert.deepStrictEqual(yield* journal.events.keep([odd, event("b")], 0), [odd.id])
        assert.deepStrictEqual(yield* idsIn(journal, request("x")), [["a", "b"]])
        const [found] = yield* journal.events.read([request("x", { type: "A/b", key: "ключ %" })], 10)
        assert.deepStrictEqual(found!.map(({ data, id, key, type }) => ({ id, type, key, data })), [odd])
      }))

    test("events are read in the order in which they were kept, behind a number, and no more than asked for", (journal) =>
      Effect.gen(function*() {
        const ids = ["c", "a", "d", "b"]
        yield* journal.events.keep(ids.slice(0, 3).map((id) => event(id)), 0)
        yield* journal.events.keep(ids.slice(3).map((id) => event(id)), 0)
        const [all] = yield* journal.events.read([request("x")], 10)
        assert.deepStrictEqual(all!.map(({ id }) => id), ids)
        const after = all![1]!.sequence
        assert.deepStrictEqual(yield* idsIn(journal, request("x", { after })), [ids.slice(2)])
        const [two] = yield* journal.events.read([request("x")], 2)
        assert.deepStrictEqual(two!.map(({ id }) => id), ids.slice(0, 2))
      }))

    test("each request is answered in its place", (journal) =>
      Effect.gen(function*() {
        yield* journal.events.keep([event("a"), event("b", { key: "p" }), event("c", { type: "Refused" })], 0)
        const requests = [request("x", { key: "none" }), request("x", { key: "p" }), request("y"), request("y")]
        assert.deepStrictEqual(yield* idsIn(journal, ...requests), [[], ["b"], ["a"], ["a"]])
        assert.deepStrictEqual(yield* idsIn(journal), [])
      }))

    test("who awaits an event is sent a signal once, and can be claimed; who awaits another is not", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        const ids = ["one", "two", "other key", "other type"]
        yield* journal.write(lease, {
          ...starting(...ids.map((id) => start(id))),
          updates: ids.map((id) => update(id, "Waiting")),
          waits: [
            wait("one"),
            wait("two"),
            wait("other key", { key: "p" }),
            wait("other type", { type: "Refused" })
          ]
        })
        assert.deepStrictEqual(idsOf(yield* claimAll(journal, lease)), [])
        yield* journal.events.keep([event("a"), event("b")], 0)
        assert.strictEqual(yield* wakeAll(journal), 2)
        assert.strictEqual(yield* wakeAll(journal), 0)
        const claimed = yield* claimAll(journal, lease)
        assert.sameMembers(idsOf(claimed), ["one", "two"])
        for (const { signals } of claimed) assert.deepStrictEqual(signals.map(({ kind }) => kind), ["event"])
        yield* journal.events.keep([event("b")], 0)
        assert.strictEqual(yield* wakeAll(journal), 0)
      }))

    test("who runs is sent a signal too, and it is there when it is given back", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        yield* journal.write(lease, { ...starting(start("one")), waits: [wait("one")] })
        yield* journal.events.keep([event("a")], 0)
        yield* wakeAll(journal)
        const signals = yield* journal.signals(lease)
        assert.deepStrictEqual(signals.map(({ executionId, kind }) => [executionId, kind]), [["one", "event"]])
        yield* journal.write(lease, batch({ facts: [fact("one", 1)], updates: [update("one", "Waiting")] }))
        assert.deepStrictEqual(idsOf(yield* claimAll(journal, lease)), ["one"])
      }))

    test("a wait that is over wakes nobody, nor does that of an execution that has ended", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        const ids = ["over", "ended", "both"]
        yield* journal.write(lease, {
          ...starting(...ids.map((id) => start(id))),
          waits: [
            wait("over"),
            wait("over", { type: "Refused" }),
            wait("ended"),
            wait("both"),
            wait("both", { path: "again" })
          ]
        })
        yield* journal.write(
          lease,
          batch({
            facts: ids.map((id) => fact(id, 1)),
            updates: [update("over", "Waiting"), update("ended", "Succeeded"), update("both", "Waiting")],
            ended: [
              { executionId: "over", path: "paid", received: null },
              { executionId: "both", path: "paid", received: null }
            ]
          })
        )
        yield* journal.events.keep([event("a"), event("b", { type: "Refused" })], 0)
        yield* wakeAll(journal)
        assert.deepStrictEqual(idsOf(yield* claimAll(journal, lease)), ["both"])
      }))

    test("what an execution has received it does not read again, others do", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        yield* journal.write(lease, { ...starting(start("one"), start("two")), waits: [wait("one"), wait("two")] })
        yield* journal.events.keep([event("a"), event("b")], 0)
        const ended = [{ executionId: "one", path: "paid", received: yield* firstFor(journal, "one") }]
        yield* journal.write(lease, batch({ facts: [fact("one", 1)], ended }))
        assert.deepStrictEqual(yield* idsIn(journal, request("one"), request("two")), [["b"], ["a", "b"]])
      }))

    test("waits are written with the facts of their execution, or not at all", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        yield* journal.write(lease, starting(start("one")))
        const late = batch({ facts: [fact("one", 0)], waits: [wait("one")] })
        assert.deepStrictEqual(yield* journal.write(lease, late), { _tag: "Committed", missing: ["one"] })
        yield* journal.write(lease, batch({ facts: [fact("one", 1)], updates: [update("one", "Waiting")] }))
        yield* journal.events.keep([event("a")], 0)
        yield* wakeAll(journal)
        assert.deepStrictEqual(idsOf(yield* claimAll(journal, lease)), [])
      }))

    test("a batch that is written again after its answer was lost opens its waits once", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        const opening = { ...starting(start("one")), updates: [update("one", "Waiting")], waits: [wait("one")] }
        yield* journal.write(lease, opening)
        assert.deepStrictEqual(yield* journal.write(lease, opening), { _tag: "Committed", missing: [] })
        yield* journal.events.keep([event("a")], 0)
        yield* wakeAll(journal)
        assert.deepStrictEqual(idsOf(yield* claimAll(journal, lease)), ["one"])
      }))

    test("what was kept before a time is forgotten, and what nobody has received becomes a dead letter", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        yield* journal.write(lease, { ...starting(start("one")), waits: [wait("one")] })
        yield* journal.events.keep([event("a")], 1_000)
        yield* journal.events.keep([event("b"), event("c")], 2_000)
        yield* journal.events.keep([event("d")], 3_000)
        const ended = [{ executionId: "one", path: "paid", received: yield* firstFor(journal, "one") }]
        yield* journal.write(lease, batch({ facts: [fact("one", 1)], ended }))
        const forget = (keptBeforeMillis: number, limit = 100) =>
          Effect.map(
            journal.events.forget({ keptBeforeMillis, limit }),
            ({ count, dead }) => [count, ...dead.map(({ id }) => id)]
          )
        assert.deepStrictEqual(yield* forget(1_000), [0])
        assert.deepStrictEqual(yield* forget(2_000), [1])
        assert.deepStrictEqual(yield* forget(3_000, 1), [1, "b"])
        assert.deepStrictEqual(yield* forget(3_000), [1, "c"])
        assert.deepStrictEqual(yield* idsIn(journal, request("two")), [["d"]])
        // What was forgotten is new when it comes again.
        assert.deepStrictEqual(yield* journal.events.keep([event("b"), event("d")], 4_000), ["b"])
      }))

    test("dead letters are listed in order, each as it was and with a reason", (journal) =>
      Effect.gen(function*() {
        yield* journal.events.keep(["a", "b", "c"].map((id) => event(id)), 0)
        yield* journal.events.forget({ keptBeforeMillis: 1, limit: 100 })
        const all = yield* journal.events.deadLetters({ after: 0, limit: 100 })
        assert.deepStrictEqual(
          all.map(({ data, id, key, type }) => ({ id, type, key, data })),
          ["a", "b", "c"].map((id) => event(id))
        )
        assert.strictEqual(yield* journal.events.deadLetterCount, 3)
        for (const { reason } of all) assert.match(reason, /nobody received it/)
        const rest = yield* journal.events.deadLetters({ after: all[0]!.number, limit: 1 })
        assert.deepStrictEqual(rest.map(({ id }) => id), ["b"])
      }))

    test("what an execution publishes is kept with its facts, or not at all", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        const published = (executionId: string, id: string) => ({ executionId, ...event(id), keptAtMillis: 5_000 })
        const first = {
          ...starting(start("one"), start("two")),
          published: [published("two", "b"), published("one", "a")]
        }
        yield* journal.write(lease, first)
        assert.deepStrictEqual(yield* journal.write(lease, first), { _tag: "Committed", missing: [] })
        assert.deepStrictEqual(yield* idsIn(journal, request("x")), [["b", "a"]])
        const facts = [fact("one", 0), fact("two", 1)]
        const half = batch({ facts, published: [published("one", "c"), published("two", "d")] })
        assert.deepStrictEqual(yield* journal.write(lease, half), { _tag: "Committed", missing: ["one"] })
        yield* journal.write(lease, batch({ facts: [fact("two", 2)], published: [published("two", "d")] }))
        assert.deepStrictEqual(yield* idsIn(journal, request("x")), [["b", "a", "d"]])
        assert.strictEqual((yield* journal.events.forget({ keptBeforeMillis: 5_000, limit: 10 })).count, 0)
        assert.strictEqual((yield* journal.events.forget({ keptBeforeMillis: 5_001, limit: 10 })).count, 3)
      }))

    test("who awaits what another one publishes is woken", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        yield* journal.write(lease, {
          ...starting(start("waits"), start("publishes")),
          updates: [update("waits", "Waiting")],
          waits: [wait("waits")],
          published: [{ executionId: "publishes", ...event("a"), keptAtMillis: 0 }]
        })
        yield* wakeAll(journal)
        assert.deepStrictEqual(idsOf(yield* claimAll(journal, lease)), ["waits"])
      }))

    test("a subscription reads all events of its types in order, page by page", (journal) =>
      Effect.gen(function*() {
        const of = (type: string, ...ids: ReadonlyArray<string>) => ids.map((id) => event(id, { type, key: id }))
        yield* journal.events.keep([...of("A", "1"), ...of("B", "2"), ...of("A", "3"), ...of("C", "4")], 0)
        const page = (a: number, b: number, limit: number) =>
          Effect.map(
            journal.events.log({ from: [{ type: "B", after: b }, { type: "A", after: a }], limit }),
            ({ events, upTo }) => [events.map(({ id }) => id), upTo] as const
          )
        const [two, middle] = yield* page(0, 0, 2)
        assert.deepStrictEqual(two, ["1", "2"])
        const [rest, end] = yield* page(middle, middle, 2)
        assert.deepStrictEqual(rest, ["3"])
        assert.deepStrictEqual(yield* page(end, end, 2), [[], end])
        // It may be further in one type than in another.
        assert.deepStrictEqual((yield* page(end, 0, 2))[0], ["2"])
        assert.deepStrictEqual((yield* page(middle, 0, 1))[0], ["2"])
        yield* journal.events.keep(of("B", "5"), 0)
        assert.deepStrictEqual((yield* page(end, end, 2))[0], ["5"])
        assert.deepStrictEqual(yield* journal.events.log({ from: [], limit: 1 }), {
          events: [],
          upTo: (yield* page(end, end, 2))[1]
        })
      }))

    test("a subscription is moved on and never back, in each of its types by itself", (journal) =>
      Effect.gen(function*() {
        const advance = (name: string, types: ReadonlyArray<string>, to: number) =>
          Effect.map(
            journal.events.advance(name, types, to),
            (reached) => Object.fromEntries(reached.map(({ after, type }) => [type, after]))
          )
        assert.deepStrictEqual(yield* advance("a", ["A"], 0), { A: 0 })
        assert.deepStrictEqual(yield* advance("a", ["A"], 5), { A: 5 })
        assert.deepStrictEqual(yield* advance("a", ["A"], 3), { A: 5 })
        assert.deepStrictEqual(yield* advance("a", ["A", "B"], 0), { A: 5, B: 0 })
        assert.deepStrictEqual(yield* advance("a", ["B"], 4), { B: 4 })
        assert.deepStrictEqual(yield* advance("a", ["B", "A"], 4), { A: 5, B: 4 })
        assert.deepStrictEqual(yield* advance("b", ["A"], 0), { A: 0 })
      }))

    test("subscriptions are listed with what is before them, until they are forgotten", (journal) =>
      Effect.gen(function*() {
        yield* journal.events.keep([event("a"), event("b"), event("c", { type: "Refused" })], 0)
        const [all] = yield* journal.events.read([request("x")], 10)
        const first = all![0]!.sequence
        yield* journal.events.advance("s", ["Refused", "Paid"], 0)
        yield* journal.events.advance("r", ["Paid"], first)
        assert.deepStrictEqual(yield* journal.events.subscriptions, [
          { name: "r", type: "Paid", after: first, behind: 1 },
          { name: "s", type: "Paid", after: 0, behind: 2 },
          { name: "s", type: "Refused", after: 0, behind: 1 }
        ])
        const forget = Effect.map(journal.events.forget({ keptBeforeMillis: 1, limit: 10 }), ({ count }) => count)
        assert.strictEqual(yield* forget, 0)
        assert.deepStrictEqual([yield* journal.events.unsubscribe("s"), yield* journal.events.unsubscribe("s")], [
          true,
          false
        ])
        assert.strictEqual(yield* forget, 2)
        assert.deepStrictEqual((yield* journal.events.subscriptions).map(({ name }) => name), ["r"])
      }))

    test("nothing is forgotten that a subscription has not come to, and of its types nothing is a dead letter", (journal) =>
      Effect.gen(function*() {
        yield* journal.events.keep([event("a"), event("b", { type: "Refused" }), event("c")], 0)
        const [all] = yield* journal.events.read([request("x")], 10)
        const forget = Effect.map(
          journal.events.forget({ keptBeforeMillis: 1, limit: 10 }),
          ({ count, dead }) => [count, ...dead.map(({ id }) => id)]
        )
        yield* journal.events.advance("s", ["Paid"], 0)
        // Of another type: whoever reads this one does not hold it.
        assert.deepStrictEqual(yield* forget, [1, "b"])
        assert.deepStrictEqual(yield* forget, [0])
        yield* journal.events.advance("s", ["Paid"], all![0]!.sequence)
        assert.deepStrictEqual(yield* forget, [1])
        yield* journal.events.advance("s", ["Paid"], all![1]!.sequence)
        assert.deepStrictEqual(yield* forget, [1])
      }))

    test("nothing is forgotten that an execution awaits, however long ago it was kept, until it has received it or has ended", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        yield* journal.write(lease, {
          ...starting(start("one"), start("two"), start("three")),
          updates: [update("one", "Waiting"), update("two", "Stuck"), update("three", "Abandoned")],
          waits: [wait("one"), wait("two"), wait("three")]
        })
        yield* journal.events.keep([event("a"), event("b", { key: "nobody's" })], 0)
        const forget = Effect.map(
          journal.events.forget({ keptBeforeMillis: 1, limit: 10 }),
          ({ count, dead }) => [count, ...dead.map(({ id }) => id)]
        )
        assert.deepStrictEqual(yield* forget, [1, "b"])
        const ended = (executionId: string, received: number | null) => ({ executionId, path: "paid", received })
        const received = yield* firstFor(journal, "one")
        yield* wakeAll(journal)
        yield* claimAll(journal, lease)
        yield* journal.write(lease, batch({ facts: [fact("one", 1)], ended: [ended("one", received)] }))
        assert.deepStrictEqual(yield* forget, [0])
        yield* journal.write(lease, batch({ ended: [ended("two", null)] }))
        assert.deepStrictEqual(yield* forget, [1])
      }))

    test("an event becomes a dead letter once for each subscription, with its last reason", (journal) =>
      Effect.gen(function*() {
        yield* journal.events.keep([event("a"), event("b")], 0)
        const [a, b] = (yield* journal.events.read([request("x")], 10))[0]!
        for (const name of ["s", "t"]) yield* journal.events.advance(name, ["Paid"], b!.sequence)
        const bury = (event: KeptEvent, name: string, reason: string) => journal.events.bury(event, name, reason, 7_000)
        yield* bury(b!, "s", "no")
        yield* bury(b!, "s", "'poison' \u{1F480}")
        // What becomes one later comes behind, whatever its event.
        yield* bury(a!, "t", "one")
        yield* bury(b!, "t", "other")
        const letters = yield* journal.events.deadLetters({ after: 0, limit: 10 })
        const of = (place: number, subscription: string, reason: string, event: KeptEvent) => (
          { ...event, number: letters[place]?.number, subscription, reason, atMillis: 7_000 }
        )
        assert.deepStrictEqual(letters, [
          of(0, "s", "'poison' \u{1F480}", b!),
          of(1, "t", "one", a!),
          of(2, "t", "other", b!)
        ])
        const rest = yield* journal.events.deadLetters({ after: letters[0]!.number, limit: 1 })
        assert.deepStrictEqual(rest.map(({ reason }) => reason), ["one"])
        assert.deepStrictEqual(yield* journal.events.forget({ keptBeforeMillis: 1, limit: 10 }), { count: 2, dead: [] })
      }))

    test("a dead letter of a subscription is handed out to it again, and to nobody else", (journal) =>
      Effect.gen(function*() {
        yield* journal.events.keep([event("a"), event("b", { type: "Refused" })], 0)
        const { events } = yield* journal.events.log({
          from: ["Paid", "Refused"].map((type) => ({ type, after: 0 })),
          limit: 9
        })
        for (const event of events) yield* journal.events.bury(event, "s", "no", 7_000)
        yield* journal.events.bury(events[0]!, "t", "no", 7_000)
        const [one, two, three] = yield* journal.events.deadLetters({ after: 0, limit: 10 })
        const again = (name: string, ...types: ReadonlyArray<string>) =>
          Effect.map(journal.events.redelivered(name, types, 10), (letters) => letters.map(({ number }) => number))
        assert.deepStrictEqual(yield* again("s", "Paid", "Refused"), [])
        for (const { number } of [two!, one!]) assert.isTrue(yield* journal.events.redeliver(number, 8_000))
        assert.deepStrictEqual(yield* again("s", "Paid", "Refused"), [one!.number, two!.number])
        assert.deepStrictEqual(yield* journal.events.redelivered("s", ["Refused"], 10), [two!])
        assert.deepStrictEqual(yield* again("t", "Paid", "Refused"), [])
        // It cannot be handled still, and then it is.
        yield* journal.events.bury(one!, "s", "no", 9_000)
        assert.deepStrictEqual(yield* again("s", "Paid", "Refused"), [two!.number])
        assert.isTrue(yield* journal.events.discard(two!.number))
        assert.isFalse(yield* journal.events.discard(two!.number))
        assert.isFalse(yield* journal.events.redeliver(two!.number, 9_000))
        assert.strictEqual(yield* journal.events.deadLetterCount, 2)
        const left = yield* journal.events.deadLetters({ after: 0, limit: 10 })
        assert.deepStrictEqual(left.map(({ number }) => number), [one!.number, three!.number])
      }))

    test("a dead letter that nobody has received is an event again", (journal) =>
      Effect.gen(function*() {
        yield* journal.events.keep([event("a"), event("b")], 0)
        yield* journal.events.forget({ keptBeforeMillis: 1, limit: 10 })
        yield* journal.events.keep([event("c")], 0)
        const [a] = yield* journal.events.deadLetters({ after: 0, limit: 10 })
        assert.strictEqual(a!.subscription, null)
        assert.isTrue(yield* journal.events.redeliver(a!.number, 5_000))
        assert.isFalse(yield* journal.events.redeliver(a!.number, 5_000))
        // Behind what was kept meanwhile, for as long as any other.
        assert.deepStrictEqual(yield* idsIn(journal, request("x")), [["c", "a"]])
        assert.strictEqual((yield* journal.events.forget({ keptBeforeMillis: 5_000, limit: 10 })).count, 1)
        assert.deepStrictEqual(yield* idsIn(journal, request("x")), [["a"]])
        const left = yield* journal.events.deadLetters({ after: 0, limit: 10 })
        assert.deepStrictEqual(left.map(({ id }) => id), ["b", "c"])
      }))

    test("when an execution is removed, so are its waits", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        yield* journal.write(lease, {
          ...starting(start("one")),
          waits: [wait("one")],
          updates: [update("one", "Succeeded")]
        })
        yield* journal.remove(["one"])
        yield* journal.write(lease, { ...starting(start("one")), updates: [update("one", "Waiting")] })
        yield* journal.events.keep([event("a")], 0)
        yield* wakeAll(journal)
        assert.deepStrictEqual(idsOf(yield* claimAll(journal, lease)), [])
      }))

    test("events that are kept at once have different numbers, and none is lost", (journal) =>
      Effect.gen(function*() {
        const groups = Array.from({ length: 8 }, (_, group) =>
          Array.from({ length: 10 }, (_, index) => event(`${(group * 10 + index * 7) % 80}`)))
        const kept = yield* Effect.forEach(groups, (group) =>
          journal.events.keep(group, 0), { concurrency: "unbounded" })
        const ids = new Set(groups.flat().map(({ id }) => id))
        assert.sameMembers(kept.flat(), Array.from(ids))
        const [all] = yield* journal.events.read([request("x")], 1_000)
        assert.strictEqual(new Set(all!.map(({ sequence }) => sequence)).size, ids.size)
      }))
  })
}
