/**
 * What can go wrong between a caller and an execution that an engine runs, each as a tagged error that says what
 * happened, where, and what to do. The errors of the saga's own steps are the user's and are never wrapped.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type { ExecutionState, JournalUnavailable } from "./Journal.ts"
import type { StepPath } from "./StepPath.ts"
import { printable } from "./StepPath.ts"

const named = (error: { readonly saga: string; readonly executionId: string }): string =>
  `execution "${printable(error.executionId)}" of saga "${printable(error.saga)}"`

/**
 * An execution with this id was started with another payload, or by another saga. Nothing was started.
 *
 * **Details**
 *
 * The hashes are of the two encoded payloads; an engine with a cipher gives `<redacted>` for them. `saga` is the saga that
 * was to be started, `existing` the one that has the id.
 *
 * @category errors
 * @since 0.1.0
 */
export class ExecutionConflict extends Data.TaggedError("ExecutionConflict")<{
  readonly executionId: string
  readonly saga: string
  readonly existing: string
  readonly payloadHash: string
  readonly existingPayloadHash: string
}> {
  override get message(): string {
    return this.saga === this.existing
      ? `The ${
        named(this)
      } exists with another payload (${this.existingPayloadHash}, not ${this.payloadHash}). Start it under another id, or with the payload it has`
      : `The id "${
        printable(this.executionId)
      }" belongs to an execution of saga "${this.existing}", not "${this.saga}". Start it under another id`
  }
}

/**
 * There is no execution with this id.
 *
 * @category errors
 * @since 0.1.0
 */
export class ExecutionNotFound extends Data.TaggedError("ExecutionNotFound")<{
  readonly executionId: string
  /** Of which saga there is none, where that was asked. */
  readonly saga?: string
}> {
  override get message(): string {
    const saga = this.saga === undefined ? "" : ` of saga "${printable(this.saga)}"`
    return `There is no execution "${
      printable(this.executionId)
    }"${saga} in this journal. Start it, or look whether it was purged`
  }
}

/**
 * There is no dead letter with this number.
 *
 * @category errors
 * @since 0.1.0
 */
export class DeadLetterNotFound extends Data.TaggedError("DeadLetterNotFound")<{ readonly number: number }> {
  override get message(): string {
    return `There is no dead letter ${this.number} in this journal: it was handled or discarded. \`deadLetters\` lists those that are`
  }
}

/**
 * There is no subscription with this name.
 *
 * @category errors
 * @since 0.1.0
 */
export class SubscriptionNotFound extends Data.TaggedError("SubscriptionNotFound")<{ readonly subscription: string }> {
  override get message(): string {
    return `There is no subscription "${
      printable(this.subscription)
    }" in this journal. \`subscriptions\` lists those that are`
  }
}

/**
 * An id that a journal cannot carry. Nothing was started.
 *
 * @category errors
 * @since 0.1.0
 */
export class ExecutionIdInvalid extends Data.TaggedError("ExecutionIdInvalid")<{
  readonly executionId: string
  readonly problem: string
}> {
  override get message(): string {
    return `${
      JSON.stringify(this.executionId.slice(0, 100))
    } cannot be the id of an execution: ${this.problem}. Give another \`executionId\` or \`key\``
  }
}

/**
 * A payload that cannot be recorded: it does not match its schema, does not survive being encoded and decoded, or is too
 * large. Nothing was started.
 *
 * @category errors
 * @since 0.1.0
 */
export class PayloadRefused extends Data.TaggedError("PayloadRefused")<{
  readonly saga: string
  readonly issue: string
}> {
  override get message(): string {
    return `Saga "${this.saga}" was not started, its payload cannot be recorded: ${this.issue}`
  }
}

/**
 * The execution was cancelled before its commit point, and compensated.
 *
 * @category errors
 * @since 0.1.0
 */
export class SagaCancelled extends Data.TaggedError("SagaCancelled")<{
  readonly saga: string
  readonly executionId: string
}> {
  override get message(): string {
    return `The ${named(this)} was cancelled`
  }
}

/**
 * The execution is past its commit point, or in its pivot, which then succeeded: it cannot be cancelled, only finished.
 *
 * @category errors
 * @since 0.1.0
 */
