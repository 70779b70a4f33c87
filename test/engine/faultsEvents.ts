/** Faults 59 to 66 and 68: events that come twice, early, late, to nobody, while nobody runs. Every store runs all of it. */
import { assert, describe } from "@effect/vitest"
import {
  Cause,
  Clock,
  Context,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Redacted,
  Schedule,
  Schema,
  type Scope
} from "effect"
import { Saga } from "effect-saga"
import { DomainEvent, EventBus, type PublishOptions, SagaEvents } from "effect-saga/events"
import { SagaEngine } from "effect-saga/SagaEngine"
import { TestClock } from "effect/testing"
import type { Backend, Booted, StoreService } from "./world.ts"
import { boot, eventually, fact, faultOn, Gate, inTime, logged, state, together, told, turn, World } from "./world.ts"

const trip = Saga.make("Trip", { payload: Schema.Void })
const id = { executionId: "e" }
const about = Schema.Struct({ order: Schema.String, n: Schema.Int })
const Paid = DomainEvent.make("Paid", { payload: about, key: ({ order }) => order })
const Refused = DomainEvent.make("Refused", { payload: about, key: ({ order }) => order })

const correlate = () => "o"
const waits = (world: World) =>
  trip.pipe(
    Saga.step("a", world.step()),
    Saga.awaitEvent("paid", Paid, { correlate, timeout: "30 minutes" }),
    Saga.step("b", world.step()),
    Saga.output(Schema.Int, ({ paid }) => paid.n)
  )

const publish = ({ bus }: Booted, n: number, options: PublishOptions = {}, order = "o") =>
  bus.publish(Paid, { order, n }, options)

/** Never suspects anybody. */
const patient = { quarantineAfter: 1_000 }

const facts = ({ journal }: StoreService, executionId: string) => told(journal, executionId)

const timesOf = (facts: ReadonlyArray<string>, words: string): number => facts.filter((one) => one === words).length

/** Works in one process after the other until one lives to the end: the first dies at a write. */
const throughLives = <A, E, R>(
  name: string,
  store: StoreService,
  saga: Parameters<typeof boot>[1][number],
  { dieAt, ...options }: { readonly dieAt: number; readonly evictAfter?: number },
  work: (booted: Booted) => Effect.Effect<A, E, R>
) => {
  const life = (lives: number): Effect.Effect<A, unknown, R | Scope.Scope> =>
    Effect.gen(function*() {
      const booted = yield* boot(store, [saga], { ...patient, ...options, dieAt: lives === 0 ? dieAt : Infinity })
      const running = yield* Effect.forkChild(work(booted), { startImmediately: true })
      const ended = yield* inTime(
        `life ${lives} of ${name}`,
        Effect.raceFirst(Effect.map(Fiber.join(running), Option.some), Effect.as(booted.died, Option.none<A>()))
      )
      yield* Fiber.interrupt(running)
      yield* Option.isSome(ended) ? booted.close : booted.kill
      return Option.isSome(ended) ? ended.value : yield* life(lives + 1)
    })
  return life(0)
}

/** Nobody waits for anything any more. */
const nobodyWaits = (store: StoreService, ids: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    yield* store.journal.events.keep([{ id: "probe", type: "Paid", key: "o", data: "{}" }], 0)
    while ((yield* store.journal.events.wake) > 0) { /* until all are told */ }
    for (const one of ids) {
      const { state } = Option.getOrThrow(yield* store.journal.find(one))
      assert.notInclude(["Running", "Waiting", "Compensating"], state)
    }
  })

