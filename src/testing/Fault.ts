/**
 * The words of the test kit: what can be made to go wrong, where, and how a schedule of faults is written down in one
 * line. Nothing is run here.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Result from "effect/Result"
import type { StepPath } from "../StepPath.ts"

/**
 * What can be done to an action or a compensation.
 *
 * **Details**
 *
 * - `fails`: fails with an error, and has done nothing
 * - `fails-late`: has its effect, then fails with an error that the step's `isUncertain` names
 * - `dies`: dies, and has done nothing
 * - `lost`: has its effect, then dies: its answer is lost
 * - `hangs`: never answers, and has done nothing
 * - `late`: has its effect and never answers
 * - `interrupted`: before it has its effect, somebody wants the saga to stop
 * - `interrupted-late`: the same, behind its effect
 * - `interrupted-done`: the same, once the success of an action is told as a fact
 * - `twice`: runs twice in a row, with one key
 *
 * What hangs is cut by a limit where there is one. Where there is none, and nothing else moves, the caller gives up in a
 * fiber, and on an engine the process dies. To want to stop is an interruption in a fiber, and `cancel` on an engine.
 *
 * @category models
 * @since 0.1.0
 */
export type Deed =
  | "fails"
  | "fails-late"
  | "dies"
  | "lost"
  | "hangs"
  | "late"
  | "interrupted"
  | "interrupted-late"
  | "interrupted-done"
  | "twice"

/**
 * A fault in the `call`-th call of an action or a compensation, counted from 1 and over all processes.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallFault {
  readonly kind: "action" | "compensation"
  readonly path: StepPath
  readonly call: number
  readonly deed: Deed
  /** Which error it fails with: its tag, or what else tells it from the others that the step declares. */
  readonly error?: string
  /** Every further call is the same, up to 12 in all: a long outage. */
  readonly lasting: boolean
}

/**
 * The process dies, right before or right after its `write`-th batch of facts is on record; or it freezes there, everybody
 * takes it for dead, and it goes on; or the engine closes in good order. Counted from 1 and over all processes.
 *
 * @category models
 * @since 0.1.0
 */
export interface CrashFault {
  readonly kind: "journal"
  readonly write: number
  readonly deed: "crash-before" | "crash-after" | "freeze" | "close"
}

/**
 * The `event`-th event that a participant publishes is delivered twice, or a minute late so that others come before it, or is
 * kept while the answer to who published it is lost. Counted from 1.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventFault {
  readonly kind: "event"
  readonly event: number
  readonly deed: "twice" | "late" | "lost"
}

/**
 * One thing that goes wrong.
 *
 * @category models
 * @since 0.1.0
 */
export type Fault = CallFault | CrashFault | EventFault

/**
 * A text is no schedule of faults.
 *
 * @category errors
 * @since 0.1.0
 */
export class ScheduleInvalid extends Data.TaggedError("ScheduleInvalid")<{
  readonly schedule: string
  readonly part: string
  /** Why it is no fault of this saga, where it could be one of another. */
  readonly problem?: string
}> {
  override get message(): string {
    if (this.problem !== undefined) return `"${this.part}" in "${this.schedule}": ${this.problem}`
    return `"${this.part}" in "${this.schedule}" is no fault: one is "<path>:<what>", as in "flight:lost", "~hotel#2:fails(SoldOut)*" (a compensation, its second call, and all that follow) "journal#3:crash-after" or "event#2:twice"`
  }
}

