/**
 * `node test/bench/lists.ts`: how long a page of executions takes among a million of them, by any filter, also one that
 * leaves nothing. It ends with exit code 1 when the median of one is over 50 ms. Takes two minutes; `--executions 100000`
 * is sooner done.
 */
import { PgClient } from "@effect/sql-pg"
import { Layer, ManagedRuntime, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import type { Filter, Page } from "../../src/SagaJournal.ts"
import { SagaJournal } from "../../src/SagaJournal.ts"
import * as NodeSqlite from "../../src/sql/NodeSqlite.ts"
import * as SqlSagaJournal from "../../src/sql/SqlSagaJournal.ts"
import { startServer } from "../sql/postgresServer.ts"
import { newDatabase } from "./database.ts"
import { judge, machine, table } from "./machine.ts"
import { median } from "./measure.ts"

const { values } = parseArgs({ options: { executions: { type: "string" }, runs: { type: "string" } } })
const executions = Number(values.executions ?? 1_000_000)
const runs = Number(values.runs ?? 15)
const limit = 100
const limitMillis = 50

// ------------------------------------------------------------------------------------------- what there is

const start = 1_700_000_000_000
const end = start + 10 * executions

/**
 * Five sagas of three versions. 90 % have succeeded, 8 % were compensated but none of `Saga4`, and in a million there are
 * 13,000 abandoned, 2,000 stuck and 5,000 that go on. Each belongs to one of a thousand tenants; half of all have the tag
 * `plan`, but none that was abandoned; a hundredth is uncertain, but none of `Saga3`.
 */
const filling = (numbers: string, { hex, list, no, yes }: Record<"hex" | "list" | "no" | "yes", string>) => [
  `INSERT INTO saga_executions (execution_id, saga, version, definition, state, due_at_millis, clean, started_at_millis,
    updated_at_millis, uncertain, tags)
  SELECT 'ex-' || ${hex}, 'Saga' || saga, version, 'hash', state, CASE WHEN state = 'Waiting' THEN ${end} END, ${yes},
    started, started + ((i * 7919) % 600000), CASE WHEN (i / 15) % 100 = 3 AND saga <> 3 THEN ${yes} ELSE ${no} END,
    '{"tenant":"t' || ((i * 7919) % 1000) || CASE WHEN (i / 15) % 2 = 0 AND state <> 'Abandoned' THEN '","plan":"big"}' ELSE '"}' END
  FROM (
    SELECT i, i % 5 AS saga, 1 + (i / 5) % 3 AS version, ${start} + i * 10 AS started,
      CASE WHEN h < 900 THEN 'Succeeded' WHEN h < 980 THEN CASE WHEN i % 5 = 4 THEN 'Succeeded' ELSE 'Compensated' END
        WHEN h < 982 THEN 'Stuck' WHEN h < 984 THEN 'Running' WHEN h < 986 THEN 'Waiting' WHEN h < 987 THEN 'Compensating'
        ELSE 'Abandoned' END AS state
    FROM (SELECT i, (i / 15) * 7 % 1000 AS h FROM ${numbers}) numbered
  ) kinds`,
  `INSERT INTO saga_tags (name, value, started_at_millis, execution_id)
  SELECT t.key, t.value, x.started_at_millis, x.execution_id FROM saga_executions x, ${list} t`,
  `ANALYZE`
]

const ofPostgres = filling(`(SELECT generate_series(0::bigint, ${executions - 1}) AS i) n`, {
  hex: "lpad(to_hex((i * 2654435761) % 4294967296), 8, '0')",
  list: "json_each_text(x.tags::json)",
  yes: "true",
  no: "false"
})

const ofSqlite = filling(
  `(WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${executions - 1}) SELECT i FROM n)`,
  {
    hex: "printf('%08x', (i * 2654435761) % 4294967296)",
    list: "json_each(x.tags)",
    yes: "1",
    no: "0"
  }
)

// ------------------------------------------------------------------------------------------- what is asked

const [final, live] = [["Succeeded", "Compensated", "Abandoned"], ["Running", "Waiting", "Compensating"]] as const
const middle = (start + end) / 2
const big = { plan: "big" }
const tenant = { tenant: "t7" }

const filters: Readonly<Record<string, Filter>> = {
  "nothing": {},
  "saga": { saga: "Saga2" },
  "saga, version": { saga: "Saga2", version: 3 },
  "version": { version: 1 },
  "version that is not there": { version: 9 },
  "saga that is not there": { saga: "Nobody" },
  "Succeeded": { states: ["Succeeded"] },
  "live": { states: live },
  "Abandoned": { states: ["Abandoned"] },
  "Stuck": { states: ["Stuck"] },
  "Stuck, saga, version": { states: ["Stuck"], saga: "Saga1", version: 2 },
  "Stuck, updated before all": { states: ["Stuck"], updatedBeforeMillis: start },
  "Compensated, saga that has none": { states: ["Compensated"], saga: "Saga4" },
  "started from the middle": { startedFromMillis: middle },
  "started before all": { startedBeforeMillis: start },
  "started in an hour, Abandoned": {
    states: ["Abandoned"],
    startedFromMillis: middle,
    startedBeforeMillis: middle + 3_600_000
  },
  "final, updated before the middle": { states: final, updatedBeforeMillis: middle },
  "updated before most of the first": { updatedBeforeMillis: start + 30_000 },
  "updated before all": { updatedBeforeMillis: start },
  "uncertain": { uncertain: true },
  "uncertain, saga that has none": { uncertain: true, saga: "Saga3" },
  "uncertain, Compensated, version": { uncertain: true, states: ["Compensated"], version: 2 },
  "uncertain, Stuck": { uncertain: true, states: ["Stuck"] },
  "not uncertain": { uncertain: false },
  "not uncertain, live": { uncertain: false, states: live },
  "prefix of all": { idPrefix: "ex-" },
  "prefix of some": { idPrefix: "ex-a7" },
  "prefix of none": { idPrefix: "zz" },
  "prefix of all, Abandoned": { idPrefix: "ex-", states: ["Abandoned"] },
  "prefix of all, state that is not there": { idPrefix: "ex-", states: ["Compensated"], saga: "Saga4" },
  "prefix of all, updated before all": { idPrefix: "ex-", updatedBeforeMillis: start },
  "prefix of all, plan": { idPrefix: "ex-", tags: big },
  "prefix of all, tag that is not there": { idPrefix: "ex-", tags: { plan: "small" } },
  "tenant": { tags: tenant },
  "tenant, saga, Abandoned": { tags: tenant, saga: "Saga2", states: ["Abandoned"] },
  "tenant, Stuck": { tags: tenant, states: ["Stuck"] },
  "tenant, live": { tags: tenant, states: live },
  "tenant, uncertain": { tags: tenant, uncertain: true },
  "tag that is not there": { tags: { plan: "small" } },
  "plan": { tags: big },
  "plan, tenant": { tags: { ...big, ...tenant } },
  "plan, saga, live": { tags: big, saga: "Saga0", states: live },
  "plan, Abandoned, which has none": { tags: big, states: ["Abandoned"] },
  "plan, Stuck": { tags: big, states: ["Stuck"] },
  "plan, uncertain, saga that has none": { tags: big, uncertain: true, saga: "Saga3" },
  "plan, uncertain": { tags: big, uncertain: true },
  "plan, updated before all": { tags: big, updatedBeforeMillis: start },
  "plan, updated before most of the first": { tags: big, updatedBeforeMillis: start + 30_000 },
  "plan, Abandoned, from the middle": { tags: big, states: ["Abandoned"], startedFromMillis: middle },
  "plan, tag that is not there, final": { tags: { ...big, plain: "no" }, states: final },
  "everything": {
    saga: "Saga2",
    version: 1,
    states: ["Succeeded", "Abandoned"],
    startedFromMillis: start + 1_000,
    startedBeforeMillis: end - 1_000,
    updatedBeforeMillis: middle,
    uncertain: false,
    tags: { ...big, ...tenant }
  }
}

// ------------------------------------------------------------------------------------------- how long it takes

interface Times {
  readonly median: number
  readonly most: number
}

interface Answer {
  readonly first: Page
  readonly times: Times
  /** Of the page behind the first, if there is one. */
  readonly second: Times | undefined
}

const timed = async <A>(ask: () => Promise<A>): Promise<readonly [A, Times]> => {
  const took: Array<number> = []
  const once = async () => {
    const before = performance.now()
    const answer = await ask()
    took.push(performance.now() - before)
    return answer
  }
  const answer = await once()
  while (took.length < runs) await once()
  return [answer, { median: median(took), most: Math.max(...took) }]
}

const measure = async (
  Sql: Layer.Layer<SqlClient.SqlClient, unknown>,
  statements: ReadonlyArray<string>
): Promise<{ readonly answers: ReadonlyMap<string, Answer>; readonly count: Times; readonly inspect: Times }> => {
  const runtime = ManagedRuntime.make(SqlSagaJournal.layer.pipe(Layer.provideMerge(Sql)))
  const journal = await runtime.runPromise(SagaJournal)
  const sql = await runtime.runPromise(SqlClient.SqlClient)
  for (const statement of statements) await runtime.runPromise(sql.unsafe(statement).unprepared)
  const answers = new Map<string, Answer>()
  for (const [name, filter] of Object.entries(filters)) {
    const [first, times] = await timed(() => runtime.runPromise(journal.list({ ...filter, limit })))
    const after = first.next
    const second = after && await timed(() => runtime.runPromise(journal.list({ ...filter, limit, after })))
    answers.set(name, { first, times, second: second?.[1] })
  }
  const [, count] = await timed(() => runtime.runPromise(journal.count({})))
  const [, inspect] = await timed(() => runtime.runPromise(journal.inspect({ longerThan: 10_000 })))
  await runtime.dispose()
  return { answers, count, inspect }
}

console.log(`${machine()}. ${executions.toLocaleString("en")} executions, pages of ${limit}, ${runs} runs each.\n`)

const server = process.env["DATABASE_URL"] === undefined ? await startServer() : undefined
const { drop, url } = await newDatabase(server?.url ?? process.env["DATABASE_URL"]!)
const postgres = await measure(PgClient.layer({ url: Redacted.make(url) }), ofPostgres)
await drop()
await server?.remove()

const folder = mkdtempSync(join(tmpdir(), "bench-lists-"))
const sqlite = await measure(NodeSqlite.layer({ filename: join(folder, "lists.db") }), ofSqlite)
rmSync(folder, { recursive: true })

// ------------------------------------------------------------------------------------------- the table

const said = (times: Times | undefined): string =>
  times === undefined ? "-" : `${times.median.toFixed(1)} (${times.most.toFixed(0)})`

const rows = Object.keys(filters).map((name) => {
  const [one, other] = [postgres.answers.get(name)!, sqlite.answers.get(name)!]
  const found = new Set(
    [one, other].map(({ first: { executions, next } }) => `${executions.length}${next === undefined ? "" : " ..."}`)
  )
  return [name, [...found].join(" / "), ...[one, other].flatMap(({ second, times }) => [said(times), said(second)])]
})
table(["ms, median (most)", "found", "postgres, first", "second", "sqlite, first", "second"], [
  ...rows,
  ["count", "", said(postgres.count), "", said(sqlite.count), ""],
  ["inspect", "", said(postgres.inspect), "", said(sqlite.inspect), ""]
])

console.log()
judge(
  Object.entries({ postgres, sqlite }).map(([name, { answers }]) => ({
    claim: `${name}: the slowest page`,
    value: Math.max(
      ...Array.from(answers.values()).flatMap(({ second, times }) => [times.median, second?.median ?? 0])
    ),
    limit: limitMillis,
    keeps: "at most" as const,
    unit: " ms"
  }))
)
