import type { Effect, Scope } from "effect"
import type { Journal } from "effect-saga/SagaJournal"

/** Tests one promise on a journal of its own. */
export type PromiseTest = <E>(
  promise: string,
  body: (journal: Journal) => Effect.Effect<void, E, Scope.Scope>
) => void
