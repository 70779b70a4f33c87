/**
 * What is around the actions and compensations of one run: it keeps a book of their calls, and makes go wrong what its
 * plan says. It starts no run and judges none.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { SagaEvent } from "../../SagaEvent.ts"
import type { Call, CalledStep } from "../../SagaIntercept.ts"
import { intercept } from "../../SagaIntercept.ts"
import type { Phase, Saga } from "../../SagaValue.ts"
import type { StepPath } from "../../StepPath.ts"
import type { CallFault, CrashFault, Deed, EventFault, Fault } from "../Fault.ts"
import { CurrentStep } from "./current.ts"
import type { Sample } from "./samples.ts"
import type { World } from "./world.ts"

/** How many calls in a row a lasting fault breaks. */
const outage = 12

/** One call as it was seen. */
export interface SeenCall {
  readonly kind: "action" | "compensation"
  readonly path: StepPath
  /** Which call of this action or compensation it is, from 1. */
  readonly call: number
  readonly step: CalledStep
  /** The key of the action, and of the compensation itself. */
  readonly actionKey: string
  readonly key: string
  readonly given: unknown
  /** When it began and ended, counted in things that were seen. Not ended: it was cut, or its process died. */
  readonly beganAt: number
  endedAt: number | undefined
  /** How often what the saga itself does came to its end here. */
  applied: number
  fault: Fault | undefined
}

/** What can happen to a process around a write. */
export const crashes = ["crash-before", "crash-after", "freeze", "close"] as const

/** What can happen to an event that is published. */
export const deliveries = ["twice", "late", "lost"] as const

/** A process of the engine, or of the fiber. */
export class Process {
  dead = false
  /** It is taken for dead, and goes on. */
  frozen = false
  /** The engine is to close in good order. */
  closing = false
}

/** The process that an effect runs in. */
export const CurrentProcess = Context.Reference<Process>("effect-saga/testing/Process", {
  defaultValue: () => new Process()
})

/** Decides what goes wrong. */
export interface Plan {
  readonly onCall: (call: SeenCall, samples: ReadonlyArray<Sample>) => CallFault | undefined
  readonly onWrite: (write: number) => CrashFault | undefined
  readonly onEvent: (event: number) => EventFault | undefined
}

/** What can be an outage: what goes wrong again when it is tried again. */
export const canLast = ({ deed }: CallFault): boolean => deed !== "twice" && !deed.startsWith("interrupted")

/** Whether a fault breaks this call: the one that it names, or for an outage one of those that follow. */
export const breaks = (fault: CallFault, { call, kind, path }: SeenCall): boolean =>
  fault.kind === kind && fault.path === path &&
  (call === fault.call || fault.lasting && call > fault.call && call < fault.call + outage)

/** A plan that is written down. */
export const planOf = (schedule: ReadonlyArray<Fault>): Plan => ({
  onCall: (call) => {
    for (const fault of schedule) if (isOfCall(fault) && breaks(fault, call)) return fault
    return undefined
  },
  onWrite: (write) => {
    for (const fault of schedule) if (fault.kind === "journal" && fault.write === write) return fault
    return undefined
  },
  onEvent: (event) => {
    for (const fault of schedule) if (fault.kind === "event" && fault.event === event) return fault
    return undefined
  }
})

/** Whether a fault is one of an action or a compensation. */
export const isOfCall = (fault: Fault): fault is CallFault => fault.kind === "action" || fault.kind === "compensation"

/** What is thrown and lost on purpose: one for each text, because a stack is dear and of no use. */
const injected = (text: string): Error => {
  let error = errors.get(text)
  if (error === undefined) {
    error = new Error(text)
    error.name = "InjectedFault"
    errors.set(text, error)
  }
  return error
}
const errors = new Map<string, Error>()

/** The errors that steps declare, by the schema of their errors. */
export type Samples = ReadonlyMap<CalledStep["error"], ReadonlyArray<Sample>>

/** A saga with its types taken off. */
export type AnyRunnable = Saga<never, unknown, unknown, unknown, unknown, never, Phase>

/** The harness of the run that an effect is a part of. */
export const CurrentHarness = Context.Reference<Harness | undefined>("effect-saga/testing/Harness", {
  defaultValue: () => undefined
})

export class Harness {
  readonly calls: Array<SeenCall> = []
  /** What was done of the plan, in this order. */
  readonly injected: Array<Fault> = []
  /** The facts as they were told to an observer. */
  readonly told: Array<SagaEvent> = []
  /** How many batches were written to the journal, and when. */
  readonly writes: Array<number> = []
  /** The events that participants have published, by their ids, and when. */
  readonly published: Array<number> = []
  readonly eventIds: Array<string> = []
  /** Calls that never answer, with what would cut them. */
  readonly hanging = new Set<SeenCall>()
  /** Stops the saga as somebody from outside would. */
  stop = (): void => {}
  /** The actions behind whose success it is to be stopped. */
  readonly #stopsBehind = new Set<StepPath>()
  readonly #world: World
  readonly #plan: Plan
  readonly #samples: Samples
  readonly #counts = new Map<string, number>()

  constructor(plan: Plan, samples: Samples, world: World) {
    this.#world = world
    this.#plan = plan
    this.#samples = samples
  }

