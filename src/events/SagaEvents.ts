/**
 * Sagas and events of others: starting sagas from events, and handing events on. Everything here works as long as it lives, and
 * reads from the bus that is around it.
 *
 * @since 0.1.0
 */
import * as Digest from "effect/crypto/Digest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { AnyDomainEvent, Envelope } from "../DomainEvent.ts"
import * as DomainEvent from "../DomainEvent.ts"
import { EventBus } from "../EventBus.ts"
import type { Subscription } from "../EventSubscription.ts"
import { definition, type Phase, type Saga } from "../Saga.ts"
import { SagaEngine } from "../SagaEngine.ts"
import { toTree } from "../SagaValue.ts"
import { escape } from "../StepPath.ts"

export { publish } from "../StepEvents.ts"

// The build knows no platform, and all that have SHA-256 have this.
declare const TextEncoder: new() => { readonly encode: (text: string) => Uint8Array }

/**
 * How an execution is made of an event.
 *
 * @category models
 * @since 0.1.0
 */
export interface StartOnOptions<P0, A> {
  readonly payload: (event: Envelope<A>) => P0
  /**
   * What is to happen once: events of one key are one execution, whose id is `<saga>/<key>`.
   *
   * @default the `key` of the saga, or else the id of the event, of a long one its SHA-256
   */
  readonly key?: (event: Envelope<A>) => string
  /**
   * How the bus remembers how far it has come.
   *
   * @default "start/<saga>/<event>"
   */
  readonly name?: string
}

/** Out of reach is not for ever: the events behind wait. */
const patience = {
  schedule: Schedule.min([Schedule.exponential(100), Schedule.spaced("10 seconds")]),
  while: (error: { readonly _tag: string }) => error._tag === "JournalUnavailable"
}

/**
 * Starts an execution for each event of a kind, for as long as the layer lives.
 *
 * **Details**
 *
 * The events that the bus has kept come first. Each is started once: an event that comes twice joins the execution that is
 * there. An event that cannot be read, one whose payload the saga refuses, and one whose key names an execution with another
 * payload become dead letters, and the rest goes on.
 *
 * **Gotchas**
 *
 * A crash between the start and its note starts nothing twice: the event is read again, and joins. The saga is registered by
 * whoever runs it, here or elsewhere.
 *
 * **Example** (An order that is placed starts its saga)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { DomainEvent, EventBus, SagaEvents } from "effect-saga/events"
 * import { SagaEngine } from "effect-saga/SagaEngine"
 * import { Effect, Layer, Schema } from "effect"
 *
 * const Placed = DomainEvent.make("Placed", { payload: Schema.String, key: (order) => order })
 * const fulfil = Saga.make("Fulfil", { payload: Schema.String, key: (order) => order }).pipe(
 *   Saga.output(Schema.String, ({ payload }) => `fulfilled ${payload}`)
 * )
 * const Live = Layer.mergeAll(
 *   Saga.register(fulfil),
 *   SagaEvents.startOn(fulfil, Placed, { payload: ({ payload }) => payload })
 * ).pipe(Layer.provideMerge(SagaEngine.layerMemory))
 *
 * const program = Effect.gen(function*() {
 *   yield* EventBus.use((bus) => bus.publish(Placed, "A-1"))
 *   const engine = yield* SagaEngine
 *   while ((yield* engine.poll("Fulfil/A-1"))._tag === "None") yield* Effect.yieldNow
 *   return yield* engine.await(fulfil, "Fulfil/A-1")
 * })
 * await Effect.runPromise(program.pipe(Effect.provide(Live))) // => "fulfilled A-1"
 * ```
 *
 * @category starting
 * @since 0.1.0
 */
