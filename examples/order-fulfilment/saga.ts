/**
 * The process manager: it knows what has to happen for an order and in which order, and hears of what has happened by events
 * alone. Each step is a command; what it leads to is awaited. When the parcel comes back, or nobody pays, all of it is undone.
 */
import { Duration, Effect, Schema } from "effect"
import { Saga } from "../../src/index.ts"
import { Order, Payment, Stock } from "./aggregates.ts"
import { ParcelScanned, PaymentConfirmed, PaymentFailed, StockRefused, StockReserved } from "./events.ts"

export class NotDone extends Schema.TaggedError<NotDone>()("NotDone", { why: Schema.String }) {
  override get message() {
    return this.why
  }
}

const correlate = ({ payload }: { readonly payload: string }) => payload
const paid = Schema.Literals(["PaymentConfirmed", "PaymentFailed"])

/** `patience`: how long to wait for a payment before the customer is reminded, and again before it is over. */
export const fulfilWith = (patience: Duration.Input) =>
  Saga.make("Fulfil", { payload: Schema.String, key: (order) => order }).pipe(
    Saga.step("reserve", {
      action: ({ payload }, { idempotencyKey }) => Stock.reserve(idempotencyKey, payload),
      compensation: (_, { payload }, { idempotencyKey }) => Stock.release(idempotencyKey, payload)
    }),
    Saga.awaitFirst("stock", [StockReserved, StockRefused], { correlate }),
    Saga.check("available", {
      error: NotDone,
      action: ({ stock }) =>
        stock._tag === "StockReserved" ? Effect.void : Effect.fail(new NotDone({ why: "sold out" }))
    }),
    Saga.step("bill", {
      action: ({ payload }, { idempotencyKey }) => Payment.request(idempotencyKey, payload),
      compensation: (_, { payload }, { idempotencyKey }) => Payment.cancel(idempotencyKey, payload)
    }),
    Saga.orElse(
      "payment",
      (fork) =>
        fork.pipe(
          Saga.awaitFirst("first", [PaymentConfirmed, PaymentFailed], { correlate, timeout: patience }),
          Saga.output(paid, ({ first }) => first._tag)
        ),
      (fork) =>
        fork.pipe(
          Saga.step("remind", {
            action: ({ payload }, { idempotencyKey }) => Payment.remind(idempotencyKey, payload),
            compensation: () => Effect.void
          }),
          Saga.awaitFirst("last", [PaymentConfirmed, PaymentFailed], { correlate, timeout: patience }),
          Saga.output(paid, ({ last }) => last._tag)
        )
    ),
    Saga.check("paid", {
      error: NotDone,
      action: ({ payment }) =>
        payment === "PaymentConfirmed" ? Effect.void : Effect.fail(new NotDone({ why: "the payment failed" }))
    }),
    Saga.step("send", {
      action: ({ payload }, { idempotencyKey }) => Order.send(idempotencyKey, payload),
      compensation: () => Effect.void
    }),
    Saga.awaitEvent("parcel", ParcelScanned, { correlate, where: ({ status }) => status !== "on its way" }),
    Saga.check("delivered", {
      error: NotDone,
      action: ({ parcel }) =>
        parcel.status === "delivered" ? Effect.void : Effect.fail(new NotDone({ why: "the parcel came back" }))
    }),
    Saga.pivot("complete", { action: ({ payload }, { idempotencyKey }) => Order.complete(idempotencyKey, payload) })
  )
