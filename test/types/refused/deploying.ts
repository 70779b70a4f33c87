/** Migrations of what the saga has not. */
import { Effect, Schema } from "effect"
import { Saga } from "effect-saga"

const saga = Saga.make("Order", { payload: Schema.Struct({ sku: Schema.String }), version: 2 }).pipe(
  Saga.step("reserve", { success: Schema.String, action: () => Effect.succeed("1"), compensation: () => Effect.void }),
  Saga.output(Schema.Number, () => 1)
)

const start = Saga.make("Start", { payload: Schema.Void, version: 2 })

// @ts-expect-error a migration in a branch
start.pipe(Saga.parallel((fork) => [fork.pipe(Saga.migrateFrom(1))]))
// @ts-expect-error a migration to another payload
saga.pipe(Saga.migrateFrom(1, { payload: Schema.Struct({ id: Schema.String }) }))
// @ts-expect-error a migration to another result
saga.pipe(Saga.migrateFrom(1, { output: Schema.String }))
// @ts-expect-error a migration of a step that tells what it cannot
saga.pipe(Saga.migrateFrom(1, { steps: { reserve: { result: Schema.String } } }))
// @ts-expect-error a version that is no number
saga.pipe(Saga.migrateFrom("1"))
