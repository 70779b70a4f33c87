// Past the commit point: interruptions, throws, nested sagas. Forward only, and what is left is named: rule 11, fault 26.
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Latch, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import type { Ledger } from "./ledger.ts"
import { inFiber, leftOf, reasons, saga, settle, throwing, trip } from "./ledger.ts"

describe("F26 after the commit point: forward only", () => {
  saga("an interruption waits for the running attempt, then names what is left", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.pivot("b", ledger.action()),
        Saga.retriable("c", ledger.retriable({ before: () => gate.await })),
        Saga.retriable("d", ledger.retriable()),
        Saga.onStuck(({ error }) => ledger.mark("left" in error ? `left ${error.left.join()}` : error._tag))
      ))
      const interrupt = Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      const interruption = yield* interrupt
      yield* interrupt
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.strictEqual(ledger.text, "+a +b +c left d")
      if (ledger.observed) assert.strictEqual(ledger.state.status, "Stuck")
    }), inFiber.interruption)

  saga(
    "an interruption during the last retriable: nothing is left, so it has succeeded",
    (ledger) =>
      Effect.gen(function*() {
        const gate = yield* Latch.make()
        const fiber = yield* ledger.start(trip.pipe(
          Saga.pivot("a", ledger.action()),
          Saga.retriable("b", ledger.retriable({ before: () => gate.await })),
          Saga.onStuck(() => ledger.mark("stuck"))
        ))
        const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* gate.open
        yield* Fiber.await(interruption)
        assert.strictEqual(ledger.text, "+a +b")
        if (ledger.observed) assert.strictEqual(ledger.state.status, "Succeeded")
      }),
    inFiber.interruption
  )

  saga("so it has when the last ones were side by side", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.pivot("a", ledger.action()),
        Saga.parallel((fork) => [
          fork.pipe(Saga.retriable("b", ledger.retriable({ before: () => gate.await }))),
          fork.pipe(Saga.retriable("c", ledger.retriable({ before: () => gate.await })))
        ]),
        Saga.onStuck(({ error }) => ledger.mark("left" in error ? `left ${error.left.join()}` : error._tag))
      ))
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* settle
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.strictEqual(ledger.text, "+a +b +c")
    }), inFiber.interruption)

  saga(
    "an interruption cuts a retry delay and a sleep; both are followed by what is left",
    (ledger) =>
      Effect.gen(function*() {
        const fiber = yield* ledger.start(trip.pipe(
          Saga.pivot("a", ledger.action()),
          Saga.parallel((fork) => [
            fork.pipe(
              Saga.retriable("b", {
                ...ledger.action({ before: () => Effect.fail("busy") }),
                retry: Schedule.spaced("1 hour")
              })
            ),
            fork.pipe(Saga.sleep("night", "8 hours"), Saga.retriable("c", ledger.retriable()))
          ]),
          Saga.onStuck(({ error }) => ledger.mark("left" in error ? `left ${error.left.join()}` : error._tag))
        ))
        yield* settle
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(ledger.text, "+a !b left b,c")
      }),
    inFiber.interruption
  )

  saga("an interruption in a forEach: items that have not started are left too", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.pivot("a", ledger.action()),
        Saga.forEach("mails", {
          item: Schema.String,
          items: () => ["v", "w", "x", "y", "z"],
          key: (item) => item,
          concurrency: 2,
          each: (fork) =>
            fork.pipe(Saga.retriable("send", {
              ...ledger.action({
                before: ({ path }) => path.includes("w") ? Effect.andThen(gate.await, Effect.fail("busy")) : gate.await
              }),
              retry: Schedule.recurs(0)
            }))
        }),
        Saga.onStuck(({ error }) => ledger.mark("left" in error ? `left ${error.left.join()}` : error._tag))
      ))
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* settle
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.strictEqual(
        ledger.text,
        "+a +mails/v/send !mails/w/send left mails/w/send,mails/x/send,mails/y/send,mails/z/send"
      )
    }), inFiber.interruption)

  saga("after an interruption no decision is made any more", (ledger) =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const fiber = yield* ledger.start(trip.pipe(
        Saga.pivot("a", ledger.action()),
        Saga.retriable("b", ledger.retriable({ before: () => gate.await })),
        Saga.when("maybe", () => {
          Effect.runSync(ledger.mark("decided"))
          return false
        }, (fork) => fork.pipe(Saga.retriable("c", ledger.retriable()))),
        Saga.onStuck(({ error }) => ledger.mark("left" in error ? `left ${error.left.join()}` : error._tag))
      ))
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* settle
      yield* gate.open
      yield* Fiber.await(interruption)
      assert.strictEqual(ledger.text, "+a +b left maybe")
    }), inFiber.interruption)

  const places: ReadonlyArray<readonly [string, (ledger: Ledger) => Saga.AnySaga, ReadonlyArray<string>, string]> = [
    [
      "a predicate",
      (ledger) =>
        trip.pipe(
          Saga.pivot("a", ledger.action()),
          Saga.when("maybe", throwing, (fork) => fork.pipe(Saga.retriable("b", ledger.retriable()))),
          Saga.retriable("c", ledger.retriable())
        ),
      ["maybe", "c"],
      "+a"
    ],
    [
      "a tag",
      (ledger) =>
        trip.pipe(
          Saga.pivot("a", ledger.action()),
          Saga.match("kind", throwing, { one: (fork) => fork.pipe(Saga.retriable("b", ledger.retriable())) })
        ),
      ["kind"],
      "+a"
    ],
    [
      "`items`",
      (ledger) =>
        trip.pipe(
          Saga.pivot("a", ledger.action()),
          Saga.forEach("mails", {
            item: Schema.String,
            items: throwing,
            key: (item) => item,
            each: (fork) => fork.pipe(Saga.retriable("b", ledger.retriable()))
          })
        ),
      ["mails"],
      "+a"
    ],
    [
      "`key`",
      (ledger) =>
        trip.pipe(
          Saga.pivot("a", ledger.action()),
          Saga.forEach("mails", {
            item: Schema.String,
            items: () => ["x"],
            key: throwing,
            each: (fork) => fork.pipe(Saga.retriable("b", ledger.retriable()))
          })
        ),
      ["mails"],
      "+a"
    ],
    [
      "the duration of a sleep",
      (ledger) =>
        trip.pipe(
          Saga.pivot("a", ledger.action()),
          Saga.sleep("night", throwing),
          Saga.retriable("b", ledger.retriable())
        ),
      ["night", "b"],
      "+a"
    ],
    [
      "the output of the saga",
      (ledger) => trip.pipe(Saga.pivot("a", ledger.action()), Saga.output(Schema.String, throwing)),
      ["output"],
      "+a"
    ],
    [
      "a predicate in one of several branches: its siblings finish",
      (ledger) =>
        trip.pipe(
          Saga.pivot("a", ledger.action()),
          Saga.parallel((fork) => [
            fork.pipe(
              Saga.when("maybe", throwing, (fork) => fork.pipe(Saga.retriable("b", ledger.retriable()))),
              Saga.retriable("c", ledger.retriable())
            ),
            fork.pipe(
              Saga.retriable("d", ledger.retriable({ before: () => Effect.yieldNow })),
              Saga.retriable("e", ledger.retriable())
            )
          ])
        ),
      ["maybe", "c"],
      "+a +d +e"
    ],
    [
      "a predicate in one of several items: the others finish",
      (ledger) =>
        trip.pipe(
          Saga.pivot("a", ledger.action()),
          Saga.forEach("mails", {
            item: Schema.String,
            items: () => ["x", "y"],
            key: (item) => item,
            each: (fork) =>
              fork.pipe(
                Saga.when("maybe", ({ item }) => item === "x" ? throwing() : false, (fork) =>
                  fork.pipe(Saga.retriable("b", ledger.retriable()))),
                Saga.retriable("c", ledger.retriable())
              )
          })
        ),
      ["mails/x/maybe", "mails/x/c"],
      "+a +mails/y/c"
    ],
    [
      "the output of a branch: what it did is not left",
      (ledger) =>
        trip.pipe(
          Saga.pivot("a", ledger.action()),
          Saga.when("maybe", () =>
            true, (fork) =>
            fork.pipe(Saga.retriable("b", ledger.retriable()), Saga.output(Schema.String, throwing))),
          Saga.retriable("c", ledger.retriable())
        ),
      ["maybe/output", "c"],
      "+a +maybe/b"
    ]
  ]
  for (const [what, build, names, text] of places) {
    saga(`a throw in ${what}: stuck, with the cause`, (ledger) =>
      Effect.gen(function*() {
        const saga = build(ledger) as Saga.Saga<void, unknown, unknown, unknown, string, never>
        const exit = yield* ledger.run(saga)
        assert.deepStrictEqual(leftOf(exit), names)
        const [[, { failures }]] = reasons(exit) as [[string, Saga.ForwardRecoveryFailed]]
        assert.include(failures.map(({ cause }) => Cause.pretty(cause)).join(), "boom")
        // Also a wait is left to do where something was thrown in it.
        assert.deepStrictEqual(failures.map(({ attempts, path }) => [path, attempts]), [[names[0], 1]])
        assert.strictEqual(ledger.text, text)
      }))
  }
})

