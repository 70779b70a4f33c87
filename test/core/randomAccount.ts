/**
 * What is said of one run of a random saga, by the reference and by the core, in the same words, and where the two differ.
 */
import { Cause, Exit, Result } from "effect"
import { Saga, SagaState } from "effect-saga"
import type { Run } from "./randomRun.ts"
import type { Answer, Body, Leaf, Script } from "./randomSaga.ts"
import { never } from "./randomSaga.ts"
import type { Order } from "./reference.ts"
import { predict } from "./reference.ts"

export interface Case {
  readonly seed: number
  readonly saga: Body
  readonly script: Script
  readonly leaves: ReadonlyMap<string, Leaf>
  readonly interruptedAt: number
  readonly expected: ReturnType<typeof predict>
}

export const linesOf = (order: Order): ReadonlyArray<string> =>
  typeof order === "string" ? [order] : (Array.isArray(order) ? order : order.par).flatMap(linesOf)

export const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1)

/** What is said of a run, by the reference or by the core: lists are sorted, what is not known is left out. */
export interface Account {
  readonly status?: string
  readonly value?: unknown
  readonly cause?: string
  readonly others?: ReadonlyArray<string>
  readonly steps?: ReadonlyArray<string>
  readonly compensated?: ReadonlyArray<string>
  readonly uncompensated?: ReadonlyArray<string>
  readonly uncertain?: ReadonlyArray<string>
  readonly left?: ReadonlyArray<string>
  /** What went wrong past the commit point. */
  readonly failures?: ReadonlyArray<string>
  readonly ledger?: ReadonlyArray<string>
  readonly endedAt?: number
  readonly interrupted?: boolean
}

const sorted = (list: Iterable<string>): ReadonlyArray<string> => Array.from(list).sort()
const pathsOf = (list: ReadonlyArray<{ readonly path: string }>) => sorted(list.map(({ path }) => path))

/** What else went wrong. That it was cut too is not said of what was cut, and who may expect an error is another question. */
const othersOf = (causes: ReadonlyArray<string>) =>
  sorted(causes.filter((cause) => cause !== "Interrupted").map((cause) => cause.slice(cause.indexOf(" ") + 1)))

export const expectedOf = (
  { expected, interruptedAt, leaves, saga, script }: Case,
  run: Run,
  said: string | undefined
): Account => {
  const { causes, committed, complete, endsAt, left, order, steps } = expected
  const having = (pattern: RegExp) => sorted([...steps].filter(([, text]) => pattern.test(text)).map(([path]) => path))
  const kindOf = (path: string) => leaves.get(nameOf(path))!.kind
  const parked = having(/ stuck$/)
  const fellBack = new Set(run.facts.flatMap(({ event }) => event._tag === "FellBack" ? event.path : []))
  const asked = new Set(linesOf(order).flatMap((line) => / ask (.*)/.exec(line)?.[1] ?? []))
  const texts = causes.map((cause) => cause.slice(cause.indexOf(" ") + 1))
  // An interruption cuts many at one time, and what it cannot cut may fail later: any of that may be the first.
  const isCut = Number.parseInt(causes[0] ?? "", 10) >= interruptedAt
  const first = isCut ? Math.max(0, texts.indexOf(said ?? "")) : 0
  return {
    status: complete
      ? "Succeeded"
      : committed
      ? "ForwardRecoveryFailed"
      : parked.length > 0
      ? parked.some((path) => kindOf(path) === "pivot") ? "PivotUncertain" : "StepUncertain"
      : having(/CompensationFailed/).length > 0
      ? "CompensationFailed"
      : "Compensated",
    value: valueOf(saga, "", fellBack),
    cause: texts[first] ?? "nothing",
    others: othersOf(texts.filter((_, position) => position !== first)),
    steps: sorted([...steps].map(([path, text]) => `${path}: ${text}`)),
    compensated: having(/, Compensated /),
    uncompensated: having(/^Succeeded \d+$| compensate$|CompensationFailed/).filter((path) => kindOf(path) === "step"),
    uncertain: having(/ report$| stuck$/),
    left: sorted(left.map((line) => line.split(" ")[0]!)),
    failures: othersOf(left.flatMap((line) => {
      const [path = "", cause] = line.split(/ (.*)/)
      return cause === undefined ? [] : cause + (asked.has(path) ? unansweredOf(script.answer(path)) : "")
    })),
    ledger: sorted(linesOf(order)),
    endedAt: endsAt,
    interrupted: interruptedAt <= endsAt
  }
}

/** What stands beside the cause of a retriable whose participant was asked and did not know. */
const unansweredOf = ({ knows, millis }: Answer): string =>
  knows ? "" : millis === never ? " and Die TimeoutError" : " and Fail nobody answers"

/** What a saga is worth that succeeds: the result of each action is its path. */
const valueOf = (body: Body, base: string, fellBack: ReadonlySet<string>): Readonly<Record<string, unknown>> =>
  Object.assign(
    {},
    ...body.nodes.map((node) => {
      if (node.kind === "sleep") return {}
      if ("retry" in node) return { [node.name]: base + node.name }
      const values = node.bodies.map((body) => valueOf(body, base + body.path, fellBack))
      switch (node.kind) {
        case "parallel":
          return Object.assign({}, ...values)
        case "forEach":
          return { [node.name]: values }
        case "match":
          return { [node.name]: { _tag: "x", value: values[0] } }
        case "orElse":
          return { [node.name]: values[fellBack.has(base + node.name) ? 1 : 0] }
        default:
          return { [node.name]: values[0] }
      }
    })
  )

