/**
 * Who is told that an execution has become stuck, when that is recorded: whoever gave the engine `onStuck`; and of what no
 * fact tells, the log and the observers. It holds up nobody and decides nothing.
 */
import type * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import type { ExecutionRecord } from "../../Journal.ts"
import type { Parked } from "../../SagaObserver.ts"
import { printable } from "../../StepPath.ts"
import { effectOf } from "../attempt.ts"
import type { Telling } from "../recorder.ts"
import { quietly } from "../recorder.ts"
import { awaitWithin, onClock } from "../wait.ts"
import { adviceOf } from "./advice.ts"
import { contextOf } from "./observed.ts"
import type { Registered } from "./registry.ts"

/** An execution that was parked, of which no fact tells. */
export interface ParkedExecution {
  readonly executionId: string
  readonly registered: Registered
  readonly observers: Telling | undefined
  readonly parked: Parked
  readonly cause: Cause.Cause<unknown>
}

/** Tells what is stuck, each in a fiber of its own. */
export class Alarm {
  readonly #onStuck: ((execution: ExecutionRecord) => Effect.Effect<void>) | undefined
  /** The row of an execution, however long the store is out of reach. */
  readonly #find: (executionId: string) => Effect.Effect<Option.Option<ExecutionRecord>>
  readonly #latch = Latch.makeUnsafe(false)
  readonly #fibers = new Set<Fiber.Fiber<void>>()
  #calls: Array<Effect.Effect<void>> = []

  constructor(
    onStuck: ((execution: ExecutionRecord) => Effect.Effect<void>) | undefined,
    find: (executionId: string) => Effect.Effect<Option.Option<ExecutionRecord>>
  ) {
    this.#onStuck = onStuck
    this.#find = find
  }

  /** A fact says so: the run has told the log and the observers. */
  stuck(executionId: string, problem: string): void {
    if (this.#onStuck !== undefined) this.#call(this.#found(executionId, (row) => this.#tell(row, problem)))
  }

  /** Nothing but its row says so. */
  parked(execution: ParkedExecution): void {
    // Where its start was refused there is none.
    this.#call(
      this.#found(
        execution.executionId,
        (row) => Effect.andThen(announce(execution), this.#tell(row, execution.parked.problem))
      )
    )
  }

  /** Calls, for ever. */
  get run(): Effect.Effect<never> {
    return Effect.forever(Effect.suspend(() => {
      this.#latch.closeUnsafe()
      return Effect.andThen(this.#begin, this.#latch.await)
    }))
  }

  /** Waits for so long for those who are being told, then lets go of them. */
  close(clock: Clock.Clock, graceMillis: number): Effect.Effect<void> {
    const told = Effect.suspend(() =>
      Effect.forEach(Array.from(this.#fibers), (fiber) => awaitWithin(fiber, graceMillis), {
        concurrency: "unbounded",
        discard: true
      })
    )
    return Effect.andThen(this.#begin, onClock(clock, told))
  }

  #call(call: Effect.Effect<void>): void {
    this.#calls.push(call)
    this.#latch.openUnsafe()
  }

  get #begin(): Effect.Effect<void> {
    return Effect.uninterruptible(Effect.suspend(() => {
      const calls = this.#calls
      this.#calls = []
      return Effect.forEach(
        calls,
        (call) =>
          Effect.map(Effect.forkDetach(call), (fiber) => {
            this.#fibers.add(fiber)
            fiber.addObserver(() => this.#fibers.delete(fiber))
          }),
        { discard: true }
      )
    }))
  }

  #found(executionId: string, tell: (row: ExecutionRecord) => Effect.Effect<void>): Effect.Effect<void> {
    return Effect.flatMap(this.#find(executionId), (row) => Option.isNone(row) ? Effect.void : tell(row.value))
  }

  /** A person may have decided about it already: it is told as it became stuck. */
  #tell(row: ExecutionRecord, problem: string): Effect.Effect<void> {
    const onStuck = this.#onStuck
    if (onStuck === undefined) return Effect.void
    const told = Effect.suspend(() =>
      effectOf(onStuck({ ...row, state: "Stuck", dueAtMillis: null, problem }), undefined)
    )
    return Effect.catchCause(told, (cause) =>
      quietly(
        Effect.logError(
          `The \`onStuck\` of the engine failed for execution "${printable(row.executionId)}", which is stuck`,
          cause
        )
      ))
  }
}

/** Tells the log and the observers of what was parked. */
const announce = (execution: ParkedExecution): Effect.Effect<void> => {
  const { cause, executionId, observers, parked, registered } = execution
  const { problem, reason } = parked
  const [first = ""] = problem.split("\n")
  const line = Effect.logError(
    `Execution "${printable(executionId)}" of saga "${registered.definition.saga}" is stuck: ${printable(first)}. ${
      adviceOf(reason)
    }`,
    cause
  )
  return Effect.suspend(() => {
    observers?.parked(parked)
    const told = observers?.commit() ?? Effect.void
    return Effect.andThen(quietly(line), quietly(told)).pipe(
      Effect.setContext(contextOf(registered, executionId, undefined))
    )
  })
}
