/** What happens to an order, as its parts tell each other: all that they know of one another. */
import { Schema } from "effect"
import { DomainEvent } from "../../src/events/index.ts"

const about = {
  payload: Schema.Struct({ order: Schema.String }),
  key: ({ order }: { readonly order: string }) => order
}

export const OrderPlaced = DomainEvent.make("OrderPlaced", about)
export const OrderCompleted = DomainEvent.make("OrderCompleted", about)
export const StockReserved = DomainEvent.make("StockReserved", about)
export const StockRefused = DomainEvent.make("StockRefused", about)
export const StockReleased = DomainEvent.make("StockReleased", about)
export const PaymentRequested = DomainEvent.make("PaymentRequested", about)
export const PaymentReminded = DomainEvent.make("PaymentReminded", about)
export const PaymentConfirmed = DomainEvent.make("PaymentConfirmed", about)
export const PaymentFailed = DomainEvent.make("PaymentFailed", about)
export const PaymentReturned = DomainEvent.make("PaymentReturned", about)
export const ParcelSent = DomainEvent.make("ParcelSent", about)

const scan = Schema.Struct({ order: Schema.String, status: Schema.Literals(["on its way", "delivered", "returned"]) })
export const ParcelScanned = DomainEvent.make("ParcelScanned", { payload: scan, key: ({ order }) => order })

/** Those that an aggregate records. */
export const recorded = {
  OrderPlaced,
  OrderCompleted,
  StockReserved,
  StockRefused,
  StockReleased,
  PaymentRequested,
  PaymentReminded,
  PaymentConfirmed,
  PaymentFailed,
  PaymentReturned,
  ParcelSent
}
export type RecordedType = keyof typeof recorded
