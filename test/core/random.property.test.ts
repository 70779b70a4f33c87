/** Random sagas with random faults do what the reference says, and keep what is promised of every saga. */
import { Cause, Effect } from "effect"
import { Saga } from "effect-saga"
import { expect, it } from "vitest"
import type { Account, Case } from "./randomAccount.ts"
import { accountsOf, expectedOf, nameOf } from "./randomAccount.ts"
import type { Run } from "./randomRun.ts"
import { run } from "./randomRun.ts"
import { never, sizeOf } from "./randomSaga.ts"
import { draw, problemsOf, report } from "./randomVerdict.ts"

/** What a case leads to, in words without names: so that a test can tell whether everything was reached. */
const reachedIn = ({ expected, interruptedAt, leaves }: Case, run: Run, account: Account): ReadonlyArray<string> => {
  const asked = new Set(run.ledger.flatMap((line) => / ask (.*)/.exec(line)?.[1] ?? []))
  const applied = new Set(run.ledger.flatMap((line) => / done (.*)#/.exec(line)?.[1] ?? []))
  const steps = [...expected.steps].flatMap(([path, text]) => {
    const [action = "", compensation = ""] = text.replaceAll(/ \d+/g, "").split(", ")
    const lost = action.startsWith("Uncertain") && applied.has(path)
    return [
      `${leaves.get(nameOf(path))!.kind} ${action}`,
      compensation,
      ...(asked.has(path) ? [`asked: ${action.split(" ")[0]}`] : []),
      ...(lost ? ["done and lost"] : [])
    ]
  })
  const facts = run.facts.flatMap(({ event }) => {
    if (event._tag === "CompensationAttemptFailed" || event._tag === "CompensationFailed") {
      const abandoned = event.cause.reasons.some((reason) =>
        Cause.isDieReason(reason) && reason.defect instanceof Saga.CompensationTimedOut && reason.defect.abandoned
      )
      return abandoned ? ["abandoned"] : []
    }
    const unwinds = event._tag === "UnwindStarted" && event.scope === ""
    return unwinds && event.atMillis < interruptedAt && interruptedAt < run.endedAt
      ? ["interrupted in the unwind"]
      : [event._tag]
  })
  const again = run.ledger.flatMap((line) => / (act|undo) .*#2/.exec(line)?.[1] ?? [])
  const cause = account.status === "Succeeded" ? [] : [`cause: ${account.cause?.replace(/ n\d+$/, "")}`]
  return [account.status!, ...cause, ...steps, ...facts, ...again.map((verb) => `${verb} again`)]
}

/** What must be reached, or the generator has lost something. */
const everything = [
  "Succeeded",
  "Compensated",
  "CompensationFailed",
  "StepUncertain",
  "PivotUncertain",
  "ForwardRecoveryFailed",
  "cause: Interrupted",
  "interrupted in the unwind",
  "FellBack",
  "BranchChosen",
  "ItemsListed",
  "NestedStarted",
  "TimerFired",
  "act again",
  "undo again",
  "abandoned",
  "done and lost",
  ...["Succeeded", "Failed", "Uncertain"].map((status) => `asked: ${status}`),
  ...["fail", "DeclaredByError", "TimedOut", "SagaTimedOut"].map((error) => `cause: Fail ${error}`),
  ...["Died", "TimedOut", "broken", "fail"].map((defect) => `cause: Die ${defect}`),
  ...["step", "check", "pivot", "retriable"].flatMap((kind) => [`${kind} Succeeded`, `${kind} Failed`]),
  ...["TimedOut", "Died", "DeclaredByError"].map((reason) => `pivot Uncertain ${reason} stuck`),
  ...["Interrupted", "TimedOut", "Died", "DeclaredByError"].flatMap((reason) =>
    ["report", "compensate", "stuck"].map((whenUncertain) => `step Uncertain ${reason} ${whenUncertain}`)
  )
]

const { SEED, SEEDS = "1000" } = process.env
const seeds = SEED === undefined ? Array.from({ length: Number(SEEDS) }, (_, seed) => seed) : [Number(SEED)]

it("random sagas end as the reference says, observed or not", async () => {
  const failures: Array<{ readonly one: Case; readonly problems: ReadonlyArray<string> }> = []
  const reached = new Set<string>()
  for (const seed of seeds) {
    const one = draw(seed)
    const interruptions = one.interruptedAt === never ? [] : [one.interruptedAt, one.interruptedAt + 1000]
    for (const observed of [true, false]) {
      const result = await Effect.runPromise(run(one.saga, one.script, interruptions, observed))
      const accounts = accountsOf(result)
      const expected = expectedOf(one, result, accounts.find((account) => account.cause !== undefined)?.cause)
      const problems = problemsOf(one, result, expected, accounts)
      if (problems.length > 0) failures.push({ one, problems })
      for (const word of reachedIn(one, result, expected)) reached.add(word)
    }
  }
  const [smallest] = failures.sort((a, b) => sizeOf(a.one.saga) - sizeOf(b.one.saga))
  if (smallest !== undefined) {
    throw new Error(report(smallest.one, smallest.problems, failures.length, "npx vitest run core/random"))
  }
  expect(seeds.length < 1000 ? [] : everything.filter((word) => !reached.has(word))).toEqual([])
})