describe("a nested saga with a pivot", () => {
  const paying = (ledger: Ledger, around: Parameters<Ledger["action"]>[0] = {}) =>
    Saga.make("Pay", { payload: Schema.Void }).pipe(
      Saga.step("hold", ledger.step()),
      Saga.pivot("charge", ledger.action(around)),
      Saga.retriable("receipt", ledger.retriable())
    )

  saga("its pivot is the outer's: what fails before unwinds all", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.nested("pay", paying(ledger, { before: () => Effect.fail("declined") }), () => {}),
        Saga.retriable("mail", ledger.retriable())
      ))
      assert.deepStrictEqual(reasons(exit), [["Fail", "declined"]])
      assert.strictEqual(ledger.text, "+a +pay/hold !pay/charge -pay/hold -a")
    }))

  saga("and what fails after it is forward only, inside and outside", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.nested("pay", paying(ledger), () => {}),
        Saga.retriable("mail", { ...ledger.action({ before: () => Effect.fail("busy") }), retry: Schedule.recurs(0) }),
        Saga.retriable("log", ledger.retriable())
      ))
      assert.deepStrictEqual(leftOf(exit), ["mail", "log"])
      assert.strictEqual(ledger.text, "+a +pay/hold +pay/charge +pay/receipt !mail")
    }))

  saga(
    "interrupted behind the inner pivot: what is left inside, then what is left outside",
    (ledger) =>
      Effect.gen(function*() {
        const gate = yield* Latch.make()
        const fiber = yield* ledger.start(trip.pipe(
          Saga.step("a", ledger.step()),
          Saga.nested("pay", paying(ledger, { before: () => gate.await }), () => {}),
          Saga.retriable("mail", ledger.retriable()),
          Saga.onStuck(({ error }) => ledger.mark("left" in error ? `left ${error.left.join()}` : error._tag))
        ))
        const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* settle
        yield* gate.open
        yield* Fiber.await(interruption)
        assert.strictEqual(ledger.text, "+a +pay/hold +pay/charge left pay/receipt,mail")
      }),
    inFiber.interruption
  )

  saga("the outer limit holds up to the inner pivot, and no longer", (ledger) =>
    Effect.gen(function*() {
      const pay = paying(ledger, { before: () => Effect.sleep("1 hour") })
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step({ after: () => Effect.sleep(999) })),
        Saga.nested("pay", pay, () => {}),
        Saga.timeout("1 second")
      ))
      yield* TestClock.adjust("2 hours")
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
    }))

  saga("the outer limit passes inside, before the inner pivot: all unwinds", (ledger) =>
    Effect.gen(function*() {
      const pay = Saga.make("Pay", { payload: Schema.Void }).pipe(
        Saga.step("hold", ledger.step()),
        Saga.sleep("night", "8 hours"),
        Saga.pivot("charge", ledger.action())
      )
      const fiber = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step({ after: () => Effect.sleep(500) })),
        Saga.nested("pay", pay, () => {}),
        Saga.timeout("1 second")
      ))
      yield* TestClock.adjust(999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(
        reasons(yield* Fiber.await(fiber)),
        [["Fail", new Saga.SagaTimedOut({ saga: "Trip", limitMillis: 1_000 })]]
      )
      assert.strictEqual(ledger.text, "+a +pay/hold -pay/hold -a")
    }))

  saga("an output inside that throws after the commit point: forward only", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.nested(
          "pay",
          paying(ledger).pipe(Saga.output(Schema.String, () => {
            throw new Error("boom")
          })),
          () => {}
        ),
        Saga.retriable("mail", ledger.retriable())
      ))
      assert.deepStrictEqual(leftOf(exit), ["pay/output", "mail"])
      assert.strictEqual(ledger.text, "+a +pay/hold +pay/charge +pay/receipt")
    }))
})
