import { Effect, Layer, ManagedRuntime } from "effect"
import { SqlSagaEngine } from "effect-saga/sql"
import { SagaEngineTest } from "effect-saga/testing"
import { registerSuite } from "effect-saga/testing/vitest"
import { afterAll } from "vitest"
import * as Postgres from "../sql/postgres.ts"

/** One database for all of them, and tables of their own for each. */
const database = ManagedRuntime.make(Postgres.layer({ maxConnections: 10 }))
afterAll(() => database.dispose())
let tables = 0
const Engine = Layer.unwrap(
  Effect.map(
    database.contextEffect,
    (context) => SqlSagaEngine.layerWith({ prefix: `t${tables++}_` }).pipe(Layer.provide(Layer.succeedContext(context)))
  )
)

registerSuite("the engine on PostgreSQL", SagaEngineTest.suite("on PostgreSQL", Engine))
