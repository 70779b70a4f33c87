/**
 * The facts of a run as tracks on one axis: for each action, compensation, sleep and decision where it began, what it
 * did when, and how it ended. Nothing is drawn here.
 */
import type * as Cause from "effect/Cause"
import * as Result from "effect/Result"
import type { UncertainReason } from "../../Saga.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import * as SagaState from "../../SagaState.ts"
import type { StepPath } from "../../StepPath.ts"

type StuckReason = Extract<SagaEvent, { readonly _tag: "SagaStuck" }>["reason"]

/** How a track ended. `Running`: it has not; `Cut`: others ended it; `ByHand`: a person has said that it is done. */
export type Ending =
  | { readonly _tag: "Running" }
  | { readonly _tag: "Succeeded"; readonly keptFrom?: string | undefined }
  | { readonly _tag: "ByHand" }
  | { readonly _tag: "Cut" }
  | { readonly _tag: "Failed"; readonly cause: Cause.Cause<unknown> }
  | {
    readonly _tag: "Uncertain"
    readonly cause: Cause.Cause<unknown>
    readonly reason: UncertainReason
    readonly whenUncertain: "report" | "compensate" | "stuck"
  }
  | { readonly _tag: "Decided"; readonly decision: string }

/** What was done from a point of the axis on, until the next one or the end of the track. */
export interface Stretch {
  readonly from: number
  readonly waits: boolean
}

export interface Track {
  readonly kind: "action" | "compensation" | "sleep" | "wait" | "decision"
  readonly path: StepPath
  readonly stretches: ReadonlyArray<Stretch>
  /** Where it ended on the axis; the end of the facts when it has not. */
  readonly to: number
  readonly millis: number
  readonly attempts: number
  readonly ending: Ending
}

/** The axis from 0 to `length`: milliseconds, or the numbers of the facts when all of them have one time. */
export interface Axis {
  readonly unit: "millis" | "facts"
  readonly length: number
}

export interface Run {
  readonly axis: Axis
  readonly millis: number
  /** In the order in which they began. */
  readonly tracks: ReadonlyArray<Track>
  readonly state: SagaState.SagaState
  /** Its first fact, when it does an execution again. */
  readonly rerun: Fact<"SagaStarted"> & { readonly rerunOf: string } | undefined
  /** What persons and programs have decided about it, and how many milliseconds after its start. */
  readonly decisions: ReadonlyArray<{ readonly fact: DecisionFact; readonly millis: number }>
  /** Why it was stuck the last time. */
  readonly stuckReason: StuckReason | undefined
  /** The first fact that does not fit to those before it. Nothing from there on is in the tracks. */
  readonly mismatch: SagaState.HistoryMismatch | undefined
}

type Fact<Tag extends SagaEvent["_tag"]> = Extract<SagaEvent, { readonly _tag: Tag }>

/** What was decided about an execution, and not by it. */
export type DecisionFact = Fact<
  | "RetryRequested"
  | "StepSkipped"
  | "CompensationSkipped"
  | "UnwindRequested"
  | "SagaAbandoned"
  | "CancelRequested"
  | "CancelRefused"
  | "SagaMigrated"
>

const isDecision = (fact: SagaEvent): fact is DecisionFact => {
  switch (fact._tag) {
    case "RetryRequested":
    case "StepSkipped":
    case "CompensationSkipped":
    case "UnwindRequested":
    case "SagaAbandoned":
    case "CancelRequested":
    case "CancelRefused":
    case "SagaMigrated":
      return true
    default:
      return false
  }
}

/** When a fact was seen: where on the axis, and by the clock. */
interface Moment {
  readonly at: number
  readonly atMillis: number
}

/** A track that grows. */
class Growing {
  readonly kind: Track["kind"]
  readonly path: StepPath
  readonly begun: Moment
  readonly stretches: Array<Stretch>
  attempts = 1
  ended: Moment | undefined
  ending: Ending = { _tag: "Running" }

  constructor(kind: Track["kind"], path: StepPath, begun: Moment) {
    this.kind = kind
    this.path = path
    this.begun = begun
    this.stretches = [{ from: begun.at, waits: kind === "sleep" || kind === "wait" }]
  }

