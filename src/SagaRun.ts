/**
 * Running a saga in the current fiber: nothing else is needed, and nothing survives the process.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { execute } from "./internal/run.ts"
import type { CompensationFailed, Failure, ForwardRecoveryFailed, UncertainStep } from "./SagaError.ts"
import { withAftermath } from "./SagaError.ts"
import type { Phase, Saga } from "./SagaValue.ts"
import { toTree } from "./SagaValue.ts"
import type { StepPath } from "./StepPath.ts"

/**
 * How a run may be told apart from others.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOptions {
  /**
   * The beginning of every idempotency key of this run.
   *
   * @default `<name>/<key>` for a saga with a `key`, else a new one
   */
  readonly executionId?: string
}

/**
 * Everything that is known of a run when it is over.
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome<A, E> =
  | { readonly _tag: "Succeeded"; readonly executionId: string; readonly result: A }
  | {
    readonly _tag: "Compensated"
    readonly executionId: string
    readonly cause: Cause.Cause<E>
    /** In the order in which they were compensated, branch by branch. */
    readonly compensated: ReadonlyArray<StepPath>
    readonly uncertain: ReadonlyArray<UncertainStep>
    readonly others: ReadonlyArray<Failure>
  }
  | {
    readonly _tag: "Stuck"
    readonly executionId: string
    readonly error: CompensationFailed<E> | ForwardRecoveryFailed
  }

/**
 * Runs a saga in the current fiber.
 *
 * **Details**
 *
 * It succeeds with the result of the saga. When a step fails, everything before it is compensated in reverse and the
 * caller gets the error of the step, unchanged. An interruption waits for the unwind. When a compensation fails to its
 * last try the others still run, and the caller gets one `CompensationFailed`.
 *
 * **Gotchas**
 *
 * In-process nothing survives the process: after a crash nothing is compensated. A payload that does not match its
 * schema is a defect `PayloadInvalid`, and nothing has run. A run that has succeeded is not undone by a saga around it:
 * put it in by `nested`. Without a `key` and an `executionId` each run has new
 * idempotency keys: participants cannot recognise a second run of the same order.
 *
 * **Example** (Running a saga)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const greet = Saga.make("Greet", { payload: Schema.String }).pipe(
 *   Saga.output(Schema.String, ({ payload }) => `hello ${payload}`)
 * )
 * Effect.runSync(Saga.run(greet, "you")) // => "hello you"
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const run = <P0, S, O, A, E, R>(
  saga: Saga<P0, S, O, A, E, R, Phase>,
  payload: P0,
  options?: RunOptions
): Effect.Effect<A, E | CompensationFailed<E>, R> =>
  // Success, error and services were computed by the functions that built the saga.
  execute<unknown, unknown>(toTree(saga), payload, options?.executionId, {
    succeeded: (result) => Effect.succeed(result),
    compensated: (cause, { root }) => Effect.failCause(withAftermath(cause, root.uncertain, root.others)),
    stuck: ({ error }) => Effect.fail(error)
  }) as Effect.Effect<A, E | CompensationFailed<E>, R>

/**
 * Runs a saga in the current fiber and returns everything that is known of it: its result, or why and how far it was
 * compensated, or why it is stuck. It has no typed error.
 *
 * **Gotchas**
 *
 * In-process a crash loses everything, as with `run`. An interrupted caller gets its interruption and no outcome.
 *
 * **Example** (Looking at a failed run)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
 *   Saga.step("seat", { action: () => Effect.void, compensation: () => Effect.void }),
 *   Saga.check("funds", { error: Schema.String, action: () => Effect.fail("no money") })
 * )
 * const outcome = Effect.runSync(Saga.outcome(saga, undefined))
 * if (outcome._tag === "Compensated") {
 *   outcome.compensated // => ["seat"]
 * }
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const outcome = <P0, S, O, A, E, R>(
  saga: Saga<P0, S, O, A, E, R, Phase>,
  payload: P0,
  options?: RunOptions
): Effect.Effect<Outcome<A, E>, never, R> =>
  // Success, error and services were computed by the functions that built the saga.
  execute<Outcome<unknown, unknown>, never>(toTree(saga), payload, options?.executionId, {
    succeeded: (result, { id }) => Effect.succeed({ _tag: "Succeeded", executionId: id, result }),
    compensated: (cause, { id, root }, frame) =>
      Effect.sync(() => ({
        _tag: "Compensated",
        executionId: id,
        cause,
        compensated: Array.from(frame.due(), (entry) => entry.path),
        uncertain: root.uncertain ?? [],
        others: root.others ?? []
      })),
    stuck: ({ error, executionId }) => Effect.succeed({ _tag: "Stuck", executionId, error })
  }) as Effect.Effect<Outcome<A, E>, never, R>
