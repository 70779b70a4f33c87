/** How two paths of a saga stand to each other, from its definition alone: which comes first, if that is said. It runs nothing. */
import type { NodeDefinition, SagaDefinition } from "../../SagaValue.ts"
import type { StepPath } from "../../StepPath.ts"
import { escape } from "../../StepPath.ts"

/** Where a path leads at one node: which node it is, and what of it. */
interface Turn {
  readonly index: number
  /** The branch, the item or the way; undefined for a node that has one way only. */
  readonly way: string | number | undefined
  /** Whether its ways run one after the other. */
  readonly ordered: boolean
}

/** Compares paths: one comes `before` another when it has ended before that can start. */
export const orderIn = (
  definition: SagaDefinition
): (one: StepPath, other: StepPath) => "before" | "after" | "unordered" => {
  const known = new Map<StepPath, ReadonlyArray<Turn> | undefined>()
  const turnsTo = (path: StepPath) => {
    if (!known.has(path)) known.set(path, turnsIn(definition.nodes, path.split("/")))
    return known.get(path)
  }
  return (one, other) => {
    const [left, right] = [turnsTo(one), turnsTo(other)]
    if (left === undefined || right === undefined) return "unordered"
    for (const [depth, turn] of left.entries()) {
      const facing = right[depth]
      if (facing === undefined) return "unordered"
      if (turn.index !== facing.index) return turn.index < facing.index ? "before" : "after"
      if (turn.way === facing.way) continue
      // The ways of an `orElse` are the only ones that run one after the other: the first, then the second.
      return turn.ordered ? (turn.way === "first" ? "before" : "after") : "unordered"
    }
    return "unordered"
  }
}

/** The turns to the node at the end of these segments; undefined: there is none. */
const turnsIn = (
  nodes: ReadonlyArray<NodeDefinition>,
  [name, ...rest]: ReadonlyArray<string>
): ReadonlyArray<Turn> | undefined => {
  for (const [index, node] of nodes.entries()) {
    if (node.kind === "parallel") {
      for (const [way, branch] of node.branches.entries()) {
        const inner = turnsIn(branch, [name!, ...rest])
        if (inner !== undefined) return [{ index, way, ordered: false }, ...inner]
      }
    } else if (node.name === name) return turnsAt(node, index, rest)
  }
  return undefined
}

const turnsAt = (
  node: Exclude<NodeDefinition, { readonly kind: "parallel" }>,
  index: number,
  rest: ReadonlyArray<string>
): ReadonlyArray<Turn> | undefined => {
  const [way, ...inner] = rest
  const turns = (way: string | undefined, nodes: ReadonlyArray<NodeDefinition>, inner: ReadonlyArray<string>) => {
    const further = turnsIn(nodes, inner)
    return further === undefined ? undefined : [{ index, way, ordered: node.kind === "orElse" }, ...further]
  }
  switch (node.kind) {
    case "step":
    case "check":
    case "pivot":
    case "retriable":
    case "publish":
    case "sleep":
    case "awaitEvent":
    case "awaitFirst":
      return rest.length === 0 ? [{ index, way: undefined, ordered: false }] : undefined
    case "forEach":
      return turns(way, node.each, inner)
    case "when":
      return turns(undefined, node.cases[0]?.nodes ?? [], rest)
    case "match":
      return turns(way, node.cases.find(({ tag }) => escape(tag) === way)?.nodes ?? [], inner)
    case "nested":
      return turns(undefined, node.saga.nodes, rest)
    case "orElse":
      return turns(way, way === "first" ? node.first : node.second, inner)
  }
}
