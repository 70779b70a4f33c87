/**
 * Which schedules of faults are run: none, then one fault at each place that was come to, then one more behind each of
 * these, and random programs beside. Each run says where the next fault may be, so that every schedule is reached.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { timeline } from "../../diagram/index.ts"
import type { Explored, Report } from "../Exploration.ts"
import { FaultNotReached, PlacesUnknown, PlacesUnreached, SagaViolation } from "../Exploration.ts"
import type { CallFault, Fault } from "../Fault.ts"
import { format, ScheduleInvalid } from "../Fault.ts"
import type { Harness, Plan, SeenCall } from "./harness.ts"
import { canLast, crashes, deliveries, faultsOf, isCut, isOfCall, planOf } from "./harness.ts"
import type { Lab, Verdict } from "./lab.ts"
import type { Place } from "./places.ts"
import { callsIn, nameOf, placeIn, placesOf } from "./places.ts"
import { drawing } from "./random.ts"
import { textOf } from "./reportText.ts"

/** How far is searched. */
export interface Bounds {
  readonly payloads: ReadonlyArray<unknown>
  readonly depth: number
  readonly limit: number
  readonly programs: number
  readonly seed: number
  readonly unreachable: ReadonlyArray<string>
  /** The places, where they were named. */
  readonly named: ReadonlyArray<string> | undefined
  /** Whether the last fault may be there. */
  readonly wanted: (place: string) => boolean
}

type Schedule = ReadonlyArray<Fault>
export type SearchError = SagaViolation | FaultNotReached | PlacesUnreached | PlacesUnknown

/** A search with what it has seen so far. */
export class Search {
  readonly #lab: Lab
  readonly #bounds: Bounds
  readonly #places: ReadonlyArray<Place>
  readonly #placeOf: ReturnType<typeof placeIn>
  /** The faults that were tried, by place, and those around writes. */
  readonly #tried = new Map<string, Set<string>>()
  readonly #crashes = new Set<string>()
  readonly #deliveries = new Set<string>()
  readonly #unbounded = new Set<string>()
  readonly #schedules: Array<number> = []
  readonly #ended: Record<Explored["status"], number> = { Succeeded: 0, Compensated: 0, Stuck: 0 }
  #runs = 0
  #skipped = 0

  constructor(lab: Lab, bounds: Bounds) {
    this.#lab = lab
    this.#bounds = bounds
    this.#places = placesOf(lab.definition)
    this.#placeOf = placeIn(this.#places)
  }

