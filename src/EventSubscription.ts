/**
 * Reading all events of some types, in order, each until it is handled. What holds the events, and remembers how far a
 * subscription has come, is a bus: this is the same for each.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import type { AnyDomainEvent, DomainEvent, Envelope } from "./DomainEvent.ts"

/** The events of some kinds. */
type EnvelopeOf<E> = E extends DomainEvent<infer T, infer P> ? Omit<Envelope<P["Type"]>, "type"> & { readonly type: T }
  : Envelope

/**
 * Who reads events, and what is done with each.
 *
 * @category models
 * @since 0.1.0
 */
export interface Subscription<Events extends ReadonlyArray<AnyDomainEvent>, E, R> {
  /**
   * How the bus remembers how far it has come, in each kind of events. In several processes the same name is one
   * subscription: an event may be handled in more than one of them, and none is left out. In one process a name runs once.
   */
  readonly name: string
  readonly events: Events
  /** It may be run more than once with an event, as after a crash: let it do no harm then. */
  readonly handle: (event: EnvelopeOf<Events[number]>) => Effect.Effect<unknown, E, R>
  /**
   * When an event that could not be handled is tried again; the events behind it wait. After its end the event is a dead
   * letter, and the rest goes on. A handler that dies, or is interrupted by itself, has no error to show to a schedule: that
   * is tried again by the default.
   *
   * @default ten tries, with pauses from 100 ms on that double up to 10 seconds
   */
  readonly retry?: Schedule.Schedule<unknown, E>
}

/**
 * Any subscription, with types taken off.
 *
 * @category models
 * @since 0.1.0
 */
export interface AnySubscription {
  readonly name: string
  readonly events: ReadonlyArray<{ readonly type: string; readonly payload: Schema.Top }>
  readonly handle: (event: Envelope) => Effect.Effect<unknown, unknown>
  readonly retry?: Schedule.Schedule<unknown, unknown>
}

/**
 * An event as it stands in a log: it may be that it cannot be read.
 *
 * @category models
 * @since 0.1.0
 */
export interface LogEntry {
  readonly type: string
  readonly id: string
  readonly event: Result.Result<Envelope, string>
}

/**
 * What comes next in a log.
 *
 * @category models
 * @since 0.1.0
 */
export interface LogPage<Entry extends LogEntry> {
  readonly entries: ReadonlyArray<Entry>
  /** Notes that all of them are handled, or are dead letters: the next page is behind them. */
  readonly done: Effect.Effect<void>
}

/**
 * Where a subscription reads.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventLog<Entry extends LogEntry> {
  readonly read: Effect.Effect<LogPage<Entry>>
  /** Is told what became of an event: undefined if it was handled, or why it is a dead letter. */
  readonly settle: (entry: Entry, problem: string | undefined) => Effect.Effect<void>
  /** Waits until there may be more. */
  readonly more: Effect.Effect<void>
}

const defaultRetry = Schedule.max([
  Schedule.min([Schedule.exponential(100), Schedule.spaced("10 seconds")]),
  Schedule.recurs(9)
])

/**
 * Handles what a log holds, and what comes, for ever. For who writes a bus.
 *
 * **Details**
 *
 * A page is noted when all its events have been handled, or are dead letters: a crash before that hands it out again.
 *
 * @category running
 * @since 0.1.0
 */
