/** What a measurement says about the machine it was made on. */
import { availableParallelism, cpus, loadavg, platform, release, totalmem } from "node:os"

/** One line: processors, memory, versions, and how busy it was when it was asked. */
export const machine = (): string => {
  const model = cpus()[0]?.model ?? "unknown processor"
  const memory = Math.round(totalmem() / 2 ** 30)
  const load = loadavg()[0]!.toFixed(1)
  return `${availableParallelism()} x ${model}, ${memory} GiB, ${platform()} ${release()}, Node ${process.version}, load ${load}`
}

/** Prints a table in Markdown. The first column is of words, the others are of numbers. */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): void => {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  const line = (cells: ReadonlyArray<string>) =>
    `| ${
      cells.map((cell, column) => column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)).join(" | ")
    } |`
  console.log(line(head))
  console.log(
    `|${widths.map((width, column) => column === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`).join("|")}|`
  )
  for (const row of rows) console.log(line(row))
}

/** A limit that a figure has to keep. */
export interface Bar {
  readonly claim: string
  /** Undefined: it was not measured. */
  readonly value: number | undefined
  readonly limit: number
  readonly keeps: "at least" | "at most"
  readonly unit?: string
}

/** Prints what became of the bars, and lets the process end with 1 when one is missed. */
export const judge = (bars: ReadonlyArray<Bar>): void => {
  let missed = 0
  for (const { claim, keeps, limit, unit = "", value } of bars) {
    const kept = value !== undefined && (keeps === "at least" ? value >= limit : value <= limit)
    if (value !== undefined && !kept) missed++
    const word = value === undefined ? "SKIP" : kept ? "PASS" : "FAIL"
    const said = value === undefined ? "not measured" : `${Number(value.toPrecision(3))}${unit}`
    console.log(`${word}  ${claim.padEnd(68)} ${said.padStart(12)}, ${keeps} ${limit}${unit}`)
  }
  process.exitCode = missed === 0 ? 0 : 1
}
