/**
 * The service that an inline step requires and that `Saga.scoped` provides, so that a step without a saga around it does
 * not compile. It holds nothing that a program reads.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

/**
 * The inline saga that a step belongs to.
 *
 * @category services
 * @since 0.1.0
 */
export class SagaScope extends Context.Service<SagaScope, {
  readonly "~effect-saga/SagaScope": "SagaScope"
}>()("effect-saga/SagaScope") {}
