/**
 * An order: its lines are reserved, its card is charged, and handing the parcel over is the point of no return.
 */
import { Schema } from "effect"
import { Saga } from "../../src/index.ts"
import { Declined, OutOfStock, Payments, Shipping, Stock, Undeliverable } from "./services.ts"

export const Line = Schema.Struct({
  sku: Schema.String,
  quantity: Schema.Int.check(Schema.isGreaterThan(0)),
  cents: Schema.Int
})

export const Order = Schema.Struct({
  id: Schema.String,
  lines: Schema.Array(Line),
  card: Schema.String,
  address: Schema.String
})
export type Order = typeof Order.Type

export const Receipt = Schema.Struct({ order: Schema.String, cents: Schema.Int, parcel: Schema.String })

const total = (order: Order): number => order.lines.reduce((sum, line) => sum + line.quantity * line.cents, 0)

export const placeOrder = Saga.make("PlaceOrder", { payload: Order, key: (order) => order.id }).pipe(
  Saga.forEach("lines", {
    item: Line,
    items: ({ payload }) => payload.lines,
    key: (line) => line.sku,
    each: (fork) =>
      fork.pipe(Saga.step("reserve", {
        error: OutOfStock,
        whenUncertain: "compensate",
        action: ({ item }, { idempotencyKey }) =>
          Stock.use((stock) => stock.reserve(item.sku, item.quantity, idempotencyKey)),
        compensation: (_attempt, _state, { actionKey }) => Stock.use((stock) => stock.release(actionKey))
      }))
  }),
  Saga.step("payment", {
    error: Declined,
    whenUncertain: "compensate",
    action: ({ payload }, { idempotencyKey }) =>
      Payments.use((payments) => payments.charge(payload.card, total(payload), idempotencyKey)),
    compensation: (_attempt, _state, { actionKey }) => Payments.use((payments) => payments.refund(actionKey))
  }),
  Saga.pivot("shipping", {
    success: Schema.String,
    error: Undeliverable,
    action: ({ payload }, { idempotencyKey }) =>
      Shipping.use((shipping) => shipping.ship(payload.address, idempotencyKey))
  }),
  Saga.output(Receipt, ({ payload, shipping }) => ({ order: payload.id, cents: total(payload), parcel: shipping }))
)
