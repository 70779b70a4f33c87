/** No statement of the journal reads a whole table, however many executions there have been. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { SqlSagaJournal } from "effect-saga/sql"
import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { postgresReadStatements } from "../../src/sql/internal/postgresReads.ts"
import { postgresStatements } from "../../src/sql/internal/postgresStatements.ts"
import { sqliteReadStatements } from "../../src/sql/internal/sqliteReads.ts"
import { sqliteStatements } from "../../src/sql/internal/sqliteStatements.ts"
import { scene } from "./scene.ts"

/** Twenty thousand that have ended, two thousand that wait, two hundred that run, and some that are stuck or uncertain. */
const executions = (numbers: string, integer: string) =>
  `INSERT INTO saga_executions (execution_id, saga, version, definition, state, due_at_millis, owner, clean, takeovers,
    started_at_millis, updated_at_millis, uncertain, tags)
  SELECT 'one-' || i, 'Saga' || (i % 5), 1, 'h', CASE WHEN i <= 20000 THEN 'Succeeded' WHEN i <= 22000 THEN 'Waiting'
    WHEN i <= 22200 THEN 'Running' ELSE 'Stuck' END, CASE WHEN i > 20000 AND i <= 22000 THEN i END,
    CASE WHEN i > 22000 AND i <= 22200 THEN 1 END, ${integer}, CASE WHEN i % 1000 = 1 THEN 3 ELSE 0 END, i, i,
    i % 500 = 7, '{"half":"' || (i % 2) || '"}'
  FROM ${numbers}`

const tags = `INSERT INTO saga_tags (name, value, started_at_millis, execution_id)
  SELECT 'half', CAST(started_at_millis % 2 AS TEXT), started_at_millis, execution_id FROM saga_executions`

/** Leases whose names are all that is left of them, beside one that runs. */
const leases = (numbers: string, yes: string) =>
  `INSERT INTO saga_leases (name, epoch, ended, returned, expires_at_millis) SELECT 'gone', 1, ${yes}, ${yes}, 1 FROM ${numbers}`

/** The statements that end when they have found enough. */
const inOrder = ["kinds", "all", "uncertain", "stuck", "ids", "ids to the end", "tagged", "matching"]

it.effect("on PostgreSQL", () =>
  Effect.gen(function*() {
    const { journal, sql } = yield* scene
    yield* journal()
    yield* sql.unsafe(executions("generate_series(1, 22300) i", "true"))
    yield* sql.unsafe(tags)
    yield* sql.unsafe(leases("generate_series(1, 5000) i", "true"))
    yield* sql.unsafe(`INSERT INTO saga_facts SELECT execution_id, s, 'T', '{}', 1, 1
      FROM saga_executions, generate_series(0, 3) s`)
    yield* sql.unsafe(`INSERT INTO saga_signals (execution_id, kind, data, sent_at_millis)
      SELECT execution_id, 'E', '{}', 1 FROM saga_executions WHERE started_at_millis % 20 = 0`)
    yield* sql.unsafe(`INSERT INTO saga_events (id, type, key, data, kept_at_millis, told)
      SELECT 'e' || i, 'Type' || (i % 5), 'k' || i, '{}', i, i < 19990 FROM generate_series(1, 20000) i`)
    yield* sql.unsafe(
      `INSERT INTO saga_waits SELECT 'one-' || i, 'p', 'Type' || (i % 5), 'k' || i FROM generate_series(20001, 22000) i`
    )
    yield* sql.unsafe(`INSERT INTO saga_receipts SELECT i, 'one-' || i FROM generate_series(1, 20000) i`)
    yield* sql.unsafe("ANALYZE")
    const { claim, write, ...others } = postgresStatements("saga_")
    const { ids, ...reads } = postgresReadStatements("saga_")
    const texts = [
      ...Object.entries({ ...others, ...reads }),
      ["ids to the end", ids(false)],
      ["ids", ids(true)],
      ["claim", claim(false)],
      ["claim suspects", claim(true)],
      ["write", write(everything)]
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
      assert.notMatch(
        plan.join("\n"),
        /Seq Scan on saga_(?:executions|facts|tags|leases|signals|events|waits|receipts|dead_letters)/,
        name
      )
      // In order out of an index: who gathers all that fit has to read all of them.
      if (inOrder.includes(name)) assert.notMatch(plan.join("\n"), /Bitmap/, name)
    }
  }))

const everything = {
  starts: true,
  tags: true,
  first: true,
  rest: true,
  updates: true,
  signals: true,
  waits: true,
  ended: true,
  receipts: true,
  published: true
}

it.effect("on SQLite", () =>
  Effect.gen(function*() {
    const { client: sql } = yield* NodeSqlite.make({ filename: ":memory:" })
    yield* Effect.provideService(SqlSagaJournal.make(), SqlClient.SqlClient, sql)
    const numbers = (count: number) =>
      `(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count}) SELECT i FROM n)`
    yield* sql.unsafe(executions(numbers(22_300), "1"))
    yield* sql.unsafe(tags)
    yield* sql.unsafe(leases(numbers(5_000), "1"))
    const { due, facts, ...others } = sqliteStatements("saga_")
    const { ids, ...reads } = sqliteReadStatements("saga_")
    const texts = [
      ...Object.entries({ ...others, ...reads }),
      ["ids to the end", ids(false)],
      ["ids", ids(true)],
      ["facts", facts(8)],
      ["due", due(false)],
      ["due suspects", due(true)]
    ] as ReadonlyArray<readonly [string, string]>
    // Once as a new database plans, once with what it knows of its tables.
    for (const analyze of [false, true]) {
      if (analyze) yield* sql.unsafe("ANALYZE")
      for (const [name, text] of texts) {
        const plan = (yield* sql.unsafe<{ readonly detail: string }>(`EXPLAIN QUERY PLAN ${text}`).unprepared).map((
          row
        ) => row.detail)
        const scans = plan.filter((line) =>
          // There are as many subscriptions as programs have.
          /^SCAN (?:[xwftl]|saga_(?!subscriptions)\w+)\b(?!.*(?:VIRTUAL TABLE|USING (?:COVERING )?INDEX saga_(?:leases_open|events_untold)))/
            .test(line)
          // The first of an index and no more, and a count of all.
          && !(["kinds", "countAll", "deadLetterCount"].includes(name) && line.includes("USING COVERING INDEX"))
        )
        assert.deepStrictEqual(scans, [], `${name}\n${plan.join("\n")}`)
      }
    }
  }).pipe(Effect.provide(Reactivity.layer)))
