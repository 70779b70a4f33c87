import { Effect, Layer } from "effect"
import { SqlSagaJournal } from "effect-saga/sql"
import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
import { SagaJournalTest } from "effect-saga/testing"
import { registerSuite } from "effect-saga/testing/vitest"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"

/** A client without the lock that lets one engine at a time use it: these tests are several engines. */
const Unlocked = Layer.effect(SqlClient.SqlClient)(
  Effect.map(NodeSqlite.make({ filename: ":memory:" }), ({ client }) => client)
).pipe(Layer.provide(Reactivity.layer))

registerSuite(
  "the journal on SQLite",
  SagaJournalTest.suite("on SQLite", SqlSagaJournal.layer.pipe(Layer.provide(Unlocked)))
)
