/** Deploying a changed saga: executions of older versions go on under a newer one, on every store, or say why they cannot. */
import { assert, describe } from "@effect/vitest"
import {
  Cause,
  Effect,
  Exit,
  Fiber,
  HashMap,
  Layer,
  Option,
  Redacted,
  Result,
  Schedule,
  Schema,
  SchemaTransformation,
  Stream
} from "effect"
import { Saga, SagaState } from "effect-saga"
import { AesGcm } from "effect-saga/encryption"
import type { SagaEngineService } from "effect-saga/SagaEngine"
import { TestClock } from "effect/testing"
import type { One, Scene, Two } from "./deployingScenes.ts"
import {
  ann,
  booked,
  Declined,
  declined,
  eco,
  New,
  Old,
  old,
  one,
  payload,
  scenes,
  Trouble,
  two,
  was
} from "./deployingScenes.ts"
import type { Backend, BootOptions, StoreService } from "./world.ts"
import { boot, errorOf, eventually, faultOn, inTime, problem, state, tagOf, together, told } from "./world.ts"

const quick: BootOptions = { poll: 5 }

// ------------------------------------------------------------------------------------------- what happens

/** Version 1 comes so far, and is gone. Returns what of the world is to be seen from then on. */
const left = (store: StoreService, scene: Pick<Scene, "one" | "come" | "leaves">, executionId = "e") =>
  Effect.scoped(Effect.gen(function*() {
    const world = new Trouble()
    const booted = yield* boot(store, [scene.one(world)])
    yield* booted.engine.start(scene.one(world), old(), { executionId })
    yield* scene.come(executionId, store, world)
    yield* scene.leaves === "dead" ? booted.kill : booted.close
    yield* world.gate.open
    world.mend()
    return world
  }))

/** Lets an hour pass if one of these executions waits: what is tried in the meantime has a limit. */
const passing = (engine: SagaEngineService, executionIds: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const rows = yield* Effect.forEach(executionIds, (executionId) => engine.poll(executionId))
    const states = rows.map((row) => Option.getOrThrow(row).state)
    const busy = states.some((state) => state === "Running" || state === "Compensating")
    if (!busy && states.includes("Waiting")) yield* TestClock.adjust("1 hour")
    return states
  })

/** Its end, by the saga that asks, however long that takes. */
const endOf = (engine: SagaEngineService, saga: Saga.Saga<any, any, any, any, any, never>, executionId = "e") =>
  Effect.gen(function*() {
    const asked = yield* Effect.forkChild(Effect.exit(engine.await(saga, executionId, { onStuck: "fail" })), {
      startImmediately: true
    })
    const passes = passing(engine, [executionId])
    yield* eventually(`${executionId} ends`, Effect.map(passes, () => asked.pollUnsafe() !== undefined))
    const exit = yield* Fiber.join(asked)
    return (Exit.isSuccess(exit) ? exit.value : errorOf(exit)) as unknown
  })

const tagsOf = (store: StoreService, executionId = "e") =>
  Effect.map(Effect.orDie(store.journal.facts(executionId, 0)), (facts) => facts.map(({ tag }) => tag))

const markersIn = (tags: ReadonlyArray<string>) => tags.filter((tag) => tag === "SagaMigrated").length

/** Whoever reads it now reads it right: with the saga, and without. */
const checkReaders = (store: StoreService, saga: Two, end: unknown, executionId = "e") =>
  Effect.scoped(Effect.gen(function*() {
    const { close, engine } = yield* boot(store, [saga], quick)
    assert.deepStrictEqual(yield* endOf(engine, saga, executionId), end)
    const events = yield* Stream.runCollect(engine.events(saga, executionId))
    const folded = Result.getOrThrow(SagaState.fold(events))
    assert.strictEqual(folded.version, 2)
    assert.instanceOf(folded.payload, New)
    const known = yield* engine.history(executionId)
    assert.deepStrictEqual(known.map(({ event }) => event), events)
    assert.deepStrictEqual((yield* engine.plan(executionId)).unplaced, [])
    // It joins with the payload of today.
    assert.strictEqual(yield* engine.start(saga, new New({ ...old(), class: "eco" }), { executionId }), executionId)
    const other = yield* Effect.exit(engine.start(saga, new New({ ...old(), class: "biz" }), { executionId }))
    assert.strictEqual(tagOf(other), "ExecutionConflict")
    yield* close
    const stranger = yield* boot(store, [])
    assert.deepStrictEqual(yield* endOf(stranger.engine, saga, executionId), end)
    const loose = (yield* stranger.engine.history(executionId)).map(({ event }) => event!)
    const state = Result.getOrThrow(SagaState.fold(loose))
    assert.deepStrictEqual(stepsOf(state), stepsOf(folded))
    assert.deepStrictEqual((yield* stranger.engine.plan(executionId)).unplaced, [])
  }))

const stepsOf = ({ steps }: SagaState.SagaState) =>
  Array.from(steps, ([path, { status }]) => `${path} ${status}`).sort()

export const suite = (name: string, backend: Backend): void => {
  goingOn(name, backend)
  manyVersions(name, backend)
  failing(name, backend)
  asking(name, backend)
  reporting(name, backend)
}

// ------------------------------------------------------------------------------------------- going on

