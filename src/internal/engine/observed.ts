/**
 * Who watches an execution in an engine: the observers of its saga, in the trace of who started it, with its name on every
 * line that is logged in it.
 */
import * as Context from "effect/Context"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Tracer from "effect/Tracer"
import type { FactRecord } from "../../Journal.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import { printable } from "../../StepPath.ts"
import { Telling, Watched } from "../recorder.ts"
import { Reader } from "./reading.ts"
import type { Registered } from "./registry.ts"

type SagaStarted = Extract<SagaEvent, { readonly _tag: "SagaStarted" }>

/** What stands around an execution wherever it runs: the services of its saga, one trace, one name in the log. */
export const contextOf = (
  { context, definition: { saga, version } }: Registered,
  executionId: string,
  trace: SagaStarted["trace"]
): Context.Context<never> => {
  const named = Context.add(context, References.CurrentLogAnnotations, {
    ...Context.get(context, References.CurrentLogAnnotations),
    "saga.name": saga,
    "saga.version": version,
    "saga.executionId": printable(executionId)
  })
  return trace === undefined ? named : Context.add(named, Tracer.ParentSpan, Tracer.externalSpan(trace))
}

/** The observers of an execution, undefined when its saga has none. */
export const watching = (
  { clock, observers, tree }: Registered,
  executionId: string,
  context: Context.Context<never>,
  startedAtMillis: number | undefined
): Telling | undefined =>
  observers.length === 0
    ? undefined
    : new Telling(observers, new Watched(tree.definition, context, () => executionId, startedAtMillis), clock)

/** The first fact of an execution, as far as it can be read. */
export const startOf = (registered: Registered, [first]: ReadonlyArray<FactRecord>): SagaStarted | undefined => {
  const fact = first === undefined ? undefined : Result.getOrUndefined(new Reader(registered).read(first.data))
  return fact?._tag === "SagaStarted" ? fact : undefined
}

/** The observers of an execution that nobody runs here. */
export const watchingOf = (
  registered: Registered,
  executionId: string,
  started: SagaStarted | undefined
): Telling | undefined =>
  registered.observers.length === 0
    ? undefined
    : watching(registered, executionId, contextOf(registered, executionId, started?.trace), started?.atMillis)

/** Whether nothing is on record but what it began with: its start, and what a rerun has kept. */
export const isUntouched = ([first, ...facts]: ReadonlyArray<SagaEvent>): boolean => {
  const kept = new Set(facts.flatMap((fact) => fact._tag === "StepSucceeded" && "keptFrom" in fact ? [fact.path] : []))
  return first?._tag === "SagaStarted" &&
    facts.every((fact) =>
      fact._tag === "StepStarted" || fact._tag === "StepSucceeded"
        ? kept.has(fact.path)
        : first.rerunOf !== undefined && kept.size > 0
    )
}
