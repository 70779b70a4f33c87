/**
 * What a team uses to know that its own sagas compensate. Plain Effects that fail with a typed error: any test runner that
 * runs Effects will do.
 *
 * @since 0.1.0
 */
export { type Call, type CalledStep, intercept } from "../SagaIntercept.ts"
export * from "./Doubles.ts"
export * from "./Exploration.ts"
export * from "./Explore.ts"
export * from "./Laws.ts"
export * from "./Trace.ts"
