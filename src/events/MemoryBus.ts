/**
 * A bus in memory: for sagas that run in fibers of this process, and for tests. It never runs a saga.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { AnyDomainEvent, DomainEvent, Envelope } from "../DomainEvent.ts"
import type { EventBusService, EventRefused, PublishOptions } from "../EventBus.ts"
import { envelopeOf, EventBus } from "../EventBus.ts"
import type { AnySubscription, EventLog, LogEntry, Subscription } from "../EventSubscription.ts"
import * as EventSubscription from "../EventSubscription.ts"

/**
 * How a bus behaves.
 *
 * @category models
 * @since 0.1.0
 */
export interface BusOptions {
  /**
   * How long an event is kept for who begins to wait for it later.
   *
   * @default "1 hour"
   */
  readonly keep?: Duration.Input
  /**
   * Is told of each event that nobody has received when it is kept no longer. What goes wrong in it, or takes longer than 30
   * seconds, is logged.
   */
  readonly onUnmatched?: (event: Envelope) => Effect.Effect<void>
}

/** How a saga in a fiber waits, as the core says it. */
type Mail = NonNullable<EventBusService["~mail"]>
type Waiting = Parameters<Mail["open"]>[0]

/** An event that is kept. */
interface Kept {
  readonly envelope: Envelope
  readonly sequence: number
  readonly untilMillis: number
  received: boolean
}

class MemoryBus implements EventBusService {
  readonly #keepMillis: number
  readonly #onUnmatched: BusOptions["onUnmatched"]
  /** In the order in which they were published. */
  readonly #kept = new Map<string, Kept>()
  readonly #waiting = new Set<Waiting>()
  readonly #published = Latch.makeUnsafe(false)
  /** How far each subscription has come, by type. */
  readonly #positions = new Map<string, Map<string, number>>()
  /** The subscriptions that run, by name, each with what tells it that there is more. */
  readonly #running = new Map<string, { readonly news: Latch.Latch; readonly types: ReadonlySet<string> }>()
  readonly #moved = Latch.makeUnsafe(false)
  #last = 0

  constructor({ keep = "1 hour", onUnmatched }: BusOptions) {
    const millis = Duration.toMillis(keep)
    if (!(millis >= 0)) throw new RangeError(`The option "keep" of a bus is ${millis} ms: give a time from 0 on`)
    this.#keepMillis = millis
    this.#onUnmatched = onUnmatched
  }

