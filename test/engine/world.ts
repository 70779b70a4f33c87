/**
 * What the tests of an engine's faults share: stores, processes that can die, a strict ledger of what the outside world
 * saw, gates that hold an action where a test wants it, and waiting for facts.
 */
import { assert, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Latch, Layer, Logger, Option, Schema, Scope } from "effect"
import type { Saga } from "effect-saga"
import { EventBus, type EventBusService } from "effect-saga/events"
import type { EngineOptions, ExecutionStatus } from "effect-saga/SagaEngine"
import { SagaEngine } from "effect-saga/SagaEngine"
import type { FactRecord, Journal, Lease } from "effect-saga/SagaJournal"
import { SagaJournal } from "effect-saga/SagaJournal"
import { alive, CurrentProcess, mortal, Process } from "./process.ts"

// ------------------------------------------------------------------------------------------- stores

/** A store of engines, as a test has it. */
export interface StoreService {
  readonly journal: Journal
  /** Lets everybody see at once that the holder of a lease is dead. */
  readonly bury: (lease: Lease) => Effect.Effect<void>
  /** Writes over the text of a fact, as a person or an older release might have. */
  readonly tamper: (executionId: string, sequence: number, data: string) => Effect.Effect<void>
}

/** A store with nothing in it. */
export class Store extends Context.Service<Store, StoreService>()("test/engine/Store") {}

/** What a store can do. */
export interface Backend {
  readonly layer: Layer.Layer<Store, unknown>
  /** Whether several engines may use it at once. */
  readonly shared: boolean
}

type TestBody = (store: StoreService) => Effect.Effect<void, unknown, Scope.Scope>

/** A test of one fault on a store of its own. */
export const faultOn = ({ layer }: Backend) => (name: string, body: TestBody, timeout?: number): void => {
  it.effect(
    name,
    () => Effect.scoped(Effect.flatMap(Store, body)).pipe(Effect.provide(layer)),
    timeout
  )
}

// ------------------------------------------------------------------------------------------- waiting

/** Lets other things happen: what waits for sockets, files and timers of this machine too. */
export const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** Asks until it is so, for at most so long by the clock of the world. */
export const eventually = <E, R>(
  what: string,
  isSo: Effect.Effect<boolean, E, R>,
  millis = 15_000
): Effect.Effect<void, E, R> =>
  Effect.gen(function*() {
    const deadline = performance.now() + millis
    while (!(yield* isSo)) {
      if (performance.now() > deadline) return assert.fail(`It did not come about within ${millis} ms: ${what}`)
      yield* turn
    }
  })

/** Waits for an effect, for at most so long by the clock of the world. */
export const inTime = <A, E, R>(
  what: string,
  effect: Effect.Effect<A, E, R>,
  millis = 15_000
): Effect.Effect<A, E, R> =>
  Effect.raceFirst(
    effect,
    Effect.callback<never>((resume) => {
      const late = () => resume(Effect.sync(() => assert.fail(`It did not come about within ${millis} ms: ${what}`)))
      const timer = setTimeout(late, millis)
      return Effect.sync(() => clearTimeout(timer))
    })
  )

