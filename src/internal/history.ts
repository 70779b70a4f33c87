/**
 * What the journal says of an execution that goes on: for each path what happened there, and for each save-point
 * whether its verdict is on record. It is read only; what it says has happened is not done again.
 */
import * as Cause from "effect/Cause"
import { ProcessLost, SagaCancelled } from "../ExecutionError.ts"
import type { Failure } from "../SagaError.ts"
import { EventTimedOut, SagaTimedOut } from "../SagaError.ts"
import type { SagaEvent } from "../SagaEvent.ts"
import type { StepPath } from "../StepPath.ts"
import { isTyped, toDefects } from "./cause.ts"
import { nodeAt, savePointsAround } from "./paths.ts"
import type { SagaTree } from "./tree.ts"

type Fact<Tag extends SagaEvent["_tag"]> = Extract<SagaEvent, { readonly _tag: Tag }>

/** The tries of an action or of a compensation, as far as they are on record. */
export interface PastTries<Attempt, End> {
  readonly failed: Array<Attempt>
  /** How many of them belong to a schedule that has ended: a person let it begin again. */
  before: number
  end: End | undefined
}

/** What happened at a step: it has started. */
export interface PastStep extends
  PastTries<
    Fact<"StepAttemptFailed">,
    Fact<"StepSucceeded" | "StepFailed" | "StepUncertain">
  >
{
  compensation:
    | PastTries<Fact<"CompensationAttemptFailed">, Fact<"CompensationSucceeded" | "CompensationFailed">>
    | undefined
}

/** What is on record of a wait for events. */
export interface PastAwait {
  readonly awaited: Fact<"EventAwaited">
  end: Fact<"EventReceived" | "EventTimedOut"> | undefined
}

/** Where the failure stands that is the limit of a saga at a path. */
export const limitedAt = (path: StepPath): StepPath => path === "" ? "" : `${path}/`

/** The failure that a wait is which was too long. */
export const timedOut = ({ events, limitMillis, path }: Fact<"EventTimedOut">): Failure => ({
  path,
  attempts: 1,
  cause: Cause.fail(new EventTimedOut({ path, events, limitMillis }))
})

/** The facts of an execution, by path. */
export class History {
  readonly startedAtMillis: number
  /** Whether nothing was in flight when its last owner gave it back. */
  readonly clean: boolean
  readonly steps = new Map<StepPath, PastStep>()
  readonly decisions = new Map<StepPath, Fact<"BranchChosen" | "ItemsListed" | "NestedStarted">>()
  readonly decidedAtMillis = new Map<StepPath, number>()
  readonly timers = new Map<StepPath, { readonly fireAtMillis: number; fired: boolean }>()
  /** The events that were awaited, and what came of it. */
  readonly awaits = new Map<StepPath, PastAwait>()
  /** Where an event was published. */
  readonly published = new Set<StepPath>()
  /** The ids of all events that were received: none of them is received again. */
  readonly received = new Set<string>()
  readonly unwinds = new Map<StepPath, Fact<"UnwindStarted">>()
  readonly fellBack = new Set<StepPath>()
  /** In which execution a result took place that this one has only taken over. */
  readonly keptFrom = new Map<StepPath, string>()
  /** Under which path a step has its keys that was renamed after it had started. */
  readonly keyedAs = new Map<StepPath, StepPath>()
  /** How far it has come through the point of no return. */
  commit: "Before" | "Within" | "Behind" = "Before"
  /** The first failure on record of each save-point: nothing new starts there. */
  readonly #verdicts = new Map<StepPath, Failure>()
  /** Every path with a fact at it or below. */
  readonly #touched = new Set<StepPath>()
  readonly #tree: SagaTree
  readonly #executionId: string

  constructor(tree: SagaTree, executionId: string, facts: ReadonlyArray<SagaEvent>, clean: boolean) {
    this.#tree = tree
    this.#executionId = executionId
    this.startedAtMillis = facts[0]?.atMillis ?? 0
    this.clean = clean
    for (const fact of facts) this.#add(fact)
  }

  /** The paths of the waits that go on. */
  *openWaits(): Generator<StepPath> {
    for (const [path, { end }] of this.awaits) if (end === undefined) yield path
  }

  touches(path: StepPath): boolean {
    return this.#touched.has(path)
  }

