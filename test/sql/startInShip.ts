/** The saga of an order, which a process may start that has no engine. */
import { Effect, Schema } from "effect"
import { Saga } from "../../src/index.ts"

export const ship = Saga.make("Ship", {
  payload: Schema.Struct({ id: Schema.String }),
  key: ({ id }) => id,
  tags: ({ id }) => ({ tenant: id.slice(0, 1), kind: "van" })
}).pipe(
  Saga.step("van", {
    success: Schema.String,
    action: ({ payload }) => Effect.succeed(`van for ${payload.id}`),
    compensation: () => Effect.void
  }),
  Saga.output(Schema.String, ({ van }) => van)
)
