/**
 * The state of an execution, folded from its facts. Nobody assigns a state; one table says which fact may follow which,
 * and a fact that may not is a value, `HistoryMismatch`, never a throw.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { renamed, renaming } from "./internal/renames.ts"
import type { Renames } from "./internal/renames.ts"
import type { UncertainReason } from "./SagaError.ts"
import type { SagaEvent } from "./SagaEvent.ts"
import type { StepPath } from "./StepPath.ts"

/**
 * Where a step stands.
 *
 * @category models
 * @since 0.1.0
 */
export type StepStatus =
  | "Started"
  | "Succeeded"
  | "Failed"
  | "Uncertain"
  | "Compensating"
  | "Compensated"
  | "CompensationFailed"

/**
 * What the facts say of one step.
 *
 * @category models
 * @since 0.1.0
 */
export interface StepState {
  readonly status: StepStatus
  readonly startedAtMillis: number
  /** Attempts of the action that have ended. */
  readonly attempts: number
  /** Tries of the compensation that have ended. */
  readonly compensationAttempts: number
  readonly result: unknown
  /** Why the last attempt of the action, or the last try of the compensation, did not succeed. */
  readonly cause: Cause.Cause<unknown> | undefined
  /** Why the outcome of the action is unknown, and what is done about it. */
  readonly uncertain: {
    readonly reason: UncertainReason
    readonly whenUncertain: "report" | "compensate" | "stuck"
  } | undefined
}

/**
 * What was decided, once, at a node.
 *
 * @category models
 * @since 0.1.0
 */
export type Decision = Extract<SagaEvent, { readonly _tag: "BranchChosen" | "ItemsListed" | "NestedStarted" }>

/**
 * A wait for any of some events.
 *
 * @category models
 * @since 0.1.0
 */
export type Await = Extract<SagaEvent, { readonly _tag: "EventAwaited" }>

/**
 * Where an execution stands. `Waiting` is `Running` with nothing in flight but timers and awaited events.
 *
 * @category models
 * @since 0.1.0
 */
export type SagaStatus =
  | "NotStarted"
  | "Running"
  | "Waiting"
  | "Compensating"
  | "Stuck"
  | "Succeeded"
  | "Compensated"
  | "Abandoned"

/**
 * What the facts say of an execution.
 *
 * @category models
 * @since 0.1.0
 */
export interface SagaState {
  readonly status: SagaStatus
  readonly saga: string
  readonly version: number
  readonly payload: unknown
  readonly result: unknown
  /** Why it unwinds or was compensated. */
  readonly cause: Cause.Cause<unknown> | undefined
  /** The paths that need a person. */
  readonly open: ReadonlyArray<StepPath>
  readonly steps: HashMap.HashMap<StepPath, StepState>
  readonly decisions: HashMap.HashMap<StepPath, Decision>
  /** When each timer that has not fired is due. */
  readonly timers: HashMap.HashMap<StepPath, number>
  /** The events that are awaited, and until when. */
  readonly awaits: HashMap.HashMap<StepPath, Await>
  /** The save-points that unwind, and those that have fallen back to their second way. */
  readonly unwinding: HashMap.HashMap<StepPath, "Unwinding" | "FellBack">
  /** Actions and compensations that have started and not ended. */
  readonly inFlight: number
}

/**
 * A fact that cannot follow the facts before it.
 *
 * @category errors
 * @since 0.1.0
 */
export class HistoryMismatch extends Data.TaggedError("HistoryMismatch")<{
  readonly event: SagaEvent
  readonly problem: string
}> {
  override get message(): string {
    return `The fact ${this.event._tag}${"path" in this.event ? ` of "${this.event.path}"` : ""} ${this.problem}`
  }
}

/**
 * The state before the first fact.
 *
 * @category constructors
 * @since 0.1.0
 */
export const empty: SagaState = {
  status: "NotStarted",
  saga: "",
  version: 0,
  payload: undefined,
  result: undefined,
  cause: undefined,
  open: [],
  steps: HashMap.empty(),
  decisions: HashMap.empty(),
  timers: HashMap.empty(),
  awaits: HashMap.empty(),
  unwinding: HashMap.empty(),
  inFlight: 0
}