  readonly all: Effect.Effect<Report, SearchError> = Effect.gen({ self: this }, function*() {
    const { depth, named = [], payloads, programs, unreachable } = this.#bounds
    const known = [...callsIn(this.#places).map(nameOf), "event", ...this.#lab.twin === undefined ? [] : ["journal"]]
    const unknown = [...named, ...unreachable].filter((name) => !known.includes(name))
    if (unknown.length > 0) {
      return yield* new PlacesUnknown({ saga: this.#lab.definition.saga, places: unknown, known })
    }
    for (const payload of payloads) {
      let level: Array<Schedule> = [[]]
      for (let size = 0; size <= depth; size++) {
        const next: Array<Schedule> = []
        for (let index = 0; index < level.length; index++) {
          if (this.#runs >= this.#bounds.limit) {
            this.#skipped += level.length - index
            break
          }
          const schedule = level[index]!
          const { harness } = yield* this.one(schedule, payload)
          this.#schedules[size] = (this.#schedules[size] ?? 0) + 1
          level.push(...this.#longer(schedule, harness))
          const further = size < depth ? this.#further(schedule, harness) : []
          // What comes before the last fault may be anywhere: without it no compensation is ever come to.
          const wanted = size + 1 < depth
            ? further
            : further.filter((fault) => this.#bounds.wanted(this.#nameAt(fault)))
          for (const fault of wanted) next.push([...schedule, fault])
        }
        level = this.#few(next)
      }
    }
    for (let program = 0; program < programs; program++) yield* this.#random(program)
    return yield* this.#report()
  })

  /** Runs one schedule, and fails when a promise is broken or a fault is not reached. */
  one(schedule: Schedule, payload: unknown): Effect.Effect<Verdict, SearchError> {
    return Effect.gen({ self: this }, function*() {
      const verdict = yield* this.#lab.run(planOf(schedule), payload)
      const { harness } = verdict
      this.#see(harness)
      yield* this.#judge(verdict, schedule, payload)
      const missed = schedule.find((fault) => !harness.injected.includes(fault))
      if (missed !== undefined) {
        const { saga } = this.#lab.definition
        return yield* new FaultNotReached({ saga, fault: missed, replay: format(schedule) })
      }
      return verdict
    })
  }

  /** Runs a schedule that somebody wrote down, with each payload that leads to its faults. */
  again(schedule: Schedule, text: string): Effect.Effect<void, SearchError | ScheduleInvalid> {
    return Effect.gen({ self: this }, function*() {
      for (const fault of schedule) {
        const problem = this.#nowhere(fault)
        if (problem === undefined) continue
        return yield* new ScheduleInvalid({ schedule: text, part: format([fault]), problem })
      }
      const missed: Array<FaultNotReached> = []
      for (const payload of this.#bounds.payloads) {
        const run = Effect.catchTag(
          this.#checked(schedule, text, payload),
          "FaultNotReached",
          (error) => Effect.sync(() => void missed.push(error))
        )
        yield* run
      }
      if (missed.length === this.#bounds.payloads.length) return yield* missed[0]!
    })
  }

  /** Why a fault can be nowhere in this saga. */
  #nowhere(fault: Fault): string | undefined {
    if (fault.kind === "journal" && this.#lab.twin === undefined) {
      return "there is no journal: give the option `journal`"
    }
    if (!isOfCall(fault)) return undefined
    const place = this.#placeOf(fault.path)
    if (place !== undefined && (fault.kind === "action" || place.compensated)) return undefined
    const places = callsIn(this.#places).map(nameOf).join(", ")
    return `there is no such place; those of ${this.#lab.definition.saga} are ${places}`
  }

  /** Runs a schedule, unless there is a fault in it that could never happen where it is. */
  #checked(schedule: Schedule, text: string, payload: unknown): Effect.Effect<void, SearchError | ScheduleInvalid> {
    return Effect.gen({ self: this }, function*() {
      const { harness } = yield* this.#lab.run(planOf(schedule), payload)
      for (const fault of schedule) {
        if (!isOfCall(fault)) continue
        const there = harness.calls.filter(({ kind, path }) => kind === fault.kind && path === fault.path)
        const call = there.find((call) => isAt(fault, call)) ?? there[0]
        if (call === undefined) continue
        const possible = faultsOf(call, harness.samplesOf(call.step))
        const same = possible.some(({ deed, error }) => deed === fault.deed && error === fault.error)
        if (same && (!fault.lasting || canLast(fault))) continue
        const faults = possible.map((fault) => format([{ ...fault, call: 1 }])).join(", ")
        const problem = `it cannot happen there; what can is ${faults}`
        return yield* new ScheduleInvalid({ schedule: text, part: format([fault]), problem })
      }
      yield* this.one(schedule, payload)
    })
  }

  #judge(verdict: Verdict, schedule: Schedule, payload: unknown): Effect.Effect<void, SagaViolation> {
    return Effect.gen({ self: this }, function*() {
      const broken = yield* this.#broken(verdict, schedule, payload)
      if (broken === undefined) {
        this.#ended[verdict.state!.status as Explored["status"]]++
        this.#runs++
        return
      }
      return yield* new SagaViolation({
        saga: this.#lab.definition.saga,
        ...broken,
        faults: schedule,
        replay: format(schedule),
        payload,
        facts: verdict.ran.facts,
        timeline: timeline(verdict.ran.facts),
        runsBefore: this.#runs,
        cause: verdict.cause
      })
    })
  }

  /** What a run breaks by itself, or beside others. */
  #broken(verdict: Verdict, schedule: Schedule, payload: unknown): Effect.Effect<Verdict["broken"]> {
    const alone = verdict.broken ?? (schedule.length === 0 ? failsAlone(verdict) : undefined)
    return alone === undefined ? this.#differs(verdict, schedule, payload) : Effect.succeed(alone)
  }

  /** On an engine it ends as in a fiber, where the same can happen there. */
  #differs(verdict: Verdict, schedule: Schedule, payload: unknown): Effect.Effect<Verdict["broken"]> {
    const { twin } = this.#lab
    if (twin === undefined || schedule.some((fault) => !isTheSameInAFiber(fault, verdict.calls))) {
      return Effect.succeed(undefined)
    }
    return Effect.map(twin.run(planOf(schedule), payload), (other) => {
      // Participants that publish at once may do so in another order there: then it is another event that comes late.
      const isSame = (fault: Fault) =>
        fault.kind !== "event" ||
        verdict.harness.eventIds[fault.event - 1] === other.harness.eventIds[fault.event - 1]
      if (!schedule.every(isSame)) return undefined
      const [here, there] = [endOf(verdict), endOf(other)]
      const invariant = "I10 on an engine it ends as in a fiber"
      return here === there ? undefined : { invariant, problem: `on the engine:\n${here}\nin a fiber:\n${there}` }
    })
  }

  // ------------------------------------------------------------------------------------------- where to go on

  /** The same schedule with its last fault as a long outage, where that is anything else. */
  #longer(schedule: Schedule, { calls }: Harness): ReadonlyArray<Schedule> {
    const last = schedule.at(-1)
    if (last === undefined || !isOfCall(last) || last.lasting || !canLast(last)) return []
    const { call, deed, kind, path } = last
    const again = calls.find((other) => isAt({ ...last, call: call + 1 }, other))
    // One outage a place: behind it comes the next call that works.
    const before = schedule.some((fault) =>
      isOfCall(fault) && fault.kind === kind && fault.path === path && fault.lasting
    )
    // Process after process would die of it.
    const kills = (deed === "hangs" || deed === "late") && kind === "action" && again?.step.timeoutMillis === undefined
    return again !== undefined && !before && !kills ? [[...schedule.slice(0, -1), { ...last, lasting: true }]] : []
  }

  /** The faults that can happen behind the last one. */
  #further(schedule: Schedule, harness: Harness): ReadonlyArray<Fault> {
    const last = schedule.at(-1)
    const after = last === undefined ? -1 : tickOf(last, harness)
    const at = harness.calls.filter((call) => call.beganAt > after && call.fault === undefined)
    const faults: Array<Fault> = []
    for (const call of at) faults.push(...faultsOf(call, harness.samplesOf(call.step)))
    for (const [index, tick] of harness.writes.entries()) {
      if (tick <= after) continue
      for (const deed of crashes) {
        faults.push({ kind: "journal", write: index + 1, deed })
      }
    }
    for (const [index, tick] of harness.published.entries()) {
      if (tick > after) { for (const deed of deliveries) faults.push({ kind: "event", event: index + 1, deed }) }
    }
    return faults
  }

  /** The place of a fault as options name it. */
  #nameAt(fault: Fault): string {
    if (!isOfCall(fault)) return fault.kind
    return nameOf({ kind: fault.kind, path: this.#placeOf(fault.path)?.pattern ?? fault.path })
  }

  /** Not more than may be run: as many as that, evenly spread. */
  #few(schedules: ReadonlyArray<Schedule>): Array<Schedule> {
    const room = Math.max(0, this.#bounds.limit - this.#runs)
    if (schedules.length <= room) return [...schedules]
    this.#skipped += schedules.length - room
    return Array.from({ length: room }, (_, index) => schedules[Math.floor(index * schedules.length / room)]!)
  }

  #see({ calls, injected }: Harness): void {
    for (const { kind, path, step } of calls) {
      const place = this.#placeOf(path)
      if (place === undefined) continue
      const key = `${kind} ${place.pattern}`
      const tried = this.#tried.get(key) ?? new Set()
      this.#tried.set(key, tried)
      if (kind === "action" && !isCut(step)) this.#unbounded.add(place.pattern)
    }
    for (const fault of injected) {
      if (fault.kind === "journal") this.#crashes.add(format([fault]))
      else if (fault.kind === "event") this.#deliveries.add(format([fault]))
      else {
        const { pattern } = this.#placeOf(fault.path)!
        this.#tried.get(`${fault.kind} ${pattern}`)!.add(`${fault.deed} ${fault.error} ${fault.lasting}`)
      }
    }
  }

  // ------------------------------------------------------------------------------------------- at random

  #random(program: number): Effect.Effect<void, SearchError> {
    return Effect.gen({ self: this }, function*() {
      const { payloads, seed } = this.#bounds
      const payload = payloads[program % payloads.length]
      const plan: Plan = drawing(seed + program)
      const verdict = yield* this.#lab.run(plan, payload)
      const { injected } = verdict.harness
      this.#see(verdict.harness)
      if ((yield* this.#broken(verdict, injected, payload)) === undefined) {
        this.#ended[verdict.state!.status as Explored["status"]]++
        return
      }
      yield* this.#shrink(injected, payload)
      // None of the shorter ones is reached as it was, so that this is the shortest.
      yield* this.#judge(verdict, injected, payload)
    })
  }

  /** Fails with a schedule from which nothing can be left out. */
  #shrink(schedule: Schedule, payload: unknown): Effect.Effect<void, SearchError> {
    return Effect.gen({ self: this }, function*() {
      let shortest = schedule
      for (let index = 0; index < shortest.length;) {
        const shorter = shortest.filter((_, other) => other !== index)
        const verdict = yield* this.#lab.run(planOf(shorter), payload)
        if ((yield* this.#broken(verdict, shorter, payload)) === undefined) index++
        else shortest = shorter
      }
      yield* this.one(shortest, payload)
    })
  }

  // ------------------------------------------------------------------------------------------- the report

  #report(): Effect.Effect<Report, PlacesUnreached> {
    const { depth, named, programs, unreachable, wanted } = this.#bounds
    const { saga } = this.#lab.definition
    const places = callsIn(this.#places).map((place) => ({
      ...place,
      faults: this.#tried.get(`${place.kind} ${place.path}`)?.size ?? 0
    }))
    const missing = depth === 0 ? [] : places.filter(({ faults, kind, path }) => {
      const name = nameOf({ kind, path })
      if (!wanted(name) || unreachable.includes(name)) return false
      // What was asked for by name has to be tried; of all others it is enough that they were come to.
      return !this.#tried.has(`${kind} ${path}`) || named !== undefined && faults === 0
    })
    const names = missing.map(nameOf)
    if (depth > 0 && named?.includes("event") === true && this.#deliveries.size === 0) names.push("event")
    if (names.length > 0) {
      return Effect.fail(new PlacesUnreached({ saga, places: names, skipped: this.#skipped }))
    }
    const report = {
      saga,
      places: places.filter(({ kind, path }) => this.#tried.has(`${kind} ${path}`)),
      schedules: this.#schedules,
      crashes: this.#crashes.size,
      deliveries: this.#deliveries.size,
      random: programs,
      skipped: this.#skipped,
      ended: this.#ended,
      unbounded: Array.from(this.#unbounded),
      unreachable
    }
    return Effect.succeed({ ...report, text: textOf(report) })
  }
}

/** What is wrong with a run in which nothing was made to go wrong: it may fail by an error that a step declares, and not die. */
const failsAlone = ({ state }: Verdict): Verdict["broken"] => {
  const invariant = "without a fault nothing dies"
  if (state?.status === "Stuck") return { invariant, problem: "it is parked for a person" }
  const defect = state?.cause?.reasons.find(Cause.isDieReason)
  return defect === undefined ? undefined : { invariant, problem: `it died by itself: ${String(defect.defect)}` }
}

/** When a fault happened. */
const tickOf = (fault: Fault, { calls, published, writes }: Harness): number =>
  fault.kind === "journal"
    ? writes[fault.write - 1] ?? Infinity
    : fault.kind === "event"
    ? published[fault.event - 1] ?? Infinity
    : calls.find((call) => isAt(fault, call))?.beganAt ?? Infinity

const isAt = (fault: CallFault, { call, kind, path }: SeenCall): boolean =>
  kind === fault.kind && path === fault.path && call === fault.call

/** Whether a fault is the same thing in a fiber as on an engine. */
const isTheSameInAFiber = (fault: Fault, calls: ReadonlyArray<SeenCall>): boolean => {
  if (fault.kind === "event") return true
  if (fault.kind === "journal" || fault.deed.startsWith("interrupted")) return false
  const hangs = fault.deed === "hangs" || fault.deed === "late"
  // What no limit cuts ends with the patience of the caller there, and with the process here.
  return !hangs || fault.kind === "compensation" ||
    calls.find((call) => isAt(fault, call))?.step.timeoutMillis !== undefined
}

/** How a run ended, in text that can be compared. */
const endOf = ({ calls, state }: Verdict): string => {
  const steps = Array.from(
    state?.steps ?? [],
    ([path, { attempts, compensationAttempts, status }]) => `${path}: ${status} ${attempts} ${compensationAttempts}`
  ).sort()
  const called = calls.map(({ applied, call, kind, path }) => `${kind} ${path} ${call} ${applied}`).sort()
  return [state?.status ?? "no state", ...steps, ...called].join("\n")
}
