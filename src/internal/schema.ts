/**
 * What has to be known of schemas without loading `effect/Schema`: whether one lets anything through unchecked, and
 * whether there is a secret in one.
 */
import type * as Schema from "effect/Schema"

/** Whether a schema, or one inside of it, is such a one. */
const has = (schema: Schema.Top, isSuch: (node: object) => boolean): boolean => {
  const seen = new Set<unknown>()
  const found = (node: unknown): boolean => {
    if (typeof node !== "object" || node === null || seen.has(node)) return false
    seen.add(node)
    if (isSuch(node)) return true
    if ("thunk" in node && typeof node.thunk === "function") return found(node.thunk())
    return Object.entries(node).some(([name, value]) =>
      name !== "annotations" && name !== "context" && (Array.isArray(value) ? value.some(found) : found(value))
    )
  }
  return found(schema.ast)
}

/** Says in words why a schema cannot carry a value of a saga: there is a `Schema.Any` in it. */
export const anyIn = (schema: Schema.Top): string | undefined =>
  has(schema, (node) => "_tag" in node && node._tag === "Any")
    ? "`Schema.Any` lets values through that no journal can hold. Write the schema of the value"
    : undefined

/** What `Schema.Redacted` notes of itself: by that alone it can be told, also where other annotations were added. */
interface Redacted {
  readonly id: "effect/schema/Redacted"
  readonly payload: { readonly disallowJsonEncode?: true } | null
}

const redactedOf = (node: object): Redacted | undefined => {
  const { annotations } = node as { readonly annotations?: { readonly representation?: { readonly id: string } } }
  const representation = annotations?.representation
  return representation?.id === "effect/schema/Redacted" ? representation as Redacted : undefined
}

/** Asks once of each schema. */
const remembered = (ask: (schema: Schema.Top) => boolean): (schema: Schema.Top) => boolean => {
  const answers = new WeakMap<Schema.Top, boolean>()
  return (schema) => {
    const known = answers.get(schema)
    if (known !== undefined) return known
    const answer = ask(schema)
    answers.set(schema, answer)
    return answer
  }
}

/** Whether there is a secret in a schema: `Schema.Redacted`, or `Schema.RedactedFromValue`, which makes one. */
export const redactedIn = remembered((schema) => has(schema, (node) => redactedOf(node) !== undefined))

/** Whether there is a secret in a schema that it forbids to write down, whatever becomes of the text. */
export const unwritableIn = remembered((schema) =>
  has(schema, (node) => redactedOf(node)?.payload?.disallowJsonEncode === true)
)
