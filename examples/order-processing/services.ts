/**
 * Stock, payments and shipping: three participants that each may refuse, and that remember what they did by key. A
 * compensation names what it undoes by the key of the action, so that it need not know whether the action took place.
 */
import { Context, Effect, Layer, Schema } from "effect"
import * as Ledger from "../ledger.ts"

export class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", {
  sku: Schema.String,
  left: Schema.Int
}) {
  override get message() {
    return `${this.left} of ${this.sku} left`
  }
}

export class Declined extends Schema.TaggedError<Declined>()("Declined", { card: Schema.String }) {
  override get message() {
    return `card ${this.card}`
  }
}

export class Undeliverable extends Schema.TaggedError<Undeliverable>()("Undeliverable", { address: Schema.String }) {
  override get message() {
    return `nobody delivers to ${this.address}`
  }
}

export class Stock extends Context.Service<Stock, {
  readonly reserve: (sku: string, quantity: number, key: string) => Effect.Effect<void, OutOfStock>
  readonly release: (key: string) => Effect.Effect<void>
  readonly reserved: Ledger.Ledger["sums"]
}>()("order-processing/Stock") {
  static readonly layer = (onHand: Readonly<Record<string, number>>) =>
    Layer.effect(
      Stock,
      Effect.map(Ledger.make, (ledger) => ({
        reserve: (sku, quantity, key) =>
          ledger.enter(key, { account: sku, amount: quantity }, (reserved) => {
            const left = (onHand[sku] ?? 0) - reserved
            return quantity > left ? new OutOfStock({ sku, left }) : undefined
          }),
        release: ledger.cancel,
        reserved: ledger.sums
      }))
    )
}

export class Payments extends Context.Service<Payments, {
  readonly charge: (card: string, cents: number, key: string) => Effect.Effect<void, Declined>
  readonly refund: (key: string) => Effect.Effect<void>
  readonly charged: Ledger.Ledger["sums"]
}>()("order-processing/Payments") {
  static readonly layer = (limits: Readonly<Record<string, number>>) =>
    Layer.effect(
      Payments,
      Effect.map(Ledger.make, (ledger) => ({
        charge: (card, cents, key) =>
          ledger.enter(
            key,
            { account: card, amount: cents },
            (charged) => charged + cents > (limits[card] ?? 0) ? new Declined({ card }) : undefined
          ),
        refund: ledger.cancel,
        charged: ledger.sums
      }))
    )
}

export class Shipping extends Context.Service<Shipping, {
  readonly ship: (address: string, key: string) => Effect.Effect<string, Undeliverable>
  readonly shipped: Ledger.Ledger["sums"]
}>()("order-processing/Shipping") {
  static readonly layer = (addresses: ReadonlyArray<string>) =>
    Layer.effect(
      Shipping,
      Effect.map(Ledger.make, (ledger) => ({
        ship: (address, key) =>
          ledger.enter(
            key,
            { account: address, amount: 1 },
            () => addresses.includes(address) ? undefined : new Undeliverable({ address })
          ).pipe(Effect.as(`parcel of ${key}`)),
        shipped: ledger.sums
      }))
    )
}
