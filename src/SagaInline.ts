/**
 * Sagas of a few lines inside an Effect program: steps without names or schemas, undone when the scope around them
 * fails. They die with the process.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import { competing, register, within } from "./internal/inline.ts"
import type { InlineStep } from "./internal/inlineLog.ts"
import type { AnyEffect } from "./internal/tree.ts"
import { limitProblem } from "./internal/tree.ts"
import { defaultCompensationTimeoutMillis } from "./internal/unwind.ts"
import type { CompensationFailed } from "./SagaError.ts"
import { SagaDefinitionError } from "./SagaError.ts"
import type { SagaScope } from "./SagaScope.ts"
import type { Attempt, InlineContext } from "./StepContext.ts"

/**
 * How an inline step is compensated, and what an unknown outcome of its action means.
 *
 * @category models
 * @since 0.1.0
 */
export interface InlineOptions<A, E, R> {
  /** What errors and logs call it. Without it, its position. */
  readonly name?: string
  /** Names errors of the action that leave open whether it took place, such as those of `Effect.timeout`. */
  readonly isUncertain?: (error: E) => boolean
  /**
   * Asks the participant whether an action of unknown outcome took place: `Some` of its result, and the step has
   * succeeded, or `None`. Bounded by 30 seconds. If it fails, the outcome stays unknown.
   */
  readonly verify?: Effect.Effect<Option.Option<A>, unknown, R>
  /**
   * Given the error of a try, its defect, or `CompensationTimedOut`.
   *
   * @default five tries with pauses of 100, 200, 400 and 800 ms
   */
  readonly compensationRetry?: Schedule.Schedule<unknown, unknown>
  /**
   * The limit of each try.
   *
   * @default 30 seconds
   */
  readonly compensationTimeout?: Duration.Input
}

// Looked up, not spelled out: so that a message of the compiler lists the three words in place of this name.
type WhenUncertain = InlineStep["whenUncertain"]

/** What a compensation is given: the result, or what is known of the attempt when it runs in the dark too. */
type Given<A, W extends WhenUncertain> = W extends "compensate" ? Attempt<A> : A

/**
 * Runs an action and remembers how to undo it if the saga around it fails.
 *
 * **When to use**
 *
 * Use inside `Saga.scoped` when a later failure must be answered by undoing what this action did.
 *
 * **Details**
 *
 * A typed failure of the action means that nothing happened. An action that is cut off (an interruption, a defect) has
 * an unknown outcome: with `whenUncertain: "compensate"` its compensation runs too and is given an `Attempt`; with
 * `"stuck"` nothing is compensated and the saga fails with `CompensationFailed`; otherwise it is reported. The
 * compensation runs with the services that the action had.
 *
 * **Gotchas**
 *
 * `Effect.timeout` inside turns a cut-off action into a typed failure, which says "it did not happen": name it in
 * `isUncertain`. `Effect.uninterruptible` belongs around the step, behind `withCompensation`: inside of it the action is
 * waited for, but its result is lost to the interruption. Provide layers outside `Saga.scoped`: one that is provided
 * around a step alone is closed before the compensation runs. `Effect.race` and `Effect.timeoutOption` around a step drop its success while the saga goes on: use
 * `Saga.race` and `Saga.timeoutOption`. A crash of the process loses everything: nothing is compensated.
 *
 * **Example** (Reserving a seat)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect } from "effect"
 *
 * const done: Array<string> = []
 * const program = Saga.scoped(Effect.gen(function*() {
 *   yield* Effect.sync(() => done.push("reserve")).pipe(
 *     Saga.withCompensation(() => Effect.sync(() => done.push("release")))
 *   )
 *   return yield* Effect.fail("declined")
 * }))
 * Effect.runSync(Effect.flip(program)) // => "declined"
 * done // => ["reserve", "release"]
 * ```
 *
 * @category inline
 * @since 0.1.0
 */
