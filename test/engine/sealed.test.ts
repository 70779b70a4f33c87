/** A journal behind a cipher: keys that change, rows that were changed or moved, ciphers that fail, and old rows. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { Saga } from "effect-saga"
import { AesGcm } from "effect-saga/encryption"
import { DomainEvent } from "effect-saga/events"
import { SagaEngine } from "effect-saga/SagaEngine"
import type { Journal } from "effect-saga/SagaJournal"
import { JournalCipher, JournalUnavailable } from "effect-saga/SagaJournal"
import { SqlSagaEngine } from "effect-saga/sql"
import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { memory, postgres, sqlite } from "./stores.ts"
import type { BootOptions, StoreService } from "./world.ts"
import {
  boot,
  errorOf,
  eventually,
  faultOn,
  Gate,
  inTime,
  logged,
  problem,
  state,
  tagOf,
  together,
  World
} from "./world.ts"

const key = (byte: number) => Redacted.make(Buffer.alloc(32, byte).toString("base64"))
const keys = { old: key(1), new: key(2) }

const cipherOf = (options: AesGcm.Options) =>
  Effect.map(Layer.build(Layer.orDie(AesGcm.layer(options))), (context) => Context.get(context, JournalCipher))

/** An engine with a cipher, if there is one. */
const bootWith = (
  store: StoreService,
  sagas: ReadonlyArray<Saga.AnySaga>,
  cipher: JournalCipher["Service"] | undefined,
  options?: BootOptions
) => {
  const booted = boot(store, sagas, options)
  return cipher === undefined ? booted : Effect.provideService(booted, JournalCipher, cipher)
}

/** What stands in the rows. */
const texts = (journal: Journal, executionId: string) =>
  Effect.map(Effect.orDie(journal.facts(executionId, 0)), (facts) => facts.map(({ data }) => data))

