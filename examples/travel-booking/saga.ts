/**
 * A trip: flight, hotel and car are booked side by side and can all be cancelled; the payment is the point of no return;
 * after it the mail is sent until it is accepted.
 */
import type { Context } from "effect"
import { Schedule, Schema } from "effect"
import { Saga } from "../../src/index.ts"
import type { Supplier } from "./services.ts"
import { Cars, Declined, Flights, Hotels, Mail, MailRefused, Payments, SoldOut } from "./services.ts"

export const Trip = Schema.Struct({ traveller: Schema.String, city: Schema.String, card: Schema.String })
export type Trip = typeof Trip.Type

/** A booking whose answer never arrived is cancelled too: a supplier knows it by the key of the action. */
const booking = <Self>(supplier: Context.Service<Self, Supplier>) => ({
  success: Schema.Int,
  error: SoldOut,
  whenUncertain: "compensate" as const,
  action: ({ payload }: { readonly payload: Trip }, { idempotencyKey }: Saga.StepContext) =>
    supplier.use((supplier) => supplier.book(payload.city, idempotencyKey)),
  compensation: (_: unknown, _state: unknown, { actionKey }: Saga.CompensationContext) =>
    supplier.use((supplier) => supplier.cancel(actionKey))
})

export const bookTrip = Saga.make("BookTrip", { payload: Trip }).pipe(
  Saga.parallel((fork) => [
    fork.pipe(Saga.step("flight", booking(Flights))),
    fork.pipe(Saga.step("hotel", booking(Hotels))),
    fork.pipe(Saga.step("car", booking(Cars)))
  ]),
  Saga.pivot("payment", {
    error: Declined,
    action: ({ car, flight, hotel, payload }, { idempotencyKey }) =>
      Payments.use((payments) => payments.charge(payload.card, flight + hotel + car, idempotencyKey))
  }),
  Saga.retriable("email", {
    error: MailRefused,
    retry: Schedule.exponential("100 millis"),
    action: ({ payload }, { idempotencyKey }) => Mail.use((mail) => mail.send(payload.traveller, idempotencyKey))
  }),
  Saga.output(Schema.Struct({ cents: Schema.Int }), ({ car, flight, hotel }) => ({ cents: flight + hotel + car }))
)