const goingOn = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)

  describe(`${name}: an execution of version 1 goes on under version 2`, () => {
    for (const [what, scene] of Object.entries(scenes)) {
      fault(what, (store) =>
        Effect.gen(function*() {
          const world = yield* left(store, scene)
          const saga = scene.two(world)
          const before = yield* tagsOf(store)
          const first = yield* boot(store, [saga], quick)
          if (scene.decide !== undefined) yield* scene.decide(first.engine, "e")
          assert.deepStrictEqual(yield* endOf(first.engine, saga), scene.end)
          assert.strictEqual(world.text("e"), scene.seen)
          const tags = yield* tagsOf(store)
          assert.strictEqual(markersIn(tags), 1)
          // It comes before whatever else the new version records.
          assert.strictEqual(tags.indexOf("SagaMigrated") - before.length, scene.decide === undefined ? 0 : 1)
          yield* world.check
          yield* first.close
          yield* checkReaders(store, saga, scene.end)
        }))

      fault(`${what}, whichever write its process dies of`, (store) =>
        Effect.gen(function*() {
          for (let dieAt = 1, ended = false; !ended; dieAt++) {
            const executionId = `e${dieAt}`
            const world = yield* left(store, scene, executionId)
            const saga = scene.two(world)
            ended = yield* Effect.scoped(Effect.gen(function*() {
              const doomed = yield* boot(store, [saga], { ...quick, dieAt })
              const { decide } = scene
              const work = Effect.gen(function*() {
                if (decide !== undefined) yield* Effect.exit(decide(doomed.engine, executionId))
                yield* endOf(doomed.engine, saga, executionId)
                return true
              })
              const lived = yield* Effect.raceFirst(work, Effect.as(doomed.died, false))
              if (lived) yield* doomed.close
              return lived
            }))
            const end = yield* Effect.scoped(Effect.gen(function*() {
              const { close, engine } = yield* boot(store, [saga], quick)
              const row = Option.getOrThrow(yield* engine.poll(executionId))
              if (row.state === "Stuck") yield* scene.decide!(engine, executionId)
              const end = yield* endOf(engine, saga, executionId)
              yield* close
              return end
            }))
            assert.deepStrictEqual(end, scene.end, `it died of write ${dieAt}`)
            assert.isFalse(ended && dieAt < 3, "it has died sometimes")
            assert.strictEqual(markersIn(yield* tagsOf(store, executionId)), 1)
            yield* world.check
          }
        }), 60_000)
    }
  })
}

// ------------------------------------------------------------------------------------------- many versions

/** Version 1 in a sleep, and what becomes of it. */
const resting = {
  one: (world: Trouble): One =>
    one.pipe(Saga.step("reserve", world.step()), Saga.sleep("rest", "1 hour"), Saga.step("ship", world.step())),
  come: (executionId: string, store: StoreService) => state(store.journal, executionId, "Waiting")
}

const hold = { reserve: { name: "hold", success: booked } }

const restingTwo = (world: Trouble, migrated = Saga.migrateFrom(1, { payload, steps: hold })): Two =>
  two.pipe(
    Saga.step("hold", world.booking(was({ hold: "reserve" }))),
    Saga.sleep("rest", "1 hour"),
    Saga.step("ship", world.step()),
    migrated
  )

const reserved = { by: "reserve", at: Option.none() }

