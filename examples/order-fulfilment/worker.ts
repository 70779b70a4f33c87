/**
 * The service: an engine, the aggregates, and the outside world, which is played here: customers that pay at once, late, never or
 * with a card that fails, and a carrier. It may be killed at any time.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer } from "effect"
import { EventBus, SagaEvents } from "../../src/events/index.ts"
import { Saga } from "../../src/index.ts"
import { SqlSagaEngine } from "../../src/sql/index.ts"
import * as NodeSqlite from "../../src/sql/NodeSqlite.ts"
import { endWithParent } from "../killable.ts"
import { Aggregates, Payment } from "./aggregates.ts"
import { OrderPlaced, ParcelScanned, ParcelSent, PaymentReminded, PaymentRequested } from "./events.ts"
import { fulfilWith } from "./saga.ts"

const [journal, books] = process.argv.slice(2) as [string, string]

const fulfil = fulfilWith("4 seconds")

const Customers = SagaEvents.relay({
  name: "customers",
  events: [PaymentRequested, PaymentReminded],
  handle: ({ payload: { order }, type }) =>
    order.startsWith("broke")
      ? Payment.answer(`answer ${order}`, order, "PaymentFailed")
      : order.startsWith("forgetful") && type === "PaymentRequested" || order.startsWith("silent")
      ? Effect.void
      : Payment.answer(`answer ${order}`, order, "PaymentConfirmed")
})

const Carrier = SagaEvents.relay({
  name: "carrier",
  events: [ParcelSent],
  handle: ({ payload: { order } }) =>
    EventBus.use((bus) =>
      Effect.forEach(
        ["on its way", order.startsWith("moved") ? "returned" : "delivered"] as const,
        (status) => bus.publish(ParcelScanned, { order, status }, { id: `${order} ${status}` })
      )
    )
})

const Live = Layer.mergeAll(
  Saga.register(fulfil),
  SagaEvents.startOn(fulfil, OrderPlaced, { payload: ({ payload }) => payload.order }),
  Customers,
  Carrier,
  Layer.effectDiscard(Effect.forkScoped(Aggregates.use(({ publish }) => publish)))
).pipe(
  Layer.provide(SqlSagaEngine.layerWith({ poll: "50 millis" })),
  Layer.provide(NodeSqlite.layer({ filename: journal })),
  Layer.provide(Aggregates.layer(books))
)

endWithParent()
Layer.launch(Live).pipe(NodeRuntime.runMain)
