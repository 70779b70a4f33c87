/** `SagaTest.explore`: what it tries, what it finds, what it says, and that it says nothing where nothing is wrong. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Context, Effect, Exit, Layer, Ref, Result, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { SagaJournal } from "effect-saga/SagaJournal"
import { SqlSagaJournal } from "effect-saga/sql"
import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
import { Fault, Ledger, SagaTest } from "effect-saga/testing"
import { bookTrip } from "../../examples/travel-booking/saga.ts"
import { Travel } from "../../examples/travel-booking/services.ts"

const trip = { traveller: "Ada", city: "Rome", card: "visa" }

class SoldOut extends Schema.TaggedError<SoldOut>()("SoldOut", {}) {}
class Closed extends Schema.TaggedError<Closed>()("Closed", {}) {}

/** What the outside world has, by key. */
class Shop extends Context.Service<Shop, {
  readonly take: (key: string) => Effect.Effect<void>
  readonly giveBack: (key: string) => Effect.Effect<void>
  readonly taken: Effect.Effect<ReadonlyArray<string>>
}>()("test/Shop") {
  static readonly layer = Layer.effect(
    Shop,
    Effect.map(Ref.make<ReadonlyArray<string>>([]), (taken) => ({
      take: (key) => Ref.update(taken, (all) => all.includes(key) ? all : [...all, key]),
      giveBack: (key) => Ref.update(taken, (all) => all.filter((other) => other !== key)),
      taken: Ref.get(taken)
    }))
  )
}

const take = {
  error: Schema.Union([SoldOut, Closed]),
  action: (_: unknown, { idempotencyKey }: Saga.StepContext) => Shop.use((shop) => shop.take(idempotencyKey))
}
const giveBack = (_: unknown, __: unknown, { actionKey }: Saga.CompensationContext) =>
  Shop.use((shop) => shop.giveBack(actionKey))
const item = { ...take, whenUncertain: "compensate" as const, compensation: giveBack }
const start = Saga.make("Shopping", { payload: Schema.Void })
const two = start.pipe(Saga.step("tea", item), Saga.step("cup", item))
const options = { payload: undefined, services: Shop.layer }

const nothingTaken = ({ status }: SagaTest.Explored) =>
  Effect.gen(function*() {
    const taken = yield* Shop.use((shop) => shop.taken)
    if (status === "Compensated" && taken.length > 0) {
      return yield* Effect.fail(new Error(`still taken: ${taken.join()}`))
    }
  })

const violation = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, SagaTest.SagaViolation)
    return error
  })

/** The schedules of an exploration, as text. */
const seeing = () => {
  const seen = new Set<string>()
  return { seen, invariant: ({ faults }: SagaTest.Explored) => Effect.sync(() => seen.add(Fault.format(faults))) }
}

