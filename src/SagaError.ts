/**
 * What can go wrong with a saga besides the errors of its own steps, each as a tagged error that says what happened,
 * where, and what to do. The errors of the steps are the user's and are never wrapped; no error is raised here.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Option from "effect/Option"
import type { StepPath } from "./StepPath.ts"
import { printable } from "./StepPath.ts"

/**
 * Why nobody knows whether an action took place.
 *
 * @category models
 * @since 0.1.0
 */
export type UncertainReason =
  | "Interrupted"
  | "TimedOut"
  | "Died"
  | "ProcessLost"
  | "DeclaredByError"
  | "NotRecordable"

/**
 * A step whose outcome is unknown, why it is, and with which cause its last attempt ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface UncertainStep {
  readonly path: StepPath
  readonly reason: UncertainReason
  readonly cause: Cause.Cause<unknown>
}

/**
 * Something that did not work out: where, after how many tries, and why. A step that failed, or a compensation or a
 * retriable after its last try.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failure {
  readonly path: StepPath
  readonly attempts: number
  readonly cause: Cause.Cause<unknown>
}

/**
 * A saga was put together in a way that cannot run. Thrown by the functions that define it, never when it runs; of an
 * inline step that is `withCompensation`, which throws inside of the program that calls it.
 *
 * @category errors
 * @since 0.1.0
 */
export class SagaDefinitionError extends Data.TaggedError("SagaDefinitionError")<{
  readonly saga: string
  readonly path: StepPath
  readonly problem: string
}> {
  override get message(): string {
    return `Saga "${printable(this.saga)}"${this.path === "" ? "" : `, at "${printable(this.path)}"`}: ${this.problem}`
  }
}

/**
 * A payload does not match the schema of its saga, of which nothing has run. When it is a nested one, what came before
 * is compensated. What the types do not exclude, such as a number that `Schema.Int` refuses, is a defect too: decode what
 * comes from outside before it becomes a payload.
 *
 * @category errors
 * @since 0.1.0
 */
export class PayloadInvalid extends Data.TaggedError("PayloadInvalid")<{
  readonly saga: string
  readonly issue: string
}> {
  override get message(): string {
    return `Saga "${this.saga}" did not start, its payload does not match its schema: ${this.issue}`
  }
}

/**
 * Two items of a `forEach` have the same key, so that their paths and idempotency keys would be the same. No item has
 * started; what came before the `forEach` is compensated. A defect.
 *
 * @category errors
 * @since 0.1.0
 */
export class DuplicateItemKey extends Data.TaggedError("DuplicateItemKey")<{
  readonly saga: string
  readonly path: StepPath
  readonly key: string
  readonly positions: readonly [number, number]
}> {
  override get message(): string {
    return `Saga "${this.saga}", forEach "${this.path}": the items ${this.positions[0]} and ${
      this.positions[1]
    } both have the key ${JSON.stringify(this.key)}. Give \`key\` something that is unique to each item`
  }
}

/**
 * The tag that `match` computed names none of its cases. No case has started; what came before is compensated. The
 * types exclude it, so it is a defect.
 *
 * @category errors
 * @since 0.1.0
 */
export class CaseMissing extends Data.TaggedError("CaseMissing")<{
  readonly saga: string
  readonly path: StepPath
  readonly tag: string
  readonly cases: ReadonlyArray<string>
}> {
  override get message(): string {
    return `Saga "${this.saga}", match "${this.path}": there is no case ${JSON.stringify(this.tag)} among ${
      this.cases.map((name) => JSON.stringify(name)).join(", ")
    }. Add the case or return one of these tags`
  }
}

/**
 * The last attempt of an action was cut off by the `timeout` of its step. Whether it took place is unknown unless
 * `verify` finds out. It reaches the caller as a defect; `timeoutError` turns it into an error that the step declares.
 *
 * @category errors
 * @since 0.1.0
 */
export class StepTimedOut extends Data.TaggedError("StepTimedOut")<{
  readonly path: StepPath
  readonly limitMillis: number
}> {
  override get message(): string {
    return `"${this.path}" did not answer within ${this.limitMillis} ms; whether it took place is unknown`
  }
}

