/**
 * One execution that runs in an engine: from its start or its return from the journal to its end, or until it leaves. It
 * decides nothing about others.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { SagaCancelled } from "../../ExecutionError.ts"
import type { SignalRecord, StartRecord } from "../../Journal.ts"
import type { By, SagaEvent } from "../../SagaEvent.ts"
import type { CancelAnswer } from "../execution.ts"
import { Execution } from "../execution.ts"
import type { History } from "../history.ts"
import type { Telling } from "../recorder.ts"
import { Residence } from "../residence.ts"
import { advance } from "../run.ts"
import { adviceOf } from "./advice.ts"
import { readBy } from "./codec.ts"
import type { Committer, Fate } from "./committer.ts"
import { JournalRecorder } from "./journalRecorder.ts"
import type { Letters } from "./letters.ts"
import { Mailbox } from "./mailbox.ts"
import { contextOf, isUntouched, watching } from "./observed.ts"
import type { Ending } from "./outcome.ts"
import { endingOf } from "./outcome.ts"
import type { Registered } from "./registry.ts"
import type { Returning } from "./returning.ts"
import { toldOf } from "./told.ts"

/** A span in another fiber or process, as the first fact keeps it. */
export type Trace = NonNullable<Extract<SagaEvent, { readonly _tag: "SagaStarted" }>["trace"]>

/** How a stay ended. */
export type Departure =
  | { readonly _tag: "Ended"; readonly ending: Ending }
  | { readonly _tag: "Stuck" }
  /** It goes on elsewhere, or later; `dueAtMillis` says when. */
  | { readonly _tag: "Left"; readonly dueAtMillis: number }
  /** Somebody else has it, or nothing more may be recorded of it. */
  | { readonly _tag: "Gone"; readonly fate: Fate | undefined }
  /** The toolkit itself has failed. */
  | { readonly _tag: "Broken"; readonly cause: Cause.Cause<unknown> }

/** What is given to an execution that enters. */
export interface Entrance {
  readonly registered: Registered
  readonly committer: Committer
  readonly letters: Letters
  /** Told when events are kept that it has published. */
  readonly published: () => void
  readonly executionId: string
  readonly payload: unknown
  readonly start: StartRecord | undefined
  /** The span around the caller that started it, wherever that was. */
  readonly trace: Trace | undefined
  /** What is on record, as it counts, and how many facts that are. */
  readonly facts: ReadonlyArray<SagaEvent>
  readonly count: number
  readonly history: History | undefined
  readonly signals: ReadonlyArray<SignalRecord>
  readonly signalCount: number
  /** What is recorded first, where another version has had it last. */
  readonly migration: Returning["migration"]
  readonly moved: Returning["moved"]
  /** Nobody has run it yet: observers are told of what is on record. */
  readonly untold: boolean
  /** Called last. */
  readonly departed: (resident: Resident, departure: Departure) => void
  /** An execution that only waits, and for longer than this, leaves. */
  readonly evictAfterMillis: number
}

/** An execution that runs here. */
export class Resident {
  readonly executionId: string
  readonly registered: Registered
  readonly payload: unknown
  readonly residence: Residence
  readonly mailbox: Mailbox
  readonly recorder: JournalRecorder
  readonly observers: Telling | undefined
  /** Ends when its first entry has its fate: from then on it exists, or does not. */
  readonly entered = Deferred.makeUnsafe<Fate>()
  readonly left = Deferred.makeUnsafe<void>()
  readonly #entrance: Entrance
  readonly #context: Context.Context<never>
  #execution: Execution | undefined
  #fiber: Fiber.Fiber<void> | undefined
  #fate: Fate | undefined
  #answered = new Set<number>()

