/**
 * The part of a journal that keeps events: what it must keep, and what it promises. It sees text and numbers only.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { BatchRefused, JournalUnavailable } from "./JournalError.ts"

/**
 * An event, from outside or from a saga.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventRecord {
  /** However often it is given to a store, it counts once. */
  readonly id: string
  readonly type: string
  readonly key: string
  /** What it says, and what is known of it besides, as JSON text. */
  readonly data: string
}

/**
 * An event that is kept, with its number: what was kept later has a higher one.
 *
 * @category models
 * @since 0.1.0
 */
export interface KeptEvent extends EventRecord {
  readonly sequence: number
}

/**
 * An event that reaches nobody any more, or not this subscription, and why.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeadLetter extends KeptEvent {
  /** Its number among the dead letters: what became one later has a higher one. */
  readonly number: number
  /** The subscription that could not handle it. `null`: nobody has received it. */
  readonly subscription: string | null
  readonly reason: string
  readonly atMillis: number
}

/**
 * An event that an execution publishes.
 *
 * @category models
 * @since 0.1.0
 */
export interface PublishedEvent extends EventRecord {
  readonly executionId: string
  readonly keptAtMillis: number
}

/**
 * An execution awaits an event: of a type, about something.
 *
 * @category models
 * @since 0.1.0
 */
export interface WaitRecord {
  readonly executionId: string
  readonly path: string
  readonly type: string
  readonly key: string
}

/**
 * A wait is over, for all events that were awaited there.
 *
 * @category models
 * @since 0.1.0
 */
export interface EndedWait {
  readonly executionId: string
  readonly path: string
  /** The number of the event that was received there. `null`: none was. */
  readonly received: number | null
}

/**
 * How far a subscription has come in a type: it has handled every event of it up to this number.
 *
 * @category models
 * @since 0.1.0
 */
export interface LogPosition {
  readonly type: string
  readonly after: number
}

/**
 * A subscription that a store knows, in one of its types.
 *
 * @category models
 * @since 0.1.0
 */
export interface SubscriptionRecord extends LogPosition {
  readonly name: string
  /** How many kept events of the type it has not handled. */
  readonly behind: number
}

/**
 * Which events an execution asks for: of a type, about something, behind a number.
 *
 * @category models
 * @since 0.1.0
 */
export interface LettersRequest {
  readonly executionId: string
  readonly type: string
  readonly key: string
  readonly after: number
}

/**
 * What an engine needs of a store to bring events to who awaits them. An event is kept for a while; who awaits it is sent a
 * signal, and reads it.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventStore {
  /**
   * Keeps events in this order, and says which of them, by their ids, it had not kept before. Returns only after they are as
   * safe as the store can make them. Whoever opens a wait after that reads them.
   */
  readonly keep: (
    events: ReadonlyArray<EventRecord>,
    keptAtMillis: number
  ) => Effect.Effect<ReadonlyArray<string>, JournalUnavailable | BatchRefused>

  /**
   * Sends a signal of the kind `event` to each live execution that awaits an event which nobody was told of yet, and says how
   * many events that were: 0 means that none is left. An execution that is being written may be left out for now: the events
   * that it awaits are left then.
   */
  readonly wake: Effect.Effect<number, JournalUnavailable>

  /**
   * For each request the first events, at most `limit`, that are kept and that the execution has not received, in order.
   */
  readonly read: (
    requests: ReadonlyArray<LettersRequest>,
    limit: number
  ) => Effect.Effect<ReadonlyArray<ReadonlyArray<KeptEvent>>, JournalUnavailable>

  /**
   * Moves a subscription on to a number, in those of these types in which it is not further, and says how far it has come in
   * each. In a type that it has not read before it begins at 0; what it reads is held for it from then on.
   */
  readonly advance: (
    subscription: string,
    types: ReadonlyArray<string>,
    to: number
  ) => Effect.Effect<ReadonlyArray<LogPosition>, JournalUnavailable>

  /**
   * The first events of some types, of each behind a number, at most `limit`, in order, and up to which number there are no
   * others.
   */
  readonly log: (options: {
    readonly from: ReadonlyArray<LogPosition>
    readonly limit: number
  }) => Effect.Effect<{ readonly events: ReadonlyArray<KeptEvent>; readonly upTo: number }, JournalUnavailable>

  /** The subscriptions that are known, in each of their types: by name, then by type. */
  readonly subscriptions: Effect.Effect<ReadonlyArray<SubscriptionRecord>, JournalUnavailable>

  /** Forgets a subscription: nothing is held for it any more. False: there is none. */
  readonly unsubscribe: (subscription: string) => Effect.Effect<boolean, JournalUnavailable>

  /** Makes a dead letter of an event, for a subscription. If it is one already, it gets this reason. */
  readonly bury: (
    event: KeptEvent,
    subscription: string,
    reason: string,
    atMillis: number
  ) => Effect.Effect<void, JournalUnavailable>

  /**
   * Forgets events that were kept before a time, that every subscription to their type is past, and that no execution awaits
   * which has not ended: at most `limit`, and says how many. Those that nobody has received, and that are of no type of a
   * subscription, become dead letters.
   */
  readonly forget: (options: {
    readonly keptBeforeMillis: number
    readonly limit: number
  }) => Effect.Effect<{ readonly count: number; readonly dead: ReadonlyArray<DeadLetter> }, JournalUnavailable>

  /** Dead letters by their own numbers, behind one. */
  readonly deadLetters: (options: {
    readonly after: number
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<DeadLetter>, JournalUnavailable>

  /** How many dead letters there are. */
  readonly deadLetterCount: Effect.Effect<number, JournalUnavailable>

  /**
   * Hands a dead letter out again: that of a subscription to this one; one that nobody has received is an event again, kept
   * from now on. False: there is none of this number.
   */
  readonly redeliver: (number: number, atMillis: number) => Effect.Effect<boolean, JournalUnavailable>

  /** The first dead letters of a subscription, of some types, that are to be handed out again, at most `limit`, in order. */
  readonly redelivered: (
    subscription: string,
    types: ReadonlyArray<string>,
    limit: number
  ) => Effect.Effect<ReadonlyArray<DeadLetter>, JournalUnavailable>

  /** Deletes a dead letter. False: there is none of this number. */
  readonly discard: (number: number) => Effect.Effect<boolean, JournalUnavailable>
}
