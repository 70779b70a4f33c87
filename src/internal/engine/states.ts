/** The states of an execution by what may come in them. */
import type { ExecutionState } from "../../Journal.ts"

/** Those of an execution that goes on. */
export const liveStates = ["Running", "Waiting", "Compensating"] as const

/** Those in which nothing comes any more. */
export const finalStates = ["Succeeded", "Compensated", "Abandoned"] as const

/** Whether an execution goes on by itself. */
export const isLive = (state: ExecutionState): boolean => liveStates.some((live) => live === state)

/** Whether nothing can change an execution any more. */
export const isFinal = (state: ExecutionState): state is (typeof finalStates)[number] =>
  finalStates.some((final) => final === state)
