/**
 * A run in words: how it stands, how each of its tracks ended, why it failed, what it left. Nothing is laid out here.
 */
import * as Cause from "effect/Cause"
import * as Equal from "effect/Equal"
import * as Formatter from "effect/Formatter"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { UncertainReason } from "../../Saga.ts"
import type { By } from "../../SagaEvent.ts"
import type { StepPath } from "../../StepPath.ts"
import { timeOf, visible } from "./text.ts"
import type { DecisionFact, Ending, Run, Track } from "./track.ts"

const reasons: { readonly [Reason in UncertainReason]: string } = {
  Interrupted: "interrupted",
  TimedOut: "timed out",
  Died: "died",
  ProcessLost: "process lost",
  DeclaredByError: "by its error",
  NotRecordable: "not recordable"
}

const errorsOf = (cause: Cause.Cause<unknown>): ReadonlyArray<unknown> =>
  cause.reasons.flatMap((reason) =>
    Cause.isFailReason(reason) ? [reason.error] : Cause.isDieReason(reason) ? [reason.defect] : []
  )

/** An error in full, on one line. What is redacted stays so. */
const inFull = (error: unknown): string =>
  visible((typeof error === "string" ? error : Formatter.format(error)).trim().replaceAll(/\s+/g, " "))

/** The tag of an error, or its name; all of it when it has neither. */
const inShort = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return inFull(error)
  if ("_tag" in error && typeof error._tag === "string") return visible(error._tag)
  return error instanceof Error ? visible(error.name) : inFull(error)
}

const causeText = (cause: Cause.Cause<unknown>, text = inFull): string => {
  const errors = errorsOf(cause).map(text)
  return errors.length === 0 ? "interrupted" : errors.join("; ")
}

const stuckReasons: { readonly [Reason in NonNullable<Run["stuckReason"]>]: string } = {
  CompensationFailed: "a compensation failed",
  StepUncertain: "nobody knows whether a step took place",
  PivotUncertain: "nobody knows whether its pivot took place",
  ForwardRecoveryFailed: "it is committed and could not be finished"
}

const attemptsOf = ({ attempts, kind }: Track): ReadonlyArray<string> =>
  attempts <= 1 ? [] : [`${attempts} ${kind === "compensation" ? "tries" : "attempts"}`]

/** How a track ended, in a few words. */
export const noteOf = (track: Track): string => {
  const { ending } = track
  switch (ending._tag) {
    case "Running":
      return track.kind === "sleep"
        ? "sleeping"
        : track.kind === "wait"
        ? "waits for an event"
        : track.stretches.at(-1)!.waits
        ? "waits to try again"
        : "running"
    case "Succeeded":
      return ending.keptFrom === undefined ? attemptsOf(track).join("") : `kept from ${visible(ending.keptFrom)}`
    case "ByHand":
      return [...attemptsOf(track), `${track.kind === "compensation" ? "undone" : "done"} by hand`].join(", ")
    case "Cut":
      return "cut"
    case "Failed":
      return [...attemptsOf(track), causeText(ending.cause, inShort)].join(", ")
    case "Uncertain":
      return [...attemptsOf(track), `unknown: ${reasons[ending.reason]}`].join(", ")
    case "Decided":
      return visible(ending.decision)
  }
}

/** How the run stands. */
export const titleOf = ({ millis, state, stuckReason }: Run): string => {
  const name = visible(state.saga)
  const time = timeOf(millis)
  switch (state.status) {
    case "NotStarted":
      return "Nothing has happened"
    case "Running":
      return `${name} has been running for ${time}`
    case "Waiting":
      return `${name} waits, ${time} after its start`
    case "Compensating":
      return `${name} is being compensated, ${time} after its start`
    case "Succeeded":
      return `${name} succeeded after ${time}`
    case "Compensated":
      return `${name} was compensated after ${time}`
    case "Abandoned":
      return `${name} was abandoned after ${time}`
    case "Stuck":
      return `${name} is stuck after ${time}: ${stuckReasons[stuckReason!]}`
  }
}

export interface Remark {
  readonly label: "rerun of" | "cause" | "also" | "uncertain" | "decided" | "migrated" | "open" | "left" | "mismatch"
  readonly text: string
}

