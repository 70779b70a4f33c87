/**
 * Executing sagas durably: each execution has an identity and a journal, survives the death of its process, and can be
 * asked for from anywhere. A saga that `Saga.run` runs is executed here unchanged.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { EventBus } from "./EventBus.ts"
import type {
  AwaitError,
  CancelError,
  ExecutionNotFound,
  ExecutionStuck,
  SagaCancelled,
  StartError
} from "./ExecutionError.ts"
import { bulk, preview } from "./internal/engine/bulk.ts"
import { cancel } from "./internal/engine/cancelling.ts"
import { compatible } from "./internal/engine/compatible.ts"
import type { Settings } from "./internal/engine/engine.ts"
import { Engine } from "./internal/engine/engine.ts"
import { doctor, purge } from "./internal/engine/housekeeping.ts"
import * as operator from "./internal/engine/operator.ts"
import * as queries from "./internal/engine/queries.ts"
import { busOf } from "./internal/engine/receiving.ts"
import * as requests from "./internal/engine/requests.ts"
import { rerun } from "./internal/engine/rerun.ts"
import { start as startExecution } from "./internal/engine/starting.ts"
import { deadLetters, discard, redeliver, unsubscribe } from "./internal/engine/undelivered.ts"
import type { DeadLetter, JournalLocked, JournalUnavailable } from "./Journal.ts"
import { JournalCipher } from "./JournalCipher.ts"
import type { ExecutionStatus, Operations } from "./Operations.ts"
import type { SagaEvent } from "./SagaEvent.ts"
import { SagaJournal } from "./SagaJournal.ts"
import type { Outcome } from "./SagaRun.ts"
import type { AnySaga, Phase, Saga } from "./SagaValue.ts"
import { toTree } from "./SagaValue.ts"

export * from "./ExecutionArchive.ts"
export * from "./ExecutionError.ts"
export * from "./ExecutionPlan.ts"
export * from "./Operations.ts"

/**
 * How an engine behaves.
 *
 * @category models
 * @since 0.1.0
 */
export interface EngineOptions {
  /**
   * What others read in the journal about who holds a lease.
   *
   * @default "engine"
   */
  readonly name?: string
  /**
   * How long a process that does not move keeps its executions from others: up to 24 days, or `"Infinity"`. One that is killed
   * loses them at once where the store can tell, and after this time where it cannot.
   *
   * @default "10 seconds"
   */
  readonly lease?: Duration.Input
  /**
   * How often an engine looks what other processes wrote.
   *
   * @default "250 millis"
   */
  readonly poll?: Duration.Input
  /**
   * How long actions in flight may go on when the engine closes.
   *
   * @default "10 seconds"
   */
  readonly grace?: Duration.Input
  /**
   * How many executions are in this process at once. The others wait in the journal: an action that waits for another
   * execution takes room that this one may need.
   *
   * @default 500
   */
  readonly concurrency?: number
  /**
   * An execution that only waits, and for longer than this, leaves memory until it is due.
   *
   * @default "1 second"
   */
  readonly evictAfter?: Duration.Input
  /**
   * An execution with which more engines in a row have died, without a new fact, is parked as stuck.
   *
   * @default 5
   */
  readonly quarantineAfter?: number
  /**
   * How long an event is kept for who begins to wait for it later.
   *
   * @default "1 hour"
   */
  readonly keepEvents?: Duration.Input
  /**
   * Is told of each event that nobody has received when it is kept no longer: it is a dead letter then. What goes wrong in it,
   * or takes longer than 30 seconds, is logged.
   */
  readonly onUnmatched?: (letter: DeadLetter) => Effect.Effect<void>
  /**
   * Is told each time that an execution becomes stuck in this engine, whatever the cause, when that is recorded: `problem`
   * says why a person is needed. Nothing waits for it but a closing engine, for its grace; what goes wrong in it is logged.
   *
   * A process that dies right behind the record has told nobody: who must not miss one also looks at
   * `list({ state: "Stuck" })`.
   */
  readonly onStuck?: (execution: ExecutionStatus) => Effect.Effect<void>
}

/**
 * Which execution is meant.
 *
 * @category models
 * @since 0.1.0
 */
export interface StartOptions {
  /**
   * The id of the execution, and the beginning of its idempotency keys.
   *
   * @default `<name>/<key>` for a saga with a `key`, else a new one
   */
  readonly executionId?: string
}

/**
 * How long to wait for an execution.
 *
 * @category models
 * @since 0.1.0
 */
export interface AwaitOptions {
  /**
   * Whether to go on waiting when the execution is stuck, until a person has decided, or to fail with `ExecutionStuck`.
   *
   * @default "wait"
   */
  readonly onStuck?: "wait" | "fail"
}

/**
 * The end of an execution as a value; one that is stuck has not ended.
 *
 * @category models
 * @since 0.1.0
 */
export type Ending<A, E> = Exclude<Outcome<A, E>, { readonly _tag: "Stuck" }>

/**
 * What an engine promises.
 *
 * @category models
 * @since 0.1.0
 */
