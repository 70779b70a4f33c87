/** What a journal promises to who looks for executions. */
import * as Effect from "effect/Effect"
import type { ExecutionRecord, Filter, Journal } from "../../../SagaJournal.ts"
import { assert } from "../expect.ts"
import { describe } from "./promise.ts"
import type { WritePromise } from "./promise.ts"
import { acquire, batch, fact, listAll, start, starting, states, update } from "./records.ts"

/** Texts in the order of their bytes in UTF-8, which is that of their code points. */
const byBytes = (one: string, other: string): number => {
  const [left, right] = [Array.from(one), Array.from(other)]
  const at = left.findIndex((char, index) => char !== right[index])
  if (at === -1) return left.length - right.length
  return (left[at]?.codePointAt(0) ?? -1) - (right[at]?.codePointAt(0) ?? -1)
}

/** Some executions of every kind, whose ids, times and states have nothing to do with each other. */
const world = Array.from({ length: 240 }, (_, index) => ({
  executionId: `${["a", "ab", "b", "🧳"][index % 4]}-${(index * 89) % 240}`,
  saga: ["Trip", "Order", "Trip"][index % 3]!,
  version: 1 + index % 2,
  state: states[(index * 5) % 7]!,
  // Several start, and several change, at a time.
  startedAtMillis: 1_000 + ((index * 37) % 60),
  // Clocks differ: some seem to have changed before they started.
  updatedAtMillis: index % 13 === 5 ? 1_000 : 1_060 + ((index * 53) % 40),
  uncertain: index % 11 === 0,
  tags: index % 5 === 0
    ? undefined
    : { tenant: `t${index % 4}`, ...(index % 2 === 0 ? { half: "yes" } : undefined) }
}))

type Someone = (typeof world)[number]

const fill = (journal: Journal) =>
  Effect.gen(function*() {
    const lease = yield* acquire(journal)
    const starts = world.map(({ executionId, saga, startedAtMillis, tags, version }) =>
      start(executionId, { saga, startedAtMillis, tags, version })
    )
    const updates = world.map(({ executionId, state, uncertain, updatedAtMillis }) =>
      update(executionId, state, { uncertain, updatedAtMillis })
    )
    yield* journal.write(lease, { ...starting(...starts), updates })
  })

const fits = (one: Someone, filter: Filter): boolean => {
  const tags: Readonly<Record<string, string>> = one.tags ?? {}
  return [
    filter.saga === undefined || one.saga === filter.saga,
    filter.version === undefined || one.version === filter.version,
    filter.states === undefined || filter.states.includes(one.state),
    filter.startedFromMillis === undefined || one.startedAtMillis >= filter.startedFromMillis,
    filter.startedBeforeMillis === undefined || one.startedAtMillis < filter.startedBeforeMillis,
    // The start is a change too.
    filter.updatedBeforeMillis === undefined
    || Math.max(one.startedAtMillis, one.updatedAtMillis) < filter.updatedBeforeMillis,
    filter.idPrefix === undefined || one.executionId.startsWith(filter.idPrefix),
    filter.uncertain === undefined || one.uncertain === filter.uncertain,
    Object.entries(filter.tags ?? {}).every(([name, value]) => tags[name] === value)
  ].every((is) => is)
}

const expected = (filter: Filter): ReadonlyArray<string> => {
  const time = ({ startedAtMillis, updatedAtMillis }: Someone): number =>
    filter.idPrefix !== undefined ? 0 : new Set(filter.states).size === 1 && filter.states![0] === "Stuck"
      ? updatedAtMillis
      : startedAtMillis
  return world.filter((one) => fits(one, filter))
    .sort((one, other) => time(one) - time(other) || byBytes(one.executionId, other.executionId))
    .map(({ executionId }) => executionId)
}

/** What may be asked of one field; the first leaves it out. */
const choices: { readonly [K in keyof Filter]-?: ReadonlyArray<Filter[K]> } = {
  saga: [undefined, "Trip", "Nobody"],
  version: [undefined, 2, 9, 1.5],
  states: [undefined, ["Stuck"], ["Stuck", "Waiting"], ["Succeeded", "Abandoned", "Compensated"], [], [
    "Stuck",
    "Stuck"
  ]],
  startedFromMillis: [undefined, 1_030, 1_029.5, -Infinity, Infinity, 0],
  startedBeforeMillis: [undefined, 1_040, 1_040.5, Infinity, -Infinity],
  updatedBeforeMillis: [undefined, 1_080, 1_010, 1_080.5, Infinity, 0],
  idPrefix: [undefined, "a", "ab-1", "", "🧳", "nobody"],
  tags: [undefined, { tenant: "t1" }, { tenant: "t2", half: "yes" }, { half: "yes" }, {}, { half: "no" }, {
    tenat: "t1"
  }],
  uncertain: [undefined, true, false]
}

