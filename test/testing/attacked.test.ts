/** What an attack on the test kit found: sagas and fakes that no exploration should trip over, or take for right. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { DomainEvent, EventBus } from "effect-saga/events"
import { SagaJournal } from "effect-saga/SagaJournal"
import { Ledger, SagaTest } from "effect-saga/testing"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const trip = Saga.make("Trip", { payload: Schema.Void })
const step = { action: () => Effect.void, compensation: () => Effect.void }
const check = { action: () => Effect.void }
const plain = { payload: undefined, services: Layer.empty }

const violation = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, SagaTest.SagaViolation)
    return error
  })

describe("the plainest sagas", () => {
  it.effect("two steps: somebody stops it when the last has succeeded, and that is undone too", () =>
    Effect.gen(function*() {
      const two = trip.pipe(Saga.step("flight", step), Saga.step("hotel", step))
      const inner = Saga.make("Inner", { payload: Schema.Void }).pipe(Saga.step("hotel", step))
      const sagas = [
        SagaTest.explore(two, plain),
        SagaTest.explore(two.pipe(Saga.sleep("pause", "1 second")), plain),
        SagaTest.explore(trip.pipe(Saga.step("flight", step), Saga.nested("inner", inner, () => undefined)), plain),
        SagaTest.explore(
          trip.pipe(Saga.when("maybe", () => true, (fork) => fork.pipe(Saga.step("hotel", step)))),
          plain
        )
      ]
      for (const explored of sagas) assert.include((yield* explored).text, "all reached")
    }))

  it.effect("another compensation that nothing leads to is refused still", () =>
    Effect.gen(function*() {
      const saga = trip.pipe(
        Saga.step("flight", step),
        Saga.when("never", () => false, (fork) => fork.pipe(Saga.step("hotel", step))),
        Saga.check("end", check)
      )
      const error = yield* Effect.flip(SagaTest.explore(saga, plain))
      assert.include(error.message, "No run of Trip came to never/hotel, ~never/hotel")
    }))
})

describe("what never rests", () => {
  const busy = { action: () => Effect.forever(Effect.yieldNow), compensation: () => Effect.void }

  it.effect("a busy loop in an action is named, in a fiber and on an engine", () =>
    Effect.gen(function*() {
      for (const journal of [undefined, SagaJournal.layerMemory]) {
        const saga = trip.pipe(Saga.step("flight", step), Saga.step("busy", busy))
        const error = yield* violation(SagaTest.explore(saga, journal === undefined ? plain : { ...plain, journal }))
        assert.strictEqual(error.invariant, "I1 every start ends, or is parked for a person")
        assert.include(error.problem, "it has not ended, in busy: a fiber never rests: it has yielded 1,000,000 times")
      }
    }), 60_000)

  it.effect("many sleeps are no loop; sleeps without an end are, and how many is said", () =>
    Effect.gen(function*() {
      const naps = (count: number) => ({
        action: () => Effect.repeat(Effect.sleep("1 second"), { times: count })
      })
      const many = trip.pipe(Saga.check("naps", naps(9_000)))
      yield* SagaTest.explore(many, { ...plain, depth: 0 })
      const error = yield* violation(
        SagaTest.explore(trip.pipe(Saga.check("naps", naps(30_000))), { ...plain, depth: 0 })
      )
      assert.include(
        error.problem,
        "it has not ended, in naps: time was moved on 10000 times, and nothing was done meanwhile"
      )
    }))

  it.effect("an invariant, or services, that hang are named", () =>
    Effect.gen(function*() {
      const saga = trip.pipe(Saga.check("end", check))
      const error = yield* violation(SagaTest.explore(saga, { ...plain, invariant: () => Effect.never }))
      assert.strictEqual(error.invariant, "your invariant")
      assert.include(error.problem, "your invariant has not ended, and nothing moves any more")
      const services = Layer.effectDiscard(Effect.never)
      const defect = yield* Effect.flip(Effect.sandbox(SagaTest.explore(saga, { ...plain, services })))
      assert.include(
        String(defect.reasons.map((reason) => "defect" in reason ? reason.defect : reason)),
        "Building the services has not ended"
      )
    }))
})

it.effect("every member of a union of errors is tried, also of one that refers to itself", () =>
  Effect.gen(function*() {
    class Full extends Schema.TaggedError<Full>()("Full", {}) {}
    class Closed extends Schema.TaggedError<Closed>()("Closed", {}) {}
    const later = Schema.suspend(() => Schema.Union([Full, Closed]))
    const saga = trip.pipe(Saga.check("end", { error: later, action: () => Effect.void }))
    const seen = new Set<string>()
    yield* SagaTest.explore(saga, {
      ...plain,
      depth: 1,
      invariant: ({ faults }) =>
        Effect.sync(() => faults.forEach((fault) => "error" in fault && seen.add(String(fault.error))))
    })
    assert.sameMembers(Array.from(seen), ["Full", "Closed"])
  }))

describe("a ledger whose entries have names of their own", () => {
  const ledger = (name: string) => ({
    action: (_: unknown, { idempotencyKey }: Saga.StepContext) =>
      Ledger.Ledger.use((ledger) => Effect.asVoid(ledger.apply(idempotencyKey, name))),
    compensation: (_: unknown, __: unknown, { actionKey }: Saga.CompensationContext) =>
      Ledger.Ledger.use((ledger) => ledger.cancel(actionKey, name))
  })
  const options = { payload: ["a", "b"], services: Ledger.layer }
  const start = Saga.make("Lines", { payload: Schema.Array(Schema.String) })
  it.effect("one name may stand for every item, and for two steps", () =>
    Effect.gen(function*() {
      const saga = start.pipe(
        Saga.forEach("lines", {
          item: Schema.String,
          items: ({ payload }) => payload,
          key: (item) => item,
          each: (fork) => fork.pipe(Saga.step("reserve", ledger("stock")))
        }),
        Saga.step("more", ledger("stock")),
        Saga.check("end", check)
      )
      yield* SagaTest.explore(saga, { ...options, depth: 1 })
    }))

  it.effect("what is reported uncertain may stand under whatever name, and what is done twice is found", () =>
    Effect.gen(function*() {
      const reported = start.pipe(
        Saga.step("a", { ...ledger("stock"), whenUncertain: "report" }),
        Saga.check("end", check)
      )
      yield* SagaTest.explore(reported, { ...options, depth: 1 })
      const again = {
        action: (_: unknown, { attempt, idempotencyKey }: Saga.StepContext) =>
          Ledger.Ledger.use((ledger) => Effect.asVoid(ledger.apply(`${idempotencyKey} ${attempt}`, "stock")))
      }
      const error = yield* violation(
        SagaTest.explore(start.pipe(Saga.pivot("a", { ...again, retry: Schedule.recurs(1) })), { ...options, depth: 1 })
      )
      assert.include(error.problem, "took effect under")
    }))
})

describe("events that come from outside the saga, on an engine as in a fiber", () => {
  const Paid = DomainEvent.make("Paid", { payload: Schema.Int, key: () => "o" })
  const correlate = () => "o"
  const limited = { correlate, timeout: "30 seconds" } as const
  /** Two of them, published side by side, each until it is there. */
  const outside = (millis: number) =>
    Layer.effectDiscard(Effect.gen(function*() {
      const bus = yield* EventBus
      for (const n of [1, 2]) {
        const told = Effect.retry(bus.publish(Paid, n, { id: `event ${n}` }), { times: 3 })
        yield* Effect.forkScoped(Effect.delay(told, millis))
      }
    }))
  const end = Saga.check("end", check)
  const explored = <S, O, A, E>(saga: Saga.Saga<void, S, O, A, E, EventBus>, millis: number) =>
    SagaTest.explore(saga, {
      payload: undefined,
      services: outside(millis),
      journal: SagaJournal.layerMemory,
      limit: 150
    })
  for (const millis of [0, 1_000]) {
    it.effect(
      `without a limit, ${millis} ms after the start`,
      () => explored(trip.pipe(Saga.step("a", step), Saga.awaitEvent("paid", Paid, { correlate }), end), millis),
      60_000
    )

    it.effect(`two, one after the other, ${millis} ms after the start`, () =>
      explored(
        trip.pipe(
          Saga.step("a", step),
          Saga.awaitEvent("one", Paid, limited),
          Saga.awaitEvent("two", Paid, limited),
          end
        ),
        millis
      ), 60_000)

    it.effect(`two, side by side, ${millis} ms after the start`, () =>
      explored(
        trip.pipe(
          Saga.parallel((fork) => [
            fork.pipe(Saga.step("a", step), Saga.awaitEvent("one", Paid, limited)),
            fork.pipe(Saga.step("b", step), Saga.awaitEvent("two", Paid, limited))
          ]),
          end
        ),
        millis
      ), 60_000)
  }
})

