/**
 * The executions whose journals are kept. A scene may be added, and a saga given a new version beside the old one; none
 * is changed or taken away, for the journals that were written with it are read in every later release.
 */
import { Effect, Exit, Fiber, Option, Schedule, Schema, SchemaTransformation } from "effect"
import { Saga } from "effect-saga"
import { DomainEvent } from "effect-saga/events"
import { TestClock } from "effect/testing"
import type { Booted, StoreService } from "./world.ts"
import { boot, errorOf, eventually, fact, Gate, inTime, problem, state, told, World } from "./world.ts"

class Sold extends Schema.TaggedError<Sold>()("Sold", { item: Schema.String, at: Schema.Date }) {}

const Order = Schema.Struct({
  id: Schema.String,
  at: Schema.Date,
  note: Schema.Option(Schema.String),
  lines: Schema.Array(Schema.Struct({ item: Schema.String, count: Schema.Int })),
  way: Schema.Literals(["card", "invoice"])
})

const order = (): typeof Order.Type => ({
  id: "o/1 ä",
  at: new Date(86_400_000),
  note: Option.some("to the \"back\" door"),
  lines: [{ item: "lamp", count: 1 }, { item: "a/b%", count: 2 }],
  way: "card"
})

const once = Schedule.recurs(0)
const hourly = { retry: Schedule.spaced("1 hour") }

/** What keeps a scene where it is when its process dies. It is gone when the journal is read. */
export interface Holds {
  readonly at: (name: string) => Effect.Effect<void>
}

/** All kinds of nodes in one saga. */
const everything = (world: World, { at }: Holds) =>
  Saga.make("Everything", { payload: Order }).pipe(
    Saga.step("begin", world.step()),
    Saga.step("count", {
      success: Schema.Struct({ total: Schema.Int, at: Schema.Date, note: Schema.Option(Schema.String) }),
      action: ({ payload }) =>
        Effect.succeed({
          total: payload.lines.reduce((sum, { count }) => sum + count, 0),
          at: payload.at,
          note: payload.note
        }),
      compensation: ({ at, note, total }, _, { executionId }) =>
        Effect.sync(() =>
          world.mark(executionId, `-count:${total},${at.getTime()},${Option.getOrElse(note, () => "")}`)
        )
    }),
    Saga.forEach("lines", {
      item: Schema.Struct({ item: Schema.String, count: Schema.Int }),
      items: ({ payload }) => payload.lines,
      key: ({ item }) => item,
      concurrency: 2,
      each: (fork) =>
        fork.pipe(
          Saga.step("pick", world.step({ after: ({ path }) => path.includes("lamp") ? Effect.void : at("pick") }))
        )
    }),
    Saga.match("pay", ({ payload }) => payload.way, {
      card: (fork) => fork.pipe(Saga.step("charge", world.step())),
      invoice: (fork) => fork.pipe(Saga.step("write", world.step()))
    }),
    Saga.when(
      "gift",
      ({ payload }) => Option.isNone(payload.note),
      (fork) => fork.pipe(Saga.step("wrap", world.step()))
    ),
    Saga.nested(
      "parcel",
      Saga.make("Parcel", { payload: Schema.Struct({ since: Schema.Date }) }).pipe(
        Saga.step("label", {
          ...world.step({ before: ({ attempt }) => attempt === 1 ? Effect.fail("no paper") : Effect.void }),
          ...hourly
        }),
        Saga.output(Schema.Date, ({ payload }) => payload.since)
      ),
      ({ payload }) => ({ since: payload.at })
    ),
    Saga.sleep("rest", "1 day"),
    Saga.parallel((fork) => [
      fork.pipe(Saga.step("mail", world.step())),
      fork.pipe(Saga.step("sms", world.step({ after: () => at("sms") })))
    ]),
    Saga.output(Schema.Struct({ parcel: Schema.Date, total: Schema.Int }), ({ count, parcel }) => ({
      parcel,
      total: count.total
    }))
  )

/** What goes wrong goes wrong by its payload. */
const failing = (world: World, { at }: Holds) =>
  Saga.make("Failing", { payload: Order }).pipe(
    Saga.step("begin", world.step({ undo: () => at("undo") })),
    Saga.orElse(
      "send",
      (fork) =>
        fork.pipe(
          Saga.step("pack", world.step()),
          Saga.step("truck", world.step({ before: () => Effect.fail("full") }))
        ),
      (fork) => fork.pipe(Saga.step("bike", world.step()))
    ),
    Saga.step("last", {
      error: Sold,
      action: ({ payload }) => Effect.fail(new Sold({ item: payload.lines[0]!.item, at: payload.at })),
      compensation: () => Effect.void
    })
  )

