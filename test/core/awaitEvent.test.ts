// Waiting for events: which one is received, by whom, how often, what cuts a wait, and what becomes of a time limit. Faults
// 59 to 64, and rules 1 and 8.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, HashMap, Layer, Result, Schema, type Scope } from "effect"
import { Saga, SagaState } from "effect-saga"
import { DomainEvent, EventBus, MemoryBus, type PublishOptions } from "effect-saga/events"
import { TestClock } from "effect/testing"
import { inFiber, type Ledger, reasons, saga, settle, throwing, trip } from "./ledger.ts"

const about = Schema.Struct({ order: Schema.String, n: Schema.Int })
const Paid = DomainEvent.make("Paid", { payload: about, key: ({ order }) => order })
const Refused = DomainEvent.make("Refused", { payload: about, key: ({ order }) => order })

const publish = (event: typeof Paid | typeof Refused, n: number, options?: PublishOptions, order = "o") =>
  EventBus.use((bus) => bus.publish(event as typeof Paid, { order, n }, options))

const correlate = () => "o"

type Body = (ledger: Ledger) => Effect.Effect<void, unknown, EventBus | Scope.Scope>

/** A test on a bus of its own, or on that of an engine. */
const events = (name: string, body: Body, options: { readonly engine: boolean } = { engine: true }) =>
  saga(name, (ledger) => Effect.provide(body(ledger), busOf(ledger)), options)

const busOf = ({ store }: Ledger, options: MemoryBus.BusOptions = {}) =>
  store === undefined ? MemoryBus.layerWith(options) : Layer.succeed(EventBus, {
    publish: (event, payload, options) =>
      Effect.andThen(Effect.suspend(() => store.bus!.publish(event, payload, options)), store.rest),
    subscribe: (subscription) => Effect.suspend(() => store.bus!.subscribe(subscription)),
    "~mail": undefined
  })

