// A user's first program, of every entry. In an empty project it is compiled against the packed types and run.
import { Effect, Schema } from "effect"
import { Saga, SagaState } from "effect-saga"
import * as diagram from "effect-saga/diagram"
import { SagaEvent } from "effect-saga/SagaEvent"
import * as telemetry from "effect-saga/telemetry"

const reserve = Effect.succeed("12A").pipe(
  Saga.withCompensation((seat) => Effect.sync(() => console.log(`release ${seat}`)))
)

const trip = Saga.scoped(Effect.gen(function*() {
  console.log(`reserve ${yield* reserve}`)
  return yield* Effect.fail("declined" as const)
}))

console.log(await Effect.runPromise(Effect.flip(trip)))
console.log([diagram, telemetry].every((entry) => Object.keys(entry).length > 0))

const fact = Schema.decodeUnknownSync(SagaEvent)({ _tag: "StepStarted", atMillis: 0, path: "seat" })
console.log(SagaState.apply(SagaState.empty, fact)._tag)
