import { SqlSagaEngine } from "effect-saga/sql"
import { SagaEngineTest } from "effect-saga/testing"
import { registerSuite } from "effect-saga/testing/vitest"
import * as Postgres from "../sql/postgres.ts"

const onTables = Postgres.shared({ maxConnections: 10 })

registerSuite(
  "the engine on PostgreSQL",
  SagaEngineTest.suite("on PostgreSQL", onTables((prefix) => SqlSagaEngine.layerWith({ prefix })))
)