/** Why it failed, what is unknown, what was decided about it, what is left for a person. */
export const remarksOf = (run: Run): ReadonlyArray<Remark> => {
  const { mismatch, state } = run
  const failed = run.tracks.flatMap(({ ending, kind, path }) =>
    kind === "action" && (ending._tag === "Failed" || ending._tag === "Uncertain") && !fellBack(run, path)
      ? [{ ...ending, path }]
      : []
  )
  const cause = state.cause ?? failed[0]?.cause
  const culprit = failed.find((step) => Equal.equals(step.cause, cause))
  const remarks: Array<Remark> = []
  const remark = (label: Remark["label"], path: StepPath | undefined, text: string) => {
    remarks.push({ label, text: path === undefined ? text : `${visible(path)}: ${text}` })
  }
  if (run.rerun !== undefined) {
    remark("rerun of", undefined, visible(run.rerun.rerunOf) + byText(run.rerun))
  }
  if (cause !== undefined) remark("cause", culprit?.path, causeText(cause))
  for (const step of failed) {
    if (step !== culprit && !isReported(step)) remark("also", step.path, causeText(step.cause))
  }
  for (const step of failed.filter(isReported)) {
    const why = step === culprit ? reasons[step.reason] : causeText(step.cause)
    remark("uncertain", step.path, `${why}; ask its participant whether it took place`)
  }
  for (const { fact, millis } of run.decisions) {
    const label = fact._tag === "SagaMigrated" ? "migrated" : "decided"
    remark(label, undefined, `after ${timeOf(millis)}, ${decisionText(fact)}`)
  }
  if (state.status === "Stuck" || state.status === "Abandoned") {
    const label = state.status === "Stuck" ? "open" : "left"
    for (const path of state.open) remark(label, path, openText(run, path, path === culprit?.path))
  }
  if (mismatch !== undefined) {
    remark("mismatch", undefined, `${visible(mismatch.message)}; nothing from there on is shown`)
  }
  return remarks
}

type Uncertain = Extract<Ending, { readonly _tag: "Uncertain" }>

const isReported = <E extends Ending>(ending: E): ending is Extract<E, Uncertain> =>
  ending._tag === "Uncertain" && ending.whenUncertain === "report"

/** Who, and why. */
const byText = ({ actor, comment }: { readonly [Field in keyof By]?: string | undefined }): string =>
  (actor === undefined ? "" : ` by ${visible(actor)}`) + (comment === undefined ? "" : `: ${visible(comment)}`)

/** What was decided, in the words of the engine. */
const decisionText = (fact: DecisionFact): string => {
  switch (fact._tag) {
    case "RetryRequested":
      return `retry${byText(fact)}`
    case "StepSkipped":
    case "CompensationSkipped":
      return `skip of ${visible(fact.path)}${byText(fact)}`
    case "UnwindRequested":
      return `compensate${byText(fact)}`
    case "SagaAbandoned":
      return `abandon${byText(fact)}`
    case "CancelRequested":
      return `cancel${byText(fact)}`
    case "CancelRefused":
      return `cancel, too late${byText(fact)}`
    case "SagaMigrated":
      return `from version ${fact.from} to ${fact.to}`
  }
}

/** What is known of a path that needs a person. `told`: why its action failed is said already. */
const openText = ({ state }: Run, path: StepPath, told: boolean): string => {
  const step = Option.getOrUndefined(HashMap.get(state.steps, path))
  if (step === undefined) return "not started"
  const { attempts, cause, compensationAttempts, status, uncertain } = step
  const done = uncertain === undefined ? "done" : "nobody knows whether it took place"
  const why = cause === undefined ? "" : `: ${causeText(cause)}`
  switch (status) {
    case "CompensationFailed":
      return `${done}, and ${counted(compensationAttempts, "try", "tries")} to compensate it failed${why}`
    case "Failed":
      return `not done after ${counted(attempts, "attempt", "attempts")}${told ? "" : why}`
    case "Uncertain":
      return `${done}${told ? "" : why}`
    default:
      return `${done} and not compensated`
  }
}

const counted = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`

/** Whether a path is of a first way that failed, was compensated, and made room for the second. */
const fellBack = ({ state }: Run, path: StepPath): boolean =>
  HashMap.some(state.unwinding, (is, scope) => is === "FellBack" && path.startsWith(`${scope}/first/`))
