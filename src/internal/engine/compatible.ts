/** What would become of the executions of a journal under some sagas. It touches none of them. */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { ExecutionRecord, JournalUnavailable } from "../../Journal.ts"
import type { Compatibility } from "../../Operations.ts"
import type { SagaTree } from "../tree.ts"
import type { Engine } from "./engine.ts"
import { all } from "./queries.ts"
import { missing, runnerOf } from "./reading.ts"
import type { Versions } from "./registry.ts"
import { keyOf, versionsOf } from "./registry.ts"
import type { Returning } from "./returning.ts"
import { read } from "./returning.ts"
import { liveStates } from "./states.ts"

/** How many executions are read at once. */
const concurrency = 8

/** What some versions of sagas make of an execution: it is read, or which version it would need. */
interface Looked {
  readonly executionId: string
  readonly found: Result.Result<Returning, string> | ExecutionRecord
}

/** Reads executions as an engine with these versions would, and touches none of them. */
export const lookAt = (
  { journal }: Engine,
  versions: Versions,
  rows: Stream.Stream<ExecutionRecord, JournalUnavailable>
): Stream.Stream<Looked, JournalUnavailable> =>
  Stream.suspend(() => {
    const definitions = new Map<string, Option.Option<string>>()
    const definition = (hash: string) =>
      Effect.suspend(() => {
        const known = definitions.get(hash)
        return known !== undefined
          ? Effect.succeed(known)
          : Effect.tap(journal.definition(hash), (data) => Effect.sync(() => definitions.set(hash, data)))
      })
    const look = (row: ExecutionRecord) =>
      Effect.gen(function*() {
        const facts = yield* journal.facts(row.executionId, 0)
        const registered = runnerOf(versions, row, facts)
        return registered === undefined
          ? missing(versions, row, facts)
          : yield* read({ execution: row, facts, clean: true }, registered, definition)
      }).pipe(Effect.map((found): Looked => ({ executionId: row.executionId, found })))
    return Stream.mapEffect(rows, look, { concurrency })
  })

/** Reads every live execution as an engine with these sagas would. */
export const compatible = (
  engine: Engine,
  trees: ReadonlyArray<SagaTree>
): Effect.Effect<Compatibility, JournalUnavailable> =>
  Effect.gen(function*() {
    const versions = versionsOf(trees, engine.registry.sealed)
    let goOn = 0
    let migrated = 0
    const parked: Array<Compatibility["parked"][number]> = []
    const left = new Map<string, { readonly saga: string; readonly version: number; count: number }>()
    yield* Stream.runForEach(lookAt(engine, versions, all(engine, { state: liveStates })), ({ executionId, found }) =>
      Effect.sync(() => {
        if (!("_tag" in found)) {
          const { saga, version } = found
          const group = left.get(keyOf(found)) ?? { saga, version, count: 0 }
          group.count++
          left.set(keyOf(found), group)
        } else if (found._tag === "Failure") {
          parked.push({ executionId, problem: found.failure })
        } else {
          goOn++
          if (found.success.migration !== undefined) {
            migrated++
          }
        }
      }))
    return { goOn, migrated, parked, left: Array.from(left.values()) }
  })
