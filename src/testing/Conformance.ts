/**
 * A promise of a contract as a value: its name and an Effect that fails when it is broken. Whatever runs Effects can run
 * it; nothing here knows a test framework.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"

/**
 * A promise was not kept: by what, which one, and what was seen instead.
 *
 * @category errors
 * @since 0.1.0
 */
export class PromiseBroken extends Data.TaggedError("PromiseBroken")<{
  /** What promised: the name that was given to the suite. */
  readonly subject: string
  readonly promise: string
  /** What was seen, and what should have been. */
  readonly problem: string
  /** Everything that is known of why. */
  readonly cause: Cause.Cause<unknown>
}> {
  override get message(): string {
    return `${this.subject} breaks a promise: ${this.promise}. ${this.problem}`
  }
}

/**
 * One promise of a contract.
 *
 * @category models
 * @since 0.1.0
 */
export interface PromiseTest {
  readonly name: string
  /** Runs alone, on what it makes itself, as often as you like. */
  readonly test: Effect.Effect<void, PromiseBroken>
}

/** A test that takes longer than that waits for something that does not come. By the clock of the runner. */
const longestMillis = 20_000

/** Makes a test out of what may go wrong in any way. */
export const promiseTest = (
  subject: string,
  promise: string,
  body: Effect.Effect<unknown, unknown, Scope.Scope>
): PromiseTest => ({
  name: promise,
  test: Effect.scoped(body).pipe(
    Effect.asVoid,
    // What is stuck on purpose is no news.
    Effect.provideService(Logger.CurrentLoggers, new Set()),
    Effect.timeoutOrElse({
      duration: longestMillis,
      orElse: () => Effect.die(new Error(`it did not end within ${longestMillis / 1_000} seconds`))
    }),
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.interrupt
        : Effect.fail(new PromiseBroken({ subject, promise, problem: wordsOf(cause), cause }))
    )
  )
})

const wordsOf = (cause: Cause.Cause<unknown>): string => {
  const squashed = Cause.squash(cause)
  return squashed instanceof Error ? squashed.message : String(squashed)
}
