/**
 * The timeline of a run for a terminal, drawn from its facts. It knows no terminal and writes to none; it makes a text.
 *
 * @since 0.1.0
 */
import type { SagaEvent } from "../SagaEvent.ts"
import { chartOf, colored, plain } from "./internal/chart.ts"
import { pad, wrap } from "./internal/text.ts"
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
 * Draws the timeline of a run from its facts: what went forward above the axis, compensations below it.
 *
 * **When to use**
 *
 * Use to see in a terminal, a log or a failed test what a run did when, and what it has left.
 *
 * **Details**
 *
 * An observer collects the facts, as in the example; those of a run that goes on give its timeline so far. Each action,
 * compensation, sleep and decision has a row: how it ended (`✓` done, `✗` failed, `?` nobody knows, `↶` compensated,
 * `▸` still running, `-` cut, `◆` decided), its path, a bar (`░` waits), how long it took, how many attempts. Below
 * stand the cause of a failure, what is uncertain, what persons have decided about it and why, and what a stuck run leaves
 * to a person.
 *
 * When all facts have one time, the axis is their order.
 *
 * **Gotchas**
 *
 * The facts have to be those of one run: at the first one that does not follow from those before, it says so and ends.
 *
 * **Example** (Seeing a run)
 *
 * ```ts
 * import { Saga, type SagaEvent, SagaObserver } from "effect-saga"
 * import { timeline } from "effect-saga/diagram"
 * import { Effect, Fiber, Schema } from "effect"
 * import { TestClock } from "effect/testing"
 *
 * const booking = { action: () => Effect.sleep("2 seconds"), compensation: () => Effect.sleep("1 second") }
 * const saga = Saga.make("BookTrip", { payload: Schema.Void }).pipe(
 *   Saga.parallel((fork) => [
 *     fork.pipe(Saga.step("flight", booking)),
 *     fork.pipe(Saga.step("hotel", booking))
 *   ]),
 *   Saga.pivot("payment", {
 *     error: Schema.String,
 *     action: () => Effect.andThen(Effect.sleep("3 seconds"), Effect.fail("the card has expired"))
 *   })
 * )
 *
 * const facts: Array<SagaEvent> = []
 * const collecting = SagaObserver.layer([{ observe: () => ({ onEvent: (fact) => void facts.push(fact) }) }])
 *
 * // A virtual clock, so that nobody has to wait.
 * const program = Effect.gen(function*() {
 *   const run = yield* Effect.forkChild(Effect.exit(Saga.run(saga, undefined)))
 *   yield* TestClock.adjust("1 minute")
 *   yield* Fiber.join(run)
 * })
 * await Effect.runPromise(program.pipe(Effect.provide([collecting, TestClock.layer()])))
 *
 * console.log(timeline(facts))
 * ```
 *
 * ```text
 * BookTrip was compensated after 6 s
 *
 *   ✓ flight   █████████████                             2 s
 *   ✓ hotel    █████████████                             2 s
 *   ✗ payment               ███████████████████✗         3 s  the card has expired
 *              ├───────────────────┼──────────────────┤
 *              0 ms               3 s               6 s
 *   ↶ hotel                                     ▓▓▓▓▓▓▓  1 s
 *   ↶ flight                                    ▓▓▓▓▓▓▓  1 s
 *
 *   cause      payment: the card has expired
 * ```
 *
 * @category converting
 * @since 0.1.0
 */
export const timeline = (events: Iterable<SagaEvent>, options?: TimelineOptions): string => {
  const run = runOf(events)
  const paint = options?.colors === true ? colored : plain
  const width = Math.max(60, options?.width ?? 80)
  const remarks = remarksOf(run).flatMap(({ label, text }, index, all) =>
    wrap(text, width - 13).map((line, at) =>
      `  ${pad(at > 0 || all[index - 1]?.label === label ? "" : label, 10)} ${line}`
    )
  )
  const parts = [
    [paint(titleOf(run), "bold")],
    run.tracks.length === 0 ? [] : chartOf(run, width, paint),
    remarks
  ]
  return parts.filter((lines) => lines.length > 0).map((lines) => lines.join("\n")).join("\n\n")
}
