/**
 * An older version of a saga as the saga's own migration tells of it: its facts and its definition under today's names,
 * its values by the schemas that were given for them. What the migration does not tell of was as it is.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { SagaDefinitionError } from "../../SagaError.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import type { NodeDefinition, SagaDefinition } from "../../SagaValue.ts"
import type { StepPath } from "../../StepPath.ts"
import { escape } from "../../StepPath.ts"
import { nodeAt } from "../paths.ts"
import type { Rename, Renames } from "../renames.ts"
import { means, renamed, renaming } from "../renames.ts"
import type { Migration, Node, NodeMigration, SagaTree } from "../tree.ts"
import { Codec, writeLoosely } from "./codec.ts"
import type { Schemas } from "./schemas.ts"
import { resultOf, schemasOf } from "./schemas.ts"

/** What was another one at a place of the older version. */
interface Place {
  /** The pattern of its old path. */
  readonly segments: ReadonlyArray<string>
  /** The pattern of its path today. */
  readonly path: StepPath
  readonly success: Schema.Top | undefined
  readonly error: Schema.Top | undefined
  readonly item: Schema.Top | undefined
  readonly payload: Schema.Top | undefined
}

/** An older version of a saga. */
export class Older {
  /** New names by the patterns of old paths; undefined when no node has one. */
  readonly renames: Renames | undefined
  readonly #rename: Rename
  readonly #codec: Codec

