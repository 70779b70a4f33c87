/**
 * What was done in the scope of an inline saga, in the order in which it was done, and how it is undone. It runs
 * nothing, and knows no names but those that its steps were given.
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { Failure, UncertainStep } from "../SagaError.ts"
import { SagaScope } from "../SagaScope.ts"
import type { InlineContext } from "../StepContext.ts"
import type { AnyEffect, AnySchedule } from "./tree.ts"
import type { UndoGroup, UndoLog } from "./unwind.ts"

/** A step as `withCompensation` describes it. */
export interface InlineStep {
  readonly name: string | undefined
  readonly compensation: (given: unknown, context: InlineContext) => AnyEffect
  readonly whenUncertain: "report" | "compensate" | "stuck"
  readonly isUncertain: ((error: unknown) => boolean) | undefined
  readonly verify: AnyEffect<Option.Option<unknown>> | undefined
  readonly compensationRetry: AnySchedule | undefined
  readonly compensationTimeoutMillis: number
}

/** What one run of a step left behind. */
export interface Done {
  readonly _tag: "Done"
  readonly step: InlineStep
  readonly context: Context.Context<never>
  readonly given: unknown
}

/** What a part did, undone in its place. */
interface Group extends UndoGroup {
  readonly _tag: "Group"
  readonly logs: ReadonlyArray<InlineLog>
}

/** The unwind of a scope and of all its parts. */
interface Unwinding {
  readonly cause: Cause.Cause<unknown>
  readonly failures: Array<Failure>
}

/** The books of one inline scope. */
export class InlineLog implements UndoLog {
  readonly "~effect-saga/SagaScope" = "SagaScope"
  readonly entries: Array<Done | Group> = []
  /** The services of the scope: what most steps ran with. */
  readonly context: Context.Context<never>
  /** The scope that this one is a part of, and where it stands there. */
  readonly #outer: InlineLog | undefined
  readonly #position: number
  /** `Joined`: over, and the scope around answers for it. */
  state: "Open" | "Joined" | "Ended" = "Open"
  unwinding: Unwinding | undefined
  unwound = false
  failures: Array<Failure> | undefined
  uncertain: Array<UncertainStep> | undefined
  parked: Array<UncertainStep> | undefined
  readonly #givenUp = new Set<number>()

  constructor(context: Context.Context<never>, outer?: InlineLog) {
    this.context = Context.add(context, SagaScope, this)
    this.#outer = outer
    this.#position = outer === undefined ? 0 : outer.size + 1
  }

  /** Whether steps may start: neither this scope nor one around it is over. */
  get open(): boolean {
    let log: InlineLog | undefined = this
    while (log?.state === "Open") log = log.#outer
    return log === undefined
  }

  /** The scope that will report what is still found out about this one. */
  get responsible(): InlineLog | undefined {
    let log: InlineLog | undefined = this
    while (log?.state === "Joined") log = log.#outer
    return log?.state === "Open" ? log : undefined
  }

  get size(): number {
    return this.entries.length
  }

  groupAt(index: number): UndoGroup | undefined {
    const entry = this.entries[index]!
    if (entry._tag === "Done") return undefined
    for (const log of entry.logs) log.unwinding ??= this.unwinding
    return entry
  }

  pathAt(index: number): string {
    return this.#doneAt(index).step.name ?? this.positionOf(index)
  }

  /** What a step without a name is called: `#2`, or `#3/#2` in a part. */
  positionOf(index: number): string {
    let path = `#${index + 1}`
    for (let log: InlineLog = this; log.#outer !== undefined; log = log.#outer) path = `#${log.#position}/${path}`
    return path
  }

  limitAt(index: number): number {
    return this.#doneAt(index).step.compensationTimeoutMillis
  }

  retryAt(index: number): AnySchedule | undefined {
    return this.#doneAt(index).step.compensationRetry
  }

  /** What is done inline is on no record. */
  pastAt(): undefined {
    return undefined
  }

  compensate(index: number, attempt: number): AnyEffect {
    const { context, given, step } = this.#doneAt(index)
    const compensation = step.compensation(given, { attempt, cause: this.unwinding!.cause })
    return context === this.context ? compensation : Effect.provideContext(compensation, context)
  }

  compensated(): void {}

  attemptFailed(): undefined {
    return undefined
  }

  gaveUp(index: number, attempts: number, cause: Cause.Cause<unknown>): void {
    this.#givenUp.add(index)
    this.unwinding!.failures.push({ path: this.pathAt(index), attempts, cause })
  }

  /** What a compensation was due for, the last done first. */
  due(): ReadonlyArray<{ readonly path: string; readonly undone: boolean }> {
    const due: Array<{ readonly path: string; readonly undone: boolean }> = []
    const open = [{ log: this as InlineLog, left: this.size }]
    for (let top = open[0]; top !== undefined; top = open[open.length - 1]) {
      if (top.left === 0) {
        open.pop()
        continue
      }
      const { log } = top
      const index = --top.left
      const entry = log.entries[index]!
      if (entry._tag === "Group") open.push(...entry.logs.map((log) => ({ log, left: log.size })))
      else due.push({ path: log.pathAt(index), undone: log.#isUndone(index) })
    }
    return due
  }

  /** Takes over what a part did, what stood in the way of undoing it, and what nobody knows of it. */
  take(part: InlineLog): void {
    part.state = "Joined"
    this.entries.push({ _tag: "Group", logs: [part], concurrency: 1 })
    if (part.failures !== undefined) (this.failures ??= []).push(...part.failures)
    if (part.parked !== undefined) (this.parked ??= []).push(...part.parked)
    this.warnOf(part.uncertain)
  }

  warnOf(uncertain: ReadonlyArray<UncertainStep> | undefined): void {
    if (uncertain !== undefined) (this.uncertain ??= []).push(...uncertain)
  }

  /** Begins the unwind. */
  fail(cause: Cause.Cause<unknown>): void {
    this.state = this.#outer === undefined ? "Ended" : "Joined"
    this.unwinding = { cause, failures: this.failures ??= [] }
  }

  #isUndone(index: number): boolean {
    return this.unwinding !== undefined && this.parked === undefined && !this.#givenUp.has(index)
  }

  #doneAt(index: number): Done {
    const entry = this.entries[index]!
    if (entry._tag === "Group") throw new Error("effect-saga: a group has no compensation of its own")
    return entry
  }
}
