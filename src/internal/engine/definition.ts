/**
 * Whether an execution can go on with today's definition of its saga: where it has been, kind and position must be as
 * they were. More steps at an end that it has not come to are no change, and what a step does is not compared.
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
  ofSequence(then.nodes, now.nodes, "", history, false)

type Nodes = ReadonlyArray<NodeDefinition>

/** `passed`: it has come to what stands behind this sequence, so that nothing in here may be new. */
const ofSequence = (
  then: Nodes,
  now: Nodes,
  prefix: string,
  history: History,
  passed: boolean
): string | undefined => {
  const place = placeOf(prefix)
  let last = then.length
  while (last > 0 && !touches(then[last - 1]!, prefix, history)) last--
  for (const [index, before] of then.slice(0, last).entries()) {
    const after = now[index]
    if (after === undefined || after.kind !== before.kind || nameOf(after) !== nameOf(before)) {
      const today = after === undefined ? "nothing" : wordsOf(after)
      return `number ${index + 1}${place} was ${wordsOf(before)} when this execution came to it, and is ${today} today`
    }
    const inside = ofNode(before, after, prefix, history, passed || index + 1 < last)
    if (inside !== undefined) return inside
  }
  const added = now[then.length]
  return passed && added !== undefined
    ? `number ${then.length + 1}${place} is ${wordsOf(added)} today, and this execution had passed the end of it before`
    : undefined
}

const placeOf = (prefix: string): string => prefix === "" ? "" : ` in "${prefix.slice(0, -1)}"`

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
  history: History,
  passed: boolean
): string | undefined => {
  if (before.kind === "parallel" && after.kind === "parallel") {
    const [was, is] = [before.branches.length, after.branches.length]
    return passed && is > was
      ? `a parallel${placeOf(prefix)} had ${was} branches when this execution passed it, and has ${is} today`
      : first(
        before.branches,
        (branch, index) => ofSequence(branch, after.branches[index] ?? [], prefix, history, passed)
      )
  }
  if (before.kind === "parallel" || after.kind === "parallel") return undefined
  const path: StepPath = prefix + before.name
  if (before.kind === "forEach" && after.kind === "forEach") {
    const listed = history.decisions.get(path)
    const keys = listed?._tag === "ItemsListed" ? listed.keys : []
    return first(keys, (key) => ofSequence(before.each, after.each, `${path}/${escape(key)}/`, history, passed))
  }
  if (before.kind === "nested" && after.kind === "nested") {
    return before.saga.saga === after.saga.saga
      ? ofSequence(before.saga.nodes, after.saga.nodes, `${path}/`, history, passed)
      : `nested "${path}" was the saga "${before.saga.saga}", and is "${after.saga.saga}" today`
  }
  if (before.kind === "orElse" && after.kind === "orElse") {
    // What was undone in the first way is behind a verdict, and nothing new is started there.
    const left = history.unwinds.has(path) || history.fellBack.has(path)
    return ofSequence(before.first, after.first, `${path}/first/`, history, passed && !left)
      ?? ofSequence(before.second, after.second, `${path}/second/`, history, passed && left)
  }
  if ("cases" in before && "cases" in after) {
    const chosen = history.decisions.get(path)
    const tag = chosen?._tag === "BranchChosen" ? chosen.tag : null
    const nodesOf = (node: typeof before) => node.cases.find((one) => one.tag === tag)?.nodes
    const [then, now] = [nodesOf(before), nodesOf(after)]
    if (then === undefined || tag === null) return undefined
    if (now === undefined) return `the case "${tag}" of match "${path}" was chosen, and there is none today`
    return ofSequence(then, now, before.kind === "when" ? `${path}/` : `${path}/${escape(tag)}/`, history, passed)
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