/** A cause as the reference says it: that it is an interruption, or all its reasons. */
const textOf = (cause: Cause.Cause<unknown>): string =>
  Cause.hasInterrupts(cause) ? "Interrupted" : cause.reasons.map(reasonOf).join(" and ")

const reasonOf = (reason: Cause.Reason<unknown>): string => {
  if (!Cause.isFailReason(reason)) return `Die ${Cause.isDieReason(reason) ? defectOf(reason.defect) : ""}`
  return `Fail ${reason.error instanceof Saga.SagaTimedOut ? reason.error._tag : String(reason.error)}`
}

const defectOf = (defect: unknown): string => {
  if (defect instanceof Saga.StepTimedOut) return `TimedOut ${nameOf(defect.path)}`
  if (defect instanceof Saga.CaseMissing || defect instanceof Saga.DuplicateItemKey) {
    return `broken ${nameOf(defect.path)}`
  }
  if (defect instanceof Saga.PayloadInvalid) return `broken ${defect.saga}`
  if (defect instanceof Saga.SagaTimedOut) return defect._tag
  // A journal keeps the name of such a defect, and not its class.
  if (defect instanceof Error && defect.name === "TimeoutError") return defect.name
  return defect instanceof Error ? defect.message : String(defect)
}

/** What the run itself, its outcome, its report of being stuck and its facts say. */
export const accountsOf = (run: Run): ReadonlyArray<Account> => {
  const accounts: Array<Account> = [{ ledger: sorted(run.ledger), endedAt: run.endedAt }]
  if (run.exit !== undefined) accounts.push(outcomeOf(run.exit))
  if (run.stuck !== undefined) accounts.push(stuckOf(run.stuck))
  const folded = SagaState.fold(run.facts.map(({ event }) => event))
  if (run.facts.length > 0 && Result.isSuccess(folded)) accounts.push(stateOf(folded.success), ...lastOf(run))
  return accounts
}

const outcomeOf = (exit: NonNullable<Run["exit"]>): Account => {
  if (Exit.isFailure(exit)) return { interrupted: Cause.hasInterruptsOnly(exit.cause) }
  const outcome = exit.value
  switch (outcome._tag) {
    case "Succeeded":
      return { status: "Succeeded", interrupted: false }
    case "Compensated":
      return {
        status: "Compensated",
        interrupted: false,
        cause: textOf(outcome.cause),
        others: othersOf(outcome.others.map(({ cause }) => textOf(cause))),
        compensated: sorted(outcome.compensated),
        uncertain: pathsOf(outcome.uncertain)
      }
    case "Stuck":
      return { ...stuckOf(outcome.error), interrupted: false }
  }
}

const stuckOf = (error: NonNullable<Run["stuck"]>): Account =>
  error._tag === "ForwardRecoveryFailed"
    ? {
      status: error._tag,
      left: sorted(error.left),
      // What a participant had to say when it was asked stands beside it.
      failures: othersOf(error.failures.map(({ cause }) => textOf(cause)))
    }
    : {
      status: error.reason,
      cause: textOf(error.original),
      compensated: sorted(error.compensated),
      uncompensated: sorted(error.uncompensated),
      uncertain: pathsOf(error.uncertain)
    }

const stateOf = ({ cause, status, steps }: SagaState.SagaState): Account => ({
  ...(status === "Stuck" ? {} : { status }),
  ...(status === "Compensated" ? { cause: textOf(cause!) } : {}),
  steps: sorted(Array.from(steps, ([path, { attempts, compensationAttempts, status, uncertain }]) => {
    const action = uncertain !== undefined
      ? `Uncertain ${attempts} ${uncertain.reason} ${uncertain.whenUncertain}`
      : `${status === "Failed" ? "Failed" : "Succeeded"} ${attempts}`
    return `${path}: ${action}${status.startsWith("Compensat") ? `, ${status} ${compensationAttempts}` : ""}`
  }))
})

const lastOf = ({ facts }: Run): ReadonlyArray<Account> => {
  const last = facts.at(-1)!.event
  switch (last._tag) {
    case "SagaSucceeded":
      return [{ value: last.result }]
    case "SagaCompensated":
      return [{ uncertain: sorted(last.uncertain) }]
    case "SagaStuck":
      return [{ status: last.reason }]
    default:
      return [{ status: `ends with ${last._tag}` }]
  }
}

export const differences = (expected: Account, actual: Account): ReadonlyArray<string> =>
  Object.entries(actual).flatMap(([what, is]) => {
    const should = expected[what as keyof Account]
    if (JSON.stringify(is) === JSON.stringify(should)) return []
    if (!Array.isArray(is) || !Array.isArray(should)) {
      return [`${what}: ${JSON.stringify(is)} instead of ${JSON.stringify(should)}`]
    }
    return [
      ...is.filter((line) => !should.includes(line)).map((line) => `${what}, too much: ${line}`),
      ...should.filter((line) => !is.includes(line)).map((line) => `${what}, missing: ${line}`),
      ...(is.length === should.length ? [] : [`${what}: ${is.length} instead of ${should.length} in all`])
    ]
  })