const manyVersions = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)

  describe(`${name}: several versions`, () => {
    const two = (world: Trouble): Two =>
      (restingTwo(world) as any).pipe(
        Saga.step("extra", world.booking((path) => path)),
        Saga.sleep("late", "1 hour")
      )
    const Three = Saga.make("Trip", { payload: New, version: 3 })
    const three = (world: Trouble, between = (saga: any) => saga, ...versions: ReadonlyArray<number>): Two => {
      const name = was({ keep: "reserve", more: "extra" })
      const untyped: any = Saga
      const steps: Record<number, Record<string, object>> = {
        1: { reserve: { name: "keep", success: booked } },
        2: { hold: { name: "keep" }, extra: { name: "more" } }
      }
      const saga = between((Three as any).pipe(
        untyped.step("keep", world.booking(name)),
        Saga.sleep("rest", "1 hour"),
        Saga.step("ship", world.step())
      )).pipe(
        Saga.step("more", world.booking(name)),
        Saga.sleep("late", "1 hour"),
        Saga.check("no", { error: Declined, action: () => Effect.fail(new Declined({ why: "at last" })) })
      )
      return versions.reduce(
        (saga, version) =>
          saga.pipe(Saga.migrateFrom(version, { steps: steps[version]!, ...version === 1 ? { payload } : {} })),
        saga
      )
    }
    const throughTwo = (store: StoreService) =>
      Effect.gen(function*() {
        const world = yield* left(store, resting)
        yield* Effect.scoped(Effect.gen(function*() {
          yield* TestClock.adjust("1 hour")
          const second = yield* boot(store, [two(world)], quick)
          yield* eventually(
            "it comes to its second sleep",
            Effect.map(told(store.journal, "e"), (facts) => facts.includes("TimerSet late"))
          )
          yield* state(store.journal, "e", "Waiting")
          yield* second.close
        }))
        return world
      })

    fault(
      "from 1 by 2 to 3: each fact is read as the version meant it that wrote it",
      (store) =>
        Effect.gen(function*() {
          const world = yield* throughTwo(store)
          const saga = three(world, undefined, 1, 2)
          const { close, engine } = yield* boot(store, [saga], quick)
          assert.deepStrictEqual(yield* engine.compatible([saga]), { goOn: 1, migrated: 1, parked: [], left: [] })
          assert.deepStrictEqual(yield* endOf(engine, saga), new Declined({ why: "at last" }))
          assert.strictEqual(world.text("e"), "+reserve +ship +extra -extra -ship -reserve")
          yield* world.check
          const markers = (yield* engine.history("e")).flatMap(({ event }) =>
            event?._tag === "SagaMigrated" ? [event] : []
          )
          assert.deepStrictEqual(markers.map(({ from, to }) => [from, to]), [[1, 2], [2, 3]])
          const events = yield* Stream.runCollect(engine.events(saga, "e"))
          const state = Result.getOrThrow(SagaState.fold(events))
          assert.strictEqual(state.version, 3)
          assert.deepStrictEqual(Option.getOrThrow(HashMap.get(state.steps, "keep")).result, reserved)
          yield* close
          const stranger = yield* boot(store, [])
          const loose = (yield* stranger.engine.history("e")).map(({ event }) => event!)
          assert.deepStrictEqual(stepsOf(Result.getOrThrow(SagaState.fold(loose))), stepsOf(state))
          assert.deepStrictEqual((yield* stranger.engine.plan("e")).unplaced, [])
        })
    )

    fault("what version 2 has added and come to counts in version 3", (store) =>
      Effect.gen(function*() {
        const world = yield* throughTwo(store)
        yield* TestClock.adjust("1 hour")
        const between = (saga: any) => saga.pipe(Saga.check("new", { action: () => Effect.void }))
        const saga = three(world, between, 1, 2)
        const { engine } = yield* boot(store, [saga], quick)
        yield* state(store.journal, "e", "Stuck")
        assert.match(yield* problem(store.journal, "e"), /^DefinitionChanged: number 4 was step "more" /)
        assert.strictEqual(world.text("e"), "+reserve +ship +extra")
        assert.strictEqual(markersIn(yield* tagsOf(store)), 1)
        assert.deepStrictEqual((yield* engine.plan("e")).unplaced, [])
      }))

    fault("version 3 without a migration from 2, or from 1", (store) =>
      Effect.gen(function*() {
        const world = yield* throughTwo(store)
        yield* TestClock.adjust("1 hour")
        const not1 = three(world, undefined, 2)
        const first = yield* boot(store, [not1], quick)
        const others = [{ saga: "Trip", version: 1, count: 1 }]
        assert.deepStrictEqual((yield* first.engine.compatible([not1])).left, others)
        const before = yield* tagsOf(store)
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 50)))
        // It is not even looked for.
        assert.deepStrictEqual(yield* tagsOf(store), before)
        yield* first.close
        const not2 = three(world, undefined, 1)
        const { engine } = yield* boot(store, [not2], quick)
        yield* state(store.journal, "e", "Stuck")
        assert.strictEqual(yield* problem(store.journal, "e"), "Undecodable: version 3 has no migration from version 2")
        assert.strictEqual(tagOf(yield* Effect.exit(engine.await(not2, "e", { onStuck: "fail" }))), "ExecutionStuck")
        assert.strictEqual(world.text("e"), "+reserve +ship +extra")
      }))

    for (const first of ["older", "newer"]) {
      fault(`side by side, the ${first} first: an execution keeps its own`, (store) =>
        Effect.gen(function*() {
          const world = yield* left(store, resting)
          const [one, two] = [resting.one(world), restingTwo(world)]
          const { engine } = yield* boot(store, first === "older" ? [one, two] : [two, one])
          // Whoever asks with the other version has it read as that.
          const asked = yield* Effect.forkChild(engine.await(two, "e"), { startImmediately: true })
          assert.deepStrictEqual(yield* endOf(engine, one), { reserve: "reserve", ship: "ship" })
          const end = { hold: reserved, ship: "ship" }
          assert.deepStrictEqual(yield* inTime("who waits has it", Fiber.join(asked)), end)
          assert.deepStrictEqual(yield* endOf(engine, two), end)
          assert.strictEqual(markersIn(yield* tagsOf(store)), 0)
          // New ones are of the version that is asked for.
          yield* Effect.exit(engine.start(two, new New({ ...old(), class: "biz" }), { executionId: "f" }))
          assert.deepStrictEqual(Object.keys((yield* endOf(engine, two, "f")) as object), ["hold", "ship"])
        }))
    }

    fault(
      "the older one is taken away, as when a program ends: the newer one leaves its executions alone",
      (store) =>
        Effect.gen(function*() {
          const world = yield* left(store, resting)
          const { engine } = yield* boot(store, [restingTwo(world)], { poll: 300 })
          yield* Effect.scoped(engine.register(resting.one(world)))
          yield* TestClock.adjust("1 hour")
          yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 400)))
          assert.strictEqual(markersIn(yield* tagsOf(store)), 0)
          assert.strictEqual(world.text("e"), "+reserve")
        })
    )

    fault(
      "a process of the older version leaves alone what the newer one has taken on",
      (store) =>
        Effect.gen(function*() {
          const world = yield* throughTwo(store)
          yield* TestClock.adjust("1 hour")
          const before = yield* tagsOf(store)
          yield* Effect.scoped(Effect.gen(function*() {
            let claims = 0
            const counted = (journal: typeof store.journal): typeof store.journal => ({
              ...journal,
              claim: (lease, options) =>
                Effect.tap(
                  journal.claim(lease, options),
                  (claimed) => Effect.sync(() => void (claims += claimed.length))
                )
            })
            const saga = resting.one(world)
            const { close, engine } = yield* boot(store, [saga], { ...quick, through: counted })
            yield* eventually(
              "it has looked",
              Effect.sync(() => claims > 0)
            )
            yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 100)))
            // And it does not look all the time.
            assert.strictEqual(claims, 1)
            assert.deepStrictEqual((yield* engine.compatible([saga])).left, [{ saga: "Trip", version: 2, count: 1 }])
            const findings = (yield* engine.doctor).filter(({ about }) => about !== "ClockSkew")
            assert.deepStrictEqual(findings.map(({ about, problem }) => [about, problem]), [
              ["UnknownSaga", "Version 2 of saga \"Trip\" is not registered here"]
            ])
            yield* close
          }))
          assert.deepStrictEqual(yield* tagsOf(store), before)
          const saga = two(world)
          const { engine } = yield* boot(store, [saga], quick)
          assert.deepStrictEqual(yield* endOf(engine, saga), {
            hold: reserved,
            ship: "ship",
            extra: { by: "extra", at: Option.some(new Date(0)) }
          })
          yield* world.check
        })
    )

    if (backend.shared) {
      fault(
        "processes of both versions at once: the older one tells who asks it that it cannot say",
        (plain) =>
          Effect.gen(function*() {
            const store = together(plain)
            const world = yield* left(store, resting)
            yield* TestClock.adjust("1 hour")
            const saga = two(world)
            const newer = yield* boot(store, [saga], quick)
            yield* eventually(
              "it is taken on",
              Effect.map(told(store.journal, "e"), (facts) => facts.includes("TimerSet late"))
            )
            const older = yield* boot(store, [resting.one(world)], quick)
            const asked = yield* Effect.forkChild(Effect.exit(older.engine.await(resting.one(world), "e")), {
              startImmediately: true
            })
            yield* endOf(newer.engine, saga)
            const told1 = errorOf(yield* inTime("who asks is told", Fiber.join(asked))) as Error
            assert.include(told1.message, "version 1 has no migration from version 2")
            assert.strictEqual(world.text("e"), "+reserve +ship +extra")
          })
      )
    }
  })
}