export const suite = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)

  describe(`${name}: events`, () => {
    fault("a wait leaves memory, and its event wakes it", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = waits(world)
        const first = yield* boot(store, [saga], { evictAfter: 0 })
        yield* first.engine.start(saga, undefined, id)
        yield* state(store.journal, "e", "Waiting")
        assert.strictEqual(world.text("e"), "+a")
        yield* publish(first, 7)
        assert.strictEqual(yield* inTime("it ends", first.engine.await(saga, "e")), 7)
        assert.strictEqual(world.text("e"), "+a +b")
        assert.strictEqual(timesOf(yield* told(store.journal, "e"), "EventReceived paid"), 1)
        yield* nobodyWaits(store, ["e"])
      }))

    fault("one that stays in memory is woken too", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = waits(world)
        const first = yield* boot(store, [saga], { evictAfter: "1 day" })
        yield* first.engine.start(saga, undefined, id)
        yield* fact(store.journal, "e", "EventAwaited paid")
        for (let turns = 0; turns < 20; turns++) yield* turn
        yield* publish(first, 7)
        assert.strictEqual(yield* inTime("it ends", first.engine.await(saga, "e")), 7)
      }))

    fault("F59 duplicate event: one effect", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const twice = trip.pipe(
          Saga.awaitEvent("one", Paid, { correlate }),
          Saga.step("a", world.step()),
          Saga.awaitEvent("two", Paid, { correlate }),
          Saga.output(Schema.Array(Schema.Int), ({ one, two }) => [one.n, two.n])
        )
        const first = yield* boot(store, [twice], { evictAfter: 0 })
        yield* first.engine.start(twice, undefined, id)
        yield* state(store.journal, "e", "Waiting")
        const same = { id: "x" }
        yield* Effect.all([publish(first, 1, same), publish(first, 1, same)], { concurrency: "unbounded" })
        yield* fact(store.journal, "e", "EventAwaited two")
        yield* publish(first, 1, same)
        yield* state(store.journal, "e", "Waiting")
        yield* publish(first, 2, { id: "y" })
        assert.deepStrictEqual(yield* inTime("it ends", first.engine.await(twice, "e")), [1, 2])
        assert.strictEqual(world.text("e"), "+a")
      }))

    fault("F60 out of order: each wait finds its own", (store) =>
      Effect.gen(function*() {
        const numbered = (n: number) => ({ correlate, where: (event: typeof about.Type) => event.n === n })
        const ordered = trip.pipe(
          Saga.awaitEvent("one", Paid, numbered(1)),
          Saga.awaitEvent("two", Paid, numbered(2)),
          Saga.output(Schema.Array(Schema.Int), ({ one, two }) => [one.n, two.n])
        )
        const first = yield* boot(store, [ordered], { evictAfter: 0 })
        yield* first.engine.start(ordered, undefined, id)
        yield* state(store.journal, "e", "Waiting")
        for (const n of [9, 2]) yield* publish(first, n)
        yield* publish(first, 1)
        assert.deepStrictEqual(yield* inTime("it ends", first.engine.await(ordered, "e")), [1, 2])
      }))

    fault(
      "F60 more events than are read at once stand before the one that is meant",
      (store) =>
        Effect.gen(function*() {
          const last = trip.pipe(
            Saga.awaitEvent("one", Paid, { correlate, where: ({ n }) => n === 100 }),
            Saga.output(Schema.Int, ({ one }) => one.n)
          )
          const first = yield* boot(store, [last], { evictAfter: 0 })
          for (let n = 1; n <= 100; n++) yield* publish(first, n)
          assert.strictEqual(yield* inTime("it ends", first.engine.execute(last, undefined, id)), 100)
        })
    )

    fault("events that follow each other closely: none is missed", (store) =>
      Effect.gen(function*() {
        const fussy = Saga.make("Fussy", { payload: Schema.String, key: (order) => order }).pipe(
          Saga.awaitEvent("one", Paid, { correlate: ({ payload }) => payload, where: ({ n }) => n % 3 === 0 }),
          Saga.awaitEvent("two", Paid, { correlate: ({ payload }) => payload, where: ({ n }) => n % 3 === 0 }),
          Saga.output(Schema.Array(Schema.Int), ({ one, two }) => [one.n, two.n])
        )
        const first = yield* boot(store, [fussy], { evictAfter: 0 })
        const orders = Array.from({ length: 40 }, (_, n) => `o${n}`)
        yield* Effect.forEach(orders, (order) => first.engine.start(fussy, order))
        const sent = yield* Effect.forkChild(Effect.forEach([1, 2, 3, 4, 5, 6], (n) =>
          Effect.forEach(orders, (order) =>
            publish(first, n, {}, order), { concurrency: "unbounded" })))
        const ended = yield* inTime(
          "all end",
          Effect.forEach(orders, (order) =>
            first.engine.await(fussy, `Fussy/${order}`), { concurrency: "unbounded" })
        )
        yield* Fiber.join(sent)
        assert.deepStrictEqual(ended, orders.map(() => [3, 6]))
      }))

    fault("who leaves while it reads what was kept comes back at once", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = waits(world)
        for (const when of ["when it begins to wait", "when it is woken"]) {
          const gate = new Gate()
          const executionId = when
          let held = when === "when it begins to wait"
          let hasRead = false
          const first = yield* boot(store, [saga], {
            evictAfter: "1 day",
            through: (journal) => ({
              ...journal,
              events: {
                ...journal.events,
                read: (requests, limit) =>
                  Effect.suspend(() =>
                    held
                      ? Effect.andThen(gate.pass, Effect.never)
                      : Effect.tap(journal.events.read(requests, limit), () =>
                        Effect.sync(() => {
                          hasRead = true
                        }))
                  )
              }
            })
          })
          if (held) yield* publish(first, 7, { id: when })
          yield* first.engine.start(saga, undefined, { executionId })
          yield* fact(store.journal, executionId, "EventAwaited paid")
          if (!held) {
            yield* eventually("it has looked in vain", Effect.sync(() => hasRead))
            held = true
            yield* publish(first, 7, { id: when })
          }
          yield* gate.reached
          yield* first.close
          const second = yield* boot(store, [saga])
          assert.strictEqual(yield* inTime(when, second.engine.await(saga, executionId)), 7)
          yield* second.close
          yield* store.journal.events.forget({ keptBeforeMillis: 1e15, limit: 100 })
        }
      }))

    fault("F61 before its execution starts: kept, and received", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = waits(world)
        const first = yield* boot(store, [saga])
        yield* publish(first, 7)
        yield* TestClock.adjust("59 minutes")
        assert.strictEqual(yield* inTime("it ends", first.engine.execute(saga, undefined, id)), 7)
      }))

    fault("F61 F63 kept for a bounded window: then it is a dead letter, and told", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = waits(world)
        const unmatched: Array<string> = []
        const first = yield* boot(store, [saga], {
          keepEvents: "10 minutes",
          onUnmatched: (letter) => Effect.sync(() => void unmatched.push(letter.id))
        })
        yield* first.engine.start(saga, undefined, id)
        yield* publish(first, 7, { id: "received" })
        yield* inTime("it ends", first.engine.await(saga, "e"))
        yield* publish(first, 8, { id: "unknown" }, "p")
        // F62: its execution has ended.
        yield* publish(first, 9, { id: "late" })
        yield* eventually(
          "they are forgotten",
          Effect.andThen(TestClock.adjust("1 minute"), Effect.map(turn, () => unmatched.length === 2))
        )
        assert.deepStrictEqual(unmatched, ["unknown", "late"])
        const letters = yield* store.journal.events.deadLetters({ after: 0, limit: 10 })
        assert.deepStrictEqual(letters.map((letter) => letter.id), ["unknown", "late"])
      }))

    fault("F61 however many there are, they are forgotten when their time is over", (store) =>
      Effect.gen(function*() {
        const first = yield* boot(store, [], { keepEvents: "20 minutes" })
        const many = Array.from({ length: 1_200 }, (_, n) => ({ id: `${n}`, type: "Paid", key: "o", data: "{}" }))
        yield* store.journal.events.keep(many, yield* Clock.currentTimeMillis)
        yield* publish(first, 1)
        // What an engine tells of just now is left for the next look.
        while ((yield* store.journal.events.wake) > 0) { /* until all are told */ }
        const letters = store.journal.events.deadLetters({ after: 0, limit: 2_000 })
        yield* TestClock.adjust("19 minutes")
        for (let turns = 0; turns < 20; turns++) yield* turn
        assert.strictEqual((yield* letters).length, 0)
        yield* eventually(
          "some are",
          Effect.andThen(TestClock.adjust("1 minute"), Effect.map(letters, ({ length }) => length > 0))
        )
        // One look is enough: time stands still now.
        yield* eventually("all are forgotten", Effect.map(letters, ({ length }) => length === 1_201))
      }))

    fault(
      "F61 what an engine before this one has left is forgotten, though nothing is published here",
      (store) =>
        Effect.gen(function*() {
          const before = yield* boot(store, [], { keepEvents: "10 minutes" })
          yield* publish(before, 7)
          yield* before.close
          const next = yield* boot(store, [], { keepEvents: "10 minutes" })
          const dead = Effect.map(next.engine.deadLetters(), ({ length }) => length === 1)
          yield* eventually("it is forgotten", Effect.andThen(TestClock.adjust("1 minute"), dead))
        })
    )

    fault(
      "F61 events that are kept for no time are looked for ten times a second, and no oftener",
      (store) =>
        Effect.gen(function*() {
          let looks = 0
          const first = yield* boot(store, [], {
            keepEvents: 0,
            through: (journal) => ({
              ...journal,
              events: {
                ...journal.events,
                forget: (options) => Effect.suspend(() => (looks++, journal.events.forget(options)))
              }
            })
          })
          yield* publish(first, 7)
          for (let n = 0; n < 20; n++) {
            yield* TestClock.adjust("50 millis")
            for (let turns = 0; turns < 5; turns++) yield* turn
          }
          assert.isAtLeast(looks, 1)
          assert.isAtMost(looks, 10)
        })
    )

    fault(
      "F61 a store that throws, and who is told and hangs, hold up no forgetting",
      (store) =>
        Effect.gen(function*() {
          let throws = true
          const told: Array<string> = []
          const [first, lines] = yield* logged(boot(store, [], {
            keepEvents: "10 minutes",
            onUnmatched: ({ id }) =>
              Effect.andThen(Effect.sync(() => told.push(id)), id === "one" ? Effect.never : Effect.void),
            through: (journal) => ({
              ...journal,
              events: {
                ...journal.events,
                forget: (options) =>
                  Effect.suspend(() => {
                    if (!throws) return journal.events.forget(options)
                    throws = false
                    throw new RangeError("bug")
                  })
              }
            })
          }))
          for (const one of ["one", "two"]) yield* publish(first, 7, { id: one })
          const both = Effect.sync(() => told.length === 2)
          yield* eventually("both are told", Effect.andThen(TestClock.adjust("1 minute"), both))
          assert.isFalse(throws)
          assert.isTrue(lines.some((line) => line.includes("`onUnmatched` failed for the event Paid \"one\"")))
        })
    )

    fault(
      "a burst of large events is kept in several questions, none of which is too long",
      (store) =>
        Effect.gen(function*() {
          const Long = DomainEvent.make("Long", { payload: Schema.String, key: () => "o" })
          const asked: Array<number> = []
          const first = yield* boot(store, [], {
            through: (journal) => ({
              ...journal,
              events: {
                ...journal.events,
                keep: (events, at) =>
                  Effect.suspend(() => {
                    asked.push(events.reduce((sum, { data }) => sum + data.length, 0))
                    return journal.events.keep(events, at)
                  })
              }
            })
          })
          const words = "x".repeat(900_000)
          yield* Effect.forEach(
            Array.from({ length: 20 }, (_, n) => `${n}`),
            (id) => first.bus.publish(Long, words, { id }),
            { concurrency: "unbounded" }
          )
          for (const length of asked) assert.isAtMost(length, 8_000_000)
          assert.isAtMost(asked.length, 5)
          const { events } = yield* store.journal.events.log({ from: [{ type: "Long", after: 0 }], limit: 30 })
          assert.deepStrictEqual(
            events.map(({ data }) => data.length > words.length),
            Array.from({ length: 20 }, () => true)
          )
        })
    )

    fault(
      "F62 who is stuck beside a wait awaits its event still when a person lets it go on",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          let isThere = false
          const action = () => isThere ? Effect.void : Effect.never
          const compensation = () => Effect.void
          const saga = trip.pipe(
            Saga.parallel((from) => [
              from.pipe(Saga.step("a", { action, compensation, timeout: "1 second", whenUncertain: "stuck" })),
              from.pipe(Saga.awaitEvent("paid", Paid, { correlate }))
            ]),
            Saga.step("b", world.step())
          )
          const first = yield* boot(store, [saga], { keepEvents: "10 minutes" })
          yield* first.engine.start(saga, undefined, id)
          yield* fact(store.journal, "e", "EventAwaited paid")
          yield* eventually(
            "it is stuck",
            Effect.andThen(
              TestClock.adjust("1 second"),
              Effect.map(store.journal.find("e"), (row) => Option.getOrThrow(row).state === "Stuck")
            )
          )
          yield* publish(first, 7)
          yield* TestClock.adjust("1 hour")
          isThere = true
          yield* first.engine.retry("e", { actor: "p", comment: "c" })
          yield* inTime("it ends", first.engine.await(saga, "e"))
          yield* publish(first, 8)
          yield* nobodyWaits(store, ["e"])
        })
    )

    fault("an engine that closes, or whose store throws, answers whoever publishes", (store) =>
      Effect.gen(function*() {
        const gate = new Gate()
        let then: "throw" | "hang" | "keep" = "throw"
        const first = yield* boot(store, [], {
          through: (journal) => ({
            ...journal,
            events: {
              ...journal.events,
              keep: (events, at) =>
                then === "throw"
                  ? Effect.die(new RangeError("too long"))
                  : then === "hang"
                  ? Effect.andThen(gate.pass, Effect.never)
                  : journal.events.keep(events, at)
            }
          })
        })
        const failure = (n: number) => Effect.flip(publish(first, n))
        assert.include((yield* failure(1)).message, "too long")
        then = "keep"
        yield* publish(first, 2)
        then = "hang"
        const [one, two] = [yield* Effect.forkChild(failure(3)), yield* Effect.forkChild(failure(4))]
        yield* gate.reached
        yield* gate.open
        yield* first.close
        for (const fiber of [one, two]) {
          assert.include((yield* inTime("it is answered", Fiber.join(fiber))).message, "the engine is closed")
        }
        assert.include((yield* failure(5)).message, "the engine is closed")
      }))

    fault("F64 event and timeout at once: one of them, and after a replay the same", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = waits(world)
        const first = yield* boot(store, [saga], { evictAfter: 0, ...patient })
        yield* first.engine.start(saga, undefined, id)
        yield* state(store.journal, "e", "Waiting")
        yield* first.kill
        // Both have come when somebody looks again.
        yield* TestClock.adjust("30 minutes")
        const second = yield* boot(store, [], patient)
        yield* publish(second, 7)
        const third = yield* boot(together(store), [saga], patient).pipe(
          Effect.when(Effect.sync(() => backend.shared)),
          Effect.map(Option.getOrElse(() => second))
        )
        if (!backend.shared) {
          yield* second.close
          const alone = yield* boot(store, [saga], patient)
          assert.strictEqual(yield* inTime("it ends", alone.engine.await(saga, "e")), 7)
        } else assert.strictEqual(yield* inTime("it ends", third.engine.await(saga, "e")), 7)
        const facts = yield* told(store.journal, "e")
        assert.strictEqual(timesOf(facts, "EventReceived paid"), 1)
        assert.strictEqual(timesOf(facts, "EventTimedOut paid"), 0)
      }))

    fault("a time limit passes while nobody runs: what was done is undone", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = waits(world)
        const first = yield* boot(store, [saga], { evictAfter: 0 })
        yield* first.engine.start(saga, undefined, id)
        yield* state(store.journal, "e", "Waiting")
        yield* first.kill
        yield* TestClock.adjust("31 minutes")
        const second = yield* boot(store, [saga])
        const exit = yield* Effect.exit(inTime("it ends", second.engine.await(saga, "e")))
        const error = new Saga.EventTimedOut({ path: "paid", events: ["Paid"], limitMillis: 1_800_000 })
        assert.deepStrictEqual(exit, Exit.fail(error))
        assert.strictEqual(world.text("e"), "+a -a")
        const outcome = yield* second.engine.outcome(saga, "e")
        assert.deepStrictEqual(outcome._tag === "Compensated" && outcome.others, [])
      }))

    fault("F65 an event that cannot be read is passed over, and harms nobody", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = waits(world)
        const [, lines] = yield* logged(Effect.gen(function*() {
          const first = yield* boot(store, [saga], { evictAfter: 0 })
          yield* first.engine.start(saga, undefined, id)
          yield* state(store.journal, "e", "Waiting")
          yield* store.journal.events.keep([
            { id: "poison", type: "Paid", key: "o", data: "{\"occurredAtMillis\":0,\"payload\":{\"n\":\"x\"}}" },
            { id: "no json", type: "Paid", key: "o", data: "{" }
          ], 0)
          yield* publish(first, 7)
          assert.strictEqual(yield* inTime("it ends", first.engine.await(saga, "e")), 7)
        }))
        for (const poison of ["poison", "no json"]) {
          assert.isTrue(
            lines.some((line) => line.startsWith(`The event Paid "${poison}" is passed over by "e"`)),
            poison
          )
        }
      }))

    fault(
      "what a wait throws behind the commit point names the wait, and a retry goes on there",
      (store) =>
        Effect.gen(function*() {
          let broken = true
          const throws = <A>(value: A): A => {
            if (broken) throw new Error("bug")
            return value
          }
          const committed = trip.pipe(Saga.pivot("go", { action: () => Effect.void }), Saga.onStuck(() => Effect.void))
          const goesOn = <S, O, A, E, R>(executionId: string, saga: Saga.Saga<void, S, O, A, E, R>) =>
            Effect.gen(function*() {
              broken = true
              const first = yield* boot(store, [saga])
              yield* publish(first, 7, { id: executionId })
              yield* first.engine.start(saga, undefined, { executionId })
              yield* state(store.journal, executionId, "Stuck")
              const { problem } = Option.getOrThrow(yield* store.journal.find(executionId))
              assert.strictEqual(problem, "ForwardRecoveryFailed: paid")
              broken = false
              yield* first.engine.retry(executionId, { actor: "ann", comment: "mended" })
              yield* inTime("it ends", first.engine.await(saga, executionId))
              yield* first.close
            })
          const where = () => throws(true)
          yield* goesOn("a", committed.pipe(Saga.awaitEvent("paid", Paid, { correlate: () => throws("o") })))
          yield* goesOn("b", committed.pipe(Saga.awaitEvent("paid", Paid, { correlate, where })))
          yield* goesOn("c", committed.pipe(Saga.sleep("paid", () => throws(0))))
        })
    )

    fault(
      "F65 a time that could not be read again is refused, and so is a wait for no key",
      (store) =>
        Effect.gen(function*() {
          const keyless = trip.pipe(Saga.awaitEvent("paid", Paid, { correlate: () => "" }))
          const first = yield* boot(store, [keyless])
          for (const occurredAtMillis of [NaN, Infinity]) {
            const refused = yield* Effect.flip(publish(first, 7, { occurredAtMillis }))
            assert.strictEqual(refused._tag, "EventRefused")
            assert.include(refused.message, "occurredAtMillis")
          }
          const exit = yield* inTime("it ends", Effect.exit(first.engine.execute(keyless, undefined, id)))
          const words = Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "it succeeded"
          assert.include(words, "`correlate` of \"paid\" gave no text")
        })
    )

    fault(
      "a wait that was renamed meanwhile is woken, and holds no event once it is over",
      (store) =>
        Effect.gen(function*() {
          const meant = { correlate, where: ({ n }: typeof about.Type) => n > 1 }
          const one = trip.pipe(Saga.awaitEvent("paid", Paid, meant))
          const two = Saga.make("Trip", { payload: Schema.Void, version: 2 }).pipe(
            Saga.migrateFrom(1, { steps: { paid: { name: "payment" } } }),
            Saga.awaitEvent("payment", Paid, meant),
            Saga.awaitEvent("late", Refused, { correlate })
          )
          const first = yield* boot(store, [one], { evictAfter: 0 })
          yield* first.engine.start(one, undefined, id)
          yield* state(store.journal, "e", "Waiting")
          yield* first.close
          const second = yield* boot(store, [two], { evictAfter: 0 })
          // What it does not mean wakes it too: it comes back under its new name, and leaves again.
          yield* publish(second, 1)
          yield* fact(store.journal, "e", "SagaMigrated")
          yield* state(store.journal, "e", "Waiting")
          yield* second.close
          const three = Saga.make("Trip", { payload: Schema.Void, version: 3 }).pipe(
            Saga.migrateFrom(1, { steps: { paid: { name: "money" } } }),
            Saga.migrateFrom(2, { steps: { payment: { name: "money" } } }),
            Saga.awaitEvent("money", Paid, meant),
            Saga.awaitEvent("late", Refused, { correlate })
          )
          const third = yield* boot(store, [three], { evictAfter: 0 })
          yield* publish(third, 7)
          yield* fact(store.journal, "e", "EventAwaited late")
          yield* publish(third, 8)
          while ((yield* store.journal.events.wake) > 0) { /* until all are told */ }
          // What an engine tells of just now is left for the next time.
          let forgotten = 0
          const forget = store.journal.events.forget({ keptBeforeMillis: 1e15, limit: 100 })
          yield* eventually("all are forgotten", Effect.map(forget, ({ count }) => (forgotten += count) === 3))
          yield* third.engine.abandon("e", { actor: "ann", comment: "nobody refuses" })
        })
    )

    fault("one that is abandoned holds no event, and is woken by none", (store) =>
      Effect.gen(function*() {
        const saga = trip.pipe(Saga.awaitEvent("paid", Paid, { correlate }))
        const first = yield* boot(store, [saga], { evictAfter: 0 })
        yield* first.engine.start(saga, undefined, id)
        yield* state(store.journal, "e", "Waiting")
        yield* first.engine.abandon("e", { actor: "ann", comment: "nobody pays" })
        yield* publish(first, 7)
        yield* nobodyWaits(store, ["e"])
        assert.strictEqual((yield* store.journal.events.forget({ keptBeforeMillis: 1e15, limit: 100 })).count, 2)
        assert.deepStrictEqual((yield* told(store.journal, "e")).slice(-1), ["SagaAbandoned"])
      }))

    fault("F66 a storm for one execution: it takes one, and holds no others", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = waits(world)
        let most = 0
        const first = yield* boot(store, [saga], {
          evictAfter: 0,
          through: (journal) => ({
            ...journal,
            events: {
              ...journal.events,
              read: (requests, limit) =>
                Effect.tap(journal.events.read(requests, limit), (pages) =>
                  Effect.sync(() => most = Math.max(most, ...pages.map((page) => page.length))))
            }
          })
        })
        yield* first.engine.start(saga, undefined, id)
        yield* state(store.journal, "e", "Waiting")
        yield* Effect.forEach(Array.from({ length: 2_000 }), (_, n) =>
          publish(first, n), {
          concurrency: "unbounded",
          discard: true
        })
        assert.strictEqual(yield* inTime("it ends", first.engine.await(saga, "e")), 0)
        assert.isAtMost(most, 32)
      }))

    fault(
      "F68 crash at each write of a saga that waits twice: each event has one effect, none is lost",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = trip.pipe(
            Saga.step("a", world.step()),
            Saga.awaitFirst("one", [Paid, Refused], { correlate }),
            Saga.step("b", world.step()),
            Saga.awaitEvent("two", Paid, { correlate }),
            Saga.step("c", world.step()),
            Saga.output(Schema.Array(Schema.Int), ({ one, two }) => [one.value.n, two.n])
          )
          for (let dieAt = 1; dieAt <= 14; dieAt++) {
            const executionId = `e${dieAt}`
            const one = `${dieAt} one`
            const two = `${dieAt} two`
            const received = yield* throughLives(executionId, store, saga, { evictAfter: 0, dieAt }, (booted) =>
              Effect.gen(function*() {
                yield* booted.engine.start(saga, undefined, { executionId })
                for (const [n, id] of [[1, one], [2, two]] as const) {
                  yield* publish(booted, n, { id })
                }
                return yield* booted.engine.await(saga, executionId)
              }))
            assert.deepStrictEqual(received, [1, 2])
            assert.deepStrictEqual(world.inPlace(executionId).slice().sort(), ["a", "b", "c"])
            const facts = yield* told(store.journal, executionId)
            assert.deepStrictEqual(
              facts.filter((words) =>
                words.startsWith("EventReceived")
              ),
              [
                "EventReceived one",
                "EventReceived two"
              ]
            )
            // What was received by this one is kept for others: the next one must not take it.
            yield* store.journal.events.forget({ keptBeforeMillis: 1e15, limit: 100 })
          }
          yield* world.check
        })
    )
  })

  describe(`${name}: published events`, () => {
    const Shipped = DomainEvent.make("Shipped", { payload: Schema.String, key: (order) => order })
    const ship = (world: World) =>
      Saga.make("Ship", { payload: Schema.String, key: (order) => order }).pipe(
        Saga.step("a", world.step()),
        Saga.publish("told", Shipped, ({ payload }) => payload),
        Saga.step("b", world.step())
      )

    fault(
      "F67 an event is kept with its fact, whatever dies: once, and handed on at least once, in order",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = ship(world)
          for (let dieAt = 1; dieAt <= 8; dieAt++) {
            const order = `o${dieAt}`
            const told: Array<string> = []
            yield* throughLives(order, store, saga, { dieAt }, (booted) =>
              Effect.gen(function*() {
                const relay = booted.bus.subscribe({
                  name: order,
                  events: [Shipped],
                  handle: ({ correlationId, id, payload }) =>
                    Effect.sync(() => {
                      if (booted.process.dead || payload !== order) return
                      assert.deepStrictEqual([id, correlationId], [`Ship/${order}/told`, `Ship/${order}`])
                      told.push(payload)
                    })
                })
                yield* Effect.forkChild(relay, { startImmediately: true })
                yield* booted.engine.execute(saga, order)
                yield* eventually(`${order} is told of`, Effect.sync(() => told.length > 0))
              }))
            assert.isAtMost(told.length, 2)
            const [kept] = yield* store.journal.events.read(
              [{ executionId: "nobody", type: "Shipped", key: order, after: 0 }],
              10
            )
            assert.deepStrictEqual(kept!.map((event) => event.id), [`Ship/${order}/told`])
            assert.strictEqual(
              timesOf(yield* facts(store, `Ship/${order}`), "EventPublished told"),
              1
            )
          }
          yield* world.check
        })
    )

    fault("F67 a saga that does not come so far publishes nothing", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = Saga.make("Ship", { payload: Schema.String }).pipe(
          Saga.step("a", world.step()),
          Saga.check("no", world.fails()),
          Saga.publish("told", Shipped, ({ payload }) => payload)
        )
        const first = yield* boot(store, [saga])
        yield* Effect.exit(first.engine.execute(saga, "o", id))
        const { events } = yield* store.journal.events.log({ from: [{ type: "Shipped", after: 0 }], limit: 10 })
        assert.deepStrictEqual(events, [])
      }))

    fault(
      "F67 what a step publishes is there if and only if its attempt succeeded, wherever the process dies",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const { action, ...step } = world.step()
          const say = (context: Saga.StepContext, words: string) =>
            SagaEvents.publish(context, Shipped, `${context.executionId} ${words}`)
          const saga = trip.pipe(
            Saga.step("a", {
              ...step,
              retry: Schedule.recurs(1),
              action: (state, context) =>
                Effect.gen(function*() {
                  yield* say(context, `a${context.attempt}`)
                  if (context.attempt === 1) return yield* Effect.fail("not yet")
                  yield* say(context, "a again")
                  return yield* action(state, context)
                }),
              compensation: (given, state, context) =>
                Effect.andThen(say(context, "undone"), step.compensation(given, state, context))
            }),
            Saga.check("b", world.fails())
          )
          const published = Effect.map(
            store.journal.events.log({ from: [{ type: "Shipped", after: 0 }], limit: 100 }),
            ({ events }) => events.map(({ id, key }) => [id, key] as const)
          )
          for (let dieAt = 1; dieAt <= 8; dieAt++) {
            const executionId = `e${dieAt}`
            yield* throughLives(executionId, store, saga, { dieAt }, ({ engine }) =>
              Effect.gen(function*() {
                yield* engine.start(saga, undefined, { executionId })
                yield* engine.outcome(saga, executionId)
              }))
            const its = (yield* published).filter(([id]) => id.startsWith(`${executionId}/`))
            assert.deepStrictEqual(its, [
              [`${executionId}/a#1`, `${executionId} a2`],
              [`${executionId}/a#2`, `${executionId} a again`],
              [`${executionId}/a/compensation#1`, `${executionId} undone`]
            ])
          }
          yield* world.check
        })
    )

    fault(
      "what a step publishes wakes who awaits it, and secrets need a cipher there too",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const Secret = DomainEvent.make("Secret", { payload: Schema.Redacted(Schema.String), key: () => "o" })
          const sends = Saga.make("Sends", { payload: Schema.String }).pipe(
            Saga.check("a", { action: ({ payload }, context) => SagaEvents.publish(context, Shipped, payload) })
          )
          const tell = Saga.make("Tell", { payload: Schema.String }).pipe(
            Saga.awaitEvent("shipped", Shipped, { correlate: ({ payload }) => payload })
          )
          const secret = trip.pipe(
            Saga.check("a", { action: (_, context) => SagaEvents.publish(context, Secret, Redacted.make("x")) })
          )
          const first = yield* boot(store, [sends, tell, secret], { evictAfter: 0 })
          yield* first.engine.start(tell, "o", id)
          yield* state(store.journal, "e", "Waiting")
          yield* first.engine.execute(sends, "o")
          assert.deepStrictEqual(yield* inTime("it ends", first.engine.await(tell, "e")), { shipped: "o" })
          const exit = yield* Effect.exit(first.engine.execute(secret, undefined))
          assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "a journal without a cipher")
          yield* world.check
        })
    )

    fault("one saga awaits what another publishes", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = ship(world)
        const tell = Saga.make("Tell", { payload: Schema.String }).pipe(
          Saga.awaitEvent("shipped", Shipped, { correlate: ({ payload }) => payload })
        )
        const first = yield* boot(store, [saga, tell], { evictAfter: 0 })
        yield* first.engine.start(tell, "o", id)
        yield* state(store.journal, "e", "Waiting")
        yield* first.engine.execute(saga, "o")
        assert.deepStrictEqual(yield* inTime("it ends", first.engine.await(tell, "e")), { shipped: "o" })
      }))
  })

  describe(`${name}: how executions begin and end, as events`, () => {
    const Told = SagaEvents.lifecycle("Trip")
    const telling = trip.pipe(Saga.publishLifecycle(Told))
    const by = { actor: "ann", comment: "asked" }

    /** What is kept, each with when it happened. */
    const kept = ({ journal }: StoreService) =>
      Effect.map(
        journal.events.log({ from: [{ type: "Trip.lifecycle", after: 0 }], limit: 100 }),
        ({ events }) =>
          events.map(({ data, key }) => `${key} ${(JSON.parse(data) as { payload: { state: string } }).payload.state}`)
      )

    fault(
      "each is kept once, with the fact that it tells of, wherever the process dies",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = telling.pipe(Saga.step("a", world.step()), Saga.step("b", world.step()))
          const fails = telling.pipe(Saga.step("a", world.step()), Saga.check("b", world.fails()))
          for (const [name, which, end] of [["s", saga, "Succeeded"], ["f", fails, "Compensated"]] as const) {
            for (let dieAt = 1; dieAt <= 6; dieAt++) {
              const executionId = `${name}${dieAt}`
              yield* throughLives(executionId, store, which, { dieAt }, ({ engine }) =>
                Effect.gen(function*() {
                  yield* engine.start(which, undefined, { executionId })
                  const { _tag } = yield* engine.outcome(which, executionId)
                  const all = yield* facts(store, executionId)
                  assert.strictEqual(_tag, end)
                  assert.include(all.at(-1), `Saga${end}`)
                }))
              const told = (yield* kept(store)).filter((line) => line.startsWith(`${executionId} `))
              assert.deepStrictEqual(told, [`${executionId} Started`, `${executionId} ${end}`])
            }
          }
          yield* world.check
        })
    )

    fault("one that another process has begun is told of when it runs", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = telling.pipe(Saga.step("a", world.step()))
        // Its saga is not registered here: nobody runs it.
        const first = yield* boot(store, [])
        yield* first.engine.start(saga, undefined, id)
        assert.deepStrictEqual(yield* kept(store), [])
        yield* first.close
        yield* TestClock.adjust("2 hours")
        const second = yield* boot(store, [saga])
        yield* inTime("it ends", second.engine.await(saga, "e"))
        assert.deepStrictEqual(yield* kept(store), ["e Started", "e Succeeded"])
      }))

    fault("one that is stuck, goes on, is stuck again, and is abandoned", (store) =>
      Effect.gen(function*() {
        const saga = telling.pipe(
          Saga.pivot("a", { action: () => Effect.die("lost"), retry: Schedule.recurs(0) }),
          Saga.onStuck(() => Effect.void)
        )
        const first = yield* boot(store, [saga])
        yield* first.engine.start(saga, undefined, id)
        const stuck = (times: number) =>
          eventually(
            `it is stuck for the time ${times}`,
            Effect.map(facts(store, "e"), (all) => all.filter((fact) => fact.startsWith("SagaStuck")).length === times)
          )
        yield* stuck(1)
        yield* first.engine.retry("e", by)
        yield* stuck(2)
        yield* first.engine.abandon("e", by)
        assert.deepStrictEqual(yield* kept(store), ["e Started", "e Stuck", "e Stuck", "e Abandoned"])
      }))

    fault("one that is parked before it runs is told of as stuck", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = telling.pipe(Saga.sleep("pause", "1 hour"), Saga.step("a", world.step()))
        const first = yield* boot(store, [saga], { evictAfter: 0, keepEvents: "1 day" })
        yield* first.engine.start(saga, undefined, id)
        yield* state(store.journal, "e", "Waiting")
        yield* first.close
        const changed = telling.pipe(Saga.step("other", world.step()))
        yield* boot(store, [changed], { keepEvents: "1 day" })
        yield* TestClock.adjust("2 hours")
        yield* state(store.journal, "e", "Stuck")
        assert.deepStrictEqual(yield* kept(store), ["e Started", "e Stuck"])
      }))

    fault("a saga waits for another one", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const child = telling.pipe(Saga.step("a", world.step()))
        const parent = Saga.make("Parent", { payload: Schema.String }).pipe(
          Saga.awaitEvent("child", Told, {
            correlate: ({ payload }) => payload,
            where: ({ state }) => state !== "Started"
          }),
          Saga.output(Schema.String, ({ child }) => child.state)
        )
        const first = yield* boot(store, [child, parent], { evictAfter: 0 })
        yield* first.engine.start(parent, "e", { executionId: "p" })
        yield* state(store.journal, "p", "Waiting")
        yield* first.engine.start(child, undefined, id)
        assert.strictEqual(yield* inTime("it ends", first.engine.await(parent, "p")), "Succeeded")
      }))
  })

  describe(`${name}: subscriptions`, () => {
    const numbers = (
      store: StoreService,
      first: Booted,
      handle: (n: number) => Effect.Effect<unknown, string>,
      retry = 2
    ) =>
      first.bus.subscribe({
        name: "numbers",
        events: [Paid],
        handle: ({ payload }) => handle(payload.n),
        retry: Schedule.recurs(retry)
      })

    fault(
      "all events in order, those first that are kept already; who comes again goes on where it was",
      (store) =>
        Effect.gen(function*() {
          const first = yield* boot(store, [])
          const seen: Array<number> = []
          const handle = (n: number) => Effect.sync(() => seen.push(n))
          for (const n of [1, 2, 3]) yield* publish(first, n)
          const running = yield* Effect.forkChild(numbers(store, first, handle))
          yield* eventually("three are seen", Effect.sync(() => seen.length === 3))
          for (const n of [4, 5]) yield* publish(first, n)
          yield* eventually("five are seen", Effect.sync(() => seen.length === 5))
          const [all] = yield* store.journal.events.read(
            [{ executionId: "nobody", type: "Paid", key: "o", after: 0 }],
            10
          )
          const last = all!.at(-1)!.sequence
          yield* eventually(
            "it is noted",
            Effect.map(store.journal.events.subscriptions, ([numbers]) => numbers?.after === last)
          )
          yield* Fiber.interrupt(running)
          yield* publish(first, 6)
          yield* Effect.forkChild(numbers(store, first, handle))
          yield* eventually("six are seen", Effect.sync(() => seen.length === 6))
          assert.deepStrictEqual(seen, [1, 2, 3, 4, 5, 6])
        })
    )

    fault(
      "F65 what cannot be handled is tried again, then a dead letter, and the rest goes on",
      (store) =>
        Effect.gen(function*() {
          const first = yield* boot(store, [])
          const seen: Array<number> = []
          const handle = (n: number) =>
            Effect.suspend(() => {
              seen.push(n)
              if (n === 3) throw new Error("bug")
              // Of its own: nobody stops the subscription.
              if (n === 4 && seen.filter((one) => one === 4).length < 3) return Effect.interrupt
              return n === 2 ? Effect.fail("not now") : Effect.void
            })
          for (const n of [1, 2, 3, 4]) yield* publish(first, n, { id: `event ${n}` })
          yield* store.journal.events.keep([{ id: "poison", type: "Paid", key: "o", data: "{}" }], 0)
          yield* publish(first, 5)
          const [, lines] = yield* logged(Effect.gen(function*() {
            yield* Effect.forkChild(numbers(store, first, handle))
            const last = Effect.sync(() => seen.includes(5))
            yield* eventually("the last is seen", Effect.andThen(TestClock.adjust("1 second"), last))
          }))
          assert.deepStrictEqual(seen, [1, 2, 2, 2, ...Array.from({ length: 10 }, () => 3), 4, 4, 4, 5])
          const letters = yield* store.journal.events.deadLetters({ after: 0, limit: 10 })
          assert.deepStrictEqual(letters.map((letter) => letter.id), ["event 2", "event 3", "poison"])
          assert.strictEqual(letters[0]!.reason, `"numbers" could not handle it: not now`)
          assert.strictEqual(letters[1]!.reason, `"numbers" could not handle it: Error: bug`)
          assert.include(letters[2]!.reason, "cannot be read")
          assert.strictEqual(lines.filter((line) => line.includes("is a dead letter")).length, 3)
          const waiting = lines.filter((line) => line.includes("is tried again, and those behind it wait"))
          assert.strictEqual(waiting.length, 3)
          assert.include(
            waiting[1]!,
            `Paid "event 3" is tried again, and those behind it wait: "numbers" could not handle it: Error: bug`
          )
        })
    )

    fault("F65 a dead letter is handed out again when its handler is mended", (store) =>
      Effect.gen(function*() {
        const first = yield* boot(store, [])
        const seen: Array<number> = []
        let broken = true
        const handle = (n: number) =>
          Effect.suspend(() => {
            seen.push(n)
            return broken && n < 3 ? Effect.fail("not yet") : Effect.void
          })
        for (const n of [1, 2, 3]) yield* publish(first, n)
        yield* Effect.forkChild(numbers(store, first, handle, 0))
        yield* eventually("all are seen", Effect.sync(() => seen.length === 3))
        const letters = yield* first.engine.deadLetters()
        assert.deepStrictEqual(letters.map(({ subscription }) => subscription), ["numbers", "numbers"])
        const [one, two] = letters
        yield* first.engine.redeliver(one!.number)
        yield* eventually("it is tried again, in vain", Effect.sync(() => seen.length === 4))
        const again = Effect.map(store.journal.events.redelivered("numbers", ["Paid"], 9), ({ length }) => length)
        yield* eventually("it is a dead letter again", Effect.map(again, (count) => count === 0))
        broken = false
        for (const { number } of [one!, two!]) yield* first.engine.redeliver(number)
        yield* eventually("nothing is left", Effect.map(first.engine.deadLetters(), ({ length }) => length === 0))
        assert.deepStrictEqual(seen, [1, 2, 3, 1, 1, 2])
        const missing = yield* Effect.flip(first.engine.redeliver(one!.number))
        assert.include(missing.message, `no dead letter ${one!.number}`)
        assert.strictEqual((yield* Effect.flip(first.engine.discard(one!.number)))._tag, "DeadLetterNotFound")
      }))

    fault(
      "what is no number of a dead letter finds none, and what is no limit is refused by name",
      (store) =>
        Effect.gen(function*() {
          const first = yield* boot(store, [])
          yield* store.journal.events.keep([{ id: "poison", type: "Paid", key: "o", data: "{}" }], 0)
          yield* Effect.forkChild(numbers(store, first, () => Effect.void, 0))
          const count = Effect.map(first.engine.deadLetters(), ({ length }) => length)
          yield* eventually("it is a dead letter", Effect.map(count, (count) => count === 1))
          const [letter] = yield* first.engine.deadLetters({ limit: 1e12 })
          for (const number of [letter!.number + 0.4, letter!.number - 0.4, -1, Number.NaN, Infinity, 1e300]) {
            for (const verb of [first.engine.redeliver(number), first.engine.discard(number)]) {
              assert.strictEqual((yield* Effect.flip(verb))._tag, "DeadLetterNotFound")
            }
          }
          for (const wrong of [-1, 1.5, Number.NaN, Infinity]) {
            for (const option of ["limit", "after"]) {
              const exit = yield* Effect.exit(first.engine.deadLetters({ [option]: wrong }))
              assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", `The option "${option}" is ${wrong}`)
            }
          }
          assert.strictEqual(yield* count, 1)
          const nameless = yield* Effect.flip(publish(first, 1, { id: "" }))
          assert.include(nameless.message, "its `id` is empty")
        })
    )

    fault("F63 what nobody has received is handed out again to who awaits it now", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = waits(world)
        const first = yield* boot(store, [saga], { keepEvents: "10 minutes" })
        yield* publish(first, 7)
        const dead = first.engine.deadLetters()
        yield* eventually(
          "it is a dead letter",
          Effect.andThen(TestClock.adjust("1 minute"), Effect.map(dead, ({ length }) => length === 1))
        )
        yield* first.engine.start(saga, undefined, id)
        yield* fact(store.journal, "e", "EventAwaited paid")
        yield* first.engine.redeliver((yield* dead)[0]!.number)
        assert.strictEqual(yield* inTime("it ends", first.engine.await(saga, "e")), 7)
        assert.deepStrictEqual(yield* dead, [])
      }))

    fault(
      "a subscription that gains a kind of events gets all of it that is kept, and nothing twice",
      (store) =>
        Effect.gen(function*() {
          const first = yield* boot(store, [], { keepEvents: "10 minutes" })
          const seen: Array<string> = []
          const read = (...events: ReadonlyArray<typeof Paid | typeof Refused>) =>
            Effect.forkChild(first.bus.subscribe({
              name: "both",
              events,
              handle: ({ payload, type }) => Effect.sync(() => seen.push(`${type} ${payload.n}`))
            }))
          const refuse = (n: number) => first.bus.publish(Refused, { order: "o", n })
          yield* refuse(1)
          yield* publish(first, 2)
          const old = yield* read(Paid)
          yield* eventually("one is seen", Effect.sync(() => seen.length === 1))
          yield* publish(first, 3)
          yield* eventually("another is seen", Effect.sync(() => seen.length === 2))
          const noted = Effect.map(store.journal.events.subscriptions, (all) => all.every(({ behind }) => behind === 0))
          yield* eventually("both are noted", noted)
          yield* Fiber.interrupt(old)
          yield* read(Paid, Refused)
          yield* publish(first, 4)
          yield* eventually("all are seen", Effect.sync(() => seen.length === 4))
          assert.sameMembers(seen, ["Paid 2", "Paid 3", "Paid 4", "Refused 1"])
          assert.deepStrictEqual(seen.slice(0, 2), ["Paid 2", "Paid 3"])
        })
    )

    fault(
      "a name is one subscription: a second one beside it is a defect that says so",
      (store) =>
        Effect.gen(function*() {
          const first = yield* boot(store, [])
          const none = () => Effect.void
          yield* Effect.forkChild(numbers(store, first, none), { startImmediately: true })
          const exit = yield* Effect.exit(numbers(store, first, none))
          assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), `"numbers" runs here already`)
          // And that ends the layer which needs it.
          const context = Layer.succeedContext(Context.make(EventBus, first.bus))
          const relay = SagaEvents.relay({ name: "numbers", events: [Paid], handle: none })
          const layer = yield* Effect.exit(Effect.scoped(Layer.build(Layer.provide(relay, context))))
          assert.include(String(Exit.isFailure(layer) && Cause.squash(layer.cause)), "give this one another name")
        })
    )

    fault(
      "a subscription that nobody runs any more holds its events until it is forgotten",
      (store) =>
        Effect.gen(function*() {
          const first = yield* boot(store, [], { keepEvents: "10 minutes" })
          const running = yield* Effect.forkChild(numbers(store, first, () => Effect.void))
          yield* eventually("it is known", Effect.map(first.engine.subscriptions, ({ length }) => length === 1))
          yield* Fiber.interrupt(running)
          yield* publish(first, 1)
          yield* TestClock.adjust("1 hour")
          for (let turns = 0; turns < 20; turns++) yield* turn
          assert.deepStrictEqual(
            (yield* first.engine.subscriptions).map(({ behind, name, type }) => [name, type, behind]),
            [["numbers", "Paid", 1]]
          )
          yield* first.engine.unsubscribe("numbers")
          const dead = Effect.map(first.engine.deadLetters(), ({ length }) => length === 1)
          yield* eventually("it is forgotten", Effect.andThen(TestClock.adjust("1 minute"), dead))
          const unknown = yield* Effect.flip(first.engine.unsubscribe("numbers"))
          assert.strictEqual(unknown._tag, "SubscriptionNotFound")
          assert.include(String(unknown), "SubscriptionNotFound: There is no subscription \"numbers\" in this journal")
        })
    )
  })

  describe(`${name}: sagas that start on events`, () => {
    const Placed = DomainEvent.make("Placed", { payload: about, key: ({ order }) => order })
    const order = (world: World) =>
      Saga.make("Order", { payload: about, key: ({ order }) => order }).pipe(Saga.step("a", world.step()))

    const starting = (booted: Booted, saga: ReturnType<typeof order>) =>
      Effect.forkChild(Layer.launch(Layer.provide(
        SagaEvents.startOn(saga, Placed, { payload: ({ payload }) => payload }),
        Layer.succeedContext(Context.make(EventBus, booted.bus).pipe(Context.add(SagaEngine, booted.engine)))
      )))

    const place = ({ bus }: Booted, order: string, n = 1) => bus.publish(Placed, { order, n })

    fault("F59 each event starts one execution, an event that comes twice joins", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = order(world)
        const first = yield* boot(store, [saga])
        yield* place(first, "early")
        yield* starting(first, saga)
        for (const one of ["x", "y", "x"]) yield* place(first, one)
        for (const one of ["early", "x", "y"]) yield* state(store.journal, `Order/${one}`, "Succeeded")
        yield* world.check
        assert.deepStrictEqual((yield* first.engine.list()).executions.length, 3)
      }))

    fault("what cannot start becomes a dead letter, and the rest goes on", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = order(world)
        const first = yield* boot(store, [saga])
        yield* place(first, "x", 1)
        yield* place(first, "x", 2)
        yield* store.journal.events.keep([{ id: "poison", type: "Placed", key: "o", data: "{}" }], 0)
        yield* place(first, "y")
        yield* starting(first, saga)
        yield* state(store.journal, "Order/y", "Succeeded")
        const letters = yield* store.journal.events.deadLetters({ after: 0, limit: 10 })
        assert.strictEqual(letters.length, 2)
        assert.include(letters[0]!.reason, "ExecutionConflict")
        assert.include(letters[1]!.reason, "cannot be read")
      }))

    fault(
      "an event whose key is empty starts nothing: all of them would be one execution",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = order(world)
          const first = yield* boot(store, [saga])
          yield* store.journal.events.keep([{
            id: "nobody's",
            type: "Placed",
            key: "o",
            data: "{\"occurredAtMillis\":0,\"payload\":{\"order\":\"\",\"n\":1}}"
          }], 0)
          yield* starting(first, saga)
          yield* eventually("it is a dead letter", Effect.map(first.engine.deadLetters(), ({ length }) => length === 1))
          const [letter] = yield* first.engine.deadLetters()
          assert.include(letter!.reason, "ExecutionIdInvalid")
          assert.include(letter!.reason, "its key is empty: all of them would be one")
          assert.deepStrictEqual((yield* first.engine.list()).executions, [])
        })
    )

    fault(
      "a saga that starts itself by what it publishes goes on for ever: its ids do not grow",
      (store) =>
        Effect.gen(function*() {
          const rounds = 30
          const Round = DomainEvent.make("Round", { payload: Schema.Int, key: String })
          const loop = Saga.make("Loop", { payload: Schema.Int }).pipe(
            Saga.when("more", (state) =>
              state.payload < rounds, (fork) =>
              fork.pipe(Saga.publish("next", Round, ({ payload }) => payload + 1)))
          )
          const first = yield* boot(store, [loop], { concurrency: 3 })
          yield* Effect.forkChild(Layer.launch(Layer.provide(
            SagaEvents.startOn(loop, Round, {
              payload: ({ payload }) =>
                payload
            }),
            Layer.succeedContext(Context.make(EventBus, first.bus).pipe(Context.add(SagaEngine, first.engine)))
          )))
          yield* first.bus.publish(Round, 1, { id: "begin" })
          const succeeded = Effect.map(first.engine.list({ state: "Succeeded" }), ({ executions }) => executions)
          yield* eventually("all rounds are over", Effect.map(succeeded, ({ length }) => length === rounds))
          assert.deepStrictEqual(yield* first.engine.deadLetters(), [])
          const ids = (yield* succeeded).map(({ executionId }) => executionId)
          assert.include(ids, "Loop/begin")
          assert.isBelow(Math.max(...ids.map(({ length }) => length)), 100)
        })
    )

    fault(
      "F68 crash at each write between an event and its execution: one execution each",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = order(world)
          for (let dieAt = 1; dieAt <= 5; dieAt++) {
            const name = `o${dieAt}`
            yield* throughLives(name, store, saga, { dieAt }, (booted) =>
              Effect.gen(function*() {
                yield* starting(booted, saga)
                yield* booted.bus.publish(Placed, { order: name, n: 1 }, { id: name })
                yield* state(store.journal, `Order/${name}`, "Succeeded")
              }))
            assert.deepStrictEqual(world.inPlace(`Order/${name}`), ["a"])
          }
          yield* world.check
        })
    )
  })

  if (!backend.shared) return

  describe(`${name}: events of several processes`, () => {
    fault("an event that one process is given wakes a wait of another", (alone) =>
      Effect.gen(function*() {
        const store = together(alone)
        const world = new World()
        const saga = waits(world)
        const first = yield* boot(store, [saga], { evictAfter: "1 day" })
        const second = yield* boot(store, [])
        yield* first.engine.start(saga, undefined, id)
        yield* fact(store.journal, "e", "EventAwaited paid")
        yield* publish(second, 7)
        assert.strictEqual(yield* inTime("it ends", first.engine.await(saga, "e")), 7)
      }))

    fault(
      "F68 who was given an event dies before anybody was woken: the others are",
      (alone) =>
        Effect.gen(function*() {
          const store = together(alone)
          const world = new World()
          const saga = waits(world)
          const first = yield* boot(store, [saga], { evictAfter: 0 })
          const second = yield* boot(store, [], { dieAt: 1 })
          yield* first.engine.start(saga, undefined, id)
          yield* state(store.journal, "e", "Waiting")
          yield* Effect.forkChild(publish(second, 7), { startImmediately: true })
          yield* second.died
          assert.strictEqual(yield* inTime("it ends", first.engine.await(saga, "e")), 7)
        })
    )
  })
}