describe("an event that is awaited", () => {
  events("is the result", (ledger) =>
    Effect.gen(function*() {
      const run = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.awaitEvent("paid", Paid, { correlate }),
        Saga.step("b", ledger.step())
      ))
      yield* settle
      assert.strictEqual(ledger.text, "+a")
      if (ledger.observed) {
        assert.strictEqual(ledger.state.status, "Waiting")
        assert.deepStrictEqual(Array.from(HashMap.keys(ledger.state.awaits)), ["paid"])
      }
      yield* publish(Paid, 1)
      assert.deepStrictEqual(yield* Fiber.await(run), Exit.succeed({ a: "a", paid: { order: "o", n: 1 }, b: "b" }))
      if (ledger.observed) {
        assert.deepStrictEqual(ledger.told.slice(3, 5), ["EventAwaited paid", "EventReceived paid"])
        assert.strictEqual(HashMap.size(ledger.state.awaits), 0)
      }
    }))

  events("is the first with its type, its key and what is asked of it", (ledger) =>
    Effect.gen(function*() {
      const run = yield* ledger.start(trip.pipe(
        Saga.awaitEvent("paid", Paid, { correlate, where: ({ n }) => n > 2 })
      ))
      yield* settle
      yield* publish(Refused, 9)
      yield* publish(Paid, 9, {}, "another")
      yield* publish(Paid, 2)
      yield* settle
      assert.isUndefined(run.pollUnsafe())
      yield* publish(Paid, 3)
      yield* publish(Paid, 4)
      assert.deepStrictEqual(yield* Fiber.await(run), Exit.succeed({ paid: { order: "o", n: 3 } }))
    }))

  events("`correlate` and `where` see the state", (ledger) =>
    Effect.gen(function*() {
      const run = yield* ledger.start(
        Saga.make("Order", { payload: Schema.String }).pipe(
          Saga.step("limit", { success: Schema.Int, action: () => Effect.succeed(5), compensation: () => Effect.void }),
          Saga.awaitEvent("paid", Paid, {
            correlate: ({ payload }) => payload,
            where: ({ n }, { limit }) => n >= limit
          })
        ),
        "A-1"
      )
      yield* settle
      for (const n of [4, 5]) yield* publish(Paid, n, {}, "A-1")
      assert.deepStrictEqual(yield* Fiber.await(run), Exit.succeed({ limit: 5, paid: { order: "A-1", n: 5 } }))
    }))

  events(
    "F61 that came before its wait, and before its execution, is received if it was kept",
    (ledger) =>
      Effect.gen(function*() {
        yield* publish(Paid, 1)
        yield* TestClock.adjust("59 minutes")
        const exit = yield* ledger.run(trip.pipe(Saga.awaitEvent("paid", Paid, { correlate })))
        assert.deepStrictEqual(exit, Exit.succeed({ paid: { order: "o", n: 1 } }))
      }),
    inFiber.bus
  )

  const unmatched: Array<string> = []
  saga("F61 F63 is kept for a while, and then told of if nobody has received it", (ledger) =>
    Effect.gen(function*() {
      unmatched.length = 0
      yield* publish(Paid, 1, { id: "early" })
      yield* TestClock.adjust("10 minutes")
      const run = yield* ledger.start(trip.pipe(Saga.awaitEvent("paid", Paid, { correlate })))
      assert.deepStrictEqual(unmatched, ["early"])
      yield* publish(Paid, 2, { id: "in time" })
      assert.deepStrictEqual(yield* Fiber.await(run), Exit.succeed({ paid: { order: "o", n: 2 } }))
      // F62: it comes after the end of its execution.
      yield* publish(Paid, 3, { id: "late" })
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(unmatched, ["early", "late"])
    }).pipe(Effect.provide(busOf(ledger, {
      keep: "10 minutes",
      onUnmatched: ({ id }) => Effect.sync(() => void unmatched.push(id))
    }))), inFiber.bus)

  events(
    "F60 is found behind others that came before it and are meant for later waits",
    (ledger) =>
      Effect.gen(function*() {
        const numbered = (n: number) => ({ correlate, where: (event: typeof about.Type) => event.n === n })
        const run = yield* ledger.start(trip.pipe(
          Saga.awaitEvent("first", Paid, numbered(1)),
          Saga.awaitEvent("second", Paid, numbered(2))
        ))
        yield* settle
        yield* publish(Paid, 2)
        yield* publish(Paid, 1)
        assert.deepStrictEqual(
          yield* Fiber.await(run),
          Exit.succeed({ first: { order: "o", n: 1 }, second: { order: "o", n: 2 } })
        )
      })
  )

  events(
    "F59 counts once, however often it is published, and for one wait of an execution",
    (ledger) =>
      Effect.gen(function*() {
        const run = yield* ledger.start(trip.pipe(
          Saga.parallel((fork) => [
            fork.pipe(Saga.awaitEvent("one", Paid, { correlate })),
            fork.pipe(Saga.awaitEvent("two", Paid, { correlate }))
          ]),
          Saga.awaitEvent("three", Paid, { correlate })
        ))
        yield* settle
        for (const id of ["x", "x", "y", "x", "y"]) yield* publish(Paid, id === "x" ? 1 : 2, { id })
        yield* settle
        assert.isUndefined(run.pollUnsafe())
        yield* publish(Paid, 3, { id: "z" })
        const order = "o"
        assert.deepStrictEqual(
          yield* Fiber.await(run),
          Exit.succeed({ one: { order, n: 1 }, two: { order, n: 2 }, three: { order, n: 3 } })
        )
      })
  )

  it.effect("is received by each execution that awaits it", () =>
    Effect.gen(function*() {
      const waits = trip.pipe(Saga.awaitEvent("paid", Paid, { correlate }))
      const runs = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(Saga.run(waits, undefined)))
      yield* settle
      yield* publish(Paid, 7)
      const results = yield* Fiber.joinAll(runs)
      assert.deepStrictEqual(results, runs.map(() => ({ paid: { order: "o", n: 7 } })))
    }).pipe(Effect.provide(MemoryBus.layer)))

  events("in items of a `forEach`, each has its own", (ledger) =>
    Effect.gen(function*() {
      const run = yield* ledger.start(
        Saga.make("Orders", { payload: Schema.Array(Schema.String) }).pipe(
          Saga.forEach("orders", {
            item: Schema.String,
            items: ({ payload }) => payload,
            key: (order) => order,
            concurrency: 10,
            each: (fork) => fork.pipe(Saga.awaitEvent("paid", Paid, { correlate: ({ item }) => item }))
          })
        ),
        ["a", "b"]
      )
      yield* settle
      yield* publish(Paid, 2, {}, "b")
      yield* publish(Paid, 1, {}, "a")
      assert.deepStrictEqual(
        yield* Fiber.await(run),
        Exit.succeed({ orders: [{ paid: { order: "a", n: 1 } }, { paid: { order: "b", n: 2 } }] })
      )
    }))
})

