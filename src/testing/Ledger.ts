/**
 * A strict ledger for fakes: it behaves as a good participant does, which knows what it did by key, and it remembers
 * whatever no participant should have been asked for. It never fails the one who asks; who judges asks it for violations.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { AnySaga } from "../SagaValue.ts"
import { definition } from "../SagaValue.ts"
import type { StepPath } from "../StepPath.ts"
import { CurrentStep } from "./internal/current.ts"
import { orderIn } from "./internal/order.ts"

/**
 * A step took effect under two keys, and the first effect still stands: its action was repeated with another key.
 *
 * @category errors
 * @since 0.1.0
 */
export class AppliedTwice extends Data.TaggedError("AppliedTwice")<{
  readonly step: StepPath
  readonly key: string
  readonly firstKey: string
}> {
  override get message(): string {
    return `"${this.step}" took effect under "${this.key}", and still stands under "${this.firstKey}": every attempt has to hand on the idempotencyKey of its context`
  }
}

/**
 * One key stands for two steps, so that a participant takes the second for a repetition of the first.
 *
 * @category errors
 * @since 0.1.0
 */
export class KeyShared extends Data.TaggedError("KeyShared")<{
  readonly step: StepPath
  readonly key: string
  readonly firstStep: StepPath
}> {
  override get message(): string {
    return `"${this.step}" came with the key "${this.key}" of "${this.firstStep}": each step has a key of its own in its context`
  }
}

/**
 * Something was undone that was never there. What may not have happened is undone by `cancel`.
 *
 * @category errors
 * @since 0.1.0
 */
export class UndoneWhenAbsent extends Data.TaggedError("UndoneWhenAbsent")<{
  readonly step: StepPath
  readonly key: string
}> {
  override get message(): string {
    return `"${this.step}" was undone under "${this.key}", and nothing took effect under that key: undo what was done, by the actionKey of the context`
  }
}

/**
 * Something was undone while a step stood that came after it.
 *
 * @category errors
 * @since 0.1.0
 */
export class UndoneOutOfOrder extends Data.TaggedError("UndoneOutOfOrder")<{
  readonly step: StepPath
  readonly key: string
  /** What should have been undone first. */
  readonly standing: StepPath
}> {
  override get message(): string {
    return `"${this.step}" was undone under "${this.key}" while "${this.standing}" stood, which came after it`
  }
}

/**
 * Something stands that should not: the saga was undone, and nobody reported the step as uncertain.
 *
 * @category errors
 * @since 0.1.0
 */
export class LeftOver extends Data.TaggedError("LeftOver")<{
  readonly step: StepPath
  readonly key: string
  readonly value: unknown
}> {
  override get message(): string {
    return `"${this.step}" is left over under "${this.key}": its compensation did not undo it`
  }
}

/**
 * What no participant should be asked for.
 *
 * @category errors
 * @since 0.1.0
 */
export type LedgerViolation = AppliedTwice | KeyShared | UndoneWhenAbsent | UndoneOutOfOrder | LeftOver

/**
 * What took effect and stands.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  readonly step: StepPath
  readonly key: string
  readonly value: unknown
}

/**
 * What a ledger promises. No operation of a participant fails, and each is one step that nothing interrupts.
 *
 * @category models
 * @since 0.1.0
 */
