/** `SagaTest.explore` of sagas that await events: what participants publish comes twice, late, or with its answer lost. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Ref, Schema } from "effect"
import { Saga } from "effect-saga"
import { DomainEvent, EventBus, MemoryBus } from "effect-saga/events"
import { SagaJournal } from "effect-saga/SagaJournal"
import { Fault, SagaTest } from "effect-saga/testing"

const Paid = DomainEvent.make("Paid", { payload: Schema.String, key: (order) => order })

/** Charges a while after it was asked to, and says so by an event. What was cancelled is not charged, or is given back. */
class Payments extends Context.Service<Payments, {
  readonly request: (key: string, order: string) => Effect.Effect<void>
  readonly cancel: (key: string) => Effect.Effect<void>
  readonly charged: Effect.Effect<ReadonlyArray<string>>
}>()("test/Payments") {
  static readonly layer = Layer.effect(
    Payments,
    Effect.gen(function*() {
      const bus = yield* EventBus
      const charged = yield* Ref.make<ReadonlyArray<string>>([])
      const known = yield* Ref.make<ReadonlyArray<string>>([])
      return {
        request: (key, order) =>
          Effect.gen(function*() {
            if ((yield* Ref.get(known)).includes(key)) return
            yield* Ref.update(known, (all) => [...all, key])
            yield* Ref.update(charged, (all) => [...all, key])
            const tell = bus.publish(Paid, order, { id: `paid ${key}` })
            // What could not be told is told again: it has the same id.
            yield* Effect.retry(Effect.andThen(Effect.sleep(10), tell), { times: 5 }).pipe(
              Effect.orDie,
              Effect.forkDetach
            )
          }),
        cancel: (key) =>
          Effect.andThen(
            Ref.update(known, (all) => [...all, key]),
            Ref.update(charged, (all) => all.filter((other) => other !== key))
          ),
        charged: Ref.get(charged)
      }
    })
  )
}

const order = (cancel: boolean) =>
  Saga.make("Order", { payload: Schema.String }).pipe(
    Saga.step("bill", {
      action: ({ payload }, { idempotencyKey }) => Payments.use(({ request }) => request(idempotencyKey, payload)),
      whenUncertain: "compensate",
      compensation: (_, __, { actionKey }) =>
        Payments.use((payments) => cancel ? payments.cancel(actionKey) : Effect.void)
    }),
    Saga.awaitEvent("paid", Paid, { correlate: ({ payload }) => payload, timeout: "30 seconds" }),
    Saga.check("end", { error: Schema.Literal("no"), action: () => Effect.void })
  )

const seen = new Set<string>()
const options = {
  payload: "A-1",
  services: Payments.layer,
  invariant: ({ faults, status }: SagaTest.Explored<string>) =>
    Effect.gen(function*() {
      seen.add(Fault.format(faults))
      const charged = yield* Payments.use(({ charged }) => charged)
      if (status === "Compensated" && charged.length > 0) return yield* Effect.fail("still charged")
      if (status === "Succeeded" && charged.length !== 1) return yield* Effect.fail(`charged ${charged.length} times`)
    })
}

it.effect("in a fiber, whatever becomes of the event", () =>
  Effect.gen(function*() {
    seen.clear()
    const report = yield* SagaTest.explore(order(true), options)
    for (const schedule of ["event#1:twice", "event#1:late", "event#1:lost", "event#1:twice + end:dies"]) {
      assert.isTrue(seen.has(schedule), schedule)
    }
    assert.isAtLeast(report.deliveries, 3)
    assert.include(report.text, `${report.deliveries} of events that come`)
    assert.isAbove(report.ended.Succeeded, 0)
  }))

it.effect("on an engine that dies at each write", () =>
  Effect.gen(function*() {
    seen.clear()
    const report = yield* SagaTest.explore(order(true), { ...options, journal: SagaJournal.layerMemory, random: 50 })
    assert.isTrue(Array.from(seen).some((schedule) => /event#1:\w+ \+ journal#\d+:crash/.test(schedule)))
    assert.isAtLeast(report.deliveries, 3)
  }), 60_000)

it.effect("a compensation that counts on the event is found by one that is late", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(SagaTest.explore(order(false), options))
    assert.instanceOf(error, SagaTest.SagaViolation)
    assert.include(error.message, "still charged")
    const replayed = yield* Effect.flip(SagaTest.replay(order(false), "event#1:late", options))
    assert.include(replayed.message, "event 1 of the participants comes a minute late")
    yield* SagaTest.replay(order(true), "event#1:late", options)
  }))

it.effect("the place of events is tried when it is asked for, and said when it was come to all the same", () =>
  Effect.gen(function*() {
    const quiet = Saga.make("Quiet", { payload: Schema.String }).pipe(Saga.check("a", { action: () => Effect.void }))
    const error = yield* Effect.flip(
      SagaTest.explore(quiet, { payload: "A-1", services: Layer.empty, places: ["event"] })
    )
    assert.instanceOf(error, SagaTest.PlacesUnreached)
    assert.deepStrictEqual(error.places, ["event"])
    const report = yield* SagaTest.explore(order(true), { ...options, depth: 1, unreachable: ["event"] })
    assert.include(report.text, "event (and was reached)")
  }))

