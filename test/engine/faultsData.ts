/** Faults 48 to 56: what a journal may hold, what it cannot, clocks, ids, definitions that change. Every store runs all of it. */
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Option, Result, Schedule, Schema, SchemaTransformation, Stream } from "effect"
import { Saga, SagaState } from "effect-saga"
import { TestClock } from "effect/testing"
import type { Backend, StoreService } from "./world.ts"
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
  told,
  turn,
  World
} from "./world.ts"

const trip = Saga.make("Trip", { payload: Schema.Void })
const id = { executionId: "e" }

/** A saga that waits a while between its first and its second step. */
const pausing = (world: World) =>
  trip.pipe(
    Saga.step("a", world.step()),
    Saga.sleep("pause", "1 hour"),
    Saga.step("b", world.step())
  )

/** Started on an engine that is closed as soon as it waits. */
const left = (store: StoreService, saga: Saga.Saga<void, any, any, any, any, never>, executionId = "e") =>
  Effect.scoped(Effect.gen(function*() {
    const { close, engine } = yield* boot(store, [saga])
    yield* engine.start(saga, undefined, { executionId })
    yield* state(store.journal, executionId, "Waiting")
    yield* close
  }))

const stuckOf = (store: StoreService, executionId = "e") =>
  Effect.andThen(state(store.journal, executionId, "Stuck"), problem(store.journal, executionId))

