/**
 * Group commit: what all executions of an engine have to write travels in one batch, and while that is under way the
 * next one gathers. What one execution writes is never in two batches at once. It knows neither sagas nor facts.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type {
  Batch,
  BatchRefused,
  EndedWait,
  FactRecord,
  Journal,
  Lease,
  PublishedEvent,
  StartRecord,
  UpdateRecord,
  WaitRecord,
  Written
} from "../../Journal.ts"
import { onClock } from "../wait.ts"

/** What became of what one execution had to write. */
export type Fate =
  | { readonly _tag: "Written" }
  /** Somebody else has written it: the execution is theirs. */
  | { readonly _tag: "Missing" }
  /** The store will not take a value in it. */
  | { readonly _tag: "Refused"; readonly cause: BatchRefused }
  /** Nothing was written: this engine has lost the right to. */
  | { readonly _tag: "LeaseLost" }

/** What one execution has to write, at once. */
export interface Entry {
  readonly executionId: string
  readonly start?: StartRecord | undefined
  readonly facts: ReadonlyArray<FactRecord>
  readonly update?: UpdateRecord | undefined
  readonly signals?: ReadonlyArray<number> | undefined
  readonly waits?: ReadonlyArray<WaitRecord> | undefined
  readonly ended?: ReadonlyArray<EndedWait> | undefined
  readonly published?: ReadonlyArray<PublishedEvent> | undefined
  /** Whether it counts no more: an entry before it has found that somebody else has the execution. */
  readonly isStale?: () => boolean
  readonly settled: (fate: Fate) => void
}

const written: Fate = { _tag: "Written" }
const missing: Fate = { _tag: "Missing" }
const leaseLost: Fate = { _tag: "LeaseLost" }

/** So few entries are not worth two batches. */
const fewEntries = 16

/** How long to wait before a batch is tried again. */
const firstPauseMillis = 50
const longestPauseMillis = 1_000

/** Gathers entries and writes them in batches. */
export class Committer {
  readonly #journal: Journal
  readonly #clock: Clock.Clock
  /** Called when a batch was refused because its lease is lost, after its entries were told. Comes back with a new one. */
  readonly #onLeaseLost: (lost: Lease) => Effect.Effect<Lease>
  readonly #latch = Latch.makeUnsafe(false)
  #lease: Lease
  #lost: Lease | undefined
  #entries: Array<Entry> = []
  /** The executions of batches under way: what more they have to write comes after that. */
  readonly #underWay = new Set<string>()
  #nextId = 0

  constructor(
    journal: Journal,
    lease: Lease,
    clock: Clock.Clock,
    onLeaseLost: (lost: Lease) => Effect.Effect<Lease>
  ) {
    this.#journal = journal
    this.#lease = lease
    this.#clock = clock
    this.#onLeaseLost = onLeaseLost
  }

  /** Puts an entry into the next batch. A store that answers at once is given it at once. */
  add(entry: Entry): void {
    if (this.#journal.writeUnsafe === undefined) {
      this.#entries.push(entry)
      this.#latch.openUnsafe()
      return
    }
    const lease = this.#lease
    const result = this.#journal.writeUnsafe(lease, this.#batchOf([entry]))
    this.#tell([entry], result)
    if (result._tag === "Committed") return
    this.#lost = lease
    this.#latch.openUnsafe()
  }

  /** Tells all that have not been written yet that the lease is lost. */
  fence(): void {
    const entries = this.#entries
    this.#entries = []
    for (const entry of entries) entry.settled(leaseLost)
  }