const keyIn = (text: string) => /^\{"sealed":"A256GCM\.(\w+)\./.exec(text)?.[1] ?? "none"

const trip = Saga.make("Trip", { payload: Schema.String })

/** A saga that sleeps for an hour in the middle. */
const slow = (world: World) =>
  trip.pipe(
    Saga.step("a", world.step()),
    Saga.sleep("pause", "1 hour"),
    Saga.step("b", world.step())
  )

for (const [name, backend] of Object.entries({ memory, sqlite, postgres })) {
  const fault = faultOn(backend)

  /** Starts executions that sleep, and closes the engine. */
  const asleep = (
    store: StoreService,
    saga: ReturnType<typeof slow>,
    ids: ReadonlyArray<string>,
    cipher: JournalCipher["Service"] | undefined
  ) =>
    Effect.gen(function*() {
      const { close, engine } = yield* bootWith(store, [saga], cipher, { evictAfter: 0 })
      for (const executionId of ids) {
        yield* engine.start(saga, "payload", { executionId })
        yield* state(store.journal, executionId, "Waiting")
      }
      yield* close
    })
  const morning = TestClock.adjust("1 hour")

  describe(`on ${name}`, () => {
    fault(
      "all is sealed with the current key, and opens with the key that it names",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = slow(world)
          yield* asleep(store, saga, ["e"], yield* cipherOf({ current: "old", keys: { old: keys.old } }))
          const { engine } = yield* bootWith(store, [saga], yield* cipherOf({ current: "new", keys }))
          yield* morning
          assert.deepStrictEqual(yield* inTime("it ends", engine.await(saga, "e")), { a: "a", b: "b" })
          const named = (yield* texts(store.journal, "e")).map(keyIn)
          assert.deepStrictEqual(named, [...Array(4).fill("old"), ...Array(4).fill("new")])
          yield* world.check
        })
    )

    fault(
      "what is in the clear from the time before is read, and what comes is sealed",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = slow(world)
          yield* asleep(store, saga, ["e"], undefined)
          const { engine } = yield* bootWith(store, [saga], yield* cipherOf({ current: "new", keys }))
          yield* morning
          assert.deepStrictEqual(yield* inTime("it ends", engine.await(saga, "e")), { a: "a", b: "b" })
          const named = (yield* texts(store.journal, "e")).map(keyIn)
          assert.deepStrictEqual(named, [...Array(4).fill("none"), ...Array(4).fill("new")])
        })
    )

    fault(
      "a key that is missing parks those that need it, and a retry with it lets them go on",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = slow(world)
          const without = yield* cipherOf({ current: "new", keys: { new: keys.new } })
          yield* asleep(store, saga, ["old"], yield* cipherOf({ current: "old", keys: { old: keys.old } }))
          yield* asleep(store, saga, ["new", "other"], without)
          const { close, engine } = yield* bootWith(store, [saga], without)
          yield* morning
          yield* state(store.journal, "old", "Stuck")
          assert.strictEqual(
            yield* problem(store.journal, "old"),
            "Undecodable: fact 0: it was sealed with the key \"old\", which the cipher does not have. Give it that key beside the current one"
          )
          for (const id of ["new", "other"]) yield* inTime("others end", engine.await(saga, id))
          const told = errorOf(yield* Effect.exit(engine.await(saga, "old", { onStuck: "fail" })))
          assert.match((told as Error).message, /sealed with the key "old"/)
          yield* close
          const again = yield* bootWith(store, [saga], yield* cipherOf({ current: "new", keys }))
          yield* again.engine.retry("old", { actor: "a person", comment: "the key is back" })
          assert.deepStrictEqual(yield* inTime("it ends", again.engine.await(saga, "old")), { a: "a", b: "b" })
          yield* world.check
        })
    )

    fault(
      "an event that a subscription cannot open is a dead letter as it was sealed, and is opened when the key is back",
      (store) =>
        Effect.gen(function*() {
          const Paid = DomainEvent.make("Paid", { payload: Schema.String, key: () => "o" })
          const seen: Array<string> = []
          const reading = (cipher: JournalCipher["Service"]) =>
            Effect.gen(function*() {
              const booted = yield* bootWith(store, [], cipher)
              const handle = ({ payload }: { readonly payload: string }) => Effect.sync(() => seen.push(payload))
              yield* Effect.forkChild(booted.bus.subscribe({ name: "all", events: [Paid], handle }))
              return booted
            })
          const before = yield* bootWith(store, [], yield* cipherOf({ current: "old", keys: { old: keys.old } }))
          yield* before.bus.publish(Paid, "old")
          yield* before.close
          const without = yield* reading(yield* cipherOf({ current: "new", keys: { new: keys.new } }))
          yield* without.bus.publish(Paid, "new")
          yield* eventually("the rest goes on", Effect.sync(() => seen.length === 1))
          const [letter] = yield* without.engine.deadLetters()
          assert.include(letter!.reason, "sealed with the key \"old\", which the cipher does not have")
          const [row] = yield* store.journal.events.deadLetters({ after: 0, limit: 10 })
          assert.strictEqual(keyIn(row!.data), "old")
          yield* without.close
          const again = yield* reading(yield* cipherOf({ current: "new", keys }))
          yield* again.engine.redeliver(letter!.number)
          yield* eventually("it is handled", Effect.map(again.engine.deadLetters(), ({ length }) => length === 0))
          assert.deepStrictEqual(seen, ["new", "old"])
        })
    )

    fault(
      "facts that were changed, or moved from another place, park their execution alone",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = slow(world)
          const cipher = yield* cipherOf({ current: "old", keys })
          const ids = ["whole", "changed", "moved", "swapped", "cut"]
          yield* asleep(store, saga, ids, cipher)
          const [whole, swapped] = [yield* texts(store.journal, "whole"), yield* texts(store.journal, "swapped")]
          const changed = (yield* texts(store.journal, "changed"))[2]!
          yield* store.tamper("changed", 2, changed.replace(/.(?=.{20}$)/, (letter) => letter === "A" ? "B" : "A"))
          yield* store.tamper("moved", 2, whole[2]!)
          yield* store.tamper("swapped", 1, swapped[2]!)
          yield* store.tamper("cut", 3, whole[3]!.slice(0, -10))
          const { engine } = yield* bootWith(store, [saga], cipher)
          yield* morning
          const broken = "the key \"old\" does not open it: it was changed or moved, or another key has this id now"
          for (const [id, sequence] of [["changed", 2], ["moved", 2], ["swapped", 1]] as const) {
            yield* state(store.journal, id, "Stuck")
            assert.strictEqual(yield* problem(store.journal, id), `Undecodable: fact ${sequence}: ${broken}`)
          }
          yield* state(store.journal, "cut", "Stuck")
          assert.match(yield* problem(store.journal, "cut"), /^Undecodable: a fact cannot be read/)
          assert.deepStrictEqual(yield* inTime("the other ends", engine.await(saga, "whole")), { a: "a", b: "b" })
        })
    )

    fault(
      "an engine that has no cipher says so, of what goes on and of what has ended",
      (store) =>
        Effect.gen(function*() {
          const saga = slow(new World())
          const short = trip.pipe(Saga.output(Schema.Int, () => 1))
          const cipher = yield* cipherOf({ current: "old", keys })
          yield* asleep(store, saga, ["e"], cipher)
          const before = yield* bootWith(store, [short], cipher)
          yield* before.engine.execute(short, "", { executionId: "short" })
          yield* before.close
          const { engine } = yield* boot(store, [saga])
          yield* morning
          yield* state(store.journal, "e", "Stuck")
          const words =
            "it is sealed, and this engine has no cipher. Give it the `JournalCipher` that the journal was written with"
          assert.strictEqual(yield* problem(store.journal, "e"), `Undecodable: ${words}`)
          const told = errorOf(yield* Effect.exit(inTime("it is told", engine.await(short, "short"))))
          assert.include((told as Error).message, words)
        })
    )

    fault(
      "words to an execution are sealed on their way to it, and opened where it is",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = slow(world)
          const cipher = yield* cipherOf({ current: "old", keys })
          const sent: Array<string> = []
          const { engine } = yield* bootWith(store, [saga], cipher, {
            evictAfter: 0,
            through: (journal) => ({
              ...journal,
              send: (signal) => Effect.suspend(() => (sent.push(signal.data), journal.send(signal)))
            })
          })
          yield* engine.start(saga, "payload", { executionId: "e" })
          yield* state(store.journal, "e", "Waiting")
          yield* inTime("it is cancelled", engine.compensate("e", { actor: "a person", comment: "enough" }))
          yield* state(store.journal, "e", "Compensated")
          assert.deepStrictEqual(sent.map(keyIn), ["old"])
          const history = yield* engine.history("e")
          assert.deepInclude(history.map(({ actor, comment }) => ({ actor, comment })), {
            actor: "a person",
            comment: "enough"
          })
        })
    )

    if (backend.shared) {
      fault("words to an execution in another process are opened there", (store) =>
        Effect.gen(function*() {
          const gate = new Gate()
          const saga = trip.pipe(
            Saga.step("a", { action: () => gate.pass, compensation: () => Effect.void })
          )
          const cipher = yield* cipherOf({ current: "old", keys })
          const owner = yield* bootWith(together(store), [saga], cipher, { poll: 20 })
          const asker = yield* bootWith(together(store), [], cipher, { poll: 20 })
          yield* owner.engine.start(saga, "payload", { executionId: "e" })
          yield* gate.reached
          yield* inTime("it is told", asker.engine.compensate("e", { actor: "a person", comment: "enough" }))
          yield* gate.open
          yield* state(store.journal, "e", "Compensated")
          const asked = (yield* asker.engine.history("e")).find(({ event }) => event?._tag === "CancelRequested")
          assert.deepStrictEqual([asked?.actor, asked?.comment], ["a person", "enough"])
        }))
    }

    fault(
      "a cipher that fails for a while costs time, and one that dies no more than that",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = slow(world)
          const { open, seal } = yield* cipherOf({ current: "old", keys })
          let asked = 0
          const out = Effect.fail(new JournalUnavailable({ operation: "seal", cause: "no vault" }))
          const flaky = JournalCipher.of({
            open: (text, place) => place === "fact 0 of bad" ? Effect.die("no key") : open(text, place),
            seal: (text, place) => {
              asked++
              if (asked === 2) throw new Error("no vault")
              return asked === 1 ? out : seal(text, place)
            }
          })
          const [, lines] = yield* logged(asleep(store, saga, ["good", "bad"], flaky))
          assert.deepStrictEqual(
            lines.filter((line) => line.includes("vault")),
            Array(2).fill(
              "The journal did not answer to \"seal\": no vault. What was recorded is not lost: ask again"
            )
          )
          const { engine } = yield* bootWith(store, [saga], flaky)
          yield* morning
          yield* inTime("it ends", engine.await(saga, "good"))
          yield* state(store.journal, "bad", "Stuck")
          assert.strictEqual(yield* problem(store.journal, "bad"), "Undecodable: fact 0: no key")
          yield* world.check
        })
    )

    fault("a batch that is sealed again because the answer was lost counts once", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(Saga.step("a", world.step()), Saga.step("b", world.step()))
        let lost = 0
        const { engine } = yield* bootWith(store, [saga], yield* cipherOf({ current: "old", keys }), {
          through: (journal) => ({
            ...journal,
            write: (lease, batch) =>
              Effect.tap(journal.write(lease, batch), () =>
                // Every answer once.
                lost++ % 2 === 0
                  ? Effect.fail(new JournalUnavailable({ operation: "write", cause: "lost" }))
                  : Effect.void)
          })
        })
        const [result] = yield* logged(inTime("it ends", engine.execute(saga, "", { executionId: "e" })))
        assert.deepStrictEqual(result, { a: "a", b: "b" })
        assert.strictEqual(lost, 6)
        assert.strictEqual(world.text("e"), "+a +b")
        yield* world.check
      }))

    fault("the longest value there may be comes back, in any language", (store) =>
      Effect.gen(function*() {
        const saga = trip.pipe(Saga.output(Schema.String, ({ payload }) => payload))
        const { engine } = yield* bootWith(store, [saga], yield* cipherOf({ current: "old", keys }))
        const long = "龟".repeat(1_048_576 - 2)
        const [result] = yield* logged(engine.execute(saga, long, { executionId: "e" }))
        assert.isTrue(result === long)
        assert.isTrue((yield* inTime("it is told", engine.await(saga, "e"))) === long)
        const facts = yield* engine.history("e")
        assert.strictEqual(facts.length, 2)
      }))
  })
}

