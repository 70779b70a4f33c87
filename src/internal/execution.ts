/**
 * What the parts of one running saga share: its identity, its recorder, how it may be interrupted, and what went wrong
 * so far, kept per save-point. It runs nothing.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { Envelope } from "../DomainEvent.ts"
import type { Failure, UncertainStep } from "../SagaError.ts"
import type { By, SagaEvent } from "../SagaEvent.ts"
import { isTyped } from "./cause.ts"
import type { History } from "./history.ts"
import type { Outgoing } from "./outbox.ts"
import { send } from "./outbox.ts"
import type { Residence } from "./residence.ts"
import { StopSignal } from "./signal.ts"
import type { AnyEffect, SagaTree } from "./tree.ts"
import type { Restore } from "./wait.ts"

/** Where facts go. */
export interface Recorder {
  /** The time that facts are stamped with. */
  readonly now: () => number
  /** The time of the fact before: for a fact that follows from it at once. */
  readonly last: () => number
  /** Takes a fact. It counts from the next `commit` on. */
  readonly record: (event: SagaEvent) => void
  /** What must end before the next action or compensation may start. Undefined: nothing. Never fails. */
  readonly commit: () => Effect.Effect<void> | undefined
  /** What a value is when it has been written down and read back; fails when it cannot be. Undefined: it is kept as it is. */
  readonly admit:
    | ((path: string, schema: Schema.Top | undefined, value: unknown) => Exit.Exit<unknown>)
    | undefined
  /** What is kept of an event, or in words why it cannot be. Undefined, as `publish`: nothing keeps any. */
  readonly outgoing?: (schema: Schema.Top, envelope: Envelope) => Result.Result<string, string>
  /** Keeps events with the fact that is recorded next. */
  readonly publish?: (events: ReadonlyArray<Outgoing>) => void
  /** Runs an action or a compensation in the span that its facts have opened. */
  readonly inSpan:
    | (<A>(path: string, kind: "action" | "compensation", effect: AnyEffect<A>) => AnyEffect<A>)
    | undefined
}

/** What went wrong in a part of a saga that can be compensated alone: the whole saga, or the first way of an `orElse`. */
export class SavePoint {
  readonly path: string
  /** Stops when something fails here: all of it will unwind, so no new step may start in any branch. */
  readonly signal: StopSignal
  /** The first recorded failure. */
  cause: Cause.Cause<unknown> | undefined
  /** Later failures, of siblings that were in flight. */
  others: Array<Failure> | undefined
  uncertain: Array<UncertainStep> | undefined
  /** Uncertain steps that forbid every compensation. */
  parked: Array<UncertainStep & { readonly pivot: boolean; readonly attempts: number }> | undefined
  /** Compensations after their last try. */
  failures: Array<Failure> | undefined
  /** Where the first failure was. */
  origin: string | undefined
  /** The first failure was on record before it is met again. */
  #recorded = false
  /** The one outside, once that answers for what is done here. */
  #outer: SavePoint | undefined

  constructor(path: string, signal: StopSignal, history: History | undefined) {
    this.path = path
    this.signal = signal
    const verdict = history?.verdict(path)
    if (verdict === undefined) return
    this.failed(verdict)
    this.#recorded = true
    signal.stop()
  }

