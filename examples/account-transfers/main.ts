/**
 * Transfers between accounts: those that succeed, one that is refused, and one whose debit has to be undone. The balances
 * are asserted after each.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { deepStrictEqual } from "node:assert/strict"
import { Saga } from "../../src/index.ts"
import { describe } from "../describe.ts"
import { transfer } from "./saga.ts"
import { Accounts } from "./services.ts"

const move = Effect.fn(function*(from: string, to: string, amount: number) {
  const outcome = yield* Saga.outcome(transfer, { from, to, amount })
  yield* Console.log(`${from} -> ${to} ${amount}: ${describe(outcome)}`)
})

const expectBalances = Effect.fn(function*(Alice: number, Bob: number, Charlie: number) {
  const balances = yield* Accounts.use((accounts) => accounts.balances)
  yield* Console.log(balances)
  deepStrictEqual(balances, { Alice, Bob, Charlie })
})

const program = Effect.gen(function*() {
  yield* expectBalances(1000, 500, 750)

  yield* move("Alice", "Bob", 150)
  yield* expectBalances(850, 650, 750)

  // Refused by the first step: there is nothing to undo.
  yield* move("Bob", "Charlie", 1000)
  yield* expectBalances(850, 650, 750)

  // Refused by the second step: Alice gets her money back.
  yield* move("Alice", "nobody", 100)
  yield* expectBalances(850, 650, 750)

  yield* move("Alice", "Bob", 100)
  yield* move("Bob", "Charlie", 50)
  yield* move("Charlie", "Alice", 75)
  yield* expectBalances(825, 700, 725)

  yield* move("Alice", "Bob", 50)
  yield* expectBalances(775, 750, 725)
})

program.pipe(
  Effect.provide(Accounts.layer({ Alice: 1000, Bob: 500, Charlie: 750 })),
  NodeRuntime.runMain
)
