/** Keeping a journal in order: deleting what has ended, and looking for what is wrong. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Cursor, ExecutionRecord, JournalUnavailable } from "../../Journal.ts"
import type { Finding, PurgeOptions } from "../../Operations.ts"
import { printable } from "../../StepPath.ts"
import { reasonOf } from "./advice.ts"
import { toLine } from "./archiveLine.ts"
import { lookAt } from "./compatible.ts"
import type { Engine } from "./engine.ts"
import { all, wrong } from "./queries.ts"
import { finalStates, liveStates } from "./states.ts"

/** Deletes what has ended long enough ago, in batches, and tells after each how many that were in all. */
export const purge = <E, R>(
  engine: Engine,
  { archive, batch = 500, olderThan, saga, states = finalStates }: PurgeOptions<E, R>
): Stream.Stream<number, E | JournalUnavailable, R> =>
  Stream.unwrap(Effect.map(Clock.currentTimeMillis, (now) => {
    if (!(Number.isSafeInteger(batch) && batch > 0)) throw wrong("batch", batch, "a whole number of 1 or more")
    const foreign = states.find((state) => !finalStates.includes(state))
    if (foreign !== undefined) throw wrong("states", foreign, "final states: what is live or stuck is never deleted")
    const millis = Number.isNaN(olderThan) ? Number.NaN : Duration.toMillis(olderThan)
    if (!(millis > 0)) throw wrong("olderThan", millis, "a time above 0: whatever has ended longer ago is deleted")
    const updatedBeforeMillis = now - millis
    const filter = { saga, states, updatedBeforeMillis, limit: batch }
    let deleted = 0
    const page = (after: Cursor | undefined) =>
      Effect.gen(function*() {
        const { executions, next } = yield* engine.journal.list({ ...filter, after })
        if (archive !== undefined && executions.length > 0) {
          yield* archive(yield* Effect.forEach(executions, (row) => lineOf(engine, row)))
        }
        const removed = yield* engine.journal.remove(executions.map(({ executionId }) => executionId))
        deleted += removed.length
        return [[deleted], next === undefined ? Option.none() : Option.some(next)] as const
      })
    return Stream.paginate(undefined as Cursor | undefined, page)
  }))

/** An execution as it stands in the store: what is encrypted there stays so. */
const lineOf = (engine: Engine, row: ExecutionRecord): Effect.Effect<string, JournalUnavailable> =>
  Effect.map(engine.store.history(row.executionId), (facts) => toLine(row, facts))

// ------------------------------------------------------------------------------------------- doctor

/** From which length on a fact is worth a word: half of what a value may take. */
const longFact = 524_288

/** How far the clocks of this process and of the store may be apart. */
const skewMillis = 1_000

/** Looks for what is wrong, and says what to do about each. */
export const doctor = (engine: Engine): Effect.Effect<ReadonlyArray<Finding>, JournalUnavailable> =>
  Effect.gen(function*() {
    const { journal } = engine
    const findings: Array<Finding> = []
    const before = yield* Clock.currentTimeMillis
    const { leases, longFacts, nowMillis, schema } = yield* journal.inspect({ longerThan: longFact })
    const after = yield* Clock.currentTimeMillis
    if (schema !== undefined && schema.found !== schema.known) {
      findings.push({
        about: "SchemaMismatch",
        executionIds: [],
        problem: `The tables are those of change ${schema.found}, this release works with ${schema.known}`,
        advice: schema.found > schema.known ? "Update this process" : "Run SqlSagaJournal.layerMigrations"
      })
    }
    const skew = nowMillis > after ? nowMillis - after : nowMillis < before ? nowMillis - before : 0
    if (Math.abs(skew) > skewMillis) {
      findings.push({
        about: "ClockSkew",
        executionIds: [],
        problem: `The clock of the store is ${Math.abs(skew)} ms ${
          skew > 0 ? "ahead of" : "behind"
        } that of this process`,
        advice: "Let both follow the same time (NTP): sleeps and retries are due by the clock of the process"
      })
    }
    for (const { expiresAtMillis, id, name, owned } of leases) {
      if (expiresAtMillis > nowMillis || owned === 0) continue
      findings.push({
        about: "StaleLease",
        executionIds: [],
        problem: `Lease ${id} of engine "${printable(name)}" ran out ${
          nowMillis - expiresAtMillis
        } ms ago and owns ${owned} executions`,
        advice: "An engine that runs takes them over at its next look: start one, or look why none does"
      })
    }
    for (const { executionId, length, sequence, tag } of longFacts) {
      findings.push({
        about: "LongFact",
        executionIds: [executionId],
        problem: `Fact ${sequence} (${tag}) of "${printable(executionId)}" takes ${length} characters`,
        advice: "Keep large values where they belong, and their keys in the saga: above 1 MiB a value is refused"
      })
    }
    const open = all(engine, { state: [...liveStates, "Stuck"] })
    const trouble = yield* Stream.runCollect(lookAt(engine, engine.registry, open))
    return [...findings, ...grouped(trouble.flatMap(({ executionId, found }) => findingOf(executionId, found) ?? []))]
  })

/** What keeps an execution that is not final from going on here. */
const findingOf = (
  executionId: string,
  found: Result.Result<unknown, string> | ExecutionRecord
): Finding | undefined => {
  const executionIds = [executionId]
  if (!("_tag" in found)) {
    return {
      about: "UnknownSaga",
      executionIds,
      problem: `Version ${found.version} of saga "${printable(found.saga)}" is not registered here`,
      advice: "Register it in an engine on this journal, or give a newer version a migration; or abandon what is left"
    }
  }
  if (Result.isSuccess(found)) return undefined
  const problem = found.failure
  return reasonOf(problem) === "DefinitionChanged"
    ? {
      about: "DefinitionChanged",
      executionIds,
      problem,
      advice:
        "Register the old saga under its version beside the new one, or give the new one a migration; then retry, or abandon"
    }
    : {
      about: "Undecodable",
      executionIds,
      problem,
      advice:
        "Give the schema back what it could read, or the saga a new version and a migration; then retry, or abandon"
    }
}

/** Findings with the same words are one. */
const grouped = (findings: ReadonlyArray<Finding>): ReadonlyArray<Finding> => {
  const groups = new Map<string, Finding>()
  for (const finding of findings) {
    const before = groups.get(finding.problem)
    const executionIds = [...before?.executionIds ?? [], ...finding.executionIds]
    groups.set(finding.problem, { ...finding, executionIds })
  }
  return Array.from(groups.values())
}
