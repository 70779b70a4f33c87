/**
 * The laws that the participants of a saga have to keep, as properties over payloads that are generated from its schema:
 * what is done twice with one key is done once, what is undone is undone. No fault is made to happen here: that is `explore`.
 *
 * @since 0.1.0
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Formatter from "effect/Formatter"
import * as Latch from "effect/Latch"
import type * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { PayloadInvalid } from "../SagaError.ts"
import { intercept } from "../SagaIntercept.ts"
import type { Call } from "../SagaIntercept.ts"
import { outcome } from "../SagaRun.ts"
import type { Phase, Saga } from "../SagaValue.ts"
import { definition, toTree } from "../SagaValue.ts"
import type { StepPath } from "../StepPath.ts"
import { NoSample } from "./Exploration.ts"
import type { AnyRunnable } from "./internal/harness.ts"
import type { Broken, LawName, Tried } from "./internal/lawful.ts"
import { broken, differences, lawNames, laws as all, Trial } from "./internal/lawful.ts"
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
   * The payload of every run, or what generates payloads. One that breaks a law is made smaller if it was generated.
   *
   * @default payloads that are generated from the schema of the saga
   */
  readonly payload?: P | Arbitrary.Arbitrary<P>
  /** More payloads, each of which is tried once; or all of them, if there is no `payload`. */
  readonly payloads?: ReadonlyArray<P>
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
  /**
   * Repeats what a `LawBroken` has found, from its `replay`, with the same options. When that breaks no law any more, all is
   * checked as without it.
   */
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
  readonly laws: ReadonlyArray<{
    /** The path of the step, with `*` for the key of each item of a `forEach`. */
    readonly path: string
    readonly law: string
    readonly checked: number
    /** How often the action failed there, so that the law says nothing. */
    readonly failed: number
  }>
  /** The same for a person. */
  readonly text: string
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
    const lines = before === undefined && after === undefined ? [] : differences(before, after)
    const more = lines.length > shown ? [`and ${lines.length - shown} more`] : []
    return [
      `${saga}, step "${path}", breaks the law "${law}": ${problem}`,
      `  payload  ${Formatter.format(payload)}`,
      ...[...lines.slice(0, shown), ...more].map((line, index) => `  ${index === 0 ? "before" : "      "}   ${line}`),
      `  replay   SagaTest.laws(${saga}, { ...options, replay: ${JSON.stringify(replay)} })`
    ].join("\n")
  }
}

/** So many parts of a model that differ are said. */
const shown = 10

/**
 * Some laws were never checked: no payload led to their step, or its action failed each time.
 *
 * @category errors
 * @since 0.1.0
 */
