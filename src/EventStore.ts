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
 * An event that reaches nobody any more, and why.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeadLetter extends KeptEvent {
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
   * How far a subscription has come: it has handled every event of its types up to this number. One that is not known begins
   * at 0, and is known from then on.
   */
  readonly position: (
    subscription: string,
    types: ReadonlyArray<string>
  ) => Effect.Effect<number, JournalUnavailable>

  /**
   * The first events of some types behind a number, at most `limit`, in order, and up to which number there are no others.
   */
  readonly log: (options: {
    readonly types: ReadonlyArray<string>
    readonly after: number
    readonly limit: number
  }) => Effect.Effect<{ readonly events: ReadonlyArray<KeptEvent>; readonly upTo: number }, JournalUnavailable>

  /** Moves a subscription on. False: it is not where it was thought to be, and stays where it is. */
  readonly advance: (
    subscription: string,
    from: number,
    to: number
  ) => Effect.Effect<boolean, JournalUnavailable>

  /** Makes a dead letter of an event for another reason. The same again changes nothing. */
  readonly bury: (event: KeptEvent, reason: string, atMillis: number) => Effect.Effect<void, JournalUnavailable>

  /**
   * Forgets events that were kept before a time, that every subscription to their type is past, and that no execution awaits
   * which has not ended: at most `limit`, and says how many. Those that nobody has received, and that are of no type of a
   * subscription, become dead letters.
   */
  readonly forget: (options: {
    readonly keptBeforeMillis: number
    readonly limit: number
  }) => Effect.Effect<{ readonly count: number; readonly dead: ReadonlyArray<DeadLetter> }, JournalUnavailable>

  /** Dead letters in order, behind a number. */
  readonly deadLetters: (options: {
    readonly after: number
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<DeadLetter>, JournalUnavailable>
}
