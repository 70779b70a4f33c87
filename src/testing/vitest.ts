/**
 * The test kit under vitest: a named test for each place of a saga, and for each promise of a suite. It only registers
 * tests; what they do is in `effect-saga/testing`, which knows no test framework. The one file that runs Effects: a test
 * is the edge of its program.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as vitest from "vitest"
import type { Phase, Saga } from "../SagaValue.ts"
import { definition } from "../SagaValue.ts"
import type { PromiseTest } from "./Conformance.ts"
import type { ExploreOptions } from "./Explore.ts"
import { explore } from "./Explore.ts"
import { callsIn, nameOf, placesOf } from "./internal/places.ts"

/** A test that fails with what the effect failed with, as a person would read it. */
const test = (name: string, effect: Effect.Effect<unknown, unknown>, timeoutMillis: number | undefined): void =>
  vitest.it(name, async () => {
    const exit = await Effect.runPromiseExit(effect)
    if (Exit.isFailure(exit)) throw Cause.squash(exit.cause)
  }, timeoutMillis)

/**
 * Registers tests that explore a saga: one for each action, for each compensation, and with a journal one for the writes
 * to it. The name of each says where things go wrong; what goes wrong before may be anywhere.
 *
 * **Details**
 *
 * With `random` there is one more test, of random programs. `timeoutMillis` bounds each test.
 *
 * @category testing
 * @since 0.1.0
 */
export const sagaTest = <P, S, O, A, E, R, R2 = never>(
  name: string,
  saga: Saga<P, S, O, A, E, R, Phase>,
  options: Omit<ExploreOptions<P, R, R2>, "places"> & { readonly timeoutMillis?: number }
): void => {
  const { depth = 2, random = 0, timeoutMillis, unreachable = [] } = options
  const places = callsIn(placesOf(definition(saga)))
    // A compensation is come to by a fault, so that one in it is the second.
    .filter((place) => (place.kind === "action" || depth > 1) && !unreachable.includes(nameOf(place)))
    .map((place) => ({ place: nameOf(place), title: `the ${place.kind} of ${place.path}` }))
  const journal = options.journal === undefined
    ? []
    : [{ place: "journal", title: "each write to the journal" }]
  vitest.describe(name, () => {
    for (const { place, title } of [...places, ...journal]) {
      test(`faults in ${title}`, explore(saga, { ...options, random: 0, places: [place] }), timeoutMillis)
    }
    if (random > 0) {
      test(`${random} random programs of faults`, explore(saga, { ...options, depth: 0, places: [] }), timeoutMillis)
    }
  })
}

/**
 * Registers the tests of a suite, such as `SagaJournalTest.suite` gives them.
 *
 * @category testing
 * @since 0.1.0
 */
export const registerSuite = (name: string, suite: ReadonlyArray<PromiseTest>, timeoutMillis?: number): void => {
  vitest.describe(name, () => {
    for (const promise of suite) test(promise.name, promise.test, timeoutMillis)
  })
}