export const run = <Entry extends LogEntry>(
  log: EventLog<Entry>,
  { handle, name, retry = defaultRetry }: AnySubscription
): Effect.Effect<never> =>
  Effect.gen(function*() {
    const said = (cause: Cause.Cause<unknown>) => `"${name}" could not handle it: ${wordsOf(cause)}`
    const problemOf = (event: Envelope) => {
      const { id, type } = event
      let attempts = 0
      let why = ""
      const handled = Effect.tapCause(Effect.suspend(() => handle(event)), (cause) =>
        Effect.sync(() => {
          why = said(cause)
        }))
      const attempt = Effect.suspend(() =>
        // Told once: as long as it is tried again, the rest waits.
        ++attempts !== 2 ? handled : Effect.andThen(
          Effect.logWarning(`The event ${type} "${id}" is tried again, and those behind it wait: ${why}`),
          handled
        )
      )
      const tried = Effect.sandbox(Effect.retry(attempt, retry))
      // Who is interrupted from outside ends here: what comes behind this is an interruption of the handler's own.
      return Effect.match(Effect.retry(tried, { schedule: defaultRetry, while: isUntyped }), {
        onSuccess: () => undefined,
        onFailure: said
      })
    }
    while (true) {
      const { done, entries } = yield* log.read
      for (const entry of entries) {
        const { event, id, type } = entry
        const problem = Result.isFailure(event) ? event.failure : yield* problemOf(event.success)
        yield* log.settle(entry, problem)
        if (problem !== undefined) yield* Effect.logWarning(`The event ${type} "${id}" is a dead letter: ${problem}`)
      }
      yield* done
      if (entries.length === 0) yield* log.more
    }
  })

/**
 * What a bus says to who runs a subscription beside one of the same name. For who writes a bus.
 *
 * @category running
 * @since 0.1.0
 */
export const nameTaken = (name: string): Error =>
  new Error(`The subscription "${name}" runs here already, and a name is one subscription: give this one another name`)

/**
 * Why a bus cannot run a subscription beside those that it runs, which it knows by their names; undefined when it can. For who
 * writes a bus.
 *
 * @category running
 * @since 0.1.0
 */
export const subscriptionProblem = (
  { events, name }: Pick<AnySubscription, "events" | "name">,
  running: { readonly has: (name: string) => boolean }
): Error | undefined => {
  if (running.has(name)) return nameTaken(name)
  const types = events.map(({ type }) => type)
  const twice = types.find((type, index) => types.indexOf(type) !== index)
  const problem = name === ""
    ? "its name is empty: give it one, by which the bus remembers how far it has come"
    : types.length === 0
    ? "it reads no events: name some"
    : twice !== undefined
    ? `it reads ${twice} by two definitions: one type has one schema`
    : undefined
  return problem === undefined ? undefined : new Error(`The subscription "${name}" cannot run: ${problem}`)
}

/** How long who is told of an event may take. */
const toldWithin = "30 seconds"

/**
 * Tells of an event that nobody has received. What goes wrong in it, or takes longer than 30 seconds, is logged: it holds up
 * nothing. For who writes a bus.
 *
 * @category running
 * @since 0.1.0
 */
export const tellUnmatched = <E extends { readonly type: string; readonly id: string }>(
  onUnmatched: (event: E) => Effect.Effect<void>,
  event: E
): Effect.Effect<void> =>
  Effect.catchCause(
    Effect.timeout(Effect.suspend(() => onUnmatched(event)), toldWithin),
    (cause) => Effect.logError(`\`onUnmatched\` failed for the event ${event.type} "${event.id}"`, cause)
  )

const isUntyped = (cause: Cause.Cause<unknown>): boolean => !Cause.hasFails(cause)

const wordsOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return (error instanceof Error ? wordsOfError(error) : fieldsOf(error) ?? String(error)).slice(0, 1_000)
}

/** What it says, or else what is in it, and what it was caused by. */
const wordsOfError = (error: Error): string => {
  const words = error.message === "" ? fieldsOf({ ...error }) ?? "" : error.message
  const said = words === "" ? error.name : `${error.name}: ${words}`
  return error.cause instanceof Error ? `${said}, because of ${wordsOfError(error.cause)}` : said
}

/** A value with fields as JSON, as far as it can be written so. */
const fieldsOf = (value: unknown): string | undefined =>
  typeof value === "object" && value !== null
    ? Result.getOrUndefined(Result.try(() => JSON.stringify(value)))
    : undefined