export class LawsUnchecked extends Data.TaggedError("LawsUnchecked")<{
  readonly saga: string
  readonly unchecked: ReadonlyArray<{ readonly path: string; readonly law: string; readonly failed: number }>
}> {
  override get message(): string {
    const all = this.unchecked.map(({ failed, law, path }) =>
      `"${law}" of ${path}${failed === 0 ? "" : ` (its action failed ${times(failed)})`}`
    )
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
 * Use with the fakes that the other tests stand on: they answer in Effect's time. What waits for the machine, as a real
 * participant does, is not waited for, and counts as what never ends.
 *
 * **Details**
 *
 * For each law and step there is a run of its own, in virtual time and with services of its own, that goes up to the step,
 * waits for what runs beside it, tries the law there, and ends; every item of a `forEach` is such a step. The time limits of
 * the step and of the saga do not cut the try. Where the action fails nothing is said, and the run goes on to a retry; a
 * law that was never checked is an error. What two calls give, and the model before and after, are compared by Effect's
 * `Equal`.
 *
 * **Gotchas**
 *
 * Runs must be repeatable: state of the fakes belongs in the layer, time in Effect's clock, chance in `Random`. What breaks
 * several laws is told of the first one. What a participant does after it has answered is not seen here; `explore` with a
 * `Ledger` sees it. A layer that cannot be built is a defect, and so are a `replay` that is none and a payload that the saga
 * refuses.
 *
 * **Example** (A charge that is booked as often as it is asked for)
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
    const { payloads = [], replay, runs = 20, seed = 1, unreachable = [] } = options
    if (!(Number.isInteger(runs) && runs > 0)) {
      throw new RangeError(`The option "runs" of laws is ${runs}: give a whole number of 1 or more`)
    }
    if (replay !== undefined && Result.isFailure(readJson(replay))) {
      throw new RangeError(
        `The option "replay" of laws is ${JSON.stringify(replay)}: give the \`replay\` of a \`LawBroken\``
      )
    }
    // The services are those that the layer builds: the types have checked that.
    const bench = new Bench(
      saga as unknown as AnyRunnable,
      options.services as Layer.Layer<never, unknown>,
      options.model as Effect.Effect<unknown, unknown>
    )
    const { name } = bench
    const noPayload = (cause: unknown) => new NoSample({ saga: name, what: "the payload", cause })
    const given: Array<Arbitrary.Arbitrary<unknown>> = payloads.map((payload) => Arbitrary.Constant(payload))
    let generated: Arbitrary.Arbitrary<unknown> | undefined
    if ("payload" in options) {
      if (Arbitrary.isArbitrary(options.payload)) generated = options.payload
      else given.unshift(Arbitrary.Constant(options.payload))
    } else if (options.payloads === undefined) {
      generated = yield* Effect.try({
        try: (): Arbitrary.Arbitrary<unknown> => Arbitrary.schema(toTree(saga).definition.payload),
        catch: noPayload
      })
    }
    const check = (arbitrary: Arbitrary.Arbitrary<unknown>, replay: string | undefined) =>
      Effect.flatMap(
        Arbitrary.checkEffect(arbitrary, (payload) => Effect.as(bench.all(payload), true), {
          runs: arbitrary === generated ? runs : 1,
          seed,
          replay
        }),
        (found): Effect.Effect<void, LawBroken | NoSample> => {
          if (found._tag === "Exhausted") return Effect.fail(noPayload(found))
          if (found._tag !== "Falsified" || found.failure._tag !== "PropertyError") return Effect.void
          const { after, before, law, path, problem } = found.failure.error
          const [payload, replay] = [found.shrunkInput, found.replay]
          return Effect.fail(new LawBroken({ saga: name, law, path, payload, problem, before, after, replay }))
        }
      )
    const arbitraries = generated === undefined ? given : [...given, generated]
    for (const again of replay === undefined ? [undefined] : [replay, undefined]) {
      bench.clear()
      for (const arbitrary of arbitraries) yield* check(arbitrary, again)
    }
    const { laws } = bench
    const unchecked = laws.filter(({ checked, path }) => checked === 0 && !unreachable.includes(path))
      .map(({ failed, law, path }) => ({ path, law, failed }))
    if (unchecked.length > 0) return yield* new LawsUnchecked({ saga: name, unchecked })
    return { saga: name, laws, text: textOf(name, laws) }
  })

const readJson = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Unknown))

const times = (count: number): string => `${count} ${count === 1 ? "time" : "times"}`

const textOf = (saga: string, laws: LawReport["laws"]): string => {
  const width = (of: "path" | "law") => Math.max(0, ...laws.map((each) => each[of].length))
  const [paths, names] = [width("path"), width("law")]
  const lines = laws.map(({ checked, failed, law, path }) =>
    `  ${path.padEnd(paths)}  ${law.padEnd(names)}  ${times(checked)}${
      failed === 0 ? "" : `, and its action failed ${times(failed)}`
    }`
  )
  return [`${saga} keeps its laws`, ...lines].join("\n")
}

/** Where a law was broken. */
type Breach = Broken & { readonly law: LawName; readonly path: StepPath }

/** How often a law was tried at a step. */
interface Count {
  readonly path: string
  readonly law: LawName
  checked: number
  failed: number
}

/** Where laws are tried, and how often each was. */
class Bench {
  readonly name: string
  readonly #saga: AnyRunnable
  readonly #services: Layer.Layer<never, unknown>
  readonly #model: Effect.Effect<unknown, unknown>
  readonly #placeOf: ReturnType<typeof placeIn>
  readonly #counts: Map<string, Count>

