/** `SagaLogging`: which line is written for what, with what beside it, in which order, and until when. */
import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Option,
  References,
  Schedule,
  Schema,
  Scope
} from "effect"
import { Saga, SagaObserver } from "effect-saga"
import { SagaLogging } from "effect-saga/telemetry"
import { TestClock } from "effect/testing"

interface Line {
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
  readonly cause: Cause.Cause<unknown>
  readonly atMillis: number
}

/** A log that keeps its lines, in place of the loggers around. */
class Log {
  readonly lines: Array<Line> = []
  readonly layer = Logger.layer([
    Logger.make(({ cause, date, fiber, logLevel, message }) => {
      this.lines.push({
        text: `${logLevel}: ${Array.isArray(message) ? message.join() : message}`,
        annotations: fiber.getRef(References.CurrentLogAnnotations),
        cause,
        atMillis: date.getTime()
      })
    })
  ])

  /** Runs an effect with the observer under test until its layer has closed. */
  readonly watch = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    effect.pipe(
      Effect.provide(SagaObserver.layer([SagaLogging.observer])),
      Effect.provide(this.layer),
      Effect.provideService(References.MinimumLogLevel, "All")
    )

  get texts(): ReadonlyArray<string> {
    return this.lines.map(({ text }) => text)
  }
}

const runFor = <A, E>(millis: number, effect: Effect.Effect<A, E>): Effect.Effect<Exit.Exit<A, E>> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust(millis)
    return yield* Fiber.await(fiber)
  })

const pay = Saga.make("Pay", { payload: Schema.Void, version: 2 })
const charge = { action: () => Effect.void, compensation: () => Effect.void }
const declined = Saga.check("funds", { error: Schema.String, action: () => Effect.fail("declined") })
const again = Schedule.max([Schedule.spaced(10), Schedule.recurs(1)])

describe("the lines of an execution", () => {
  it.effect("that succeeds", () =>
    Effect.gen(function*() {
      const log = new Log()
      yield* log.watch(Saga.run(pay.pipe(Saga.step("card", charge)), undefined))
      assert.deepStrictEqual(log.texts, [`Debug: Saga "Pay" has started`, `Debug: Saga "Pay" has succeeded`])
    }))

  it.effect("that is compensated", () =>
    Effect.gen(function*() {
      const log = new Log()
      let left = 1
      const busyOnce = () => Effect.suspend(() => left-- > 0 ? Effect.fail("busy") : Effect.void)
      const saga = pay.pipe(
        Saga.step("card", { ...charge, error: Schema.String, action: busyOnce, retry: again }),
        declined
      )
      yield* runFor(10, log.watch(Saga.run(saga, undefined)))
      assert.deepStrictEqual(log.texts, [
        `Debug: Saga "Pay" has started`,
        `Debug: Saga "Pay": attempt 1 of a step has failed, another one follows`,
        `Debug: Saga "Pay": a step has failed`,
        `Debug: Saga "Pay" begins to unwind`,
        `Warn: Saga "Pay" was compensated`
      ])
      const errors = log.lines.map(({ cause }) => Option.getOrUndefined(Cause.findErrorOption(cause)))
      assert.deepStrictEqual(errors, [undefined, "busy", "declined", "declined", "declined"])
    }))

  it.effect("that is stuck", () =>
    Effect.gen(function*() {
      const log = new Log()
      const saga = pay.pipe(
        Saga.step("card", { ...charge, compensation: () => Effect.fail("no"), compensationRetry: again }),
        declined,
        Saga.onStuck(() => Effect.void)
      )
      yield* runFor(10, log.watch(Saga.run(saga, undefined)))
      assert.deepStrictEqual(log.texts.slice(3), [
        `Warn: Saga "Pay": try 1 of a compensation has failed, another one follows`,
        `Warn: Saga "Pay": a compensation has failed to its last try`,
        `Debug: Saga "Pay" is stuck (CompensationFailed): a person has to look at what is open`
      ])
      assert.deepStrictEqual(log.lines.at(-1)?.annotations["saga.open"], ["card"])
    }))

  it.effect("that leaves a step of unknown outcome", () =>
    Effect.gen(function*() {
      const log = new Log()
      const saga = pay.pipe(Saga.step("card", { ...charge, action: () => Effect.die("lost") }))
      yield* Effect.exit(log.watch(Saga.run(saga, undefined)))
      const uncertain = log.lines.find(({ text }) => text.includes("unknown ("))
      assert.strictEqual(uncertain?.text, `Info: Saga "Pay": whether a step took place is unknown (Died)`)
      assert.deepInclude(uncertain?.annotations, { "saga.path": "card", "saga.whenUncertain": "report" })
      const compensated = log.lines.find(({ text }) => text.endsWith("was compensated"))
      assert.deepStrictEqual(compensated?.annotations["saga.uncertain"], ["card"])
    }))

  it.effect("that falls back", () =>
    Effect.gen(function*() {
      const log = new Log()
      const saga = pay.pipe(
        Saga.orElse("how", (fork) => fork.pipe(declined), (fork) => fork.pipe(Saga.step("invoice", charge)))
      )
      yield* log.watch(Saga.run(saga, undefined))
      const line = log.lines.find(({ text }) => text === `Info: Saga "Pay" falls back to its second way`)
      assert.strictEqual(line?.annotations["saga.path"], "how")
      assert.deepStrictEqual(line?.cause, Cause.fail("declined"))
    }))
})

