/**
 * The inline saga: a list of what was done in a scope, and what becomes of it at the end. It knows no names but those
 * that its steps were given, and no schemas.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Failure, UncertainReason, UncertainStep } from "../SagaError.ts"
import { CompensationFailed, SagaScopeClosed, StepUncertain, withAftermath } from "../SagaError.ts"
import { SagaScope } from "../SagaScope.ts"
import { reasonOf } from "./cause.ts"
import { quietly } from "./recorder.ts"
import type { AnyEffect, AnySchedule } from "./tree.ts"
import type { UndoGroup, UndoLog } from "./unwind.ts"
import { unwind } from "./unwind.ts"
import { withLimit } from "./wait.ts"

export interface InlineContext {
  readonly attempt: number
  readonly cause: Cause.Cause<unknown>
}

/** A step as `withCompensation` describes it. */
export interface InlineStep {
  readonly name: string | undefined
  readonly compensation: (given: unknown, context: InlineContext) => AnyEffect
  readonly whenUncertain: "report" | "compensate" | "stuck"
  readonly isUncertain: ((error: unknown) => boolean) | undefined
  readonly verify: AnyEffect<Option.Option<unknown>> | undefined
  readonly compensationRetry: AnySchedule | undefined
  readonly compensationTimeoutMillis: number
}

/** What one run of a step left behind. */
interface Done {
  readonly _tag: "Done"
  readonly step: InlineStep
  readonly context: Context.Context<never>
  readonly given: unknown
}

/** What a scope inside did, undone in its place. */
interface Group extends UndoGroup {
  readonly _tag: "Group"
  readonly logs: ReadonlyArray<InlineLog>
}

export class InlineLog implements UndoLog {
  readonly "~effect-saga/SagaScope" = "SagaScope"
  readonly entries: Array<Done | Group> = []
  readonly unwound = false
  /** The services of the scope: what most steps ran with. */
  readonly context: Context.Context<never>
  state: "Open" | "Committed" | "Unwinding" = "Open"
  cause: Cause.Cause<unknown> = Cause.empty
  failures: Array<Failure> | undefined
  uncertain: Array<UncertainStep> | undefined
  parked: Array<UncertainStep> | undefined
  readonly #givenUp = new Set<number>()

  constructor(context: Context.Context<never>) {
    this.context = Context.add(context, SagaScope, this)
  }

  get size(): number {
    return this.entries.length
  }

  groupAt(index: number): UndoGroup | undefined {
    const entry = this.entries[index]!
    return entry._tag === "Group" ? entry : undefined
  }

  pathAt(index: number): string {
    return this.#doneAt(index).step.name ?? `#${index + 1}`
  }

  limitAt(index: number): number {
    return this.#doneAt(index).step.compensationTimeoutMillis
  }

  retryAt(index: number): AnySchedule | undefined {
    return this.#doneAt(index).step.compensationRetry
  }

  compensate(index: number, attempt: number): AnyEffect {
    const { context, given, step } = this.#doneAt(index)
    const compensation = step.compensation(given, { attempt, cause: this.cause })
    return context === this.context ? compensation : Effect.provideContext(compensation, context)
  }

  compensated(): void {}

  attemptFailed(): undefined {
    return undefined
  }

  gaveUp(index: number, attempts: number, cause: Cause.Cause<unknown>): void {
    this.#givenUp.add(index)
    ;(this.failures ??= []).push({ path: this.pathAt(index), attempts, cause })
  }

  /** What a compensation was due for, the last done first. */
  *due(): Generator<{ readonly path: string; readonly givenUp: boolean }> {
    for (let index = this.entries.length - 1; index >= 0; index--) {
      const entry = this.entries[index]!
      if (entry._tag === "Done") yield { path: this.pathAt(index), givenUp: this.#givenUp.has(index) }
      else for (const log of entry.logs) yield* log.due()
    }
  }

  /** Makes what another scope did a part of this one. */
  adopt(log: InlineLog): Effect.Effect<void, unknown> | undefined {
    log.state = "Committed"
    if (log.uncertain !== undefined) (this.uncertain ??= []).push(...log.uncertain)
    if (log.parked !== undefined) (this.parked ??= []).push(...log.parked)
    if (log.size === 0) return undefined
    if (this.state === "Unwinding") return end(log, this.cause)
    this.entries.push({ _tag: "Group", logs: [log], concurrency: 1 })
    return undefined
  }

  #doneAt(index: number): Done {
    const entry = this.entries[index]!
    if (entry._tag === "Group") throw new Error("effect-saga: a group has no compensation of its own")
    return entry
  }
}