  failed(failure: Failure): void {
    if (this.cause === undefined) {
      this.cause = failure.cause
      this.origin = failure.path
    } else if (this.#recorded && this.origin === failure.path) this.#recorded = false
    // What is cut because of the first failure has not failed.
    else if (!Cause.hasInterruptsOnly(failure.cause)) (this.others ??= []).push(failure)
  }

  /** Whether nothing but typed failures has happened here, so that another way may be tried. */
  get clean(): boolean {
    const died = (this.others ?? []).some((other) => Cause.hasDies(other.cause))
    return isTyped(this.cause ?? Cause.empty) && !died && this.uncertain === undefined && this.parked === undefined
  }

  gaveUp(failure: Failure): void {
    ;(this.current.failures ??= []).push(failure)
  }

  /** The save-point that answers for this one now. */
  get current(): SavePoint {
    return this.#outer === undefined ? this : this.#outer.current
  }

  /** What was done here has become a part of what is done outside. */
  joins(outer: SavePoint): void {
    this.#outer = outer
  }

  /** Hands everything over to the save-point outside, when there is no other way to go here. */
  mergeInto(outer: SavePoint, cause: Cause.Cause<unknown>): void {
    this.joins(outer)
    outer.failed({ path: this.path, attempts: 1, cause })
    // One by one: a branch for each of very many items may have failed, more than a call can take as arguments.
    for (const other of this.others ?? []) (outer.others ??= []).push(other)
    for (const step of this.uncertain ?? []) (outer.uncertain ??= []).push(step)
    for (const step of this.parked ?? []) (outer.parked ??= []).push(step)
    for (const failure of this.failures ?? []) (outer.failures ??= []).push(failure)
  }
}

/** What becomes of the wish to stop. `Unwinding`: it was about to unwind before. */
export type CancelAnswer = "Cancelled" | "Unwinding" | "Committed"

/** One execution of a saga in this process. */
export class Execution {
  readonly tree: SagaTree
  readonly payload: unknown
  readonly restore: Restore
  readonly recorder: Recorder | undefined
  /** How it stays in an engine; a run in a fiber alone has nobody that it could leave. */
  readonly residence: Residence | undefined
  readonly root: SavePoint
  /** The node that commits has been started: until it has ended nobody knows whether there is a way back. */
  committing = false
  /** Past the commit point: nothing is compensated from here on. */
  committed = false
  /** By when the commit point must be reached, and which saga says so. */
  limit: { readonly atMillis: number; readonly tree: SagaTree } | undefined
  /** The events that its waits have taken: none is taken twice. */
  readonly received: Set<string>
  /** What was published in a fiber, and the bus has not been given. */
  outgoing: Array<Outgoing> | undefined
  /** Retriables after their last try. */
  unfinished: Array<Failure> | undefined
  #undecided: Array<() => void> | undefined
  readonly #makeId: () => string

  constructor(
    tree: SagaTree,
    payload: unknown,
    restore: Restore,
    recorder: Recorder | undefined,
    makeId: () => string,
    residence?: Residence
  ) {
    this.tree = tree
    this.payload = payload
    this.restore = restore
    this.recorder = recorder
    this.#makeId = makeId
    this.residence = residence
    this.received = new Set(residence?.history?.received)
    this.committing = residence?.history?.commit === "Within"
    this.root = new SavePoint("", new StopSignal(), residence?.history)
    residence?.leave.listen(() => this.root.signal.stop())
  }

  /** Stops it as a failure would, unless there is no way back. `decided` is called with the answer, once it is known. */
  cancel(by: Partial<By>, cause: () => Cause.Cause<unknown>, decided: (answer: CancelAnswer) => void): void {
    if (this.committed || this.history?.commit === "Behind") return decided("Committed")
    if (this.committing) {
      ;(this.#undecided ??= []).push(() => this.cancel(by, cause, decided))
      return
    }
    if (this.root.cause !== undefined) return decided("Unwinding")
    this.recorder?.record({ _tag: "CancelRequested", atMillis: this.recorder.now(), ...by })
    this.root.failed({ path: "", attempts: 1, cause: cause() })
    this.root.signal.stop()
    decided("Cancelled")
  }

  /** The node that commits is about to run, or has ended. */
  commit(committing: boolean): void {
    this.committing = committing
    if (committing) return
    const undecided = this.#undecided
    this.#undecided = undefined
    undecided?.forEach((ask) => ask())
  }

  /** Goes on when the bus has what was published. */
  sent<A, E>(next: () => Effect.Effect<A, E>): Effect.Effect<A, E> {
    const events = this.outgoing
    if (events === undefined) return next()
    this.outgoing = undefined
    return Effect.flatMap(send(events), next)
  }

  /** The same in an unwind, which nothing stops: what the bus does not take is logged. */
  told<A, E>(next: () => Effect.Effect<A, E>): Effect.Effect<A, E> {
    if (this.outgoing === undefined) return next()
    const sent = Effect.catchCause(
      this.sent(() => Effect.void),
      (cause) => Effect.logError(`The bus did not take what ${this.id} has published, which unwinds`, cause)
    )
    return Effect.flatMap(sent, next)
  }

  get history(): History | undefined {
    return this.residence?.history
  }

  get leaving(): boolean {
    return this.residence !== undefined && this.residence.leaving
  }

  get gone(): boolean {
    return this.residence !== undefined && this.residence.isGone
  }

  /** Unless it was given, or comes from the payload, it is made when it is first asked for: most runs never need it. */
  get id(): string {
    return this.#makeId()
  }
}
