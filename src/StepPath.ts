/**
 * How a node of a saga is named and where it stands: names, keys and the paths that are made of them.
 *
 * A path is what facts, idempotency keys, errors and tools call a node: `lines/sku-7/reserve`. This file never knows a
 * saga; it holds rules about text only.
 *
 * @since 0.1.0
 */

/**
 * Where a node stands in its saga: names and keys from the outside in, joined by `/`. What would not fit into a
 * segment or a line is escaped.
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

// Control characters, and what else ends a line: with them a key could forge a line of a log.
const controls = /[\p{Cc}\u2028\u2029]/gu

/**
 * Makes a text fit for one line of a log or a message: control characters are percent-encoded.
 *
 * **Example** (A text that would forge a line)
 *
 * ```ts
 * import { StepPath } from "effect-saga"
 *
 * StepPath.printable("a\nERROR b") // => "a%0AERROR b"
 * ```
 *
 * @category encoding
 * @since 0.1.0
 */
export const printable = (text: string): string => text.replaceAll(controls, encodeURIComponent)

/**
 * Makes a key fit to be one segment of a path: `/`, `%` and control characters are percent-encoded.
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
export const escape = (key: string): string => printable(key.replaceAll("%", "%25").replaceAll("/", "%2F"))

const escaped = /%(?:25|2F|[01][0-9A-F]|7F|C2%[89][0-9A-F]|E2%80%A[89])/g

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
  path.split("/").map((segment) => segment.replaceAll(escaped, (code) => decodeURIComponent(code)))