export const suite = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)

  describe(`${name}: rows`, () => {
    const cases: ReadonlyArray<readonly [what: string, sequence: number, data: string]> = [
      ["is no JSON", 2, "{\"_tag\":"],
      ["has a tag that nobody knows", 2, "{\"_tag\":\"StepVanished\",\"atMillis\":0,\"path\":\"a\"}"],
      [
        "holds a result of another type",
        2,
        "{\"_tag\":\"StepSucceeded\",\"atMillis\":0,\"path\":\"a\",\"attempts\":1,\"result\":5}"
      ],
      [
        "holds a payload of another type",
        0,
        "{\"_tag\":\"SagaStarted\",\"atMillis\":0,\"saga\":\"Trip\",\"version\":1,\"payload\":{\"a\":1}}"
      ],
      ["is empty", 1, ""],
      ["is null", 1, "null"],
      [
        "contradicts the one before",
        1,
        "{\"_tag\":\"StepSucceeded\",\"atMillis\":0,\"path\":\"a\",\"attempts\":1,\"result\":\"a\"}"
      ],
      ["is not the first", 0, "{\"_tag\":\"CancelRefused\",\"atMillis\":0}"],
      ["says that it has ended", 2, "{\"_tag\":\"SagaCompensated\",\"atMillis\":0,\"uncertain\":[]}"]
    ]
    for (const [what, sequence, data] of cases) {
      fault(
        `F48 a row that ${what}: that execution is quarantined, all others go on`,
        (store) =>
          Effect.gen(function*() {
            const world = new World()
            const saga = pausing(world)
            for (const executionId of ["before", "e", "later"]) yield* left(store, saga, executionId)
            yield* store.tamper("e", sequence, data)
            yield* TestClock.adjust("1 hour")
            const { engine } = yield* boot(store, [saga])
            for (const executionId of ["before", "later"]) {
              assert.deepStrictEqual(yield* inTime("the others go on", engine.await(saga, executionId)), {
                a: "a",
                b: "b"
              })
            }
            assert.include(yield* stuckOf(store), "Undecodable")
            assert.strictEqual(
              tagOf(yield* Effect.exit(engine.await(saga, "e", { onStuck: "fail" }))),
              "ExecutionStuck"
            )
            assert.strictEqual(world.text("e"), "+a")
            // It is not asked for again and again.
            assert.deepStrictEqual(
              yield* engine.execute(saga, undefined, { executionId: "new" }).pipe(
                Effect.forkChild({ startImmediately: true }),
                Effect.tap(() => state(store.journal, "new", "Waiting")),
                Effect.andThen(TestClock.adjust("1 hour")),
                Effect.andThen(engine.await(saga, "new"))
              ),
              { a: "a", b: "b" }
            )
            yield* world.check
          })
      )
    }

    fault(
      "F48 the row of an execution that has ended cannot be read: who asks is told, all others go on",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = trip.pipe(Saga.step("a", world.step()))
          const first = yield* boot(store, [saga])
          yield* first.engine.execute(saga, undefined, id)
          yield* store.tamper(
            "e",
            2,
            "{\"_tag\":\"StepSucceeded\",\"atMillis\":0,\"path\":\"a\",\"attempts\":1,\"result\":5}"
          )
          yield* first.close
          const { engine } = yield* boot(store, [saga])
          const asked = errorOf(yield* Effect.exit(engine.await(saga, "e"))) as Error
          assert.strictEqual(asked.name, "ExecutionStuck")
          assert.include(asked.message, "cannot be read")
          const read = yield* Effect.flip(Stream.runCollect(engine.events(saga, "e")))
          assert.strictEqual(read._tag, "ExecutionStuck")
          assert.strictEqual((yield* engine.list()).executions.length, 1)
          assert.deepStrictEqual(yield* engine.execute(saga, undefined, { executionId: "other" }), { a: "a" })
        })
    )

    fault("F48 any fact in the place of any other harms its execution alone", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(
          Saga.when("if", () => true, (fork) => fork.pipe(Saga.step("a", world.step()))),
          Saga.forEach("each", {
            item: Schema.String,
            items: () => ["x"],
            key: (item) => item,
            each: (fork) => fork.pipe(Saga.step("b", world.step()))
          }),
          Saga.sleep("pause", "1 hour"),
          Saga.step("c", world.step())
        )
        yield* left(store, saga, "model")
        const facts = yield* store.journal.facts("model", 0)
        const texts = facts.map(({ data }) => data).concat(
          JSON.stringify({ _tag: "CompensationStarted", atMillis: 0, path: "if/a" }),
          JSON.stringify({ _tag: "BranchChosen", atMillis: 0, path: "if", tag: "nowhere" }),
          JSON.stringify({ _tag: "ItemsListed", atMillis: 0, path: "each", keys: ["x", "y"], items: ["x"] }),
          JSON.stringify({ _tag: "StepStarted", atMillis: 0, path: "unknown/place" }),
          JSON.stringify({ _tag: "StepStarted", atMillis: 0, path: "" }),
          JSON.stringify({ _tag: "UnwindStarted", atMillis: 0, scope: "if/a", cause: [] }),
          JSON.stringify({ _tag: "UnwindStarted", atMillis: 0, scope: "", cause: [] }),
          JSON.stringify({ _tag: "TimerSet", atMillis: 0, path: "if/a", fireAtMillis: 1e300 }),
          JSON.stringify({ _tag: "FellBack", atMillis: 0, path: "if", cause: [] })
        )
        const places: Array<readonly [id: string, sequence: number, text: string]> = []
        for (let sequence = 0; sequence < facts.length; sequence++) {
          for (const text of texts) places.push([`e${places.length}`, sequence, text])
        }
        // One engine starts them all.
        yield* Effect.scoped(Effect.gen(function*() {
          const { close, engine } = yield* boot(store, [saga])
          for (const [executionId] of places) yield* engine.start(saga, undefined, { executionId })
          for (const [executionId] of places) yield* state(store.journal, executionId, "Waiting")
          yield* close
        }))
        for (const [executionId, sequence, text] of places) yield* store.tamper(executionId, sequence, text)
        yield* TestClock.adjust("1 hour")
        const { engine } = yield* boot(store, [saga])
        assert.deepStrictEqual(
          yield* inTime("the others go on", engine.await(saga, "model")),
          { if: { a: "if/a" }, each: [{ b: "each/x/b" }], c: "c" }
        )
        const counts = new Map<string, number>()
        for (const [executionId, sequence, text] of places) {
          yield* eventually(
            `${sequence} ${text} comes to rest`,
            // What has lost the fact that it waits, waits again.
            Effect.map(Effect.andThen(TestClock.adjust("1 hour"), engine.poll(executionId)), (found) => {
              const { state } = Option.getOrThrow(found)
              return state === "Stuck" || state === "Succeeded" || state === "Compensated"
            })
          )
          const end = Option.getOrThrow(yield* engine.poll(executionId))
          counts.set(end.state, (counts.get(end.state) ?? 0) + 1)
          // What had ended before is not done again.
          if (text === facts[sequence]!.data) assert.strictEqual(end.state, "Succeeded", text)
        }
        assert.isAbove(counts.get("Stuck") ?? 0, places.length / 2)
        assert.deepStrictEqual(
          yield* engine.execute(trip.pipe(Saga.step("a", world.step())), undefined, id).pipe(
            Effect.timeoutOption(0),
            Effect.map(Option.isSome)
          ),
          false
        )
      }), 60_000)
  })

  describe(`${name}: results`, () => {
    /** Written with less than it holds. */
    const Lossy = Schema.String.pipe(Schema.decodeTo(
      Schema.Number,
      SchemaTransformation.transform({ decode: Number, encode: (n: number) => n.toFixed(0) })
    ))

    const unrecordable: ReadonlyArray<readonly [what: string, schema: Schema.Codec<any, any>, value: unknown]> = [
      ["does not match its schema", Schema.Int, 1.5],
      ["is another value when it is read again", Lossy, 1.5],
      ["is an invalid date", Schema.Date, new Date(NaN)],
      ["is too large", Schema.String, "x".repeat(1_048_577)]
    ]
    for (const [what, success, value] of unrecordable) {
      fault(
        `F49 a result that ${what}: unknown (NotRecordable), compensated with the value at hand`,
        (store) =>
          Effect.gen(function*() {
            const world = new World()
            const given: Array<unknown> = []
            const saga = trip.pipe(
              Saga.step("a", world.step()),
              Saga.step("b", {
                success,
                action: () => Effect.sync(() => (world.mark("e", "+b"), value)),
                compensation: (value) => Effect.sync(() => (world.mark("e", "-b"), given.push(value)))
              }),
              Saga.step("c", world.step())
            )
            const { engine } = yield* boot(store, [saga])
            yield* engine.start(saga, undefined, id)
            const outcome = yield* inTime("it ends", engine.outcome(saga, "e"))
            assert(outcome._tag === "Compensated")
            const error = Cause.squash(outcome.cause) as {
              readonly _tag: string
              readonly path: string
              readonly message: string
            }
            assert.deepStrictEqual([error._tag, error.path], ["NotRecordable", "b"])
            assert.include(error.message, "\"b\"")
            assert.deepStrictEqual(outcome.compensated, ["b", "a"])
            assert.deepStrictEqual(outcome.uncertain, [])
            assert.deepStrictEqual(given, [value])
            assert.strictEqual(world.text("e"), "+a +b -b -a")
            assert.include(yield* told(store.journal, "e"), "StepUncertain b")
            yield* world.check
          })
      )
    }

    fault(
      "F49 its process dies while it is compensated: stuck, for nobody has the value any more, and the rest is undone",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const given: Array<unknown> = []
          const saga = (gate: Gate) =>
            trip.pipe(
              Saga.step("a", world.step()),
              Saga.step("b", {
                success: Schema.Int,
                action: () => Effect.sync(() => (world.mark("e", "+b"), 1.5)),
                compensationRetry: Schedule.recurs(0),
                compensation: (value) => Effect.andThen(gate.pass, Effect.sync(() => given.push(value)))
              })
            )
          const gate = new Gate()
          const first = yield* boot(store, [saga(gate)])
          yield* first.engine.start(saga(gate), undefined, id)
          yield* gate.reached
          yield* first.kill
          const open = new Gate()
          yield* open.open
          const { engine } = yield* boot(store, [saga(open)])
          assert.strictEqual(yield* stuckOf(store), "CompensationFailed: b")
          // No compensation is ever given what its action did not give.
          assert.deepStrictEqual(given, [])
          const facts = yield* Stream.runCollect(engine.events(saga(open), "e"))
          assert.strictEqual(Result.getOrThrow(SagaState.fold(Array.from(facts))).status, "Stuck")
          assert.strictEqual(world.text("e"), "+a +b -a")
          yield* world.check
        })
    )

    fault("F49 an output that cannot be recorded: unwinds, and says so", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(Saga.step("a", world.step()), Saga.output(Schema.Int, () => 1.5))
        const { engine } = yield* boot(store, [saga])
        const error = errorOf(yield* inTime("it ends", Effect.exit(engine.execute(saga, undefined, id))))
        assert.deepInclude(error, { _tag: "NotRecordable", path: "output" })
        assert.strictEqual(world.text("e"), "+a -a")
        yield* world.check
      }))

    fault(
      "F49 an item, a nested payload, an error that cannot be recorded: named, and what was done is undone",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const items = trip.pipe(
            Saga.step("a", world.step()),
            Saga.forEach("each", {
              item: Schema.Int,
              items: () => [1.5],
              key: String,
              each: (fork) => fork.pipe(Saga.step("b", world.step()))
            })
          )
          const inner = Saga.make("Inner", { payload: Schema.Int }).pipe(Saga.step("b", world.step()))
          const nested = Saga.make("Nested", { payload: Schema.Void }).pipe(
            Saga.step("a", world.step()),
            Saga.nested("inner", inner, () => 1.5)
          )
          const failing = Saga.make("Failing", { payload: Schema.Void }).pipe(
            Saga.step("a", world.step()),
            Saga.check("b", { error: Schema.Int, action: () => Effect.fail(1.5) })
          )
          const { engine } = yield* boot(store, [items, nested, failing])
          for (const [saga, path] of [[items, "each/1.5"], [nested, "inner"], [failing, "b"]] as const) {
            const error = errorOf(
              yield* inTime(
                "it ends",
                Effect.exit(engine.execute(saga as typeof items, undefined, { executionId: path }))
              )
            ) as Error
            assert.include(String(error.message), path === "inner" ? "Inner" : path)
            assert.strictEqual(world.text(path), "+a -a")
          }
          yield* world.check
        })
    )

    fault(
      "F50 a large result is warned of, a large payload too; one that is too large is refused at the start",
      (store) =>
        Effect.gen(function*() {
          const saga = Saga.make("Large", { payload: Schema.String, key: () => "e" }).pipe(
            Saga.step("a", {
              success: Schema.String,
              action: () => Effect.succeed("x".repeat(300_000)),
              compensation: () => Effect.void
            }),
            Saga.output(Schema.Int, ({ a, payload }) => a.length + payload.length)
          )
          const [, lines] = yield* logged(Effect.scoped(Effect.gen(function*() {
            const { close, engine } = yield* boot(store, [saga])
            const refused = yield* Effect.flip(engine.start(saga, "x".repeat(1_048_577)))
            assert(refused._tag === "PayloadRefused")
            assert.include(refused.message, "1048576")
            assert.isTrue(Option.isNone(yield* engine.poll("Large/e")))
            assert.strictEqual(yield* inTime("it ends", engine.execute(saga, "y".repeat(300_000))), 600_000)
            // As large as may be, with its quotes, comes back as it was.
            const largest = "y".repeat(1_048_574)
            assert.strictEqual(
              yield* inTime("it ends", engine.execute(saga, largest, { executionId: "largest" })),
              1_348_574
            )
            yield* close
          })))
          assert.isTrue(lines.some((line) => line.includes("What \"a\" gave takes 300002 characters")), lines.join())
          assert.isTrue(lines.some((line) => line.includes("The payload of saga \"Large\" takes 300002")), lines.join())
          const next = yield* boot(store, [saga])
          assert.strictEqual(yield* next.engine.execute(saga, "y".repeat(300_000)), 600_000)
        })
    )

    fault(
      "F17 a compensation gets the value as recorded, not an object mutated since",
      (store) =>
        Effect.gen(function*() {
          const seen: Array<unknown> = []
          const shared = { seats: ["1A"] }
          const payload = { seats: 1 }
          const saga = Saga.make("Mutable", {
            payload: Schema.Struct({ seats: Schema.mutableKey(Schema.Int) })
          }).pipe(
            Saga.step("a", {
              success: Schema.Struct({ seats: Schema.mutable(Schema.Array(Schema.String)) }),
              action: () => Effect.succeed(shared),
              compensation: (given, { payload }) => Effect.sync(() => seen.push(given.seats.slice(), payload.seats))
            }),
            Saga.check("b", {
              error: Schema.String,
              action: ({ a }) =>
                Effect.suspend(() => {
                  seen.push(a.seats.slice())
                  shared.seats.push("2B")
                  payload.seats = 99
                  return Effect.fail("no")
                })
            })
          )
          const { engine } = yield* boot(store, [saga])
          assert.strictEqual(errorOf(yield* Effect.exit(engine.execute(saga, payload, id))), "no")
          assert.deepStrictEqual(seen, [["1A"], ["1A"], 1])
        })
    )
  })

  describe(`${name}: definitions`, () => {
    const then = (world: World) => pausing(world).pipe(Saga.step("c", world.step()))

    /** Starts with one definition, goes on with another one. */
    const changed = (
      store: StoreService,
      world: World,
      now: Saga.Saga<void, any, any, any, any, never>,
      before: Saga.Saga<void, any, any, any, any, never> = then(world)
    ) =>
      Effect.gen(function*() {
        yield* left(store, before)
        assert.strictEqual(world.text("e"), "+a")
        yield* TestClock.adjust("1 hour")
        return yield* boot(store, [now])
      })

    const parked: ReadonlyArray<
      readonly [
        what: string,
        now: (world: World) => Saga.Saga<void, any, any, any, any, never>,
        says: ReadonlyArray<string>
      ]
    > = [
      [
        "a step renamed that was done",
        (world) =>
          trip.pipe(Saga.step("first", world.step()), Saga.sleep("pause", "1 hour"), Saga.step("b", world.step())),
        ["step \"a\"", "step \"first\""]
      ],
      [
        "a step removed that was done",
        (world) => trip.pipe(Saga.sleep("pause", "1 hour"), Saga.step("b", world.step())),
        ["step \"a\"", "sleep \"pause\""]
      ],
      ["all removed", () => trip, ["step \"a\"", "nothing"]],
      [
        "steps reordered",
        (world) => trip.pipe(Saga.sleep("pause", "1 hour"), Saga.step("a", world.step()), Saga.step("b", world.step())),
        ["step \"a\"", "sleep \"pause\""]
      ],
      [
        "a step put before those that were done",
        (world) =>
          trip.pipe(Saga.step("new", world.step()), Saga.step("a", world.step()), Saga.sleep("pause", "1 hour")),
        ["step \"a\"", "step \"new\""]
      ],
      [
        "a step of another kind",
        (world) =>
          trip.pipe(Saga.check("a", world.action()), Saga.sleep("pause", "1 hour"), Saga.step("b", world.step())),
        ["step \"a\"", "check \"a\""]
      ]
    ]
    for (const [what, now, says] of parked) {
      fault(`F51 ${what}: parked, with the difference in words`, (store) =>
        Effect.gen(function*() {
          const world = new World()
          const { engine } = yield* changed(store, world, now(world))
          const why = yield* stuckOf(store)
          assert.include(why, "DefinitionChanged")
          for (const words of says) assert.include(why, words)
          // The others go on, with today's definition.
          yield* engine.start(now(world), undefined, { executionId: "new" })
          yield* turn
          yield* eventually(
            "it ends",
            Effect.andThen(
              TestClock.adjust("1 hour"),
              Effect.map(engine.poll("new"), (found) => Option.getOrThrow(found).state === "Succeeded")
            )
          )
          assert.strictEqual(world.text("e"), "+a")
          yield* world.check
        }))
    }

    const fitting: ReadonlyArray<
      readonly [what: string, now: (world: World) => Saga.Saga<void, any, any, any, any, never>, marks: string]
    > = [
      [
        "more steps at the end",
        (world) => then(world).pipe(Saga.step("d", world.step())),
        "+a +b +c +d"
      ],
      ["a step gone that was not come to", (world) => pausing(world), "+a +b"],
      [
        "a step renamed that was not come to",
        (world) => pausing(world).pipe(Saga.step("other", world.step())),
        "+a +b +other"
      ],
      [
        "other limits and retries",
        (world) =>
          trip.pipe(
            Saga.step("a", { ...world.step(), retry: Schedule.recurs(3) }),
            Saga.sleep("pause", "5 hours"),
            Saga.step("b", world.step())
          ),
        "+a +b"
      ]
    ]
    for (const [what, now, marks] of fitting) {
      fault(`F51 ${what}: goes on`, (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = now(world)
          const { engine } = yield* changed(store, world, saga)
          yield* inTime("it goes on", engine.await(saga, "e"))
          assert.strictEqual(world.text("e"), marks)
          yield* world.check
        }))
    }

    fault(
      "F51 an optional field added: old rows are read, and the same payload joins",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const Old = Schema.Struct({ seat: Schema.String })
          const New = Schema.Struct({ seat: Schema.String, row: Schema.optionalKey(Schema.Int) })
          const saga = (
            schema: Schema.Codec<{ readonly seat: string }>
          ): Saga.Saga<any, any, any, any, string, never> =>
            Saga.make("Grows", { payload: schema, key: () => "e" }).pipe(
              Saga.step("a", {
                success: schema,
                action: ({ payload }) => Effect.succeed(payload),
                compensation: () => Effect.void
              }),
              Saga.sleep("pause", "1 hour"),
              Saga.step("b", world.step())
            )
          const payload = { seat: "1A" }
          const first = yield* boot(store, [saga(Old)])
          yield* first.engine.start(saga(Old), payload)
          yield* state(store.journal, "Grows/e", "Waiting")
          yield* first.close
          const { engine } = yield* boot(store, [saga(New)])
          assert.strictEqual(yield* engine.start(saga(New), payload), "Grows/e")
          assert.strictEqual(
            tagOf(yield* Effect.exit(engine.start(saga(New), { ...payload, row: 1 }))),
            "ExecutionConflict"
          )
          yield* TestClock.adjust("1 hour")
          assert.deepStrictEqual(
            yield* inTime("it goes on", engine.await(saga(New), "Grows/e")),
            { a: payload, b: "b" }
          )
          yield* world.check
        })
    )

    type Inner = (fork: Saga.AnySaga) => any
    const ends: Record<string, (inner: Inner, more: boolean) => (saga: any) => any> = {
      "a forEach": (inner) =>
        Saga.forEach("lines", { item: Schema.String, items: () => ["x"], key: (item) => item, each: inner }),
      "a nested saga": (inner) => Saga.nested("in", inner(Saga.make("In", { payload: Schema.Void })), () => undefined),
      "a when": (inner) => Saga.when("if", () => true, inner),
      "a match": (inner) => Saga.match("way", () => "x", { x: inner }),
      "the first way of an orElse": (inner) =>
        Saga.orElse("either", inner, (fork) => fork.pipe(Saga.check("never", { action: () => Effect.void }))),
      "a branch": (inner) => (Saga.parallel as any)((fork: Saga.AnySaga) => [inner(fork)]),
      "a parallel, by a branch": (inner, more) =>
        (Saga.parallel as any)((fork: Saga.AnySaga) => [
          inner(fork),
          ...more ? [(fork as any).pipe(Saga.check("more", { action: () => Effect.void }))] : []
        ])
    }
    for (const [where, node] of Object.entries(ends)) {
      fault(
        `F51 an end that was passed, of ${where}, has more to it: parked, and nothing is done or undone`,
        (store) =>
          Effect.gen(function*() {
            const world = new World()
            const make = (more: boolean): Saga.Saga<void, any, any, any, any, never> => {
              const inner: Inner = (fork) => {
                const begun = (fork as any).pipe(Saga.step("a", world.step()))
                return more && !where.includes("by a") ? begun.pipe(Saga.check("new", world.fails())) : begun
              }
              return (trip as any).pipe(
                node(inner, more),
                Saga.pivot("pay", world.action()),
                Saga.sleep("pause", "1 hour")
              )
            }
            yield* left(store, make(false))
            const before = world.text("e")
            yield* TestClock.adjust("1 hour")
            yield* boot(store, [make(true)])
            yield* state(store.journal, "e", "Stuck")
            assert.match(yield* problem(store.journal, "e"), /^DefinitionChanged: .* passed/)
            assert.strictEqual(world.text("e"), before)
            yield* world.check
          })
      )
    }

    fault("F51 an incompatible schema of a result: parked, with step and reason", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const now = trip.pipe(
          Saga.step("a", { success: Schema.Int, action: () => Effect.succeed(1), compensation: () => Effect.void }),
          Saga.sleep("pause", "1 hour")
        )
        yield* changed(store, world, now)
        const why = yield* stuckOf(store)
        assert.include(why, "StepSucceeded of \"a\"")
        assert.strictEqual(world.text("e"), "+a")
      }))

    fault(
      "F51 while it unwinds a definition that changed behind what was done matters not, one that changed there does",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const before = (gate: Gate) =>
            trip.pipe(
              Saga.step("a", world.step({ undo: () => gate.pass })),
              Saga.step("b", world.step()),
              Saga.check("no", world.fails())
            )
          for (const executionId of ["e", "f"]) {
            const gate = new Gate()
            const first = yield* boot(store, [before(gate)])
            yield* first.engine.start(before(gate), undefined, { executionId })
            yield* gate.reached
            yield* first.kill
            yield* gate.open
            const now: Saga.Saga<void, any, any, any, any, never> = executionId === "e"
              ? trip.pipe(
                Saga.step("a", world.step()),
                Saga.step("b", world.step()),
                Saga.check("no", world.fails()),
                Saga.step("more", world.step())
              )
              : trip.pipe(Saga.step("a2", world.step()), Saga.step("b", world.step()), Saga.check("no", world.fails()))
            const second = yield* boot(store, [now])
            if (executionId === "e") {
              assert.strictEqual(
                errorOf(yield* inTime("it ends", Effect.exit(second.engine.await(now, executionId)))),
                "no"
              )
              assert.strictEqual(world.text("e"), "+a +b !no -b -a")
            } else assert.include(yield* stuckOf(store, executionId), "DefinitionChanged")
            yield* second.close
          }
          yield* world.check
        })
    )

    fault("F51 versions side by side: an execution keeps its own", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const one = pausing(world)
        const two = Saga.make("Trip", { payload: Schema.Void, version: 2 }).pipe(
          Saga.step("new", world.step()),
          Saga.sleep("pause", "1 hour")
        )
        yield* left(store, one)
        // Only the new one is registered: the old one waits for a process that has it.
        const first = yield* boot(store, [two])
        yield* first.engine.start(two, undefined, { executionId: "f" })
        yield* state(store.journal, "f", "Waiting")
        yield* TestClock.adjust("1 hour")
        yield* inTime("the new one goes on", first.engine.await(two, "f"))
        assert.strictEqual(Option.getOrThrow(yield* first.engine.poll("e")).state, "Waiting")
        yield* first.close
        const second = yield* boot(store, [one, two])
        assert.deepStrictEqual(yield* inTime("the old one goes on", second.engine.await(one, "e")), { a: "a", b: "b" })
        assert.strictEqual(world.text("e"), "+a +b")
        assert.strictEqual(world.text("f"), "+new")
        assert.deepStrictEqual((yield* second.engine.list()).executions.map(({ version }) => version), [1, 2])
        yield* world.check
      }))

    fault(
      "F52 a saga unknown to this process: left to others, listed, and run as soon as it is known",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = pausing(world)
          const other = Saga.make("Other", { payload: Schema.Void }).pipe(Saga.step("b", world.step()))
          yield* left(store, saga)
          yield* TestClock.adjust("1 hour")
          const first = yield* boot(store, [other])
          yield* first.engine.start(saga, undefined, { executionId: "new" })
          yield* first.engine.execute(other, undefined, { executionId: "o" })
          const { executions: listed } = yield* first.engine.list({ saga: "Trip" })
          assert.deepStrictEqual(listed.map(({ executionId, state }) => [executionId, state]), [["e", "Waiting"], [
            "new",
            "Running"
          ]])
          assert.strictEqual(world.text("e"), "+a")
          assert.strictEqual(world.text("new"), "")
          // Whoever asks from there waits for those who know it.
          const waiting = yield* Effect.forkChild(first.engine.execute(saga, undefined, id), { startImmediately: true })
          yield* turn
          assert.isUndefined(waiting.pollUnsafe())
          yield* Effect.scoped(Effect.gen(function*() {
            yield* first.engine.register(saga)
            assert.deepStrictEqual(yield* inTime("it goes on", first.engine.await(saga, "e")), { a: "a", b: "b" })
            yield* state(store.journal, "new", "Waiting")
          }))
          yield* TestClock.adjust("1 hour")
          yield* turn
          // It is taken away again.
          assert.strictEqual(Option.getOrThrow(yield* first.engine.poll("new")).state, "Waiting")
          assert.strictEqual(world.text("new"), "+a")
          yield* world.check
        })
    )
  })

  describe(`${name}: crashes in a row`, () => {
    fault(
      "F53 a saga that kills its process is quarantined after so many crashes, one suspect at a time, others go on",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const gate = new Gate()
          const killer = trip.pipe(Saga.step("a", world.step({ before: () => gate.pass })))
          const other = Saga.make("Other", { payload: Schema.Void }).pipe(
            Saga.sleep("pause", "1 hour"),
            Saga.step("b", world.step())
          )
          const options = { quarantineAfter: 3 }
          let boots = 0
          const start = yield* boot(store, [killer, other], options)
          yield* start.engine.start(killer, undefined, { executionId: "k1" })
          yield* start.engine.start(killer, undefined, { executionId: "k2" })
          yield* start.engine.start(other, undefined, id)
          yield* state(store.journal, "e", "Waiting")
          yield* eventually("both are in it", Effect.sync(() => gate.count === 2))
          yield* start.kill
          const parked = Effect.map(
            store.journal.list({ limit: 10, states: ["Stuck"] }),
            (all) => all.executions.length
          )
          while ((yield* parked) < 2 && boots < 20) {
            boots++
            const before = gate.count
            const next = yield* boot(store, [killer, other], options)
            yield* eventually(
              "it comes to the fatal place, or all are parked",
              Effect.map(parked, (count) => gate.count > before || count === 2)
            )
            // From the second takeover on one at a time.
            if (boots > 2) assert.isAtMost(gate.count - before, 1)
            yield* next.kill
          }
          assert.isBelow(boots, 12)
          assert.isAbove(gate.count, 4)
          for (const executionId of ["k1", "k2"]) {
            assert.include(yield* problem(store.journal, executionId), "Quarantined")
          }
          const last = yield* boot(store, [killer, other], options)
          yield* TestClock.adjust("1 hour")
          yield* inTime("the other ends", last.engine.await(other, "e"))
          assert.strictEqual(
            tagOf(yield* Effect.exit(last.engine.await(killer, "k1", { onStuck: "fail" }))),
            "ExecutionStuck"
          )
          yield* world.check
        })
    )

    fault("F53 a crash after each of many steps is no reason: there were new facts", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(
          Saga.step("a", world.step()),
          Saga.step("b", world.step()),
          Saga.step("c", world.step()),
          Saga.step("d", world.step()),
          Saga.step("e", world.step()),
          Saga.step("f", world.step())
        )
        for (let death = 1; death <= 5; death++) {
          const doomed = yield* boot(store, [saga], { dieAt: 1, quarantineAfter: 1 })
          if (death === 1) yield* Effect.forkChild(doomed.engine.start(saga, undefined, id), { startImmediately: true })
          yield* doomed.died
        }
        const last = yield* boot(store, [saga], { quarantineAfter: 1 })
        yield* inTime("it ends", last.engine.await(saga, "e"))
        assert.strictEqual(world.inPlace("e").length, 6)
        yield* world.check
      }))
  })

  describe(`${name}: clocks`, () => {
    fault(
      "F54 the clock jumps an hour ahead, and back: timers early or late by the jump, never twice, never lost",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = pausing(world)
          yield* TestClock.setTime(86_400_000)
          const { engine } = yield* boot(store, [saga])
          const hour = 3_600_000
          yield* engine.start(saga, undefined, { executionId: "ahead" })
          yield* state(store.journal, "ahead", "Waiting")
          // Ahead: the timer is early by the jump.
          yield* TestClock.setTime(86_400_000 + hour)
          yield* inTime("it wakes", engine.await(saga, "ahead"))
          yield* engine.start(saga, undefined, { executionId: "back" })
          yield* state(store.journal, "back", "Waiting")
          // Back by two hours: late by the jump.
          yield* TestClock.setTime(86_400_000 - hour)
          yield* engine.start(saga, undefined, { executionId: "since" })
          yield* state(store.journal, "since", "Waiting")
          yield* TestClock.setTime(86_400_000)
          yield* inTime("the one that was started since wakes", engine.await(saga, "since"))
          yield* turn
          assert.strictEqual(world.text("back"), "+a")
          yield* TestClock.setTime(86_400_000 + 2 * hour)
          yield* inTime("it wakes late", engine.await(saga, "back"))
          for (const executionId of ["ahead", "back", "since"]) {
            assert.strictEqual(world.text(executionId), "+a +b")
            const facts = yield* told(store.journal, executionId)
            assert.strictEqual(facts.filter((words) => words === "TimerFired pause").length, 1)
            // Nothing is ordered by the clock: the facts fold although their times go back.
            const events = yield* Stream.runCollect(engine.events(saga, executionId))
            assert.isTrue(Result.isSuccess(SagaState.fold(Array.from(events))))
          }
          yield* world.check
        })
    )

    fault(
      "F54 two clocks that differ by an hour: the successor wakes by its own, once",
      (store) =>
        Effect.gen(function*() {
          const world = new World()
          const saga = pausing(world)
          yield* TestClock.setTime(86_400_000)
          yield* left(store, saga)
          // The next process believes that it is an hour earlier.
          yield* TestClock.setTime(86_400_000 - 3_600_000)
          const { engine } = yield* boot(store, [saga])
          yield* TestClock.setTime(86_400_000)
          yield* turn
          assert.strictEqual(world.text("e"), "+a")
          yield* TestClock.setTime(86_400_000 + 3_600_000)
          yield* inTime("it wakes", engine.await(saga, "e"))
          assert.strictEqual(world.text("e"), "+a +b")
          yield* world.check
        })
    )

    fault("F55 a timer over 24.8 days: not early, and to the millisecond", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(Saga.sleep("pause", "60 days"), Saga.step("b", world.step()))
        const { engine } = yield* boot(store, [saga])
        yield* engine.start(saga, undefined, id)
        yield* state(store.journal, "e", "Waiting")
        yield* TestClock.adjust("25 days")
        yield* TestClock.adjust(35 * 86_400_000 - 1)
        yield* turn
        assert.strictEqual(world.text("e"), "")
        yield* TestClock.adjust(1)
        yield* inTime("it wakes", engine.await(saga, "e"))
        assert.strictEqual(world.text("e"), "+b")
      }))

    fault(
      "F55 two thousand timers due at once: all fire once, no more at a time than there is room",
      (store) =>
        Effect.gen(function*() {
          const fired = new Map<string, number>()
          let inside = 0
          let most = 0
          const saga = trip.pipe(
            Saga.sleep("pause", "1 hour"),
            Saga.check("b", {
              action: (_, { executionId }) =>
                Effect.acquireUseRelease(
                  Effect.sync(() => {
                    most = Math.max(most, ++inside)
                    fired.set(executionId, (fired.get(executionId) ?? 0) + 1)
                  }),
                  () => turn,
                  () => Effect.sync(() => inside--)
                )
            })
          )
          const { engine } = yield* boot(store, [saga], { concurrency: 50 })
          const ids = Array.from({ length: 2_000 }, (_, index) => `e${index}`)
          yield* Effect.forEach(
            ids,
            (executionId) => engine.start(saga, undefined, { executionId }),
            { concurrency: 200, discard: true }
          )
          const count = (state: "Waiting" | "Succeeded") =>
            Effect.map(store.journal.list({ limit: 3_000, states: [state] }), (all) => all.executions.length)
          yield* eventually("all wait", Effect.map(count("Waiting"), (all) => all === 2_000), 40_000)
          assert.strictEqual(fired.size, 0)
          yield* TestClock.adjust("1 hour")
          yield* eventually("all have ended", Effect.map(count("Succeeded"), (all) => all === 2_000), 40_000)
          assert.strictEqual(fired.size, 2_000)
          assert.deepStrictEqual(Array.from(new Set(fired.values())), [1])
          assert.isAtMost(most, 50)
          assert.isAbove(most, 5)
        }),
      90_000
    )
  })

  describe(`${name}: ids`, () => {
    const odd: Record<string, string> = {
      empty: "",
      "1,000 characters": "x".repeat(1_000),
      "400 characters": "x".repeat(400),
      "400 characters of four bytes": "😀".repeat(200),
      emoji: "👩‍👩‍👧‍👦🏳️‍🌈",
      slash: "a/b//c/",
      quote: "it's \"quoted\" `and` \\escaped\\",
      SQL: "'; DROP TABLE saga_facts; --",
      NUL: "a\0b",
      "a control character": "a\u001bb",
      "a line break": "a\nb",
      "half a character": "a\ud83d",
      "right-to-left": "\u202eאב",
      space: "  ",
      percent: "100%25",
      dots: "../..",
      proto: "__proto__",
      "decomposed letters": "e\u0301",
      "composed letters": "é"
    }
    fault("F56 odd ids: refused or carried safely, and never taken for another one", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = trip.pipe(Saga.step("a", world.step()), Saga.check("b", world.fails()))
        const { close, engine } = yield* boot(store, [saga])
        const carried: Array<string> = []
        for (const [what, executionId] of Object.entries(odd)) {
          const exit = yield* inTime(what, Effect.exit(engine.execute(saga, undefined, { executionId })))
          const error = errorOf(exit)
          if (error === "no") {
            carried.push(executionId)
            assert.strictEqual(world.text(executionId), "+a !b -a", what)
          } else {
            assert.strictEqual((error as { readonly _tag: string })._tag, "ExecutionIdInvalid", what)
            assert.strictEqual(world.text(executionId), "", what)
          }
          // Whatever it is, it can be asked for.
          assert.strictEqual(Option.isSome(yield* engine.poll(executionId)), error === "no", what)
          assert.strictEqual(
            tagOf(yield* Effect.exit(engine.cancel(executionId))),
            error === "no" ? "AlreadyFinal" : "ExecutionNotFound",
            what
          )
          assert.strictEqual(
            errorOf(yield* Effect.exit(engine.await(saga, executionId))) === "no",
            error === "no",
            what
          )
        }
        yield* close
        const next = yield* boot(store, [saga])
        const { executions: listed } = yield* next.engine.list()
        assert.deepStrictEqual(listed.map(({ executionId }) => executionId).sort(), carried.sort())
        for (const executionId of carried) {
          assert.strictEqual(errorOf(yield* Effect.exit(next.engine.await(saga, executionId))), "no")
          const events = yield* Stream.runCollect(next.engine.events(saga, executionId))
          assert.strictEqual(events.at(-1)?._tag, "SagaCompensated")
        }
        const refused = Object.entries(odd).flatMap(([what, id]) => carried.includes(id) ? [] : [what])
        assert.includeMembers(refused, ["empty", "1,000 characters", "NUL", "half a character"])
        assert.includeMembers(carried, [
          odd["slash"]!,
          odd["emoji"]!,
          odd["quote"]!,
          odd["SQL"]!,
          odd["right-to-left"]!
        ])
        yield* world.check
      }))

    fault("F56 odd keys of payloads and items: paths and keys stay apart", (store) =>
      Effect.gen(function*() {
        const world = new World()
        const saga = Saga.make("Keys", { payload: Schema.Array(Schema.String), key: (items) => items.join("/") }).pipe(
          Saga.forEach("each", {
            item: Schema.String,
            items: ({ payload }) => payload,
            key: (item) => item,
            concurrency: 3,
            each: (fork) => fork.pipe(Saga.step("a", world.step()))
          }),
          Saga.check("no", world.fails())
        )
        const { engine } = yield* boot(store, [saga])
        const keys = ["a/b", "a%2Fb", "", "x/a", "😀", "__proto__", "constructor", "'\"\\", "\u202e", "first/a", " "]
        assert.strictEqual(errorOf(yield* inTime("it ends", Effect.exit(engine.execute(saga, keys)))), "no")
        const [execution] = (yield* engine.list()).executions
        assert.deepStrictEqual(world.inPlace(execution!.executionId), [])
        assert.strictEqual(
          world.text(execution!.executionId).split(" ").filter((mark) => mark.startsWith("-")).length,
          keys.length
        )
        yield* world.check
      }))
  })
}
