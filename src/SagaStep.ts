/**
 * The steps of a saga: an action with what undoes it, a check, the pivot, a retriable, a sleep. Each function adds one
 * node to a saga; none runs anything.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import type { AnyEffect, SagaTree, State as AnyState, StepNode } from "./internal/tree.ts"
import { defaultCompensationTimeoutMillis } from "./internal/unwind.ts"
import type { ForwardRecoveryFailed, StepTimedOut } from "./SagaError.ts"
import type { AnySaga, Phase, Place, Saga } from "./SagaValue.ts"
import { fromTree, toTree } from "./SagaValue.ts"
import type { Attempt, CompensationContext, StepContext } from "./StepContext.ts"

// `Effect<number>` is assignable to `Effect<void>`: without these two a result or an error could be lost in silence.
type ResultOf<AS extends Schema.Top> = [AS] extends [Schema.Void]
  ? void | "this result is lost: say `success: <schema>`"
  : AS["Type"]
type FailureOf<ES extends Schema.Top> = [ES] extends [Schema.Never]
  ? "this error is not declared: say `error: <schema>`"
  : ES["Type"]

/**
 * The name of a new node: a literal that no other node of the saga has. Anything else becomes a message.
 *
 * @category models
 * @since 0.1.0
 */
export type Fresh<N extends string, S> = S extends string ? NoInfer<S>
  : IsLiteral<N> extends true ? N extends keyof S ? `the name "${N}" is already used in this saga` : N
  : "the name of a node must be a literal"

/** Neither `string` nor a pattern, which leave the record of them empty, nor one of several. */
type IsLiteral<N extends string, M = N> = {} extends { readonly [K in N]: K } ? false
  : N extends unknown ? [M] extends [N] ? true : false
  : never

/**
 * A state with one more result.
 *
 * @category models
 * @since 0.1.0
 */
export type With<S, N extends string, A> = S & { readonly [K in N]: A }

/**
 * How an action is run.
 *
 * @category models
 * @since 0.1.0
 */
export interface ActionOptions<S, AS extends Schema.Top, ES extends Schema.Top, R> {
  /** The result; without it the action returns nothing. */
  readonly success?: AS
  /** The errors that mean: it did not happen. Any other end is no typed failure. */
  readonly error?: ES
  readonly action: (state: S, context: StepContext) => Effect.Effect<ResultOf<AS>, FailureOf<ES>, R>
  /**
   * Whether an interruption, or the limit of the saga, may cut the action. Its own `timeout` may in any case.
   * `Effect.uninterruptible` inside the action is no replacement: the action is waited for, but its result is lost to the
   * interruption, and the outcome counts as unknown.
   *
   * @default true
   */
  readonly interruptible?: boolean
}

/**
 * What to do about an action whose outcome may become unknown.
 *
 * @category models
 * @since 0.1.0
 */
export interface UncertainOptions<S, AS extends Schema.Top, VR> {
  /**
   * `at-most-once` never runs an action again whose last attempt was cut off.
   *
   * @default "at-least-once"
   */
  readonly delivery?: "at-least-once" | "at-most-once"
  /**
   * Asks the participant whether an action of unknown outcome took place: `Some` of its result, or `None`. Bounded by
   * `timeout`, or by 30 seconds. If it fails, the outcome stays unknown. `None` says that it will not take place either: let the
   * participant bar the key then, since a process that was taken for dead may still be on its way there.
   */
  readonly verify?: (state: S, context: StepContext) => Effect.Effect<Option.Option<AS["Type"]>, unknown, VR>
}

interface Retry<ES extends Schema.Top> {
  /**
   * When a failed attempt is followed by another one, with the same idempotency key.
   *
   * @default no retry
   */
  readonly retry?: Schedule.Schedule<unknown, ES["Type"] | StepTimedOut>
}

interface Limit<ES extends Schema.Top> {
  /** The limit of each attempt. An action that ignores its interruption is waited for, and then counts as unknown. */
  readonly timeout?: Duration.Input
  /** Turns the limit into an error of the step. Without it a `StepTimedOut` reaches the caller as a defect. */
  readonly timeoutError?: () => ES["Type"]
}

/** What is said of a step and of nothing else, so that the options of a step are not taken for those of another kind. */
interface NotCompensated {
  readonly compensation?: OnlySteps
  readonly compensationRetry?: OnlySteps
  readonly compensationTimeout?: OnlySteps
  readonly whenUncertain?: OnlySteps
}
type OnlySteps = "only a `step` is compensated: a check, a pivot and a retriable are not"