  constructor(saga: AnyRunnable, services: Layer.Layer<never, unknown>, model: Effect.Effect<unknown, unknown>) {
    const shape = definition(saga)
    const places = placesOf(shape)
    this.name = shape.saga
    this.#saga = saga
    this.#services = services
    this.#model = model
    this.#placeOf = placeIn(places)
    this.#counts = new Map(
      places.flatMap(({ compensated, kind, pattern, whenUncertain }) =>
        lawNames.filter((law) => all[law].appliesTo({ kind, whenUncertain }, compensated))
          .map((law) => [`${pattern} ${law}`, { path: pattern, law, checked: 0, failed: 0 }] as const)
      )
    )
  }

  get laws(): ReadonlyArray<Count> {
    return Array.from(this.#counts.values(), (count) => ({ ...count }))
  }

  /** Forgets what was tried. */
  clear(): void {
    for (const count of this.#counts.values()) count.checked = count.failed = 0
  }

  /** Tries every law at every step that a payload leads to. */
  all(payload: unknown): Effect.Effect<void, Breach> {
    return Effect.gen({ self: this }, function*() {
      const paths = new Set<StepPath>()
      const note = ({ context }: Call) => paths.add(context.path)
      const exit = yield* this.#run(payload, (call) => Effect.andThen(Effect.sync(() => note(call)), call.run))
      const refused = exit?._tag === "Failure"
        ? exit.cause.reasons.filter(Cause.isDieReason).find(({ defect }) => defect instanceof PayloadInvalid)
        : undefined
      if (refused !== undefined) return yield* Effect.die(refused.defect)
      for (const path of paths) {
        const pattern = this.#placeOf(path)?.pattern
        for (const law of lawNames) {
          const count = this.#counts.get(`${pattern} ${law}`)
          if (count === undefined) continue
          const tried = yield* this.#attempt(payload, path, law)
          if (tried._tag === "Broken") return yield* Effect.fail({ ...tried, law, path })
          count[tried._tag === "Kept" ? "checked" : "failed"]++
        }
      }
    })
  }

  /** Runs the saga up to a step, and tries a law there while all else stands still. */
  #attempt(payload: unknown, path: StepPath, law: LawName): Effect.Effect<Tried> {
    let tried: Tried | undefined
    let trial: Trial | undefined
    // What runs beside the step would change the model: it ends before, or does not begin.
    const running = new Set<Call>()
    const gate = Latch.makeUnsafe(true)
    const quiet = Latch.makeUnsafe(true)
    const beside = (call: Call) =>
      gate.whenOpen(Effect.suspend(() => {
        running.add(call)
        quiet.closeUnsafe()
        return Effect.ensuring(
          call.run,
          Effect.sync(() => {
            running.delete(call)
            if (running.size === 0) quiet.openUnsafe()
          })
        )
      }))
    const here = (call: Call): Effect.Effect<unknown, unknown> => {
      const now = trial = new Trial(call, this.#model)
      gate.closeUnsafe()
      const ended = (end: Tried) => {
        tried = end
        trial = undefined
        gate.openUnsafe()
        return end._tag === "Unfit" ? Effect.failCause(end.cause) : Effect.die(over)
      }
      // No time limit around the action cuts the try. Limits inside it do: it has a fiber of its own.
      const alone = Effect.forkDetach(Effect.andThen(quiet.await, now.tries(law)), { startImmediately: true })
      return Effect.uninterruptible(Effect.flatMap(Effect.flatMap(alone, Fiber.join), ended))
    }
    const at = (call: Call): Effect.Effect<unknown, unknown> => {
      if (call.context.path !== path || call.kind !== "action") return beside(call)
      // Forward recovery would try again for ever.
      return tried === undefined || tried._tag === "Unfit" ? here(call) : Effect.never
    }
    return Effect.map(this.#run(payload, at), () => {
      if (trial === undefined) {
        return tried ?? broken("the same run did not come to the step again: runs must be repeatable")
      }
      // The saga would have cut it: it says nothing, as one that fails.
      const { call: { step }, doing } = trial
      return doing === "the action" && step.timeoutMillis !== undefined
        ? { _tag: "Unfit", cause: Cause.interrupt() }
        : broken(`${doing} has not ended, and nothing moves any more`)
    })
  }

  /** Runs the saga in a world of its own with this around its calls. */
  #run(
    payload: unknown,
    around: (call: Call) => Effect.Effect<unknown, unknown>
  ): Effect.Effect<Exit.Exit<unknown, unknown> | undefined> {
    const saga = intercept(around)(this.#saga)
    return World.use((world, build) =>
      Effect.flatMap(
        build(this.#services),
        (context) => world.drive(Effect.provideContext(outcome(saga, payload as never, { executionId }), context))
      )
    )
  }
}

/** Ends a run whose law has been tried. */
const over = new Error("the law has been tried")
