/**
 * What persons have decided about an execution that was stuck, taken into its facts: what a run goes on with is a history
 * in which it was so from the beginning. It decides nothing itself.
 */
import type { SagaEvent } from "../SagaEvent.ts"
import type { StepPath } from "../StepPath.ts"
import { underLastNames } from "./renames.ts"

type Fact<Tag extends SagaEvent["_tag"]> = Extract<SagaEvent, { readonly _tag: Tag }>

/** The end of an action or of a compensation that a person may have to decide about. */
type OpenEnd = Fact<"StepFailed" | "StepUncertain" | "CompensationFailed">

const decisions: ReadonlySet<SagaEvent["_tag"]> = new Set<SagaEvent["_tag"]>([
  "RetryRequested",
  "UnwindRequested",
  "StepSkipped",
  "CompensationSkipped"
])

/**
 * The facts as they count. An end that was taken back is one more attempt that failed, one that was skipped a success; what
 * was given up for the sake of the unwind is reported; and a node that was renamed has had its last name always.
 */
export const revise = (facts: ReadonlyArray<SagaEvent>): ReadonlyArray<SagaEvent> => {
  if (!facts.some((fact) => decisions.has(fact._tag))) return underLastNames(facts)
  const revised: Array<SagaEvent> = []
  const ends = new Map<StepPath, number>()
  let open = new Set<StepPath>()
  const settle = (path: StepPath, settled: (end: OpenEnd) => SagaEvent) => {
    const index = open.delete(path) ? ends.get(path) : undefined
    if (index === undefined) return
    ends.delete(path)
    revised[index] = settled(revised[index] as OpenEnd)
  }
  for (const fact of underLastNames(facts)) {
    switch (fact._tag) {
      case "StepFailed":
      case "StepUncertain":
      case "CompensationFailed":
        ends.set(fact.path, revised.push(fact) - 1)
        continue
      case "SagaStuck":
        open = new Set(fact.open)
        break
      case "RetryRequested":
        for (const path of Array.from(open)) settle(path, triedAgain)
        break
      case "UnwindRequested":
        for (const path of Array.from(open)) settle(path, givenUp)
        break
      case "StepSkipped":
        settle(fact.path, ({ attempts, path }) => ({
          _tag: "StepSucceeded",
          atMillis: fact.atMillis,
          path,
          attempts,
          result: fact.result
        }))
        continue
      case "CompensationSkipped":
        settle(fact.path, ({ attempts, path }) => ({
          _tag: "CompensationSucceeded",
          atMillis: fact.atMillis,
          path,
          attempts
        }))
        continue
    }
    revised.push(fact)
  }
  return revised
}

const triedAgain = (end: OpenEnd): SagaEvent => {
  const { atMillis, attempts: attempt, cause, path } = end
  const failed = { atMillis, path, attempt, cause, nextAtMillis: 0 }
  switch (end._tag) {
    case "StepFailed":
      return { _tag: "StepAttemptFailed", ...failed }
    case "StepUncertain":
      // One that is reported, or undone, needs nobody.
      return end.whenUncertain === "stuck" ? { _tag: "StepAttemptFailed", ...failed, reason: end.reason } : end
    case "CompensationFailed":
      return { _tag: "CompensationAttemptFailed", ...failed }
  }
}

const givenUp = (end: OpenEnd): SagaEvent =>
  end._tag === "StepUncertain" && end.whenUncertain === "stuck"
    ? { ...end, whenUncertain: "report" }
    : end._tag === "CompensationFailed"
    ? triedAgain(end)
    : end
