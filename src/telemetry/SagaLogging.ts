/**
 * Executions as log lines, written by the loggers of the run in a fiber of their own: a fact is told synchronously, a
 * line is written when that fiber gets to it. No logger can hold up or fail a run.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as LogLevel from "effect/LogLevel"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { SagaEvent } from "../SagaEvent.ts"
import type { ObservedExecution, SagaObserver } from "../SagaObserver.ts"
import { identityOf, placeOf } from "./internal/identity.ts"

/**
 * Logs what an operator has to know of an execution.
 *
 * **Details**
 *
 * | level | what |
 * |---|---|
 * | error | an execution is stuck, a compensation has failed to its last try |
 * | warning | an execution was compensated, a step is of unknown outcome, a try of a compensation has failed |
 * | info | an `orElse` has fallen back to its second way |
 * | debug | an execution has started, succeeded, or begins to unwind; a step has failed, or is tried again |
 *
 * A line has the annotations `saga.name`, `saga.version`, `saga.executionId` and, where there is one, `saga.path`, and
 * the cause of what went wrong. It is written by the loggers, at the minimum level and with the annotations that were
 * around the run, in the order of the facts and with the time of its fact. When the layer closes, all lines of the facts
 * until then are written.
 *
 * **Gotchas**
 *
 * A run that outlives the layer of its observers is not logged from then on. A saga without `Saga.onStuck` also logs by
 * itself that it is stuck. A crash of the process loses the lines that are not yet written.
 *
 * **Example** (A line for a compensated execution)
 *
 * ```ts
 * import { Saga, SagaObserver } from "effect-saga"
 * import { SagaLogging } from "effect-saga/telemetry"
 * import { Effect, Logger, Schema } from "effect"
 *
 * const lines: Array<string> = []
 * const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
 *   lines.push(`${logLevel} ${message}`)
 * })
 * const pay = Saga.make("Pay", { payload: Schema.Void }).pipe(
 *   Saga.check("funds", { error: Schema.String, action: () => Effect.fail("no money") })
 * )
 * const program = Effect.flip(Saga.run(pay, undefined)).pipe(
 *   Effect.provide(SagaObserver.layer([SagaLogging.observer])),
 *   Effect.provide(Logger.layer([logger]))
 * )
 * await Effect.runPromise(program) // => "no money"
 * lines // => ["Warn Saga \"Pay\" was compensated"]
 * ```
 *
 * @category observers
 * @since 0.1.0
 */
export const observer: Effect.Effect<SagaObserver, never, Scope.Scope> = Effect.gen(function*() {
  const lines = yield* Queue.unbounded<Effect.Effect<void>, Cause.Done>()
  const writeOne = Effect.flatMap(Queue.take(lines), Effect.exit)
  yield* Effect.acquireRelease(
    Effect.forkDetach(Effect.ignore(Effect.forever(writeOne))),
    (writer) => Effect.andThen(Queue.end(lines), Fiber.await(writer))
  )
  return {
    observe: (execution) => {
      let cause: Cause.Cause<unknown> = Cause.empty
      return {
        onEvent: (event) => {
          // The last one is that of the whole execution.
          if (event._tag === "UnwindStarted") cause = event.cause
          const line = lineOf(event, execution.saga, cause)
          if (line !== undefined) Queue.offerUnsafe(lines, written(line, event.atMillis, execution))
        }
      }
    }
  }
})

interface Line {
  readonly level: LogLevel.Severity
  readonly message: string
  readonly cause?: Cause.Cause<unknown>
  readonly annotations?: Readonly<Record<string, unknown>>
}

/** The line of a fact; undefined when it has none. Text that a user chose is in annotations, which loggers escape. */
const lineOf = (event: SagaEvent, name: string, unwinding: Cause.Cause<unknown>): Line | undefined => {
  const saga = `Saga "${name}"`
  switch (event._tag) {
    case "SagaStarted":
      return { level: "Debug", message: `${saga} has started` }
    case "SagaSucceeded":
      return { level: "Debug", message: `${saga} has succeeded` }
    case "SagaCompensated":
      return {
        level: "Warn",
        message: `${saga} was compensated`,
        cause: unwinding,
        annotations: event.uncertain.length === 0 ? {} : { "saga.uncertain": event.uncertain }
      }
    case "SagaStuck":
      return {
        level: "Error",
        message: `${saga} is stuck (${event.reason}): a person has to look at what is open`,
        annotations: { "saga.open": event.open }
      }
    case "UnwindStarted":
      return {
        level: "Debug",
        message: `${saga} begins to unwind`,
        cause: event.cause,
        annotations: placeOf(event.scope)
      }
    case "FellBack":
      return {
        level: "Info",
        message: `${saga} falls back to its second way`,
        cause: event.cause,
        annotations: placeOf(event.path)
      }
    case "StepAttemptFailed":
      return {
        level: "Debug",
        message: `${saga}: attempt ${event.attempt} of a step has failed, another one follows`,
        cause: event.cause,
        annotations: placeOf(event.path)
      }
    case "StepFailed":
      return {
        level: "Debug",
        message: `${saga}: a step has failed`,
        cause: event.cause,
        annotations: placeOf(event.path)
      }
    case "StepUncertain":
      return {
        level: "Warn",
        message: `${saga}: whether a step took place is unknown (${event.reason})`,
        cause: event.cause,
        annotations: { ...placeOf(event.path), "saga.whenUncertain": event.whenUncertain }
      }
    case "CompensationAttemptFailed":
      return {
        level: "Warn",
        message: `${saga}: try ${event.attempt} of a compensation has failed, another one follows`,
        cause: event.cause,
        annotations: placeOf(event.path)
      }
    case "CompensationFailed":
      return {
        level: "Error",
        message: `${saga}: a compensation has failed to its last try`,
        cause: event.cause,
        annotations: placeOf(event.path)
      }
  }
  return undefined
}

/** Writes a line as the run would have, at the time of its fact. */
const written = (line: Line, atMillis: number, execution: ObservedExecution): Effect.Effect<void> => {
  const clock = Context.get(execution.context, Clock.Clock)
  return Effect.logWithLevel(line.level)(line.message, line.cause ?? Cause.empty).pipe(
    Effect.annotateLogs({ ...identityOf(execution), ...line.annotations }),
    Effect.provideService(Clock.Clock, Object.create(clock, { currentTimeMillisUnsafe: { value: () => atMillis } })),
    Effect.setContext(execution.context)
  )
}