// ------------------------------------------------------------------------------------------- what does not fit

const failing = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)
  const untyped: any = Saga

  describe(`${name}: an execution of version 1 that version 2 cannot go on with`, () => {
    const cases: Readonly<Record<string, readonly [migrated: (saga: Two) => Two, words: RegExp]>> = {
      "its payload is not what the migration reads": [
        untyped.migrateFrom(1, { payload: Schema.toType(New), steps: hold }),
        /^Undecodable: SagaStarted cannot be read by the migration from version 1: [^]*at/
      ],
      "the payload is of another type by now, and no migration says so": [
        Saga.migrateFrom(1, { steps: hold }),
        /^Undecodable: SagaStarted cannot be read by the migration from version 1: [^]*class/
      ],
      "a result is not what the migration reads": [
        Saga.migrateFrom(1, { payload, steps: { reserve: { name: "hold", success: Schema.Int } } }),
        /^Undecodable: StepSucceeded of "reserve" cannot be read by the migration from version 1: /
      ],
      "what the migration makes of a result is none of today": [
        Saga.migrateFrom(1, { payload, steps: { reserve: { name: "hold", success: Schema.String } } }),
        /^Undecodable: StepSucceeded of "reserve" cannot be read by the migration from version 1: /
      ],
      "a migration that throws": [
        Saga.migrateFrom(1, {
          payload: Schema.toEncoded(Old).pipe(Schema.decodeTo(Schema.toType(New), {
            decode: {
              run: () => {
                throw new Error("boo")
              }
            } as never,
            encode: {
              run: () => {
                throw new Error("boo")
              }
            } as never
          })) as unknown as typeof payload,
          steps: hold
        }),
        /^Undecodable: SagaStarted cannot be read by the migration from version 1: [^]*/
      ],
      "a node has another name, and no migration says so": [
        Saga.migrateFrom(1, { payload }),
        /^DefinitionChanged: number 1 was step "reserve" when this execution came to it, and is step "hold" today/
      ],
      "no migration at all is told of": [Saga.migrateFrom(1), /^Undecodable: /]
    }
    for (const [what, [migrated, words]] of Object.entries(cases)) {
      fault(`${what}: it is parked untouched, and goes on when that is mended`, (store) =>
        Effect.gen(function*() {
          const world = yield* left(store, resting)
          const before = yield* tagsOf(store)
          const wrong = restingTwo(world, migrated as never)
          yield* TestClock.adjust("1 hour")
          yield* Effect.scoped(Effect.gen(function*() {
            const reporter = yield* boot(store, [])
            const { parked } = yield* reporter.engine.compatible([wrong])
            assert.deepStrictEqual(parked.map(({ executionId }) => executionId), ["e"])
            assert.match(parked[0]!.problem, words)
            yield* reporter.close
            const { close } = yield* boot(store, [wrong], quick)
            yield* state(store.journal, "e", "Stuck")
            assert.strictEqual(yield* problem(store.journal, "e"), parked[0]!.problem)
            yield* close
          }))
          assert.deepStrictEqual(yield* tagsOf(store), before)
          const saga = restingTwo(world)
          const { engine } = yield* boot(store, [saga], quick)
          yield* engine.retry("e", ann)
          assert.deepStrictEqual(yield* endOf(engine, saga), { hold: reserved, ship: "ship" })
          assert.strictEqual(world.text("e"), "+reserve +ship")
          assert.strictEqual(markersIn(yield* tagsOf(store)), 1)
          yield* world.check
        }))
    }
  })
}

