/**
 * A saga as a Mermaid flowchart. The graph is made elsewhere; this is its text, with every label escaped.
 *
 * @since 0.1.0
 */
import * as Graph from "effect/Graph"
import * as Option from "effect/Option"
import { type AnySaga, definition } from "../Saga.ts"
import type { Link, Part, SagaGraph } from "./internal/graph.ts"
import { graphOf } from "./internal/graph.ts"
import { visible } from "./internal/text.ts"

const shapes: { readonly [Kind in Part["kind"]]: readonly [open: string, close: string] } = {
  start: ["([", "])"],
  step: ["[", "]"],
  check: ["[", "]"],
  pivot: ["{{", "}}"],
  retriable: ["[", "]"],
  sleep: ["(", ")"],
  fork: ["((", "))"],
  choice: ["{", "}"],
  nothing: ["(", ")"],
  group: ["[", "]"],
  succeeded: ["([", "])"],
  compensated: ["([", "])"]
}

/** Colours that can be read on a light and on a dark page: of lines, never of what is behind a text. */
const styles: { readonly [Kind in Part["kind"]]?: string } = {
  step: "stroke:#2da44e,stroke-width:2px",
  check: "stroke:#8c959f,stroke-width:2px,stroke-dasharray:4 4",
  pivot: "stroke:#cf222e,stroke-width:4px",
  retriable: "stroke:#0969da,stroke-width:2px",
  sleep: "stroke:#8c959f,stroke-width:2px",
  nothing: "stroke:#8c959f,stroke-dasharray:4 4",
  group: "fill:none,stroke:#8c959f"
}

const arrows: { readonly [Kind in Link["kind"]]: string } = {
  forward: "-->",
  committed: "==>",
  backward: "-.->",
  instead: "-.->"
}

/**
 * What Mermaid, Markdown and HTML give no meaning to stays as it is: letters, digits, blanks, commas, and dots, dashes
 * and underscores inside a word. Everything else becomes the number of its character. The ligature `ﬂ` begins what Mermaid
 * itself puts in the place of such a number, more than once: it becomes two letters.
 */
const escaped = (text: string): string =>
  (visible(text) || `""`).replaceAll("ﬂ", "fl").replaceAll(
    /(?<=[\p{L}\p{N}])[._-](?=[\p{L}\p{N}])|[\p{L}\p{M}\p{N},↶ ]|(.)/gu,
    (char, special: string | undefined) => special === undefined ? char : `#${special.codePointAt(0)};`
  )

const labelOf = ({ kind, label, note }: Part): string => {
  if (note === undefined) return escaped(label)
  return `${escaped(label)}${kind === "group" ? ": " : "<br/>"}${escaped(note)}`
}

const boxes = (graph: SagaGraph, within: Graph.NodeIndex | undefined, indent: string): ReadonlyArray<string> =>
  Graph.findNodes(graph, (part) => part.within === within).flatMap((index) => {
    const part = Option.getOrThrow(Graph.getNode(graph, index))
    const [open, close] = shapes[part.kind]
    const box = `${index}${open}"${labelOf(part)}"${close}`
    if (part.kind !== "group") return [indent + box]
    const inner = `${indent}  `
    return [`${indent}subgraph ${box}`, `${inner}direction TB`, ...boxes(graph, index, inner), `${indent}end`]
  })

const arrow = ({ data: { kind, label }, source, target }: Graph.Edge<Link>): string =>
  `  ${source} ${arrows[kind]}${label === undefined ? "" : `|"${escaped(label)}"|`} ${target}`

const classes = (graph: SagaGraph): ReadonlyArray<string> =>
  Object.entries(styles).flatMap(([kind, style]) => {
    const members = Graph.findNodes(graph, (part) => part.kind === kind)
    return members.length === 0 ? [] : [`  classDef ${kind} ${style}`, `  class ${members.join(",")} ${kind}`]
  })

/**
 * Draws a saga as a Mermaid flowchart: what runs after what, and what is compensated after what.
 *
 * **When to use**
 *
 * Use to show a saga where Mermaid is drawn: in a README, on a wiki page, in a pull request.
 *
 * **Details**
 *
 * Solid arrows go forward, dashed arrows backward: from what has failed or was compensated to what is compensated next.
 * From the pivot on the arrows are thick and none goes back. A `parallel`, `forEach`, `when`, `match`, `nested` and
 * `orElse` is a box around its parts; it is compensated as a whole, its branches side by side.
 *
 * Every label is escaped, so that no name or tag can become syntax, markup or a link. The numbers of the nodes are their
 * order, which also keeps the first step on top: Mermaid breaks the circles of arrows at the lowest number.
 *
 * **Example** (Drawing a saga)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { toMermaid } from "effect-saga/diagram"
 * import { Effect, Schema } from "effect"
 *
 * const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
 *   Saga.step("flight", { action: () => Effect.void, compensation: () => Effect.void }),
 *   Saga.pivot("payment", { action: () => Effect.void })
 * )
 * console.log(toMermaid(saga))
 * ```
 *
 * ```mermaid
 * %%{init: {"flowchart": {"wrappingWidth": 400}}}%%
 * flowchart TB
 *   0(["Trip"])
 *   1["flight<br/>↶ compensation"]
 *   2(["Compensated"])
 *   3{{"payment<br/>pivot, the point of no return"}}
 *   4(["Succeeded"])
 *   0 --> 1
 *   1 --> 3
 *   3 ==> 4
 *   1 -.-> 2
 *   3 -.-> 1
 *   classDef step stroke:#2da44e,stroke-width:2px
 *   class 1 step
 *   classDef pivot stroke:#cf222e,stroke-width:4px
 *   class 3 pivot
 * ```
 *
 * @category converting
 * @since 0.1.0
 */
export const toMermaid = (saga: AnySaga): string => {
  const graph = graphOf(definition(saga))
  const edges = Array.from(Graph.values(Graph.edges(graph)))
  // Forward arrows come first: what Mermaid meets first, it does not turn round.
  const forward = edges.filter(({ data }) => data.kind !== "backward")
  const backward = edges.filter(({ data }) => data.kind === "backward")
  const lines = [
    // Mermaid would break most of our labels.
    `%%{init: {"flowchart": {"wrappingWidth": 400}}}%%`,
    "flowchart TB",
    ...boxes(graph, undefined, "  "),
    ...[...forward, ...backward].map(arrow),
    ...classes(graph)
  ]
  return lines.join("\n")
}
