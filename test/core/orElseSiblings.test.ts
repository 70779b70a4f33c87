// A save-point among siblings: its unwind is local, and what fails beside it stops it: rules 8 and 9.
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, HashMap, Latch, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { inFiber, reasons, saga, settle, trip } from "./ledger.ts"

describe("an orElse among siblings", () => {
  saga("its unwind is local: siblings go on meanwhile", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.parallel((fork) => [
          fork.pipe(Saga.orElse(
            "way",
            (inner) =>
              inner.pipe(Saga.step("a", ledger.step({ undo: () => gate.await })), Saga.step("b", ledger.fails("no"))),
            (inner) => inner.pipe(Saga.step("c", ledger.step()))
          )),
          fork.pipe(Saga.step("d", ledger.step({ before: () => Effect.yieldNow })), Saga.step("e", ledger.step()))
        ])
      ))
      yield* settle
      assert.strictEqual(ledger.text, "+way/first/a !way/first/b +d +e")
      yield* gate.open
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
      assert.strictEqual(ledger.text, "+way/first/a !way/first/b +d +e -way/first/a +way/second/c")
    }), inFiber.together)

  saga(
    "a sibling fails during its first way: no step of it starts any more, and no second way",
    (ledger) =>
      Effect.gen(function*() {
        const [bad, gate] = [yield* Latch.make(), yield* Latch.make()]
        const fiber = yield* ledger.start(trip.pipe(
          Saga.parallel((fork) => [
            fork.pipe(Saga.orElse(
              "way",
              (inner) =>
                inner.pipe(
                  Saga.step("a", ledger.step()),
                  Saga.step("b", ledger.step({ before: () => Effect.andThen(gate.await, Effect.fail("first")) }))
                ),
              (inner) => inner.pipe(Saga.step("c", ledger.step()))
            )),
            fork.pipe(Saga.step("d", ledger.step({ before: () => Effect.andThen(bad.await, Effect.fail("no")) })))
          ])
        ))
        yield* bad.open
        yield* settle
        yield* gate.open
        const exit = yield* Fiber.await(fiber)
        assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
        assert.strictEqual(ledger.text, "+way/first/a !d !way/first/b -way/first/a")
        assert.notInclude(ledger.told, "FellBack way")
      })
  )

  saga(
    "a sibling fails during its local unwind: that finishes, and there is no second way",
    (ledger) =>
      Effect.gen(function*() {
        const [bad, gate] = [yield* Latch.make(), yield* Latch.make()]
        const fiber = yield* ledger.start(trip.pipe(
          Saga.parallel((fork) => [
            fork.pipe(Saga.orElse(
              "way",
              (inner) =>
                inner.pipe(
                  Saga.step("a", ledger.step({ undo: () => gate.await })),
                  Saga.step("b", ledger.fails("first"))
                ),
              (inner) => inner.pipe(Saga.step("c", ledger.step()))
            )),
            fork.pipe(Saga.step("d", ledger.step({ before: () => Effect.andThen(bad.await, Effect.fail("no")) })))
          ])
        ))
        yield* bad.open
        yield* settle
        yield* gate.open
        const exit = yield* Fiber.await(fiber)
        assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
        assert.strictEqual(ledger.text, "+way/first/a !way/first/b !d -way/first/a")
      })
  )

  saga("waits inside the first way are cut by a failing sibling outside", (ledger) =>
    Effect.gen(function*() {
      const bad = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.parallel((fork) => [
          fork.pipe(Saga.orElse(
            "way",
            (inner) =>
              inner.pipe(
                Saga.step("a", ledger.step()),
                Saga.parallel((deep) => [
                  deep.pipe(Saga.sleep("night", "8 hours")),
                  deep.pipe(Saga.step("b", { ...ledger.fails("busy"), retry: Schedule.spaced("1 hour") }))
                ])
              ),
            (inner) => inner.pipe(Saga.step("c", ledger.step()))
          )),
          fork.pipe(Saga.step("d", ledger.step({ before: () => Effect.andThen(bad.await, Effect.fail("no")) })))
        ])
      ))
      yield* bad.open
      assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Fail", "no"]])
      assert.strictEqual(ledger.text, "+way/first/a !way/first/b !d -way/first/a")
    }))

  saga(
    "a parallel in the first way: its siblings are awaited, all is unwound, then the second way",
    (ledger) =>
      Effect.gen(function*() {
        const gate = yield* Latch.make()
        const fiber = yield* ledger.start(trip.pipe(Saga.orElse(
          "way",
          (fork) =>
            fork.pipe(Saga.parallel((inner) => [
              inner.pipe(Saga.step("a", ledger.step({ before: () => gate.await })), Saga.step("b", ledger.step())),
              inner.pipe(Saga.sleep("night", "8 hours")),
              inner.pipe(Saga.step("c", ledger.step()), Saga.step("d", ledger.fails("no")))
            ])),
          (fork) => fork.pipe(Saga.step("e", ledger.step()))
        )))
        yield* gate.open
        assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed({ way: { e: "way/second/e" } }))
        assert.strictEqual(
          ledger.text,
          "+way/first/c !way/first/d +way/first/a -way/first/c -way/first/a +way/second/e"
        )
        if (ledger.observed) assert.strictEqual(HashMap.size(ledger.state.timers), 0, "a timer of the first way is set")
      })
  )

  saga("a defect in it stops its siblings at once", (ledger) =>
    Effect.gen(function*() {
      const [bad, gate] = [yield* Latch.make(), yield* Latch.make()]
      const fiber = yield* ledger.start(trip.pipe(
        Saga.parallel((fork) => [
          fork.pipe(Saga.orElse(
            "way",
            (inner) => inner.pipe(Saga.check("a", { action: () => Effect.andThen(bad.await, Effect.die("boom")) })),
            (inner) => inner
          )),
          fork.pipe(Saga.step("b", ledger.step({ before: () => gate.await })), Saga.step("c", ledger.step())),
          fork.pipe(Saga.sleep("night", "8 hours"))
        ])
      ))
      yield* bad.open
      yield* settle
      yield* gate.open
      assert.deepStrictEqual(reasons(yield* Fiber.await(fiber)), [["Die", "boom"]])
      assert.strictEqual(ledger.text, "+b -b")
    }))

  saga(
    "a parallel in an orElse in a forEach: each item falls back alone, the others go on",
    (ledger) =>
      Effect.gen(function*() {
        const exit = yield* ledger.run(trip.pipe(
          Saga.forEach("items", {
            item: Schema.String,
            items: () => ["x", "y"],
            key: (item) => item,
            concurrency: 2,
            each: (fork) =>
              fork.pipe(Saga.orElse(
                "way",
                (fork) =>
                  fork.pipe(Saga.parallel((inner) => [
                    inner.pipe(Saga.step("a", ledger.step())),
                    inner.pipe(Saga.step(
                      "b",
                      ledger.step({
                        before: ({ path }) => path.includes("/x/") ? Effect.fail("no") : Effect.yieldNow
                      })
                    ))
                  ])),
                (fork) => fork.pipe(Saga.step("c", ledger.step()))
              ))
          }),
          Saga.step("end", ledger.fails("late"))
        ))
        assert.deepStrictEqual(reasons(exit), [["Fail", "late"]])
        const marks = ledger.text.split(" ")
        assert.sameMembers(marks.slice(0, marks.indexOf("!end")), [
          "+items/x/way/first/a",
          "!items/x/way/first/b",
          "-items/x/way/first/a",
          "+items/x/way/second/c",
          "+items/y/way/first/a",
          "+items/y/way/first/b"
        ])
        assert.sameMembers(marks.slice(marks.indexOf("!end") + 1), [
          "-items/x/way/second/c",
          "-items/y/way/first/b",
          "-items/y/way/first/a"
        ])
      })
  )

  saga("in a forEach in an orElse: parallel, nested and forEach unwind as one", (ledger) =>
    Effect.gen(function*() {
      const inner = Saga.make("Inner", { payload: Schema.String }).pipe(
        Saga.step("a", ledger.step()),
        Saga.parallel((fork) => [fork.pipe(Saga.step("b", ledger.step())), fork.pipe(Saga.step("c", ledger.step()))])
      )
      const exit = yield* ledger.run(trip.pipe(Saga.orElse(
        "way",
        (fork) =>
          fork.pipe(
            Saga.forEach("items", {
              item: Schema.String,
              items: () => ["x", "y"],
              key: (item) => item,
              each: (fork) => fork.pipe(Saga.nested("in", inner, ({ item }) => item))
            }),
            Saga.step("d", ledger.fails("no"))
          ),
        (fork) => fork.pipe(Saga.step("e", ledger.step()))
      )))
      assert.deepStrictEqual(exit, Exit.succeed({ way: { e: "way/second/e" } }))
      const at = (key: string, name: string) => `way/first/items/${key}/in/${name}`
      assert.strictEqual(
        ledger.text,
        [
          ...["a", "b", "c"].map((name) => `+${at("x", name)}`),
          ...["a", "b", "c"].map((name) => `+${at("y", name)}`),
          "!way/first/d",
          ...["c", "b", "a"].map((name) => `-${at("y", name)}`),
          ...["c", "b", "a"].map((name) => `-${at("x", name)}`),
          "+way/second/e"
        ].join(" ")
      )
    }))
})
