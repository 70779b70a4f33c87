/**
 * What sagas did, without time: as a text that does not change from run to run, and as an order that can be asserted. It
 * listens as any observer does, and changes nothing.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { SagaEvent } from "../SagaEvent.ts"
import { Observers } from "../SagaObserver.ts"
import type { SagaObserver } from "../SagaObserver.ts"
import type { AnySaga } from "../SagaValue.ts"
import { definition } from "../SagaValue.ts"
import { printable } from "../StepPath.ts"
import { placed } from "./internal/places.ts"

/**
 * The facts of the executions that ran in an effect.
 *
 * @category models
 * @since 0.1.0
 */
export interface Trace {
  /** In the order in which they began, each with its facts in order. */
  readonly executions: ReadonlyArray<{
    readonly executionId: string
    readonly saga: string
    readonly facts: ReadonlyArray<SagaEvent>
  }>
  /** A line for each fact, without times, keys and ids: for a golden file, and for reading. */
  readonly text: string
}

/**
 * Runs an effect and gives its exit beside what all sagas did in it, also when it fails or is interrupted.
 *
 * **When to use**
 *
 * Use `text` as a golden snapshot of what a saga does; `SagaTest.inOrder` and `SagaTest.calls` for single claims. A golden
 * snapshot of its shape is `toMermaid(saga)` of `effect-saga/diagram`.
 *
 * **Gotchas**
 *
 * Branches of a `parallel` stand in the order in which they really ran.
 *
 * **Example** (What a failure undoes)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { SagaTest } from "effect-saga/testing"
 * import { Effect, Schema } from "effect"
 *
 * const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
 *   Saga.step("flight", { action: () => Effect.void, compensation: () => Effect.void }),
 *   Saga.check("funds", { error: Schema.String, action: () => Effect.fail("no money") })
 * )
 * const { trace } = await Effect.runPromise(SagaTest.trace(Saga.run(saga, undefined)))
 * console.log(trace.text)
 * ```
 *
 * ```text
 * Trip started
 *   flight started
 *   flight succeeded
 *   funds started
 *   funds failed: no money
 *   unwind
 *   ~flight started
 *   ~flight succeeded
 * Trip was compensated
 * ```
 *
 * @category observing
 * @since 0.1.0
 */
export const trace = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<{ readonly exit: Exit.Exit<A, E>; readonly trace: Trace }, never, R> =>
  Effect.flatMap(Observers, (existing) => {
    const executions = new Map<string, { executionId: string; saga: string; facts: Array<SagaEvent> }>()
    const observer: SagaObserver = {
      observe: ({ executionId, saga }) => {
        const execution = executions.get(executionId) ?? { executionId, saga, facts: [] }
        executions.set(executionId, execution)
        return { onEvent: (event) => void execution.facts.push(event) }
      }
    }
    const observed = Effect.exit(Effect.provideService(self, Observers, [...existing, observer]))
    return Effect.map(observed, (exit) => {
      const all = Array.from(executions.values())
      const text = all.flatMap(({ facts, saga }) => facts.flatMap((fact) => lineOf(fact, saga))).join("\n")
      return { exit, trace: { executions: all, text } }
    })
  })

/**
 * How often the action of a step was started and tried, or with a `~` before the path its compensation, in all executions of
 * a saga.
 *
 * **Details**
 *
 * The path of a step inside a `forEach` has the key of an item, or a `*` for all. A path without a step throws a
 * `SagaDefinitionError`, so that one that is misspelt does not count as one that was never called.
 *
 * @category observing
 * @since 0.1.0
 */
export const calls = ({ executions }: Trace, saga: AnySaga, place: string): number => {
  const isThere = placed(saga, place)
  const { saga: name } = definition(saga)
  return executions.filter((execution) => execution.saga === name).flatMap(({ facts }) => facts).filter((fact) => {
    const kind = called[fact._tag]
    return kind !== undefined && "path" in fact && isThere(kind, fact.path)
  }).length
}

/** The facts that stand for a call. */
const called: { readonly [Tag in SagaEvent["_tag"]]?: "action" | "compensation" } = {
  StepStarted: "action",
  StepAttemptFailed: "action",
  CompensationStarted: "compensation",
  CompensationAttemptFailed: "compensation"
}

/**
 * Places did not come one after the other.
 *
 * @category errors
 * @since 0.1.0
 */
export class OutOfOrder extends Data.TaggedError("OutOfOrder")<{
  readonly expected: ReadonlyArray<string>
  readonly problem: string
  readonly trace: Trace
}> {
  override get message(): string {
    return `Not in the order ${this.expected.join(", ")}: ${this.problem}\n\n${this.trace.text}`
  }
}

/**
 * Fails unless each of these places had ended before the next one started, in every execution: steps by their paths, and
 * compensations with a `~` before them. Of branches that run side by side claim each by itself.
 *
 * **Example** (Undone in reverse)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { SagaTest } from "effect-saga/testing"
 * import { Effect, Schema } from "effect"
 *
 * const step = { action: () => Effect.void, compensation: () => Effect.void }
 * const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
 *   Saga.step("flight", step),
 *   Saga.step("hotel", step),
 *   Saga.check("funds", { error: Schema.String, action: () => Effect.fail("no money") })
 * )
 * const program = Effect.gen(function*() {
 *   const { trace } = yield* SagaTest.trace(Saga.run(saga, undefined))
 *   yield* SagaTest.inOrder(trace, ["flight", "hotel", "funds", "~hotel", "~flight"])
 *   return SagaTest.calls(trace, saga, "hotel")
 * })
 * await Effect.runPromise(program) // => 1
 * ```
 *
 * @category observing
 * @since 0.1.0
 */
