/**
 * Steps that do what a test wants: an action or a compensation that is replaced, or held at a gate until the test lets it
 * go on. They change what is called, never how the saga runs.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Schema from "effect/Schema"
import type { Call } from "../SagaIntercept.ts"
import { intercept } from "../SagaIntercept.ts"
import type { Phase, Saga } from "../SagaValue.ts"
import type { CompensationContext, StepContext } from "../StepContext.ts"
import type { StepPath } from "../StepPath.ts"
import { placed } from "./internal/places.ts"

/**
 * A stub gave what its step cannot give. A defect, so that the saga does not take it for something that happens.
 *
 * @category errors
 * @since 0.1.0
 */
export class StubInvalid extends Data.TaggedError("StubInvalid")<{
  readonly path: StepPath
  readonly problem: string
}> {
  override get message(): string {
    return `The stub of "${this.path}" ${this.problem}`
  }
}

/** What is told to what stands at a place. */
type ContextAt<N extends string> = N extends `~${string}` ? CompensationContext : StepContext

/** A place, where the saga knows by the name whether it has one: not behind its output, nor inside of another node. */
type Known<N extends string, S> = string extends N | keyof S ? unknown
  : S extends string ? unknown
  : N extends `${string}/${string}` ? unknown
  : N extends `~${infer Name}` ? Name extends keyof S ? unknown : `there is no step "${Name}"`
  : N extends keyof S ? unknown
  : `there is no step "${N}"`

/** What stands in for a result, where the saga knows by the name of the step what that has to be. */
type Fits<N extends string, S, A> = N extends keyof S
  ? [A] extends [S[N]] ? unknown : `the stub of "${N}" gives another result than its step`
  : Known<N, S>

/**
 * Replaces the action of a step, or with a `~` before the path its compensation.
 *
 * **When to use**
 *
 * Use in a test that needs one step to behave in one way, such as a payment that is declined. For everything that can go
 * wrong there is `SagaTest.explore`.
 *
 * **Details**
 *
 * The path of a step inside a `forEach` has the key of an item, for that item alone, or a `*` for all. What the stub gives
 * is checked: by the compiler where the step stands at the top of the saga, and by the schemas of the step when it runs,
 * errors too; what does not fit is a defect `StubInvalid`. A path without a step throws a `SagaDefinitionError`, and where
 * the step would stand at the top it does not compile.
 *
 * **Gotchas**
 *
 * The services of what is replaced are still required. A stub is called as often as the action would be. What is piped
 * later stands around what was piped before: pipe `hold` behind `stub`.
 *
 * **Example** (A declined payment)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { SagaTest } from "effect-saga/testing"
 * import { Effect, Schema } from "effect"
 *
 * const order = Saga.make("Order", { payload: Schema.Void }).pipe(
 *   Saga.step("seat", { success: Schema.String, action: () => Effect.succeed("1A"), compensation: () => Effect.void }),
 *   Saga.pivot("payment", { error: Schema.Literal("declined"), action: () => Effect.void })
 * )
 * const declined = order.pipe(SagaTest.stub("payment", () => Effect.fail("declined")))
 * Effect.runSync(Effect.flip(Saga.run(declined, undefined))) // => "declined"
 * ```
 *
 * @category doubles
 * @since 0.1.0
 */
export const stub = <const N extends string, A, E, R2>(
  place: N,
  action: (state: Readonly<Record<string, unknown>>, context: ContextAt<N>) => Effect.Effect<A, E, R2>
) =>
<P0, S, O, A0, E0, R, P extends Phase>(
  self: Saga<P0, S, O, A0, E0, R, P> & Fits<N, S, A>
): Saga<P0, S, O, A0, E0, R | R2, P> => {
  const isThere = placed(self, place)
  return intercept((call) =>
    // What is called at the place of a compensation has the context of one.
    isThere(call.kind, call.context.path)
      ? checked(call, Effect.suspend(() => action(call.state, call.context as ContextAt<N>)))
      : call.run
  )(self)
}

