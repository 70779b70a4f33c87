/**
 * One sequence of nodes while it runs: its state, where it stands, what it has done, and how that is undone. It keeps
 * the books; which node runs next, and how, is decided elsewhere.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { AnyDomainEvent, DomainEvent } from "../DomainEvent.ts"
import type { EventBusService } from "../EventBus.ts"
import { envelopeOf, EventRefused } from "../EventBus.ts"
import type { Failure, UncertainReason } from "../SagaError.ts"
import type { CompensationContext, StepContext } from "../StepContext.ts"
import type { StepPath } from "../StepPath.ts"
import { escape } from "../StepPath.ts"
import type { Surroundings, Unsuccessful } from "./attempt.ts"
import { effectOf, wholeCause } from "./attempt.ts"
import { reasonOf } from "./cause.ts"
import type { Execution, SavePoint } from "./execution.ts"
import type { PastStep } from "./history.ts"
import type { Outgoing, Speaker } from "./outbox.ts"
import { mentionOf, outbox } from "./outbox.ts"
import type { AnyEffect, AnySchedule, Node, SagaTree, State, StepNode } from "./tree.ts"
import type { UndoGroup, UndoLog } from "./unwind.ts"
import type { Restore } from "./wait.ts"

/** A step of unknown outcome whose compensation is told so. */
interface UnknownEntry {
  readonly _tag: "Unknown"
  readonly step: StepNode
  readonly reason: UncertainReason
  /** What the action gave, when no journal can hold it. Without a value: a process that is gone had it. */
  readonly atHand: { readonly value?: unknown } | undefined
}

/** The branches of one node: those that have been opened, with what each has done, and how the others are. */
export interface FrameGroup<F extends Frame = Frame> extends UndoGroup {
  readonly _tag: "Group"
  readonly node: Node
  readonly logs: Array<F>
  readonly count: number
  readonly open: (index: number) => F
  /** Whether there are facts of a branch. */
  readonly touched: (index: number) => boolean
}

/** A step stands for its success: its result is in the state. */
type Entry = StepNode | UnknownEntry | FrameGroup

/** How far the current node of a sequence has come. */
export const Progress = {
  Idle: 0,
  /** `StepStarted` is recorded, the action has not been started. */
  Announced: 1,
  /** The action runs, and its outcome is not in the books. */
  InFlight: 2,
  /** Whatever it was, it failed, and that is in the books. */
  Reported: 3
} as const
export type Progress = (typeof Progress)[keyof typeof Progress]

/** Nothing done yet. */
const none: Array<Entry> = []

class ActionContext implements StepContext, Speaker {
  readonly attempt: number
  readonly #frame: Frame
  readonly #step: StepNode
  #said: { count: number; readonly events: Array<Outgoing> } | undefined

  constructor(frame: Frame, step: StepNode, attempt: number) {
    this.#frame = frame
    this.#step = step
    this.attempt = attempt
  }

  [outbox](event: AnyDomainEvent, payload: unknown, bus: EventBusService): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { attempt, idempotencyKey: causationId, path } = this
      const frame = this.#frame
      if (frame.speaker !== this && !this.speaks(frame, this.#step)) {
        return Effect.die(new Error(`"${path}" published ${event.type} when its attempt ${attempt} was over`))
      }
      const said = this.#said ??= { count: 0, events: [] }
      const id = `${causationId}#${++said.count}`
      const made = envelopeOf(event as DomainEvent<string, Schema.Top>, payload, {
        id,
        correlationId: this.executionId,
        causationId
      })
      return Effect.flatMap(Effect.orDie(made), (envelope) => {
        const data = frame.execution.recorder?.outgoing?.(event.payload, envelope)
        if (data !== undefined && Result.isFailure(data)) {
          return Effect.die(new EventRefused({ type: event.type, issue: data.failure }))
        }
        frame.speaker = this
        said.events.push({ event, envelope, data: data?.success, bus })
        return Effect.void
      })
    })
  }

  /** Whether what it says may count still. */
  protected speaks(frame: Frame, step: StepNode): boolean {
    return frame.nodes[frame.index] === step
  }

  /** What it has said, if it is the attempt of this step that has succeeded. */
  spoken(step: StepNode, attempts: number): ReadonlyArray<Outgoing> | undefined {
    return this.#step === step && this.attempt === attempts ? this.#said?.events : undefined
  }

  get executionId(): string {
    return this.#frame.execution.id
  }

  get path(): StepPath {
    return this.#frame.pathOf(this.#step.name)
  }

  get idempotencyKey(): string {
    return this.#frame.keyOf(this.#step)
  }
}

