/** What two parts of one engine write of one execution is judged apart. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import type { FactRecord, StartRecord } from "effect-saga/SagaJournal"
import { SagaJournal } from "effect-saga/SagaJournal"
import type { Fate } from "../../src/internal/engine/committer.ts"
import { Committer } from "../../src/internal/engine/committer.ts"
import { turn } from "./world.ts"

const fact = (sequence: number): FactRecord => ({ executionId: "e", sequence, tag: "T", data: "{}" })
const start: StartRecord = {
  executionId: "e",
  saga: "Trip",
  version: 1,
  definition: "h",
  startedAtMillis: 0,
  owned: true
}

it.effect("who starts what there is already does not take along who has it", () =>
  Effect.gen(function*() {
    const { writeUnsafe: _, ...journal } = yield* SagaJournal
    const lease = yield* journal.acquire({ name: "one", leaseMillis: 1e6 })
    yield* journal.write(lease, { id: -1, starts: [start], facts: [fact(0)], updates: [], signals: [] })
    const committer = new Committer(journal, lease, Clock.Clock.defaultValue(), () => Effect.succeed(lease))
    const running = yield* Effect.forkChild(committer.run)
    const fates: Record<string, Fate["_tag"]> = {}
    let gone = false
    const entry = (name: string, facts: ReadonlyArray<FactRecord>, row?: StartRecord) => ({
      executionId: "e",
      start: row,
      facts,
      isStale: () => name.startsWith("late") && gone,
      settled: ({ _tag }: Fate) => {
        fates[name] = _tag
        if (name.startsWith("late") && _tag !== "Written") gone = true
      }
    })
    committer.add(entry("late start", [fact(0)], start))
    committer.add(entry("late fact", [fact(1)]))
    committer.add(entry("owner", [fact(1)]))
    while (Object.keys(fates).length < 3) yield* turn
    assert.deepStrictEqual(fates, { "late start": "Missing", "late fact": "Missing", owner: "Written" })
    yield* Fiber.interrupt(running)
  }).pipe(Effect.scoped, Effect.provide(SagaJournal.layerMemory)))
