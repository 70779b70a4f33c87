/**
 * Domain events: what they are, where they are published, and sagas that start from them.
 *
 * @since 0.1.0
 */
export * as DomainEvent from "../DomainEvent.ts"
export * from "../EventBus.ts"
export * as EventSubscription from "../EventSubscription.ts"
export * as MemoryBus from "./MemoryBus.ts"
export * as SagaEvents from "./SagaEvents.ts"
