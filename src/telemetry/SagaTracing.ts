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
import { ExecutionAbandoned } from "../ExecutionError.ts"
import type { SagaEvent } from "../SagaEvent.ts"
import type { ObservedExecution, Parked, SagaObserver, Watch } from "../SagaObserver.ts"
import type { StepPath } from "../StepPath.ts"
import { printable } from "../StepPath.ts"
import { byOf, identityOf, placeOf } from "./internal/identity.ts"
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
 * Every span has `saga.name`, `saga.version` and `saga.executionId`; that of a step `saga.path`, `saga.attempts`, the types
 * of what it has published as `saga.events` and, if its outcome is unknown, `saga.uncertain` with the reason; that of an
 * execution `saga.outcome` and, if it is stuck, `saga.reason`. It ends as the step or the execution does: with the cause of its failure, or with an error that names what is open when it is stuck. No
 * payload, item or result is in a span.
 *
 * In an engine an execution may leave the process and come back: each stay has a span `saga BookTrip`, all of them in the
 * trace of who started it, and a step that goes on has a span in each. One that leaves has the outcome `Left`, and its
 * actions that are cut end as interrupted. A decision of a person about a stuck execution is a span of no length,
 * `decision RetryRequested`, with `saga.actor` and `saga.comment`; what was skipped or kept has no more than that.
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
    Context.get(execution.context, References.TracerEnabled) ? new Trace(execution) : { onEvent: () => {} }
}

/** Why the span of a stuck execution is one that failed. */
class ExecutionStuck extends Data.TaggedError("ExecutionStuck")<{
  readonly reason: string
  readonly open: ReadonlyArray<StepPath>
}> {
  override get message(): string {
    return `Stuck (${this.reason})${
      this.open.length === 0 ? ", a person has to look at it" : `, a person has to look at: ${this.open.join(", ")}`
    }`
  }
}

type Kind = "action" | "compensation"
type StepSpanFact = Extract<SagaEvent, { readonly attempts: number }>
type AttemptFact = Extract<SagaEvent, { readonly attempt: number }>

/** The spans of one stay of an execution: in an engine it may leave and come back, and is watched anew then. */
class Trace implements Watch {
  readonly #execution: ObservedExecution
  readonly #spans: Spans
  readonly #identity: ReturnType<typeof identityOf>
  /** Kept after their end: a compensation links to its action. */
  readonly #steps = { action: new Map<StepPath, Tracer.Span>(), compensation: new Map<StepPath, Tracer.Span>() }
  #whole: Tracer.Span | undefined
  /** Facts from before are of the execution that this one does again. */
  #notBeforeMillis = Number.NEGATIVE_INFINITY
  #cause: Cause.Cause<unknown> = Cause.empty

  constructor(execution: ObservedExecution) {
    this.#execution = execution
    this.#spans = new Spans(execution.context)
    this.#identity = identityOf(execution)
  }

  around<A, E, R>(effect: Effect.Effect<A, E, R>, path: StepPath, kind: Kind): Effect.Effect<A, E, R> {
    const known = this.#steps[kind].get(path)
    // What goes on here was started in another stay.
    const span = this.#spans.isOpen(known) ? known : this.#start(kind, path, this.#spans.nowMillis)
    return Effect.provideService(effect, Tracer.ParentSpan, span)
  }

  onParked({ atMillis, reason }: Parked): void {
    const whole = this.#wholeAt(atMillis)
    annotate(whole, { "saga.outcome": "Stuck", "saga.reason": reason })
    this.#endAll(whole, atMillis, Exit.fail(new ExecutionStuck({ reason, open: [] })))
  }

