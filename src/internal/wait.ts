/**
 * Waiting with an end: for a delay that a signal cuts, for an action with a limit, for a fiber that may have to be given
 * up. Everything here is called in an uninterruptible region; `restore` says where an interruption may come in.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Residence } from "./residence.ts"
import type { StopSignal } from "./signal.ts"
import type { AnyEffect } from "./tree.ts"

/** Makes an effect interruptible where the caller of the saga allows it. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** How long a fiber that was interrupted at its limit may use for its finalizers before it is given up. */
const graceMillis = 1_000

/** Runs what concerns the outside world by its clock, whatever the clock of the sagas is. */
export const onClock = <A, E, R>(clock: Clock.Clock, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(effect, Clock.Clock, clock)

/** Runs `onFire` after a while. Interrupt the fiber to disarm it. */
const arm = (millis: number, onFire: () => void): Effect.Effect<Fiber.Fiber<void>> =>
  Effect.forkDetach(Effect.map(Effect.sleep(millis), onFire), { startImmediately: true })

/** Waits, and says whether it waited to the end: a stop or an interruption cuts it. */
export const delay = (millis: number, signal: StopSignal, restore: Restore): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    if (signal.stopped) return Effect.succeed(false)
    if (millis <= 0) {
      return Effect.map(Effect.exit(restore(Effect.yieldNow)), (exit) => Exit.isSuccess(exit) && !signal.stopped)
    }
    return Effect.flatMap(arm(millis, () => {}), (timer) => {
      let cut = false
      const forget = signal.listen(() => {
        cut = true
        timer.interruptUnsafe()
      })
      return Effect.map(Effect.exit(restore(Fiber.await(timer))), (exit) => {
        forget()
        if (Exit.isFailure(exit)) timer.interruptUnsafe()
        return Exit.isSuccess(exit) && !cut
      })
    })
  })

/** A delay of an execution, which may leave meanwhile. `pause`: of an action or compensation that is not in flight now. */
export const pauseUntil = (
  dueAtMillis: number,
  residence: Residence | undefined,
  pause: boolean,
  signal: StopSignal,
  restore: Restore
): Effect.Effect<boolean> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const wait = delay(dueAtMillis - now, signal, restore)
    return residence === undefined ? wait : residence.waiting(dueAtMillis, pause, wait)
  })

/** How an action with a limit ended. */
export interface Ended<A> {
  readonly exit: Exit.Exit<A, unknown>
  /** The limit passed first. The exit tells what the action still had to say when it was cut off. */
  readonly timedOut: boolean
}

/**
 * Runs an action in a fiber of its own, cut off at its limit or by an interruption, and waits for its end: an action
 * that is cut off and still succeeds has succeeded.
 */
export const withLimit = <A>(
  action: AnyEffect<A>,
  millis: number,
  restore: Restore,
  onFire?: () => void
): Effect.Effect<Ended<A>> =>
  Effect.flatMap(Effect.forkDetach(action, { startImmediately: true }), (fiber) => {
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return Effect.succeed({ exit, timedOut: false })
    let timedOut = false
    const fire = () => {
      timedOut = true
      onFire?.()
      fiber.interruptUnsafe()
    }
    return Effect.flatMap(arm(millis, fire), (timer) =>
      Effect.flatMap(Effect.exit(restore(Fiber.await(fiber))), (waited) => {
        timer.interruptUnsafe()
        if (Exit.isSuccess(waited)) {
          return Effect.succeed({ exit: waited.value, timedOut })
        }
        fiber.interruptUnsafe()
        return Effect.map(Fiber.await(fiber), (exit) => ({ exit, timedOut }))
      }))
  })

/** Asks a question with a limit, 30 seconds unless given. Behind it there is no answer, whatever the question does. */
export const answer = <A>(question: AnyEffect<A>, millis = 30_000): Effect.Effect<Exit.Exit<A, unknown>> =>
  Effect.flatMap(Effect.forkDetach(question, { startImmediately: true }), (fiber) => {
    const exit = fiber.pollUnsafe()
    return exit === undefined
      ? Effect.map(
        awaitWithin(fiber, millis),
        (awaited) =>
          awaited._tag === "Ended" && !(awaited.timedOut && Exit.isFailure(awaited.exit))
            ? awaited.exit
            : Exit.die(new Cause.TimeoutError(`No answer to \`verify\` within ${millis} ms`))
      )
      : Effect.succeed(exit)
  })

/** How a fiber with a limit ended; `Abandoned`: it did not, although it was interrupted. */
export type Awaited<A> =
  | { readonly _tag: "Ended"; readonly exit: Exit.Exit<A, unknown>; readonly timedOut: boolean }
  | { readonly _tag: "Abandoned" }

/** Waits for a fiber up to its limit, interrupts it then, and gives it up when it ignores that. */
export const awaitWithin = <A>(fiber: Fiber.Fiber<A, unknown>, millis: number): Effect.Effect<Awaited<A>> => {
  let timedOut = false
  let give: ((awaited: Awaited<A>) => void) | undefined
  const watch = Effect.suspend(() => {
    timedOut = true
    fiber.interruptUnsafe()
    return Effect.map(Effect.sleep(graceMillis), () => give?.({ _tag: "Abandoned" }))
  })
  return Effect.flatMap(
    Effect.forkDetach(Effect.andThen(Effect.sleep(millis), watch), { startImmediately: true }),
    (timer) =>
      Effect.callback<Awaited<A>>((resume) => {
        give = (awaited) => resume(Effect.succeed(awaited))
        fiber.addObserver((exit) => {
          timer.interruptUnsafe()
          resume(Effect.succeed({ _tag: "Ended", exit, timedOut }))
        })
      })
  )
}
