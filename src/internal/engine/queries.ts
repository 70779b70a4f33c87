/**
 * What a person on call asks of the journal: which executions there are, and what is known of one. It changes nothing, and
 * needs no saga to be registered.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { ExecutionNotFound, ExecutionStuck } from "../../ExecutionError.ts"
import type { ExecutionPlan } from "../../ExecutionPlan.ts"
import { planOf } from "../../ExecutionPlan.ts"
import type { Cursor, ExecutionRecord, Filter, JournalUnavailable, Page } from "../../Journal.ts"
import type { ExecutionFilter, ExecutionStatus, HistoryEntry, ListOptions } from "../../Operations.ts"
import type { By } from "../../SagaEvent.ts"
import { escape } from "../../StepPath.ts"
import { readDefinition, readLoosely, withoutValues } from "./codec.ts"
import type { Engine } from "./engine.ts"
import { Reader, runnerOf, standing } from "./reading.ts"

/** What an engine says of a row. */
export const statusOf = (record: ExecutionRecord): ExecutionStatus => ({
  executionId: record.executionId,
  saga: record.saga,
  version: record.version,
  state: record.state,
  startedAtMillis: record.startedAtMillis,
  updatedAtMillis: record.updatedAtMillis,
  dueAtMillis: record.state === "Waiting" ? record.dueAtMillis ?? undefined : undefined,
  problem: record.problem ?? undefined,
  uncertain: record.uncertain,
  tags: record.tags
})

/** A page, where none is asked for. */
const defaultLimit = 100

/** How many are asked for. */
export const limitOf = (limit: number | undefined): number => {
  const most = limit ?? defaultLimit
  if (Number.isSafeInteger(most) && most >= 0) return most
  throw wrong("limit", most, `a whole number, or none for ${defaultLimit}`)
}

/** What no journal could answer ends the program that asked. */
export const wrong = (option: string, value: unknown, wanted: string): Error =>
  new RangeError(`The option "${option}" is ${String(value)}: give ${wanted}`)

/** Some executions, by what a caller says. */
export const list = (
  engine: Engine,
  { after, limit, ...filter }: ListOptions
): Effect.Effect<Page, JournalUnavailable> =>
  Effect.suspend(() => {
    const most = limitOf(limit)
    const { key, ...others } = filter
    return key === undefined
      ? engine.journal.list({ ...filterOf(others), limit: most, after })
      : keyed(engine, key, others)
  })

/** The one execution that has a key, if it fits otherwise. */
const keyed = (
  engine: Engine,
  key: string,
  filter: Omit<ExecutionFilter, "key">
): Effect.Effect<Page, JournalUnavailable> => {
  const { saga } = filter
  if (saga === undefined) throw wrong("key", key, "the `saga` that made it, too")
  const executionId = `${saga}/${escape(key)}`
  // Of those whose ids begin with it, it is the first.
  const first = engine.journal.list({ ...filterOf(filter), idPrefix: executionId, limit: 1 })
  return Effect.map(first, ({ executions }) => ({
    executions: executions.filter((execution) => execution.executionId === executionId),
    next: undefined
  }))
}

/** A filter as a journal takes it. */
export const filterOf = ({ state, ...filter }: Omit<ExecutionFilter, "key">): Filter => ({
  ...filter,
  states: typeof state === "string" ? [state] : state
})

/** All executions of a filter, page by page. */
export const all = (engine: Engine, filter: ExecutionFilter): Stream.Stream<ExecutionRecord, JournalUnavailable> =>
  Stream.paginate(undefined as Cursor | undefined, (after) =>
    Effect.map(
      list(engine, { ...filter, limit: 500, after }),
      ({ executions, next }) => [executions, next === undefined ? Option.none() : Option.some(next)] as const
    ))

/** The row of an execution and something of it that is read beside. */
const found = <A>(
  engine: Engine,
  executionId: string,
  read: Effect.Effect<A, JournalUnavailable>
): Effect.Effect<readonly [ExecutionRecord, A], ExecutionNotFound | JournalUnavailable> =>
  Effect.flatMap(read, (value) =>
    Effect.flatMap(engine.journal.find(executionId), (row) =>
      Option.isNone(row)
        ? Effect.fail(new ExecutionNotFound({ executionId }))
        : Effect.succeed([row.value, value] as const)))

/** All facts of an execution with who and when, those too that nobody can read. */
export const history = (
  engine: Engine,
  executionId: string
): Effect.Effect<ReadonlyArray<HistoryEntry>, ExecutionNotFound | JournalUnavailable> =>
  Effect.map(found(engine, executionId, engine.journal.history(executionId)), ([row, records]) => {
    const registered = runnerOf(engine.registry, row, records)
    const reader = registered === undefined ? undefined : new Reader(registered)
    const { sealed } = engine.registry
    return records.map((record): HistoryEntry => {
      const { data, engine, sequence } = record
      const decoded = reader === undefined ? Option.none() : Result.getSuccess(reader.read(data))
      // What today's schema does not fit is shown as it stands, unless there may be secrets in it.
      const event = Option.getOrUndefined(
        Option.orElse(
          decoded,
          () => Option.map(Result.getSuccess(readLoosely(data)), (event) => sealed ? withoutValues(event) : event)
        )
      )
      const { actor, comment }: Partial<By> = event !== undefined && "actor" in event ? event : {}
      return { sequence, atMillis: event?.atMillis, engine, actor, comment, event, text: sealed ? undefined : data }
    })
  })

/** What is done, in flight and to come. */
export const plan = (
  engine: Engine,
  executionId: string
): Effect.Effect<ExecutionPlan, ExecutionNotFound | ExecutionStuck | JournalUnavailable> =>
  Effect.flatMap(
    found(engine, executionId, engine.journal.facts(executionId, 0)),
    ([row, records]) =>
      Effect.flatMap(engine.journal.definition(standing(row, records).definition), (data) => {
        const clock = runnerOf(engine.registry, row, records)?.clock ?? engine.live
        const nowMillis = clock.currentTimeMillisUnsafe()
        const facts = Result.all(records.map(({ data }) => readLoosely(data)))
        const definition = Result.fromOption(data, () => `its definition ${row.definition} is not in the journal`)
        return orUnreadable(
          row,
          Result.flatMap(
            definition,
            (definition) => Result.map(facts, (facts) => planOf(readDefinition(definition), facts, nowMillis))
          )
        )
      })
  )

const orUnreadable = <A>(
  { executionId, saga, state }: ExecutionRecord,
  read: Result.Result<A, string>
): Effect.Effect<A, ExecutionStuck> =>
  Result.isSuccess(read)
    ? Effect.succeed(read.success)
    : Effect.fail(
      new ExecutionStuck({ saga, executionId, problem: `it is ${state}, and cannot be read: ${read.failure}` })
    )
