/**
 * What holds for every run of every saga, whatever goes wrong in it: the invariants I1 to I9 as functions that say in
 * words what is broken. They look at what was seen and run nothing.
 */
import * as Cause from "effect/Cause"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { CompensationTimedOut } from "../../SagaError.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import type { HistoryMismatch, SagaState, StepState } from "../../SagaState.ts"
import { fold } from "../../SagaState.ts"
import type { StepPath } from "../../StepPath.ts"
import type { SeenCall } from "./harness.ts"
import type { orderIn } from "./order.ts"
import { nameOf } from "./places.ts"
import type { Ran } from "./runs.ts"
import { lostStart } from "./runs.ts"

/** A run with everything that is known of it. */
export interface Judged {
  readonly ran: Ran
  readonly calls: ReadonlyArray<SeenCall>
  readonly durable: boolean
  /** Whether somebody wanted it to stop. */
  readonly stopped: boolean
  /** Whether a process that was taken for dead went on. */
  readonly isFrozen: boolean
  readonly order: ReturnType<typeof orderIn>
  readonly state: SagaState | undefined
  readonly mismatch: HistoryMismatch | undefined
}

/** What the facts of a run say of it. */
export const stateOf = (facts: ReadonlyArray<SagaEvent>): Pick<Judged, "state" | "mismatch"> => {
  const folded = fold(facts)
  return Result.isSuccess(folded)
    ? { state: folded.success, mismatch: undefined }
    : { state: undefined, mismatch: folded.failure }
}

/** An invariant that is broken, and how. */
export interface Broken {
  readonly invariant: string
  readonly problem: string
}

/** The first invariant that a run breaks. */
export const brokenBy = (judged: Judged): Broken | undefined => {
  for (const [invariant, check] of Object.entries(invariants)) {
    const problem = check(judged)
    if (problem !== undefined) return { invariant, problem }
  }
  return undefined
}

type Check = (judged: Judged) => string | undefined

const finals: ReadonlySet<SagaEvent["_tag"]> = new Set(["SagaSucceeded", "SagaCompensated", "SagaAbandoned"] as const)

/** The paths of uncertain steps, and of what is open. */
export const reported = ({ facts }: Ran): ReadonlySet<StepPath> =>
  new Set(facts.flatMap((fact) =>
    fact._tag === "StepUncertain"
      // What is compensated although nobody knows has to be undone.
      ? fact.whenUncertain === "compensate" ? [] : [fact.path]
      : fact._tag === "SagaCompensated"
      ? fact.uncertain
      : fact._tag === "SagaStuck"
      ? fact.open
      : []
  ))

/** The save-points that have fallen back to their second way. */
const fellBack = ({ facts }: Ran): ReadonlyArray<StepPath> =>
  facts.flatMap((fact) => fact._tag === "FellBack" ? [`${fact.path}/first/`] : [])

const within = (path: StepPath, scopes: ReadonlyArray<StepPath>): boolean =>
  scopes.some((scope) => path.startsWith(scope))

/** Of which kind each step is that was called. */
const kindsOf = (calls: ReadonlyArray<SeenCall>) => new Map(calls.map(({ path, step }) => [path, step.kind]))

/** What took effect, by path, and what was undone. */
const effects = (calls: ReadonlyArray<SeenCall>, kind: SeenCall["kind"]): ReadonlyMap<StepPath, SeenCall> =>
  new Map(calls.filter((call) => call.kind === kind && call.applied > 0).map((call) => [call.path, call]))

const stepOf = (state: SagaState | undefined, path: StepPath): StepState | undefined =>
  state === undefined ? undefined : Option.getOrUndefined(HashMap.get(state.steps, path))

/** What is in place and nobody is told of it. */
const forgotten = ({ calls, ran }: Judged, scopes?: ReadonlyArray<StepPath>): string | undefined => {
  const undone = effects(calls, "compensation")
  const told = reported(ran)
  for (const [path, { step }] of effects(calls, "action")) {
    if (step.kind === "check" || undone.has(path) || scopes !== undefined && !within(path, scopes)) continue
    if (step.kind === "step" && told.has(path)) continue
    return `"${path}" took effect, was not compensated, and is not among what is reported uncertain or open`
  }
  return undefined
}