// ------------------------------------------------------------------------------------------- who asks

const asking = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)

  describe(`${name}: who asks with version 2`, () => {
    const toItsEnd = (fails: boolean): Pick<Scene, "one" | "come"> => ({
      one: (world) =>
        fails
          ? one.pipe(Saga.step("reserve", world.step()), Saga.check("no", world.fails()))
          : one.pipe(Saga.step("reserve", world.step())),
      come: (executionId, store) => state(store.journal, executionId, fails ? "Compensated" : "Succeeded")
    })

    fault("for one that has succeeded under version 1", (store) =>
      Effect.gen(function*() {
        const world = yield* left(store, toItsEnd(false))
        const saga: Two = two.pipe(
          Saga.step("hold", world.booking(was({ hold: "reserve" }))),
          Saga.migrateFrom(1, { payload, steps: hold })
        )
        for (const sagas of [[], [saga]]) {
          const { close, engine } = yield* boot(store, sagas, quick)
          assert.deepStrictEqual(yield* inTime("it has ended", engine.await(saga, "e")), { hold: reserved })
          const eco = new New({ ...old(), class: "eco" })
          assert.deepStrictEqual(yield* engine.execute(saga, eco, { executionId: "e" }), { hold: reserved })
          const events = yield* Stream.runCollect(engine.events(saga, "e"))
          assert.strictEqual(Result.getOrThrow(SagaState.fold(events)).status, "Succeeded")
          assert.deepStrictEqual(events.flatMap((event) => "path" in event ? [event.path] : []), ["hold", "hold"])
          yield* close
        }
        assert.strictEqual(markersIn(yield* tagsOf(store)), 0)
      }))

    fault("for one whose result was another one", (store) =>
      Effect.gen(function*() {
        const world = yield* left(store, {
          ...toItsEnd(false),
          one: (world) => one.pipe(Saga.step("reserve", world.step()), Saga.output(Schema.Int, () => 7))
        })
        const saga = (output: object): Two =>
          two.pipe(
            Saga.step("hold", world.booking(was({ hold: "reserve" }))),
            Saga.step("more", world.step()),
            Saga.output(Schema.String, () => ""),
            Saga.migrateFrom(1, { payload, steps: hold, ...output })
          )
        const { engine } = yield* boot(store, [], quick)
        const asked = errorOf(yield* Effect.exit(engine.await(saga({}), "e"))) as Error
        assert.include(asked.message, "SagaSucceeded cannot be read by the migration from version 1")
        const named = Schema.NumberFromString.pipe(Schema.flip)
        assert.strictEqual(yield* engine.await(saga({ output: named }), "e"), "7")
      }))

    fault("for one that was compensated under version 1", (store) =>
      Effect.gen(function*() {
        const world = yield* left(store, toItsEnd(true))
        const saga: Two = two.pipe(
          Saga.step("hold", world.booking(was({ hold: "reserve" }))),
          Saga.check("not", { error: Declined, action: () => Effect.void }),
          Saga.migrateFrom(1, { payload, steps: { ...hold, no: { name: "not", error: declined } } })
        )
        const { engine } = yield* boot(store, [saga], quick)
        assert.deepStrictEqual(yield* endOf(engine, saga), new Declined({ why: "no" }))
        const outcome = yield* engine.outcome(saga, "e")
        if (outcome._tag !== "Compensated") return assert.fail(outcome._tag)
        assert.deepStrictEqual(outcome.compensated, ["hold"])
        assert.deepStrictEqual(Cause.squash(outcome.cause), new Declined({ why: "no" }))
      }))

    fault("to do one again that was abandoned under version 1, with its results", (store) =>
      Effect.gen(function*() {
        yield* left(store, resting)
        const keys: Array<string> = []
        const saga: Two = two.pipe(
          Saga.step("hold", {
            success: Schema.Struct({ by: Schema.String }),
            action: () => Effect.die("is kept"),
            compensation: ({ by }, _, { actionKey }) => Effect.sync(() => void keys.push(by, actionKey))
          }),
          Saga.check("not", { error: Declined, action: () => Effect.fail(new Declined({ why: "again" })) }),
          Saga.migrateFrom(1, {
            payload,
            steps: {
              reserve: { name: "hold", success: booked.pipe(Schema.decodeTo(Schema.Struct({ by: Schema.String }))) }
            }
          })
        )
        const { engine } = yield* boot(store, [saga], quick)
        yield* engine.abandon("e", ann)
        const again = yield* engine.rerun("e", { ...ann, keepResults: true })
        assert.deepStrictEqual(yield* endOf(engine, saga, again), new Declined({ why: "again" }))
        // What has taken place under version 1 is undone under its own key.
        assert.deepStrictEqual(keys, ["reserve", "e/reserve"])
      }))

    fault("to join one that runs under version 1 beside it, and to cancel it", (store) =>
      Effect.gen(function*() {
        const world = yield* left(store, resting)
        const [first, second] = [resting.one(world), restingTwo(world)]
        const { engine } = yield* boot(store, [first, second], { ...quick, evictAfter: "1 day" })
        yield* engine.start(first, old(), { executionId: "f" })
        yield* eventually("it rests", Effect.map(told(store.journal, "f"), (facts) => facts.includes("TimerSet rest")))
        const eco = new New({ ...old(), class: "eco" })
        for (const executionId of ["e", "f"]) {
          assert.strictEqual(yield* engine.start(second, eco, { executionId }), executionId)
          const biz = new New({ ...old(), class: "biz" })
          assert.strictEqual(tagOf(yield* Effect.exit(engine.start(second, biz, { executionId }))), "ExecutionConflict")
        }
        yield* engine.cancel("f")
        yield* state(store.journal, "f", "Compensated")
        assert.strictEqual(markersIn(yield* tagsOf(store, "f")), 0)
      }))

    fault("to cancel one that waits and is not taken on yet: it is taken on first", (store) =>
      Effect.gen(function*() {
        const world = yield* left(store, resting)
        const saga = restingTwo(world)
        const { engine } = yield* boot(store, [saga], quick)
        // It is looked at as version 1 has left it.
        assert.deepStrictEqual((yield* engine.plan("e")).steps.map(({ path, status }) => `${path} ${status}`), [
          "reserve Done",
          "rest Waiting",
          "ship ToCome"
        ])
        yield* engine.compensate("e", ann)
        yield* state(store.journal, "e", "Compensated")
        assert.strictEqual(world.text("e"), "+reserve -reserve")
        const tags = yield* tagsOf(store)
        assert.deepStrictEqual(tags.slice(4, 6), ["SagaMigrated", "CancelRequested"])
        assert.deepStrictEqual((yield* engine.plan("e")).steps.map(({ path, status }) => `${path} ${status}`), [
          "hold Compensated",
          "rest NotTaken",
          "ship NotTaken"
        ])
      }))

    fault("to settle what is stuck since it was taken on: as version 2 has it", (store) =>
      Effect.gen(function*() {
        const world = yield* left(store, resting)
        const saga: Two = two.pipe(
          Saga.step("hold", world.booking(was({ hold: "reserve" }))),
          Saga.sleep("rest", "1 hour"),
          Saga.step("ship", {
            ...world.booking((path) => path, { after: () => Effect.die("cut") }),
            whenUncertain: "stuck"
          }),
          Saga.migrateFrom(1, { payload, steps: hold })
        )
        const { engine } = yield* boot(store, [saga], quick)
        yield* eventually(
          "it is stuck",
          Effect.map(
            passing(engine, ["e"]),
            ([state]) => state === "Stuck"
          )
        )
        const refused = errorOf(yield* Effect.exit(engine.skip("e", "ship", "found", ann))) as Error
        assert.include(refused.message, "The value is none of \"ship\"")
        yield* engine.skip("e", "ship", { by: "found", at: { _tag: "None" } }, ann)
        assert.deepStrictEqual(yield* endOf(engine, saga), { hold: reserved, ship: { by: "found", at: Option.none() } })
      }))

    fault(
      "to have one unwound that is stuck before its commit point since it was taken on",
      (store) =>
        Effect.gen(function*() {
          const world = yield* left(store, {
            ...resting,
            one: (world) =>
              one.pipe(
                Saga.step("reserve", world.step()),
                Saga.sleep("rest", "1 hour"),
                Saga.pivot("pay", { action: () => Effect.void, whenUncertain: undefined as never })
              )
          })
          const saga: Two = two.pipe(
            Saga.step("hold", world.booking(was({ hold: "reserve" }))),
            Saga.sleep("rest", "1 hour"),
            Saga.pivot("charge", { action: () => Effect.die("cut") }),
            Saga.migrateFrom(1, { payload, steps: { ...hold, pay: { name: "charge" } } })
          )
          const { engine } = yield* boot(store, [saga], quick)
          yield* eventually(
            "it is stuck",
            Effect.map(
              passing(engine, ["e"]),
              ([state]) => state === "Stuck"
            )
          )
          yield* engine.compensate("e", ann)
          yield* state(store.journal, "e", "Compensated")
          assert.strictEqual(world.text("e"), "+reserve -reserve")
          yield* world.check
        })
    )
  })
}

