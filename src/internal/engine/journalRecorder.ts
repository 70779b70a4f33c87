/**
 * The recorder of an execution in an engine: turns facts into rows of the journal, and lets the run go on when they are
 * committed. Observers are told what is committed. What happens after the execution has gone is dropped.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { Envelope } from "../../DomainEvent.ts"
import { NotRecordable } from "../../ExecutionError.ts"
import type {
  EndedWait,
  ExecutionState,
  FactRecord,
  PublishedEvent,
  StartRecord,
  UpdateRecord,
  WaitRecord
} from "../../Journal.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import type { Recorder } from "../execution.ts"
import type { Outgoing } from "../outbox.ts"
import type { Telling } from "../recorder.ts"
import type { Residence } from "../residence.ts"
import type { Codec } from "./codec.ts"
import { longLength, roundTrip } from "./codec.ts"
import type { Committer, Fate } from "./committer.ts"

/** Which facts say how an execution ended that did not succeed. */
const telling: ReadonlySet<SagaEvent["_tag"]> = new Set<SagaEvent["_tag"]>([
  "StepFailed",
  "StepUncertain",
  "EventTimedOut",
  "LimitPassed",
  "FellBack",
  "UnwindStarted",
  "CompensationSucceeded",
  "CompensationFailed",
  "SagaSucceeded",
  "SagaCompensated",
  "SagaStuck"
])

/** How many paths a row names. */
const namedPaths = 10

/** A reason and some paths in few words. */
export const problemText = (reason: string, paths: ReadonlyArray<string>): string => {
  const more = paths.length - namedPaths
  return `${reason}: ${paths.slice(0, namedPaths).join(", ")}${more > 0 ? ` and ${more} more` : ""}`
}

/** Why a person is needed, as a row says it: what a person has to decide about, and not what waits for that. */
export const problemOf = (
  { open, reason }: Extract<SagaEvent, { readonly _tag: "SagaStuck" }>,
  facts: ReadonlyArray<SagaEvent>
): string => {
  const failed = new Set<string>()
  for (const fact of facts) {
    if (
      fact._tag === "StepFailed" || fact._tag === "CompensationFailed"
      || fact._tag === "StepUncertain" && fact.whenUncertain === "stuck"
    ) failed.add(fact.path)
  }
  const decisive = open.filter((path) => failed.has(path))
  return problemText(reason, decisive.length > 0 ? decisive : open)
}

/** A wait that goes on under another name than the one that it stands under in the journal. */
export interface MovedWait {
  readonly from: string
  readonly awaited: Extract<SagaEvent, { readonly _tag: "EventAwaited" }>
}

/** Writes the facts of one execution. */
export class JournalRecorder implements Recorder {
  readonly inSpan: Recorder["inSpan"]
  readonly executionId: string
  /** The facts that say how it ended, as far as they are recorded. */
  readonly ending: Array<SagaEvent>
  readonly #codec: Codec
  readonly #committer: Committer
  readonly #residence: Residence
  readonly #clock: Clock.Clock
  readonly #observers: Telling | undefined
  readonly #onFate: (fate: Fate) => void
  readonly #onPublished: () => void
  readonly #toldOf: (event: SagaEvent, sequence: number) => ReadonlyArray<PublishedEvent>
  /** Whether its end is recorded, committed or not: nothing comes after it. */
  ended = false
  #sequence: number
  #start: StartRecord | undefined
  #facts: Array<FactRecord> = []
  #told: Array<SagaEvent> = []
  #signals: Array<number> = []
  #waits: Array<WaitRecord> = []
  #endedWaits: Array<EndedWait> = []
  #published: Array<PublishedEvent> = []
  /** The waits that are on record and go on. */
  readonly #open: Set<string>
  /** The numbers of events that were offered to them. */
  readonly #numbers = new Map<string, number>()
  #update: UpdateRecord | undefined
  #warnings: Array<string> | undefined
  #atMillis = 0
  #pending = 0
  /** An entry was not written: somebody else has the execution. */
  #lost = false
  /** Who waits for the last entry that was handed over. */
  #waiting: Array<() => void> = []

