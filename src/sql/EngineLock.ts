/**
 * The lock that lets one engine at a time use a journal which serves only one.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { JournalLocked, JournalUnavailable } from "../SagaJournal.ts"

/**
 * The lock of a database. Who only reads, or writes tables of its own, does not need it.
 *
 * @category services
 * @since 0.1.0
 */
export class EngineLock extends Context.Service<EngineLock, {
  /**
   * Takes the lock until the scope closes or the process dies. Waits a while for who holds it, without blocking the
   * event loop, then fails.
   */
  readonly acquire: Effect.Effect<void, JournalLocked | JournalUnavailable, Scope.Scope>
}>()("effect-saga/sql/EngineLock") {}
