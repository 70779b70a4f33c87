/**
 * A purchase that a person has to approve within two days. Waiting changes nothing in the world, so it is a check: when
 * its time is over nothing is uncertain, and what was held before is released.
 */
import { Schema } from "effect"
import { Saga } from "../../src/index.ts"
import { Approvals, Budget, NobodyAnswered, Refused, Supplier } from "./services.ts"

export const Purchase = Schema.Struct({
  id: Schema.String,
  team: Schema.String,
  item: Schema.String,
  cents: Schema.Int
})

export const purchase = Saga.make("Purchase", { payload: Purchase }).pipe(
  Saga.step("budget", {
    action: ({ payload }, { idempotencyKey }) =>
      Budget.use((budget) => budget.hold(payload.team, payload.cents, idempotencyKey)),
    compensation: (_result, _state, { actionKey }) => Budget.use((budget) => budget.release(actionKey))
  }),
  Saga.step("request", {
    action: ({ payload }) => Approvals.use((approvals) => approvals.request(payload.id)),
    compensation: (_result, { payload }) => Approvals.use((approvals) => approvals.withdraw(payload.id))
  }),
  Saga.check("approval", {
    success: Schema.String,
    error: Schema.Union([Refused, NobodyAnswered]),
    timeout: "2 days",
    timeoutError: () => new NobodyAnswered(),
    action: ({ payload }) => Approvals.use((approvals) => approvals.decision(payload.id))
  }),
  Saga.pivot("order", {
    action: ({ payload }, { idempotencyKey }) =>
      Supplier.use((supplier) => supplier.order(payload.item, idempotencyKey))
  }),
  Saga.output(Schema.Struct({ approvedBy: Schema.String }), ({ approval }) => ({ approvedBy: approval }))
)
