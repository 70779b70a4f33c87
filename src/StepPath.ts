/**
 * How a node of a saga is named and where it stands: names, keys and the paths that are made of them.
 *
 * A path is what facts, idempotency keys, errors and tools call a node: `lines/sku-7/reserve`. This file never knows a
 * saga; it holds rules about text only.
 *
 * @since 0.1.0
 */

/**
 * Where a node stands in its saga: names and keys from the outside in, joined by `/`. A `/` or `%` in a key is escaped.
 *
 * @category models
 * @since 0.1.0
 */
export type StepPath = string

const allowed = /^[A-Za-z0-9._-]{1,100}$/

/**
 * Says in words why a text cannot be the name of a saga or a node; `undefined` when it can.
 *
 * **Example** (A name that a path could not carry)
 *
 * ```ts
 * import { StepPath } from "effect-saga"
 *
 * StepPath.nameProblem("reserve-seat") // => undefined
 * StepPath.nameProblem("reserve seat")
 * // => "\"reserve seat\" is no name: use 1 to 100 of the characters A-Z a-z 0-9 . _ -"
 * ```
 *
 * @category guards
 * @since 0.1.0
 */
export const nameProblem = (name: string): string | undefined =>
  name === "__proto__"
    ? `"__proto__" is no name: JavaScript gives it a meaning of its own`
    : allowed.test(name)
    ? undefined
    : `${JSON.stringify(name)} is no name: use 1 to 100 of the characters A-Z a-z 0-9 . _ -`

/**
 * Makes a key fit to be one segment of a path.
 *
 * **Example** (A key with a slash)
 *
 * ```ts
 * import { StepPath } from "effect-saga"
 *
 * StepPath.escape("a/b") // => "a%2Fb"
 * ```
 *
 * @category encoding
 * @since 0.1.0
 */
export const escape = (key: string): string =>
  /[%/]/.test(key) ? key.replaceAll("%", "%25").replaceAll("/", "%2F") : key

/**
 * The segments of a path, from the outside in, with escapes undone.
 *
 * **Example** (Taking a path apart)
 *
 * ```ts
 * import { StepPath } from "effect-saga"
 *
 * StepPath.segments("lines/a%2Fb/reserve") // => ["lines", "a/b", "reserve"]
 * ```
 *
 * @category decoding
 * @since 0.1.0
 */
export const segments = (path: StepPath): ReadonlyArray<string> =>
  path.split("/").map((segment) => segment.replaceAll("%2F", "/").replaceAll("%25", "%"))
