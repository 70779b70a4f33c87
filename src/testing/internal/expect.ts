/** What a test of a contract claims: each throws, with what was seen and what should have been. It knows no test framework. */
import * as Equal from "effect/Equal"
import * as Formatter from "effect/Formatter"

/** Something was not as it should be. */
const fail = (problem: string): never => {
  throw new Error(problem)
}

const said = (message: string | undefined, problem: string): string =>
  message === undefined ? problem : `${message}: ${problem}`

const same = (actual: unknown, expected: unknown, message?: string): void => {
  if (!Equal.equals(actual, expected)) {
    fail(said(message, `${Formatter.format(actual)} instead of ${Formatter.format(expected)}`))
  }
}

/** The claims, named as in other assertion libraries. */
export const assert = {
  strictEqual: same,
  /** By structure, as Effect's `Equal` compares. */
  deepStrictEqual: same,
  sameMembers: (actual: ReadonlyArray<string>, expected: ReadonlyArray<string>): void =>
    same([...actual].sort(), [...expected].sort()),
  isTrue: (actual: boolean, message?: string): void => same(actual, true, message),
  isFalse: (actual: boolean, message?: string): void => same(actual, false, message),
  isAtLeast: (actual: number, least: number): void => {
    if (actual < least) fail(`${actual} is less than ${least}`)
  },
  isAtMost: (actual: number, most: number, message?: string): void => {
    if (actual > most) fail(said(message, `${actual} is more than ${most}`))
  },
  match: (actual: string, pattern: RegExp): void => {
    if (!pattern.test(actual)) fail(`${Formatter.format(actual)} does not match ${pattern}`)
  }
}
