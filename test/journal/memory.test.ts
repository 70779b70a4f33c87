import { SagaJournal } from "effect-saga/SagaJournal"
import { SagaJournalTest } from "effect-saga/testing"
import { registerSuite } from "effect-saga/testing/vitest"

registerSuite(
  "the journal in memory",
  SagaJournalTest.suite("in memory", SagaJournal.layerMemory, { noticesDeath: true })
)
