/**
 * The inline saga at work: what becomes of a step when its action ends, and of a scope when it does. What was done is
 * kept in `InlineLog`; unwinding it is the business of `unwind`.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Failure, UncertainReason, UncertainStep } from "../SagaError.ts"
import { CompensationFailed, SagaScopeClosed, StepUncertain, withAftermath } from "../SagaError.ts"
import { SagaScope } from "../SagaScope.ts"
import { reasonOf } from "./cause.ts"
import type { Done, InlineStep } from "./inlineLog.ts"
import { InlineLog } from "./inlineLog.ts"
import { logStuck, quietly } from "./recorder.ts"
import type { AnyEffect } from "./tree.ts"
import { unwind } from "./unwind.ts"
import { answer } from "./wait.ts"

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
    if (!log.open) return Effect.die(new SagaScopeClosed({ step: step.name ?? "A step" }))
    const { verify } = step
    if (verify !== undefined) return verified(action, log, step, context, verify)
    return Effect.onExitPrimitive(action, (exit) => {
      if (Exit.isSuccess(exit)) return succeeded(log, step, context, exit.value)
      const judged = judge(step, exit.cause)
      return judged === undefined ? undefined : unknown(log, step, context, judged)
    }) as Effect.Effect<A, E, R>
  })

/** The same, and a participant is asked about an action of unknown outcome: what it finds is the result of the step. */
const verified = <A, E, R>(
  action: Effect.Effect<A, E, R>,
  log: InlineLog,
  step: InlineStep,
  context: Context.Context<never>,
  verify: AnyEffect<Option.Option<unknown>>
): Effect.Effect<A, E, R> => {
  let found: Option.Option<unknown> = Option.none()
  const booked = Effect.onExitPrimitive(action, (exit) => {
    if (Exit.isSuccess(exit)) return succeeded(log, step, context, exit.value)
    const judged = judge(step, exit.cause)
    if (judged === undefined) return undefined
    const question = Effect.provideContext(verify, context)
    return Effect.flatMap(answer(question), (answered) => {
      if (Exit.isFailure(answered)) {
        const cause = Cause.combine(judged.cause, answered.cause)
        return unknown(log, step, context, { cause, reason: judged.reason }) ?? Effect.void
      }
      found = answered.value
      return Option.isNone(found) ? Effect.void : succeeded(log, step, context, found.value) ?? Effect.void
    })
  })
  return Effect.catchCause(booked, (cause) =>
    Option.isSome(found)
      // `verify` is typed to find what the action returns. A fiber that is interrupted itself does not go on.
      ? Effect.succeed(found.value as A)
      : Effect.failCause(cause))
}

const succeeded = (
  log: InlineLog,
  step: InlineStep,
  context: Context.Context<never>,
  result: unknown
): Effect.Effect<void> | undefined => {
  const given = step.whenUncertain === "compensate" ? { _tag: "Succeeded", result } : result
  return add(log, { _tag: "Done", step, context, given })
}

/** What a fiber that outlived its failed saga still did is undone at once. */
const add = (log: InlineLog, done: Done): Effect.Effect<void> | undefined => {
  if (log.unwinding === undefined) {
    log.entries.push(done)
    return undefined
  }
  const late = new InlineLog(done.context)
  late.parked = log.parked
  late.entries.push(done)
  return Effect.asVoid(Effect.exit(end(late, log.unwinding.cause)))
}

interface Judgement {
  readonly cause: Cause.Cause<unknown>
  readonly reason: UncertainReason
}

/** Why nobody knows whether an action took place; undefined when it did not. */
const judge = (step: InlineStep, cause: Cause.Cause<unknown>): Judgement | undefined => {
  const judged = Result.try(() => reasonOf(cause, false, step.isUncertain))
  if (Result.isFailure(judged)) {
    return { cause: Cause.combine(cause, Cause.die(judged.failure)), reason: "Died" }
  }
  return judged.success === undefined ? undefined : { cause, reason: judged.success }
}

const unknown = (
  log: InlineLog,
  step: InlineStep,
  context: Context.Context<never>,
  { cause, reason }: Judgement
): Effect.Effect<void> | undefined => {
  if (step.whenUncertain === "compensate") {
    return add(log, { _tag: "Done", step, context, given: { _tag: "Unknown", reason } })
  }
  const uncertain = { path: step.name ?? log.positionOf(log.size), reason, cause }
  const { responsible } = log
  if (responsible === undefined) return warn([uncertain])
  if (step.whenUncertain === "report") responsible.warnOf([uncertain])
  else (responsible.parked ??= []).push(uncertain)
  return undefined
}

/** Runs an effect as an inline saga of its own, or as a part of the one around it. */
export const within = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  kind: "scoped" | "joined"
): Effect.Effect<A, E | CompensationFailed<E>, Exclude<R, SagaScope>> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiber((fiber) => {
      const outer = kind === "scoped" ? undefined : current(fiber)
      const log = new InlineLog(fiber.context, outer)
      return Effect.matchCauseEffect(restore(enter(self, log)), {
        onFailure: (cause) => failed(log, cause),
        onSuccess: (value) => {
          const due = outer === undefined ? commit(log) : adopt(outer, log)
          return due === undefined ? Effect.succeed(value) : Effect.andThen(due, Effect.succeed(value))
        }
      })
    })
  ) as Effect.Effect<A, E | CompensationFailed<E>, Exclude<R, SagaScope>>

