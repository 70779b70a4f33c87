import { Layer } from "effect"
import { SqlSagaEngine } from "effect-saga/sql"
import { SagaEngineTest } from "effect-saga/testing"
import { registerSuite } from "effect-saga/testing/vitest"
import * as Postgres from "../sql/postgres.ts"

registerSuite(
  "the engine on PostgreSQL",
  SagaEngineTest.suite("on PostgreSQL", SqlSagaEngine.layer.pipe(Layer.provide(Postgres.layer())))
)
