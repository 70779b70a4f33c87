// A user's first program. The package test compiles it against the packed types and runs it in an empty project.
import { Effect } from "effect"
import { Saga } from "effect-saga"
import * as diagram from "effect-saga/diagram"

const reserve = Effect.succeed("12A").pipe(
  Saga.withCompensation((seat) => Effect.sync(() => console.log(`release ${seat}`)))
)

const trip = Saga.scoped(Effect.gen(function*() {
  console.log(`reserve ${yield* reserve}`)
  return yield* Effect.fail("declined" as const)
}))

console.log(await Effect.runPromise(Effect.flip(trip)))
console.log(Object.keys(diagram).length > 0)
