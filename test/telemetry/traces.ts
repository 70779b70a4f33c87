/** A tracer that keeps its spans, and tells them as an outline. It decides nothing: tests read it. */
import { Cause, Effect, Option, Tracer } from "effect"
import { SagaObserver } from "effect-saga"
import { SagaTracing } from "effect-saga/telemetry"

export class Traces {
  readonly spans: Array<Tracer.NativeSpan> = []
  /** How often a span was ended. */
  ends = 0
  readonly tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      const end = span.end.bind(span)
      span.end = (endTime, exit) => {
        this.ends++
        end(endTime, exit)
      }
      this.spans.push(span)
      return span
    }
  })

  /** Runs an effect with this tracer and the observer under test. */
  readonly watch = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    effect.pipe(Effect.provide(SagaObserver.layer([SagaTracing.observer])), Effect.withTracer(this.tracer))

  get open(): ReadonlyArray<string> {
    return this.spans.filter(({ status }) => status._tag === "Started").map(({ name }) => name)
  }

  /** The only span of this name. */
  named(name: string): Tracer.NativeSpan {
    const spans = this.spans.filter((span) => span.name === name)
    if (spans.length !== 1) throw new Error(`${spans.length} spans are named ${name}`)
    return spans[0]!
  }

  /** The events of the only span of this name, each with its time. */
  eventsOf(name: string): ReadonlyArray<string> {
    return this.named(name).events.map(([event, time]) => `${millisOf(time)} ${event}`)
  }

  /** A line for each span, children below their parent: `name from-to how it ended -> what it links to`. */
  get outline(): ReadonlyArray<string> {
    const below = (parent: Tracer.AnySpan | undefined, indent: string): ReadonlyArray<string> =>
      this.spans.flatMap((span) =>
        Option.getOrUndefined(span.parent) === parent ? [indent + describe(span), ...below(span, `${indent}  `)] : []
      )
    return below(undefined, "")
  }
}

const millisOf = (nanos: bigint): number => Number(nanos / 1_000_000n)

const describe = ({ links, name, status }: Tracer.NativeSpan): string => {
  const linked = links.map(({ span }) => ` -> ${span._tag === "Span" ? span.name : span.spanId}`).join("")
  if (status._tag === "Started") return `${name} ${millisOf(status.startTime)}- open${linked}`
  const how = status.exit._tag === "Success"
    ? "ok"
    : Cause.hasInterruptsOnly(status.exit.cause)
    ? "interrupted"
    : "failed"
  return `${name} ${millisOf(status.startTime)}-${millisOf(status.endTime)} ${how}${linked}`
}