// ------------------------------------------------------------------------------------------- reporting

const ends: ReadonlyArray<string> = ["Succeeded", "Compensated", "Stuck"]
const byId = (a: { readonly executionId: string }, b: { readonly executionId: string }) =>
  a.executionId < b.executionId ? -1 : 1

const Items = Schema.Struct({ sku: Schema.String })

/** A saga that comes to another place by each payload. */
const wayward = (world: Trouble): One =>
  one.pipe(
    Saga.step(
      "reserve",
      world.step({ undo: ({ executionId }) => executionId === "undoing" ? world.gate.pass : Effect.void })
    ),
    Saga.forEach("lines", {
      item: Schema.String,
      items: ({ payload }) => payload.seat === "items" || payload.seat === "picking" ? ["a", "b"] : [],
      key: (sku) => sku,
      each: (fork) =>
        fork.pipe(
          Saga.step(
            "pick",
            world.step({ before: ({ executionId }) => executionId === "picking" ? world.gate.pass : Effect.void })
          )
        )
    }),
    Saga.check("fine", {
      error: Schema.String,
      action: ({ payload }) => payload.seat === "undoing" ? Effect.fail("no") : Effect.void
    }),
    Saga.step("charge", {
      ...world.step({
        before: ({ attempt, executionId }) =>
          executionId === "retrying" && attempt === 1 ? Effect.fail("empty") : Effect.void
      }),
      retry: Schedule.spaced("5 hours")
    }),
    Saga.sleep("rest", "1 day")
  )