  constructor(options: {
    readonly executionId: string
    readonly codec: Codec
    readonly committer: Committer
    readonly residence: Residence
    readonly clock: Clock.Clock
    readonly observers: Telling | undefined
    readonly start: StartRecord | undefined
    /** What is on record, as it counts, and how many facts that are. */
    readonly facts: ReadonlyArray<SagaEvent>
    readonly count: number
    /** The paths of the waits that are on record and go on. */
    readonly waiting: Iterable<string>
    /** Told what became of each entry, before the run goes on. */
    readonly onFate: (fate: Fate) => void
    /** Told when events are kept that it has published. */
    readonly onPublished: () => void
    /** What others are told of a fact. */
    readonly toldOf: (event: SagaEvent, sequence: number) => ReadonlyArray<PublishedEvent>
  }) {
    this.executionId = options.executionId
    this.#codec = options.codec
    this.#committer = options.committer
    this.#residence = options.residence
    this.#clock = options.clock
    this.#observers = options.observers
    this.#onFate = options.onFate
    this.#onPublished = options.onPublished
    this.#toldOf = options.toldOf
    this.#start = options.start
    this.#sequence = options.count
    this.#open = new Set(options.waiting)
    this.ending = options.facts.filter((fact) => telling.has(fact._tag))
    this.inSpan = options.observers?.inSpan
  }

  /** Whether everything that was recorded is committed. */
  get idle(): boolean {
    return this.#pending === 0 && this.#facts.length === 0
  }

  now(): number {
    return this.#atMillis = this.#clock.currentTimeMillisUnsafe()
  }

  last(): number {
    return this.#atMillis === 0 ? this.now() : this.#atMillis
  }

