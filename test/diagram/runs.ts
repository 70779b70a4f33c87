// Runs of sagas on a virtual clock, as their facts.
import type { Duration } from "effect"
import { Effect, Fiber, Logger } from "effect"
import type { SagaEvent } from "effect-saga"
import { SagaObserver } from "effect-saga"
import { TestClock } from "effect/testing"
import { expect } from "vitest"
import { Act, Refused } from "./sagas.ts"

/** Runs to the end, however that is, and returns the facts. */
export const factsOf = Effect.fn(function*<A, E>(run: Effect.Effect<A, E>, act: Act) {
  const facts: Array<SagaEvent> = []
  const observer = SagaObserver.layer([{ observe: () => ({ onEvent: (fact) => void facts.push(fact) }) }])
  const fiber = yield* Effect.exit(run).pipe(
    Effect.provideService(Act, act),
    Effect.provide([observer, Logger.layer([])]),
    Effect.forkChild
  )
  yield* TestClock.adjust("2 days")
  yield* Fiber.join(fiber)
  return facts
})

type Fate = Effect.Effect<void, Refused>

/** What happens, by path; a compensation is found under `undo <path>`. A time is waited for; what is not named is done at once. */
export const taking =
  (fates: { readonly [path: string]: Duration.Input | Fate | ((attempt: number) => Fate) }): Act =>
  (path, attempt, undo) => {
    const fate = fates[undo ? `undo ${path}` : path]
    if (fate === undefined) return Effect.void
    return typeof fate === "function" ? fate(attempt) : Effect.isEffect(fate) ? fate : Effect.sleep(fate)
  }

/** Takes its time and then says no. */
export const refusing = (time: Duration.Input, why: string): Fate =>
  Effect.andThen(Effect.sleep(time), Effect.fail(new Refused({ why })))

/** Is refused some times before it is done. */
export const refusedAtFirst = (times: number, time: Duration.Input, why: string) => (attempt: number): Fate =>
  attempt <= times ? refusing(time, why) : Effect.sleep(time)

/** Compares with a golden file; `vitest -u` rewrites it. */
export const golden = (file: string, text: string): Effect.Effect<void> =>
  Effect.promise(() => expect(`${text}\n`).toMatchFileSnapshot(`golden/${file}`))
