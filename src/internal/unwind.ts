/**
 * Backward recovery: walks what was done in reverse and compensates it, each compensation shielded from outside, with a
 * limit to every try and a schedule of tries. A compensation that fails to its last try stops no other.
 *
 * Compensations run in one fiber as long as they end at once. The first that has to be waited for is watched alone; so
 * a limit costs nothing where it is not needed.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
import * as Schedule from "effect/Schedule"
import { CompensationTimedOut } from "../SagaError.ts"
import type { NextDelay } from "./attempt.ts"
import { delays, inputOf } from "./attempt.ts"
import type { PastStep } from "./history.ts"
import type { Residence } from "./residence.ts"
import { StopSignal } from "./signal.ts"
import type { AnyEffect, AnySchedule } from "./tree.ts"
import type { Awaited } from "./wait.ts"
import { awaitWithin, pauseUntil } from "./wait.ts"

/** How long one try of a compensation may take when its step does not say. */
export const defaultCompensationTimeoutMillis = 30_000

/** Five tries, the first pause 100 ms, each pause twice the one before. */
const defaultSchedule: AnySchedule = Schedule.max([Schedule.exponential("100 millis"), Schedule.recurs(4)])

/** What is on record of a compensation that was started in another process. */
type Past = NonNullable<PastStep["compensation"]>

/** Branches that are undone side by side. */
export interface UndoGroup {
  readonly logs: ReadonlyArray<UndoLog>
  readonly concurrency: number
}

/** What was done in one sequence, oldest first, and how each entry is undone. */
export interface UndoLog {
  readonly size: number
  /** Undone already, on its own: passed over. */
  readonly unwound: boolean
  readonly groupAt: (index: number) => UndoGroup | undefined
  readonly pathAt: (index: number) => string
  readonly limitAt: (index: number) => number
  readonly retryAt: (index: number) => AnySchedule | undefined
  readonly pastAt: (index: number) => Past | undefined
  readonly compensate: (index: number, attempt: number) => AnyEffect
  readonly compensated: (index: number, attempts: number) => void
  readonly attemptFailed: (
    index: number,
    attempt: number,
    cause: Cause.Cause<unknown>,
    nextAtMillis: number
  ) => Effect.Effect<void> | undefined
  readonly gaveUp: (index: number, attempts: number, cause: Cause.Cause<unknown>, recorded?: boolean) => void
}

/** Walks one or several logs backwards. It is the loop that `Effect.whileLoop` drives. */
class Unwind {
  /** From then on no try is repeated. */
  readonly deadlineMillis: number | undefined
  readonly residence: Residence | undefined
  /** The logs that are open, the innermost last, and where each stands. */
  readonly #logs: Array<UndoLog> = []
  readonly #positions: Array<number> = []
  readonly #take: () => UndoLog | undefined
  attempt = 1
  next: NextDelay | undefined
  /** End the loop after the compensation that runs now: its fiber is being watched. */
  pause = false
  /** The loop has ended for that reason: there may be more to compensate. */
  paused = false
  inGroup = false
  /** The loop has ended before a compensation that was started in another process. */
  past: Past | undefined
  #resumed = false
  /** The execution has left while a group was undone, perhaps in the middle of it. */
  #left = false

  constructor(deadlineMillis: number | undefined, residence: Residence | undefined, take: () => UndoLog | undefined) {
    this.deadlineMillis = deadlineMillis
    this.residence = residence
    this.#take = take
  }

  get log(): UndoLog {
    return this.#logs[this.#logs.length - 1]!
  }

  get index(): number {
    return this.#positions[this.#positions.length - 1]!
  }

  /** Moves to the next entry that is to be compensated. */
  while(): boolean {
    if (this.pause) {
      this.pause = false
      this.paused = true
      return false
    }
    this.paused = false
    if (this.#left) return false
    while (true) {
      if (this.#logs.length === 0) {
        const log = this.#take()
        if (log === undefined) return false
        this.#open(log)
      } else if (this.index < 0) {
        this.#logs.pop()
        this.#positions.pop()
      } else {
        const group = this.log.groupAt(this.index)
        if (group === undefined && this.#isRecorded()) continue
        if (group === undefined || group.concurrency > 1 && group.logs.length > 1) return this.#mayStart()
        this.#positions[this.#positions.length - 1]!--
        for (const log of group.logs) this.#open(log)
      }
    }
  }

  /** Passes over a compensation whose end is on record. */
  #isRecorded(): boolean {
    const { index, log } = this
    const end = this.residence === undefined ? undefined : log.pastAt(index)?.end
    if (end === undefined) return false
    if (end._tag === "CompensationFailed") log.gaveUp(index, end.attempts, end.cause, true)
    this.advance()
    return true
  }

  #mayStart(): boolean {
    if (this.residence === undefined) return true
    if (this.residence.leaving) {
      this.residence.more = true
      return false
    }
    if (this.#resumed || this.log.groupAt(this.index) !== undefined) return true
    this.past = this.log.pastAt(this.index)
    return this.past === undefined
  }

  /** Goes on with a compensation behind the tries that are on record. */
  resume(tries: number, next: NextDelay | undefined): void {
    this.past = undefined
    this.#resumed = true
    this.attempt = tries + 1
    this.next = next
  }

  body(): AnyEffect {
    const group = this.log.groupAt(this.index)
    if (group === undefined) {
      const compensation = this.log.compensate(this.index, this.attempt)
      return this.residence === undefined ? compensation : this.residence.busy(compensation)
    }
    this.inGroup = true
    return unwindGroup(group, this.deadlineMillis, this.residence)
  }

  step(): void {
    if (this.inGroup) {
      this.inGroup = false
      this.#left = this.residence?.leaving === true
    } else this.log.compensated(this.index, this.attempt)
    this.advance()
  }

  advance(): void {
    this.attempt = 1
    this.next = undefined
    this.#resumed = false
    this.#positions[this.#positions.length - 1]!--
  }

  /** What runs now needs no limit: a group bounds its own compensations, and behind the last there is nothing. */
  get unlimited(): boolean {
    return this.inGroup || this.#logs.length === 0
  }

  #open(log: UndoLog): void {
    if (log.unwound || log.size === 0) return
    this.#logs.push(log)
    this.#positions.push(log.size - 1)
  }
}

