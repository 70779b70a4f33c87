/**
 * A saga from its start to its final state in this fiber: forward to the commit point, through it, and on; or backward.
 * What the outcome is turned into is up to the caller.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type { Failure, Stuck } from "../SagaError.ts"
import { CompensationFailed, ForwardRecoveryFailed, PivotUncertain, StepUncertain } from "../SagaError.ts"
import type { SagaEvent } from "../SagaEvent.ts"
import { Observers } from "../SagaObserver.ts"
import type { StepPath } from "../StepPath.ts"
import { escape, printable } from "../StepPath.ts"
import { effectOf } from "./attempt.ts"
import { backward, bounded, interrupted } from "./bounds.ts"
import { Execution } from "./execution.ts"
import type { Frame, FrameGroup } from "./frame.ts"
import { Progress } from "./frame.ts"
import type { Sequence } from "./interpreter.ts"
import { failedAt, open, validate } from "./interpreter.ts"
import { tell as publishState } from "./lifecycle.ts"
import { logStuck, quietly, Telling, Watched } from "./recorder.ts"
import type { AnyEffect, Node, SagaTree } from "./tree.ts"

/** How a run ended: one of these is called, last. */
export interface Endings<A, E> {
  readonly succeeded: (result: unknown, execution: Execution) => Effect.Effect<A, E>
  readonly compensated: (cause: Cause.Cause<unknown>, execution: Execution, frame: Frame) => Effect.Effect<A, E>
  readonly stuck: (stuck: Stuck, execution: Execution) => Effect.Effect<A, E>
  /** It has left this process and goes on elsewhere, or later. A run without a residence cannot. */
  readonly left?: (execution: Execution) => Effect.Effect<A, E>
  /** What a person can do about one that is stuck, for the log. */
  readonly advice?: (reason: StuckReason) => string
}

/** Runs a saga in the current fiber, from the check of its payload to its last fact. */
export const execute = <A, E>(
  tree: SagaTree,
  payload: unknown,
  executionId: string | undefined,
  endings: Endings<A, E>
): Effect.Effect<A, E> => {
  const its = tree.options.lifecycle === undefined ? endings : telling(endings)
  const start = (checked: unknown) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber) => {
        const execution = prepare(tree, checked, executionId, restore, fiber)
        const { recorder } = execution
        if (recorder !== undefined) {
          const { saga, version } = tree.definition
          recorder.record({ _tag: "SagaStarted", atMillis: recorder.now(), saga, version, payload: checked })
        }
        const run = advance(execution, its)
        return its === endings ? run : Effect.andThen(publishState(execution, "Started"), run)
      })
    )
  return Effect.suspend(() => {
    const checked = validate(tree, payload)
    return Exit.isExit(checked) && Exit.isSuccess(checked) ? start(checked.value) : Effect.flatMap(checked, start)
  })
}

/** Tells others too how a run in a fiber ended. */
const telling = <A, E>(endings: Endings<A, E>): Endings<A, E> => ({
  ...endings,
  succeeded: (result, execution) =>
    Effect.andThen(publishState(execution, "Succeeded"), endings.succeeded(result, execution)),
  compensated: (cause, execution, frame) =>
    Effect.andThen(publishState(execution, "Compensated"), endings.compensated(cause, execution, frame)),
  stuck: (stuck, execution) => Effect.andThen(publishState(execution, "Stuck"), endings.stuck(stuck, execution))
})

/** Runs an execution that has started, from where it stands. Call it in an uninterruptible region. */
export const advance = <A, E>(execution: Execution, endings: Endings<A, E>): Effect.Effect<A, E> => {
  const frame = open(execution)
  return Effect.matchCauseEffect(spine(frame), {
    onFailure: (cause) => failed(frame, cause, endings),
    onSuccess: () => ended(frame, endings)
  })
}

/** The end of a run in a process that the execution has left. */
const left = <A, E>(execution: Execution, endings: Endings<A, E>): Effect.Effect<A, E> => endings.left!(execution)

const prepare = (
  tree: SagaTree,
  payload: unknown,
  executionId: string | undefined,
  restore: Execution["restore"],
  fiber: Fiber.Fiber<unknown, unknown>
): Execution => {
  const observers = fiber.getRef(Observers)
  let id = executionId ?? keyed(tree, payload)
  const makeId = () => id ??= randomId(fiber)
  if (observers.length === 0) return new Execution(tree, payload, restore, undefined, makeId)
  const watched = new Watched(tree.definition, fiber.context, makeId)
  const recorder = new Telling(observers, watched, fiber.getRef(Clock.Clock))
  return new Execution(tree, payload, restore, recorder, makeId)
}

