/**
 * A program as a process that can be killed. It does not outlive the scope that it was started in, and tells the process
 * that started it one thing, by `process.send`.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { ChildProcess } from "node:child_process"
import { fork } from "node:child_process"
import { closeSync, openSync, readFileSync } from "node:fs"

export class Killable<Message> {
  readonly startedAtMillis = Date.now()
  /** What it has told, as soon as it has. */
  message: Message | undefined
  readonly #log: string
  readonly #child: ChildProcess

  private constructor(program: string, args: ReadonlyArray<string>, log: string) {
    this.#log = log
    const output = openSync(log, "a")
    this.#child = fork(program, args, { stdio: ["ignore", output, output, "ipc"] })
    closeSync(output)
    this.#child.once("message", (message) => this.message = message as Message)
  }

  /** Starts a program. What it prints goes to a file. */
  static start<Message>(
    program: string,
    args: ReadonlyArray<string>,
    log: string
  ): Effect.Effect<Killable<Message>, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => new Killable<Message>(program, args, log)),
      (started) => started.end("SIGKILL")
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
  until<A, E, R>(look: Effect.Effect<A | undefined, E, R>): Effect.Effect<A, E, R> {
    return Effect.flatMap(look, (found) =>
      found !== undefined
        ? Effect.succeed(found)
        : this.hasEnded
        ? Effect.die(new Error(`${this.#child.spawnfile} has ended by itself:\n${readFileSync(this.#log, "utf8")}`))
        : Effect.andThen(Effect.sleep("10 millis"), this.until(look)))
  }

  /** Waits for what it tells. */
  get told(): Effect.Effect<Message> {
    return this.until(Effect.sync(() => this.message))
  }
}

/** For the program itself: ends it when the process is gone that has started it. */
export const endWithParent = (): void => {
  process.on("disconnect", () => process.kill(process.pid, "SIGTERM"))
}