describe("a line", () => {
  it.effect("says which execution it is of, and where, beside the annotations of the run", () =>
    Effect.gen(function*() {
      const log = new Log()
      const saga = pay.pipe(declined)
      yield* Effect.exit(
        log.watch(Effect.annotateLogs(Saga.run(saga, undefined, { executionId: "no-1" }), "tenant", "acme"))
      )
      const execution = { tenant: "acme", "saga.name": "Pay", "saga.version": 2, "saga.executionId": "no-1" }
      assert.deepStrictEqual(log.lines.map(({ annotations }) => annotations), [
        execution,
        { ...execution, "saga.path": "funds" },
        { ...execution, "saga.path": "" },
        execution
      ])
    }))

  it.effect("has the time of its fact, not that of its writing", () =>
    Effect.gen(function*() {
      const log = new Log()
      const facts = new Map<string, number>()
      const watching = SagaObserver.layer([
        { observe: () => ({ onEvent: ({ _tag, atMillis }) => void facts.set(_tag, atMillis) }) }
      ])
      let now = 0
      const ticking: Clock.Clock = Object.create(yield* Clock.Clock, {
        currentTimeMillisUnsafe: { value: () => ++now }
      })
      yield* Effect.exit(Saga.run(pay.pipe(declined), undefined)).pipe(
        Effect.provide(watching),
        Effect.provideService(Clock.Clock, ticking),
        log.watch
      )
      const logged = ["SagaStarted", "StepFailed", "UnwindStarted", "SagaCompensated"]
      assert.deepStrictEqual(log.lines.map(({ atMillis }) => atMillis), logged.map((tag) => facts.get(tag)))
      assert.strictEqual(new Set(facts.values()).size, 4)
    }))

  it.effect("is written by the loggers of its run, at their level", () =>
    Effect.gen(function*() {
      const [outer, inner] = [new Log(), new Log()]
      const compensated = Effect.exit(Saga.run(pay.pipe(declined), undefined))
      yield* compensated.pipe(
        Effect.provide(inner.layer),
        Effect.provideService(References.MinimumLogLevel, "Warn"),
        outer.watch
      )
      assert.deepStrictEqual(outer.texts, [])
      assert.deepStrictEqual(inner.texts, [`Warn: Saga "Pay" was compensated`])
    }))

  it.effect("76. keeps text of users out of its message", () =>
    Effect.gen(function*() {
      const log = new Log()
      const saga = pay.pipe(Saga.forEach("lines", {
        item: Schema.String,
        items: () => ["a\nError: forged"],
        key: (sku) => sku,
        each: (fork) => fork.pipe(Saga.step("reserve", { ...charge, action: () => Effect.die("lost") }))
      }))
      const run = Saga.run(saga, undefined, { executionId: "1\nError: forged" })
      yield* Effect.exit(log.watch(run))
      const ours = log.lines.filter(({ annotations }) => "saga.name" in annotations)
      assert.strictEqual(ours.length, 4)
      assert.deepStrictEqual(ours.filter(({ text }) => text.includes("\n")), [])
      assert.include(String(ours[1]?.annotations["saga.path"]), "forged")
    }))
})

describe("the writer", () => {
  it.effect("writes all lines, in the order of the facts, before the layer is closed", () =>
    Effect.gen(function*() {
      const log = new Log()
      const runs = Array.from({ length: 100 }, (_, index) => Saga.run(pay, undefined, { executionId: `${index}` }))
      yield* log.watch(Effect.all(runs, { concurrency: 10 }))
      const ids = log.lines.map(({ annotations }) => annotations["saga.executionId"])
      assert.deepStrictEqual(ids.filter((_, index) => index % 2 === 0), runs.map((_, index) => `${index}`))
      assert.strictEqual(ids.length, 200)
    }))

  it.effect("writes while the run goes on", () =>
    Effect.gen(function*() {
      const log = new Log()
      const answer = yield* Deferred.make<void>()
      const saga = pay.pipe(Saga.step("card", { ...charge, action: () => Deferred.await(answer) }))
      const fiber = yield* Effect.forkChild(log.watch(Saga.run(saga, undefined)), { startImmediately: true })
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(log.texts, [`Debug: Saga "Pay" has started`])
      yield* Deferred.succeed(answer, undefined)
      yield* Fiber.join(fiber)
      assert.strictEqual(log.lines.length, 2)
    }))

  it.effect("goes on after a logger that throws", () =>
    Effect.gen(function*() {
      const log = new Log()
      let thrown = 0
      const broken = Logger.layer([
        Logger.make<unknown, void>(() => {
          thrown++
          throw new Error("disk full")
        })
      ])
      yield* log.watch(
        Effect.andThen(Effect.provide(Saga.run(pay, undefined), broken), Saga.run(pay, undefined))
      )
      assert.strictEqual(thrown, 2)
      assert.strictEqual(log.lines.length, 2)
    }))

  it.effect("ends with the layer; a run that outlives it is not logged, and is not harmed", () =>
    Effect.gen(function*() {
      const log = new Log()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        SagaObserver.layer([SagaLogging.observer]).pipe(Layer.provideMerge(log.layer)),
        scope
      )
      const answer = yield* Deferred.make<void>()
      const saga = pay.pipe(declined, Saga.step("card", { ...charge, action: () => Deferred.await(answer) }))
      const slow = pay.pipe(Saga.step("card", { ...charge, action: () => Deferred.await(answer) }))
      yield* Effect.exit(Effect.provideContext(Saga.run(saga, undefined), context))
      const fiber = yield* Effect.forkChild(Effect.provideContext(Saga.run(slow, undefined), context), {
        startImmediately: true
      })
      yield* Scope.close(scope, Exit.void)
      const written = log.lines.length
      assert.strictEqual(log.texts.at(-1), `Warn: Saga "Pay" was compensated`)
      yield* Deferred.succeed(answer, undefined)
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed({ card: undefined }))
      assert.strictEqual(log.lines.length, written)
    }))
})