  /** The saga with the harness of its run around it. */
  static readonly wrap = (saga: AnyRunnable): AnyRunnable =>
    intercept((call) => Effect.flatMap(CurrentHarness, (harness) => harness!.#around(call)))(saga)

  /** The errors that a step declares. */
  samplesOf(step: CalledStep): ReadonlyArray<Sample> {
    return this.#samples.get(step.error) ?? []
  }

  /** Takes a fact that an observer was told. */
  tell(event: SagaEvent): void {
    this.told.push(event)
    this.#world.ticks++
    if (event._tag === "StepSucceeded" && this.#stopsBehind.delete(event.path)) this.stop()
  }

  /** A batch is about to be written: what happens to the process. */
  write(): CrashFault | undefined {
    this.writes.push(this.#world.ticks++)
    const fault = this.#plan.onWrite(this.writes.length)
    if (fault !== undefined) this.injected.push(fault)
    return fault
  }

  /** An event is published: what happens to it. */
  publish(id: string): EventFault | undefined {
    this.published.push(this.#world.ticks++)
    this.eventIds.push(id)
    const fault = this.#plan.onEvent(this.published.length)
    if (fault !== undefined) this.injected.push(fault)
    return fault
  }

  #around(call: Call): Effect.Effect<unknown, unknown> {
    return Effect.flatMap(CurrentProcess, (process) => {
      if (process.dead) return Effect.never
      const { kind } = call
      const called = kind === "verify" ? call.run : this.#called(kind, call, process)
      const done = Effect.provideService(called, CurrentStep, call.context.path)
      return Effect.flatMap(done, (result) => process.dead ? Effect.never : Effect.succeed(result))
    })
  }

  #called(kind: SeenCall["kind"], call: Call, process: Process): Effect.Effect<unknown, unknown> {
    const seen = this.#begin(kind, call)
    const act = Effect.map(call.run, (result) => {
      seen.applied++
      return result
    })
    const fault = this.#plan.onCall(seen, this.samplesOf(call.step))
    if (fault !== undefined) {
      seen.fault = fault
      if (!this.injected.includes(fault)) this.injected.push(fault)
    }
    const deed = fault === undefined ? act : this.#perform(fault, seen, call, act)
    return Effect.onExitPrimitive(deed, (exit) => {
      this.hanging.delete(seen)
      if (!process.dead && !(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))) {
        seen.endedAt = this.#world.ticks++
      }
      return undefined
    })
  }

  #begin(kind: SeenCall["kind"], { context, given, step }: Call): SeenCall {
    const { idempotencyKey: key, path } = context
    const place = `${kind} ${path}`
    const call = (this.#counts.get(place) ?? 0) + 1
    this.#counts.set(place, call)
    const actionKey = "actionKey" in context ? String(context.actionKey) : key
    const beganAt = this.#world.ticks++
    const seen: SeenCall = {
      kind,
      path,
      call,
      step,
      actionKey,
      key,
      given,
      beganAt,
      endedAt: undefined,
      applied: 0,
      fault: undefined
    }
    this.calls.push(seen)
    return seen
  }

  #perform(
    { deed, error }: CallFault,
    seen: SeenCall,
    { step }: Call,
    act: Effect.Effect<unknown, unknown>
  ): Effect.Effect<unknown, unknown> {
    const fail = Effect.suspend(() => {
      if (seen.kind === "compensation") return Effect.fail(injected(`the compensation of ${seen.path} fails`))
      const sample = this.samplesOf(step).find(({ name }) => name === error)
      return sample === undefined
        ? Effect.die(new Error(`"${seen.path}" declares no error "${error}"`))
        : Effect.fail(sample.error)
    })
    const die = Effect.die(injected(`${deed} ${seen.path}`))
    const hang = Effect.suspend(() => {
      this.hanging.add(seen)
      return Effect.never
    })
    const stop = Effect.sync(() => this.stop())
    const deeds: Record<Deed, Effect.Effect<unknown, unknown>> = {
      // Not at once, with an effect or without: what is to run beside it has started by then.
      "fails": Effect.andThen(Effect.sleep(1), fail),
      "fails-late": Effect.andThen(act, Effect.andThen(Effect.sleep(1), fail)),
      "dies": Effect.andThen(Effect.sleep(1), die),
      "lost": Effect.andThen(act, Effect.andThen(Effect.sleep(1), die)),
      "hangs": hang,
      "late": Effect.andThen(act, hang),
      // The wish takes a while to arrive.
      "interrupted": Effect.andThen(stop, Effect.andThen(Effect.sleep(1), act)),
      "interrupted-late": Effect.tap(act, () => stop),
      "interrupted-done": Effect.tap(act, () => Effect.sync(() => this.#stopsBehind.add(seen.path))),
      "twice": Effect.andThen(act, act)
    }
    return deeds[deed]
  }
}

/** What can go wrong in a call that nothing has gone wrong in. */
export const faultsOf = (
  { call, kind, path, step }: SeenCall,
  samples: ReadonlyArray<Sample>
): ReadonlyArray<CallFault> => {
  const fault = (deed: Deed, error?: string): CallFault => ({
    kind,
    path,
    call,
    deed,
    lasting: false,
    ...(error === undefined ? {} : { error })
  })
  // The errors of a compensation are declared nowhere.
  const failures = kind === "compensation" ? [fault("fails")] : [
    ...samples.map(({ name }) => fault("fails", name)),
    ...samples.filter(({ error }) => isUncertain(step, error)).map(({ name }) => fault("fails-late", name))
  ]
  const hangs = kind === "compensation" || isCut(step) ? [fault("hangs"), fault("late")] : []
  return [
    ...failures,
    fault("dies"),
    fault("lost"),
    ...hangs,
    fault("interrupted"),
    fault("interrupted-late"),
    ...kind === "action" ? [fault("interrupted-done")] : [],
    fault("twice")
  ]
}

/** Whether anything but the death of its process ends an action that never answers. */
export const isCut = (step: CalledStep): boolean => step.interruptible || step.timeoutMillis !== undefined

const isUncertain = (step: CalledStep, error: unknown): boolean => step.isUncertain?.(error) === true
