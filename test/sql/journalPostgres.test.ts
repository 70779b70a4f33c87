import { Layer } from "effect"
import { SqlSagaJournal } from "effect-saga/sql"
import { SagaJournalTest } from "effect-saga/testing"
import { registerSuite } from "effect-saga/testing/vitest"
import * as Postgres from "./postgres.ts"

registerSuite(
  "the journal on PostgreSQL",
  SagaJournalTest.suite("on PostgreSQL", SqlSagaJournal.layer.pipe(Layer.provide(Postgres.layer())), {
    noticesDeath: true
  })
)
