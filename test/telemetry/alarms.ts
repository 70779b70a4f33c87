/** How executions come to need a person, one way for each reason, and what is seen of it: lines, counters, calls. */
import { Cause, Clock, Effect, Logger, Metric, References, Schedule, Schema } from "effect"
import { Saga, SagaObserver } from "effect-saga"
import type { EngineOptions, ExecutionStatus } from "effect-saga/SagaEngine"
import type { Journal } from "effect-saga/SagaJournal"
import { BatchRefused } from "effect-saga/SagaJournal"
import { SagaMetrics } from "effect-saga/telemetry"
import { TestClock } from "effect/testing"
import type { Booted, StoreService } from "../engine/world.ts"
import { boot, eventually, Gate, state, turn } from "../engine/world.ts"

/** An id that would forge a line of a log, and how it is printed. */
export const forging = "e1\u2028ERROR all is well"
export const printed = "e1%E2%80%A8ERROR all is well"

export const trip = Saga.make("Trip", { payload: Schema.Void })
export type AnyTrip = Saga.Saga<void, any, any, any, any, never>

const once = Schedule.recurs(0)
const done = { action: () => Effect.void, compensation: () => Effect.void }
const no = Saga.check("no", { error: Schema.String, action: () => Effect.fail("declined") })

export interface Way {
  /** What a person is told to do. */
  readonly verbs: ReadonlyArray<string>
  /** Brings the execution `forging` there, and gives the engine in which it became stuck. */
  readonly come: (store: StoreService, options: EngineOptions) => Effect.Effect<Booted, unknown, any>
}

/** Runs until it is stuck. */
const runs = (saga: AnyTrip, through = (journal: Journal) => journal): Way["come"] => (store, options) =>
  Effect.gen(function*() {
    const booted = yield* boot(store, [saga], { ...options, through })
    yield* booted.engine.start(saga, undefined, { executionId: forging })
    yield* state(store.journal, forging, "Stuck")
    return booted
  })

/** Runs until it sleeps in one engine, and goes on in another one with another saga, or other facts. */
const comesBack = (
  saga: AnyTrip,
  other: AnyTrip,
  meanwhile: (store: StoreService) => Effect.Effect<unknown, unknown> = () => Effect.void
): Way["come"] =>
(store, options) =>
  Effect.gen(function*() {
    const first = yield* boot(store, [saga], { evictAfter: 0 })
    yield* first.engine.start(saga, undefined, { executionId: forging })
    yield* state(store.journal, forging, "Waiting")
    yield* first.close
    yield* meanwhile(store)
    yield* TestClock.adjust("1 hour")
    const booted = yield* boot(store, [other], options)
    yield* state(store.journal, forging, "Stuck")
    return booted
  })

const sleeping = trip.pipe(
  Saga.step("a", { ...done, success: Schema.String, action: () => Effect.succeed("a") }),
  Saga.sleep("pause", "1 hour")
)

const uncertain = ["skip", "retry", "compensate", "abandon"]
const parked = ["retry", "abandon"]

/** Makes a write fail for good that holds a fact. */
const refusing = (tag: string) => (journal: Journal): Journal => ({
  ...journal,
  write: (lease, batch) =>
    batch.facts.some((fact) => fact.tag === tag)
      ? Effect.fail(new BatchRefused({ cause: new Error("too long") }))
      : journal.write(lease, batch)
})

/** A clock that fails once, as nothing of the toolkit should. */
const failingOnce = Effect.map(Clock.Clock, (clock): Clock.Clock => {
  // At the last fact.
  let left = 3
  return Object.create(clock, {
    currentTimeMillisUnsafe: {
      value: () => {
        // Where the toolkit itself asks: what its observers throw is no defect of a run.
        const asks = new Error().stack!.includes("JournalRecorder.now")
        if (asks && left-- === 0) throw new Error("the clock\nis broken")
        return clock.currentTimeMillisUnsafe()
      }
    }
  })
})

