// Compensations that fail, die, hang or ignore their limit, their schedules and services: rule 6, faults 9 to 11, 18.
import { assert, describe } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Latch, Layer, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import type { Ledger } from "./ledger.ts"
import { reasons, saga, stuckOf, trip } from "./ledger.ts"

/** Three steps and a failure; the compensation of the second one is special. */
const broken = (ledger: Ledger, undo: (context: Saga.CompensationContext) => Effect.Effect<unknown, unknown>) =>
  trip.pipe(
    Saga.step("a", ledger.step()),
    Saga.step("b", ledger.step({ undo })),
    Saga.step("c", ledger.step()),
    Saga.step("d", ledger.fails("no"))
  )

describe("F9 a compensation fails", () => {
  saga(
    "it is tried five times, 100, 200, 400 and 800 ms apart; the earlier ones still run; both errors are kept",
    (ledger) =>
      Effect.gen(function*() {
        const undo = ({ attempt }: Saga.CompensationContext) =>
          Effect.andThen(ledger.stamp(`try ${attempt}`), Effect.fail(`busy ${attempt}`))
        const fiber = yield* ledger.start(broken(ledger, undo))
        yield* TestClock.adjust("1 hour")
        const exit = yield* Fiber.await(fiber)
        assert.strictEqual(ledger.text, "+a +b +c !d -c try 1@0 try 2@100 try 3@300 try 4@700 try 5@1500 -a")
        const error = stuckOf(exit)
        assert.deepStrictEqual([error.saga, error.reason], ["Trip", "CompensationFailed"])
        assert.deepStrictEqual(reasons(Exit.failCause(error.original)), [["Fail", "no"]])
        assert.deepStrictEqual(
          error.failures.map(({ attempts, cause, path }) => [path, attempts, Cause.squash(cause)]),
          [["b", 5, "busy 5"]]
        )
        assert.deepStrictEqual(error.compensated, ["c", "a"])
        assert.deepStrictEqual(error.uncompensated, ["b"])
        assert.deepStrictEqual(error.uncertain, [])
        assert.match(
          error.message,
          /^Saga "Trip" \([0-9a-f]{32}\) is stuck: the compensation of "b" failed 5 times\. Still in place: b\. Undo this by hand, in this order$/
        )
      })
  )

  saga("a later try succeeds: compensated, all tries with one key", (ledger) =>
    Effect.gen(function*() {
      const keys: Array<string> = []
      const undo = ({ actionKey, attempt, idempotencyKey }: Saga.CompensationContext) =>
        Effect.suspend(() => {
          keys.push(actionKey, idempotencyKey)
          return attempt < 3 ? Effect.fail("busy") : Effect.void
        })
      const fiber = yield* ledger.start(broken(ledger, undo))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "no"]])
      assert.strictEqual(ledger.text, "+a +b +c !d -c -b -a")
      assert.deepStrictEqual([keys.length, new Set(keys).size], [6, 2])
    }))

  saga(
    "every one of them: each is listed, in the order in which they have to be undone",
    (ledger) =>
      Effect.gen(function*() {
        const bad = ledger.step({ undo: ({ path }) => Effect.fail(path) })
        const exit = yield* ledger.run(trip.pipe(
          Saga.step("a", bad),
          Saga.step("b", bad),
          Saga.step("c", ledger.fails("no")),
          Saga.unwind({ retry: Schedule.recurs(0) })
        ))
        const { compensated, failures, uncompensated } = stuckOf(exit)
        assert.deepStrictEqual(failures.map(({ attempts, path }) => [path, attempts]), [["b", 1], ["a", 1]])
        assert.deepStrictEqual([compensated, uncompensated], [[], ["b", "a"]])
      })
  )

  saga("the caller can catch it by its tag", (ledger) =>
    Effect.gen(function*() {
      const saga = broken(ledger, () => Effect.fail("busy")).pipe(Saga.unwind({ retry: Schedule.recurs(0) }))
      const caught = yield* ledger.observe(Saga.run(saga, undefined)).pipe(
        Effect.catchTag("CompensationFailed", (error) => Effect.succeed(error.uncompensated))
      )
      assert.deepStrictEqual(caught, ["b"])
    }))
})

