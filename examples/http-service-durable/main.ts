/**
 * A client of the durable service, which is killed between two of its requests. What was accepted is fulfilled by the
 * next process, what was cancelled is compensated by it, and who asks has an answer from either.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Array, Console, Effect } from "effect"
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

type Method = "GET" | "POST" | "DELETE"

const request = Effect.fn(function*(port: number, method: Method, path: string, body?: unknown) {
  const empty = HttpClientRequest.make(method)(`http://127.0.0.1:${port}${path}`)
  const response = yield* HttpClient.execute(body === undefined ? empty : HttpClientRequest.bodyJsonUnsafe(empty, body))
  return { status: response.status, location: response.headers.location, text: yield* response.text }
})

const tell = Effect.fn(function*(port: number, method: Method, path: string, body?: unknown) {
  const { location, status, text } = yield* request(port, method, path, body)
  yield* Console.log(`${method} ${path}: ${[status, location, text].filter(Boolean).join(" ")}`)
})

const scenario = Effect.fn(function*(folder: string) {
  const books = yield* Books
  const start = Killable.start<number>(
    join(import.meta.dirname, "serve.ts"),
    [join(folder, "journal.sqlite"), join(folder, "books.sqlite")],
    join(folder, "log")
  )

  const first = yield* start
  const port = yield* first.told
  yield* tell(port, "POST", "/orders", lamp)
  yield* tell(port, "POST", "/orders", lamp)
  yield* tell(port, "POST", "/orders", { ...lamp, customer: "bob" })
  yield* tell(port, "POST", "/orders", { ...lamp, lines: [] })
  yield* tell(port, "POST", "/orders", { ...lamp, id: "o-2" })
  const booked = (order: string) => books.has(`Fulfil/${order}/parcel/first/snail`)
  yield* first.until(Effect.map(Effect.all([booked("o-1"), booked("o-2")]), (all) => all.every(Boolean) || undefined))
  yield* tell(port, "DELETE", "/orders/o-2")
  yield* tell(port, "DELETE", "/orders/o-3")
  yield* tell(port, "GET", "/orders/o-1")

  yield* Console.log("SIGKILL, and started again")
  yield* first.end("SIGKILL")

  const second = yield* start
  const port2 = yield* second.told
  yield* second.until(Effect.map(
    Effect.all([request(port2, "GET", "/orders/o-1"), request(port2, "GET", "/orders/o-2")]),
    (all) => all.every(({ text }) => /Succeeded|Compensated/.test(text)) || undefined
  ))
  yield* tell(port2, "GET", "/orders/o-1")
  yield* tell(port2, "GET", "/orders/o-2")
  yield* tell(port2, "DELETE", "/orders/o-1")
  yield* second.end("SIGTERM")

  const postings = yield* books.postings
  const standing = (order: string) =>
    Object.entries(Array.groupBy(postings.filter((posting) => posting.order === order), ({ account }) => account)).map(
      ([account, some]) => [account, some.reduce((sum, { amount }) => sum + amount, 0)] as const
    )
  deepStrictEqual(standing("o-1"), [["reserved", 1], ["held", 7900], ["parcels", 1], ["taken", 7900], ["mails", 1]])
  deepStrictEqual(standing("o-2"), [["reserved", 0], ["held", 0], ["parcels", 0]])
}, Effect.timeout("30 seconds"))

const program = Effect.gen(function*() {
  const folder = yield* Folder
  yield* Effect.provide(scenario(folder), Books.layer(join(folder, "books.sqlite")))
})

program.pipe(Effect.provide(NodeHttpClient.layerNodeHttp), Effect.scoped, NodeRuntime.runMain)
