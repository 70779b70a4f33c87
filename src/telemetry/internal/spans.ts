/**
 * Spans that are opened and ended outside of any fiber, from the services around a run, as `Effect.makeSpan` and
 * `Effect.endSpan` do it inside one. It knows no facts.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Exit from "effect/Exit"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"

/** What a new span is told. */
export interface SpanOptions {
  readonly atMillis: number
  readonly parent: Option.Option<Tracer.AnySpan>
  readonly links: ReadonlyArray<Tracer.SpanLink>
  readonly attributes: Readonly<Record<string, unknown>>
}

/** The spans of one run. */
export class Spans {
  /** The span that the run is a part of. */
  readonly outer: Option.Option<Tracer.AnySpan>
  readonly #tracer: Tracer.Tracer
  readonly #clock: Clock.Clock
  readonly #timed: boolean
  readonly #sampled: boolean
  readonly #links: ReadonlyArray<Tracer.SpanLink>
  readonly #annotations: Readonly<Record<string, unknown>>
  readonly #open = new Set<Tracer.Span>()

  constructor(context: Context.Context<never>) {
    this.outer = openForChildren(Context.getOption(context, Tracer.ParentSpan))
    this.#tracer = Context.get(context, Tracer.Tracer)
    this.#clock = Context.get(context, Clock.Clock)
    this.#timed = Context.get(context, References.TracerTimingEnabled)
    this.#sampled = LogLevel.isLessThanOrEqualTo(
      Context.get(context, Tracer.MinimumTraceLevel),
      Context.get(context, Tracer.CurrentTraceLevel)
    )
    this.#links = Context.get(context, References.TracerSpanLinks)
    this.#annotations = Context.get(context, References.TracerSpanAnnotations)
  }

  open(name: string, { atMillis, attributes, links, parent }: SpanOptions): Tracer.Span {
    const span = this.#tracer.span({
      name,
      parent,
      annotations: Context.empty(),
      links: [...this.#links, ...links],
      startTime: this.nanosAt(atMillis),
      kind: "internal",
      root: false,
      sampled: this.#sampled && Option.getOrUndefined(parent)?.sampled !== false
    })
    this.#open.add(span)
    annotate(span, this.#annotations)
    annotate(span, attributes)
    return span
  }

  isOpen(span: Tracer.Span | undefined): span is Tracer.Span {
    return span !== undefined && this.#open.has(span)
  }

  event(span: Tracer.Span, name: string, atMillis: number, attributes: Record<string, unknown>): void {
    span.event(name, this.nanosAt(atMillis), attributes)
  }

  /** A span ends once. */
  end(span: Tracer.Span, atMillis: number, exit: Exit.Exit<unknown, unknown>): void {
    if (!this.#open.delete(span)) return
    const { startTime } = span.status
    const endTime = this.nanosAt(atMillis)
    span.end(endTime > startTime ? endTime : startTime, exit)
  }

  /** The time with which a fact would be stamped now. */
  get nowMillis(): number {
    return this.#clock.currentTimeMillisUnsafe()
  }

  /**
   * The time of a fact on the clock of the spans around and inside, which is finer than the one that stamps facts and
   * may be up to a second apart from it. A millisecond of age is the rounding of the stamp.
   */
  nanosAt(atMillis: number): bigint {
    if (!this.#timed) return 0n
    const age = this.#clock.currentTimeMillisUnsafe() - atMillis
    return this.#clock.currentTimeNanosUnsafe() - (age > 1 ? BigInt(age) * 1_000_000n : 0n)
  }
}

/** Sets attributes. */
export const annotate = (span: Tracer.Span, attributes: Readonly<Record<string, unknown>>): void => {
  for (const [key, value] of Object.entries(attributes)) span.attribute(key, value)
}

/** The nearest span, from this one outward, that lets itself be a parent. */
const openForChildren = (span: Option.Option<Tracer.AnySpan>): Option.Option<Tracer.AnySpan> =>
  Option.flatMap(span, (span) =>
    !Context.get(span.annotations, Tracer.DisablePropagation)
      ? Option.some(span)
      : span._tag === "Span"
      ? openForChildren(span.parent)
      : Option.none())
