/**
 * Whether an execution can go on with today's definition of its saga: where it has been, kind and position must be as
 * they were. More steps at the end are no change, and what a step does is not compared.
 */
import * as Hash from "effect/Hash"
import type { NodeDefinition, SagaDefinition } from "../../SagaValue.ts"
import type { StepPath } from "../../StepPath.ts"
import { escape } from "../../StepPath.ts"
import type { History } from "../history.ts"

/** A short name for a text: to tell apart what is expected to be equal, not to keep a secret. */
export const hashOf = (text: string): string => `${(Hash.string(text) >>> 0).toString(36)}-${text.length.toString(36)}`

/** How two definitions differ where an execution has been, in words; undefined when they do not. */
export const difference = (then: SagaDefinition, now: SagaDefinition, history: History): string | undefined =>
  ofSequence(then.nodes, now.nodes, "", history)

type Nodes = ReadonlyArray<NodeDefinition>

const ofSequence = (then: Nodes, now: Nodes, prefix: string, history: History): string | undefined => {
  for (const [index, before] of then.entries()) {
    if (!touches(before, prefix, history)) continue
    const after = now[index]
    if (after === undefined || after.kind !== before.kind || nameOf(after) !== nameOf(before)) {
      const place = prefix === "" ? "" : ` in "${prefix.slice(0, -1)}"`
      const today = after === undefined ? "nothing" : wordsOf(after)
      return `number ${index + 1}${place} was ${wordsOf(before)} when this execution came to it, and is ${today} today`
    }
    const inside = ofNode(before, after, prefix, history)
    if (inside !== undefined) return inside
  }
  return undefined
}

const nameOf = (node: NodeDefinition): string => node.kind === "parallel" ? "" : node.name

const wordsOf = (node: NodeDefinition): string =>
  node.kind === "parallel" ? "a parallel" : `${node.kind} "${node.name}"`

const touches = (node: NodeDefinition, prefix: string, history: History): boolean =>
  node.kind === "parallel"
    ? node.branches.some((branch) => branch.some((inner) => touches(inner, prefix, history)))
    : history.touches(prefix + node.name)

const ofNode = (
  before: NodeDefinition,
  after: NodeDefinition,
  prefix: string,
  history: History
): string | undefined => {
  if (before.kind === "parallel" && after.kind === "parallel") {
    return first(before.branches, (branch, index) => ofSequence(branch, after.branches[index] ?? [], prefix, history))
  }
  if (before.kind === "parallel" || after.kind === "parallel") return undefined
  const path: StepPath = prefix + before.name
  if (before.kind === "forEach" && after.kind === "forEach") {
    const listed = history.decisions.get(path)
    const keys = listed?._tag === "ItemsListed" ? listed.keys : []
    return first(keys, (key) => ofSequence(before.each, after.each, `${path}/${escape(key)}/`, history))
  }
  if (before.kind === "nested" && after.kind === "nested") {
    return before.saga.saga === after.saga.saga
      ? ofSequence(before.saga.nodes, after.saga.nodes, `${path}/`, history)
      : `nested "${path}" was the saga "${before.saga.saga}", and is "${after.saga.saga}" today`
  }
  if (before.kind === "orElse" && after.kind === "orElse") {
    return ofSequence(before.first, after.first, `${path}/first/`, history)
      ?? ofSequence(before.second, after.second, `${path}/second/`, history)
  }
  if ("cases" in before && "cases" in after) {
    const chosen = history.decisions.get(path)
    const tag = chosen?._tag === "BranchChosen" ? chosen.tag : null
    const nodesOf = (node: typeof before) => node.cases.find((one) => one.tag === tag)?.nodes
    const [then, now] = [nodesOf(before), nodesOf(after)]
    if (then === undefined || tag === null) return undefined
    if (now === undefined) return `the case "${tag}" of match "${path}" was chosen, and there is none today`
    return ofSequence(then, now, before.kind === "when" ? `${path}/` : `${path}/${escape(tag)}/`, history)
  }
  return undefined
}

const first = <A>(all: ReadonlyArray<A>, f: (a: A, index: number) => string | undefined): string | undefined => {
  for (const [index, a] of all.entries()) {
    const found = f(a, index)
    if (found !== undefined) return found
  }
  return undefined
}
