/**
 * An execution laid over the definition of its saga: what is done, what is in flight and since when, what is to come, and
 * what would be compensated if it were unwound now. It is read from facts and plain data alone, so that a person can look
 * at executions of sagas whose code is not at hand.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import { isTyped } from "./internal/cause.ts"
import type { Commit } from "./internal/engine/places.ts"
import { commitOf, definedAt } from "./internal/engine/places.ts"
import { limitedAt, timedOut } from "./internal/history.ts"
import { savePointsAround } from "./internal/paths.ts"
import { revise } from "./internal/revised.ts"
import type { UncertainReason } from "./SagaError.ts"
import type { SagaEvent } from "./SagaEvent.ts"
import type { Decision, StepState } from "./SagaState.ts"
import type { NodeDefinition, SagaDefinition } from "./SagaValue.ts"
import type { StepPath } from "./StepPath.ts"
import { escape } from "./StepPath.ts"

/**
 * Where a step stands in a plan.
 *
 * **Details**
 *
 * `InFlight`: its action has started, and its outcome is not known. `Waiting`: for its next attempt, or, a sleep, for
 * its time. `Compensating`: its compensation is tried, or waits for its next try. `ToCome`: it follows if nothing
 * fails. `MayCome`: only if its branch is chosen, if the first way of its `orElse` fails, or if a person decides so.
 * `NotTaken`: it does not come, or was cut: another branch was chosen, or the execution unwinds or has ended.
 *
 * @category models
 * @since 0.1.0
 */
export type PlannedStatus =
  | "Done"
  | "InFlight"
  | "Waiting"
  | "Failed"
  | "Uncertain"
  | "Compensating"
  | "Compensated"
  | "CompensationFailed"
  | "ToCome"
  | "MayCome"
  | "NotTaken"

/**
 * One step in a plan.
 *
 * @category models
 * @since 0.1.0
 */
export interface PlannedStep {
  /** As long as it is not decided which items a `forEach` has, a `*` stands for the key of each. */
  readonly path: StepPath
  readonly kind: "step" | "check" | "pivot" | "retriable" | "publish" | "sleep" | "awaitEvent" | "awaitFirst"
  readonly status: PlannedStatus
  /** When its action, or a wait, started. Undefined: it has not. */
  readonly startedAtMillis: number | undefined
  /** Since when it has its status; for an attempt in flight that follows others, since when that attempt was due. */
  readonly sinceMillis: number | undefined
  /** How many attempts of the action were begun, or, once that is compensated, how many tries of the compensation. */
  readonly attempts: number
  /** When the next attempt or try is due, or a wait ends. */
  readonly nextAtMillis: number | undefined
  /**
   * Why nobody knows whether the action took place, and what is done about it. Of a step that waits or is in flight again:
   * what becomes of it if no attempt follows that says more.
   */
  readonly uncertain: StepState["uncertain"]
}

/**
 * What happens if a person has an execution unwound now, by `cancel`, or by `compensate` when it is stuck.
 *
 * **Details**
 *
 * Of an execution that unwinds already it is what is left of that. Everything here is expected to go well: a
 * compensation that fails stops no other, and makes the execution stuck.
 *
 * **Gotchas**
 *
 * What is in flight is awaited, and compensated too if it succeeds: before everything that was done before it. If its
 * process dies meanwhile, its outcome is unknown.
 *
 * @category models
 * @since 0.1.0
 */
export interface PlannedUnwind {
  readonly allowed: boolean
  /** Why it is not allowed, or what stands in its way although it is. */
  readonly reason: string | undefined
  /**
   * In the order in which they are compensated: the last done first. The branches of a `parallel` and the items of a
   * `forEach` are undone side by side, as many at a time as they ran; here they stand one after the other, the last first.
   * What an `orElse` undoes on its own already comes before all others.
   */
  readonly compensated: ReadonlyArray<StepPath>
  /** Actions in flight, which are awaited first. Pauses between attempts are cut, but not those of a pivot. */
  readonly awaited: ReadonlyArray<StepPath>
  /** Steps of unknown outcome that are reported as such, unless their participants are asked and know. */
  readonly uncertain: ReadonlyArray<StepPath>
  /** What is done and stays so: it has no compensation, or that failed, or nothing is compensated any more. */
  readonly uncompensated: ReadonlyArray<StepPath>
}

