/**
 * What happened somewhere, as sagas start from it, wait for it and publish it: a type, a schema for what it says, and the
 * key of what it happened to. Nothing here sends or receives.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import { SagaDefinitionError } from "./SagaError.ts"
import { nameProblem } from "./StepPath.ts"

/**
 * A kind of event. Its name is past tense, as `PaymentConfirmed`.
 *
 * @category models
 * @since 0.1.0
 */
export interface DomainEvent<Type extends string, P extends Schema.Top> {
  readonly type: Type
  readonly payload: P
  /** What it happened to, such as the id of an order. Who waits names the same; events of one key keep their order. */
  readonly key: (payload: P["Type"]) => string
}

/**
 * Any kind of event.
 *
 * @category models
 * @since 0.1.0
 */
export interface AnyDomainEvent {
  readonly type: string
  readonly payload: Schema.Top
  readonly key: (payload: never) => string
}

/**
 * An event that happened.
 *
 * @category models
 * @since 0.1.0
 */
export interface Envelope<A = unknown> {
  /** Unique to this event: however often it is delivered, it counts once. */
  readonly id: string
  readonly type: string
  readonly key: string
  readonly occurredAtMillis: number
  /** The execution in whose course it happened. */
  readonly correlationId?: string | undefined
  /** What it happened because of: the idempotency key of a step, or the id of another event. */
  readonly causationId?: string | undefined
  readonly payload: A
}

/**
 * Where an execution stands that others are told of.
 *
 * @category models
 * @since 0.1.0
 */
export type LifecycleState = "Started" | "Succeeded" | "Compensated" | "Stuck" | "Abandoned"

/**
 * What others are told of an execution.
 *
 * @category models
 * @since 0.1.0
 */
export interface LifecycleChange {
  readonly executionId: string
  readonly saga: string
  readonly version: number
  readonly state: LifecycleState
}

/**
 * The kind of events that tell of the executions of a saga.
 *
 * @category models
 * @since 0.1.0
 */
export interface LifecycleEvent<Type extends string = string>
  extends DomainEvent<Type, Schema.Codec<LifecycleChange>>
{}

/**
 * Defines a kind of event.
 *
 * **Details**
 *
 * The type is 1 to 100 of the characters `A-Z a-z 0-9 . _ -`. It names the event in journals and between services: rename
 * it, and what was published before is not known any more.
 *
 * **Example** (An event about an order)
 *
 * ```ts
 * import { DomainEvent } from "effect-saga/events"
 * import { Schema } from "effect"
 *
 * const PaymentConfirmed = DomainEvent.make("PaymentConfirmed", {
 *   payload: Schema.Struct({ orderId: Schema.String, cents: Schema.Int }),
 *   key: ({ orderId }) => orderId
 * })
 * PaymentConfirmed.type // => "PaymentConfirmed"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const Type extends string, P extends Schema.Top>(
  type: Type,
  options: { readonly payload: P; readonly key: (payload: P["Type"]) => string }
): DomainEvent<Type, P> => {
  const problem = nameProblem(type)
  if (problem !== undefined) throw new SagaDefinitionError({ saga: type, path: "", problem })
  return { type, payload: options.payload, key: options.key }
}
