// A saga in an HTTP service: what becomes of an order whose client goes away, comes back, or cannot be helped.
import { NodeHttpClient, NodeHttpServer } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Latch, Layer, Logger, Stream } from "effect"
import type { SagaEvent } from "effect-saga"
import { SagaObserver } from "effect-saga"
import { SagaFacts } from "effect-saga/telemetry"
import { HttpClient, HttpClientRequest, HttpServer } from "effect/http"
import { TestClock } from "effect/testing"
import { createServer } from "node:http"
import { Server } from "../../examples/http-service/server.ts"
import { Payments, Shipping, Stock } from "../../examples/order-processing/services.ts"

const order = { id: "o", lines: [{ sku: "tea", quantity: 2, cents: 450 }], card: "visa", address: "Oslo" }

const place = Effect.fnUntraced(function*(body: unknown) {
  const response = yield* HttpClient.execute(HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post("/orders"), body))
  return { status: response.status, body: yield* response.text }
})

const world = Effect.all({
  reserved: Stock.use((stock) => stock.reserved),
  charged: Payments.use((payments) => payments.charged),
  shipped: Shipping.use((shipping) => shipping.shipped)
})

/** Waits, from now on, for a fact of this kind. */
const fact = <Tag extends SagaEvent["_tag"]>(tag: Tag) =>
  SagaFacts.stream.pipe(
    Stream.map(({ event }) => event),
    Stream.filter((event): event is Extract<SagaEvent, { readonly _tag: Tag }> => event._tag === tag),
    Stream.runHead,
    Effect.flatMap(Effect.fromOption),
    Effect.forkChild({ startImmediately: true })
  )

const Shop = Layer.mergeAll(Stock.layer({ tea: 9 }), Payments.layer({ visa: 10_000 }), Shipping.layer(["Oslo"]))

/** The service on a free port, and a client for it. */
const service = (changed: {
  readonly stock?: Partial<Stock["Service"]>
  readonly charge?: (charge: Payments["Service"]["charge"]) => Payments["Service"]["charge"]
} = {}) =>
  Server.pipe(
    Layer.updateService(Stock, (stock) => ({ ...stock, ...changed.stock })),
    Layer.updateService(Payments, (payments) => ({
      ...payments,
      charge: changed.charge?.(payments.charge) ?? payments.charge
    })),
    Layer.provide([SagaObserver.layer([SagaFacts.observer]), Logger.layer([])]),
    Layer.provideMerge(HttpServer.layerTestClient.pipe(Layer.provide(NodeHttpClient.layerNodeHttp))),
    Layer.provideMerge([NodeHttpServer.layer(createServer, { port: 0 }), Shop, SagaFacts.layer])
  )

it.effect("an order that is no order is a 400, and no saga starts", () =>
  Effect.gen(function*() {
    const started = yield* fact("SagaStarted")
    const { status } = yield* place({ id: 5 })
    assert.strictEqual(status, 400)
    assert.isUndefined(started.pollUnsafe())
  }).pipe(Effect.provide(service())))

it.effect("an order that comes twice is answered twice and charged once", () =>
  Effect.gen(function*() {
    const first = yield* place(order)
    assert.strictEqual(first.status, 201)
    assert.deepStrictEqual(yield* place(order), first)
    assert.deepStrictEqual(yield* world, { reserved: { tea: 2 }, charged: { visa: 900 }, shipped: { Oslo: 1 } })
  }).pipe(Effect.provide(service())))

it.effect("when the client goes away, the saga is interrupted and compensated", () => {
  const charged = Latch.makeUnsafe()
  const charge = (charge: Payments["Service"]["charge"]): Payments["Service"]["charge"] => (card, cents, key) =>
    charge(card, cents, key).pipe(Effect.tap(charged.open), Effect.andThen(Effect.never))

  return Effect.gen(function*() {
    const unwinding = yield* fact("UnwindStarted")
    const compensated = yield* fact("SagaCompensated")
    const client = yield* Effect.forkChild(place(order))
    yield* charged.await
    assert.deepStrictEqual(yield* world, { reserved: { tea: 2 }, charged: { visa: 900 }, shipped: {} })

    yield* Fiber.interrupt(client)
    assert.isTrue(Cause.hasInterruptsOnly((yield* Fiber.join(unwinding)).cause))
    assert.deepStrictEqual((yield* Fiber.join(compensated)).uncertain, [])
    assert.deepStrictEqual(yield* world, { reserved: {}, charged: {}, shipped: {} })
  }).pipe(Effect.provide(service({ charge })))
})

it.effect("an order that failed and cannot be undone is a 500 that names it", () =>
  Effect.gen(function*() {
    const failed = yield* fact("CompensationAttemptFailed")
    const client = yield* Effect.forkChild(place({ ...order, card: "expired" }))
    yield* Fiber.join(failed)
    yield* TestClock.adjust("1 minute")

    assert.deepStrictEqual(yield* Fiber.join(client), { status: 500, body: `{"_tag":"OrderStuck","order":"o"}` })
    assert.deepStrictEqual(yield* world, { reserved: { tea: 2 }, charged: {}, shipped: {} })
  }).pipe(Effect.provide(service({ stock: { release: () => Effect.die("the warehouse burns") } }))))
