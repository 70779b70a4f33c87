/**
 * `npm run bench:events`: 100,000 events through 10,000 sagas that wait, on PostgreSQL, beside a consumer that does one transaction
 * for each event; and how soon one that waits reacts. It ends with exit code 1 when a bar is missed.
 */
import { PgClient } from "@effect/sql-pg"
import { Deferred, Effect, Layer, ManagedRuntime, Redacted, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { parseArgs } from "node:util"
import { DomainEvent, EventBus } from "../../src/events/index.ts"
import { Saga } from "../../src/index.ts"
import { SagaEngine } from "../../src/SagaEngine.ts"
import { SqlSagaEngine } from "../../src/sql/index.ts"
import { startServer } from "../sql/postgresServer.ts"
import { newDatabase } from "./database.ts"
import { judge, machine } from "./machine.ts"
import { median } from "./measure.ts"

const { values } = parseArgs({ options: { sagas: { type: "string", default: "10000" } } })
const sagas = Number(values.sagas)
const waitsEach = 10
const publishers = 200
const rawEvents = 10_000
const reactions = 50

const Tick = DomainEvent.make("Tick", {
  payload: Schema.Struct({ saga: Schema.String, n: Schema.Int }),
  key: ({ saga }) => saga
})

const counting = Saga.make("Counting", { payload: Schema.String, key: (name) => name }).pipe(
  Saga.forEach("ticks", {
    item: Schema.Int,
    items: () => Array.from({ length: waitsEach }, (_, n) => n),
    key: String,
    each: (fork) =>
      fork.pipe(
        Saga.awaitEvent("tick", Tick, { correlate: ({ payload }) => payload }),
        Saga.output(Schema.Int, ({ tick }) => tick.n)
      )
  }),
  Saga.output(Schema.Array(Schema.Int), ({ ticks }) => ticks)
)

const reacted = new Map<string, Deferred.Deferred<void>>()
const reacting = Saga.make("Reacting", { payload: Schema.String, key: (name) => name }).pipe(
  Saga.awaitEvent("tick", Tick, { correlate: ({ payload }) => payload }),
  Saga.check("react", {
    action: ({ payload }) => Deferred.succeed(reacted.get(payload)!, undefined).pipe(Effect.asVoid)
  })
)

const names = Array.from({ length: sagas }, (_, index) => `s${index}`)
const heap = () => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed / 2 ** 20
}

const engineOn = (url: string, runs: boolean) =>
  ManagedRuntime.make(
    (runs ? Layer.merge(Saga.register(counting), Saga.register(reacting)) : Layer.empty).pipe(
      Layer.provideMerge(SqlSagaEngine.layer),
      Layer.provideMerge(PgClient.layer({ url: Redacted.make(url), maxConnections: 10 }))
    )
  )

