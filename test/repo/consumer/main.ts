// A user's first program, of every entry. In an empty project it is compiled against the packed types and run.
import { Effect, Layer, Schema } from "effect"
import { Saga, SagaState } from "effect-saga"
import * as diagram from "effect-saga/diagram"
import * as encryption from "effect-saga/encryption"
import * as events from "effect-saga/events"
import { SagaEngine } from "effect-saga/SagaEngine"
import { SagaEvent } from "effect-saga/SagaEvent"
import { SagaJournal } from "effect-saga/SagaJournal"
import { SqlSagaEngine } from "effect-saga/sql"
import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
import * as telemetry from "effect-saga/telemetry"
import * as testing from "effect-saga/testing"

const reserve = Effect.succeed("12A").pipe(
  Saga.withCompensation((seat) => Effect.sync(() => console.log(`release ${seat}`)))
)

const trip = Saga.scoped(Effect.gen(function*() {
  console.log(`reserve ${yield* reserve}`)
  return yield* Effect.fail("declined" as const)
}))

console.log(await Effect.runPromise(Effect.flip(trip)))
console.log(
  [diagram, encryption, events, telemetry, testing, SagaJournal].every((entry) => Object.keys(entry).length > 0)
)

const fact = Schema.decodeUnknownSync(SagaEvent)({ _tag: "StepStarted", atMillis: 0, path: "seat" })
console.log(SagaState.apply(SagaState.empty, fact)._tag)

const greet = Saga.make("Greet", { payload: Schema.String, key: (name) => name }).pipe(
  Saga.output(Schema.String, ({ payload }) => `hello ${payload}`)
)
const Live = Saga.register(greet).pipe(
  Layer.provideMerge(SqlSagaEngine.layer),
  Layer.provide(NodeSqlite.layer({ filename: ":memory:" }))
)
console.log(
  await Effect.runPromise(SagaEngine.use((engine) => engine.execute(greet, "you")).pipe(Effect.provide(Live)))
)