export interface LedgerService {
  /**
   * Takes effect, once for each key. `true`: now or before under this key, and it stands. `false`: it was undone under this
   * key, so that it is refused. `step` is the path of the step, or what else you call it: `SagaTest.explore` tells a ledger at
   * which step it is called, so that one name may stand for several steps there. Elsewhere give each step its own.
   */
  readonly apply: (key: string, step: StepPath, value?: unknown) => Effect.Effect<boolean>
  /** Undoes what took effect under the key of an action. Again: nothing more happens. */
  readonly undo: (key: string, step: StepPath) => Effect.Effect<void>
  /**
   * Undoes what may have taken effect: where it did not, it leaves a mark, so that the action is refused that arrives
   * behind its compensation.
   */
  readonly cancel: (key: string, step: StepPath) => Effect.Effect<void>
  /** What stands, the oldest first. */
  readonly standing: Effect.Effect<ReadonlyArray<Entry>>
  /** Everything that should not have been asked for, the oldest first. */
  readonly violations: Effect.Effect<ReadonlyArray<LedgerViolation>>
  /** Fails with the first violation. */
  readonly check: Effect.Effect<void, LedgerViolation>
  /**
   * Fails with the first violation. One that stood in the way of nothing, because the saga itself has reported it as open
   * or uncertain, may stand while what came before it is undone.
   */
  readonly checkFor: (options: { readonly reported: ReadonlyArray<StepPath> }) => Effect.Effect<void, LedgerViolation>
  /**
   * Fails with the first violation, or with what is left over of a saga that was undone. What stands of a step that the
   * saga itself reported as uncertain is not, and what came before that may be undone.
   */
  readonly settled: (options?: { readonly uncertain?: ReadonlyArray<StepPath> }) => Effect.Effect<void, LedgerViolation>
}

/** What took effect, and at which step that was: it may be called what it likes. */
interface Booked extends Entry {
  readonly path: StepPath
}

class Books {
  readonly violations: Array<LedgerViolation> = []
  readonly #standing = new Map<string, Booked>()
  readonly #steps = new Map<string, Pick<Booked, "step" | "path">>()
  readonly #undone = new Set<string>()
  readonly #comesAfter: (other: StepPath, step: StepPath) => boolean

  constructor(comesAfter: (other: StepPath, step: StepPath) => boolean) {
    this.#comesAfter = comesAfter
  }

  get standing(): ReadonlyArray<Entry> {
    return this.#entries.map(({ key, step, value }) => ({ step, key, value }))
  }

  get #entries(): ReadonlyArray<Booked> {
    return Array.from(this.#standing.values())
  }