describe("what is tried", () => {
  it.effect("every fault in every action and compensation, and all are reached", () =>
    Effect.gen(function*() {
      const report = yield* SagaTest.explore(two, { ...options, invariant: nothingTaken })
      assert.deepStrictEqual(report.places.map(({ kind, path }) => `${kind} ${path}`), [
        "action tea",
        "compensation tea",
        "action cup",
        "compensation cup"
      ])
      // Two errors, died, lost, hangs, late, three interruptions, twice; a compensation has five outages more.
      assert.deepStrictEqual(report.places.map(({ faults }) => faults), [10, 13, 10, 13])
      assert.strictEqual(report.schedules.length, 3)
      assert.strictEqual(report.schedules[0], 1)
      assert.strictEqual(report.schedules[1], 20)
      assert.include(report.text, "2 actions, 2 compensations: all reached")
    }))

  it.effect("of the plainest saga also the last compensation: it is stopped once the last step has succeeded", () =>
    Effect.gen(function*() {
      const { invariant, seen } = seeing()
      const plain = { action: () => Effect.void, compensation: () => Effect.void }
      const saga = start.pipe(Saga.step("flight", plain), Saga.step("hotel", plain))
      for (const engine of [{}, { journal: SagaJournal.layerMemory }]) {
        const { places } = yield* SagaTest.explore(saga, {
          payload: undefined,
          services: Layer.empty,
          invariant,
          ...engine
        })
        assert.isTrue(places.every(({ faults }) => faults > 0))
        assert.strictEqual(places.length, 4)
      }
      assert.isTrue(seen.has("hotel:interrupted-done + ~hotel:dies"))
    }))

  it.effect("one fault for each error that a step declares", () =>
    Effect.gen(function*() {
      const { invariant, seen } = seeing()
      yield* SagaTest.explore(two, { ...options, depth: 1, invariant })
      assert.isTrue(seen.has("tea:fails(SoldOut)") && seen.has("tea:fails(Closed)"))
      assert.isTrue(seen.has("no fault") && seen.has("cup:lost"))
    }))

  it.effect("an error that the step calls uncertain also behind its effect", () =>
    Effect.gen(function*() {
      const { invariant, seen } = seeing()
      const saga = start.pipe(
        Saga.step("tea", { ...item, isUncertain: (error: SoldOut | Closed) => error._tag === "Closed" }),
        Saga.step("cup", item)
      )
      yield* SagaTest.explore(saga, { ...options, depth: 1, invariant })
      assert.isTrue(seen.has("tea:fails-late(Closed)"))
      assert.isFalse(seen.has("tea:fails-late(SoldOut)"))
    }))

  it.effect("an outage where something is tried again", () =>
    Effect.gen(function*() {
      const seen = new Set<string>()
      const saga = start.pipe(
        Saga.step("tea", { ...item, retry: Schedule.recurs(2) }),
        Saga.step("cup", item)
      )
      yield* SagaTest.explore(saga, {
        ...options,
        depth: 1,
        invariant: ({ calls, faults }) =>
          Effect.sync(() => seen.add(`${Fault.format(faults)}, ${calls.filter(({ path }) => path === "tea").length}`))
      })
      assert.isTrue(seen.has("tea:fails(SoldOut), 2"))
      assert.isTrue(seen.has("tea:fails(SoldOut)*, 3"))
    }))

  it.effect("what hangs without a limit is given up by its caller, and what nothing cuts is listed", () =>
    Effect.gen(function*() {
      const { invariant, seen } = seeing()
      const saga = start.pipe(
        Saga.step("tea", { ...item, interruptible: false }),
        Saga.step("cup", item),
        Saga.pivot("pay", { action: () => Effect.void })
      )
      const report = yield* SagaTest.explore(saga, { ...options, depth: 1, invariant })
      assert.deepStrictEqual(report.unbounded, ["tea", "pay"])
      assert.isTrue(seen.has("cup:hangs"))
      assert.isFalse(seen.has("tea:hangs"))
    }))

  it.effect("on an engine also a death at each write, on SQLite as well", () =>
    Effect.gen(function*() {
      const Sqlite = SqlSagaJournal.layer.pipe(
        Layer.provide(NodeSqlite.layer({ filename: ":memory:", synchronous: "OFF" }))
      )
      for (const journal of [SagaJournal.layerMemory, Sqlite]) {
        const report = yield* SagaTest.explore(two, { ...options, journal, depth: 1, invariant: nothingTaken })
        // The start with the first step, the second step, the end: before, behind, frozen and closed behind.
        assert.strictEqual(report.crashes, 12)
      }
    }))

  it.effect("a process that was taken for dead may end what another one waits for", () =>
    SagaTest.replay(
      bookTrip,
      "hotel:interrupted + ~hotel:dies + ~hotel#2:fails + journal#7:freeze + ~flight#2:lost + journal#8:close",
      { payload: trip, services: Travel, journal: SagaJournal.layerMemory }
    ))

  it.effect("a process that was taken for dead may undo once more what another one has undone", () =>
    SagaTest.replay(two, "journal#1:freeze + cup:interrupted-late + ~cup:fails + ~tea:dies", {
      ...options,
      journal: SagaJournal.layerMemory
    }))

  it.effect("random programs, the same ones each time", () =>
    Effect.gen(function*() {
      const programs = Effect.gen(function*() {
        const seen: Array<string> = []
        yield* SagaTest.explore(two, {
          ...options,
          depth: 0,
          random: 200,
          invariant: ({ faults }) => Effect.sync(() => seen.push(Fault.format(faults)))
        })
        return seen
      })
      const first = yield* programs
      assert.deepStrictEqual(yield* programs, first)
      assert.isAbove(new Set(first).size, 30)
      assert.isAbove(Math.max(...first.map((schedule) => schedule.split(" + ").length)), 3)
    }))

  it.effect("not more schedules than the limit, and it says how many are left out", () =>
    Effect.gen(function*() {
      const { schedules, skipped } = yield* SagaTest.explore(two, { ...options, limit: 100 })
      assert.isAtMost(schedules.reduce((sum, count) => sum + count, 0), 100)
      assert.isAbove(skipped, 100)
      const unreached = yield* Effect.flip(SagaTest.explore(two, { ...options, limit: 3 }))
      assert.match(unreached.message, /came to ~cup. [0-9]+ schedules were left out: raise the `limit`$/)
    }))

  it.effect("nothing of a run is there in the next one", () =>
    SagaTest.explore(two, {
      ...options,
      depth: 1,
      invariant: () =>
        Effect.gen(function*() {
          assert.isBelow(yield* Clock.currentTimeMillis, 60_000)
          assert.isAtMost((yield* Shop.use((shop) => shop.taken)).length, 2)
        })
    }))
})