describe("the layer of an engine", () => {
  const greet = Saga.make("Greet", { payload: Schema.Redacted(Schema.String) }).pipe(
    Saga.output(Schema.String, ({ payload }) => `hello ${Redacted.value(payload).length}`)
  )
  const File = NodeSqlite.layer({ filename: ":memory:" })
  const Cipher = AesGcm.layer({ current: "old", keys })
  const all = Effect.gen(function*() {
    const engine = yield* SagaEngine
    assert.strictEqual(yield* engine.execute(greet, Redacted.make("you")), "hello 3")
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql<{ readonly data: string }>`SELECT data FROM saga_facts`
    assert.deepStrictEqual(rows.map(({ data }) => keyIn(data)), ["old", "old"])
  })
  const layers = { layer: SqlSagaEngine.layer, layerWith: SqlSagaEngine.layerWith({ name: "other" }) }
  for (const [name, Engine] of Object.entries(layers)) {
    it.live(`SqlSagaEngine.${name} takes a cipher from outside`, () =>
      all.pipe(Effect.provide(
        Saga.register(greet).pipe(Layer.provideMerge(Engine), Layer.provide(Cipher), Layer.provideMerge(File))
      )))
  }

  it.live("a cipher beside it is none: it is refused what it could not keep", () =>
    Effect.gen(function*() {
      const Live = Saga.register(greet).pipe(Layer.provideMerge(SqlSagaEngine.layer), Layer.provide(File))
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(Layer.merge(Live, Cipher))))
      assert.strictEqual(tagOf(exit), "SagaDefinitionError")
    }))
})
