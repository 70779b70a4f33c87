/**
 * A journal behind a cipher: what facts and signals say is sealed on its way in and opened on its way out. It never sees
 * a saga. What was written in the clear is read as it is.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { EventRecord, FactRecord, Journal, SignalRecord } from "../../Journal.ts"
import { JournalUnavailable } from "../../Journal.ts"
import type { JournalCipher } from "../../JournalCipher.ts"
import { readSealed, writeSealed, writeUnopened } from "./codec.ts"

/** What seals and opens. */
export type Cipher = JournalCipher["Service"]

/** A store, with a cipher between it and its engine. */
export const sealedWith = (cipher: Cipher, journal: Journal): Journal => {
  // A cipher does not answer at once.
  const { writeUnsafe: _, ...rest } = journal
  const opened = <Fact extends FactRecord, E>(facts: Effect.Effect<ReadonlyArray<Fact>, E>) =>
    Effect.flatMap(facts, (facts) => openFacts(cipher, facts))
  /** The text that an event of a log was opened from: what could not be opened becomes a dead letter as it was. */
  const sealedAs = new WeakMap<EventRecord, string>()
  const openAll = <A extends EventRecord>(events: ReadonlyArray<A>): Effect.Effect<ReadonlyArray<A>> =>
    Effect.forEach(
      events,
      (event) => Effect.tap(openEvent(cipher, event), (opened) => Effect.sync(() => sealedAs.set(opened, event.data))),
      atOnce
    )
  return {
    ...rest,
    write: (lease, batch) =>
      Effect.flatMap(
        Effect.all([
          Effect.forEach(batch.facts, (fact) => sealFact(cipher, fact), atOnce),
          Effect.forEach(batch.published ?? [], (event) => sealEvent(cipher, event), atOnce)
        ]),
        ([facts, published]) => journal.write(lease, { ...batch, facts, published })
      ),
    send: (signal) => Effect.flatMap(seal(cipher, signal, signalOf(signal)), journal.send),
    claim: (lease, options) =>
      Effect.flatMap(journal.claim(lease, options), (claimed) =>
        Effect.forEach(claimed, (one) =>
          Effect.map(
            Effect.all([openFacts(cipher, one.facts), openSignals(cipher, one.signals)]),
            ([facts, signals]) => ({ ...one, facts, signals })
          ), atOnce)),
    facts: (executionId, from) => opened(journal.facts(executionId, from)),
    history: (executionId) => opened(journal.history(executionId)),
    events: {
      ...journal.events,
      keep: (events, keptAtMillis) =>
        Effect.flatMap(
          Effect.forEach(events, (event) => sealEvent(cipher, event), atOnce),
          (events) => journal.events.keep(events, keptAtMillis)
        ),
      read: (requests, limit) =>
        Effect.flatMap(
          journal.events.read(requests, limit),
          (pages) =>
            Effect.forEach(pages, (page) => Effect.forEach(page, (event) => openEvent(cipher, event), atOnce), atOnce)
        ),
      log: (options) =>
        Effect.flatMap(
          journal.events.log(options),
          ({ events, upTo }) => Effect.map(openAll(events), (events) => ({ events, upTo }))
        ),
      bury: (event, subscription, reason, atMillis) => {
        const sealed = sealedAs.get(event)
        const again = sealed === undefined ? sealEvent(cipher, event) : Effect.succeed({ ...event, data: sealed })
        return Effect.flatMap(again, (event) => journal.events.bury(event, subscription, reason, atMillis))
      },
      forget: (options) =>
        Effect.flatMap(
          journal.events.forget(options),
          ({ count, dead }) => Effect.map(openAll(dead), (dead) => ({ count, dead }))
        ),
      deadLetters: (options) => Effect.flatMap(journal.events.deadLetters(options), openAll),
      redelivered: (subscription, types, limit) =>
        Effect.flatMap(journal.events.redelivered(subscription, types, limit), openAll)
    },
    signals: (lease) => Effect.flatMap(journal.signals(lease), (signals) => openSignals(cipher, signals))
  }
}

/** A cipher may work elsewhere, as that of the web platform does: what it is asked at once takes less time. */
const atOnce = { concurrency: "unbounded" } as const

/** A fact as it stands in a store behind a cipher. */
export const sealFact = (cipher: Cipher, fact: FactRecord): Effect.Effect<FactRecord, JournalUnavailable> =>
  seal(cipher, fact, factOf(fact))

/** Facts as they were before they were sealed; one that cannot be opened says why when it is read. */
export const openFacts = <Fact extends FactRecord>(cipher: Cipher, facts: ReadonlyArray<Fact>) =>
  Effect.forEach(facts, (fact) => open(cipher, fact, factOf(fact)), atOnce)

const openSignals = (cipher: Cipher, signals: ReadonlyArray<SignalRecord>) =>
  Effect.forEach(signals, (signal) => open(cipher, signal, signalOf(signal)), atOnce)

/** An event has a place of its own, as an execution has. */
const sealEvent = <A extends EventRecord>(cipher: Cipher, event: A): Effect.Effect<A, JournalUnavailable> =>
  Effect.map(seal(cipher, { executionId: event.id, data: event.data }, "event"), ({ data }) => ({ ...event, data }))

const openEvent = <A extends EventRecord>(cipher: Cipher, event: A): Effect.Effect<A> =>
  Effect.map(open(cipher, { executionId: event.id, data: event.data }, "event"), ({ data }) => ({ ...event, data }))

/** Which one of its execution it is: what is sealed as one opens as no other. */
const factOf = ({ sequence }: FactRecord): string => `fact ${sequence}`
const signalOf = ({ kind }: { readonly kind: string }): string => `signal ${kind}`

interface Row {
  readonly executionId: string
  readonly data: string
}

const placeOf = (what: string, { executionId }: Row): string => `${what} of ${executionId}`

const seal = <A extends Row>(cipher: Cipher, row: A, what: string): Effect.Effect<A, JournalUnavailable> =>
  Effect.suspend(() => cipher.seal(row.data, placeOf(what, row))).pipe(
    Effect.map((sealed) => ({ ...row, data: writeSealed(sealed) })),
    // A batch that cannot be sealed is tried again, as one that cannot be written is.
    Effect.catchDefect((cause) => Effect.fail(new JournalUnavailable({ operation: "seal", cause })))
  )

/** What cannot be opened harms who needs it, and nobody else: it becomes a text that says why. */
const open = <A extends Row>(cipher: Cipher, row: A, what: string): Effect.Effect<A> => {
  const sealed = readSealed(row.data)
  return sealed === undefined
    ? Effect.succeed(row)
    : Effect.matchCause(Effect.suspend(() => cipher.open(sealed, placeOf(what, row))), {
      onSuccess: (data) => ({ ...row, data }),
      onFailure: (cause) => ({ ...row, data: writeUnopened(`${what}: ${reasonOf(cause)}`) })
    })
}

const reasonOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error.message : String(error)
}
