/**
 * The participants of a trip: suppliers of flights, hotels and cars, payments, and a mail server. Their answers take a
 * while; what they did they remember by key, so that a booking can be cancelled by who never got the answer.
 */
import type { Duration } from "effect"
import { Context, Effect, HashSet, Layer, Ref, Schema } from "effect"
import * as Ledger from "../ledger.ts"

export class SoldOut extends Schema.TaggedError<SoldOut>()("SoldOut", { what: Schema.String, city: Schema.String }) {
  override get message() {
    return `no ${this.what} left in ${this.city}`
  }
}

export class Declined extends Schema.TaggedError<Declined>()("Declined", { card: Schema.String }) {
  override get message() {
    return `card ${this.card}`
  }
}

export class MailRefused extends Schema.TaggedError<MailRefused>()("MailRefused", {}) {
  override get message() {
    return "try again later"
  }
}

/** The request arrives at once, its answer takes a while. */
const answeredAfter = (delay: Duration.Input) => <A, E>(request: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(Effect.exit(request), (answer) => Effect.delay(answer, delay))

export interface Supplier {
  /** Books, and tells the price in cents. */
  readonly book: (city: string, key: string) => Effect.Effect<number, SoldOut>
  readonly cancel: (key: string) => Effect.Effect<void>
  readonly booked: Ledger.Ledger["sums"]
}

const supplier = (what: string, cents: number, delay: Duration.Input, free: Readonly<Record<string, number>>) =>
  Effect.map(Ledger.make, (ledger): Supplier => ({
    book: (city, key) =>
      ledger.enter(
        key,
        { account: city, amount: 1 },
        (booked) => booked < (free[city] ?? 0) ? undefined : new SoldOut({ what, city })
      ).pipe(Effect.as(cents), answeredAfter(delay)),
    cancel: (key) => answeredAfter(delay)(ledger.cancel(key)),
    booked: ledger.sums
  }))

export class Flights extends Context.Service<Flights, Supplier>()("travel-booking/Flights") {
  static readonly layer = Layer.effect(Flights, supplier("flight", 21_000, "120 millis", { Rome: 9, Venice: 9 }))
}

export class Hotels extends Context.Service<Hotels, Supplier>()("travel-booking/Hotels") {
  static readonly layer = Layer.effect(Hotels, supplier("hotel", 34_000, "250 millis", { Rome: 9, Venice: 9 }))
}

export class Cars extends Context.Service<Cars, Supplier>()("travel-booking/Cars") {
  static readonly layer = Layer.effect(Cars, supplier("car", 12_000, "180 millis", { Rome: 9 }))
}

export class Payments extends Context.Service<Payments, {
  readonly charge: (card: string, cents: number, key: string) => Effect.Effect<void, Declined>
  readonly charged: Ledger.Ledger["sums"]
}>()("travel-booking/Payments") {
  static readonly layer = Layer.effect(
    Payments,
    Effect.map(Ledger.make, (ledger) => ({
      charge: (card, cents, key) =>
        ledger.enter(
          key,
          { account: card, amount: cents },
          () => card === "expired" ? new Declined({ card }) : undefined
        ).pipe(answeredAfter("300 millis")),
      charged: ledger.sums
    }))
  )
}

export class Mail extends Context.Service<Mail, {
  readonly send: (to: string, key: string) => Effect.Effect<void, MailRefused>
  readonly sent: Ledger.Ledger["sums"]
}>()("travel-booking/Mail") {
  /** Refuses each mail the first time, as servers do that keep a grey list. */
  static readonly layer = Layer.effect(
    Mail,
    Effect.gen(function*() {
      const ledger = yield* Ledger.make
      const greyList = yield* Ref.make(HashSet.empty<string>())

      const send = Effect.fn("Mail.send")(function*(to: string, key: string) {
        const known = yield* Ref.getAndUpdate(greyList, HashSet.add(key))
        if (!HashSet.has(known, key)) return yield* new MailRefused()
        yield* ledger.enter(key, { account: to, amount: 1 })
      })

      return { send: (to, key) => answeredAfter("40 millis")(send(to, key)), sent: ledger.sums }
    })
  )
}

export const Travel = Layer.mergeAll(Flights.layer, Hotels.layer, Cars.layer, Payments.layer, Mail.layer)
