/** What the core has to know of schemas without loading `effect/Schema`: whether one lets anything through unchecked. */
import type * as Schema from "effect/Schema"

/** Says in words why a schema cannot carry a value of a saga: there is a `Schema.Any` in it. */
export const anyIn = (schema: Schema.Top): string | undefined => {
  const seen = new Set<unknown>()
  const found = (node: unknown): boolean => {
    if (typeof node !== "object" || node === null || seen.has(node)) return false
    seen.add(node)
    if ("_tag" in node && node._tag === "Any") return true
    if ("thunk" in node && typeof node.thunk === "function") return found(node.thunk())
    return Object.entries(node).some(([name, value]) =>
      name !== "annotations" && name !== "context" && (Array.isArray(value) ? value.some(found) : found(value))
    )
  }
  return found(schema.ast)
    ? "`Schema.Any` lets values through that no journal can hold. Write the schema of the value"
    : undefined
}
