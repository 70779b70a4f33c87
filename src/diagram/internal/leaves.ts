/**
 * The nodes of a saga that hold no others, and questions about them.
 */
import type { NodeDefinition } from "../../Saga.ts"

/** A step, check, pivot, retriable or sleep. */
export type Leaf = Extract<NodeDefinition, { readonly kind: "step" | "check" | "pivot" | "retriable" | "sleep" }>

const leavesOf = (node: NodeDefinition): ReadonlyArray<Leaf> => {
  switch (node.kind) {
    case "parallel":
      return node.branches.flat().flatMap(leavesOf)
    case "forEach":
      return node.each.flatMap(leavesOf)
    case "when":
    case "match":
      return node.cases.flatMap(({ nodes }) => nodes.flatMap(leavesOf))
    case "nested":
      return node.saga.nodes.flatMap(leavesOf)
    case "orElse":
      return [...node.first, ...node.second].flatMap(leavesOf)
    default:
      return [node]
  }
}

/** Whether one of these kinds is in a node. */
export const holds = (node: NodeDefinition, ...kinds: ReadonlyArray<Leaf["kind"]>): boolean =>
  leavesOf(node).some(({ kind }) => kinds.includes(kind))

/** Whether a saga cannot be compensated any more once this node is over. */
export const commits = (node: NodeDefinition): boolean => holds(node, "pivot", "retriable")