/** The identity that a saga gives its executions: two runs of one payload are known to participants as one. */
export const keyed = ({ definition }: SagaTree, payload: unknown): string | undefined =>
  definition.key === undefined ? undefined : `${definition.saga}/${escape(definition.key(payload))}`

/** The time in milliseconds, then 80 bits from Effect's `Random`: what starts together stands together in an index. */
export const randomId = (fiber: Fiber.Fiber<unknown, unknown>): string => {
  const random = fiber.getRef(Random.Random)
  const hex = (digits: number) =>
    Math.floor(random.nextDoubleUnsafe() * 16 ** digits).toString(16).padStart(digits, "0")
  return fiber.getRef(Clock.Clock).currentTimeMillisUnsafe().toString(16).padStart(12, "0") + hex(10) + hex(10)
}

// ------------------------------------------------------------------------------------------- forward

/** The saga, or a nested one that commits in its place: its part before the commit point, then the rest. */
const spine = (frame: Sequence): AnyEffect => {
  const { execution, tree } = frame
  const limited = tree.options.timeoutMillis !== undefined || execution.limit !== undefined
  const loop = limited ? withinLimit(frame) : frame.restore(Effect.whileLoop(frame))
  const commits = frame.end < frame.nodes.length
  if (execution.residence === undefined) return commits ? Effect.flatMap(loop, () => commit(frame)) : loop
  return Effect.flatMap(loop, () => {
    const { cause } = execution.root
    // What failed may be on record alone, and a cancel fails nothing. What is on record behind it belongs to the books.
    const beyond = commits && execution.history !== undefined && frame.touches(frame.nodes[frame.end]!)
    if (cause !== undefined && !execution.leaving && !beyond) return Effect.failCause(cause)
    return commits && !frame.halted && !execution.leaving ? commit(frame) : Effect.void
  })
}

/** The part before the commit point, bounded by the nearest of the limits of the sagas that it is a part of. */
const withinLimit = (frame: Sequence): AnyEffect =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const { execution, outer: around, tree } = frame
    const own = tree.options.timeoutMillis
    const outer = execution.limit
    const { history } = execution
    const startedAtMillis = around === undefined
      ? history?.startedAtMillis
      : history?.decisions.get(around.pathOf(frame.name))?.atMillis
    const atMillis = (startedAtMillis ?? now) + (own ?? 0)
    if (own !== undefined && (outer === undefined || atMillis < outer.atMillis)) execution.limit = { atMillis, tree }
    const limit = execution.limit!
    return bounded(frame, limit.atMillis, limit.tree, frame.restore)
  })

/** The node that commits, and everything after it. Nothing here is cut by others. */
const commit = (frame: Sequence): AnyEffect =>
  Effect.flatMap(interrupted(frame), (stop) => {
    if (stop) return Effect.interrupt
    const { execution } = frame
    const node = frame.nodes[frame.index]!
    if (node._tag === "Step") execution.commit(true)
    const through = Effect.onExitPrimitive(pass(frame, node), (exit) => {
      if (Exit.isSuccess(exit) && !frame.halted) execution.committed = true
      if (node._tag === "Step") execution.commit(false)
      return undefined
    })
    return Effect.flatMap(through, () => {
      if (frame.halted) return Effect.void
      frame.end = frame.nodes.length
      return frame.loop
    })
  })

/** Passes the node that commits. */
const pass = (frame: Sequence, node: Node): AnyEffect => {
  if (node._tag === "Step" && node.kind === "pivot") {
    return Effect.map(frame.execution.residence === undefined ? frame.settle(node) : frame.act(node), () => {
      if (!frame.halted) frame.index++
    })
  }
  if (node._tag === "Nested") {
    return Effect.flatMap(frame.enter(node), (nested) => {
      nested.end = nested.tree.commitIndex
      return Effect.map(frame.inner(nested, spine(nested)), () => {
        frame.adopt(node.name, nested)
        if (!frame.halted) frame.index++
      })
    })
  }
  // A retriable commits by being started.
  return Effect.void
}

