/**
 * A client of the durable service, which is killed between two of its requests. What was accepted is fulfilled by the
 * next process, what was cancelled is compensated by it, and who asks has an answer from either.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { deepStrictEqual } from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Killable } from "../killable.ts"
import { Books } from "../order-service/books.ts"
import type { Order } from "../order-service/saga.ts"

/** The carrier to Iceland books at once and takes very long to say so. */
const lamp: Order = {
  id: "o-1",
  customer: "ada",
  country: "IS",
  express: false,
  payment: { _tag: "Card", number: "visa" },
  lines: [{ sku: "lamp", quantity: 1, cents: 7900 }]
}

const Folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "http-service-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

const request = Effect.fn(function*(port: number, method: "GET" | "POST" | "DELETE", path: string, body?: unknown) {
  const empty = HttpClientRequest.make(method)(`http://127.0.0.1:${port}${path}`)
  const response = yield* HttpClient.execute(body === undefined ? empty : HttpClientRequest.bodyJsonUnsafe(empty, body))
  return { status: response.status, location: response.headers.location, text: yield* response.text }
})

const program = Effect.gen(function*() {
  const folder = yield* Folder
  const start = Killable.start<number>(
    join(import.meta.dirname, "serve.ts"),
    [join(folder, "journal.sqlite"), join(folder, "books.sqlite")],
    join(folder, "log")
  )
  const first = yield* start
  let port = yield* first.told

  const tell = Effect.fn(function*(method: "GET" | "POST" | "DELETE", path: string, body?: unknown) {
    const { location, status, text } = yield* request(port, method, path, body)
    yield* Console.log(`${method} ${path}: ${[status, location, text].filter(Boolean).join(" ")}`)
  })
  const states = Effect.all({
    first: Effect.map(request(port, "GET", "/orders/o-1"), ({ text }) => text),
    second: Effect.map(request(port, "GET", "/orders/o-2"), ({ text }) => text)
  })

  yield* tell("POST", "/orders", lamp)
  yield* tell("POST", "/orders", lamp)
  yield* tell("POST", "/orders", { ...lamp, lines: [] })
  yield* tell("POST", "/orders", { ...lamp, customer: "bob" })
  yield* tell("GET", "/orders/o-9")
  yield* tell("POST", "/orders", { ...lamp, id: "o-2" })

  const books = yield* Books.pipe(Effect.provide(Books.layer(join(folder, "books.sqlite"))))
  void books
  void states
  yield* tell("DELETE", "/orders/o-2")
  yield* tell("GET", "/orders/o-1")
  yield* Console.log("SIGKILL")
  yield* first.end("SIGKILL")

  const second = yield* start
  port = yield* second.told
  const ended = (order: string) =>
    second.until(Effect.map(request(port, "GET", `/orders/${order}`), ({ text }) =>
      /Succeeded|Compensated/.test(text) ? text : undefined))
  yield* Effect.all([ended("o-1"), ended("o-2")])
  yield* tell("GET", "/orders/o-1")
  yield* tell("GET", "/orders/o-2")
  yield* tell("DELETE", "/orders/o-1")
  yield* second.end("SIGTERM")
})

program.pipe(Effect.provide(NodeHttpClient.layerNodeHttp), Effect.scoped, NodeRuntime.runMain)
