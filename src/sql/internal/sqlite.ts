/**
 * The journal on SQLite. Whatever is more than one statement is one transaction, which has the file for itself.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { SqlError } from "effect/sql/SqlError"
import {
  type Batch,
  BatchRefused,
  type ExecutionRecord,
  type FactRecord,
  type Journal,
  type Lease,
  type Written
} from "../../Journal.ts"
import type { EngineLock } from "../EngineLock.ts"
import { eventsAtOnce, isStorable, nobodyReceived, partsOf, readable, unstorableEvent, unstorableIn } from "./batch.ts"
import { type Database, refusedOr, type Row } from "./database.ts"
import { foundSchema } from "./migrations.ts"
import { makeReads } from "./reads.ts"
import {
  leastOf,
  logOf,
  toClaimed,
  toDeadLetter,
  toEvent,
  toExecution,
  toFact,
  toPosition,
  toSignal,
  toSubscription
} from "./rows.ts"
import { sqliteReadStatements } from "./sqliteReads.ts"
import { sqliteStatements } from "./sqliteStatements.ts"

/** How many executions are given back at once. */
const page = 500

const leaseLost: Written = { _tag: "LeaseLost" }
const committed: Written = { _tag: "Committed", missing: [] }

/** What this process knows of a lease it holds. */
interface Holding {
  /** The number of the next claim, and of the first one whose executions may not have arrived. */
  claim: number
  unsure: number | undefined
}

