/** Where the tests of the core run besides a fiber: on engines with journals of several kinds. */
import { Cause, Clock, Context, Duration, Effect, Exit, Layer, type Scope } from "effect"
import type { Saga } from "effect-saga"
import { EventBus, type EventBusService } from "effect-saga/events"
import { type EngineOptions, ExecutionStuck, SagaEngine } from "effect-saga/SagaEngine"
import { type Journal, SagaJournal } from "effect-saga/SagaJournal"
import { SqlSagaJournal } from "effect-saga/sql"
import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
import { TestClock } from "effect/testing"
import { fromTree, toTree } from "../../src/SagaValue.ts"
import * as Postgres from "../sql/postgres.ts"

// ------------------------------------------------------------------------------------------- journals

/** A kind of journal. */
interface Kind {
  readonly name: string
  /** It answers in the tick in which it is asked. */
  readonly atOnce: boolean
  /** A journal with nothing in it. */
  readonly journal: Effect.Effect<Journal, unknown, Scope.Scope>
}

const layered = (name: string, layer: Layer.Layer<SagaJournal, unknown>): Kind => ({
  name,
  atOnce: name === "engine",
  journal: Effect.map(Layer.build(Layer.fresh(layer)), (context) => Context.get(context, SagaJournal))
})

const onTables = Postgres.shared({ maxConnections: 10 })

const kinds: Readonly<Record<string, Kind>> = {
  memory: layered("engine", SagaJournal.layerMemory),
  sqlite: layered("SQLite", SqlSagaJournal.layer.pipe(Layer.provide(NodeSqlite.layer({ filename: ":memory:" })))),
  postgres: layered("PostgreSQL", onTables((prefix) => SqlSagaJournal.layerWith({ prefix })))
}

// ------------------------------------------------------------------------------------------- rest

/** Lets everything go on that can: until nothing is asked of the journal for some turns of the event loop. */
const turnsOfRest = 10

const turn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))

/** Engines for the runs of one test. */
export class Store {
  readonly name: string
  readonly #kind: Kind
  #asked = 0
  /** The bus of the engine that was opened last. */
  bus: EventBusService | undefined

  constructor(kind: Kind) {
    this.name = kind.name
    this.#kind = kind
  }

  /** Waits until everything has come to rest: no answer of a journal is awaited. */
  readonly rest: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    for (let calm = 0; calm < turnsOfRest; calm++) {
      yield* turn
      if (this.#asked > 0) calm = -1
    }
  })

  #watch(journal: Journal): Journal {
    const watched = <Args extends Array<any>, A, E>(ask: (...args: Args) => Effect.Effect<A, E>) => (...args: Args) =>
      Effect.suspend(() => {
        this.#asked++
        return Effect.ensuring(ask(...args), Effect.sync(() => this.#asked--))
      })
    return {
      ...journal,
      write: watched(journal.write),
      end: watched(journal.end),
      claim: watched(journal.claim),
      nextDue: watched(journal.nextDue),
      find: watched(journal.find),
      facts: watched(journal.facts),
      define: watched(journal.define),
      definition: watched(journal.definition),
      events: {
        ...journal.events,
        keep: watched(journal.events.keep),
        wake: watched(() => journal.events.wake)(),
        read: watched(journal.events.read)
      },
      signals: watched(journal.signals)
    }
  }

  /**
   * Opens an engine with `options` and registers a saga there until the scope closes, with the services that are around. The effect
   * that it returns executes the saga, and fails as a run in a fiber does.
   */
  prepare<P, S, O, A, E, R>(
    saga: Saga.Saga<P, S, O, A, E, R>,
    payload: P,
    options: EngineOptions = {}
  ): Effect.Effect<Effect.Effect<A, E | Saga.CompensationFailed<E>>, never, R | Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const journal = this.#watch(yield* Effect.orDie(this.#kind.journal))
      // Whatever waits leaves, so that what is tested is tested across a return from the journal.
      const layer = SagaEngine.layerWith({ evictAfter: 0, ...options }).pipe(
        Layer.provide(Layer.succeed(SagaJournal, journal))
      )
      const context = yield* Effect.orDie(Layer.build(Layer.fresh(layer)))
      const engine = Context.get(context, SagaEngine)
      this.bus = Context.get(context, EventBus)
      // A caller learns that it is stuck; of what, only the hook is told.
      let said: Saga.Stuck["error"] | undefined
      const tree = toTree(saga)
      const { onStuck = ({ error }: Saga.Stuck) => Effect.logError(error.message) } = tree.options
      const watched: typeof saga = fromTree(tree.withOptions({
        onStuck: (stuck) => {
          said = stuck.error
          return onStuck(stuck)
        }
      }))
      yield* engine.register(watched) as Effect.Effect<void, never, R | Scope.Scope>
      // By its exit: `catch` would make defects of the errors beside a defect.
      const told = (exit: Exit.Exit<unknown, unknown>) =>
        said !== undefined && Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof ExecutionStuck
          ? Exit.fail(said)
          : exit
      const execution = Effect.flatMap(Effect.exit(engine.execute(watched, payload, { onStuck: "fail" })), told)
      return execution as Effect.Effect<A, E | Saga.CompensationFailed<E>>
    })
  }

  /** Runs a test on a clock that moves from one sleep to the next, and rests in between: a journal takes real time. */
  onItsClock<A, E, R>(test: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return TestClock.testClockWith((clock) => Effect.provideService(test, Clock.Clock, this.#stepwise(clock)))
  }

  #stepwise(clock: TestClock.TestClock): TestClock.TestClock {
    const sleeps = new Set<{ readonly atMillis: number }>()
    const setTime = (endMillis: number): Effect.Effect<void> =>
      Effect.gen({ self: this }, function*() {
        yield* this.rest
        while (true) {
          const atMillis = Math.min(...Array.from(sleeps, (sleep) => sleep.atMillis))
          if (atMillis > endMillis) break
          yield* clock.setTime(atMillis)
          for (const sleep of sleeps) if (sleep.atMillis <= atMillis) sleeps.delete(sleep)
          yield* this.rest
        }
        yield* clock.setTime(endMillis)
        yield* this.rest
      })
    return {
      ...clock,
      setTime,
      adjust: (duration) =>
        Effect.suspend(() =>
          setTime(clock.currentTimeMillisUnsafe() + Duration.toMillis(Duration.fromInputUnsafe(duration)))
        ),
      sleep: (duration) =>
        Effect.suspend(() => {
          const sleep = { atMillis: clock.currentTimeMillisUnsafe() + Duration.toMillis(duration) }
          sleeps.add(sleep)
          return Effect.ensuring(clock.sleep(duration), Effect.sync(() => sleeps.delete(sleep)))
        })
    }
  }
}

/** The stores that `STORES` names, `memory` unless it is set. */
export const stores: ReadonlyArray<Kind> = (process.env["STORES"] ?? "memory").split(",").map((name) => {
  const kind = kinds[name]
  if (kind === undefined) throw new Error(`STORES names "${name}", which is none of ${Object.keys(kinds).join(", ")}`)
  return kind
})
