/**
 * What the journal says of an execution that comes back: everything that it goes on with, or in words why it cannot. It
 * decides nothing about engines.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Claimed, FactRecord } from "../../Journal.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import { fold } from "../../SagaState.ts"
import type { SagaDefinition } from "../../SagaValue.ts"
import { History } from "../history.ts"
import { underLastNames } from "../renames.ts"
import { revise } from "../revised.ts"
import { readDefinition, readLoosely } from "./codec.ts"
import { difference } from "./definition.ts"
import type { MovedWait } from "./journalRecorder.ts"
import { Reader, standing, unmigrated } from "./reading.ts"
import type { Registered } from "./registry.ts"

type Fact<Tag extends SagaEvent["_tag"]> = Extract<SagaEvent, { readonly _tag: Tag }>

/** An execution that can go on. */
export interface Returning {
  readonly started: Fact<"SagaStarted">
  /** All of them, as they count. */
  readonly facts: ReadonlyArray<SagaEvent>
  /** How many are on record. */
  readonly count: number
  readonly history: History
  /** The fact to come first, where another version has had it last. */
  readonly migration: Omit<Fact<"SagaMigrated">, "atMillis"> | undefined
  /** Waits that go on and stand in the journal under the names that they had before that fact. */
  readonly moved: ReadonlyArray<MovedWait>
}

/** Whether an execution is parked because today's saga does not fit what it has done. */
export const isUnreadable = (problem: string | null): boolean =>
  problem !== null && (problem.startsWith(undecodableIs) || problem.startsWith(changedIs))

const undecodableIs = "Undecodable: "
const changedIs = "DefinitionChanged: "

/** All facts of an execution as a saga reads them today, or in words why it cannot. */
export const readFacts = (
  registered: Registered,
  records: ReadonlyArray<FactRecord>
): Result.Result<ReadonlyArray<SagaEvent>, string> => {
  const reader = new Reader(registered)
  const facts: Array<SagaEvent> = []
  for (const [index, record] of records.entries()) {
    if (record.sequence !== index) return Result.fail(`the fact number ${index} is missing`)
    const fact = reader.read(record.data)
    if (Result.isFailure(fact)) return Result.fail(fact.failure)
    facts.push(fact.success)
  }
  return Result.succeed(facts)
}

/** Reads an execution with today's saga. `definition` looks up what was kept under a hash. */
export const read = <E>(
  { clean, execution, facts: records }: Pick<Claimed, "clean" | "execution" | "facts">,
  registered: Registered,
  definition: (hash: string) => Effect.Effect<Option.Option<string>, E>
): Effect.Effect<Result.Result<Returning, string>, E> =>
  Effect.suspend(() => {
    const undecodable = (why: string) => Effect.succeed(Result.fail(undecodableIs + why))
    const { definition: today, hash, migrations, tree } = registered
    const facts = readFacts(registered, records)
    if (Result.isFailure(facts)) return undecodable(facts.failure)
    const [started] = facts.success
    if (started?._tag !== "SagaStarted") return undecodable("it does not begin with SagaStarted")
    const last = standing(execution, records)
    const strange = [started.version, last.version].find((version) =>
      version !== today.version && !migrations.has(version)
    )
    if (strange !== undefined) return undecodable(unmigrated(today, strange))
    const state = fold(facts.success)
    if (Result.isFailure(state)) return undecodable(state.failure.message)
    const revised = revise(facts.success)
    const history = new History(tree, execution.executionId, revised, clean)
    const older = migrations.get(last.version)
    const migration = older === undefined ? undefined : {
      _tag: "SagaMigrated" as const,
      from: last.version,
      to: today.version,
      definition: hash,
      ...older.renames === undefined ? {} : { renamed: older.renames }
    }
    const moved = older?.renames === undefined ? [] : movedIn(history, facts.success, records)
    const returning = { started, facts: revised, count: records.length, history, migration, moved }
    if (last.definition === hash) return Effect.succeed(Result.succeed(returning))
    return Effect.map(definition(last.definition), (data) => {
      if (Option.isNone(data)) return Result.fail(`${changedIs}its definition ${last.definition} is not in the journal`)
      // What is kept was written by this toolkit, and by nobody else.
      const changed = difference(definitionThen(registered, last, data.value), today, history)
      return changed === undefined ? Result.succeed(returning) : Result.fail(changedIs + changed)
    })
  })

/** The waits that go on, of those facts that are under today's names, and have other names in the records. */
const movedIn = (
  history: History,
  facts: ReadonlyArray<SagaEvent>,
  records: ReadonlyArray<FactRecord>
): ReadonlyArray<MovedWait> => {
  const open = new Set(history.openWaits())
  const before = underLastNames(records.map(({ data }) => Result.getOrThrow(readLoosely(data))))
  return facts.flatMap((awaited, index) => {
    const then = before[index]
    return awaited._tag === "EventAwaited" && then?._tag === "EventAwaited" && open.has(awaited.path)
        && then.path !== awaited.path
      ? [{ from: then.path, awaited }]
      : []
  })
}

/** The definition that an execution goes by, as the journal keeps it, under the names of today's saga. */
export const definitionThen = (
  { migrations }: Registered,
  { version }: { readonly version: number },
  data: string
): SagaDefinition => {
  const definition = readDefinition(data)
  return migrations.get(version)?.definition(definition) ?? definition
}
