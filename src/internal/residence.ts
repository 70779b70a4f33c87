/**
 * How an execution stays in this process for a while: what its journal said when it came, for what it waits, and how it
 * is asked to leave. A run in a fiber alone has none. It runs nothing.
 */
import * as Effect from "effect/Effect"
import type { History } from "./history.ts"
import type { Mail } from "./mail.ts"
import { StopSignal } from "./signal.ts"

/** The stay of one execution. */
export class Residence {
  readonly history: History | undefined
  /** Leave: nothing new is started, waits are cut, what is in flight ends and is recorded. Nothing has failed. */
  readonly leave = new StopSignal()
  /** Gone: nothing that happens from now on is recorded, and what is still in flight is cut. */
  readonly gone = new StopSignal()
  /** It has left although it could have gone on. */
  more = false
  /** What brings it the events that it waits for. */
  mail: Mail | undefined
  /** Called when something begins to wait: what to do about it when everything else has come to rest. */
  onWait: ((dueAtMillis: number) => Effect.Effect<void> | undefined) | undefined
  /** When each wait ends that goes on or was cut. */
  readonly #waits = new Set<{ readonly dueAtMillis: number }>()
  #inFlight = 0
  #paused = 0

  constructor(history: History | undefined) {
    this.history = history
    this.gone.listen(() => this.leave.stop())
  }

  get leaving(): boolean {
    return this.leave.stopped
  }

  get isGone(): boolean {
    return this.gone.stopped
  }

  get idle(): boolean {
    return this.#inFlight === 0 && this.#paused > 0
  }

  /** When it should come back: at once, unless it only waits. `undefined`: it waits for nothing that time brings. */
  get dueAtMillis(): number | undefined {
    if (this.more) return 0
    let due: number | undefined
    for (const { dueAtMillis } of this.#waits) if (due === undefined || dueAtMillis < due) due = dueAtMillis
    return due
  }

  /** Something is done that must not be cut by leaving. */
  busy<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      this.#inFlight++
      return Effect.onExitPrimitive(effect, () => {
        this.#inFlight--
        return undefined
      })
    })
  }

  /** A wait that needs nobody here. `pause`: it is a pause of something that is busy otherwise. */
  waiting(dueAtMillis: number, pause: boolean, wait: Effect.Effect<boolean>): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const entry = this.until(dueAtMillis)
      if (pause) this.#inFlight--
      this.#paused++
      const waited = Effect.map(wait, (toTheEnd) => {
        if (pause) this.#inFlight++
        this.#paused--
        if (toTheEnd || !this.leaving) entry()
        return toTheEnd
      })
      const then = this.onWait?.(dueAtMillis)
      return then === undefined
        ? waited
        : Effect.andThen(Effect.forkDetach(Effect.andThen(Effect.yieldNow, then)), waited)
    })
  }

  /** Something will happen then, such as the passing of a limit. Returns how to forget it. */
  until(dueAtMillis: number): () => void {
    const entry = { dueAtMillis }
    this.#waits.add(entry)
    return () => {
      this.#waits.delete(entry)
    }
  }
}