const stuck = (world: World) =>
  Saga.make("Stuck", { payload: Order }).pipe(
    Saga.step("begin", world.step()),
    Saga.step("locked", {
      ...world.step({ undo: () => Effect.fail("locked") }),
      compensationRetry: Schedule.recurs(1)
    }),
    Saga.check("no", world.fails())
  )

const uncertain = (world: World) =>
  Saga.make("Uncertain", { payload: Order }).pipe(
    Saga.step("begin", world.step()),
    Saga.step("maybe", {
      ...world.step({ after: () => Effect.die(new Error("cut")) }),
      whenUncertain: "report",
      retry: once
    })
  )

const limited = (world: World) =>
  Saga.make("Limited", { payload: Order }).pipe(
    Saga.timeout("1 day"),
    Saga.step("begin", world.step()),
    Saga.sleep("rest", "2 days")
  )

const committing = (world: World, { at }: Holds) =>
  Saga.make("Committing", { payload: Order }).pipe(
    Saga.step("begin", world.step()),
    Saga.pivot("pay", world.action()),
    Saga.retriable("mail", { ...world.action({ after: () => at("mail") }), retry: Schedule.forever })
  )

/** A person has to decide about it twice. */
const decided = (world: World) =>
  Saga.make("Decided", { payload: Order }).pipe(
    Saga.step("begin", world.step()),
    Saga.step("maybe", { ...world.step({ after: () => Effect.die(new Error("cut")) }), whenUncertain: "stuck" }),
    Saga.step("locked", { ...world.step({ undo: () => Effect.fail("locked") }), compensationRetry: once }),
    Saga.check("no", world.fails())
  )

/** Version 1 of what has other names, and other results, by now. */
const unmoved = (world: World) =>
  Saga.make("Moved", { payload: Order }).pipe(
    Saga.step("begin", world.step()),
    Saga.forEach("lines", {
      item: Schema.String,
      items: ({ payload }) => payload.lines.map(({ item }) => item),
      key: (item) => item,
      each: (fork) => fork.pipe(Saga.step("pick", { ...world.step(), success: Schema.String }))
    }),
    Saga.sleep("rest", "1 day")
  )

const Picked = Schema.Struct({ by: Schema.String })
const picked = Schema.String.pipe(
  Schema.decodeTo(
    Picked,
    SchemaTransformation.transform({ decode: (by) => ({ by }), encode: ({ by }) => by })
  )
)

const moved = (world: World, { at }: Holds) =>
  Saga.make("Moved", { payload: Order, version: 2 }).pipe(
    Saga.step("begin", world.step()),
    Saga.forEach("rows", {
      item: Schema.String,
      items: () => [],
      key: (item) => item,
      each: (fork) =>
        fork.pipe(Saga.step("take", {
          success: Picked,
          action: () => Effect.succeed({ by: "nobody" }),
          compensation: ({ by }, _, { actionKey, executionId }) =>
            Effect.sync(() => world.mark(executionId, `-${by}:${actionKey}`))
        }))
    }),
    Saga.sleep("rest", "1 day"),
    Saga.step("end", {
      ...world.step(),
      action: (_, context) => Effect.andThen(at("end"), world.step().action(_, context))
    }),
    Saga.check("no", world.fails()),
    Saga.migrateFrom(1, { steps: { lines: { name: "rows" }, "lines/*/pick": { name: "take", success: picked } } })
  )

const Paid = DomainEvent.make("Paid", {
  payload: Schema.Struct({ order: Schema.String, at: Schema.Date }),
  key: ({ order }) => order
})

/** Waits for one event too long, publishes one, and receives that. */
const telling = (world: World, { at }: Holds) =>
  Saga.make("Telling", { payload: Order }).pipe(
    Saga.step("begin", world.step()),
    Saga.orElse(
      "paid",
      (fork) => fork.pipe(Saga.awaitEvent("soon", Paid, { correlate: ({ payload }) => payload.id, timeout: "1 hour" })),
      (fork) => fork.pipe(Saga.publish("told", Paid, ({ payload }) => ({ order: payload.id, at: payload.at })))
    ),
    Saga.awaitFirst("own", [Paid], { correlate: ({ payload }) => payload.id }),
    Saga.step("end", {
      ...world.step(),
      action: (_, context) => Effect.andThen(at("end"), world.step().action(_, context))
    })
  )

export type GoldenSaga = Saga.Saga<typeof Order.Type, any, any, any, any, any>

