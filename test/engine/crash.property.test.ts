/** Random sagas whose process dies after a write, or twice, keep what is promised of every saga. */
import { Context, Effect, Layer, Stream } from "effect"
import type { SagaEngine } from "effect-saga/SagaEngine"
import { SagaJournal } from "effect-saga/SagaJournal"
import { expect, it } from "vitest"
import type { Executor } from "../core/randomRun.ts"
import { never } from "../core/randomSaga.ts"
import type { Seen } from "./dying.ts"
import { isReplay, runAll, seeds, stuckAsTold, timeout } from "./dying.ts"
import { inProcess, Process } from "./process.ts"

/** The state of the whole run must fold from what the journal holds in the end. */
const dyingAt = (deaths: ReadonlyArray<number>, seen: Seen): Executor => (saga, stuck, recorded) =>
  Effect.scoped(Effect.gen(function*() {
    const journal = Context.get(yield* Layer.build(SagaJournal.layerMemory), SagaJournal)
    const executionId = "run"
    for (const lastWrite of [...deaths, never]) {
      const process = new Process()
      const facts = (engine: SagaEngine["Service"]) =>
        Effect.map(Stream.runCollect(engine.events(saga, executionId)), (facts) => recorded(facts))
      const outcome = yield* Effect.orDie(
        inProcess(journal, saga, lastWrite, { evictAfter: 0 }, (engine) =>
          Effect.tap(
            Effect.andThen(
              engine.start(saga, "", { executionId }),
              Effect.catchTag(
                engine.outcome(saga, executionId, { onStuck: "fail" }),
                "ExecutionStuck",
                () => Effect.succeed(stuckAsTold(executionId, stuck()))
              )
            ),
            () => facts(engine)
          ), process)
      )
      seen.writes += process.writes
      if (outcome !== undefined) return outcome
      seen.died++
    }
    return yield* Effect.die("died too often")
  }))

it("random sagas keep their promises when their process dies after any write", { timeout }, async () => {
  const { died } = await runAll(dyingAt, "npx vitest run engine/crash")
  expect(died).toBeGreaterThan(isReplay ? -1 : seeds.length)
})
