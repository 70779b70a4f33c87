/**
 * The laws that the participants of a saga have to keep, as properties over payloads that are generated from its schema:
 * what is done twice with one key is done once, what is undone is undone.
 *
 * @since 0.1.0
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Formatter from "effect/Formatter"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import { intercept } from "../SagaIntercept.ts"
import type { Call } from "../SagaIntercept.ts"
import { outcome } from "../SagaRun.ts"
import type { Phase, Saga } from "../SagaValue.ts"
import { definition, toTree } from "../SagaValue.ts"
import type { StepPath } from "../StepPath.ts"
import { NoSample } from "./Exploration.ts"
import type { AnyRunnable } from "./internal/harness.ts"
import type { Broken, LawName, Tried } from "./internal/lawful.ts"
import { failing, lawNames, laws as all } from "./internal/lawful.ts"
import { placeIn, placesOf } from "./internal/places.ts"
import { executionId } from "./internal/runs.ts"
import { World } from "./internal/world.ts"

/**
 * What is checked, and how often.
 *
 * @category models
 * @since 0.1.0
 */
export interface LawOptions<P, R, R2, M> {
  /** The services of its steps, built anew for each run. */
  readonly services: Layer.Layer<R | R2, unknown>
  /** The state of the participants as plain data, which is compared by Effect's `Equal`. */
  readonly model: Effect.Effect<M, unknown, R | R2>
  /**
   * The payload of every run.
   *
   * @default payloads that are generated from the schema of the saga, and made smaller when one breaks a law
   */
  readonly payload?: P
  /**
   * How many payloads are generated.
   *
   * @default 20
   */
  readonly runs?: number
  /**
   * The beginning of the random numbers.
   *
   * @default 1
   */
  readonly seed?: number
  /** Repeats what a `LawBroken` has found, from its `replay`. */
  readonly replay?: string
  /** The steps whose laws need not be checked, by their paths, with `*` for the key of an item. */
  readonly unreachable?: ReadonlyArray<string>
}

/**
 * How often each law was checked at each step.
 *
 * @category models
 * @since 0.1.0
 */
export interface LawReport {
  readonly saga: string
  readonly checked: ReadonlyArray<{ readonly step: string; readonly law: string; readonly times: number }>
}

/**
 * A participant does not keep a law: which one, at which step, with the smallest payload that was found.
 *
 * @category errors
 * @since 0.1.0
 */
export class LawBroken extends Data.TaggedError("LawBroken")<{
  readonly saga: string
  readonly law: string
  readonly path: StepPath
  readonly payload: unknown
  readonly problem: string
  /** The model, or the result, before and after what should have changed nothing. */
  readonly before: unknown
  readonly after: unknown
  /** For the option `replay`. */
  readonly replay: string
}> {
  override get message(): string {
    const { after, before, law, path, payload, problem, replay, saga } = this
    const values = before === undefined && after === undefined
      ? []
      : [`  before   ${Formatter.format(before)}`, `  after    ${Formatter.format(after)}`]
    return [
      `${saga}, step "${path}", breaks the law "${law}": ${problem}`,
      `  payload  ${Formatter.format(payload)}`,
      ...values,
      `  replay   ${JSON.stringify(replay)}`
    ].join("\n")
  }
}

/**
 * Some laws were never checked: no payload led to their step, or its action failed each time.
 *
 * @category errors
 * @since 0.1.0
 */
export class LawsUnchecked extends Data.TaggedError("LawsUnchecked")<{
  readonly saga: string
  readonly unchecked: ReadonlyArray<{ readonly step: string; readonly law: string }>
}> {
  override get message(): string {
    const all = this.unchecked.map(({ law, step }) => `"${law}" of ${step}`)
    return `No run of ${this.saga} came to a success of the step of these laws: ${
      all.join(", ")
    }. Give a payload that does, fakes that succeed, or name the steps in \`unreachable\``
  }
}