/** Each choice alone, many two together, and some of all. */
const filters: ReadonlyArray<Filter> = (() => {
  const fields = Object.keys(choices) as Array<keyof Filter>
  const of = (field: keyof Filter) => choices[field].map((value): Filter => ({ [field]: value }))
  const alone = fields.flatMap(of)
  const pairs = fields.flatMap((field, index) =>
    fields.slice(index + 1).flatMap((other) =>
      of(field).slice(1, 3).flatMap((one) => of(other).slice(1, 3).map((another): Filter => ({ ...one, ...another })))
    )
  )
  const many = Array.from({ length: 100 }, (_, index): Filter =>
    Object.fromEntries(
      fields.map((
        field,
        place
      ) => [field, choices[field][(index * (place + 3) + (index >> place)) % choices[field].length]])
    ))
  return [...alone, ...pairs, ...many]
})()

export const listing = (test: WritePromise): void => {
  describe("listing", () => {
    test("every filter leaves what it says, in order, whatever it is combined with", (journal) =>
      Effect.gen(function*() {
        yield* fill(journal)
        let found = 0
        for (const filter of filters) {
          const { executions, ids } = yield* listAll(journal, { ...filter, limit: 250 })
          assert.deepStrictEqual(ids, expected(filter), JSON.stringify(filter))
          if (executions.length > 0 && executions.length < world.length) found++
        }
        // The filters are not for nothing.
        assert.isAtLeast(found, 100)
      }))

    test("pages of any size go through a list without a gap and without a repetition", (journal) =>
      Effect.gen(function*() {
        yield* fill(journal)
        const lists: ReadonlyArray<Filter> = [
          {},
          { states: ["Stuck"] },
          { idPrefix: "a" },
          { tags: { tenant: "t1" } },
          { tags: { tenant: "t2", half: "yes" }, states: ["Waiting", "Succeeded"] },
          { uncertain: true },
          { uncertain: false, saga: "Trip" },
          { updatedBeforeMillis: 1_080, version: 1 },
          { startedFromMillis: 1_010, startedBeforeMillis: 1_050 }
        ]
        for (const filter of lists) {
          const all = expected(filter)
          assert.isAtLeast(all.length, 3)
          for (const limit of [all.length > 50 ? 20 : 1, 7, all.length - 1, all.length, all.length + 1]) {
            const { ids, sizes } = yield* listAll(journal, { ...filter, limit })
            assert.deepStrictEqual(ids, all, JSON.stringify({ ...filter, limit }))
            // There are few of them: no page needs to be short, and the last one is known to be.
            const full = Math.ceil(all.length / limit) - 1
            assert.deepStrictEqual(sizes, [...Array.from({ length: full }, () => limit), all.length - full * limit])
          }
        }
      }))

    test("an execution comes as its row says", (journal) =>
      Effect.gen(function*() {
        yield* fill(journal)
        const { executions } = yield* journal.list({ limit: 1_000 })
        const rows = yield* Effect.forEach(executions, ({ executionId }) => journal.find(executionId))
        assert.deepStrictEqual(rows.map((row) => (row as { readonly value?: ExecutionRecord }).value), [...executions])
      }))

    test("a page of none is empty", (journal) =>
      Effect.gen(function*() {
        yield* fill(journal)
        for (const limit of [0, -1]) {
          assert.deepStrictEqual(yield* journal.list({ limit }), { executions: [], next: undefined })
        }
      }))

    test("by the beginning of an id come all that begin so and no others", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        const last = "\u{10FFFF}"
        const ids = [
          "",
          "a",
          "a%",
          "a_",
          "aé",
          "a\uD7FF",
          "a\uD7FFx",
          "a\uE000",
          "a\uFFFD",
          "a\uFFFF",
          "a🧳",
          "a🧳🧳",
          "a🧴"
        ]
          .concat([`a${last}`, `a${last}${last}`, `a${last}b`, "b", last, `${last}a`, `${last}${last}`, "A", "à", "á"])
        yield* journal.write(lease, starting(...ids.map((id) => start(id))))
        const prefixes = [...ids, "a🧳🧳🧳", "\u{10FFFE}", "\uD7FF", "%", "_", "a\u0001"]
        for (const idPrefix of prefixes) {
          const of = ids.filter((id) => id.startsWith(idPrefix)).sort(byBytes)
          for (const limit of [2, 100]) {
            const found = yield* listAll(journal, { idPrefix, limit })
            assert.deepStrictEqual(found.ids, of, JSON.stringify(idPrefix))
          }
        }
        // Those that start at the same time come in the same order.
        assert.deepStrictEqual((yield* listAll(journal, { limit: 3 })).ids, [...ids].sort(byBytes))
      }))

    test("a place in a list need not be that of an execution", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        const starts = ["b", "d", "f"].map((id, index) => start(id, { startedAtMillis: 10 * index }))
        yield* journal.write(lease, starting(...starts))
        const after = (millis: number, executionId: string, filter: Filter = {}) =>
          Effect.map(
            listAll(journal, { ...filter, limit: 9, after: { millis, executionId } }),
            ({ ids }) => ids.join("")
          )
        const [none, ids] = [{}, { idPrefix: "" }]
        for (
          const [millis, id, filter, rest] of [
            [-5, "x", none, "bdf"],
            [0, "", none, "bdf"],
            [0, "a", none, "bdf"],
            [0, "b", none, "df"],
            [5, "z", none, "df"],
            [10, "d", none, "f"],
            [20, "e", none, "f"],
            [20, "f", none, ""],
            [99, "", none, ""],
            [0, "b", { startedFromMillis: 15 }, "f"],
            [0, "c", ids, "df"],
            [99, "c", ids, "df"],
            [0, "z", ids, ""],
            [0, "a", { idPrefix: "d" }, "d"],
            [0, "e", { idPrefix: "d" }, ""]
          ] as const
        ) {
          assert.strictEqual(yield* after(millis, id, filter), rest, JSON.stringify([millis, id, filter]))
        }
      }))

    test("what changes its state between two pages is on one of them", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        const ids = Array.from({ length: 10 }, (_, index) => `id-${index}`)
        yield* journal.write(lease, starting(...ids.map((id, index) => start(id, { startedAtMillis: index }))))
        const page = yield* journal.list({ limit: 4 })
        const updates = ids.map((id) => update(id, "Succeeded"))
        yield* journal.write(lease, batch({ facts: ids.map((id) => fact(id, 1)), updates }))
        const rest = yield* listAll(journal, { limit: 4, after: page.next })
        assert.deepStrictEqual([...page.executions.map(({ executionId }) => executionId), ...rest.ids], ids)
      }))

    test("what is rare among many is found, page by page", (journal) =>
      Effect.gen(function*() {
        const lease = yield* acquire(journal)
        const isRare = (index: number) => index === 2_900 || index === 6_400
        for (let from = 0; from < 6_500; from += 500) {
          const indexes = Array.from({ length: 500 }, (_, index) => from + index)
          const id = (index: number) => `id-${String(index).padStart(4, "0")}`
          const starts = indexes.map((index) =>
            start(id(index), {
              startedAtMillis: index,
              version: isRare(index) ? 2 : 1,
              tags: { all: "yes", rare: String(isRare(index)) }
            })
          )
          const updates = indexes.map((index) =>
            update(id(index), "Succeeded", { uncertain: isRare(index), updatedAtMillis: isRare(index) ? 6_400 : 1e6 })
          )
          yield* journal.write(lease, { ...starting(...starts), updates })
        }
        const rare = ["id-2900", "id-6400"]
        for (
          const filter of [
            { idPrefix: "id-", uncertain: true },
            { idPrefix: "id-", tags: { rare: "true" } },
            { tags: { all: "yes", rare: "true" } },
            { tags: { all: "yes" }, version: 2 },
            { tags: { all: "yes" }, uncertain: true },
            { tags: { all: "yes" }, updatedBeforeMillis: 6_401 },
            { updatedBeforeMillis: 6_401, states: ["Succeeded"] },
            { updatedBeforeMillis: 6_401 },
            { uncertain: true, idPrefix: "", states: ["Succeeded"] }
          ] satisfies ReadonlyArray<Filter>
        ) {
          const { ids, sizes } = yield* listAll(journal, { ...filter, limit: 10 })
          assert.deepStrictEqual(ids, rare, JSON.stringify(filter))
          assert.isAtMost(sizes.length, 8, JSON.stringify(filter))
        }
        const filter = { tags: { all: "yes" }, states: ["Abandoned"] } as const
        assert.deepStrictEqual((yield* listAll(journal, { ...filter, limit: 10 })).ids, [])
      }))
  })
}
