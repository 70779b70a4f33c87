/** What the properties of random sagas whose process dies share: where it dies, what is judged, and what a failure says. */
import { Cause, Effect } from "effect"
import { Saga } from "effect-saga"
import { accountsOf } from "../core/randomAccount.ts"
import type { Executor, Run } from "../core/randomRun.ts"
import { run } from "../core/randomRun.ts"
import { never, shapeOf, sizeOf } from "../core/randomSaga.ts"
import { brokenPromises, draw } from "../core/randomVerdict.ts"

const { SEED, SEEDS = "100" } = process.env

/** Whether one seed alone is run. */
export const isReplay = SEED !== undefined

export const seeds = SEED === undefined ? Array.from({ length: Number(SEEDS) }, (_, seed) => seed) : [Number(SEED)]

/** How long so many may take. */
export const timeout = 120_000 * Math.ceil(seeds.length / 100)

/** A process may die between what it records and what it tells. */
export const stuckAsTold = (
  executionId: string,
  said: Saga.Stuck["error"] | undefined
): Extract<Saga.Outcome<unknown, unknown>, { readonly _tag: "Stuck" }> => ({
  _tag: "Stuck",
  executionId,
  error: said ?? new Saga.CompensationFailed({ ...nothingSaid, executionId })
})

const nothingSaid = {
  saga: "Random",
  reason: "StepUncertain" as const,
  original: Cause.empty,
  failures: [],
  compensated: [],
  uncompensated: [],
  uncertain: []
}

const problemsOf = (run: Run): ReadonlyArray<string> => {
  const last = run.facts.at(-1)?.event
  const uncertain = run.facts.flatMap(({ event }) => event._tag === "StepUncertain" ? [event.path] : [])
  const open = last?._tag === "SagaStuck" ? { uncompensated: [...last.open, ...uncertain] } : {}
  return brokenPromises(run, Object.assign({}, ...accountsOf(run), open))
}

/** What was seen of runs: how often they wrote, and died, and were taken on by another version. */
export interface Seen {
  writes: number
  died: number
  migrated: number
}

const nothingSeen = (): Seen => ({ writes: 0, died: 0, migrated: 0 })

/** Runs each seed as a whole, then with deaths. Throws the smallest that fails; else what was seen of those that died. */
export const runAll = async (
  dyingAt: (deaths: ReadonlyArray<number>, seen: Seen) => Executor,
  replay: string
): Promise<Seen> => {
  const failures: Array<{ readonly text: string; readonly size: number }> = []
  const all = nothingSeen()
  for (const seed of seeds) {
    const one = draw(seed)
    if (one.interruptedAt !== never) continue
    const runWith = (deaths: ReadonlyArray<number>, seen: Seen) =>
      Effect.runPromise(run(one.saga, one.script, [], true, dyingAt(deaths, seen)))
    const whole = nothingSeen()
    await runWith([], whole)
    // Thousands of tries of one step, each come back to: they say nothing new.
    if (whole.writes > 300) continue
    // After each write of a short run, after some of a long one.
    const step = Math.ceil(whole.writes / 12)
    const places = Array.from({ length: Math.floor(whole.writes / step) }, (_, index) => 1 + index * step + seed % step)
    for (const plan of places.flatMap((place) => [[place], [place, 1 + seed % 3]])) {
      const result = await runWith(plan, all)
      const problems = problemsOf(result)
      if (problems.length === 0) continue
      const text = `${shapeOf(one.saga)}\ndies after ${plan.join(", then ")}\n- ${problems.join("\n- ")}\n${
        result.ledger.join("\n")
      }\n${result.facts.map(({ event }) => JSON.stringify(event)).join("\n")}\nSEED=${seed} ${replay}`
      failures.push({ text, size: sizeOf(one.saga) * 1000 + whole.writes })
    }
  }
  const [smallest] = failures.sort((a, b) => a.size - b.size)
  if (smallest !== undefined) throw new Error(`${failures.length} runs fail. The smallest:\n${smallest.text}`)
  return all
}