/** What was left of it when its process was killed: seven that are live, one of them broken; one that has ended; and a stranger. */
const town = (store: StoreService) =>
  Effect.scoped(Effect.gen(function*() {
    const world = new Trouble()
    const other = Saga.make("Other", { payload: Schema.Void }).pipe(Saga.sleep("rest", "1 day"))
    const saga = wayward(world)
    const { engine, kill } = yield* boot(store, [saga, other])
    yield* engine.start(other, undefined, { executionId: "other" })
    const ids = ["waiting", "items", "retrying", "broken", "ended", "undoing", "picking", "more"]
    for (const seat of ids) yield* engine.start(saga, { ...old(), seat }, { executionId: seat })
    for (const id of ["waiting", "items", "retrying", "broken", "ended", "more"]) {
      yield* state(store.journal, id, "Waiting")
    }
    yield* eventually(
      "two are held",
      Effect.sync(() => world.gate.count === 2)
    )
    yield* engine.cancel("ended")
    yield* state(store.journal, "ended", "Compensated")
    yield* kill
    yield* store.tamper(
      "broken",
      2,
      "{\"_tag\":\"StepSucceeded\",\"atMillis\":0,\"path\":\"reserve\",\"attempts\":1,\"result\":5}"
    )
    yield* world.gate.open
    return world
  }))

const itemsOf = SchemaTransformation.transform({
  decode: (sku: string) => ({ sku }),
  encode: ({ sku }: typeof Items.Type) => sku
})

const waywardTwo = (world: Trouble, steps: Readonly<Record<string, Saga.NodeMigration>>, given = payload): Two =>
  two.pipe(
    Saga.step("hold", world.booking(was({ hold: "reserve" }))),
    Saga.forEach("lines", {
      item: Items,
      items: () => [],
      key: ({ sku }) => sku,
      each: (fork) => fork.pipe(Saga.step("pick", world.step()))
    }),
    Saga.check("fine", { error: Schema.String, action: () => Effect.void }),
    Saga.step("pay", { ...world.known(was({ pay: "charge" })), retry: Schedule.spaced("5 hours") }),
    Saga.sleep("rest", "1 day"),
    Saga.migrateFrom(1, { payload: given, steps })
  )

const everything = {
  ...hold,
  lines: { item: Schema.String.pipe(Schema.decodeTo(Items, itemsOf)) },
  charge: { name: "pay" }
}

/** Sagas as they may be deployed over that town. */
const deployments: Readonly<Record<string, (world: Trouble) => ReadonlyArray<Saga.AnySaga>>> = {
  "a migration of everything": (world) => [waywardTwo(world, everything)],
  "a step is forgotten": (world) => [waywardTwo(world, { ...hold, lines: everything.lines })],
  "the items are read as something else": (world) => [waywardTwo(world, { ...everything, lines: { item: Items } })],
  "some payloads are none any more": (world) => {
    const Few = Schema.Struct({ seat: Schema.String.check(Schema.isMinLength(6)), at: Schema.Date })
    return [
      waywardTwo(world, everything, Few.pipe(Schema.decodeTo(Schema.toType(New), eco)) as unknown as typeof payload)
    ]
  },
  "no migration": (world) => [two.pipe(Saga.step("hold", world.booking(was({ hold: "reserve" }))))],
  "the old one beside the new one": (world) => [wayward(world), waywardTwo(world, everything)],
  "nothing": () => []
}

