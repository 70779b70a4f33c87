/** The bars of `npm run bench` at one length, so that a change that loses one is seen at once, and that no way cheats. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { bytesWhileWaiting, ratio, timesPerStep } from "./measure.ts"
import type { Case } from "./sagas.ts"
import { acquireRelease, byHand, defined, inline, ledger } from "./sagas.ts"

const ways = { byHand, acquireRelease, inline, defined }

describe("every way does the same work", () => {
  for (const [name, way] of Object.entries(ways)) {
    it.each([
      { fails: false, ends: "Success", reserved: 10, released: 0 },
      { fails: true, ends: "Failure", reserved: 9, released: 9 }
    ])(`${name}: $ends`, ({ ends, fails, released, reserved }) => {
      const before = { ...ledger }
      const exit = Effect.runSyncExit<unknown, unknown>(way({ steps: 10, fails }))
      expect(exit._tag).toBe(ends)
      expect(ledger.reserved - before.reserved).toBe(reserved)
      expect(ledger.released - before.released).toBe(released)
    })
  }
})

// Ratios of medians that are taken in turns. A busy machine can spoil one try, but not five.
describe("beside the saga by hand", { retry: 4 }, () => {
  it.each([{ steps: 100, fails: false }, { steps: 100, fails: true }])(
    "$steps steps, the last fails: $fails",
    async (given: Case) => {
      const { steps } = given
      const figures = await timesPerStep([
        { name: "byHand", steps, program: byHand(given) },
        { name: "inline", steps, program: inline(given) },
        { name: "defined", steps, program: defined(given) }
      ], 9)
      expect(ratio(figures.get("inline")!, figures.get("byHand")!)).toBeLessThan(0.8)
      expect(ratio(figures.get("defined")!, figures.get("byHand")!)).toBeLessThan(0.5)
    }
  )
})

it.each([{ name: "inline", way: inline }, { name: "defined", way: defined }])(
  "$name: a saga that waits in its second step holds at most 4 KiB",
  async ({ way }) => {
    const bytes = await bytesWhileWaiting((gate) => way({ steps: 3, fails: false, gate }), 10_000)
    expect(bytes).toBeLessThan(4_096)
  }
)
