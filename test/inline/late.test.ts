/** Fibers that outlive their inline saga: steps that end after it, and steps that would start after it. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schedule } from "effect"
import { Saga } from "effect-saga"
import { Ledger, reasonsOf, uncertainOf } from "./ledger.ts"

/**
 * Runs a saga with a fiber in it that goes on when the saga has ended, and then lets that fiber go on. `late` is given
 * what it waits for.
 */
const outlive = <A, E>(
  late: (gate: Effect.Effect<void>) => Effect.Effect<unknown, unknown, Saga.SagaScope>,
  saga: (fork: Effect.Effect<void, never, Saga.SagaScope>) => Effect.Effect<A, E>
) =>
  Effect.gen(function*() {
    const gate = yield* Deferred.make<void>()
    const forked = yield* Deferred.make<Fiber.Fiber<unknown, unknown>>()
    const fork = late(Deferred.await(gate)).pipe(
      Effect.forkDetach({ startImmediately: true }),
      Effect.flatMap((fiber) => Deferred.succeed(forked, fiber))
    )
    const exit = yield* Effect.exit(saga(Effect.asVoid(fork)))
    yield* Deferred.succeed(gate, undefined)
    return { exit, late: yield* Fiber.await(yield* Deferred.await(forked)) }
  })

const no = Effect.fail("no")

describe("a step that ends after its saga", () => {
  const ending = (ledger: Ledger) => (gate: Effect.Effect<void>) =>
    Effect.andThen(gate, ledger.act("late")).pipe(Saga.withCompensation(ledger.undo, { name: "late" }))

  it.effect("stays when the saga has succeeded", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const { exit } = yield* outlive(ending(ledger), Saga.scoped)
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(ledger.lines, ["+late"])
    }))

  it.effect("is undone at once when the saga has failed", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const { exit, late } = yield* outlive(
        ending(ledger),
        (fork) => Saga.scoped(Effect.andThen(Effect.andThen(fork, ledger.step("seat")), no))
      )
      assert.deepStrictEqual(reasonsOf(exit), ["no"])
      assert.deepStrictEqual(late, Exit.succeed("late"))
      assert.deepStrictEqual(ledger.lines, ["+seat", "-seat", "+late", "-late"])
    }))

  it.effect("is undone by the saga, when it ends before the unwind comes to its part", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const gate = yield* Deferred.make<void>()
      const opening = Saga.withCompensation(Effect.void, () => Deferred.succeed(gate, undefined))
      yield* Effect.gen(function*() {
        const part = Effect.forkChild(ending(ledger)(Deferred.await(gate)), { startImmediately: true })
        const fiber = yield* Saga.joined(Effect.andThen(ledger.step("part"), part))
        yield* Saga.withCompensation(Effect.void, () => Fiber.await(fiber))
        yield* opening
        return yield* no
      }).pipe(Saga.scoped, Effect.flip)
      assert.deepStrictEqual(ledger.lines, ["+part", "+late", "-late", "-part"])
    }))

  const parts = {
    "a joined part of its own": (fork: Effect.Effect<void, never, Saga.SagaScope>) => Saga.joined(fork),
    "a joined part with steps": (fork: Effect.Effect<void, never, Saga.SagaScope>, ledger: Ledger) =>
      Saga.joined(Effect.andThen(fork, ledger.step("part"))),
    "a joined part in a joined part": (fork: Effect.Effect<void, never, Saga.SagaScope>) =>
      Saga.joined(Saga.joined(fork)),
    "the winner of a race": (fork: Effect.Effect<void, never, Saga.SagaScope>) => Saga.race(fork, Effect.never),
    "the loser of a race": (fork: Effect.Effect<void, never, Saga.SagaScope>) =>
      Saga.race(Effect.andThen(fork, Effect.never), Effect.void),
    "a joined part that failed": (fork: Effect.Effect<void, never, Saga.SagaScope>) =>
      Effect.ignore(Saga.joined(Effect.andThen(fork, no)))
  }
  for (const [what, part] of Object.entries(parts)) {
    it.effect(`in ${what}: is undone when the saga has failed`, () =>
      Effect.gen(function*() {
        const ledger = new Ledger()
        yield* outlive(ending(ledger), (fork) => Saga.scoped(Effect.andThen(part(fork, ledger), no)))
        assert.deepStrictEqual(ledger.lines.slice(-2), ["+late", "-late"])
      }))
  }

  it.effect("in a joined part: is undone with the saga when it ends while the saga still runs", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const gate = yield* Deferred.make<void>()
      yield* Effect.gen(function*() {
        const fiber = yield* Saga.joined(Effect.forkDetach(ending(ledger)(Deferred.await(gate)), {
          startImmediately: true
        }))
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(fiber)
        yield* ledger.step("after")
        return yield* no
      }).pipe(Saga.scoped, Effect.flip)
      assert.deepStrictEqual(ledger.lines, ["+late", "+after", "-after", "-late"])
    }))

  it.effect("a compensation of it that fails is told to the log", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const stays = (gate: Effect.Effect<void>) =>
        Saga.withCompensation(gate, () => Effect.fail("stays"), { name: "late", compensationRetry: Schedule.recurs(0) })
      const { late } = yield* outlive(stays, (fork) => Saga.scoped(Effect.andThen(fork, no))).pipe(
        Effect.provide(ledger.layer)
      )
      assert.isTrue(Exit.isSuccess(late))
      assert.strictEqual(ledger.logged.length, 1)
      assert.match(ledger.logged[0]!, /^Error: .*"late"/)
    }))

  it.effect("of unknown outcome: is reported, by the saga while it runs, else in the log", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const lost = (gate: Effect.Effect<void>) =>
        Effect.andThen(gate, Effect.die("bug")).pipe(Saga.withCompensation(() => Effect.void, { name: "late" }))
      yield* outlive(lost, (fork) => Saga.scoped(Effect.andThen(fork, no))).pipe(Effect.provide(ledger.layer))
      yield* outlive(lost, Saga.scoped).pipe(Effect.provide(ledger.layer))
      const warning =
        "Warn: An inline saga has ended with steps of unknown outcome: late (Died). Ask their participants"
      assert.deepStrictEqual(ledger.logged.splice(0), [warning, warning])

      const gate = yield* Deferred.make<void>()
      const exit = yield* Effect.gen(function*() {
        const fork = Effect.forkDetach(lost(Deferred.await(gate)), { startImmediately: true })
        const fiber = yield* Saga.joined(Saga.joined(fork))
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.await(fiber)
        return yield* no
      }).pipe(Saga.scoped, Effect.exit, Effect.provide(ledger.layer))
      assert.deepStrictEqual(uncertainOf(exit), ["late Died"])
      assert.deepStrictEqual(ledger.logged, [warning])
    }))

  it.effect("in a saga that is stuck for an unknown outcome: is not undone, and told to the log", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const lost = Saga.withCompensation(Effect.die("bug"), () => Effect.void, { name: "lost", whenUncertain: "stuck" })
      yield* outlive(ending(ledger), (fork) => Saga.scoped(Effect.andThen(fork, lost))).pipe(
        Effect.provide(ledger.layer)
      )
      assert.deepStrictEqual(ledger.lines, ["+late"])
      assert.strictEqual(ledger.logged.length, 2)
      assert.match(ledger.logged[1]!, /^Error: .*"lost".*: late\./)
    }))
})