describe("F10 a compensation dies", () => {
  const deaths: ReadonlyArray<readonly [string, () => Effect.Effect<never>, string]> = [
    ["a defect", () => Effect.die("boom"), "boom"],
    ["a throw", () => Effect.sync(() => thrown("boom")), "boom"],
    ["a compensation that throws", () => thrown("boom"), "boom"],
    ["an asynchronous defect", () => Effect.andThen(Effect.yieldNow, Effect.die("boom")), "boom"]
  ]
  const thrown = (defect: unknown): never => {
    throw defect
  }
  for (const [what, undo, defect] of deaths) {
    saga(`${what}: as a failure, no loop`, (ledger) =>
      Effect.gen(function*() {
        let tries = 0
        const fiber = yield* ledger.start(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.step("b", {
            action: () => Effect.void,
            compensation: () => {
              tries++
              return undo()
            }
          }),
          Saga.step("c", ledger.fails("no"))
        ))
        yield* TestClock.adjust("1 hour")
        const error = stuckOf(yield* Fiber.await(fiber))
        assert.deepStrictEqual(error.failures.map(({ cause, path }) => [path, Cause.squash(cause)]), [["b", defect]])
        assert.strictEqual(tries, 5)
        assert.strictEqual(ledger.text, "+a !c -a")
      }))
  }

  saga("one that interrupts itself: as a failure", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(broken(ledger, () => Effect.interrupt))
      yield* TestClock.adjust("1 hour")
      const error = stuckOf(yield* Fiber.await(fiber))
      assert.deepStrictEqual(error.failures.map(({ attempts, path }) => [path, attempts]), [["b", 5]])
      assert.isTrue(Cause.hasInterruptsOnly(error.failures[0]!.cause))
      assert.strictEqual(ledger.text, "+a +b +c !d -c -a")
    }))

  saga("what it left to say with its defect is kept", (ledger) =>
    Effect.gen(function*() {
      const undo = () => Effect.onExit(Effect.fail("first"), () => Effect.fail("second"))
      const saga = broken(ledger, undo).pipe(Saga.unwind({ retry: Schedule.recurs(0) }))
      const error = stuckOf(yield* ledger.run(saga))
      assert.deepStrictEqual(
        reasons(Exit.failCause(error.failures[0]!.cause)),
        [["Fail", "first"], ["Fail", "second"]]
      )
    }))
})