describe("a replay that could never happen", () => {
  class Full extends Schema.TaggedError<Full>()("Full", {}) {}
  const saga = trip.pipe(
    Saga.check("a", { error: Full, action: () => Effect.void }),
    Saga.step("b", step),
    Saga.check("end", check)
  )
  for (
    const [schedule, words] of Object.entries({
      "a:fails(other)": "it cannot happen there; what can is",
      "a:fails": "it cannot happen there; what can is",
      "b:fails": "it cannot happen there; what can is",
      "a:fails-late(Full)": "it cannot happen there; what can is",
      "a:lost(no)": "",
      "nowhere:dies": "there is no such place; those of Trip are a, b, ~b, end",
      "a:dies + a:explodes": "",
      "": "",
      "no fault": ""
    })
  ) {
    it.effect(`"${schedule}" is refused, or runs nothing`, () =>
      Effect.gen(function*() {
        const exit = yield* Effect.result(SagaTest.replay(saga, schedule, plain))
        if (schedule === "no fault") return assert.strictEqual(exit._tag, "Success")
        assert.strictEqual(exit._tag === "Failure" ? exit.failure._tag : "", "ScheduleInvalid")
        assert.include(exit._tag === "Failure" ? exit.failure.message : "", words)
      }))
  }
})

it.effect("laws say what is wrong with a payload, or a replay, that is none", () =>
  Effect.gen(function*() {
    const saga = Saga.make("Trip", { payload: Schema.Struct({ n: Schema.Int }) }).pipe(Saga.step("a", step))
    const options = { services: Layer.empty, model: Effect.succeed(1) }
    const words = (checked: Effect.Effect<unknown, unknown>) =>
      Effect.map(Effect.exit(checked), (exit) => Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "")
    assert.include(
      yield* words(SagaTest.laws(saga, { ...options, payload: { n: 0.5 } })),
      `Saga "Trip" did not start, its payload does not match`
    )
    for (const given of [{}, { payload: { n: 1 } }]) {
      const said = yield* words(SagaTest.laws(saga, { ...options, ...given, replay: "garbage" }))
      assert.include(said, `The option "replay" of laws is "garbage": give the \`replay\` of a \`LawBroken\``)
    }
  }))

it("a program that explores on engines ends by itself", async () => {
  const program = fileURLToPath(new URL("plain.ts", import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [program], { timeout: 20_000 })
  assert.strictEqual(stdout.trim(), "Succeeded,Compensated,Stuck")
}, 30_000)
