/** Which parts of a tree are on record: begun, or done. It reads a history and runs nothing. */
import type { StepPath } from "../StepPath.ts"
import { escape } from "../StepPath.ts"
import type { History } from "./history.ts"
import type { Node, SagaTree } from "./tree.ts"

/** Whether there are facts of a node or of what is in it. */
export const isTouched = (node: Node, prefix: StepPath, history: History): boolean =>
  node._tag === "Parallel"
    ? node.branches.some((branch) => branch.nodes.some((inner) => isTouched(inner, prefix, history)))
    : history.touches(prefix + node.name)

/** Whether a node, with all that is in it, is on record as done. */
export const isDone = (node: Node, prefix: StepPath, history: History): boolean => {
  const all = (tree: SagaTree, prefix: string) => tree.nodes.every((node) => isDone(node, prefix, history))
  if (node._tag === "Parallel") return node.branches.every((branch) => all(branch, prefix))
  const path = prefix + node.name
  const decision = history.decisions.get(path)
  switch (node._tag) {
    case "Step":
      return history.steps.get(path)?.end?._tag === "StepSucceeded"
    case "Sleep":
      return history.timers.get(path)?.fired === true
    case "Publish":
      return history.published.has(path)
    case "Await": {
      const end = history.awaits.get(path)?.end
      return end !== undefined && (end._tag === "EventReceived" || !end.failed)
    }
    case "Choice": {
      if (decision?._tag !== "BranchChosen") return false
      const tree = decision.tag === null ? undefined : node.cases.get(decision.tag)
      return tree === undefined || all(tree, node.kind === "match" ? `${path}/${escape(decision.tag!)}/` : `${path}/`)
    }
    case "ForEach":
      return decision?._tag === "ItemsListed" && decision.keys.every((key) => all(node.each, `${path}/${escape(key)}/`))
    case "Nested":
      return decision !== undefined && all(node.saga, `${path}/`)
    case "OrElse":
      return history.fellBack.has(path) ? all(node.second, `${path}/second/`) : all(node.first, `${path}/first/`)
  }
}
