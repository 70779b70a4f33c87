/** The places of a saga: the steps that its definition has, and which of them a path belongs to. It runs nothing. */
import { SagaDefinitionError } from "../../SagaError.ts"
import type { AnySaga, NodeDefinition, SagaDefinition } from "../../SagaValue.ts"
import { definition } from "../../SagaValue.ts"
import type { StepPath } from "../../StepPath.ts"
import { escape } from "../../StepPath.ts"

/** A step as the definition has it. */
export interface Place {
  /** Its path, with `*` for the key of each item of a `forEach`. */
  readonly pattern: string
  readonly kind: "step" | "check" | "pivot" | "retriable"
  readonly compensated: boolean
  readonly whenUncertain: "report" | "compensate" | "stuck"
}

/** Where something is called: an action, or a compensation. */
export interface CallPlace {
  readonly kind: "action" | "compensation"
  /** Its path, or its pattern. */
  readonly path: string
}

/** How a place is called in options, schedules and messages. */
export const nameOf = ({ kind, path }: CallPlace): string => kind === "compensation" ? `~${path}` : path

/** All actions and compensations of these steps, each action before its compensation. */
export const callsIn = (places: ReadonlyArray<Place>): ReadonlyArray<CallPlace> =>
  places.flatMap(({ compensated, pattern: path }): ReadonlyArray<CallPlace> =>
    compensated ? [{ kind: "action", path }, { kind: "compensation", path }] : [{ kind: "action", path }]
  )

/** All steps, in the order of the definition. */
export const placesOf = (definition: SagaDefinition): ReadonlyArray<Place> => within(definition.nodes, "")

const within = (nodes: ReadonlyArray<NodeDefinition>, base: string): ReadonlyArray<Place> =>
  nodes.flatMap((node): ReadonlyArray<Place> => {
    switch (node.kind) {
      case "step":
      case "check":
      case "pivot":
      case "retriable":
        return [{ ...node, pattern: base + node.name }]
      case "publish":
      case "sleep":
      case "awaitEvent":
      case "awaitFirst":
        return []
      case "parallel":
        return node.branches.flatMap((branch) => within(branch, base))
      case "forEach":
        return within(node.each, `${base}${node.name}/*/`)
      case "when":
        return node.cases.flatMap(({ nodes }) => within(nodes, `${base}${node.name}/`))
      case "match":
        return node.cases.flatMap(({ nodes, tag }) => within(nodes, `${base}${node.name}/${escape(tag)}/`))
      case "nested":
        return within(node.saga.nodes, `${base}${node.name}/`)
      case "orElse":
        return [
          ...within(node.first, `${base}${node.name}/first/`),
          ...within(node.second, `${base}${node.name}/second/`)
        ]
    }
  })

/** Finds the place of a path. */
export const placeIn = (places: ReadonlyArray<Place>): (path: StepPath) => Place | undefined => {
  const literal = new Map(places.map((place) => [place.pattern, place]))
  const patterns = places.filter(({ pattern }) => pattern.includes("*"))
    .map((place) => [place.pattern.split("/"), place] as const)
  return (path) => {
    const exact = literal.get(path)
    if (exact !== undefined) return exact
    const segments = path.split("/")
    return patterns.find(([pattern]) =>
      pattern.length === segments.length && pattern.every((segment, i) => segment === "*" || segment === segments[i])
    )?.[1]
  }
}

/**
 * Whether something is called at a place, which is named as in options, by the kind and the path of the call. Throws when a
 * saga has no such place.
 */
export const placed = (saga: AnySaga, place: string): (kind: string, path: StepPath) => boolean => {
  const shape = definition(saga)
  const places = placesOf(shape)
  const placeOf = placeIn(places)
  const wanted = place.startsWith("~") ? "compensation" : "action"
  const name = wanted === "compensation" ? place.slice(1) : place
  const found = placeOf(name)
  if (found === undefined || wanted === "compensation" && !found.compensated) {
    throw new SagaDefinitionError({
      saga: shape.saga,
      path: place,
      problem: `there is no such place: its places are ${callsIn(places).map(nameOf).join(", ")}`
    })
  }
  return (kind, path) => kind === wanted && (path === name || found.pattern === name && placeOf(path) === found)
}
