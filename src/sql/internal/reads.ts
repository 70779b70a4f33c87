/**
 * What people ask of a journal in a database, whichever it is: lists, numbers, histories, and what the store says of itself.
 */
import * as Effect from "effect/Effect"
import type { HistoryRecord, Inspection, Journal, JournalUnavailable, StateCount } from "../../Journal.ts"
import { finalStates, isStorable, states } from "./batch.ts"
import { type Group, groupsOf, makeList, type Reader as ListReader } from "./lists.ts"
import { knownSchema } from "./migrations.ts"

/** What a database is asked. */
export interface Reader extends ListReader {
  /** How many executions there are in each group. */
  readonly countAll: Effect.Effect<ReadonlyArray<StateCount>, JournalUnavailable>
  /** The same for these groups, which are read alone. */
  readonly counts: (groups: ReadonlyArray<Group>) => Effect.Effect<ReadonlyArray<StateCount>, JournalUnavailable>
  readonly history: (executionId: string) => Effect.Effect<ReadonlyArray<HistoryRecord>, JournalUnavailable>
  readonly nowMillis: Effect.Effect<number, JournalUnavailable>
  /** Which change of the tables was the last one. */
  readonly foundSchema: Effect.Effect<number, JournalUnavailable>
  readonly leases: Effect.Effect<Inspection["leases"], JournalUnavailable>
  /** The longest facts in these groups. */
  readonly longFacts: (
    groups: ReadonlyArray<Group>,
    longerThan: number,
    limit: number
  ) => Effect.Effect<Inspection["longFacts"], JournalUnavailable>
}

/** How many long facts are told. */
const mostLongFacts = 100

const openStates = states.filter((state) => !finalStates.includes(state))

/** The part of a journal that is read by people. */
export const makeReads = (reader: Reader): Pick<Journal, "list" | "count" | "history" | "inspect"> => ({
  list: makeList(reader),
  count: (filter) =>
    filter.saga === undefined && filter.version === undefined && filter.states === undefined
      ? reader.countAll
      : Effect.flatMap(reader.kinds, (kinds) => {
        const groups = groupsOf(kinds, filter)
        return groups.length === 0 ? Effect.succeed([]) : reader.counts(groups)
      }),
  history: (executionId) => isStorable(executionId) ? reader.history(executionId) : Effect.succeed([]),
  inspect: Effect.fnUntraced(function*({ longerThan }) {
    const groups = groupsOf(yield* reader.kinds, { states: openStates })
    return {
      nowMillis: yield* reader.nowMillis,
      schema: { found: yield* reader.foundSchema, known: knownSchema },
      leases: yield* reader.leases,
      longFacts: groups.length === 0 ? [] : yield* reader.longFacts(groups, Math.trunc(longerThan), mostLongFacts)
    }
  })
})
