/** Asking an engine about an execution that has ended or is stuck. It starts none. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { AwaitError } from "../../ExecutionError.ts"
import type { SagaEngine } from "../../SagaEngine.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import type { Saga } from "../../SagaValue.ts"

/** All facts of an execution that is over, or parked for a person. */
export const factsOn = <P, S, O, A, E, R>(
  engine: SagaEngine["Service"],
  saga: Saga<P, S, O, A, E, R>,
  executionId: string
): Effect.Effect<ReadonlyArray<SagaEvent>, AwaitError> =>
  Effect.suspend(() => {
    const facts: Array<SagaEvent> = []
    const telling = Stream.runForEach(engine.events(saga, executionId), (fact) =>
      Effect.sync(() => void facts.push(fact)))
    return Effect.as(
      Effect.catchTag(telling, "ExecutionStuck", () =>
        Effect.void),
      facts
    )
  })

/** Whether who waited was told that a person is needed. */
export const isStuck = (cause: Cause.Cause<unknown>): boolean => {
  const error = Cause.squash(cause)
  return typeof error === "object" && error !== null && "_tag" in error && error._tag === "ExecutionStuck"
}
