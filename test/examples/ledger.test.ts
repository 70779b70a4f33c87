// What makes the participants of the examples fit for sagas.
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import * as Ledger from "../../examples/ledger.ts"

const entry = { account: "tea", amount: 2 }

it.effect("an entry that comes twice under one key is one entry", () =>
  Effect.gen(function*() {
    const ledger = yield* Ledger.make
    const onlyThis = (sum: number) => sum > 0 ? "there is none left" : undefined
    yield* ledger.enter("a", entry, onlyThis)
    yield* ledger.enter("a", entry, onlyThis)
    assert.deepStrictEqual(yield* ledger.sums, { tea: 2 })
  }))

it.effect("an entry that is refused is not entered, and its key is free", () =>
  Effect.gen(function*() {
    const ledger = yield* Ledger.make
    yield* ledger.enter("a", entry)
    assert.strictEqual(yield* Effect.flip(ledger.enter("b", entry, (sum) => `already ${sum}`)), "already 2")
    assert.isFalse(yield* ledger.has("b"))
    yield* ledger.enter("b", entry, () => undefined)
    assert.deepStrictEqual(yield* ledger.sums, { tea: 4 })
  }))

it.effect("a cancelled entry is gone, also when it is cancelled twice", () =>
  Effect.gen(function*() {
    const ledger = yield* Ledger.make
    yield* ledger.enter("a", entry)
    yield* ledger.cancel("a")
    yield* ledger.cancel("a")
    assert.isFalse(yield* ledger.has("a"))
    assert.deepStrictEqual(yield* ledger.sums, {})
  }))

it.effect("an action that comes after its compensation is refused", () =>
  Effect.gen(function*() {
    const ledger = yield* Ledger.make
    yield* ledger.cancel("a")
    const exit = yield* Effect.exit(ledger.enter("a", entry))
    assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    assert.deepStrictEqual(yield* ledger.sums, {})
  }))
