/** What the end of an action says about whether it took place. */
import * as Cause from "effect/Cause"
import type { UncertainReason } from "../SagaError.ts"

/** Whether a cause says that the action failed by its own typed errors and by nothing else. */
export const isTyped = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.length > 0 && cause.reasons.every(Cause.isFailReason)

/** Keeps typed errors as defects, where they are not among the errors that a caller expects. */
export const toDefects = (cause: Cause.Cause<unknown>): Cause.Cause<never> =>
  Cause.fromReasons(
    cause.reasons.map((reason) => Cause.isFailReason(reason) ? Cause.makeDieReason(reason.error) : reason)
  )

/** Why a cause leaves the outcome open; undefined when it says that the action did not take place. */
export const reasonOf = (
  cause: Cause.Cause<unknown>,
  timedOut: boolean,
  isUncertain: ((error: unknown) => boolean) | undefined
): UncertainReason | undefined => {
  if (!isTyped(cause)) return timedOut ? "TimedOut" : Cause.hasInterrupts(cause) ? "Interrupted" : "Died"
  const declared = isUncertain !== undefined &&
    cause.reasons.some((reason) => Cause.isFailReason(reason) && isUncertain(reason.error))
  return declared ? "DeclaredByError" : undefined
}
