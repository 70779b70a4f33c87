/**
 * What holds for a sequence as a whole while it runs: its time limit, its unwind, and whether its caller was interrupted. It
 * knows nothing of what sequences consist of.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { SagaTimedOut } from "../SagaError.ts"
import type { Frame } from "./frame.ts"
import { Progress } from "./frame.ts"
import type { History } from "./history.ts"
import type { AnyEffect, SagaTree } from "./tree.ts"
import { unwind } from "./unwind.ts"
import type { Restore } from "./wait.ts"
import { withLimit } from "./wait.ts"

/** A sequence as the loop that `Effect.whileLoop` drives. */
interface Loop extends Frame {
  readonly while: () => boolean
  readonly body: () => AnyEffect
  readonly step: (value: unknown) => void
  readonly isDone: (history: History) => boolean
}

/** Whether the fiber of the saga has been interrupted. Call it in an uninterruptible region. */
export const interrupted = (sequence: Frame): Effect.Effect<boolean> =>
  Effect.map(Effect.exit(sequence.restore(Effect.void)), Exit.isFailure)

/** Compensates what a sequence has done, by what its saga says about all compensations. */
export const backward = (sequence: Frame): Effect.Effect<void> => {
  if (sequence.size === 0) return Effect.void
  const { history, residence, tree } = sequence.execution
  const limit = tree.options.unwindDeadlineMillis
  if (limit === undefined) return unwind([sequence], undefined, residence)
  const startedAtMillis = history?.unwinds.get(sequence.savePoint.path)?.atMillis
  return Effect.flatMap(
    Clock.currentTimeMillis,
    (now) => unwind([sequence], (startedAtMillis ?? now) + limit, residence)
  )
}

/** Runs a sequence with a time limit: when it passes, what may be cut is cut, and the limit is the failure. */
export const bounded = (sequence: Loop, atMillis: number, saga: SagaTree, restore: Restore): AnyEffect => {
  const { execution, savePoint } = sequence
  // Nothing new starts here any more: there is nothing to bound.
  const { history } = execution
  if (history !== undefined && (savePoint.signal.stopped || sequence.isDone(history))) return Effect.whileLoop(sequence)
  const { recorder, residence } = execution
  return Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const limitMillis = saga.options.timeoutMillis ?? atMillis - now
    const error = new SagaTimedOut({ saga: saga.definition.saga, limitMillis })
    const onFire = () => {
      const path = sequence.prefix.slice(0, -1)
      recorder?.record({ _tag: "LimitPassed", atMillis: recorder.now(), path, saga: error.saga, limitMillis })
      sequence.fail({ path: sequence.prefix, attempts: 1, cause: Cause.fail(error) })
    }
    // It has passed while the execution was nowhere: what was in flight then is not tried again.
    const late = residence !== undefined && atMillis <= now
    if (late) onFire()
    // The limit cuts what may be cut even where the caller of the saga forbids interruption.
    sequence.restore = Effect.interruptible
    const forget = residence?.until(atMillis)
    const limited = late
      ? Effect.map(Effect.exit(Effect.whileLoop(sequence)), (exit) => ({ exit, timedOut: true }))
      : withLimit(Effect.whileLoop(sequence), Math.max(0, atMillis - now), restore, onFire)
    return Effect.flatMap(limited, ({ exit, timedOut }) => {
      sequence.restore = restore
      if (residence?.leaving !== true) forget?.()
      if (!timedOut) return exit
      // A wait that was cut ends without a failure of its own.
      if (Exit.isFailure(exit)) sequence.conclude(exit.cause)
      else sequence.progress = Progress.Reported
      return Effect.fail(error)
    })
  })
}
