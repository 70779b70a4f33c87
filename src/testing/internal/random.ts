/** Random programs of faults: a plan that decides at each call, from one number, so that it is the same each time. */
import type { CallFault } from "../Fault.ts"
import type { Plan } from "./harness.ts"
import { breaks, canLast, crashes, deliveries, faultsOf } from "./harness.ts"

/** Pseudo-random numbers from 0 to 1 (mulberry32). */
const numbers = (seed: number) => {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

/** How often something goes wrong: some programs are calm, some are not. */
const rates = [0.05, 0.15, 0.4]

/** A plan that is drawn while it is carried out. */
export const drawing = (seed: number): Plan => {
  const next = numbers(seed)
  const pick = <A>(all: ReadonlyArray<A>): A => all[Math.floor(next() * all.length)]!
  const rate = pick(rates)
  const lasting: Array<CallFault> = []
  return {
    onCall: (seen, samples) => {
      const outlasting = lasting.find((fault) => breaks(fault, seen))
      if (outlasting !== undefined) return outlasting
      if (next() >= rate) return undefined
      const fault = pick(faultsOf(seen, samples))
      if (next() >= 0.2 || !canLast(fault)) return fault
      const outage = { ...fault, lasting: true }
      lasting.push(outage)
      return outage
    },
    onWrite: (write) =>
      next() < rate / 3
        ? { kind: "journal", write, deed: pick(crashes) }
        : undefined,
    onEvent: (event) => next() < rate ? { kind: "event", event, deed: pick(deliveries) } : undefined
  }
}
