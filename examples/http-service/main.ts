/**
 * The service and a client of it: an order that is placed, orders that fail with a status code each, and one whose client
 * goes away when its card has been charged. That one is interrupted, and the card gets its money back.
 *
 * It listens on a free port and ends by itself. A service that stays would say `Layer.launch` with a port of its own.
 */
import { NodeHttpClient, NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Fiber, Latch, Layer, Stream } from "effect"
import { HttpClient, HttpClientRequest, HttpServer } from "effect/http"
import { deepStrictEqual } from "node:assert/strict"
import { createServer } from "node:http"
import { SagaObserver } from "../../src/index.ts"
import { SagaFacts } from "../../src/telemetry/index.ts"
import type { Order } from "../order-processing/saga.ts"
import { Payments, Shipping, Stock } from "../order-processing/services.ts"
import { Server } from "./server.ts"

const good: Order = {
  id: "order-1",
  lines: [{ sku: "tea", quantity: 2, cents: 450 }],
  card: "visa",
  address: "Oslo"
}

const place = Effect.fn(function*(order: Order) {
  const request = HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post("/orders"), order)
  const response = yield* HttpClient.execute(request)
  yield* Console.log(`${order.id}: ${response.status} ${yield* response.text}`)
})

const charged = Latch.makeUnsafe()

/** Charges a slow card as any other, and has no answer. */
const slow = (payments: Payments["Service"]): Payments["Service"] => ({
  ...payments,
  charge: (card, cents, key) =>
    payments.charge(card, cents, key).pipe(
      Effect.tap(card === "slow" ? Effect.andThen(charged.open, Effect.never) : Effect.void)
    )
})

const world = Effect.all({
  reserved: Stock.use((stock) => stock.reserved),
  charged: Payments.use((payments) => payments.charged),
  shipped: Shipping.use((shipping) => shipping.shipped)
})

const program = Effect.gen(function*() {
  yield* place(good)
  yield* place({ ...good, id: "order-2", card: "expired" })
  yield* place({ ...good, id: "order-3", lines: [{ sku: "cup", quantity: 1, cents: 900 }] })
  yield* place({ ...good, id: "order-4", address: "Atlantis" })

  const compensated = yield* SagaFacts.stream.pipe(
    Stream.takeUntil(({ event }) => event._tag === "SagaCompensated"),
    Stream.runDrain,
    Effect.forkChild({ startImmediately: true })
  )
  const client = yield* Effect.forkChild(place({ ...good, id: "order-5", card: "slow" }))
  yield* charged.await
  yield* Console.log("order-5 is charged, and its client goes away:", yield* world)

  yield* Fiber.interrupt(client)
  yield* Fiber.join(compensated)
  const end = yield* world
  yield* Console.log("the order was compensated:", end)
  deepStrictEqual(end, { reserved: { tea: 2 }, charged: { visa: 900 }, shipped: { Oslo: 1 } })
})

const Shop = Layer.mergeAll(
  Stock.layer({ tea: 10 }),
  Payments.layer({ visa: 10_000, slow: 10_000 }),
  Shipping.layer(["Oslo"])
)

const Service = Server.pipe(
  Layer.updateService(Payments, slow),
  Layer.provide(SagaObserver.layer([SagaFacts.observer])),
  Layer.provideMerge(HttpServer.layerTestClient.pipe(Layer.provide(NodeHttpClient.layerNodeHttp))),
  Layer.provideMerge([NodeHttpServer.layer(createServer, { port: 0 }), Shop, SagaFacts.layer])
)

program.pipe(Effect.provide(Service), NodeRuntime.runMain)
