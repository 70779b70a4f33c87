/**
 * Events in a saga: it stands still until one has come, or until its time has passed, and it publishes some. Each function
 * adds one node to a saga; none runs anything.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Schema from "effect/Schema"
import type { AnyDomainEvent, DomainEvent, LifecycleEvent, LifecycleState } from "./DomainEvent.ts"
import type { EventBus } from "./EventBus.ts"
import type { AwaitNode, State } from "./internal/tree.ts"
import type { EventTimedOut } from "./SagaError.ts"
import type { Fresh, With } from "./SagaStep.ts"
import type { AnySaga, Phase, Saga, Whole } from "./SagaValue.ts"
import { fromTree, toTree } from "./SagaValue.ts"

/**
 * Which event is awaited, and for how long.
 *
 * @category models
 * @since 0.1.0
 */
export interface AwaitOptions<S, A> {
  /** The key of the event that is awaited: what it is about, such as the id of an order. Asked once. */
  readonly correlate: (state: S) => string
  /** Which of the events with this key are meant: all unless given. It may be asked again, and must answer the same. */
  readonly where?: (event: A, state: S) => boolean
}

interface Limited {
  /**
   * When to wait no longer: the saga gets an `EventTimedOut`, which an `orElse` can answer. Past the commit point, where
   * nothing fails, the result says so: `undefined`, or `{ _tag: "TimedOut" }` of several.
   */
  readonly timeout: Duration.Input
}

interface Unlimited {
  readonly timeout?: undefined
}

/** What an event says, with its type, as `match` has the value of a case. */
type Tagged<E> = E extends DomainEvent<infer T, infer P> ? { readonly _tag: T; readonly value: P["Type"] } : never

/** Whether a wait has a limit, or may have one. */
type MayEnd<O> = O extends { readonly timeout: infer T } ? [T] extends [undefined] ? false : true : false

/** The error of a wait before the commit point. */
type TimedOutError<P extends Phase, O> = MayEnd<O> extends true ? P extends "Committed" ? never : EventTimedOut : never

/** What stands for a limit that has passed behind the commit point. */
type TimedOutValue<P extends Phase, O, V> = MayEnd<O> extends true ? P extends "Committed" ? V : never : never

/** What a node makes of the saga that it is added to. */
type Added<P0, S, O0, A0, N extends string, A, E, R, P extends Phase> = Saga<
  P0,
  With<S, N, A>,
  With<O0, N, A>,
  With<A0, N, A>,
  E,
  R,
  P
>

/**
 * Adds a wait for an event.
 *
 * **When to use**
 *
 * Use where a saga goes on when somebody else has done something, and says so by an event. What the saga does itself, and
 * waits for, is a step.
 *
 * **Details**
 *
 * The result is what the event says. An execution receives an event once, however often it was delivered, and by the first
 * of its waits that takes it. An event that came before its wait is received all the same, if the bus has kept it. A failing
 * sibling, an interruption and the limit of the saga cut a wait. What the first way of an `orElse` has received before it was
 * given up is received: the second way waits for another one. When an event and the end of the time come at once, what
 * is recorded first has happened, and stays so.
 *
 * **Gotchas**
 *
 * In-process a crash ends the wait and the saga. On an engine the wait is recorded: a crash before or behind that changes
 * nothing, and an event that came meanwhile is received when the execution goes on.
 *
 * **Example** (Undoing a reservation that is not paid for)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { DomainEvent, MemoryBus } from "effect-saga/events"
 * import { Effect, Schema } from "effect"
 *
 * const Paid = DomainEvent.make("Paid", { payload: Schema.String, key: (order) => order })
 * const done: Array<string> = []
 * const saga = Saga.make("Order", { payload: Schema.String }).pipe(
 *   Saga.step("stock", {
 *     action: () => Effect.sync(() => void done.push("reserve")),
 *     compensation: () => Effect.sync(() => done.push("release"))
 *   }),
 *   Saga.awaitEvent("paid", Paid, { correlate: ({ payload }) => payload, timeout: "5 millis" })
 * )
 * const error = await Effect.runPromise(Saga.run(saga, "A-1").pipe(Effect.flip, Effect.provide(MemoryBus.layer)))
 * error._tag // => "EventTimedOut"
 * done // => ["reserve", "release"]
 * ```
 *
 * @category events
 * @since 0.1.0
 */
export const awaitEvent = <
  const N extends string,
  S,
  T extends string,
  PS extends Schema.Top,
  O extends Limited | Unlimited