describe("what is found", () => {
  const forgetful = start.pipe(
    Saga.step("tea", { ...item, compensation: () => Effect.void }),
    Saga.step("cup", item)
  )

  it.effect("an invariant of yours that does not hold, with the shortest schedule", () =>
    Effect.gen(function*() {
      const found = yield* violation(SagaTest.explore(forgetful, { ...options, invariant: nothingTaken }))
      assert.strictEqual(found.invariant, "your invariant")
      assert.strictEqual(found.faults.length, 1)
      assert.strictEqual(found.problem, "still taken: explored/tea")
      assert.strictEqual(
        found.message,
        `Shopping breaks "your invariant": still taken: explored/tea

  when tea: takes effect, and its answer is lost

${found.timeline}

  replay     SagaTest.replay(Shopping, "tea:lost", options)`
      )
    }))

  it.effect("replay repeats it, and passes when it is mended", () =>
    Effect.gen(function*() {
      const invariant = nothingTaken
      const again = yield* violation(SagaTest.replay(forgetful, "tea:lost", { ...options, invariant }))
      assert.strictEqual(again.replay, "tea:lost")
      yield* SagaTest.replay(two, "tea:lost", { ...options, invariant })
    }))

  it.effect("what a random program finds is made shorter until nothing can be left out", () =>
    Effect.gen(function*() {
      const found = yield* violation(
        SagaTest.explore(forgetful, { ...options, depth: 0, random: 500, invariant: nothingTaken })
      )
      assert.strictEqual(found.faults.length, 1)
    }))

  it.effect("by a random program too what ends otherwise on an engine than in a fiber", () =>
    Effect.gen(function*() {
      const kept = { n: 1 }
      const saga = start.pipe(
        Saga.step("tea", {
          success: Schema.Struct({ n: Schema.Int }),
          action: () => Effect.succeed(kept),
          compensation: (given) => given === kept ? Effect.void : Effect.fail("another one")
        }),
        Saga.check("end", { error: SoldOut, action: () => Effect.void })
      )
      const engine = { ...options, depth: 0, random: 100, journal: SagaJournal.layerMemory }
      const found = yield* violation(SagaTest.explore(saga, engine))
      assert.match(found.invariant, /^I10/)
      assert.strictEqual(found.faults.length, 1)
    }))

  it.effect("an invariant that dies is a violation too", () =>
    Effect.gen(function*() {
      const found = yield* violation(
        SagaTest.explore(two, { ...options, invariant: () => Effect.die(new Error("no such row")) })
      )
      assert.deepStrictEqual([found.problem, found.faults], ["no such row", []])
      assert.isTrue(Cause.hasDies(found.cause!))
    }))

  it.effect("an invariant that gives false is a violation, where its type has not refused it", () =>
    Effect.gen(function*() {
      const invariant = (): Effect.Effect<never> =>
        JSON.parse("[]").length === 0 ? Object(Effect.succeed(false)) : Effect.never
      const found = yield* violation(SagaTest.explore(two, { ...options, invariant }))
      assert.strictEqual(found.problem, "it gives `false`: let it fail, and say why")
    }))

  it.effect("an action that nobody interrupts and that never answers: it does not end", () =>
    Effect.gen(function*() {
      const saga = start.pipe(Saga.step("tea", { ...item, action: () => Effect.never }))
      const found = yield* violation(SagaTest.explore(saga, options))
      assert.match(found.invariant, /^I1/)
      assert.include(found.problem, "nothing moves any more")
    }))
})