export const withCompensation: {
  <A, E, CE, CR, VR = never, const W extends WhenUncertain = "report">(
    compensation: (given: Given<A, W>, context: InlineContext) => Effect.Effect<unknown, CE, CR>,
    options?: InlineOptions<NoInfer<A>, NoInfer<E>, VR> & { readonly whenUncertain?: W }
  ): <R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | CR | VR | SagaScope>
  <A, E, R, CE, CR, VR = never, const W extends WhenUncertain = "report">(
    self: Effect.Effect<A, E, R>,
    compensation: (given: Given<NoInfer<A>, W>, context: InlineContext) => Effect.Effect<unknown, CE, CR>,
    options?: InlineOptions<NoInfer<A>, NoInfer<E>, VR> & { readonly whenUncertain?: W }
  ): Effect.Effect<A, E, R | CR | VR | SagaScope>
  // Once more, because of a wrong call the compiler takes the type of the first one and explains the last one.
  <A, E, CE, CR, VR = never, const W extends WhenUncertain = "report">(
    compensation: (given: Given<A, W>, context: InlineContext) => Effect.Effect<unknown, CE, CR>,
    options?: InlineOptions<NoInfer<A>, NoInfer<E>, VR> & { readonly whenUncertain?: W }
  ): <R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | CR | VR | SagaScope>
} = ((...args: DataFirst | DataLast) => {
  if (isDataFirst(args)) return register(args[0], stepOf(args[1], args[2]))
  const step = stepOf(args[0], args[1])
  return (self: AnyEffect) => register(self, step)
  // The overloads say what is given and what comes out.
}) as never

type DataFirst = readonly [self: AnyEffect, compensation: InlineStep["compensation"], options?: Erased]
type DataLast = readonly [compensation: InlineStep["compensation"], options?: Erased]

// `dual` tells these apart by spreading the arguments of every call: as dear as all the rest of a step.
const isDataFirst = (args: DataFirst | DataLast): args is DataFirst => typeof args[1] === "function"

/** The options of a step, with types taken off. */
interface Erased extends InlineOptions<unknown, unknown, never> {
  readonly whenUncertain?: WhenUncertain
}

const stepOf = (compensation: InlineStep["compensation"], options: Erased | undefined): InlineStep => ({
  name: options?.name,
  compensation,
  whenUncertain: options?.whenUncertain ?? "report",
  isUncertain: options?.isUncertain,
  verify: options?.verify,
  compensationRetry: options?.compensationRetry,
  compensationTimeoutMillis: limitOf(options)
})

const limitOf = (options: Erased | undefined): number => {
  const limit = options?.compensationTimeout
  if (limit === undefined) return defaultCompensationTimeoutMillis
  const millis = Duration.toMillis(limit)
  const problem = limitProblem("compensationTimeout", millis)
  if (problem === undefined) return millis
  throw new SagaDefinitionError({ saga: "inline", path: options?.name ?? "", problem })
}

/**
 * Runs an effect as a saga: when it fails or is interrupted, what its steps did is undone in reverse. When it succeeds
 * nothing is undone, also not by a saga around it.
 *
 * **Details**
 *
 * The caller gets the error of the effect, unchanged. When a compensation fails to its last try, the others still run
 * and the caller gets one `CompensationFailed`. An interruption waits for the unwind.
 *
 * **Gotchas**
 *
 * Join the fibers that run steps before the end: a step that is started later is a defect `SagaScopeClosed`, and one
 * that ends after its saga has failed is undone at once, in its own fiber. A crash of the process loses everything:
 * nothing is compensated.
 *
 * **Example** (Two steps and a failure)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect } from "effect"
 *
 * const undone: Array<string> = []
 * const step = (name: string) =>
 *   Effect.succeed(name).pipe(Saga.withCompensation((name) => Effect.sync(() => undone.push(name))))
 * const program = step("flight").pipe(Effect.andThen(step("hotel")), Effect.andThen(Effect.fail("no car")), Saga.scoped)
 * Effect.runSync(Effect.flip(program)) // => "no car"
 * undone // => ["hotel", "flight"]
 * ```
 *
 * @category inline
 * @since 0.1.0
 */