describe("F11 a compensation hangs", () => {
  saga(
    "it is cut off after 30 seconds, five times; the others run and the run ends",
    (ledger) =>
      Effect.gen(function*() {
        const undo = ({ attempt }: Saga.CompensationContext) =>
          Effect.andThen(ledger.stamp(`try ${attempt}`), Effect.never)
        const fiber = yield* ledger.start(broken(ledger, undo))
        yield* TestClock.adjust(151_499)
        assert.strictEqual(
          ledger.text,
          "+a +b +c !d -c try 1@0 try 2@30100 try 3@60300 try 4@90700 try 5@121500"
        )
        yield* TestClock.adjust(1)
        const error = stuckOf(yield* Fiber.await(fiber))
        assert.deepStrictEqual(reasons(Exit.failCause(error.failures[0]!.cause)), [
          ["Die", new Saga.CompensationTimedOut({ path: "b", limitMillis: 30_000, abandoned: false })]
        ])
        assert.deepStrictEqual(error.compensated, ["c", "a"])
      })
  )

  saga(
    "`compensationTimeout` is the limit of each try, and its schedule sees CompensationTimedOut",
    (ledger) =>
      Effect.gen(function*() {
        const seen: Array<unknown> = []
        const compensationRetry = Schedule.recurs(1).pipe(
          Schedule.setInputType<unknown>(),
          Schedule.tap(({ input }) => Effect.sync(() => seen.push(input)))
        )
        const fiber = yield* ledger.start(trip.pipe(
          Saga.step("a", {
            ...ledger.step({ undo: ({ attempt }) => attempt === 1 ? Effect.never : Effect.void }),
            compensationTimeout: 5,
            compensationRetry
          }),
          Saga.step("b", ledger.fails("no"))
        ))
        yield* TestClock.adjust(4)
        assert.deepStrictEqual(seen, [])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "no"]])
        assert.deepStrictEqual(seen, [new Saga.CompensationTimedOut({ path: "a", limitMillis: 5, abandoned: false })])
        assert.strictEqual(ledger.text, "+a !b -a")
      })
  )

  saga("a try that ends in time leaves no limit behind", (ledger) =>
    Effect.gen(function*() {
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step({ undo: () => Effect.sleep("29 seconds") })),
        Saga.step("b", ledger.step({ undo: () => Effect.sleep("29 seconds") })),
        Saga.step("c", ledger.fails("no"))
      ))
      yield* TestClock.adjust("58 seconds")
      assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "no"]])
      assert.strictEqual(ledger.text, "+a +b !c -b -a")
    }))

  saga(
    "one that ignores its interruption is abandoned a second later, and said to be",
    (ledger) =>
      Effect.gen(function*() {
        const fiber = yield* ledger.start(
          broken(ledger, () => Effect.uninterruptible(Effect.never)).pipe(Saga.unwind({ retry: Schedule.recurs(0) }))
        )
        yield* TestClock.adjust(30_999)
        assert.strictEqual(ledger.text, "+a +b +c !d -c")
        yield* TestClock.adjust(1)
        const error = stuckOf(yield* Fiber.await(fiber))
        assert.deepStrictEqual(reasons(Exit.failCause(error.failures[0]!.cause)), [
          ["Die", new Saga.CompensationTimedOut({ path: "b", limitMillis: 30_000, abandoned: true })]
        ])
        assert.strictEqual(ledger.text, "+a +b +c !d -c -a")
      })
  )

  saga("one that was abandoned and ends after all moves nothing", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const slow = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.step("b", ledger.step({ undo: () => slow.await })),
        Saga.step("c", {
          action: () => Effect.void,
          compensation: (_, __, { attempt }) =>
            attempt === 1 ? Effect.uninterruptible(gate.await) : ledger.mark(`try ${attempt}`),
          compensationTimeout: 10
        }),
        Saga.step("d", ledger.fails("no"))
      ))
      yield* TestClock.adjust(1_110)
      assert.strictEqual(ledger.text, "+a +b !d try 2")
      // The first try of c ends while b is being compensated.
      yield* gate.open
      yield* TestClock.adjust(0)
      assert.strictEqual(ledger.text, "+a +b !d try 2")
      yield* slow.open
      assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "no"]])
      assert.strictEqual(ledger.text, "+a +b !d try 2 -b -a")
    }))

  saga("one whose finalizers end within that second is not abandoned", (ledger) =>
    Effect.gen(function*() {
      const undo = () => Effect.onInterrupt(Effect.never, () => Effect.andThen(Effect.sleep(999), Effect.die("late")))
      const fiber = yield* ledger.start(broken(ledger, undo).pipe(Saga.unwind({ retry: Schedule.recurs(0) })))
      yield* TestClock.adjust(30_999)
      const error = stuckOf(yield* Fiber.await(fiber))
      assert.deepStrictEqual(reasons(Exit.failCause(error.failures[0]!.cause)), [
        ["Die", new Saga.CompensationTimedOut({ path: "b", limitMillis: 30_000, abandoned: false })],
        ["Die", "late"]
      ])
    }))
})

