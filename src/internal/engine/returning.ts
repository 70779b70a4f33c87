/**
 * What the journal says of an execution that comes back: everything that it goes on with, or in words why it cannot. It
 * decides nothing about engines.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Claimed } from "../../Journal.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import { fold } from "../../SagaState.ts"
import { History } from "../history.ts"
import { readDefinition } from "./codec.ts"
import { difference } from "./definition.ts"
import type { Registered } from "./registry.ts"

/** An execution that can go on. */
export interface Returning {
  readonly started: Extract<SagaEvent, { readonly _tag: "SagaStarted" }>
  readonly facts: ReadonlyArray<SagaEvent>
  readonly history: History
}

/** Reads an execution with today's saga. `definition` looks up what was kept under a hash. */
export const read = (
  { clean, execution, facts: records }: Claimed,
  registered: Registered,
  definition: (hash: string) => Effect.Effect<Option.Option<string>>
): Effect.Effect<Result.Result<Returning, string>> =>
  Effect.suspend(() => {
    const undecodable = (why: string) => Effect.succeed(Result.fail(`Undecodable: ${why}`))
    const facts: Array<SagaEvent> = []
    for (const [index, record] of records.entries()) {
      if (record.sequence !== index) return undecodable(`the fact number ${index} is missing`)
      const fact = registered.codec.decode(record.data)
      if (Result.isFailure(fact)) return undecodable(fact.failure)
      facts.push(fact.success)
    }
    const [started] = facts
    if (started?._tag !== "SagaStarted") return undecodable("it does not begin with SagaStarted")
    const state = fold(facts)
    if (Result.isFailure(state)) return undecodable(state.failure.message)
    const history = new History(registered.tree, execution.executionId, facts, clean)
    const returning = { started, facts, history }
    if (execution.definition === registered.hash) return Effect.succeed(Result.succeed(returning))
    return Effect.map(definition(execution.definition), (data) => {
      // What is kept was written by this toolkit, and by nobody else.
      const changed = Option.isNone(data)
        ? `its definition ${execution.definition} is not in the journal`
        : difference(readDefinition(data.value), registered.definition, history)
      return changed === undefined ? Result.succeed(returning) : Result.fail(`DefinitionChanged: ${changed}`)
    })
  })
