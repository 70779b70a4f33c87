/**
 * Executions as traces: a span for each execution, each action and each compensation, made from their facts by the
 * tracer of the run. It runs nothing, and no payload, item or result gets into a span.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import type { SagaEvent } from "../SagaEvent.ts"
import type { ObservedExecution, SagaObserver, Watch } from "../SagaObserver.ts"
import type { StepPath } from "../StepPath.ts"
import { identityOf, placeOf } from "./internal/identity.ts"
import { annotate, Spans } from "./internal/spans.ts"

/**
 * Makes a trace of every execution.
 *
 * **Details**
 *
 * A span `saga BookTrip` is the child of the span around the run; under it is one span `action hotel` for each action,
 * over all its attempts, and one `compensation hotel` for each compensation, which links to the span of its action.
 * Spans that the code of a step opens are children of the step's. Everything else that happens is an event: a failed
 * attempt and an unknown outcome on the span of the step; choices, lists of items, timers, unwinding and falling back
 * on the span of the execution.
 *
 * Every span has `saga.name`, `saga.version` and `saga.executionId`; that of a step `saga.path`, `saga.attempts` and, if
 * its outcome is unknown, `saga.uncertain` with the reason; that of an execution `saga.outcome`. It ends as the step or
 * the execution does: with the cause of its failure, or with an error that names what is open when it is stuck. No
 * payload, item or result is in a span.
 *
 * Tracer, sampling, span annotations and span links are those around the run.
 *
 * **Example** (Looking at the spans of a run)
 *
 * ```ts
 * import { Saga, SagaObserver } from "effect-saga"
 * import { SagaTracing } from "effect-saga/telemetry"
 * import { Effect, Schema, Tracer } from "effect"
 *
 * const spans: Array<string> = []
 * const tracer = Tracer.make({
 *   span: (options) => {
 *     spans.push(options.name)
 *     return new Tracer.NativeSpan(options)
 *   }
 * })
 * const trip = Saga.make("Trip", { payload: Schema.Void }).pipe(
 *   Saga.step("seat", { action: () => Effect.void, compensation: () => Effect.void }),
 *   Saga.check("funds", { error: Schema.String, action: () => Effect.fail("no money") })
 * )
 * const program = Effect.flip(Saga.run(trip, undefined)).pipe(
 *   Effect.provide(SagaObserver.layer([SagaTracing.observer])),
 *   Effect.withTracer(tracer)
 * )
 * Effect.runSync(program) // => "no money"
 * spans // => ["saga Trip", "action seat", "action funds", "compensation seat"]
 * ```
 *
 * @category observers
 * @since 0.1.0
 */
export const observer: SagaObserver = {
  observe: (execution) =>
    Context.get(execution.context, References.TracerEnabled) ? trace(execution) : { onEvent: () => {} }
}

/** Why the span of a stuck execution is one that failed. */
class ExecutionStuck extends Data.TaggedError("ExecutionStuck")<{
  readonly reason: string
  readonly open: ReadonlyArray<StepPath>
}> {
  override get message(): string {
    return `Stuck (${this.reason}), a person has to look at: ${this.open.join(", ")}`
  }
}

type StepSpanFact = Extract<SagaEvent, { readonly attempts: number }>
type AttemptFact = Extract<SagaEvent, { readonly attempt: number }>

