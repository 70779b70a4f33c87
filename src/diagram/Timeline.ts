/**
 * The timeline of a run for a terminal, drawn from its facts. It knows no terminal and writes to none; it makes a text.
 *
 * @since 0.1.0
 */
import type { SagaEvent } from "../SagaEvent.ts"
import { chartOf, colored, plain } from "./internal/chart.ts"
import { wrap } from "./internal/text.ts"
import { runOf } from "./internal/track.ts"
import { remarksOf, titleOf } from "./internal/words.ts"

/**
 * How a timeline is drawn.
 *
 * @category models
 * @since 0.1.0
 */
export interface TimelineOptions {
  /**
   * How many columns it may take; not less than 60.
   *
   * @default 80
   */
  readonly width?: number
  /**
   * Whether to use colours. Give `process.stdout.isTTY`, so that a file or a pipe gets plain text.
   *
   * @default false
   */
  readonly colors?: boolean
}

/**
 * Draws the timeline of a run from its facts: forward above the axis, compensations below it.
 *
 * @category converting
 * @since 0.1.0
 */
export const timeline = (events: Iterable<SagaEvent>, options?: TimelineOptions): string => {
  const run = runOf(events)
  const paint = options?.colors === true ? colored : plain
  const width = Math.max(60, options?.width ?? 80)
  const remarks = remarksOf(run).flatMap(({ label, text }) =>
    wrap(text, width - 13).map((line, index) => `  ${index === 0 ? label.padEnd(10) : " ".repeat(10)} ${line}`)
  )
  const parts = [
    [paint(titleOf(run), "bold")],
    run.tracks.length === 0 ? [] : chartOf(run, width, paint),
    remarks
  ]
  return parts.filter((lines) => lines.length > 0).map((lines) => lines.join("\n")).join("\n\n")
}