type Fact<Tag extends SagaEvent["_tag"]> = Extract<SagaEvent, { readonly _tag: Tag }>
type StepFact = Fact<
  | "StepSucceeded"
  | "StepAttemptFailed"
  | "StepFailed"
  | "StepUncertain"
  | "CompensationStarted"
  | "CompensationSucceeded"
  | "CompensationAttemptFailed"
  | "CompensationFailed"
>

/** Which statuses a fact of a step may follow, and which it leads to. */
const steps: { readonly [Tag in StepFact["_tag"]]: readonly [from: ReadonlyArray<StepStatus>, to: StepStatus] } = {
  StepSucceeded: [["Started"], "Succeeded"],
  StepAttemptFailed: [["Started"], "Started"],
  StepFailed: [["Started"], "Failed"],
  StepUncertain: [["Started"], "Uncertain"],
  CompensationStarted: [["Succeeded", "Uncertain"], "Compensating"],
  CompensationSucceeded: [["Compensating"], "Compensated"],
  CompensationAttemptFailed: [["Compensating"], "Compensating"],
  CompensationFailed: [["Compensating"], "CompensationFailed"]
}

/**
 * The state after one more fact.
 *
 * **Example** (A step that succeeds)
 *
 * ```ts
 * import { SagaState } from "effect-saga"
 * import { Result } from "effect"
 *
 * const state = SagaState.fold([
 *   { _tag: "SagaStarted", atMillis: 0, saga: "Trip", version: 1, payload: {} },
 *   { _tag: "StepStarted", atMillis: 1, path: "seat" },
 *   { _tag: "StepSucceeded", atMillis: 2, path: "seat", attempts: 1, result: "1A" }
 * ])
 * Result.map(state, (state) => state.status) // => Result.succeed("Running")
 * ```
 *
 * @category folding
 * @since 0.1.0
 */