const reporting = (name: string, backend: Backend): void => {
  const fault = faultOn(backend)

  describe(`${name}: what would become of all executions`, () => {
    for (const [what, sagas] of Object.entries(deployments)) {
      fault(`${what}: it is what becomes of them`, (store) =>
        Effect.gen(function*() {
          const world = yield* town(store)
          const trees = sagas(world)
          const reporter = yield* boot(store, [])
          const live = (engine: SagaEngineService) =>
            Effect.map(
              engine.list({ saga: "Trip", state: ["Running", "Waiting", "Compensating"] }),
              ({ executions }) => executions.map(({ executionId }) => executionId)
            )
          const ids = yield* live(reporter.engine)
          const before = yield* Effect.forEach(ids, (executionId) => tagsOf(store, executionId))
          const report = yield* reporter.engine.compatible(trees)
          assert.deepStrictEqual(yield* Effect.forEach(ids, (executionId) => tagsOf(store, executionId)), before)
          yield* reporter.close
          const { engine } = yield* boot(store, trees, quick)
          const rows = Effect.forEach(ids, (id) => Effect.map(engine.poll(id), Option.getOrThrow))
          const count = ids.length -
            report.left.reduce((sum, { count, saga }) => saga === "Trip" ? sum + count : sum, 0)
          yield* eventually(
            "all that can be have ended or are parked",
            Effect.map(
              passing(engine, ids),
              (states) => states.filter((state) => ends.includes(state)).length === count
            )
          )
          const after = yield* rows
          const parked = after.flatMap(({ executionId, problem, state }) =>
            state === "Stuck" ? [{ executionId, problem }] : []
          )
          assert.deepStrictEqual(parked.sort(byId), Array.from(report.parked).sort(byId))
          let migrated = 0
          for (const executionId of ids) migrated += markersIn(yield* tagsOf(store, executionId))
          assert.strictEqual(migrated, report.migrated)
          assert.strictEqual(report.goOn, count - parked.length)
          // What was left is what is left.
          const again = yield* engine.compatible(trees)
          assert.deepStrictEqual(again, { goOn: 0, migrated: 0, parked: [], left: report.left })
          yield* world.check
        }), 60_000)
    }

    fault("of one deployment and another they differ", (store) =>
      Effect.gen(function*() {
        const world = yield* town(store)
        const { engine } = yield* boot(store, [])
        const counts: Record<string, string> = {}
        for (const [what, sagas] of Object.entries(deployments)) {
          const { goOn, left, migrated, parked } = yield* engine.compatible(sagas(world))
          counts[what] = `${goOn} go on, ${migrated} migrated, ${parked.length} parked, ${
            left.map(({ count, saga, version }) => `${count} ${saga}@${version}`).sort().join(" ")
          }`
        }
        assert.deepStrictEqual(counts, {
          "a migration of everything": "6 go on, 6 migrated, 1 parked, 1 Other@1",
          "a step is forgotten": "2 go on, 2 migrated, 5 parked, 1 Other@1",
          "the items are read as something else": "4 go on, 4 migrated, 3 parked, 1 Other@1",
          "some payloads are none any more": "4 go on, 4 migrated, 3 parked, 1 Other@1",
          "no migration": "0 go on, 0 migrated, 0 parked, 1 Other@1 7 Trip@1",
          "the old one beside the new one": "6 go on, 0 migrated, 1 parked, 1 Other@1",
          "nothing": "0 go on, 0 migrated, 0 parked, 1 Other@1 7 Trip@1"
        })
      }))

    fault("is told of what waits, before it is due", (store) =>
      Effect.gen(function*() {
        const world = yield* left(store, resting)
        const { engine } = yield* boot(store, [])
        assert.deepStrictEqual(yield* engine.compatible([restingTwo(world)]), {
          goOn: 1,
          migrated: 1,
          parked: [],
          left: []
        })
        assert.deepStrictEqual(yield* engine.compatible([resting.one(world)]), {
          goOn: 1,
          migrated: 0,
          parked: [],
          left: []
        })
        assert.deepStrictEqual((yield* engine.compatible([resting.one(world), restingTwo(world)])).migrated, 0)
        const { parked } = yield* engine.compatible([restingTwo(world, Saga.migrateFrom(1, { payload }))])
        assert.match(parked[0]!.problem, /^DefinitionChanged: /)
        assert.deepStrictEqual(
          (yield* engine.compatible([])).left,
          [{ saga: "Trip", version: 1, count: 1 }]
        )
        assert.strictEqual(Option.getOrThrow(yield* engine.poll("e")).state, "Waiting")
      }))

    fault("is told of secrets that went through a cipher, and they go on", (store) => {
      const Secret = Schema.Redacted(Schema.String)
      const Card = Schema.Struct({ card: Secret })
      const Owned = Schema.Struct({ card: Secret, owner: Schema.String })
      const before = Saga.make("Secrets", { payload: Card }).pipe(
        Saga.step("charge", {
          success: Secret,
          action: ({ payload }) => Effect.succeed(payload.card),
          compensation: () => Effect.void
        }),
        Saga.sleep("rest", "1 hour")
      )
      const after = Saga.make("Secrets", { payload: Owned, version: 2 }).pipe(
        Saga.step("pay", { success: Secret, action: () => Effect.die("done"), compensation: () => Effect.void }),
        Saga.sleep("rest", "1 hour"),
        Saga.output(Schema.Array(Secret), ({ pay, payload }) => [pay, payload.card, Redacted.make(payload.owner)]),
        Saga.migrateFrom(1, {
          payload: Card.pipe(Schema.decodeTo(
            Schema.toType(Owned),
            SchemaTransformation.transform({
              decode: ({ card }) => ({ card, owner: "ann" }),
              encode: ({ card }) => ({ card })
            })
          )),
          steps: { charge: { name: "pay" } }
        })
      )
      const Cipher = AesGcm.layer({ current: "k", keys: { k: Redacted.make(Buffer.alloc(32, 1).toString("base64")) } })
      return Effect.provide(
        Effect.gen(function*() {
          const first = yield* boot(store, [before])
          yield* first.engine.start(before, { card: Redacted.make("4711") }, { executionId: "e" })
          yield* state(store.journal, "e", "Waiting")
          yield* first.close
          const second = yield* boot(store, [])
          const report = { goOn: 1, parked: [], left: [] }
          assert.deepStrictEqual(yield* second.engine.compatible([before]), { ...report, migrated: 0 })
          assert.deepStrictEqual(yield* second.engine.compatible([after]), { ...report, migrated: 1 })
          yield* second.close
          const { engine } = yield* boot(store, [after], quick)
          const end = (yield* endOf(engine, after)) as ReadonlyArray<Redacted.Redacted>
          assert.deepStrictEqual(end.map(Redacted.value), ["4711", "4711", "ann"])
        }),
        Layer.orDie(Cipher)
      )
    })
  })
}