>(
  name: Fresh<N, S>,
  event: DomainEvent<T, PS>,
  options: AwaitOptions<NoInfer<S>, PS["Type"]> & O
) =>
<P0, O0, A0, E0, R0, P extends Phase>(
  self: Saga<P0, S, O0, A0, E0, R0, P>
): Added<
  P0,
  S,
  O0,
  A0,
  N,
  PS["Type"] | TimedOutValue<P, O, undefined>,
  E0 | TimedOutError<P, O>,
  R0 | EventBus,
  P
> => add(self, "awaitEvent", name, [event], options)

/**
 * Adds a wait for the first of several events.
 *
 * **Details**
 *
 * As `awaitEvent`. The result is `{ _tag, value }` with the type of the event that came: give its `_tag` to `Saga.match` to branch.
 *
 * **Example** (A payment that is confirmed or refused)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { DomainEvent, EventBus, MemoryBus } from "effect-saga/events"
 * import { Effect, Fiber, Schema } from "effect"
 *
 * const Confirmed = DomainEvent.make("Confirmed", { payload: Schema.String, key: (order) => order })
 * const Refused = DomainEvent.make("Refused", { payload: Schema.String, key: (order) => order })
 * const saga = Saga.make("Order", { payload: Schema.String }).pipe(
 *   Saga.awaitFirst("payment", [Confirmed, Refused], { correlate: ({ payload }) => payload }),
 *   Saga.output(Schema.String, ({ payment }) => payment._tag)
 * )
 * const program = Effect.gen(function*() {
 *   const order = yield* Effect.forkChild(Saga.run(saga, "A-1"))
 *   yield* EventBus.use((bus) => bus.publish(Refused, "A-1"))
 *   return yield* Fiber.join(order)
 * })
 * await Effect.runPromise(program.pipe(Effect.provide(MemoryBus.layer))) // => "Refused"
 * ```
 *
 * @category events
 * @since 0.1.0
 */
export const awaitFirst = <
  const N extends string,
  S,
  const E extends readonly [AnyDomainEvent, ...ReadonlyArray<AnyDomainEvent>],
  O extends Limited | Unlimited
>(
  name: Fresh<N, S>,
  events: E,
  options: AwaitOptions<NoInfer<S>, Tagged<E[number]>> & O
) =>
<P0, O0, A0, E0, R0, P extends Phase>(
  self: Saga<P0, S, O0, A0, E0, R0, P>
): Added<
  P0,
  S,
  O0,
  A0,
  N,
  Tagged<E[number]> | TimedOutValue<P, O, { readonly _tag: "TimedOut" }>,
  E0 | TimedOutError<P, O>,
  R0 | EventBus,
  P
> => add(self, "awaitFirst", name, events, options)

/**
 * Adds an event that the saga publishes.
 *
 * **When to use**
 *
 * Use to tell others what the saga has done; what only an action knows it publishes itself, by `SagaEvents.publish`. Put it behind the
 * commit point if what is told must not be undone any more: an
 * event cannot be taken back, and one that was published before a failure stays published.
 *
 * **Details**
 *
 * On an engine the event is kept in the journal with the fact that says so, in one statement: it is published if and only if
 * the saga has come so far. Who awaits it receives it; `SagaEvents.relay` hands it on to others. Its id is made of the
 * execution and the path, its `correlationId` is the execution.
 *
 * **Gotchas**
 *
 * In-process a crash before the node publishes nothing, and one behind it loses what the bus in memory held; a bus that is out of
 * reach there is tried again for six seconds. On an engine a
 * crash before its commit publishes nothing; the saga goes on there later, and publishes then. A payload that does not match its
 * schema is a defect.
 *
 * **Example** (Telling that an order was shipped)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { DomainEvent, MemoryBus } from "effect-saga/events"
 * import { Effect, Schema } from "effect"
 *
 * const Shipped = DomainEvent.make("Shipped", { payload: Schema.String, key: (order) => order })
 * const ship = Saga.make("Ship", { payload: Schema.String }).pipe(
 *   Saga.pivot("parcel", { action: () => Effect.void }),
 *   Saga.publish("told", Shipped, ({ payload }) => payload)
 * )
 * const tell = Saga.make("Tell", { payload: Schema.String }).pipe(
 *   Saga.awaitEvent("shipped", Shipped, { correlate: ({ payload }) => payload })
 * )
 * const program = Effect.andThen(Saga.run(ship, "A-1"), Saga.run(tell, "A-1"))
 * await Effect.runPromise(program.pipe(Effect.provide(MemoryBus.layer))) // => { shipped: "A-1" }
 * ```
 *
 * @category events
 * @since 0.1.0
 */