export const apply = (state: SagaState, event: SagaEvent): Result.Result<SagaState, HistoryMismatch> => {
  const mismatch = (problem: string) => Result.fail(new HistoryMismatch({ event, problem }))
  if (event._tag === "SagaStarted") {
    if (state.status !== "NotStarted") return mismatch("is not the first one")
    const { payload, saga, version } = event
    return Result.succeed({ ...state, status: "Running", saga, version, payload })
  }
  if (event._tag === "ResultsHandedOver") {
    return state.status === "Abandoned"
      ? Result.succeed(state)
      : mismatch(`cannot follow when the execution is ${state.status}`)
  }
  const moving = state.status === "Running" || state.status === "Waiting" || state.status === "Compensating"
  if (!moving && (state.status !== "Stuck" || !decisions.has(event._tag))) {
    return mismatch(`cannot follow when the execution is ${state.status}`)
  }
  switch (event._tag) {
    case "StepStarted": {
      const problem = notForward(state, event.path)
      if (problem !== undefined) return mismatch(problem)
      if (HashMap.has(state.steps, event.path)) return mismatch("is the second of its step")
      const step: StepState = {
        status: "Started",
        startedAtMillis: event.atMillis,
        attempts: 0,
        compensationAttempts: 0,
        result: undefined,
        cause: undefined,
        uncertain: undefined
      }
      return Result.succeed(settle(state, { steps: HashMap.set(state.steps, event.path, step) }, 1))
    }
    case "StepSucceeded":
    case "StepAttemptFailed":
    case "StepFailed":
    case "StepUncertain":
    case "CompensationStarted":
    case "CompensationSucceeded":
    case "CompensationAttemptFailed":
    case "CompensationFailed":
      return applyToStep(state, event, mismatch)
    case "BranchChosen":
    case "ItemsListed":
    case "NestedStarted": {
      const problem = notForward(state, event.path)
      if (problem !== undefined) return mismatch(problem)
      if (HashMap.has(state.decisions, event.path)) return mismatch("decides again what is decided")
      return Result.succeed({ ...state, decisions: HashMap.set(state.decisions, event.path, event) })
    }
    case "TimerSet": {
      const problem = notForward(state, event.path)
      if (problem !== undefined) return mismatch(problem)
      return Result.succeed(settle(state, { timers: HashMap.set(state.timers, event.path, event.fireAtMillis) }, 0))
    }
    case "TimerFired":
      if (!HashMap.has(state.timers, event.path)) return mismatch("is of a timer that is not set")
      return Result.succeed(settle(state, { timers: HashMap.remove(state.timers, event.path) }, 0))
    case "EventAwaited": {
      const problem = notForward(state, event.path)
      if (problem !== undefined) return mismatch(problem)
      return Result.succeed(settle(state, { awaits: HashMap.set(state.awaits, event.path, event) }, 0))
    }
    case "EventReceived":
    case "EventTimedOut": {
      const awaited = Option.getOrUndefined(HashMap.get(state.awaits, event.path))
      if (awaited === undefined) return mismatch("is of no event that is awaited")
      if (event._tag === "EventReceived" && !awaited.events.some(({ type }) => type === event.type)) {
        return mismatch(`is of the type "${event.type}", which is not awaited there`)
      }
      return Result.succeed(settle(state, { awaits: HashMap.remove(state.awaits, event.path) }, 0))
    }
    case "EventPublished":
    case "LimitPassed": {
      const problem = notForward(state, event.path)
      return problem === undefined ? Result.succeed(state) : mismatch(problem)
    }
    case "CancelRequested":
      return state.status === "Compensating"
        ? mismatch("cannot follow when the execution is Compensating")
        : Result.succeed(state)
    case "CancelRefused":
      return Result.succeed(state)
    case "UnwindStarted":
      if (HashMap.has(state.unwinding, event.scope)) return mismatch(`starts again what unwinds at "${event.scope}"`)
      return Result.succeed({
        ...state,
        unwinding: HashMap.set(state.unwinding, event.scope, "Unwinding" as const),
        timers: HashMap.filter(state.timers, (_, path) => !isWithin(path, event.scope)),
        awaits: HashMap.filter(state.awaits, (_, path) => !isWithin(path, event.scope)),
        ...(event.scope === "" ? { status: "Compensating" as const, cause: event.cause } : {})
      })
    case "FellBack":
      if (!isUnwinding(state, event.path)) return mismatch("is of a save-point that does not unwind")
      return Result.succeed({ ...state, unwinding: HashMap.set(state.unwinding, event.path, "FellBack" as const) })
    case "SagaSucceeded":
      if (state.status === "Compensating") return mismatch("cannot follow an unwind")
      if (state.inFlight > 0) return mismatch("cannot follow while something is in flight")
      return Result.succeed({ ...state, status: "Succeeded", result: event.result })
    case "SagaCompensated":
      if (state.status !== "Compensating") return mismatch("needs an unwind before it")
      if (state.inFlight > 0) return mismatch("cannot follow while something is in flight")
      if (HashMap.some(state.steps, (step) => step.status === "CompensationFailed")) {
        return mismatch("cannot follow a compensation that failed")
      }
      return Result.succeed({ ...state, status: "Compensated", open: event.uncertain })
    case "SagaStuck":
      if (state.inFlight > 0) return mismatch("cannot follow while something is in flight")
      return Result.succeed({ ...state, status: "Stuck", open: event.open })
    case "RetryRequested":
      return Result.succeed(goOn(Array.from(state.open).reduce(tryAgain, state)))
    case "UnwindRequested": {
      const failed = state.open.find((path) => stepAt(state, path)?.status === "Failed")
      return failed === undefined
        ? Result.succeed(goOn(state.open.reduce(giveUp, state)))
        : mismatch(`cannot follow: "${failed}" is past the commit point`)
    }
    case "StepSkipped": {
      const step = stepAt(state, event.path)
      return state.status === "Stuck" && isOpen(step) && step.status !== "CompensationFailed"
        ? Result.succeed(
          settleOne(state, event.path, { status: "Succeeded", result: event.result, uncertain: undefined })
        )
        : mismatch("is of a step that is not open")
    }
    case "CompensationSkipped":
      return state.status === "Stuck" && stepAt(state, event.path)?.status === "CompensationFailed"
        ? Result.succeed(settleOne(state, event.path, { status: "Compensated" }))
        : mismatch("is of a compensation that has not failed")
    case "SagaAbandoned":
      return Result.succeed({ ...state, status: "Abandoned" })
    case "SagaMigrated":
      return Result.succeed({ ...underNames(state, event.renamed), version: event.to })
  }
}

