/** Random sagas with random faults do what the reference says, and keep what is promised of every saga. */
import { Cause, Effect, Result } from "effect"
import { Saga, SagaState } from "effect-saga"
import { expect, it } from "vitest"
import type { Account, Case } from "./randomAccount.ts"
import { accountsOf, differences, expectedOf, linesOf, nameOf } from "./randomAccount.ts"
import type { Run } from "./randomRun.ts"
import { run } from "./randomRun.ts"
import { Dice, leavesOf, never, randomSaga, randomScript, shapeOf, sizeOf } from "./randomSaga.ts"
import type { Order } from "./reference.ts"
import { predict } from "./reference.ts"

const draw = (seed: number): Case => {
  const saga = randomSaga(seed)
  const script = randomScript(seed)
  const leaves = leavesOf(saga)
  const uncut = predict(saga, script, never)
  const dice = new Dice(seed, "interruption")
  const inUnwind = dice.chance(0.3)
  const lines = linesOf(uncut.order).filter((line) => line.includes(inUnwind ? " undo " : " act "))
  if (lines.length === 0 || dice.chance(0.6)) {
    return { seed, saga, script, leaves, interruptedAt: never, expected: uncut }
  }
  // While a chosen action or compensation runs, or soon after.
  const interruptedAt = Number.parseInt(dice.pick(lines), 10) + dice.int(1, inUnwind ? 3_000 : 300_000_000)
  return { seed, saga, script, leaves, interruptedAt, expected: predict(saga, script, interruptedAt) }
}

// ------------------------------------------------------------------------------------------- what is always true

/** Whether the lines of a ledger stand in an order that the tree allows: no line after one that it comes before. */
const isInOrder = (order: Order, ledger: ReadonlyArray<string>): boolean => {
  const positions = new Map<string, Array<number>>()
  for (const [position, line] of ledger.entries()) {
    positions.set(line, [...positions.get(line) ?? [], position])
  }
  const span = (order: Order): readonly [first: number, last: number, ordered: boolean] => {
    if (typeof order === "string") {
      const position = positions.get(order)!.shift()!
      return [position, position, true]
    }
    const inSequence = Array.isArray(order)
    const spans = (inSequence ? order : order.par).map(span).filter(([first]) => first < never)
    const ordered = spans.every(([first, , ordered], i) =>
      ordered && (!inSequence || i === 0 || spans[i - 1]![1] < first)
    )
    return [Math.min(...spans.map(([first]) => first)), Math.max(...spans.map(([, last]) => last)), ordered]
  }
  return span(order)[2]
}

/** What is promised of every run, whatever the reference says. */
const brokenPromises = (run: Run, account: Account): ReadonlyArray<string> => {
  const problems = [...run.complaints]
  if (run.exit === undefined) problems.push("hangs")
  const words = run.ledger.map((line) => line.split(/[ #]/) as [time: string, verb: string, path: string])
  const pathsWith = (verb: string) => new Set(words.filter((word) => word[1] === verb).map((word) => word[2]))
  const [applied, undone] = [pathsWith("done"), pathsWith("undone")]
  const reported = new Set([...account.uncertain ?? [], ...account.uncompensated ?? []])
  const stays = account.status === "Succeeded" || account.status === "ForwardRecoveryFailed"
  for (const path of account.status === undefined || stays ? [] : applied) {
    if (!undone.has(path) && !reported.has(path)) problems.push(`${path} is in place, and nobody is told`)
  }
  for (const path of stays ? undone : []) {
    if (!path.includes("/first/")) problems.push(`${path} is undone in a saga that stays`)
  }
  for (const path of pathsWith("undo")) {
    const verbs = words.filter((word) => word[2] === path).map((word) => word[1])
    if (/\bundo\b.*\b(act|done)\b/.test(verbs.join(" "))) {
      problems.push(`${path} is compensated before its action has ended`)
    }
  }
  const unwind = run.facts.find(({ event }) => event._tag === "UnwindStarted" && event.scope === "")
  if (unwind !== undefined && words.some((word, line) => word[1] === "act" && line >= unwind.line)) {
    problems.push("an action starts after the unwind began")
  }
  const folded = SagaState.fold(run.facts.map(({ event }) => event))
  if (Result.isFailure(folded)) problems.push(folded.failure.message)
  return problems
}

// ------------------------------------------------------------------------------------------- the verdict

const problemsOf = (
  one: Case,
  run: Run,
  expected: Account,
  accounts: ReadonlyArray<Account>
): ReadonlyArray<string> => {
  const problems = new Set([
    ...accounts.flatMap((account) => differences(expected, account)),
    ...brokenPromises(run, Object.assign({}, ...accounts))
  ])
  if (problems.size === 0 && !isInOrder(one.expected.order, run.ledger)) {
    problems.add(`order:\n${run.ledger.join("\n")}\ninstead of\n${JSON.stringify(one.expected.order, null, 1)}`)
  }
  return [...problems]
}

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

const report = ({ interruptedAt, saga, seed }: Case, problems: ReadonlyArray<string>, failed: number): string =>
  `${failed} runs of ${seeds.length} seeds fail. The smallest:\n${shapeOf(saga)}\n${
    interruptedAt === never ? "" : `interrupted at ${interruptedAt}\n`
  }- ${problems.join("\n- ")}\nReplay: SEED=${seed} npx vitest run property`

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
  if (smallest !== undefined) throw new Error(report(smallest.one, smallest.problems, failures.length))
  expect(seeds.length < 1000 ? [] : everything.filter((word) => !reached.has(word))).toEqual([])
})