  /** Writes for ever, as many batches side by side as the store takes. */
  get run(): Effect.Effect<void> {
    const writers = Array.from({ length: this.#journal.writers ?? 1 }, () => this.#writer)
    return Effect.all(writers, { concurrency: "unbounded", discard: true })
  }

  get #writer(): Effect.Effect<never> {
    return Effect.forever(Effect.gen({ self: this }, function*() {
      yield* this.#latch.await
      // Whoever was woken by the batch before adds to this one first.
      yield* Effect.yieldNow
      const entries = this.#take()
      this.#latch.closeUnsafe()
      if (entries.length > 0) {
        const lease = this.#lease
        const lost = yield* this.#write(lease, entries)
        for (const { executionId } of entries) this.#underWay.delete(executionId)
        if (this.#entries.length > 0) this.#latch.openUnsafe()
        if (lost) this.#lost = lease
      }
      const lost = this.#lost
      this.#lost = undefined
      if (lost !== undefined) this.#lease = yield* this.#onLeaseLost(lost)
    }))
  }

  /** A share of the entries, without those of executions that have one under way, or one before in the same batch. */
  #take(): ReadonlyArray<Entry> {
    const taken: Array<Entry> = []
    const later: Array<Entry> = []
    const held = new Set<string>()
    // While the store has the batch of one writer, the answer to that of another makes the entries of the next. So all
    // but one have their share, and the one that is left takes what comes in between.
    const waiting = this.#entries.length + this.#underWay.size
    const share = Math.max(fewEntries, Math.ceil(waiting / Math.max(1, (this.#journal.writers ?? 1) - 1)))
    for (const entry of this.#entries) {
      const { executionId } = entry
      // In one batch with that of who has the execution now it would speak for both.
      if (entry.isStale?.() === true) {
        entry.settled(missing)
        continue
      }
      const isFull = taken.length >= share
      if (isFull || held.has(executionId) || this.#underWay.has(executionId)) later.push(entry)
      else taken.push(entry)
      if (entry.start !== undefined || entry.update !== undefined) held.add(executionId)
    }
    this.#entries = later
    for (const { executionId } of taken) this.#underWay.add(executionId)
    return taken
  }

  #batchOf(entries: ReadonlyArray<Entry>): Batch {
    const waits = entries.flatMap(({ waits }) => waits ?? [])
    const ended = entries.flatMap(({ ended }) => ended ?? [])
    const published = entries.flatMap(({ published }) => published ?? [])
    return {
      id: this.#nextId++,
      starts: entries.flatMap(({ start }) => start === undefined ? [] : [start]),
      facts: entries.flatMap(({ facts }) => facts),
      updates: entries.flatMap(({ update }) => update === undefined ? [] : [update]),
      signals: entries.flatMap(({ signals }) => signals ?? []),
      ...waits.length === 0 ? {} : { waits },
      ...ended.length === 0 ? {} : { ended },
      ...published.length === 0 ? {} : { published }
    }
  }

  #tell(entries: ReadonlyArray<Entry>, result: Written): void {
    if (result._tag === "LeaseLost") {
      for (const entry of entries) entry.settled(leaseLost)
      return
    }
    const others = result.missing.length === 0 ? undefined : new Set(result.missing)
    for (const entry of entries) entry.settled(others?.has(entry.executionId) === true ? missing : written)
  }

  /** Writes entries as one batch, again and again until the store has answered. Says whether the lease is lost. */
  #write(lease: Lease, entries: ReadonlyArray<Entry>): Effect.Effect<boolean> {
    const batch = this.#batchOf(entries)
    const attempt = (pauseMillis: number): Effect.Effect<boolean> =>
      Effect.matchEffect(this.#journal.write(lease, batch), {
        onSuccess: (result) => {
          this.#tell(entries, result)
          return Effect.succeed(result._tag === "LeaseLost")
        },
        onFailure: (error) =>
          error._tag === "BatchRefused" ? this.#bisect(lease, entries, error) : Effect.flatMap(
            Effect.andThen(Effect.logWarning(error.message), onClock(this.#clock, Effect.sleep(pauseMillis))),
            () => attempt(Math.min(pauseMillis * 2, longestPauseMillis))
          )
      })
    return attempt(firstPauseMillis)
  }

  /** Finds the entry that the store will not take, so that it harms nobody else. */
  #bisect(lease: Lease, entries: ReadonlyArray<Entry>, cause: BatchRefused): Effect.Effect<boolean> {
    if (entries.length === 1) {
      entries[0]!.settled({ _tag: "Refused", cause })
      return Effect.succeed(false)
    }
    const middle = entries.length >>> 1
    return Effect.flatMap(this.#write(lease, entries.slice(0, middle)), (lost) => {
      const rest = entries.slice(middle)
      if (!lost) return this.#write(lease, rest)
      for (const entry of rest) entry.settled(leaseLost)
      return Effect.succeed(true)
    })
  }
}
