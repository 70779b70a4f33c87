/**
 * The service: a handler that runs a saga. The errors of the saga are those of the endpoint. When the client goes away the
 * server interrupts the handler, and with it the saga, which then undoes what it did. The id of the order is the key of the
 * saga, so that the participants recognise an order that is posted twice.
 */
import { Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Saga } from "../../src/index.ts"
import { placeOrder } from "../order-processing/saga.ts"
import { OrderStuck, ShopApi } from "./api.ts"

const Orders = HttpApiBuilder.group(
  ShopApi,
  "orders",
  (handlers) =>
    handlers.handle("place", ({ payload }) =>
      Saga.run(placeOrder, payload).pipe(
        Effect.catchTag("CompensationFailed", () => new OrderStuck({ order: payload.id }))
      ))
)

export const Server = HttpRouter.serve(HttpApiBuilder.layer(ShopApi).pipe(Layer.provide(Orders)), {
  disableListenLog: true,
  disableLogger: true
})
