/**
 * What people ask of a journal in a database, whichever it is: lists, numbers, histories, and what the store says of itself.
 * The statements of the databases differ, what is asked and read by them does not.
 */
import * as Effect from "effect/Effect"
import type { Journal, JournalUnavailable } from "../../Journal.ts"
import { finalStates, isStorable, states } from "./batch.ts"
import type { Row } from "./database.ts"
import { type Group, groupsOf, type Kind, makeList, type Source } from "./lists.ts"
import { knownSchema } from "./migrations.ts"
import { toCount, toCursor, toExecution, toHistory, toKind, toLease, toLongFact } from "./rows.ts"

/** What a database is asked in its own words. Both take the same parameters in the same order. */
export interface ReadStatements {
  readonly kinds: string
  readonly all: string
  readonly uncertain: string
  readonly stuck: string
  readonly ids: (hasEnd: boolean) => string
  readonly tagged: string
  readonly matching: string
  readonly countAll: string
  readonly counts: string
  readonly history: string
  readonly clock: string
  readonly leases: string
  readonly longFacts: string
}

/** A database that is asked. */
export interface Asked {
  readonly statements: ReadStatements
  readonly ask: (
    operation: string,
    text: string,
    params: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Row>, JournalUnavailable>
  /** Which change of the tables was the last one. */
  readonly foundSchema: Effect.Effect<number, JournalUnavailable>
  /** Groups as the first parameters of a statement. */
  readonly groups: (groups: ReadonlyArray<Group>) => ReadonlyArray<unknown>
  /** A list as one parameter. */
  readonly list: (values: ReadonlyArray<string>) => unknown
}

/** How many long facts are told. */
const mostLongFacts = 100

const openStates = states.filter((state) => !finalStates.includes(state))

/** The part of a journal that is read by people. */
export const makeReads = (
  { ask, foundSchema, groups: paramsOf, list, statements }: Asked
): Pick<Journal, "list" | "count" | "history" | "inspect"> => {
  const read = <A>(
    operation: string,
    text: string,
    params: ReadonlyArray<unknown>,
    toRecord: (row: Row) => A
  ): Effect.Effect<ReadonlyArray<A>, JournalUnavailable> =>
    Effect.map(ask(operation, text, params), (rows) => rows.map(toRecord))

  const kinds: Effect.Effect<ReadonlyArray<Kind>, JournalUnavailable> = read("kinds", statements.kinds, [], toKind)

  const candidates = (source: Source, limit: number) => {
    if (source._tag === "Ids") {
      const { before, from, prefix } = source
      const end = before === undefined ? [] : [before]
      return read("list", statements.ids(before !== undefined), [prefix, from, limit, ...end], toCursor)
    }
    const { beforeMillis, from } = source.span
    const span = [from.millis, from.executionId, beforeMillis, limit]
    return source._tag === "Tag"
      ? read("list", statements.tagged, [source.name, source.value, ...span], toCursor)
      : read("list", statements[source.index], [...paramsOf(source.groups), ...span], toCursor)
  }

  return {
    list: makeList({
      kinds,
      candidates,
      matching: (executionIds, conditions, limit) =>
        read("list", statements.matching, [
          list(executionIds),
          conditions.saga,
          conditions.version,
          conditions.states && list(conditions.states),
          conditions.startedFromMillis,
          conditions.startedBeforeMillis,
          conditions.updatedBeforeMillis,
          conditions.uncertain,
          JSON.stringify(conditions.tags),
          limit
        ], toExecution)
    }),
    count: (filter) =>
      filter.saga === undefined && filter.version === undefined && filter.states === undefined
        ? read("count", statements.countAll, [], toCount)
        : Effect.flatMap(kinds, (kinds) => {
          const groups = groupsOf(kinds, filter)
          return groups.length === 0 ? Effect.succeed([]) : read("count", statements.counts, paramsOf(groups), toCount)
        }),
    history: (executionId) =>
      isStorable(executionId) ? read("history", statements.history, [executionId], toHistory) : Effect.succeed([]),
    inspect: Effect.fnUntraced(function*({ longerThan }) {
      const groups = groupsOf(yield* kinds, { states: openStates })
      const long = [...paramsOf(groups), Math.trunc(longerThan), mostLongFacts]
      const [nowMillis] = yield* read("inspect", statements.clock, [], (row): number => row["now"])
      return {
        nowMillis: nowMillis!,
        schema: { found: yield* foundSchema, known: knownSchema },
        leases: yield* read("inspect", statements.leases, [], toLease),
        longFacts: groups.length === 0 ? [] : yield* read("inspect", statements.longFacts, long, toLongFact)
      }
    })
  }
}