/**
 * An execution laid over the definition of its saga.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExecutionPlan {
  /** In the order of the definition, with the items and branches that were decided. */
  readonly steps: ReadonlyArray<PlannedStep>
  /** Paths with facts for which this definition has no place: the saga was changed meanwhile. */
  readonly unplaced: ReadonlyArray<StepPath>
  /**
   * How far it has come through the point of no return: `Within` while the pivot runs or its outcome is unknown, `Behind`
   * when nothing is compensated any more.
   */
  readonly commit: "Before" | "Within" | "Behind"
  readonly ifUnwoundNow: PlannedUnwind
}

/**
 * Lays the facts of an execution over the definition of its saga.
 *
 * **When to use**
 *
 * Use for facts that were kept elsewhere, such as those of an observer; of an execution in a journal `plan` of an engine
 * says it.
 *
 * **Details**
 *
 * The facts are those of one execution, from its first. Values in them are not looked at: they may be encoded.
 * `nowMillis` tells an attempt that is due from one that is waited for. What a person has decided counts as if it had been
 * so from the beginning.
 *
 * **Example** (What a cancel would undo)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { planOf } from "effect-saga/SagaEngine"
 * import { Effect, Schema } from "effect"
 *
 * const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
 *   Saga.step("flight", { action: () => Effect.void, compensation: () => Effect.void }),
 *   Saga.step("hotel", { action: () => Effect.void, compensation: () => Effect.void })
 * )
 * const plan = planOf(
 *   Saga.definition(saga),
 *   [
 *     { _tag: "SagaStarted", atMillis: 0, saga: "Trip", version: 1, payload: null },
 *     { _tag: "StepStarted", atMillis: 1, path: "flight" },
 *     { _tag: "StepSucceeded", atMillis: 2, path: "flight", attempts: 1, result: null },
 *     { _tag: "StepStarted", atMillis: 3, path: "hotel" }
 *   ],
 *   10
 * )
 * plan.steps.map(({ path, status }) => `${path} ${status}`) // => ["flight Done", "hotel InFlight"]
 * plan.ifUnwoundNow.awaited // => ["hotel"]
 * plan.ifUnwoundNow.compensated // => ["flight"]
 * ```
 *
 * @category converting
 * @since 0.1.0
 */
export const planOf = (
  definition: SagaDefinition,
  facts: ReadonlyArray<SagaEvent>,
  nowMillis: number
): ExecutionPlan => {
  const revised = revise(facts)
  const account = new Account(definition)
  for (const fact of revised) account.add(fact)
  const commit = commitOf(definition, revised)
  const { placed, steps } = new Layout(definition, account, nowMillis)
  const unplaced = Array.from(account.steps.keys()).filter((path) => !placed.has(path))
  return { steps, unplaced, commit, ifUnwoundNow: unwindOf(steps, account, commit) }
}

// ------------------------------------------------------------------------------------------- what the facts say

/** What the facts say of one step. */
interface Standing {
  readonly status: Exclude<PlannedStatus, "ToCome" | "MayCome" | "NotTaken">
  readonly startedAtMillis: number | undefined
  readonly sinceMillis: number
  readonly attempts: number
  readonly nextAtMillis: number | undefined
  readonly reason: UncertainReason | undefined
  /** What is on record; before that the definition says it. */
  readonly whenUncertain: "report" | "compensate" | "stuck" | undefined
}

/** The facts, by path, and what follows from them for what has no facts. */
class Account {
  readonly steps = new Map<StepPath, Standing>()
  readonly decisions = new Map<StepPath, Decision>()
  /** The save-points in which nothing new starts: the whole saga, or the first way of an `orElse`. */
  readonly condemned = new Set<StepPath>()
  readonly unwinding = new Set<StepPath>()
  readonly fellBack = new Set<StepPath>()
  end: "Succeeded" | "Compensated" | "Abandoned" | undefined
  /** It waits for a person: compensations that failed are tried again when it is unwound. */
  stuck = false
  readonly #definition: SagaDefinition

  constructor(definition: SagaDefinition) {
    this.#definition = definition
  }

  /** A step of unknown outcome stands in the way of everything until a person has decided about it. */
  get parked(): boolean {
    for (const { status, whenUncertain } of this.steps.values()) {
      if (status === "Uncertain" && whenUncertain === "stuck") return true
    }
    return false
  }

