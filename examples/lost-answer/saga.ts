/**
 * A sale whose payment may stay without an answer. Then nobody knows whether it took place, and `verify` asks: the sale
 * goes on with the receipt that was found, or is compensated, or, if that question has no answer either, waits for a
 * person.
 */
import { Console, Schema } from "effect"
import { Saga } from "../../src/index.ts"
import { OutOfStock, Stock } from "../order-processing/services.ts"
import { NoAnswer, Payments } from "./services.ts"

export const Sale = Schema.Struct({ sku: Schema.String, card: Schema.String, cents: Schema.Int })

export const sell = Saga.make("Sell", { payload: Sale }).pipe(
  Saga.step("stock", {
    error: OutOfStock,
    action: ({ payload }, { idempotencyKey }) => Stock.use((stock) => stock.reserve(payload.sku, 1, idempotencyKey)),
    compensation: (_result, _state, { actionKey }) => Stock.use((stock) => stock.release(actionKey))
  }),
  Saga.pivot("payment", {
    success: Schema.String,
    error: NoAnswer,
    timeout: "2 seconds",
    timeoutError: () => new NoAnswer(),
    verify: (_state, { idempotencyKey }) => Payments.use((payments) => payments.find(idempotencyKey)),
    action: ({ payload }, { idempotencyKey }) =>
      Payments.use((payments) => payments.charge(payload.card, payload.cents, idempotencyKey))
  }),
  Saga.onStuck(({ executionId }) => Console.log(`${executionId} needs a person`))
)
