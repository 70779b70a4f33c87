/**
 * Orders that fail at each of their steps, and one that does not. Whatever a failed order had reserved or charged is given
 * back, so that in the end the participants know of the good order alone.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { deepStrictEqual } from "node:assert/strict"
import { Saga } from "../../src/index.ts"
import { describe } from "../describe.ts"
import type { Order } from "./saga.ts"
import { placeOrder } from "./saga.ts"
import { Payments, Shipping, Stock } from "./services.ts"

const tea = { sku: "tea", quantity: 2, cents: 450 }
const cup = { sku: "cup", quantity: 1, cents: 900 }
const good: Order = { id: "order-1", lines: [tea, cup], card: "visa", address: "Oslo" }

const orders: ReadonlyArray<Order> = [
  good,
  { ...good, id: "order-2", lines: [tea, { ...cup, quantity: 5 }] },
  { ...good, id: "order-3", card: "expired" },
  { ...good, id: "order-4", address: "Atlantis" }
]

const place = Effect.fn(function*(order: Order) {
  const outcome = yield* Saga.outcome(placeOrder, order)
  yield* Console.log(`${order.id}: ${describe(outcome)}`)
})

const program = Effect.gen(function*() {
  yield* Effect.forEach(orders, place)

  const world = {
    reserved: yield* Stock.use((stock) => stock.reserved),
    charged: yield* Payments.use((payments) => payments.charged),
    shipped: yield* Shipping.use((shipping) => shipping.shipped)
  }
  yield* Console.log(world)
  deepStrictEqual(world, { reserved: { cup: 1, tea: 2 }, charged: { visa: 1800 }, shipped: { Oslo: 1 } })
})

const Shop = Layer.mergeAll(
  Stock.layer({ tea: 10, cup: 3 }),
  Payments.layer({ visa: 10_000 }),
  Shipping.layer(["Oslo"])
)

program.pipe(Effect.provide(Shop), NodeRuntime.runMain)
