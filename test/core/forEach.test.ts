// A branch for each item of a list: keys, paths, concurrency, failures: fault 22, rules 8 and 13.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { inFiber, Ledger, reasons, saga, throwing, trip } from "./ledger.ts"

const order = Saga.make("Order", { payload: Schema.Array(Schema.String) })

/** One step for each line of the payload. */
const lines = (
  ledger: Ledger,
  step: ReturnType<Ledger["step"]> = ledger.step(),
  options: { readonly concurrency?: number; readonly key?: (item: string) => string } = {}
) =>
  order.pipe(Saga.forEach("lines", {
    item: Schema.String,
    items: ({ payload }) => payload,
    key: (item) => item,
    ...options,
    each: (fork) => fork.pipe(Saga.step("reserve", step))
  }))

describe("F22 a forEach", () => {
  saga("of no items", (ledger) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* ledger.run(lines(ledger), []), Exit.succeed({ lines: [] }))
      assert.strictEqual(ledger.text, "")
    }))

  saga("of one item", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(lines(ledger), ["tea"])
      assert.deepStrictEqual(exit, Exit.succeed({ lines: [{ reserve: "lines/tea/reserve" }] }))
    }))

  saga(
    "goes one by one unless `concurrency` says otherwise; the results are in the order of the items",
    (ledger) =>
      Effect.gen(function*() {
        const step = ledger.step({ after: () => Effect.sleep(1) })
        const fiber = yield* ledger.start(lines(ledger, step), ["b", "a", "c"])
        assert.strictEqual(ledger.text, "+lines/b/reserve")
        yield* TestClock.adjust(3)
        const exit = yield* Fiber.await(fiber)
        assert.deepStrictEqual(
          exit,
          Exit.succeed({ lines: ["b", "a", "c"].map((key) => ({ reserve: `lines/${key}/reserve` })) })
        )
      })
  )

  saga(
    "whose items end in another order than they started: the results keep theirs",
    (ledger) =>
      Effect.gen(function*() {
        const step = ledger.step({ before: ({ path }) => Effect.sleep(path === "lines/a/reserve" ? 2 : 1) })
        const fiber = yield* ledger.start(lines(ledger, step, { concurrency: 2 }), ["a", "b"])
        yield* TestClock.adjust(2)
        assert.deepStrictEqual(
          yield* Fiber.await(fiber),
          Exit.succeed({ lines: [{ reserve: "lines/a/reserve" }, { reserve: "lines/b/reserve" }] })
        )
        assert.strictEqual(ledger.text, "+lines/b/reserve +lines/a/reserve")
      })
  )

  saga("of 10,000 items, 16 at a time, and a failure: all are compensated", (ledger) =>
    Effect.gen(function*() {
      let now = 0
      let most = 0
      const step = ledger.step({
        before: ({ path }) =>
          Effect.suspend(() => {
            most = Math.max(most, ++now)
            return path === "lines/9990/reserve" ? Effect.fail("no") : Effect.yieldNow
          }),
        after: () => Effect.sync(() => void now--)
      })
      const items = Array.from({ length: 10_000 }, (_, index) => String(index))
      assert.deepStrictEqual(
        reasons(yield* ledger.run(lines(ledger, step, { concurrency: 16 }), items)),
        [["Fail", "no"]]
      )
      assert.strictEqual(most, 16)
      const marks = ledger.text.split(" ")
      const done = marks.filter((mark) => mark.startsWith("+"))
      assert.isAtLeast(done.length, 9_990)
      assert.strictEqual(marks.filter((mark) => mark.startsWith("-")).length, done.length)
    }))

  saga("each step sees its item, and the state before", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(
        order.pipe(
          Saga.check("prefix", { success: Schema.String, action: () => Effect.succeed("to") }),
          Saga.forEach("lines", {
            item: Schema.String,
            items: ({ payload }) => payload,
            key: (item) => item,
            each: (fork) =>
              fork.pipe(Saga.check("text", {
                success: Schema.String,
                action: ({ item, payload, prefix }) => Effect.succeed(`${prefix} ${item} of ${payload.length}`)
              }))
          })
        ),
        ["a", "b"]
      )
      assert.deepStrictEqual(
        exit,
        Exit.succeed({ prefix: "to", lines: [{ text: "to a of 2" }, { text: "to b of 2" }] })
      )
    }))

  saga(
    "in a forEach: the inner item hides the outer one, paths and keys are unique",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(Saga.forEach("outer", {
          item: Schema.Array(Schema.String),
          items: () => [["a", "b"], ["a"]],
          key: (item) => String(item.length),
          each: (fork) =>
            fork.pipe(Saga.forEach("inner", {
              item: Schema.String,
              items: ({ item }) => item,
              key: (item) => item,
              each: (fork) => fork.pipe(Saga.step("step", ledger.step()))
            }))
        })))
        assert.isTrue(Exit.isSuccess(exit))
        assert.strictEqual(ledger.text, "+outer/2/inner/a/step +outer/2/inner/b/step +outer/1/inner/a/step")
      })
  )
})

