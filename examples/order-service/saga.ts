/**
 * An order from its reservation to the mail: the goods are reserved line by line while the customer is looked at, the
 * money is held, a carrier is found, and taking the money is the point of no return.
 *
 * Each participant can be asked what it did (`verify`), so that no death of this service leaves an order in doubt.
 */
import { Schedule, Schema } from "effect"
import { Saga } from "../../src/index.ts"
import type { CompensationContext, StepContext } from "../../src/Saga.ts"
import { Blocked, Bounced, Carriers, Declined, Mail, Payments, SoldOut, Undeliverable, Warehouse } from "./services.ts"

export const Line = Schema.Struct({
  sku: Schema.NonEmptyString,
  quantity: Schema.Int.check(Schema.isGreaterThan(0)),
  cents: Schema.Int.check(Schema.isGreaterThan(0))
})
type Line = typeof Line.Type

const differentSkus = Schema.makeFilter(
  (lines: ReadonlyArray<Line>) => new Set(lines.map(({ sku }) => sku)).size === lines.length,
  { message: "Expected one line for each sku" }
)

export const Payment = Schema.Union([
  Schema.TaggedStruct("Card", { number: Schema.String }),
  Schema.TaggedStruct("Invoice", { company: Schema.String }),
  Schema.TaggedStruct("Voucher", { code: Schema.String })
]).annotate({ message: "Expected a Card with its number, an Invoice with its company or a Voucher with its code" })

export const Order = Schema.Struct({
  id: Schema.String.check(Schema.isPattern(/^o-\d+$/, { message: "Expected o- and a number" })),
  customer: Schema.NonEmptyString,
  country: Schema.Literals(["AQ", "DE", "FR", "IS", "JP", "NO", "US"]),
  express: Schema.Boolean,
  payment: Payment,
  lines: Schema.Array(Line).check(Schema.isMinLength(1, { message: "Expected at least one line" }), differentSkus)
})
export type Order = typeof Order.Type

export const Receipt = Schema.Struct({ order: Schema.String, carrier: Schema.String, cents: Schema.Int })

export const totalOf = (order: Order): number => order.lines.reduce((sum, line) => sum + line.quantity * line.cents, 0)

/** From which account an order is paid. */
export const accountOf = ({ payment }: Order): string =>
  payment._tag === "Card" ? payment.number : payment._tag === "Invoice" ? payment.company : payment.code

interface Of {
  readonly payload: Order
}

/** Money that is held until it is taken or freed. An answer that does not come is asked for twice. */
const hold = {
  error: Declined,
  timeout: "500 millis",
  retry: Schedule.recurs(2),
  whenUncertain: "compensate",
  action: ({ payload }: Of, { idempotencyKey }: StepContext) =>
    Payments.use((payments) => payments.hold(payload.id, accountOf(payload), totalOf(payload), idempotencyKey)),
  verify: (_: Of, { idempotencyKey }: StepContext) => Payments.use((payments) => payments.find(idempotencyKey)),
  compensation: (_: unknown, __: Of, { actionKey, idempotencyKey }: CompensationContext) =>
    Payments.use((payments) => payments.free(idempotencyKey, actionKey))
} as const

/** A parcel with a carrier, which may not go there. */
const parcel = (carrier: string) => ({
  error: Undeliverable,
  whenUncertain: "compensate" as const,
  action: ({ payload }: Of, { idempotencyKey }: StepContext) =>
    Carriers.use((carriers) => carriers.book(payload.id, carrier, payload.country, idempotencyKey)),
  verify: (_: Of, { idempotencyKey }: StepContext) => Carriers.use((carriers) => carriers.find(idempotencyKey)),
  compensation: (_: unknown, __: Of, { actionKey, idempotencyKey }: CompensationContext) =>
    Carriers.use((carriers) => carriers.cancel(idempotencyKey, actionKey))
})

export const fulfil = Saga.make("Fulfil", { payload: Order, key: (order) => order.id }).pipe(
  Saga.parallel((fork) => [
    fork.pipe(Saga.check("screening", {
      error: Blocked,
      action: ({ payload }) => Payments.use((payments) => payments.screen(payload.customer))
    })),
    fork.pipe(Saga.forEach("lines", {
      item: Line,
      items: ({ payload }) => payload.lines,
      key: (line) => line.sku,
      concurrency: 2,
      each: (fork) =>
        fork.pipe(Saga.step("reserve", {
          error: SoldOut,
          whenUncertain: "compensate",
          action: ({ item, payload }, { idempotencyKey }) =>
            Warehouse.use((warehouse) => warehouse.reserve(payload.id, item.sku, item.quantity, idempotencyKey)),
          verify: (_, { idempotencyKey }) => Warehouse.use((warehouse) => warehouse.find(idempotencyKey)),
          compensation: (_, { item }, { actionKey, idempotencyKey }) =>
            Warehouse.use((warehouse) => warehouse.release(item.sku, idempotencyKey, actionKey))
        }))
    }))
  ]),
  Saga.match("money", ({ payload }) => payload.payment._tag, {
    Card: (fork) => fork.pipe(Saga.step("hold", hold)),
    Invoice: (fork) => fork.pipe(Saga.step("invoice", hold)),
    Voucher: (fork) => fork.pipe(Saga.step("redeem", hold))
  }),
  Saga.orElse(
    "parcel",
    (fork) => fork.pipe(Saga.step("snail", parcel("Snail")), Saga.output(Schema.String, () => "Snail")),
    (fork) => fork.pipe(Saga.step("falcon", parcel("Falcon")), Saga.output(Schema.String, () => "Falcon"))
  ),
  Saga.when("express", ({ payload }) => payload.express, (fork) => fork.pipe(Saga.step("courier", parcel("Courier")))),
  Saga.sleep("cooling-off", "20 millis"),
  Saga.pivot("payment", {
    error: Declined,
    action: ({ payload }, { idempotencyKey }) =>
      Payments.use((payments) => payments.take(payload.id, accountOf(payload), totalOf(payload), idempotencyKey)),
    verify: (_, { idempotencyKey }) => Payments.use((payments) => payments.find(idempotencyKey))
  }),
  Saga.retriable("mail", {
    error: Bounced,
    retry: Schedule.max([Schedule.spaced("40 millis"), Schedule.recurs(3)]),
    action: ({ payload }, { idempotencyKey }) =>
      Mail.use((mail) => mail.send(payload.id, payload.customer, idempotencyKey))
  }),
  Saga.output(Receipt, ({ parcel, payload }) => ({ order: payload.id, carrier: parcel, cents: totalOf(payload) })),
  Saga.timeout("10 minutes"),
  Saga.unwind({ retry: Schedule.max([Schedule.spaced("40 millis"), Schedule.recurs(2)]) })
)