/**
 * A saga had not reached its commit point when its `timeout` had passed, and was compensated.
 *
 * @category errors
 * @since 0.1.0
 */
export class SagaTimedOut extends Data.TaggedError("SagaTimedOut")<{
  readonly saga: string
  readonly limitMillis: number
}> {
  override get message(): string {
    return `Saga "${this.saga}" did not reach its commit point within ${this.limitMillis} ms`
  }
}

/**
 * None of the events that a saga awaited had come when its time limit had passed. Nothing has happened there: it unwinds, or
 * goes another way.
 *
 * @category errors
 * @since 0.1.0
 */
export class EventTimedOut extends Data.TaggedError("EventTimedOut")<{
  readonly path: StepPath
  readonly events: ReadonlyArray<string>
  readonly limitMillis: number
}> {
  override get message(): string {
    return `"${this.path}" waited ${this.limitMillis} ms for ${this.events.join(" or ")}, and none came`
  }
}

/**
 * One try of a compensation took longer than its limit. `abandoned`: it ignored its interruption too, and may still run.
 *
 * @category errors
 * @since 0.1.0
 */
export class CompensationTimedOut extends Data.TaggedError("CompensationTimedOut")<{
  readonly path: StepPath
  readonly limitMillis: number
  readonly abandoned: boolean
}> {
  override get message(): string {
    return `The compensation of "${this.path}" did not end within ${this.limitMillis} ms${
      this.abandoned ? ", ignored its interruption and may still be running" : ""
    }`
  }
}

/**
 * The outcome of a step with `whenUncertain: "stuck"` is unknown: nothing is compensated, a person has to look.
 *
 * @category errors
 * @since 0.1.0
 */
export class StepUncertain extends Data.TaggedError("StepUncertain")<{
  readonly path: StepPath
  readonly reason: UncertainReason
}> {
  override get message(): string {
    return `Whether "${this.path}" took place is unknown (${this.reason}); nothing was compensated. Ask its participant, then compensate or finish by hand`
  }
}

/**
 * The outcome of the pivot is unknown: the saga may be past its point of no return, so nothing is compensated.
 *
 * @category errors
 * @since 0.1.0
 */
export class PivotUncertain extends Data.TaggedError("PivotUncertain")<{
  readonly path: StepPath
  readonly reason: UncertainReason
}> {
  override get message(): string {
    return `Whether the pivot "${this.path}" took place is unknown (${this.reason}), so that nothing may be compensated. Ask its participant, then finish or compensate by hand`
  }
}

const sagaName = (error: { readonly saga: string; readonly executionId: string }): string =>
  error.executionId === "" ? "An inline saga" : `Saga "${error.saga}" (${printable(error.executionId)})`

/**
 * A saga that failed could not be compensated to the end: it is stuck, and what is listed needs a person.
 *
 * **Details**
 *
 * `original` is why the saga failed. `failures` says what stood in the way: compensations after their last try, or,
 * by `reason`, a step or pivot of unknown outcome, after which nothing is compensated at all: it is listed in
 * `uncertain`. `uncompensated` is what still stands, in the order in which it would have to be undone.
 *
 * @category errors
 * @since 0.1.0
 */
export class CompensationFailed<E> extends Data.TaggedError("CompensationFailed")<{
  readonly saga: string
  readonly executionId: string
  readonly reason: "CompensationFailed" | "StepUncertain" | "PivotUncertain"
  readonly original: Cause.Cause<E>
  readonly failures: ReadonlyArray<Failure>
  readonly compensated: ReadonlyArray<StepPath>
  readonly uncompensated: ReadonlyArray<StepPath>
  readonly uncertain: ReadonlyArray<UncertainStep>
}> {
  override get message(): string {
    const standing = this.uncompensated.length === 0 ? "nothing" : this.uncompensated.join(", ")
    return this.reason === "CompensationFailed"
      ? `${sagaName(this)} is stuck: ${
        this.failures.map(({ attempts, path }) => `the compensation of "${path}" failed ${attempts} times`).join(", ")
      }. Still in place: ${standing}. Undo this by hand, in this order`
      : `${sagaName(this)} is stuck: whether ${
        this.uncertain.map(({ path, reason }) => `"${path}" (${reason})`).join(", ")
      } took place is unknown, so nothing was compensated. In place for certain: ${standing}. Ask the participant, then finish or undo by hand`
  }
}

