/** What a journal promises to who only reads, and about the text that it keeps. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
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
  kind,
  missing,
  start,
  starting,
  states,
  update,
  waiting
} from "./records.ts"

export const reading = (test: WritePromise): void => {
  describe("reading", () => {
    test("of many executions those that are stuck or final are told", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
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
            ...waiting(
              1e14,
              start(text, { ...saga, definition: text, tags: { [text]: text, other: "1" } }),
              start("beside", { tags: { [text]: "other", other: text } })
            ),
            facts: [fact(text, 0, data), fact(text, 1, data), fact("beside", 0)]
          })
          assert.isTrue(yield* journal.send({ executionId: text, kind: text, data }))
          const [claimed] = yield* claimAll(journal, lease, { sagas: [saga], nowMillis: 0 })
          assert.deepStrictEqual(claimed!.execution, Option.getOrThrow(yield* journal.find(text)))
          assert.deepStrictEqual(Object.entries(claimed!.execution.tags).sort(), [["other", "1"], [text, text]].sort())
          for (const tags of [{ [text]: text }, { other: "1", [text]: text }]) {
            assert.deepStrictEqual((yield* journal.list({ limit: 10, tags })).executions, [claimed!.execution])
          }
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
          const listed = yield* journal.list({ limit: 10, saga: text, states: ["Stuck"], idPrefix: text })
          assert.deepStrictEqual(listed, { executions: [settled!], next: undefined })
          assert.deepStrictEqual((yield* journal.history(text)).map(({ data }) => data), [data, data, "{}"])
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

      test(`a tag with ${what} is carried or refused, and what is found by it has it`, (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          yield* journal.write(lease, starting(start("plain", { tags: { a: "a\uFFFD", "a\uFFFD": "a" } })))
          for (const tags of [{ a: text }, { [text]: "a" }]) {
            const id = `by ${JSON.stringify(tags)}`
            const written = yield* Effect.result(journal.write(lease, starting(start(id, { tags }))))
            const { executions } = yield* journal.list({ limit: 10, tags })
            if (Result.isFailure(written)) assert.strictEqual(written.failure._tag, "BatchRefused")
            const expected = Result.isFailure(written) ? [] : [id]
            assert.deepStrictEqual(executions.map(({ executionId }) => executionId), expected)
          }
        }))

      test(`nothing is found by ${what}`, (journal) =>
        Effect.gen(function*() {
          const lease = yield* acquire(journal)
          yield* journal.write(lease, starting(start("a\uFFFD"), start("a\uFFFDb"), start("a")))
          for (const filter of [{ saga: text }, { idPrefix: text }, { tags: { a: text } }, { tags: { [text]: "a" } }]) {
            assert.deepStrictEqual(yield* journal.list({ limit: 10, ...filter }), { executions: [], next: undefined })
          }
          assert.deepStrictEqual(yield* journal.count({ saga: text }), [])
          assert.deepStrictEqual(yield* journal.history(text), [])
          assert.deepStrictEqual(yield* journal.remove([text]), [])
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
}