const invariants: Readonly<Record<string, Check>> = {
  "I8 the journal is a legal path": ({ mismatch }) => mismatch?.message,

  "I1 every start ends, or is parked for a person": ({ calls, ran }) => {
    if (ran.disagreement === lostStart) return ran.disagreement
    const last = ran.facts.at(-1)
    if (ran.exit === undefined) {
      const open = calls.flatMap(({ endedAt, kind, path }) => endedAt === undefined ? [nameOf({ kind, path })] : [])
      const where = open.length === 0 ? "" : `, in ${Array.from(new Set(open)).join(", ")}`
      return ran.givenUp === undefined
        ? `nothing moves any more, and it has not ended; the last fact is ${last?._tag}${where}. A fake that waits for the machine, as for a file, a socket or a timer of Node, is not waited for: let it answer in Effect's time`
        : `it has not ended${where}: ${ran.givenUp}. The last fact is ${last?._tag}`
    }
    return last !== undefined && (finals.has(last._tag) || last._tag === "SagaStuck")
      ? undefined
      : `the last fact is ${last?._tag}, and the caller got ${said(ran.exit)}`
  },

  "I2 there is one outcome": ({ durable, ran, state, stopped }) => {
    const ends = ran.facts.filter((fact) => finals.has(fact._tag))
    if (ends.length > 1) return `there are ${ends.length} final facts`
    const { exit } = ran
    if (exit === undefined || state === undefined) return undefined
    if (Exit.isSuccess(exit)) {
      return exit.value._tag === state.status
        ? undefined
        : `the caller got ${exit.value._tag}, on record is ${state.status}`
    }
    const interrupted = !durable && stopped && Cause.hasInterruptsOnly(exit.cause)
    const parked = durable && state.status === "Stuck" && said(exit).includes("ExecutionStuck")
    return interrupted || parked ? undefined : `the caller got ${said(exit)}, on record is ${state.status}`
  },

  "I9 everyone who asks gets one answer": ({ ran }) => ran.disagreement,

  "I7 each step has one key, and no two have the same": ({ calls }) => {
    const owners = new Map<string, string>()
    const keys = new Map<string, string>()
    for (const { actionKey, key, kind, path } of calls) {
      const own: Record<string, string> = { [path]: actionKey }
      if (kind === "compensation") own[`the compensation of ${path}`] = key
      for (const [owner, key] of Object.entries(own)) {
        const [known, other] = [keys.get(owner) ?? key, owners.get(key) ?? owner]
        if (known !== key) return `"${owner}" has the keys "${known}" and "${key}"`
        if (other !== owner) return `"${owner}" and "${other}" have the key "${key}"`
        keys.set(owner, key)
        owners.set(key, owner)
      }
    }
    return undefined
  },

  "I6 nothing starts once something has failed": ({ calls, ran }) => {
    const scopes = fellBack(ran)
    const late = startedLate(calls, ran)
    if (late !== undefined) return late
    for (const undo of calls) {
      if (undo.kind !== "compensation" || within(undo.path, scopes)) continue
      const late = calls.find(({ beganAt, kind }) => kind === "action" && beganAt > undo.beganAt)
      if (late !== undefined) return `"${late.path}" was started when "${undo.path}" had been compensated`
    }
    return undefined
  },

  "I5 a compensation runs for what was done, in reverse": (judged) =>
    unfounded(judged) ?? repeated(judged) ?? disordered(judged) ?? overlapping(judged),

  "I3 what succeeded stays": (judged) => {
    const { calls, ran, state } = judged
    if (state?.status !== "Succeeded") return undefined
    const scopes = fellBack(ran)
    for (const { kind, path } of calls) {
      if (kind === "compensation" && !within(path, scopes)) return `"${path}" was compensated in a saga that succeeded`
    }
    const applied = effects(calls, "action")
    for (const [path, { status }] of state.steps) {
      if (status === "Succeeded" && !applied.has(path)) return `"${path}" counts as done and never took effect`
    }
    for (const [path, { step }] of applied) {
      if (step.kind === "check" || within(path, scopes) || stepOf(state, path)?.status === "Succeeded") continue
      return `"${path}" took effect and does not count as done`
    }
    return forgotten(judged, scopes)
  },

  "I4 what was done is undone, or reported": (judged) => {
    const { state } = judged
    const unanswered = withoutUnwind(judged)
    if (unanswered !== undefined) return unanswered
    if (state?.status === "Compensated") return forgotten(judged)
    const unwound = state?.status === "Stuck" && HashMap.has(state.unwinding, "")
    return unwound ? forgotten(judged) : undefined
  }
}

const said = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit)
    ? "a result"
    : Cause.prettyErrors(exit.cause).map(({ name, message }) => `${name} ${message}`).join(", ")

/** A failure before the commit point that nothing was undone for. */
const withoutUnwind = ({ calls, ran, state }: Judged): string | undefined => {
  if (state === undefined || HashMap.has(state.unwinding, "")) return undefined
  const kinds = kindsOf(calls)
  const scopes = fellBack(ran)
  for (const [path, { status }] of state.steps) {
    if (status !== "Failed" || kinds.get(path) === "retriable" || within(path, scopes)) continue
    return `"${path}" failed, and nothing was unwound`
  }
  return undefined
}