/** The key of a compensation, from that of its action. */
export const compensationKeyOf = (actionKey: string): string => `${actionKey}/compensation`

class UndoContext extends ActionContext implements CompensationContext {
  readonly cause: Cause.Cause<unknown>

  constructor(frame: Frame, step: StepNode, attempt: number) {
    super(frame, step, attempt)
    this.cause = frame.savePoint.current.cause ?? Cause.empty
  }

  protected override speaks(): boolean {
    return true
  }

  get actionKey(): string {
    return super.idempotencyKey
  }

  override get idempotencyKey(): string {
    return compensationKeyOf(super.idempotencyKey)
  }
}

/** The books of one sequence. */
export class Frame implements UndoLog {
  readonly execution: Execution
  readonly tree: SagaTree
  readonly nodes: ReadonlyArray<Node>
  readonly state: State
  readonly savePoint: SavePoint
  readonly outer: Frame | undefined
  /** The name under which it stands in the outer one, and its own part beside that: a key, a tag. */
  readonly name: string
  readonly part: string | undefined
  entries: Array<Entry> = none
  /** Where an interruption, or the limit of the saga, may come in. */
  restore: Restore
  index = 0
  progress: Progress = Progress.Idle
  /** Nothing more is run here: forward recovery has ended, or a wait was cut. */
  halted = false
  unwound = false
  /** The last attempt that has published something. */
  speaker: ActionContext | undefined

  constructor(
    execution: Execution,
    tree: SagaTree,
    state: State,
    savePoint: SavePoint,
    outer: Frame | undefined,
    name: string,
    part: string | undefined
  ) {
    this.execution = execution
    this.tree = tree
    this.nodes = tree.nodes
    this.state = state
    this.savePoint = savePoint
    this.outer = outer
    this.name = name
    this.part = part
    this.restore = outer === undefined ? execution.restore : outer.restore
  }

  get complete(): boolean {
    return this.index >= this.nodes.length && !this.halted
  }

  get prefix(): string {
    const outer = this.outer === undefined ? "" : this.outer.prefix
    const name = this.name === "" ? outer : `${outer}${this.name}/`
    return this.part === undefined ? name : `${name}${escape(this.part)}/`
  }

  pathOf(name: string): StepPath {
    return this.prefix + name
  }

  keyOf(step: StepNode): string {
    const path = this.pathOf(step.name)
    const { history, id } = this.execution
    return history === undefined
      ? `${id}/${path}`
      : `${history.keptFrom.get(path) ?? id}/${history.keyedAs.get(path) ?? path}`
  }

  // ------------------------------------------------------------------------------------------- forward

  /** Runs the action of a step that asked for nothing more. */
  start(step: StepNode): AnyEffect {
    const committed = this.announce(step)
    return committed === undefined
      ? this.#act(step)
      : Effect.andThen(Effect.uninterruptible(committed), Effect.suspend(() => this.#act(step)))
  }

  #act(step: StepNode): AnyEffect {
    this.progress = Progress.InFlight
    const action = effectOf(step.action(this.state, new ActionContext(this, step, 1)), step)
    return this.inSpan(step, "action", action)
  }

  announce(step: StepNode, past?: PastStep): Effect.Effect<void> | undefined {
    const recorder = this.execution.recorder
    if (recorder === undefined) return undefined
    this.progress = Progress.Announced
    if (past === undefined) {
      recorder.record({ _tag: "StepStarted", atMillis: recorder.last(), path: this.pathOf(step.name) })
    }
    return recorder.commit()
  }

  inSpan<A>(step: StepNode, kind: "action" | "compensation", effect: AnyEffect<A>): AnyEffect<A> {
    const inSpan = this.execution.recorder?.inSpan
    return inSpan === undefined ? effect : inSpan(this.pathOf(step.name), kind, effect)
  }

  surroundings(step: StepNode, past?: PastStep): Surroundings {
    const { execution } = this
    const recorder = execution.recorder
    return {
      state: this.state,
      past,
      residence: execution.residence,
      admit: recorder?.admit === undefined
        ? undefined
        : (result) => recorder.admit!(this.pathOf(step.name), step.success, result),
      signal: this.savePoint.signal,
      restore: this.restore,
      contextOf: (attempt) => new ActionContext(this, step, attempt),
      inSpan: recorder?.inSpan === undefined ? undefined : (action) => this.inSpan(step, "action", action),
      attemptFailed: (attempt, cause, nextAtMillis, reason) => {
        if (recorder === undefined) return undefined
        const path = this.pathOf(step.name)
        const atMillis = recorder.now()
        const fact = { _tag: "StepAttemptFailed", atMillis, path, attempt, cause, nextAtMillis } as const
        recorder.record(reason === undefined ? fact : { ...fact, reason })
        return recorder.commit()
      }
    }
  }

  succeeded(step: StepNode, result: unknown, attempts: number, recorded = false): void {
    this.progress = Progress.Idle
    this.state[step.name] = result
    if (step.compensation !== undefined) this.keep(step)
    if (recorded) return
    const told = this.speaker === undefined ? undefined : this.#tell(step, attempts)
    const recorder = this.execution.recorder
    if (recorder === undefined) return
    const path = this.pathOf(step.name)
    recorder.record({ _tag: "StepSucceeded", atMillis: recorder.now(), path, attempts, result, ...told })
  }

  /** Hands on what the attempt that has succeeded published, and says what its fact tells of that. */
  #tell(
    step: StepNode,
    attempts: number
  ): { readonly published?: ReadonlyArray<ReturnType<typeof mentionOf>> } | undefined {
    const events = this.speaker?.spoken(step, attempts)
    this.speaker = undefined
    if (events === undefined) return undefined
    const { execution } = this
    if (execution.recorder?.publish !== undefined) execution.recorder.publish(events)
    else (execution.outgoing ??= []).push(...events)
    return { published: events.map(mentionOf) }
  }

