/** `sagaTest`: a trip under every fault, a named test for each place, in a fiber and on engines. */
import { Layer } from "effect"
import { SagaJournal } from "effect-saga/SagaJournal"
import { SqlSagaJournal } from "effect-saga/sql"
import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
import { sagaTest } from "effect-saga/testing/vitest"
import { bookTrip } from "../../examples/travel-booking/saga.ts"
import { Travel } from "../../examples/travel-booking/services.ts"

/** More in `npm run test:long`: random programs, and pairs of faults on an engine. */
const { SEEDS } = process.env
const random = Number(SEEDS ?? "300")

const options = {
  payload: { traveller: "Ada", city: "Rome", card: "visa" },
  services: Travel,
  timeoutMillis: 60_000 + random * 20
}

sagaTest("BookTrip in a fiber", bookTrip, { ...options, random })
sagaTest("BookTrip on an engine", bookTrip, {
  ...options,
  random,
  depth: SEEDS === undefined ? 1 : 2,
  journal: SagaJournal.layerMemory
})
sagaTest("BookTrip on SQLite", bookTrip, {
  ...options,
  depth: 1,
  journal: SqlSagaJournal.layer.pipe(Layer.provide(NodeSqlite.layer({ filename: ":memory:", synchronous: "OFF" })))
})
