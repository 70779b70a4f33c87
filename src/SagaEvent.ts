/**
 * The facts of an execution, in the past tense, as schemas. They are a wire format: fields and tags are added, never
 * renamed, and every journal ever released must fold. State is nowhere stored; `SagaState` folds it from these.
 *
 * The core imports the types alone, so that a program without a journal does not load `effect/Schema`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const At = { atMillis: Schema.Number }
const AtPath = { ...At, path: Schema.String }
/** Which path the cause came from. */
const Failed = { failed: Schema.optionalKey(Schema.String) }
const FailureCause = Schema.Cause(Schema.Unknown, Schema.Unknown)
const Reason = Schema.Literals(["Interrupted", "TimedOut", "Died", "ProcessLost", "DeclaredByError", "NotRecordable"])

/**
 * One fact of an execution.
 *
 * **Details**
 *
 * Times are milliseconds since the epoch by the clock of the process that saw the fact; nothing is ordered by them.
 * `payload`, `result`, `items` and errors are values as the program holds them; what writes facts down encodes them by
 * the schemas of the saga first.
 *
 * @category models
 * @since 0.1.0
 */
export const SagaEvent = Schema.Union([
  Schema.TaggedStruct("SagaStarted", {
    ...At,
    saga: Schema.String,
    version: Schema.Number,
    payload: Schema.Unknown,
    trace: Schema.optionalKey(
      Schema.Struct({ traceId: Schema.String, spanId: Schema.String, sampled: Schema.Boolean })
    )
  }),
  Schema.TaggedStruct("StepStarted", AtPath),
  Schema.TaggedStruct("StepSucceeded", { ...AtPath, attempts: Schema.Number, result: Schema.Unknown }),
  Schema.TaggedStruct("StepAttemptFailed", {
    ...AtPath,
    attempt: Schema.Number,
    cause: FailureCause,
    nextAtMillis: Schema.Number,
    /** Why this attempt may have taken place all the same. */
    reason: Schema.optionalKey(Reason)
  }),
  Schema.TaggedStruct("StepFailed", { ...AtPath, attempts: Schema.Number, cause: FailureCause }),
  Schema.TaggedStruct("StepUncertain", {
    ...AtPath,
    attempts: Schema.Number,
    reason: Reason,
    whenUncertain: Schema.Literals(["report", "compensate", "stuck"]),
    cause: FailureCause
  }),
  Schema.TaggedStruct("BranchChosen", { ...AtPath, tag: Schema.NullOr(Schema.String) }),
  Schema.TaggedStruct("ItemsListed", {
    ...AtPath,
    keys: Schema.Array(Schema.String),
    items: Schema.Array(Schema.Unknown)
  }),
  Schema.TaggedStruct("NestedStarted", {
    ...AtPath,
    saga: Schema.String,
    version: Schema.Number,
    payload: Schema.Unknown
  }),
  Schema.TaggedStruct("FellBack", { ...AtPath, cause: FailureCause, ...Failed }),
  Schema.TaggedStruct("TimerSet", { ...AtPath, fireAtMillis: Schema.Number }),
  Schema.TaggedStruct("TimerFired", AtPath),
  Schema.TaggedStruct("LimitPassed", { ...AtPath, saga: Schema.String, limitMillis: Schema.Number }),
  Schema.TaggedStruct("CancelRequested", At),
  Schema.TaggedStruct("CancelRefused", At),
  Schema.TaggedStruct("UnwindStarted", { ...At, scope: Schema.String, cause: FailureCause, ...Failed }),
  Schema.TaggedStruct("CompensationStarted", AtPath),
  Schema.TaggedStruct("CompensationSucceeded", { ...AtPath, attempts: Schema.Number }),
  Schema.TaggedStruct("CompensationAttemptFailed", {
    ...AtPath,
    attempt: Schema.Number,
    cause: FailureCause,
    nextAtMillis: Schema.Number
  }),
  Schema.TaggedStruct("CompensationFailed", { ...AtPath, attempts: Schema.Number, cause: FailureCause }),
  Schema.TaggedStruct("SagaSucceeded", { ...At, result: Schema.Unknown }),
  Schema.TaggedStruct("SagaCompensated", { ...At, uncertain: Schema.Array(Schema.String) }),
  Schema.TaggedStruct("SagaStuck", {
    ...At,
    reason: Schema.Literals(["CompensationFailed", "StepUncertain", "PivotUncertain", "ForwardRecoveryFailed"]),
    open: Schema.Array(Schema.String)
  })
])

/**
 * One fact of an execution.
 *
 * @category models
 * @since 0.1.0
 */
export type SagaEvent = typeof SagaEvent.Type

/**
 * The tags of the facts.
 *
 * @category models
 * @since 0.1.0
 */
export type Tag = SagaEvent["_tag"]
