/**
 * `npm run bench:memory`: the heap that executions hold which wait, and what is left of those that have ended. It ends
 * with exit code 1 when a bar is missed. `-- --quick` runs a tenth of them.
 */
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs, promisify } from "node:util"
import { startServer } from "../sql/postgresServer.ts"
import { newDatabase } from "./database.ts"
import type { Bar } from "./machine.ts"
import { judge, machine, table } from "./machine.ts"

const { values } = parseArgs({ options: { quick: { type: "boolean", default: false } } })
const waiting = values.quick ? 1_000 : 10_000
const through = values.quick ? 10_000 : 100_000

const run = promisify(execFile)
const program = new URL("memoryWorker.ts", import.meta.url).pathname

interface Answer {
  readonly before: number
  readonly after: number
  readonly millis: number
}

interface ThroughAnswer extends Answer {
  /** With no engine at all, before and after. */
  readonly start: number
  readonly closed: number
}

const own = process.env["DATABASE_URL"] === undefined ? await startServer() : undefined
const server = own?.url ?? process.env["DATABASE_URL"]!

const measure = async <A extends Answer>(mode: string, store: string, count: number): Promise<A> => {
  const folder = mkdtempSync(join(tmpdir(), "bench-memory-"))
  const database = store === "postgres" ? await newDatabase(server) : undefined
  const options = { mode, store, count, folder, ...database === undefined ? {} : { url: database.url } }
  try {
    const { stdout } = await run(
      process.execPath,
      ["--expose-gc", program, ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])],
      { timeout: 600_000 }
    )
    return JSON.parse(stdout)
  } finally {
    rmSync(folder, { recursive: true })
    await database?.drop()
  }
}

const mebi = (bytes: number) => (bytes / 2 ** 20).toFixed(1)
const whole = (value: number) => Math.round(value).toLocaleString("en-US")
const percent = (part: number, all: number) => (part / all - 1) * 100
const perSecond = (count: number, { millis }: Answer) => whole(count / millis * 1_000)

console.log(`${machine()}.\n`)
const bars: Array<Bar> = []
const rows: Array<ReadonlyArray<string>> = []
for (const store of ["sqlite", "postgres", "memory"]) {
  const answer = await measure<Answer>("waiting", store, waiting)
  const { after, before } = answer
  rows.push([
    `${store}, ${whole(waiting)} wait`,
    mebi(before),
    mebi(after),
    whole((after - before) / waiting),
    perSecond(waiting, answer)
  ])
  if (store === "memory") continue
  bars.push({
    claim: `${store}, heap above the baseline while ${whole(waiting)} wait`,
    value: (after - before) / 2 ** 20,
    limit: 50,
    keeps: "at most",
    unit: " MiB"
  })
}
for (const store of ["sqlite", "memory"]) {
  const answer = await measure<ThroughAnswer>("through", store, through)
  const { after, before, closed, start } = answer
  rows.push([
    `${store}, ${whole(through)} have ended`,
    mebi(before),
    mebi(after),
    whole((after - before) / through),
    perSecond(through, answer)
  ])
  rows.push([`${store}, and the engine is closed`, mebi(start), mebi(closed), whole((closed - start) / through), ""])
  // A journal in memory keeps what it was given until it goes: there the engine is closed first.
  bars.push({
    claim: `${store}, growth of the heap after ${whole(through)}`,
    value: store === "memory" ? percent(closed, start) : percent(after, before),
    limit: 5,
    keeps: "at most",
    unit: " %"
  })
}
await own?.remove()
table(["MiB of heap", "before", "after", "bytes an execution", "executions a second"], rows)
console.log()
judge(bars)
