/**
 * The journal of an engine: what a store must keep, in its encoded form, and what it promises. The engine encodes and
 * decodes; a store sees text and numbers only, runs no saga, and decides nothing but who may write.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { EndedWait, EventStore, PublishedEvent, WaitRecord } from "./EventStore.ts"
import type { BatchRefused, JournalLocked, JournalUnavailable } from "./JournalError.ts"

export * from "./EventStore.ts"
export * from "./JournalError.ts"

/**
 * The right of one engine to write. Whoever takes over ends it; from then on nothing is written under it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lease {
  readonly id: number
  readonly epoch: number
}

/**
 * Where an execution stands, as its row says. `Running`, `Waiting` and `Compensating` are live; `Stuck` is parked until
 * a person decides; the rest is final.
 *
 * @category models
 * @since 0.1.0
 */
export type ExecutionState =
  | "Running"
  | "Waiting"
  | "Compensating"
  | "Stuck"
  | "Succeeded"
  | "Compensated"
  | "Abandoned"

/**
 * A new execution.
 *
 * @category models
 * @since 0.1.0
 */
export interface StartRecord {
  readonly executionId: string
  readonly saga: string
  readonly version: number
  /** The hash under which its definition is kept. */
  readonly definition: string
  readonly startedAtMillis: number
  /** Whether the writing engine runs it; else it can be claimed at once. */
  readonly owned: boolean
  /** By what it can be found beside its id. */
  readonly tags?: Readonly<Record<string, string>> | undefined
}

/**
 * One fact of an execution. The pair of execution and sequence is unique; sequences start at 0 and have no gap.
 *
 * @category models
 * @since 0.1.0
 */
export interface FactRecord {
  readonly executionId: string
  readonly sequence: number
  readonly tag: string
  /** The encoded fact, as JSON text. */
  readonly data: string
}

/**
 * What changes in the row of an execution.
 *
 * @category models
 * @since 0.1.0
 */
export interface UpdateRecord {
  readonly executionId: string
  readonly state: ExecutionState
  /** When it can be claimed. `null`: not by time, but a signal makes it claimable unless it is final or stuck. */
  readonly dueAtMillis: number | null
  /** Whether the writing engine gives it back. */
  readonly released: boolean
  /** Whether nothing was in flight when it was given back. `null`: as it was. */
  readonly clean: boolean | null
  /** Whether the outcome of a step is unknown. `null`: as it was. */
  readonly uncertain: boolean | null
  /** How many signals of it the engine has seen: if there are more, it can be claimed at once. */
  readonly signals: number
  readonly updatedAtMillis: number
  /** Why a person is needed, for an execution that is stuck. */
  readonly problem: string | null
}

/**
 * What is written at once: all of it or nothing.
 *
 * **Details**
 *
 * A batch that is written again with the same `id` after its answer was lost counts once. The facts of an execution in
 * `starts` are written only if its row was.
 *
 * @category models
 * @since 0.1.0
 */
export interface Batch {
  /** Unique under its lease. */
  readonly id: number
  readonly starts: ReadonlyArray<StartRecord>
  readonly facts: ReadonlyArray<FactRecord>
  readonly updates: ReadonlyArray<UpdateRecord>
  /** The signals that these facts answer: they are removed. */
  readonly signals: ReadonlyArray<number>
  /** The waits that these facts begin, and those that they end. Written with the facts of their executions, or not at all. */
  readonly waits?: ReadonlyArray<WaitRecord> | undefined
  readonly ended?: ReadonlyArray<EndedWait> | undefined
  /** The events that these facts publish: kept with them, or not at all. */
  readonly published?: ReadonlyArray<PublishedEvent> | undefined
}

/**
 * What became of a batch. `missing` are the executions that were not written because somebody else had: of `starts`, those
 * whose id is taken; of the others, those with a fact of that sequence.
 *
 * @category models
 * @since 0.1.0
 */
export type Written =
  | { readonly _tag: "Committed"; readonly missing: ReadonlyArray<string> }
  | { readonly _tag: "LeaseLost" }

/**
 * The row of an execution.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExecutionRecord {
  readonly executionId: string
  readonly saga: string
  readonly version: number
  readonly definition: string
  readonly state: ExecutionState
  readonly dueAtMillis: number | null
  readonly startedAtMillis: number
  readonly updatedAtMillis: number
  readonly problem: string | null
  /** Whether the outcome of one of its steps is unknown. */
  readonly uncertain: boolean
  readonly tags: Readonly<Record<string, string>>
}

