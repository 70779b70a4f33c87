/**
 * The nodes of a saga that hold no others, and questions about them.
 */
import type { NodeDefinition } from "../../Saga.ts"

/** The kinds of nodes that only wait: there is nothing of them to undo. */
export type WaitKind = "sleep" | "awaitEvent" | "awaitFirst"

/** A step, check, pivot, retriable, a published event, or a wait. */
export type Leaf = Extract<
  NodeDefinition,
  { readonly kind: "step" | "check" | "pivot" | "retriable" | "publish" | WaitKind }
>

/** Whether a node only waits. */
export const waits = (kind: NodeDefinition["kind"]): kind is WaitKind =>
  kind === "sleep" || kind === "awaitEvent" || kind === "awaitFirst"

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
