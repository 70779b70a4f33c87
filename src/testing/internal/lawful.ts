/** The laws of steps, and trying one of them at one step of one run. It chooses neither steps nor payloads. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import type { Call, CalledStep } from "../../SagaIntercept.ts"

/** How a law was broken: the model before and after what should have changed nothing. */
export interface Broken {
  readonly problem: string
  readonly before: unknown
  readonly after: unknown
}

/** What came of trying a law. `Unfit`: the action itself failed here, so that the law says nothing. */
export type Tried = "Kept" | "Unfit" | Broken

interface Law {
  readonly appliesTo: (step: Pick<CalledStep, "kind" | "whenUncertain">, compensated: boolean) => boolean
  readonly attempt: (call: Call, model: Effect.Effect<unknown, unknown>) => Effect.Effect<Tried, unknown>
}

const unchanged = (problem: string, before: unknown, after: unknown): Tried =>
  Equal.equals(before, after) ? "Kept" : { problem, before, after }

const why = (exit: Exit.Failure<unknown, unknown>): string => {
  const [error] = Cause.prettyErrors(exit.cause)
  return error?.message || error?.name || "it was interrupted"
}

/** Does the action, which has to succeed before a law says anything. */
const done = (
  { run }: Call,
  then: (result: unknown) => Effect.Effect<Tried, unknown>
): Effect.Effect<Tried, unknown> =>
  Effect.flatMap(Effect.exit(run), (exit) => Exit.isSuccess(exit) ? then(exit.value) : Effect.succeed<Tried>("Unfit"))

/** Compensates as the saga would. */
const undo = ({ compensate, step }: Call, result: unknown) =>
  Effect.exit(compensate!(step.whenUncertain === "compensate" ? { _tag: "Succeeded", result } : result))

/** A law was broken by what failed. */
export const failing = (what: string, exit: Exit.Failure<unknown, unknown>): Tried => ({
  problem: `${what} fails: ${why(exit)}`,
  before: undefined,
  after: undefined
})

/** Keeps the names. */
const lawsNamed = <Name extends string>(laws: Record<Name, Law>): Record<Name, Law> => laws

/** By their names. */
const table = lawsNamed({
  "doing it twice with one key is doing it once": {
    appliesTo: ({ kind }) => kind !== "check",
    attempt: (call, model) =>
      done(call, (first) =>
        Effect.gen(function*() {
          const before = yield* model
          const second = yield* Effect.exit(call.run)
          if (Exit.isFailure(second)) return failing("the second call", second)
          const after = yield* model
          const kept = unchanged("the second call changed the model", before, after)
          return kept === "Kept" ? unchanged("the second call gave another result", first, second.value) : kept
        }))
  },
  "undoing it leaves nothing": {
    appliesTo: (_, compensated) => compensated,
    attempt: (call, model) =>
      Effect.flatMap(model, (before) =>
        done(call, (result) =>
          Effect.gen(function*() {
            const undone = yield* undo(call, result)
            if (Exit.isFailure(undone)) return failing("the compensation", undone)
            return unchanged("something is left", before, yield* model)
          })))
  },
  "undoing it twice is undoing it once": {
    appliesTo: (_, compensated) => compensated,
    attempt: (call, model) =>
      done(call, (result) =>
        Effect.gen(function*() {
          const first = yield* undo(call, result)
          if (Exit.isFailure(first)) return failing("the compensation", first)
          const before = yield* model
          const second = yield* undo(call, result)
          if (Exit.isFailure(second)) return failing("the second compensation", second)
          return unchanged("the second compensation changed the model", before, yield* model)
        }))
  },
  "undoing what was never done does nothing": {
    // Others are never compensated unless their action has succeeded.
    appliesTo: ({ whenUncertain }, compensated) => compensated && whenUncertain === "compensate",
    attempt: ({ compensate }, model) =>
      Effect.gen(function*() {
        const before = yield* model
        const undone = yield* Effect.exit(compensate!({ _tag: "Unknown", reason: "ProcessLost" }))
        if (Exit.isFailure(undone)) return failing("the compensation", undone)
        return unchanged("the compensation changed the model", before, yield* model)
      })
  },
  "a check changes nothing": {
    appliesTo: ({ kind }) => kind === "check",
    attempt: (call, model) =>
      Effect.flatMap(
        model,
        (before) =>
          done(call, () => Effect.map(model, (after) => unchanged("the check changed the model", before, after)))
      )
  }
})

/** The name of a law. */
export type LawName = keyof typeof table

export const laws: Readonly<Record<LawName, Law>> = table

export const lawNames = Object.keys(table) as ReadonlyArray<LawName>
