/**
 * @since 0.1.0
 */
export * as Saga from "./Saga.ts"
export type { SagaEvent } from "./SagaEvent.ts"
export * as SagaObserver from "./SagaObserver.ts"
export * as SagaState from "./SagaState.ts"
export * as StepPath from "./StepPath.ts"