/**
 * Compensates what the logs hold, the last log first. Never fails, and ends early when the execution leaves this process;
 * call it in an uninterruptible region.
 */
export const unwind = (
  logs: ReadonlyArray<UndoLog>,
  deadlineMillis: number | undefined,
  residence?: Residence
): Effect.Effect<void> => {
  let left = logs.length
  return drain(new Unwind(deadlineMillis, residence, () => logs[--left]))
}

const unwindGroup = (
  group: UndoGroup,
  deadlineMillis: number | undefined,
  residence: Residence | undefined
): Effect.Effect<void> => {
  const logs = group.logs
  let left = logs.length
  const worker = () => drain(new Unwind(deadlineMillis, residence, () => logs[--left]))
  const workers = Array.from({ length: Math.min(group.concurrency, logs.length) }, worker)
  return Effect.flatMap(
    Effect.forEach(workers, (work) => Effect.forkDetach(work, { startImmediately: true, uninterruptible: true })),
    (fibers) => Effect.asVoid(Fiber.awaitAll(fibers))
  )
}

const drain = (loop: Unwind): Effect.Effect<void> =>
  Effect.flatMap(Effect.forkDetach(Effect.whileLoop(loop), { startImmediately: true }), (fiber) => {
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return ended(loop, exit, false)
    loop.pause = true
    const forget = loop.residence?.gone.listen(() => fiber.interruptUnsafe())
    return loop.unlimited
      ? Effect.flatMap(Fiber.await(fiber), (exit) => (forget?.(), ended(loop, exit, false)))
      : Effect.flatMap(
        awaitWithin(fiber, loop.log.limitAt(loop.index)),
        (awaited) => (forget?.(), watched(loop, awaited))
      )
  })

/** Goes on with a compensation that was started in another process. */
const resume = (loop: Unwind, { before, failed }: Past): Effect.Effect<void> =>
  Effect.gen(function*() {
    let next: NextDelay | undefined
    if (failed.length > 0) {
      next = yield* delays(loop.log.retryAt(loop.index) ?? defaultSchedule)
      for (const attempt of failed.slice(before)) {
        yield* Effect.exit(next(inputOf(attempt.cause), attempt.atMillis))
      }
    }
    loop.resume(failed.length, next)
    return yield* waitAndDrain(loop, failed.at(-1)?.nextAtMillis ?? 0)
  })

/** Waits for the next try of a compensation, unless the execution leaves meanwhile. */
const waitAndDrain = (loop: Unwind, dueAtMillis: number): Effect.Effect<void> => {
  const { residence } = loop
  const wait = pauseUntil(dueAtMillis, residence, false, residence?.leave ?? new StopSignal(), identity)
  return Effect.flatMap(wait, (waited) => waited ? drain(loop) : Effect.void)
}

const watched = (loop: Unwind, awaited: Awaited<void>): Effect.Effect<void> => {
  if (awaited._tag === "Ended") return ended(loop, awaited.exit, awaited.timedOut)
  return tryAgain(loop, Cause.die(timedOut(loop, true)))
}

const timedOut = (loop: Unwind, abandoned: boolean): CompensationTimedOut =>
  new CompensationTimedOut({
    path: loop.log.pathAt(loop.index),
    limitMillis: loop.log.limitAt(loop.index),
    abandoned
  })

const ended = (loop: Unwind, exit: Exit.Exit<void, unknown>, late: boolean): Effect.Effect<void> => {
  if (Exit.isSuccess(exit)) {
    return loop.past !== undefined ? resume(loop, loop.past) : loop.paused ? drain(loop) : Effect.void
  }
  if (loop.residence?.isGone === true) return Effect.void
  const rest = exit.cause.reasons.filter((reason) => !Cause.isInterruptReason(reason))
  return tryAgain(
    loop,
    late ? Cause.combine(Cause.die(timedOut(loop, false)), Cause.fromReasons(rest)) : exit.cause
  )
}

/** A try has failed with this cause: waits for the next one, or gives this compensation up and goes on. */
const tryAgain = (loop: Unwind, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  // No generator: its frame would stay under everything that is still to be unwound.
  Effect.flatMap(Effect.exit(nextDelay(loop, cause)), (next) => {
    const { index, log } = loop
    loop.pause = false
    if (Exit.isFailure(next) || next.value === undefined) {
      log.gaveUp(index, loop.attempt, Exit.isFailure(next) ? Cause.combine(cause, next.cause) : cause)
      loop.advance()
      return drain(loop)
    }
    const millis = next.value
    return Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.flatMap(log.attemptFailed(index, loop.attempt, cause, now + millis) ?? Effect.void, () => {
        loop.attempt++
        return waitAndDrain(loop, now + millis)
      }))
  })

const nextDelay = (loop: Unwind, cause: Cause.Cause<unknown>): Effect.Effect<number | undefined> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    if (loop.deadlineMillis !== undefined && now >= loop.deadlineMillis) return Effect.succeed(undefined)
    const input = Cause.squash(cause)
    return loop.next === undefined
      ? Effect.flatMap(delays(loop.log.retryAt(loop.index) ?? defaultSchedule), (next) => (loop.next = next)(input))
      : loop.next(input)
  })
