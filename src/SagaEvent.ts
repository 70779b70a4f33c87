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
/** The events that the attempt has published which succeeded, where it has. */
const Published = {
  published: Schema.optionalKey(
    Schema.Array(Schema.Struct({ eventId: Schema.String, type: Schema.String, key: Schema.String }))
  )
}
/** Who decided something, and why. */
const By = { actor: Schema.String, comment: Schema.String }
/** The same, where a program may have asked and no person. */
const PerhapsBy = { actor: Schema.optionalKey(Schema.String), comment: Schema.optionalKey(Schema.String) }
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
    ),
    /** The execution that it does again. */
    rerunOf: Schema.optionalKey(Schema.String),
    ...PerhapsBy
  }),
  Schema.TaggedStruct("StepStarted", {
    ...AtPath,
    /** The path that its idempotency keys are made of, where its node has been renamed since it started. */
    keyedAs: Schema.optionalKey(Schema.String)
  }),
  Schema.TaggedStruct("StepSucceeded", {
    ...AtPath,
    attempts: Schema.Number,
    result: Schema.Unknown,
    /** The execution in which it took place, for a result that a rerun has kept. */
    keptFrom: Schema.optionalKey(Schema.String),
    ...Published
  }),
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
  Schema.TaggedStruct("EventAwaited", {
    ...AtPath,
    /** What is awaited: any of these. */
    events: Schema.Array(Schema.Struct({ type: Schema.String, key: Schema.String })),
    /** When it is awaited no more. */
    untilMillis: Schema.optionalKey(Schema.Number)
  }),
  Schema.TaggedStruct("EventReceived", {
    ...AtPath,
    eventId: Schema.String,
    type: Schema.String,
    payload: Schema.Unknown
  }),
  Schema.TaggedStruct("EventTimedOut", {
    ...AtPath,
    events: Schema.Array(Schema.String),
    limitMillis: Schema.Number,
    /** Whether that is a failure: past the commit point it is a result. */
    failed: Schema.Boolean
  }),
  Schema.TaggedStruct("EventPublished", {
    ...AtPath,
    eventId: Schema.String,
    type: Schema.String,
    key: Schema.String,
    payload: Schema.Unknown
  }),
  Schema.TaggedStruct("LimitPassed", { ...AtPath, saga: Schema.String, limitMillis: Schema.Number }),
  Schema.TaggedStruct("CancelRequested", { ...At, ...PerhapsBy }),
  Schema.TaggedStruct("CancelRefused", { ...At, ...PerhapsBy }),
  Schema.TaggedStruct("UnwindStarted", { ...At, scope: Schema.String, cause: FailureCause, ...Failed }),
  Schema.TaggedStruct("CompensationStarted", AtPath),
  Schema.TaggedStruct("CompensationSucceeded", { ...AtPath, attempts: Schema.Number, ...Published }),
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
  }),
  Schema.TaggedStruct("RetryRequested", { ...At, ...By }),
  Schema.TaggedStruct("StepSkipped", { ...AtPath, ...By, result: Schema.Unknown }),
  Schema.TaggedStruct("CompensationSkipped", { ...AtPath, ...By }),
  Schema.TaggedStruct("UnwindRequested", { ...At, ...By }),
  Schema.TaggedStruct("SagaAbandoned", { ...At, ...By }),
  Schema.TaggedStruct("ResultsHandedOver", { ...At, ...By, to: Schema.String }),
  /** From here on facts are those of another version of the saga. */
  Schema.TaggedStruct("SagaMigrated", {
    ...At,
    from: Schema.Number,
    to: Schema.Number,
    /** The hash under which the definition of that version is kept. */
    definition: Schema.optionalKey(Schema.String),
    /** Which nodes have other names from here on: by the patterns of their old paths, `*` for the key of an item. */
    renamed: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
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
 * Who decided something about an execution, and why. It stays in the journal for ever.
 *
 * @category models
 * @since 0.1.0
 */
export interface By {
  readonly actor: string
  readonly comment: string
}

/**
 * The tags of the facts.
 *
 * @category models
 * @since 0.1.0
 */
export type Tag = SagaEvent["_tag"]