/** One transaction for each event, so many at a time: note that it came, and change what it is about. */
const raw = (concurrency: number) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE inbox (id text PRIMARY KEY)`
    yield* sql`CREATE TABLE counters (name text PRIMARY KEY, n int NOT NULL)`
    yield* sql`INSERT INTO counters SELECT 's' || i, 0 FROM generate_series(0, ${sagas - 1}) i`
    const started = performance.now()
    yield* Effect.forEach(Array.from({ length: rawEvents }), (_, n) =>
      sql.withTransaction(Effect.andThen(
        sql`INSERT INTO inbox (id) VALUES (${`e${n}`}) ON CONFLICT DO NOTHING`,
        sql`UPDATE counters SET n = n + 1 WHERE name = ${names[n % sagas]!}`
      )), { concurrency, discard: true })
    const perSecond = rawEvents / (performance.now() - started) * 1_000
    yield* sql`DROP TABLE inbox, counters`
    return perSecond
  })

const through = Effect.gen(function*() {
  const engine = yield* SagaEngine
  const bus = yield* EventBus
  const sql = yield* SqlClient.SqlClient
  yield* Effect.forEach(names, (name) => engine.start(counting, name), { concurrency: publishers, discard: true })
  const waiting = Effect.map(
    sql<{ readonly count: number }>`SELECT count(*)::int AS count FROM saga_executions WHERE state = 'Waiting'`,
    ([row]) => row!.count
  )
  while ((yield* waiting) < sagas) yield* Effect.sleep("50 millis")
  const before = heap()
  let highest = before
  const watching = yield* Effect.forkChild(Effect.forever(
    Effect.sync(() => {
      highest = Math.max(highest, heap())
    }).pipe(Effect.andThen(Effect.sleep("2 seconds")))
  ))
  const started = performance.now()
  const events = names.flatMap((saga) => Array.from({ length: waitsEach }, (_, n) => ({ saga, n })))
  // Of all sagas the first one, then of all the second.
  events.sort((one, other) => one.n - other.n)
  yield* Effect.forEach(events, (event) => bus.publish(Tick, event), { concurrency: publishers, discard: true })
  const published = performance.now()
  const done = Effect.map(
    sql<{ readonly count: number }>`SELECT count(*)::int AS count FROM saga_executions WHERE state = 'Succeeded'`,
    ([row]) => row!.count
  )
  while ((yield* done) < sagas) yield* Effect.sleep("50 millis")
  const ended = performance.now()
  void watching.interruptUnsafe()
  const results = yield* sql<{ readonly data: string; readonly count: number }>`
    SELECT f.data::json ->> 'result' AS data, count(*)::int AS count
    FROM saga_facts f JOIN saga_executions x ON x.execution_id = f.execution_id AND x.saga = 'Counting'
    WHERE f.tag = 'SagaSucceeded' GROUP BY 1`
  const expected = JSON.stringify(Array.from({ length: waitsEach }, (_, n) => n))
  const wrong = results.filter(({ data }) => data.replaceAll(" ", "") !== expected)
  if (wrong.length > 0) console.log("not what was sent:", wrong.slice(0, 5))
  return {
    perSecond: events.length / (ended - started) * 1_000,
    publishing: events.length / (published - started) * 1_000,
    lostOrTwice: wrong.reduce((sum, { count }) => sum + count, 0),
    grown: highest - before
  }
})

/** From the call of `publish` to the action behind the wait. */
const reaction = (publisher: EventBus["Service"], prefix: string, waitsMillis = 50) =>
  Effect.gen(function*() {
    const engine = yield* SagaEngine
    const millis: Array<number> = []
    for (let n = 0; n < reactions; n++) {
      const name = `${prefix}${n}`
      reacted.set(name, Deferred.makeUnsafe())
      yield* engine.start(reacting, name)
      // An engine looks four times a second what others wrote: an event comes at any time in between.
      yield* Effect.sleep(waitsMillis + Math.random() * 250)
      const started = performance.now()
      yield* publisher.publish(Tick, { saga: name, n })
      yield* Deferred.await(reacted.get(name)!)
      millis.push(performance.now() - started)
    }
    return median(millis)
  })

const server = await startServer()
const { drop, url } = await newDatabase(server.url)
try {
  console.log(machine())
  const runtime = engineOn(url, true)
  const other = engineOn(url, false)
  const own = await runtime.runPromise(EventBus)
  const others = await other.runPromise(EventBus)
  const alone = await runtime.runPromise(reaction(own, "alone"))
  // It has left memory a second after it began to wait.
  const returning = await runtime.runPromise(reaction(own, "returning", 1_100))
  const across = await runtime.runPromise(reaction(others, "across"))
  await other.dispose()
  const rawAlone = await runtime.runPromise(raw(1))
  const rawTogether = await runtime.runPromise(raw(8))
  const figures = await runtime.runPromise(through)
  await runtime.dispose()
  console.log(
    `${sagas * waitsEach} events through ${sagas} sagas: ${Math.round(figures.perSecond)}/s ` +
      `(published at ${Math.round(figures.publishing)}/s); one transaction for each event: ${
        Math.round(rawAlone)
      }/s, ` +
      `eight at a time ${Math.round(rawTogether)}/s`
  )
  judge([
    {
      claim: "events a second, beside one transaction for each",
      value: figures.perSecond / rawAlone,
      limit: 0.5,
      keeps: "at least"
    },
    {
      claim: "events a second, beside eight transactions at a time",
      value: figures.perSecond / rawTogether,
      limit: 0.5,
      keeps: "at least"
    },
    { claim: "executions with an event lost, or twice", value: figures.lostOrTwice, limit: 0, keeps: "at most" },
    { claim: "heap while they run", value: figures.grown, limit: 64, keeps: "at most", unit: " MiB" },
    { claim: "a wait reacts, on one process, median", value: alone, limit: 20, keeps: "at most", unit: " ms" },
    { claim: "one that has left memory, median", value: returning, limit: 20, keeps: "at most", unit: " ms" },
    { claim: "a wait reacts, across two, median", value: across, limit: 200, keeps: "at most", unit: " ms" }
  ])
} finally {
  await drop()
  await server.remove()
}