/** The sagas by name, as a process of today has them. */
export const sagasOf = (world: World, holds: Holds): ReadonlyMap<string, GoldenSaga> =>
  new Map<string, GoldenSaga>([
    ["Everything", everything(world, holds)],
    ["Failing", failing(world, holds)],
    ["Stuck", stuck(world)],
    ["Uncertain", uncertain(world)],
    ["Limited", limited(world)],
    ["Committing", committing(world, holds)],
    ["Decided", decided(world)],
    ["Moved", moved(world, holds)],
    ["Telling", telling(world, holds)]
  ])

interface Scene {
  readonly saga: string
  /** Where it is held, if it is. */
  readonly hold?: string
  readonly play: (
    booted: Booted,
    saga: GoldenSaga,
    store: StoreService,
    gate: Gate
  ) => Effect.Effect<unknown, unknown>
}

const begin = ({ engine }: Booted, saga: GoldenSaga) => engine.start(saga, order(), { executionId: "e" })

const toItsEnd: Scene["play"] = (booted, saga) =>
  Effect.andThen(
    begin(booted, saga),
    inTime("it ends", Effect.exit(booted.engine.await(saga, "e", { onStuck: "fail" })))
  )

const untilItWaits: Scene["play"] = (booted, saga, store) =>
  Effect.andThen(begin(booted, saga), state(store.journal, "e", "Waiting"))

/** Dies while somebody is held. */
const untilItDies: Scene["play"] = (booted, saga, _, gate) =>
  Effect.andThen(begin(booted, saga), Effect.andThen(gate.reached, booted.kill))

/** Through the pause between two tries, and then through the night. */
const overNight: Scene["play"] = (booted, saga, store, gate) =>
  Effect.gen(function*() {
    yield* untilItWaits(booted, saga, store, gate)
    yield* TestClock.adjust("1 hour")
    yield* fact(store.journal, "e", "TimerSet rest")
    yield* state(store.journal, "e", "Waiting")
    yield* TestClock.adjust("1 day")
  })

const by = { actor: "ann", comment: "the \"ticket\" 7/ä" }

/** Decides in a process that does not have the saga, when its own is gone. */
const byOther = (
  { kill }: Booted,
  store: StoreService,
  decide: (engine: Booted["engine"]) => Effect.Effect<void, unknown>
) =>
  Effect.scoped(Effect.gen(function*() {
    yield* kill
    const other = yield* boot(store, [])
    yield* decide(other.engine)
    yield* other.kill
  }))

export const scenes: Readonly<Record<string, Scene>> = {
  "succeeded": {
    saga: "Everything",
    play: (booted, saga, store, gate) =>
      Effect.andThen(overNight(booted, saga, store, gate), inTime("it ends", booted.engine.await(saga, "e")))
  },
  "dead in a forEach": { saga: "Everything", hold: "pick", play: untilItDies },
  "between two tries": { saga: "Everything", play: untilItWaits },
  "dead in a parallel": {
    saga: "Everything",
    hold: "sms",
    play: (booted, saga, store, gate) =>
      Effect.gen(function*() {
        yield* overNight(booted, saga, store, gate)
        yield* gate.reached
        yield* fact(store.journal, "e", "StepSucceeded mail")
        yield* booted.kill
      })
  },
  "compensated": { saga: "Failing", play: toItsEnd },
  "dead in a compensation": { saga: "Failing", hold: "undo", play: untilItDies },
  "stuck": { saga: "Stuck", play: toItsEnd },
  "uncertain": { saga: "Uncertain", play: toItsEnd },
  "asleep under a limit": { saga: "Limited", play: untilItWaits },
  "its limit has passed": {
    saga: "Limited",
    play: (booted, saga, store, gate) =>
      Effect.gen(function*() {
        yield* untilItWaits(booted, saga, store, gate)
        yield* TestClock.adjust("1 day")
        yield* state(store.journal, "e", "Compensated")
      })
  },
  "cancelled": {
    saga: "Everything",
    play: (booted, saga, store, gate) =>
      Effect.gen(function*() {
        yield* untilItWaits(booted, saga, store, gate)
        yield* booted.engine.cancel("e")
        yield* state(store.journal, "e", "Compensated")
      })
  },
  "a cancel was refused": {
    saga: "Committing",
    hold: "mail",
    play: (booted, saga, _, gate) =>
      Effect.gen(function*() {
        yield* begin(booted, saga)
        yield* gate.reached
        if (errorOf(yield* Effect.exit(booted.engine.cancel("e"))) === undefined) {
          return yield* Effect.die("not refused")
        }
        yield* booted.kill
      })
  },
  "skipped and retried": {
    saga: "Decided",
    play: (booted, saga, store) =>
      Effect.gen(function*() {
        yield* begin(booted, saga)
        yield* state(store.journal, "e", "Stuck")
        yield* booted.engine.skip("e", "maybe", "maybe", by)
        yield* eventually("stuck again", Effect.map(problem(store.journal, "e"), (why) => why.includes("locked")))
        yield* booted.engine.retry("e", by)
        const isThird = Effect.map(told(store.journal, "e"), (all) =>
          all.filter((one) => one === "SagaStuck").length === 3)
        yield* eventually("stuck once more", isThird)
        yield* byOther(booted, store, (engine) =>
          engine.skip("e", "locked", undefined, by))
      })
  },
  "given up": {
    saga: "Decided",
    play: (booted, saga, store) =>
      Effect.gen(function*() {
        yield* begin(booted, saga)
        yield* state(store.journal, "e", "Stuck")
        yield* byOther(booted, store, (engine) => engine.compensate("e", by))
      })
  },
  "taken on by version 2": {
    saga: "Moved",
    hold: "end",
    play: (booted, saga, store, gate) =>
      Effect.scoped(Effect.gen(function*() {
        yield* booted.kill
        const older: GoldenSaga = unmoved(new World())
        const first = yield* boot(store, [older])
        yield* begin(first, older)
        yield* state(store.journal, "e", "Waiting")
        yield* first.close
        yield* TestClock.adjust("1 day")
        const second = yield* boot(store, [saga])
        yield* gate.reached
        yield* second.kill
      }))
  },
  "its results were handed over": {
    saga: "Decided",
    play: (booted, saga, store) =>
      Effect.gen(function*() {
        yield* begin(booted, saga)
        yield* state(store.journal, "e", "Stuck")
        yield* booted.engine.abandon("e", by)
        yield* booted.engine.rerun("e", { ...by, keepResults: true, executionId: "f" })
      })
  },
  "dead behind its events": {
    saga: "Telling",
    hold: "end",
    play: (booted, saga, store, gate) =>
      Effect.gen(function*() {
        yield* untilItWaits(booted, saga, store, gate)
        yield* TestClock.adjust("1 hour")
        yield* gate.reached
        yield* booted.kill
      })
  },
  "abandoned": {
    saga: "Decided",
    play: (booted, saga, store) =>
      Effect.gen(function*() {
        yield* begin(booted, saga)
        yield* state(store.journal, "e", "Stuck")
        yield* booted.engine.abandon("e", by)
      })
  }
}

