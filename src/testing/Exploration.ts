/**
 * What an exploration says: of one run to an invariant, of all of them in a report, and of the one that broke a promise.
 * Words and texts only; nothing is run here.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Formatter from "effect/Formatter"
import type { SagaEvent } from "../SagaEvent.ts"
import type { SagaState } from "../SagaState.ts"
import type { StepPath } from "../StepPath.ts"
import type { Fault } from "./Fault.ts"
import { words } from "./Fault.ts"

/**
 * A call of an action or a compensation, as it was seen.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExploredCall {
  readonly kind: "action" | "compensation"
  readonly path: StepPath
  /** Which call of this action or compensation it is, from 1, over all processes. */
  readonly call: number
  /** How often what the step does came to its end in this call: none when a fault kept it from that, two when it ran twice. */
  readonly applied: number
  /** What went wrong on purpose. */
  readonly fault: Fault | undefined
}

/**
 * A run that is over, for an invariant.
 *
 * @category models
 * @since 0.1.0
 */
export interface Explored<P = unknown> {
  readonly payload: P
  readonly faults: ReadonlyArray<Fault>
  /** How it ended; `Stuck`: it is parked for a person. */
  readonly status: "Succeeded" | "Compensated" | "Stuck"
  /** The steps of which it says itself that nobody knows whether they took place, or that they are open. */
  readonly reported: ReadonlyArray<StepPath>
  readonly calls: ReadonlyArray<ExploredCall>
  readonly facts: ReadonlyArray<SagaEvent>
  readonly state: SagaState
}

/**
 * What was explored, and that all of it was reached.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report {
  readonly saga: string
  /** The actions and compensations that runs came to, with how many faults were tried in each. */
  readonly places: ReadonlyArray<{
    readonly kind: "action" | "compensation"
    /** The path, with `*` for the key of each item of a `forEach`. */
    readonly path: string
    readonly faults: number
  }>
  /** How many schedules were run, by the number of faults in them. */
  readonly schedules: ReadonlyArray<number>
  /** How many writes to the journal a process died at, or an engine closed at. */
  readonly crashes: number
  /** How many faults of events that participants publish were tried. */
  readonly deliveries: number
  /** How many random programs of faults were run beside. */
  readonly random: number
  /** How many schedules were left out because there were more than `limit`. */
  readonly skipped: number
  readonly ended: Readonly<Record<Explored["status"], number>>
  /** Actions that never end if they never answer: nothing cuts them but the death of the process. Give them a `timeout`. */
  readonly unbounded: ReadonlyArray<string>
  /** Places that the options call unreachable. */
  readonly unreachable: ReadonlyArray<string>
  /** The same for a person. */
  readonly text: string
}

/**
 * A saga broke a promise in a run: which promise, how, after which faults, and how to see it again. It is the shortest
 * schedule that was found.
 *
 * @category errors
 * @since 0.1.0
 */
export class SagaViolation extends Data.TaggedError("SagaViolation")<{
  readonly saga: string
  readonly invariant: string
  readonly problem: string
  readonly faults: ReadonlyArray<Fault>
  /** The schedule in one line, for `SagaTest.replay`. */
  readonly replay: string
  readonly payload: unknown
  readonly facts: ReadonlyArray<SagaEvent>
  /** The run drawn as a timeline. */
  readonly timeline: string
  /** How many runs kept all promises before. */
  readonly runsBefore: number
  /** Why an invariant of yours failed. */
  readonly cause: Cause.Cause<unknown> | undefined
}> {
  override get message(): string {
    const { faults, invariant, payload, problem, replay, saga, timeline } = this
    const what = faults.length === 0 ? ["nothing goes wrong"] : faults.map(words)
    return [
      `${saga} breaks "${invariant}": ${problem}`,
      "",
      ...what.map((fault, index) => `  ${index === 0 ? "when" : "and "} ${fault}`),
      "",
      timeline,
      "",
      ...(payload === undefined ? [] : [`  payload    ${Formatter.format(payload)}`]),
      `  replay     SagaTest.replay(${saga}, ${JSON.stringify(replay)}, options)`
    ].join("\n")
  }
}

/**
 * There are places that no run came to, so that nothing can be said of them.
 *
 * @category errors
 * @since 0.1.0
 */
export class PlacesUnreached extends Data.TaggedError("PlacesUnreached")<{
  readonly saga: string
  readonly places: ReadonlyArray<string>
  /** How many schedules were left out because there were more than `limit`. */
  readonly skipped: number
}> {
  override get message(): string {
    const { places, saga, skipped } = this
    const advice = skipped === 0
      ? "Add a payload that leads there to `payloads`, or name them in `unreachable`"
      : `${skipped.toLocaleString("en")} schedules were left out: raise the \`limit\``
    return `No run of ${saga} came to ${places.join(", ")}. ${advice}`
  }
}

/**
 * Options name places that the saga does not have.
 *
 * @category errors
 * @since 0.1.0
 */
export class PlacesUnknown extends Data.TaggedError("PlacesUnknown")<{
  readonly saga: string
  readonly places: ReadonlyArray<string>
  readonly known: ReadonlyArray<string>
}> {
  override get message(): string {
    return `${this.saga} has no place ${this.places.join(", ")}. Its places are ${
      this.known.join(", ")
    }; \`journal\` is one where there is a journal`
  }
}

/**
 * A fault was to happen at a place that the run did not come to, although the same faults had led there before; or, in a
 * replay, at one that does not exist.
 *
 * @category errors
 * @since 0.1.0
 */
export class FaultNotReached extends Data.TaggedError("FaultNotReached")<{
  readonly saga: string
  readonly fault: Fault
  readonly replay: string
}> {
  override get message(): string {
    return `${this.saga} did not come to where "${
      words(this.fault)
    }" was to happen, in "${this.replay}". Runs must be repeatable: look for state that outlives a run, real time, or Math.random in the saga or its services. A replay needs the saga and the options that the schedule is of`
  }
}

/**
 * No value could be made from a schema: that of a step's errors, or that of the payload.
 *
 * @category errors
 * @since 0.1.0
 */
export class NoSample extends Data.TaggedError("NoSample")<{
  readonly saga: string
  /** What there is no value of. */
  readonly what: string
  readonly cause: unknown
}> {
  override get message(): string {
    return `No value could be generated for ${this.what} of ${this.saga}. Give its schema an arbitrary that Effect's Arbitrary can follow`
  }
}
