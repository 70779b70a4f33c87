// Transfers between accounts: what the program does not show.
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Saga } from "effect-saga"
import { transfer } from "../../examples/account-transfers/saga.ts"
import { Accounts } from "../../examples/account-transfers/services.ts"

const balances = Accounts.use((accounts) => accounts.balances)
const bank = Accounts.layer({ Alice: 1000, Bob: 500, Charlie: 750 })

it.effect("a transfer that is run again under its execution id moves the money once", () =>
  Effect.gen(function*() {
    const again = Saga.run(transfer, { from: "Alice", to: "Bob", amount: 150 }, { executionId: "t1" })
    yield* again
    yield* again
    assert.deepStrictEqual(yield* balances, { Alice: 850, Bob: 650, Charlie: 750 })
  }).pipe(Effect.provide(bank)))

it.effect("the debit of a transfer to nobody is undone before the caller gets the error", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(Saga.run(transfer, { from: "Alice", to: "nobody", amount: 100 }))
    assert.strictEqual(error._tag, "AccountMissing")
    assert.deepStrictEqual(yield* balances, { Alice: 1000, Bob: 500, Charlie: 750 })
  }).pipe(Effect.provide(bank)))

it.effect("no transfers at once make money, lose money or overdraw an account", () =>
  Effect.gen(function*() {
    const names = ["Alice", "Bob", "Charlie", "nobody"]
    const all = names.flatMap((from) => names.map((to) => ({ from, to, amount: 700 })))
    const outcomes = yield* Effect.forEach(all, (one) => Saga.outcome(transfer, one), { concurrency: "unbounded" })
    assert.includeMembers(outcomes.map(({ _tag }) => _tag), ["Succeeded", "Compensated"])
    const after = Object.values(yield* balances)
    assert.strictEqual(after.reduce((sum, balance) => sum + balance), 2250)
    assert.isTrue(after.every((balance) => balance >= 0))
  }).pipe(Effect.provide(bank)))
