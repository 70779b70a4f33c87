/**
 * Where a saga holds secrets: every value of it that a journal would keep, by its schema. It sees no values.
 */
import type * as Schema from "effect/Schema"
import { SagaDefinitionError } from "../../SagaError.ts"
import type { StepPath } from "../../StepPath.ts"
import { escape } from "../../StepPath.ts"
import { redactedIn, unwritableIn } from "../schema.ts"
import type { Node, SagaTree } from "../tree.ts"

/** Why no journal may hold values of a schema; undefined when one may. `sealed`: what is written goes through a cipher. */
export const secretIn = (schema: Schema.Top, sealed: boolean): string | undefined => {
  if (!sealed) {
    return redactedIn(schema)
      ? "a `Schema.Redacted`, and a journal without a cipher would hold it in plain text. "
        + "Give the engine a `JournalCipher`, such as `AesGcm.layer` of effect-saga/encryption"
      : undefined
  }
  return unwritableIn(schema)
    ? "a `Schema.Redacted` that may not be encoded, so that no journal can hold it. "
      + "Leave out `disallowJsonEncode`: the engine has a cipher"
    : undefined
}

/**
 * Why no journal may keep the executions of a saga; undefined when one may. `sealed`: what is written goes through a
 * cipher.
 */
export const secretProblem = (tree: SagaTree, sealed: boolean): SagaDefinitionError | undefined => {
  for (const { path, schema, what } of valuesOf(tree, "")) {
    const problem = secretIn(schema, sealed)
    if (problem !== undefined) {
      const orElse = sealed ? "" : ", or use `Saga.run`"
      const words = `its ${what} holds ${problem}${orElse}`
      return new SagaDefinitionError({ saga: tree.definition.saga, path, problem: words })
    }
  }
  return undefined
}

/** A value that facts hold. */
interface Value {
  readonly path: StepPath
  readonly what: string
  readonly schema: Schema.Top
}

const valuesOf = (tree: SagaTree, path: StepPath): ReadonlyArray<Value> => [
  { path, what: "payload", schema: tree.definition.payload },
  ...valuesInside(tree, path)
]

/** Those of a saga without its payload, or of a branch. */
const valuesInside = (tree: SagaTree, path: StepPath): ReadonlyArray<Value> => [
  ...tree.nodes.flatMap((node) => valuesAt(node, path === "" ? "" : `${path}/`)),
  ...tree.output === undefined ? [] : [{ path, what: "output", schema: tree.output.success }]
]

const valuesAt = (node: Node, prefix: string): ReadonlyArray<Value> => {
  if (node._tag === "Parallel") return node.branches.flatMap((branch) => valuesInside(branch, prefix.slice(0, -1)))
  const path = prefix + node.name
  switch (node._tag) {
    case "Step":
      return [
        ...node.success === undefined ? [] : [{ path, what: "result", schema: node.success }],
        ...node.error === undefined ? [] : [{ path, what: "error", schema: node.error }]
      ]
    case "Sleep":
      return []
    case "Publish":
      return [{ path, what: `event ${node.event.type}`, schema: node.event.payload }]
    case "Await":
      return node.events.map(({ payload, type }) => ({ path, what: `event ${type}`, schema: payload }))
    case "ForEach":
      return [{ path, what: "item", schema: node.item }, ...valuesInside(node.each, path)]
    case "Choice":
      return Array.from(node.cases).flatMap(([tag, tree]) =>
        valuesInside(tree, node.kind === "when" ? path : `${path}/${escape(tag)}`)
      )
    case "Nested":
      return valuesOf(node.saga, path)
    case "OrElse":
      return [...valuesInside(node.first, `${path}/first`), ...valuesInside(node.second, `${path}/second`)]
  }
}
