/**
 * What the participants of the examples remember: amounts, each under the key that it came with. That makes them fit for
 * sagas, in which an action or a compensation may come twice, and a compensation may come for an action that never did.
 *
 * It never waits, and knows nothing of sagas.
 */
import { Effect, HashMap, Option, Ref } from "effect"

export interface Entry {
  readonly account: string
  readonly amount: number
}

export interface Ledger {
  /** Enters an amount, once per key, unless `refuse` has something against it, given the sum so far. */
  readonly enter: <E = never>(
    key: string,
    entry: Entry,
    refuse?: (sum: number) => E | undefined
  ) => Effect.Effect<void, E>
  /** Takes an entry out. An action that comes later under its key is a defect: nobody would undo it. */
  readonly cancel: (key: string) => Effect.Effect<void>
  readonly has: (key: string) => Effect.Effect<boolean>
  /** The sum of each account that has entries. */
  readonly sums: Effect.Effect<Readonly<Record<string, number>>>
}

/** A cancelled entry leaves its key behind. */
type Entries = HashMap.HashMap<string, Option.Option<Entry>>

export const make: Effect.Effect<Ledger> = Effect.map(Ref.make<Entries>(HashMap.empty()), (entries) => ({
  enter: <E>(key: string, entry: Entry, refuse?: (sum: number) => E | undefined) =>
    Effect.flatten(Ref.modify(entries, (all): readonly [Effect.Effect<void, E>, Entries] => {
      const known = HashMap.get(all, key)
      if (Option.isSome(known)) {
        return [Option.isSome(known.value) ? Effect.void : Effect.die(new Error(`${key} was cancelled before`)), all]
      }
      const error = refuse?.(sumsOf(all)[entry.account] ?? 0)
      if (error !== undefined) return [Effect.fail(error), all]
      return [Effect.void, HashMap.set(all, key, Option.some(entry))]
    })),
  cancel: (key) => Ref.update(entries, HashMap.set(key, Option.none())),
  has: (key) => Effect.map(Ref.get(entries), (all) => Option.isSome(Option.flatten(HashMap.get(all, key)))),
  sums: Effect.map(Ref.get(entries), sumsOf)
}))

const sumsOf = (entries: Entries): Readonly<Record<string, number>> => {
  const sums: Record<string, number> = {}
  for (const { value } of HashMap.toValues(entries).filter(Option.isSome)) {
    sums[value.account] = (sums[value.account] ?? 0) + value.amount
  }
  return sums
}
