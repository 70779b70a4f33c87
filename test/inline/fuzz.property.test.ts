/**
 * FAULTS 5. Random inline sagas with asynchronous actions, interrupted at random, on a scheduler that yields every few
 * operations: every effect is in place for good reason, or undone once, or reported. The same check finds what a saga
 * written by hand loses.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, Scheduler } from "effect"
import { Saga } from "effect-saga"
import { Dice } from "../core/randomSaga.ts"

const seeds = Number(process.env["SEEDS"] ?? 1_000)

const some = <A>(dice: Dice, make: () => A, from: number, to: number): ReadonlyArray<A> =>
  Array.from({ length: dice.int(from, to) }, make)

/** The world outside: what was done to it, what was undone, and what somebody was told nobody knows. */
class World {
  readonly applied = new Set<string>()
  readonly undone: Array<string> = []
  readonly reported = new Set<string>()
  /** What the bodies of scopes had done when they came to their end. */
  readonly finished: Array<ReadonlyArray<string>> = []
  #keys = 0

  key(): string {
    return `s${++this.#keys}`
  }

  /** A participant that was told to undo first refuses to act later. */
  apply(key: string): string {
    if (!this.undone.includes(key)) this.applied.add(key)
    return key
  }

  readonly undo = (key: string): Effect.Effect<void> =>
    Effect.sync(() => {
      this.undone.push(key)
    })

  readonly logger = Logger.layer([
    Logger.make(({ message }) => {
      for (const [, key] of String(message).matchAll(/(s\d+) \(\w+\)/g)) this.reported.add(key!)
    })
  ])

  /** What is neither undone nor reported, nor kept by a scope that has kept all it did. */
  lost(): ReadonlyArray<string> {
    const settled = (key: string) => this.undone.includes(key) || this.reported.has(key)
    const kept = new Set(this.finished.filter((keys) => !keys.some(settled)).flat())
    return Array.from(this.applied).filter((key) => !settled(key) && !kept.has(key))
  }

  /** What was undone more than once, or both undone and reported. */
  doubled(): ReadonlyArray<string> {
    return this.undone.filter((key, index) => this.undone.indexOf(key) !== index || this.reported.has(key))
  }
}

/** Lets the others run. */
const ticks = (count: number) => Effect.repeat(Effect.yieldNow, { times: count })

/** An answer that comes from outside the fiber: the effect takes place whether or not somebody still waits. */
const remotely = (world: World, key: string): Effect.Effect<string> =>
  Effect.callback((resume) => {
    setImmediate(() => resume(Effect.succeed(world.apply(key))))
  })

type Keys = ReadonlyArray<string>
type Part = Effect.Effect<Keys, unknown, Saga.SagaScope>

const action = (dice: Dice, world: World, key: string): Effect.Effect<string> => {
  const act = dice.pick([Effect.sync(() => world.apply(key)), remotely(world, key)])
  const [before, after] = [dice.int(0, 3), dice.int(0, 3)]
  return Effect.gen(function*() {
    yield* ticks(before)
    const result = yield* act
    yield* ticks(after)
    return result
  })
}

/** A step that may run several times, each time under another key. */
const step = (dice: Dice, world: World): Part => {
  const fails = dice.chance(0.08)
  const whenUncertain = dice.pick(["report", "compensate"])
  const pause = dice.int(0, 2)
  const seed = dice.int(0, 1_000_000)
  return Effect.suspend((): Part => {
    const name = world.key()
    const undo = Effect.andThen(ticks(pause), world.undo(name))
    const act = fails ? Effect.andThen(ticks(pause), Effect.fail("no")) : action(new Dice(seed, name), world, name)
    return Effect.map(Saga.withCompensation(act, () => undo, { name, whenUncertain }), (key) => [key])
  })
}

const all = (parts: ReadonlyArray<Part>, concurrency: number): Part =>
  Effect.map(Effect.all(parts, { concurrency }), (keys) => keys.flat())

/** Says what a body has done at its end, in the tick in which it ends. */
const scoped = (world: World, body: Part): Effect.Effect<void, unknown> =>
  Effect.asVoid(Saga.scoped(Effect.map(body, (keys) => world.finished.push(keys))))

const part = (dice: Dice, world: World, depth: number): Part => {
  const inner = () => part(dice, world, depth - 1)
  if (depth === 0) return step(dice, world)
  switch (dice.int(0, 7)) {
    case 0:
      return all(some(dice, inner, 1, 4), 1)
    case 1:
      return all(some(dice, inner, 1, 4), dice.pick([2, 10]))
    case 2:
      return Saga.joined(inner())
    case 3:
      return Effect.catch(Saga.joined(inner()), inner)
    case 4:
      return Saga.race(inner(), inner())
    case 5:
      return Effect.map(Saga.timeoutOption(inner(), 0), (keys) => keys._tag === "Some" ? keys.value : [])
    case 6:
      return Effect.as(scoped(world, inner()), [])
    default:
      return step(dice, world)
  }
}