  add(fact: SagaEvent): void {
    this.stuck = fact._tag === "SagaStuck"
    switch (fact._tag) {
      case "StepStarted":
        return this.#set(fact, { status: "InFlight", startedAtMillis: fact.atMillis, attempts: 1 })
      case "StepAttemptFailed": {
        const { attempt, nextAtMillis, path, reason = this.steps.get(path)?.reason } = fact
        return this.#set(fact, { status: "Waiting", attempts: attempt, nextAtMillis, reason })
      }
      case "StepSucceeded":
        return this.#set(fact, { status: "Done", attempts: fact.attempts, reason: undefined })
      case "StepFailed":
        this.#set(fact, { status: "Failed", attempts: fact.attempts, reason: undefined })
        // A retriable stops no other.
        if (definedAt(this.#definition, fact.path)?.kind === "retriable") return
        return this.#fail(fact.path, fact.cause, false)
      case "StepUncertain": {
        const { attempts, cause, path, reason, whenUncertain } = fact
        this.#set(fact, { status: "Uncertain", attempts, reason, whenUncertain })
        return this.#fail(path, cause, whenUncertain !== "compensate")
      }
      case "CompensationStarted":
        return this.#set(fact, { status: "Compensating", attempts: 1 })
      case "CompensationAttemptFailed": {
        const { attempt, nextAtMillis } = fact
        return this.#set(fact, { status: "Compensating", attempts: attempt, nextAtMillis })
      }
      case "CompensationSucceeded":
        return this.#set(fact, { status: "Compensated", attempts: fact.attempts })
      case "CompensationFailed":
        this.#set(fact, { status: "CompensationFailed", attempts: fact.attempts })
        // What cannot be undone alone leads to no other way.
        return this.#outward(fact.path, (scope) => this.unwinding.has(scope))
      case "TimerSet":
        return this.#set(fact, {
          status: "Waiting",
          startedAtMillis: fact.atMillis,
          attempts: 0,
          nextAtMillis: fact.fireAtMillis
        })
      case "EventAwaited":
        return this.#set(fact, {
          status: "Waiting",
          startedAtMillis: fact.atMillis,
          attempts: 0,
          nextAtMillis: fact.untilMillis
        })
      case "EventTimedOut":
        this.#set(fact, { status: fact.failed ? "Failed" : "Done" })
        if (fact.failed) this.#fail(fact.path, timedOut(fact).cause, false)
        return
      case "TimerFired":
      case "EventPublished":
      case "EventReceived":
        return this.#set(fact, { status: "Done" })
      case "BranchChosen":
      case "ItemsListed":
      case "NestedStarted":
        this.decisions.set(fact.path, fact)
        return
      case "LimitPassed":
        return this.#fail(limitedAt(fact.path), undefined, false)
      case "CancelRequested":
      case "UnwindRequested":
        this.condemned.add("")
        return
      case "UnwindStarted":
        this.unwinding.add(fact.scope)
        // It starts where nothing outside has failed, whatever stands in the cause: the answer of a participant may be in it.
        for (const outer of this.scopesOf(fact.scope)) this.condemned.delete(outer)
        this.condemned.add(fact.scope)
        return
      case "FellBack":
        this.fellBack.add(fact.path)
        return
      case "SagaSucceeded":
        this.end = "Succeeded"
        return
      case "SagaCompensated":
        this.end = "Compensated"
        return
      case "SagaAbandoned":
        this.end = "Abandoned"
    }
  }

  /** The save-points around a path, the innermost first. */
  scopesOf(path: StepPath): ReadonlyArray<StepPath> {
    return savePointsAround(path, (scope) => definedAt(this.#definition, scope)?.kind === "orElse")
  }

  /** Whether a path is in the first way of an `orElse` that is being undone alone. */
  isLocal(path: StepPath): boolean {
    return this.scopesOf(path).some((scope) => scope !== "" && this.unwinding.has(scope) && !this.fellBack.has(scope))
  }

  #set(
    { atMillis, path }: { readonly atMillis: number; readonly path: StepPath },
    change: Partial<Standing> & Pick<Standing, "status">
  ): void {
    const before = this.steps.get(path)
    this.steps.set(path, {
      startedAtMillis: before?.startedAtMillis,
      sinceMillis: atMillis,
      attempts: before?.attempts ?? 0,
      nextAtMillis: undefined,
      reason: before?.reason,
      whenUncertain: before?.whenUncertain,
      ...change
    })
  }

  /** A failure belongs to the innermost save-point; one that allows no other way there goes outward. */
  #fail(path: StepPath, cause: Cause.Cause<unknown> | undefined, open: boolean): void {
    const [scope] = this.scopesOf(path)
    const first = !this.condemned.has(scope!)
    this.condemned.add(scope!)
    const clean = cause === undefined || (first ? isTyped(cause) : !Cause.hasDies(cause))
    if (open || !clean) this.#outward(path, (inner) => inner === scope)
  }

  #outward(path: StepPath, from: (scope: StepPath) => boolean): void {
    const scopes = this.scopesOf(path)
    const start = scopes.findIndex(from)
    if (start !== -1) { for (const scope of scopes.slice(start + 1)) this.condemned.add(scope) }
  }
}

