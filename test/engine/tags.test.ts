/** What an execution can be found by beside its id: made once, out of the payload that is kept, or the start is refused. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Schema } from "effect"
import { Saga } from "effect-saga"
import type { Journal } from "effect-saga/SagaJournal"
import { memory, postgres, sqlite } from "./stores.ts"
import { boot, errorOf, faultOn, tagOf } from "./world.ts"

const fault = faultOn(memory)
const id = { executionId: "e" }

const tagsOf = (journal: Journal, executionId: string) =>
  Effect.map(Effect.orDie(journal.find(executionId)), (row) => Option.getOrThrow(row).tags)

const factsOf = (journal: Journal, executionId: string) =>
  Effect.map(Effect.orDie(journal.facts(executionId, 0)), (facts) => facts.length)

const Order = Schema.Struct({
  id: Schema.String,
  tenant: Schema.String,
  region: Schema.String.pipe(Schema.withConstructorDefault(Effect.succeed("eu")))
})

const order = Saga.make("Order", { payload: Order, tags: ({ region, tenant }) => ({ tenant, region }) })
const payload = Order.make({ id: "1", tenant: "acme" })

for (const [name, backend] of Object.entries({ memory, sqlite, postgres })) {
  describe(`on ${name}`, () => {
    const fault = faultOn(backend)

    fault("tags are kept with the execution, here and where it waits for an engine", (store) =>
      Effect.gen(function*() {
        const { engine } = yield* boot(store, [order])
        const elsewhere = Saga.make("Elsewhere", { payload: Order, tags: ({ tenant }) => ({ tenant, "ü 日本": "ö" }) })
        yield* engine.execute(order, payload, id)
        yield* engine.start(elsewhere, payload, { executionId: "f" })
        assert.deepStrictEqual(yield* tagsOf(store.journal, "e"), { tenant: "acme", region: "eu" })
        assert.deepStrictEqual(yield* tagsOf(store.journal, "f"), { tenant: "acme", "ü 日本": "ö" })
      }))

    fault("the longest are kept, and as many as there may be", (store) =>
      Effect.gen(function*() {
        const longest = (n: number) => `${String.fromCharCode(97 + n)}${"€".repeat(199)}`
        const most = Object.fromEntries(Array.from({ length: 16 }, (_, n) => [longest(n), "€".repeat(200)]))
        const { engine } = yield* boot(store, [])
        yield* engine.start(Saga.make("Most", { payload: Schema.Void, tags: () => most }), undefined, id)
        assert.deepStrictEqual(yield* tagsOf(store.journal, "e"), most)
      }))
  })
}

fault("a saga without them has none", (store) =>
  Effect.gen(function*() {
    const { engine } = yield* boot(store, [])
    yield* engine.start(Saga.make("None", { payload: Schema.Void }), undefined, id)
    yield* engine.start(Saga.make("Empty", { payload: Schema.Void, tags: () => ({}) }), undefined, { executionId: "f" })
    assert.deepStrictEqual(yield* tagsOf(store.journal, "e"), {})
    assert.deepStrictEqual(yield* tagsOf(store.journal, "f"), {})
  }))

fault("they are made once, out of the payload that was read back", (store) =>
  Effect.gen(function*() {
    const seen: Array<unknown> = []
    const given = { at: new Date(0), tenant: "acme" }
    const saga = Saga.make("Dated", {
      payload: Schema.Struct({ at: Schema.DateFromString, tenant: Schema.String }),
      tags: (payload) => {
        seen.push(payload)
        return { year: String(payload.at.getUTCFullYear()) }
      }
    }).pipe(Saga.sleep("pause", "1 hour"))
    const first = yield* boot(store, [saga])
    yield* first.engine.start(saga, given, id)
    yield* first.kill
    yield* boot(store, [saga])
    assert.deepStrictEqual(seen, [given])
    assert.notStrictEqual(seen[0], given)
    assert.deepStrictEqual(yield* tagsOf(store.journal, "e"), { year: "1970" })
  }))

fault("who joins changes nothing in them", (store) =>
  Effect.gen(function*() {
    let tenant = "acme"
    const saga = Saga.make("Moved", { payload: Schema.Void, tags: () => ({ tenant }) })
    const { engine } = yield* boot(store, [saga])
    yield* engine.execute(saga, undefined, id)
    tenant = "other"
    assert.strictEqual(yield* engine.start(saga, undefined, id), "e")
    assert.deepStrictEqual(yield* tagsOf(store.journal, "e"), { tenant: "acme" })
  }))

it.effect("Saga.run does not ask for them", () =>
  Effect.gen(function*() {
    const saga = Saga.make("Run", { payload: Schema.Void, tags: () => assert.fail("it was asked") }).pipe(
      Saga.output(Schema.Number, () => 1)
    )
    assert.strictEqual(yield* Saga.run(saga, undefined), 1)
  }))

describe("what no journal could find again refuses the start", () => {
  const throwing = new Proxy({}, { get: () => assert.fail("it was looked at") })
  const refusals: ReadonlyArray<readonly [what: string, tags: () => unknown, issue: string]> = [
    ["a function that throws", () => assert.fail("no tenant"), "`tags` threw no tenant"],
    [
      "one that throws what cannot be looked at",
      () => {
        throw throwing
      },
      "`tags` threw a value that throws when it is looked at"
    ],
    ["nothing", () => undefined, "`tags` gave undefined, not a record of texts"],
    ["null", () => null, "`tags` gave null, not a record of texts"],
    ["a text", () => "acme", "`tags` gave acme, not a record of texts"],
    ["an array", () => ["acme"], "`tags` gave an array, not a record of texts"],
    ["a number", () => ({ tenant: 5 }), `its tag "tenant" has a wrong value: it is 5, not a text`],
    [
      "one that is missing",
      () => ({ region: "eu", tenant: undefined }),
      `its tag "tenant" has a wrong value: it is undefined, not a text`
    ],
    ["an empty value", () => ({ tenant: "" }), `its tag "tenant" has a wrong value: it is empty`],
    ["an empty name", () => ({ "": "acme" }), `its tag "" has a wrong name: it is empty`],
    [
      "a long value",
      () => ({ tenant: "x".repeat(201) }),
      `its tag "tenant" has a wrong value: it has 201 characters, and 200 are allowed`
    ],
    [
      "a long name",
      () => ({ ["x".repeat(201)]: "acme" }),
      `its tag "${"x".repeat(100)}" has a wrong name: it has 201 characters, and 200 are allowed`
    ],
    [
      "a control character",
      () => ({ tenant: "a\0b" }),
      `its tag "tenant" has a wrong value: there is a control character in it`
    ],
    [
      "one in a name",
      () => ({ "a\nb": "acme" }),
      `its tag "a\\nb" has a wrong name: there is a control character in it`
    ],
    [
      "half a character",
      () => ({ tenant: "\ud83d" }),
      `its tag "tenant" has a wrong value: there is half a character in it (a lone surrogate)`
    ],
    [
      "too many",
      () => Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`tag ${n}`, "x"])),
      "it has 17 tags, and 16 are allowed"
    ]
  ]
  for (const [what, tags, issue] of refusals) {
    fault(what, (store) =>
      Effect.gen(function*() {
        const saga = Saga.make("Bad", {
          payload: Schema.Void,
          tags: () => tags() as Record<string, string>
        })
        const { engine } = yield* boot(store, [saga])
        for (const start of [engine.start(saga, undefined, id), engine.execute(saga, undefined, id)]) {
          const exit = yield* Effect.exit(start)
          assert.strictEqual(tagOf(exit), "PayloadRefused")
          assert.strictEqual(
            (errorOf(exit) as Error).message,
            `Saga "Bad" was not started, its payload cannot be recorded: ${issue}`
          )
        }
        assert.deepStrictEqual(yield* store.journal.find("e"), Option.none())
        assert.strictEqual(yield* factsOf(store.journal, "e"), 0)
      }))
  }
})
