/**
 * One action through all its attempts: limits, retries, and the question whether it took place when it was cut off. It
 * ends with what is known of the action and never fails; it records attempts, not outcomes.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import type { UncertainReason } from "../SagaError.ts"
import { StepTimedOut } from "../SagaError.ts"
import type { StepContext } from "../StepContext.ts"
import { isTyped, reasonOf } from "./cause.ts"
import type { PastStep } from "./history.ts"
import type { Residence } from "./residence.ts"
import type { StopSignal } from "./signal.ts"
import type { AnyEffect, AnySchedule, State, StepNode } from "./tree.ts"
import type { Ended, Restore } from "./wait.ts"
import { answer, pauseUntil, withLimit } from "./wait.ts"

/** What is known of an action when all its attempts are over. */
export type Settled =
  | { readonly _tag: "Succeeded"; readonly attempts: number; readonly result: unknown }
  /** It did not take place. */
  | { readonly _tag: "Failed"; readonly attempts: number; readonly cause: Cause.Cause<unknown> }
  | {
    readonly _tag: "Unknown"
    readonly attempts: number
    readonly cause: Cause.Cause<unknown>
    readonly reason: UncertainReason
    /** Why `verify` could not say. Kept apart: beside it the caller could not catch an error of the step. */
    readonly unanswered?: Cause.Cause<unknown>
    /** What it gave, when that cannot be recorded: this process alone knows. */
    readonly atHand?: { readonly value?: unknown }
  }

/** The execution has left this process before the outcome was known. */
export interface Left {
  readonly _tag: "Left"
}

const left: Left = { _tag: "Left" }
const isLeft = (end: Cause.Cause<unknown> | Left): end is Left => end === left

/** What is known of an action that did not succeed. */
export type Unsuccessful = Exclude<Settled, { readonly _tag: "Succeeded" }>

/** Everything that is known of why an action did not succeed. */
export const wholeCause = (settled: Unsuccessful): Cause.Cause<unknown> =>
  settled._tag === "Unknown" && settled.unanswered !== undefined
    ? Cause.combine(settled.cause, settled.unanswered)
    : settled.cause

/** What an action, or `onStuck` without a step, has returned, if that is an Effect: anything else would end the fiber without any unwind. */
export const effectOf = <A>(returned: AnyEffect<A>, step: StepNode | undefined): AnyEffect<A> => {
  if (Effect.isEffect(returned)) return returned
  const whose = step === undefined ? "`onStuck`" : `The action of "${step.name}"`
  return Effect.die(new TypeError(`${whose} returned ${typeof returned}, not an Effect: wrap it in one`))
}

/** What an action needs of the saga around it. */
export interface Surroundings {
  readonly state: State
  readonly signal: StopSignal
  readonly restore: Restore
  readonly contextOf: (attempt: number) => StepContext
  /** What is on record of an action that goes on in another process. */
  readonly past: PastStep | undefined
  readonly residence: Residence | undefined
  /** What a result is once it is recorded. */
  readonly admit: ((result: unknown) => Exit.Exit<unknown>) | undefined
  /** Runs the action in the span of its step. */
  readonly inSpan: (<A>(action: AnyEffect<A>) => AnyEffect<A>) | undefined
  readonly attemptFailed: (
    attempt: number,
    cause: Cause.Cause<unknown>,
    nextAtMillis: number,
    reason: UncertainReason | undefined
  ) => Effect.Effect<void> | undefined
}

/** The next delay of a schedule in milliseconds; undefined when it has ended. Asked again for a try in the past, with its time. */
export type NextDelay = (input: unknown, atMillis?: number) => Effect.Effect<number | undefined>

/** Starts a schedule that is stepped by hand, so that the time of the next try is known before it is waited for. */
export const delays = (schedule: AnySchedule): Effect.Effect<NextDelay> =>
  Effect.map(
    Schedule.toStep(schedule),
    (step) => (input, atMillis) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Pull.matchEffect(step(atMillis ?? now, input), {
          onSuccess: ([, duration]) => Effect.succeed<number | undefined>(Duration.toMillis(duration)),
          onFailure: (cause) => Effect.failCause(cause),
          onDone: () => Effect.succeed(undefined)
        }))
  )

