/**
 * A process of the soak test: it starts random sagas, waits for some and cancels some, until it is told to `drain`, and
 * says on its standard output what it was told, a line of JSON each. The harness does to it what it likes.
 */
import { PgClient } from "@effect/sql-pg"
import { Cause, Effect, Exit, Layer, Logger, ManagedRuntime, Redacted } from "effect"
import { writeSync } from "node:fs"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { Saga } from "../../src/index.ts"
import { SagaEngine } from "../../src/SagaEngine.ts"
import { SqlSagaEngine } from "../../src/sql/index.ts"
import { sagasOf } from "./sagas.ts"

const { values } = parseArgs({
  options: {
    name: { type: "string" },
    seed: { type: "string" },
    sagas: { type: "string" },
    journal: { type: "string" },
    ledger: { type: "string" },
    leaseMillis: { type: "string" },
    /** When the first number was there to be started, and how often there is another one. */
    since: { type: "string" },
    everyMillis: { type: "string" }
  }
})

export type Said =
  | { readonly tag: "Started"; readonly id: string }
  /** How an execution ended, as somebody was told who waited. */
  | { readonly tag: "Ended"; readonly id: string; readonly end: string }
  | { readonly tag: "Cancelled"; readonly id: string; readonly answer: string }
  /** Something that nobody should be told. */
  | { readonly tag: "Surprise"; readonly id: string; readonly what: string }

const say = (said: Said): void => void writeSync(1, `${JSON.stringify(said)}\n`)

const database = (url: string) => PgClient.layer({ url: Redacted.make(url) })
const seed = Number(values.seed)
const sagas = sagasOf(seed, Number(values.sagas))

const Engine = Layer.provide(
  SqlSagaEngine.layerWith({ name: values.name!, lease: Number(values.leaseMillis) }),
  database(values.journal!)
)
const Live = Layer.mergeAll(Layer.empty, ...sagas.map((saga) => Saga.register(saga))).pipe(
  Layer.provideMerge(Engine),
  Layer.provide(database(values.ledger!)),
  Layer.provideMerge(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]))
)
const runtime = ManagedRuntime.make(Live)

const stop = { draining: false }
process.once("SIGTERM", () => {
  stop.draining = true
  void runtime.dispose().then(() => process.exit(0))
})
createInterface(process.stdin).on("line", () => {
  stop.draining = true
}).on("close", () => process.exit(1))

// A database that is out of reach when a process starts is no fault of the engine: whoever runs it starts it again.
const opened = await Effect.runPromiseExit(Effect.tryPromise(() => runtime.runPromise(SagaEngine)))
if (Exit.isFailure(opened)) {
  console.error(Cause.pretty(opened.cause))
  process.exit(75)
}
const engine = opened.value

const surprise = (id: string) => (cause: Cause.Cause<unknown>) =>
  Effect.sync(() => {
    // Not an answer, and allowed: the journal was out of reach.
    const unavailable = cause.reasons.every((reason) =>
      Cause.isFailReason(reason) && (reason.error as { readonly _tag?: string })?._tag === "JournalUnavailable"
    )
    if (!unavailable && !stop.draining) say({ tag: "Surprise", id, what: Cause.pretty(cause) })
  })

const one = (n: number) =>
  Effect.gen(function*() {
    const index = n % sagas.length
    const saga = sagas[index]!
    const id = yield* engine.start(saga, { n })
    say({ tag: "Started", id })
    if (Math.random() < 0.06) {
      yield* Effect.sleep(Math.random() * 1_500)
      const answer = yield* Effect.match(engine.cancel(id), {
        onSuccess: () => "Cancelled",
        onFailure: (error) => error._tag
      })
      say({ tag: "Cancelled", id, answer })
    }
    if (Math.random() < 0.5) {
      const end = yield* Effect.match(engine.outcome(saga, id, { onStuck: "fail" }), {
        onSuccess: ({ _tag }) => _tag,
        onFailure: ({ _tag }) => _tag
      })
      if (end !== "JournalUnavailable") say({ tag: "Ended", id, end })
    }
  }).pipe(Effect.catchCause(surprise(`Soak${n % sagas.length}/${n}`)))

let running = 0
let next = Math.max(0, Math.floor((Date.now() - Number(values.since)) / Number(values.everyMillis)))
while (true) {
  await sleep(Number(values.everyMillis) / 2)
  const now = Math.floor((Date.now() - Number(values.since)) / Number(values.everyMillis))
  // After a pause it goes on with what is new.
  next = Math.max(next, now - 20)
  for (; next <= now && !stop.draining; next++) {
    // Most numbers are started by several processes at once.
    if (running >= 100 || Math.random() < 0.3) continue
    running++
    void runtime.runPromise(one(next)).catch(() => {}).then(() => running--)
  }
}