/** What a person may decide about an execution that is stuck. */
const decisions: ReadonlySet<SagaEvent["_tag"]> = new Set<SagaEvent["_tag"]>([
  "RetryRequested",
  "UnwindRequested",
  "StepSkipped",
  "CompensationSkipped",
  "SagaAbandoned"
])

/**
 * The state after all these facts, or the first fact that does not fit.
 *
 * @category folding
 * @since 0.1.0
 */
export const fold = (events: Iterable<SagaEvent>): Result.Result<SagaState, HistoryMismatch> => {
  let state = empty
  for (const event of events) {
    const next = apply(state, event)
    if (Result.isFailure(next)) return next
    state = next.success
  }
  return Result.succeed(state)
}

const stepAt = (state: SagaState, path: StepPath): StepState | undefined =>
  Option.getOrUndefined(HashMap.get(state.steps, path))

/** Whether a step of an execution that is stuck needs a person itself: others wait for it alone. */
const isOpen = (step: StepState | undefined): step is StepState =>
  step?.status === "Failed" || step?.status === "CompensationFailed" || step?.uncertain?.whenUncertain === "stuck"

/**
 * The paths that an execution which is stuck waits for: an action of unknown outcome, one that failed for good behind the
 * commit point, or a compensation that failed. `open` names beside them what stands still because of them.
 *
 * @category getters
 * @since 0.1.0
 */
export const undecided = (state: SagaState): ReadonlyArray<StepPath> =>
  state.status === "Stuck" ? state.open.filter((path) => isOpen(stepAt(state, path))) : []

/** The same state under other names. */
const underNames = (state: SagaState, renames: Renames | undefined): SagaState => {
  if (renames === undefined) return state
  const rename = renaming(renames)
  const under = <A>(all: HashMap.HashMap<StepPath, A>): HashMap.HashMap<StepPath, A> =>
    HashMap.fromIterable(Array.from(all, ([path, a]) => [rename(path), a]))
  return {
    ...state,
    open: state.open.map(rename),
    steps: under(state.steps),
    decisions: HashMap.map(under(state.decisions), (decision) => renamed(decision, rename) as Decision),
    timers: under(state.timers),
    awaits: HashMap.map(under(state.awaits), (awaited) => renamed(awaited, rename) as Await),
    unwinding: under(state.unwinding)
  }
}

/** An open action or compensation is in flight again. */
const tryAgain = (state: SagaState, path: StepPath): SagaState => {
  const step = stepAt(state, path)
  if (!isOpen(step)) return state
  const change = step.status === "CompensationFailed"
    ? { status: "Compensating" as const }
    : { status: "Started" as const, uncertain: undefined }
  return { ...state, steps: HashMap.set(state.steps, path, { ...step, ...change }), inFlight: state.inFlight + 1 }
}

/** An open action is reported as uncertain and stops nothing any more; an open compensation is in flight again. */
const giveUp = (state: SagaState, path: StepPath): SagaState => {
  const step = stepAt(state, path)
  if (step?.status === "CompensationFailed") return tryAgain(state, path)
  if (step?.uncertain?.whenUncertain !== "stuck") return state
  const uncertain = { ...step.uncertain, whenUncertain: "report" as const }
  return { ...state, steps: HashMap.set(state.steps, path, { ...step, uncertain }) }
}

/** One open path is settled by a person; behind the last the execution goes on. */
const settleOne = (state: SagaState, path: StepPath, change: Partial<StepState>): SagaState => {
  const steps = HashMap.set(state.steps, path, { ...stepAt(state, path)!, ...change })
  const next = { ...state, steps, open: state.open.filter((other) => other !== path) }
  return undecided(next).length > 0 ? next : goOn(next)
}

