/** What the run prints. Nothing is decided here. */
import type { SagaEvent } from "../../src/index.ts"
import type { Refusal } from "./intake.ts"

export const seconds = (millis: number): string => `${(millis / 1000).toFixed(2)} s`

/** Lines that begin with a number. */
export const numbered = (lines: ReadonlyArray<readonly [count: number, what: string, remark: string]>): string => {
  const width = Math.max(...lines.map(([, what]) => what.length))
  return lines.map(([count, what, remark]) =>
    `  ${count.toLocaleString("en").padStart(5)}  ${what.padEnd(width)}  ${remark}`.trimEnd()
  ).join("\n")
}

export const named = (refusals: ReadonlyArray<Refusal>): string => {
  const width = Math.max(...refusals.map(({ name }) => name.length))
  return refusals.map(({ name, reason }) => `         ${name.padEnd(width)}  ${reason}`).join("\n")
}

/** A moment and what happened then. */
export type Mark = readonly [atMillis: number, what: string]

/** Puts moments under the axis of a timeline, where they were. */
export const marked = (timeline: string, facts: ReadonlyArray<SagaEvent>, marks: ReadonlyArray<Mark>): string => {
  const lines = timeline.split("\n")
  const axis = lines.findIndex((line) => /├[─┼]+┤/.test(line))
  const from = lines[axis]!.indexOf("├")
  const width = lines[axis]!.indexOf("┤") - from
  const times = facts.map(({ atMillis }) => atMillis)
  const begin = Math.min(...times)
  const length = Math.max(...times) - begin
  const arrows = marks.map(([atMillis, what]) => {
    const at = from + Math.round(width * (atMillis - begin) / length)
    return `${" ".repeat(at)}↑ ${what} after ${seconds(atMillis - begin)}`
  })
  return [...lines.slice(0, axis + 2), ...arrows, ...lines.slice(axis + 2)].join("\n")
}