  /** Most branches of a long `forEach` do one thing: no room is made for a second before it is there. */
  keep(entry: Entry): void {
    if (this.entries === none) this.entries = [entry]
    else this.entries.push(entry)
  }

  /** Books an action that did not succeed: not done, or unknown and then treated as the step says. */
  failed(step: StepNode, settled: Unsuccessful, recorded = false, givenUp = false): void {
    this.progress = Progress.Reported
    const { attempts, cause } = settled
    const recorder = recorded ? undefined : this.execution.recorder
    const path = this.pathOf(step.name)
    // Recorded before others are stopped by it: the first failure on record is the cause.
    if (settled._tag === "Failed") {
      recorder?.record({ _tag: "StepFailed", atMillis: recorder.now(), path, attempts, cause })
      return this.fail({ path, attempts, cause })
    }
    const { atHand, reason } = settled
    const all = wholeCause(settled)
    // What is at hand for a while only can be undone meanwhile; behind that the step says what an unknown outcome means.
    const undoable = atHand !== undefined && step.compensation !== undefined && step.whenUncertain === "report"
    const own = step.kind === "pivot" ? "stuck" : undoable ? "compensate" : step.whenUncertain
    // A person has decided that it stands in the way of nothing.
    const whenUncertain = own === "stuck" && givenUp ? "report" : own
    const uncertain = { path, reason, cause: all }
    if (whenUncertain === "report") (this.savePoint.uncertain ??= []).push(uncertain)
    else if (whenUncertain === "compensate") this.keep({ _tag: "Unknown", step, reason, atHand })
    else (this.savePoint.parked ??= []).push({ ...uncertain, attempts, pivot: step.kind === "pivot" })
    recorder?.record({
      _tag: "StepUncertain",
      atMillis: recorder.now(),
      path,
      attempts,
      reason,
      whenUncertain,
      cause: all
    })
    this.fail({ path, attempts, cause })
  }

  /** Books a failure. Before the commit point everything that it makes unwind stops; after it siblings finish. */
  fail(failure: Failure): void {
    this.savePoint.failed(failure)
    if (!this.execution.committed) this.savePoint.signal.stop()
  }

  /** Books the end of the loop over this sequence by a failure, whatever it was doing. */
  conclude(cause: Cause.Cause<unknown>): void {
    const node = this.nodes[this.index]
    const before = this.progress
    if (before === Progress.Reported || this.execution.gone) return
    if (node?._tag === "Step" && before !== Progress.Idle) {
      const inFlight = before === Progress.InFlight && node.kind !== "check"
      const reason = inFlight ? reasonOf(cause, false, node.isUncertain) : undefined
      return this.failed(
        node,
        reason === undefined ? { _tag: "Failed", attempts: 1, cause } : { _tag: "Unknown", attempts: 1, cause, reason }
      )
    }
    this.progress = Progress.Reported
    const path = node === undefined || node._tag === "Parallel" ? this.prefix : this.pathOf(node.name)
    this.fail({ path, attempts: 1, cause })
  }

  // ------------------------------------------------------------------------------------------- backward

