/**
 * Proving that a saga compensates: every fault at every place of its definition, then pairs of faults, then random
 * programs of them, each in a world of its own and in virtual time.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { EventBus } from "../EventBus.ts"
import type { SagaJournal } from "../SagaJournal.ts"
import type { Phase, Saga } from "../SagaValue.ts"
import type {
  Explored,
  FaultNotReached,
  NoSample,
  PlacesUnknown,
  PlacesUnreached,
  Report,
  SagaViolation
} from "./Exploration.ts"
import type { ScheduleInvalid } from "./Fault.ts"
import { parse } from "./Fault.ts"
import type { AnyRunnable } from "./internal/harness.ts"
import type { Subject } from "./internal/lab.ts"
import { open } from "./internal/lab.ts"
import type { Bounds } from "./internal/search.ts"
import { Search } from "./internal/search.ts"

/**
 * What is explored, and how far.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExploreOptions<P, R, R2> {
  /** What the saga is given. */
  readonly payload: P
  /** More payloads: where one alone does not lead to every branch. Each is explored by itself. */
  readonly payloads?: ReadonlyArray<P>
  /**
   * The services of its steps: fakes that behave as the real ones do. Built anew for each run. If there is a `Ledger`
   * among them, it has to balance. There is an `EventBus` around them: what they publish there comes to the saga, and may
   * come twice, late, or with its answer lost. With a `journal` they may not give one of their own, which no engine hears.
   */
  readonly services: Layer.Layer<Exclude<R, EventBus> | R2, unknown, EventBus>
  /** What has to hold when a run is over, however it ended: fails when it does not. An answer `false` is no failure, and refused. */
  readonly invariant?: (run: Explored<P>) => Effect.Effect<NoBoolean, unknown, R | R2>
  /**
   * Runs on a durable engine with this journal, built anew for each run: then its process also dies right before and
   * right behind each write to it, its engine closes there, and what can happen in a fiber too has to end as there.
   */
  readonly journal?: Layer.Layer<SagaJournal, unknown>
  /**
   * How many faults there are in one run at most.
   *
   * @default 2
   */
  readonly depth?: number
  /**
   * How many schedules are run at most. Where there are more, that many are taken, evenly spread; the report says how many
   * were left out.
   *
   * @default 20_000
   */
  readonly limit?: number
  /**
   * How many random programs of faults, of any length, are run beside.
   *
   * @default 0
   */
  readonly random?: number
  /**
   * The beginning of their random numbers.
   *
   * @default 1
   */
  readonly seed?: number
  /**
   * Where the last fault of a schedule may be: as in `payment`, `lines/*\/reserve`, `~hotel` for a compensation,
   * `journal` for the writes to it, and `event` for what the services publish.
   *
   * @default everywhere
   */
  readonly places?: ReadonlyArray<string>
  /** Places that none of the payloads leads to, as above. Without it they are an error, `PlacesUnreached`. */
  readonly unreachable?: ReadonlyArray<string>
}

/** What an invariant may give, and nobody looks at. (A `void` alone would let everything in: what gives more may stand there.) */
type NoBoolean = void | object | string | number | bigint | symbol | null | undefined

type ExploreError = SagaViolation | FaultNotReached | PlacesUnreached | PlacesUnknown | NoSample

/** What no exploration could go by ends the test that asked for it. */
const countOf = (option: string, value: number, least: number): number => {
  if (Number.isInteger(value) && value >= least) return value
  throw new RangeError(`The option "${option}" of an exploration is ${value}: give a whole number of ${least} or more`)
}

const boundsOf = <P, R, R2>(options: ExploreOptions<P, R, R2>): Bounds => {
  const { depth = 2, limit = 20_000, payload, payloads = [], places, random = 0, seed = 1, unreachable = [] } = options
  return {
    payloads: [payload, ...payloads],
    depth: countOf("depth", depth, 0),
    limit: countOf("limit", limit, 1),
    programs: countOf("random", random, 0),
    seed: countOf("seed", seed, Number.MIN_SAFE_INTEGER),
    unreachable,
    named: places,
    wanted: (place) => places === undefined || places.includes(place)
  }
}

const searchOf = <P, S, O, A, E, R, R2>(
  saga: Saga<P, S, O, A, E, R, Phase>,
  options: ExploreOptions<P, R, R2>
): Effect.Effect<Search, NoSample> =>
  Effect.suspend(() => {
    // The services of the saga and of the invariant are those that the layer builds: the types have checked that.
    const subject = {
      saga: saga as unknown as AnyRunnable,
      services: options.services,
      invariant: options.invariant,
      journal: options.journal
    } as Subject
    const bounds = boundsOf(options)
    return Effect.map(open(subject), (lab) => new Search(lab, bounds))
  })

