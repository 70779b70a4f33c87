/**
 * Seeing a saga: drawn as a flowchart, with what a failure would undo, and as the timeline of a run.
 *
 * @since 0.1.0
 */
export { toMermaid } from "./Mermaid.ts"
export { timeline, type TimelineOptions } from "./Timeline.ts"
export { StepNotFound, type Undo, type UndoBranch, type UndoPlan, undoPlan, undoPlans } from "./UndoPlan.ts"
export { formatUndoPlan } from "./UndoPlanText.ts"