  end(ended: Moment, ending: Ending, attempts = 1): void {
    this.ended = ended
    this.ending = ending
    this.attempts = attempts
  }

  /** Whether it has ended in a way that is left to a person. */
  get isOpen(): boolean {
    const { ending } = this
    return ending._tag === "Failed" || ending._tag === "Uncertain" && ending.whenUncertain === "stuck"
  }

  /** It has waited for a person. */
  #waited(): void {
    if (this.ended !== undefined) this.stretches.push({ from: this.ended.at, waits: true })
  }

  /** It goes on. */
  again({ at }: Moment): void {
    this.#waited()
    this.stretches.push({ from: at, waits: false })
    this.ended = undefined
    this.ending = { _tag: "Running" }
  }

  /** A person has said that it is done. */
  settle(moment: Moment): void {
    this.#waited()
    this.end(moment, { _tag: "ByHand" }, this.attempts)
  }

  /** As it stands at the end of the facts. */
  toTrack(last: Moment): Track {
    const { attempts, begun, ending, kind, path, stretches } = this
    const { at, atMillis } = this.ended ?? last
    return {
      kind,
      path,
      // After a pause that was cut, or is not over, no attempt has begun.
      stretches: stretches.filter(({ from }, index) => index === 0 || from <= at),
      to: at,
      millis: Math.max(0, atMillis - begun.atMillis),
      attempts,
      ending
    }
  }
}

/** The tracks so far. An action and its compensation have one path: the later one is meant. */
class Tracks {
  readonly all: Array<Growing> = []
  readonly #latest = new Map<StepPath, Growing>()
  /** Which paths an execution that is stuck has left open. */
  #open: ReadonlyArray<StepPath> = []

  begin(kind: Track["kind"], path: StepPath, moment: Moment): Growing {
    const track = new Growing(kind, path, moment)
    this.all.push(track)
    this.#latest.set(path, track)
    return track
  }

  add(fact: SagaEvent, moment: Moment, unit: Axis["unit"]): void {
    const end = (path: StepPath, ending: Ending, attempts?: number) =>
      this.#latest.get(path)?.end(moment, ending, attempts)
    const decided = (path: StepPath, decision: string) =>
      this.begin("decision", path, moment).end(moment, { _tag: "Decided", decision })
    switch (fact._tag) {
      case "StepStarted":
        this.begin("action", fact.path, moment)
        break
      case "CompensationStarted":
        this.begin("compensation", fact.path, moment)
        break
      case "TimerSet":
        this.begin("sleep", fact.path, moment)
        break
      case "EventAwaited":
        this.begin("wait", fact.path, moment)
        break
      case "EventPublished":
        decided(fact.path, `published ${fact.type}`)
        break
      case "EventReceived":
        end(fact.path, { _tag: "Succeeded" })
        break
      case "EventTimedOut":
        end(fact.path, { _tag: "Decided", decision: "no event in time" })
        break
      case "StepAttemptFailed":
      case "CompensationAttemptFailed": {
        const { at } = moment
        const millis = fact.nextAtMillis - fact.atMillis
        // On an axis without times nothing has waited for longer than no time.
        const pause = unit === "millis" || millis === 0 ? millis : Infinity
        this.#latest.get(fact.path)?.stretches.push({ from: at, waits: true }, { from: at + pause, waits: false })
        break
      }
      case "StepSucceeded":
        end(fact.path, { _tag: "Succeeded", keptFrom: fact.keptFrom }, fact.attempts)
        break
      case "CompensationSucceeded":
        end(fact.path, { _tag: "Succeeded" }, fact.attempts)
        break
      case "TimerFired":
        end(fact.path, { _tag: "Succeeded" })
        break
      case "StepFailed":
      case "CompensationFailed":
        end(fact.path, { _tag: "Failed", cause: fact.cause }, fact.attempts)
        break
      case "StepUncertain": {
        const { attempts, cause, path, reason, whenUncertain } = fact
        end(path, { _tag: "Uncertain", cause, reason, whenUncertain }, attempts)
        break
      }
      case "BranchChosen":
        decided(fact.path, fact.tag ?? "skipped")
        break
      case "ItemsListed":
        decided(fact.path, fact.keys.length === 1 ? "1 item" : `${fact.keys.length} items`)
        break
      case "NestedStarted":
        decided(fact.path, `saga ${fact.saga}`)
        break
      case "FellBack":
        decided(fact.path, "second way")
        break
      case "UnwindStarted":
        this.cut(fact.scope === "" ? "" : `${fact.scope}/first/`, moment)
        break
      case "SagaStuck":
        this.#open = fact.open
        this.cut("", moment)
        break
      case "RetryRequested":
        for (const track of this.#takeOpen()) track.again(moment)
        break
      case "UnwindRequested":
        for (const track of this.#takeOpen()) {
          if (track.ending._tag !== "Uncertain") track.again(moment)
          else track.ending = { ...track.ending, whenUncertain: "report" }
        }
        break
      case "StepSkipped":
      case "CompensationSkipped":
        this.#latest.get(fact.path)?.settle(moment)
        break
      case "SagaAbandoned":
        for (const track of this.all) if (track.ended === undefined) track.end(moment, { _tag: "Cut" }, track.attempts)
        break
    }
  }

  /** No fact tells of a wait that was cut. */
  cut(prefix: string, moment: Moment): void {
    for (const track of this.all) {
      const open = (track.kind === "sleep" || track.kind === "wait") && track.ended === undefined
      if (open && track.path.startsWith(prefix)) track.end(moment, { _tag: "Cut" })
    }
  }

  /** What waits for a person, from now on no more. */
  #takeOpen(): ReadonlyArray<Growing> {
    const open = this.#open
    this.#open = []
    return open.flatMap((path) => {
      const track = this.#latest.get(path)
      return track?.isOpen === true ? [track] : []
    })
  }
}