  onLeft(): void {
    const whole = this.#whole
    if (!this.#spans.isOpen(whole)) return
    whole.attribute("saga.outcome", "Left")
    this.#endAll(whole, this.#spans.nowMillis, Exit.void)
  }

  onEvent(event: SagaEvent): void {
    const spans = this.#spans
    const atMillis = Math.max(event.atMillis, this.#notBeforeMillis)
    if (decisions.has(event._tag) && !spans.isOpen(this.#whole)) return this.#decided(event, atMillis)
    const whole = this.#wholeAt(atMillis)
    const happened = (attributes: Record<string, unknown>) => spans.event(whole, event._tag, atMillis, attributes)
    switch (event._tag) {
      case "SagaStarted":
        if (event.rerunOf === undefined) return
        this.#notBeforeMillis = atMillis
        return annotate(whole, { "saga.rerunOf": printable(event.rerunOf), ...byOf(event) })
      case "StepStarted":
        this.#start("action", event.path, atMillis)
        return
      case "StepAttemptFailed":
        return this.#attemptFailed("action", event, atMillis)
      case "StepSucceeded": {
        const { keptFrom, path } = event
        if (keptFrom !== undefined) this.#steps.action.get(path)?.attribute("saga.keptFrom", printable(keptFrom))
        return this.#end("action", event, atMillis, Exit.void)
      }
      case "StepFailed":
        return this.#end("action", event, atMillis, Exit.failCause(event.cause))
      case "StepUncertain": {
        const span = this.#steps.action.get(event.path)
        if (!spans.isOpen(span)) return
        const { reason, whenUncertain } = event
        span.attribute("saga.uncertain", reason)
        spans.event(span, event._tag, atMillis, { "saga.uncertain": reason, "saga.whenUncertain": whenUncertain })
        return this.#end("action", event, atMillis, Exit.failCause(event.cause))
      }
      case "CompensationStarted":
        this.#start("compensation", event.path, atMillis)
        return
      case "CompensationAttemptFailed":
        return this.#attemptFailed("compensation", event, atMillis)
      case "CompensationSucceeded":
        return this.#end("compensation", event, atMillis, Exit.void)
      case "CompensationFailed":
        return this.#end("compensation", event, atMillis, Exit.failCause(event.cause))
      case "BranchChosen":
        return happened({ ...placeOf(event.path), "saga.tag": event.tag })
      case "ItemsListed":
        return happened({ ...placeOf(event.path), "saga.items": event.keys.length })
      case "NestedStarted":
        return happened({ ...placeOf(event.path), "saga.nested": event.saga })
      case "TimerSet":
        return happened({ ...placeOf(event.path), "saga.fireAtMillis": event.fireAtMillis })
      case "EventAwaited":
        return happened({ ...placeOf(event.path), "saga.events": event.events.map(({ type }) => type).join() })
      case "EventPublished":
      case "EventReceived":
        return happened({ ...placeOf(event.path), "saga.event": event.type })
      case "EventTimedOut":
      case "TimerFired":
        return happened(placeOf(event.path))
      case "FellBack":
        return happened({ ...placeOf(event.path), ...causeOf(event) })
      case "UnwindStarted":
        // The last one is that of the whole execution.
        this.#cause = event.cause
        return happened({ ...placeOf(event.scope), ...causeOf(event) })
      case "CancelRequested":
      case "CancelRefused":
      case "RetryRequested":
      case "UnwindRequested":
        return happened(byOf(event))
      case "StepSkipped":
      case "CompensationSkipped": {
        happened({ ...placeOf(event.path), ...byOf(event) })
        const span = this.#steps[event._tag === "StepSkipped" ? "action" : "compensation"].get(event.path)
        return span === undefined ? undefined : spans.end(span, atMillis, Exit.void)
      }
      case "SagaMigrated":
        return happened({ "saga.fromVersion": event.from, "saga.toVersion": event.to })
      case "SagaSucceeded":
        whole.attribute("saga.outcome", "Succeeded")
        return spans.end(whole, atMillis, Exit.void)
      case "SagaCompensated":
        whole.attribute("saga.outcome", "Compensated")
        if (event.uncertain.length > 0) whole.attribute("saga.uncertain", event.uncertain)
        return spans.end(whole, atMillis, Exit.failCause(this.#cause))
      case "SagaStuck":
        annotate(whole, { "saga.outcome": "Stuck", "saga.reason": event.reason, "saga.open": event.open })
        return spans.end(whole, atMillis, Exit.fail(new ExecutionStuck(event)))
      case "SagaAbandoned": {
        happened(byOf(event))
        whole.attribute("saga.outcome", "Abandoned")
        return this.#endAll(whole, atMillis, Exit.fail(new ExecutionAbandoned(this.#execution)))
      }
    }
  }

  /** The span of the execution. When it has ended and goes on, there is another one, which links to it. */
  #wholeAt(atMillis: number): Tracer.Span {
    if (this.#spans.isOpen(this.#whole)) return this.#whole
    return this.#whole = this.#spans.open(`saga ${this.#execution.saga}`, {
      atMillis,
      parent: this.#spans.outer,
      links: linksTo(this.#whole),
      attributes: this.#identity
    })
  }

  #start(kind: Kind, path: StepPath, atMillis: number): Tracer.Span {
    const span = this.#spans.open(`${kind} ${path.slice(path.lastIndexOf("/") + 1)}`, {
      atMillis,
      parent: Option.some(this.#wholeAt(atMillis)),
      links: linksTo(kind === "compensation" ? this.#steps.action.get(path) : undefined),
      attributes: { ...this.#identity, ...placeOf(path) }
    })
    this.#steps[kind].set(path, span)
    return span
  }

  #attemptFailed(kind: Kind, event: AttemptFact, atMillis: number): void {
    const span = this.#steps[kind].get(event.path)
    if (!this.#spans.isOpen(span)) return
    this.#spans.event(span, event._tag, atMillis, {
      "saga.attempt": event.attempt,
      "saga.nextAtMillis": event.nextAtMillis,
      ...causeOf(event)
    })
  }

  #end(kind: Kind, event: StepSpanFact, atMillis: number, exit: Exit.Exit<void, unknown>): void {
    const span = this.#steps[kind].get(event.path)
    if (!this.#spans.isOpen(span)) return
    span.attribute("saga.attempts", event.attempts)
    if ("published" in event) span.attribute("saga.events", event.published.map(({ type }) => type).join())
    this.#spans.end(span, atMillis, exit)
  }

  /** Ends an execution of which no fact says what becomes of what is in flight: it is cut. */
  #endAll(whole: Tracer.Span, atMillis: number, exit: Exit.Exit<void, unknown>): void {
    for (const steps of Object.values(this.#steps)) {
      for (const span of steps.values()) this.#spans.end(span, atMillis, Exit.interrupt())
    }
    this.#spans.end(whole, atMillis, exit)
  }

  /** A decision about what does not run is a span of its own, of no length. */
  #decided(event: SagaEvent, atMillis: number): void {
    const span = this.#spans.open(`decision ${event._tag}`, {
      atMillis,
      parent: this.#spans.outer,
      links: linksTo(this.#whole),
      attributes: {
        ...this.#identity,
        ...("path" in event ? placeOf(event.path) : {}),
        ...("actor" in event ? byOf(event) : {}),
        ...(event._tag === "SagaAbandoned" ? { "saga.outcome": "Abandoned" } : {})
      }
    })
    this.#spans.end(span, atMillis, Exit.void)
  }
}

/** What a person decides about an execution that runs nowhere: it is stuck. */
const decisions: ReadonlySet<SagaEvent["_tag"]> = new Set<SagaEvent["_tag"]>([
  "RetryRequested",
  "StepSkipped",
  "CompensationSkipped",
  "UnwindRequested",
  "SagaAbandoned"
])

const linksTo = (span: Tracer.Span | undefined): ReadonlyArray<Tracer.SpanLink> =>
  span === undefined ? [] : [{ span, attributes: {} }]

const causeOf = ({ cause }: { readonly cause: Cause.Cause<unknown> }) => ({ "saga.cause": Cause.pretty(cause) })
