// Orders: each step of them can fail, and then nothing of the order is left.
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Layer } from "effect"
import { Saga } from "effect-saga"
import type { Order } from "../../examples/order-processing/saga.ts"
import { placeOrder } from "../../examples/order-processing/saga.ts"
import { Payments, Shipping, Stock } from "../../examples/order-processing/services.ts"

const line = (sku: string) => ({ sku, quantity: 2, cents: 100 })
const order: Order = { id: "o", lines: [line("tea"), line("cup")], card: "visa", address: "Oslo" }

const Shop = Layer.mergeAll(
  Stock.layer({ tea: 2, cup: 2 }),
  Payments.layer({ visa: 400 }),
  Shipping.layer(["Oslo"])
)

const world = Effect.all({
  reserved: Stock.use((stock) => stock.reserved),
  charged: Payments.use((payments) => payments.charged),
  shipped: Shipping.use((shipping) => shipping.shipped)
})

it.effect("a good order is reserved, charged and shipped", () =>
  Effect.gen(function*() {
    const receipt = yield* Saga.run(placeOrder, order, { executionId: "o" })
    assert.deepStrictEqual(receipt, { order: "o", cents: 400, parcel: "parcel of o/shipping" })
    const expected = { reserved: { tea: 2, cup: 2 }, charged: { visa: 400 }, shipped: { Oslo: 1 } }
    assert.deepStrictEqual(yield* world, expected)
  }).pipe(Effect.provide(Shop)))

const failing: ReadonlyArray<readonly [step: string, error: string, order: Order, compensated: ReadonlyArray<string>]> =
  [
    ["stock", "OutOfStock", { ...order, lines: [line("tea"), line("pot")] }, ["lines/tea/reserve"]],
    ["payment", "Declined", { ...order, card: "lost" }, ["lines/cup/reserve", "lines/tea/reserve"]],
    [
      "shipping",
      "Undeliverable",
      { ...order, address: "Atlantis" },
      ["payment", "lines/cup/reserve", "lines/tea/reserve"]
    ]
  ]

for (const [step, error, order, compensated] of failing) {
  it.effect(`when its ${step} fails, the order is undone in reverse and leaves nothing`, () =>
    Effect.gen(function*() {
      const outcome = yield* Saga.outcome(placeOrder, order)
      if (outcome._tag !== "Compensated") return assert.fail(outcome._tag)
      assert.propertyVal(Cause.squash(outcome.cause), "_tag", error)
      assert.deepStrictEqual(outcome.compensated, compensated)
      assert.deepStrictEqual(yield* world, { reserved: {}, charged: {}, shipped: {} })
    }).pipe(Effect.provide(Shop)))
}
