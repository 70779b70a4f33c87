/**
 * What a person on call asks of an engine: to find executions, to understand one, to decide about it, and to keep the
 * journal in order. These are the words and the promises; the engine answers.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type {
  DeadLetterNotFound,
  ExecutionConflict,
  ExecutionIdInvalid,
  ExecutionNotFound,
  ExecutionStuck,
  OperatorError,
  PayloadRefused,
  SubscriptionNotFound,
  VerbRefused
} from "./ExecutionError.ts"
import type { ExecutionPlan } from "./ExecutionPlan.ts"
import type {
  Cursor,
  DeadLetter,
  ExecutionState,
  JournalUnavailable,
  StateCount,
  SubscriptionRecord
} from "./Journal.ts"
import type { By, SagaEvent } from "./SagaEvent.ts"
import type { AnySaga } from "./SagaValue.ts"

export type { By } from "./SagaEvent.ts"

/**
 * Where an execution stands.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExecutionStatus {
  readonly executionId: string
  readonly saga: string
  readonly version: number
  readonly state: ExecutionState
  readonly startedAtMillis: number
  readonly updatedAtMillis: number
  /** When it goes on, while it waits. */
  readonly dueAtMillis: number | undefined
  /** Why a person is needed, while it is stuck. */
  readonly problem: string | undefined
  /** Whether nobody knows the outcome of one of its steps. */
  readonly uncertain: boolean
  /** What `tags` of its saga made of its payload. */
  readonly tags: Readonly<Record<string, string>>
}

/**
 * Which executions are meant. What is not said does not matter.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExecutionFilter {
  readonly saga?: string | undefined
  readonly version?: number | undefined
  readonly state?: ExecutionState | ReadonlyArray<ExecutionState> | undefined
  /** What `key` of the saga made of the payload; say `saga` too. Not for executions that were given another id. */
  readonly key?: string | undefined
  readonly idPrefix?: string | undefined
  /** Those that have all of these. */
  readonly tags?: Readonly<Record<string, string>> | undefined
  readonly uncertain?: boolean | undefined
  /** Those that started then or later, in milliseconds since the epoch. */
  readonly startedFromMillis?: number | undefined
  /** Those that started before. */
  readonly startedBeforeMillis?: number | undefined
  /** Those in which nothing has changed since. */
  readonly updatedBeforeMillis?: number | undefined
}

/**
 * A page of a list.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListOptions extends ExecutionFilter {
  /**
   * How many at most.
   *
   * @default 100
   */
  readonly limit?: number | undefined
  /** The `next` of the page before. */
  readonly after?: Cursor | undefined
}

/**
 * Some executions, and where the next page begins. A page may be short, or empty, although there is a next one: no
 * filter makes a journal read all that it has at once.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExecutionPage {
  readonly executions: ReadonlyArray<ExecutionStatus>
  readonly next: Cursor | undefined
}

/**
 * A fact of an execution: what, when, and who wrote it.
 *
 * @category models
 * @since 0.1.0
 */
export interface HistoryEntry {
  readonly sequence: number
  /** By the clock of who recorded it; undefined when that cannot be read. */
  readonly atMillis: number | undefined
  /** The name of the engine that recorded it. */
  readonly engine: string
  /** The person that decided it, for a decision. */
  readonly actor: string | undefined
  readonly comment: string | undefined
  /**
   * Its values are decoded where the saga is registered in this engine, else as they are encoded, or left out where the
   * engine has a cipher. Undefined: it is none.
   */
  readonly event: SagaEvent | undefined
  /** The fact as it stands in the journal. Undefined: it is sealed there. */
  readonly text: string | undefined
}

/**
 * What can be decided about many executions at once.
 *
 * @category models
 * @since 0.1.0
 */
export type BulkVerb = "retry" | "compensate" | "abandon"

/**
 * How fast a bulk of decisions goes.
 *
 * @category models
 * @since 0.1.0
 */
export interface BulkOptions {
  /**
   * How many decisions a second at most.
   *
   * @default 20
   */
  readonly perSecond?: number
}

/**
 * One decision of a bulk. `refused` says why it was not carried out; the next one is made all the same.
 *
 * @category models
 * @since 0.1.0
 */
export interface BulkProgress {
  readonly executionId: string
  readonly refused: Exclude<OperatorError, JournalUnavailable> | undefined
  /** How many decisions there were so far, and how many of them were refused. */
  readonly decided: number
  readonly refusals: number
}

