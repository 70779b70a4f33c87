// A trip that is interrupted at every moment: all of it is booked and paid, or nothing.
import { assert, it } from "@effect/vitest"
import { Array, Effect, Fiber, Layer, Logger } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { bookTrip } from "../../examples/travel-booking/saga.ts"
import { Cars, Flights, Hotels, Mail, Payments, Travel } from "../../examples/travel-booking/services.ts"

const world = Effect.all({
  flights: Flights.use((flights) => flights.booked),
  hotels: Hotels.use((hotels) => hotels.booked),
  cars: Cars.use((cars) => cars.booked),
  charged: Payments.use((payments) => payments.charged),
  mails: Mail.use((mail) => mail.sent)
})

const nothing = { flights: {}, hotels: {}, cars: {}, charged: {}, mails: {} }
const booked = { ...nothing, flights: { Rome: 1 }, hotels: { Rome: 1 }, cars: { Rome: 1 } }
const paid = { ...booked, charged: { visa: 67_000 } }

const interruptedAfter = (millis: number) =>
  Effect.gen(function*() {
    const run = Saga.run(bookTrip, { traveller: "Ada", city: "Rome", card: "visa" })
    const fiber = yield* Effect.forkChild(run, { startImmediately: true })
    yield* TestClock.adjust(millis)
    const during = yield* world
    const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(interrupting)
    return { during, after: yield* world }
  }).pipe(Effect.provide(Layer.fresh(Travel)))

it.effect("interrupted while it books, it leaves nothing of what the suppliers had booked by then", () =>
  Effect.forEach(
    Array.range(0, 24),
    Effect.fnUntraced(function*(tenth) {
      const { after, during } = yield* interruptedAfter(tenth * 10)
      assert.deepStrictEqual(during, booked)
      assert.deepStrictEqual(after, nothing, `after ${tenth * 10} ms`)
    })
  ))

it.effect("interrupted while it pays or before the mail is out, it is paid for, and somebody is told about the mail", () =>
  Effect.gen(function*() {
    const told: Array<string> = []
    const pager = Logger.layer([Logger.make(({ message }) => void told.push(String(message)))])
    const moments = [250, 400, 549, 560, 640]
    for (const millis of moments) {
      const { after } = yield* Effect.provide(interruptedAfter(millis), pager)
      assert.deepStrictEqual(after, paid, `after ${millis} ms`)
    }
    assert.strictEqual(told.filter((message) => message.includes("left to do: email")).length, moments.length)
  }))

it.effect("interrupted while the mail goes out, or after that, it is complete", () =>
  Effect.gen(function*() {
    for (const millis of [700, 729, 730]) {
      const { after } = yield* interruptedAfter(millis)
      assert.deepStrictEqual(after, { ...paid, mails: { Ada: 1 } }, `after ${millis} ms`)
    }
  }))