it.effect("a wait without a limit whose event never comes does not end", () =>
  Effect.gen(function*() {
    const saga = Saga.make("Order", { payload: Schema.String }).pipe(
      Saga.awaitEvent("paid", Paid, { correlate: ({ payload }) => payload })
    )
    const error = yield* Effect.flip(SagaTest.explore(saga, { payload: "A-1", services: Layer.empty }))
    assert.include(error.message, "nothing moves any more, and it has not ended; the last fact is EventAwaited")
  }))

it.effect("a bus of one's own is kept in a fiber, and refused on an engine, which would not hear it", () =>
  Effect.gen(function*() {
    const own = { ...options, services: Layer.provideMerge(Payments.layer, MemoryBus.layer), depth: 0 }
    yield* SagaTest.explore(order(true), own)
    const exit = yield* Effect.exit(SagaTest.explore(order(true), { ...own, journal: SagaJournal.layerMemory }))
    assert.include(String(exit), "an EventBus of its own, and an engine hears only what is published on the engine")
  }))

it.effect("what the saga publishes comes to its own waits", () =>
  Effect.gen(function*() {
    const saga = Saga.make("Order", { payload: Schema.String }).pipe(
      Saga.publish("told", Paid, ({ payload }) => payload),
      Saga.awaitEvent("paid", Paid, { correlate: ({ payload }) => payload })
    )
    for (const journal of [{}, { journal: SagaJournal.layerMemory }]) {
      const { ended } = yield* SagaTest.explore(saga, { payload: "A-1", services: Layer.empty, ...journal })
      assert.deepStrictEqual([ended.Compensated, ended.Stuck], [0, 0])
    }
  }))

const Numbered = DomainEvent.make("Numbered", {
  payload: Schema.Struct({ o: Schema.String, n: Schema.Int }),
  key: ({ o }) => o
})

/** Publishes what it is asked for, a while later, and again until it has been told that it is kept. */
class Clerk
  extends Context.Service<Clerk, { readonly ask: (key: string, n: number) => Effect.Effect<void> }>()("Clerk")
{
  static readonly layer = Layer.effect(
    Clerk,
    Effect.gen(function*() {
      const bus = yield* EventBus
      const known = yield* Ref.make<ReadonlyArray<string>>([])
      return {
        ask: (key, n) =>
          Effect.gen(function*() {
            if ((yield* Ref.get(known)).includes(key)) return
            yield* Ref.update(known, (all) => [...all, key])
            yield* Effect.retry(
              Effect.andThen(Effect.sleep(n * 7), bus.publish(Numbered, { o: "a", n }, { id: key })),
              {
                times: 20
              }
            ).pipe(Effect.orDie, Effect.forkDetach)
          })
      }
    })
  )
}
/** Asks the clerk for an event. */
const ask = (n: number) => ({
  action: (_: unknown, { idempotencyKey }: Saga.StepContext) => Clerk.use((c) => c.ask(idempotencyKey, n)),
  whenUncertain: "compensate" as const,
  compensation: () => Effect.void
})
const numbered = (n: number, timeout: "10 minutes" | "2 hours") => ({
  correlate: () => "a",
  where: (e: { n: number }) => e.n === n,
  timeout
})
/** Waits in sequence, side by side, out of order, in vain, and behind the commit point. */
const waiting = Saga.make("Waiting", { payload: Schema.Void }).pipe(
  Saga.step("a1", ask(1)),
  Saga.step("a2", ask(2)),
  Saga.parallel((fork) => [
    fork.pipe(
      Saga.awaitEvent("w2", Numbered, numbered(2, "2 hours")),
      Saga.step("a3", ask(3)),
      Saga.awaitEvent("w3", Numbered, numbered(3, "2 hours"))
    ),
    fork.pipe(
      Saga.orElse(
        "or",
        (f) => f.pipe(Saga.awaitEvent("w9", Numbered, numbered(9, "10 minutes"))),
        (f) => f.pipe(Saga.awaitEvent("w1", Numbered, numbered(1, "2 hours")))
      )
    )
  ]),
  Saga.step("a4", ask(4)),
  Saga.pivot("p", { action: () => Effect.void }),
  Saga.awaitEvent("w4", Numbered, numbered(4, "2 hours"))
)

const random = Number(process.env["SEEDS"] ?? 100)

it.effect("many waits, under random programs of faults, in a fiber", () =>
  Effect.gen(function*() {
    const report = yield* SagaTest.explore(waiting, { payload: undefined, services: Clerk.layer, depth: 1, random })
    assert.isAtLeast(report.deliveries, 10)
  }), 600_000)

it.effect("the same on an engine that dies", () =>
  Effect.gen(function*() {
    const journal = SagaJournal.layerMemory
    const options = { payload: undefined, services: Clerk.layer, journal, depth: 1, random, seed: 7 }
    const report = yield* SagaTest.explore(waiting, options)
    assert.isAtLeast(report.deliveries, 10)
    assert.isAbove(report.ended.Succeeded, 0)
  }), 600_000)