/**
 * A saga that is past its commit point could not be finished: it is stuck, and what is `left` needs a person.
 *
 * @category errors
 * @since 0.1.0
 */
export class ForwardRecoveryFailed extends Data.TaggedError("ForwardRecoveryFailed")<{
  readonly saga: string
  readonly executionId: string
  readonly left: ReadonlyArray<StepPath>
  readonly failures: ReadonlyArray<Failure>
}> {
  override get message(): string {
    return `${sagaName(this)} is committed and could not be finished; left to do: ${
      this.left.join(", ")
    }. Nothing is compensated after the commit point: finish these by hand`
  }
}

/**
 * A saga that needs a person: which one, and what it could not do.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stuck {
  readonly saga: string
  readonly executionId: string
  readonly error: CompensationFailed<unknown> | ForwardRecoveryFailed
}

/**
 * A step of an inline saga was started after its saga had ended, by a fiber that outlived it. It was not run. A defect.
 *
 * @category errors
 * @since 0.1.0
 */
export class SagaScopeClosed extends Data.TaggedError("SagaScopeClosed")<{ readonly step: string }> {
  override get message(): string {
    return `"${this.step}" was started after its saga had ended. Join the fiber that starts it before the end of the saga; in a compensation use \`Saga.scoped\``
  }
}

/**
 * What else went wrong beside the cause of a failed run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Aftermath {
  /** Steps whose outcome is unknown and that were not compensated. */
  readonly uncertain: ReadonlyArray<UncertainStep>
  /** Failures after the first one, of branches that were in flight. */
  readonly others: ReadonlyArray<Failure>
}

/**
 * The annotation under which the cause of a failed run carries its aftermath.
 *
 * @category annotations
 * @since 0.1.0
 */
export class AftermathAnnotation extends Context.Service<AftermathAnnotation, Aftermath>()(
  "effect-saga/Saga/Aftermath"
) {}

/**
 * What else went wrong beside the cause of a failed saga: steps of unknown outcome, and later failures.
 *
 * **Gotchas**
 *
 * An interrupted fiber ends with its interruption and nothing else; use an observer to see what it left.
 *
 * **Example** (Asking a cause)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Exit, Schema } from "effect"
 *
 * const saga = Saga.make("Charge", { payload: Schema.Void }).pipe(
 *   Saga.step("card", { action: () => Effect.die("lost"), compensation: () => Effect.void })
 * )
 * const exit = Effect.runSyncExit(Saga.run(saga, undefined))
 * if (Exit.isFailure(exit)) {
 *   Saga.aftermath(exit.cause).uncertain.map((step) => step.path) // => ["card"]
 * }
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const aftermath = (cause: Cause.Cause<unknown>): Aftermath =>
  Option.getOrElse(
    Context.getOption(Cause.annotations(cause), AftermathAnnotation),
    () => ({ uncertain: [], others: [] })
  )

/** The cause with what else went wrong, when something did: added to what a saga inside has said. */
export const withAftermath = <E>(
  cause: Cause.Cause<E>,
  uncertain: ReadonlyArray<UncertainStep> | undefined,
  others: ReadonlyArray<Failure> | undefined
): Cause.Cause<E> => {
  if (uncertain === undefined && others === undefined) return cause
  const inner = aftermath(cause)
  const all: Aftermath = {
    uncertain: [...inner.uncertain, ...uncertain ?? []],
    others: [...inner.others, ...others ?? []]
  }
  return Cause.annotate(cause, Context.make(AftermathAnnotation, all), { overwrite: true })
}
