/** One decision about many executions: one after the other, not too fast, and each told. It decides nothing itself. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { OperatorError } from "../../ExecutionError.ts"
import type { JournalUnavailable } from "../../Journal.ts"
import type { BulkOptions, BulkProgress, BulkVerb, ExecutionFilter } from "../../Operations.ts"
import type { By } from "../../SagaEvent.ts"
import type { Engine } from "./engine.ts"
import { abandon, compensate, retry } from "./operator.ts"
import { all, wrong } from "./queries.ts"

/** How many executions a bulk would be about. */
export const preview = (engine: Engine, filter: ExecutionFilter): Effect.Effect<number, JournalUnavailable> =>
  Stream.runCount(all(engine, filter))

const verbs = { retry, compensate, abandon }

const defaultPerSecond = 20

/** Decides about all that a filter finds now, in a fiber of who reads. */
export const bulk = (
  engine: Engine,
  verb: BulkVerb,
  filter: ExecutionFilter,
  by: By,
  options: BulkOptions = {}
): Stream.Stream<BulkProgress, JournalUnavailable> =>
  Stream.unwrap(Effect.map(Clock.currentTimeMillis, (now) => {
    const perSecond = options.perSecond ?? defaultPerSecond
    if (!(perSecond > 0)) throw wrong("perSecond", perSecond, `a number above 0, or none for ${defaultPerSecond}`)
    // What is stuck again because of this has changed since.
    const until = Math.min(now + 1, filter.updatedBeforeMillis ?? Infinity)
    const interval = Duration.millis(1_000 / perSecond)
    let decided = 0
    let refusals = 0
    const decide = (executionId: string) =>
      Effect.matchEffect(verbs[verb](engine, executionId, by), {
        onSuccess: () => Effect.undefined,
        onFailure: (error) => isUnavailable(error) ? Effect.fail(error) : Effect.succeed(error)
      })
    return Stream.mapEffect(all(engine, { ...filter, updatedBeforeMillis: until }), ({ executionId }) =>
      Effect.map(
        decided === 0 ? decide(executionId) : Effect.andThen(Effect.sleep(interval), decide(executionId)),
        (refused): BulkProgress => {
          decided++
          if (refused !== undefined) refusals++
          return { executionId, refused, decided, refusals }
        }
      ))
  }))

const isUnavailable = (error: OperatorError): error is JournalUnavailable => error._tag === "JournalUnavailable"
