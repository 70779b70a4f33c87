/**
 * The recorder of a run in a fiber: hands each fact to the observers. It keeps nothing, waits for nothing, and lets no
 * observer into the run.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Stuck } from "../SagaError.ts"
import type { SagaEvent } from "../SagaEvent.ts"
import type { ObservedExecution, Parked, SagaObserver, Watch } from "../SagaObserver.ts"
import { printable } from "../StepPath.ts"
import type { Recorder } from "./execution.ts"
import type { AnyEffect, Definition } from "./tree.ts"

/** An execution as its observers see it. Its id is made when the first of them asks. */
export class Watched implements ObservedExecution {
  readonly saga: string
  readonly version: number
  readonly startedAtMillis: number | undefined
  readonly context: Context.Context<never>
  readonly #id: () => string

  constructor(definition: Definition, context: Context.Context<never>, id: () => string, startedAtMillis?: number) {
    this.saga = definition.saga
    this.version = definition.version
    this.startedAtMillis = startedAtMillis
    this.context = context
    this.#id = id
  }

  get executionId(): string {
    return this.#id()
  }
}

/** Tells observers. One that throws is given up, and the next `commit` says so in the log. */
export class Telling implements Recorder {
  /** What is told only is never written down. */
  readonly admit: undefined
  readonly inSpan: Recorder["inSpan"]
  readonly #execution: ObservedExecution
  readonly #clock: Clock.Clock
  readonly #watches: Array<Watch | undefined> = []
  #warnings: Array<Effect.Effect<void>> | undefined
  #atMillis = 0

  constructor(observers: ReadonlyArray<SagaObserver>, execution: ObservedExecution, clock: Clock.Clock) {
    this.#execution = execution
    this.#clock = clock
    for (const [index, observer] of observers.entries()) {
      try {
        this.#watches[index] = observer.observe(execution)
      } catch (defect) {
        this.#giveUp(index, defect)
      }
    }
    this.inSpan = this.#watches.some((watch) => watch?.around !== undefined)
      ? (path, kind, effect) => this.#around(path, kind, effect)
      : undefined
  }

  now(): number {
    return this.#atMillis = this.#clock.currentTimeMillisUnsafe()
  }

  last(): number {
    return this.#atMillis
  }

  record(event: SagaEvent): void {
    this.#tell((watch) => watch.onEvent(event))
  }

  /** No fact tells of these two. */
  parked(parked: Parked): void {
    this.#tell((watch) => watch.onParked?.(parked))
  }

  left(): void {
    this.#tell((watch) => watch.onLeft?.())
  }

  #tell(words: (watch: Watch) => void): void {
    for (let index = 0; index < this.#watches.length; index++) {
      const watch = this.#watches[index]
      try {
        if (watch !== undefined) words(watch)
      } catch (defect) {
        this.#giveUp(index, defect)
      }
    }
  }

  commit(): Effect.Effect<void> | undefined {
    const warnings = this.#warnings
    if (warnings === undefined) return undefined
    this.#warnings = undefined
    return quietly(Effect.forEach(warnings, (warning) => warning))
  }

  #around<A>(path: string, kind: "action" | "compensation", effect: AnyEffect<A>): AnyEffect<A> {
    return this.#watches.reduce((inner, watch, index) => {
      try {
        return watch?.around === undefined ? inner : watch.around(inner, path, kind)
      } catch (defect) {
        this.#giveUp(index, defect)
        return inner
      }
    }, effect)
  }

  #giveUp(index: number, defect: unknown): void {
    this.#watches[index] = undefined
    const { executionId, saga } = this.#execution
    const name = `${saga} (${printable(executionId)})`
    const warning = Effect.logWarning(`An observer of saga ${name} threw and is told no more of it`, defect)
    ;(this.#warnings ??= []).push(warning)
  }
}

/** Runs what only tells, such as a log line: what is wrong with a logger is not wrong with the saga. */
export const quietly = (effect: AnyEffect): Effect.Effect<void> => Effect.asVoid(Effect.exit(effect))

/** Logs what is stuck, with all that stood in the way as one cause: a logger joins several pair by pair. */
export const logStuck = (error: Stuck["error"], advice?: string): Effect.Effect<void> =>
  Effect.logError(
    advice === undefined ? error.message : `${error.message}. ${advice}`,
    Cause.fromReasons(error.failures.flatMap((failure) => failure.cause.reasons))
  )
