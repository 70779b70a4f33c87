/** What an inline saga did, line by line, and what it told the log. It judges nothing: tests read it. */
import type { Duration } from "effect"
import { Cause, Effect, Exit, Fiber, Logger } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"

export class Ledger {
  /** `+seat` for an effect, `-seat` for what undid it, and whatever a test adds. */
  readonly lines: Array<string> = []
  readonly logged: Array<string> = []
  /** Takes down what is logged in place of printing it. */
  readonly layer = Logger.layer([
    Logger.make(({ logLevel, message }) => {
      this.logged.push(`${logLevel}: ${Array.isArray(message) ? message[0] : message}`)
    })
  ])

  readonly write = (line: string): Effect.Effect<void> =>
    Effect.sync(() => {
      this.lines.push(line)
    })

  /** An action that takes effect and returns its name. */
  readonly act = (name: string): Effect.Effect<string> => Effect.as(this.write(`+${name}`), name)

  /** What undoes it. */
  readonly undo = (name: string): Effect.Effect<void> => this.write(`-${name}`)

  readonly step = (name: string): Effect.Effect<string, never, Saga.SagaScope> =>
    this.act(name).pipe(Saga.withCompensation(this.undo, { name }))
}

/** The reasons of a failure: typed errors and defects as they are, `interrupted` for an interruption. */
export const reasonsOf = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<unknown> =>
  Exit.isSuccess(exit) ? [] : exit.cause.reasons.map((reason) => {
    if (Cause.isFailReason(reason)) return reason.error
    return Cause.isDieReason(reason) ? reason.defect : "interrupted"
  })

/** What a failure says is uncertain, as `path reason`. */
export const uncertainOf = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<string> =>
  Exit.isSuccess(exit) ? [] : Saga.aftermath(exit.cause).uncertain.map(({ path, reason }) => `${path} ${reason}`)

/** The causes of the first uncertain step of a failure. */
export const whyUncertain = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<unknown> =>
  Exit.isSuccess(exit) ? [] : reasonsOf(Exit.failCause(Saga.aftermath(exit.cause).uncertain[0]!.cause))

/** A compensation that takes down what it is given. */
export const undoing = (ledger: Ledger, name: string) => (attempt: Saga.Attempt<unknown>): Effect.Effect<void> =>
  ledger.write(
    `-${name} ${attempt._tag} ${attempt._tag === "Unknown" ? attempt.reason : JSON.stringify(attempt.result)}`
  )

/** Lets virtual time pass until an effect has ended. */
export const during = (duration: Duration.Input) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust(duration)
    return yield* Fiber.join(fiber)
  })