  /** Throws when the migration tells of what the saga has not. */
  constructor(tree: SagaTree, version: number, migration: Migration, sealed: boolean) {
    this.renames = renamesOf(migration)
    this.#rename = renaming(this.renames)
    const places = placesOf(tree, version, migration, this.#rename)
    const schemas = schemasThen(tree, migration, places, this.#rename)
    this.#codec = new Codec(schemas, sealed, `the migration from version ${version}`)
  }

  /** A fact as today's saga would have it, or in words why it cannot be read. */
  decode(text: string): Result.Result<SagaEvent, string> {
    return Result.map(this.#codec.decode(text), (fact) => renamed(fact, this.#rename))
  }

  /** A definition of that version under today's names. */
  definition(then: SagaDefinition): SagaDefinition {
    return { ...then, nodes: nodesUnder(this.#rename, then.nodes, "") }
  }

  /** The result of a step that a person gives as that version has encoded it, kept so; or in words why it is none. */
  resultOf(path: StepPath, json: unknown): Result.Result<unknown, string> {
    const result = json ?? null
    const text = writeLoosely({ _tag: "StepSkipped", atMillis: 0, actor: "", comment: "", path, result })
    return Result.map(this.#codec.decode(text), () => result)
  }

  /** The text of a fact whose values are encoded. */
  encode(fact: SagaEvent): string {
    return writeLoosely(fact)
  }
}

const renamesOf = ({ nodes }: Migration): Renames | undefined => {
  const names = Object.entries(nodes).flatMap(([pattern, { name }]) =>
    name === undefined ? [] : [[pattern, name] as const]
  )
  return names.length === 0 ? undefined : Object.fromEntries(names)
}

// ------------------------------------------------------------------------------------------- places

const placesOf = (tree: SagaTree, version: number, { nodes }: Migration, rename: Rename): ReadonlyArray<Place> => {
  const found = new Map<StepPath, string>()
  return Object.entries(nodes).map(([pattern, told]) => {
    const refuse = (problem: string): SagaDefinitionError =>
      tree.error(pattern, `\`migrateFrom(${version}, ...)\` tells of it, and ${problem}`)
    const path = rename(pattern)
    const node = nodeAt(tree, path)
    if (node === undefined) throw refuse(`the saga has nothing at "${path}"`)
    const problem = starProblem(tree, path) ?? valueProblem(node, told)
    if (problem !== undefined) throw refuse(problem)
    const other = found.get(path)
    if (other !== undefined) throw refuse(`"${other}" is called "${path}" already`)
    found.set(path, pattern)
    const step = node._tag === "Step" ? node : undefined
    return {
      segments: pattern.split("/"),
      path,
      success: fitting(told.success, step?.success),
      error: fitting(told.error, step?.error),
      item: fitting(told.item, node._tag === "ForEach" ? node.item : undefined),
      payload: fitting(told.payload, node._tag === "Nested" ? node.saga.definition.payload : undefined)
    }
  })
}

/** A `*` stands for the key of an item, and nothing else does. */
const starProblem = (tree: SagaTree, path: StepPath): string | undefined => {
  const segments = path.split("/")
  for (const [index, segment] of segments.entries()) {
    const isKey = index > 0 && nodeAt(tree, segments.slice(0, index).join("/"))?._tag === "ForEach"
    if (isKey !== (segment === "*")) {
      return isKey
        ? `"${segment}" is the key of an item: write a \`*\` for all keys`
        : "a `*` is for the key of an item"
    }
  }
  return undefined
}

/** What a node has no value for today cannot be read as one. */
const valueProblem = (node: Node, { error, item, payload, success }: NodeMigration): string | undefined => {
  const step = node._tag === "Step" ? node : undefined
  return success !== undefined && step?.success === undefined
    ? "it has no result today: leave `success` out"
    : error !== undefined && step?.error === undefined
    ? "it declares no error today: leave `error` out"
    : item !== undefined && node._tag !== "ForEach"
    ? "`item` is for a forEach"
    : payload !== undefined && node._tag !== "Nested"
    ? "`payload` is for a nested saga"
    : undefined
}

/** A schema of what was written, whose values must be ones of today. */
const fitting = (then: Schema.Top | undefined, today: Schema.Top | undefined): Schema.Top | undefined =>
  // What a migration makes is looked at when it is read: that its types agree is known of the payload alone.
  then === undefined || today === undefined ? then : Schema.decodeTo(Schema.toType(today))(then)

const schemasThen = (
  tree: SagaTree,
  migration: Migration,
  places: ReadonlyArray<Place>,
  rename: Rename
): Schemas => {
  const today = schemasOf(tree)
  const at = (path: StepPath): Place | undefined => {
    const segments = path.split("/")
    return places.find((place) => means(place.segments, segments, segments.length))
  }
  const before = (path: StepPath) => {
    const place = places.find((place) => place.path === path)
    return place === undefined ? undefined : { name: place.segments.at(-1)!, success: place.success }
  }
  return {
    payload: fitting(migration.payload, today.payload) ?? today.payload,
    output: fitting(migration.output, today.output) ?? resultOf(tree, "", before),
    success: (path) => at(path)?.success ?? today.success(rename(path)),
    error: (path) => at(path)?.error ?? today.error(rename(path)),
    item: (path) => at(path)?.item ?? today.item(rename(path)),
    nested: (path) => at(path)?.payload ?? today.nested(rename(path)),
    event: (path, type) => today.event(rename(path), type)
  }
}

// ------------------------------------------------------------------------------------------- definitions

const nodesUnder = (
  rename: Rename,
  nodes: ReadonlyArray<NodeDefinition>,
  prefix: string
): ReadonlyArray<NodeDefinition> =>
  nodes.map((node): NodeDefinition => {
    if (node.kind === "parallel") {
      return { ...node, branches: node.branches.map((branch) => nodesUnder(rename, branch, prefix)) }
    }
    const path = prefix + node.name
    const name = rename(path).split("/").at(-1)!
    const inside = (nodes: ReadonlyArray<NodeDefinition>, part = "") => nodesUnder(rename, nodes, `${path}/${part}`)
    switch (node.kind) {
      case "forEach":
        return { ...node, name, each: inside(node.each, "*/") }
      case "when":
      case "match": {
        const part = (tag: string) => node.kind === "when" ? "" : `${escape(tag)}/`
        return { ...node, name, cases: node.cases.map(({ nodes, tag }) => ({ tag, nodes: inside(nodes, part(tag)) })) }
      }
      case "nested":
        return { ...node, name, saga: { ...node.saga, nodes: inside(node.saga.nodes) } }
      case "orElse":
        return { ...node, name, first: inside(node.first, "first/"), second: inside(node.second, "second/") }
      default:
        return { ...node, name }
    }
  })