  get size(): number {
    return this.entries.length
  }

  groupAt(index: number): FrameGroup | undefined {
    const entry = this.entries[index]!
    return entry._tag === "Group" ? entry : undefined
  }

  pathAt(index: number): StepPath {
    return this.pathOf(this.#stepAt(index).name)
  }

  limitAt(index: number): number {
    return this.#stepAt(index).compensationTimeoutMillis
  }

  retryAt(index: number): AnySchedule | undefined {
    return this.#stepAt(index).compensationRetry ?? this.unwindRetry
  }

  /** The schedule that the innermost nested saga gives to all its compensations. */
  get unwindRetry(): AnySchedule | undefined {
    return this.tree.options.unwindRetry ?? this.outer?.unwindRetry
  }

  /** What is on record of a compensation that has started before this process came to it. */
  pastAt(index: number): NonNullable<PastStep["compensation"]> | undefined {
    return this.execution.history?.steps.get(this.pathAt(index))?.compensation
  }

  compensate(index: number, attempt: number): AnyEffect {
    const { execution } = this
    if (execution.outgoing !== undefined) return execution.told(() => this.compensate(index, attempt))
    const begun = attempt > 1 || this.pastAt(index) !== undefined
    const committed = begun ? this.execution.recorder?.commit() : this.#announceUndo(index)
    return committed === undefined
      ? this.#undo(index, attempt)
      : Effect.andThen(Effect.uninterruptible(committed), Effect.suspend(() => this.#undo(index, attempt)))
  }

  #announceUndo(index: number): Effect.Effect<void> | undefined {
    const recorder = this.execution.recorder
    recorder?.record({ _tag: "CompensationStarted", atMillis: recorder.last(), path: this.pathAt(index) })
    return recorder?.commit()
  }

  #undo(index: number, attempt: number): AnyEffect {
    const entry = this.entries[index]!
    const step = this.#stepAt(index)
    const context = new UndoContext(this, step, attempt)
    const atHand = entry._tag === "Unknown" ? entry.atHand : { value: this.state[step.name] }
    const given = atHand === undefined
      ? { _tag: "Unknown", reason: (entry as UnknownEntry).reason }
      : step.whenUncertain === "compensate"
      ? { _tag: "Succeeded", result: atHand.value }
      : atHand.value
    if (atHand && !("value" in atHand)) return Effect.failCause(this.execution.history!.lossOf(context.path))
    return this.inSpan(step, "compensation", step.compensation!(given, this.state, context))
  }

  compensated(index: number, attempts: number): void {
    const told = this.speaker === undefined ? undefined : this.#tell(this.#stepAt(index), attempts)
    const recorder = this.execution.recorder
    if (recorder === undefined) return
    const path = this.pathAt(index)
    recorder.record({ _tag: "CompensationSucceeded", atMillis: recorder.now(), path, attempts, ...told })
  }

  attemptFailed(
    index: number,
    attempt: number,
    cause: Cause.Cause<unknown>,
    nextAtMillis: number
  ): Effect.Effect<void> | undefined {
    const recorder = this.execution.recorder
    if (recorder === undefined) return undefined
    const path = this.pathAt(index)
    recorder.record({ _tag: "CompensationAttemptFailed", atMillis: recorder.now(), path, attempt, cause, nextAtMillis })
    return recorder.commit()
  }

  /** A compensation was given up. */
  gaveUp(index: number, attempts: number, cause: Cause.Cause<unknown>, recorded = false): void {
    const path = this.pathAt(index)
    this.savePoint.gaveUp({ path, attempts, cause })
    const recorder = recorded ? undefined : this.execution.recorder
    recorder?.record({ _tag: "CompensationFailed", atMillis: recorder.now(), path, attempts, cause })
  }

  /** What a compensation was or is due for, the last done first; `unwound`: it had its turn on its own before. */
  *due(unwound = false): Generator<{ readonly path: StepPath; readonly unwound: boolean }> {
    const before = unwound || this.unwound
    for (let index = this.entries.length - 1; index >= 0; index--) {
      const entry = this.entries[index]!
      if (entry._tag !== "Group") yield { path: this.pathAt(index), unwound: before }
      else for (let i = entry.logs.length - 1; i >= 0; i--) yield* entry.logs[i]!.due(before)
    }
  }

  #stepAt(index: number): StepNode {
    const entry = this.entries[index]!
    if (entry._tag === "Group") throw new Error("effect-saga: a group has no compensation of its own")
    return entry._tag === "Unknown" ? entry.step : entry
  }
}