/** The scope that the current fiber's steps belong to. */
export const current = (fiber: Fiber.Fiber<unknown, unknown>): InlineLog =>
  // `SagaScope` is only ever provided here, and always with an `InlineLog`.
  Context.getUnsafe(fiber.context, SagaScope) as unknown as InlineLog

/** Runs an action as a step: what it returns is in the books in the tick in which it returns. */
export const register = <A, E, R>(
  action: Effect.Effect<A, E, R>,
  step: InlineStep
): Effect.Effect<A, E, R | SagaScope> =>
  Effect.withFiber((fiber) => {
    const log = current(fiber)
    const { context } = fiber
    if (log.state !== "Open") return Effect.die(new SagaScopeClosed({ step: step.name ?? "A step" }))
    return Effect.onExitPrimitive(action, (exit) => {
      if (Exit.isFailure(exit)) return notDone(log, step, context, exit.cause)
      const given = step.whenUncertain === "compensate" ? { _tag: "Succeeded", result: exit.value } : exit.value
      return add(log, { _tag: "Done", step, context, given })
    }) as Effect.Effect<A, E, R>
  })

/** What a fiber that outlived its failed saga still did is undone at once. */
const add = (log: InlineLog, done: Done): Effect.Effect<void> | undefined => {
  if (log.state !== "Unwinding") {
    log.entries.push(done)
    return undefined
  }
  const late = new InlineLog(done.context)
  late.cause = log.cause
  late.entries.push(done)
  return Effect.flatMap(unwind([late], undefined), () => late.failures === undefined ? Effect.void : tell(stuck(late)))
}

const notDone = (
  log: InlineLog,
  step: InlineStep,
  context: Context.Context<never>,
  cause: Cause.Cause<unknown>
): Effect.Effect<void> | undefined => {
  const judged = Result.try(() => reasonOf(cause, false, step.isUncertain))
  if (Result.isFailure(judged)) {
    return unknown(log, step, context, Cause.combine(cause, Cause.die(judged.failure)), "DeclaredByError")
  }
  const reason = judged.success
  if (reason === undefined) return undefined
  if (step.verify === undefined) return unknown(log, step, context, cause, reason)
  const question = Effect.provideContext(step.verify, context)
  return Effect.flatMap(withLimit(question, step.compensationTimeoutMillis, identity), ({ exit }) => {
    const booked = Exit.isFailure(exit)
      ? unknown(log, step, context, Cause.combine(cause, exit.cause), reason)
      : Option.isNone(exit.value)
      ? undefined
      : add(log, {
        _tag: "Done",
        step,
        context,
        given: step.whenUncertain === "compensate"
          ? { _tag: "Succeeded", result: exit.value.value }
          : exit.value.value
      })
    return booked ?? Effect.void
  })
}

const unknown = (
  log: InlineLog,
  step: InlineStep,
  context: Context.Context<never>,
  cause: Cause.Cause<unknown>,
  reason: UncertainReason
): Effect.Effect<void> | undefined => {
  if (step.whenUncertain === "compensate") {
    return add(log, { _tag: "Done", step, context, given: { _tag: "Unknown", reason } })
  }
  const path = step.name ?? `#${log.size + 1}`
  if (log.state !== "Open") return warn([{ path, reason, cause }])
  if (step.whenUncertain === "report") (log.uncertain ??= []).push({ path, reason, cause })
  else (log.parked ??= []).push({ path, reason, cause })
  return undefined
}