describe("the first of several", () => {
  const either = trip.pipe(Saga.awaitFirst("payment", [Paid, Refused], { correlate }))

  events("has its type as a tag, by which a `match` branches", (ledger) =>
    Effect.gen(function*() {
      const run = yield* ledger.start(either.pipe(
        Saga.match("then", ({ payment }) => payment._tag, {
          Paid: (fork) => fork.pipe(Saga.step("ship", ledger.step())),
          Refused: (fork) => fork.pipe(Saga.step("tell", ledger.step()))
        })
      ))
      yield* settle
      yield* publish(Refused, 1)
      yield* publish(Paid, 2)
      yield* Fiber.await(run)
      assert.strictEqual(ledger.text, "+then/Refused/tell")
    }))

  events("`where` is asked of the tagged event", (ledger) =>
    Effect.gen(function*() {
      const run = yield* ledger.start(trip.pipe(
        Saga.awaitFirst("payment", [Paid, Refused], {
          correlate,
          where: (event) => event._tag === "Paid" || event.value.n > 1
        })
      ))
      yield* settle
      yield* publish(Refused, 1)
      yield* publish(Refused, 2)
      assert.deepStrictEqual(
        yield* Fiber.await(run),
        Exit.succeed({ payment: { _tag: "Refused" as const, value: { order: "o", n: 2 } } })
      )
    }))
})

describe("a time limit", () => {
  const limited = { correlate, timeout: "30 minutes" } as const

  events("that passes is a typed error, and what was done is undone", (ledger) =>
    Effect.gen(function*() {
      const run = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.awaitFirst("payment", [Paid, Refused], limited)
      ))
      yield* TestClock.adjust("29 minutes")
      assert.isUndefined(run.pollUnsafe())
      yield* TestClock.adjust("1 minute")
      const error = new Saga.EventTimedOut({ path: "payment", events: ["Paid", "Refused"], limitMillis: 1_800_000 })
      assert.deepStrictEqual(reasons(yield* Fiber.await(run)), [["Fail", error]])
      assert.strictEqual(error.message, `"payment" waited 1800000 ms for Paid or Refused, and none came`)
      assert.strictEqual(ledger.text, "+a -a")
    }))

  events("F64 at which an event comes too: what was recorded first has happened", (ledger) =>
    Effect.gen(function*() {
      const run = yield* ledger.start(trip.pipe(Saga.awaitEvent("paid", Paid, limited)))
      yield* Effect.forkChild(Effect.andThen(Effect.sleep("30 minutes"), publish(Paid, 1)))
      yield* settle
      yield* TestClock.adjust("30 minutes")
      const exit = yield* Fiber.await(run)
      if (ledger.observed) {
        const ends = ledger.told.filter((words) => words === "EventReceived paid" || words === "EventTimedOut paid")
        assert.deepStrictEqual(ends, [Exit.isSuccess(exit) ? "EventReceived paid" : "EventTimedOut paid"])
      }
    }))

  events("leads to the second way of an `orElse`: a reminder, and another wait", (ledger) =>
    Effect.gen(function*() {
      const run = yield* ledger.start(trip.pipe(
        Saga.orElse(
          "payment",
          (fork) => fork.pipe(Saga.awaitEvent("paid", Paid, limited)),
          (fork) => fork.pipe(Saga.step("remind", ledger.step()), Saga.awaitEvent("paid", Paid, limited))
        )
      ))
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual(ledger.text, "+payment/second/remind")
      yield* publish(Paid, 1)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(run)))
    }))

  events("past the commit point is a result", (ledger) =>
    Effect.gen(function*() {
      const run = yield* ledger.start(trip.pipe(
        Saga.pivot("pay", { action: () => Effect.void }),
        Saga.awaitEvent("one", Paid, limited),
        Saga.awaitFirst("two", [Paid, Refused], limited)
      ))
      yield* TestClock.adjust("60 minutes")
      assert.deepStrictEqual(
        yield* Fiber.await(run),
        Exit.succeed({ pay: undefined, one: undefined, two: { _tag: "TimedOut" as const } })
      )
    }))
})

