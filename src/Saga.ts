/**
 * Sagas: business processes of several steps in which what was done is undone, in order, when a later step fails.
 *
 * This is the door: everything that a program composes and runs sagas with. Nothing is defined here.
 *
 * @since 0.1.0
 */
export * from "./EventNodes.ts"
export * from "./SagaBranch.ts"
export {
  type Aftermath,
  aftermath,
  AftermathAnnotation,
  CaseMissing,
  CompensationFailed,
  CompensationTimedOut,
  DuplicateItemKey,
  EventTimedOut,
  type Failure,
  ForwardRecoveryFailed,
  PayloadInvalid,
  PivotUncertain,
  SagaDefinitionError,
  SagaScopeClosed,
  SagaTimedOut,
  StepTimedOut,
  StepUncertain,
  type Stuck,
  type UncertainReason,
  type UncertainStep
} from "./SagaError.ts"
export * from "./SagaInline.ts"
export * from "./SagaMigration.ts"
export * from "./SagaRegister.ts"
export * from "./SagaRun.ts"
export { SagaScope } from "./SagaScope.ts"
export * from "./SagaStep.ts"
export { type AnySaga, definition, make, onStuck, type Phase, type Saga, timeout, unwind } from "./SagaValue.ts"
export type { Branch, NodeDefinition, SagaDefinition } from "./SagaValue.ts"
export * from "./StepContext.ts"
