/**
 * The journal on PostgreSQL.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import {
  BatchRefused,
  type ClaimOptions,
  type FactRecord,
  type Journal,
  JournalUnavailable,
  type Lease,
  type Written
} from "../../Journal.ts"
import { eventsAtOnce, isStorable, nobodyReceived, partsOf, readable, unstorableEvent, unstorableIn } from "./batch.ts"
import { type Database, liveClock, refusedOr, type Row } from "./database.ts"
import { foundSchema } from "./migrations.ts"
import { type LeaseLock, takeLock } from "./postgresLock.ts"
import { postgresGroups, postgresReadStatements } from "./postgresReads.ts"
import { postgresStatements, type Variant } from "./postgresStatements.ts"
import { makeReads } from "./reads.ts"
import {
  leastOf,
  logOf,
  pagesOf,
  toClaimed,
  toDeadLetter,
  toExecution,
  toFact,
  toPosition,
  toSignal,
  toSubscription
} from "./rows.ts"

/** How many executions are given back at once. */
const page = 500

/** How long a lock must be free before its holder counts as dead: a holder whose session was cut takes another one. */
const deathDelay = Duration.millis(250)

const leaseLost: Written = { _tag: "LeaseLost" }
const committed: Written = { _tag: "Committed", missing: [] }

/** What this process knows of a lease it holds. */
interface Holding {
  readonly lock: LeaseLock | undefined
  /** The number of the next claim, and of the first one whose executions may not have arrived. */
  claim: number
  unsure: number | undefined
}

