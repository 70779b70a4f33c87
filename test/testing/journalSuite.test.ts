/** The suite of journals is checked: each broken journal breaks a promise, and which one first is written down. */
import { Effect, Exit, Layer, Option } from "effect"
import type { Journal } from "effect-saga/SagaJournal"
import { SagaJournal } from "effect-saga/SagaJournal"
import { PromiseBroken, SagaJournalTest } from "effect-saga/testing"
import { expect, it } from "vitest"

type Break = (journal: Journal) => Partial<Journal>

const breaks: Readonly<Record<string, Break>> = {
  "writes half a batch": (journal) => ({
    write: (lease, batch) => journal.write(lease, { ...batch, facts: batch.facts.slice(0, 1) })
  }),
  "says that it wrote under a lease that was ended": (journal) => ({
    write: (lease, batch) => Effect.as(journal.write(lease, batch), { _tag: "Committed", missing: [] })
  }),
  "counts a batch twice whose answer was lost": (journal) => {
    let id = 1e6
    return { write: (lease, batch) => journal.write(lease, { ...batch, id: id++ }) }
  },
  "prolongs what was ended": (journal) => ({ renew: (lease, millis) => Effect.as(journal.renew(lease, millis), true) }),
  "keeps what is owned when a lease is ended": () => ({ end: () => Effect.void }),
  "takes over nothing": () => ({ takeOver: () => Effect.succeed(0) }),
  "claims more than it was asked for": (journal) => ({
    claim: (lease, options) => journal.claim(lease, { ...options, limit: 1_000 })
  }),
  "claims suspects with the others": (journal) => ({
    claim: (lease, options) =>
      Effect.zipWith(
        journal.claim(lease, options),
        journal.claim(lease, { ...options, suspects: !options.suspects }),
        (some, others) => [...some, ...others]
      )
  }),
  "never says when something is due": () => ({ nextDue: () => Effect.succeedNone }),
  "finds nothing": () => ({ find: () => Effect.succeedNone }),
  "gives all facts": (journal) => ({ facts: (id) => journal.facts(id, 0) }),
  "forgets what is settled": () => ({ settled: () => Effect.succeed([]) }),
  "loses the first of a list": (journal) => ({
    list: (options) => Effect.map(journal.list(options), (page) => ({ ...page, executions: page.executions.slice(1) }))
  }),
  "lists what no filter wants": (journal) => ({
    list: ({ after, limit }) => journal.list({ limit, ...(after === undefined ? {} : { after }) })
  }),
  "counts wrongly": (journal) => ({ count: (filter) => Effect.map(journal.count(filter), (all) => [...all, ...all]) }),
  "does not say who wrote": (journal) => ({
    history: (id) => Effect.map(journal.history(id), (all) => all.map((fact) => ({ ...fact, engine: "" })))
  }),
  "says that it removed what it kept": (journal) => ({ remove: (ids) => Effect.as(journal.remove(ids), ids) }),
  "takes words for nobody": (journal) => ({ send: (signal) => Effect.as(journal.send(signal), true) }),
  "loses words": () => ({ signals: () => Effect.succeed([]) }),
  "keeps an event for each time that it is given": (journal) => {
    let copies = 0
    return {
      events: {
        ...journal.events,
        keep: (events, atMillis) =>
          Effect.map(
            journal.events.keep(events.map((event) => ({ ...event, id: `${copies++} ${event.id}` })), atMillis),
            (ids) => ids.map((id) => id.slice(id.indexOf(" ") + 1))
          )
      }
    }
  },
  "wakes nobody": (journal) => ({ events: { ...journal.events, wake: Effect.succeed(0) } }),
  "hands out what was received": (journal) => ({
    events: {
      ...journal.events,
      read: (requests, limit) =>
        journal.events.read(requests.map((request) => ({ ...request, executionId: "nobody" })), limit)
    }
  }),
  "hands out events in another order": (journal) => ({
    events: {
      ...journal.events,
      read: (requests, limit) =>
        Effect.map(journal.events.read(requests, limit), (pages) => pages.map((page) => page.slice().reverse()))
    }
  }),
  "goes on waiting when a wait is over": (journal) => ({
    write: (lease, batch) => journal.write(lease, { ...batch, ended: [] })
  }),
  "publishes what was not written": (journal) => ({
    write: (lease, batch) =>
      Effect.andThen(
        journal.events.keep(batch.published ?? [], 5_000),
        journal.write(lease, { ...batch, published: [] })
      )
        .pipe(Effect.catchTag("BatchRefused", Effect.die))
  }),
  "has one position for all types of a subscription": (journal) => {
    const all = ["A", "B", "Paid", "Refused"]
    return {
      events: {
        ...journal.events,
        advance: (name, types, to) =>
          Effect.map(
            journal.events.advance(name, all, to),
            (reached) => reached.filter(({ type }) => types.includes(type))
          )
      }
    }
  },
  "gives a subscription what it does not read": (journal) => ({
    events: {
      ...journal.events,
      log: ({ from, limit }) => {
        const after = Math.min(...from.map(({ after }) => after))
        return journal.events.log({ from: ["A", "B", "C", "Paid"].map((type) => ({ type, after })), limit })
      }
    }
  }),
  "never forgets a subscription": (journal) => ({
    events: { ...journal.events, unsubscribe: () => Effect.succeed(true) }
  }),
  "hands out dead letters for good": (journal) => ({
    events: { ...journal.events, discard: () => Effect.succeed(true) }
  }),
  "hands no dead letter out again": (journal) => ({
    events: { ...journal.events, redeliver: () => Effect.succeed(true) }
  }),
  "buries nothing": (journal) => ({ events: { ...journal.events, bury: () => Effect.void } }),
  "forgets without a trace": (journal) => ({
    events: { ...journal.events, deadLetters: () => Effect.succeed([]) }
  }),
  "forgets definitions": () => ({ definition: () => Effect.succeed(Option.none()) })
}

const brokenIn = (change: Break) =>
  Effect.gen(function*() {
    const layer = Layer.effect(
      SagaJournal,
      Effect.map(SagaJournal, (journal) => {
        const { writeUnsafe, ...broken } = { ...journal, ...change(journal) }
        void writeUnsafe
        return broken
      })
    ).pipe(Layer.provide(Layer.fresh(SagaJournal.layerMemory)))
    const broken: Array<PromiseBroken> = []
    for (const { test } of SagaJournalTest.suite("broken", layer, { noticesDeath: true })) {
      const exit = yield* Effect.exit(test)
      if (Exit.isFailure(exit)) broken.push(yield* Effect.flip(Effect.failCause(exit.cause)))
    }
    return broken
  })

it("a right one breaks no promise", async () => {
  expect(await Effect.runPromise(brokenIn(() => ({})))).toEqual([])
})

it("each broken one breaks a promise", { timeout: 60_000 }, async () => {
  const lines: Array<string> = []
  for (const [name, change] of Object.entries(breaks)) {
    const broken = await Effect.runPromise(brokenIn(change))
    expect(broken.every((error) => error instanceof PromiseBroken)).toBe(true)
    lines.push(`${name}\n  ${broken.length} broken, first: ${broken[0]?.promise}\n`)
  }
  expect(lines.filter((line) => line.includes("undefined"))).toEqual([])
  await expect(lines.join("\n")).toMatchFileSnapshot("golden/journals.txt")
})
