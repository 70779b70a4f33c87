/**
 * Where the facts of an execution stand in the definition of its saga. A definition is plain data, as a journal keeps it:
 * nothing of the saga's code is needed.
 */
import type { SagaEvent } from "../../SagaEvent.ts"
import type { NodeDefinition, SagaDefinition } from "../../SagaValue.ts"
import type { StepPath } from "../../StepPath.ts"
import { segments } from "../../StepPath.ts"

/** How far an execution has come through the point of no return. */
export type Commit = "Before" | "Within" | "Behind"

type Nodes = ReadonlyArray<NodeDefinition>

/** The node at a path, any key in the place of an item's; undefined when there is none. */
export const definedAt = (definition: SagaDefinition, path: StepPath): NodeDefinition | undefined =>
  nodeIn(definition.nodes, segments(path))

const nodeIn = (nodes: Nodes, [name, ...rest]: ReadonlyArray<string>): NodeDefinition | undefined => {
  const node = name === undefined ? undefined : named(nodes, name)
  if (node === undefined || rest.length === 0) return node
  const [own, ...inner] = rest
  switch (node.kind) {
    case "forEach":
      return nodeIn(node.each, inner)
    case "when":
      return nodeIn(casesOf(node, "then"), rest)
    case "match":
      return nodeIn(casesOf(node, own!), inner)
    case "nested":
      return nodeIn(node.saga.nodes, rest)
    case "orElse":
      return nodeIn(own === "first" ? node.first : own === "second" ? node.second : [], inner)
    default:
      return undefined
  }
}

/** A node of a sequence by its name, those in the branches of a `parallel` too. */
const named = (nodes: Nodes, name: string): NodeDefinition | undefined => {
  for (const node of nodes) {
    if (node.kind !== "parallel") {
      if (node.name === name) return node
      continue
    }
    for (const branch of node.branches) {
      const inside = named(branch, name)
      if (inside !== undefined) return inside
    }
  }
  return undefined
}

const casesOf = (node: Extract<NodeDefinition, { readonly kind: "when" | "match" }>, tag: string): Nodes =>
  node.cases.find((one) => one.tag === tag)?.nodes ?? []

/**
 * How far an execution has come through the point of no return. A retriable is behind it as soon as it has started, and a
 * pivot that is known not to have taken place leaves the way back open.
 */
export const commitOf = (definition: SagaDefinition, facts: Iterable<SagaEvent>): Commit => {
  let commit: Commit = "Before"
  for (const fact of facts) {
    switch (fact._tag) {
      case "StepStarted":
      case "StepSucceeded":
      case "StepSkipped":
      case "StepFailed": {
        const kind = definedAt(definition, fact.path)?.kind
        if (kind === "retriable") return "Behind"
        if (kind !== "pivot") break
        if (fact._tag === "StepSucceeded" || fact._tag === "StepSkipped") return "Behind"
        commit = fact._tag === "StepStarted" ? "Within" : "Before"
      }
    }
  }
  return commit
}
