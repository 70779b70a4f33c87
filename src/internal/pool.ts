/**
 * The branches of one node side by side: so many workers, each taking one branch after the other. When a branch fails no
 * new step starts, and what is in flight is awaited. It knows nothing of what branches consist of.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
import type { Frame, FrameGroup } from "./frame.ts"
import { Progress } from "./frame.ts"
import type { AnyEffect } from "./tree.ts"

/** A sequence with the loop that runs it. */
export interface Branch extends Frame {
  readonly loop: AnyEffect
}

/** Runs all branches of a group, at most so many at once. `finished` is told of each that has not failed. */
export const runBranches = <B extends Branch>(
  around: Frame,
  group: FrameGroup<B>,
  finished: (branch: B, index: number) => void
): AnyEffect => {
  const pool = new Pool(around, group, finished)
  const workers = Math.min(group.concurrency, group.count)
  return Effect.onExitPrimitive(workers <= 1 ? alone(pool) : forked(pool, workers), (exit) => {
    if (Exit.isSuccess(exit)) return undefined
    // An interruption that found nothing but waits is booked by no branch.
    if (around.savePoint.cause === undefined) around.conclude(exit.cause)
    around.progress = Progress.Reported
    return undefined
  })
}

/** What the workers of one group share. */
class Pool<B extends Branch> {
  readonly around: Frame
  readonly group: FrameGroup<B>
  readonly finished: (branch: B, index: number) => void
  failure: Cause.Cause<unknown> | undefined
  #touched: number | undefined

  constructor(around: Frame, group: FrameGroup<B>, finished: (branch: B, index: number) => void) {
    this.around = around
    this.group = group
    this.finished = finished
  }

  /** Whether another branch is opened. When nothing new may start, those are that have facts, so that the books are whole. */
  get open(): boolean {
    const { around, group } = this
    if (group.logs.length >= group.count) return false
    if (!around.savePoint.signal.stopped) return true
    const { history, residence } = around.execution
    if (history !== undefined) {
      if (this.#touched === undefined) {
        this.#touched = group.count
        while (this.#touched > 0 && !group.touched(this.#touched - 1)) this.#touched--
      }
      if (group.logs.length < this.#touched) return true
    }
    if (residence !== undefined && residence.leaving) residence.more = true
    return false
  }
}

/** Takes branches one after the other: the loop that `Effect.whileLoop` drives. */
class Worker<B extends Branch> {
  readonly pool: Pool<B>
  #branch: B | undefined
  #index = 0

  constructor(pool: Pool<B>) {
    this.pool = pool
  }

  while(): boolean {
    // Where a branch has left, who ran it is not free for another.
    if (this.#branch?.complete === false && this.pool.around.execution.leaving) return false
    return this.pool.open
  }

  body(): AnyEffect {
    const { logs, open } = this.pool.group
    this.#index = logs.length
    const branch = this.#branch = open(this.#index)
    logs.push(branch)
    return branch.loop
  }

  step(): void {
    this.pool.finished(this.#branch!, this.#index)
  }

  failed(cause: Cause.Cause<unknown>): void {
    const { around } = this.pool
    ;(this.#branch ?? around).conclude(cause)
    this.pool.failure ??= cause
  }
}

/** One worker, in this fiber. */
const alone = <B extends Branch>(pool: Pool<B>): AnyEffect => {
  const worker = new Worker(pool)
  return Effect.onExitPrimitive(Effect.whileLoop(worker), (exit) => {
    if (Exit.isFailure(exit)) worker.failed(exit.cause)
    return undefined
  })
}

/** Several workers, each in a fiber of its own that always ends. An interruption cuts what may be cut in all of them. */
const forked = <B extends Branch>(pool: Pool<B>, count: number): AnyEffect => {
  const { around } = pool
  const { execution, restore, savePoint } = around
  const cuttable = execution.committed ? identity : restore
  const work = Array.from({ length: count }, () => {
    const worker = new Worker(pool)
    return Effect.matchCauseEffect(cuttable(Effect.whileLoop(worker)), {
      onFailure: (cause) => Effect.sync(() => worker.failed(cause)),
      onSuccess: () => Effect.void
    })
  })
  const end = Effect.suspend(() => pool.failure === undefined ? Effect.void : Effect.failCause(pool.failure))
  const wait = (fibers: Array<Fiber.Fiber<void>>) =>
    Effect.flatMap(Effect.exit(restore(Fiber.awaitAll(fibers))), (exit) => {
      if (Exit.isSuccess(exit)) return end
      savePoint.signal.stop()
      if (!execution.committed) {
        pool.failure ??= exit.cause
        fibers.forEach((fiber) => fiber.interruptUnsafe())
      }
      return Effect.andThen(Fiber.awaitAll(fibers), end)
    })
  return Effect.uninterruptible(Effect.flatMap(
    Effect.forEach(work, (worker) => Effect.forkDetach(worker, { startImmediately: true, uninterruptible: true })),
    wait
  ))
}