/** A compensation of what was not done, or with another value than the one that was recorded. */
const unfounded = ({ calls, durable, isFrozen, ran }: Judged): string | undefined => {
  const ends = new Map<StepPath, SagaEvent>()
  for (const fact of ran.facts) {
    if (fact._tag === "StepSucceeded" || fact._tag === "StepUncertain") ends.set(fact.path, fact)
  }
  for (const { beganAt, given, kind, path, step } of calls) {
    if (kind !== "compensation") continue
    const end = ends.get(path)
    if (end === undefined) return `"${path}" was compensated, and is on record neither as done nor as uncertain`
    const running = calls.find((call) =>
      call.path === path && call.kind === "action" && (call.beganAt > beganAt || (call.endedAt ?? 0) > beganAt)
    )
    // Of a process that was taken for dead nobody knows when its action ends.
    if (running !== undefined && !isFrozen) return `"${path}" was compensated before its action had ended`
    // A value that was read back from a journal is equal to no other where its class says so.
    if (durable || end._tag !== "StepSucceeded") continue
    const value = step.whenUncertain === "compensate" ? { _tag: "Succeeded", result: end.result } : end.result
    if (!Equal.equals(given, value)) return `the compensation of "${path}" was given another value than its action gave`
  }
  return undefined
}

/** A step that started behind a failure that its part of the saga does not survive. */
const startedLate = (calls: ReadonlyArray<SeenCall>, { facts }: Ran): string | undefined => {
  const kinds = kindsOf(calls)
  let failed: { readonly path: StepPath; readonly scope: StepPath } | undefined
  for (const fact of facts) {
    if (fact._tag === "StepFailed" || fact._tag === "StepUncertain") {
      if (kinds.get(fact.path) === "retriable") continue
      const { path } = fact
      // The innermost way that may be given up; the failure of one inside of another is looked at by itself.
      failed ??= { path, scope: path.slice(0, Math.max(0, path.lastIndexOf("/first/") + 1)) }
    } else if (fact._tag === "FellBack") failed = undefined
    else if (fact._tag === "StepStarted" && failed !== undefined && fact.path.startsWith(failed.scope)) {
      return `"${fact.path}" was started when "${failed.path}" had failed`
    }
  }
  return undefined
}

/** A compensation that ran again when it had succeeded, and no crash made anybody forget that. */
const repeated = ({ calls, durable }: Judged): string | undefined => {
  const done = new Set<StepPath>()
  for (const { applied, endedAt, fault, kind, path } of durable ? [] : calls) {
    if (kind !== "compensation") continue
    if (done.has(path)) return `"${path}" was compensated again when that had succeeded`
    if (applied > 0 && endedAt !== undefined && fault === undefined) done.add(path)
  }
  return undefined
}

/** A second way that was started when the first was not undone yet. */
const overlapping = ({ calls, ran }: Judged): string | undefined => {
  for (const scope of fellBack(ran)) {
    const second = calls.find(({ path }) => path.startsWith(scope.replace(/first\/$/, "second/")))
    const late = calls.find(({ beganAt, kind, path }) =>
      kind === "compensation" && path.startsWith(scope) && beganAt > (second?.beganAt ?? Infinity)
    )
    if (late !== undefined) return `"${second?.path}" was started before "${late.path}" was compensated`
  }
  return undefined
}

/** Two compensations of which the later step's should have gone first. */
const disordered = ({ calls, isFrozen, order, ran }: Judged): string | undefined => {
  const undone = calls.filter(({ kind }) => kind === "compensation")
  const scopes = fellBack(ran)
  const abandoned = abandonedIn(ran)
  for (const first of undone) {
    // A way that was given up is undone long before what comes after it.
    const own = scopes.filter((scope) => first.path.startsWith(scope))
    for (const second of undone) {
      if (first.path === second.path || !own.every((scope) => second.path.startsWith(scope))) continue
      if (order(first.path, second.path) !== "before") continue
      // A process that was taken for dead may do once more what another has done: it is enough that it was done before.
      if (isFrozen && undone.some((call) => call.path === second.path && (call.endedAt ?? Infinity) < first.beganAt)) {
        continue
      }
      // The earlier step's may begin when the later step's is over for good.
      if (first.beganAt < second.beganAt) {
        return `"${first.path}" was compensated before "${second.path}", which came after it`
      }
      if (second.endedAt !== undefined && second.endedAt > first.beganAt && !abandoned.has(second.path)) {
        return `"${first.path}" was compensated while "${second.path}", which came after it, still was`
      }
    }
  }
  return undefined
}

/** The compensations that ignored their limit, and may go on behind it. */
const abandonedIn = ({ facts }: Ran): ReadonlySet<StepPath> =>
  new Set(facts.flatMap((fact) =>
    (fact._tag === "CompensationAttemptFailed" || fact._tag === "CompensationFailed") &&
      fact.cause.reasons.some((reason) =>
        Cause.isDieReason(reason) && reason.defect instanceof CompensationTimedOut && reason.defect.abandoned
      )
      ? [fact.path]
      : []
  ))
