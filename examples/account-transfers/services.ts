/**
 * The bank: accounts whose balances are what they were opened with plus what was booked since. A booking that comes again
 * under its key changes nothing.
 */
import { Context, Effect, Layer, Schema } from "effect"
import * as Ledger from "../ledger.ts"

export class AccountMissing extends Schema.TaggedError<AccountMissing>()("AccountMissing", {
  account: Schema.String
}) {
  override get message() {
    return `there is no account ${this.account}`
  }
}

export class InsufficientFunds extends Schema.TaggedError<InsufficientFunds>()("InsufficientFunds", {
  account: Schema.String,
  balance: Schema.Int
}) {
  override get message() {
    return `${this.account} has ${this.balance}`
  }
}

export class Accounts extends Context.Service<Accounts, {
  readonly debit: (
    account: string,
    amount: number,
    key: string
  ) => Effect.Effect<void, AccountMissing | InsufficientFunds>
  readonly credit: (account: string, amount: number, key: string) => Effect.Effect<void, AccountMissing>
  readonly balances: Effect.Effect<Readonly<Record<string, number>>>
}>()("account-transfers/Accounts") {
  static readonly layer = (opened: Readonly<Record<string, number>>) =>
    Layer.effect(
      Accounts,
      Effect.gen(function*() {
        const ledger = yield* Ledger.make

        const opening = (account: string) =>
          opened[account] === undefined ? new AccountMissing({ account }) : Effect.succeed(opened[account])

        return {
          debit: Effect.fn("Accounts.debit")(function*(account, amount, key) {
            const before = yield* opening(account)
            yield* ledger.enter(key, { account, amount: -amount }, (booked) => {
              const balance = before + booked
              return balance < amount ? new InsufficientFunds({ account, balance }) : undefined
            })
          }),
          credit: Effect.fn("Accounts.credit")(function*(account, amount, key) {
            yield* opening(account)
            yield* ledger.enter(key, { account, amount })
          }),
          balances: Effect.map(ledger.sums, (booked) => {
            const balance = ([account, before]: [string, number]) => [account, before + (booked[account] ?? 0)] as const
            return Object.fromEntries(Object.entries(opened).map(balance))
          })
        }
      })
    )
}