describe("F22 keys", () => {
  saga(
    "two equal keys are an error before any item starts; what came before is compensated",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(
          order.pipe(
            Saga.step("first", ledger.step()),
            Saga.forEach("lines", {
              item: Schema.String,
              items: ({ payload }) => payload,
              key: (item) => item,
              each: (fork) => fork.pipe(Saga.step("reserve", ledger.step()))
            })
          ),
          ["tea", "milk", "tea"]
        )
        const [[tag, error]] = reasons(exit) as [[string, Saga.DuplicateItemKey]]
        assert.deepStrictEqual([tag, error._tag], ["Die", "DuplicateItemKey"])
        assert.strictEqual(
          error.message,
          "Saga \"Order\", forEach \"lines\": the items 0 and 2 both have the key \"tea\". " +
            "Give `key` something that is unique to each item"
        )
        assert.strictEqual(ledger.text, "+first -first")
      })
  )

  saga("a slash, a percent sign and an emoji are carried safely", (ledger) =>
    Effect.gen(function*() {
      const keys = ["a/b", "a", "a%2Fb", "%", "/", "🐢", " ", "..", "__proto__", "constructor"]
      const exit = yield* ledger.run(lines(ledger), keys)
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(new Set(ledger.text.split(" +")).size, keys.length)
      assert.include(ledger.text, "+lines/a%2Fb/reserve +lines/a/reserve +lines/a%252Fb/reserve +lines/%25/reserve")
    }))

  saga("an empty key has a segment of its own, so that no two paths are the same", (ledger) =>
    Effect.gen(function*() {
      const nested = trip.pipe(Saga.forEach("x", {
        item: Schema.String,
        items: () => ["", "x"],
        key: (item) => item,
        each: (fork) =>
          fork.pipe(Saga.forEach("x", {
            item: Schema.String,
            items: () => ["", "x"],
            key: (item) => item,
            each: (fork) => fork.pipe(Saga.step("x", ledger.step()))
          }))
      }))
      assert.isTrue(Exit.isSuccess(yield* ledger.run(nested)))
      assert.strictEqual(new Set(ledger.text.split(" +")).size, 4)
      assert.notInclude(ledger.text, "=")
    }))
})

