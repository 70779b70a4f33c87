/**
 * The service as a process that can be killed. It does not outlive the scope that it was started in.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { ChildProcess } from "node:child_process"
import { fork } from "node:child_process"
import { closeSync, openSync, readFileSync } from "node:fs"
import { join } from "node:path"
import type { Refusal } from "./intake.ts"

export class Service {
  readonly startedAtMillis = Date.now()
  /** What it said of the orders that it did not take; undefined until it has looked at all of them. */
  refusals: ReadonlyArray<Refusal> | undefined
  readonly #log: string
  readonly #child: ChildProcess

  private constructor(folder: string, name: string) {
    this.#log = join(folder, `${name}.log`)
    const log = openSync(this.#log, "w")
    this.#child = fork(
      join(import.meta.dirname, "worker.ts"),
      [join(folder, "journal.sqlite"), join(folder, "books.sqlite")],
      { stdio: ["ignore", log, log, "ipc"] }
    )
    closeSync(log)
    this.#child.on("message", (message) => this.refusals = message as ReadonlyArray<Refusal>)
  }

  /** Starts the service on the files of a folder. */
  static start(folder: string, name: string): Effect.Effect<Service, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => new Service(folder, name)),
      (service) => service.end("SIGKILL")
    )
  }

  get pid(): number {
    return this.#child.pid!
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** Sends a signal, and waits until the process is gone. */
  end(signal: NodeJS.Signals): Effect.Effect<void> {
    return Effect.callback((resume) => {
      if (this.hasEnded) return resume(Effect.void)
      this.#child.once("exit", () => resume(Effect.void))
      this.#child.kill(signal)
    })
  }

  /** Looks again and again until there is something to see. A defect when the process ends before. */
  until<A, E>(look: Effect.Effect<A | undefined, E>): Effect.Effect<A, E> {
    return Effect.flatMap(look, (found) =>
      found !== undefined
        ? Effect.succeed(found)
        : this.hasEnded
        ? Effect.die(new Error(`The service has ended by itself:\n${readFileSync(this.#log, "utf8")}`))
        : Effect.andThen(Effect.sleep("10 millis"), this.until(look)))
  }
}
