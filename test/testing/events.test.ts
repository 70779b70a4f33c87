/** `SagaTest.explore` of sagas that await events: what participants publish comes twice, late, or with its answer lost. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Ref, Schema } from "effect"
import { Saga } from "effect-saga"
import { DomainEvent, EventBus } from "effect-saga/events"
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

it.effect("a wait without a limit whose event never comes does not end", () =>
  Effect.gen(function*() {
    const saga = Saga.make("Order", { payload: Schema.String }).pipe(
      Saga.awaitEvent("paid", Paid, { correlate: ({ payload }) => payload })
    )
    const error = yield* Effect.flip(SagaTest.explore(saga, { payload: "A-1", services: Layer.empty }))
    assert.include(error.message, "nothing moves any more, and it has not ended; the last fact is EventAwaited")
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
