/** No statement of the journal reads a whole table, however many executions there have been. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { SqlSagaJournal } from "effect-saga/sql"
import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { postgresStatements } from "../../src/sql/internal/postgresStatements.ts"
import { sqliteStatements } from "../../src/sql/internal/sqliteStatements.ts"
import { scene } from "./scene.ts"

/** Twenty thousand that have ended, two thousand that wait, two hundred that run, and some that are stuck. */
const executions = (numbers: string, integer: string) =>
  `INSERT INTO saga_executions (execution_id, saga, version, definition, state, due_at_millis, owner, clean, takeovers,
    started_at_millis, updated_at_millis)
  SELECT 'one-' || i, 'Saga' || (i % 5), 1, 'h', CASE WHEN i <= 20000 THEN 'Succeeded' WHEN i <= 22000 THEN 'Waiting'
    WHEN i <= 22200 THEN 'Running' ELSE 'Stuck' END, CASE WHEN i > 20000 AND i <= 22000 THEN i END,
    CASE WHEN i > 22000 AND i <= 22200 THEN 1 END, ${integer}, CASE WHEN i % 1000 = 1 THEN 3 ELSE 0 END, i, i
  FROM ${numbers}`

const states = ["Running", "Waiting", "Compensating", "Stuck", "Succeeded", "Compensated", "Abandoned"]

const lists = (list: (saga: boolean, state: string | undefined, after: boolean) => string) =>
  [true, false].flatMap((saga) =>
    [undefined, ...states].flatMap((state) =>
      [true, false].map((after) =>
        [`list ${saga ? "of a saga" : ""} ${state ?? ""} ${after ? "after" : ""}`, list(saga, state, after)] as const
      )
    )
  )

it.effect("on PostgreSQL", () =>
  Effect.gen(function*() {
    const { journal, sql } = yield* scene
    yield* journal()
    yield* sql.unsafe(executions("generate_series(1, 22300) i", "true"))
    yield* sql.unsafe(`INSERT INTO saga_facts SELECT execution_id, s, 'T', '{}', 1, 1
      FROM saga_executions, generate_series(0, 3) s`)
    yield* sql.unsafe(`INSERT INTO saga_signals (execution_id, kind, data, sent_at_millis)
      SELECT execution_id, 'E', '{}', 1 FROM saga_executions WHERE started_at_millis % 20 = 0`)
    yield* sql.unsafe("ANALYZE")
    const { claim, list, write, ...others } = postgresStatements("saga_")
    const texts = [
      ...Object.entries(others),
      ["claim", claim(false)],
      ["claim suspects", claim(true)],
      ["write", write({ starts: true, first: true, rest: true, updates: true, signals: true })],
      ...lists(list)
    ] as ReadonlyArray<readonly [string, string]>
    // On one connection: a statement is prepared there, and planned for any parameters.
    const session = yield* sql.reserve
    const run = (text: string) => session.executeValuesUnprepared(text, [])
    yield* run("SET plan_cache_mode = force_generic_plan")
    for (const [name, text] of texts) {
      // What is rare may read a table of this size; there must be an index for when it is larger.
      yield* run(`SET enable_seqscan = ${name === "write"}`)
      const nulls = Array.from(new Set(text.match(/\$\d+/g)), () => "NULL")
      yield* run(`PREPARE asked AS ${text}`)
      const plan = yield* run(`EXPLAIN EXECUTE asked${nulls.length === 0 ? "" : `(${nulls.join()})`}`)
      yield* run("DEALLOCATE asked")
      assert.notMatch(plan.join("\n"), /Seq Scan on saga_(?:executions|facts)/, name)
    }
  }))

it.effect("on SQLite", () =>
  Effect.gen(function*() {
    const { client: sql } = yield* NodeSqlite.make({ filename: ":memory:" })
    yield* Effect.provideService(SqlSagaJournal.make(), SqlClient.SqlClient, sql)
    yield* sql.unsafe(executions(
      "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 22300) SELECT i FROM n)",
      "1"
    ))
    const { due, facts, list, ...others } = sqliteStatements("saga_")
    const texts = [
      ...Object.entries(others),
      ["facts", facts(8)],
      ["due", due(false)],
      ["due suspects", due(true)],
      ...lists(list)
    ] as ReadonlyArray<readonly [string, string]>
    // Once as a new database plans, once with what it knows of its tables.
    for (const analyze of [false, true]) {
      if (analyze) yield* sql.unsafe("ANALYZE")
      for (const [name, text] of texts) {
        const plan = (yield* sql.unsafe<{ readonly detail: string }>(`EXPLAIN QUERY PLAN ${text}`).unprepared).map((
          row
        ) => row.detail)
        // "SCAN x USING INDEX" goes through an index in its order, which a list does until it has enough.
        const scans = plan.filter((line) => /^SCAN (?!\w+ USING)(?:x|f|saga_executions|saga_facts)\b/.test(line))
        assert.deepStrictEqual(scans, [], `${name}\n${plan.join("\n")}`)
      }
    }
  }).pipe(Effect.provide(Reactivity.layer)))
