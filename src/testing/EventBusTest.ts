/**
 * What every bus promises, as tests that anybody can run who writes one, such as one on a broker. It knows no engine, no test
 * framework, and of a bus its service alone.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as DomainEvent from "../DomainEvent.ts"
import type { Envelope } from "../DomainEvent.ts"
import type { EventBusService } from "../EventBus.ts"
import { EventBus } from "../EventBus.ts"
import type { PromiseTest } from "./Conformance.ts"
import { promiseTest } from "./Conformance.ts"
import { assert } from "./internal/expect.ts"

const Numbered = DomainEvent.make("Numbered", {
  payload: Schema.Struct({ about: Schema.String, n: Schema.Int, at: Schema.Date }),
  key: ({ about }) => about
})
const Named = DomainEvent.make("Named", { payload: Schema.String, key: (name) => name })

const at = new Date(86_400_000)
const numbered = (n: number) => ({ about: "a", n, at })

type Body = (bus: EventBusService) => Effect.Effect<unknown, unknown, Scope.Scope>

/** Reads until so many events were handled, each once or more. */
const reading = (
  bus: EventBusService,
  name: string,
  count: number,
  handle: (n: number) => Effect.Effect<unknown, unknown> = () => Effect.void
) =>
  Effect.gen(function*() {
    const seen: Array<Envelope<typeof Numbered.payload.Type>> = []
    const enough = yield* Deferred.make<void>()
    const fiber = yield* Effect.forkScoped(bus.subscribe({
      name,
      events: [Numbered],
      handle: (event) =>
        Effect.andThen(
          Effect.suspend(() => handle(event.payload.n)),
          Effect.suspend(() => {
            seen.push(event)
            return seen.length >= count ? Deferred.succeed(enough, undefined) : Effect.void
          })
        ),
      retry: Schedule.recurs(2)
    }))
    return { seen, numbers: () => seen.map(({ payload }) => payload.n), enough: Deferred.await(enough), fiber }
  })

