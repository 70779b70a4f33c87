/**
 * Executions that were archived before they were deleted: lines of JSON, and how they are read again. Every line that was
 * ever written can be.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { decodeLine } from "./internal/engine/archiveLine.ts"
import { readLoosely } from "./internal/engine/codec.ts"
import { openFacts } from "./internal/engine/sealed.ts"
import type { ExecutionRecord } from "./Journal.ts"
import { JournalCipher } from "./JournalCipher.ts"
import type { SagaEvent } from "./SagaEvent.ts"

/**
 * An execution that was archived.
 *
 * @category models
 * @since 0.1.0
 */
export interface ArchivedExecution extends
  Pick<
    ExecutionRecord,
    "executionId" | "saga" | "version" | "state" | "startedAtMillis" | "updatedAtMillis" | "tags"
  >
{
  /** Its facts, whose values stay as they were encoded: `SagaState.fold` takes them. */
  readonly facts: ReadonlyArray<SagaEvent>
  /** What stands in the place of facts that nobody can read: the whole of it, so that nothing is lost. */
  readonly unreadable: ReadonlyArray<{ readonly sequence: number; readonly text: string }>
}

/**
 * A line that holds no execution, or one that cannot be opened.
 *
 * @category errors
 * @since 0.1.0
 */
export class ArchiveInvalid extends Data.TaggedError("ArchiveInvalid")<{ readonly problem: string }> {
  override get message(): string {
    return `The line holds no archived execution: ${this.problem}`
  }
}

/**
 * Reads a line that `purge` has given to `archive`.
 *
 * **Details**
 *
 * Facts that were sealed are opened with the `JournalCipher` that is around, if there is one.
 *
 * **Example** (What an execution was)
 *
 * ```ts
 * import { SagaState } from "effect-saga"
 * import { readArchived } from "effect-saga/SagaEngine"
 * import { Effect, Result } from "effect"
 *
 * const fact = JSON.stringify({ _tag: "SagaStarted", atMillis: 0, saga: "Trip", version: 1, payload: null })
 * const line = JSON.stringify({
 *   ...{ executionId: "one", saga: "Trip", version: 1, state: "Abandoned", startedAtMillis: 0, updatedAtMillis: 9 },
 *   ...{ tags: {}, facts: [{ sequence: 0, tag: "SagaStarted", engine: "a", data: fact }] }
 * })
 * const { facts } = await Effect.runPromise(readArchived(line))
 * Result.map(SagaState.fold(facts), (state) => state.saga) // => Result.succeed("Trip")
 * ```
 *
 * @category converting
 * @since 0.1.0
 */
export const readArchived = (line: string): Effect.Effect<ArchivedExecution, ArchiveInvalid> =>
  Effect.gen(function*() {
    const read = decodeLine(line)
    if (read._tag === "Failure") return yield* new ArchiveInvalid({ problem: String(read.cause) })
    const { executionId } = read.value
    const records = read.value.facts.map((fact) => ({ ...fact, executionId }))
    const cipher = yield* Effect.serviceOption(JournalCipher)
    const opened = Option.isNone(cipher) ? records : yield* openFacts(cipher.value, records)
    const facts: Array<SagaEvent> = []
    const unreadable: Array<{ readonly sequence: number; readonly text: string }> = []
    for (const { data, sequence } of opened) {
      const fact = readLoosely(data)
      if (Result.isSuccess(fact)) facts.push(fact.success)
      else unreadable.push({ sequence, text: data })
    }
    return { ...read.value, facts, unreadable }
  })