describe("rule 6: which schedule a compensation has", () => {
  saga("the step's, else the nested saga's, else the saga's", (ledger) =>
    Effect.gen(function*() {
      const bad = ledger.step({ undo: () => Effect.fail("busy") })
      const inner = trip.pipe(Saga.step("b", bad), Saga.unwind({ retry: Schedule.recurs(1) }))
      const plain = trip.pipe(Saga.step("c", bad))
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", bad),
        Saga.nested("in", inner, () => {}),
        Saga.nested("plain", plain, () => {}),
        Saga.step("d", { ...bad, compensationRetry: Schedule.recurs(0) }),
        Saga.step("e", ledger.fails("no")),
        Saga.unwind({ retry: Schedule.recurs(2) })
      ))
      assert.deepStrictEqual(
        stuckOf(exit).failures.map(({ attempts, path }) => [path, attempts]),
        [["d", 1], ["plain/c", 3], ["in/b", 2], ["a", 3]]
      )
    }))

  saga("it is given the error, the defect, or CompensationTimedOut", (ledger) =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const retry = Schedule.recurs(3).pipe(
        Schedule.setInputType<unknown>(),
        Schedule.tap(({ input }) => Effect.sync(() => seen.push(input)))
      )
      const tries = [Effect.fail("busy"), Effect.die("boom"), Effect.never, Effect.void]
      const fiber = yield* ledger.start(
        broken(ledger, ({ attempt }) => tries[attempt - 1]!).pipe(Saga.unwind({ retry }))
      )
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "no"]])
      const timedOut = new Saga.CompensationTimedOut({ path: "b", limitMillis: 30_000, abandoned: false })
      assert.deepStrictEqual(seen, ["busy", "boom", timedOut])
    }))

  saga("one that dies gives the compensation up, and keeps both causes", (ledger) =>
    Effect.gen(function*() {
      const retry = Schedule.forever.pipe(Schedule.tap(() => Effect.die("schedule")))
      const error = stuckOf(yield* ledger.run(broken(ledger, () => Effect.fail("busy")).pipe(Saga.unwind({ retry }))))
      assert.deepStrictEqual(
        reasons(Exit.failCause(error.failures[0]!.cause)),
        [["Fail", "busy"], ["Die", "schedule"]]
      )
      assert.strictEqual(ledger.text, "+a +b +c !d -c -a")
    }))

  saga(
    "after the deadline of the unwind no try is repeated, but each compensation has its one",
    (ledger) =>
      Effect.gen(function*() {
        const undo = ({ attempt, path }: Saga.CompensationContext) =>
          Effect.andThen(ledger.stamp(`${path}${attempt}`), Effect.fail("busy"))
        const fiber = yield* ledger.start(trip.pipe(
          Saga.step("a", ledger.step({ undo })),
          Saga.step("b", ledger.step({ undo })),
          Saga.step("c", ledger.fails("no")),
          Saga.unwind({ retry: Schedule.spaced("1 second"), deadline: 1_500 })
        ))
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(stuckOf(yield* Fiber.await(fiber)).uncompensated, ["b", "a"])
        assert.strictEqual(ledger.text, "+a +b !c b1@0 b2@1000 b3@2000 a1@2000")
      })
  )
})

describe("F18 services of a compensation", () => {
  class Shop extends Context.Service<Shop, { readonly open: () => boolean; readonly name: string }>()("Shop") {}

  saga("are those of the run, and their scope is still open", (ledger) =>
    Effect.gen(function*() {
      let open = true
      const layer = Layer.effect(
        Shop,
        Effect.acquireRelease(
          Effect.sync(() => ({ open: () => open, name: "corner" })),
          () => Effect.andThen(ledger.mark("closed"), Effect.sync(() => void (open = false)))
        )
      )
      const saga = trip.pipe(
        Saga.step("a", {
          success: Schema.String,
          action: () => Shop.useSync((shop) => shop.name),
          compensation: (name) => Shop.use((shop) => ledger.mark(`${name} ${shop.name} ${shop.open()}`))
        }),
        Saga.step("b", ledger.fails("no"))
      )
      const fiber = yield* Effect.forkChild(Effect.provide(ledger.observe(Saga.run(saga, undefined)), layer))
      yield* Fiber.await(fiber)
      assert.strictEqual(ledger.text, "!b corner corner true closed")
    }))

  saga("also when the run is interrupted", (ledger) =>
    Effect.gen(function*() {
      const saga = trip.pipe(
        Saga.step("a", {
          action: () => Effect.void,
          compensation: () =>
            Effect.andThen(Effect.yieldNow, Shop.use((shop) => ledger.mark(`${shop.name} ${shop.open()}`)))
        }),
        Saga.step("b", ledger.silent())
      )
      const fiber = yield* Effect.forkChild(
        Effect.provideService(ledger.observe(Saga.run(saga, undefined)), Shop, { open: () => true, name: "corner" }),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(ledger.text, "+b corner true")
    }))

  saga("a service that an action is given for itself is not its compensation's", (ledger) =>
    Effect.gen(function*() {
      const name = Shop.useSync((shop) => shop.name)
      const saga = trip.pipe(
        Saga.step("a", {
          success: Schema.String,
          action: () => Effect.provideService(name, Shop, { open: () => true, name: "other" }),
          compensation: (given) => Effect.flatMap(name, (own) => ledger.mark(`${given} ${own}`))
        }),
        Saga.step("b", ledger.fails("no"))
      )
      const own = Effect.provideService(ledger.observe(Saga.run(saga, undefined)), Shop, {
        open: () => true,
        name: "corner"
      })
      yield* Effect.exit(own)
      assert.strictEqual(ledger.text, "!b other corner")
    }))
})
