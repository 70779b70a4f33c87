/**
 * One run of a saga in virtual time, in a fiber or on an engine whose process dies, under a plan of what goes wrong. It
 * says what was seen and judges nothing.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { EventBus } from "../../EventBus.ts"
import { SagaEngine } from "../../SagaEngine.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import type { Journal, Written } from "../../SagaJournal.ts"
import { SagaJournal } from "../../SagaJournal.ts"
import { Observers } from "../../SagaObserver.ts"
import type { SagaObserver } from "../../SagaObserver.ts"
import { outcome } from "../../SagaRun.ts"
import type { Outcome } from "../../SagaRun.ts"
import { factsOn, isStuck } from "./asking.ts"
import type { RunBus } from "./bus.ts"
import type { AnyRunnable, Harness } from "./harness.ts"
import { CurrentHarness, CurrentProcess, Process } from "./harness.ts"
import type { World } from "./world.ts"

/** What was seen of a run when it was over. */
export interface Ran {
  readonly facts: ReadonlyArray<SagaEvent>
  /** What the caller got; `undefined`: it waits for ever. */
  readonly exit: Exit.Exit<Outcome<unknown, unknown>, unknown> | undefined
  /** Why nobody waited any longer, in words; undefined: nothing moves any more. */
  readonly givenUp?: string | undefined
  /** What is wrong with the answers that others got, in words. */
  readonly disagreement: string | undefined
}

/** The identity of every explored execution. */
export const executionId = "explored"

/** Whether an action hangs that only its own limit could cut, and has none. */
const isHopeless = ({ hanging }: Harness): boolean =>
  Array.from(hanging).some(({ kind, step }) => kind === "action" && step.timeoutMillis === undefined)

const observing = (harness: Harness): SagaObserver => ({
  observe: () => ({ onEvent: (event) => harness.tell(event) })
})

/** Runs a saga with a harness around it in a fiber. Its caller gives up when nothing moves any more. */
export const inFiber = (
  saga: AnyRunnable,
  payload: unknown,
  services: Context.Context<never>,
  world: World,
  harness: Harness
): Effect.Effect<Ran> =>
  Effect.gen(function*() {
    const run = outcome(saga, payload as never, { executionId }).pipe(
      Effect.provideContext(services),
      Effect.provideService(CurrentHarness, harness),
      Effect.provideService(Observers, [observing(harness)])
    )
    let caller: Fiber.Fiber<unknown, unknown> | undefined
    harness.stop = () => caller?.interruptUnsafe()
    const started = Effect.withFiber<Outcome<unknown, unknown>>((fiber) => {
      caller = fiber
      return run
    })
    let gaveUp = false
    const exit = yield* world.drive(started, {
      isHopeless: () => isHopeless(harness),
      atRest: () => {
        const givesUp = !gaveUp && harness.hanging.size > 0
        gaveUp = true
        if (givesUp) caller?.interruptUnsafe()
        return givesUp
      }
    })
    return { facts: harness.told, exit, disagreement: undefined, givenUp: world.givenUp }
  })

// ------------------------------------------------------------------------------------------- on an engine

/** Suspects nobody, and renews nothing: a timer of one that died would outlive the run. */
const settings = {
  lease: "Infinity",
  quarantineAfter: Number.POSITIVE_INFINITY,
  grace: "1 second",
  // What passes while an action hangs is no time of the saga's.
  keepEvents: "Infinity",
  // By the clock of the machine.
  poll: "1 milli"
} as const

/** Runs a saga on an engine. When its process dies, or its engine closes, the next one goes on. */
export const onEngine = (
  saga: AnyRunnable,
  payload: unknown,
  services: Context.Context<never>,
  journal: Journal,
  world: World,
  harness: Harness,
  bus: RunBus
): Effect.Effect<Ran> =>
  Effect.gen(function*() {
    const processes: Array<Process> = []
    let acknowledged = false
    while (true) {
      const process = new Process()
      // Beside one that goes on, an engine has to look what others write.
      const shared = { ...journal, shared: journal.shared || processes.some(({ frozen }) => frozen) }
      processes.push(process)
      const held = yield* Scope.make()
      const scope = yield* Scope.make()
      const there = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        world.inside(effect, process).pipe(
          Effect.provideService(CurrentProcess, process),
          Effect.provideService(CurrentHarness, harness),
          Effect.provideService(Observers, [observing(harness)])
        )
      const live = Layer.provide(
        SagaEngine.layerWith(settings),
        Layer.succeed(SagaJournal, mortal(shared, process, held, world, harness))
      )
      const work = Effect.gen(function*() {
        const context = yield* Layer.buildWithScope(Layer.fresh(live), scope)
        const engine = Context.get(context, SagaEngine)
        bus.attach(Context.get(context, EventBus))
        const cancel = Effect.forkDetach(engine.cancel(executionId), { startImmediately: true })
        const wish = Effect.callback<void>((resume) => {
          harness.stop = () => resume(Effect.void)
        })
        const wishes = Effect.forever(Effect.andThen(wish, cancel), { disableYield: true })
        yield* Effect.forkDetach(there(wishes), { startImmediately: true })
        yield* Scope.provide(engine.register(saga), scope)
        const found = yield* engine.poll(executionId)
        if (acknowledged && Option.isNone(found)) return lost
        yield* engine.start(saga, payload as never, { executionId })
        acknowledged = true
        const exit = yield* Effect.exit(engine.outcome(saga, executionId, { onStuck: "fail" }))
        return yield* Effect.map(asked(engine, saga, exit), (others): Ran => ({ exit, ...others }))
      }).pipe(Effect.provideContext(services))
      const isGone = () => process.dead || process.frozen || process.closing
      const exit = yield* world.drive(there(work), {
        isOver: isGone,
        isHopeless: () => isHopeless(harness),
        isLooking: () => shared.shared,
        atRest: () => {
          process.dead = harness.hanging.size > 0
          return process.dead
        }
      })
      const { givenUp } = world
      const goesOn = exit === undefined && isGone()
      bus.detach()
      if (!process.dead && !process.frozen) {
        yield* world.drive(there(Scope.close(scope, Exit.void)), { isOver: () => process.dead })
        process.dead = true
      }
      harness.hanging.clear()
      if (!world.isStopped) yield* world.aside(Scope.close(held, Exit.void), "Letting go of the journal")
      if (goesOn && !world.isStopped) continue
      // One that was taken for dead has gone on until here.
      for (const each of processes) each.dead = true
      if (exit === undefined) {
        return { facts: harness.told, exit, disagreement: undefined, givenUp }
      }
      return Exit.isSuccess(exit)
        ? exit.value
        : { facts: harness.told, exit: Exit.failCause(exit.cause), disagreement: undefined }
    }
  })

