/** The suite of buses on ours, and each broken bus breaks a promise. */
import { Effect, Exit, Layer } from "effect"
import { EventBus, type EventBusService, MemoryBus } from "effect-saga/events"
import { SagaEngine } from "effect-saga/SagaEngine"
import { SqlSagaEngine } from "effect-saga/sql"
import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
import { EventBusTest, PromiseBroken } from "effect-saga/testing"
import { registerSuite } from "effect-saga/testing/vitest"
import { expect, it } from "vitest"
import * as Postgres from "../sql/postgres.ts"

registerSuite("the bus in memory", EventBusTest.suite("in memory", MemoryBus.layer))
registerSuite("the bus of the engine in memory", EventBusTest.suite("in memory", SagaEngine.layerMemory))
registerSuite(
  "the bus of the engine on SQLite",
  EventBusTest.suite(
    "on SQLite",
    SqlSagaEngine.layer.pipe(Layer.provide(NodeSqlite.layer({ filename: ":memory:", synchronous: "OFF" })))
  )
)
const onTables = Postgres.shared({ maxConnections: 10 })
registerSuite(
  "the bus of the engine on PostgreSQL",
  EventBusTest.suite("on PostgreSQL", onTables((prefix) => SqlSagaEngine.layerWith({ prefix })))
)

/** Those that are found by what comes: one that withholds something is found after the 20 seconds that a promise has. */
const breaks: Readonly<Record<string, (bus: EventBusService) => Partial<EventBusService>>> = {
  "an event comes as it was published, with what is known of it": (bus) => ({
    publish: (event, payload, options = {}) => {
      const { correlationId: _, ...rest } = options
      return bus.publish(event, payload, rest)
    }
  }),
  "one with an id that is known counts once": (bus) => {
    let copies = 0
    return {
      publish: (event, payload, options) =>
        bus.publish(
          event,
          payload,
          options?.id === undefined ? options : { ...options, id: `${options.id} ${copies++}` }
        )
    }
  },
  "what does not match its schema is refused, and so is what has no key": (bus) => ({
    publish: (event, payload, options) =>
      Effect.catchTag(bus.publish(event, payload, options), "EventRefused", () => Effect.void)
  })
}

it.each(Object.entries(breaks))("a broken one is found: %s", { timeout: 60_000 }, async (promise, change) => {
  const layer = Layer.effect(EventBus, Effect.map(EventBus, (bus) => ({ ...bus, ...change(bus) }))).pipe(
    Layer.provide(Layer.fresh(MemoryBus.layer))
  )
  const test = EventBusTest.suite("broken", layer).find(({ name }) => name === promise)!.test
  const exit = await Effect.runPromiseExit(test)
  expect(Exit.isFailure(exit) && exit.cause.reasons[0]).toMatchObject({ error: expect.any(PromiseBroken) })
})
