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
import { printable } from "../StepPath.ts"
import { byOf, identityOf, placeOf } from "./internal/identity.ts"

/**
 * Logs what an operator has to know of an execution.
 *
 * **Details**
 *
 * | level | what |
 * |---|---|
 * | warning | an execution was compensated; a try of a compensation has failed, also the last one |
 * | info | what a person has decided; a step is of unknown outcome; an `orElse` has fallen back to its second way |
 * | debug | an execution has started, succeeded, is stuck, or begins to unwind; a step has failed, or is tried again |
 *
 * What needs a person is logged without this observer too, by the run or the engine itself, with what can be done about
 * it: one error for each execution that becomes stuck, one warning for each that was compensated but for steps of unknown
 * outcome. So that nobody is called twice it is said here at a level below.
 *
 * A line has the annotations `saga.name`, `saga.version`, `saga.executionId` and, where there is one, `saga.path`, and
 * the cause of what went wrong; that of a decision `saga.actor` and `saga.comment`. Control characters are
 * percent-encoded in all of them. It is written by the loggers, at the minimum level and with the annotations that were
 * around the run, in the order of the facts and with the time of its fact. When the layer closes, all lines of the facts
 * until then are written.
 *
 * **Gotchas**
 *
 * A run that outlives the layer of its observers is not logged from then on. A saga with a `Saga.onStuck` of its own has
 * that in place of the error. A crash of the process loses the lines that are not yet written.
 *
 * A decision is told in the engine that a person has asked, if its saga runs there; else it is in the journal alone. That
 * engine also logs by itself, at info, what it was asked for.
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
      const write = (line: Line, atMillis: number) => Queue.offerUnsafe(lines, written(line, atMillis, execution))
      return {
        onParked: ({ atMillis, reason }) => void write(isStuck(`Saga "${execution.saga}"`, reason), atMillis),
        onEvent: (event) => {
          // The last one is that of the whole execution.
          if (event._tag === "UnwindStarted") cause = event.cause
          const line = lineOf(event, execution.saga, cause)
          if (line !== undefined) write(line, event.atMillis)
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

/** The run, or the engine, says it to whoever is on call. */
const isStuck = (saga: string, reason: string, open?: ReadonlyArray<string>): Line => ({
  level: "Debug",
  message: `${saga} is stuck (${reason}): a person has to look at ${open === undefined ? "it" : "what is open"}`,
  annotations: open === undefined ? {} : { "saga.open": open }
})

/** What a person has decided, or a program. */
const decided = (fact: Parameters<typeof byOf>[0], message: string, place = {}): Line => ({
  level: fact.actor === undefined ? "Debug" : "Info",
  message,
  annotations: { ...place, ...byOf(fact) }
})

/** The line of a fact; undefined when it has none. Text that a user chose is in annotations, which loggers escape. */
const lineOf = (event: SagaEvent, name: string, unwinding: Cause.Cause<unknown>): Line | undefined => {
  const saga = `Saga "${name}"`
  switch (event._tag) {
    case "SagaStarted": {
      const { rerunOf } = event
      return rerunOf === undefined
        ? { level: "Debug", message: `${saga} has started` }
        : decided(event, `${saga} does an execution again`, { "saga.rerunOf": printable(rerunOf) })
    }
    case "StepSucceeded":
      return event.keptFrom === undefined ? undefined : {
        level: "Debug",
        message: `${saga}: a result is kept from the execution that it does again`,
        annotations: { ...placeOf(event.path), "saga.keptFrom": printable(event.keptFrom) }
      }
    case "SagaSucceeded":
      return { level: "Debug", message: `${saga} has succeeded` }
    case "SagaCompensated":
      return {
        // Of those the run says it.
        level: event.uncertain.length === 0 ? "Warn" : "Info",
        message: `${saga} was compensated`,
        cause: unwinding,
        annotations: event.uncertain.length === 0 ? {} : { "saga.uncertain": event.uncertain }
      }
    case "SagaStuck":
      return isStuck(saga, event.reason, event.open)
    case "RetryRequested":
      return decided(event, `${saga}: a person has what is open tried again`)
    case "StepSkipped":
      return decided(event, `${saga}: a person says what a step has given`, placeOf(event.path))
    case "CompensationSkipped":
      return decided(event, `${saga}: a person says that a step is undone`, placeOf(event.path))
    case "UnwindRequested":
      return decided(event, `${saga}: a person has it unwound`)
    case "SagaAbandoned":
      return decided(event, `${saga} was abandoned by a person`)
    case "CancelRequested":
      return decided(event, `${saga} is cancelled`)
    case "CancelRefused":
      return decided(event, `${saga} is past its commit point, and not cancelled`)
    case "SagaMigrated":
      return {
        level: "Info",
        message: `${saga} goes on as version ${event.to}`,
        annotations: { "saga.fromVersion": event.from, "saga.toVersion": event.to }
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
        level: "Info",
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
        level: "Warn",
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