/**
 * Runs a saga under every fault at every place, and under pairs of them, and judges each run.
 *
 * **When to use**
 *
 * Use in the tests of every saga. Without an invariant of yours it proves what effect-saga promises, for your saga with
 * your fakes; with a `Ledger` among the services it proves that they end where they began.
 *
 * **Details**
 *
 * The places are the actions and compensations of the definition; the faults are described at `Fault.Deed`, one for each
 * error that a step declares. First nothing goes wrong; then one fault at each place that was come to; then, up to
 * `depth`, one more behind each of these. So every schedule is reached, each once, the shortest first. Each run is in
 * virtual time, with services of its own.
 *
 * After each run these are checked: it ends, or is parked for a person; it has one outcome, and everyone who asks gets
 * it; its facts are legal; each step has one key; no action starts once the unwind has begun; a compensation is of what
 * was done, given what was recorded, in reverse; what succeeded stays; what was done is undone or reported; the ledger
 * balances; your invariant holds.
 *
 * It fails with the first `SagaViolation`, which has the shortest schedule, the timeline, and a line that repeats it.
 *
 * **Gotchas**
 *
 * Runs must be repeatable: state of the fakes belongs in the layer, time in Effect's clock, chance in `Random`. Fakes answer in
 * Effect's time: one that waits for the machine (a socket, a file, a timer of Node) is not waited for, and its run counts as
 * one in which nothing moves any more. A layer that cannot be built is a defect. A fake publishes events when it is called, or in a
 * fiber of its own, and not while its layer is built: there is no engine yet.
 *
 * **Example** (A saga of two steps)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { SagaTest } from "effect-saga/testing"
 * import { Effect, Layer, Schema } from "effect"
 *
 * const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
 *   Saga.step("seat", { action: () => Effect.void, compensation: () => Effect.void, whenUncertain: "compensate" }),
 *   Saga.check("funds", { error: Schema.Literal("no money"), action: () => Effect.void })
 * )
 * const report = await Effect.runPromise(SagaTest.explore(saga, { payload: undefined, services: Layer.empty }))
 * console.log(report.text)
 * ```
 *
 * ```text
 * Trip keeps its promises
 *   places      2 actions, 1 compensation: all reached
 *   faults      30 at these places
 *   schedules   1 of 0 faults, 17 of 1 fault, 204 of 2 faults
 *   ended       4 Succeeded, 143 Compensated, 75 Stuck
 * ```
 *
 * @category exploring
 * @since 0.1.0
 */
export const explore = <P, S, O, A, E, R, R2 = never>(
  saga: Saga<P, S, O, A, E, R, Phase>,
  options: ExploreOptions<P, R, R2>
): Effect.Effect<Report, ExploreError> => Effect.flatMap(searchOf(saga, options), (search) => search.all)

/**
 * Repeats one schedule of an exploration with the same options, from the line that a `SagaViolation` prints: with each of the
 * payloads that leads to where its faults are.
 *
 * **Example** (A compensation that forgets)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { SagaTest } from "effect-saga/testing"
 * import { Context, Effect, Layer, Ref, Schema } from "effect"
 *
 * class Seats extends Context.Service<Seats, Ref.Ref<number>>()("Seats") {
 *   static readonly layer = Layer.effect(Seats, Ref.make(0))
 * }
 * const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
 *   Saga.step("seats", {
 *     action: () => Seats.use((seats) => Ref.update(seats, (taken) => taken + 2)),
 *     compensation: () => Seats.use((seats) => Ref.update(seats, (taken) => taken - 1))
 *   }),
 *   Saga.check("funds", { error: Schema.Literal("no money"), action: () => Effect.void })
 * )
 * const again = SagaTest.replay(saga, "funds:fails(no%20money)", {
 *   payload: undefined,
 *   services: Seats.layer,
 *   invariant: ({ status }) =>
 *     Seats.use(Ref.get).pipe(
 *       Effect.flatMap((taken) => status === "Succeeded" || taken === 0 ? Effect.void : Effect.fail(`${taken} taken`))
 *     )
 * })
 * const violation = await Effect.runPromise(Effect.flip(again))
 * violation._tag // => "SagaViolation"
 * ```
 *
 * @category exploring
 * @since 0.1.0
 */
export const replay = <P, S, O, A, E, R, R2 = never>(
  saga: Saga<P, S, O, A, E, R, Phase>,
  schedule: string,
  options: ExploreOptions<P, R, R2>
): Effect.Effect<void, ExploreError | ScheduleInvalid> =>
  Effect.gen(function*() {
    const search = yield* searchOf(saga, options)
    const faults = parse(schedule)
    if (Result.isFailure(faults)) return yield* faults.failure
    yield* search.again(faults.success, schedule)
  })
