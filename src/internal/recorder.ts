/**
 * The recorder of a run in a fiber: hands each fact to the observers. It keeps nothing, waits for nothing, and lets no
 * observer into the run.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { SagaEvent } from "../SagaEvent.ts"
import type { SagaObserver, Watch } from "../SagaObserver.ts"
import { printable } from "../StepPath.ts"
import type { Recorder } from "./execution.ts"
import type { AnyEffect } from "./tree.ts"

export interface Watched {
  readonly executionId: string
  readonly saga: string
  readonly version: number
  readonly context: Context.Context<never>
  readonly now: () => number
}

/** Calls an observer and gives it up when it throws: the next `commit` says so in the log. */
class Guarded {
  readonly #name: string
  readonly #onTrouble: (warning: Effect.Effect<void>) => void
  #watch: Watch | undefined

  constructor(observer: SagaObserver, execution: Watched, onTrouble: (warning: Effect.Effect<void>) => void) {
    this.#name = `${execution.saga} (${printable(execution.executionId)})`
    this.#onTrouble = onTrouble
    this.#guard(() => {
      this.#watch = observer.observe(execution)
    })
  }

  tell(event: SagaEvent): void {
    const watch = this.#watch
    if (watch === undefined) return
    try {
      watch.onEvent(event)
    } catch (defect) {
      this.#giveUp(defect)
    }
  }

  around<A>(path: string, kind: "action" | "compensation", effect: AnyEffect<A>): AnyEffect<A> {
    const around = this.#watch?.around
    if (around === undefined) return effect
    let inside = effect
    this.#guard(() => {
      inside = around(effect, path, kind)
    })
    return inside
  }

  get hasAround(): boolean {
    return this.#watch?.around !== undefined
  }

  #guard(f: () => void): void {
    try {
      f()
    } catch (defect) {
      this.#giveUp(defect)
    }
  }

  #giveUp(defect: unknown): void {
    this.#watch = undefined
    this.#onTrouble(Effect.logWarning(`An observer of saga ${this.#name} threw and is told no more of it`, defect))
  }
}

export const make = (observers: ReadonlyArray<SagaObserver>, execution: Watched): Recorder => {
  let warnings: Array<Effect.Effect<void>> = []
  const guarded = observers.map((observer) =>
    new Guarded(observer, execution, (warning) => {
      warnings.push(warning)
    })
  )
  return {
    now: execution.now,
    record: (event) => {
      for (let i = 0; i < guarded.length; i++) guarded[i]!.tell(event)
    },
    commit: () => {
      if (warnings.length === 0) return undefined
      const due = warnings
      warnings = []
      return quietly(Effect.forEach(due, (warning) => warning))
    },
    inSpan: guarded.some((one) => one.hasAround)
      ? (path, kind, effect) => guarded.reduce((inner, one) => one.around(path, kind, inner), effect)
      : undefined
  }
}

/** Runs what only tells, such as a log line: what is wrong with a logger is not wrong with the saga. */
export const quietly = (effect: AnyEffect): Effect.Effect<void> => Effect.asVoid(Effect.exit(effect))
