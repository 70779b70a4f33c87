/**
 * The journal in memory: plain data, every operation at once. It is as lasting as its process, and keeps the promises of
 * the contract among the engines of that process.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type {
  Batch,
  Claimed,
  ClaimOptions,
  ExecutionRecord,
  ExecutionState,
  FactRecord,
  Filter,
  HistoryRecord,
  Inspection,
  Journal,
  Lease,
  ListOptions,
  Page,
  SignalRecord,
  StartRecord,
  StateCount,
  UpdateRecord,
  Written
} from "../../Journal.ts"
import { DueQueue } from "./dueQueue.ts"
import { MemoryEvents } from "./memoryEvents.ts"
import { pageOf } from "./memoryList.ts"
import { isFinal, isLive } from "./states.ts"

/** How many answers a lease remembers: a batch whose answer was lost is written again before so many others. */
const remembered = 1024

/** Claimable one at a time from so many takeovers on. */
const suspicious = 2

/** How many long facts are told. */
const mostLongFacts = 100

/** What is due later than any time is not due by time. */
const lastMillis = 8.64e15

const leaseLost: Written = { _tag: "LeaseLost" }
const committed: Written = { _tag: "Committed", missing: [] }

/** Makes an empty journal. */
export const makeMemory = (): Journal => {
  const store = new Store()
  return {
    shared: false,
    acquire: ({ leaseMillis, name }) =>
      Effect.acquireRelease(
        Effect.map(Clock.currentTimeMillis, (now) => store.acquire(name, now + leaseMillis)),
        (lease) => Effect.sync(() => store.abandon(lease))
      ),
    renew: (lease, leaseMillis) => Effect.map(Clock.currentTimeMillis, (now) => store.renew(lease, now + leaseMillis)),
    end: (lease) => Effect.sync(() => store.end(lease)),
    write: (lease, batch) => Effect.sync(() => store.write(lease, batch)),
    writeUnsafe: (lease, batch) => store.write(lease, batch),
    takeOver: (lease) => Effect.map(Clock.currentTimeMillis, (now) => store.takeOver(lease, now)),
    claim: (lease, options) => Effect.sync(() => store.claim(lease, options)),
    nextDue: (sagas) => Effect.sync(() => store.nextDue(sagas)),
    find: (executionId) =>
      Effect.sync(() => Option.map(Option.fromUndefinedOr(store.executions.get(executionId)), toRecord)),
    facts: (executionId, from) => Effect.sync(() => store.executions.get(executionId)?.facts.slice(from) ?? []),
    settled: (executionIds) => Effect.sync(() => store.settled(executionIds)),
    list: (options) => Effect.sync(() => store.list(options)),
    count: (filter) => Effect.sync(() => store.count(filter)),
    history: (executionId) => Effect.sync(() => store.history(executionId)),
    remove: (executionIds) => Effect.sync(() => executionIds.filter((executionId) => store.remove(executionId))),
    inspect: ({ longerThan }) => Effect.map(Clock.currentTimeMillis, (now) => store.inspect(now, longerThan)),
    send: (signal) => Effect.sync(() => store.send(signal.executionId, signal.kind, signal.data)),
    events: {
      keep: (events, keptAtMillis) => Effect.sync(() => store.events.keep(events, keptAtMillis)),
      wake: Effect.sync(() => store.wake()),
      read: (requests, limit) => Effect.sync(() => requests.map((request) => store.events.read(request, limit))),
      advance: (subscription, types, to) => Effect.sync(() => store.events.advance(subscription, types, to)),
      log: ({ from, limit }) => Effect.sync(() => store.events.log(from, limit)),
      subscriptions: Effect.sync(() => store.events.subscriptions),
      unsubscribe: (subscription) => Effect.sync(() => store.events.unsubscribe(subscription)),
      bury: (event, subscription, reason, atMillis) =>
        Effect.sync(() => store.events.bury(event, subscription, reason, atMillis)),
      forget: (options) => Effect.map(Clock.currentTimeMillis, (now) => store.forget(options, now)),
      deadLetters: ({ after, limit }) => Effect.sync(() => store.events.deadLetters(after, limit)),
      deadLetterCount: Effect.sync(() => store.events.deadLetterCount),
      redeliver: (number, atMillis) => Effect.sync(() => store.events.redeliver(number, atMillis)),
      redelivered: (subscription, types, limit) =>
        Effect.sync(() => store.events.redelivered(subscription, types, limit)),
      discard: (number) => Effect.sync(() => store.events.discard(number))
    },
    signals: (lease) => Effect.sync(() => store.signals(lease)),
    define: ({ data, hash }) =>
      Effect.sync(() => {
        if (!store.definitions.has(hash)) store.definitions.set(hash, data)
      }),
    definition: (hash) => Effect.sync(() => Option.fromUndefinedOr(store.definitions.get(hash)))
  }
}