describe("a fault of its own", () => {
  const bug = (): never => {
    throw new Error("bug")
  }
  const failing = {
    "an output that throws": SagaTest.explore(two.pipe(Saga.output(Schema.String, bug)), options),
    "a predicate that throws": SagaTest.explore(two.pipe(Saga.when("if", bug, (fork) => fork)), options),
    "an action that dies": SagaTest.explore(two.pipe(Saga.check("end", { action: () => Effect.sync(bug) })), options)
  }
  for (const [name, exploration] of Object.entries(failing)) {
    it.effect(`${name} is a violation although nothing was made to go wrong`, () =>
      Effect.gen(function*() {
        const error = yield* violation(exploration)
        assert.strictEqual(error.invariant, "without a fault nothing dies")
        assert.include(error.message, "it died by itself: Error: bug")
        assert.deepStrictEqual(error.faults, [])
      }))
  }

  it.effect("so is one behind the commit point, where it is parked", () =>
    Effect.gen(function*() {
      const saga = start.pipe(
        Saga.pivot("pay", { action: () => Effect.void }),
        Saga.output(Schema.String, bug)
      )
      const error = yield* violation(SagaTest.explore(saga, options))
      assert.strictEqual(error.problem, "it is parked for a person")
    }))

  it.effect("an error that a step declares is none", () =>
    Effect.gen(function*() {
      const saga = two.pipe(Saga.check("end", { error: SoldOut, action: () => Effect.fail(new SoldOut()) }))
      assert.strictEqual((yield* SagaTest.explore(saga, options)).ended.Succeeded, 0)
    }))
})

describe("several payloads", () => {
  it.effect("a violation shows its own, and replay comes to it", () =>
    Effect.gen(function*() {
      const saga = Saga.make("Numbers", { payload: Schema.Int }).pipe(
        Saga.step("tea", item),
        Saga.when("odd", ({ payload }) => payload === 3, (fork) => fork.pipe(Saga.step("cup", item)))
      )
      const many = {
        payload: 1,
        payloads: [2, 3],
        services: Shop.layer,
        invariant: ({ payload, status }: SagaTest.Explored<number>) =>
          payload === 3 && status === "Compensated" ? Effect.fail("three") : Effect.void
      }
      const error = yield* violation(SagaTest.explore(saga, many))
      assert.include(error.message, "  payload    3")
      const again = yield* violation(SagaTest.replay(saga, error.replay, many))
      assert.strictEqual(again.payload, 3)
      // Only one of them leads there.
      yield* violation(SagaTest.replay(saga, "odd/cup:dies", many))
      yield* SagaTest.replay(saga, "odd/cup:dies", { ...many, invariant: () => Effect.void })
    }))
})

describe("a ledger that knows the order", () => {
  it.effect("lets what came before be undone when a compensation has failed for good", () =>
    Effect.gen(function*() {
      const step = {
        action: (_: unknown, { idempotencyKey, path }: Saga.StepContext) =>
          Ledger.Ledger.use((ledger) => Effect.asVoid(ledger.apply(idempotencyKey, path))),
        compensation: (_: unknown, __: unknown, { actionKey, path }: Saga.CompensationContext) =>
          Ledger.Ledger.use((ledger) => ledger.cancel(actionKey, path)),
        whenUncertain: "compensate" as const
      }
      const saga = start.pipe(Saga.step("flight", step), Saga.step("hotel", step))
      yield* SagaTest.explore(saga, { payload: undefined, services: Ledger.layerFor(saga) })
    }))
})