describe("a step that would start after its saga", () => {
  const starters: Record<string, (ledger: Ledger) => Effect.Effect<unknown, unknown, Saga.SagaScope>> = {
    "a step": (ledger: Ledger) => ledger.step("late"),
    "a joined part": (ledger: Ledger) => Saga.joined(ledger.step("late")),
    "a race": (ledger: Ledger) => Saga.race(ledger.step("late"), ledger.step("late")),
    "a time limit": (ledger: Ledger) => Saga.timeoutOption(ledger.step("late"), "1 second")
  }
  const sagas = {
    "that has failed": (fork: Effect.Effect<void, never, Saga.SagaScope>) => Saga.scoped(Effect.andThen(fork, no)),
    "that has succeeded": (fork: Effect.Effect<void, never, Saga.SagaScope>) => Saga.scoped(fork)
  }
  for (const [what, start] of Object.entries(starters)) {
    for (const [which, saga] of Object.entries(sagas)) {
      it.effect(`${what} in a saga ${which}: never runs, and dies with \`SagaScopeClosed\``, () =>
        Effect.gen(function*() {
          const ledger = new Ledger()
          const { late } = yield* outlive((gate) => Effect.andThen(gate, start(ledger)), saga)
          assert.deepStrictEqual(ledger.lines, [])
          assert.deepStrictEqual(reasonsOf(late)[0], new Saga.SagaScopeClosed({ step: "late" }))
        }))
    }
  }

  it.effect("in a joined part that goes on: never runs, and what the part did is undone", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const part = (gate: Effect.Effect<void>) =>
        ledger.step("part").pipe(Effect.andThen(gate), Effect.andThen(ledger.step("late")), Saga.joined)
      const { late } = yield* outlive(part, (fork) => Saga.scoped(Effect.andThen(fork, no)))
      assert.deepStrictEqual(reasonsOf(late), [new Saga.SagaScopeClosed({ step: "late" })])
      assert.deepStrictEqual(ledger.lines, ["+part", "-part"])
    }))

  it.effect("a part that ends after its saga has failed is undone as a whole", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const part = (gate: Effect.Effect<void>) => ledger.step("part").pipe(Effect.andThen(gate), Saga.joined)
      const race = (gate: Effect.Effect<void>) =>
        Saga.race(Effect.tap(ledger.step("winner"), gate), Effect.andThen(ledger.step("loser"), Effect.never))
      yield* outlive(part, (fork) => Saga.scoped(Effect.andThen(fork, no)))
      assert.deepStrictEqual(ledger.lines.splice(0), ["+part", "-part"])
      yield* outlive(race, (fork) => Saga.scoped(Effect.andThen(fork, no)))
      assert.deepStrictEqual(ledger.lines, ["+winner", "+loser", "-winner", "-loser"])
    }))

  it.effect("a race whose winner cannot be undone then: the loser is undone all the same", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const winner = Saga.withCompensation(Effect.void, () => Effect.fail("stays"), {
        name: "winner",
        compensationRetry: Schedule.recurs(0)
      })
      const race = (gate: Effect.Effect<void>) =>
        Saga.race(Effect.tap(winner, gate), Effect.andThen(ledger.step("loser"), Effect.never))
      const { late } = yield* outlive(race, (fork) => Saga.scoped(Effect.andThen(fork, no))).pipe(
        Effect.provide(ledger.layer)
      )
      assert.deepStrictEqual(ledger.lines, ["+loser", "-loser"])
      assert.instanceOf(reasonsOf(late)[0], Saga.CompensationFailed)
    }))

  it.effect("a step without a name is named so in the error", () =>
    Effect.gen(function*() {
      const step = Saga.withCompensation(Effect.void, () => Effect.void)
      const { late } = yield* outlive((gate) => Effect.andThen(gate, step), Saga.scoped)
      assert.match(String(reasonsOf(late)[0]), /"A step" was started after its saga had ended/)
    }))
})
