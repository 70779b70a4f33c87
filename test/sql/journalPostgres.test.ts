import { Effect, Layer, ManagedRuntime } from "effect"
import { SqlSagaJournal } from "effect-saga/sql"
import { SagaJournalTest } from "effect-saga/testing"
import { registerSuite } from "effect-saga/testing/vitest"
import { afterAll } from "vitest"
import * as Postgres from "./postgres.ts"

/** One database for all of them, and tables of their own for each. */
const database = ManagedRuntime.make(Postgres.layer({ maxConnections: 10 }))
afterAll(() => database.dispose())
let tables = 0
const Journal = Layer.unwrap(
  Effect.map(
    database.contextEffect,
    (context) =>
      SqlSagaJournal.layerWith({ prefix: `t${tables++}_` }).pipe(Layer.provide(Layer.succeedContext(context)))
  )
)

registerSuite(
  "the journal on PostgreSQL",
  SagaJournalTest.suite("on PostgreSQL", Journal, { noticesDeath: true })
)
