/**
 * Four trips and their timelines: one that is booked, one without a car, one that cannot be paid, and one whose traveller
 * gives up in the middle. In the end the participants know of the first one alone.
 *
 * It runs on a virtual clock, which jumps from one event to the next.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { deepStrictEqual } from "node:assert/strict"
import { timeline } from "../../src/diagram/index.ts"
import { Saga, SagaObserver } from "../../src/index.ts"
import { bookTrip } from "./saga.ts"
import { Cars, Flights, Hotels, Mail, Payments, Travel } from "./services.ts"

const colors = process.stdout.isTTY && process.stdout.hasColors()

const ada = Saga.run(bookTrip, { traveller: "Ada", city: "Rome", card: "visa" })
const bob = Saga.run(bookTrip, { traveller: "Bob", city: "Venice", card: "visa" })
const cleo = Saga.run(bookTrip, { traveller: "Cleo", city: "Rome", card: "expired" })
const dan = Saga.run(bookTrip, { traveller: "Dan", city: "Rome", card: "visa" }).pipe(Effect.timeout("200 millis"))

const show = Effect.fn(function*<A, E, R>(title: string, trip: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(SagaObserver.collect(Effect.exit(trip)))
  yield* TestClock.adjust("1 minute")
  const [, facts] = yield* Fiber.join(fiber)
  yield* Console.log(`${title}\n\n${timeline(facts, { colors })}\n`)
})

const program = Effect.gen(function*() {
  yield* show("Ada travels to Rome", ada)
  yield* show("Bob finds no car in Venice", bob)
  yield* show("Cleo cannot pay", cleo)
  yield* show("Dan gives up after 200 ms", dan)

  const world = {
    flights: yield* Flights.use((flights) => flights.booked),
    hotels: yield* Hotels.use((hotels) => hotels.booked),
    cars: yield* Cars.use((cars) => cars.booked),
    charged: yield* Payments.use((payments) => payments.charged),
    mails: yield* Mail.use((mail) => mail.sent)
  }
  yield* Console.log(world)
  deepStrictEqual(world, {
    flights: { Rome: 1 },
    hotels: { Rome: 1 },
    cars: { Rome: 1 },
    charged: { visa: 67_000 },
    mails: { Ada: 1 }
  })
})

program.pipe(Effect.provide(Layer.mergeAll(Travel, TestClock.layer())), NodeRuntime.runMain)