  apply(key: string, step: StepPath, path: StepPath, value: unknown): boolean {
    this.#know(key, step, path)
    if (this.#undone.has(key)) return false
    if (this.#standing.has(key)) return true
    const first = this.#entries.find((entry) => entry.path === path && entry.step === step)
    if (first !== undefined) this.violations.push(new AppliedTwice({ step, key, firstKey: first.key }))
    this.#standing.set(key, { step, path, key, value })
    return true
  }

  undo(key: string, step: StepPath, path: StepPath, isSure: boolean): void {
    this.#know(key, step, path)
    const entry = this.#standing.get(key)
    if (entry === undefined) {
      if (isSure && !this.#undone.has(key)) this.violations.push(new UndoneWhenAbsent({ step, key }))
    } else {
      const later = this.#entries.find((other) => other !== entry && this.#comesAfter(other.path, path))
      if (later !== undefined) {
        this.violations.push(new UndoneOutOfOrder({ step, key, standing: later.step }))
        this.#standsAt.set(this.violations.at(-1)!, later.path)
      }
      this.#standing.delete(key)
    }
    this.#undone.add(key)
  }

  /** The first violation that is one although these are reported. */
  violation(reported: ReadonlyArray<StepPath>): LedgerViolation | undefined {
    return this.violations.find((violation) =>
      violation._tag !== "UndoneOutOfOrder" || !reported.includes(this.#standsAt.get(violation) ?? violation.standing)
    )
  }
  readonly #standsAt = new Map<LedgerViolation, StepPath>()

  leftOver(uncertain: ReadonlyArray<StepPath>): LedgerViolation | undefined {
    const entry = this.#entries.find(({ path, step }) => !uncertain.includes(path) && !uncertain.includes(step))
    if (entry === undefined) return undefined
    const { key, step, value } = entry
    return new LeftOver({ step, key, value })
  }

  #know(key: string, step: StepPath, path: StepPath): void {
    const first = this.#steps.get(key) ?? { step, path }
    if (first.step !== step || first.path !== path) {
      const [own, other] = first.step === step ? [path, first.path] : [step, first.step]
      this.violations.push(new KeyShared({ step: own, key, firstStep: other }))
    }
    this.#steps.set(key, first)
  }
}

const serviceOf = (books: Books): LedgerService => {
  const settled: LedgerService["settled"] = ({ uncertain = [] } = {}) =>
    Effect.suspend(() => {
      const violation = books.violation(uncertain) ?? books.leftOver(uncertain)
      return violation === undefined ? Effect.void : Effect.fail(violation)
    })
  const checkFor: LedgerService["checkFor"] = ({ reported }) =>
    Effect.suspend(() => {
      const violation = books.violation(reported)
      return violation === undefined ? Effect.void : Effect.fail(violation)
    })
  /** Where nobody says at which step this is, it is what it is called. */
  const at = <A>(step: StepPath, use: (path: StepPath) => A) => Effect.map(CurrentStep, (path = step) => use(path))
  return {
    apply: (key, step, value) => at(step, (path) => books.apply(key, step, path, value)),
    undo: (key, step) => at(step, (path) => books.undo(key, step, path, true)),
    cancel: (key, step) => at(step, (path) => books.undo(key, step, path, false)),
    standing: Effect.sync(() => books.standing),
    violations: Effect.sync(() => [...books.violations]),
    check: checkFor({ reported: [] }),
    checkFor,
    settled
  }
}

/**
 * The ledger of the fakes of a test.
 *
 * **When to use**
 *
 * Use in the fakes of the services that a saga calls: what they do they enter, what is compensated they undo, each under
 * the key that they were given. `SagaTest.explore` finds it among the services, and has it balance after each run.
 *
 * **Gotchas**
 *
 * `undo` is strict: a compensation that runs although nobody knows whether its action took place (`whenUncertain:
 * "compensate"`) undoes by `cancel`.
 *
 * **Example** (A fake that is charged and refunded)
 *
 * ```ts
 * import { Ledger } from "effect-saga/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const ledger = yield* Ledger.Ledger
 *   yield* ledger.apply("order-1/charge", "charge", 500)
 *   yield* ledger.apply("order-1/charge", "charge", 500) // again, with the same key: nothing happens
 *   yield* ledger.apply("order-1/charge/fee", "fee", 30)
 *   yield* ledger.undo("order-1/charge", "charge")
 *   return yield* Effect.flip(ledger.settled())
 * })
 * const violation = Effect.runSync(Effect.provide(program, Ledger.layer))
 * violation.message // => "\"fee\" is left over under \"order-1/charge/fee\": its compensation did not undo it"
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class Ledger extends Context.Service<Ledger, LedgerService>()("effect-saga/testing/Ledger") {}

/**
 * A ledger with nothing in it, which does not know in which order things are to be undone.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Ledger> = Layer.sync(Ledger, () => serviceOf(new Books(() => false)))

/**
 * A ledger with nothing in it, for the steps of a saga: undone while a later step stands is a violation. What runs side by
 * side may be undone in any order, and so may what the definition does not know.
 *
 * **Example** (Undone in the wrong order)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Ledger } from "effect-saga/testing"
 * import { Effect, Schema } from "effect"
 *
 * const nothing = { action: () => Effect.void, compensation: () => Effect.void }
 * const trip = Saga.make("Trip", { payload: Schema.Void }).pipe(Saga.step("flight", nothing), Saga.step("hotel", nothing))
 * const program = Effect.gen(function*() {
 *   const ledger = yield* Ledger.Ledger
 *   yield* ledger.apply("1", "flight")
 *   yield* ledger.apply("2", "hotel")
 *   yield* ledger.undo("1", "flight")
 *   return yield* Effect.flip(ledger.check)
 * })
 * Effect.runSync(Effect.provide(program, Ledger.layerFor(trip)))._tag // => "UndoneOutOfOrder"
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFor = (saga: AnySaga): Layer.Layer<Ledger> => {
  const order = orderIn(definition(saga))
  return Layer.sync(Ledger, () => serviceOf(new Books((other, step) => order(other, step) === "after")))
}
