/**
 * The one interpreter: walks a saga node by node and keeps every fact of it. A sequence is a loop that Effect drives; a
 * node that holds sequences runs their loops, in this fiber or in others, and books what becomes of them.
 *
 * It unwinds nothing but the first way of an `orElse`; that the whole saga unwinds is decided by who started it.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { CaseMissing, DuplicateItemKey, PayloadInvalid } from "../SagaError.ts"
import type { Failure } from "../SagaError.ts"
import { escape } from "../StepPath.ts"
import type { Left, Settled } from "./attempt.ts"
import { settle, wholeCause } from "./attempt.ts"
import { backward, bounded, interrupted } from "./bounds.ts"
import { toDefects } from "./cause.ts"
import type { Execution } from "./execution.ts"
import { SavePoint } from "./execution.ts"
import type { FrameGroup } from "./frame.ts"
import { Frame, Progress } from "./frame.ts"
import type { History, PastStep } from "./history.ts"
import { runBranches } from "./pool.ts"
import { publish } from "./publishing.ts"
import { isDone, isTouched } from "./recorded.ts"
import type {
  AnyEffect,
  ChoiceNode,
  ForEachNode,
  NestedNode,
  Node,
  OrElseNode,
  ParallelNode,
  SagaTree,
  State,
  StepNode
} from "./tree.ts"
import type { Restore } from "./wait.ts"
import { awaitEvents, sleep } from "./waits.ts"

const inWords = SchemaIssue.makeFormatterDefault()

/** Checks a payload by the schema of its saga. */
export const validate = (tree: SagaTree, payload: unknown): Effect.Effect<unknown> => {
  const checked = tree.definition.payload.makeEffect(payload)
  if (Exit.isExit(checked) && Exit.isSuccess(checked)) return Effect.succeed(checked.value)
  return Effect.catch(
    checked,
    (issue) => Effect.die(new PayloadInvalid({ saga: tree.definition.saga, issue: inWords(issue) }))
  )
}

/** The whole saga as a sequence. */
export const open = (execution: Execution): Sequence => {
  const { payload, root, tree } = execution
  const sequence = new Sequence(execution, tree, { payload }, root, undefined, "", undefined)
  sequence.end = tree.commitIndex
  return sequence
}

/** A sequence that runs: the loop that `Effect.whileLoop` drives. */
export class Sequence extends Frame {
  /** Where the loop ends: at the node that commits, or behind the last. */
  end: number = this.nodes.length
  /** How many nodes there are up to the last that has facts. */
  #recorded: number | undefined
  /** The loop hands on what was published, in place of a node. */
  #sends = false

  while(): boolean {
    if (this.execution.outgoing !== undefined) return true
    if (this.index >= this.end || this.halted) return false
    return !this.savePoint.signal.stopped || this.#isRecorded()
  }

  /** Nothing new may start. What is on record is gone through all the same, so that the books are whole. */
  #isRecorded(): boolean {
    const { history, residence } = this.execution
    if (history !== undefined && this.index < this.#recordedUpTo(history)) return true
    if (residence !== undefined && residence.leaving) residence.more = true
    return false
  }

  /** How many nodes were come to. What leaves no facts, such as a parallel of nothing, may stand before what has some. */
  #recordedUpTo(history: History): number {
    if (this.#recorded === undefined) {
      this.#recorded = this.nodes.length
      if (!this.#isPassed(history)) {
        while (this.#recorded > 0 && !this.touches(this.nodes[this.#recorded - 1]!)) this.#recorded--
      }
    }
    return this.#recorded
  }

