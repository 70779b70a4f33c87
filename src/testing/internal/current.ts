/** At which step what runs here is, for fakes that are told by which name they go and not where they are called. */
import * as Context from "effect/Context"
import type { StepPath } from "../../StepPath.ts"

/** The path of the step whose action or compensation this is a part of; undefined where nobody says so. */
export const CurrentStep = Context.Reference<StepPath | undefined>("effect-saga/testing/CurrentStep", {
  defaultValue: () => undefined
})
