/** Random sagas that are stuck, and somebody on call who decides this and that until they end: the promises still hold. */
import { Context, Effect, HashMap, Layer, Option, Result } from "effect"
import { SagaState } from "effect-saga"
import type { SagaEngineService } from "effect-saga/SagaEngine"
import { SagaJournal } from "effect-saga/SagaJournal"
import { expect, it } from "vitest"
import type { Executor, RandomSaga } from "../core/randomRun.ts"
import { run } from "../core/randomRun.ts"
import { Dice, never, shapeOf, sizeOf } from "../core/randomSaga.ts"
import { brokenPromises, draw } from "../core/randomVerdict.ts"
import { inProcess, Process } from "./process.ts"

const executionId = "run"
const by = { actor: "ann", comment: "as the dice fall" }

/** What came of it. */
class Shift {
  decisions = 0
  refusals = 0
  deaths = 0
  end = ""
  uncertain: ReadonlyArray<string> = []
}

const factsOf = (engine: SagaEngineService) =>
  Effect.map(Effect.orDie(engine.history(executionId)), (history) => history.flatMap(({ event }) => event ?? []))

/** Decides once. */
const decide = (engine: SagaEngineService, dice: Dice, shift: Shift) =>
  Effect.gen(function*() {
    shift.decisions++
    const state = Result.getOrThrow(SagaState.fold(yield* factsOf(engine)))
    const open = SagaState.undecided(state)
    const skip = Effect.gen(function*() {
      const path = dice.pick(open)
      const isUndo = Option.exists(HashMap.get(state.steps, path), ({ status }) => status === "CompensationFailed")
      yield* engine.skip(executionId, path, isUndo ? undefined : path, by)
    })
    // It must come to an end some time.
    const verb = shift.decisions > 12
      ? "abandon"
      : dice.pick(open.length > 0 ? ["retry", "skip", "skip", "compensate"] : ["retry", "compensate", "abandon"])
    yield* Effect.matchEffect(verb === "skip" ? skip : engine[verb as "retry"](executionId, by), {
      onSuccess: () => Effect.void,
      onFailure: (error) => {
        shift.refusals++
        return error._tag === "VerbRefused" || error._tag === "AlreadyCommitted" ? Effect.void : Effect.die(error)
      }
    })
  })

/** Runs it to its end, in processes that die and with somebody on call. */
const onCall = (seed: number, shift: Shift, journal: SagaJournal["Service"]): Executor => (saga, _, recorded) =>
  Effect.gen(function*() {
    const dice = new Dice(seed, "on call")
    const one = (lastWrite: number) =>
      inProcess(journal, saga, lastWrite, { evictAfter: 0, quarantineAfter: 100 }, (engine) =>
        Effect.gen(function*() {
          yield* engine.start(saga, "", { executionId })
          while (true) {
            const outcome = yield* Effect.catchTag(
              engine.outcome(saga as RandomSaga, executionId, { onStuck: "fail" }),
              ["ExecutionStuck", "ExecutionAbandoned"],
              (error) => Effect.succeed(error)
            )
            recorded(yield* factsOf(engine))
            if (outcome._tag !== "ExecutionStuck") return outcome
            yield* decide(engine, dice, shift)
          }
        }), new Process())
    while (true) {
      const outcome = yield* Effect.orDie(one(dice.chance(0.5) ? dice.int(1, 12) : never))
      if (outcome === undefined) {
        shift.deaths++
        continue
      }
      shift.end = outcome._tag
      if (outcome._tag === "Compensated") shift.uncertain = outcome.uncertain.map(({ path }) => path)
      return { _tag: "Succeeded", executionId, result: undefined }
    }
  })

const { SEED, SEEDS = "600" } = process.env
const seeds = SEED === undefined ? Array.from({ length: Number(SEEDS) }, (_, seed) => seed) : [Number(SEED)]

it("random sagas that are stuck keep their promises when somebody decides", {
  timeout: 120_000 * Math.ceil(seeds.length / 600)
}, async () => {
  const failures: Array<{ readonly text: string; readonly size: number }> = []
  const all = { decisions: 0, refusals: 0, deaths: 0 }
  const ends = new Map<string, number>()
  for (const seed of seeds) {
    const one = draw(seed)
    if (one.interruptedAt !== never) continue
    const journal = Context.get(
      await Effect.runPromise(Effect.scoped(Layer.build(SagaJournal.layerMemory))),
      SagaJournal
    )
    const shift = new Shift()
    const result = await Effect.runPromise(run(one.saga, one.script, [], true, onCall(seed, shift, journal)))
    if (shift.decisions === 0) continue
    all.decisions += shift.decisions
    all.refusals += shift.refusals
    all.deaths += shift.deaths
    ends.set(shift.end, (ends.get(shift.end) ?? 0) + 1)
    const byHand = result.facts.flatMap(({ event }) => event._tag === "CompensationSkipped" ? [event.path] : [])
    const account = shift.end === "ExecutionAbandoned"
      ? {}
      : { status: shift.end, uncertain: [...shift.uncertain, ...byHand] }
    const problems = brokenPromises(result, account)
    if (problems.length === 0) continue
    const text = `${shapeOf(one.saga)}\n- ${problems.join("\n- ")}\nends as ${shift.end}\n${
      result.ledger.join("\n")
    }\n${
      result.facts.map(({ event }) => JSON.stringify(event)).join("\n")
    }\nSEED=${seed} npx vitest run engine/operators`
    failures.push({ text, size: sizeOf(one.saga) * 1_000 + result.facts.length })
  }
  const [smallest] = failures.sort((a, b) => a.size - b.size)
  if (smallest !== undefined) throw new Error(`${failures.length} runs fail. The smallest:\n${smallest.text}`)
  if (SEED !== undefined) return
  expect(all.decisions).toBeGreaterThan(seeds.length / 8)
  for (const end of ["Succeeded", "Compensated", "ExecutionAbandoned"]) expect(ends.get(end)).toBeGreaterThan(0)
})
