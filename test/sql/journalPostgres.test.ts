import { Layer } from "effect"
import { SqlSagaJournal } from "effect-saga/sql"
import { suite } from "../journal/suite.ts"
import * as Postgres from "./postgres.ts"

suite("on PostgreSQL", {
  layer: SqlSagaJournal.layer.pipe(Layer.provide(Postgres.layer())),
  noticesDeath: true
})
