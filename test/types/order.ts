/** The order example of the design: every node kind once, with services and errors of its own. Types only; never run. */
import type { Schedule } from "effect"
import { Context, Effect, Schema } from "effect"
import { Saga } from "effect-saga"

export class Order extends Schema.Class<Order>("Order")({
  id: Schema.String,
  lines: Schema.Array(Schema.Struct({ sku: Schema.String, quantity: Schema.Int })),
  express: Schema.Boolean,
  kind: Schema.Literals(["gift", "plain"])
}) {}
export const Receipt = Schema.Struct({ ref: Schema.String })
export type Receipt = typeof Receipt.Type
export class SoldOut extends Schema.TaggedError<SoldOut>()("SoldOut", {}) {}
export class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {}
export class MailDown extends Schema.TaggedError<MailDown>()("MailDown", {}) {}
export class Shop extends Context.Service<Shop, {
  readonly reserve: (sku: string, key: string) => Effect.Effect<Receipt, SoldOut>
  readonly release: (ref: string) => Effect.Effect<void>
}>()("Shop") {}
export class Payments extends Context.Service<Payments, {
  readonly charge: (id: string, key: string) => Effect.Effect<Receipt, Declined>
}>()("Payments") {}
export class Mail extends Context.Service<Mail, {
  readonly send: (text: string) => Effect.Effect<void, MailDown>
}>()("Mail") {}
export declare const often: Schedule.Schedule<unknown>

export const wrapping = Saga.make("Wrapping", { payload: Schema.String }).pipe(
  Saga.step("paper", {
    success: Receipt,
    error: SoldOut,
    action: ({ payload }, { idempotencyKey }) => Shop.use((shop) => shop.reserve(payload, idempotencyKey)),
    compensation: (paper) => Shop.use((shop) => shop.release(paper.ref))
  }),
  Saga.output(Schema.String, ({ paper }) => paper.ref)
)

export const placeOrder = Saga.make("PlaceOrder", { payload: Order, key: (order) => order.id }).pipe(
  Saga.forEach("lines", {
    item: Schema.Struct({ sku: Schema.String, quantity: Schema.Int }),
    items: ({ payload }) => payload.lines,
    key: (line) => line.sku,
    concurrency: 4,
    each: (fork) =>
      fork.pipe(Saga.step("reserve", {
        success: Receipt,
        error: SoldOut,
        timeout: "5 seconds",
        whenUncertain: "compensate",
        action: ({ item }, { idempotencyKey }) => Shop.use((shop) => shop.reserve(item.sku, idempotencyKey)),
        compensation: (attempt, { item }, { actionKey }) =>
          Shop.use((shop) => shop.release(attempt._tag === "Succeeded" ? attempt.result.ref : item.sku + actionKey))
      }))
  }),
  Saga.when("courier", ({ payload }) => payload.express, (fork) =>
    fork.pipe(Saga.step("van", {
      success: Receipt,
      error: SoldOut,
      action: ({ lines }) => Shop.use((shop) => shop.reserve(lines[0]!.reserve.ref, "van")),
      compensation: (van) => Shop.use((shop) => shop.release(van.ref))
    }))),
  Saga.match("kind", ({ payload }) => payload.kind, {
    gift: (fork) => fork.pipe(Saga.nested("wrapped", wrapping, ({ payload }) => payload.id)),
    plain: (fork) => fork
  }),
  Saga.pivot("payment", {
    success: Receipt,
    error: Declined,
    action: ({ payload }, { idempotencyKey }) => Payments.use((payments) => payments.charge(payload.id, idempotencyKey))
  }),
  Saga.retriable("mail", {
    error: MailDown,
    retry: often,
    action: ({ payment }) => Mail.use((mail) => mail.send(payment.ref))
  }),
  Saga.output(
    Schema.Struct({
      van: Schema.UndefinedOr(Schema.String),
      lines: Schema.Array(Schema.String),
      wrapped: Schema.Boolean
    }),
    ({ courier, lines, kind }) => ({
      van: courier?.van.ref,
      lines: lines.map((line) => line.reserve.ref),
      wrapped: kind._tag === "gift"
    })
  )
)