/**
 * What is done again, and with what.
 *
 * @category models
 * @since 0.1.0
 */
export interface RerunOptions extends By {
  /** The new payload, in its encoded form. Left out: that of the old execution. */
  readonly payload?: unknown
  /**
   * Whether the results of an execution that was abandoned are kept, from the first node of the saga on, as far as they
   * were not undone and the saga is the same there. Their actions are not run again; from then on they belong to the new
   * execution, which undoes them if it fails, and to no other.
   *
   * @default false
   */
  readonly keepResults?: boolean
  /**
   * The id of the new execution.
   *
   * @default a new one
   */
  readonly executionId?: string
}

/**
 * What is deleted, and what becomes of it before.
 *
 * @category models
 * @since 0.1.0
 */
export interface PurgeOptions<E = never, R = never> {
  /** Executions that have ended longer ago than this, which must be above 0. */
  readonly olderThan: Duration.Input
  readonly saga?: string | undefined
  /**
   * In which final states.
   *
   * @default all of them
   */
  readonly states?: ReadonlyArray<"Succeeded" | "Compensated" | "Abandoned"> | undefined
  /**
   * How many are deleted at once.
   *
   * @default 500
   */
  readonly batch?: number
  /** Is given each execution as a line of JSON before it is deleted. When it fails, nothing of its batch is. */
  readonly archive?: (lines: ReadonlyArray<string>) => Effect.Effect<void, E, R>
}

/**
 * Something that `doctor` found, and what to do about it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Finding {
  readonly about:
    | "SchemaMismatch"
    | "StaleLease"
    | "ClockSkew"
    | "LongFact"
    | "UnknownSaga"
    | "Undecodable"
    | "DefinitionChanged"
  readonly executionIds: ReadonlyArray<string>
  /** What is the matter, in words. */
  readonly problem: string
  /** What to do, in words. */
  readonly advice: string
}

/**
 * What becomes of the live executions of a journal under some sagas.
 *
 * @category models
 * @since 0.1.0
 */
export interface Compatibility {
  /** How many go on. */
  readonly goOn: number
  /** How many of those are of an older version, and go on by a migration. */
  readonly migrated: number
  /** Those that would be parked, and why. */
  readonly parked: ReadonlyArray<{ readonly executionId: string; readonly problem: string }>
  /** How many wait for a saga that is not among them. */
  readonly left: ReadonlyArray<{ readonly saga: string; readonly version: number; readonly count: number }>
}

/**
 * What an engine does for a person on call.
 *
 * **Details**
 *
 * Each decision is a fact in the journal, with who made it and why, for ever. In which state it is carried out:
 *
 * | state | `retry` | `skip` | `compensate` | `abandon` | `rerun` |
 * |---|---|---|---|---|---|
 * | Running, Waiting | refused | refused | before the commit point | yes | refused |
 * | Compensating | refused | refused | refused: it does | yes | refused |
 * | Stuck | yes | a path that is open | before the commit point | yes | refused: abandon it first |
 * | Succeeded, Compensated, Abandoned | `AlreadyFinal` | `AlreadyFinal` | `AlreadyFinal` | `AlreadyFinal` | yes |
 *
 * Past the commit point `compensate` fails with `AlreadyCommitted`; whatever else is refused is a `VerbRefused` that
 * names the state and the reason. Of two persons who decide at once the second is told who was first.
 *
 * @category models
 * @since 0.1.0
 */
export interface Operations {
  /**
   * Executions in order: by start, the oldest first; of stuck ones alone the stalest first; by id where the beginning of
   * the id is given.
   */
  readonly list: (options?: ListOptions) => Effect.Effect<ExecutionPage, JournalUnavailable>
  /** How many executions there are, by saga, version and state. */
  readonly counts: (
    filter?: Pick<ExecutionFilter, "saga" | "version" | "state">
  ) => Effect.Effect<ReadonlyArray<StateCount>, JournalUnavailable>
  /** The facts of an execution, each with who and when. Nothing is lost in it, whatever sagas are registered. */
  readonly history: (
    executionId: string
  ) => Effect.Effect<ReadonlyArray<HistoryEntry>, ExecutionNotFound | JournalUnavailable>
  /** What is done, in flight and to come, and what a cancel would undo now. It needs the journal alone, not the saga. */
  readonly plan: (
    executionId: string
  ) => Effect.Effect<ExecutionPlan, ExecutionNotFound | ExecutionStuck | JournalUnavailable>