// ------------------------------------------------------------------------------------------- the steps

type Leaf = Extract<NodeDefinition, { readonly kind: PlannedStep["kind"] }>
type Nodes = ReadonlyArray<NodeDefinition>

/** What becomes of what has no facts. */
type Outlook = "ToCome" | "MayCome" | "NotTaken"

/** The steps in the order of the definition. */
class Layout {
  readonly steps: Array<PlannedStep> = []
  readonly placed = new Set<StepPath>()
  readonly #account: Account
  readonly #nowMillis: number
  /** What becomes of what was condemned. */
  readonly #halted: Outlook

  constructor(definition: SagaDefinition, account: Account, nowMillis: number) {
    this.#account = account
    this.#nowMillis = nowMillis
    this.#halted = account.end === undefined && account.parked ? "MayCome" : "NotTaken"
    const ended = account.end !== undefined || account.condemned.has("")
    this.#sequence(definition.nodes, "", ended ? this.#halted : "ToCome")
  }

  #sequence(nodes: Nodes, prefix: string, outlook: Outlook): void {
    for (const node of nodes) this.#node(node, prefix, outlook)
  }

  #node(node: NodeDefinition, prefix: string, outlook: Outlook): void {
    if (node.kind === "parallel") {
      for (const branch of node.branches) this.#sequence(branch, prefix, outlook)
      return
    }
    const path = prefix + node.name
    const decision = this.#account.decisions.get(path)
    switch (node.kind) {
      case "forEach": {
        const keys = decision?._tag === "ItemsListed" ? decision.keys.map(escape) : ["*"]
        for (const key of keys) this.#sequence(node.each, `${path}/${key}/`, outlook)
        return
      }
      case "when":
      case "match":
        for (const { nodes, tag } of node.cases) {
          const open = decision?._tag === "BranchChosen"
            ? decision.tag === tag ? outlook : "NotTaken"
            : perhaps(outlook)
          this.#sequence(nodes, node.kind === "when" ? `${path}/` : `${path}/${escape(tag)}/`, open)
        }
        return
      case "nested":
        return this.#sequence(node.saga.nodes, `${path}/`, outlook)
      case "orElse": {
        const condemned = this.#account.condemned.has(path)
        const start = this.steps.length
        this.#sequence(node.first, `${path}/first/`, condemned ? this.#halted : outlook)
        // What has failed in here is in the first way of an inner one, or all of this were condemned.
        const passed = this.steps.slice(start).every(({ status }) => over.has(status))
        const second = condemned ? outlook : passed ? "NotTaken" : perhaps(outlook)
        return this.#sequence(node.second, `${path}/second/`, second)
      }
      default:
        this.placed.add(path)
        this.steps.push(this.#step(node, path, outlook))
    }
  }

  #step(node: Leaf, path: StepPath, outlook: Outlook): PlannedStep {
    const { kind } = node
    const standing = this.#account.steps.get(path)
    const none = { startedAtMillis: undefined, sinceMillis: undefined, attempts: 0, nextAtMillis: undefined }
    if (standing === undefined) return { path, kind, status: outlook, ...none, uncertain: undefined }
    const { reason, whenUncertain, ...known } = standing
    // No fact tells of a wait that was cut.
    if (isWait(node) && known.status === "Waiting" && outlook !== "ToCome") {
      return { path, kind, ...known, status: outlook, nextAtMillis: undefined, uncertain: undefined }
    }
    const own = node.kind === "pivot" ? "stuck" : node.kind === "step" ? node.whenUncertain : undefined
    const when = whenUncertain ?? own
    const uncertain = reason === undefined || when === undefined ? undefined : { reason, whenUncertain: when }
    const due = known.nextAtMillis !== undefined && known.nextAtMillis <= this.#nowMillis && !isWait(node)
    if (!due) return { path, kind, ...known, uncertain }
    // Nothing is recorded when the next attempt starts.
    const { attempts, nextAtMillis, sinceMillis, startedAtMillis, status } = known
    return {
      path,
      kind,
      status: status === "Waiting" ? "InFlight" : status,
      startedAtMillis,
      sinceMillis: Math.max(sinceMillis, nextAtMillis!),
      attempts: attempts + 1,
      nextAtMillis: undefined,
      uncertain
    }
  }
}

