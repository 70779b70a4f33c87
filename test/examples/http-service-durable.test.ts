// The durable service: what becomes of a request as a status code. That it survives its death is in its program, which
// runs with the others.
import { NodeHttpClient, NodeHttpServer } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Logger } from "effect"
import { Saga } from "effect-saga"
import { SagaEngine } from "effect-saga/SagaEngine"
import { SagaJournal } from "effect-saga/SagaJournal"
import { HttpClient, HttpClientRequest, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { Server } from "../../examples/http-service-durable/server.ts"
import { Books } from "../../examples/order-service/books.ts"
import type { Order } from "../../examples/order-service/saga.ts"
import { fulfil } from "../../examples/order-service/saga.ts"
import { Mail, Participants } from "../../examples/order-service/services.ts"

const order: Order = {
  id: "o-1",
  customer: "ada",
  country: "DE",
  express: false,
  payment: { _tag: "Card", number: "visa" },
  lines: [{ sku: "tea", quantity: 2, cents: 450 }]
}

const ask = Effect.fnUntraced(function*(method: "GET" | "POST" | "DELETE", path: string, body?: unknown) {
  const empty = HttpClientRequest.make(method)(path)
  const response = yield* HttpClient.execute(body === undefined ? empty : HttpClientRequest.bodyJsonUnsafe(empty, body))
  const text = yield* response.text
  return {
    status: response.status,
    location: response.headers.location,
    body: text === "" ? undefined : JSON.parse(text)
  }
})

/** Asks for the status until the order is at rest. */
const atRest: (path: string) => ReturnType<typeof ask> = (path) =>
  Effect.flatMap(ask("GET", path), (answer) =>
    ["Succeeded", "Compensated", "Stuck"].includes(answer.body?.state)
      ? Effect.succeed(answer)
      : Effect.andThen(Effect.sleep("10 millis"), atRest(path)))

const service = (mail: (mail: Mail["Service"]) => Mail["Service"] = (mail) => mail) =>
  Server.pipe(
    Layer.provide(Saga.register(fulfil)),
    Layer.updateService(Mail, mail),
    Layer.provide(Participants),
    Layer.provideMerge(SagaEngine.layerWith({ grace: 0 })),
    Layer.provide([SagaJournal.layerMemory, Books.layer(":memory:"), Logger.layer([])]),
    Layer.provideMerge(HttpServer.layerTestClient.pipe(Layer.provide(NodeHttpClient.layerNodeHttp))),
    Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0 }))
  )

it.live("an accepted order has a status at its location, and in the end its receipt", () =>
  Effect.gen(function*() {
    const accepted = yield* ask("POST", "/orders", order)
    assert.deepStrictEqual(accepted, { status: 202, location: "/orders/o-1", body: { executionId: "Fulfil/o-1" } })
    const { body, status } = yield* atRest(accepted.location!)
    assert.strictEqual(status, 200)
    assert.deepStrictEqual(body, { state: "Succeeded", result: { order: "o-1", carrier: "Snail", cents: 900 } })
  }).pipe(Effect.provide(service())))

it.live("a failed order is Compensated with its error, a stuck one says why, and neither can be cancelled", () =>
  Effect.gen(function*() {
    const declined = { ...order, payment: { _tag: "Card", number: "expired" } }
    yield* ask("POST", "/orders", declined)
    yield* ask("POST", "/orders", { ...declined, id: "o-2", lines: [{ sku: "piano", quantity: 1, cents: 1 }] })
    assert.deepStrictEqual((yield* atRest("/orders/o-1")).body, {
      state: "Compensated",
      error: `Declined: "expired" was declined`
    })
    assert.deepStrictEqual((yield* atRest("/orders/o-2")).body, {
      state: "Stuck",
      problem: "CompensationFailed: lines/piano/reserve"
    })
    for (const path of ["/orders/o-1", "/orders/o-2"]) {
      assert.deepInclude(yield* ask("DELETE", path), { status: 409 })
    }
  }).pipe(Effect.provide(service())))

it.live("what cannot be an order is a 400, another order of one id a 409, an unknown one a 404", () =>
  Effect.gen(function*() {
    const empty = yield* ask("POST", "/orders", { ...order, lines: [] })
    assert.strictEqual(empty.status, 400)
    assert.include(empty.body.reason, "Expected at least one line")
    const endless = yield* ask("POST", "/orders", { ...order, id: `o-${"1".repeat(400)}` })
    assert.strictEqual(endless.status, 400)
    assert.include(endless.body.reason, "it has 409 characters, and 400 are allowed")
    yield* ask("POST", "/orders", order)
    assert.deepInclude(yield* ask("POST", "/orders", { ...order, customer: "bob" }), { status: 409 })
    assert.deepInclude(yield* ask("POST", "/orders", order), { status: 202 })
    assert.deepInclude(yield* ask("GET", "/orders/o-2"), { status: 404 })
    assert.deepInclude(yield* ask("DELETE", "/orders/o-2"), { status: 404 })
  }).pipe(Effect.provide(service())))

it.live("an order that is paid for cannot be cancelled any more", () => {
  const mailing = Deferred.makeUnsafe<void>()
  const silent = () => ({ send: () => Effect.andThen(Deferred.succeed(mailing, undefined), Effect.never) })
  return Effect.gen(function*() {
    yield* ask("POST", "/orders", order)
    yield* Deferred.await(mailing)
    const { body, status } = yield* ask("DELETE", "/orders/o-1")
    assert.strictEqual(status, 409)
    assert.include(body.reason, "is past its commit point")
    assert.deepInclude((yield* ask("GET", "/orders/o-1")).body, { state: "Running" })
  }).pipe(Effect.provide(service(silent)))
})