describe("a wait is cut", () => {
  events("by a sibling that fails", (ledger) =>
    Effect.gen(function*() {
      const run = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.parallel((fork) => [
          fork.pipe(Saga.awaitEvent("paid", Paid, { correlate }), Saga.step("b", ledger.step())),
          fork.pipe(Saga.sleep("pause", 5), Saga.step("c", ledger.fails("no")))
        ])
      ))
      yield* TestClock.adjust(5)
      assert.deepStrictEqual(reasons(yield* Fiber.await(run)), [["Fail", "no"]])
      assert.strictEqual(ledger.text, "+a !c -a")
    }))

  events("by an interruption", (ledger) =>
    Effect.gen(function*() {
      const run = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.awaitEvent("paid", Paid, { correlate })
      ))
      yield* settle
      yield* Fiber.interrupt(run)
      yield* publish(Paid, 1)
      assert.strictEqual(ledger.text, "+a -a")
    }), inFiber.interruption)

  events("by the limit of the saga", (ledger) =>
    Effect.gen(function*() {
      const run = yield* ledger.start(trip.pipe(
        Saga.timeout("1 second"),
        Saga.step("a", ledger.step()),
        Saga.awaitEvent("paid", Paid, { correlate })
      ))
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.await(run)
      assert.deepStrictEqual(reasons(exit), [["Fail", new Saga.SagaTimedOut({ saga: "Trip", limitMillis: 1_000 })]])
      assert.strictEqual(ledger.text, "+a -a")
    }))
})

describe("an event that a saga publishes", () => {
  /** What is published, as it is seen by who reads everything. */
  const read = (seen: Array<string>) =>
    EventBus.use((bus) =>
      Effect.forkChild(
        bus.subscribe({
          name: "all",
          events: [Paid, Refused],
          handle: ({ causationId, correlationId, id, payload, type }) =>
            Effect.sync(() => {
              assert.deepStrictEqual([causationId, `${correlationId}/told`], [id, id])
              seen.push(`${type} ${payload.n}`)
            })
        }),
        { startImmediately: true }
      )
    )

  events("is what the state makes of it, and others receive it", (ledger) =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const run = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.publish("told", Paid, ({ a }) => ({ order: a, n: 7 })),
        Saga.step("b", ledger.step())
      ))
      const reading = yield* read(seen)
      yield* Fiber.await(run)
      yield* settle
      assert.deepStrictEqual(seen, ["Paid 7"])
      if (ledger.observed) assert.include(ledger.told, "EventPublished told")
      assert.strictEqual(ledger.text, "+a +b")
      yield* Fiber.interrupt(reading)
    }), { engine: false })

  events("stays published when what comes behind it fails", (ledger) =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      yield* read(seen)
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.publish("told", Refused, () => ({ order: "o", n: 1 })),
        Saga.step("b", ledger.fails("no"))
      ))
      yield* settle
      assert.deepStrictEqual(reasons(exit), [["Fail", "no"]])
      assert.strictEqual(ledger.text, "+a !b -a")
      assert.deepStrictEqual(seen, ["Refused 1"])
    }), { engine: false })

  events("behind the commit point, in a branch, and awaited by the saga itself", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.pivot("pay", { action: () => Effect.void }),
        Saga.when("if", () => true, (fork) => fork.pipe(Saga.publish("told", Paid, () => ({ order: "o", n: 3 })))),
        Saga.awaitEvent("own", Paid, { correlate })
      ))
      assert.deepStrictEqual(exit, Exit.succeed({ pay: undefined, if: {}, own: { order: "o", n: 3 } }))
    }))

  events("that does not match its schema is a defect, and what was done is undone", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.publish("told", Paid, () => ({ order: "o", n: 0.5 }))
      ))
      const [[tag, error]] = reasons(exit) as [[string, Error]]
      assert.deepStrictEqual([tag, error.name], ["Die", "EventRefused"])
      assert.strictEqual(ledger.text, "+a -a")
    }))

  it.effect("without a bus around a run in a fiber is a defect that says so", () =>
    Effect.gen(function*() {
      const run = Saga.run(trip.pipe(Saga.publish("told", Paid, () => ({ order: "o", n: 1 }))), undefined)
      const exit = yield* Effect.exit(run as Effect.Effect<unknown>)
      assert.isTrue(Exit.isFailure(exit) && String(Cause.squash(exit.cause)).includes("no `EventBus` around this run"))
    }))
})

