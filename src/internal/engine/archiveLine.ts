/** An archived execution as a line of JSON, and back: a wire format. It opens no seals and reads no facts. */
import * as Schema from "effect/Schema"
import type { ExecutionRecord, HistoryRecord } from "../../Journal.ts"

const Line = Schema.fromJsonString(Schema.Struct({
  executionId: Schema.String,
  saga: Schema.String,
  version: Schema.Number,
  state: Schema.Literals(["Running", "Waiting", "Compensating", "Stuck", "Succeeded", "Compensated", "Abandoned"]),
  startedAtMillis: Schema.Number,
  updatedAtMillis: Schema.Number,
  tags: Schema.Record(Schema.String, Schema.String),
  facts: Schema.Array(
    Schema.Struct({ sequence: Schema.Number, tag: Schema.String, engine: Schema.String, data: Schema.String })
  )
}))

/** What a line holds. */
export const decodeLine = Schema.decodeUnknownExit(Line)
const encodeLine = Schema.encodeSync(Line)

/** An execution as a line, its facts as they stand in their store. */
export const toLine = (row: ExecutionRecord, facts: ReadonlyArray<HistoryRecord>): string => {
  const { executionId, saga, startedAtMillis, state, tags, updatedAtMillis, version } = row
  return encodeLine({
    executionId,
    saga,
    version,
    state,
    startedAtMillis,
    updatedAtMillis,
    tags,
    facts: facts.map(({ data, engine, sequence, tag }) => ({ sequence, tag, engine, data }))
  })
}
