/**
 * What an action and its compensation are told about themselves: where they stand, which attempt this is, under which
 * key a participant should remember them. Nothing here runs anything.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import type { UncertainReason } from "./SagaError.ts"
import type { StepPath } from "./StepPath.ts"

/**
 * What an action is told about itself.
 *
 * @category models
 * @since 0.1.0
 */
export interface StepContext {
  readonly executionId: string
  readonly path: StepPath
  /** 1 for the first attempt. */
  readonly attempt: number
  /** Equal over all attempts of this action in this execution: hand it to the participant, so that it applies one. */
  readonly idempotencyKey: string
}

/**
 * What a compensation is told about itself.
 *
 * @category models
 * @since 0.1.0
 */
export interface CompensationContext extends StepContext {
  /** The compensation's own key, equal over all its tries. */
  readonly idempotencyKey: string
  /** The key that the action was given. */
  readonly actionKey: string
  /** Why the saga unwinds. */
  readonly cause: Cause.Cause<unknown>
}

/**
 * What the compensation of an inline step is told about itself.
 *
 * @category models
 * @since 0.1.0
 */
export interface InlineContext {
  /** 1 for the first try. */
  readonly attempt: number
  /** Why the saga unwinds. */
  readonly cause: Cause.Cause<unknown>
}

/**
 * What is known of an action when its compensation runs.
 *
 * @category models
 * @since 0.1.0
 */
export type Attempt<A> =
  | { readonly _tag: "Succeeded"; readonly result: A }
  | { readonly _tag: "Unknown"; readonly reason: UncertainReason }