/**
 * Checks the laws of every step: that doing it twice with one key is doing it once, that undoing it leaves nothing, that
 * undoing it twice is undoing it once, that undoing what was never done does nothing (where the step says
 * `whenUncertain: "compensate"`), and that a check changes nothing.
 *
 * **When to use**
 *
 * Use with the fakes that the other tests stand on, and with the real participants where there is a place to try them.
 *
 * **Details**
 *
 * For each law and step there is a run of its own, in virtual time and with services of its own, that goes up to the step,
 * tries the law there, and ends. Where the action fails nothing is said; a law that was never checked is an error.
 *
 * **Example** (A refund that forgets the fee)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { SagaTest } from "effect-saga/testing"
 * import { Context, Effect, Layer, Ref, Schema } from "effect"
 *
 * class Bank extends Context.Service<Bank, Ref.Ref<number>>()("Bank") {
 *   static readonly layer = Layer.effect(Bank, Ref.make(0))
 * }
 * const move = (cents: number) => Bank.use((bank) => Ref.update(bank, (balance) => balance + cents))
 * const pay = Saga.make("Pay", { payload: Schema.Struct({ cents: Schema.Int }) }).pipe(
 *   Saga.step("charge", {
 *     action: ({ payload }) => move(-payload.cents - 3),
 *     compensation: (_, { payload }) => move(payload.cents)
 *   })
 * )
 * const checked = SagaTest.laws(pay, { services: Bank.layer, model: Bank.use(Ref.get) })
 * const broken = await Effect.runPromise(Effect.flip(checked))
 * broken._tag === "LawBroken" ? [broken.law, broken.payload] : broken
 * // => ["doing it twice with one key is doing it once", { cents: 0 }]
 * ```
 *
 * @category laws
 * @since 0.1.0
 */
export const laws = <P, S, O, A, E, R, M, R2 = never>(
  saga: Saga<P, S, O, A, E, R, Phase>,
  options: LawOptions<P, R, R2, M>
): Effect.Effect<LawReport, LawBroken | LawsUnchecked | NoSample> =>
  Effect.gen(function*() {
    const { replay, runs = 20, seed = 1, unreachable = [] } = options
    // The services are those that the layer builds: the types have checked that.
    const bench = new Bench(
      saga as unknown as AnyRunnable,
      options.services as Layer.Layer<never, unknown>,
      options.model as Effect.Effect<unknown, unknown>
    )
    const { name } = bench
    const payloads = yield* "payload" in options
      ? Effect.succeed(Arbitrary.Constant<unknown>(options.payload))
      : Effect.try({
        try: () => Arbitrary.schema(toTree(saga).definition.payload) as Arbitrary.Arbitrary<unknown>,
        catch: (cause) => new NoSample({ saga: name, what: "the payload", cause })
      })
    const found = yield* Arbitrary.checkEffect(payloads, (payload) => Effect.as(bench.all(payload), true), {
      runs: "payload" in options ? 1 : runs,
      seed,
      replay
    })
    if (found._tag === "Falsified" && found.failure._tag === "PropertyError") {
      return yield* new LawBroken({
        saga: name,
        payload: found.shrunkInput,
        replay: found.replay,
        ...found.failure.error
      })
    }
    if (found._tag !== "Passed") return yield* new NoSample({ saga: name, what: "the payload", cause: found })
    const unchecked = bench.unchecked.filter(({ step }) => !unreachable.includes(step))
    if (unchecked.length > 0 && replay === undefined) return yield* new LawsUnchecked({ saga: name, unchecked })
    return { saga: name, checked: bench.checked }
  })

/** Where a law was broken. */
type Breach = Broken & { readonly law: LawName; readonly path: StepPath }

/** Where laws are tried, and how often each was. */
class Bench {
  readonly name: string
  readonly #saga: AnyRunnable
  readonly #services: Layer.Layer<never, unknown>
  readonly #model: Effect.Effect<unknown, unknown>
  readonly #placeOf: ReturnType<typeof placeIn>
  readonly #times: Map<string, { readonly step: string; readonly law: LawName; times: number }>

