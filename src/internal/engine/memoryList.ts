/**
 * A page of executions that are at hand: which of them a filter leaves, in the order that the contract of a journal names.
 */
import type { Cursor, ExecutionRecord, Filter, ListOptions, Page } from "../../Journal.ts"

/** The page of a list out of all executions. */
export const pageOf = (records: ReadonlyArray<ExecutionRecord>, { after, limit, ...filter }: ListOptions): Page => {
  const byPlace = orderOf(filter)
  const found: Array<readonly [Cursor, ExecutionRecord]> = []
  for (const record of records) {
    if (!isMeant(record, filter)) continue
    const place = { millis: timeOf(record, filter), executionId: record.executionId }
    if (after === undefined || byPlace(after, place) < 0) found.push([place, record])
  }
  const page = found.sort(([one], [other]) => byPlace(one, other)).slice(0, Math.max(limit, 0))
  return {
    executions: page.map(([, record]) => record),
    next: page.length < found.length ? page.at(-1)?.[0] : undefined
  }
}

/** Whether a filter leaves an execution. */
const isMeant = (record: ExecutionRecord, filter: Filter): boolean => {
  const { startedBeforeMillis: before, startedFromMillis: from, updatedBeforeMillis: quietSince } = filter
  return (filter.saga ?? record.saga) === record.saga
    && (filter.version ?? record.version) === record.version
    && (filter.states ?? [record.state]).includes(record.state)
    && (filter.uncertain ?? record.uncertain) === record.uncertain
    && record.executionId.startsWith(filter.idPrefix ?? "")
    && (from === undefined || record.startedAtMillis >= from)
    && (before === undefined || record.startedAtMillis < before)
    // The start is a change too.
    && (quietSince === undefined || Math.max(record.startedAtMillis, record.updatedAtMillis) < quietSince)
    && Object.entries(filter.tags ?? {}).every(([name, value]) => record.tags[name] === value)
}

const isOfStuck = ({ states = [] }: Filter): boolean => states.length > 0 && states.every((state) => state === "Stuck")

/** The time by which a list with this filter is ordered. */
const timeOf = (record: ExecutionRecord, filter: Filter): number =>
  filter.idPrefix !== undefined ? 0 : isOfStuck(filter) ? record.updatedAtMillis : record.startedAtMillis

const orderOf = ({ idPrefix }: Filter) => (one: Cursor, other: Cursor): number =>
  (idPrefix === undefined ? one.millis - other.millis : 0) || byCharacters(one.executionId, other.executionId)

/** Texts in the order of their characters, which is that of databases and not that of JavaScript. */
const byCharacters = (one: string, other: string): number => {
  const length = Math.min(one.length, other.length)
  for (let index = 0; index < length; index++) {
    const [a, b] = [one.charCodeAt(index), other.charCodeAt(index)]
    if (a !== b) return rankOf(a) - rankOf(b)
  }
  return one.length - other.length
}

/** What is half of a pair belongs to a character behind all those that are one unit. */
const rankOf = (unit: number): number => unit >= 0xD800 && unit <= 0xDFFF ? unit + 0x10000 : unit
