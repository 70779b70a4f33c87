/**
 * The word that no new step may start, given to a group of branches and all below it. It cuts waits, never an action.
 */
export class StopSignal {
  stopped = false
  #listeners: Set<() => void> | undefined

  /** A signal that stops with this one, and may stop alone. `close` it when its group has ended. */
  child(): { readonly signal: StopSignal; readonly close: () => void } {
    const signal = new StopSignal()
    if (this.stopped) signal.stopped = true
    return { signal, close: this.listen(() => signal.stop()) }
  }

  stop(): void {
    if (this.stopped) return
    this.stopped = true
    const listeners = this.#listeners
    this.#listeners = undefined
    listeners?.forEach((listener) => listener())
  }

  /** Calls back at most once, when it stops. Returns how to stop listening. */
  listen(listener: () => void): () => void {
    const listeners = this.#listeners ??= new Set()
    listeners.add(listener)
    return () => {
      listeners.delete(listener)
    }
  }
}
