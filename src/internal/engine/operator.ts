/**
 * What a person on call decides about one execution: each decision is a fact, written behind the last one that was looked
 * at, so that of two persons who decide at once the second is told. It runs nothing: who owns the saga goes on with it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { OperatorError, Verb } from "../../ExecutionError.ts"
import { AlreadyCommitted, ExecutionNotFound, VerbRefused } from "../../ExecutionError.ts"
import type { ExecutionRecord, ExecutionState, FactRecord, JournalUnavailable } from "../../Journal.ts"
import type { By, SagaEvent } from "../../SagaEvent.ts"
import type { SagaState } from "../../SagaState.ts"
import { apply, fold, undecided } from "../../SagaState.ts"
import type { StepPath } from "../../StepPath.ts"
import { printable } from "../../StepPath.ts"
import { underLastNames } from "../renames.ts"
import { onClock } from "../wait.ts"
import { cancel, finalAt } from "./cancelling.ts"
import { readDefinition, readLoosely, writeLoosely } from "./codec.ts"
import type { Fate } from "./committer.ts"
import type { Engine } from "./engine.ts"
import { problemText } from "./journalRecorder.ts"
import { commitOf } from "./places.ts"
import { standing } from "./reading.ts"
import { isUnreadable, readFacts } from "./returning.ts"
import { toldOf } from "./told.ts"

/** An execution as a decision finds it. */
interface Standing {
  /** Its version and definition are those that it goes by now. */
  readonly row: ExecutionRecord
  readonly records: ReadonlyArray<FactRecord>
  /** Where the next fact goes. */
  readonly sequence: number
  /** Its facts, values as they are encoded, and what they come to; undefined when not all can be read. */
  readonly known: { readonly facts: ReadonlyArray<SagaEvent>; readonly state: SagaState } | undefined
}

const unreadableHere =
  "Its facts cannot be read here, as without the cipher or the key that they were sealed with: ask an engine that has it"

/** What is written down, and where the execution stands from then on. */
interface Decision {
  readonly fact: SagaEvent
  readonly text?: string
  readonly state: ExecutionState
  readonly problem?: string
}

/** A person's request. */
interface Request extends By {
  readonly engine: Engine
  readonly verb: Verb
  readonly executionId: string
}

/** Tries again what is open, or what could not go on, with all the tries that it may have. */
export const retry = (engine: Engine, executionId: string, by: By): Effect.Effect<void, OperatorError> => {
  const request: Request = { engine, verb: "retry", executionId, ...by }
  return decide(request, (standing, atMillis) =>
    standing.row.state !== "Stuck"
      ? refuse(request, standing, "Only what is stuck is tried again")
      : standing.known === undefined && !isUnreadable(standing.row.problem)
      ? refuse(request, standing, unreadableHere)
      : Effect.succeed(goOn(standing, { _tag: "RetryRequested", atMillis, ...by })))
}

/** Settles what is open at a path by what a person has found out, or done by hand. */
export const skip = (
  engine: Engine,
  executionId: string,
  path: StepPath,
  value: unknown,
  by: By
): Effect.Effect<void, OperatorError> => {
  const request: Request = { engine, verb: "skip", executionId, ...by }
  return decide(request, (standing, atMillis) => {
    const { known, row } = standing
    if (row.state !== "Stuck") return refuse(request, standing, "Only a path that is open can be skipped")
    if (known === undefined && !isUnreadable(row.problem)) return refuse(request, standing, unreadableHere)
    const open = known === undefined ? [] : undecided(known.state)
    if (known === undefined || !open.includes(path)) {
      const what = open.length === 0
        ? `Nothing in it is open, it is parked (${row.problem}): retry or abandon it`
        : `Open are ${open.join(", ")}`
      return refuse(request, standing, `There is nothing to skip at "${printable(path)}". ${what}`)
    }
    const step = Option.getOrUndefined(HashMap.get(known.state.steps, path))
    if (step?.status === "CompensationFailed") {
      return value === undefined || value === null
        ? Effect.succeed(goOn(standing, { _tag: "CompensationSkipped", atMillis, path, ...by }))
        : refuse(request, standing, `A compensation has no result: skip "${path}" without a value`)
    }
    const registered = engine.registry.find(row)
    if (registered !== undefined) {
      const facts = readFacts(registered, standing.records)
      if (Result.isFailure(facts)) {
        return refuse(request, standing, `The saga that is registered here cannot read the execution: ${facts.failure}`)
      }
    }
    // The value is of the version that the execution stands at, and so is the fact.
    const codec = registered?.migrations.get(row.version) ?? registered?.codec
    if (codec === undefined) {
      const saga = `version ${row.version} of saga "${row.saga}"`
      return refuse(request, standing, `The schema of its value is not known here: ask an engine that has ${saga}`)
    }
    const result = codec.resultOf(path, value)
    if (Result.isFailure(result)) return refuse(request, standing, `The value is none of "${path}": ${result.failure}`)
    const fact = { _tag: "StepSkipped", atMillis, path, ...by, result: result.success } as const
    return Effect.succeed({ ...goOn(standing, fact), text: codec.encode(fact) })
  })
}