/** What a contestant returned, and the log of what it did. */
export interface Answer {
  readonly log: InlineLog | undefined
  readonly value: unknown
}

/** Runs contestants as parts of their own: what the winner did joins the saga around, the rest is undone. */
export const competing = (
  contestants: ReadonlyArray<AnyEffect>,
  run: (contestants: ReadonlyArray<Effect.Effect<Answer, unknown>>) => Effect.Effect<Answer, unknown>
): AnyEffect =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiber((fiber) => {
      const outer = current(fiber)
      const contest = new InlineLog(fiber.context, outer)
      const logs = contestants.map(() => new InlineLog(fiber.context, contest))
      const entered = contestants.map((self, index) =>
        Effect.map(enter(self, logs[index]!), (value): Answer => ({ log: logs[index]!, value }))
      )
      return Effect.matchCauseEffect(restore(run(entered)), {
        onFailure: (cause) => {
          for (const log of logs) contest.take(log)
          return failed(contest, cause)
        },
        onSuccess: (answer) => {
          for (const log of logs) if (log !== answer.log) contest.take(log)
          const dropped = end(contest, Cause.interrupt())
          const adopted = answer.log === undefined ? undefined : adopt(outer, answer.log)
          const due = adopted === undefined
            ? dropped
            : Effect.flatMap(Effect.exit(adopted), (exit) => Effect.andThen(dropped, exit))
          return Effect.as(due, answer.value)
        }
      })
    })
  )

/** Runs an effect whose steps go to this log. */
const enter = <A, E, R>(self: Effect.Effect<A, E, R>, log: InlineLog): Effect.Effect<A, E> =>
  // The log's context is the fiber's with `SagaScope` in it, so nothing is left to require.
  Effect.provideContext(self, log.context as Context.Context<R>)

/** Makes what a part did undoable by the scope around it; at once, when that one is being undone. */
const adopt = (outer: InlineLog, part: InlineLog): Effect.Effect<void, unknown> | undefined => {
  if (outer.unwinding !== undefined) return end(part, outer.unwinding.cause)
  outer.take(part)
  return undefined
}

const failed = (log: InlineLog, cause: Cause.Cause<unknown>): Effect.Effect<never, unknown> =>
  Effect.flatMap(
    end(log, cause),
    () => Effect.failCause(log.state === "Joined" ? cause : withAftermath(cause, log.uncertain, undefined))
  )

/**
 * Undoes what a scope did, and fails with `CompensationFailed` when that could not be done. What is left and what nobody
 * knows goes to the scope around it, or into the log. Call it uninterruptibly.
 */
const end = (log: InlineLog, cause: Cause.Cause<unknown>): Effect.Effect<void, CompensationFailed<unknown>> => {
  log.fail(cause)
  const undone = log.parked !== undefined || log.size === 0
    ? Effect.void
    : Effect.provideContext(unwind([log], undefined), log.context)
  return Effect.flatMap(undone, () => {
    log.unwound = log.parked === undefined
    const { responsible } = log
    if (log.parked !== undefined || log.failures!.length > 0) {
      responsible?.take(log)
      return failStuck(log)
    }
    if (log.uncertain === undefined) return Effect.void
    if (responsible === undefined) return warn(log.uncertain)
    responsible.warnOf(log.uncertain)
    return Effect.void
  })
}

/** Ends a scope that succeeded. What nobody knows of, or what waits for a person, is not forgotten. */
const commit = (log: InlineLog): Effect.Effect<void, unknown> | undefined => {
  log.state = "Ended"
  if (log.parked !== undefined) return failStuck(log)
  return log.uncertain === undefined ? undefined : warn(log.uncertain)
}

const warn = (uncertain: ReadonlyArray<UncertainStep>): Effect.Effect<void> =>
  quietly(Effect.logWarning(
    `An inline saga has ended with steps of unknown outcome: ${
      uncertain.map((step) => `${step.path} (${step.reason})`).join(", ")
    }. Ask their participants`
  ))

const failStuck = (log: InlineLog): Effect.Effect<never, CompensationFailed<unknown>> => {
  const parked = log.parked ?? []
  const unknown = parked.map(({ path, reason }): Failure => ({
    path,
    attempts: 1,
    cause: Cause.fail(new StepUncertain({ path, reason }))
  }))
  const due = log.due()
  const error = new CompensationFailed({
    saga: "inline",
    executionId: "",
    reason: parked.length > 0 ? "StepUncertain" : "CompensationFailed",
    original: log.unwinding?.cause ?? parked[0]?.cause ?? Cause.empty,
    failures: [...unknown, ...log.failures ?? []],
    compensated: due.filter((entry) => entry.undone).map((entry) => entry.path),
    uncompensated: due.filter((entry) => !entry.undone).map((entry) => entry.path),
    uncertain: [...parked, ...log.uncertain ?? []]
  })
  return Effect.andThen(quietly(logStuck(error)), Effect.fail(error))
}
