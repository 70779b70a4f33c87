/**
 * The shape of a saga as a graph: what runs after what, and what is compensated after what. Groups are nodes too, and
 * say of their parts only where they stand; so an edge never crosses the border of a group. Nothing is drawn here.
 */
import * as Graph from "effect/Graph"
import type { NodeDefinition, SagaDefinition } from "../../Saga.ts"
import { commits, holds } from "./leaves.ts"

/** A node of the graph, and the group that it is in. */
export interface Part {
  readonly kind:
    | "start"
    | "step"
    | "check"
    | "pivot"
    | "retriable"
    | "sleep"
    | "fork"
    | "choice"
    | "nothing"
    | "group"
    | "succeeded"
    | "compensated"
  readonly label: string
  readonly note: string | undefined
  readonly within: Graph.NodeIndex | undefined
}

/**
 * `forward` to what runs next, `committed` when nothing can be undone any more, `backward` to what is compensated next,
 * `instead` from a way that was compensated to the other one.
 */
export interface Link {
  readonly kind: "forward" | "committed" | "backward" | "instead"
  readonly label: string | undefined
}

export type SagaGraph = Graph.DirectedGraph<Part, Link>

type Group = Graph.NodeIndex | undefined

/** A sequence whose nodes are being drawn. */
interface Line {
  readonly within: Group
  /** What runs before the next node. */
  readonly last: Graph.NodeIndex | undefined
  readonly label: string | undefined
  /** What is compensated when the next node fails: nothing in this group, or what the function says. */
  readonly undo: (() => Graph.NodeIndex) | undefined
  readonly committed: boolean
}

const atATime = (concurrency: number): string =>
  concurrency === 1 ? "one at a time" : Number.isFinite(concurrency) ? `${concurrency} at a time` : "side by side"

export const graphOf = (definition: SagaDefinition): SagaGraph =>
  Graph.directed<Part, Link>((graph) => {
    const add = (kind: Part["kind"], label: string, within: Group, note?: string) =>
      Graph.addNode(graph, { kind, label, note, within })
    const link = (from: Graph.NodeIndex, to: Graph.NodeIndex, kind: Link["kind"], label?: string) =>
      Graph.addEdge(graph, from, to, { kind, label })

    const sequence = (nodes: ReadonlyArray<NodeDefinition>, start: Line): Line => nodes.reduce(next, start)

    /** Draws one more node of a sequence. */
    const next = (line: Line, node: NodeDefinition): Line => {
      const index = draw(node, line)
      if (line.last !== undefined) link(line.last, index, line.committed ? "committed" : "forward", line.label)
      const backward = holds(node, "step", "check", "pivot") ? line.undo : undefined
      if (backward !== undefined) link(index, backward(), "backward")
      const committed = line.committed || commits(node)
      return { ...line, last: index, label: undefined, undo: holds(node, "step") ? () => index : line.undo, committed }
    }

    /** Draws what stands in a group: a sequence of its own, after what the branches of the group have in common. */
    const inside = (
      within: Graph.NodeIndex,
      nodes: ReadonlyArray<NodeDefinition>,
      { committed }: Line,
      last?: Graph.NodeIndex,
      label?: string
    ): void => {
      if (nodes.length > 0) return void sequence(nodes, { within, last, label, undo: undefined, committed })
      const nothing = add("nothing", "nothing to do", within)
      if (last !== undefined) link(last, nothing, committed ? "committed" : "forward", label)
    }

    const draw = (node: NodeDefinition, line: Line): Graph.NodeIndex => {
      const group = (label: string, note: string) => add("group", label, line.within, note)
      switch (node.kind) {
        case "step":
          return add("step", node.name, line.within, "↶ compensation")
        case "check":
          return add("check", node.name, line.within, "check")
        case "pivot":
          return add("pivot", node.name, line.within, "pivot, the point of no return")
        case "retriable":
          return add(
            "retriable",
            node.name,
            line.within,
            line.committed ? "retriable" : "retriable, no return once it starts"
          )
        case "sleep":
          return add("sleep", node.name, line.within, "sleep")
        case "publish":
          return add("check", node.name, line.within, `publishes ${node.event}`)
        case "awaitEvent":
        case "awaitFirst":
          return add("sleep", node.name, line.within, `waits for ${node.events.join(" or ")}`)
        case "parallel": {
          const index = group("parallel", atATime(node.concurrency))
          const fork = add("fork", "+", index)
          for (const branch of node.branches) inside(index, branch, line, fork)
          return index
        }
        case "forEach": {
          const index = group(node.name, `for each item, ${atATime(node.concurrency)}`)
          inside(index, node.each, line)
          return index
        }
        case "when": {
          const index = group(node.name, "only when it applies")
          for (const { nodes } of node.cases) inside(index, nodes, line)
          return index
        }
        case "match": {
          const index = group(node.name, "one of these")
          const choice = add("choice", node.name, index)
          for (const { nodes, tag } of node.cases) inside(index, nodes, line, choice, tag)
          return index
        }
        case "nested": {
          const index = group(node.name, `the saga ${node.saga.saga}`)
          inside(index, node.saga.nodes, line)
          return index
        }
        case "orElse": {
          const index = group(node.name, "one way or the other")
          const ways = (["first", "second"] as const).map((way) => {
            const at = add("group", `${way} way`, index)
            inside(at, node[way], line)
            return at
          })
          link(ways[0]!, ways[1]!, "instead", "failed and compensated")
          return index
        }
      }
    }

    const start = add("start", definition.saga, undefined)
    let compensated: Graph.NodeIndex | undefined
    const end = sequence(definition.nodes, {
      within: undefined,
      last: start,
      label: undefined,
      undo: () => compensated ??= add("compensated", "Compensated", undefined),
      committed: false
    })
    link(end.last!, add("succeeded", "Succeeded", undefined), end.committed ? "committed" : "forward")
  })