export const inOrder = (trace: Trace, places: ReadonlyArray<string>): Effect.Effect<void, OutOfOrder> => {
  for (const { facts } of trace.executions) {
    for (const [index, place] of places.entries()) {
      const problem = problemAt(facts, place, places[index - 1])
      if (problem !== undefined) return Effect.fail(new OutOfOrder({ expected: places, problem, trace }))
    }
  }
  return trace.executions.length > 0
    ? Effect.void
    : Effect.fail(new OutOfOrder({ expected: places, problem: "no saga ran", trace }))
}

const problemAt = (facts: ReadonlyArray<SagaEvent>, place: string, before: string | undefined): string | undefined => {
  const started = positionOf(facts, place, starts)
  if (started === -1) return `${place} did not start`
  if (before === undefined) return undefined
  const ended = positionOf(facts, before, ends)
  if (ended === -1) return `${before} did not end`
  return ended < started ? undefined : `${place} started before ${before} had ended`
}

const starts: ReadonlySet<SagaEvent["_tag"]> = new Set(
  ["StepStarted", "CompensationStarted", "TimerSet", "EventAwaited", "EventPublished"] as const
)
const ends: ReadonlySet<SagaEvent["_tag"]> = new Set(
  [
    "StepSucceeded",
    "StepFailed",
    "StepUncertain",
    "CompensationSucceeded",
    "CompensationFailed",
    "TimerFired",
    "EventReceived",
    "EventTimedOut",
    "EventPublished"
  ] as const
)

const positionOf = (
  facts: ReadonlyArray<SagaEvent>,
  place: string,
  tags: ReadonlySet<SagaEvent["_tag"]>
): number =>
  facts.findIndex((fact) =>
    tags.has(fact._tag) && "path" in fact &&
    place === (fact._tag.startsWith("Compensation") ? `~${fact.path}` : fact.path)
  )

const because = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return printable((error instanceof Error ? error.message || error.name : String(error)).split("\n")[0]!)
}

/** A fact in words. */
const lineOf = (fact: SagaEvent, saga: string): string => {
  switch (fact._tag) {
    case "SagaStarted":
      return `${saga} started`
    case "SagaSucceeded":
      return `${saga} succeeded`
    case "SagaCompensated":
      return `${saga} was compensated${fact.uncertain.length === 0 ? "" : `, uncertain: ${fact.uncertain.join(", ")}`}`
    case "SagaStuck":
      return `${saga} is stuck (${fact.reason}): ${fact.open.join(", ")}`
    case "SagaAbandoned":
      return `${saga} was abandoned by ${printable(fact.actor)}: ${printable(fact.comment)}`
    default:
      return `  ${wordsOf(fact)}`
  }
}

type Inner = Exclude<
  SagaEvent,
  { readonly _tag: "SagaStarted" | "SagaSucceeded" | "SagaCompensated" | "SagaStuck" | "SagaAbandoned" }
>

const wordsOf = (fact: Inner): string => {
  switch (fact._tag) {
    case "StepStarted":
      return `${fact.path} started`
    case "StepSucceeded":
      return `${fact.path} succeeded`
    case "StepAttemptFailed":
      return `${fact.path} failed, to be tried again: ${because(fact.cause)}`
    case "StepFailed":
      return `${fact.path} failed: ${because(fact.cause)}`
    case "StepUncertain":
      return `${fact.path} is uncertain (${fact.reason}, ${fact.whenUncertain}): ${because(fact.cause)}`
    case "CompensationStarted":
      return `~${fact.path} started`
    case "CompensationSucceeded":
      return `~${fact.path} succeeded`
    case "CompensationAttemptFailed":
      return `~${fact.path} failed, to be tried again: ${because(fact.cause)}`
    case "CompensationFailed":
      return `~${fact.path} failed: ${because(fact.cause)}`
    case "BranchChosen":
      return `${fact.path} chose ${fact.tag ?? "nothing"}`
    case "ItemsListed":
      return `${fact.path} listed ${fact.keys.map(printable).join(", ")}`
    case "NestedStarted":
      return `${fact.path} started ${fact.saga}`
    case "FellBack":
      return `${fact.path} fell back: ${because(fact.cause)}`
    case "UnwindStarted":
      return fact.scope === "" ? "unwind" : `unwind ${fact.scope}`
    case "TimerSet":
      return `${fact.path} waits`
    case "TimerFired":
      return `${fact.path} waited`
    case "EventAwaited":
      return `${fact.path} awaits ${fact.events.map(({ type }) => type).join(" or ")}`
    case "EventPublished":
      return `${fact.path} published ${fact.type}`
    case "EventReceived":
      return `${fact.path} received ${fact.type}`
    case "EventTimedOut":
      return `${fact.path} received nothing in time`
    case "LimitPassed":
      return `the time limit of ${fact.saga} has passed`
    case "CancelRequested":
      return "cancel"
    case "CancelRefused":
      return "cancel, too late"
    case "RetryRequested":
    case "UnwindRequested":
    case "ResultsHandedOver":
      return `${fact._tag} by ${printable(fact.actor)}: ${printable(fact.comment)}`
    case "StepSkipped":
      return `${fact.path} was skipped by ${printable(fact.actor)}: ${printable(fact.comment)}`
    case "CompensationSkipped":
      return `~${fact.path} was skipped by ${printable(fact.actor)}: ${printable(fact.comment)}`
    case "SagaMigrated":
      return `migrated from version ${fact.from} to ${fact.to}`
  }
}