const ended = <A, E>(frame: Sequence, endings: Endings<A, E>): Effect.Effect<A, E> => {
  const { execution } = frame
  if (execution.gone || execution.leaving && !frame.complete) return left(execution, endings)
  let result: unknown
  const taken = Effect.sync(() =>
    frame.take((value) => {
      result = value
    })
  )
  return Effect.matchCauseEffect(taken, {
    onFailure: (cause) => {
      frame.fail({ path: "output", attempts: 1, cause })
      frame.progress = Progress.Reported
      return failed(frame, cause, endings)
    },
    onSuccess: (done) => done ? succeeded(execution, result, endings) : unfinished(frame, endings)
  })
}

const succeeded = <A, E>(execution: Execution, result: unknown, endings: Endings<A, E>): Effect.Effect<A, E> => {
  const { recorder } = execution
  if (recorder === undefined) return endings.succeeded(result, execution)
  return last(
    execution,
    { _tag: "SagaSucceeded", atMillis: recorder.now(), result },
    endings.succeeded(result, execution),
    endings
  )
}

// ------------------------------------------------------------------------------------------- backward

const failed = <A, E>(frame: Sequence, cause: Cause.Cause<unknown>, endings: Endings<A, E>): Effect.Effect<A, E> => {
  const { execution } = frame
  if (execution.gone) return left(execution, endings)
  frame.conclude(cause)
  const { root } = execution
  if (execution.leaving) {
    execution.residence!.more = true
    return left(execution, endings)
  }
  if (root.parked !== undefined) return parked(frame, endings)
  const first = root.cause ?? cause
  const { recorder } = execution
  if (execution.history?.unwinds.has("") !== true) {
    recorder?.record({ _tag: "UnwindStarted", atMillis: recorder.now(), scope: "", cause: first, ...failedAt(root) })
  }
  return Effect.flatMap(Effect.flatMap(backward(frame), () => execution.told(() => Effect.void)), () => {
    if (execution.leaving) return left(execution, endings)
    const failures = root.failures
    if (failures !== undefined) return stuck(frame, failures, "CompensationFailed", endings)
    const forgotten = forgottenIn(frame)
    if (forgotten !== undefined) return Effect.die(forgotten)
    const uncertain = root.uncertain ?? []
    const end = endings.compensated(first, execution, frame)
    const warned = uncertain.length === 0 ? end : Effect.andThen(
      quietly(Effect.logWarning(
        `Saga "${execution.tree.definition.saga}" (${
          printable(execution.id)
        }) was compensated, but for steps of unknown outcome: ${
          uncertain.map((step) => `${step.path} (${step.reason})`).join(", ")
        }. Ask their participants`
      )),
      end
    )
    return recorder === undefined ? warned : last(
      execution,
      { _tag: "SagaCompensated", atMillis: recorder.now(), uncertain: uncertain.map((step) => step.path) },
      warned,
      endings
    )
  })
}

/** The last look at the books of an execution that went on: it is never said to be compensated when something is not. */
const forgottenIn = (frame: Frame): Error | undefined => {
  const { history } = frame.execution
  if (history === undefined) return undefined
  const due = new Set(Array.from(frame.due(), ({ path }) => path))
  const forgotten = Array.from(history.compensatable()).filter((path) => !due.has(path))
  return forgotten.length === 0
    ? undefined
    : new Error(`effect-saga: on record as done, and not in the books that were unwound: ${forgotten.join(", ")}`)
}

/** A step of unknown outcome forbids every compensation. */
const parked = <A, E>(frame: Sequence, endings: Endings<A, E>): Effect.Effect<A, E> => {
  const steps = frame.execution.root.parked!
  const failures = steps.map(({ attempts, path, pivot, reason }): Failure => ({
    path,
    attempts,
    cause: Cause.fail(pivot ? new PivotUncertain({ path, reason }) : new StepUncertain({ path, reason }))
  }))
  const all = [...failures, ...frame.execution.root.failures ?? []]
  return stuck(frame, all, steps.some((step) => step.pivot) ? "PivotUncertain" : "StepUncertain", endings)
}

type StuckReason = Extract<SagaEvent, { readonly _tag: "SagaStuck" }>["reason"]

