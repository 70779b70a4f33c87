/**
 * The one interpreter: walks a saga node by node and keeps every fact of it. A sequence is a loop that Effect drives; a
 * node that holds sequences runs their loops, in this fiber or in others, and books what becomes of them.
 *
 * It unwinds nothing but the first way of an `orElse`; that the whole saga unwinds is decided by who started it.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Result from "effect/Result"
import * as SchemaIssue from "effect/SchemaIssue"
import { CaseMissing, DuplicateItemKey, PayloadInvalid, SagaTimedOut } from "../SagaError.ts"
import type { Settled } from "./attempt.ts"
import { settle, wholeCause } from "./attempt.ts"
import { toDefects } from "./cause.ts"
import type { Execution } from "./execution.ts"
import { SavePoint } from "./execution.ts"
import type { FrameGroup } from "./frame.ts"
import { Frame, Progress } from "./frame.ts"
import { runBranches } from "./pool.ts"
import type {
  AnyEffect,
  ChoiceNode,
  ForEachNode,
  NestedNode,
  Node,
  OrElseNode,
  ParallelNode,
  SagaTree,
  SleepNode,
  State,
  StepNode
} from "./tree.ts"
import { unwind } from "./unwind.ts"
import type { Restore } from "./wait.ts"
import { delay, withLimit } from "./wait.ts"

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

  while(): boolean {
    return this.index < this.end && !this.savePoint.signal.stopped && !this.halted
  }

  /** The next node. Past the commit point an interruption has waited for the last one, and nothing more is started. */
  body(): AnyEffect {
    const node = this.nodes[this.index]!
    if (!this.execution.committed) return this.visit(node)
    return Effect.flatMap(interrupted(this), (stop) => {
      if (!stop) return this.visit(node)
      this.halted = true
      return Effect.void
    })
  }

  visit(node: Node): AnyEffect {
    switch (node._tag) {
      case "Step":
        return this.execution.committed ? this.forward(node) : node.simple ? this.start(node) : this.settle(node)
      case "Sleep":
        return this.sleep(node)
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
    if (this.progress === Progress.InFlight) this.succeeded(this.nodes[this.index] as StepNode, value, 1)
    if (!this.halted) this.index++
  }

  child(tree: SagaTree, state: State, name: string, part: string | undefined, savePoint = this.savePoint): Sequence {
    return new Sequence(this.execution, tree, state, savePoint, this, name, part)
  }

  /** Makes room in the books for branches before they start, so that nothing they do can be lost. */
  group(node: Node, concurrency: number, count: number, open: (index: number) => Sequence): FrameGroup<Sequence> {
    const group: FrameGroup<Sequence> = { _tag: "Group", node, concurrency, logs: [], count, open }
    this.keep(group)
    return group
  }

  /** Makes room for the one branch of a node. */
  single(node: Node, sequence: Sequence): void {
    this.group(node, 1, 1, () => sequence).logs.push(sequence)
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
      use(this.tree.resultOf(this.state))
      return true
    }
    const result = Result.try(() => this.tree.resultOf(this.state))
    if (Result.isSuccess(result)) use(result.success)
    else this.stumble(Cause.die(result.failure))
    return Result.isSuccess(result)
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

  settle(node: StepNode): AnyEffect {
    return Effect.uninterruptible(
      Effect.flatMap(this.settled(node), (settled) => {
        if (settled._tag === "Succeeded") {
          this.succeeded(node, settled.result, settled.attempts)
          return Effect.void
        }
        this.failed(node, settled)
        return Effect.failCause(settled.cause)
      })
    )
  }

  settled(node: StepNode): Effect.Effect<Settled> {
    const committed = this.announce(node)
    const action = Effect.suspend(() => settle(node, this.surroundings(node)))
    return committed === undefined ? action : Effect.andThen(committed, action)
  }

  /** Forward recovery: a retriable after its last try halts its own sequence, and no other. */
  forward(node: StepNode): AnyEffect {
    return Effect.map(this.settled(node), (settled) => {
      if (settled._tag === "Succeeded") return this.succeeded(node, settled.result, settled.attempts)
      const failure = { path: this.pathOf(node.name), attempts: settled.attempts, cause: wholeCause(settled) }
      ;(this.execution.unfinished ??= []).push(failure)
      const recorder = this.execution.recorder
      recorder?.record({ _tag: "StepFailed", atMillis: recorder.now(), ...failure })
      this.progress = Progress.Idle
      this.halted = true
    })
  }

  sleep(node: SleepNode): AnyEffect {
    return Effect.uninterruptible(Effect.suspend(() => {
      const millis = Duration.toMillis(node.duration(this.state))
      const recorder = this.execution.recorder
      const path = this.pathOf(node.name)
      const atMillis = recorder?.now() ?? 0
      recorder?.record({ _tag: "TimerSet", atMillis, path, fireAtMillis: atMillis + millis })
      const wait = Effect.map(delay(millis, this.savePoint.signal, this.restore), (toTheEnd) => {
        if (toTheEnd) recorder?.record({ _tag: "TimerFired", atMillis: recorder.now(), path })
        else this.halted = true
      })
      const committed = recorder?.commit()
      return committed === undefined ? wait : Effect.andThen(committed, wait)
    }))
  }

  // ------------------------------------------------------------------------------------------- one inner sequence

  choose(node: ChoiceNode): AnyEffect {
    const tag = node.choose(this.state)
    const recorder = this.execution.recorder
    const path = this.pathOf(node.name)
    recorder?.record({ _tag: "BranchChosen", atMillis: recorder.now(), path, tag: tag ?? null })
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
    return Effect.suspend(() =>
      Effect.map(validate(node.saga, node.payloadOf(this.state)), (payload) => {
        const sequence = this.child(node.saga, { payload }, node.name, undefined)
        const { saga, version } = node.saga.definition
        const recorder = this.execution.recorder
        const path = this.pathOf(node.name)
        recorder?.record({ _tag: "NestedStarted", atMillis: recorder.now(), path, saga, version, payload })
        this.single(node, sequence)
        return sequence
      })
    )
  }

  nest(node: NestedNode): AnyEffect {
    return Effect.flatMap(this.enter(node), (sequence) => {
      const limit = node.saga.options.timeoutMillis
      const loop = limit === undefined || this.execution.committed
        ? sequence.loop
        : Effect.uninterruptibleMask((restore) => bounded(sequence, limit, node.saga, restore))
      return Effect.map(this.inner(sequence, loop), () => this.adopt(node.name, sequence))
    })
  }

  orElse(node: OrElseNode): AnyEffect {
    const { execution, savePoint } = this
    const recorder = execution.recorder
    const path = this.pathOf(node.name)
    const { close, signal } = savePoint.signal.child()
    const inside = new SavePoint(path, signal)
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
      first.unwound = true
      if (inside.failures !== undefined) return outward(cause)
      recorder?.record({ _tag: "FellBack", atMillis: recorder.now(), path, cause })
      const second = this.child(node.second, { ...this.state }, node.name, "second")
      this.single(node, second)
      return Effect.map(restore(this.inner(second)), () => this.adopt(node.name, second))
    }
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.exit(restore(Effect.whileLoop(first))), (exit): AnyEffect => {
        close()
        if (Exit.isSuccess(exit)) {
          inside.joins(savePoint)
          return Effect.sync(() => this.adopt(node.name, first))
        }
        first.conclude(exit.cause)
        const cause = inside.cause ?? exit.cause
        if (!inside.clean || savePoint.signal.stopped) return outward(cause)
        return Effect.flatMap(interrupted(this), (stop) => {
          if (stop) return outward(cause)
          recorder?.record({ _tag: "UnwindStarted", atMillis: recorder.now(), scope: path, cause })
          return Effect.flatMap(backward(first), () => fallBack(restore, cause))
        })
      })
    )
  }

  // ------------------------------------------------------------------------------------------- many inner sequences

  parallel(node: ParallelNode): AnyEffect {
    const results: State = {}
    const branches = node.branches.map((tree) => this.child(tree, { ...this.state }, "", undefined))
    const group = this.group(node, node.concurrency, branches.length, (index) => branches[index]!)
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
    const items = Array.from(node.items(this.state))
    const path = this.pathOf(node.name)
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
    const recorder = this.execution.recorder
    recorder?.record({ _tag: "ItemsListed", atMillis: recorder.now(), path, keys, items })
    const results: Array<unknown> = new Array(items.length)
    const open = (index: number) =>
      this.child(node.each, { ...this.state, item: items[index] }, node.name, keys[index]!)
    const group = this.group(node, node.concurrency, items.length, open)
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

/** Whether the fiber of the saga has been interrupted. Call it in an uninterruptible region. */
export const interrupted = (sequence: Sequence): Effect.Effect<boolean> =>
  Effect.map(Effect.exit(sequence.restore(Effect.void)), Exit.isFailure)

/** Compensates what a sequence has done, by what its saga says about all compensations. */
export const backward = (sequence: Sequence): Effect.Effect<void> => {
  if (sequence.size === 0) return Effect.void
  const limit = sequence.execution.tree.options.unwindDeadlineMillis
  return limit === undefined
    ? unwind([sequence], undefined)
    : Effect.flatMap(Clock.currentTimeMillis, (now) => unwind([sequence], now + limit))
}

/** Runs a sequence with a time limit: when it passes, what may be cut is cut, and the limit is the failure. */
export const bounded = (sequence: Sequence, millis: number, saga: SagaTree, restore: Restore): AnyEffect => {
  const limitMillis = saga.options.timeoutMillis ?? millis
  const error = new SagaTimedOut({ saga: saga.definition.saga, limitMillis })
  const onFire = () => sequence.fail({ path: sequence.prefix, attempts: 1, cause: Cause.fail(error) })
  // The limit cuts what may be cut even where the caller of the saga forbids interruption.
  sequence.restore = Effect.interruptible
  return Effect.flatMap(
    withLimit(Effect.whileLoop(sequence), millis, restore, onFire),
    ({ exit, timedOut }) => {
      sequence.restore = restore
      if (!timedOut) return exit
      // A wait that was cut ends without a failure of its own.
      if (Exit.isFailure(exit)) sequence.conclude(exit.cause)
      else sequence.progress = Progress.Reported
      return Effect.fail(error)
    }
  )
}