/** What a stub gives, if the step could have given it. */
const checked = <E, R>(
  { context: { path }, kind, step }: Call,
  effect: Effect.Effect<unknown, E, R>
): Effect.Effect<unknown, E, R> => {
  if (kind === "compensation") return effect
  const fits = (schema: Schema.Top | undefined, value: unknown) =>
    schema === undefined ? value === undefined : Schema.is(schema)(value)
  const invalid = (problem: string) => Effect.die(new StubInvalid({ path, problem }))
  return Effect.flatMap(Effect.exit(effect), (exit): Effect.Effect<unknown, E, R> => {
    if (Exit.isSuccess(exit)) {
      return fits(step.success, exit.value)
        ? exit
        : invalid("gives a result that does not match the schema of the step")
    }
    const typed = exit.cause.reasons.filter(Cause.isFailReason)
    return typed.every(({ error }) => step.error !== undefined && fits(step.error, error))
      ? exit
      : invalid("fails with an error that the step does not declare")
  })
}

/**
 * Holds calls until a test lets them go on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Gate {
  /** Waits until a call has come. */
  readonly reached: Effect.Effect<void>
  /** Lets go on who waits, and everyone who comes. */
  readonly open: Effect.Effect<void>
  /** How many calls have come so far. */
  readonly count: Effect.Effect<number>
  /** To be held: for fakes that hold something themselves. */
  readonly pass: Effect.Effect<void>
}

/**
 * Makes a gate, which is closed.
 *
 * @category doubles
 * @since 0.1.0
 */
export const gate: Effect.Effect<Gate> = Effect.sync(() => {
  const came = Latch.makeUnsafe(false)
  const opened = Latch.makeUnsafe(false)
  let count = 0
  return {
    reached: came.await,
    open: Effect.sync(() => void opened.openUnsafe()),
    count: Effect.sync(() => count),
    pass: Effect.suspend(() => {
      count++
      came.openUnsafe()
      return opened.await
    })
  }
})

/**
 * Holds the action of a step at a gate, or with a `~` before the path its compensation: before it has any effect, or, with
 * `behind`, between its effect and its answer.
 *
 * **Example** (Interrupting a saga in the middle of a step)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { SagaTest } from "effect-saga/testing"
 * import { Effect, Fiber, Schema } from "effect"
 *
 * const released: Array<string> = []
 * const order = Saga.make("Order", { payload: Schema.Void }).pipe(
 *   Saga.step("seat", {
 *     success: Schema.String,
 *     action: () => Effect.succeed("1A"),
 *     compensation: (seat) => Effect.sync(() => released.push(seat))
 *   }),
 *   Saga.check("funds", { action: () => Effect.void })
 * )
 * const program = Effect.gen(function*() {
 *   const gate = yield* SagaTest.gate
 *   const held = order.pipe(SagaTest.hold("funds", gate))
 *   const fiber = yield* Effect.forkChild(Saga.run(held, undefined))
 *   yield* gate.reached
 *   yield* Fiber.interrupt(fiber)
 * })
 * await Effect.runPromise(program)
 * released // => ["1A"]
 * ```
 *
 * @category doubles
 * @since 0.1.0
 */
export const hold =
  <const N extends string>(place: N, gate: Gate, options?: { readonly behind?: boolean }) =>
  <P0, S, O, A, E, R, P extends Phase>(
    self: Saga<P0, S, O, A, E, R, P> & Known<N, S>
  ): Saga<P0, S, O, A, E, R, P> => {
    const isThere = placed(self, place)
    const around = ({ run }: Call) =>
      options?.behind === true ? Effect.tap(run, () => gate.pass) : Effect.andThen(gate.pass, run)
    return intercept((call) => isThere(call.kind, call.context.path) ? around(call) : call.run)(self)
  }
