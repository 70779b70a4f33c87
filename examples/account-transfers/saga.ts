/**
 * A transfer between two accounts: a debit that is undone by a credit, then the credit, with which it is done.
 */
import { Schema } from "effect"
import { Saga } from "../../src/index.ts"
import { AccountMissing, Accounts, InsufficientFunds } from "./services.ts"

export const Transfer = Schema.Struct({
  from: Schema.String,
  to: Schema.String,
  amount: Schema.Int.check(Schema.isGreaterThan(0))
})

export const transfer = Saga.make("Transfer", { payload: Transfer }).pipe(
  Saga.step("debit", {
    error: Schema.Union([AccountMissing, InsufficientFunds]),
    action: ({ payload: { amount, from } }, { idempotencyKey }) =>
      Accounts.use((accounts) => accounts.debit(from, amount, idempotencyKey)),
    compensation: (_, { payload: { amount, from } }, { idempotencyKey }) =>
      Accounts.use((accounts) => accounts.credit(from, amount, idempotencyKey))
  }),
  Saga.pivot("credit", {
    error: AccountMissing,
    action: ({ payload: { amount, to } }, { idempotencyKey }) =>
      Accounts.use((accounts) => accounts.credit(to, amount, idempotencyKey))
  })
)
