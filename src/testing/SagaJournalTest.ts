/**
 * What every journal promises, as tests that anybody can run who writes a store: the contract of `Journal` in
 * `effect-saga/SagaJournal`, promise by promise. It knows no store and no test framework.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { SagaJournal } from "../SagaJournal.ts"
import type { PromiseTest } from "./Conformance.ts"
import { promiseTest } from "./Conformance.ts"
import { claiming } from "./internal/journal/claiming.ts"
import { events } from "./internal/journal/events.ts"
import { keeping } from "./internal/journal/keeping.ts"
import { leases } from "./internal/journal/leases.ts"
import { listing } from "./internal/journal/listing.ts"
import type { WritePromise } from "./internal/journal/promise.ts"
import { reading } from "./internal/journal/reading.ts"
import { writing } from "./internal/journal/writing.ts"

/**
 * What is known of a store.
 *
 * @category models
 * @since 0.1.0
 */
export interface SuiteOptions {
  /**
   * Whether it notices the death of a holder of a lease before that has run out.
   *
   * @default false
   */
  readonly noticesDeath?: boolean
}

/**
 * The promises of a journal as tests: each makes one of its own by the layer, which has to give a journal with nothing in
 * it each time that it is built.
 *
 * **When to use**
 *
 * Use to prove a store of your own equal to those of effect-saga, which run the same tests. Under vitest `registerSuite` of
 * `effect-saga/testing/vitest` takes the list; with any other runner each `test` is an Effect that fails with a
 * `PromiseBroken`.
 *
 * **Details**
 *
 * The clock of the tests is a `TestClock`; a store that has a clock of its own, such as a database, keeps it.
 *
 * **Example** (The journal in memory)
 *
 * ```ts
 * import { SagaJournal } from "effect-saga/SagaJournal"
 * import { SagaJournalTest } from "effect-saga/testing"
 * import { Effect } from "effect"
 *
 * const promises = SagaJournalTest.suite("in memory", SagaJournal.layerMemory, { noticesDeath: true })
 * promises.length > 50 // => true
 * await Effect.runPromise(promises[0]!.test) // => undefined
 * ```
 *
 * @category suites
 * @since 0.1.0
 */
export const suite = (
  name: string,
  layer: Layer.Layer<SagaJournal, unknown>,
  options?: SuiteOptions
): ReadonlyArray<PromiseTest> => {
  const tests: Array<PromiseTest> = []
  const write: WritePromise = (promise, body) => {
    const test = Effect.flatMap(SagaJournal, body).pipe(
      Effect.provide([Layer.fresh(layer), TestClock.layer()], { local: true })
    )
    tests.push(promiseTest(name, promise, test))
  }
  writing(write)
  leases(write, options?.noticesDeath ?? false)
  claiming(write)
  reading(write)
  listing(write)
  keeping(write)
  events(write)
  return tests
}
