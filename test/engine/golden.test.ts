/**
 * Every journal ever released is read and goes on. The files in `golden` are written once, by
 * `GOLDEN=write npx vitest run engine/golden`, which leaves those alone that are there.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Option, Result, Stream } from "effect"
import { SagaState } from "effect-saga"
import { SagaEvent } from "effect-saga/SagaEvent"
import type { ExecutionState } from "effect-saga/SagaJournal"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { expect } from "vitest"
import packageJson from "../../package.json" with { type: "json" }
import type { Kept } from "./goldenScenes.ts"
import { goOn, play, sagasOf, scenes } from "./goldenScenes.ts"
import { memory } from "./stores.ts"
import { boot, faultOn, type StoreService, World } from "./world.ts"

const folder = new URL("golden/", import.meta.url)
const fault = faultOn(memory)

const record = (store: StoreService, saga: string) =>
  Effect.gen(function*() {
    const { definition: hash, ...row } = Option.getOrThrow(yield* store.journal.find("e"))
    const data = Option.getOrThrow(yield* store.journal.definition(hash))
    const facts = (yield* store.journal.facts("e", 0)).map(({ data }): unknown => JSON.parse(data))
    const { dueAtMillis, problem, startedAtMillis, state, version } = row
    const later: Array<NonNullable<Kept["later"]>[number]> = []
    for (const fact of facts as ReadonlyArray<SagaEvent>) {
      if (fact._tag !== "SagaMigrated") continue
      const definition = fact.definition!
      const kept = yield* store.journal.definition(definition)
      later.push({ hash: definition, data: Option.getOrThrow(kept), version: fact.to })
    }
    return {
      saga,
      definition: { hash, data },
      ...later.length === 0 ? {} : { later },
      row: { version, state, dueAtMillis, startedAtMillis, problem },
      facts
    }
  })

/** Puts a kept journal into a store, as its process left it. */
const restore = ({ journal }: StoreService, { definition, facts, later, row, saga }: Kept) =>
  Effect.scoped(Effect.gen(function*() {
    yield* journal.define({ ...definition, saga, version: row.version })
    for (const other of later ?? []) yield* journal.define({ ...other, saga })
    const lease = yield* journal.acquire({ name: "golden", leaseMillis: 10_000 })
    const { dueAtMillis, problem, startedAtMillis, version } = row
    yield* journal.write(lease, {
      id: 0,
      starts: [{ executionId: "e", saga, version, definition: definition.hash, startedAtMillis, owned: false }],
      facts: facts.map((fact, sequence) => ({
        executionId: "e",
        sequence,
        tag: (fact as { readonly _tag: string })._tag,
        data: JSON.stringify(fact)
      })),
      updates: [{
        executionId: "e",
        state: row.state as ExecutionState,
        dueAtMillis: dueAtMillis ?? 0,
        released: true,
        clean: false,
        uncertain: false,
        signals: 0,
        updatedAtMillis: startedAtMillis,
        problem
      }],
      signals: []
    })
  }))

for (const [name, scene] of Object.entries(scenes)) {
  const file = new URL(`${packageJson.version} ${name}.json`, folder)
  if (process.env["GOLDEN"] !== "write" || existsSync(file)) continue
  fault(`${name} is written`, (store) =>
    Effect.gen(function*() {
      yield* play(store, scene)
      const recorded = yield* record(store, scene.saga)
      const ending = yield* goOn(store, scene.saga)
      writeFileSync(file, `${JSON.stringify({ ...recorded, ending }, undefined, 1)}\n`)
    }))
}

const files = readdirSync(folder)
const read = (file: string): Kept => JSON.parse(readFileSync(new URL(file, folder), "utf8"))

it("there is a journal of each scene, and a fact of each kind in them", () => {
  const names = files.map((file) => file.replace(/^\S+ |\.json$/g, ""))
  expect(Object.keys(scenes).filter((name) => !names.includes(name))).toEqual([])
  const tags = new Set(files.flatMap((file) => read(file).facts.map((fact) => (fact as { _tag: string })._tag)))
  const known = SagaEvent.members.map((member) => member.fields._tag.schema.literal as string)
  expect(known.length).toBeGreaterThan(20)
  expect(known.filter((tag) => !tags.has(tag))).toEqual([])
})

for (const file of files) {
  const kept = read(file)
  fault(
    `${file}: is read, folds to the state of its row, and goes on as it would have`,
    (store) =>
      Effect.gen(function*() {
        yield* restore(store, kept)
        const saga = sagasOf(new World(), { at: () => Effect.void }).get(kept.saga)!
        const reader = yield* boot(store, [])
        const row = Option.getOrThrow(yield* store.journal.find("e"))
        assert.strictEqual(row.state, kept.row.state)
        const events = yield* Stream.runCollect(Stream.take(reader.engine.events(saga, "e"), kept.facts.length))
        const folded = SagaState.fold(events)
        assert.isTrue(Result.isSuccess(folded), JSON.stringify(folded))
        assert.deepStrictEqual(yield* goOn(store, kept.saga), kept.ending)
      })
  )
}
