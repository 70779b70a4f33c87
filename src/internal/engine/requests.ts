/**
 * What callers ask of an engine about executions that there are: to wait, to look. Whoever is interrupted in one
 * of these has let go of the execution and changed nothing.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { AwaitError } from "../../ExecutionError.ts"
import { ExecutionAbandoned, ExecutionNotFound, ExecutionStuck } from "../../ExecutionError.ts"
import type { ExecutionRecord, JournalUnavailable } from "../../Journal.ts"
import { withAftermath } from "../../SagaError.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import { revise } from "../revised.ts"
import type { SagaTree } from "../tree.ts"
import { onClock } from "../wait.ts"
import { isAtRest, stuckAt } from "./cancelling.ts"
import type { Engine } from "./engine.ts"
import type { Ending } from "./outcome.ts"
import { endingOf } from "./outcome.ts"
import { Reader } from "./reading.ts"
import { readFacts } from "./returning.ts"

// ------------------------------------------------------------------------------------------- wait

/** How an execution ends, as soon as it has. */
export const ending = (
  engine: Engine,
  tree: SagaTree,
  executionId: string,
  onStuck: "wait" | "fail"
): Effect.Effect<Ending, AwaitError> =>
  Effect.suspend(() => {
    const watch = engine.watches.open(executionId)
    const more: Effect.Effect<Ending, AwaitError> = Effect.andThen(watch.latch.await, Effect.suspend(() => look))
    const look: Effect.Effect<Ending, AwaitError> = Effect.suspend(() => {
      watch.latch.closeUnsafe()
      // What another version has made of it is read as this one reads it.
      if (watch.ended?.version === tree.definition.version) return Effect.succeed(watch.ended.ending)
      const closed = engine.closed("await")
      if (closed !== undefined && !engine.residents.has(executionId)) return Effect.fail(closed)
      const resident = engine.residents.get(executionId)
      if (resident !== undefined) {
        return isOf(tree, resident.registered.definition) ? more : Effect.fail(none(tree, executionId))
      }
      return Effect.flatMap(engine.patiently(engine.journal.find(executionId)), (row) => {
        if (Option.isNone(row) || !isOf(tree, row.value)) return Effect.fail(none(tree, executionId))
        const { saga, state } = row.value
        watch.seen = state
        switch (state) {
          case "Succeeded":
          case "Compensated":
            return stored(engine, tree, row.value)
          case "Abandoned":
            return Effect.fail(new ExecutionAbandoned({ saga, executionId }))
          case "Stuck":
            return onStuck === "wait" ? more : Effect.fail(stuckAt(row.value))
          default:
            return more
        }
      })
    })
    return Effect.ensuring(engine.guarded("await", look), Effect.sync(() => engine.watches.close(watch)))
  })

/** Whether an execution is one of a saga. */
const isOf = ({ definition }: SagaTree, { saga }: { readonly saga: string }): boolean => saga === definition.saga

const none = ({ definition }: SagaTree, executionId: string): ExecutionNotFound =>
  new ExecutionNotFound({ executionId, saga: definition.saga })

/** The ending that the journal holds. */
const stored = (engine: Engine, tree: SagaTree, row: ExecutionRecord): Effect.Effect<Ending, AwaitError> => {
  const { executionId, saga } = row
  return Effect.flatMap(engine.patiently(engine.journal.facts(executionId, 0)), (records) => {
    const unreadable = (why: string) =>
      Effect.fail(new ExecutionStuck({ saga, executionId, problem: `it is ${row.state}, and ${why}` }))
    const facts = readFacts(engine.registry.known(tree), records)
    if (Result.isFailure(facts)) return unreadable(`cannot be read: ${facts.failure}`)
    const ending = endingOf(executionId, revise(facts.success))
    return ending === undefined ? unreadable("its last fact says otherwise") : Effect.succeed(ending)
  })
}

/** An ending as the caller of a saga sees it. */
export const answerOf = (ending: Ending): Effect.Effect<unknown, unknown> =>
  ending._tag === "Succeeded"
    ? Effect.succeed(ending.result)
    : Effect.failCause(withAftermath(ending.cause, listed(ending.uncertain), listed(ending.others)))

const listed = <A>(list: ReadonlyArray<A>): ReadonlyArray<A> | undefined => list.length === 0 ? undefined : list

// ------------------------------------------------------------------------------------------- look

/** The facts of an execution, and those to come until it has ended or is stuck. */
export const facts = (
  engine: Engine,
  tree: SagaTree,
  executionId: string
): Stream.Stream<SagaEvent, ExecutionNotFound | ExecutionStuck | JournalUnavailable> =>
  Stream.unwrap(Effect.sync(() => {
    const reader = new Reader(engine.registry.known(tree))
    let from = 0
    const next = Effect.gen(function*() {
      while (true) {
        // The row first: when it is at rest, no fact comes after those that are read then.
        const row = yield* engine.journal.find(executionId)
        const records = yield* engine.journal.facts(executionId, from)
        if (Option.isNone(row) || !isOf(tree, row.value)) return yield* none(tree, executionId)
        from += records.length
        const read: Array<SagaEvent> = []
        for (const record of records) {
          const fact = reader.read(record.data)
          if (Result.isFailure(fact)) {
            return yield* new ExecutionStuck({ saga: row.value.saga, executionId, problem: fact.failure })
          }
          read.push(fact.success)
        }
        if (read.length > 0) return Option.some(read)
        if (isAtRest(row.value)) return Option.none<ReadonlyArray<SagaEvent>>()
        yield* onClock(engine.live, Effect.sleep(Math.min(50, engine.settings.pollMillis)))
      }
    })
    return Stream.flattenIterable(
      Stream.unfold(
        undefined,
        () => Effect.map(next, Option.match({ onNone: () => undefined, onSome: (read) => [read, undefined] as const }))
      )
    )
  }))