interface Backward<S, A, CE, CR> {
  /** Undoes the action. May run more than once, each time with the same idempotency key. */
  readonly compensation: (given: A, state: S, context: CompensationContext) => Effect.Effect<unknown, CE, CR>
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

/**
 * The options of a step. One that can be cut off by its own doing must say what an unknown outcome means.
 *
 * @category models
 * @since 0.1.0
 */
export type StepOptions<S, AS extends Schema.Top, ES extends Schema.Top, R, VR, CE, CR> =
  & ActionOptions<S, AS, ES, R>
  & UncertainOptions<S, AS, VR>
  & Retry<ES>
  & (
    | (Backward<S, AS["Type"], CE, CR> & {
      readonly whenUncertain?: undefined
      readonly timeout?: undefined
      readonly timeoutError?: undefined
      readonly isUncertain?: undefined
    })
    | (Backward<S, AS["Type"], CE, CR> & Limit<ES> & {
      /** `report`: listed in the outcome. `stuck`: nothing is compensated, a person decides. */
      readonly whenUncertain: "report" | "stuck"
      /** Names errors of the step that leave open whether it took place. */
      readonly isUncertain?: (error: ES["Type"]) => boolean
    })
    | (Backward<S, Attempt<AS["Type"]>, CE, CR> & Limit<ES> & {
      /** The compensation runs too, and is told that nobody knows. */
      readonly whenUncertain: "compensate"
      /** Names errors of the step that leave open whether it took place. */
      readonly isUncertain?: (error: ES["Type"]) => boolean
    })
  )

/** What a node makes of the saga that it is added to. */
type Added<P0, S, O0, A0, N extends string, A, E, R, P extends Phase> = Saga<
  P0,
  With<S, N, A>,
  With<O0, N, A>,
  With<A0, N, A>,
  E,
  R,
  P
>

/**
 * Adds an action and what undoes it.
 *
 * **When to use**
 *
 * Use when a later failure must be answered by undoing what this step did. What has nothing to undo is a `check`; what
 * cannot be undone is the `pivot`; what must happen in the end is a `retriable`.
 *
 * **Details**
 *
 * A typed failure means that nothing happened: the step is not compensated, what succeeded before it is. From the
 * moment the action has returned, no failure and no interruption loses its compensation. An action that is cut off (by
 * its `timeout`, by a defect, by an interruption) has an unknown outcome: `verify` is asked, then `whenUncertain`
 * decides.
 *
 * **Gotchas**
 *
 * In-process a crash loses everything: before the action nothing has happened, after it nobody compensates. An engine
 * with a journal runs an action again, with the same idempotency key, whose outcome was not recorded before the crash.
 * An `Effect.timeout` inside the action fails it with a typed error, which says "it did not happen": use the `timeout`
 * of the step.
 *
 * **Example** (A step that is undone)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const done: Array<string> = []
 * const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
 *   Saga.step("seat", {
 *     success: Schema.String,
 *     action: () => Effect.sync(() => (done.push("reserve"), "1A")),
 *     compensation: (seat) => Effect.sync(() => done.push(`release ${seat}`))
 *   }),
 *   Saga.check("funds", { error: Schema.String, action: () => Effect.fail("no money") })
 * )
 * Effect.runSync(Effect.flip(Saga.run(saga, undefined))) // => "no money"
 * done // => ["reserve", "release 1A"]
 * ```
 *
 * @category steps
 * @since 0.1.0
 */
export const step = <
  const N extends string,
  S,
  R,
  CE,
  CR,
  VR = never,
  AS extends Schema.Top = Schema.Void,
  ES extends Schema.Top = Schema.Never
>(name: Fresh<N, S>, options: StepOptions<NoInfer<S>, AS, ES, R, VR, CE, CR>) =>
<P0, O0, A0, E0, R0>(
  self: Saga<P0, S, O0, A0, E0, R0, Place["beforeCommit"]>
): Added<P0, S, O0, A0, N, AS["Type"], E0 | ES["Type"], R0 | R | VR | CR, "Reversible"> =>
  add(self, "step", name, options)

/**
 * Adds an action that only reads or validates: there is nothing to undo, and it is never uncertain.
 *
 * **Example** (Refusing an order before anything is reserved)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const saga = Saga.make("Order", { payload: Schema.Struct({ quantity: Schema.Int }) }).pipe(
 *   Saga.check("quantity", {
 *     error: Schema.String,
 *     action: ({ payload }) => payload.quantity > 0 ? Effect.void : Effect.fail("nothing ordered")
 *   })
 * )
 * Effect.runSync(Effect.flip(Saga.run(saga, { quantity: 0 }))) // => "nothing ordered"
 * ```
 *
 * @category steps
 * @since 0.1.0
 */
export const check = <
  const N extends string,
  S,
  R,
  AS extends Schema.Top = Schema.Void,
  ES extends Schema.Top = Schema.Never
>(name: Fresh<N, S>, options: ActionOptions<NoInfer<S>, AS, ES, R> & Retry<ES> & Limit<ES> & NotCompensated) =>
<P0, O0, A0, E0, R0>(
  self: Saga<P0, S, O0, A0, E0, R0, Place["beforeCommit"]>
): Added<P0, S, O0, A0, N, AS["Type"], E0 | ES["Type"], R0 | R, "Reversible"> => add(self, "check", name, options)

/**
 * Adds the point of no return: until it succeeds everything is undone when something fails, and from then on nothing.
 *
 * **Details**
 *
 * Once it runs, nobody cuts it. Its typed failure unwinds the saga. An unknown outcome is tried again with the same key
 * by its `retry` (which is also given defects), then settled by `verify`; else the saga is stuck with a
 * `PivotUncertain` and nothing is compensated.
 *
 * **Gotchas**
 *
 * In-process a crash loses everything. Before or while the pivot runs, nobody compensates what came before it and nobody
 * knows whether the pivot took place; after it, nobody runs the rest.
 *
 * **Example** (Money is the point of no return)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const saga = Saga.make("Pay", { payload: Schema.Struct({ cents: Schema.Int }) }).pipe(
 *   Saga.pivot("charge", {
 *     success: Schema.String,
 *     action: ({ payload }, { idempotencyKey }) => Effect.succeed(`${payload.cents} by ${idempotencyKey}`)
 *   })
 * )
 * Effect.runSync(Saga.run(saga, { cents: 5 }, { executionId: "p1" })) // => { charge: "5 by p1/charge" }
 * ```
 *
 * @category steps
 * @since 0.1.0
 */
export const pivot = <
  const N extends string,
  S,
  R,
  VR = never,
  AS extends Schema.Top = Schema.Void,
  ES extends Schema.Top = Schema.Never
>(
  name: Fresh<N, S>,
  options:
    & Omit<ActionOptions<NoInfer<S>, AS, ES, R>, "interruptible">
    & UncertainOptions<NoInfer<S>, AS, VR>
    & Limit<ES>
    & NotCompensated
    & {
      readonly retry?: Schedule.Schedule<unknown, unknown>
      readonly isUncertain?: (error: ES["Type"]) => boolean
    }
) =>
<P0, O0, A0, E0, R0>(
  self: Saga<P0, S, O0, A0, E0, R0, Place["beforeCommit"]>
): Added<P0, S, O0, A0, N, AS["Type"], E0 | ES["Type"], R0 | R | VR, "Committed"> => add(self, "pivot", name, options)

/**
 * Adds an action that is repeated until it succeeds: forward recovery. It commits the saga by being started, so nothing
 * that needs compensation can follow.
 *
 * **Details**
 *
 * Its error has a schema for the journal and is not among the errors of the saga. `retry` is given the typed error, the
 * defect, or `StepTimedOut`; when it ends without success the saga is stuck with a `ForwardRecoveryFailed` that names
 * what is left, while siblings in a `parallel` or `forEach` go on. In-process, an interruption waits for the running
 * attempt and then does the same.
 *
 * **Gotchas**
 *
 * In-process a crash loses everything: nobody makes the next attempt, and of a running one nobody knows whether it took
 * place.
 *
 * **Example** (A mail that is sent in the end)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schedule, Schema } from "effect"
 *
 * let tries = 0
 * const saga = Saga.make("Notify", { payload: Schema.Void }).pipe(
 *   Saga.retriable("mail", {
 *     error: Schema.String,
 *     retry: Schedule.recurs(5),
 *     action: () => ++tries < 3 ? Effect.fail("mail server is down") : Effect.void
 *   })
 * )
 * await Effect.runPromise(Saga.run(saga, undefined))
 * tries // => 3
 * ```
 *
 * @category steps
 * @since 0.1.0
 */
export const retriable = <
  const N extends string,
  S,
  R,
  VR = never,
  AS extends Schema.Top = Schema.Void,
  ES extends Schema.Top = Schema.Never
>(
  name: Fresh<N, S>,
  options:
    & Omit<ActionOptions<NoInfer<S>, AS, ES, R>, "interruptible">
    & UncertainOptions<NoInfer<S>, AS, VR>
    & Limit<ES>
    & NotCompensated
    & { readonly retry: Schedule.Schedule<unknown, unknown> }
) =>
<P0, O0, A0, E0, R0, P extends Phase>(
  self: Saga<P0, S, O0, A0, E0, R0, P>
): Added<P0, S, O0, A0, N, AS["Type"], E0 | ForwardRecoveryFailed, R0 | R | VR, "Committed"> =>
  add(self, "retriable", name, options)

/**
 * Adds a wait. A failing sibling, an interruption or the limit of the saga cut it.
 *
 * **Gotchas**
 *
 * In-process a crash ends the wait and the saga: nothing is compensated, and nobody goes on.
 *
 * **Example** (Giving a person an hour to change their mind)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const saga = Saga.make("Later", { payload: Schema.Struct({ millis: Schema.Int }) }).pipe(
 *   Saga.sleep("pause", ({ payload }) => payload.millis)
 * )
 * await Effect.runPromise(Saga.run(saga, { millis: 5 })) // => {}
 * ```
 *
 * @category steps
 * @since 0.1.0
 */
export const sleep = <const N extends string, S>(
  name: Fresh<N, S>,
  duration: Duration.Input | ((state: NoInfer<S>) => Duration.Input)
) =>
<P0, O0, A0, E0, R0, P extends Phase>(
  self: Saga<P0, S, O0, A0, E0, R0, P>
): Saga<P0, With<S, N, void>, With<O0, N, void>, A0, E0, R0, P> => {
  const of = typeof duration === "function" ? duration as (state: AnyState) => Duration.Input : () => duration
  return fromTree(toTree(self).append({ _tag: "Sleep", name, duration: of }))
}

// ------------------------------------------------------------------------------------------- the node

/** The options of every kind of step, with types taken off. */
interface Erased {
  readonly success?: Schema.Top
  readonly error?: Schema.Top
  readonly action: StepNode["action"]
  readonly interruptible?: boolean
  readonly delivery?: StepNode["delivery"]
  readonly verify?: (state: AnyState, context: StepContext) => AnyEffect<Option.Option<unknown>>
  readonly retry?: Schedule.Schedule<unknown, unknown>
  readonly timeout?: Duration.Input
  readonly timeoutError?: () => unknown
  readonly isUncertain?: (error: unknown) => boolean
  readonly whenUncertain?: StepNode["whenUncertain"]
  readonly compensation?: NonNullable<StepNode["compensation"]>
  readonly compensationRetry?: Schedule.Schedule<unknown, unknown>
  readonly compensationTimeout?: Duration.Input
}

const add = <S extends AnySaga>(self: AnySaga<string>, kind: StepNode["kind"], name: string, options: object): S => {
  // The signatures above have checked the options against the state, the schemas and the kind.
  const erased = options as Erased
  const tree = toTree(self)
  return fromTree(tree.append(nodeOf(tree, kind, name, erased)))
}

const nodeOf = (tree: SagaTree, kind: StepNode["kind"], name: string, options: Erased): StepNode => {
  for (const schema of [options.success, options.error]) if (schema !== undefined) tree.schema(name, schema)
  if (kind !== "step" && (options.compensation ?? options.whenUncertain) !== undefined) {
    throw tree.error(
      name,
      `a ${kind} is not compensated: make it a step, or leave out \`compensation\` and \`whenUncertain\``
    )
  }
  const forward = kind === "pivot" || kind === "retriable"
  const timeoutMillis = tree.limit(name, "timeout", options.timeout)
  if (kind === "step" && options.compensation === undefined) {
    throw tree.error(name, "a step says how it is compensated, or it is a check, a pivot or a retriable")
  }
  const interruptible = !forward && options.interruptible !== false
  return {
    _tag: "Step",
    kind,
    name,
    success: options.success,
    error: options.error,
    action: options.action,
    retry: options.retry,
    timeoutMillis,
    timeoutError: options.timeoutError,
    interruptible,
    delivery: options.delivery ?? "at-least-once",
    verify: options.verify,
    isUncertain: options.isUncertain,
    whenUncertain: options.whenUncertain ?? "report",
    compensation: options.compensation,
    compensationRetry: options.compensationRetry,
    compensationTimeoutMillis: tree.limit(name, "compensationTimeout", options.compensationTimeout) ??
      defaultCompensationTimeoutMillis,
    simple: interruptible && options.retry === undefined && timeoutMillis === undefined &&
      options.verify === undefined && options.isUncertain === undefined
  }
}