export const startOn = <P0, S, O, A, E, R, T extends string, P extends Schema.Top>(
  saga: Saga<P0, S, O, A, E, R, Phase>,
  event: DomainEvent.DomainEvent<T, P>,
  options: StartOnOptions<NoInfer<P0>, P["Type"]>
): Layer.Layer<never, never, SagaEngine | EventBus> => {
  const tree = toTree(saga)
  const { saga: name } = definition(saga)
  // Undefined: the saga has one itself.
  const keyOf = (event: Envelope<P["Type"]>): Effect.Effect<string | undefined> =>
    options.key !== undefined
      ? Effect.succeed(options.key(event))
      : tree.definition.key === undefined
      ? shortened(event.id)
      : Effect.undefined
  return forked(Effect.gen(function*() {
    const engine = yield* SagaEngine
    const bus = yield* EventBus
    const started = (event: Envelope<P["Type"]>, key: string | undefined) =>
      engine.start(saga, options.payload(event), key === undefined ? {} : { executionId: `${name}/${escape(key)}` })
    return yield* bus.subscribe({
      name: options.name ?? `start/${name}/${event.type}`,
      events: [event],
      handle: (event) => Effect.flatMap(keyOf(event), (key) => Effect.retry(started(event, key), patience)),
      retry: Schedule.recurs(0)
    })
  }))
}

/** What a saga publishes is named after its execution. One that starts on that would have a longer id than it, and so on. */
const shortened = (id: string): Effect.Effect<string> =>
  id.length <= longestKey
    ? Effect.succeed(id)
    : Digest.Digest.use((digest) => digest.digestHex(Digest.sha256, new TextEncoder().encode(id))).pipe(
      Effect.provide(Digest.layerWebCrypto)
    )

const longestKey = 64

/**
 * Handles all events of some kinds, in order, for as long as the layer lives.
 *
 * **When to use**
 *
 * Use to hand events on, such as to a broker or to another service: what a saga publishes is kept with the fact that it belongs
 * to, and is handed on at least once, whatever dies in between. For a broker whose outage must lose nothing, give a `retry`
 * without an end.
 *
 * **Gotchas**
 *
 * A crash behind the handler and before its note hands the event out again: let who receives it tell events apart by their ids.
 *
 * **Example** (Handing events on)
 *
 * ```ts
 * import { DomainEvent, EventBus, MemoryBus, SagaEvents } from "effect-saga/events"
 * import { Effect, Layer, Schema } from "effect"
 *
 * const Shipped = DomainEvent.make("Shipped", { payload: Schema.String, key: (order) => order })
 * const sent: Array<string> = []
 * const Relay = SagaEvents.relay({
 *   name: "to the broker",
 *   events: [Shipped],
 *   handle: (event) => Effect.sync(() => sent.push(`${event.type} ${event.payload}`))
 * })
 * const program = Effect.gen(function*() {
 *   yield* EventBus.use((bus) => bus.publish(Shipped, "A-1"))
 *   while (sent.length === 0) yield* Effect.yieldNow
 *   return sent
 * })
 * await Effect.runPromise(program.pipe(Effect.provide(Layer.provideMerge(Relay, MemoryBus.layer)))) // => ["Shipped A-1"]
 * ```
 *
 * @category handling
 * @since 0.1.0
 */
export const relay = <const Events extends ReadonlyArray<AnyDomainEvent>, E, R>(
  subscription: Subscription<Events, E, R>
): Layer.Layer<never, never, R | EventBus> => forked(EventBus.use((bus) => bus.subscribe(subscription)))

/**
 * An event that waits to be acknowledged.
 *
 * @category models
 * @since 0.1.0
 */
export interface Delivery<Event> {
  readonly event: Event
  /** Says that it is handled: the next one comes. */
  readonly ack: Effect.Effect<void>
  /** Says why it could not be handled: it comes again as `retry` says, and is a dead letter after that. */
  readonly nack: (reason: string) => Effect.Effect<void>
}

/** What a subscription to these kinds is given. */
type Delivered<Events extends ReadonlyArray<AnyDomainEvent>> = Parameters<
  Subscription<Events, string, never>["handle"]
>[0]

