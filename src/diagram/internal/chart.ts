/**
 * The tracks of a run as rows of text with a bar each, on one axis: what went forward above the axis, compensations
 * below it.
 */
import { columnsOf, fit, pad, timeOf, visible } from "./text.ts"
import type { Axis, Run, Track } from "./track.ts"
import { noteOf } from "./words.ts"

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34 }

export type Paint = (text: string, color: keyof typeof codes) => string

export const colored: Paint = (text, color) => text === "" ? "" : `\u001b[${codes[color]}m${text}\u001b[0m`
export const plain: Paint = (text) => text

/** The sign of a track and its color. */
const signOf = ({ ending, kind }: Track): readonly [sign: string, color: keyof typeof codes] => {
  switch (ending._tag) {
    case "Running":
      return ["▸", "blue"]
    case "Succeeded":
      return kind === "compensation" ? ["↶", "blue"] : ["✓", "green"]
    case "ByHand":
      return [kind === "compensation" ? "↶" : "✓", "yellow"]
    case "Cut":
      return ["-", "dim"]
    case "Failed":
      return ["✗", "red"]
    case "Uncertain":
      return ["?", "yellow"]
    case "Decided":
      return ["◆", "dim"]
  }
}

const glyphs: { readonly [Kind in Track["kind"]]: string } = {
  action: "█",
  compensation: "▓",
  sleep: "░",
  wait: "░",
  decision: "◆"
}

/** At least one column wide, as is each attempt. The last column shows how it ended, unless that was well. */
const barOf = (track: Track, axis: Axis, columns: number, paint: Paint): string => {
  const columnOf = (at: number) => Math.floor(at / axis.length * columns)
  const [sign, color] = signOf(track)
  const begin = Math.min(columns - 1, columnOf(track.stretches[0]!.from))
  const end = Math.max(begin + 1, columnOf(track.to))
  const cells = " ".repeat(begin).split("").concat(Array.from({ length: end - begin }, () => "░"))
  for (const [index, { from, waits }] of track.stretches.entries()) {
    const first = Math.min(end - 1, columnOf(from))
    const behind = columnOf(track.stretches[index + 1]?.from ?? track.to)
    if (!waits) cells.fill(glyphs[track.kind], first, Math.max(first + 1, behind))
  }
  if (track.ending._tag !== "Succeeded" && track.ending._tag !== "Decided") cells[end - 1] = sign
  const bar = cells.join("").replaceAll(/░+|[^░ ]+/g, (part) => paint(part, part.startsWith("░") ? "dim" : color))
  return bar + " ".repeat(columns - end)
}

/** How many columns each part of a row takes. */
interface Layout {
  readonly path: number
  readonly bar: number
  readonly time: number
  readonly note: number
}

const gap = "  "

const layoutOf = (tracks: ReadonlyArray<Track>, width: number): Layout => {
  const widest = (texts: ReadonlyArray<string>) => texts.reduce((widest, text) => Math.max(widest, columnsOf(text)), 0)
  const most = Math.floor(width * 0.3)
  const path = Math.min(most, widest(tracks.map((track) => visible(track.path))))
  const time = widest(tracks.map((track) => timeOf(track.millis)))
  const rest = width - "  ✓ ".length - path - time - 3 * gap.length
  const note = Math.min(most, rest - 20, widest(tracks.map(noteOf)))
  return { path, time, note, bar: rest - note }
}

const rowOf = (track: Track, axis: Axis, layout: Layout, paint: Paint): string => {
  const [sign, color] = signOf(track)
  const time = track.kind === "decision" ? "" : timeOf(track.millis)
  return [
    `  ${paint(sign, color)} ${pad(fit(visible(track.path), layout.path), layout.path)}`,
    barOf(track, axis, layout.bar, paint),
    " ".repeat(layout.time - columnsOf(time)) + time,
    paint(fit(noteOf(track), layout.note), color)
  ].join(gap).trimEnd()
}

const rulerOf = ({ axis, millis }: Run, layout: Layout, paint: Paint): ReadonlyArray<string> => {
  const half = Math.floor(layout.bar / 2)
  const line = `├${"─".repeat(half - 1)}┼${"─".repeat(layout.bar - half - 2)}┤`
  const [left, middle, right] = axis.unit === "millis"
    ? [timeOf(0), timeOf(millis / 2), timeOf(millis)]
    : ["less than 1 ms, in order", "", ""]
  const start = pad(left, half - Math.floor(middle.length / 2)) + middle
  const fits = start.length + gap.length + right.length <= layout.bar
  const labels = pad(fits ? start : left, layout.bar - right.length) + right
  const indent = " ".repeat(4 + layout.path + gap.length)
  return [indent + paint(line, "dim"), indent + paint(labels.trimEnd(), "dim")]
}

export const chartOf = (run: Run, width: number, paint: Paint): ReadonlyArray<string> => {
  const layout = layoutOf(run.tracks, width)
  const rows = (kinds: ReadonlyArray<Track>) => kinds.map((track) => rowOf(track, run.axis, layout, paint))
  return [
    ...rows(run.tracks.filter(({ kind }) => kind !== "compensation")),
    ...rulerOf(run, layout, paint),
    ...rows(run.tracks.filter(({ kind }) => kind === "compensation"))
  ]
}