/** The tags and paths of the facts of an execution. */
export const told = (journal: Journal, executionId: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(Effect.orDie(journal.facts(executionId, 0)), (facts) => facts.map(wordsOf))

const wordsOf = ({ data, tag }: FactRecord): string => {
  const { path } = JSON.parse(data) as { readonly path?: string }
  return path === undefined ? tag : `${tag} ${path}`
}

/** Waits for a fact. */
export const fact = (journal: Journal, executionId: string, words: string) =>
  eventually(`${words} of ${executionId}`, Effect.map(told(journal, executionId), (all) => all.includes(words)))

/** Waits until the row of an execution says so. */
export const state = (journal: Journal, executionId: string, wanted: ExecutionStatus["state"]) =>
  eventually(
    `${executionId} is ${wanted}`,
    Effect.map(Effect.orDie(journal.find(executionId)), (row) => Option.isSome(row) && row.value.state === wanted)
  )

/** Why a person is needed. */
export const problem = (journal: Journal, executionId: string): Effect.Effect<string> =>
  Effect.map(Effect.orDie(journal.find(executionId)), (row) => Option.getOrThrow(row).problem ?? "")

// ------------------------------------------------------------------------------------------- processes

/** An engine in a process of its own. */
export interface Booted {
  readonly engine: SagaEngine["Service"]
  readonly bus: EventBusService
  readonly process: Process
  /** The process dies: nothing of it is written any more, no action of it goes on, and everybody can see that. */
  readonly kill: Effect.Effect<void>
  /** Waits until it has died of a write. */
  readonly died: Effect.Effect<void>
  /** The engine closes in good order. */
  readonly close: Effect.Effect<void>
}

export interface BootOptions extends EngineOptions {
  /** It dies when so many writes are committed, before it learns that the last one is. */
  readonly dieAt?: number
  /** What it is given in place of its journal. */
  readonly through?: (journal: Journal) => Journal
}

/** Starts an engine in a process of its own, which closes with the scope unless it is dead. */
export const boot = (
  store: StoreService,
  sagas: ReadonlyArray<Saga.AnySaga>,
  { dieAt = Infinity, through = (journal) => journal, ...options }: BootOptions = {}
): Effect.Effect<Booted, never, Scope.Scope> =>
  Effect.gen(function*() {
    const process = new Process()
    const scope = yield* Scope.make()
    const held = yield* Scope.make()
    const leases: Array<Lease> = []
    const own: Journal = {
      ...store.journal,
      acquire: (given) =>
        Effect.tap(Scope.provide(store.journal.acquire(given), held), (lease) => Effect.sync(() => leases.push(lease)))
    }
    const die = Effect.suspend(() => {
      process.dead = true
      return Effect.andThen(
        Scope.close(held, Exit.void),
        Effect.forEach(leases.splice(0), store.bury, { discard: true })
      )
    })
    const close = Effect.suspend(() =>
      process.dead ? die : Effect.andThen(Scope.close(scope, Exit.void), Scope.close(held, Exit.void))
    )
    yield* Effect.addFinalizer(() => close)
    const its = through(yield* mortal(own, process, dieAt))
    const start = Effect.gen(function*() {
      const Live = Layer.provide(SagaEngine.layerWith(options), Layer.succeed(SagaJournal, its))
      const context = yield* Layer.buildWithScope(Layer.orDie(Live), scope)
      const engine = Context.get(context, SagaEngine)
      const bus = Context.get(context, EventBus)
      for (const saga of sagas) {
        yield* Effect.provideService(Scope.provide(engine.register(saga), scope), EventBus, bus)
      }
      return { engine, bus }
    })
    const { bus, engine } = yield* Effect.provideService(start, CurrentProcess, process)
    return {
      engine,
      bus,
      process,
      kill: die,
      died: Effect.andThen(inTime("the process dies", Deferred.await(process.death)), die),
      close
    }
  })

/** A store whose engines look what others write there, as in memory they need not. */
export const together = (store: StoreService): StoreService => ({
  ...store,
  journal: { ...store.journal, shared: true }
})

/** Collects what is logged inside. */
export const logged = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<readonly [A, ReadonlyArray<string>], E, R> =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(String(message)))
    return Effect.map(
      Effect.provideService(effect, Logger.CurrentLoggers, new Set([logger])),
      (a) => [a, lines] as const
    )
  })

// ------------------------------------------------------------------------------------------- the ledger

/** Holds whoever comes to it until it is opened. */
export class Gate {
  readonly #came = Latch.makeUnsafe(false)
  readonly #opened = Latch.makeUnsafe(false)
  /** How many came. */
  count = 0
  /** How many are there at once, and how many were at most. */
  inside = 0
  most = 0