  constructor(entrance: Entrance) {
    const { committer, count, executionId, facts, history, payload, registered, start } = entrance
    this.#entrance = entrance
    this.executionId = executionId
    this.registered = registered
    this.payload = payload
    this.residence = new Residence(history)
    this.residence.onWait = (dueAtMillis) =>
      dueAtMillis - registered.clock.currentTimeMillisUnsafe() > entrance.evictAfterMillis ? this.#rest : undefined
    const { clock } = registered
    this.#context = contextOf(registered, executionId, entrance.trace)
    this.observers = watching(registered, executionId, this.#context, history?.startedAtMillis)
    this.recorder = new JournalRecorder({
      executionId,
      codec: registered.codec,
      committer,
      residence: this.residence,
      clock,
      observers: this.observers,
      start,
      facts,
      count,
      waiting: history?.openWaits() ?? [],
      onFate: (fate) => this.#judged(fate),
      onPublished: entrance.published,
      toldOf: (event, sequence) => toldOf(registered, executionId, event, sequence, clock.currentTimeMillisUnsafe())
    })
    this.mailbox = new Mailbox({
      executionId,
      letters: entrance.letters,
      leave: this.residence.leave,
      decode: (path, event) => registered.codec.letter(path, event),
      offering: (eventId, sequence) => this.recorder.offering(eventId, sequence)
    })
    this.residence.mail = this.mailbox
    this.recorder.seen = entrance.signalCount - entrance.signals.length
    // What comes from the journal is there already.
    if (history !== undefined) Deferred.doneUnsafe(this.entered, Effect.succeed({ _tag: "Written" }))
  }

  /** Starts it, in a fiber of its own with the services of its saga. */
  get run(): Effect.Effect<void> {
    const { facts, history, migration, moved, signals, trace, untold } = this.#entrance
    const { registered } = this
    const body = Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        const { tree } = registered
        const id = () => this.executionId
        const execution = new Execution(tree, this.payload, restore, this.recorder, id, this.residence)
        this.#execution = execution
        if (history === undefined) {
          const { saga, version } = tree.definition
          const atMillis = this.recorder.now()
          const fact = { _tag: "SagaStarted", atMillis, saga, version, payload: this.payload } as const
          this.recorder.record(trace === undefined ? fact : { ...fact, trace })
        }
        if (untold) { for (const fact of facts) this.observers?.record(fact) }
        // Whoever has started it may have known nothing of the saga. To tell it again changes nothing.
        if (facts[0] !== undefined && isUntouched(facts)) this.recorder.tell(facts[0], 0)
        if (migration !== undefined) this.recorder.record({ ...migration, atMillis: this.recorder.now() })
        for (const wait of moved) this.recorder.moved(wait)
        this.signal(signals)
        const go = Effect.suspend(() =>
          advance<void, never>(execution, {
            succeeded: () => this.#end(),
            compensated: () => this.#end(),
            stuck: () => this.#depart({ _tag: "Stuck" }),
            left: () => this.#leave(execution),
            advice: adviceOf
          })
        )
        // Nothing of the user's is evaluated for an execution that somebody else may have started.
        const decides = history === undefined && tree.nodes[0] !== undefined && tree.nodes[0]._tag !== "Step"
        // A batch opens and ends waits in no order: another may be given a name that one has had.
        const committed = decides || moved.length > 0 ? this.recorder.commit() : undefined
        if (committed === undefined) return go
        return Effect.andThen(committed, Effect.suspend(() => execution.gone ? this.#leave(execution) : go))
      })
    )
    const guarded = Effect.catchCause(
      body,
      (cause) => {
        this.residence.gone.stop()
        return this.#depart({ _tag: "Broken", cause })
      }
    )
    return Effect.flatMap(
      Effect.forkDetach(Effect.setContext(guarded, this.#context), { startImmediately: true }),
      (fiber) => Effect.sync(() => void (this.#fiber = fiber))
    )
  }

  /** Turns words from outside into facts. Says whether there is mail: an event that one of its waits may want. */
  signal(signals: ReadonlyArray<SignalRecord>): boolean {
    let mail = false
    // They stay for the next owner.
    if (this.residence.leaving) return mail
    for (const signal of signals) {
      if (this.#answered.has(signal.id)) continue
      this.#answered.add(signal.id)
      // A word that this release does not know is taken for one that changes nothing.
      if (signal.kind === "event") mail = true
      if (signal.kind === "cancel") this.cancel([signal.id], readBy(signal.data), () => {})
      else this.recorder.answer([signal.id])
    }
    return mail
  }

  /**
   * Asks it to stop and unwind. `answered` is called when the answer is recorded, which is also that to these signals.
   * `Ended`: it had come to its end before.
   */
  cancel(signals: ReadonlyArray<number>, by: Partial<By>, answered: (answer: CancelAnswer | "Ended") => void): void {
    const { executionId, recorder } = this
    if (recorder.ended) {
      recorder.answer(signals)
      return recorder.flush(() => answered("Ended"))
    }
    const { saga } = this.registered.tree.definition
    this.#execution?.cancel(by, () => Cause.fail(new SagaCancelled({ saga, executionId })), (answer) => {
      if (answer === "Committed") recorder.record({ _tag: "CancelRefused", atMillis: recorder.now(), ...by })
      recorder.answer(signals)
      recorder.flush(() => answered(answer))
    })
  }

  /** Lets nothing be recorded any more, and cuts what is in flight. */
  cut(): void {
    this.residence.gone.stop()
    this.#fiber?.interruptUnsafe()
  }

  /** Looks for mail that was heard of. */
  get look(): Effect.Effect<void> {
    return Effect.andThen(this.mailbox.look, this.#rest)
  }

  /** Leaves if nothing is to be done before a while has passed. */
  readonly #rest = Effect.suspend(() => {
    const { recorder, residence } = this
    return Effect.map(recorder.commit() ?? Effect.void, () => {
      const waits = (residence.dueAtMillis ?? 0) - this.registered.clock.currentTimeMillisUnsafe()
      const rests = residence.idle && recorder.idle && !this.mailbox.unread
      if (rests && waits > this.#entrance.evictAfterMillis) residence.leave.stop()
    })
  })

  #judged(fate: Fate): void {
    if (this.#fate === undefined) Deferred.doneUnsafe(this.entered, Effect.succeed(fate))
    if (this.#fate === undefined || this.#fate._tag === "Written") this.#fate = fate
    if (fate._tag !== "Written") this.cut()
  }

  #end(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { codec } = this.registered
      const ending = endingOf(this.executionId, this.recorder.ending.map((fact) => codec.again(fact)))
      return this.#depart(ending === undefined ? { _tag: "Stuck" } : { _tag: "Ended", ending })
    })
  }

  /** It stands still where it is. Unless it is gone already, its row says when it goes on. */
  #leave(execution: Execution): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { recorder, residence } = this
      if (residence.isGone) return this.#depart({ _tag: "Gone", fate: this.#fate })
      if (this.mailbox.unread) residence.more = true
      const dueAtMillis = residence.dueAtMillis ?? 0
      const state = execution.root.cause !== undefined
        ? "Compensating"
        : dueAtMillis > recorder.now()
        ? "Waiting"
        : "Running"
      recorder.release(state, dueAtMillis, true)
      return Effect.andThen(
        recorder.commit() ?? Effect.void,
        Effect.suspend(() =>
          this.#depart(residence.isGone ? { _tag: "Gone", fate: this.#fate } : { _tag: "Left", dueAtMillis })
        )
      )
    })
  }

  #depart(departure: Departure): Effect.Effect<void> {
    return Effect.sync(() => {
      this.#entrance.departed(this, departure)
      Deferred.doneUnsafe(this.left, Effect.void)
    })
  }
}
