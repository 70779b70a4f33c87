/**
 * What the parts of one running saga share: its identity, its recorder, how it may be interrupted, and what went wrong
 * so far, kept per save-point. It runs nothing.
 */
import * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import type { Failure, UncertainStep } from "../SagaError.ts"
import type { SagaEvent } from "../SagaEvent.ts"
import { isTyped } from "./cause.ts"
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
  /** The one outside, once that answers for what is done here. */
  #outer: SavePoint | undefined

  constructor(path: string, signal: StopSignal) {
    this.path = path
    this.signal = signal
  }

  failed(failure: Failure): void {
    if (this.cause === undefined) this.cause = failure.cause
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

/** One execution of a saga in this process. */
export class Execution {
  readonly tree: SagaTree
  readonly payload: unknown
  readonly restore: Restore
  readonly recorder: Recorder | undefined
  readonly root = new SavePoint("", new StopSignal())
  /** Past the commit point: nothing is compensated from here on. */
  committed = false
  /** By when the commit point must be reached, and which saga says so. */
  limit: { readonly atMillis: number; readonly tree: SagaTree } | undefined
  /** Retriables after their last try. */
  unfinished: Array<Failure> | undefined
  readonly #makeId: () => string

  constructor(
    tree: SagaTree,
    payload: unknown,
    restore: Restore,
    recorder: Recorder | undefined,
    makeId: () => string
  ) {
    this.tree = tree
    this.payload = payload
    this.restore = restore
    this.recorder = recorder
    this.#makeId = makeId
  }

  /** Unless it was given, or comes from the payload, it is made when it is first asked for: most runs never need it. */
  get id(): string {
    return this.#makeId()
  }
}