describe("what is refused", () => {
  it.effect("a place that no payload leads to, until it is named or led to", () =>
    Effect.gen(function*() {
      const saga = Saga.make("Gift", { payload: Schema.Boolean }).pipe(
        Saga.when("wrapped", ({ payload }) => payload, (fork) => fork.pipe(Saga.step("paper", item))),
        Saga.check("end", { error: SoldOut, action: () => Effect.void })
      )
      const plain = { payload: false, services: Shop.layer }
      const error = yield* Effect.flip(SagaTest.explore(saga, plain))
      assert.instanceOf(error, SagaTest.PlacesUnreached)
      assert.strictEqual(
        error.message,
        "No run of Gift came to wrapped/paper, ~wrapped/paper. Add a payload that leads there to `payloads`, or name them in `unreachable`"
      )
      yield* SagaTest.explore(saga, { ...plain, unreachable: ["wrapped/paper", "~wrapped/paper"] })
      yield* SagaTest.explore(saga, { ...plain, payloads: [true] })
    }))

  it.effect("runs that are not repeatable", () =>
    Effect.gen(function*() {
      let runs = 0
      const saga = start.pipe(
        Saga.when("even", () => runs++ % 2 === 0, (fork) => fork.pipe(Saga.step("tea", item)))
      )
      const error = yield* Effect.flip(SagaTest.explore(saga, options))
      assert.instanceOf(error, SagaTest.FaultNotReached)
      assert.include(error.message, "Runs must be repeatable")
    }))

  it.effect("an error that cannot be generated", () =>
    Effect.gen(function*() {
      const saga = start.pipe(Saga.step("tea", { ...item, error: Schema.instanceOf(URL), action: () => Effect.void }))
      const error = yield* Effect.flip(SagaTest.explore(saga, options))
      assert.instanceOf(error, SagaTest.NoSample)
      assert.include(error.message, `the errors of "tea" of Shopping`)
    }))

  it.effect("a schedule that is none, and one with a place that does not exist", () =>
    Effect.gen(function*() {
      const invalid = yield* Effect.flip(SagaTest.replay(two, "tea explodes", options))
      assert.strictEqual(invalid._tag, "ScheduleInvalid")
      const unknown = yield* Effect.flip(SagaTest.replay(two, "milk:lost", options))
      assert.strictEqual(
        unknown.message,
        `"milk:lost" in "milk:lost": there is no such place; those of Shopping are tea, ~tea, cup, ~cup`
      )
      const missed = yield* Effect.flip(SagaTest.replay(two, "tea#7:lost", options))
      assert.strictEqual(missed._tag, "FaultNotReached")
      assert.include(missed.message, "A replay needs the saga and the options that the schedule is of")
    }))

  it.effect("a compensation where there is none, and a write where there is no journal", () =>
    Effect.gen(function*() {
      const saga = two.pipe(Saga.check("funds", { error: SoldOut, action: () => Effect.void }))
      const none = yield* Effect.flip(SagaTest.replay(saga, "~funds:lost", options))
      assert.include(none.message, "there is no such place; those of Shopping are tea, ~tea, cup, ~cup, funds")
      const write = yield* Effect.flip(SagaTest.replay(saga, "journal#1:freeze", options))
      assert.strictEqual(write._tag, "ScheduleInvalid")
      assert.include(write.message, "there is no journal: give the option `journal`")
      // Also where the saga does not come to: it could not happen there either.
      const never = yield* Effect.flip(SagaTest.replay(saga, "cup:dies + ~tea#2:fails(SoldOut)", options))
      assert.include(never.message, "it cannot happen there; what can is ~tea:fails, ~tea:dies")
    }))

  it.effect("what happens nowhere is told with what can", () =>
    Effect.gen(function*() {
      const { message } = yield* Effect.flip(SagaTest.replay(two, "tea:lost + cup:hang", options))
      assert.strictEqual(
        message,
        `"cup:hang" in "tea:lost + cup:hang": nothing that can happen is called "hang"; it is one of fails, fails-late, dies, lost, hangs, late, interrupted, interrupted-late, interrupted-done, twice`
      )
      const crash = yield* Effect.flip(SagaTest.replay(two, "journal#2:crash", options))
      assert.include(
        crash.message,
        `nothing that can happen is called "crash"; it is one of crash-before, crash-after, freeze, close`
      )
      const event = yield* Effect.flip(SagaTest.replay(two, "event#1:dropped", options))
      assert.include(event.message, `nothing that can happen is called "dropped"; it is one of twice, late, lost`)
    }))

  it.effect("a fault in a schedule that can never happen where it is", () =>
    Effect.gen(function*() {
      for (
        const fault of ["tea:fails", "tea:fails(Renamed)", "tea:lost(SoldOut)", "tea:fails-late(SoldOut)", "tea:twice*"]
      ) {
        const error = yield* Effect.flip(SagaTest.replay(two, fault, options))
        assert.strictEqual(error._tag, "ScheduleInvalid", fault)
        assert.include(
          error.message,
          "it cannot happen there; what can is tea:fails(SoldOut), tea:fails(Closed), tea:dies"
        )
      }
      const undo = yield* Effect.flip(SagaTest.replay(two, "cup:dies + ~tea:fails(SoldOut)", options))
      assert.include(undo.message, "what can is ~tea:fails, ~tea:dies")
      yield* SagaTest.replay(two, "cup:dies + ~tea:fails*", options)
    }))

  it.effect("places that do not exist", () =>
    Effect.gen(function*() {
      for (const wrong of [{ places: ["te"] }, { unreachable: ["te"] }, { places: ["tea", "journal"] }]) {
        const error = yield* Effect.flip(SagaTest.explore(two, { ...options, ...wrong }))
        assert.instanceOf(error, SagaTest.PlacesUnknown)
        assert.include(error.message, "Its places are tea, ~tea, cup, ~cup")
      }
      const journal = SagaJournal.layerMemory
      yield* SagaTest.explore(two, { ...options, journal, depth: 1, places: ["journal"] })
      const { text } = yield* SagaTest.explore(two, { ...options, unreachable: ["tea"], depth: 1 })
      assert.include(text, "unreachable tea (and was reached)")
    }))

  it.effect("numbers that say nothing", () =>
    Effect.gen(function*() {
      for (
        const wrong of [{ depth: -1 }, { depth: 1.5 }, { limit: 0 }, { limit: Number.NaN }, { random: -1 }, {
          seed: 0.5
        }]
      ) {
        const exit = yield* Effect.exit(SagaTest.explore(two, { ...options, ...wrong }))
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof RangeError, JSON.stringify(wrong))
      }
    }))
})

describe("schedules as text", () => {
  const schedules: ReadonlyArray<ReadonlyArray<Fault.Fault>> = [
    [],
    [{ kind: "journal", write: 3, deed: "crash-after" }],
    [
      { kind: "action", path: "a b#1:*(+)~%2F/x", call: 2, deed: "fails", error: "So (2) + *", lasting: true },
      { kind: "compensation", path: "hotel", call: 1, deed: "late", lasting: false }
    ]
  ]
  for (const schedule of schedules) {
    it(`reads what it writes: ${Fault.format(schedule)}`, () => {
      assert.deepStrictEqual(Fault.parse(Fault.format(schedule)), Result.succeed(schedule))
    })
  }
})

describe("examples", () => {
  it.effect("a trip is booked or it is not, whatever two things go wrong", () =>
    Effect.gen(function*() {
      const report = yield* SagaTest.explore(bookTrip, { payload: trip, services: Travel })
      assert.isAbove(report.schedules[2]!, 1_000)
    }), 60_000)
})