export interface SagaEngineService extends Operations {
  /** Starts or joins, and waits for the end. Interrupting who waits changes nothing for the execution. */
  readonly execute: <P0, S, O, A, E, R>(
    saga: Saga<P0, S, O, A, E, R, Phase>,
    payload: P0,
    options?: StartOptions & AwaitOptions
  ) => Effect.Effect<A, E | StartError | AwaitError | SagaCancelled>
  /**
   * Returns the id when the execution is recorded: from then on it is finished or undone, whatever happens here. It joins no
   * transaction of the caller, as `SqlSagaEngine.startIn` does; inside of one on the same SQLite file, which has that for itself,
   * it fails with `JournalUnavailable`.
   */
  readonly start: <P0, S, O, A, E, R>(
    saga: Saga<P0, S, O, A, E, R, Phase>,
    payload: P0,
    options?: StartOptions
  ) => Effect.Effect<string, StartError>
  /** Waits for the end of an execution, whoever runs it, and has the result or the error that its saga has. */
  readonly await: <P0, S, O, A, E, R>(
    saga: Saga<P0, S, O, A, E, R, Phase>,
    executionId: string,
    options?: AwaitOptions
  ) => Effect.Effect<A, E | AwaitError | SagaCancelled>
  /** Waits for the end of an execution, and has everything that is known of it as a value. */
  readonly outcome: <P0, S, O, A, E, R>(
    saga: Saga<P0, S, O, A, E, R, Phase>,
    executionId: string,
    options?: AwaitOptions
  ) => Effect.Effect<Ending<A, E>, AwaitError>
  /** Where an execution stands now. */
  readonly poll: (executionId: string) => Effect.Effect<Option.Option<ExecutionStatus>, JournalUnavailable>
  /**
   * Returns when it is recorded that the execution unwinds. Actions in flight end first; one past its commit point goes
   * on. For a program that asks; a person says who and why in `compensate`.
   */
  readonly cancel: (executionId: string) => Effect.Effect<void, CancelError>
  /** The facts of an execution so far, then those to come, until it has ended or is stuck. */
  readonly events: <P0, S, O, A, E, R>(
    saga: Saga<P0, S, O, A, E, R, Phase>,
    executionId: string
  ) => Stream.Stream<SagaEvent, ExecutionNotFound | ExecutionStuck | JournalUnavailable>
  /** Runs a saga here until the scope closes, with the services that are around this call. */
  readonly register: (saga: AnySaga) => Effect.Effect<void, never, Scope.Scope>
}

const settingsOf = (options: EngineOptions): Settings => ({
  name: options.name ?? "engine",
  leaseMillis: leaseOf(options.lease ?? "10 seconds"),
  pollMillis: millisOf("poll", options.poll ?? "250 millis"),
  graceMillis: millisOf("grace", options.grace ?? "10 seconds"),
  concurrency: countOf("concurrency", options.concurrency ?? 500),
  evictAfterMillis: millisOf("evictAfter", options.evictAfter ?? "1 second", Infinity),
  quarantineAfter: countOf("quarantineAfter", options.quarantineAfter ?? 5),
  onStuck: onStuckOf(options),
  keepMillis: millisOf("keepEvents", options.keepEvents ?? "1 hour", Infinity),
  onUnmatched: options.onUnmatched
})

const onStuckOf = ({ onStuck }: EngineOptions): Settings["onStuck"] =>
  onStuck === undefined ? undefined : (record) => onStuck(queries.statusOf(record))

/** What no engine could live with ends the program that asked for it, before it hangs somewhere. */
const wrong = (option: string, value: unknown, wanted: string): Error =>
  new RangeError(`The option "${option}" of an engine is ${String(value)}: give ${wanted}`)

/** Timers and journals know no longer time. */
const longestMillis = 0x7fff_ffff

const millisOf = (option: string, duration: Duration.Input, longest = longestMillis): number => {
  const millis = Duration.toMillis(duration)
  if (millis >= 0 && millis <= longest) return millis
  throw wrong(option, millis, "a time from 0 to 24 days")
}

const leaseOf = (lease: Duration.Input): number =>
  Duration.toMillis(lease) === Infinity ? Infinity : millisOf("lease", lease)

const countOf = (option: string, value: number): number => {
  if (value >= 1 && (Number.isInteger(value) || value === Infinity)) return value
  throw wrong(option, value, "a whole number of 1 or more")
}