const promises: Readonly<Record<string, Body>> = {
  "what was published before comes first, then what is published, in order": (bus) =>
    Effect.gen(function*() {
      for (const n of [1, 2, 3]) yield* bus.publish(Numbered, numbered(n))
      const { enough, numbers } = yield* reading(bus, "all", 5)
      for (const n of [4, 5]) yield* bus.publish(Numbered, numbered(n))
      yield* enough
      assert.deepStrictEqual(numbers(), [1, 2, 3, 4, 5])
    }),

  "an event comes as it was published, with what is known of it": (bus) =>
    Effect.gen(function*() {
      const known = { id: "one", occurredAtMillis: 5, correlationId: "c", causationId: "d" }
      yield* bus.publish(Numbered, numbered(7), known)
      const { enough, seen } = yield* reading(bus, "all", 1)
      yield* enough
      const { causationId, correlationId, id, key, occurredAtMillis, payload, type } = seen[0]!
      assert.deepStrictEqual({ id, occurredAtMillis, correlationId, causationId }, known)
      assert.deepStrictEqual([type, key, payload.n, payload.at.getTime()], ["Numbered", "a", 7, at.getTime()])
    }),

  "one with an id that is known counts once": (bus) =>
    Effect.gen(function*() {
      for (const [n, id] of [[1, "x"], [1, "x"], [2, "y"], [1, "x"]] as const) {
        yield* bus.publish(Numbered, numbered(n), { id })
      }
      const { enough, numbers } = yield* reading(bus, "all", 2)
      yield* bus.publish(Numbered, numbered(2), { id: "y" })
      yield* bus.publish(Numbered, numbered(3), { id: "z" })
      yield* enough
      const rest = yield* reading(bus, "others", 3)
      yield* rest.enough
      assert.deepStrictEqual(rest.numbers(), [1, 2, 3])
      assert.deepStrictEqual(numbers().slice(0, 2), [1, 2])
    }),

  "events without an id are different ones": (bus) =>
    Effect.gen(function*() {
      const { enough, numbers, seen } = yield* reading(bus, "all", 2)
      for (const n of [1, 1]) yield* bus.publish(Numbered, numbered(n))
      yield* enough
      assert.deepStrictEqual([numbers(), new Set(seen.map(({ id }) => id)).size], [[1, 1], 2])
    }),

  "a subscription gets the kinds that it asks for": (bus) =>
    Effect.gen(function*() {
      yield* bus.publish(Named, "other")
      yield* bus.publish(Numbered, numbered(1))
      const { enough, numbers } = yield* reading(bus, "all", 1)
      yield* enough
      assert.deepStrictEqual(numbers(), [1])
    }),

  "what could not be handled is tried again, then passed over, and the rest goes on": (bus) =>
    Effect.gen(function*() {
      const tried: Array<number> = []
      for (const n of [1, 2, 3, 4]) yield* bus.publish(Numbered, numbered(n))
      const { enough, numbers } = yield* reading(bus, "all", 3, (n) => {
        tried.push(n)
        return n === 2 ? Effect.fail("no") : Effect.void
      })
      yield* enough
      assert.deepStrictEqual(tried, [1, 2, 2, 2, 3, 4])
      assert.deepStrictEqual(numbers(), [1, 3, 4])
    }),

  "who is interrupted has lost nothing: under the same name it goes on": (bus) =>
    Effect.gen(function*() {
      yield* bus.publish(Numbered, numbered(1))
      const begun = yield* Deferred.make<void>()
      const first = yield* reading(
        bus,
        "all",
        9,
        () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
      )
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(first.fiber)
      yield* bus.publish(Numbered, numbered(2))
      const second = yield* reading(bus, "all", 2)
      yield* second.enough
      assert.deepStrictEqual(second.numbers(), [1, 2])
    }),

  "two names are two subscriptions": (bus) =>
    Effect.gen(function*() {
      const one = yield* reading(bus, "one", 2)
      for (const n of [1, 2]) yield* bus.publish(Numbered, numbered(n))
      yield* one.enough
      const two = yield* reading(bus, "two", 2)
      yield* two.enough
      assert.deepStrictEqual([one.numbers(), two.numbers()], [[1, 2], [1, 2]])
    }),

  "what many publish at once comes, each once": (bus) =>
    Effect.gen(function*() {
      const { enough, numbers } = yield* reading(bus, "all", 200)
      const all = Array.from({ length: 200 }, (_, n) => n)
      yield* Effect.forEach(all, (n) => bus.publish(Numbered, numbered(n)), { concurrency: "unbounded" })
      yield* enough
      assert.sameMembers(numbers().map(String), all.map(String))
    }),

  "what does not match its schema is refused, and so is what has no key": (bus) =>
    Effect.gen(function*() {
      for (const wrong of [numbered(0.5), { ...numbered(1), about: "" }]) {
        const error = yield* Effect.flip(bus.publish(Numbered, wrong))
        assert.strictEqual(error._tag, "EventRefused")
      }
    })
}

/**
 * The promises of a bus as tests: each makes one of its own by the layer, which has to give a bus with nothing in it each time
 * that it is built.
 *
 * **When to use**
 *
 * Use to prove a bus of your own equal to those of effect-saga, which run the same tests. Under vitest `registerSuite` of
 * `effect-saga/testing/vitest` takes the list; with any other runner each `test` is an Effect that fails with a
 * `PromiseBroken`.
 *
 * **Details**
 *
 * The clock is the one that is around, and has to go by itself. What must survive the death of a process is not among them.
 *
 * **Example** (The bus in memory)
 *
 * ```ts
 * import { MemoryBus } from "effect-saga/events"
 * import { EventBusTest } from "effect-saga/testing"
 * import { Effect } from "effect"
 *
 * const promises = EventBusTest.suite("in memory", MemoryBus.layer)
 * await Effect.runPromise(promises[0]!.test) // => undefined
 * ```
 *
 * @category suites
 * @since 0.1.0
 */
export const suite = (name: string, layer: Layer.Layer<EventBus, unknown>): ReadonlyArray<PromiseTest> =>
  Object.entries(promises).map(([promise, body]) =>
    promiseTest(
      name,
      promise,
      Effect.scoped(Effect.flatMap(EventBus, body)).pipe(Effect.provide(Layer.fresh(layer), { local: true }))
    )
  )