/** Unwinds now: what goes on is stopped, what is stuck before its commit point is given up. */
export const compensate = (engine: Engine, executionId: string, by: By): Effect.Effect<void, OperatorError> => {
  const request: Request = { engine, verb: "compensate", executionId, ...by }
  const look = decide(request, (standing, atMillis) => {
    const { known, row } = standing
    if (row.state === "Compensating") return refuse(request, standing, "It is unwinding already")
    if (row.state !== "Stuck") return Effect.succeed("Live" as const)
    if (known === undefined && !isUnreadable(row.problem)) return refuse(request, standing, unreadableHere)
    if (known === undefined || isUnreadable(row.problem)) {
      const why = "What it has done cannot be read by today's saga. Register one that can and retry it, or abandon it"
      return refuse(request, standing, why)
    }
    return Effect.flatMap(engine.journal.definition(row.definition), (data): Effect.Effect<Decision, OperatorError> => {
      if (Option.isNone(data)) return refuse(request, standing, "Its definition is not in the journal: abandon it")
      return commitOf(readDefinition(data.value), underLastNames(known.facts)) === "Behind"
        ? Effect.fail(new AlreadyCommitted({ executionId }))
        : Effect.succeed(goOn(standing, { _tag: "UnwindRequested", atMillis, ...by }))
    })
  })
  const late = decide(request, (standing) => refuse(request, standing, "It is about to unwind already"))
  const unanswered = decide(request, (standing) =>
    refuse(
      request,
      standing,
      "No engine has answered yet: its pivot may be in flight, or no engine has its saga (then abandon it). The request stands, and is carried out when one answers"
    ))
  return Effect.flatMap(look, (found) => {
    if (found !== "Live") return Effect.void
    const asked = Effect.timeoutOption(cancel(engine, executionId, by), engine.settings.leaseMillis)
    return Effect.matchEffect(onClock(engine.live, asked), {
      onSuccess: (answer) => Option.isNone(answer) ? unanswered : answer.value === "Cancelled" ? Effect.void : late,
      onFailure: (error) =>
        error._tag === "ExecutionStuck"
          // It has become stuck meanwhile.
          ? Effect.suspend(() => compensate(engine, executionId, by))
          : Effect.fail(error)
    })
  })
}

/** Ends an execution where it stands: nothing more is done or undone. */
export const abandon = (engine: Engine, executionId: string, by: By): Effect.Effect<void, OperatorError> => {
  const request: Request = { engine, verb: "abandon", executionId, ...by }
  return Effect.tap(
    decide(
      request,
      (_, atMillis) =>
        Effect.succeed<Decision>({ fact: { _tag: "SagaAbandoned", atMillis, ...by }, state: "Abandoned" })
    ),
    () => Effect.sync(() => engine.residents.get(executionId)?.cut())
  )
}

/**
 * Gives the results of an abandoned execution to the one that does it again: once, so that nothing is undone by two. One
 * who had begun this, and died before the other execution was there, begins again under the same id.
 */
export const handOver = (
  engine: Engine,
  executionId: string,
  to: string,
  by: By
): Effect.Effect<void, ExecutionNotFound | VerbRefused | JournalUnavailable> => {
  const request: Request = { engine, verb: "rerun", executionId, ...by }
  return Effect.gen(function*() {
    while (true) {
      const standing = yield* stand(engine, executionId)
      const { known, row } = standing
      if (row.state !== "Abandoned" || known === undefined) {
        return yield* refuse(
          request,
          standing,
          "Only results of what was abandoned can be kept: those of others stand, or are undone"
        )
      }
      const before = known.facts.find((fact) => fact._tag === "ResultsHandedOver")
      if (before !== undefined) {
        const heir = `execution "${printable(before.to)}"`
        if (Option.isSome(yield* engine.journal.find(before.to))) {
          return yield* refuse(request, standing, `Its results belong to ${heir} now: look at that one`)
        }
        if (before.to === to) return
        const why = `Its results were promised to ${heir}, which was not begun: give that \`executionId\``
        return yield* refuse(request, standing, why)
      }
      const fact = { _tag: "ResultsHandedOver", atMillis: yield* Clock.currentTimeMillis, ...by, to } as const
      if (yield* record(request, standing, { fact, state: "Abandoned" })) return
    }
  })
}

// ------------------------------------------------------------------------------------------- deciding

