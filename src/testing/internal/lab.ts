/** Where one saga is run under plans, each time in a world of its own, and each run judged. It chooses no plan. */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { EventBus } from "../../EventBus.ts"
import { MemoryBus } from "../../events/index.ts"
import type { CalledStep } from "../../SagaIntercept.ts"
import { SagaJournal } from "../../SagaJournal.ts"
import type { SagaDefinition } from "../../SagaValue.ts"
import { definition as definitionOf, toTree } from "../../SagaValue.ts"
import type { Explored } from "../Exploration.ts"
import { NoSample } from "../Exploration.ts"
import type { Fault } from "../Fault.ts"
import { Ledger } from "../Ledger.ts"
import { RunBus } from "./bus.ts"
import type { AnyRunnable, Plan, Samples } from "./harness.ts"
import { Harness } from "./harness.ts"
import type { Broken, Judged } from "./invariants.ts"
import { brokenBy, reported, stateOf } from "./invariants.ts"
import { orderIn } from "./order.ts"
import { executionId, inFiber, onEngine } from "./runs.ts"
import type { Sample } from "./samples.ts"
import { samplesOf } from "./samples.ts"
import { World } from "./world.ts"

/** What is explored, with its types taken off. */
export interface Subject {
  readonly saga: AnyRunnable
  readonly services: Layer.Layer<never, unknown, EventBus>
  readonly invariant: ((run: Explored) => Effect.Effect<unknown, unknown>) | undefined
  /** The journal of the engine that it runs on; `undefined`: it runs in a fiber. */
  readonly journal: Layer.Layer<SagaJournal, unknown> | undefined
}

/** A run that was judged. */
export interface Verdict extends Judged {
  readonly harness: Harness
  readonly broken: Broken | undefined
  /** Why an invariant of the user's failed. */
  readonly cause: Cause.Cause<unknown> | undefined
}

export class Lab {
  readonly definition: SagaDefinition
  readonly #subject: Subject
  readonly #wrapped: AnyRunnable
  readonly #samples: Samples
  readonly #order: ReturnType<typeof orderIn>
  #twin: Lab | undefined

  constructor(subject: Subject, samples: Samples) {
    this.definition = definitionOf(subject.saga)
    this.#subject = subject
    this.#wrapped = Harness.wrap(subject.saga)
    this.#samples = samples
    this.#order = orderIn(this.definition)
  }