const operationsOf = (engine: Engine): Operations => ({
  list: (options = {}) =>
    Effect.map(queries.list(engine, options), ({ executions, next }) => ({
      executions: executions.map(queries.statusOf),
      next
    })),
  counts: ({ saga, state, version } = {}) => engine.journal.count(queries.filterOf({ saga, version, state })),
  history: (executionId) => queries.history(engine, executionId),
  plan: (executionId) => queries.plan(engine, executionId),
  retry: (executionId, by) => operator.retry(engine, executionId, by),
  skip: (executionId, path, value, by) => operator.skip(engine, executionId, path, value, by),
  compensate: (executionId, by) => operator.compensate(engine, executionId, by),
  abandon: (executionId, by) => operator.abandon(engine, executionId, by),
  rerun: (executionId, options) => rerun(engine, executionId, options),
  preview: (filter) => preview(engine, filter),
  bulk: (verb, filter, by, options) => bulk(engine, verb, filter, by, options),
  deadLetters: (options = {}) => deadLetters(engine, options),
  deadLetterCount: engine.journal.events.deadLetterCount,
  redeliver: (number) => redeliver(engine, number),
  discard: (number) => discard(engine, number),
  subscriptions: engine.journal.events.subscriptions,
  unsubscribe: (subscription) => unsubscribe(engine, subscription),
  purge: (options) => purge(engine, options),
  doctor: doctor(engine),
  compatible: (sagas) => compatible(engine, sagas.map(toTree))
})

const serviceOf = (engine: Engine): SagaEngineService => {
  const ending = (saga: AnySaga, executionId: string, options: AwaitOptions | undefined) =>
    requests.ending(engine, toTree(saga), executionId, options?.onStuck ?? "wait")
  const start = (saga: AnySaga, payload: unknown, options: StartOptions | undefined) =>
    startExecution(engine, toTree(saga), payload, options?.executionId)
  const answer = (saga: AnySaga, executionId: string, options: AwaitOptions | undefined) =>
    Effect.flatMap(ending(saga, executionId, options), requests.answerOf)
  const erased = {
    execute: (saga: AnySaga, payload: unknown, options?: StartOptions & AwaitOptions) =>
      Effect.flatMap(start(saga, payload, options), (executionId) => answer(saga, executionId, options)),
    start,
    await: answer,
    outcome: ending,
    poll: (executionId: string) => Effect.map(engine.journal.find(executionId), Option.map(queries.statusOf)),
    cancel: (executionId: string) => Effect.asVoid(cancel(engine, executionId, {})),
    events: (saga: AnySaga, executionId: string) => requests.facts(engine, toTree(saga), executionId),
    ...operationsOf(engine),
    register: (saga: AnySaga) => engine.register(toTree(saga))
  }
  // Success and error were computed by the functions that built the saga.
  return erased as unknown as SagaEngineService
}

/**
 * The engine: runs registered sagas so that they survive their process.
 *
 * **When to use**
 *
 * Use for a process that must be finished or undone also when the process dies that runs it. Where that may be lost,
 * `Saga.run` needs no engine.
 *
 * **Details**
 *
 * Each execution has an id. The same id and payload join, another payload is an `ExecutionConflict`. Actions start after
 * their start is recorded, and what is recorded is not run again in that execution. Closing an engine is no failure: what
 * is in flight gets its grace, the rest is given back, and the next engine goes on.
 *
 * With a `JournalCipher` around its layer everything that it writes of an execution is sealed. Without one it refuses a
 * saga with `Schema.Redacted` in a value: registering and starting it is a defect, a `SagaDefinitionError`.
 *
 * **Gotchas**
 *
 * If the process dies after an action and before its fact is stored, the action runs again with the same idempotency
 * key: give that to the participant. An execution whose saga is registered nowhere waits until it is.
 *
 * **Example** (The same saga, with an identity and a journal)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { SagaEngine } from "effect-saga/SagaEngine"
 * import { Effect, Layer, Schema } from "effect"
 *
 * const greet = Saga.make("Greet", { payload: Schema.String, key: (name) => name }).pipe(
 *   Saga.output(Schema.String, ({ payload }) => `hello ${payload}`)
 * )
 * const Live = Saga.register(greet).pipe(Layer.provideMerge(SagaEngine.layerMemory))
 * const program = SagaEngine.use((engine) => engine.execute(greet, "you"))
 * await Effect.runPromise(program.pipe(Effect.provide(Live))) // => "hello you"
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class SagaEngine extends Context.Service<SagaEngine, SagaEngineService>()("effect-saga/SagaEngine") {
  /** An engine on the journal that is around it. */
  static readonly layerWith = (
    options: EngineOptions
  ): Layer.Layer<SagaEngine | EventBus, JournalLocked, SagaJournal> =>
    Layer.effectContext(
      Effect.gen(function*() {
        const journal = yield* SagaJournal
        const cipher = Option.getOrUndefined(yield* Effect.serviceOption(JournalCipher))
        const engine = yield* Engine.open(journal, cipher, settingsOf(options))
        return Context.make(SagaEngine, serviceOf(engine)).pipe(Context.add(EventBus, busOf(engine)))
      })
    )

  /** An engine on the journal that is around it, with the default options. */
  static readonly layer: Layer.Layer<SagaEngine | EventBus, JournalLocked, SagaJournal> = SagaEngine.layerWith({})

  /** An engine on a journal in memory, for tests and for trying: it survives its layer, and not its process. */
  static readonly layerMemory: Layer.Layer<SagaEngine | EventBus> = Layer.orDie(
    Layer.provide(SagaEngine.layer, SagaJournal.layerMemory)
  )
}