export const ways = {
  CompensationFailed: {
    verbs: ["skip", "retry", "abandon"],
    come: runs(
      trip.pipe(
        Saga.step("a", { ...done, compensation: () => Effect.fail("locked"), compensationRetry: once }),
        no
      )
    )
  },
  StepUncertain: {
    verbs: uncertain,
    come: runs(trip.pipe(Saga.step("a", { ...done, action: () => Effect.die("cut"), whenUncertain: "stuck" })))
  },
  PivotUncertain: {
    verbs: uncertain,
    come: runs(trip.pipe(Saga.pivot("a", { action: () => Effect.die("cut"), retry: once })))
  },
  ForwardRecoveryFailed: {
    verbs: ["skip", "retry", "abandon"],
    come: runs(trip.pipe(Saga.retriable("a", { error: Schema.String, action: () => Effect.fail("down"), retry: once })))
  },
  Quarantined: {
    verbs: [...parked, "compensate"],
    come: (store, options) =>
      Effect.gen(function*() {
        const gate = new Gate()
        const saga: AnyTrip = trip.pipe(Saga.step("a", { ...done, action: () => gate.pass }))
        const killing = { ...options, quarantineAfter: 1 }
        for (let boots = 0; boots < 2; boots++) {
          const doomed = yield* boot(store, [saga], killing)
          if (boots === 0) yield* doomed.engine.start(saga, undefined, { executionId: forging })
          yield* eventually("it is in it", Effect.sync(() => gate.count > boots))
          yield* doomed.kill
        }
        const booted = yield* boot(store, [saga], killing)
        yield* state(store.journal, forging, "Stuck")
        return booted
      })
  },
  Undecodable: {
    verbs: parked,
    come: comesBack(sleeping, sleeping, (store) =>
      Effect.gen(function*() {
        const facts = yield* store.journal.facts(forging, 0)
        const { data, sequence } = facts.find(({ tag }) => tag === "StepSucceeded")!
        yield* store.tamper(forging, sequence, data.replace("\"result\":\"a\"", "\"result\":5"))
      }))
  },
  DefinitionChanged: {
    verbs: parked,
    come: comesBack(sleeping, trip.pipe(Saga.step("other", done)))
  },
  Refused: {
    verbs: [...parked, "compensate"],
    come: runs(trip.pipe(Saga.step("a", done)), refusing("StepSucceeded"))
  },
  Defect: {
    verbs: [...parked, "compensate"],
    come: (store, options) =>
      Effect.flatMap(
        failingOnce,
        (clock) => Effect.provideService(runs(trip.pipe(Saga.step("a", done)))(store, options), Clock.Clock, clock)
      )
  }
} satisfies Record<string, Way>

/** A line of a log. */
export interface Line {
  readonly level: string
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
  readonly cause: Cause.Cause<unknown>
}

/** All that is seen from outside. */
export class Seen {
  readonly lines: Array<Line> = []
  /** What `onStuck` of the engine was given. */
  readonly calls: Array<ExecutionStatus> = []
  readonly onStuck = (execution: ExecutionStatus) => Effect.sync(() => void this.calls.push(execution))
  readonly #logger = Logger.make(({ cause, fiber, logLevel, message }) => {
    const text = Array.isArray(message) ? message.map(String).join() : String(message)
    this.lines.push({ level: logLevel, text, annotations: fiber.getRef(References.CurrentLogAnnotations), cause })
  })

  /** Watches an effect with metrics and a log of its own, and with these observers. */
  readonly watch = <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    observers: ReadonlyArray<SagaObserver.SagaObserver> = []
  ): Effect.Effect<A, E, R> =>
    effect.pipe(
      Effect.provideService(SagaObserver.Observers, [SagaMetrics.observer, ...observers]),
      Effect.provideService(Logger.CurrentLoggers, new Set([this.#logger])),
      Effect.provideService(References.MinimumLogLevel, "All"),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )

  /** The lines that should wake somebody. */
  get alarms(): ReadonlyArray<Line> {
    return this.lines.filter(({ level }) => level === "Warn" || level === "Error" || level === "Fatal")
  }

  /** Waits until somebody was told, and then for what may come beside. */
  readonly told: Effect.Effect<void> = Effect.andThen(
    Effect.orDie(eventually("somebody is told", Effect.sync(() => this.calls.length > 0 && this.alarms.length > 0))),
    Effect.repeat(turn, { times: 20 })
  )
}

/** The counters as `name{labels} value`, sorted. */
export const counters = Effect.map(
  Metric.snapshot,
  (snapshot) =>
    snapshot.flatMap(({ attributes, id, state, type }) => {
      const labels = Object.entries(attributes ?? {}).sort().map(([key, value]) => `${key}=${value}`)
      return type === "Counter" ? [`${id}{${labels.join(", ")}} ${state.count}`] : []
    }).sort()
)