/** Makes the journal. With a lock, who holds it knows that every other lease is of the dead. */
export const makeSqlite = (
  database: Database,
  prefix: string,
  engineLock: Option.Option<EngineLock["Service"]>
): Journal => {
  const statements = sqliteStatements(prefix)
  const held = new Map<number, Holding>()
  const isAlone = Option.isSome(engineLock)

  const query = (text: string, ...params: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<Row>, SqlError> =>
    database.sql.unsafe<Row>(text, params)
  const ask = (operation: string, text: string, ...params: ReadonlyArray<unknown>) =>
    database.run(operation, query(text, ...params))
  const atOnce = <A>(operation: string, effect: Effect.Effect<A, SqlError>) =>
    database.run(operation, database.sql.withTransaction(effect))

  const holds = ({ epoch, id }: Lease) => Effect.map(query(statements.lease, id, epoch), (rows) => rows.length === 1)

  const factTexts = new Map(chunkSizes.map((size) => [size, statements.facts(size)]))
  const insertFacts = (lease: Lease, batch: Batch, facts: ReadonlyArray<FactRecord>) =>
    Effect.forEach(chunksOf(facts), (chunk) => {
      const values = chunk.flatMap(({ data, executionId, sequence, tag }) => [executionId, sequence, tag, data])
      return query(factTexts.get(chunk.length)!, lease.id, batch.id, ...values)
    }, { discard: true })

  const giveBack = Effect.fnUntraced(function*(operation: string, ids: string, text: string) {
    let count = 0
    while (true) {
      const given = yield* ask(operation, text, ids, page)
      count += given.length
      if (given.length < page) break
    }
    yield* ask(operation, statements.returned, ids)
    return count
  })

  const acquire: Journal["acquire"] = Effect.fnUntraced(function*({ leaseMillis, name }) {
    if (Option.isSome(engineLock)) yield* engineLock.value.acquire
    return yield* Effect.acquireRelease(
      Effect.map(ask("acquire", statements.acquire, readable(name), Math.ceil(leaseMillis)), ([row]): Lease => {
        held.set(row!["id"], { claim: 1, unsure: undefined })
        return { id: row!["id"], epoch: 0 }
      }),
      ({ id }) => Effect.sync(() => held.delete(id))
    )
  })

  const write: Journal["write"] = Effect.fnUntraced(function*(lease, batch) {
    const parts = partsOf(batch)
    const refusal = unstorableIn(parts)
    if (refusal !== undefined) return yield* new BatchRefused({ cause: new Error(refusal) })
    const { ended, first, published, receipts, rest, signals, starts, tags, updates, waits } = parts
    const ids = (records: ReadonlyArray<{ readonly executionId: string }>) =>
      JSON.stringify(records.map(({ executionId }) => executionId))

    const writing = Effect.gen(function*() {
      const [held] = yield* query(statements.lease, lease.id, lease.epoch)
      if (held === undefined) return leaseLost
      const missing = new Set<string>()
      const isMine = ({ executionId }: { readonly executionId: string }) => !missing.has(executionId)
      if (starts.length > 0) {
        for (const row of yield* query(statements.taken, ids(starts))) missing.add(row["execution_id"])
        yield* query(statements.start, lease.id, JSON.stringify(starts.filter(isMine)))
      }
      if (first.length > 0) {
        const started = starts.length - missing.size
        yield* insertFacts(lease, batch, first.filter(isMine))
        const [now] = yield* query(statements.changes)
        const inserted = now!["changes"] - held["changes"] - started
        if (inserted < first.length) {
          // Somebody else was first, or this batch itself, whose answer was lost.
          const own = yield* query(statements.written, JSON.stringify(first), lease.id, batch.id)
          for (const { executionId } of first) missing.add(executionId)
          for (const { execution_id } of own) missing.delete(execution_id)
          if (own.length > inserted) return withMissing(missing)
        }
        yield* insertFacts(lease, batch, rest.filter(isMine))
      }
      if (tags.length > 0) yield* query(statements.tag, JSON.stringify(tags.filter(isMine)))
      if (updates.length > 0) yield* query(statements.update, JSON.stringify(updates.filter(isMine)), lease.id)
      if (signals.length > 0) {
        yield* query(statements.answer, JSON.stringify(signals), JSON.stringify(Array.from(missing)))
      }
      if (published.length > 0) yield* query(statements.publish, JSON.stringify(published.filter(isMine)))
      if (ended.length > 0) yield* query(statements.endWaits, JSON.stringify(ended.filter(isMine)))
      if (receipts.length > 0) yield* query(statements.receive, JSON.stringify(receipts.filter(isMine)))
      if (waits.length > 0) yield* query(statements.wait, JSON.stringify(waits.filter(isMine)))
      return withMissing(missing)
    })
    return yield* Effect.mapError(atOnce("write", writing), refusedOr)
  })

  const claim: Journal["claim"] = Effect.fnUntraced(function*(lease, { limit, nowMillis, sagas, suspects }) {
    const holding = held.get(lease.id)
    if (holding === undefined) return []
    const number = holding.claim++
    // A claim without an answer may have taken executions of which nobody here knows: they come with this one.
    const from = holding.unsure ??= number
    const claiming = Effect.gen(function*() {
      if (!(yield* holds(lease))) return []
      const due: Array<Row> = []
      for (const { saga, version } of sagas) {
        due.push(...yield* query(statements.due(suspects), saga, version, Math.trunc(nowMillis), limit))
      }
      due.sort((a, b) => a["due_at_millis"] - b["due_at_millis"])
      const numbers = due.slice(0, limit).map((row) => row["number"])
      if (numbers.length === 0 && from === number) return []
      yield* query(statements.claim, lease.id, number, JSON.stringify(numbers))
      return toClaimed(
        yield* query(statements.claimed, lease.id, from),
        yield* query(statements.claimedFacts, lease.id, from)
      )
    })
    const claimed = yield* atOnce("claim", claiming)
    holding.unsure = undefined
    return claimed
  })

  const records = (rows: ReadonlyArray<Row>): ReadonlyArray<ExecutionRecord> => rows.map(toExecution)

  return {
    shared: true,
    guard: database.guard,
    acquire,
    renew: ({ epoch, id }, leaseMillis) =>
      Effect.map(ask("renew", statements.renew, Math.ceil(leaseMillis), id, epoch), (rows) => {
        if (rows.length === 0) held.delete(id)
        return rows.length === 1
      }),
    end: ({ epoch, id }) =>
      Effect.flatMap(ask("end", statements.end, id, epoch), (rows) => {
        held.delete(id)
        return rows.length === 0 ? Effect.void : giveBack("end", JSON.stringify([id]), statements.giveBackEnded)
      }),
    write,
    takeOver: (lease) =>
      Effect.gen(function*() {
        const ended = yield* atOnce(
          "takeOver",
          Effect.gen(function*() {
            if (yield* holds(lease)) yield* query(statements.endDead, lease.id, isAlone ? 1 : 0)
            // Those whose taker has died in between are here too.
            return yield* query(statements.ended)
          })
        )
        if (ended.length === 0) return 0
        return yield* giveBack("takeOver", JSON.stringify(ended.map((row) => row["id"])), statements.giveBackTaken)
      }),
    claim,
    nextDue: (sagas) =>
      Effect.map(
        Effect.forEach(sagas, ({ saga, version }) => ask("nextDue", statements.nextDue, saga, version)),
        (found) => {
          const dues = found.flatMap((rows) => rows.map((row): number => row["due_at_millis"]))
          return dues.length === 0 ? Option.none() : Option.some(Math.min(...dues))
        }
      ),
    find: (executionId) =>
      !isStorable(executionId) ? Effect.succeedNone : Effect.map(
        ask("find", statements.find, executionId),
        ([row]) => Option.map(Option.fromNullishOr(row), toExecution)
      ),
    facts: (executionId, from) =>
      !isStorable(executionId) ? Effect.succeed([]) : Effect.map(
        ask("facts", statements.factsOf, executionId, from),
        (rows) => rows.map(toFact)
      ),
    settled: (executionIds) =>
      Effect.map(ask("settled", statements.settled, JSON.stringify(executionIds.filter(isStorable))), records),
    ...makeReads({
      statements: sqliteReadStatements(prefix),
      ask: (operation, text, params) => ask(operation, text, ...params),
      foundSchema: database.run("inspect", foundSchema(database.sql, prefix)),
      groups: (groups) => [JSON.stringify(groups)],
      list: JSON.stringify
    }),
    remove: (executionIds) =>
      atOnce(
        "remove",
        Effect.gen(function*() {
          const found = yield* query(statements.final, JSON.stringify(executionIds.filter(isStorable)))
          const numbers = JSON.stringify(found.map((row) => row["number"]))
          // The row goes last: it says what else there is.
          for (const part of ["removeTags", "removeSignals", "removeWaits", "removeFacts", "remove"] as const) {
            yield* query(statements[part], numbers)
          }
          return found.map((row) => row["execution_id"])
        })
      ),
    send: ({ data, executionId, kind }) =>
      !isStorable(executionId) ? Effect.succeed(false) : atOnce(
        "send",
        Effect.gen(function*() {
          const found = yield* query(statements.awake, executionId)
          if (found.length === 1) yield* query(statements.send, executionId, kind, data)
          return found.length === 1
        })
      ),
    events: {
      keep: Effect.fnUntraced(function*(events, keptAtMillis) {
        const refusal = unstorableEvent(events)
        if (refusal !== undefined) return yield* new BatchRefused({ cause: new Error(refusal) })
        const rows = yield* Effect.mapError(
          ask("keep", statements.keep, Math.trunc(keptAtMillis), JSON.stringify(events)),
          refusedOr
        )
        return rows.map((row): string => row["id"])
      }),
      wake: atOnce(
        "wake",
        Effect.gen(function*() {
          const untold = (yield* query(statements.untold, eventsAtOnce)).map((row): number => row["sequence"])
          if (untold.length === 0) return 0
          const numbers = JSON.stringify(untold)
          const waiting = (yield* query(statements.waiting, numbers)).map((row): string => row["execution_id"])
          if (waiting.length > 0) {
            yield* query(statements.wake, JSON.stringify(waiting))
            yield* query(statements.sendEach, JSON.stringify(waiting))
          }
          yield* query(statements.told, numbers)
          return untold.length
        })
      ),
      read: (requests, limit) =>
        Effect.forEach(
          requests,
          ({ after, executionId, key, type }) =>
            Effect.map(ask("read", statements.read, type, key, after, executionId, limit), (rows) => rows.map(toEvent))
        ),
      advance: (subscription, types, to) =>
        Effect.map(
          ask("advance", statements.advance, subscription, to, JSON.stringify(types)),
          (rows) => rows.map(toPosition)
        ),
      log: ({ from, limit }) =>
        Effect.map(
          ask("log", statements.log, leastOf(from), JSON.stringify(from), limit),
          (rows) => logOf(rows, limit)
        ),
      subscriptions: Effect.map(ask("subscriptions", statements.subscriptions), (rows) => rows.map(toSubscription)),
      unsubscribe: (subscription) =>
        Effect.map(ask("unsubscribe", statements.unsubscribe, subscription), (rows) => rows.length > 0),
      bury: ({ data, id, key, sequence, type }, subscription, reason, atMillis) =>
        Effect.asVoid(
          ask(
            "bury",
            statements.buryOne,
            sequence,
            subscription,
            id,
            type,
            key,
            data,
            readable(reason),
            Math.trunc(atMillis)
          )
        ),
      forget: ({ keptBeforeMillis, limit }) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          atOnce(
            "forget",
            Effect.gen(function*() {
              const old = yield* query(statements.old, Math.trunc(keptBeforeMillis), limit)
              if (old.length === 0) return { count: 0, dead: [] }
              const numbers = JSON.stringify(old.map((row) => row["sequence"]))
              const dead = yield* query(statements.bury, nobodyReceived, Math.trunc(now), numbers)
              yield* query(statements.removeEvents, numbers)
              yield* query(statements.removeReceipts, numbers)
              return { count: old.length, dead: dead.map(toDeadLetter) }
            })
          )),
      deadLetters: ({ after, limit }) =>
        Effect.map(ask("deadLetters", statements.deadLetters, after, limit), (rows) => rows.map(toDeadLetter)),
      deadLetterCount: Effect.map(ask("deadLetterCount", statements.deadLetterCount), ([row]): number => row!["count"]),
      redeliver: (number, atMillis) =>
        atOnce(
          "redeliver",
          Effect.gen(function*() {
            if ((yield* query(statements.handOut, number)).length === 1) return true
            yield* query(statements.keepAgain, Math.trunc(atMillis), number)
            return (yield* query(statements.discard, number)).length === 1
          })
        ),
      redelivered: (subscription, types, limit) =>
        Effect.map(
          ask("redelivered", statements.redelivered, subscription, JSON.stringify(types), limit),
          (rows) => rows.map(toDeadLetter)
        ),
      discard: (number) => Effect.map(ask("discard", statements.discard, number), (rows) => rows.length === 1)
    },
    signals: ({ id }) => Effect.map(ask("signals", statements.signals, id), (rows) => rows.map(toSignal)),
    define: ({ data, hash, saga, version }) =>
      Effect.asVoid(ask("define", statements.define, hash, saga, version, data)),
    definition: (hash) =>
      Effect.map(ask("definition", statements.definition, hash), ([row]) => Option.fromNullishOr(row?.["data"]))
  }
}

/** For how many facts at once there is a statement. */
const chunkSizes = [64, 8, 1]

const chunksOf = (facts: ReadonlyArray<FactRecord>): ReadonlyArray<ReadonlyArray<FactRecord>> => {
  const chunks: Array<ReadonlyArray<FactRecord>> = []
  let from = 0
  for (const size of chunkSizes) {
    for (; facts.length - from >= size; from += size) chunks.push(facts.slice(from, from + size))
  }
  return chunks
}

const withMissing = (missing: ReadonlySet<string>): Written =>
  missing.size === 0 ? committed : { _tag: "Committed", missing: Array.from(missing) }
