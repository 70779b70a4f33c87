/** Five changes to a database, on a clock that the program moves: each ends at its exact time, and the rows say how. */
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Console, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { deepStrictEqual } from "node:assert/strict"
import { EventBus, MemoryBus } from "../../src/events/index.ts"
import { Saga } from "../../src/index.ts"
import { describe } from "../describe.ts"
import { ChangeApproved, ChangeRejected, Database, migrate } from "./saga.ts"

const start = (name: string) =>
  Effect.gen(function*() {
    const outcome = yield* Saga.outcome(migrate, { name, by: "carl" })
    const hours = (yield* Clock.currentTimeMillis) / 3_600_000
    yield* Console.log(`after ${hours} hours, ${name}: ${describe(outcome)}`)
  }).pipe(Effect.forkChild({ startImmediately: true }))

const program = Effect.gen(function*() {
  const bus = yield* EventBus
  const runs = yield* Effect.forEach(["typo", "dora", "half of it", "no thanks", "too late"], start)

  yield* TestClock.adjust("1 hour")
  yield* bus.publish(ChangeApproved, { change: "dora", by: "carl" }) // his own: it does not count
  yield* bus.publish(ChangeRejected, { change: "no thanks", by: "ann" })
  yield* TestClock.adjust("1 day")
  yield* bus.publish(ChangeApproved, { change: "dora", by: "ann" })
  yield* bus.publish(ChangeApproved, { change: "half of it", by: "ann" })
  yield* TestClock.adjust("2 days")
  yield* Fiber.joinAll(runs)

  const rows = yield* Database.use((database) => database.rows)
  yield* Console.log(rows)
  deepStrictEqual(rows, ["ann", "bob", "dora"])
})

program.pipe(Effect.provide(Layer.mergeAll(Database.layer, MemoryBus.layer, TestClock.layer())), NodeRuntime.runMain)
