/** Who waits for an execution, wherever it runs: woken when there may be something new. It reads nothing. */
import * as Latch from "effect/Latch"
import type { ExecutionState } from "../../Journal.ts"
import type { Ending } from "./outcome.ts"

/** How an execution ended, as a version of its saga has it. */
interface Ended {
  readonly ending: Ending
  readonly version: number
}

/** One who waits. */
export interface Watch {
  readonly executionId: string
  readonly latch: Latch.Latch
  /** How it ended, where that is known here. */
  ended: Ended | undefined
  /** What its row said when it was last looked at. */
  seen: ExecutionState | undefined
}

/** All who wait in this process. */
export class Watches {
  readonly #watches = new Map<string, Set<Watch>>()

  open(executionId: string): Watch {
    const watch: Watch = { executionId, latch: Latch.makeUnsafe(false), ended: undefined, seen: undefined }
    const all = this.#watches.get(executionId)
    if (all === undefined) this.#watches.set(executionId, new Set([watch]))
    else all.add(watch)
    return watch
  }

  close(watch: Watch): void {
    const all = this.#watches.get(watch.executionId)
    if (all === undefined) return
    all.delete(watch)
    if (all.size === 0) this.#watches.delete(watch.executionId)
  }

  wake(executionId: string, ended?: Ended): void {
    for (const watch of this.#watches.get(executionId) ?? []) {
      watch.ended = ended
      watch.latch.openUnsafe()
    }
  }

  wakeAll(): void {
    for (const all of this.#watches.values()) for (const watch of all) watch.latch.openUnsafe()
  }

  /** Wakes those who have not seen an execution in this state. */
  tell(executionId: string, state: ExecutionState): void {
    for (const watch of this.#watches.get(executionId) ?? []) if (watch.seen !== state) watch.latch.openUnsafe()
  }

  get executionIds(): ReadonlyArray<string> {
    return Array.from(this.#watches.keys())
  }
}