/** Runs a saga on a scheduler that yields often, interrupts it up to three times, and waits for all that it started. */
const shaken = (dice: Dice, world: World, saga: Effect.Effect<void, unknown>) =>
  Effect.gen(function*() {
    const fiber = yield* saga.pipe(
      Effect.provideService(Scheduler.MaxOpsBeforeYield, dice.int(3, 11)),
      Effect.provide(world.logger),
      Effect.forkDetach({ startImmediately: dice.chance(0.5) })
    )
    for (const pause of some(dice, () => dice.int(0, dice.pick([10, 40, 160])), 0, 3)) {
      yield* ticks(pause)
      fiber.interruptUnsafe()
    }
    const exit = yield* Fiber.await(fiber)
    yield* ticks(5)
    return exit
  })

it.live("nothing is lost, nothing is undone twice, and what has succeeded stays", () =>
  Effect.gen(function*() {
    const ends = { succeeded: 0, failed: 0, interrupted: 0 }
    let effects = 0
    let undone = 0
    let reported = 0
    yield* Effect.forEach(Array.from({ length: seeds * 2 }, (_, seed) => seed), (seed) =>
      Effect.gen(function*() {
        const dice = new Dice(seed, "inline")
        const world = new World()
        const saga = scoped(world, all(some(dice, () => part(dice, world, 3), 1, 4), dice.pick([1, 4])))
        const exit = yield* shaken(dice, world, saga)
        assert.deepStrictEqual([seed, world.lost(), world.doubled()], [seed, [], []])
        if (Exit.isSuccess(exit)) {
          const kept = world.finished.at(-1)!
          assert.deepStrictEqual([seed, kept.filter((key) => world.undone.includes(key))], [seed, []])
        }
        ends[Exit.isSuccess(exit) ? "succeeded" : Exit.hasInterrupts(exit) ? "interrupted" : "failed"]++
        effects += world.applied.size
        undone += world.undone.length
        reported += world.reported.size
      }), { concurrency: 20, discard: true })
    // The dice reached it all.
    for (const count of [ends.succeeded, ends.failed, ends.interrupted, reported]) assert.isAbove(count, seeds / 20)
    assert.isAbove(undone, effects / 10)
  }), 60_000 + seeds * 10)

// ------------------------------------------------------------------------------------------- by hand

/** Steps as one writes them with `Scope`: a finalizer for each that has returned, a report of each that was cut off. */
const byHand = (world: World, act: Effect.Effect<string>, key: string) =>
  act.pipe(
    Effect.onExit((exit) =>
      Exit.isSuccess(exit) ? Effect.void : Effect.sync(() => {
        world.reported.add(key)
      })
    ),
    Effect.tap((key) => Effect.addFinalizer((exit) => Exit.isSuccess(exit) ? Effect.void : world.undo(key)))
  )

/** What becomes of the effects of a sequence of steps, written in one way or the other. */
const lostBy = (seed: number, way: "byHand" | "here") =>
  Effect.gen(function*() {
    const dice = new Dice(seed, "by hand")
    const world = new World()
    const acts = some(dice, () => world.key(), 3, 10).map((key) => [key, action(dice, world, key)] as const)
    const finish = (keys: Keys) => {
      world.finished.push(keys)
    }
    yield* shaken(
      dice,
      world,
      way === "byHand"
        ? Effect.scoped(Effect.map(Effect.forEach(acts, ([key, act]) => byHand(world, act, key)), finish))
        : Saga.scoped(
          Effect.map(Effect.forEach(acts, ([name, act]) => Saga.withCompensation(act, world.undo, { name })), finish)
        )
    )
    return world.lost().length
  })

it.live(
  "the same check sees what is lost between a result and its finalizer; the same saga here loses nothing",
  () =>
    Effect.gen(function*() {
      const lost = (way: "byHand" | "here") =>
        Effect.forEach(Array.from({ length: seeds }, (_, seed) => seed), (seed) => lostBy(seed, way), {
          concurrency: 20
        })
      assert.deepStrictEqual((yield* lost("here")).filter((count) => count > 0), [])
      assert.isAbove((yield* lost("byHand")).filter((count) => count > 0).length, seeds / 100)
    }),
  60_000 + seeds * 10
)
