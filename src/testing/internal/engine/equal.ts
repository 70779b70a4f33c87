/** How a scene ends, in a fiber and on an engine, in text that can be compared. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Formatter from "effect/Formatter"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Saga from "../../../Saga.ts"
import type { SagaEngine } from "../../../SagaEngine.ts"
import type { SagaEvent } from "../../../SagaEvent.ts"
import { collect } from "../../../SagaObserver.ts"
import { fold } from "../../../SagaState.ts"
import { factsOn, isStuck } from "../asking.ts"
import { assert } from "../expect.ts"
import type { Scene } from "./scenes.ts"

const reasonsOf = (cause: Cause.Cause<unknown>): string =>
  cause.reasons.map((reason) => {
    if (Cause.isInterruptReason(reason)) return "Interrupt"
    const value = Cause.isFailReason(reason) ? reason.error : reason.defect
    return `${reason._tag} ${value instanceof Error ? `${value.name} ${value.message}` : Formatter.format(value)}`
  }).sort().join(" and ")

/** What the caller of a saga gets. */
const outcomeOf = (outcome: Saga.Outcome<unknown, unknown>): string => {
  switch (outcome._tag) {
    case "Succeeded":
      return `Succeeded ${Formatter.format(outcome.result)}`
    case "Compensated": {
      const uncertain = outcome.uncertain.map(({ path, reason }) => `${path} ${reason}`).sort().join()
      const { cause, compensated } = outcome
      return `Compensated ${reasonsOf(cause)}; compensated ${[...compensated].sort().join()}; uncertain ${uncertain}`
    }
    case "Stuck":
      return "Stuck"
  }
}

/** Facts without their times. What happens at one moment may be recorded in any order. */
const factsOf = (facts: ReadonlyArray<SagaEvent>): ReadonlyArray<string> =>
  facts.map((fact) => {
    const path = "path" in fact ? ` ${fact.path}` : "scope" in fact ? ` ${fact.scope}` : ""
    const attempts = "attempts" in fact ? ` ${fact.attempts}` : "attempt" in fact ? ` ${fact.attempt}` : ""
    const open = fact._tag === "SagaStuck" ? ` ${fact.reason} ${fact.open.join()}` : ""
    return `${fact._tag}${path}${attempts}${open}`
  }).sort()

/** No error log of what is stuck on purpose. */
const quiet = Saga.onStuck(() => Effect.void)

/** A scene in a fiber. */
export const inFiber = (scene: Scene) =>
  Effect.gen(function*() {
    const calls: Array<string> = []
    const saga = scene((line) => void calls.push(line)).pipe(quiet)
    const [outcome, facts] = yield* collect(Saga.outcome(saga, undefined))
    return { outcome: outcomeOf(outcome), calls: calls.sort(), facts: factsOf(facts) }
  })

/** A scene on an engine, and that everyone who asks is told the same. */
export const onEngine = (engine: SagaEngine["Service"], scene: Scene, executionId: string) =>
  Effect.gen(function*() {
    const calls: Array<string> = []
    const saga = scene((line) => void calls.push(line)).pipe(quiet)
    yield* engine.register(saga)
    yield* engine.start(saga, undefined, { executionId })
    const ask = Effect.map(
      Effect.exit(engine.outcome(saga, executionId, { onStuck: "fail" })),
      (exit) => Exit.isSuccess(exit) ? outcomeOf(exit.value) : isStuck(exit.cause) ? "Stuck" : reasonsOf(exit.cause)
    )
    const outcome = yield* ask
    assert.strictEqual(yield* ask, outcome, "who asks again is told something else")
    const facts = yield* factsOn(engine, saga, executionId)
    const folded = fold(facts)
    assert.isTrue(Result.isSuccess(folded), "its facts are not legal")
    const { state } = Option.getOrThrow(yield* engine.poll(executionId))
    const status = Result.isSuccess(folded) ? folded.success.status : undefined
    assert.deepStrictEqual(
      [state, outcome.split(" ")[0]],
      [status, status],
      "what is polled, awaited and on record differ"
    )
    return { outcome, calls: calls.sort(), facts: factsOf(facts) }
  })
