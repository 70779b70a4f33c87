// Interruption at every operation of a run whose fibers are made to yield every few operations: rule 5, faults 5 and 13.
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Logger, Option, Schedule, Scheduler, Schema } from "effect"
import { Saga } from "effect-saga"
import { Ledger, trip } from "./ledger.ts"

/** Makes fibers yield after so many operations, and interrupts at some operation of all of them, counted together. */
class Cutting extends Scheduler.MixedScheduler {
  readonly yieldEvery: number
  readonly at: ReadonlySet<number>
  cut = (): void => {}
  operations = 0

  constructor(yieldEvery: number, at: ReadonlyArray<number>) {
    super()
    this.yieldEvery = yieldEvery
    this.at = new Set(at)
  }

  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    if (this.at.has(++this.operations)) this.cut()
    return fiber.currentOpCount >= this.yieldEvery
  }
}

type Place = "nothing done" | "between" | "done" | "returned" | "falling back" | "unwinding" | "over"

/** A ledger that also knows which actions have returned their result: by their last operation. */
class Run extends Ledger {
  readonly returned = new Set<string>()
  /** What `onStuck` was told. */
  left: ReadonlyArray<string> | undefined

  /** Pauses before its effect, after it, and before it is undone. */
  slow(pause: Effect.Effect<void>) {
    const step = this.step({ before: () => pause, after: () => pause, undo: () => pause })
    return { ...step, action: this.#returning(step.action) }
  }

  slowAndKnowing(pause: Effect.Effect<void>) {
    const step = this.knowing({ before: () => pause, after: () => pause, undo: () => pause })
    return { ...step, action: this.#returning(step.action) }
  }

  #returning(action: ReturnType<Ledger["step"]>["action"]): typeof action {
    return (state, context) =>
      Effect.flatMap(action(state, context), (path) =>
        Effect.sync(() => {
          this.returned.add(path)
          return path
        }))
  }

  /** How far an observed run has come. */
  get place(): Place {
    const last = this.facts.at(-1)
    if (last?._tag === "SagaSucceeded" || last?._tag === "SagaCompensated") return "over"
    const unwinds = this.facts.filter((fact) => fact._tag === "UnwindStarted")
    if (unwinds.some((fact) => fact.scope === "")) return "unwinding"
    if (unwinds.length > this.facts.filter((fact) => fact._tag === "FellBack").length) return "falling back"
    const booked = new Set(this.facts.flatMap((fact) => fact._tag === "StepSucceeded" ? [fact.path] : []))
    if (Array.from(this.returned).some((path) => !booked.has(path))) return "returned"
    if (Array.from(this.inPlace).some((path) => !booked.has(path))) return "done"
    return this.inPlace.size > 0 ? "between" : "nothing done"
  }
}

type Build = (run: Run) => Saga.Saga<void, unknown, unknown, unknown, unknown, never>

interface Cut {
  readonly yieldEvery: number
  readonly at: ReadonlyArray<number>
  readonly observed: boolean
}

/** Runs a saga, interrupts it, and checks that every effect was compensated or is reported. */
const cutting = (build: Build, cut: Cut) =>
  Effect.gen(function*() {
    const run = new Run(cut)
    const scheduler = new Cutting(cut.yieldEvery, cut.at)
    const places: Array<Place> = []
    const reported: Array<string> = []
    const logger = Logger.make<unknown, void>(({ message }) => {
      for (const [, path] of String(message).matchAll(/(\S+) \((?:Interrupted|Died)\)/g)) reported.push(path!)
    })
    const fiber = yield* run.observe(Saga.run(build(run), undefined)).pipe(
      Effect.provideService(Scheduler.Scheduler, scheduler),
      Effect.provide(Logger.layer([logger])),
      Effect.forkDetach
    )
    scheduler.cut = () => {
      if (cut.observed) places.push(run.place)
      fiber.interruptUnsafe()
    }
    const exit = yield* Fiber.await(fiber)
    run.check(exit)
    // The last step was done and nothing was undone: it has succeeded, whatever came too late.
    const succeeded = cut.observed ? run.state.status === "Succeeded" : run.text.endsWith("+end")
    const committed = run.inPlace.has("pivot")
    if (!succeeded && !committed) {
      assert.deepStrictEqual([...run.inPlace].filter((path) => !reported.includes(path)), [])
    }
    assert.deepStrictEqual(reported.filter((path) => /shielded|knowing|asked/.test(path)), [])
    return { operations: scheduler.operations, places, reported, run }
  })

/** Steps of every kind that an interruption treats differently, one after the other. */
const line = (pause: Effect.Effect<void>, fails: boolean): Build => (run) =>
  trip.pipe(
    Saga.step("plain", run.slow(pause)),
    Saga.step("shielded", { ...run.slow(pause), interruptible: false }),
    Saga.step("knowing", run.slowAndKnowing(pause)),
    Saga.step("asked", {
      ...run.slow(pause),
      verify: (_, { path }) => Effect.succeed(run.inPlace.has(path) ? Option.some(path) : Option.none())
    }),
    Saga.step("limited", { ...run.slow(pause), timeout: "1 hour", whenUncertain: "report" }),
    Saga.check("check", { error: Schema.String, action: () => fails ? Effect.fail("no") : Effect.void }),
    Saga.step("end", run.slow(pause))
  )

/** The same in a tree: branches, items, a save-point that falls back, a nested saga. */
const tree = (pause: Effect.Effect<void>, fails: boolean): Build => (run) =>
  trip.pipe(
    Saga.step("plain", run.slow(pause)),
    Saga.parallel((fork) => [
      fork.pipe(Saga.step("left", run.slow(pause)), Saga.step("knowing", run.slowAndKnowing(pause))),
      fork.pipe(
        Saga.step("shielded", { ...run.slow(pause), interruptible: false }),
        Saga.step("right", run.slow(pause))
      )
    ]),
    Saga.forEach("items", {
      item: Schema.String,
      items: () => ["x", "y", "z"],
      key: (item) => item,
      concurrency: 2,
      each: (fork) => fork.pipe(Saga.step("step", run.slow(pause)))
    }),
    Saga.orElse(
      "way",
      (fork) =>
        fork.pipe(
          Saga.step("first", run.slow(pause)),
          Saga.check("no", { error: Schema.String, action: () => Effect.fail("no") })
        ),
      (fork) => fork.pipe(Saga.step("second", run.slow(pause)))
    ),
    Saga.nested("in", trip.pipe(Saga.step("inner", run.slow(pause))), () => {}),
    Saga.check("check", { error: Schema.String, action: () => fails ? Effect.fail("no") : Effect.void }),
    Saga.step("end", run.slow(pause)),
    Saga.timeout("1 hour")
  )

/** With a point of no return. */
const committing = (pause: Effect.Effect<void>, fails: boolean): Build => (run) => {
  const { compensation: _, ...action } = run.slow(pause)
  const retriable = { ...action, retry: Schedule.recurs(0) }
  return trip.pipe(
    Saga.step("plain", run.slow(pause)),
    Saga.pivot("pivot", { ...action, ...(fails ? { action: () => Effect.fail("no") } : {}) }),
    Saga.retriable("one", retriable),
    Saga.parallel((
      fork
    ) => [fork.pipe(Saga.retriable("two", retriable)), fork.pipe(Saga.retriable("three", retriable))]),
    Saga.retriable("end", retriable),
    Saga.onStuck(({ error }) => Effect.sync(() => void (run.left = "left" in error ? error.left : undefined)))
  )
}

const pauses = [Effect.void, Effect.yieldNow, Effect.promise(() => Promise.resolve())]

const count = <K>(counts: Map<K, number>, key: K) => counts.set(key, (counts.get(key) ?? 0) + 1)

/** Interrupts at each operation, one run for each, and lets every one be judged. */
const everywhere = (
  build: (pause: Effect.Effect<void>, fails: boolean) => Build,
  judge: (run: Run, places: ReadonlyArray<Place>) => void
) =>
  Effect.gen(function*() {
    for (const pause of pauses) {
      for (const fails of [true, false]) {
        for (const observed of [true, false]) {
          const { operations } = yield* cutting(build(pause, fails), { at: [], observed, yieldEvery: 3 })
          for (let at = 1; at <= operations; at++) {
            const cut = yield* cutting(build(pause, fails), { at: [at], observed, yieldEvery: 3 + at % 9 })
            judge(cut.run, cut.places)
          }
        }
      }
    }
  })

it.effect(
  "F5 interruption between a returned result and its registration: nothing is lost, at any operation",
  () =>
    Effect.gen(function*() {
      const places = new Map<Place, number>()
      yield* everywhere(line, (_, [place]) => place !== undefined && count(places, place))
      for (const place of ["nothing done", "done", "returned", "between", "unwinding", "over"] as const) {
        assert.isAbove(places.get(place) ?? 0, 20, place)
      }
    }),
  60_000
)

it.effect(
  "F26 with a point of no return: all is undone, or nothing, and then what is left is named",
  () =>
    Effect.gen(function*() {
      const ends = new Map<string, number>()
      yield* everywhere(committing, (run) => {
        const committed = run.inPlace.has("pivot")
        if (committed) {
          assert.notInclude(run.text, "-")
          assert.sameMembers([...run.inPlace, ...run.left ?? []], ["plain", "pivot", "one", "two", "three", "end"])
        }
        count(ends, !committed ? "undone" : run.left === undefined ? "succeeded" : `${run.left.length} left`)
      })
      for (const end of ["undone", "succeeded", "4 left", "3 left", "1 left"]) {
        assert.isAbove(ends.get(end) ?? 0, 50, end)
      }
    }),
  60_000
)

it.effect(
  "F5 F13 one, two or three interruptions at random operations of a tree: nothing is lost",
  () =>
    Effect.gen(function*() {
      const places = new Map<Place, number>()
      let seed = 1
      const below = (limit: number) => {
        seed = Math.imul(seed ^ (seed >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0
        return (seed >>> 0) % limit
      }
      for (let runs = 0; runs < 4_000; runs++) {
        const build = tree(pauses[below(3)]!, below(2) === 0)
        const at = Array.from({ length: 1 + below(3) }, () => 1 + below(900))
        const cut = yield* cutting(build, { at, observed: below(4) > 0, yieldEvery: 3 + below(9) })
        for (const place of cut.places) count(places, place)
      }
      for (
        const place of ["nothing done", "done", "returned", "between", "falling back", "unwinding", "over"] as const
      ) {
        assert.isAbove(places.get(place) ?? 0, 20, place)
      }
    }),
  60_000
)