/** A lease with its holder's last answers. */
interface Holder extends Lease {
  readonly name: string
  epoch: number
  expiresAtMillis: number
  dead: boolean
  readonly answers: Map<number, Written>
}

/** The row of an execution with its facts and signals. */
interface Row {
  readonly start: StartRecord
  readonly facts: Array<FactRecord>
  /** The name of the engine that wrote each fact. */
  readonly engines: Array<string>
  readonly kind: Kind
  state: ExecutionState
  dueAtMillis: number | null
  updatedAtMillis: number
  problem: string | null
  owner: Holder | undefined
  clean: boolean
  uncertain: boolean
  takeovers: number
  /** How many facts there were when it was last claimed. */
  claimedFacts: number
  signals: ReadonlyArray<SignalRecord>
  signalCount: number
  /** The last write that held facts of it. */
  written: number
  /** Where it stands in the queue of its kind. */
  dueIndex: number
  dueOrder: number
}

/** The executions of one version of a saga that nobody owns and that wait for a time. */
interface Kind {
  readonly calm: DueQueue<Row>
  readonly suspects: DueQueue<Row>
}

const toRecord = (row: Row): ExecutionRecord => ({
  executionId: row.start.executionId,
  saga: row.start.saga,
  version: row.start.version,
  definition: row.start.definition,
  state: row.state,
  dueAtMillis: row.dueAtMillis,
  startedAtMillis: row.start.startedAtMillis,
  updatedAtMillis: row.updatedAtMillis,
  problem: row.problem,
  uncertain: row.uncertain,
  tags: row.start.tags ?? {}
})

class Store {
  readonly executions = new Map<string, Row>()
  readonly definitions = new Map<string, string>()
  readonly events = new MemoryEvents()
  readonly #leases = new Map<number, Holder>()
  readonly #kinds = new Map<string, Kind>()
  /** The execution of each signal that is not answered. */
  readonly #signals = new Map<number, Row>()
  #lastLease = 0
  #lastSignal = 0
  #writes = 0

  acquire(name: string, expiresAtMillis: number): Lease {
    const id = ++this.#lastLease
    this.#leases.set(id, { id, name, epoch: 0, expiresAtMillis, dead: false, answers: new Map() })
    return { id, epoch: 0 }
  }

  abandon(lease: Lease): void {
    const holder = this.#holder(lease)
    if (holder !== undefined) holder.dead = true
  }

  renew(lease: Lease, expiresAtMillis: number): boolean {
    const holder = this.#holder(lease)
    if (holder !== undefined) holder.expiresAtMillis = expiresAtMillis
    return holder !== undefined
  }

