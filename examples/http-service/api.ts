/**
 * What the service says over HTTP: an order is placed by a POST, and each way in which it can fail has a status code.
 */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import { Order, Receipt } from "../order-processing/saga.ts"
import { Declined, OutOfStock, Undeliverable } from "../order-processing/services.ts"

/** The order failed and could not be undone to the end: a person has been told. */
export class OrderStuck extends Schema.TaggedError<OrderStuck>()("OrderStuck", { order: Schema.String }) {}

export const ShopApi = HttpApi.make("shop").add(
  HttpApiGroup.make("orders").add(
    HttpApiEndpoint.post("place", "/orders", {
      payload: Order,
      success: Receipt.pipe(HttpApiSchema.status(201)),
      error: [
        Declined.pipe(HttpApiSchema.status(402)),
        OutOfStock.pipe(HttpApiSchema.status(409)),
        Undeliverable.pipe(HttpApiSchema.status(422)),
        OrderStuck.pipe(HttpApiSchema.status(500))
      ]
    })
  )
)
