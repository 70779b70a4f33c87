/**
 * Nodes that had another name before: what facts say of them under their old names, under the new ones. It knows paths and
 * facts, and no saga.
 */
import { identity } from "effect/Function"
import type { SagaEvent } from "../SagaEvent.ts"
import type { StepPath } from "../StepPath.ts"

/** New names, by the patterns of old paths: a `*` stands for any key of a `forEach`. */
export type Renames = Readonly<Record<string, string>>

/** What a path is called now. */
export type Rename = (path: StepPath) => StepPath

/** Whether the beginning of a path, so many segments of it, is one that a pattern means. */
export const means = (pattern: ReadonlyArray<string>, path: ReadonlyArray<string>, length: number): boolean =>
  pattern.length === length && pattern.every((segment, index) => segment === "*" || segment === path[index])

/** Reads paths under their new names. What is below a node moves along. */
export const renaming = (renames: Renames | undefined): Rename => {
  const patterns = Object.entries(renames ?? {}).map(([pattern, name]) => ({ segments: pattern.split("/"), name }))
  if (patterns.length === 0) return identity
  const named = (path: ReadonlyArray<string>, length: number) =>
    patterns.find(({ segments }) => means(segments, path, length))?.name ?? path[length - 1]
  return (path) => {
    const segments = path.split("/")
    return segments.map((_, index) => named(segments, index + 1)).join("/")
  }
}

/** A fact as it reads under new names. The keys of what has started stay those of its old name. */
export const renamed = (fact: SagaEvent, rename: Rename): SagaEvent => {
  switch (fact._tag) {
    case "StepStarted": {
      const path = rename(fact.path)
      return path === fact.path ? fact : { keyedAs: fact.path, ...fact, path }
    }
    case "FellBack":
      return { ...fact, path: rename(fact.path), ...failedIn(fact, rename) }
    case "UnwindStarted":
      return { ...fact, scope: rename(fact.scope), ...failedIn(fact, rename) }
    case "SagaStuck":
      return { ...fact, open: fact.open.map(rename) }
    case "SagaCompensated":
      return { ...fact, uncertain: fact.uncertain.map(rename) }
    default:
      return "path" in fact ? { ...fact, path: rename(fact.path) } : fact
  }
}

const failedIn = ({ failed }: { readonly failed?: string }, rename: Rename): { readonly failed?: string } =>
  failed === undefined ? {} : { failed: rename(failed) }

/** Facts as they would read if every node had had its last name from the beginning. */
export const underLastNames = (facts: ReadonlyArray<SagaEvent>): ReadonlyArray<SagaEvent> => {
  if (!facts.some((fact) => fact._tag === "SagaMigrated")) return facts
  let read: Array<SagaEvent> = []
  for (const fact of facts) {
    if (fact._tag !== "SagaMigrated" || fact.renamed === undefined) read.push(fact)
    else {
      const { renamed: renames, ...rest } = fact
      const rename = renaming(renames)
      read = read.map((before) => renamed(before, rename))
      read.push(rest)
    }
  }
  return read
}