/** The cause of a cut-off attempt in place of the bare interruption: the limit, as the step's own error if it has one. */
const timeoutCause = (step: StepNode, limit: StepTimedOut, cause: Cause.Cause<unknown>): Cause.Cause<unknown> => {
  const own = step.timeoutError === undefined ? Cause.die(limit) : Cause.fail(step.timeoutError())
  return Cause.combine(own, Cause.fromReasons(cause.reasons.filter((reason) => !Cause.isInterruptReason(reason))))
}

const once = (step: StepNode, action: AnyEffect, around: Surroundings): Effect.Effect<Ended<unknown>> => {
  const restore: Restore = step.interruptible ? around.restore : identity
  return step.timeoutMillis === undefined
    ? Effect.map(Effect.exit(restore(action)), (exit) => ({ exit, timedOut: false }))
    : withLimit(action, step.timeoutMillis, restore)
}

/** Whether a failed attempt may be followed by another one. */
const retryable = (
  step: StepNode,
  cause: Cause.Cause<unknown>,
  reason: UncertainReason | undefined,
  timedOut: boolean
): boolean => {
  if (step.retry === undefined) return false
  // Nobody interrupts forward recovery: an interruption there comes from inside, such as from a fiber that was joined.
  const forward = step.kind === "pivot" || step.kind === "retriable"
  if (Cause.hasInterruptsOnly(cause) && !forward) return false
  if (reason === undefined) return timedOut || isTyped(cause)
  if (step.delivery === "at-most-once") return false
  // Forward recovery has nothing but another try; a compensatable step that died is left to its compensation.
  return forward || reason !== "Died"
}

/** Asks the participant about an action of unknown outcome. Whatever goes wrong with the question leaves it unknown. */
const ask = (
  step: StepNode,
  around: Surroundings,
  unknown: Extract<Settled, { readonly _tag: "Unknown" }>
): Effect.Effect<Settled> => {
  const verify = step.verify
  if (verify === undefined) return Effect.succeed(unknown)
  const { attempts, cause } = unknown
  const plain = Effect.suspend(() => verify(around.state, around.contextOf(attempts)))
  const question = around.inSpan === undefined ? plain : around.inSpan(plain)
  return Effect.map(answer(question, step.timeoutMillis), (exit): Settled => {
    if (Exit.isFailure(exit)) return { ...unknown, unanswered: exit.cause }
    return Option.match(exit.value, {
      onNone: () => ({ _tag: "Failed", attempts, cause }),
      onSome: (result) => succeeded(step, around, attempts, result)
    })
  })
}

/** An action has given a result: it succeeded if that can be recorded. */
const succeeded = (step: StepNode, around: Surroundings, attempts: number, result: unknown): Settled => {
  if (around.admit === undefined) return { _tag: "Succeeded", attempts, result }
  const admitted = around.admit(result)
  if (Exit.isSuccess(admitted)) return { _tag: "Succeeded", attempts, result: admitted.value }
  const { cause } = admitted
  return step.kind === "check"
    ? { _tag: "Failed", attempts, cause }
    : { _tag: "Unknown", attempts, cause, reason: "NotRecordable", atHand: { value: result } }
}