describe("what is wrong", () => {
  events("a `where` that throws is a defect, and unwinds", (ledger) =>
    Effect.gen(function*() {
      const run = yield* ledger.start(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.awaitEvent("paid", Paid, { correlate, where: throwing })
      ))
      yield* settle
      yield* publish(Paid, 1)
      assert.deepStrictEqual(reasons(yield* Fiber.await(run)), [["Die", new Error("boom")]])
      assert.strictEqual(ledger.text, "+a -a")
    }))

  events("so is a `correlate` that throws", (ledger) =>
    Effect.gen(function*() {
      const exit = yield* ledger.run(trip.pipe(
        Saga.step("a", ledger.step()),
        Saga.awaitEvent("paid", Paid, { correlate: throwing })
      ))
      assert.deepStrictEqual(reasons(exit), [["Die", new Error("boom")]])
      assert.strictEqual(ledger.text, "+a -a")
    }))

  it.effect("a bus that brings nothing to a fiber says what to provide", () =>
    Effect.gen(function*() {
      const run = Saga.run(trip.pipe(Saga.awaitEvent("paid", Paid, { correlate })), undefined)
      const exit = yield* Effect.exit(
        Effect.provideService(run, EventBus, {
          publish: () => Effect.void,
          subscribe: () => Effect.never,
          "~mail": undefined
        })
      )
      assert.isTrue(Exit.isFailure(exit) && String(Cause.squash(exit.cause)).includes("provide `MemoryBus.layer`"))
    }))

  it.effect("an event that does not match its schema, or has no key, is refused", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(publish(Paid, 0.5))
      assert.strictEqual(error._tag, "EventRefused")
      assert.include(error.message, "The event Paid was not published")
      assert.include((yield* Effect.flip(publish(Paid, 1, {}, ""))).message, "its `key` is no text")
    }).pipe(Effect.provide(MemoryBus.layer)))

  it("is said when the saga is defined", () => {
    const defining = (define: () => unknown) => {
      const result = Result.try(define)
      return Result.isFailure(result) && result.failure instanceof Error ? result.failure.message : undefined
    }
    assert.strictEqual(
      defining(() => trip.pipe(Saga.awaitFirst("x", [Paid, Paid], { correlate }))),
      `Saga "Trip", at "x": the event Paid is awaited twice there`
    )
    const TimedOut = DomainEvent.make("TimedOut", { payload: Schema.String, key: (key) => key })
    assert.include(defining(() => trip.pipe(Saga.awaitFirst("x", [TimedOut], { correlate })))!, "give it another type")
    assert.include(
      defining(() => trip.pipe(Saga.awaitEvent("x", Paid, { correlate, timeout: 0 })))!,
      "`timeout` must be"
    )
    assert.include(
      defining(() => DomainEvent.make("no name", { payload: Schema.String, key: (key) => key }))!,
      "no name"
    )
  })

  it("the facts of a wait fold, and those that cannot follow are told", () => {
    const started = { _tag: "SagaStarted", atMillis: 0, saga: "Trip", version: 1, payload: undefined } as const
    const received = { _tag: "EventReceived", atMillis: 0, path: "x", eventId: "e", type: "Paid", payload: 1 } as const
    const awaited = (type: string) =>
      ({ _tag: "EventAwaited", atMillis: 0, path: "x", events: [{ type, key: "o" }] }) as const
    const problem = (...facts: ReadonlyArray<Parameters<typeof SagaState.apply>[1]>) =>
      Result.match(SagaState.fold([started, ...facts]), {
        onSuccess: ({ status }) => status,
        onFailure: ({ message }) => message
      })
    assert.strictEqual(problem(awaited("Paid")), "Waiting")
    assert.strictEqual(problem(awaited("Paid"), received), "Running")
    assert.strictEqual(problem(received), `The fact EventReceived of "x" is of no event that is awaited`)
    assert.strictEqual(
      problem(awaited("Refused"), received),
      `The fact EventReceived of "x" is of the type "Paid", which is not awaited there`
    )
  })
})
