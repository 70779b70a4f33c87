/** An event is handled once in a database, whatever dies in between, and however often it is handed out. */
import { assert, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Option, Schema, type Scope } from "effect"
import { DomainEvent } from "effect-saga/events"
import { SqlInbox } from "effect-saga/sql"
import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { memory } from "../engine/stores.ts"
import { boot, eventually, faultOn } from "../engine/world.ts"
import * as Postgres from "./postgres.ts"

const inMemory = Effect.provide(NodeSqlite.make({ filename: ":memory:" }), Reactivity.layer)

const fresh = Effect.flatMap(Postgres.serverUrl, Postgres.database)

const clients: Record<string, Effect.Effect<SqlClient.SqlClient, unknown, Scope.Scope>> = {
  PostgreSQL: Effect.flatMap(fresh, (database) => database.connect()),
  SQLite: Effect.map(inMemory, ({ client }) => client)
}

for (const [name, client] of Object.entries(clients)) {
  const scene = Effect.gen(function*() {
    const sql = yield* client
    yield* sql`CREATE TABLE parcels (parcel TEXT)`
    const inbox = (consumer: string) => Effect.provideService(SqlInbox.make(consumer), SqlClient.SqlClient, sql)
    return {
      inbox,
      send: (parcel: string) => Effect.asVoid(sql`INSERT INTO parcels VALUES (${parcel})`),
      sent: Effect.map(
        sql<{ readonly parcel: string }>`SELECT parcel FROM parcels ORDER BY parcel`,
        (rows) => rows.map(({ parcel }) => parcel)
      )
    }
  })

  it.effect(`${name}: an event that comes twice is handled once, by each consumer`, () =>
    Effect.gen(function*() {
      const { inbox, send, sent } = yield* scene
      const [one, other] = [yield* inbox("one"), yield* inbox("other")]
      assert.deepStrictEqual(yield* one.once({ id: "e" }, Effect.as(send("e"), 7)), Option.some(7))
      assert.deepStrictEqual(yield* one.once({ id: "e" }, Effect.as(send("again"), 7)), Option.none())
      yield* other.once({ id: "e" }, send("other"))
      // What was made before is there.
      yield* (yield* inbox("one")).once({ id: "e" }, send("again"))
      assert.deepStrictEqual(yield* sent, ["e", "other"])
    }))

  it.effect(`${name}: what fails, dies or is interrupted has written nothing, and is handled when it comes again`, () =>
    Effect.gen(function*() {
      const { inbox, send, sent } = yield* scene
      const one = yield* inbox("one")
      for (const end of [Effect.fail("no"), Effect.die("bug"), Effect.interrupt]) {
        assert.isTrue(Exit.isFailure(yield* Effect.exit(one.once({ id: "e" }, Effect.andThen(send("in vain"), end)))))
      }
      yield* one.once({ id: "e" }, send("e"))
      assert.deepStrictEqual(yield* sent, ["e"])
    }))

  it.effect(`${name}: of two that handle an event at once one does, and the other when that fails`, () =>
    Effect.gen(function*() {
      const { inbox, send, sent } = yield* scene
      const one = yield* inbox("one")
      for (const [id, end] of [["succeeds", Effect.void], ["fails", Effect.fail("no")]] as const) {
        const begun = yield* Deferred.make<void>()
        const go = yield* Deferred.make<void>()
        const slow = Effect.gen(function*() {
          yield* send(`${id} first`)
          yield* Deferred.succeed(begun, undefined)
          yield* Deferred.await(go)
          yield* end
        })
        const first = yield* Effect.forkChild(Effect.exit(one.once({ id }, slow)))
        yield* Deferred.await(begun)
        const second = yield* Effect.forkChild(one.once({ id }, send(`${id} second`)))
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.join(first)
        yield* Fiber.join(second)
      }
      assert.deepStrictEqual(yield* sent, ["fails second", "succeeds first"])
    }))

  it.effect(`${name}: what was handled long ago is forgotten when it is asked for`, () =>
    Effect.gen(function*() {
      const { inbox, send, sent } = yield* scene
      const [one, other] = [yield* inbox("one"), yield* inbox("other")]
      yield* one.once({ id: "old" }, send("old"))
      yield* other.once({ id: "old" }, send("old"))
      yield* TestClock.adjust("2 hours")
      yield* one.once({ id: "new" }, send("new"))
      assert.strictEqual(yield* one.forget("1 hour"), 1)
      assert.strictEqual(yield* one.forget("1 hour"), 0)
      for (const id of ["old", "new"]) yield* one.once({ id }, send("again"))
      yield* other.once({ id: "old" }, send("never"))
      assert.deepStrictEqual(yield* sent, ["again", "new", "old", "old"])
    }))

  it.effect(`${name}: what is no time forgets nothing, and for ever is none`, () =>
    Effect.gen(function*() {
      const { inbox, send, sent } = yield* scene
      const one = yield* inbox("one")
      yield* one.once({ id: "e" }, send("e"))
      yield* TestClock.adjust("1 hour")
      for (const time of [0, -1, Number.NaN, "-1 hour"] as const) {
        const exit = yield* Effect.exit(one.forget(time))
        assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "give a time above 0")
      }
      assert.strictEqual(yield* one.forget("Infinity"), 0)
      yield* one.once({ id: "e" }, send("again"))
      assert.deepStrictEqual(yield* sent, ["e"])
    }))

  it.effect(`${name}: ids that no database can hold are told apart`, () =>
    Effect.gen(function*() {
      const { inbox, send, sent } = yield* scene
      const one = yield* inbox("one")
      for (const [index, id] of ["\ud800", "\ud801", "a\0", "a"].entries()) {
        for (let times = 0; times < 2; times++) yield* one.once({ id }, send(String(index)))
      }
      assert.deepStrictEqual(yield* sent, ["0", "1", "2", "3"])
    }))
}