/** A journal as it is kept. */
export interface Kept {
  readonly saga: string
  readonly definition: { readonly hash: string; readonly data: string }
  /** Those of versions that have taken it on. */
  readonly later?: ReadonlyArray<{ readonly hash: string; readonly data: string; readonly version: number }>
  readonly row: {
    readonly version: number
    readonly state: string
    readonly dueAtMillis: number | null
    readonly startedAtMillis: number
    readonly problem: string | null
  }
  /** How it ends when it goes on, and what the world sees of that. */
  readonly ending: Ending
  readonly facts: ReadonlyArray<unknown>
}

/** How it went on. */
export interface Ending {
  readonly end: string
  readonly world: string
}

/** Plays a scene in a process that is gone afterwards. */
export const play = (store: StoreService, { hold, play, saga }: Scene) =>
  Effect.gen(function*() {
    const gate = new Gate()
    const holds = { at: (name: string) => name === hold ? gate.pass : Effect.void }
    const saga1 = sagasOf(new World(), holds).get(saga)!
    const booted = yield* boot(store, [saga1], { evictAfter: 0 })
    yield* play(booted, saga1, store, gate)
    yield* booted.kill
    yield* gate.open
  })

/** Lets it go on in a process of today, in a world that has seen nothing before. */
export const goOn = (store: StoreService, saga: string) =>
  Effect.gen(function*() {
    const world = new World()
    const saga1 = sagasOf(world, { at: () => Effect.void }).get(saga)!
    const { engine, kill } = yield* boot(store, [saga1])
    const waiting = yield* Effect.forkChild(Effect.exit(engine.outcome(saga1, "e", { onStuck: "fail" })), {
      startImmediately: true
    })
    while (waiting.pollUnsafe() === undefined) {
      yield* TestClock.adjust("1 hour")
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
    const exit = yield* Fiber.join(waiting)
    yield* kill
    const told = Exit.isFailure(exit)
      ? errorOf(exit)
      : exit.value._tag === "Succeeded"
      ? exit.value.result
      : exit.value._tag === "Compensated"
      ? { failed: errorOf(Exit.failCause(exit.value.cause)), uncertain: exit.value.uncertain.map(({ path }) => path) }
      : exit.value
    const end = Exit.isFailure(exit) ? "Stuck" : exit.value._tag
    return { end: `${end}: ${JSON.stringify(told)}`, world: world.text("e") } satisfies Ending
  })
