/**
 * Rows of the tables as the records of the journal. Both dialects read the same columns, numbers as numbers.
 */
import * as Schema from "effect/Schema"
import type {
  Claimed,
  Cursor,
  DeadLetter,
  ExecutionRecord,
  FactRecord,
  HistoryRecord,
  Inspection,
  KeptEvent,
  LogPosition,
  SignalRecord,
  StateCount,
  SubscriptionRecord
} from "../../Journal.ts"
import type { Row } from "./database.ts"

const tagsOf = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Record(Schema.String, Schema.String)))

/** The row of an execution. */
export const toExecution = (row: Row): ExecutionRecord => ({
  executionId: row["execution_id"],
  saga: row["saga"],
  version: row["version"],
  definition: row["definition"],
  state: row["state"],
  dueAtMillis: row["due_at_millis"],
  startedAtMillis: row["started_at_millis"],
  updatedAtMillis: row["updated_at_millis"],
  problem: row["problem"],
  uncertain: Boolean(row["uncertain"]),
  tags: row["tags"] === null ? {} : tagsOf(row["tags"])
})

/** Where an execution stands in a list. */
export const toCursor = (row: Row): Cursor => ({ millis: row["millis"], executionId: row["execution_id"] })

/** A version of a saga. */
export const toKind = (row: Row): { readonly saga: string; readonly version: number } => ({
  saga: row["saga"],
  version: row["version"]
})

/** How many executions there are in a group. */
export const toCount = (row: Row): StateCount => ({
  saga: row["saga"],
  version: row["version"],
  state: row["state"],
  count: row["count"]
})

/** A fact. */
export const toFact = (row: Row): FactRecord => ({
  executionId: row["execution_id"],
  sequence: row["sequence"],
  tag: row["tag"],
  data: row["data"]
})

/** A fact with who wrote it. */
export const toHistory = (row: Row): HistoryRecord => ({ ...toFact(row), engine: row["engine"] })

/** A fact as it is told when it is long. */
export const toLongFact = (row: Row): Inspection["longFacts"][number] => ({
  executionId: row["execution_id"],
  sequence: row["sequence"],
  tag: row["tag"],
  length: row["length"]
})

/** A lease that nobody has ended. */
export const toLease = (row: Row): Inspection["leases"][number] => ({
  id: row["id"],
  name: row["name"],
  expiresAtMillis: row["expires_at_millis"],
  owned: row["owned"]
})

/** A signal. */
export const toSignal = (row: Row): SignalRecord => ({
  id: row["id"],
  executionId: row["execution_id"],
  kind: row["kind"],
  data: row["data"]
})

/** An event that is kept. */
export const toEvent = (row: Row): KeptEvent => ({
  sequence: row["sequence"],
  id: row["id"],
  type: row["type"],
  key: row["key"],
  data: row["data"]
})

/** Events by the place of the request that they answer, from 1 on. */
export const pagesOf = (count: number, rows: ReadonlyArray<Row>): ReadonlyArray<ReadonlyArray<KeptEvent>> => {
  const pages = Array.from({ length: count }, (): Array<KeptEvent> => [])
  for (const row of rows) pages[row["place"] - 1]!.push(toEvent(row))
  return pages
}

/** A page of all events, each row with the last number that there is. */
export const logOf = (rows: ReadonlyArray<Row>, limit: number) => {
  const events = rows.filter((row) => row["id"] !== null).map(toEvent)
  const last: number = rows[0]?.["last"] ?? 0
  return { events, upTo: events.length === limit ? events.at(-1)!.sequence : last }
}

/** Before which number nothing is asked for. */
export const leastOf = (from: ReadonlyArray<LogPosition>): number =>
  Math.min(...from.map(({ after }) => after), 2 ** 53)

/** How far a subscription has come in a type. */
export const toPosition = (row: Row): LogPosition => ({ type: row["type"], after: row["position"] })

/** A subscription in one of its types. */
export const toSubscription = (row: Row): SubscriptionRecord => ({
  name: row["name"],
  ...toPosition(row),
  behind: row["behind"]
})

/** An event that reaches nobody any more. */
export const toDeadLetter = (row: Row): DeadLetter => ({
  ...toEvent(row),
  number: row["number"],
  subscription: row["subscription"] === "" ? null : row["subscription"],
  reason: row["reason"],
  atMillis: row["at_millis"]
})

/** Executions with one row for each of their signals, at least one, and the facts of all of them. */
export const toClaimed = (rows: ReadonlyArray<Row>, factRows: ReadonlyArray<Row>): ReadonlyArray<Claimed> => {
  const found = new Map<
    string,
    Claimed & { readonly facts: Array<FactRecord>; readonly signals: Array<SignalRecord> }
  >()
  for (const row of rows) {
    let claimed = found.get(row["execution_id"])
    if (claimed === undefined) {
      claimed = {
        execution: toExecution(row),
        facts: [],
        signals: [],
        signalCount: row["signal_count"],
        clean: Boolean(row["clean"]),
        takeovers: row["takeovers"]
      }
      found.set(row["execution_id"], claimed)
    }
    if (row["id"] !== null) claimed.signals.push(toSignal(row))
  }
  for (const row of factRows) found.get(row["execution_id"])?.facts.push(toFact(row))
  return Array.from(found.values())
}