it.effect("a client that renames columns and tables is no obstacle", () =>
  Effect.gen(function*() {
    const database = yield* fresh
    const shout = (name: string) => name.toUpperCase()
    const sql = yield* database.connect({ transformResultNames: shout, transformQueryNames: shout })
    const inbox = yield* Effect.provideService(SqlInbox.make("one"), SqlClient.SqlClient, sql)
    const handled = yield* Effect.forEach(["e", "e"], (id) => inbox.once({ id }, Effect.void))
    assert.deepStrictEqual(handled, [Option.some(undefined), Option.none()])
  }))

it.effect("two processes make its table at once", () =>
  Effect.gen(function*() {
    const database = yield* fresh
    const clients = [yield* database.connect(), yield* database.connect()]
    const made = yield* Effect.forEach(clients, (sql) =>
      Effect.provideService(SqlInbox.make("one"), SqlClient.SqlClient, sql), { concurrency: "unbounded" })
    assert.strictEqual(made.length, 2)
  }))

faultOn(memory)(
  "a relay that dies at each point, before a consumer that dies at each: the ledger holds",
  (store) =>
    Effect.gen(function*() {
      const Shipped = DomainEvent.make("Shipped", { payload: Schema.Int, key: () => "o" })
      const { client: sql } = yield* inMemory
      yield* sql`CREATE TABLE parcels (parcel INTEGER)`
      const inbox = yield* Effect.provideService(SqlInbox.make("warehouse"), SqlClient.SqlClient, sql)
      const first = yield* boot(store, [])
      for (let n = 1; n <= 3; n++) yield* first.bus.publish(Shipped, n)
      yield* first.close
      let handled = 0
      let deaths = 0
      for (let dieAt = 1; deaths === dieAt - 1; dieAt++) {
        let points = 0
        const death = yield* Deferred.make<void>()
        const point = Effect.suspend(() =>
          ++points === dieAt ? Effect.andThen(Deferred.succeed(death, undefined), Effect.never) : Effect.void
        )
        const life = yield* boot(store, [], {
          through: (journal) => ({
            ...journal,
            events: {
              ...journal.events,
              log: (options) => Effect.tap(journal.events.log(options), () => point),
              advance: (name, types, to) =>
                Effect.andThen(point, Effect.tap(journal.events.advance(name, types, to), () => point))
            }
          })
        })
        const relay = life.bus.subscribe({
          name: "to the warehouse",
          events: [Shipped],
          handle: (event) =>
            Effect.gen(function*() {
              handled++
              yield* point
              yield* inbox.once(
                event,
                Effect.andThen(Effect.andThen(point, sql`INSERT INTO parcels VALUES (${event.payload})`), point)
              )
              yield* point
            })
        })
        const running = yield* Effect.forkChild(relay)
        const caughtUp = eventually(
          "it has come to the end",
          Effect.map(life.engine.subscriptions, (all) => all.length > 0 && all.every(({ behind }) => behind === 0))
        )
        const died = yield* Effect.raceFirst(Effect.as(Deferred.await(death), true), Effect.as(caughtUp, false))
        if (died) deaths++
        // What it was doing is cut, as a process that dies cuts its connections.
        yield* Fiber.interrupt(running)
        yield* life.kill
      }
      const rows = yield* sql<{ readonly parcel: number }>`SELECT parcel FROM parcels ORDER BY parcel`
      assert.deepStrictEqual(rows.map(({ parcel }) => parcel), [1, 2, 3])
      assert.isAbove(deaths, 12)
      assert.isAbove(handled, 3)
    })
)
