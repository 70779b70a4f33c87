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

type Column = Way | "observed" | "loop" | "forEach"
const columns: ReadonlyArray<Column> = [...wayNames, "observed"]

const nameOf = (column: Column, { fails, steps }: Case) => `${column}, ${steps}${fails ? ", the last fails" : ""}`

const subjectOf = (column: Column, given: Case): Subject => {
  const subject = { name: nameOf(column, given), steps: given.steps }
  switch (column) {
    case "loop":
      return { ...subject, program: byHand(given) }
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
// Apart from each other: what the longest leave to the garbage collector is not for the short ones to pay.
const figures = new Map([
  ...await timesPerStep(cases.flatMap((given) => columns.map((column) => subjectOf(column, given))), rounds),
  ...await timesPerStep(loops.flatMap((given) => [subjectOf("loop", given), subjectOf("forEach", given)]), rounds)
])
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
for (const [title, column] of [["a loop by hand", "loop"], ["forEach", "forEach"]] as const) {
  const cells = loops.map((given) =>
    `${whole(median(of(column, given)))} (${times(ratio(of(column, given), of(column, loops[0]!)))})`
  )
  row(title, cells)
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

const compare = (column: Column, other: Column, given: ReadonlyArray<Case>): ReadonlyArray<Figure> =>
  given.map((given) => ({ value: ratio(of(column, given), of(other, given)), where: nameOf(column, given) }))

/** What a step of the longer ones costs beside a step of a hundred. */
const growth = (column: Column, given: ReadonlyArray<Case>): ReadonlyArray<Figure> =>
  given.filter(({ steps }) => steps > 100).map((longer) => ({
    value: ratio(of(column, longer), of(column, { ...longer, steps: 100 })),
    where: nameOf(column, longer)
  }))

const fromTen = cases.filter(({ steps }) => steps >= 10)
const observedRuns = cases.filter(({ fails, steps }) => !fails && steps >= 100)

// Flat is what does not grow with its length but for two things that are V8's: an object of many names is a hash table,
// and what is kept of each of very many items is copied by the garbage collector, as that of the loop by hand is.
const bars: ReadonlyArray<Bar> = [
  { claim: "inline, times by hand, from 10 steps on", limit: 0.8, figures: compare("inline", "byHand", fromTen) },
  { claim: "defined, times by hand, from 10 steps on", limit: 0.5, figures: compare("defined", "byHand", fromTen) },
  {
    claim: "observed, times defined, from 100 steps on",
    limit: 1.5,
    figures: compare("observed", "defined", observedRuns)
  },
  { claim: "inline, growth of a step from 100 steps on", limit: 2, figures: growth("inline", cases) },
  { claim: "defined, growth of a step from 100 steps on", limit: 2, figures: growth("defined", cases) },
  { claim: "forEach, growth of an item from 100 items on", limit: 3, figures: growth("forEach", loops) },
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