  /** To be held. */
  readonly pass: Effect.Effect<void> = Effect.suspend(() => {
    this.count++
    this.most = Math.max(this.most, ++this.inside)
    this.#came.openUnsafe()
    return Effect.ensuring(this.#opened.await, Effect.sync(() => this.inside--))
  })
  readonly open: Effect.Effect<void> = Effect.sync(() => void this.#opened.openUnsafe())

  /** Waits until somebody has come. */
  readonly reached: Effect.Effect<void> = inTime("somebody comes to the gate", this.#came.await)
}

interface Around {
  /** Before the effect: if it fails, nothing has happened. */
  readonly before?: (context: Saga.StepContext) => Effect.Effect<unknown, string>
  /** Between the effect and its answer. */
  readonly after?: (context: Saga.StepContext) => Effect.Effect<unknown, string>
  readonly undo?: (context: Saga.CompensationContext) => Effect.Effect<unknown, unknown>
  /** After it was undone, before that is answered. */
  readonly undone?: (context: Saga.CompensationContext) => Effect.Effect<unknown, unknown>
}

const nothing = () => Effect.void

/** What the outside world saw. Each thing has one key in it, each key is one thing, and takes effect once. */
export class World {
  readonly violations: Array<string> = []
  readonly #marks = new Map<string, Array<string>>()
  readonly #keys = new Map<string, string>()
  readonly #things = new Map<string, string>()
  readonly #inPlace = new Set<string>()
  readonly #undone = new Set<string>()

  /**
   * What happened in an execution, in order: `+a` took effect, `=a` was called again with its key, `!a` failed, `-a` was
   * undone, `=-a` again, `~a` had nothing to undo, `?` behind it says that the outcome was unknown.
   */
  text(executionId: string): string {
    return (this.#marks.get(executionId) ?? []).join(" ")
  }

  /** What took effect and was not undone. */
  inPlace(executionId: string): ReadonlyArray<string> {
    return Array.from(this.#inPlace).flatMap((thing) =>
      thing.startsWith(`${executionId} `) ? [thing.slice(executionId.length + 1)] : []
    )
  }

  /** Nothing that no participant should see was seen. */
  readonly check: Effect.Effect<void> = Effect.sync(() => assert.deepStrictEqual(this.violations, []))

  mark(executionId: string, text: string): void {
    const marks = this.#marks.get(executionId)
    if (marks === undefined) this.#marks.set(executionId, [text])
    else marks.push(text)
  }

  /** An action that takes effect and gives its path. */
  action({ after = nothing, before = nothing }: Around = {}) {
    return {
      success: Schema.String,
      error: Schema.String,
      action: (_: unknown, context: Saga.StepContext): Effect.Effect<string, string> =>
        living(
          () => before(context),
          () => Effect.sync(() => this.#apply(context)),
          () => after(context)
        ).pipe(
          Effect.as(context.path),
          Effect.tapError(() => Effect.sync(() => this.mark(context.executionId, `!${context.path}`)))
        )
    }
  }

  /** An action and what undoes it. */
  step(around: Around = {}) {
    const { undo = nothing, undone = nothing } = around
    return {
      ...this.action(around),
      compensation: (given: string, _: unknown, context: Saga.CompensationContext): Effect.Effect<unknown, unknown> =>
        living(
          () => undo(context),
          () => Effect.sync(() => this.#revert({ _tag: "Succeeded", result: given }, context)),
          () => undone(context)
        )
    }
  }

  /** A step whose compensation wants to know of an unknown outcome. */
  knowing(around: Around = {}) {
    const { undo = nothing } = around
    return {
      ...this.action(around),
      whenUncertain: "compensate" as const,
      compensation: (given: Saga.Attempt<string>, _: unknown, context: Saga.CompensationContext) =>
        living(() => undo(context), () => Effect.sync(() => this.#revert(given, context)))
    }
  }

  /** An action that fails: nothing has happened. */
  fails(error = "no") {
    return this.action({ before: () => Effect.fail(error) })
  }

  #apply({ executionId, idempotencyKey, path }: Saga.StepContext): void {
    const thing = `${executionId} ${path}`
    const again = this.#remember(thing, idempotencyKey)
    if (this.#undone.has(thing)) this.violations.push(`${thing} is done after it was undone`)
    this.#inPlace.add(thing)
    this.mark(executionId, `${again ? "=" : "+"}${path}`)
  }

  #revert(given: Saga.Attempt<string>, context: Saga.CompensationContext): void {
    const { actionKey, executionId, idempotencyKey, path } = context
    const thing = `${executionId} ${path}`
    this.#remember(thing, actionKey)
    const again = this.#remember(`${executionId} -${path}`, idempotencyKey)
    if (given._tag === "Succeeded" && given.result !== path) {
      this.violations.push(`${thing} is compensated with the result ${given.result}`)
    }
    const inPlace = this.#inPlace.delete(thing)
    if (!inPlace && !again && given._tag === "Succeeded") this.violations.push(`${thing} is undone and not in place`)
    this.#undone.add(thing)
    this.mark(executionId, `${again ? "=-" : inPlace ? "-" : "~"}${path}${given._tag === "Unknown" ? "?" : ""}`)
  }

  /** Whether a key has been seen before. */
  #remember(thing: string, key: string): boolean {
    const known = this.#keys.get(thing)
    if (known === key) return true
    if (known !== undefined) this.violations.push(`${thing} has the keys ${known} and ${key}`)
    const other = this.#things.get(key)
    if (other !== undefined) this.violations.push(`${thing} has the key of ${other}: ${key}`)
    this.#keys.set(thing, key)
    this.#things.set(key, thing)
    return false
  }
}

/** One thing after the other, as long as the process lives. */
const living = <E>(...all: ReadonlyArray<() => Effect.Effect<unknown, E>>): Effect.Effect<void, E> =>
  alive(Effect.forEach(all, (one) => Effect.andThen(Effect.suspend(one), alive(Effect.void)), { discard: true }))

/** The error of an exit, which must be the only one. */
export const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown => {
  if (Exit.isSuccess(exit)) return assert.fail(`It succeeded with ${JSON.stringify(exit.value)}`)
  assert.strictEqual(exit.cause.reasons.length, 1, Cause.pretty(exit.cause))
  return Cause.squash(exit.cause)
}

/** The tag of the error of an exit. */
export const tagOf = (exit: Exit.Exit<unknown, unknown>): string => (errorOf(exit) as { readonly _tag: string })._tag