export class AlreadyCommitted extends Data.TaggedError("AlreadyCommitted")<{ readonly executionId: string }> {
  override get message(): string {
    return `Execution "${printable(this.executionId)}" is past its commit point and will be finished`
  }
}

/**
 * The execution has ended: nothing can change it.
 *
 * @category errors
 * @since 0.1.0
 */
export class AlreadyFinal extends Data.TaggedError("AlreadyFinal")<{
  readonly executionId: string
  readonly state: "Succeeded" | "Compensated" | "Abandoned"
}> {
  override get message(): string {
    return `Execution "${printable(this.executionId)}" has ended: it is ${this.state}`
  }
}

/**
 * The execution is stuck: it waits for a person.
 *
 * @category errors
 * @since 0.1.0
 */
export class ExecutionStuck extends Data.TaggedError("ExecutionStuck")<{
  readonly saga: string
  readonly executionId: string
  readonly problem: string
}> {
  override get message(): string {
    return `The ${named(this)} is stuck: ${this.problem}. A person decides: retry, skip, compensate or abandon it`
  }
}

/**
 * A person gave the execution up: it ended without a result, and what it did was left as it is.
 *
 * @category errors
 * @since 0.1.0
 */
export class ExecutionAbandoned extends Data.TaggedError("ExecutionAbandoned")<{
  readonly saga: string
  readonly executionId: string
}> {
  override get message(): string {
    return `The ${named(this)} was abandoned`
  }
}

/**
 * What a person on call can decide about an execution.
 *
 * @category models
 * @since 0.1.0
 */
export type Verb = "retry" | "skip" | "compensate" | "abandon" | "rerun"

/**
 * A person's decision was not carried out, and nothing has changed: the execution is in a state in which it means
 * nothing, somebody else was first, or what was given does not fit. `reason` says which, and what can be done.
 *
 * @category errors
 * @since 0.1.0
 */
export class VerbRefused extends Data.TaggedError("VerbRefused")<{
  readonly executionId: string
  readonly verb: Verb
  /** Where the execution stands. */
  readonly state: ExecutionState
  readonly reason: string
}> {
  override get message(): string {
    return `"${this.verb}" of execution "${
      printable(this.executionId)
    }" was refused, nothing has changed: it is ${this.state}. ${this.reason}`
  }
}

/**
 * An action succeeded with a value that the journal cannot hold: whether it took place is known in this process only, so
 * its outcome counts as unknown. A defect.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotRecordable extends Data.TaggedError("NotRecordable")<{
  readonly path: StepPath
  readonly issue: string
}> {
  override get message(): string {
    return `What "${this.path}" gave cannot be recorded: ${this.issue}. Give it a schema that carries the value`
  }
}

/**
 * The process that ran an action died before the outcome was on record: whether it took place is unknown. A defect.
 *
 * @category errors
 * @since 0.1.0
 */
export class ProcessLost extends Data.TaggedError("ProcessLost")<{ readonly path: StepPath }> {
  override get message(): string {
    return `The process that ran "${this.path}" died before its outcome was recorded; whether it took place is unknown`
  }
}

/**
 * What may keep an execution from being started.
 *
 * @category errors
 * @since 0.1.0
 */
export type StartError = ExecutionConflict | ExecutionIdInvalid | PayloadRefused | JournalUnavailable

/**
 * What may be wrong with waiting for an execution, beside the errors of its saga.
 *
 * @category errors
 * @since 0.1.0
 */
export type AwaitError = ExecutionNotFound | ExecutionStuck | ExecutionAbandoned | JournalUnavailable

/**
 * What may keep an execution from being cancelled.
 *
 * @category errors
 * @since 0.1.0
 */
export type CancelError = ExecutionNotFound | ExecutionStuck | AlreadyCommitted | AlreadyFinal | JournalUnavailable

/**
 * What may keep a person's decision from being carried out.
 *
 * @category errors
 * @since 0.1.0
 */
export type OperatorError = ExecutionNotFound | VerbRefused | AlreadyCommitted | AlreadyFinal | JournalUnavailable
