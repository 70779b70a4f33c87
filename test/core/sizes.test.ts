// Nothing, very much, very deep, very often: faults 22, 23 and 80.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Result, Schedule, Schema } from "effect"
import { Saga, SagaObserver, SagaState } from "effect-saga"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import type { Ledger } from "./ledger.ts"
import { inFiber, reasons, saga, stuckOf, trip } from "./ledger.ts"

type Any = Saga.Saga<void, unknown, unknown, unknown, string, never, "Reversible">

/** A saga that grows one node at a time, beyond what types and `pipe` can follow. */
const grown = (count: number, add: (saga: Any, index: number) => unknown): Any => {
  let saga = trip as Any
  for (let index = 0; index < count; index++) saga = add(saga, index) as Any
  return saga
}

const forced = <A>(value: unknown): A => value as A
const name = (index: number) => `s${index}` as "s"

setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void
const heapMegabytes = () => {
  collectGarbage()
  return process.memoryUsage().heapUsed / 2 ** 20
}

describe("F23 few steps", () => {
  saga("an empty saga succeeds", (ledger) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* ledger.run(trip), Exit.succeed({}))
    }))

  saga("one step that succeeds", (ledger) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* ledger.run(trip.pipe(Saga.step("a", ledger.step()))), Exit.succeed({ a: "a" }))
    }))

  saga("one step that fails", (ledger) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(reasons(yield* ledger.run(trip.pipe(Saga.step("a", ledger.fails("no"))))), [[
        "Fail",
        "no"
      ]])
      assert.strictEqual(ledger.text, "!a")
    }))
})

describe("F23 10,000 steps", () => {
  const count = 10_000
  const forward = Array.from({ length: count }, (_, index) => `+s${index}`).join(" ")
  const backward = Array.from({ length: count }, (_, index) => `-s${count - 1 - index}`).join(" ")
  /** Not by an assertion that would show the difference. */
  const same = (text: string, other: string) => assert.isTrue(text === other)
  const pauses = [["synchronous", Effect.void], ["asynchronous", Effect.yieldNow]] as const
  for (const [kind, pause] of pauses) {
    const steps = (ledger: Ledger) =>
      grown(
        count,
        (saga, index) => saga.pipe(Saga.step(name(index), ledger.step({ before: () => pause, undo: () => pause })))
      )

    saga(`${kind}: they succeed`, (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(steps(ledger))
        assert.strictEqual(Exit.isSuccess(exit) && Object.keys(exit.value as object).length, count)
        same(ledger.text, forward)
      }))

    saga(`${kind}: the last one fails, reverse order exact`, (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(steps(ledger).pipe(Saga.step("end", ledger.fails("no"))))
        assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
        same(ledger.text, `${forward} !end ${backward}`)
      }))
  }

  saga("in branches side by side", (ledger) =>
    Effect.gen(function*() {
      const wide = trip.pipe(
        Saga.parallel((fork) =>
          Array.from({ length: count }, (_, index) => fork.pipe(Saga.step(name(index), ledger.step())))
        ),
        Saga.step("end", ledger.fails("no"))
      )
      assert.deepStrictEqual(reasons(yield* ledger.run(wide)), [["Fail", "no"]])
      const [done, undone] = ledger.text.split(" !end ").map((marks) => marks.split(" ").sort())
      same(done!.join(), forward.split(" ").sort().join())
      same(undone!.join(), backward.split(" ").sort().join())
    }))

  saga("interrupted behind the last one", (ledger) =>
    Effect.gen(function*() {
      const reached = yield* Latch.make()
      const long = grown(count, (saga, index) => saga.pipe(Saga.step(name(index), ledger.step())))
      const fiber = yield* ledger.start(long.pipe(
        Saga.check("end", { action: () => Effect.andThen(reached.open, Effect.never) })
      ))
      yield* reached.await
      yield* Fiber.interrupt(fiber)
      same(ledger.text, `${forward} ${backward}`)
    }), inFiber.interruption)
})

