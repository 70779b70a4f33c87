/** What a person can do about an execution that is stuck in an engine, in words that end a line of the log. */
import type { SagaEvent } from "../../SagaEvent.ts"
import type { Parked } from "../../SagaObserver.ts"

/** Why an execution is stuck. */
export type Reason = Extract<SagaEvent, { readonly _tag: "SagaStuck" }>["reason"] | Parked["reason"]

const uncertain =
  "Then tell the engine: `skip` with its result if it took place, `compensate` if it did not; or `retry` under the same key, or `abandon`"

const advice: { readonly [R in Reason]: string } = {
  CompensationFailed: "Then tell the engine: `skip` what was undone by hand; or `retry`, or `abandon`",
  StepUncertain: uncertain,
  PivotUncertain: uncertain,
  ForwardRecoveryFailed:
    "It is stuck until you tell the engine: `retry` when it is mended; or `skip` a step that was done, with its result; or `abandon`",
  Quarantined: "Find out what they died of, then `retry`; or `compensate`, or `abandon`",
  Undecodable: "Register a version whose schemas can read it, then `retry`; or `abandon`",
  DefinitionChanged: "Register a version that fits, then `retry`; or `abandon`",
  Refused: "Correct the schema or the action that makes such a value, then `retry`; or `compensate`, or `abandon`",
  Defect: "Report it, and `retry` with a release that mends it; or `compensate`, or `abandon`"
}

/** Why an execution is parked, by what stands in front of its problem. */
export const reasonOf = (problem: string): Parked["reason"] => {
  const [reason = ""] = problem.split(":", 1)
  return reason in advice ? reason as Parked["reason"] : "Undecodable"
}

/** What can be done about it. */
export const adviceOf = (reason: Reason): string => advice[reason]
