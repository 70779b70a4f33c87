/**
 * Which schema each value in the facts of a saga has, by the place that it belongs to. It reads and writes nothing.
 */
import * as Schema from "effect/Schema"
import type { StepPath } from "../../StepPath.ts"
import { escape } from "../../StepPath.ts"
import { nodeAt } from "../paths.ts"
import type { AwaitNode, Node, SagaTree } from "../tree.ts"

/** The schemas by place. Undefined: there is no such place, or it has no such value. */
export interface Schemas {
  readonly payload: Schema.Top
  /** Of what the whole saga returns. */
  readonly output: Schema.Top
  readonly success: (path: StepPath) => Schema.Top | undefined
  readonly error: (path: StepPath) => Schema.Top | undefined
  readonly item: (path: StepPath) => Schema.Top | undefined
  /** Of the payload of a nested saga. */
  readonly nested: (path: StepPath) => Schema.Top | undefined
  /** Of what an event of a type says that is awaited or published there. */
  readonly event: (path: StepPath, type: string) => Schema.Top | undefined
}

/** Those of a saga as it is. */
export const schemasOf = (tree: SagaTree): Schemas => ({
  payload: tree.definition.payload,
  get output() {
    return outputOf(tree)
  },
  success: (path) => stepAt(tree, path)?.success,
  error: (path) => stepAt(tree, path)?.error,
  item: (path) => {
    const node = nodeAt(tree, path)
    return node?._tag === "ForEach" ? node.item : undefined
  },
  nested: (path) => {
    const node = nodeAt(tree, path)
    return node?._tag === "Nested" ? node.saga.definition.payload : undefined
  },
  event: (path, type) => {
    const node = nodeAt(tree, path)
    if (node?._tag === "Publish") return node.event.type === type ? node.event.payload : undefined
    return node?._tag === "Await" ? node.events.find((event) => event.type === type)?.payload : undefined
  }
})

const stepAt = (tree: SagaTree, path: StepPath) => {
  const node = nodeAt(tree, path)
  return node?._tag === "Step" ? node : undefined
}

const outputs = new WeakMap<SagaTree, Schema.Top>()

const outputOf = (tree: SagaTree): Schema.Top => {
  let schema = outputs.get(tree)
  if (schema === undefined) outputs.set(tree, schema = resultOf(tree, "", () => undefined))
  return schema
}

/** What a step was like in another version, by its path with a `*` for each key; undefined where it was as it is. */
export type Before = (path: StepPath) => { readonly name: string; readonly success: Schema.Top | undefined } | undefined

/** The schema of what a saga or a branch returns, which may have been written by another version. */
export const resultOf = (tree: SagaTree, prefix: string, before: Before): Schema.Top => {
  if (tree.output !== undefined) return tree.output.success
  const results = tree.nodes.flatMap((node) => resultsOf(node, prefix, before))
  const record = Schema.Struct(Object.fromEntries(results.map(({ name, schema }) => [name, schema])))
  const renamed = results.filter(({ name, was }) => was !== name)
  return renamed.length === 0
    ? record
    : Schema.encodeKeys(Object.fromEntries(renamed.map(({ name, was }) => [name, was])))(record)
}

/** The schema of what a wait for events is worth. */
const receivedOf = ({ committed, events, kind, timeoutMillis }: AwaitNode): Schema.Top => {
  const limited = committed && timeoutMillis !== undefined
  if (kind === "awaitEvent") return limited ? Schema.UndefinedOr(events[0]!.payload) : events[0]!.payload
  const tagged = events.map(({ payload, type }) => Schema.TaggedStruct(type, { value: payload }))
  return Schema.Union(limited ? [...tagged, Schema.TaggedStruct("TimedOut", {})] : tagged)
}

interface ResultField {
  readonly name: string
  readonly was: string
  readonly schema: Schema.Top
}

const resultsOf = (node: Node, prefix: string, before: Before): ReadonlyArray<ResultField> => {
  if (node._tag === "Sleep" || node._tag === "Publish") return []
  if (node._tag === "Parallel") {
    return node.branches.flatMap((branch) => branch.nodes.flatMap((inner) => resultsOf(inner, prefix, before)))
  }
  const { name } = node
  const path = prefix + name
  const then = before(path)
  const field = (schema: Schema.Top) => [{ name, was: then?.name ?? name, schema }]
  switch (node._tag) {
    case "Step":
      return field(then?.success ?? node.success ?? Schema.Undefined)
    case "Await":
      return field(receivedOf(node))
    case "ForEach":
      return field(Schema.Array(resultOf(node.each, `${path}/*/`, before)))
    case "Choice":
      return field(
        node.kind === "when"
          ? Schema.UndefinedOr(resultOf(node.cases.get("then")!, `${path}/`, before))
          : Schema.Union(
            Array.from(
              node.cases,
              ([tag, tree]) => Schema.TaggedStruct(tag, { value: resultOf(tree, `${path}/${escape(tag)}/`, before) })
            )
          )
      )
    case "Nested":
      return field(resultOf(node.saga, `${path}/`, before))
    case "OrElse": {
      const ways = [[node.first, `${path}/first/`], [node.second, `${path}/second/`]] as const
      // The longer record first: a record without a field would pass for one that has it.
      return field(
        Schema.Union(
          Array.from(ways).sort(([a], [b]) => b.names.length - a.names.length)
            .map(([tree, prefix]) => resultOf(tree, prefix, before))
        )
      )
    }
  }
}
