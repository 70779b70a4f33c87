/**
 * The participants: warehouse, payments, two carriers with a courier, mail. Each may refuse, some are slow, some lose an
 * answer, and all of them recognise a call that comes again by its key.
 */
import { Context, Effect, Hash, Layer, Option, Schema } from "effect"
import type { Deed } from "./books.ts"
import { Books } from "./books.ts"

export class SoldOut extends Schema.TaggedError<SoldOut>()("SoldOut", { sku: Schema.String }) {
  override get message() {
    return `no ${this.sku} left`
  }
}

export class Blocked extends Schema.TaggedError<Blocked>()("Blocked", { customer: Schema.String }) {
  override get message() {
    return `${this.customer} is blocked`
  }
}

export class Declined extends Schema.TaggedError<Declined>()("Declined", { account: Schema.String }) {
  override get message() {
    return `"${this.account}" was declined`
  }
}

export class Undeliverable extends Schema.TaggedError<Undeliverable>()("Undeliverable", {
  carrier: Schema.String,
  country: Schema.String
}) {
  override get message() {
    return `${this.carrier} does not go to ${this.country}`
  }
}

export class Bounced extends Schema.TaggedError<Bounced>()("Bounced", { customer: Schema.String }) {
  override get message() {
    return `the mail server of ${this.customer} does not take it`
  }
}

/** What the way to a participant and back takes: a few milliseconds, the same for the same call. */
const way = (key: string) => Effect.sleep(2 + (Math.abs(Hash.string(key)) % 16))

/** What all participants do with a call: look it up by its key, judge it, and enter it into their books. */
const make = Effect.map(Books, (books) => ({
  call: <E = never>(key: string, deed: Deed, refusal?: E, answer: Effect.Effect<void> = Effect.void) =>
    Effect.gen(function*() {
      yield* way(key)
      if (refusal !== undefined) yield* Effect.andThen(books.refuse(key), Effect.fail(refusal))
      const verdict = yield* books.post(key, deed)
      // A call that comes again is answered from the books, at once.
      yield* verdict === "applied" ? answer : Effect.void
      yield* way(key)
    }),
  undo: (key: string, actionKey: string) => Effect.andThen(way(key), books.undo(key, actionKey)),
  find: (key: string) =>
    Effect.andThen(way(key), Effect.map(books.has(key), (has) => has ? Option.some(undefined) : Option.none())),
  refuse: books.refuse
}))

type Find = (key: string) => Effect.Effect<Option.Option<undefined>>
type Undo = (key: string, actionKey: string) => Effect.Effect<unknown>

export class Warehouse extends Context.Service<Warehouse, {
  readonly reserve: (order: string, sku: string, quantity: number, key: string) => Effect.Effect<void, SoldOut>
  readonly release: (sku: string, key: string, actionKey: string) => Effect.Effect<unknown>
  readonly find: Find
}>()("order-service/Warehouse") {
  static readonly layer = Layer.effect(
    Warehouse,
    Effect.map(make, ({ call, find, refuse, undo }) => ({
      reserve: (order, sku, quantity, key) =>
        call(
          key,
          { order, account: "reserved", amount: quantity },
          sku === "unicorn" ? new SoldOut({ sku }) : undefined
        ),
      release: (sku, key, actionKey) =>
        sku === "piano"
          ? Effect.andThen(refuse(key), Effect.die("the piano is stuck in the lift"))
          : undo(key, actionKey),
      find
    }))
  )
}

export class Payments extends Context.Service<Payments, {
  readonly screen: (customer: string) => Effect.Effect<void, Blocked>
  readonly hold: (order: string, account: string, cents: number, key: string) => Effect.Effect<void, Declined>
  readonly free: Undo
  readonly take: (order: string, account: string, cents: number, key: string) => Effect.Effect<void, Declined>
  readonly find: Find
}>()("order-service/Payments") {
  static readonly layer = Layer.effect(
    Payments,
    Effect.map(make, ({ call, find, undo }) => ({
      screen: (customer) =>
        Effect.andThen(way(customer), customer === "mallory" ? Effect.fail(new Blocked({ customer })) : Effect.void),
      hold: (order, account, cents, key) =>
        call(
          key,
          { order, account: "held", amount: cents },
          ["expired", "bankrupt", "spent"].includes(account) ? new Declined({ account }) : undefined,
          account === "silent" ? Effect.never : Effect.void
        ),
      free: undo,
      take: (order, account, cents, key) =>
        call(
          key,
          { order, account: "taken", amount: cents },
          account === "over the limit" ? new Declined({ account }) : undefined
        ),
      find
    }))
  )
}

/** Where each carrier goes. */
const served: Readonly<Record<string, ReadonlyArray<string>>> = {
  Snail: ["DE", "FR", "IS", "NO"],
  Falcon: ["DE", "FR", "IS", "JP", "NO", "US"],
  Courier: ["DE", "FR", "US"]
}

export class Carriers extends Context.Service<Carriers, {
  readonly book: (order: string, carrier: string, country: string, key: string) => Effect.Effect<void, Undeliverable>
  readonly cancel: Undo
  readonly find: Find
}>()("order-service/Carriers") {
  static readonly layer = Layer.effect(
    Carriers,
    Effect.map(make, ({ call, find, undo }) => ({
      book: (order, carrier, country, key) =>
        call(
          key,
          { order, account: "parcels", amount: 1 },
          served[carrier]?.includes(country) ? undefined : new Undeliverable({ carrier, country }),
          // It is booked, and the answer is on its way.
          carrier === "Snail" && country === "IS" ? Effect.sleep("1 minute") : Effect.void
        ),
      cancel: undo,
      find
    }))
  )
}

export class Mail extends Context.Service<Mail, {
  readonly send: (order: string, customer: string, key: string) => Effect.Effect<void, Bounced>
}>()("order-service/Mail") {
  static readonly layer = Layer.effect(
    Mail,
    Effect.map(make, ({ call, refuse }) => ({
      send: Effect.fn("Mail.send")(function*(order, customer, key) {
        // Nobody's server takes nothing, grumpy's takes what it has refused twice.
        if (customer === "nobody" || customer === "grumpy") {
          const before = yield* refuse(key)
          if (customer === "nobody" || before < 2) return yield* new Bounced({ customer })
        }
        yield* call(key, { order, account: "mails", amount: 1 })
      })
    }))
  )
}

export const Participants = Layer.mergeAll(Warehouse.layer, Payments.layer, Carriers.layer, Mail.layer)