  publish<Type extends string, P extends Schema.Top>(
    event: DomainEvent<Type, P>,
    payload: P["Type"],
    options: PublishOptions = {}
  ): Effect.Effect<void, EventRefused> {
    return Effect.flatMap(
      envelopeOf(event, payload, options),
      (envelope) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          if (this.#kept.has(envelope.id)) return
          const kept: Kept = { envelope, sequence: ++this.#last, untilMillis: now + this.#keepMillis, received: false }
          this.#kept.set(envelope.id, kept)
          this.#published.openUnsafe()
          for (const { news } of this.#running.values()) news.openUnsafe()
          for (const waiting of Array.from(this.#waiting)) offer(kept, waiting)
        })
    )
  }

  subscribe<const Events extends ReadonlyArray<AnyDomainEvent>, E, R>(
    subscription: Subscription<Events, E, R>
  ): Effect.Effect<never, never, R> {
    // The services of the handler are those around this effect.
    const { name, ...erased } = subscription as unknown as AnySubscription
    const types = new Set(erased.events.map(({ type }) => type))
    const news = Latch.makeUnsafe(false)
    const log: EventLog<LogEntry> = {
      read: Effect.sync(() => {
        news.closeUnsafe()
        const kept = Array.from(this.#kept.values()).filter((kept) =>
          types.has(kept.envelope.type) && this.#isNews(name, kept)
        )
        for (const one of kept) one.received = true
        return {
          entries: kept.map(({ envelope }) => ({
            type: envelope.type,
            id: envelope.id,
            event: Result.succeed(envelope)
          })),
          done: Effect.sync(() => {
            for (const { envelope, sequence } of kept) this.#positionsOf(name).set(envelope.type, sequence)
            this.#moved.openUnsafe()
          })
        }
      }),
      settle: () => Effect.void,
      more: news.await
    }
    const run = Effect.acquireUseRelease(
      Effect.sync(() => this.#running.set(name, { news, types })),
      () => EventSubscription.run(log, { name, ...erased }),
      () =>
        Effect.sync(() => {
          this.#running.delete(name)
          this.#moved.openUnsafe()
        })
    )
    return Effect.suspend(() => {
      const problem = EventSubscription.subscriptionProblem({ name, ...erased }, this.#running)
      return problem === undefined ? run : Effect.die(problem)
    })
  }

  #positionsOf(name: string): Map<string, number> {
    const positions = this.#positions.get(name) ?? new Map<string, number>()
    this.#positions.set(name, positions)
    return positions
  }

  /** Whether a subscription has not handled an event. */
  #isNews(name: string, { envelope, sequence }: Kept): boolean {
    return sequence > (this.#positions.get(name)?.get(envelope.type) ?? 0)
  }

  readonly "~mail": Mail = {
    open: (waiting) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        this.#waiting.add(waiting)
        for (const kept of this.#kept.values()) {
          if (kept.untilMillis > now && offer(kept, waiting)) break
        }
        return () => void this.#waiting.delete(waiting)
      })
  }

  /** Whether a subscription has an event before it. */
  #isBefore(kept: Kept): boolean {
    return Array.from(this.#running).some(([name, { types }]) =>
      types.has(kept.envelope.type) && this.#isNews(name, kept)
    )
  }

  /** Forgets what was kept long enough and is handled, and tells of what nobody has received. */
  get run(): Effect.Effect<never> {
    if (this.#keepMillis === Infinity) return Effect.never
    return Effect.forever(Effect.gen({ self: this }, function*() {
      const [oldest] = this.#kept.values()
      if (oldest === undefined) {
        this.#published.closeUnsafe()
        return yield* this.#published.await
      }
      const now = yield* Clock.currentTimeMillis
      if (oldest.untilMillis > now) return yield* Effect.sleep(oldest.untilMillis - now)
      if (this.#isBefore(oldest)) {
        this.#moved.closeUnsafe()
        return yield* this.#moved.await
      }
      const { envelope, received } = oldest
      this.#kept.delete(envelope.id)
      const onUnmatched = this.#onUnmatched
      if (received || onUnmatched === undefined) return
      yield* EventSubscription.tellUnmatched(onUnmatched, envelope)
    }))
  }
}

/** Offers an event to a wait. Says whether that has taken it. */
const offer = (kept: Kept, { events, offer }: Waiting): boolean => {
  const { id, key, payload, type } = kept.envelope
  if (!events.some((address) => address.type === type && address.key === key)) return false
  const taken = offer({ id, type, key, payload })
  if (taken) kept.received = true
  return taken
}

/**
 * Makes a bus in memory, which forgets what it keeps when the scope closes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: BusOptions = {}): Effect.Effect<EventBusService, never, Scope.Scope> =>
  Effect.suspend(() => {
    const bus = new MemoryBus(options)
    return Effect.as(Effect.forkScoped(bus.run), {
      publish: (event, payload, options) => bus.publish(event, payload, options),
      subscribe: (subscription) => bus.subscribe(subscription),
      "~mail": bus["~mail"]
    })
  })

/**
 * A bus in memory, for sagas that run in fibers of this process, and for tests.
 *
 * **Details**
 *
 * Events are offered in the order in which they were published. Each execution that awaits an event receives it, and takes
 * it once.
 *
 * **Gotchas**
 *
 * Nothing survives the process: an event that was published before a crash is gone. On an engine that has a journal events
 * are rows of it. Here they are handed on as they are, and never read by another schema: that a definition does not fit the one
 * that was published is found on an engine alone.
 *
 * Two runs of a saga under one key are one execution for whoever knows it by its events: what the second publishes has the ids
 * of the first, and counts once with it while that is kept.
 *
 * **Example** (A saga that waits for a payment)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { DomainEvent, EventBus, MemoryBus } from "effect-saga/events"
 * import { Effect, Fiber, Schema } from "effect"
 *
 * const Paid = DomainEvent.make("Paid", {
 *   payload: Schema.Struct({ order: Schema.String, cents: Schema.Int }),
 *   key: ({ order }) => order
 * })
 * const saga = Saga.make("Order", { payload: Schema.String }).pipe(
 *   Saga.awaitEvent("paid", Paid, { correlate: ({ payload }) => payload, timeout: "30 minutes" })
 * )
 * const program = Effect.gen(function*() {
 *   const order = yield* Effect.forkChild(Saga.run(saga, "A-1"))
 *   yield* EventBus.use((bus) => bus.publish(Paid, { order: "A-1", cents: 500 }))
 *   return yield* Fiber.join(order)
 * })
 * await Effect.runPromise(program.pipe(Effect.provide(MemoryBus.layer)))
 * // => { paid: { order: "A-1", cents: 500 } }
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<EventBus> = Layer.effect(EventBus, make())

/**
 * `layer` with options.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: BusOptions): Layer.Layer<EventBus> => Layer.effect(EventBus, make(options))