const trace = (execution: ObservedExecution): Watch => {
  const spans = new Spans(execution.context)
  const identity = identityOf(execution)
  // Kept after their end: a compensation links to its action.
  const actions = new Map<StepPath, Tracer.Span>()
  const compensations = new Map<StepPath, Tracer.Span>()
  let whole: Tracer.Span | undefined
  let cause: Cause.Cause<unknown> = Cause.empty

  const start = (
    kind: "action" | "compensation",
    { atMillis, path }: { readonly atMillis: number; readonly path: StepPath },
    links: ReadonlyArray<Tracer.SpanLink>
  ) =>
    spans.open(`${kind} ${path.slice(path.lastIndexOf("/") + 1)}`, {
      atMillis,
      parent: Option.fromUndefinedOr(whole),
      links,
      attributes: { ...identity, ...placeOf(path) }
    })

  const attemptFailed = (span: Tracer.Span | undefined, event: AttemptFact) => {
    if (span === undefined) return
    spans.event(span, event._tag, event.atMillis, {
      "saga.attempt": event.attempt,
      "saga.nextAtMillis": event.nextAtMillis,
      ...causeOf(event)
    })
  }

  const end = (span: Tracer.Span | undefined, event: StepSpanFact, exit: Exit.Exit<void, unknown>) => {
    if (span === undefined) return
    span.attribute("saga.attempts", event.attempts)
    spans.end(span, event.atMillis, exit)
  }

  const onEvent = (event: SagaEvent): void => {
    const { atMillis } = event
    whole ??= spans.open(`saga ${execution.saga}`, { atMillis, parent: spans.outer, links: [], attributes: identity })
    switch (event._tag) {
      case "StepStarted":
        actions.set(event.path, start("action", event, []))
        return
      case "StepAttemptFailed":
        return attemptFailed(actions.get(event.path), event)
      case "StepSucceeded":
        return end(actions.get(event.path), event, Exit.void)
      case "StepFailed":
        return end(actions.get(event.path), event, Exit.failCause(event.cause))
      case "StepUncertain": {
        const span = actions.get(event.path)
        if (span === undefined) return
        const { reason, whenUncertain } = event
        span.attribute("saga.uncertain", reason)
        spans.event(span, event._tag, atMillis, { "saga.uncertain": reason, "saga.whenUncertain": whenUncertain })
        return end(span, event, Exit.failCause(event.cause))
      }
      case "CompensationStarted": {
        const action = actions.get(event.path)
        const links = action === undefined ? [] : [{ span: action, attributes: {} }]
        compensations.set(event.path, start("compensation", event, links))
        return
      }
      case "CompensationAttemptFailed":
        return attemptFailed(compensations.get(event.path), event)
      case "CompensationSucceeded":
        return end(compensations.get(event.path), event, Exit.void)
      case "CompensationFailed":
        return end(compensations.get(event.path), event, Exit.failCause(event.cause))
      case "BranchChosen":
        return spans.event(whole, event._tag, atMillis, { ...placeOf(event.path), "saga.tag": event.tag })
      case "ItemsListed":
        return spans.event(whole, event._tag, atMillis, { ...placeOf(event.path), "saga.items": event.keys.length })
      case "NestedStarted":
        return spans.event(whole, event._tag, atMillis, { ...placeOf(event.path), "saga.nested": event.saga })
      case "TimerSet":
        return spans.event(whole, event._tag, atMillis, {
          ...placeOf(event.path),
          "saga.fireAtMillis": event.fireAtMillis
        })
      case "TimerFired":
        return spans.event(whole, event._tag, atMillis, placeOf(event.path))
      case "FellBack":
        return spans.event(whole, event._tag, atMillis, { ...placeOf(event.path), ...causeOf(event) })
      case "UnwindStarted":
        // The last one is that of the whole execution.
        cause = event.cause
        return spans.event(whole, event._tag, atMillis, { ...placeOf(event.scope), ...causeOf(event) })
      case "SagaSucceeded":
        whole.attribute("saga.outcome", "Succeeded")
        return spans.end(whole, atMillis, Exit.void)
      case "SagaCompensated":
        whole.attribute("saga.outcome", "Compensated")
        if (event.uncertain.length > 0) whole.attribute("saga.uncertain", event.uncertain)
        return spans.end(whole, atMillis, Exit.failCause(cause))
      case "SagaStuck":
        annotate(whole, { "saga.outcome": "Stuck", "saga.reason": event.reason, "saga.open": event.open })
        return spans.end(whole, atMillis, Exit.fail(new ExecutionStuck(event)))
    }
  }

  return {
    onEvent,
    around: (effect, path, kind) => {
      const span = (kind === "action" ? actions : compensations).get(path)
      return span === undefined ? effect : Effect.provideService(effect, Tracer.ParentSpan, span)
    }
  }
}

const causeOf = ({ cause }: { readonly cause: Cause.Cause<unknown> }) => ({ "saga.cause": Cause.pretty(cause) })
