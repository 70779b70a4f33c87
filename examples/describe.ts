/**
 * How a run ended, in one line. It is for people; a program looks at the outcome itself.
 */
import { Cause } from "effect"
import type { Saga } from "../src/index.ts"

export const describe = <A, E>(outcome: Saga.Outcome<A, E>): string => {
  switch (outcome._tag) {
    case "Succeeded":
      return "succeeded"
    case "Compensated":
      return `${Cause.squash(outcome.cause)}; compensated: ${outcome.compensated.join(", ") || "nothing"}`
    case "Stuck":
      return `stuck: ${outcome.error.message}`
  }
}
