/**
 * Where events are published, as the sagas know it that await some, and what every bus asks of an event. The one of an engine
 * keeps them in its journal; one in memory is in `effect-saga/events`.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type { AnyDomainEvent, DomainEvent, Envelope } from "./DomainEvent.ts"
import type { Subscription } from "./EventSubscription.ts"
import type { Mail } from "./internal/mail.ts"
import type { JournalUnavailable } from "./Journal.ts"

/**
 * An event was not published: what it says does not match its schema, or it has no key that it could be found by.
 *
 * @category errors
 * @since 0.1.0
 */
export class EventRefused extends Data.TaggedError("EventRefused")<{
  readonly type: string
  readonly issue: string
}> {
  override get message(): string {
    return `The event ${this.type} was not published: ${this.issue}`
  }
}

/**
 * What is known of an event beside what it says.
 *
 * @category models
 * @since 0.1.0
 */
export interface PublishOptions {
  /**
   * Unique to this event: published again with the same id, it counts once.
   *
   * @default a new one
   */
  readonly id?: string
  /** When it happened: now unless given. */
  readonly occurredAtMillis?: number
  /** The execution in whose course it happened. */
  readonly correlationId?: string
  /** What it happened because of. */
  readonly causationId?: string
}

/**
 * What a bus promises.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventBusService {
  /**
   * Publishes an event. When it returns the event is kept, and each execution that awaits it, now or soon, receives it.
   *
   * It joins no transaction of the caller: what is published inside one stays published when that is rolled back; on one SQLite
   * file, which such a transaction has for itself, it fails with `JournalUnavailable`. Publish behind the commit, with an `id`
   * that makes it count once when it is done again after a crash; or let a saga publish that `SqlSagaEngine.startIn` starts in
   * the transaction.
   */
  readonly publish: <Type extends string, P extends Schema.Top>(
    event: DomainEvent<Type, P>,
    payload: P["Type"],
    options?: PublishOptions
  ) => Effect.Effect<void, EventRefused | JournalUnavailable>
  /**
   * Hands all events of some kinds to a handler, in order, those first that are kept already. It goes on for ever: fork it, or
   * make a layer of it. One that has handled an event is not given it again, but after a crash before that was noted.
   */
  readonly subscribe: <const Events extends ReadonlyArray<AnyDomainEvent>, E, R>(
    subscription: Subscription<Events, E, R>
  ) => Effect.Effect<never, never, R>
  /** How events come to a saga in a fiber; undefined where only an engine gets them. */
  readonly "~mail": Mail | undefined
}

/**
 * Where events are published, and where those come from that a saga awaits.
 *
 * @category services
 * @since 0.1.0
 */
export class EventBus extends Context.Service<EventBus, EventBusService>()("effect-saga/EventBus") {}

const inWords = SchemaIssue.makeFormatterDefault()

/**
 * The event as it is published: its payload checked, with an id and a time. For who writes a bus.
 *
 * @category constructors
 * @since 0.1.0
 */
export const envelopeOf = <Type extends string, P extends Schema.Top>(
  event: DomainEvent<Type, P>,
  payload: P["Type"],
  { causationId, correlationId, id, occurredAtMillis }: PublishOptions
): Effect.Effect<Envelope<P["Type"]>, EventRefused> =>
  Effect.gen(function*() {
    const { type } = event
    const checked = yield* Effect.mapError(
      event.payload.makeEffect(payload),
      (issue) => new EventRefused({ type, issue: inWords(issue) })
    )
    const key = event.key(checked)
    if (typeof key !== "string" || key === "") {
      return yield* new EventRefused({ type, issue: "its `key` is no text, or an empty one: nobody could wait for it" })
    }
    if (id === "") return yield* new EventRefused({ type, issue: "its `id` is empty: all such events would be one" })
    if (occurredAtMillis !== undefined && !Number.isFinite(occurredAtMillis)) {
      const issue = `\`occurredAtMillis\` is ${String(occurredAtMillis)}: give milliseconds since 1970`
      return yield* new EventRefused({ type, issue })
    }
    return {
      id: id ?? (yield* newId),
      type,
      key,
      occurredAtMillis: occurredAtMillis ?? (yield* Clock.currentTimeMillis),
      ...correlationId === undefined ? {} : { correlationId },
      ...causationId === undefined ? {} : { causationId },
      payload: checked
    }
  })

const newId = Effect.map(Random.Random, (random) => {
  const hex = () => Math.floor(random.nextDoubleUnsafe() * 16 ** 12).toString(16).padStart(12, "0")
  return hex() + hex()
})
