/**
 * One sale over a network that works, and three over one that does not. Each card is charged once or not at all, and what
 * is reserved is what was paid for; the last sale keeps both until a person has looked.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { deepStrictEqual } from "node:assert/strict"
import { Saga } from "../../src/index.ts"
import { describe } from "../describe.ts"
import { Stock } from "../order-processing/services.ts"
import { sell } from "./saga.ts"
import { Network, Payments } from "./services.ts"

const sale = Effect.fn(function*(card: string) {
  const payload = { sku: "tea", card, cents: 450 }
  const fiber = yield* Effect.forkChild(Saga.outcome(sell, payload, { executionId: card }), { startImmediately: true })
  yield* TestClock.adjust("2 seconds")
  yield* Console.log(`the network ${yield* Network}: ${describe(yield* Fiber.join(fiber))}`)
})

const program = Effect.gen(function*() {
  yield* sale("visa-1")
  yield* sale("visa-2").pipe(Effect.provideService(Network, "loses the answer"))
  yield* sale("visa-3").pipe(Effect.provideService(Network, "loses the request"))
  yield* sale("visa-4").pipe(Effect.provideService(Network, "breaks down"))

  const world = {
    reserved: yield* Stock.use((stock) => stock.reserved),
    charged: yield* Payments.use((payments) => payments.charged)
  }
  yield* Console.log(world)
  deepStrictEqual(world, { reserved: { tea: 3 }, charged: { "visa-1": 450, "visa-2": 450, "visa-4": 450 } })
})

program.pipe(
  Effect.provide(Layer.mergeAll(Stock.layer({ tea: 10 }), Payments.layer, TestClock.layer())),
  NodeRuntime.runMain
)