/** Looks where the execution stands, and writes what is decided then; looks again when somebody wrote in between. */
const decide = <A = never>(
  request: Request,
  judge: (standing: Standing, atMillis: number) => Effect.Effect<Decision | A, OperatorError>
): Effect.Effect<void | A, OperatorError> =>
  Effect.gen(function*() {
    const { actor, comment, engine, executionId, verb } = request
    while (true) {
      const closed = engine.closed(verb)
      if (closed !== undefined) return yield* closed
      const standing = yield* stand(engine, executionId)
      const missing = unsaid(request)
      if (missing !== undefined) return yield* refuse(request, standing, missing)
      const final = finalAt(standing.row)
      if (final !== undefined) return yield* final
      const atMillis = yield* Clock.currentTimeMillis
      const decision = yield* judge(standing, atMillis)
      if (!isDecision(decision)) return decision
      if (!(yield* record(request, standing, decision))) continue
      engine.watches.wake(executionId)
      engine.poke()
      yield* engine.decided(standing.row, standing.known?.facts[0], decision.fact)
      return yield* Effect.logInfo(
        `Execution "${printable(executionId)}": ${verb} by ${printable(actor)} (${printable(comment)})`
      )
    }
  })

const isDecision = (judged: unknown): judged is Decision => typeof judged === "object"

/** The facts first: when the row says afterwards that nobody runs it, only another decision can come behind them. */
const stand = (engine: Engine, executionId: string): Effect.Effect<Standing, ExecutionNotFound | JournalUnavailable> =>
  Effect.gen(function*() {
    const records = yield* engine.journal.facts(executionId, 0)
    const row = yield* engine.journal.find(executionId)
    if (Option.isNone(row)) return yield* new ExecutionNotFound({ executionId })
    const facts = Result.all(records.map(({ data }) => readLoosely(data)))
    const state = Result.flatMap(facts, (facts) => Result.mapError(fold(facts), String))
    return {
      row: standing(row.value, records),
      records,
      sequence: (records.at(-1)?.sequence ?? -1) + 1,
      known: Result.isSuccess(facts) && Result.isSuccess(state)
        ? { facts: facts.success, state: state.success }
        : undefined
    }
  })

/** How the execution goes on with a fact more. It stays stuck while something else in it is open. */
const goOn = ({ known, row }: Standing, fact: SagaEvent): Decision => {
  const next = known === undefined ? undefined : Result.getOrUndefined(apply(known.state, fact))
  if (next?.status !== "Stuck") return { fact, state: next?.status === "Compensating" ? "Compensating" : "Running" }
  const [reason] = (row.problem ?? "").split(":")
  return { fact, state: "Stuck", problem: problemText(reason!, undecided(next)) }
}

const write = (
  { engine, executionId }: Request,
  { row, sequence }: Standing,
  { fact, problem = undefined, state, text = writeLoosely(fact) }: Decision
): Effect.Effect<Fate> =>
  Effect.callback<Fate>((resume) =>
    engine.committer.add({
      executionId,
      facts: [{ executionId, sequence, tag: fact._tag, data: text }],
      update: {
        executionId,
        state,
        dueAtMillis: 0,
        released: true,
        clean: null,
        uncertain: null,
        signals: 0,
        updatedAtMillis: fact.atMillis,
        problem: problem ?? null
      },
      published: toldOf(engine.registry.find(row), executionId, fact, sequence),
      settled: (fate) => resume(Effect.succeed(fate))
    })
  )

/** Writes a decision behind what was looked at. False: somebody wrote in between, and it is looked at again. */
const record = (request: Request, standing: Standing, decision: Decision): Effect.Effect<boolean, VerbRefused> =>
  Effect.flatMap(write(request, standing, decision), (fate) =>
    fate._tag === "Refused"
      ? refuse(request, standing, fate.cause.message)
      : fate._tag === "Written"
      ? Effect.succeed(true)
      : Effect.as(Effect.yieldNow, false))

const longest = { actor: 200, comment: 4_000 }

/** What a decision lacks, in words. */
export const unsaid = (by: By): string | undefined => {
  for (const field of ["actor", "comment"] as const) {
    if (typeof by[field] !== "string" || by[field].trim() === "") {
      return "Say who decides this (`actor`) and why (`comment`): it is kept for ever"
    }
    if (by[field].length > longest[field]) return `\`${field}\` has more than ${longest[field]} characters`
  }
  return undefined
}

const refuse = (
  { executionId, verb }: Request,
  { known, row: { state } }: Standing,
  why: string
): Effect.Effect<never, VerbRefused> => {
  const before = known === undefined ? undefined : lastDecisionOf(known.facts)
  return Effect.fail(
    new VerbRefused({ executionId, verb, state, reason: before === undefined ? why : `${why}. ${before}` })
  )
}

/** Who has decided since it was last stuck, in words. */
const lastDecisionOf = (facts: ReadonlyArray<SagaEvent>): string | undefined => {
  let last: SagaEvent | undefined
  for (const fact of facts) {
    if (fact._tag === "SagaStuck" || "actor" in fact && fact._tag !== "SagaStarted") last = fact
  }
  if (last === undefined || !("actor" in last)) return undefined
  const at = new Date(last.atMillis).toISOString()
  return `${printable(last.actor!)} was first: ${last._tag} at ${at} (${printable(last.comment ?? "")})`
}