/** What stands between the parts of a fault is encoded in a path or an error. */
const encode = (text: string): string =>
  encodeURIComponent(text).replaceAll(/[~*()!']/g, (char) => `%${char.charCodeAt(0).toString(16)}`)
const encodePath = (path: StepPath): string => path.split("/").map(encode).join("/")

/** How a fault is written down. */
const formatFault = (fault: Fault): string => {
  if (fault.kind === "journal") return `journal#${fault.write}:${fault.deed}`
  if (fault.kind === "event") return `event#${fault.event}:${fault.deed}`
  const { call, deed, error, kind, lasting, path } = fault
  return `${kind === "compensation" ? "~" : ""}${encodePath(path)}${call === 1 ? "" : `#${call}`}:${deed}${
    error === undefined ? "" : `(${encode(error)})`
  }${lasting ? "*" : ""}`
}

/**
 * Writes a schedule of faults in one line.
 *
 * **Example** (Two faults)
 *
 * ```ts
 * import { Fault } from "effect-saga/testing"
 *
 * Fault.format([
 *   { kind: "action", path: "payment", call: 1, deed: "fails", error: "Declined", lasting: false },
 *   { kind: "compensation", path: "hotel", call: 1, deed: "hangs", lasting: true }
 * ]) // => "payment:fails(Declined) + ~hotel:hangs*"
 * ```
 *
 * @category encoding
 * @since 0.1.0
 */
export const format = (schedule: ReadonlyArray<Fault>): string =>
  schedule.length === 0 ? "no fault" : schedule.map(formatFault).join(" + ")

/** What can happen around a write, in words. */
const crashes: Record<CrashFault["deed"], string> = {
  "crash-before": "the process dies right before",
  "crash-after": "the process dies right behind",
  "freeze": "the process is taken for dead, and goes on, behind",
  "close": "the engine closes in good order behind"
}

/** What can happen to an event, in words. */
const deliveries: Record<EventFault["deed"], string> = {
  twice: "is delivered twice",
  late: "comes a minute late",
  lost: "is kept, and the answer to who published it is lost"
}

/** What can happen in a call, in words. */
const deeds: Record<Deed, (error: string) => string> = {
  "fails": (error) => `fails with ${error}`,
  "fails-late": (error) => `takes effect, then fails with ${error}`,
  "dies": () => "dies without any effect",
  "lost": () => "takes effect, and its answer is lost",
  "hangs": () => "never answers, without any effect",
  "late": () => "takes effect and never answers",
  "interrupted": () => "the saga is to stop before it takes effect",
  "interrupted-late": () => "the saga is to stop right behind its effect",
  "interrupted-done": () => "the saga is to stop once it has succeeded",
  "twice": () => "runs twice with one key"
}

const oneOf = (table: Record<string, unknown>) => `(${Object.keys(table).join("|")})`
const crash = new RegExp(`^journal#(\\d+):${oneOf(crashes)}$`)
const event = new RegExp(`^event#(\\d+):${oneOf(deliveries)}$`)
const call = new RegExp(`^(~?)([^~#:()*+\\s]+?)(?:#(\\d+))?:${oneOf(deeds)}(?:\\(([^()*]*)\\))?(\\*?)$`)

/** What is called otherwise than anything that can happen there. */
const misspelt = (part: string): { readonly problem?: string } => {
  const [, place, deed] = /^(~?[^~#:()*+\s]+(?:#\d+)?):([^~#:()*+\s]+)/.exec(part) ?? []
  if (place === undefined || deed === undefined) return {}
  const names = Object.keys(place.startsWith("journal#") ? crashes : place.startsWith("event#") ? deliveries : deeds)
  return names.includes(deed)
    ? {}
    : { problem: `nothing that can happen is called "${deed}"; it is one of ${names.join(", ")}` }
}

/**
 * Reads a schedule of faults that `format` has written.
 *
 * **Example** (Reading one)
 *
 * ```ts
 * import { Fault } from "effect-saga/testing"
 * import { Result } from "effect"
 *
 * Result.map(Fault.parse("flight:lost + journal#3:crash-after"), (faults) => faults.length) // => Result.succeed(2)
 * ```
 *
 * @category decoding
 * @since 0.1.0
 */
export const parse = (schedule: string): Result.Result<ReadonlyArray<Fault>, ScheduleInvalid> => {
  if (schedule.trim() === "no fault") return Result.succeed([])
  const faults: Array<Fault> = []
  for (const part of schedule.split(" + ").map((part) => part.trim())) {
    const fault = faultOf(part)
    if (fault === undefined) return Result.fail(new ScheduleInvalid({ schedule, part, ...misspelt(part) }))
    faults.push(fault)
  }
  return Result.succeed(faults)
}

const faultOf = (part: string): Fault | undefined => {
  const journal = crash.exec(part)
  if (journal !== null) {
    const [, write, deed] = journal as unknown as [string, string, CrashFault["deed"]]
    return { kind: "journal", write: Number(write), deed }
  }
  const published = event.exec(part)
  if (published !== null) {
    const [, number, deed] = published as unknown as [string, string, EventFault["deed"]]
    return { kind: "event", event: Number(number), deed }
  }
  const found = call.exec(part)
  if (found === null) return undefined
  const [, compensation, path, count, deed, error, lasting] = found
  const decoded = Result.try(() => ({
    path: decodeURIComponent(path!),
    ...(error === undefined ? {} : { error: decodeURIComponent(error) })
  }))
  if (Result.isFailure(decoded)) return undefined
  return {
    kind: compensation === "~" ? "compensation" : "action",
    call: Number(count ?? 1),
    // One of those that the pattern names.
    deed: deed as Deed,
    lasting: lasting === "*",
    ...decoded.success
  }
}

/**
 * Says a fault in words.
 *
 * **Example** (A lost answer)
 *
 * ```ts
 * import { Fault } from "effect-saga/testing"
 *
 * Fault.words({ kind: "action", path: "payment", call: 2, deed: "lost", lasting: false })
 * // => "payment, call 2: takes effect, and its answer is lost"
 * ```
 *
 * @category converting
 * @since 0.1.0
 */
export const words = (fault: Fault): string => {
  if (fault.kind === "journal") return `${crashes[fault.deed]} write ${fault.write} to its journal`
  if (fault.kind === "event") return `event ${fault.event} of the participants ${deliveries[fault.deed]}`
  const { call, deed, error = "an error", kind, lasting, path } = fault
  return `${kind === "compensation" ? "the compensation of " : ""}${path}${call === 1 ? "" : `, call ${call}`}: ${
    deeds[deed](error)
  }${lasting ? ", and so does each further call" : ""}`
}
