/** How the promises of a journal are written down. */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Journal } from "../../../SagaJournal.ts"

/** Tests one promise on a journal of its own. */
export type WritePromise = <E>(
  promise: string,
  body: (journal: Journal) => Effect.Effect<void, E, Scope.Scope>
) => void

/** Promises that belong together, for who reads them. */
export const describe = (_: string, promises: () => void): void => promises()