describe("F22 F23 a forEach of 100,000 items", () => {
  const items = Array.from({ length: 100_000 }, (_, index) => String(index))
  for (const concurrency of [1, 16, Infinity]) {
    it.effect(`${concurrency} at a time: no stack overflow, reverse order exact`, () =>
      Effect.gen(function*() {
        const [done, undone]: [Array<string>, Array<string>] = [[], []]
        const exit = yield* Effect.exit(Saga.run(
          Saga.make("Many", { payload: Schema.Array(Schema.String) }).pipe(
            Saga.forEach("items", {
              item: Schema.String,
              items: ({ payload }) => payload,
              key: (item) => item,
              concurrency,
              each: (fork) =>
                fork.pipe(Saga.step("step", {
                  action: ({ item }) => Effect.sync(() => void done.push(item)),
                  compensation: (_, { item }) => Effect.sync(() => void undone.push(item))
                }))
            }),
            Saga.check("end", { error: Schema.String, action: () => Effect.fail("no") })
          ),
          items
        ))
        assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
        // Side by side fibers take turns.
        const order = (list: Array<string>) => concurrency === 1 ? list : list.sort((a, b) => Number(a) - Number(b))
        assert.isTrue(order(done).join() === items.join())
        assert.isTrue(order(undone.reverse()).join() === items.join())
      }))
  }
})

describe("F23 deep", () => {
  const deep = (depth: number, leaf: Any, wrap: (inner: Any) => unknown): Any => {
    let saga = leaf
    for (let level = 0; level < depth; level++) saga = wrap(saga) as Any
    return saga
  }

  saga("1,000 nested sagas", (ledger) =>
    Effect.gen(function*() {
      const inner = deep(
        1_000,
        forced(trip.pipe(Saga.step("leaf", ledger.step()))),
        (inner) => trip.pipe(Saga.nested("in", inner, () => {}))
      )
      const exit = yield* ledger.run(inner.pipe(Saga.step("end", ledger.fails("no"))))
      assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
      assert.match(ledger.text, /^\+(in\/){1000}leaf !end -(in\/){1000}leaf$/)
    }))

  saga("100 save-points, each in the second way of the one before", (ledger) =>
    Effect.gen(function*() {
      const inner = deep(
        100,
        forced(trip.pipe(Saga.step("leaf", ledger.step()))),
        (inner) =>
          trip.pipe(Saga.orElse(
            "way",
            (fork) => fork.pipe(Saga.check("no", { error: Schema.String, action: () => Effect.fail("no") })),
            (fork) => fork.pipe(Saga.nested("in", inner, () => {}))
          ))
      )
      const exit = yield* ledger.run(inner.pipe(Saga.step("end", ledger.fails("no"))))
      assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
      assert.match(ledger.text, /^\+(way\/second\/in\/){100}leaf !end -(way\/second\/in\/){100}leaf$/)
    }))
})

it.effect("the facts of 16,000 save-points fold", () =>
  Effect.gen(function*() {
    const refused = Saga.check("no", { error: Schema.String, action: () => Effect.fail("no") })
    const [, facts] = yield* SagaObserver.collect(Saga.outcome(
      trip.pipe(Saga.forEach("items", {
        item: Schema.Int,
        items: () => Array.from({ length: 16_000 }, (_, index) => index),
        key: String,
        each: (fork) => fork.pipe(Saga.orElse("way", (first) => first.pipe(refused), (second) => second))
      })),
      undefined
    ))
    assert.strictEqual(Result.getOrThrow(SagaState.fold(facts)).status, "Succeeded")
  }), 15_000)

