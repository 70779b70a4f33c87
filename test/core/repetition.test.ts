import { assert, describe, it } from "@effect/vitest"
import type { Fiber } from "effect"
import { Deferred, Effect, Logger, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"

/** How much a fiber has still to come back to: what it keeps in memory for as long as it runs. */
const depth = (fiber: Fiber.Fiber<unknown, unknown>): number =>
  (fiber as unknown as { readonly _stack: ReadonlyArray<unknown> })._stack.length

describe("many attempts", () => {
  it.effect("a fiber does not grow with the attempts of an action", () =>
    Effect.gen(function*() {
      const depths: Array<number> = []
      const saga = Saga.make("Mail", { payload: Schema.Void }).pipe(
        Saga.retriable("send", {
          error: Schema.String,
          retry: Schedule.forever,
          action: () =>
            Effect.withFiber((fiber) => {
              depths.push(depth(fiber))
              return depths.length < 100 ? Effect.fail("no") : Effect.void
            })
        })
      )
      yield* Saga.run(saga, undefined)
      assert.strictEqual(depths.length, 100)
      assert.strictEqual(depths[99], depths[0])
    }))

  it.effect("a fiber does not grow with the tries of a compensation", () =>
    Effect.gen(function*() {
      const depths: Array<number> = []
      let main: Fiber.Fiber<unknown, unknown> | undefined
      const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
        Saga.step("seat", {
          action: () => Effect.void,
          compensationRetry: Schedule.forever,
          compensation: () =>
            Effect.suspend(() => {
              depths.push(depth(main!))
              return depths.length < 100 ? Effect.fail("no") : Effect.void
            })
        }),
        Saga.check("funds", {
          error: Schema.String,
          action: () =>
            Effect.withFiber((fiber) => {
              main = fiber
              return Effect.fail("no money")
            })
        })
      )
      assert.strictEqual(yield* Effect.flip(Saga.run(saga, undefined)), "no money")
      assert.strictEqual(depths.length, 100)
      assert.strictEqual(depths[99], depths[1])
    }))

  it.effect("a retry without a pause does not start after a sibling has failed", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const failing = (name: string) => ({
        error: Schema.String,
        action: (_: unknown, { attempt }: Saga.StepContext) =>
          Effect.suspend(() => {
            ran.push(`${name}#${attempt}`)
            return Effect.fail(name)
          }),
        compensation: () => Effect.void
      })
      const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
        Saga.parallel((fork) => [
          fork.pipe(Saga.step("flight", { ...failing("flight"), retry: Schedule.recurs(3) })),
          fork.pipe(Saga.step("hotel", failing("hotel")))
        ])
      )
      yield* Effect.flip(Saga.run(saga, undefined))
      assert.deepStrictEqual(ran, ["flight#1", "hotel#1"])
    }))
})

describe("many items", () => {
  it.effect("a first way hands over every failure, however many there are", () =>
    Effect.gen(function*() {
      const count = 150_000
      const all = yield* Deferred.make<void>()
      let started = 0
      const saga = Saga.make("Bulk", { payload: Schema.Void }).pipe(
        Saga.orElse(
          "way",
          (fork) =>
            fork.pipe(Saga.forEach("items", {
              item: Schema.Int,
              items: () => Array.from({ length: count }, (_, index) => index),
              key: String,
              concurrency: Number.POSITIVE_INFINITY,
              each: (fork) =>
                fork.pipe(Saga.check("one", {
                  error: Schema.String,
                  action: ({ item }) => {
                    if (++started === count) Deferred.doneUnsafe(all, Effect.void)
                    return Effect.andThen(Deferred.await(all), item === 0 ? Effect.die("lost") : Effect.fail("no"))
                  }
                }))
            })),
          (fork) => fork
        )
      )
      const outcome = yield* Saga.outcome(saga, undefined)
      assert.strictEqual(outcome._tag, "Compensated")
      if (outcome._tag === "Compensated") assert.strictEqual(outcome.others.length, count - 1)
    }))

  it.effect("a stuck saga says so and is logged, however many compensations have failed", () =>
    Effect.gen(function*() {
      const count = 150_000
      const logged: Array<number> = []
      const logger = Logger.make(({ cause }) => void logged.push(cause.reasons.length))
      const saga = Saga.make("Bulk", { payload: Schema.Void }).pipe(
        Saga.forEach("items", {
          item: Schema.Int,
          items: () => Array.from({ length: count }, (_, index) => index),
          key: String,
          each: (fork) =>
            fork.pipe(Saga.step("one", {
              action: () => Effect.void,
              compensationRetry: Schedule.recurs(0),
              compensation: () => Effect.fail("no")
            }))
        }),
        Saga.check("last", { error: Schema.String, action: () => Effect.fail("refused") })
      )
      const outcome = yield* Effect.provide(Saga.outcome(saga, undefined), Logger.layer([logger]))
      assert.strictEqual(outcome._tag, "Stuck")
      assert.deepStrictEqual(logged, [count])
    }))
})