  readonly admit = (path: string, schema: Schema.Top | undefined, value: unknown): Exit.Exit<unknown> => {
    if (schema === undefined) return Exit.void
    const admitted = roundTrip(schema, value)
    if (Result.isFailure(admitted)) return Exit.die(new NotRecordable({ path, issue: admitted.failure }))
    const { text, value: counts } = admitted.success
    if (text.length > longLength) {
      ;(this.#warnings ??= []).push(`What "${path}" gave takes ${text.length} characters of JSON in the journal`)
    }
    return Exit.succeed(counts)
  }

  readonly outgoing = (schema: Schema.Top, envelope: Envelope): Result.Result<string, string> =>
    this.#codec.outgoing(schema, envelope)

  readonly publish = (events: ReadonlyArray<Outgoing>): void => {
    if (this.#residence.isGone) return
    const { executionId } = this
    const keptAtMillis = this.#clock.currentTimeMillisUnsafe()
    for (const { data = "", envelope: { id, key, type } } of events) {
      this.#published.push({ executionId, id, type, key, data, keptAtMillis })
    }
  }

  record(event: SagaEvent): void {
    if (this.#residence.isGone) return
    const { executionId } = this
    const sequence = this.#sequence++
    this.#facts.push({ executionId, sequence, tag: event._tag, data: this.#codec.encode(event) })
    this.tell(event, sequence)
    if (telling.has(event._tag)) this.ending.push(event)
    if (this.#observers !== undefined) this.#told.push(event)
    this.#flushSoon()
    switch (event._tag) {
      case "EventAwaited":
        this.#open.add(event.path)
        return this.#await(event)
      case "EventReceived":
        return this.#endWait(event.path, this.#numbers.get(event.eventId) ?? null)
      case "EventTimedOut":
        return this.#endWait(event.path, null)
      case "EventPublished":
        this.#published.push(this.#codec.published(event, executionId))
        return
      case "SagaSucceeded":
        return this.become("Succeeded", null)
      case "SagaCompensated":
        return this.become("Compensated", null)
      case "SagaStuck":
        return this.become("Stuck", problemOf(event, this.ending))
      case "UnwindStarted":
        if (event.scope === "") this.#update = this.#updateTo("Compensating", { released: false })
        for (const path of Array.from(this.#open)) {
          if (event.scope === "" || path.startsWith(`${event.scope}/first/`)) this.#endWait(path, null)
        }
        return
    }
  }

  /** Publishes what others are told of a fact, with the next entry. */
  tell(event: SagaEvent, sequence: number): void {
    this.#published.push(...this.#toldOf(event, sequence))
  }

  /** The number of an event that is about to be offered to a wait. */
  offering(eventId: string, sequence: number): void {
    this.#numbers.set(eventId, sequence)
  }

  /** A wait that goes on is called otherwise from here on. */
  moved({ awaited, from }: MovedWait): void {
    this.#await(awaited)
    // Another may have taken its name.
    if (!this.#open.has(from)) this.#endedWaits.push({ executionId: this.executionId, path: from, received: null })
  }

  #await({ events, path }: MovedWait["awaited"]): void {
    const { executionId } = this
    for (const { key, type } of events) this.#waits.push({ executionId, path, type, key })
  }

  #endWait(path: string, received: number | null): void {
    this.#open.delete(path)
    this.#endedWaits.push({ executionId: this.executionId, path, received })
  }

  /** Nearly always the next step hands over what is recorded. What ends beside others that go on does not wait for them. */
  #flushSoon(): void {
    if (this.#soon) return
    this.#soon = true
    void Promise.resolve().then(() => {
      this.#soon = false
      if (this.#facts.length > 0 && !this.#residence.isGone) this.flush(() => {})
    })
  }
  #soon = false

  /** The execution ends, or is parked for a person: with the next entry nobody owns it any more. */
  become(state: ExecutionState, problem: string | null): void {
    this.ended = true
    // Who is stuck may go on, and then awaits what it awaited.
    if (state !== "Stuck") { for (const path of Array.from(this.#open)) this.#endWait(path, null) }
    this.#update = this.#updateTo(state, { released: true, clean: true, problem })
  }

  /** It leaves this process: with the next entry others may have it, from then on. */
  release(state: ExecutionState, dueAtMillis: number, clean: boolean): void {
    this.#update = this.#updateTo(state, { released: true, dueAtMillis, clean })
  }

  /** Signals are answered by the facts of the next entry. */
  answer(signals: ReadonlyArray<number>): void {
    this.#signals.push(...signals)
    this.#seen += signals.length
  }
  #seen = 0

  /** How many signals it had been sent that are answered already. */
  set seen(count: number) {
    this.#seen = count
  }

  #updateTo(state: ExecutionState, change: Partial<UpdateRecord>): UpdateRecord {
    return {
      executionId: this.executionId,
      state,
      dueAtMillis: null,
      released: false,
      clean: false,
      signals: this.#seen,
      uncertain: this.ending.some((fact) => fact._tag === "StepUncertain" && fact.whenUncertain !== "compensate"),
      updatedAtMillis: this.last(),
      problem: null,
      ...change
    }
  }

  commit(): Effect.Effect<void> | undefined {
    let done = false
    let resume: ((effect: Effect.Effect<void>) => void) | undefined
    const settled = () => {
      done = true
      resume?.(Effect.void)
    }
    if (this.#facts.length > 0 || this.#update !== undefined || this.#signals.length > 0) this.flush(settled)
    // What was handed over already may be under way.
    else if (this.#pending > 0) this.#waiting.push(settled)
    else return this.#observers?.commit()
    const warnings = this.#warnings
    // A store that answers at once has answered.
    if (done && warnings === undefined) return this.#observers?.commit()
    const committed = done ? Effect.void : Effect.callback<void>((given) => {
      if (done) given(Effect.void)
      else resume = given
    })
    if (warnings === undefined && this.#observers === undefined) return committed
    this.#warnings = undefined
    return Effect.andThen(
      Effect.andThen(committed, Effect.suspend(() => this.#observers?.commit() ?? Effect.void)),
      Effect.forEach(warnings ?? [], (warning) => Effect.logWarning(warning), { discard: true })
    )
  }

  /** Hands over what was recorded. `done` is called when that has its fate, whatever it is. */
  flush(done: () => void): void {
    const told = this.#told
    const publishes = this.#published.length > 0
    const waiting = [done]
    const entry = {
      executionId: this.executionId,
      start: this.#start,
      facts: this.#facts,
      update: this.#update,
      signals: this.#signals,
      waits: this.#waits,
      ended: this.#endedWaits,
      published: this.#published,
      isStale: () => this.#lost,
      settled: (fate: Fate) => {
        this.#pending--
        if (fate._tag !== "Written") {
          this.#lost = true
          this.#residence.gone.stop()
        } else for (const event of told) this.#observers!.record(event)
        if (publishes && fate._tag === "Written") this.#onPublished()
        this.#onFate(fate)
        for (const resume of waiting) resume()
      }
    }
    this.#waiting = waiting
    this.#start = undefined
    this.#facts = []
    this.#told = []
    this.#update = undefined
    this.#signals = []
    this.#waits = []
    this.#endedWaits = []
    this.#published = []
    this.#pending++
    this.#committer.add(entry)
  }
}