describe("memory stays flat", () => {
  const times = 100_000
  /** The heap after a few of many calls, and after nearly all of them. */
  const watch = () => {
    const seen = { calls: 0, early: 0, late: 0 }
    return Object.assign(seen, {
      call: Effect.sync(() => {
        seen.calls++
        if (seen.calls === 1_000) seen.early = heapMegabytes()
        if (seen.calls === times - 1) seen.late = heapMegabytes()
      })
    })
  }

  it.effect("100,000 attempts of a retriable", () =>
    Effect.gen(function*() {
      const heap = watch()
      yield* Saga.run(
        trip.pipe(Saga.retriable("a", {
          error: Schema.String,
          retry: Schedule.forever,
          action: () =>
            Effect.andThen(heap.call, Effect.suspend(() => heap.calls < times ? Effect.fail("busy") : Effect.void))
        })),
        undefined
      )
      assert.strictEqual(heap.calls, times)
      assert.isBelow(heap.late - heap.early, 5)
    }))

  it.effect("100,000 tries of a compensation", () =>
    Effect.gen(function*() {
      const heap = watch()
      const exit = yield* Effect.exit(Saga.run(
        trip.pipe(
          Saga.step("a", {
            action: () => Effect.void,
            compensation: () =>
              Effect.andThen(heap.call, Effect.suspend(() => heap.calls < times ? Effect.fail("busy") : Effect.void)),
            compensationRetry: Schedule.forever
          }),
          Saga.check("b", { error: Schema.String, action: () => Effect.fail("no") })
        ),
        undefined
      ))
      assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
      assert.isBelow(heap.late - heap.early, 5)
    }))

  it.effect("100,000 compensations that fail", () =>
    Effect.gen(function*() {
      const heap = watch()
      const exit = yield* Effect.exit(Saga.run(
        trip.pipe(
          Saga.forEach("items", {
            item: Schema.Int,
            items: () => Array.from({ length: times }, (_, index) => index),
            key: String,
            each: (fork) =>
              fork.pipe(Saga.step("a", {
                action: () => Effect.void,
                compensation: () => Effect.andThen(heap.call, Effect.fail("busy"))
              }))
          }),
          Saga.check("b", { error: Schema.String, action: () => Effect.fail("no") }),
          Saga.unwind({ retry: Schedule.recurs(0) }),
          Saga.onStuck(() => Effect.void)
        ),
        undefined
      ))
      assert.strictEqual(stuckOf(exit).failures.length, times)
      // What is reported of each failure is kept: its path and its cause.
      assert.isBelow(heap.late - heap.early, 60)
    }))

  it.live("F80 100,000 sequential sagas: heap back to its start, no timers left", () =>
    Effect.gen(function*() {
      const step = { action: () => Effect.void, compensation: () => Effect.void }
      const limited = { ...step, timeout: "1 hour", whenUncertain: "report" } as const
      const ends = [
        Effect.void,
        Effect.fail("no"),
        Effect.die("boom"),
        Effect.andThen(Effect.yieldNow, Effect.interrupt)
      ]
      const every = Saga.make("Every", { payload: Schema.Int }).pipe(
        Saga.step("a", { ...limited, action: () => Effect.yieldNow }),
        Saga.parallel((fork) => [fork.pipe(Saga.step("b", step)), fork.pipe(Saga.step("c", limited))]),
        Saga.orElse(
          "way",
          (fork) => fork.pipe(Saga.check("no", { error: Schema.String, action: () => Effect.fail("no") })),
          (fork) => fork.pipe(Saga.step("d", step))
        ),
        Saga.check("end", { error: Schema.String, action: ({ payload }) => ends[payload % ends.length]! }),
        Saga.timeout("1 hour")
      )
      const timers = () => process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length
      const run = (count: number) =>
        Effect.gen(function*() {
          for (let index = 0; index < count; index++) yield* Effect.exit(Saga.run(every, index))
        })
      yield* run(2_000)
      const before = { heap: heapMegabytes(), timers: timers() }
      yield* run(100_000)
      assert.isBelow(heapMegabytes() - before.heap, 3)
      // The runner has a timer of its own now and then, which may have ended meanwhile.
      assert.isAtMost(timers(), before.timers)
    }), 120_000)
})