/** Runs an effect as an inline saga of its own; `onSuccess` says what becomes of what it did. */
export const within = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  onSuccess: (log: InlineLog, fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<void, unknown> | undefined
): Effect.Effect<A, E | CompensationFailed<E>, Exclude<R, SagaScope>> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiber((fiber) => {
      const log = new InlineLog(fiber.context)
      return Effect.matchCauseEffect(restore(enter(self, log)), {
        onFailure: (cause) =>
          Effect.flatMap(end(log, cause), () => Effect.failCause(withAftermath(cause, log.uncertain, undefined))),
        onSuccess: (value) => {
          const due = onSuccess(log, fiber)
          return due === undefined ? Effect.succeed(value) : Effect.andThen(due, Effect.succeed(value))
        }
      })
    })
  ) as Effect.Effect<A, E | CompensationFailed<E>, Exclude<R, SagaScope>>

/** Runs an effect whose steps go to this log. */
export const enter = <A, E, R>(self: Effect.Effect<A, E, R>, log: InlineLog): Effect.Effect<A, E> =>
  // The log's context is the fiber's with `SagaScope` in it, so nothing is left to require.
  Effect.provideContext(self, log.context as Context.Context<R>)

/** Undoes what a scope did. Fails with `CompensationFailed` when that could not be done. Call it uninterruptibly. */
export const end = (log: InlineLog, cause: Cause.Cause<unknown>): Effect.Effect<void, unknown> => {
  log.state = "Unwinding"
  log.cause = cause
  if (log.parked !== undefined) return failStuck(log)
  const undone = log.size === 0 ? Effect.void : Effect.provideContext(unwind([log], undefined), log.context)
  return Effect.flatMap(undone, () => {
    if (failuresOf(log).length > 0) return failStuck(log)
    return log.uncertain === undefined ? Effect.void : warn(log.uncertain)
  })
}

/** Ends a scope that succeeded. What nobody knows of, or what waits for a person, is not forgotten. */
export const commit = (log: InlineLog): Effect.Effect<void, unknown> | undefined => {
  log.state = "Committed"
  if (log.parked !== undefined) {
    log.cause = log.parked[0]!.cause
    return failStuck(log)
  }
  return log.uncertain === undefined ? undefined : warn(log.uncertain)
}

const warn = (uncertain: ReadonlyArray<UncertainStep>): Effect.Effect<void> =>
  quietly(Effect.logWarning(
    `An inline saga has ended with steps of unknown outcome: ${
      uncertain.map((step) => `${step.path} (${step.reason})`).join(", ")
    }. Ask their participants`
  ))

const failuresOf = (log: InlineLog): ReadonlyArray<Failure> => [
  ...log.failures ?? [],
  ...log.entries.flatMap((entry) => entry._tag === "Group" ? entry.logs.flatMap(failuresOf) : [])
]

const failStuck = (log: InlineLog): Effect.Effect<never, CompensationFailed<unknown>> => {
  const error = stuck(log)
  return Effect.andThen(tell(error), Effect.fail(error))
}

const stuck = (log: InlineLog): CompensationFailed<unknown> => {
  const parked = log.parked ?? []
  const failures = parked.map(({ path, reason }): Failure => ({
    path,
    attempts: 1,
    cause: Cause.fail(new StepUncertain({ path, reason }))
  }))
  const due = Array.from(log.due())
  const stands = due.filter((entry) => parked.length > 0 || entry.givenUp).map((entry) => entry.path)
  return new CompensationFailed({
    saga: "inline",
    executionId: "",
    reason: parked.length > 0 ? "StepUncertain" : "CompensationFailed",
    original: log.cause,
    failures: [...failures, ...failuresOf(log)],
    compensated: due.filter((entry) => parked.length === 0 && !entry.givenUp).map((entry) => entry.path),
    uncompensated: stands,
    uncertain: [...parked, ...log.uncertain ?? []]
  })
}

const tell = (error: CompensationFailed<unknown>): Effect.Effect<void> =>
  quietly(Effect.logError(error.message, ...error.failures.map((failure) => failure.cause)))
