/**
 * The bus of one run: what participants publish comes to the saga, in a fiber or on whatever engine there is just then, and goes
 * wrong on its way as a plan says. A participant is no part of the process that dies.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type * as Schema from "effect/Schema"
import type { AnyDomainEvent, DomainEvent } from "../../DomainEvent.ts"
import type { EventBusService, EventRefused, PublishOptions } from "../../EventBus.ts"
import type { Subscription } from "../../EventSubscription.ts"
import { JournalUnavailable } from "../../SagaJournal.ts"
import type { Harness } from "./harness.ts"
import type { World } from "./world.ts"

/** How long an event is under way that comes late. */
const lateMillis = 60_000

/** A bus that is there for a while. */
interface Attached {
  readonly bus: EventBusService
  readonly gone: Deferred.Deferred<void>
}

export class RunBus implements EventBusService {
  readonly #world: World
  readonly #harness: Harness
  readonly #executionId: string
  #attached = Deferred.makeUnsafe<Attached>()
  #current: Attached | undefined

  constructor(world: World, harness: Harness, executionId: string) {
    this.#world = world
    this.#harness = harness
    this.#executionId = executionId
  }

  /** From now on this is where events go. */
  attach(bus: EventBusService): void {
    this.#current = { bus, gone: Deferred.makeUnsafe() }
    Deferred.doneUnsafe(this.#attached, Exit.succeed(this.#current))
  }

  /** Its process is gone: what was under way to it goes to the next one. */
  detach(): void {
    const current = this.#current
    if (current === undefined) return
    this.#current = undefined
    this.#attached = Deferred.makeUnsafe()
    Deferred.doneUnsafe(current.gone, Exit.void)
  }

  publish<Type extends string, P extends Schema.Top>(
    event: DomainEvent<Type, P>,
    payload: P["Type"],
    options: PublishOptions = {}
  ): Effect.Effect<void, EventRefused | JournalUnavailable> {
    return Effect.gen({ self: this }, function*() {
      const given = { ...options, id: options.id ?? (yield* newId) }
      const once = this.#on((bus) => bus.publish(event, payload, given))
      const lost = new JournalUnavailable({ operation: "publish", cause: "the answer was lost" })
      const deeds = {
        none: once,
        twice: Effect.andThen(once, once),
        late: Effect.asVoid(Effect.forkDetach(Effect.andThen(Effect.sleep(lateMillis), Effect.exit(once)))),
        lost: Effect.andThen(once, Effect.fail(lost))
      }
      // What the saga itself publishes is kept with its fact on an engine: nothing can go wrong in between.
      const isOwn = given.correlationId === this.#executionId
      const deed = isOwn ? "none" : this.#harness.publish(given.id)?.deed ?? "none"
      // Whoever asked may be gone before it is there: it comes all the same.
      const published = yield* Effect.forkDetach(this.#world.inside(deeds[deed]), {
        startImmediately: true
      })
      return yield* Effect.flatten(Effect.callback<Exit.Exit<void, EventRefused | JournalUnavailable>>((resume) => {
        published.addObserver((exit) => resume(Effect.succeed(exit)))
      }))
    })
  }

  subscribe<const Events extends ReadonlyArray<AnyDomainEvent>, E, R>(
    subscription: Subscription<Events, E, R>
  ): Effect.Effect<never, never, R> {
    return Effect.forever(this.#on((bus) => bus.subscribe(subscription)))
  }

  get "~mail"(): EventBusService["~mail"] {
    return this.#current?.bus["~mail"]
  }

  /** Asks whatever bus there is, and the next one when that goes away meanwhile. */
  #on<A, E, R>(ask: (bus: EventBusService) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() =>
      Effect.flatMap(Deferred.await(this.#attached), ({ bus, gone }) =>
        Effect.flatMap(
          Effect.raceFirst(Effect.map(ask(bus), (a) => [a] as const), Effect.as(Deferred.await(gone), undefined)),
          (answer) => answer === undefined ? this.#on(ask) : Effect.succeed(answer[0])
        ))
    )
  }
}

const newId = Effect.map(Random.Random, (random) => `event ${random.nextDoubleUnsafe()}`)