  constructor(saga: AnyRunnable, services: Layer.Layer<never, unknown>, model: Effect.Effect<unknown, unknown>) {
    const shape = definition(saga)
    const places = placesOf(shape)
    this.name = shape.saga
    this.#saga = saga
    this.#services = services
    this.#model = model
    this.#placeOf = placeIn(places)
    this.#times = new Map(
      places.flatMap(({ compensated, kind, pattern, whenUncertain }) =>
        lawNames.filter((law) => all[law].appliesTo({ kind, whenUncertain }, compensated))
          .map((law) => [`${pattern} ${law}`, { step: pattern, law, times: 0 }] as const)
      )
    )
  }

  get checked(): LawReport["checked"] {
    return Array.from(this.#times.values())
  }

  get unchecked(): ReadonlyArray<{ readonly step: string; readonly law: LawName }> {
    return Array.from(this.#times.values()).filter(({ times }) => times === 0)
  }

  /** Tries every law at every step that a payload leads to. */
  all(payload: unknown): Effect.Effect<void, Breach> {
    return Effect.gen({ self: this }, function*() {
      const paths = new Set<StepPath>()
      yield* this.#run(payload, (call) => Effect.andThen(Effect.sync(() => paths.add(call.context.path)), call.run))
      for (const path of paths) {
        const pattern = this.#placeOf(path)?.pattern
        for (const law of lawNames) {
          const count = this.#times.get(`${pattern} ${law}`)
          if (count === undefined) continue
          const tried = yield* this.#attempt(payload, path, law)
          if (tried === "Kept") count.times++
          else if (tried !== "Unfit") return yield* Effect.fail({ ...tried, law, path })
        }
      }
    })
  }

  #attempt(payload: unknown, path: StepPath, law: LawName): Effect.Effect<Tried> {
    let tried: Tried | undefined
    let isTrying = false
    const others = new Set<Call>()
    // What runs beside the step would change the model: it ends before, or does not begin.
    const alone = Effect.gen(function*() {
      while (others.size > 0) yield* Effect.sleep(1)
    })
    const beside = (call: Call) =>
      isTrying ? Effect.never : Effect.suspend(() => {
        others.add(call)
        return Effect.ensuring(call.run, Effect.sync(() => others.delete(call)))
      })
    const at = (call: Call): Effect.Effect<unknown, unknown> => {
      if (call.context.path !== path || isTrying) return beside(call)
      isTrying = true
      const attempt = Effect.andThen(alone, all[law].attempt(call, this.#model))
      return Effect.flatMap(Effect.exit(attempt), (exit) => {
        tried = Exit.isSuccess(exit) ? exit.value : failing("the model", exit)
        return Effect.die(over)
      })
    }
    return Effect.map(this.#run(payload, at), (exit) =>
      tried ?? {
        problem: exit === undefined
          ? "nothing moves any more, and the action or the compensation has not ended"
          : "the same run did not come to the step again: runs must be repeatable",
        before: undefined,
        after: undefined
      })
  }

  /** Runs the saga in a world of its own with this around its actions. */
  #run(
    payload: unknown,
    around: (call: Call) => Effect.Effect<unknown, unknown>
  ): Effect.Effect<Exit.Exit<unknown, unknown> | undefined> {
    const saga = intercept((call) => call.kind === "action" ? around(call) : call.run)(this.#saga)
    return Effect.flatMap(World.make, (world) =>
      Effect.acquireUseRelease(
        Scope.make(),
        (scope) => {
          const built = Effect.orDie(Layer.buildWithScope(Layer.fresh(this.#services), scope))
          const run = Effect.flatMap(built, (context: Context.Context<never>) =>
            Effect.provideContext(outcome(saga, payload as never, { executionId }), context))
          return world.drive(run)
        },
        (scope, exit) =>
          world.aside(Scope.close(scope, exit))
      )).pipe(Random.withSeed("effect-saga"))
  }
}

/** Ends a run whose law has been tried. */
const over = new Error("the law has been tried")
