// A payment without an answer: what the question finds decides, and the card is never charged twice.
import { assert, it } from "@effect/vitest"
import { Cause, Clock, Effect, Fiber, Layer } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { sell } from "../../examples/lost-answer/saga.ts"
import { Network, Payments } from "../../examples/lost-answer/services.ts"
import { Stock } from "../../examples/order-processing/services.ts"

const Shop = Layer.mergeAll(Stock.layer({ tea: 1 }), Payments.layer)

const sale = (network: typeof Network.Service) =>
  Effect.gen(function*() {
    const run = Saga.outcome(sell, { sku: "tea", card: "visa", cents: 450 }, { executionId: "s" })
    const timed = Effect.zip(run, Clock.currentTimeMillis)
    const fiber = yield* Effect.forkChild(timed, { startImmediately: true })
    yield* TestClock.adjust("1 minute")
    const [outcome, endedAt] = yield* Fiber.join(fiber)
    const reserved = yield* Stock.use((stock) => stock.reserved)
    const charged = yield* Payments.use((payments) => payments.charged)
    return { outcome, endedAt, world: { reserved, charged } }
  }).pipe(Effect.provideService(Network, network), Effect.provide(Shop))

it.effect("the answer is lost: the payment is found, and the sale succeeds with its receipt", () =>
  Effect.gen(function*() {
    const { endedAt, outcome, world } = yield* sale("loses the answer")
    assert.strictEqual(endedAt, 2_000)
    assert.deepInclude(outcome, { _tag: "Succeeded", result: { stock: undefined, payment: "receipt of s/payment" } })
    assert.deepStrictEqual(world, { reserved: { tea: 1 }, charged: { visa: 450 } })
  }))

it.effect("the request is lost: there is no payment to find, and the stock is released", () =>
  Effect.gen(function*() {
    const { endedAt, outcome, world } = yield* sale("loses the request")
    assert.strictEqual(endedAt, 2_000)
    if (outcome._tag !== "Compensated") return assert.fail(outcome._tag)
    assert.propertyVal(Cause.squash(outcome.cause), "_tag", "NoAnswer")
    assert.deepStrictEqual(outcome.uncertain, [])
    assert.deepStrictEqual(world, { reserved: {}, charged: {} })
  }))

it.effect("the question is lost too: nothing is undone, a person has to look", () =>
  Effect.gen(function*() {
    const { outcome, world } = yield* sale("breaks down")
    if (outcome._tag !== "Stuck" || outcome.error._tag !== "CompensationFailed") return assert.fail(outcome._tag)
    assert.propertyVal(Cause.squash(outcome.error.failures[0]!.cause), "_tag", "PivotUncertain")
    assert.deepStrictEqual(world, { reserved: { tea: 1 }, charged: { visa: 450 } })
  }))