/** Runs an action through its attempts, or on from where it is. Call it in an uninterruptible region. */
export const settle = (step: StepNode, around: Surroundings): Effect.Effect<Settled | Left> => {
  const { past, residence } = around
  let next: NextDelay | undefined
  let attempts = past?.failed.length ?? 0
  // What cut off an attempt: from then on a typed failure does not say that nothing took place.
  let reason: UncertainReason | undefined
  let last: Cause.Cause<unknown> = Cause.empty

  const conclude = (cause: Cause.Cause<unknown>): Effect.Effect<Settled> =>
    reason === undefined
      ? Effect.succeed({ _tag: "Failed", attempts, cause })
      : ask(step, around, { _tag: "Unknown", attempts, cause, reason })

  const attempt = (): Effect.Effect<Settled | Left> => {
    const context = around.contextOf(++attempts)
    const plain = Effect.suspend(() => effectOf(step.action(around.state, context), step))
    const action = around.inSpan === undefined ? plain : around.inSpan(plain)
    return Effect.flatMap(once(step, action, around), ({ exit, timedOut }): Effect.Effect<Settled | Left> => {
      if (Exit.isSuccess(exit)) return Effect.succeed(succeeded(step, around, attempts, exit.value))
      if (residence?.isGone === true) return Effect.succeed(left)
      last = exit.cause
      const own = step.kind === "check" ? undefined : reasonOf(exit.cause, timedOut, step.isUncertain)
      reason = own ?? reason
      const limit = timedOut && !isTyped(exit.cause)
        ? new StepTimedOut({ path: context.path, limitMillis: step.timeoutMillis ?? 0 })
        : undefined
      if (limit !== undefined) last = Cause.die(limit)
      const cause = last = limit === undefined ? exit.cause : timeoutCause(step, limit, exit.cause)
      if (!retryable(step, cause, own, timedOut)) return conclude(cause)
      // The next attempt is no part of the wait: a fiber that stands in a wait for ever would grow with each attempt.
      return Effect.flatMap(
        pause(cause, own, limit ?? Cause.squash(cause)),
        (end) => end === undefined ? attempt() : isLeft(end) ? Effect.succeed(end) : conclude(end)
      )
    })
  }

  /** Waits for the next attempt. Ends with the cause to conclude with when there is none. */
  const pause = (
    cause: Cause.Cause<unknown>,
    own: UncertainReason | undefined,
    input: unknown
  ): Effect.Effect<Cause.Cause<unknown> | Left | undefined> =>
    Effect.gen(function*() {
      next ??= yield* delays(step.retry!)
      const stopped = around.signal.stopped && residence?.leaving !== true
      const due = stopped ? Exit.succeed(undefined) : yield* Effect.exit(next(input))
      if (Exit.isFailure(due)) return Cause.combine(cause, due.cause)
      const millis = due.value
      if (millis === undefined) return cause
      const now = yield* Clock.currentTimeMillis
      const recorded = around.attemptFailed(attempts, cause, now + millis, own)
      if (recorded !== undefined) yield* recorded
      return yield* until(now + millis, cause)
    })

  const until = (dueAtMillis: number, cause: Cause.Cause<unknown>) =>
    Effect.map(
      pauseUntil(dueAtMillis, residence, true, around.signal, around.restore),
      (waited) => waited ? undefined : residence?.leaving === true ? left : cause
    )

  /** Goes on with an action that has no outcome on record. */
  const resume = ({ before, failed }: PastStep): Effect.Effect<Settled | Left> =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const dueAtMillis = failed.at(-1)?.nextAtMillis ?? 0
      const lost = !residence!.history!.clean && now >= dueAtMillis
      last = failed.at(-1)?.cause ?? Cause.interrupt()
      if (step.kind !== "check") {
        for (const attempt of failed) reason = attempt.reason ?? reason
        if (lost) reason = "ProcessLost"
      }
      const cause = lost ? residence!.history!.lossOf(around.contextOf(attempts).path) : last
      const decided = around.signal.stopped && residence?.leaving !== true
      if (decided || lost && step.kind !== "check" && step.delivery === "at-most-once") return yield* conclude(cause)
      if (failed.length > 0) {
        next = yield* delays(step.retry ?? Schedule.forever)
        for (const attempt of failed.slice(before)) {
          yield* Effect.exit(next(inputOf(attempt.cause), attempt.atMillis))
        }
      }
      const end = now < dueAtMillis ? yield* until(dueAtMillis, last) : undefined
      return end === undefined ? yield* attempt() : isLeft(end) ? end : yield* conclude(end)
    })

  // What the step's own predicates, errors and schedules throw ends here, so that no step is ever lost.
  return Effect.catchCause(past === undefined ? attempt() : resume(past), (defect) =>
    Effect.succeed<Settled>(
      step.kind === "check"
        ? { _tag: "Failed", attempts, cause: Cause.combine(last, defect) }
        : { _tag: "Unknown", attempts, cause: Cause.combine(last, defect), reason: reason ?? "Died" }
    ))
}

/** What a schedule was given for a try that is on record. */
export const inputOf = (cause: Cause.Cause<unknown>): unknown =>
  cause.reasons.filter(Cause.isDieReason).map((reason) => reason.defect)
    .find((defect) => defect instanceof StepTimedOut) ?? Cause.squash(cause)
