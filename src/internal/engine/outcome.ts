/**
 * How an execution ended, read off its facts: whoever asks, here or elsewhere, now or later, gets the same answer.
 */
import * as Cause from "effect/Cause"
import type { Failure, UncertainStep } from "../../SagaError.ts"
import { SagaTimedOut } from "../../SagaError.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import type { Outcome } from "../../SagaRun.ts"
import { limitedAt, timedOut } from "../history.ts"

/** The end of an execution that nothing can change any more. */
export type Ending = Exclude<Outcome<unknown, unknown>, { readonly _tag: "Stuck" }>

/** How an execution ended, by those of its facts that say so, as they count; undefined when it has not. */
export const endingOf = (executionId: string, facts: ReadonlyArray<SagaEvent>): Ending | undefined => {
  const last = facts.at(-1)
  if (last?._tag === "SagaSucceeded") return { _tag: "Succeeded", executionId, result: last.result }
  if (last?._tag !== "SagaCompensated") return undefined
  let cause: Cause.Cause<unknown> = Cause.empty
  let failed: string | undefined
  const compensated: Array<string> = []
  const failures: Array<Failure> = []
  const fellBack: Array<string> = []
  const uncertain = new Map<string, UncertainStep>()
  for (const fact of facts) {
    switch (fact._tag) {
      case "StepFailed":
        failures.push(fact)
        break
      case "EventTimedOut":
        if (fact.failed) failures.push(timedOut(fact))
        break
      case "LimitPassed":
        failures.push({
          path: limitedAt(fact.path),
          attempts: 1,
          cause: Cause.fail(new SagaTimedOut({ saga: fact.saga, limitMillis: fact.limitMillis }))
        })
        break
      case "StepUncertain": {
        const { cause, path, reason } = fact
        failures.push(fact)
        uncertain.set(path, { path, reason, cause })
        break
      }
      case "CompensationSucceeded":
        compensated.push(fact.path)
        break
      case "FellBack":
        fellBack.push(`${fact.path}/first/`)
        break
      case "UnwindStarted":
        if (fact.scope !== "") break
        cause = fact.cause
        failed = fact.failed
    }
  }
  // What happened first where the cause came from is the cause: a step, or the first way of an `orElse`.
  const origin = failures.findIndex(({ path }) => path === failed || path.startsWith(`${failed}/first/`))
  return {
    _tag: "Compensated",
    executionId,
    cause,
    compensated,
    uncertain: last.uncertain.flatMap((path) => uncertain.get(path) ?? []),
    others: failures
      .filter(({ cause, path }, index) =>
        index !== origin && !Cause.hasInterruptsOnly(cause) && !fellBack.some((way) => path.startsWith(way))
      )
      .map(({ attempts, cause, path }) => ({ path, attempts, cause }))
  }
}
