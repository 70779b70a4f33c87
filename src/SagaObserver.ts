/**
 * Watching executions: who observes is told every fact of every execution in its reach, in order, when it is recorded.
 *
 * An observer cannot change a run: it is called synchronously, what it returns is ignored, and one that throws is told
 * no more of that execution. Without an observer no fact is made.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { SagaEvent } from "./SagaEvent.ts"
import type { StepPath } from "./StepPath.ts"

/**
 * The execution that is watched.
 *
 * @category models
 * @since 0.1.0
 */
export interface ObservedExecution {
  readonly executionId: string
  readonly saga: string
  readonly version: number
  /** When it started, where that was before it came here: of those its first fact is not told. */
  readonly startedAtMillis?: number | undefined
  /** The services around the run: its tracer, its loggers, its log annotations. */
  readonly context: Context.Context<never>
}

/**
 * Why an engine has parked an execution as stuck, where no fact says so: what is on record cannot be read, or nothing more
 * can be recorded.
 *
 * @category models
 * @since 0.1.0
 */
export interface Parked {
  readonly atMillis: number
  readonly reason: "Quarantined" | "Undecodable" | "DefinitionChanged" | "Refused" | "Defect"
  /** The same in words, with the reason in front. There may be values of the execution in it. */
  readonly problem: string
}

/**
 * What an observer does with the facts of one execution.
 *
 * @category models
 * @since 0.1.0
 */
export interface Watch {
  readonly onEvent: (event: SagaEvent) => void
  /** Runs an action, the question whether it took place, or a compensation inside what was opened for it: a span. */
  readonly around?: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    path: StepPath,
    kind: "action" | "compensation"
  ) => Effect.Effect<A, E, R>
  /** Called last, when an engine has parked it and no fact says so. */
  readonly onParked?: (parked: Parked) => void
  /** Called last, when it has left this process and goes on later or elsewhere. What comes then is another watch. */
  readonly onLeft?: () => void
}

/**
 * Watches executions.
 *
 * **Example** (Counting what is compensated)
 *
 * ```ts
 * import type { SagaObserver } from "effect-saga"
 *
 * let compensated = 0
 * const counting: SagaObserver.SagaObserver = {
 *   observe: () => ({
 *     onEvent: (event) => {
 *       if (event._tag === "CompensationSucceeded") compensated++
 *     }
 *   })
 * }
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface SagaObserver {
  /** Called when an execution starts, and in an engine each time that it comes back, or that a person decides about it. */
  readonly observe: (execution: ObservedExecution) => Watch
}

/**
 * The observers of the sagas that run here: none unless `layer` adds some.
 *
 * @category references
 * @since 0.1.0
 */
export const Observers: Context.Reference<ReadonlyArray<SagaObserver>> = Context.Reference<
  ReadonlyArray<SagaObserver>
>("effect-saga/SagaObserver/Observers", { defaultValue: () => [] })

/**
 * Adds observers to those that are there already. One that has to be set up is given as an Effect; its scope is the
 * layer's.
 *
 * **Gotchas**
 *
 * Two of these layers side by side in `Layer.mergeAll` do not add up, the later replaces the earlier: put all observers
 * into one list, or one layer below the other.
 *
 * **Example** (Observing every saga of a program)
 *
 * ```ts
 * import { SagaObserver } from "effect-saga"
 * import { Effect } from "effect"
 *
 * const seen: Array<string> = []
 * const Watching = SagaObserver.layer([
 *   { observe: () => ({ onEvent: (event) => void seen.push(event._tag) }) }
 * ])
 * const program = Effect.void.pipe(Effect.provide(Watching))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <const Added extends ReadonlyArray<SagaObserver | Effect.Effect<SagaObserver, unknown, unknown>>>(
  observers: Added
): Layer.Layer<never, Effect.Error<Added[number]>, Exclude<Effect.Services<Added[number]>, Scope.Scope>> =>
  Layer.effectContext(Effect.gen(function*() {
    const existing = yield* Observers
    // The union of the elements' errors and services: TypeScript reads `Added[number]` as its bound.
    const each = observers as ReadonlyArray<
      SagaObserver | Effect.Effect<SagaObserver, Effect.Error<Added[number]>, Effect.Services<Added[number]>>
    >
    const added = yield* Effect.forEach(
      each,
      (observer) => Effect.isEffect(observer) ? observer : Effect.succeed(observer)
    )
    // A reference is always there, so a context that sets it provides nothing that could be required.
    return Context.make(Observers, [...existing, ...added]) as Context.Context<never>
  }))

/**
 * Runs an effect and returns, beside its result, the facts of all sagas that ran in it.
 *
 * **Example** (What a run did)
 *
 * ```ts
 * import { Saga, SagaObserver } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const saga = Saga.make("Empty", { payload: Schema.Void })
 * const [, facts] = Effect.runSync(SagaObserver.collect(Saga.outcome(saga, undefined)))
 * facts.map((fact) => fact._tag) // => ["SagaStarted", "SagaSucceeded"]
 * ```
 *
 * @category observing
 * @since 0.1.0
 */
export const collect = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<readonly [result: A, facts: ReadonlyArray<SagaEvent>], E, R> =>
  Effect.flatMap(Observers, (existing) => {
    const facts: Array<SagaEvent> = []
    const collecting: SagaObserver = { observe: () => ({ onEvent: (event) => void facts.push(event) }) }
    const observed = Effect.provideService(self, Observers, [...existing, collecting])
    return Effect.map(observed, (result) => [result, facts] as const)
  })
