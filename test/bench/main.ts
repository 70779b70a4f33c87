/**
 * `npm run bench`: a saga beside what one would write without this package, and the bars that it has to keep. It ends
 * with exit code 1 when one is missed. `-- --quick` takes some seconds, leaves out the longest sagas, and is less exact.
 */
import { Effect } from "effect"
import { SagaObserver } from "../../src/index.ts"
import type { Subject } from "./measure.ts"
import { bytesWhileWaiting, median, ratio, timesPerStep } from "./measure.ts"
import type { Case } from "./sagas.ts"
import * as sagas from "./sagas.ts"

const quick = process.argv.includes("--quick")
const rounds = quick ? 5 : 15
const lengths = quick ? [1, 10, 100, 1_000] : [1, 10, 100, 1_000, 10_000]
const longest = quick ? 10_000 : 100_000
const waiting = quick ? 10_000 : 100_000

const { acquireRelease, bare, byHand, defined, inline } = sagas
const ways = { bare, byHand, acquireRelease, inline, defined }
type Way = keyof typeof ways
const wayNames = Object.keys(ways) as Array<Way>

// ------------------------------------------------------------------------------------------- what is measured

type Column = Way | "observed" | "forEach"
const columns: ReadonlyArray<Column> = [...wayNames, "observed"]

const nameOf = (column: Column, { fails, steps }: Case) => `${column}, ${steps}${fails ? ", the last fails" : ""}`

const subjectOf = (column: Column, given: Case): Subject => {
  const subject = { name: nameOf(column, given), steps: given.steps }
  switch (column) {
    case "forEach":
      return { ...subject, program: sagas.forEach(given.steps) }
    case "observed":
      return { ...subject, program: defined(given), around: Effect.provide(SagaObserver.layer([sagas.counting])) }
    default:
      return { ...subject, program: ways[column](given) }
  }
}

const cases = [false, true].flatMap((fails) => lengths.map((steps): Case => ({ steps, fails })))
const loops = [...lengths, longest].filter((steps) => steps >= 100).map((steps): Case => ({ steps, fails: false }))

const started = performance.now()
const figures = await timesPerStep([
  ...cases.flatMap((given) => columns.map((column) => subjectOf(column, given))),
  ...loops.map((given) => subjectOf("forEach", given)),
  subjectOf("byHand", loops.at(-1)!)
], rounds)
const of = (column: Column, given: Case) => figures.get(nameOf(column, given))!

const bytes = new Map<Way, number>()
for (const way of wayNames) {
  bytes.set(way, await bytesWhileWaiting((gate) => ways[way]({ steps: 3, fails: false, gate }), waiting))
}

// ------------------------------------------------------------------------------------------- the tables

const whole = (value: number) => Math.round(value).toLocaleString("en-US")
const times = (value: number) => value.toFixed(2)
const row = (title: string, cells: ReadonlyArray<string>) =>
  console.log(title.padEnd(22) + cells.map((cell) => cell.padStart(16)).join(""))

console.log(`Node ${process.version}. Medians of ${rounds} rounds.\n`)
row("ns a step (x by hand)", columns)
for (const given of cases) {
  const cells = columns.map((column) =>
    `${whole(median(of(column, given)))} (${times(ratio(of(column, given), of("byHand", given)))})`
  )
  row(`${whole(given.steps)}${given.fails ? ", the last fails" : ""}`, cells)
}
console.log()
row("ns an item (x 100)", loops.map(({ steps }) => whole(steps)))
for (const column of ["byHand", "forEach"] as const) {
  const cells = loops.map((given) =>
    `${whole(median(of(column, given)))} (${times(ratio(of(column, given), of(column, loops[0]!)))})`
  )
  row(column, cells)
}
console.log()
row(`bytes, ${whole(waiting)} wait`, wayNames)
row("", wayNames.map((way) => whole(bytes.get(way)!)))

// ------------------------------------------------------------------------------------------- the bars

interface Figure {
  readonly value: number
  readonly where: string
}

interface Bar {
  readonly claim: string
  readonly limit: number
  readonly figures: ReadonlyArray<Figure>
}

const compare = (column: Column, other: Column, from: number): ReadonlyArray<Figure> =>
  cases.filter(({ steps }) => steps >= from).map((given) => ({
    value: ratio(of(column, given), of(other, given)),
    where: nameOf(column, given)
  }))

const growth = (column: Column, given: ReadonlyArray<Case>): ReadonlyArray<Figure> =>
  given.filter(({ steps }) => steps > 100).map((longer) => ({
    value: ratio(of(column, longer), of(column, { ...longer, steps: 100 })),
    where: nameOf(column, longer)
  }))

const bars: ReadonlyArray<Bar> = [
  { claim: "inline, times by hand, from 10 steps on", limit: 0.8, figures: compare("inline", "byHand", 10) },
  { claim: "defined, times by hand, from 10 steps on", limit: 0.5, figures: compare("defined", "byHand", 10) },
  { claim: "observed, times defined, from 100 steps on", limit: 1.5, figures: compare("observed", "defined", 100) },
  { claim: "inline, growth of a step from 100 steps on", limit: 1.5, figures: growth("inline", cases) },
  { claim: "defined, growth of a step from 100 steps on", limit: 1.5, figures: growth("defined", cases) },
  { claim: "forEach, growth of an item from 100 items on", limit: 2, figures: growth("forEach", loops) },
  { claim: "inline, bytes while it waits", limit: 4_096, figures: [{ value: bytes.get("inline")!, where: "" }] },
  { claim: "defined, bytes while it waits", limit: 4_096, figures: [{ value: bytes.get("defined")!, where: "" }] }
]

console.log("\nBars, each by its worst figure")
let missed = 0
for (const { claim, figures, limit } of bars) {
  const worst = figures.reduce((worst, figure) => figure.value > worst.value ? figure : worst)
  const kept = worst.value <= limit
  if (!kept) missed++
  const write = limit >= 100 ? whole : times
  const said = `${write(worst.value).padStart(6)} of ${write(limit)}`.padEnd(18)
  console.log(`${kept ? "PASS" : "FAIL"}  ${claim.padEnd(46)}${said}${worst.where}`.trimEnd())
}
console.log(`${bars.length - missed} of ${bars.length} kept, ${whole((performance.now() - started) / 1_000)} s`)
process.exitCode = missed === 0 ? 0 : 1
