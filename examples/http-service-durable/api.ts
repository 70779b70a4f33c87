/**
 * What the durable service says over HTTP: an order is accepted before it is fulfilled, and has a status of its own that
 * can be asked for until it has ended, and after that.
 */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema } from "effect/http-api"
import { Order, Receipt } from "../order-service/saga.ts"

const errorOf = (status: number) => HttpApiSchema.status(status)

/** The order cannot be one, or cannot be kept. */
export class Invalid extends Schema.TaggedError<Invalid>()("Invalid", { reason: Schema.String }) {}
/** There is another order of this id. */
export class Conflict extends Schema.TaggedError<Conflict>()("Conflict", { order: Schema.String }) {}
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", { order: Schema.String }) {}
/** It is too late to cancel: the order is paid for, has ended, or waits for a person. */
export class TooLate extends Schema.TaggedError<TooLate>()("TooLate", { reason: Schema.String }) {}
/** The journal does not answer. What was accepted is not lost; the same request may be made again. */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {}) {}

export const Accepted = Schema.Struct({ executionId: Schema.String })

export const Status = Schema.Struct({
  state: Schema.Literals(["Running", "Waiting", "Compensating", "Stuck", "Succeeded", "Compensated", "Abandoned"]),
  result: Schema.optionalKey(Receipt),
  /** Why it was compensated. */
  error: Schema.optionalKey(Schema.String),
  /** Why a person is needed. */
  problem: Schema.optionalKey(Schema.String)
})
export type Status = typeof Status.Type

const status = HttpApiEndpoint.get("status", "/orders/:order", {
  params: { order: Schema.String },
  success: Status,
  error: [NotFound.pipe(errorOf(404)), Unavailable.pipe(errorOf(503))]
})

const accept = HttpApiEndpoint.post("accept", "/orders", {
  payload: Order,
  success: HttpApiSchema.WithHeaders(Accepted, { location: Schema.String }).pipe(HttpApiSchema.status(202)),
  error: [Invalid.pipe(errorOf(400)), Conflict.pipe(errorOf(409)), Unavailable.pipe(errorOf(503))]
})

const cancel = HttpApiEndpoint.delete("cancel", "/orders/:order", {
  params: { order: Schema.String },
  success: HttpApiSchema.Accepted,
  error: [NotFound.pipe(errorOf(404)), TooLate.pipe(errorOf(409)), Unavailable.pipe(errorOf(503))]
})

/** What the schemas refuse is told in words. */
export class InWords extends HttpApiMiddleware.Service<InWords>()("orders/InWords", {
  error: Invalid.pipe(errorOf(400))
}) {}

export const OrdersApi = HttpApi.make("orders").add(HttpApiGroup.make("orders").add(accept, status, cancel)).middleware(
  InWords
)
