/**
 * Three purchases that wait for an approval, on a clock that the program moves: one is approved, one is refused, and for
 * one nobody answers in time. Days pass in milliseconds, and each run ends at its exact time.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Console, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { deepStrictEqual } from "node:assert/strict"
import { Saga } from "../../src/index.ts"
import { describe } from "../describe.ts"
import { purchase } from "./saga.ts"
import { Approvals, Budget, Supplier } from "./services.ts"

const start = (id: string, item: string, cents: number) =>
  Effect.gen(function*() {
    const outcome = yield* Saga.outcome(purchase, { id, team: "design", item, cents })
    const hours = (yield* Clock.currentTimeMillis) / 3_600_000
    yield* Console.log(`after ${hours} hours, ${item}: ${describe(outcome)}`)
  }).pipe(Effect.forkChild({ startImmediately: true }))

const program = Effect.gen(function*() {
  const approvals = yield* Approvals
  const runs = [
    yield* start("p1", "laptop", 150_000),
    yield* start("p2", "yacht", 90_000_000),
    yield* start("p3", "chairs", 40_000)
  ]

  yield* TestClock.adjust("3 hours")
  yield* approvals.decide("p1", "Dana", true)

  yield* TestClock.adjust("1 hour")
  yield* approvals.decide("p2", "Dana", false)

  yield* TestClock.adjust("3 days")
  yield* Fiber.joinAll(runs)

  const world = {
    held: yield* Budget.use((budget) => budget.held),
    ordered: yield* Supplier.use((supplier) => supplier.ordered),
    lateAnswerCounts: yield* approvals.decide("p3", "Dana", true)
  }
  yield* Console.log(world)
  deepStrictEqual(world, { held: { design: 150_000 }, ordered: { laptop: 1 }, lateAnswerCounts: false })
})

const Office = Layer.mergeAll(Budget.layer, Approvals.layer, Supplier.layer, TestClock.layer())

program.pipe(Effect.provide(Office), NodeRuntime.runMain)