/** What is said of an execution whose start was acknowledged and lost. */
export const lostStart = "its start was acknowledged, and it is not there"
const lost: Ran = { facts: [], exit: undefined, disagreement: lostStart }

/** What others are told of an execution that has ended, and what is on record of it. */
const asked = (
  engine: SagaEngine["Service"],
  saga: AnyRunnable,
  first: Exit.Exit<Outcome<unknown, unknown>, unknown>
): Effect.Effect<Omit<Ran, "exit">, unknown> =>
  Effect.gen(function*() {
    const facts = yield* factsOn(engine, saga, executionId)
    const second = yield* Effect.exit(engine.outcome(saga, executionId, { onStuck: "fail" }))
    const { state } = Option.getOrThrow(yield* engine.poll(executionId))
    const answers = { "the first who waited": answerOf(first), "who asked later": answerOf(second), "poll": state }
    const all = Object.entries(answers).map(([who, answer]) => `${who}: ${answer}`)
    return { facts, disagreement: new Set(Object.values(answers)).size === 1 ? undefined : all.join("; ") }
  })

const answerOf = (exit: Exit.Exit<Outcome<unknown, unknown>, unknown>): string => {
  if (Exit.isSuccess(exit)) return exit.value._tag
  return isStuck(exit.cause) ? "Stuck" : String(Cause.squash(exit.cause))
}

/** The journal as one process has it, which may die around a write. The store itself is no part of the process. */
const mortal = (journal: Journal, process: Process, held: Scope.Scope, world: World, harness: Harness): Journal => {
  const ask = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => process.dead ? Effect.never : world.inside(effect))
  const die = Effect.suspend(() => {
    process.dead = true
    return Effect.never
  })
  const write: Journal["write"] = (lease, batch) => {
    const write = ask(journal.write(lease, batch))
    if (process.dead || batch.facts.length === 0 && batch.starts.length === 0) return write
    const fault = harness.write()
    switch (fault?.deed) {
      case undefined:
        return write
      case "crash-before":
        return die
      case "crash-after":
        return Effect.andThen(write, die)
      case "freeze":
      case "close":
        return Effect.map(write, (written: Written) => {
          process[fault.deed === "freeze" ? "frozen" : "closing"] = true
          return written
        })
    }
  }
  const { writeUnsafe: _, ...asked } = journal
  return {
    ...asked,
    acquire: (options) => ask(Scope.provide(journal.acquire(options), held)),
    renew: (lease, millis) => ask(journal.renew(lease, millis)),
    end: (lease) => ask(journal.end(lease)),
    write: (lease, batch) => Effect.suspend(() => write(lease, batch)),
    takeOver: (lease) => ask(journal.takeOver(lease)),
    claim: (lease, options) => ask(journal.claim(lease, options)),
    nextDue: (sagas) => ask(journal.nextDue(sagas)),
    find: (id) => ask(journal.find(id)),
    facts: (id, from) => ask(journal.facts(id, from)),
    settled: (ids) => ask(journal.settled(ids)),
    send: (signal) => ask(journal.send(signal)),
    events: {
      keep: (events, atMillis) => ask(journal.events.keep(events, atMillis)),
      wake: ask(journal.events.wake),
      read: (requests, limit) => ask(journal.events.read(requests, limit)),
      advance: (subscription, types, to) => ask(journal.events.advance(subscription, types, to)),
      log: (options) => ask(journal.events.log(options)),
      subscriptions: ask(journal.events.subscriptions),
      unsubscribe: (subscription) => ask(journal.events.unsubscribe(subscription)),
      bury: (event, subscription, reason, atMillis) => ask(journal.events.bury(event, subscription, reason, atMillis)),
      forget: (options) => ask(journal.events.forget(options)),
      deadLetters: (options) => ask(journal.events.deadLetters(options)),
      deadLetterCount: ask(journal.events.deadLetterCount),
      redeliver: (number, atMillis) => ask(journal.events.redeliver(number, atMillis)),
      redelivered: (subscription, types, limit) => ask(journal.events.redelivered(subscription, types, limit)),
      discard: (number) => ask(journal.events.discard(number))
    },
    signals: (lease) => ask(journal.signals(lease)),
    define: (definition) => ask(journal.define(definition)),
    definition: (hash) => ask(journal.definition(hash))
  }
}
