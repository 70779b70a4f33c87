/**
 * The same saga with something around its actions and compensations: what a test kit needs to replace them, hold them,
 * count them, and make them fail. It runs nothing, and changes nothing of a saga but what is called.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { effectOf } from "./internal/attempt.ts"
import { compensationKeyOf } from "./internal/frame.ts"
import type { AnyEffect, StepNode } from "./internal/tree.ts"
import type { Phase, Saga } from "./SagaValue.ts"
import { fromTree, toTree } from "./SagaValue.ts"
import type { CompensationContext, StepContext } from "./StepContext.ts"

/**
 * What the definition says of the step that is called.
 *
 * @category models
 * @since 0.1.0
 */
export interface CalledStep {
  readonly kind: "step" | "check" | "pivot" | "retriable"
  readonly name: string
  /** The schema of its result; `undefined`: it has none. */
  readonly success: Schema.Top | undefined
  /** The schema of its errors; `undefined`: it declares none. */
  readonly error: Schema.Top | undefined
  /** The limit of an attempt of its action. */
  readonly timeoutMillis: number | undefined
  /** The limit of a try of its compensation. */
  readonly compensationTimeoutMillis: number
  /** Whether an interruption of the saga, or its limit, cuts the action. */
  readonly interruptible: boolean
  readonly whenUncertain: "report" | "compensate" | "stuck"
  /** Which of its errors leave open whether it took place. `undefined`: none does. */
  readonly isUncertain: ((error: unknown) => boolean) | undefined
}

/**
 * One call of what a step brings along, before it is made: an attempt of its action, a try of its compensation, or the
 * question of its `verify`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call {
  readonly kind: "action" | "compensation" | "verify"
  readonly step: CalledStep
  /** The payload and the results so far. */
  readonly state: Readonly<Record<string, unknown>>
  readonly context: StepContext
  /** What a compensation is given: the result of the action, or an `Attempt` where the step says "compensate". */
  readonly given: unknown
  /** What the saga itself would do. An Effect: run it never, once, or more often. */
  readonly run: Effect.Effect<unknown, unknown>
  /** Compensates, with this given, whatever has become of the action. `undefined`: nothing compensates this step. */
  readonly compensate: ((given: unknown) => Effect.Effect<unknown, unknown>) | undefined
}

/**
 * Gives the saga whose actions, compensations and questions are what `around` makes of them, those of nested sagas too.
 * Everything else is as it was, so that an engine takes it for the same saga.
 *
 * **When to use**
 *
 * Use to build a tool on. What tests of a saga need is in `SagaTest` of `effect-saga/testing`, which stands on it.
 *
 * **Gotchas**
 *
 * What `around` returns is not checked by the compiler: an action gives what its schema says and fails with what it
 * declares. A crash before, in or after `around` is one before, in or after the action.
 *
 * **Example** (Counting calls)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { SagaTest } from "effect-saga/testing"
 * import { Effect, Schema } from "effect"
 *
 * const calls: Array<string> = []
 * const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
 *   Saga.step("seat", { action: () => Effect.void, compensation: () => Effect.void }),
 *   Saga.check("funds", { error: Schema.String, action: () => Effect.fail("no money") }),
 *   SagaTest.intercept(({ context, kind, run }) => Effect.andThen(Effect.sync(() => calls.push(`${kind} ${context.path}`)), run))
 * )
 * Effect.runSync(Effect.flip(Saga.run(saga, undefined))) // => "no money"
 * calls // => ["action seat", "action funds", "compensation seat"]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const intercept =
  <R2>(around: (call: Call) => Effect.Effect<unknown, unknown, R2>) =>
  <P0, S, O, A, E, R, P extends Phase>(self: Saga<P0, S, O, A, E, R, P>): Saga<P0, S, O, A, E, R | R2, P> => {
    // The services of `around` are in the type of the saga from here on, and what it gives stands in for what the step gave.
    const erased = around as (call: Call) => AnyEffect<never>
    return fromTree(toTree(self).withSteps((step) => intercepted(step, erased)))
  }

const intercepted = (step: StepNode, around: (call: Call) => AnyEffect<never>): StepNode => {
  const { compensation, verify } = step
  const compensate = (state: Call["state"], context: StepContext): Call["compensate"] =>
    compensation === undefined
      ? undefined
      : (given) => Effect.suspend(() => compensation(given, state, compensationOf(context)))
  const call = (kind: Call["kind"], state: Call["state"], context: StepContext, run: AnyEffect, given?: unknown) =>
    Effect.suspend(() => around({ kind, step, state, context, given, run, compensate: compensate(state, context) }))
  return {
    ...step,
    action: (state, context) =>
      call("action", state, context, Effect.suspend(() => effectOf(step.action(state, context), step))),
    ...(verify === undefined ? {} : {
      verify: (state, context) => call("verify", state, context, Effect.suspend(() => verify(state, context)))
    }),
    ...(compensation === undefined ? {} : {
      compensation: (given, state, context) =>
        call("compensation", state, context, Effect.suspend(() => compensation(given, state, context)), given)
    })
  }
}

/** What a compensation is told, also where it is called from beside its action. */
const compensationOf = (context: StepContext): CompensationContext => {
  if ("actionKey" in context) return context as CompensationContext
  const { executionId, idempotencyKey, path } = context
  return {
    executionId,
    path,
    attempt: 1,
    idempotencyKey: compensationKeyOf(idempotencyKey),
    actionKey: idempotencyKey,
    cause: Cause.empty
  }
}
