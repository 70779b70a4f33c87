/**
 * Facts as a saga reads them, each by the version that wrote it; and where an execution stands that another version has
 * taken on. It decides nothing.
 */
import * as Result from "effect/Result"
import type { ExecutionRecord, FactRecord } from "../../Journal.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import { readLoosely } from "./codec.ts"
import type { Registered, Versions } from "./registry.ts"

/** Reads the facts of an execution one after the other, from the first on. */
export class Reader {
  readonly #registered: Registered
  /** What the facts to come are of. */
  #version: number | undefined
  #migrated = false

  constructor(registered: Registered) {
    this.#registered = registered
  }

  /** The next fact, under today's names, or in words why it cannot be read. */
  read(text: string): Result.Result<SagaEvent, string> {
    const version = this.#version ??= this.#first(text)
    return Result.map(Result.flatMap(this.#of(version), (reads) => reads.decode(text)), (fact) => {
      if (fact._tag !== "SagaMigrated") return fact
      this.#version = fact.to
      this.#migrated = true
      // Everything has today's names here: nothing is left to be renamed.
      const { renamed: _, ...rest } = fact
      return rest
    })
  }

  /** What the first fact is of. A saga that tells of no other version reads all of them as its own. */
  #first(text: string): number {
    const { definition, migrations } = this.#registered
    return (migrations.size === 0 ? undefined : versionIn(text)) ?? definition.version
  }

  #of(version: number): Result.Result<{ readonly decode: Registered["codec"]["decode"] }, string> {
    const { codec, definition, migrations } = this.#registered
    const reads = version === definition.version ? codec : migrations.get(version)
    // Who asks with another version of a saga, and tells nothing of that, has what it finds read as its own.
    return reads !== undefined || !this.#migrated
      ? Result.succeed(reads ?? codec)
      : Result.fail(unmigrated(definition, version))
  }
}

const versionIn = (text: string): number | undefined => {
  const fact = Result.getOrUndefined(readLoosely(text))
  return fact?._tag === "SagaStarted" ? fact.version : undefined
}

/** Why facts of a version cannot be read. */
export const unmigrated = (today: { readonly version: number }, version: number): string =>
  `version ${today.version} has no migration from version ${version}`

/** The row of an execution, with the version and the definition that it goes by since it was last taken on. */
export const standing = (row: ExecutionRecord, records: ReadonlyArray<FactRecord>): ExecutionRecord => {
  let record: FactRecord | undefined
  for (const one of records) if (one.tag === "SagaMigrated") record = one
  const fact = record === undefined ? undefined : Result.getOrUndefined(readLoosely(record.data))
  return fact?._tag === "SagaMigrated"
    ? { ...row, version: fact.to, definition: fact.definition ?? row.definition }
    : row
}

/** Which version would have to be there for an execution that none of these runs. */
export const missing = (
  versions: Versions,
  row: ExecutionRecord,
  records: ReadonlyArray<FactRecord>
): ExecutionRecord => versions.find(row) === undefined ? row : standing(row, records)

/** What runs an execution. Undefined: nothing that is among these versions. */
export const runnerOf = (
  versions: Versions,
  row: ExecutionRecord,
  records: ReadonlyArray<FactRecord>
): Registered | undefined => versions.runs(row, standing(row, records).version)
