import { SqlSagaJournal } from "effect-saga/sql"
import { SagaJournalTest } from "effect-saga/testing"
import { registerSuite } from "effect-saga/testing/vitest"
import * as Postgres from "./postgres.ts"

const onTables = Postgres.shared({ maxConnections: 10 })

registerSuite(
  "the journal on PostgreSQL",
  SagaJournalTest.suite("on PostgreSQL", onTables((prefix) => SqlSagaJournal.layerWith({ prefix })), {
    noticesDeath: true
  })
)
