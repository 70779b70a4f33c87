/**
 * `npm run bench:durable`: this engine beside other durable ones and beside a bare loop, each in a process of its own, and
 * the bars that it has to keep. It ends with exit code 1 when one is missed. Takes a quarter of an hour; `-- --quick` takes
 * two minutes and is less exact, `-- --only effect-saga,raw` leaves the other peers out.
 */
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { parseArgs, promisify } from "node:util"
import { startServer } from "../sql/postgresServer.ts"
import { judge, machine, table } from "./machine.ts"
import { median } from "./measure.ts"

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    seconds: { type: "string" },
    warmup: { type: "string" },
    only: { type: "string" }
  }
})
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
const seconds = Number(values.seconds ?? (values.quick ? 2 : 4))
const warmup = Number(values.warmup ?? (values.quick ? 1 : 2))

// ------------------------------------------------------------------------------------------- who takes part

interface Competitor {
  readonly name: string
  readonly program: string
  readonly options?: ReadonlyArray<string>
  readonly databases: ReadonlyArray<string>
  /** What must be installed in the folder of the peers. */
  readonly needs?: string
}

const competitors: ReadonlyArray<Competitor> = [
  { name: "effect-saga", program: "durableEngine.ts", databases: ["postgres", "sqlite"] },
  {
    name: "effect-saga, listed",
    program: "durableEngine.ts",
    options: ["--listing"],
    databases: ["postgres", "sqlite"]
  },
  { name: "raw", program: "peers/raw.ts", databases: ["postgres", "sqlite"] },
  { name: "raw (32 connections)", program: "peers/raw.ts", options: ["--connections", "32"], databases: ["postgres"] },
  { name: "effect/workflow", program: "peers/cluster.ts", databases: ["postgres", "sqlite"] },
  { name: "dbos", program: "peers/dbos.mjs", databases: ["postgres"], needs: "@dbos-inc/dbos-sdk" },
  { name: "restate", program: "peers/restate.mjs", databases: ["restate"], needs: "@restatedev/restate-sdk" }
]

const pathOf = (file: string): string => new URL(file, import.meta.url).pathname

const wanted = values.only?.split(",")
const present = competitors.filter(({ name, needs }) => {
  if (wanted !== undefined && !wanted.includes(name)) return false
  if (needs === undefined || existsSync(pathOf(`peers/node_modules/${needs}`))) return true
  console.log(`${name} is left out: it is not installed. \`npm ci --prefix test/bench/peers\` does that.`)
  return false
})

// ------------------------------------------------------------------------------------------- what is measured

interface Cell {
  readonly scenario: "success" | "compensated"
  readonly concurrency: number
}

const cells: ReadonlyArray<Cell> = [1, 100].flatMap((concurrency) =>
  (["success", "compensated"] as const).map((scenario) => ({ scenario, concurrency }))
)

interface Answer {
  readonly perSecond: number
  /** Null: none has ended. */
  readonly medianMillis: number | null
}

const answers = new Map<string, Array<Answer>>()
const keyOf = (name: string, database: string, { concurrency, scenario }: Cell) =>
  [name, database, scenario, concurrency].join()

const run = promisify(execFile)

const measure = async (
  { options: own = [], program }: Competitor,
  database: string,
  cell: Cell,
  url: string
): Promise<Answer> => {
  const options = { database, ...cell, seconds, warmup }
  const { stdout } = await run(
    process.execPath,
    [pathOf(program), ...own, ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])],
    { env: { ...process.env, DATABASE_URL: url }, timeout: 1_000 * (seconds + warmup + 60) }
  )
  return JSON.parse(stdout)
}

console.log(`${machine()}. Medians of ${rounds} rounds of ${seconds} s.\n`)
const own = process.env["DATABASE_URL"] === undefined ? await startServer() : undefined
const url = own?.url ?? process.env["DATABASE_URL"]!
for (let round = 0; round < rounds; round++) {
  for (const cell of cells) {
    // Forth and back, so that a busy moment of the machine does not meet the same one each time.
    for (const competitor of round % 2 === 0 ? present : [...present].reverse()) {
      for (const database of competitor.databases) {
        const key = keyOf(competitor.name, database, cell)
        if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${round + 1}/${rounds} ${key}\r`)
        const answer = await measure(competitor, database, cell, url)
        answers.set(key, [...answers.get(key) ?? [], answer])
      }
    }
  }
}
await own?.remove()

// ------------------------------------------------------------------------------------------- the table

const figures = (name: string, database: string, cell: Cell, figure: keyof Answer): ReadonlyArray<number> =>
  (answers.get(keyOf(name, database, cell)) ?? []).map((answer) => answer[figure] ?? Number.NaN)

const said = (value: number): string =>
  Number.isNaN(value) ? "-" : Number(value.toPrecision(3)).toLocaleString("en-US", { maximumFractionDigits: 2 })

const titles = cells.map(({ concurrency, scenario }) => `${scenario}, ${concurrency} at a time`)
const rows = ["postgres", "sqlite", "restate"].flatMap((database) =>
  present.filter(({ databases }) => databases.includes(database)).map(({ name }) => [
    database === name ? name : `${name}, ${database}`,
    ...cells.map((cell) =>
      `${said(median(figures(name, database, cell, "perSecond")))}/s, ${
        said(median(figures(name, database, cell, "medianMillis")))
      } ms`
    )
  ])
)
table(["sagas a second, median latency", ...titles], rows)

// ------------------------------------------------------------------------------------------- the bars

/** How many times the figure of one is that of the other: the median of the rounds. */
const times = (
  database: string,
  cell: Cell,
  other: string,
  figure: keyof Answer,
  one = "effect-saga"
): number | undefined => {
  const [ours, theirs] = [figures(one, database, cell, figure), figures(other, database, cell, figure)]
  return ours.length === 0 || theirs.length === 0
    ? undefined
    : median(ours.map((value, round) => value / theirs[round]!))
}

console.log()
judge([
  ...["postgres", "sqlite"].flatMap((database) =>
    cells.filter(({ concurrency }) => concurrency === 100).map((cell) => ({
      claim: `${database}, ${cell.scenario}, 100 at a time: sagas a second, times raw`,
      value: times(database, cell, "raw", "perSecond"),
      limit: 2,
      keeps: "at least" as const
    }))
  ),
  ...["postgres", "sqlite"].flatMap((database) =>
    cells.filter(({ concurrency }) => concurrency === 100).map((cell) => ({
      claim: `${database}, ${cell.scenario}, 100 at a time: listed ten times a second, times without`,
      value: times(database, cell, "effect-saga", "perSecond", "effect-saga, listed"),
      limit: 0.9,
      keeps: "at least" as const
    }))
  ),
  ...cells.filter(({ concurrency }) => concurrency === 1).map((cell) => ({
    claim: `postgres, ${cell.scenario}, 1 at a time: latency, times DBOS`,
    value: times("postgres", cell, "dbos", "medianMillis"),
    limit: 0.4,
    keeps: "at most" as const
  }))
])