export const publish = <const N extends string, S, T extends string, PS extends Schema.Top>(
  name: Fresh<N, S>,
  event: DomainEvent<T, PS>,
  payloadOf: (state: NoInfer<S>) => PS["Type"]
) =>
<P0, O0, A0, E0, R0, P extends Phase>(
  self: Saga<P0, S, O0, A0, E0, R0, P>
): Saga<P0, With<S, N, void>, With<O0, N, void>, A0, E0, R0 | EventBus, P> => {
  const tree = toTree(self)
  const { key, payload, type } = event
  tree.schema(name, payload)
  return fromTree(tree.append({
    _tag: "Publish",
    name,
    event: { type, payload, key },
    // The signature has checked it against the state.
    payloadOf: payloadOf as (state: State) => unknown
  }))
}

/**
 * Publishes how executions of a saga begin and end.
 *
 * **When to use**
 *
 * Use where others follow a saga: a saga that waits for another one, a list of what is open. What the saga has to say itself it
 * says by `publish`.
 *
 * **Details**
 *
 * The kind of the events is made by `SagaEvents.lifecycle`; their key is the id of the execution. States are `Started`,
 * `Succeeded`, `Compensated`, `Stuck`, and `Abandoned`, which only a person on an engine can say: all of them unless some are given.
 * On an engine each is kept with the fact that it tells of, in one statement. Of a saga that is nested in another nothing is
 * told: it is a part of that one's execution.
 *
 * **Gotchas**
 *
 * Ask for the states that somebody reads: an event that nobody receives while it is kept is a dead letter. An execution that
 * another process has begun, or that was begun in a transaction of yours, is `Started` when an engine runs it. One that is
 * abandoned by an engine in which its saga is not registered is not told of.
 *
 * **Example** (A saga that waits for another one)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { MemoryBus, SagaEvents } from "effect-saga/events"
 * import { Effect, Fiber, Schema } from "effect"
 *
 * const OrderEnded = SagaEvents.lifecycle("Order")
 * const order = Saga.make("Order", { payload: Schema.String, key: (id) => id }).pipe(
 *   Saga.publishLifecycle(OrderEnded, "Succeeded", "Compensated")
 * )
 * const ship = Saga.make("Ship", { payload: Schema.String }).pipe(
 *   Saga.awaitEvent("order", OrderEnded, { correlate: ({ payload }) => `Order/${payload}` }),
 *   Saga.output(Schema.String, ({ order }) => order.state)
 * )
 * const program = Effect.gen(function*() {
 *   const waiting = yield* Effect.forkChild(Saga.run(ship, "A-1"))
 *   yield* Saga.run(order, "A-1")
 *   return yield* Fiber.join(waiting)
 * })
 * await Effect.runPromise(program.pipe(Effect.provide(MemoryBus.layer))) // => "Succeeded"
 * ```
 *
 * @category events
 * @since 0.1.0
 */
export const publishLifecycle =
  (event: LifecycleEvent, ...states: ReadonlyArray<LifecycleState>) =>
  <P0, S, O, A, E, R, P extends Phase>(
    self: Saga<P0, S, O, A, E, R, P> & Whole<P0>
  ): Saga<P0, S, O, A, E, R | EventBus, P> => {
    const tree = toTree(self)
    const { lifecycle } = tree.options
    if (lifecycle !== undefined) {
      throw tree.error("", `its lifecycle is published as ${lifecycle.event.type} already: name all states at once`)
    }
    return fromTree(
      tree.withOptions({ lifecycle: { event, states: new Set(states.length === 0 ? allStates : states) } })
    )
  }

const allStates: ReadonlyArray<LifecycleState> = ["Started", "Succeeded", "Compensated", "Stuck", "Abandoned"]

interface Erased {
  readonly correlate: (state: State) => string
  readonly where?: (event: unknown, state: State) => boolean
  readonly timeout?: Duration.Input | undefined
}

const add = <S extends AnySaga>(
  self: AnySaga<string>,
  kind: AwaitNode["kind"],
  name: string,
  events: ReadonlyArray<AnyDomainEvent>,
  options: object
): S => {
  // The signatures above have checked the options against the state and the schemas.
  const { correlate, timeout, where } = options as Erased
  const tree = toTree(self)
  const types = new Set<string>()
  for (const { payload, type } of events) {
    tree.schema(name, payload)
    if (types.has(type)) throw tree.error(name, `the event ${type} is awaited twice there`)
    if (kind === "awaitFirst" && type === "TimedOut") {
      throw tree.error(name, "an event of the type TimedOut could not be told from a time limit: give it another type")
    }
    types.add(type)
  }
  return fromTree(tree.append({
    _tag: "Await",
    kind,
    name,
    events: events.map(({ payload, type }) => ({ type, payload })),
    correlate,
    where: where && (kind === "awaitEvent"
      ? (payload, state) => where(payload, state)
      : (value, state, _tag) => where({ _tag, value }, state)),
    timeoutMillis: tree.limit(name, "timeout", timeout),
    committed: tree.committed
  }))
}