export const scoped = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | CompensationFailed<E>, Exclude<R, SagaScope>> => within(self, "scoped")

/**
 * Runs an effect as a part of the saga around it: when it fails, its own steps are undone at once; when it succeeds,
 * they can still be undone by the saga around it.
 *
 * **When to use**
 *
 * Use to try something whose failure the saga survives, such as a cheaper supplier.
 *
 * **Example** (Another supplier)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect } from "effect"
 *
 * const undone: Array<string> = []
 * const reserve = (name: string) =>
 *   Effect.succeed(name).pipe(Saga.withCompensation((name) => Effect.sync(() => undone.push(name))))
 * const cheap = reserve("cheap").pipe(Effect.andThen(Effect.fail("sold out")), Saga.joined)
 * const program = cheap.pipe(Effect.catch(() => Saga.joined(reserve("dear"))), Saga.scoped)
 * Effect.runSync(program) // => "dear"
 * undone // => ["cheap"]
 * ```
 *
 * @category inline
 * @since 0.1.0
 */
export const joined = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | CompensationFailed<E>, R | SagaScope> =>
  within(self, "joined") as Effect.Effect<A, E | CompensationFailed<E>, R | SagaScope>

/**
 * Runs two effects side by side and takes the first success, as `Effect.race` does. What the steps of the other one did
 * is undone, also when it had succeeded by then; what the winner did stays undoable by the saga around.
 *
 * **Example** (Two carriers, one of them is enough)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect } from "effect"
 *
 * const undone: Array<string> = []
 * const ask = (name: string, millis: number) =>
 *   Effect.succeed(name).pipe(
 *     Saga.withCompensation((name) => Effect.sync(() => undone.push(name))),
 *     Effect.tap(Effect.sleep(millis))
 *   )
 * await Effect.runPromise(Saga.scoped(Saga.race(ask("fast", 1), ask("slow", 1_000)))) // => "fast"
 * undone // => ["slow"]
 * ```
 *
 * @category inline
 * @since 0.1.0
 */
export const race: {
  <A2, E2, R2>(
    that: Effect.Effect<A2, E2, R2>
  ): <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A | A2, E | E2 | CompensationFailed<E | E2>, R | R2 | SagaScope>
  <A, E, R, A2, E2, R2>(
    self: Effect.Effect<A, E, R>,
    that: Effect.Effect<A2, E2, R2>
  ): Effect.Effect<A | A2, E | E2 | CompensationFailed<E | E2>, R | R2 | SagaScope>
} = dual(
  2,
  (self: AnyEffect, that: AnyEffect) => competing([self, that], ([first, second]) => Effect.race(first!, second!))
)

/**
 * Runs an effect with a limit. When the limit passes, what its steps did is undone, and the result is `None`.
 *
 * **Example** (Not waiting for the slow supplier)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Option } from "effect"
 *
 * const undone: Array<string> = []
 * const slow = Effect.succeed("slow").pipe(
 *   Saga.withCompensation((name) => Effect.sync(() => undone.push(name))),
 *   Effect.andThen(Effect.never)
 * )
 * const answer = await Effect.runPromise(Saga.scoped(Saga.timeoutOption(slow, "5 millis")))
 * Option.isNone(answer) // => true
 * undone // => ["slow"]
 * ```
 *
 * @category inline
 * @since 0.1.0
 */
export const timeoutOption: {
  (
    duration: Duration.Input
  ): <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<Option.Option<A>, E | CompensationFailed<E>, R | SagaScope>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    duration: Duration.Input
  ): Effect.Effect<Option.Option<A>, E | CompensationFailed<E>, R | SagaScope>
} = dual(2, (self: AnyEffect, duration: Duration.Input) =>
  Effect.map(
    competing([self], ([only]) =>
      Effect.map(Effect.timeoutOption(only!, duration), (answer) =>
        Option.isNone(answer)
          ? { log: undefined, value: answer }
          : { log: answer.value.log, value: Option.some(answer.value.value) })),
    (answer) => answer as Option.Option<unknown>
  ))
