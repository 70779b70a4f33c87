/** A process that can die: an engine whose journal stops to answer at a chosen write, and whose actions go no further. */
import { Context, Deferred, Effect, Exit, Layer, Scope } from "effect"
import { Saga } from "effect-saga"
import type { EngineOptions } from "effect-saga/SagaEngine"
import { SagaEngine } from "effect-saga/SagaEngine"
import type { Journal, Written } from "effect-saga/SagaJournal"
import { SagaJournal } from "effect-saga/SagaJournal"

/** The process that an action runs in. */
export class Process {
  dead = false
  writes = 0
  readonly death = Deferred.makeUnsafe<void>()
}

export const CurrentProcess = Context.Reference<Process>("test/Process", { defaultValue: () => new Process() })

/** What a dead process does not do any more. */
export const alive = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(CurrentProcess, (process) => process.dead ? Effect.never : effect)

/** A journal as one process sees it, which dies when so many writes are committed; before its answer to the last arrives. */
export const mortal = (journal: Journal, process: Process, lastWrite: number): Effect.Effect<Journal> =>
  Effect.map(Scope.make(), (scope) => {
    const die = Effect.suspend(() => {
      process.dead = true
      return Effect.andThen(Scope.close(scope, Exit.void), Deferred.succeed(process.death, undefined))
    })
    // The answer that it gets in place of the true one makes it drop everything, as death does.
    const counted = (write: Effect.Effect<Written>): Effect.Effect<Written> =>
      Effect.flatMap(write, (written) =>
        ++process.writes === lastWrite
          ? Effect.as(die, { _tag: "LeaseLost" as const })
          : Effect.succeed(written))
    const living = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.suspend(() => process.dead ? Effect.never : effect)
    const { writeUnsafe: _, ...asked } = journal
    return {
      ...asked,
      acquire: (options) => living(Scope.provide(journal.acquire(options), scope)),
      renew: (lease, millis) => living(journal.renew(lease, millis)),
      end: (lease) => living(journal.end(lease)),
      write: (lease, batch) => living(counted(journal.write(lease, batch) as Effect.Effect<Written>)),
      takeOver: (lease) => living(journal.takeOver(lease)),
      claim: (lease, options) => living(journal.claim(lease, options)),
      nextDue: (sagas) => living(journal.nextDue(sagas)),
      find: (id) => living(journal.find(id)),
      facts: (id, from) => living(journal.facts(id, from)),
      events: {
        ...journal.events,
        keep: (events, atMillis) =>
          living(Effect.flatMap(
            journal.events.keep(events, atMillis),
            (ids) => ++process.writes === lastWrite ? Effect.andThen(die, Effect.never) : Effect.succeed(ids)
          )),
        wake: living(journal.events.wake),
        read: (requests, limit) => living(journal.events.read(requests, limit)),
        advance: (name, types, to) => living(journal.events.advance(name, types, to)),
        log: (options) => living(journal.events.log(options)),
        bury: (event, name, reason, atMillis) => living(journal.events.bury(event, name, reason, atMillis)),
        redelivered: (name, types, limit) => living(journal.events.redelivered(name, types, limit)),
        forget: (options) => living(journal.events.forget(options))
      }
    }
  })

/** Runs something on an engine in a process of its own. `undefined`: the process died. */
export const inProcess = <A, E>(
  journal: Journal,
  saga: Saga.AnySaga,
  lastWrite: number,
  options: EngineOptions,
  body: (engine: SagaEngine["Service"]) => Effect.Effect<A, E>,
  process = new Process()
): Effect.Effect<A | undefined, E> =>
  Effect.gen(function*() {
    const its = yield* mortal(journal, process, lastWrite)
    const live = Saga.register(saga as Saga.Saga<never, unknown, unknown, unknown, unknown, never>).pipe(
      Layer.provideMerge(SagaEngine.layerWith(options)),
      Layer.provide(Layer.succeed(SagaJournal, its)),
      Layer.orDie
    )
    const scope = yield* Scope.make()
    const work = Effect.flatMap(Layer.buildWithScope(live, scope), (context) => body(Context.get(context, SagaEngine)))
    const ended = yield* Effect.raceFirst(
      Effect.exit(work),
      Effect.as(Deferred.await(process.death), undefined)
    )
    if (ended === undefined) return undefined
    yield* Scope.close(scope, Exit.void)
    return yield* ended
  }).pipe(Effect.provideService(CurrentProcess, process))