const goOn = (state: SagaState): SagaState =>
  settle({ ...state, status: HashMap.has(state.unwinding, "") ? "Compensating" : "Running" }, { open: [] }, 0)

const applyToStep = (
  state: SagaState,
  event: StepFact,
  mismatch: (problem: string) => Result.Result<never, HistoryMismatch>
): Result.Result<SagaState, HistoryMismatch> => {
  const step = Option.getOrUndefined(HashMap.get(state.steps, event.path))
  if (step === undefined) return mismatch("is of a step that has not started")
  const [from, status] = steps[event._tag]
  if (!from.includes(step.status)) return mismatch(`cannot follow when the step is ${step.status}`)
  const to = (change: Partial<StepState>, inFlight: number) =>
    Result.succeed(
      settle(state, { steps: HashMap.set(state.steps, event.path, { ...step, ...change, status }) }, inFlight)
    )
  switch (event._tag) {
    case "StepSucceeded":
      return to({ attempts: event.attempts, result: event.result, cause: undefined }, -1)
    case "StepAttemptFailed":
      return to({ attempts: event.attempt, cause: event.cause }, 0)
    case "StepFailed":
      return to({ attempts: event.attempts, cause: event.cause }, -1)
    case "StepUncertain": {
      const uncertain = { reason: event.reason, whenUncertain: event.whenUncertain }
      return to({ attempts: event.attempts, cause: event.cause, uncertain }, -1)
    }
    case "CompensationStarted":
      if (!covered(state, event.path)) return mismatch("has no unwind that it is a part of")
      if (step.uncertain !== undefined && step.uncertain.whenUncertain !== "compensate") {
        return mismatch(`cannot follow: a step of unknown outcome with whenUncertain "${step.uncertain.whenUncertain}"`)
      }
      return to({}, 1)
    case "CompensationAttemptFailed":
      return to({ compensationAttempts: event.attempt, cause: event.cause }, 0)
    case "CompensationSucceeded":
      return to({ compensationAttempts: event.attempts }, -1)
    case "CompensationFailed":
      return to({ compensationAttempts: event.attempts, cause: event.cause }, -1)
  }
}

/** The save-points that a path may stand in, from the outside in: what is followed by a way of an `orElse`. */
function* scopesOf(path: StepPath): Generator<StepPath> {
  yield ""
  for (let end = path.indexOf("/"); end !== -1; end = path.indexOf("/", end + 1)) {
    if (path.startsWith("/first/", end) || path.startsWith("/second/", end)) yield path.slice(0, end)
  }
}

/** Why nothing may go forward at a path; undefined when it may. */
const notForward = (state: SagaState, path: StepPath): string | undefined => {
  if (state.status === "Compensating") return "cannot follow when the execution is Compensating"
  for (const scope of scopesOf(path)) {
    const is = Option.getOrUndefined(HashMap.get(state.unwinding, scope))
    if (is === undefined || is === "FellBack" && !isWithin(path, scope)) continue
    return `cannot follow the unwind of "${scope}"`
  }
  return undefined
}

const isUnwinding = (state: SagaState, scope: StepPath): boolean =>
  Option.contains(HashMap.get(state.unwinding, scope), "Unwinding")

/** Whether a path belongs to what a save-point unwinds: everything, or the first way of an `orElse`. */
const isWithin = (path: StepPath, scope: StepPath): boolean => scope === "" || path.startsWith(`${scope}/first/`)

const covered = (state: SagaState, path: StepPath): boolean =>
  Array.from(scopesOf(path)).some((scope) => isUnwinding(state, scope) && isWithin(path, scope))

/** The state with a change, and with what follows from it: how much is in flight, and whether it waits. */
const settle = (state: SagaState, change: Partial<SagaState>, started: number): SagaState => {
  const next = { ...state, ...change, inFlight: state.inFlight + started }
  if (next.status === "Compensating") return next
  const waits = HashMap.size(next.timers) > 0 || HashMap.size(next.awaits) > 0
  return { ...next, status: next.inFlight === 0 && waits ? "Waiting" : "Running" }
}