describe("rule 13: `items` and `key` are evaluated once, before the first item starts", () => {
  saga("also when the saga unwinds", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.forEach("lines", {
          item: Schema.String,
          items: () => {
            Effect.runSync(ledger.mark("items"))
            return ["a", "b"]
          },
          key: (item) => {
            Effect.runSync(ledger.mark(`key ${item}`))
            return item
          },
          each: (fork) => fork.pipe(Saga.step("x", { ...ledger.step(), retry: Schedule.recurs(1) }))
        }),
        Saga.step("no", ledger.fails("no"))
      ))
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(ledger.text, "items key a key b +lines/a/x +lines/b/x !no -lines/b/x -lines/a/x")
    }))

  saga("a list that is changed afterwards changes nothing", (ledger) =>
    Effect.gen(function*() {
      const items = ["a", "b"]
      const exit = yield* ledger.run(trip.pipe(
        Saga.forEach("lines", {
          item: Schema.String,
          items: () => items,
          key: (item) => item,
          each: (fork) =>
            fork.pipe(Saga.check("x", {
              success: Schema.String,
              action: ({ item }) =>
                Effect.sync(() => {
                  items[1] = "changed"
                  items.push("c")
                  return item
                })
            }))
        })
      ))
      assert.deepStrictEqual(exit, Exit.succeed({ lines: [{ x: "a" }, { x: "b" }] }))
    }))

  for (const [what, options] of [["items", { items: throwing }], ["key", { key: throwing }]] as const) {
    saga(
      `\`${what}\` that throws is a defect: no item starts, what came before is compensated`,
      (ledger) =>
        Effect.gen(function*() {
          const exit = yield* ledger.run(trip.pipe(
            Saga.step("a", ledger.step()),
            Saga.forEach("lines", {
              item: Schema.String,
              items: () => ["x"],
              key: (item: string) => item,
              ...options,
              each: (fork) => fork.pipe(Saga.step("b", ledger.step()))
            })
          ))
          assert.include(String(reasons(exit)), "boom")
          assert.strictEqual(ledger.text, "+a -a")
        })
    )
  }

  saga(
    "the output of an item that throws is a defect, and its steps are compensated",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.forEach("lines", {
            item: Schema.String,
            items: () => ["x", "y"],
            key: (item) => item,
            each: (fork) => fork.pipe(Saga.step("a", ledger.step()), Saga.output(Schema.String, throwing))
          })
        ))
        assert.include(String(reasons(exit)), "boom")
        assert.strictEqual(ledger.text, "+lines/x/a -lines/x/a")
      })
  )
})

describe("rule 8: an item fails", () => {
  saga(
    "one by one: the rest does not start, what succeeded is compensated in reverse",
    (ledger) =>
      Effect.gen(function*() {
        const step = ledger.step({ before: ({ path }) => path.includes("/c/") ? Effect.fail("no") : Effect.void })
        const exit = yield* ledger.run(lines(ledger, step), ["a", "b", "c", "d"])
        assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
        assert.strictEqual(
          ledger.text,
          "+lines/a/reserve +lines/b/reserve !lines/c/reserve -lines/b/reserve -lines/a/reserve"
        )
      })
  )

  saga("concurrently: what is in flight is awaited, nothing new starts", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const step = ledger.step({
        before: ({ path }) => path.includes("/a/") ? gate.await : path.includes("/b/") ? Effect.fail("no") : Effect.void
      })
      const fiber = yield* ledger.start(lines(ledger, step, { concurrency: 2 }), ["a", "b", "c", "d"])
      yield* gate.open
      assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "no"]])
      assert.strictEqual(ledger.text, "!lines/b/reserve +lines/a/reserve -lines/a/reserve")
    }))

  it.effect("compensations of items run side by side, as many as there were items at once", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const fiber = yield* ledger.start(
        order.pipe(
          Saga.forEach("lines", {
            item: Schema.String,
            items: ({ payload }) => payload,
            key: (item) => item,
            concurrency: 2,
            each: (fork) =>
              fork.pipe(
                Saga.step("x", ledger.step({ undo: ({ path }) => Effect.andThen(ledger.stamp(path), Effect.sleep(5)) }))
              )
          }),
          Saga.step("no", ledger.fails("no"))
        ),
        ["a", "b", "c", "d"]
      )
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "no"]])
      assert.strictEqual(
        ledger.text,
        "+lines/a/x +lines/b/x +lines/c/x +lines/d/x !no lines/d/x@0 lines/c/x@0 -lines/d/x lines/b/x@5 -lines/c/x " +
          "lines/a/x@5 -lines/b/x -lines/a/x"
      )
    }))

  saga("interrupted: the item that runs is cut, the others do not start", (ledger) =>
    Effect.gen(function*() {
      const step = ledger.step({ after: ({ path }) => path.includes("/b/") ? Effect.never : Effect.void })
      const fiber = yield* ledger.start(lines(ledger, step), ["a", "b", "c"])
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(ledger.text, "+lines/a/reserve +lines/b/reserve -lines/a/reserve")
    }), inFiber.interruption)
})
