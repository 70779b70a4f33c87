/**
 * The request to start an execution, as what a journal keeps of it: for a store that takes it from a caller without an
 * engine. It writes nothing.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ExecutionConflict, ExecutionIdInvalid, PayloadRefused } from "./ExecutionError.ts"
import type { Registered } from "./internal/engine/registry.ts"
import { definitionRecord, describe } from "./internal/engine/registry.ts"
import { openFacts, sealFact } from "./internal/engine/sealed.ts"
import { beginningOf, firstOf, joined } from "./internal/engine/starting.ts"
import type { SagaTree } from "./internal/tree.ts"
import type { FactRecord, JournalUnavailable, StartRecord } from "./Journal.ts"
import { JournalCipher } from "./JournalCipher.ts"
import type { AnySaga } from "./SagaValue.ts"
import { toTree } from "./SagaValue.ts"

/**
 * What is written if nobody has the id, all of it or nothing, and what the request is told if somebody has.
 *
 * @category models
 * @since 0.1.0
 */
export interface SagaStart {
  /** Nobody owns it: whichever engine looks first has it. */
  readonly row: StartRecord
  /** Sealed, where there is a cipher. */
  readonly fact: FactRecord
  /** Is kept under its hash, as `Journal.define` keeps it. */
  readonly definition: {
    readonly hash: string
    readonly saga: string
    readonly version: number
    readonly data: string
  }
  /** What a log should say of it. */
  readonly warnings: ReadonlyArray<string>
  /** The id is that of an execution of a saga with this first fact: the answer is its id, or that it is another request. */
  readonly joined: (saga: string, data: string) => Effect.Effect<string, ExecutionConflict>
}

/**
 * The request to start an execution. Without an id it has that of its key, or a new one. A `JournalCipher` around it is
 * that of the engines which will read it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  saga: AnySaga,
  payload: unknown,
  executionId: string | undefined
): Effect.Effect<SagaStart, PayloadRefused | ExecutionIdInvalid | JournalUnavailable> =>
  Effect.withFiber((fiber) => {
    const cipher = Option.getOrUndefined(Context.getOption(fiber.context, JournalCipher))
    const registered = { ...described(toTree(saga), cipher !== undefined), clock: fiber.getRef(Clock.Clock) }
    return Effect.flatMap(beginningOf(registered, payload, executionId), (beginning) => {
      const first = firstOf(beginning)
      return Effect.map(cipher === undefined ? Effect.succeed(first) : sealFact(cipher, first), (fact): SagaStart => ({
        row: { ...beginning.row, owned: false },
        fact,
        definition: definitionRecord(registered),
        warnings: beginning.warnings,
        joined: (saga, data) =>
          cipher === undefined ? joined(beginning, saga, data) : Effect.flatMap(
            openFacts(cipher, [{ ...first, data }]),
            ([opened]) => joined(beginning, saga, opened!.data)
          )
      }))
    })
  })

/** What is known of sagas that do not run here, with a cipher and without. */
const known = { sealed: new WeakMap<SagaTree, Registered>(), plain: new WeakMap<SagaTree, Registered>() }

const described = (tree: SagaTree, sealed: boolean): Registered => {
  const sagas = sealed ? known.sealed : known.plain
  let registered = sagas.get(tree)
  if (registered === undefined) sagas.set(tree, registered = describe(tree, Context.empty(), sealed))
  return registered
}
