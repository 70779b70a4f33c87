/** How events come to an execution that waits for them. What brings them is elsewhere: this is what both sides agree on. */
import type * as Effect from "effect/Effect"

/** What is awaited: an event of a type, about something. */
export interface Address {
  readonly type: string
  readonly key: string
}

/** An event as it is offered to a wait. */
export interface Letter extends Address {
  readonly id: string
  readonly payload: unknown
}

/** One wait of an execution. */
export interface Waiting {
  readonly path: string
  readonly events: ReadonlyArray<Address>
  /** Says whether the wait takes it. Nothing else is offered to it from then on. */
  readonly offer: (letter: Letter) => boolean
}

/** What brings events to the waits of an execution. */
export interface Mail {
  /**
   * Opens a wait and returns how to close it. What is kept for it has been offered then, the oldest first; what comes
   * later is offered when it comes.
   */
  readonly open: (waiting: Waiting) => Effect.Effect<() => void>
}
