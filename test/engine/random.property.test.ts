/** The random sagas of the core end on an engine as they do in a fiber, each wait of theirs spent outside of memory. */
import { Effect, Layer } from "effect"
import { Saga } from "effect-saga"
import { SagaEngine } from "effect-saga/SagaEngine"
import { SagaJournal } from "effect-saga/SagaJournal"
import { expect, it } from "vitest"
import type { Case } from "../core/randomAccount.ts"
import { accountsOf, expectedOf } from "../core/randomAccount.ts"
import type { Executor } from "../core/randomRun.ts"
import { run } from "../core/randomRun.ts"
import { never, sizeOf } from "../core/randomSaga.ts"
import { draw, problemsOf, report } from "../core/randomVerdict.ts"

/** On an engine of its own, which lets go of every wait. */
const onEngine = (journal: Layer.Layer<SagaJournal>): Executor => (saga, stuck) =>
  Effect.gen(function*() {
    const engine = yield* SagaEngine
    const executionId = yield* Effect.orDie(engine.start(saga, ""))
    return yield* Effect.catchTag(
      engine.outcome(saga, executionId, { onStuck: "fail" }),
      "ExecutionStuck",
      (error) => {
        const said = stuck()
        return said === undefined
          ? Effect.die(error)
          : Effect.succeed({ _tag: "Stuck" as const, executionId, error: said })
      }
    ).pipe(Effect.orDie)
  }).pipe(Effect.provide(
    Saga.register(saga).pipe(
      Layer.provideMerge(SagaEngine.layerWith({ evictAfter: 0 })),
      Layer.provide(journal),
      Layer.orDie
    )
  ))

const { SEED, SEEDS = "400" } = process.env
const seeds = SEED === undefined ? Array.from({ length: Number(SEEDS) }, (_, seed) => seed) : [Number(SEED)]

it("random sagas end as in a fiber", { timeout: 120_000 * Math.ceil(seeds.length / 400) }, async () => {
  const failures: Array<{ readonly one: Case; readonly problems: ReadonlyArray<string> }> = []
  for (const seed of seeds) {
    const one = draw(seed)
    // Interrupting who waits for an execution changes nothing for it.
    if (one.interruptedAt !== never) continue
    const result = await Effect.runPromise(run(one.saga, one.script, [], true, onEngine(SagaJournal.layerMemory)))
    const accounts = accountsOf(result)
    const expected = expectedOf(one, result, accounts.find((account) => account.cause !== undefined)?.cause)
    const problems = problemsOf(one, result, expected, accounts)
    if (problems.length > 0) failures.push({ one, problems })
  }
  const [smallest] = failures.sort((a, b) => sizeOf(a.one.saga) - sizeOf(b.one.saga))
  if (smallest !== undefined) {
    throw new Error(report(smallest.one, smallest.problems, failures.length, "npx vitest run engine/random"))
  }
  expect(seeds.length).toBeGreaterThan(0)
})