/**
 * All events of some kinds as a stream, each until it is acknowledged.
 *
 * **When to use**
 *
 * Use where `relay` does not fit: where events are handed on by something that reads a stream.
 *
 * **Details**
 *
 * It is a subscription with a name, as that of a `relay`. One event is under way at a time, the next comes when it is
 * acknowledged.
 *
 * **Gotchas**
 *
 * What was not acknowledged when the stream ends, or the process dies, comes again to the next that reads under this name, and so
 * may what was, if it ended just then.
 *
 * **Example** (Two events, and what was said of them)
 *
 * ```ts
 * import { DomainEvent, EventBus, MemoryBus, SagaEvents } from "effect-saga/events"
 * import { Effect, Schema, Stream } from "effect"
 *
 * const Shipped = DomainEvent.make("Shipped", { payload: Schema.String, key: (order) => order })
 * const program = Effect.gen(function*() {
 *   const bus = yield* EventBus
 *   for (const order of ["A-1", "A-2"]) yield* bus.publish(Shipped, order)
 *   return yield* SagaEvents.source({ name: "reader", events: [Shipped] }).pipe(
 *     Stream.mapEffect(({ ack, event }) => Effect.as(ack, event.payload)),
 *     Stream.take(2),
 *     Stream.runCollect
 *   )
 * })
 * await Effect.runPromise(program.pipe(Effect.provide(MemoryBus.layer))) // => ["A-1", "A-2"]
 * ```
 *
 * @category handling
 * @since 0.1.0
 */
export const source = <const Events extends ReadonlyArray<AnyDomainEvent>>(
  subscription: Omit<Subscription<Events, string, never>, "handle">
): Stream.Stream<Delivery<Delivered<Events>>, never, EventBus> =>
  Stream.callback((queue) =>
    EventBus.use((bus) =>
      bus.subscribe<Events, string, never>({
        ...subscription,
        handle: (event) =>
          Effect.flatMap(Deferred.make<void, string>(), (answer) =>
            Effect.andThen(
              Queue.offer(queue, {
                event,
                ack: Effect.asVoid(Deferred.succeed(answer, undefined)),
                nack: (reason) => Effect.asVoid(Deferred.fail(answer, reason))
              }),
              Deferred.await(answer)
            ))
      })
    )
  )

const Lifecycle: Schema.Codec<DomainEvent.LifecycleChange> = Schema.Struct({
  executionId: Schema.String,
  saga: Schema.String,
  version: Schema.Number,
  state: Schema.Literals(["Started", "Succeeded", "Compensated", "Stuck", "Abandoned"])
})

/**
 * The kind of events by which executions of a saga tell that they begin and end.
 *
 * **Details**
 *
 * Its type is `<saga>.lifecycle`, its key the id of the execution, its payload `{ executionId, saga, version, state }`. The saga
 * publishes them if it is told to by `Saga.publishLifecycle`.
 *
 * **Example** (A list of what ended badly)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { MemoryBus, SagaEvents } from "effect-saga/events"
 * import { Effect, Layer, Schema } from "effect"
 *
 * const OrderFailed = SagaEvents.lifecycle("Order")
 * const order = Saga.make("Order", { payload: Schema.String, key: (id) => id }).pipe(
 *   Saga.check("stock", { error: Schema.String, action: () => Effect.fail("sold out") }),
 *   Saga.publishLifecycle(OrderFailed, "Compensated", "Stuck", "Abandoned")
 * )
 * const list: Array<string> = []
 * const Followed = SagaEvents.relay({
 *   name: "list",
 *   events: [OrderFailed],
 *   handle: ({ payload }) => Effect.sync(() => list.push(`${payload.executionId} is ${payload.state}`))
 * })
 * const program = Effect.gen(function*() {
 *   yield* Effect.exit(Saga.run(order, "A-1"))
 *   while (list.length === 0) yield* Effect.yieldNow
 *   return list
 * })
 * await Effect.runPromise(program.pipe(Effect.provide(Layer.provideMerge(Followed, MemoryBus.layer))))
 * // => ["Order/A-1 is Compensated"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const lifecycle = <const N extends string>(
  saga: N
): DomainEvent.DomainEvent<`${N}.lifecycle`, typeof Lifecycle> =>
  DomainEvent.make(`${saga}.lifecycle`, { payload: Lifecycle, key: ({ executionId }) => executionId })

/** Goes on for as long as the layer lives. What it dies of at once, as of a name that is taken, ends the layer. */
const forked = <R>(effect: Effect.Effect<never, never, R>): Layer.Layer<never, never, R> =>
  Layer.effectDiscard(
    Effect.flatMap(
      Effect.forkScoped(effect, { startImmediately: true }),
      (fiber) => fiber.pollUnsafe() ?? Effect.void
    )
  )