  /** What is on record as done and has a compensation. */
  *compensatable(): Generator<StepPath> {
    for (const [path, { end }] of this.steps) {
      const node = end?._tag === "StepSucceeded" ? nodeAt(this.#tree, path) : undefined
      if (node?._tag === "Step" && node.compensation !== undefined) yield path
    }
  }

  /** Why nobody knows what became of an action that was in flight. */
  lossOf(path: StepPath): Cause.Cause<never> {
    return Cause.die(new ProcessLost({ path }))
  }

  verdict(scope: StepPath): Failure | undefined {
    return this.#verdicts.get(scope)
  }

  #add(fact: SagaEvent): void {
    if ("path" in fact && fact._tag !== "LimitPassed") this.#touch(fact.path)
    switch (fact._tag) {
      case "StepStarted":
        this.#commits(fact.path, false)
        if (fact.keyedAs !== undefined) this.keyedAs.set(fact.path, fact.keyedAs)
        this.steps.set(fact.path, { failed: [], before: 0, end: undefined, compensation: undefined })
        return
      case "StepAttemptFailed":
        this.steps.get(fact.path)!.failed.push(fact)
        return
      case "StepSucceeded":
        this.steps.get(fact.path)!.end = fact
        if (fact.keptFrom !== undefined) this.keptFrom.set(fact.path, fact.keptFrom)
        return this.#commits(fact.path, true)
      case "StepFailed":
      case "StepUncertain": {
        const { attempts, cause, path } = fact
        this.steps.get(path)!.end = fact
        const node = nodeAt(this.#tree, path)
        // A retriable stops no other.
        if (node?._tag === "Step" && node.kind === "retriable") return
        const open = fact._tag === "StepUncertain" && fact.whenUncertain !== "compensate"
        return this.#fail({ path, attempts, cause }, open)
      }
      case "CompensationStarted":
        this.steps.get(fact.path)!.compensation = { failed: [], before: 0, end: undefined }
        return
      case "CompensationAttemptFailed":
        this.steps.get(fact.path)!.compensation!.failed.push(fact)
        return
      case "CompensationSucceeded":
        this.steps.get(fact.path)!.compensation!.end = fact
        return
      case "CompensationFailed":
        this.steps.get(fact.path)!.compensation!.end = fact
        // What cannot be undone alone leads to no other way.
        return this.#outward(fact.path, (scope) => this.unwinds.has(scope))
      case "BranchChosen":
      case "ItemsListed":
      case "NestedStarted":
        this.decisions.set(fact.path, fact)
        return
      case "TimerSet":
        this.timers.set(fact.path, { fireAtMillis: fact.fireAtMillis, fired: false })
        return
      case "TimerFired":
        this.timers.get(fact.path)!.fired = true
        return
      case "EventAwaited":
        this.awaits.set(fact.path, { awaited: fact, end: undefined })
        return
      case "EventReceived":
        this.awaits.get(fact.path)!.end = fact
        this.received.add(fact.eventId)
        return
      case "EventPublished":
        this.published.add(fact.path)
        return
      case "EventTimedOut": {
        this.awaits.get(fact.path)!.end = fact
        if (fact.failed) this.#fail(timedOut(fact), false)
        return
      }
      case "LimitPassed": {
        const { limitMillis, path, saga } = fact
        const cause = Cause.fail(new SagaTimedOut({ saga, limitMillis }))
        return this.#fail({ path: limitedAt(path), attempts: 1, cause }, false)
      }
      case "CancelRequested":
        return this.#judge("", { path: "", attempts: 1, cause: Cause.fail(this.#cancelled) })
      case "UnwindRequested":
        this.#beginAgain()
        return this.#judge("", { path: "", attempts: 1, cause: Cause.fail(this.#cancelled) })
      case "RetryRequested":
        return this.#beginAgain()
      case "UnwindStarted":
        this.unwinds.set(fact.scope, fact)
        // It unwinds alone: what looked as if it led outward did not.
        if (fact.scope !== "") { for (const outer of this.#scopesOf(fact.scope)) this.#verdicts.delete(outer) }
        return this.#judge(fact.scope, { path: fact.failed ?? "", attempts: 1, cause: fact.cause })
      case "FellBack":
        this.fellBack.add(fact.path)
        return
      case "SagaStarted":
      case "CancelRefused":
      case "SagaSucceeded":
      case "SagaCompensated":
      case "SagaStuck":
      case "SagaAbandoned":
      case "ResultsHandedOver":
      case "SagaMigrated":
      // What was skipped has become a success before it comes here.
      case "StepSkipped":
      case "CompensationSkipped":
        return
    }
  }

  /** Whatever is tried from here on has all its tries. */
  #beginAgain(): void {
    for (const step of this.steps.values()) {
      step.before = step.failed.length
      if (step.compensation !== undefined) step.compensation.before = step.compensation.failed.length
    }
  }

  get #cancelled(): SagaCancelled {
    return new SagaCancelled({ saga: this.#tree.definition.saga, executionId: this.#executionId })
  }

  #commits(path: StepPath, succeeded: boolean): void {
    const node = nodeAt(this.#tree, path)
    if (node?._tag !== "Step") return
    if (node.kind === "retriable" || node.kind === "pivot" && succeeded) this.commit = "Behind"
    else if (node.kind === "pivot") this.commit = "Within"
  }

  #touch(path: StepPath): void {
    for (let at = path; !this.#touched.has(at); at = at.slice(0, Math.max(0, at.lastIndexOf("/")))) {
      this.#touched.add(at)
      if (at === "") return
    }
  }

  /** A failure belongs to the innermost save-point; one that allows no other way there goes outward. */
  #fail(failure: Failure, open: boolean): void {
    const [scope] = this.#scopesOf(failure.path)
    const first = !this.#verdicts.has(scope!)
    this.#judge(scope!, failure)
    const clean = first ? isTyped(failure.cause) : !Cause.hasDies(failure.cause)
    if (open || !clean) this.#outward(failure.path, (inner) => inner === scope)
  }

  /** From the save-point at `from` there is no other way than outward: to all those around it. */
  #outward(path: StepPath, from: (scope: StepPath) => boolean): void {
    const scopes = this.#scopesOf(path)
    const start = scopes.findIndex(from)
    if (start === -1) return
    for (let index = start; index + 1 < scopes.length; index++) {
      const { cause } = this.#verdicts.get(scopes[index]!)!
      this.#judge(scopes[index + 1]!, { path: scopes[index]!, attempts: 1, cause: toDefects(cause) })
    }
  }

  /** The save-points around a path, the innermost first. */
  #scopesOf(path: StepPath): ReadonlyArray<StepPath> {
    return savePointsAround(path, (scope) => nodeAt(this.#tree, scope)?._tag === "OrElse")
  }

  #judge(scope: StepPath, failure: Failure): void {
    if (!this.#verdicts.has(scope)) this.#verdicts.set(scope, failure)
  }
}