/** The facts up to the first that does not fit, and what they say of the execution. */
const folded = (events: Iterable<SagaEvent>) => {
  const facts: Array<SagaEvent> = []
  let state = SagaState.empty
  for (const event of events) {
    const next = SagaState.apply(state, event)
    if (Result.isFailure(next)) return { facts, state, mismatch: next.failure }
    state = next.success
    facts.push(event)
  }
  return { facts, state, mismatch: undefined }
}

/** What a rerun has kept took place before it: no fact counts as older than its start. */
const keptUntil = (first: SagaEvent | undefined): number =>
  first?._tag === "SagaStarted" && first.rerunOf !== undefined ? first.atMillis : Number.NEGATIVE_INFINITY

/** Reads the facts of one execution. */
export const runOf = (events: Iterable<SagaEvent>): Run => {
  const { facts: given, mismatch, state } = folded(events)
  const [first] = given
  const facts = given.map((fact) => ({ ...fact, atMillis: Math.max(fact.atMillis, keptUntil(first)) }))
  const start = facts.reduce((least, { atMillis }) => Math.min(least, atMillis), Infinity)
  const millis = facts.reduce((most, { atMillis }) => Math.max(most, atMillis - start), 0)
  const axis: Axis = millis > 0 ? { unit: "millis", length: millis } : { unit: "facts", length: facts.length }
  const tracks = new Tracks()
  for (const [number, fact] of facts.entries()) {
    const { atMillis } = fact
    tracks.add(fact, { at: axis.unit === "millis" ? atMillis - start : number, atMillis }, axis.unit)
  }
  return {
    axis,
    millis,
    tracks: tracks.all.map((track) => track.toTrack({ at: axis.length, atMillis: start + millis })),
    state,
    rerun: first?._tag === "SagaStarted" && first.rerunOf !== undefined
      ? { ...first, rerunOf: first.rerunOf }
      : undefined,
    decisions: facts.flatMap((fact) => isDecision(fact) ? [{ fact, millis: fact.atMillis - start }] : []),
    stuckReason: facts.flatMap((fact) => fact._tag === "SagaStuck" ? [fact.reason] : []).at(-1),
    mismatch
  }
}