/** Makes the journal, which lets go of its locks when the scope closes. `locks`: whether sessions can hold any. */
export const makePostgres = Effect.fnUntraced(function*(database: Database, prefix: string, locks: boolean) {
  const statements = postgresStatements(prefix)
  const held = new Map<number, Holding>()
  // A pool that is closed waits for a session that is reserved.
  yield* Effect.addFinalizer(() =>
    Effect.forEach(Array.from(held.values()), ({ lock }) => lock?.release ?? Effect.void)
  )
  const variants = new Map<string, string>()

  // A prepared statement keeps the plan that was made for small tables while they grow. So most are not prepared, and the
  // one that writes is anew when this process has written four times as much: its text then ends with another number.
  let writes = 0
  const generation = () => (31 - Math.clz32(++writes)) >> 1
  const ask = (operation: string, text: string, params: ReadonlyArray<unknown> = []) =>
    database.run(operation, database.sql.unsafe<Row>(text, params).unprepared)

  /** What this process held under a lease is gone. */
  const forget = ({ id }: Lease): Effect.Effect<void> =>
    Effect.suspend(() => {
      const lock = held.get(id)?.lock
      held.delete(id)
      return lock?.release ?? Effect.void
    })

  const giveBack = Effect.fnUntraced(function*(operation: string, ids: ReadonlyArray<string>, text: string) {
    let count = 0
    while (true) {
      const given: number = (yield* ask(operation, text, [arrayOf(ids), page]))[0]!["count"]
      count += given
      if (given < page) break
    }
    yield* ask(operation, statements.returned, [arrayOf(ids)])
    return count
  })

  const acquire: Journal["acquire"] = Effect.fnUntraced(function*({ leaseMillis, name }) {
    const lock = locks ? yield* takeLock(database, statements) : undefined
    const id: number = lock?.id ?? (yield* ask("acquire", statements.nextLease))[0]!["id"]
    yield* Effect.acquireRelease(
      Effect.mapError(
        ask("acquire", statements.acquire, [id, readable(name), Math.ceil(leaseMillis)]),
        ({ cause, operation }) => new JournalUnavailable({ operation, cause: needsTwo(cause) })
      ),
      () => forget({ id, epoch: 0 })
    )
    held.set(id, { lock, claim: 1, unsure: undefined })
    return { id, epoch: 0 }
  })

  const write: Journal["write"] = Effect.fnUntraced(function*(lease, batch) {
    const parts = partsOf(batch)
    const refusal = unstorableIn(parts)
    if (refusal !== undefined) return yield* new BatchRefused({ cause: new Error(refusal) })
    const { ended, first, published, receipts, rest, signals, starts, tags, updates, waits } = parts
    const has: Variant = {
      starts: starts.length > 0,
      tags: tags.length > 0,
      first: first.length > 0,
      rest: rest.length > 0,
      updates: updates.length > 0,
      signals: signals.length > 0,
      waits: waits.length > 0,
      ended: ended.length > 0,
      receipts: receipts.length > 0,
      published: published.length > 0
    }
    const key = Object.values(has).join()
    let text = variants.get(key)
    if (text === undefined) variants.set(key, text = statements.write(has))
    const params: Array<unknown> = [lease.id, lease.epoch, batch.id]
    if (has.starts) params.push(JSON.stringify(starts))
    if (has.tags) {
      params.push(column(tags, "executionId"), arrayOf(column(tags, "startedAt")))
      params.push(column(tags, "name"), column(tags, "value"))
    }
    if (has.first) params.push(...columns(first))
    if (has.first && has.starts) params.push(column(starts, "executionId"))
    if (has.rest) params.push(...columns(rest))
    if (has.updates) params.push(JSON.stringify(updates))
    if (has.signals) params.push(arrayOf(signals))
    if (has.ended) params.push(column(ended, "executionId"), column(ended, "path"))
    if (has.receipts) params.push(arrayOf(column(receipts, "sequence")), column(receipts, "executionId"))
    if (has.waits) {
      params.push(column(waits, "executionId"), column(waits, "path"), column(waits, "type"), column(waits, "key"))
    }
    if (has.published) {
      params.push(column(published, "executionId"), column(published, "id"), column(published, "type"))
      params.push(column(published, "key"), column(published, "data"))
      params.push(arrayOf(published.map(({ keptAtMillis }) => Math.trunc(keptAtMillis))))
    }
    const writing = database.sql.unsafe<Row>(`${text}\n-- ${generation()}`, params)
    const [row] = yield* Effect.mapError(database.run("write", writing), refusedOr)
    if (row?.["lease"] !== 1) {
      yield* forget(lease)
      return leaseLost
    }
    const changed = updates.filter(({ hasFacts }) => hasFacts).length
    if (row["started"] === starts.length && row["first"] === first.length && row["updated"] === changed) {
      return committed
    }
    // Somebody has removed what is changed here. Or somebody else was first, or this batch itself, whose answer was lost.
    if (row["updated"] < changed) {
      yield* ask("write", statements.unwrite, [lease.id, batch.id, column(first, "executionId")])
    }
    const places = [column(first, "executionId"), column(first, "sequence")]
    const own = yield* ask("write", statements.written, [lease.id, batch.id, ...places])
    const others = new Set(column([...starts, ...first], "executionId"))
    for (const { execution_id } of own) others.delete(execution_id)
    return others.size === 0 ? committed : { _tag: "Committed", missing: [...others] }
  })

  const takeOver: Journal["takeOver"] = Effect.fnUntraced(function*({ epoch, id }) {
    const unlocked = locks ? yield* ask("takeOver", statements.unlocked, [id]) : []
    if (unlocked.length > 0) yield* liveClock.sleep(deathDelay)
    yield* ask("takeOver", statements.endDead, [id, epoch, arrayOf(unlocked.map((row) => row["id"]))])
    // Those whose taker has died in between are here too.
    const ended = yield* ask("takeOver", statements.ended)
    return ended.length === 0
      ? 0
      : yield* giveBack("takeOver", ended.map((row) => row["id"]), statements.giveBackTaken)
  })

  const claim: Journal["claim"] = Effect.fnUntraced(function*({ epoch, id }, { limit, nowMillis, sagas, suspects }) {
    const holding = held.get(id)
    if (holding === undefined) return []
    // A claim without an answer may have taken executions of which nobody here knows. They come with the next one, after
    // the statement that took them is over for sure.
    if (holding.unsure !== undefined) yield* ask("claim", statements.settle, [id])
    const number = holding.claim++
    const from = holding.unsure ??= number
    const [row] = yield* ask("claim", statements.claim(suspects), [
      id,
      epoch,
      ...kindsOf(sagas),
      Math.trunc(nowMillis),
      limit,
      number
    ])
    if (row?.["count"] === 0 && from === number) {
      holding.unsure = undefined
      return []
    }
    const rows = yield* ask("claim", statements.claimed, [id, from])
    const ids = Array.from(new Set(rows.map((row) => row["execution_id"])))
    const facts = yield* ask("claim", statements.factsOf, [ids])
    holding.unsure = undefined
    return toClaimed(rows, facts)
  })

  const journal: Journal = {
    shared: true,
    writers: 3,
    acquire,
    renew: (lease, leaseMillis) =>
      Effect.flatMap(
        ask("renew", statements.renew, [lease.id, lease.epoch, Math.ceil(leaseMillis)]),
        (rows) => rows.length === 1 ? Effect.succeed(true) : Effect.as(forget(lease), false)
      ),
    end: (lease) =>
      Effect.flatMap(ask("end", statements.end, [lease.id, lease.epoch]), (rows) => {
        const given = rows.length === 0 ? Effect.void : giveBack("end", [String(lease.id)], statements.giveBackEnded)
        return Effect.andThen(given, forget(lease))
      }),
    write,
    takeOver,
    claim,
    nextDue: (sagas) =>
      Effect.map(ask("nextDue", statements.nextDue, kindsOf(sagas)), ([row]) => Option.fromNullishOr(row?.["due"])),
    find: (executionId) =>
      !isStorable(executionId) ? Effect.succeedNone : Effect.map(
        ask("find", statements.find, [executionId]),
        ([row]) => Option.map(Option.fromNullishOr(row), toExecution)
      ),
    facts: (executionId, from) =>
      !isStorable(executionId) ? Effect.succeed([]) : Effect.map(
        ask("facts", statements.facts, [executionId, from]),
        (rows) => rows.map(toFact)
      ),
    settled: (executionIds) =>
      Effect.map(
        ask("settled", statements.settled, [executionIds.filter(isStorable)]),
        (rows) => rows.map(toExecution)
      ),
    ...makeReads({
      statements: postgresReadStatements(prefix),
      ask,
      foundSchema: database.run("inspect", foundSchema(database.sql, prefix)),
      groups: postgresGroups,
      list: identity
    }),
    remove: (executionIds) =>
      Effect.map(
        ask("remove", statements.remove, [executionIds.filter(isStorable)]),
        (rows) => rows.map((row) => row["execution_id"])
      ),
    send: ({ data, executionId, kind }) =>
      !isStorable(executionId) ? Effect.succeed(false) : Effect.map(
        ask("send", statements.send, [executionId, kind, data]),
        (rows) => rows.length === 1
      ),
    events: {
      keep: Effect.fnUntraced(function*(events, keptAtMillis) {
        const refusal = unstorableEvent(events)
        if (refusal !== undefined) return yield* new BatchRefused({ cause: new Error(refusal) })
        const columns = [column(events, "id"), column(events, "type"), column(events, "key"), column(events, "data")]
        const rows = yield* Effect.mapError(
          ask("keep", statements.keep, [...columns, Math.trunc(keptAtMillis)]),
          refusedOr
        )
        const kept = new Set(rows.map((row): string => row["id"]))
        return events.flatMap(({ id }) => kept.delete(id) ? [id] : [])
      }),
      wake: Effect.map(ask("wake", statements.wake, [eventsAtOnce]), ([row]): number => row!["count"]),
      read: (requests, limit) =>
        Effect.map(
          ask("read", statements.read, [
            column(requests, "executionId"),
            column(requests, "type"),
            column(requests, "key"),
            arrayOf(column(requests, "after")),
            limit
          ]),
          (rows) => pagesOf(requests.length, rows)
        ),
      advance: (subscription, types, to) =>
        Effect.map(ask("advance", statements.advance, [subscription, types, to]), (rows) => rows.map(toPosition)),
      log: ({ from, limit }) =>
        Effect.map(
          ask("log", statements.log, [leastOf(from), column(from, "type"), arrayOf(column(from, "after")), limit]),
          (rows) => logOf(rows, limit)
        ),
      subscriptions: Effect.map(ask("subscriptions", statements.subscriptions, []), (rows) => rows.map(toSubscription)),
      unsubscribe: (subscription) =>
        Effect.map(ask("unsubscribe", statements.unsubscribe, [subscription]), (rows) => rows.length > 0),
      bury: ({ data, id, key, sequence, type }, subscription, reason, atMillis) =>
        Effect.asVoid(
          ask("bury", statements.bury, [
            sequence,
            subscription,
            id,
            type,
            key,
            data,
            readable(reason),
            Math.trunc(atMillis)
          ])
        ),
      forget: ({ keptBeforeMillis, limit }) =>
        Effect.flatMap(liveNow, (now) =>
          Effect.map(
            ask("forget", statements.forget, [Math.trunc(keptBeforeMillis), limit, nobodyReceived, now]),
            (rows) => ({
              count: rows[0]!["count"],
              dead: rows.filter((row) => row["id"] !== null).map(toDeadLetter)
            })
          )),
      deadLetters: ({ after, limit }) =>
        Effect.map(ask("deadLetters", statements.deadLetters, [after, limit]), (rows) => rows.map(toDeadLetter)),
      deadLetterCount: Effect.map(
        ask("deadLetterCount", statements.deadLetterCount, []),
        ([row]): number => row!["count"]
      ),
      redeliver: (number, atMillis) =>
        Effect.map(
          ask("redeliver", statements.redeliver, [number, Math.trunc(atMillis)]),
          (rows) => rows.length === 1
        ),
      redelivered: (subscription, types, limit) =>
        Effect.map(
          ask("redelivered", statements.redelivered, [subscription, types, limit]),
          (rows) => rows.map(toDeadLetter)
        ),
      discard: (number) => Effect.map(ask("discard", statements.discard, [number]), (rows) => rows.length === 1)
    },
    signals: (lease) => Effect.map(ask("signals", statements.signals, [lease.id]), (rows) => rows.map(toSignal)),
    define: ({ data, hash, saga, version }) =>
      Effect.asVoid(ask("define", statements.define, [hash, saga, version, data])),
    definition: (hash) =>
      Effect.map(
        ask("definition", statements.definition, [hash]),
        ([row]) => Option.fromNullishOr(row?.["data"])
      )
  }
  return journal
})

const liveNow = Effect.map(Clock.currentTimeMillis, Math.trunc)

const column = <A, K extends keyof A>(records: ReadonlyArray<A>, name: K): Array<A[K]> =>
  records.map((record) => record[name])

const columns = (facts: ReadonlyArray<FactRecord>) => [
  column(facts, "executionId"),
  column(facts, "sequence"),
  column(facts, "tag"),
  column(facts, "data")
]

/** A pool with one connection has none left beside the lock. */
const needsTwo = (cause: unknown): unknown =>
  Cause.isTimeoutError(cause)
    ? new Error(`${cause.message}. An engine keeps one connection for its lock: give the pool at least two`)
    : cause

/** An array of numbers as PostgreSQL reads it: a driver would have to guess how wide they are. */
const arrayOf = (numbers: ReadonlyArray<number | string>): string => `{${numbers.join()}}`

const kindsOf = (sagas: ClaimOptions["sagas"]) => [column(sagas, "saga"), column(sagas, "version")]