  /** Whether all of it was done, for what follows it has facts. */
  #isPassed(history: History): boolean {
    const { outer, savePoint } = this
    if (!(outer instanceof Sequence) || outer.savePoint !== savePoint && history.unwinds.has(savePoint.path)) {
      return false
    }
    return outer.goesBeyond(history)
  }

  /** Whether the current node was done, for what follows it has facts. */
  goesBeyond(history: History): boolean {
    return this.index + 1 < this.nodes.length ? this.index + 1 < this.#recordedUpTo(history) : this.#isPassed(history)
  }

  /** Whether there are facts of a node or of what is in it. */
  touches(node: Node): boolean {
    return isTouched(node, this.prefix, this.execution.history!)
  }

  /** The next node. Past the commit point an interruption has waited for the last one, and nothing more is started. */
  body(): AnyEffect {
    const { execution } = this
    if (execution.outgoing !== undefined) {
      this.#sends = true
      return execution.sent(() => Effect.void)
    }
    const node = this.nodes[this.index]!
    if (!execution.committed) return this.visit(node)
    return Effect.flatMap(interrupted(this), (stop) => {
      if (!stop) return this.visit(node)
      this.halted = true
      return Effect.void
    })
  }

  visit(node: Node): AnyEffect {
    switch (node._tag) {
      case "Step":
        return this.execution.residence !== undefined
          ? this.act(node)
          : this.execution.committed
          ? this.forward(node)
          : node.simple
          ? this.start(node)
          : this.settle(node)
      case "Sleep":
        return sleep(this, node)
      case "Await":
        return awaitEvents(this, node)
      case "Publish":
        return publish(this, node)
      case "Parallel":
        return this.parallel(node)
      case "ForEach":
        return this.forEach(node)
      case "Choice":
        return this.choose(node)
      case "Nested":
        return this.nest(node)
      case "OrElse":
        return this.orElse(node)
    }
  }

  /** The current node has ended without a failure. A plain action is booked here, in the tick in which it returned. */
  step(value: unknown): void {
    if (this.#sends) {
      this.#sends = false
      return
    }
    if (this.progress === Progress.InFlight) this.succeeded(this.nodes[this.index] as StepNode, value, 1)
    if (!this.halted) this.index++
  }

  child(tree: SagaTree, state: State, name: string, part: string | undefined, savePoint = this.savePoint): Sequence {
    return new Sequence(this.execution, tree, state, savePoint, this, name, part)
  }

  /** Makes room in the books for branches before they start, so that nothing they do can be lost. */
  group(
    node: Node,
    concurrency: number,
    count: number,
    open: (index: number) => Sequence,
    touched: (index: number) => boolean
  ): FrameGroup<Sequence> {
    const group: FrameGroup<Sequence> = { _tag: "Group", node, concurrency, logs: [], count, open, touched }
    this.keep(group)
    return group
  }

  /** Makes room for the one branch of a node. */
  single(node: Node, sequence: Sequence): void {
    this.group(node, 1, 1, () => sequence, () => true).logs.push(sequence)
  }

  /** Whether all of it, up to its end, is on record as done. */
  isDone(history: History): boolean {
    return this.nodes.slice(0, this.end).every((node) => isDone(node, this.prefix, history))
  }

  /** Runs the loop of an inner sequence in this fiber. */
  inner(sequence: Sequence, loop: AnyEffect = sequence.loop): AnyEffect {
    return Effect.onExitPrimitive(loop, (exit) => {
      if (Exit.isFailure(exit)) {
        sequence.conclude(exit.cause)
        this.progress = Progress.Reported
      }
      return undefined
    })
  }

  /** Takes over the result of an inner sequence, or stands still with it. */
  adopt(name: string, sequence: Sequence, as: (result: unknown) => unknown = identity): void {
    const done = sequence.take((result) => {
      this.state[name] = as(result)
    })
    if (!done) this.halted = true
  }

  /** Hands over the result of a sequence that has come to its end. Says whether there is one. */
  take(use: (result: unknown) => void): boolean {
    if (!this.complete) return false
    if (!this.execution.committed) {
      use(this.result())
      return true
    }
    const result = Result.try(() => this.result())
    if (Result.isSuccess(result)) use(result.success)
    else this.stumble(Cause.die(result.failure))
    return Result.isSuccess(result)
  }

  /** What it is worth; what the whole saga is must be recordable. */
  result(): unknown {
    const { output } = this.tree
    const result = this.tree.resultOf(this.state)
    const admit = this.execution.recorder?.admit
    if (this.outer !== undefined || output === undefined || admit === undefined) return result
    const admitted = admit("output", output.success, result)
    if (Exit.isFailure(admitted)) throw Cause.squash(admitted.cause)
    return admitted.value
  }

  /** The loop over this sequence. Past the commit point nothing fails: what user code throws halts this sequence alone. */
  get loop(): AnyEffect {
    const loop = Effect.whileLoop(this)
    return this.execution.committed
      ? Effect.catchCause(loop, (cause) => Effect.sync(() => this.stumble(cause)))
      : loop
  }

  /** Books what was thrown past the commit point, at the node where it was, or at the output behind the last. */
  stumble(cause: Cause.Cause<unknown>): void {
    const node = this.nodes[this.index]
    const name = node === undefined ? "output" : node._tag === "Parallel" ? "" : node.name
    ;(this.execution.unfinished ??= []).push({ path: this.pathOf(name), attempts: 1, cause })
    this.halted = true
  }

  // ------------------------------------------------------------------------------------------- steps

  /** A step of an execution in an engine: what is on record is taken from there. */
  act(node: StepNode): AnyEffect {
    const { committed, history } = this.execution
    const past = history?.steps.get(this.pathOf(node.name))
    if (past?.end !== undefined) return this.recall(node, past, past.end)
    return committed ? this.forward(node, past) : this.settle(node, past)
  }

  /** Books what is on record of an action. */
  recall(node: StepNode, past: PastStep, end: NonNullable<PastStep["end"]>): AnyEffect {
    if (end._tag === "StepSucceeded") {
      this.succeeded(node, end.result, end.attempts, true)
      return Effect.void
    }
    const { attempts, cause, path } = end
    if (this.execution.committed) {
      this.giveUp({ path, attempts, cause })
      return Effect.void
    }
    if (end._tag === "StepFailed") this.failed(node, { _tag: "Failed", attempts, cause }, true)
    else {
      const { reason } = end
      // It was undone, or tried to be, with a value that nobody has any more.
      const atHand = past.compensation === undefined || node.whenUncertain !== "report"
        ? {}
        : { atHand: {} }
      this.failed(node, { _tag: "Unknown", attempts, cause, reason, ...atHand }, true, end.whenUncertain === "report")
    }
    return Effect.failCause(cause)
  }

  settle(node: StepNode, past?: PastStep): AnyEffect {
    return Effect.uninterruptible(
      Effect.flatMap(this.settled(node, past), (settled) => {
        switch (settled._tag) {
          case "Succeeded":
            this.succeeded(node, settled.result, settled.attempts)
            return Effect.void
          case "Left":
            return this.left()
          default:
            this.failed(node, settled)
            return Effect.failCause(settled.cause)
        }
      })
    )
  }

  settled(node: StepNode, past: PastStep | undefined): Effect.Effect<Settled | Left> {
    const { residence } = this.execution
    const committed = this.announce(node, past)
    const action = Effect.suspend(() => settle(node, this.surroundings(node, past)))
    const there = residence === undefined ? action : Effect.suspend((): Effect.Effect<Settled | Left> => {
      if (!residence.leaving) return residence.busy(action)
      residence.more = true
      return Effect.succeed({ _tag: "Left" })
    })
    return committed === undefined ? there : Effect.andThen(committed, there)
  }

  /** The execution leaves this process: this sequence stands still where it is. */
  left(): AnyEffect {
    this.progress = Progress.Idle
    this.halted = true
    return Effect.void
  }

  /** Forward recovery: a retriable after its last try halts its own sequence, and no other. */
  forward(node: StepNode, past?: PastStep): AnyEffect {
    return Effect.flatMap(this.settled(node, past), (settled) => {
      if (settled._tag === "Left") return this.left()
      if (settled._tag === "Succeeded") {
        this.succeeded(node, settled.result, settled.attempts)
        return Effect.void
      }
      const failure = { path: this.pathOf(node.name), attempts: settled.attempts, cause: wholeCause(settled) }
      const recorder = this.execution.recorder
      recorder?.record({ _tag: "StepFailed", atMillis: recorder.now(), ...failure })
      this.giveUp(failure)
      return Effect.void
    })
  }

  giveUp(failure: Failure): void {
    ;(this.execution.unfinished ??= []).push(failure)
    this.progress = Progress.Idle
    this.halted = true
  }

  // ------------------------------------------------------------------------------------------- one inner sequence

  choose(node: ChoiceNode): AnyEffect {
    const { history, recorder } = this.execution
    const path = this.pathOf(node.name)
    const past = history?.decisions.get(path)
    const tag = past?._tag === "BranchChosen" ? past.tag ?? undefined : node.choose(this.state)
    if (past === undefined) recorder?.record({ _tag: "BranchChosen", atMillis: recorder.now(), path, tag: tag ?? null })
    if (tag === undefined) {
      this.state[node.name] = undefined
      return Effect.void
    }
    const tree = node.cases.get(tag)
    if (tree === undefined) {
      const saga = this.execution.tree.definition.saga
      return Effect.die(new CaseMissing({ saga, path, tag: String(tag), cases: Array.from(node.cases.keys()) }))
    }
    const sequence = this.child(tree, { ...this.state }, node.name, node.kind === "match" ? tag : undefined)
    this.single(node, sequence)
    return Effect.map(
      this.inner(sequence),
      () => this.adopt(node.name, sequence, node.kind === "match" ? (value) => ({ _tag: tag, value }) : undefined)
    )
  }

  /** Opens the sequence of a nested saga when its payload is right. */
  enter(node: NestedNode): Effect.Effect<Sequence> {
    return Effect.suspend(() => {
      const { history, recorder } = this.execution
      const path = this.pathOf(node.name)
      const enter = (payload: unknown) => {
        const sequence = this.child(node.saga, { payload }, node.name, undefined)
        this.single(node, sequence)
        return sequence
      }
      const past = history?.decisions.get(path)
      if (past?._tag === "NestedStarted") return Effect.succeed(enter(past.payload))
      const schema = node.saga.definition.payload
      return Effect.map(
        Effect.flatMap(validate(node.saga, node.payloadOf(this.state)), (payload) => this.admit(path, schema, payload)),
        (payload) => {
          const { saga, version } = node.saga.definition
          recorder?.record({ _tag: "NestedStarted", atMillis: recorder.now(), path, saga, version, payload })
          return enter(payload)
        }
      )
    })
  }

  /** What a value is once it is recorded; a defect when it cannot be. */
  admit(path: string, schema: Schema.Top | undefined, value: unknown): Effect.Effect<unknown> {
    const admit = this.execution.recorder?.admit
    return admit === undefined ? Effect.succeed(value) : admit(path, schema, value)
  }

  nest(node: NestedNode): AnyEffect {
    return Effect.flatMap(this.enter(node), (sequence) => {
      const limit = node.saga.options.timeoutMillis
      const startedAtMillis = this.execution.history?.decisions.get(this.pathOf(node.name))?.atMillis
      const loop = limit === undefined || this.execution.committed
        ? sequence.loop
        : Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(
            Clock.currentTimeMillis,
            (now) => bounded(sequence, (startedAtMillis ?? now) + limit, node.saga, restore)
          )
        )
      return Effect.map(this.inner(sequence, loop), () => this.adopt(node.name, sequence))
    })
  }

  orElse(node: OrElseNode): AnyEffect {
    const { execution, savePoint } = this
    const { history, recorder } = execution
    const path = this.pathOf(node.name)
    const { close, signal } = savePoint.signal.child()
    const inside = new SavePoint(path, signal, history)
    const first = this.child(node.first, { ...this.state }, node.name, "first", inside)
    this.single(node, first)
    // The errors of the first way are not among those of the saga: those that get outside are defects there.
    const outward = (cause: Cause.Cause<unknown>) => {
      const defects = toDefects(cause)
      inside.mergeInto(savePoint, defects)
      savePoint.signal.stop()
      this.progress = Progress.Reported
      return Effect.failCause(defects)
    }
    const fallBack = (restore: Restore, cause: Cause.Cause<unknown>) => {
      if (execution.leaving) return this.left()
      first.unwound = true
      if (inside.failures !== undefined) return outward(cause)
      if (history?.fellBack.has(path) !== true) {
        recorder?.record({ _tag: "FellBack", atMillis: recorder.now(), path, cause, ...failedAt(inside) })
      }
      const second = this.child(node.second, { ...this.state }, node.name, "second")
      this.single(node, second)
      return Effect.map(restore(this.inner(second)), () => this.adopt(node.name, second))
    }
    // A local unwind that is on record goes on, whatever has happened outside since.
    const unwinds = history?.unwinds.has(path) === true
    const startUnwind = (restore: Restore, cause: Cause.Cause<unknown>) => {
      if (!unwinds) {
        recorder?.record({ _tag: "UnwindStarted", atMillis: recorder.now(), scope: path, cause, ...failedAt(inside) })
      }
      return Effect.flatMap(backward(first), () => fallBack(restore, cause))
    }
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.exit(restore(Effect.whileLoop(first))), (exit): AnyEffect => {
        close()
        if (Exit.isFailure(exit)) first.conclude(exit.cause)
        // What failed may be on record alone: the loop then ends without failing.
        const cause = inside.cause ?? (Exit.isFailure(exit) ? exit.cause : undefined)
        if (cause === undefined) {
          inside.joins(savePoint)
          return Effect.sync(() => this.adopt(node.name, first))
        }
        if (execution.leaving) {
          // Where the first way waits for something it cannot go on at once.
          if (Exit.isFailure(exit) || !first.halted) execution.residence!.more = true
          return this.left()
        }
        if (unwinds) return startUnwind(restore, cause)
        if (!inside.clean || savePoint.signal.stopped) return outward(cause)
        return Effect.flatMap(interrupted(this), (stop) => stop ? outward(cause) : startUnwind(restore, cause))
      })
    )
  }

  // ------------------------------------------------------------------------------------------- many inner sequences

  parallel(node: ParallelNode): AnyEffect {
    const { execution } = this
    const results: State = {}
    const branches = node.branches.map((tree) => this.child(tree, { ...this.state }, "", undefined))
    const touched = (index: number) =>
      this.goesBeyond(execution.history!) || node.branches[index]!.nodes.some((inner) => this.touches(inner))
    const group = this.group(node, node.concurrency, branches.length, (index) => branches[index]!, touched)
    const finished = (branch: Sequence) => {
      if (branch.complete) Object.assign(results, branch.tree.ownOf(branch.state))
      else this.halted = true
    }
    return Effect.map(runBranches(this, group, finished), () => {
      if (group.logs.length < group.count) this.halted = true
      else Object.assign(this.state, results)
    })
  }

  forEach(node: ForEachNode): AnyEffect {
    const { history, recorder } = this.execution
    const path = this.pathOf(node.name)
    const past = history?.decisions.get(path)
    if (past?._tag === "ItemsListed") return this.each(node, past.keys, past.items)
    const items = Array.from(node.items(this.state))
    const keys = items.map(node.key)
    const seen = new Map<string, number>()
    for (const [position, key] of keys.entries()) {
      if (typeof key !== "string") {
        return Effect.die(
          new TypeError(`\`key\` of forEach "${path}" gave ${typeof key} for item ${position}, not a string`)
        )
      }
      const earlier = seen.get(key)
      if (earlier !== undefined) {
        const saga = this.execution.tree.definition.saga
        return Effect.die(new DuplicateItemKey({ saga, path, key, positions: [earlier, position] }))
      }
      seen.set(key, position)
    }
    if (recorder === undefined) return this.each(node, keys, items)
    const admitted = recorder.admit === undefined
      ? Effect.succeed(items)
      : Effect.forEach(items, (item, index) => this.admit(`${path}/${escape(keys[index]!)}`, node.item, item))
    return Effect.flatMap(admitted, (items) => {
      recorder.record({ _tag: "ItemsListed", atMillis: recorder.now(), path, keys, items })
      return this.each(node, keys, items)
    })
  }

  each(node: ForEachNode, keys: ReadonlyArray<string>, items: ReadonlyArray<unknown>): AnyEffect {
    const results: Array<unknown> = new Array(items.length)
    const path = this.pathOf(node.name)
    const open = (index: number) =>
      this.child(node.each, { ...this.state, item: items[index] }, node.name, keys[index]!)
    const { history } = this.execution
    const touched = (index: number) => this.goesBeyond(history!) || history!.touches(`${path}/${escape(keys[index]!)}`)
    const group = this.group(node, node.concurrency, items.length, open, touched)
    const finished = (sequence: Sequence, index: number) => {
      const done = sequence.take((result) => {
        results[index] = result
      })
      if (!done) this.halted = true
    }
    return Effect.map(runBranches(this, group, finished), () => {
      if (group.logs.length < group.count) this.halted = true
      else this.state[node.name] = results
    })
  }
}

/** Which path the failure of a save-point came from, as facts say it. */
export const failedAt = ({ origin }: SavePoint): { readonly failed?: string } =>
  origin === undefined ? {} : { failed: origin }
