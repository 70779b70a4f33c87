/**
 * Doing again what has ended: a new execution that names the old one, from the start, or with the results of the old one
 * as far as they still stand. The old one stays as it is.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { StartError } from "../../ExecutionError.ts"
import { ExecutionNotFound, PayloadRefused, VerbRefused } from "../../ExecutionError.ts"
import type { ExecutionRecord, FactRecord } from "../../Journal.ts"
import type { RerunOptions } from "../../Operations.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import type { SagaDefinition } from "../../SagaValue.ts"
import { printable } from "../../StepPath.ts"
import { History } from "../history.ts"
import { isDone } from "../recorded.ts"
import { revise } from "../revised.ts"
import { randomId } from "../run.ts"
import type { Node } from "../tree.ts"
import { finalAt } from "./cancelling.ts"
import { readLoosely } from "./codec.ts"
import type { Engine } from "./engine.ts"
import { handOver, unsaid } from "./operator.ts"
import { standing } from "./reading.ts"
import type { Registered } from "./registry.ts"
import { definitionThen, readFacts } from "./returning.ts"
import { beginningOf, longestId, startWith } from "./starting.ts"

/** Starts an execution that has ended again, and returns the id of the new one. */
export const rerun = (
  engine: Engine,
  executionId: string,
  options: RerunOptions
): Effect.Effect<string, ExecutionNotFound | VerbRefused | StartError> =>
  Effect.gen(function*() {
    const { actor, comment, keepResults = false } = options
    const records = yield* engine.journal.facts(executionId, 0)
    const row = Option.getOrUndefined(yield* engine.journal.find(executionId))
    if (row === undefined) return yield* new ExecutionNotFound({ executionId })
    const refuse = (reason: string) => new VerbRefused({ executionId, verb: "rerun", state: row.state, reason })
    const missing = unsaid(options)
    if (missing !== undefined) return yield* refuse(missing)
    if (finalAt(row) === undefined) {
      return yield* refuse("Only what has ended is done again: wait for its end, or compensate or abandon it first")
    }
    const registered = engine.registry.newest(row.saga)
    if (registered === undefined) {
      return yield* refuse(`Saga "${row.saga}" is not registered here: ask an engine that has it`)
    }
    // What it has returned is not needed, and may be nothing that the saga returns today.
    const facts = readFacts(registered, records.filter(({ tag }) => tag !== "SagaSucceeded"))
    const payload = "payload" in options
      ? registered.codec.payloadOf(options.payload)
      : payloadIn(readFacts(registered, records.slice(0, 1)))
    if (Result.isFailure(payload)) return yield* new PayloadRefused({ saga: row.saga, issue: payload.failure })
    const id = options.executionId ??
      (yield* Effect.withFiber((fiber) => Effect.succeed(idAfter(row, randomId(fiber)))))
    if (id === executionId) return yield* refuse("A new execution needs another id than the old one")
    const more = { rerunOf: executionId, actor, comment }
    const beginning = yield* beginningOf(registered, payload.success, id, more)
    const begin = (facts: ReadonlyArray<FactRecord>) =>
      Effect.gen(function*() {
        yield* startWith(engine, beginning, facts)
        // Who has the id already may be anybody.
        const [first] = yield* engine.journal.facts(id, 0)
        const started = first === undefined ? undefined : Result.getOrUndefined(readLoosely(first.data))
        if (started?._tag === "SagaStarted" && started.rerunOf === executionId) return id
        return yield* refuse(`The id "${printable(id)}" belongs to an execution that is none of it: give another one`)
      })
    if (!keepResults) return yield* begin([])
    if (Result.isFailure(facts)) return yield* refuse(`Its results cannot be kept: ${facts.failure}`)
    const last = standing(row, records)
    const then = yield* engine.journal.definition(last.definition)
    if (Option.isNone(then)) return yield* refuse("Its results cannot be kept: its definition is not in the journal")
    const kept = keptOf(registered, row, revise(facts.success), definitionThen(registered, last, then.value))
    yield* handOver(engine, executionId, id, { actor, comment })
    return yield* begin(
      kept.map((fact, index): FactRecord => ({
        executionId: id,
        sequence: index + 1,
        tag: fact._tag,
        data: registered.codec.encode(fact)
      }))
    )
  })

/** An id that is found by the beginning of the old one. */
const idAfter = ({ executionId }: ExecutionRecord, suffix: string): string => {
  const id = `${executionId}~${suffix}`
  return id.length > longestId ? suffix : id
}

const payloadIn = (facts: Result.Result<ReadonlyArray<SagaEvent>, string>): Result.Result<unknown, string> =>
  Result.flatMap(
    facts,
    ([first]) =>
      first?._tag === "SagaStarted" ? Result.succeed(first.payload) : Result.fail("it does not begin with SagaStarted")
  )

/** The facts of the nodes, from the first on, that were done, were not undone, and are the same today. */
const keptOf = (
  { definition, tree }: Registered,
  row: ExecutionRecord,
  facts: ReadonlyArray<SagaEvent>,
  then: SagaDefinition
): ReadonlyArray<SagaEvent> => {
  const { executionId } = row
  const history = new History(tree, executionId, facts, true)
  const kept: Array<SagaEvent> = []
  for (const [index, node] of tree.nodes.entries()) {
    const isSame = JSON.stringify(then.nodes[index]) === JSON.stringify(definition.nodes[index])
    if (!isSame || !isDone(node, "", history)) break
    const own = facts.filter((fact) => isWithin(fact, node))
    if (own.some((fact) => !forward.has(fact._tag) && fact._tag !== "StepAttemptFailed")) break
    for (const fact of own) {
      if (!forward.has(fact._tag)) continue
      kept.push(fact._tag === "StepSucceeded" ? { ...fact, keptFrom: fact.keptFrom ?? executionId } : fact)
    }
  }
  return kept
}

/** What happens to a node that is done and stays so. */
const forward: ReadonlySet<SagaEvent["_tag"]> = new Set<SagaEvent["_tag"]>([
  "StepStarted",
  "StepSucceeded",
  "BranchChosen",
  "ItemsListed",
  "NestedStarted",
  "TimerSet",
  "TimerFired",
  "EventAwaited",
  "EventReceived",
  "EventPublished",
  "EventTimedOut"
])

const isWithin = (fact: SagaEvent, node: Node): boolean => {
  const path = "path" in fact ? fact.path : fact._tag === "UnwindStarted" ? fact.scope : ""
  return node._tag === "Parallel"
    ? node.branches.some((branch) => branch.nodes.some((inner) => isWithin(fact, inner)))
    : path === node.name || path.startsWith(`${node.name}/`)
}
