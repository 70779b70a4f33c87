/**
 * Rows of the tables as the records of the journal. Both dialects read the same columns, numbers as numbers.
 */
import type { Claimed, ExecutionRecord, FactRecord, SignalRecord } from "../../Journal.ts"
import type { Row } from "./database.ts"

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
  problem: row["problem"]
})

/** A fact. */
export const toFact = (row: Row): FactRecord => ({
  executionId: row["execution_id"],
  sequence: row["sequence"],
  tag: row["tag"],
  data: row["data"]
})

/** A signal. */
export const toSignal = (row: Row): SignalRecord => ({
  id: row["id"],
  executionId: row["execution_id"],
  kind: row["kind"],
  data: row["data"]
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