  end(lease: Lease): void {
    const holder = this.#holder(lease)
    if (holder === undefined) return
    this.#leases.delete(holder.id)
    this.#giveBack(new Set([holder]), (row) => {
      if (hasNews(row)) row.takeovers = 0
    })
  }

  takeOver(lease: Lease, nowMillis: number): number {
    const taker = this.#holder(lease)
    if (taker === undefined) return 0
    const ended = new Set<Holder>()
    for (const holder of this.#leases.values()) {
      if (holder !== taker && (holder.dead || holder.expiresAtMillis <= nowMillis)) ended.add(holder)
    }
    if (ended.size === 0) return 0
    for (const { id } of ended) this.#leases.delete(id)
    return this.#giveBack(ended, (row) => {
      row.takeovers = hasNews(row) ? 1 : row.takeovers + 1
    })
  }

  write(lease: Lease, batch: Batch): Written {
    const holder = this.#holder(lease)
    if (holder === undefined) return leaseLost
    const answer = holder.answers.get(batch.id)
    if (answer !== undefined) return answer
    const write = ++this.#writes
    const missing = new Set<string>()
    for (const start of batch.starts) {
      if (this.executions.has(start.executionId)) missing.add(start.executionId)
      else this.#start(start, holder, write)
    }
    for (const fact of batch.facts) {
      if (missing.has(fact.executionId)) continue
      const row = this.executions.get(fact.executionId)
      if (row !== undefined && row.facts.length === fact.sequence) {
        row.facts.push(fact)
        row.engines.push(holder.name)
        row.written = write
      } else missing.add(fact.executionId)
    }
    for (const update of batch.updates) {
      const row = this.executions.get(update.executionId)
      if (row === undefined || missing.has(update.executionId)) continue
      if (row.owner === holder || row.written === write) this.#update(row, update)
    }
    for (const id of batch.signals) {
      const row = this.#signals.get(id)
      if (row === undefined || missing.has(row.start.executionId)) continue
      this.#signals.delete(id)
      row.signals = row.signals.filter((signal) => signal.id !== id)
    }
    for (const wait of batch.waits ?? []) if (!missing.has(wait.executionId)) this.events.open(wait)
    for (const event of batch.published ?? []) {
      if (!missing.has(event.executionId)) this.events.keep([event], event.keptAtMillis)
    }
    for (const ended of batch.ended ?? []) if (!missing.has(ended.executionId)) this.events.end(ended)
    const written: Written = missing.size === 0 ? committed : { _tag: "Committed", missing: [...missing] }
    holder.answers.set(batch.id, written)
    if (holder.answers.size > remembered) {
      for (const oldest of holder.answers.keys()) {
        holder.answers.delete(oldest)
        break
      }
    }
    return written
  }

  claim(lease: Lease, { limit, nowMillis, sagas, suspects }: ClaimOptions): ReadonlyArray<Claimed> {
    const holder = this.#holder(lease)
    if (holder === undefined) return []
    const queues = this.#queues(sagas, suspects)
    const claimed: Array<Claimed> = []
    while (claimed.length < limit) {
      const row = first(queues)
      if (row === undefined || row.dueAtMillis! > nowMillis) break
      if (row.state === "Waiting") row.state = "Running"
      claimed.push({
        execution: toRecord(row),
        facts: row.facts.slice(),
        signals: row.signals,
        signalCount: row.signalCount,
        clean: row.clean,
        takeovers: row.takeovers
      })
      row.owner = holder
      row.claimedFacts = row.facts.length
      this.#place(row)
    }
    return claimed
  }

  nextDue(sagas: ClaimOptions["sagas"]): Option.Option<number> {
    const row = first([...this.#queues(sagas, false), ...this.#queues(sagas, true)])
    return row === undefined ? Option.none() : Option.some(row.dueAtMillis!)
  }

  settled(executionIds: ReadonlyArray<string>): ReadonlyArray<ExecutionRecord> {
    const found: Array<ExecutionRecord> = []
    for (const executionId of executionIds) {
      const row = this.executions.get(executionId)
      if (row !== undefined && !isLive(row.state)) found.push(toRecord(row))
    }
    return found
  }

  list(options: ListOptions): Page {
    return pageOf(Array.from(this.executions.values(), toRecord), options)
  }

  count({ saga, states, version }: Pick<Filter, "saga" | "version" | "states">): ReadonlyArray<StateCount> {
    const counts = new Map<Kind, Map<ExecutionState, StateCount>>()
    for (const { kind, start, state } of this.executions.values()) {
      if ((saga ?? start.saga) !== start.saga || (version ?? start.version) !== start.version) continue
      if (states !== undefined && !states.includes(state)) continue
      let ofKind = counts.get(kind)
      if (ofKind === undefined) counts.set(kind, ofKind = new Map())
      const count = (ofKind.get(state)?.count ?? 0) + 1
      ofKind.set(state, { saga: start.saga, version: start.version, state, count })
    }
    return Array.from(counts.values()).flatMap((ofKind) => Array.from(ofKind.values()))
  }

  history(executionId: string): ReadonlyArray<HistoryRecord> {
    const row = this.executions.get(executionId)
    return row === undefined ? [] : row.facts.map((fact, index) => ({ ...fact, engine: row.engines[index]! }))
  }

  remove(executionId: string): boolean {
    const row = this.executions.get(executionId)
    if (row === undefined || !isFinal(row.state)) return false
    for (const { id } of row.signals) this.#signals.delete(id)
    this.events.remove(executionId)
    return this.executions.delete(executionId)
  }

  inspect(nowMillis: number, longerThan: number): Inspection {
    const owned = new Map<Holder | undefined, number>()
    const longFacts: Array<Inspection["longFacts"][number]> = []
    for (const { facts, owner, state } of this.executions.values()) {
      owned.set(owner, (owned.get(owner) ?? 0) + 1)
      if (isFinal(state)) continue
      for (const { data, executionId, sequence, tag } of facts) {
        // Some characters are two units of a text.
        const length = data.length > longerThan ? Array.from(data).length : 0
        if (length > longerThan) longFacts.push({ executionId, sequence, tag, length })
      }
    }
    return {
      nowMillis,
      schema: undefined,
      leases: Array.from(this.#leases.values(), (holder) => {
        const { expiresAtMillis, id, name } = holder
        return { id, name, expiresAtMillis, owned: owned.get(holder) ?? 0 }
      }),
      longFacts: longFacts.sort((one, other) => other.length - one.length).slice(0, mostLongFacts)
    }
  }

  send(executionId: string, kind: string, data: string): boolean {
    const row = this.executions.get(executionId)
    if (row === undefined || !isLive(row.state)) return false
    const id = ++this.#lastSignal
    this.#signals.set(id, row)
    row.signals = [...row.signals, { id, executionId, kind, data }]
    row.signalCount++
    if (row.dueAtMillis !== 0) {
      row.dueAtMillis = 0
      this.#place(row)
    }
    return true
  }

  wake(): number {
    return this.events.wake((executionId) => void this.send(executionId, "event", ""))
  }

  forget(options: { readonly keptBeforeMillis: number; readonly limit: number }, nowMillis: number) {
    return this.events.forget(options, nowMillis, (executionId) => {
      const row = this.executions.get(executionId)
      return row !== undefined && !isFinal(row.state)
    })
  }

  signals(lease: Lease): ReadonlyArray<SignalRecord> {
    const holder = this.#holder(lease)
    if (holder === undefined || this.#signals.size === 0) return []
    return Array.from(this.#signals).flatMap(([id, row]) =>
      row.owner === holder ? row.signals.filter((signal) => signal.id === id) : []
    )
  }

  #holder({ epoch, id }: Lease): Holder | undefined {
    const holder = this.#leases.get(id)
    return holder?.epoch === epoch ? holder : undefined
  }

  #start(start: StartRecord, holder: Holder, write: number): void {
    const row: Row = {
      start,
      facts: [],
      engines: [],
      kind: this.#kind(start.saga, start.version),
      state: "Running",
      dueAtMillis: 0,
      updatedAtMillis: start.startedAtMillis,
      problem: null,
      owner: start.owned ? holder : undefined,
      clean: true,
      uncertain: false,
      takeovers: 0,
      claimedFacts: 0,
      signals: [],
      signalCount: 0,
      written: write,
      dueIndex: -1,
      dueOrder: 0
    }
    this.executions.set(start.executionId, row)
    this.#place(row)
  }

  #update(row: Row, update: UpdateRecord): void {
    const due = update.dueAtMillis
    const isWaiting = due !== null && due <= lastMillis
    row.state = update.state
    row.updatedAtMillis = update.updatedAtMillis
    row.problem = update.problem
    row.uncertain = update.uncertain ?? row.uncertain
    row.dueAtMillis = isLive(update.state) ? row.signalCount > update.signals ? 0 : isWaiting ? due : null : null
    if (update.released) {
      row.owner = undefined
      row.clean = update.clean ?? row.clean
      row.takeovers = 0
    }
    this.#place(row)
  }

  #giveBack(holders: ReadonlySet<Holder>, each: (row: Row) => void): number {
    let count = 0
    for (const row of this.executions.values()) {
      if (row.owner === undefined || !holders.has(row.owner)) continue
      count++
      each(row)
      row.owner = undefined
      row.clean = false
      row.dueAtMillis = isLive(row.state) ? 0 : null
      this.#place(row)
    }
    return count
  }

  /** Puts a row where it belongs: into its queue if nobody owns it and it is due some time. */
  #place(row: Row): void {
    const { calm, suspects } = row.kind
    calm.remove(row)
    suspects.remove(row)
    if (row.owner !== undefined || row.dueAtMillis === null) return
    ;(row.takeovers >= suspicious ? suspects : calm).add(row)
  }

  #kind(saga: string, version: number): Kind {
    const key = `${version} ${saga}`
    let kind = this.#kinds.get(key)
    if (kind === undefined) this.#kinds.set(key, kind = { calm: new DueQueue(), suspects: new DueQueue() })
    return kind
  }

  #queues(sagas: ClaimOptions["sagas"], suspects: boolean): ReadonlyArray<DueQueue<Row>> {
    return sagas.map(({ saga, version }) => this.#kind(saga, version)[suspects ? "suspects" : "calm"])
  }
}

/** Whether it has a fact that it had not when it was last claimed. */
const hasNews = (row: Row): boolean => row.facts.length > row.claimedFacts

const first = (queues: ReadonlyArray<DueQueue<Row>>): Row | undefined => {
  let found: Row | undefined
  for (const queue of queues) {
    const row = queue.first
    if (row !== undefined && (found === undefined || row.dueAtMillis! < found.dueAtMillis!)) found = row
  }
  return found
}
