/** Drawing a random case, and judging what became of it: by the reference, and by what is promised of every saga. */
import { Result } from "effect"
import { SagaState } from "effect-saga"
import type { Account, Case } from "./randomAccount.ts"
import { differences, linesOf } from "./randomAccount.ts"
import type { Run } from "./randomRun.ts"
import { Dice, leavesOf, never, randomSaga, randomScript, shapeOf } from "./randomSaga.ts"
import type { Order } from "./reference.ts"
import { predict } from "./reference.ts"

/** The case of a seed. */
export const draw = (seed: number): Case => {
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
export const brokenPromises = (run: Run, account: Account): ReadonlyArray<string> => {
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

/** What is wrong with a run, in words. */
export const problemsOf = (
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

/** The smallest case that failed, and how to run it again. */
export const report = (
  { interruptedAt, saga, seed }: Case,
  problems: ReadonlyArray<string>,
  failed: number,
  replay: string
): string =>
  `${failed} runs fail. The smallest:\n${shapeOf(saga)}\n${
    interruptedAt === never ? "" : `interrupted at ${interruptedAt}\n`
  }- ${problems.join("\n- ")}\nReplay: SEED=${seed} ${replay}`