  /** The same saga in a fiber, where this one is on an engine. */
  get twin(): Lab | undefined {
    if (this.#subject.journal === undefined) return undefined
    return this.#twin ??= new Lab({ ...this.#subject, journal: undefined }, this.#samples)
  }

  /** Runs the saga under a plan, in a world of its own. */
  run(plan: Plan, payload: unknown): Effect.Effect<Verdict> {
    return World.use((world, build) => this.#run(plan, payload, world, build))
  }

  #run(
    plan: Plan,
    payload: unknown,
    world: World,
    build: <A>(layer: Layer.Layer<A, unknown>) => Effect.Effect<Context.Context<A>>
  ): Effect.Effect<Verdict> {
    const { journal, services } = this.#subject
    const saga = this.#wrapped
    return Effect.gen({ self: this }, function*() {
      const harness = new Harness(plan, this.#samples, world)
      const bus = new RunBus(world, harness, executionId)
      if (journal === undefined) {
        bus.attach(Context.get(yield* build(MemoryBus.layerWith({ keep: "Infinity" })), EventBus))
      }
      const own = yield* build(Layer.provide(services, Layer.succeed(EventBus, bus)))
      if (journal !== undefined && Context.getOrElse(own, EventBus, () => bus) !== bus) {
        return yield* Effect.die(new Error(deaf))
      }
      // Who brings a bus of his own keeps it.
      const context: Context.Context<never> = Context.merge(Context.make(EventBus, bus), own)
      const ran = journal === undefined
        ? yield* inFiber(saga, payload, context, world, harness)
        : yield* onEngine(saga, payload, context, Context.get(yield* build(journal), SagaJournal), world, harness, bus)
      const { calls, injected } = harness
      const judged: Judged = {
        ran,
        calls,
        durable: journal !== undefined,
        isFrozen: injected.some(({ deed }) => deed === "freeze"),
        stopped: injected.some(({ deed }) => stopping.has(deed)),
        order: this.#order,
        ...stateOf(ran.facts)
      }
      const broken = brokenBy(judged)
      if (broken !== undefined) return { ...judged, harness, broken, cause: undefined }
      const said = yield* this.#own(judged, harness, context, payload, world)
      return { ...judged, harness, ...said }
    })
  }

  /** What the ledger among the services says, then the invariant of the user. */
  #own(
    judged: Judged,
    { injected }: Harness,
    context: Context.Context<never>,
    payload: unknown,
    world: World
  ): Effect.Effect<Pick<Verdict, "broken" | "cause">> {
    const state = judged.state!
    const run: Explored = {
      payload,
      faults: injected,
      // The invariants have seen that it is one of these.
      status: state.status as Explored["status"],
      reported: Array.from(reported(judged.ran)),
      calls: judged.calls,
      facts: judged.ran.facts,
      state
    }
    const ledger = Context.getOption(context as Context.Context<Ledger>, Ledger)
    const { invariant } = this.#subject
    const checks: ReadonlyArray<readonly [name: string, check: Effect.Effect<unknown, unknown>]> = [
      ...(Option.isNone(ledger) ? [] : [["the ledger balances", ledgerOf(ledger.value, run)] as const]),
      ...(invariant === undefined
        ? []
        : [["your invariant", Effect.provideContext(Effect.suspend(() => invariant(run)), context)] as const])
    ]
    return Effect.gen(function*() {
      for (const [name, check] of checks) {
        const exit = yield* Effect.exit(world.aside(check, name))
        // The types refuse it; one that slipped through them must not pass for true.
        if (Exit.isSuccess(exit)) {
          if (exit.value !== false) continue
          return {
            broken: { invariant: name, problem: "it gives `false`: let it fail, and say why" },
            cause: undefined
          }
        }
        const [error] = Cause.prettyErrors(exit.cause)
        return { broken: { invariant: name, problem: error?.message ?? "it was interrupted" }, cause: exit.cause }
      }
      return { broken: undefined, cause: undefined }
    })
  }
}

/** What is said of a bus on which nothing comes to the saga. */
const deaf =
  "the layer of the services gives an EventBus of its own, and an engine hears only what is published on the engine: leave it out of the layer, an exploration gives one"

/** The deeds after which somebody stops waiting. */
const stopping: ReadonlySet<Fault["deed"]> = new Set(
  ["interrupted", "interrupted-late", "interrupted-done", "hangs", "late"] as const
)

/** What the strict ledger says of a run that ended like this. */
const ledgerOf = (ledger: Ledger["Service"], { reported, status }: Explored): Effect.Effect<void, unknown> =>
  status === "Compensated" ? ledger.settled({ uncertain: reported }) : ledger.checkFor({ reported })

/** Opens a lab, with a sample of each error that a step declares. */
export const open = (subject: Subject): Effect.Effect<Lab, NoSample> =>
  Effect.gen(function*() {
    const steps: Array<CalledStep> = []
    toTree(subject.saga).withSteps((step) => (steps.push(step), step))
    const samples = new Map<CalledStep["error"], ReadonlyArray<Sample>>()
    const saga = definitionOf(subject.saga).saga
    for (const { error, name } of steps) {
      if (error === undefined || samples.has(error)) continue
      const noSample = (cause: unknown) => new NoSample({ saga, what: `the errors of "${name}"`, cause })
      samples.set(error, yield* Effect.mapError(samplesOf(error), noSample))
    }
    return new Lab(subject, samples)
  })
