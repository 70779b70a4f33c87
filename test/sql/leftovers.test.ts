/** What was removed, or never was because somebody else was first, leaves no row in any table. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Journal } from "effect-saga/SagaJournal"
import { SqlSagaJournal } from "effect-saga/sql"
import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import {
  acquire,
  batch,
  committed,
  factsOf,
  missing,
  start,
  starting,
  update
} from "../../src/testing/internal/journal/records.ts"
import { scene } from "./scene.ts"

const leavesNothing = (sql: SqlClient.SqlClient, journal: Journal) =>
  Effect.gen(function*() {
    const rows = Effect.forEach(["executions", "facts", "signals", "tags"], (table) =>
      Effect.map(sql.unsafe(`SELECT 1 FROM saga_${table}`), ({ length }) => length))
    const lease = yield* acquire(journal)
    const tags = { "a \"tag\"": "1", "$.b": "2" }
    const ids = ["one", "two", "three"]
    yield* journal.write(
      lease,
      starting(...ids.map((id) =>
        start(id, { tags })
      ))
    )
    for (const executionId of ids) yield* journal.send({ executionId, kind: "Event", data: "{}" })
    const all = yield* rows
    assert.deepStrictEqual(all, [3, 3, 3, 6])
    const late = starting(start("one", { tags: { other: "3" }, startedAtMillis: 7 }))
    assert.deepStrictEqual(yield* journal.write(lease, late), missing("one"))
    const nobody = batch({ facts: factsOf("nobody", 1, 3), updates: [update("nobody", "Running")] })
    assert.deepStrictEqual(yield* journal.write(lease, nobody), missing("nobody"))
    assert.deepStrictEqual(yield* rows, all)
    yield* journal.write(lease, batch({ updates: ids.map((id) => update(id, "Succeeded")) }))
    assert.strictEqual((yield* journal.remove(ids)).length, 3)
    assert.deepStrictEqual(yield* rows, [0, 0, 0, 0])
  })

it.effect("on PostgreSQL", () =>
  Effect.gen(function*() {
    const { journal, sql } = yield* scene
    yield* leavesNothing(sql, yield* journal())
  }))

for (const first of ["a removal", "a decision"] as const) {
  it.effect(`of a removal and a decision at once, ${first} comes first and the other one does nothing`, () =>
    Effect.gen(function*() {
      const { against, journal, sql, stalled } = yield* scene
      const [one, other] = [yield* journal(), yield* journal()]
      const lease = yield* acquire(one)
      yield* one.write(lease, { ...starting(start("one")), updates: [update("one", "Abandoned")] })
      const decision = batch({ facts: factsOf("one", 1, 2), updates: [update("one", "Running", { dueAtMillis: 0 })] })
      const removing: Effect.Effect<unknown, unknown> = other.remove(["one"])
      const writing: Effect.Effect<unknown, unknown> = one.write(lease, decision)
      const [early, late] = first === "a removal" ? [removing, writing] : [writing, removing]
      const inOrder = Effect.all([early, Effect.andThen(stalled(1), late)], { concurrency: 2 })
      const answers = yield* against("SELECT 1 FROM saga_executions FOR UPDATE", inOrder, 2)
      assert.deepStrictEqual(answers, first === "a removal" ? [["one"], missing("one")] : [committed, []])
      const rows = yield* sql`SELECT f.sequence, x.state FROM saga_facts f
        FULL JOIN saga_executions x ON x.execution_id = f.execution_id ORDER BY f.sequence`.values
      const left = [[0, "Running"], [1, "Running"], [2, "Running"]]
      assert.deepStrictEqual(rows, first === "a removal" ? [] : left)
    }))
}

it.effect("on SQLite", () =>
  Effect.gen(function*() {
    const { client } = yield* NodeSqlite.make({ filename: ":memory:" })
    const journal = yield* Effect.provideService(SqlSagaJournal.make(), SqlClient.SqlClient, client)
    yield* leavesNothing(client, journal)
  }).pipe(Effect.provide(Reactivity.layer)))