const stuck = <A, E>(
  frame: Sequence,
  failures: ReadonlyArray<Failure>,
  reason: Exclude<StuckReason, "ForwardRecoveryFailed">,
  endings: Endings<A, E>
): Effect.Effect<A, E> => {
  const { execution } = frame
  const { root } = execution
  const parked = root.parked ?? []
  const given = new Set(failures.map((failure) => failure.path))
  const undone: Array<StepPath> = []
  const standing: Array<StepPath> = []
  for (const { path, unwound } of frame.due()) {
    const stands = given.has(path) || parked.length > 0 && !unwound
    ;(stands ? standing : undone).push(path)
  }
  const error = new CompensationFailed({
    saga: execution.tree.definition.saga,
    executionId: execution.id,
    reason,
    original: root.cause ?? Cause.empty,
    failures,
    compensated: undone,
    uncompensated: standing,
    uncertain: [...parked.map(({ cause, path, reason }) => ({ path, reason, cause })), ...root.uncertain ?? []]
  })
  return tell(execution, error, [...parked.map((step) => step.path), ...standing], reason, endings)
}

/** Past the commit point something is left to do. */
const unfinished = <A, E>(frame: Sequence, endings: Endings<A, E>): Effect.Effect<A, E> => {
  const { execution } = frame
  const left = Array.from(leftOf(frame))
  const error = new ForwardRecoveryFailed({
    saga: execution.tree.definition.saga,
    executionId: execution.id,
    left,
    failures: execution.unfinished ?? []
  })
  return tell(execution, error, left, "ForwardRecoveryFailed", endings)
}

/** What has not ended, the first to do first. */
function* leftOf(frame: Frame): Generator<StepPath> {
  const node = frame.nodes[frame.index]
  if (node === undefined) {
    if (frame.halted) yield frame.pathOf("output")
    return
  }
  const group = frame.entries.find((entry) => entry._tag === "Group" && entry.node === node)
  if (group?._tag === "Group") yield* leftIn(group)
  // A wait is nothing to do for a person, unless something was thrown there.
  if (node._tag === "Sleep" || node._tag === "Await") {
    const path = frame.pathOf(node.name)
    if (frame.execution.unfinished?.some((failure) => failure.path === path) === true) yield path
  }
  for (const rest of frame.nodes.slice(group === undefined ? frame.index : frame.index + 1)) yield* namesOf(frame, rest)
}

/** What has not ended in branches that were opened, then those that were not. */
function* leftIn({ count, logs, open }: FrameGroup): Generator<StepPath> {
  for (const log of logs) if (!log.complete) yield* leftOf(log)
  for (let index = logs.length; index < count; index++) yield* leftOf(open(index))
}

const namesOf = (frame: Frame, node: Node): ReadonlyArray<StepPath> =>
  node._tag === "Parallel"
    ? node.branches.flatMap((branch) => branch.nodes.flatMap((inner) => namesOf(frame, inner)))
    : node._tag === "Sleep" || node._tag === "Await"
    ? []
    : [frame.pathOf(node.name)]

const tell = <A, E>(
  execution: Execution,
  error: Stuck["error"],
  open: ReadonlyArray<StepPath>,
  reason: StuckReason,
  endings: Endings<A, E>
): Effect.Effect<A, E> => {
  const { recorder, tree } = execution
  const stuck: Stuck = { saga: tree.definition.saga, executionId: execution.id, error }
  const log = () => logStuck(error, endings.advice?.(reason))
  const onStuck = tree.options.onStuck ?? log
  const told = Effect.matchCauseEffect(Effect.suspend(() => effectOf(onStuck(stuck), undefined)), {
    onFailure: (cause) => quietly(Effect.andThen(log(), Effect.logError("Its `onStuck` failed", cause))),
    onSuccess: () => Effect.void
  })
  const end = Effect.andThen(told, endings.stuck(stuck, execution))
  if (recorder === undefined) return end
  return last(execution, { _tag: "SagaStuck", atMillis: recorder.now(), reason, open }, end, endings)
}

/** Records the last fact of a run before its end is known to anyone. */
const last = <A, E>(
  execution: Execution,
  event: SagaEvent,
  end: Effect.Effect<A, E>,
  endings: Endings<A, E>
): Effect.Effect<A, E> => {
  const recorder = execution.recorder!
  recorder.record(event)
  const committed = recorder.commit()
  if (committed === undefined) return end
  return Effect.andThen(committed, Effect.suspend(() => execution.gone ? left(execution, endings) : end))
}