/**
 * A fact with the name of the engine that wrote it.
 *
 * @category models
 * @since 0.1.0
 */
export interface HistoryRecord extends FactRecord {
  readonly engine: string
}

/**
 * A word from outside to an execution, which its owner turns into a fact.
 *
 * @category models
 * @since 0.1.0
 */
export interface SignalRecord {
  readonly id: number
  readonly executionId: string
  readonly kind: string
  readonly data: string
}

/**
 * An execution that an engine has taken, with everything that is known of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Claimed {
  readonly execution: ExecutionRecord
  readonly facts: ReadonlyArray<FactRecord>
  readonly signals: ReadonlyArray<SignalRecord>
  /** How many signals it has been sent in all. */
  readonly signalCount: number
  /** Whether nothing was in flight when its last owner gave it back; false after a crash. */
  readonly clean: boolean
  /** How many owners in a row have died with it and left no new fact. */
  readonly takeovers: number
}

/**
 * Which executions an engine would take.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClaimOptions {
  readonly sagas: ReadonlyArray<{ readonly saga: string; readonly version: number }>
  readonly nowMillis: number
  readonly limit: number
  /** Suspects are those with two takeovers or more: `true` claims these alone, `false` all others. */
  readonly suspects: boolean
}

/**
 * Where a page ends: the next one goes on behind it. `millis` is the time by which the list is ordered.
 *
 * @category models
 * @since 0.1.0
 */
export interface Cursor {
  readonly millis: number
  readonly executionId: string
}

/**
 * Which executions are meant. What is not said does not matter.
 *
 * @category models
 * @since 0.1.0
 */
export interface Filter {
  readonly saga?: string | undefined
  readonly version?: number | undefined
  readonly states?: ReadonlyArray<ExecutionState> | undefined
  /** Those that started at this time or later. */
  readonly startedFromMillis?: number | undefined
  /** Those that started before this time. */
  readonly startedBeforeMillis?: number | undefined
  /** Those in which nothing has changed since this time: what is final has ended before it. */
  readonly updatedBeforeMillis?: number | undefined
  readonly idPrefix?: string | undefined
  /** Those with all of these tags. */
  readonly tags?: Readonly<Record<string, string>> | undefined
  readonly uncertain?: boolean | undefined
}

/**
 * A page of a list: at most so many executions, behind a cursor.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListOptions extends Filter {
  readonly limit: number
  readonly after?: Cursor | undefined
}

/**
 * A page of a list. It may hold fewer than were asked for, or none, when there are more: only so no filter, however
 * little it leaves, makes a store read all that it has. `next` undefined: there are no more.
 *
 * @category models
 * @since 0.1.0
 */
export interface Page {
  readonly executions: ReadonlyArray<ExecutionRecord>
  readonly next: Cursor | undefined
}

/**
 * How many executions of one version of a saga are in one state.
 *
 * @category models
 * @since 0.1.0
 */
export interface StateCount {
  readonly saga: string
  readonly version: number
  readonly state: ExecutionState
  readonly count: number
}

/**
 * What a store says of itself.
 *
 * @category models
 * @since 0.1.0
 */
export interface Inspection {
  /** Its clock. */
  readonly nowMillis: number
  /** Which change of its tables was the last one, and which one this release works with. Undefined: it has no tables. */
  readonly schema: { readonly found: number; readonly known: number } | undefined
  /** The leases that nobody has ended, with how many executions each owns. */
  readonly leases: ReadonlyArray<{
    readonly id: number
    readonly name: string
    readonly expiresAtMillis: number
    readonly owned: number
  }>
  /** The longest facts of executions that are not final, longer than was asked, at most 100. */
  readonly longFacts: ReadonlyArray<{
    readonly executionId: string
    readonly sequence: number
    readonly tag: string
    readonly length: number
  }>
}

/**
 * What an engine needs of a store.
 *
 * @category models
 * @since 0.1.0
 */
export interface Journal {
  /** Whether other processes may write to the same store: then an engine looks from time to time what they wrote. */
  readonly shared: boolean

  /**
   * Fails for who asks from where no answer could come, such as inside of a transaction that has the only connection. An engine
   * asks it on behalf of its caller before it waits for itself. Undefined: one can ask from anywhere.
   */
  readonly guard?: ((operation: string) => Effect.Effect<void, JournalUnavailable>) | undefined

  /**
   * How many batches it writes side by side. No two of them hold the same execution.
   *
   * @default 1
   */
  readonly writers?: number

