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

/** How a track ended. `Running`: it has not; `Cut`: a sleep that others ended. */
export type Ending =
  | { readonly _tag: "Running" }
  | { readonly _tag: "Succeeded" }
  | { readonly _tag: "Cut" }
  | { readonly _tag: "Failed"; readonly cause: Cause.Cause<unknown> }
  | {
    readonly _tag: "Uncertain"
    readonly cause: Cause.Cause<unknown>
    readonly reason: UncertainReason
    readonly reported: boolean
  }
  | { readonly _tag: "Decided"; readonly decision: string }

/** What was done from a point of the axis on, until the next one or the end of the track. */
export interface Stretch {
  readonly from: number
  readonly waits: boolean
}

export interface Track {
  readonly kind: "action" | "compensation" | "sleep" | "decision"
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
  readonly stuckReason: StuckReason | undefined
  /** The first fact that does not fit to those before it. Nothing from there on is in the tracks. */
  readonly mismatch: SagaState.HistoryMismatch | undefined
}

interface OpenTrack {
  readonly kind: Track["kind"]
  readonly path: StepPath
  readonly startedAtMillis: number
  readonly stretches: Array<Stretch>
  attempts: number
  end: { readonly at: number; readonly millis: number; readonly ending: Ending } | undefined
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

/** Reads the facts of one execution. */
export const runOf = (events: Iterable<SagaEvent>): Run => {
  const { facts, mismatch, state } = folded(events)
  const start = facts.reduce((least, { atMillis }) => Math.min(least, atMillis), Infinity)
  const millis = facts.reduce((most, { atMillis }) => Math.max(most, atMillis - start), 0)
  const axis: Axis = millis > 0 ? { unit: "millis", length: millis } : { unit: "facts", length: facts.length }
  const tracks: Array<OpenTrack> = []
  const open = new Map<StepPath, OpenTrack>()

  for (const [number, fact] of facts.entries()) {
    const { atMillis } = fact
    const at = axis.unit === "millis" ? atMillis - start : number
    const begin = (kind: Track["kind"], path: StepPath, waits = false) => {
      const track: OpenTrack = { kind, path, startedAtMillis: atMillis, stretches: [], attempts: 1, end: undefined }
      track.stretches.push({ from: at, waits })
      tracks.push(track)
      open.set(path, track)
      return track
    }
    const end = (path: StepPath, ending: Ending, attempts = 1) => {
      const track = open.get(path)
      if (track === undefined) return
      track.attempts = attempts
      track.end = { at, millis: atMillis - track.startedAtMillis, ending }
      open.delete(path)
    }
    const decided = (path: StepPath, decision: string) => {
      begin("decision", path)
      end(path, { _tag: "Decided", decision })
    }
    switch (fact._tag) {
      case "StepStarted":
        begin("action", fact.path)
        break
      case "CompensationStarted":
        begin("compensation", fact.path)
        break
      case "StepAttemptFailed":
      case "CompensationAttemptFailed": {
        const pause = axis.unit === "millis" ? fact.nextAtMillis - atMillis : 0
        open.get(fact.path)?.stretches.push({ from: at, waits: true }, { from: at + pause, waits: false })
        break
      }
      case "StepSucceeded":
      case "CompensationSucceeded":
        end(fact.path, { _tag: "Succeeded" }, fact.attempts)
        break
      case "StepFailed":
      case "CompensationFailed":
        end(fact.path, { _tag: "Failed", cause: fact.cause }, fact.attempts)
        break
      case "StepUncertain":
        end(
          fact.path,
          { _tag: "Uncertain", cause: fact.cause, reason: fact.reason, reported: fact.treatment === "report" },
          fact.attempts
        )
        break
      case "TimerSet":
        begin("sleep", fact.path, true)
        break
      case "TimerFired":
        end(fact.path, { _tag: "Succeeded" })
        break
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
      case "SagaStuck": {
        const within = fact._tag === "SagaStuck" || fact.scope === "" ? "" : `${fact.scope}/first/`
        for (const { kind, path } of open.values()) {
          if (kind === "sleep" && path.startsWith(within)) end(path, { _tag: "Cut" })
        }
        break
      }
    }
  }

  const closed = ({ attempts, end, kind, path, startedAtMillis, stretches }: OpenTrack): Track => {
    const { at, ending, millis: lasted } = end
      ?? { at: axis.length, ending: { _tag: "Running" }, millis: start + millis - startedAtMillis }
    return {
      kind,
      path,
      stretches: stretches.filter(({ from }, i) => i === 0 || from < at),
      to: at,
      millis: lasted,
      attempts,
      ending
    }
  }
  const last = facts.at(-1)
  const stuckReason = last?._tag === "SagaStuck" ? last.reason : undefined
  return { axis, millis, tracks: tracks.map(closed), state, stuckReason, mismatch }
}
