/** The bars of `npm run bench` that are ratios, for one length, so that a change that loses them is seen at once. */
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { ratio, timesPerStep } from "./measure.ts"
import type { Case } from "./sagas.ts"
import { acquireRelease, bare, byHand, defined, inline, ledger } from "./sagas.ts"

const ways = { bare, byHand, acquireRelease, inline, defined }

describe("every way does the same work", () => {
  for (const [name, way] of Object.entries(ways)) {
    for (const fails of [false, true]) {
      it(`${name}${fails ? ", the last step fails" : ""}`, () => {
        const before = { ...ledger }
        const exit = Effect.runSyncExit(way({ steps: 10, fails }) as Effect.Effect<unknown, unknown>)
        const released = fails && name !== "bare" ? 9 : 0
        expect(exit._tag).toBe(fails ? "Failure" : "Success")
        expect(ledger.reserved - before.reserved).toBe(fails ? 9 : 10)
        expect(ledger.released - before.released).toBe(released)
      })
    }
  }
})

/** A ratio that the machine has spoiled is measured again: a busy one makes them worse, never better for three times. */
describe("a saga of 100 steps", { retry: 2 }, () => {
  for (const fails of [false, true]) {
    it(`${fails ? "the last step fails" : "success"}: costs less than by hand`, async () => {
      const given: Case = { steps: 100, fails }
      const figures = await timesPerStep([
        { name: "byHand", steps: 100, program: byHand(given) },
        { name: "inline", steps: 100, program: inline(given) },
        { name: "defined", steps: 100, program: defined(given) }
      ], 5)
      const timesByHand = (name: string) => ratio(figures.get(name)!, figures.get("byHand")!)
      console.log(timesByHand("inline"), timesByHand("defined"))
      expect(timesByHand("inline")).toBeLessThan(0.8)
      expect(timesByHand("defined")).toBeLessThan(0.5)
    })
  }
})