  /**
   * Takes a lease of so many milliseconds by the store's clock. Closing the scope without `end` looks like the death of
   * its holder: where the store can tell a death at once, others need not wait for the lease to run out.
   */
  readonly acquire: (options: {
    readonly name: string
    readonly leaseMillis: number
  }) => Effect.Effect<Lease, JournalUnavailable | JournalLocked, Scope.Scope>

  /** Prolongs a lease, counted from now. False: it was ended by another engine, and nothing can be written under it. */
  readonly renew: (lease: Lease, leaseMillis: number) => Effect.Effect<boolean, JournalUnavailable>

  /** Ends a lease in good order: what it still owns is given back, as not clean, and can be claimed at once. */
  readonly end: (lease: Lease) => Effect.Effect<void, JournalUnavailable>

  /** Writes a batch. Returns only after it is as safe as the store can make it. */
  readonly write: (lease: Lease, batch: Batch) => Effect.Effect<Written, JournalUnavailable | BatchRefused>

  /** `write`, where the store answers at once and never fails. Undefined: it does not. */
  readonly writeUnsafe?: (lease: Lease, batch: Batch) => Written

  /**
   * Ends the leases of engines that are dead or whose lease has run out, then gives back what they owned, page by page,
   * with one takeover more where there was no new fact since it was last claimed, else with one. Returns how many
   * executions that were.
   */
  readonly takeOver: (lease: Lease) => Effect.Effect<number, JournalUnavailable>

  /** Takes executions that are due, those due first first, and loads them: `Waiting` becomes `Running`. Empty when the lease is lost. */
  readonly claim: (lease: Lease, options: ClaimOptions) => Effect.Effect<ReadonlyArray<Claimed>, JournalUnavailable>

  /** When the next of these sagas is due that nobody owns. Those due later than any time are left out. */
  readonly nextDue: (sagas: ClaimOptions["sagas"]) => Effect.Effect<Option.Option<number>, JournalUnavailable>

  /** The row of an execution. */
  readonly find: (executionId: string) => Effect.Effect<Option.Option<ExecutionRecord>, JournalUnavailable>

  /** The facts of an execution from a sequence on, in order. */
  readonly facts: (
    executionId: string,
    from: number
  ) => Effect.Effect<ReadonlyArray<FactRecord>, JournalUnavailable>

  /** Which of these executions are final or stuck, with what their rows say. */
  readonly settled: (
    executionIds: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyArray<ExecutionRecord>, JournalUnavailable>

  /**
   * Executions in order: those that started first come first, in a list of stuck ones alone those first in which nothing
   * has changed for longest, and in a list by the beginning of the id they come by id. Equal times are ordered by id.
   */
  readonly list: (options: ListOptions) => Effect.Effect<Page, JournalUnavailable>

  /** How many executions there are, by saga, version and state. */
  readonly count: (
    filter: Pick<Filter, "saga" | "version" | "states">
  ) => Effect.Effect<ReadonlyArray<StateCount>, JournalUnavailable>

  /** All facts of an execution, each with the name of the engine that wrote it. */
  readonly history: (executionId: string) => Effect.Effect<ReadonlyArray<HistoryRecord>, JournalUnavailable>

  /**
   * Deletes those of these executions that are final, with their facts, signals, waits and tags, and says which. One that is
   * live or stuck stays, whoever asks.
   */
  readonly remove: (
    executionIds: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyArray<string>, JournalUnavailable>

  /** What the store says of itself. `longerThan`: from which length on, in characters, facts are listed. */
  readonly inspect: (options: { readonly longerThan: number }) => Effect.Effect<Inspection, JournalUnavailable>

  /**
   * Leaves a word for the owner of an execution, present or future, and makes it claimable if it is live and nobody
   * owns it. False: there is no such execution, or it is final or stuck, and nothing was left.
   */
  readonly send: (signal: {
    readonly executionId: string
    readonly kind: string
    readonly data: string
  }) => Effect.Effect<boolean, JournalUnavailable>

  /** Where events are kept. */
  readonly events: EventStore

  /** The signals to executions that this lease owns. */
  readonly signals: (lease: Lease) => Effect.Effect<ReadonlyArray<SignalRecord>, JournalUnavailable>

  /** Keeps a definition under its hash; the same one again changes nothing. */
  readonly define: (definition: {
    readonly hash: string
    readonly saga: string
    readonly version: number
    readonly data: string
  }) => Effect.Effect<void, JournalUnavailable>

  /** The definition that was kept under a hash. */
  readonly definition: (hash: string) => Effect.Effect<Option.Option<string>, JournalUnavailable>
}