  /**
   * Lets a stuck execution go on: what is open in it is tried again with the same key and all its tries; one that was
   * parked is read again by today's saga. Returns when that is recorded.
   */
  readonly retry: (executionId: string, by: By) => Effect.Effect<void, OperatorError>
  /**
   * Settles what is open at a path: an action by the result that it is found to have had, encoded as its schema says,
   * a compensation (without a value) by saying that it was done by hand. The execution goes on when nothing else is
   * open. Path and value are those of the version that has it, as long as no newer one has taken it on.
   */
  readonly skip: (executionId: string, path: string, value: unknown, by: By) => Effect.Effect<void, OperatorError>
  /**
   * Unwinds. What goes on is cancelled; in a stuck execution an action of unknown outcome is given up and reported as
   * uncertain, also a pivot, and compensations that failed are tried again. Returns when that is recorded; for one that
   * goes on and whose owner does not answer for as long as a lease, it fails and the request stands.
   */
  readonly compensate: (executionId: string, by: By) => Effect.Effect<void, OperatorError>
  /**
   * Ends an execution as it is: nothing more is done or undone, and who waits for it gets `ExecutionAbandoned`. What is
   * in flight elsewhere may end still; nothing of it is recorded.
   */
  readonly abandon: (executionId: string, by: By) => Effect.Effect<void, OperatorError>
  /**
   * Starts an execution that has ended again, as a new one that names the old one in its first fact. Its actions have
   * keys of their own, but for those whose results are kept.
   */
  readonly rerun: (
    executionId: string,
    options: RerunOptions
  ) => Effect.Effect<
    string,
    ExecutionNotFound | VerbRefused | ExecutionConflict | ExecutionIdInvalid | PayloadRefused | JournalUnavailable
  >
  /** How many executions a bulk would be about. */
  readonly preview: (filter: ExecutionFilter) => Effect.Effect<number, JournalUnavailable>
  /**
   * Decides about all executions of a filter, one after the other and not faster than `perSecond`, and tells of each.
   * Who stops reading stops it. Those that come to be stuck again meanwhile are not taken again.
   */
  readonly bulk: (
    verb: BulkVerb,
    filter: ExecutionFilter,
    by: By,
    options?: BulkOptions
  ) => Stream.Stream<BulkProgress, JournalUnavailable>

  /**
   * Events that reach nobody any more, in the order in which they became dead letters, each with the reason: nobody received
   * it while it was kept, or a subscription could not read or handle it. At most 100 unless said otherwise, behind the number of
   * the last one that was seen. They stay until they are handed out again and handled, or discarded.
   */
  readonly deadLetters: (
    options?: { readonly after?: number; readonly limit?: number }
  ) => Effect.Effect<ReadonlyArray<DeadLetter>, JournalUnavailable>
  /** How many dead letters there are. */
  readonly deadLetterCount: Effect.Effect<number, JournalUnavailable>
  /**
   * Hands a dead letter out again. The subscription that could not handle it gets it once more, when it has nothing else to
   * read: if it handles it now the dead letter is gone, if not it is one again. One that nobody has received is an event as if
   * it were published now, with its id.
   */
  readonly redeliver: (number: number) => Effect.Effect<void, DeadLetterNotFound | JournalUnavailable>
  /** Deletes a dead letter. */
  readonly discard: (number: number) => Effect.Effect<void, DeadLetterNotFound | JournalUnavailable>
  /** The subscriptions that the journal knows, whether they run or not, and how many events each has before it, by type. */
  readonly subscriptions: Effect.Effect<ReadonlyArray<SubscriptionRecord>, JournalUnavailable>
  /**
   * Forgets a subscription that nobody runs any more: events that were held for it are held no longer. One that runs still is
   * known again as soon as it has handled something.
   */
  readonly unsubscribe: (subscription: string) => Effect.Effect<void, SubscriptionNotFound | JournalUnavailable>

  /** Deletes what has ended, in batches, and tells after each how many that were in all. Live and stuck ones stay. */
  readonly purge: <E = never, R = never>(
    options: PurgeOptions<E, R>
  ) => Stream.Stream<number, E | JournalUnavailable, R>
  /** Looks for what is wrong with the journal and its executions. It reads all that is not final, and changes nothing. */
  readonly doctor: Effect.Effect<ReadonlyArray<Finding>, JournalUnavailable>
  /** What would become of the executions that go on, if these sagas were registered. It changes nothing. */
  readonly compatible: (sagas: ReadonlyArray<AnySaga>) => Effect.Effect<Compatibility, JournalUnavailable>
}
