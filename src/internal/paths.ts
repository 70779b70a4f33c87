/** Finding the node that stands at a path, what stands in it, and the save-points around it. Knows names and shapes only. */
import type { StepPath } from "../StepPath.ts"
import { segments as segmentsOf } from "../StepPath.ts"
import type { Node, SagaTree } from "./tree.ts"

/** The save-points around a path, the innermost first: each `orElse` in whose first way it stands, then the whole saga. */
export const savePointsAround = (
  path: StepPath,
  isOrElse: (path: StepPath) => boolean
): ReadonlyArray<StepPath> => {
  const scopes: Array<StepPath> = []
  for (let end = path.lastIndexOf("/first/"); end > 0; end = path.lastIndexOf("/first/", end - 1)) {
    const scope = path.slice(0, end)
    // A key of a `forEach` may read like the way of an `orElse`.
    if (isOrElse(scope)) scopes.push(scope)
  }
  return [...scopes, ""]
}

const byName = new WeakMap<SagaTree, Map<string, Node>>()

/** The nodes of a sequence by name, those in the branches of a `parallel` too. */
const namesOf = (tree: SagaTree): Map<string, Node> => {
  let names = byName.get(tree)
  if (names === undefined) {
    names = new Map()
    for (const node of tree.nodes) {
      if (node._tag !== "Parallel") names.set(node.name, node)
      else for (const branch of node.branches) for (const [name, inner] of namesOf(branch)) names.set(name, inner)
    }
    byName.set(tree, names)
  }
  return names
}

/** The sequences in a node. */
export const treesIn = (node: Node): ReadonlyArray<SagaTree> => {
  switch (node._tag) {
    case "Parallel":
      return node.branches
    case "ForEach":
      return [node.each]
    case "Choice":
      return Array.from(node.cases.values())
    case "Nested":
      return [node.saga]
    case "OrElse":
      return [node.first, node.second]
    case "Step":
    case "Sleep":
    case "Await":
    case "Publish":
      return []
  }
}

/** The node at a path; undefined when there is none, as at the key of an item, at a tag, or at a way. */
export const nodeAt = (tree: SagaTree, path: StepPath): Node | undefined => {
  const segments = path.includes("%") ? segmentsOf(path) : path.split("/")
  let inside: SagaTree | undefined = tree
  let node: Node | undefined
  for (let index = 0; index < segments.length; index++) {
    node = inside === undefined ? undefined : namesOf(inside).get(segments[index]!)
    if (node === undefined || index === segments.length - 1) return node
    switch (node._tag) {
      case "ForEach":
        inside = node.each
        index++
        break
      case "Choice":
        inside = node.kind === "when" ? node.cases.get("then") : node.cases.get(segments[++index] ?? "")
        break
      case "Nested":
        inside = node.saga
        break
      case "OrElse":
        inside = segments[++index] === "first" ? node.first : node.second
        break
      case "Step":
      case "Sleep":
      case "Await":
      case "Publish":
      case "Parallel":
        inside = undefined
    }
  }
  return undefined
}