/** How a step may stand in a first way that is done. */
const over: ReadonlySet<PlannedStatus> = new Set<PlannedStatus>(["Done", "NotTaken", "Failed", "Compensated"])

const perhaps = (outlook: Outlook): Outlook => outlook === "NotTaken" ? outlook : "MayCome"

// ------------------------------------------------------------------------------------------- the unwind

const unwindOf = (steps: ReadonlyArray<PlannedStep>, account: Account, commit: Commit): PlannedUnwind => {
  const { end } = account
  const open = end === undefined && commit !== "Behind"
  // A pause between two attempts is cut, and what is known of the action then is all that will be known.
  const isUnknown = ({ kind, status, uncertain }: PlannedStep) =>
    uncertain !== undefined && (status === "Uncertain" || open && kind === "step" && status === "Waiting")
  const stuck = steps.filter((step) =>
    isUnknown(step) && step.status === "Waiting" && step.uncertain?.whenUncertain === "stuck"
  )
  const due = open
    ? steps.filter((step) =>
      step.kind === "step" && (step.status === "Done" || step.status === "Compensating"
        || account.stuck && step.status === "CompensationFailed"
        || isUnknown(step) && step.uncertain?.whenUncertain === "compensate")
    ).reverse()
    : []
  const local = due.filter(({ path }) => account.isLocal(path))
  const alone = new Set(local)
  // A step of unknown outcome forbids all compensations but those that go on already.
  const compensated = stuck.length > 0 ? local : [...local, ...due.filter((step) => !alone.has(step))]
  const undone = new Set(compensated)
  const isAwaited = ({ kind, status }: PlannedStep) => status === "InFlight" || kind === "pivot" && status === "Waiting"
  return {
    ...permission(account, commit, stuck),
    compensated: pathsOf(compensated),
    awaited: open ? pathsOf(steps.filter(isAwaited)) : [],
    uncertain: pathsOf(steps.filter((step) => isUnknown(step) && step.uncertain?.whenUncertain !== "compensate")),
    uncompensated: pathsOf(
      steps.filter((step) =>
        isDoing(step) && (step.status === "Done" || step.status === "CompensationFailed") && !undone.has(step)
      )
    )
  }
}

/** Whether it only waits. */
const isWait = ({ kind }: Pick<PlannedStep, "kind">): boolean =>
  kind === "sleep" || kind === "awaitEvent" || kind === "awaitFirst"

/** Whether it does something that could be undone. */
const isDoing = (step: PlannedStep): boolean => step.kind !== "publish" && !isWait(step)

const pathsOf = (steps: ReadonlyArray<PlannedStep>): ReadonlyArray<StepPath> => steps.map(({ path }) => path)

const permission = (
  { condemned, end, parked, stuck: waits }: Account,
  commit: Commit,
  stuck: ReadonlyArray<PlannedStep>
): Pick<PlannedUnwind, "allowed" | "reason"> => {
  const refused = (reason: string) => ({ allowed: false, reason })
  if (end !== undefined) return refused(ends[end])
  if (commit === "Behind") return refused("it is past its commit point: nothing is compensated any more")
  if (condemned.has("") && !parked && !waits) return refused("it unwinds already")
  if (stuck.length > 0) {
    const names = pathsOf(stuck).map((path) => `"${path}"`).join(", ")
    return {
      allowed: true,
      reason: `the outcome of ${names} is unknown: until a person has decided nothing is compensated`
    }
  }
  const awaits = commit === "Within" && !parked
  return {
    allowed: true,
    reason: awaits ? "the pivot is awaited first, and if it succeeds there is no way back" : undefined
  }
}

const ends = {
  Succeeded: "it has succeeded",
  Compensated: "it is compensated",
  Abandoned: "it was abandoned"
} as const
