/** Random sagas whose process dies after a write, or twice, keep what is promised of every saga. */
import { Cause, Context, Effect, Layer, Stream } from "effect"
import { Saga } from "effect-saga"
import type { SagaEngine } from "effect-saga/SagaEngine"
import { SagaJournal } from "effect-saga/SagaJournal"
import { expect, it } from "vitest"
import { accountsOf } from "../core/randomAccount.ts"
import type { Executor, Run } from "../core/randomRun.ts"
import { run } from "../core/randomRun.ts"
import { never, shapeOf, sizeOf } from "../core/randomSaga.ts"
import { brokenPromises, draw } from "../core/randomVerdict.ts"
import { inProcess, Process } from "./process.ts"

/** The state of the whole run must fold from what the journal holds in the end. */
const dyingAt =
  (deaths: ReadonlyArray<number>, seen: { writes: number; died: number }): Executor => (saga, stuck, recorded) =>
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
                  () => {
                    // A process may die between what it records and what it tells.
                    const said = stuck() ?? new Saga.CompensationFailed({ ...nothingSaid, executionId })
                    return Effect.succeed({ _tag: "Stuck" as const, executionId, error: said })
                  }
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

const nothingSaid = {
  saga: "Random",
  reason: "StepUncertain" as const,
  original: Cause.empty,
  failures: [],
  compensated: [],
  uncompensated: [],
  uncertain: []
}

const { SEED, SEEDS = "100" } = process.env
const seeds = SEED === undefined ? Array.from({ length: Number(SEEDS) }, (_, seed) => seed) : [Number(SEED)]

const problemsOf = (run: Run): ReadonlyArray<string> => {
  const last = run.facts.at(-1)?.event
  const uncertain = run.facts.flatMap(({ event }) => event._tag === "StepUncertain" ? [event.path] : [])
  const open = last?._tag === "SagaStuck" ? { uncompensated: [...last.open, ...uncertain] } : {}
  return brokenPromises(run, Object.assign({}, ...accountsOf(run), open))
}

it("random sagas keep their promises when their process dies after any write", {
  timeout: 120_000 * Math.ceil(seeds.length / 100)
}, async () => {
  const failures: Array<{ readonly text: string; readonly size: number }> = []
  let deaths = 0
  for (const seed of seeds) {
    const one = draw(seed)
    if (one.interruptedAt !== never) continue
    const whole = { writes: 0, died: 0 }
    await Effect.runPromise(run(one.saga, one.script, [], true, dyingAt([], whole)))
    // Thousands of tries of one step, each come back to: they say nothing new.
    if (whole.writes > 300) continue
    // After each write of a short run, after some of a long one.
    const step = Math.ceil(whole.writes / 12)
    const places = Array.from({ length: Math.floor(whole.writes / step) }, (_, index) => 1 + index * step + seed % step)
    const plans = places.flatMap((place) => [[place], [place, 1 + seed % 3]])
    for (const plan of plans) {
      const seen = { writes: 0, died: 0 }
      const result = await Effect.runPromise(run(one.saga, one.script, [], true, dyingAt(plan, seen)))
      deaths += seen.died
      const problems = problemsOf(result)
      if (problems.length === 0) continue
      const replay = `SEED=${seed} npx vitest run engine/crash`
      const text = `${shapeOf(one.saga)}\ndies after ${plan.join(", then ")}\n- ${problems.join("\n- ")}\n${
        result.ledger.join("\n")
      }\n${result.facts.map(({ event }) => JSON.stringify(event)).join("\n")}\n${replay}`
      failures.push({ text, size: sizeOf(one.saga) * 1000 + whole.writes })
    }
  }
  const [smallest] = failures.sort((a, b) => a.size - b.size)
  if (smallest !== undefined) throw new Error(`${failures.length} runs fail. The smallest:\n${smallest.text}`)
  expect(deaths).toBeGreaterThan(SEED === undefined ? seeds.length : -1)
})
