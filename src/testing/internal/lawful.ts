/** The laws of steps, and trying one of them at one step of one run. It chooses neither steps nor payloads. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Formatter from "effect/Formatter"
import type { Call, CalledStep } from "../../SagaIntercept.ts"

/** How a law was broken: the model before and after what should have changed nothing. */
export interface Broken {
  readonly _tag: "Broken"
  readonly problem: string
  readonly before: unknown
  readonly after: unknown
}

/** The action itself failed here, so that the law says nothing. */
export interface Unfit {
  readonly _tag: "Unfit"
  readonly cause: Cause.Cause<unknown>
}

/** What came of trying a law. */
export type Tried = { readonly _tag: "Kept" } | Unfit | Broken

/** A law was broken by something else than a change. */
export const broken = (problem: string): Broken => ({ _tag: "Broken", problem, before: undefined, after: undefined })

const why = (cause: Cause.Cause<unknown>): string => {
  const [error] = Cause.prettyErrors(cause)
  return error?.message || error?.name || "it was interrupted"
}

/** One try of a law at one call of an action. */
export class Trial {
  /** What goes on now: who finds that it does not end can say what. */
  doing = "what runs beside the step"
  readonly call: Call
  readonly #model: Effect.Effect<unknown, unknown>

  constructor(call: Call, model: Effect.Effect<unknown, unknown>) {
    this.call = call
    this.#model = model
  }

  /** Does the action, which has to succeed before a law says anything. */
  get act(): Effect.Effect<unknown, Unfit> {
    return this.#exitOf("the action", this.call.run, (cause): Unfit => ({ _tag: "Unfit", cause }))
  }

  get again(): Effect.Effect<unknown, Broken> {
    return this.#named("the second call", this.call.run)
  }

  /** Compensates what succeeded, as the saga would. */
  undo(what: string, result: unknown): Effect.Effect<unknown, Broken> {
    return this.undoAs(what, this.call.step.whenUncertain === "compensate" ? { _tag: "Succeeded", result } : result)
  }

  undoAs(what: string, given: unknown): Effect.Effect<unknown, Broken> {
    return this.#named(what, this.call.compensate!(given))
  }

  get model(): Effect.Effect<unknown, Broken> {
    return this.#named("the model", this.#model)
  }

  tries(law: LawName): Effect.Effect<Tried> {
    return Effect.matchCause(laws[law].attempt(this), {
      onSuccess: (): Tried => ({ _tag: "Kept" }),
      onFailure: (cause) => {
        const typed = cause.reasons.find(Cause.isFailReason)
        return typed === undefined ? broken(`what is there cannot be compared: ${why(cause)}`) : typed.error
      }
    })
  }

  #named(what: string, effect: Effect.Effect<unknown, unknown>): Effect.Effect<unknown, Broken> {
    return this.#exitOf(what, effect, (cause) => broken(`${what} fails: ${why(cause)}`))
  }

  #exitOf<E>(what: string, effect: Effect.Effect<unknown, unknown>, failed: (cause: Cause.Cause<unknown>) => E) {
    return Effect.suspend(() => {
      this.doing = what
      return Effect.catchCause(effect, (cause) => Effect.fail(failed(cause)))
    })
  }
}

interface Law {
  readonly appliesTo: (step: Pick<CalledStep, "kind" | "whenUncertain">, compensated: boolean) => boolean
  readonly attempt: (trial: Trial) => Effect.Effect<void, Broken | Unfit>
}

const same = (problem: string, before: unknown, after: unknown): Effect.Effect<void, Broken> =>
  Effect.suspend(() =>
    Equal.equals(before, after) ? Effect.void : Effect.fail({ _tag: "Broken", problem, before, after })
  )

/** Keeps the names. */
const lawsNamed = <Name extends string>(laws: Record<Name, Law>): Record<Name, Law> => laws

/** By their names. */
const table = lawsNamed({
  "doing it twice with one key is doing it once": {
    appliesTo: ({ kind }) => kind !== "check",
    attempt: (trial) =>
      Effect.gen(function*() {
        const first = yield* trial.act
        const before = yield* trial.model
        const second = yield* trial.again
        yield* same("the second call changed the model", before, yield* trial.model)
        yield* same("the second call gave another result", first, second)
      })
  },
  "undoing it leaves nothing": {
    appliesTo: (_, compensated) => compensated,
    attempt: (trial) =>
      Effect.gen(function*() {
        const before = yield* trial.model
        yield* trial.undo("the compensation", yield* trial.act)
        yield* same("something is left", before, yield* trial.model)
      })
  },
  "undoing it twice is undoing it once": {
    appliesTo: (_, compensated) => compensated,
    attempt: (trial) =>
      Effect.gen(function*() {
        const result = yield* trial.act
        yield* trial.undo("the compensation", result)
        const before = yield* trial.model
        yield* trial.undo("the second compensation", result)
        yield* same("the second compensation changed the model", before, yield* trial.model)
      })
  },
  "undoing what was never done does nothing": {
    // Others are never compensated unless their action has succeeded.
    appliesTo: ({ whenUncertain }, compensated) => compensated && whenUncertain === "compensate",
    attempt: (trial) =>
      Effect.gen(function*() {
        const before = yield* trial.model
        yield* trial.undoAs("the compensation", { _tag: "Unknown", reason: "ProcessLost" })
        yield* same("the compensation changed the model", before, yield* trial.model)
      })
  },
  "a check changes nothing": {
    appliesTo: ({ kind }) => kind === "check",
    attempt: (trial) =>
      Effect.gen(function*() {
        const before = yield* trial.model
        yield* trial.act
        yield* same("the check changed the model", before, yield* trial.model)
      })
  }
})

/** The name of a law. */
export type LawName = keyof typeof table

export const laws: Readonly<Record<LawName, Law>> = table

export const lawNames = Object.keys(table) as ReadonlyArray<LawName>

/** Where two models differ: a line for each part of them that is not the same. */
export const differences = (before: unknown, after: unknown, path = ""): ReadonlyArray<string> => {
  const [was, is] = [partsOf(before), partsOf(after)]
  const alike = was !== undefined && is !== undefined && Array.isArray(before) === Array.isArray(after)
  const keys = alike ? Array.from(new Set([...was.keys(), ...is.keys()])) : []
  const said = (parts: typeof was, key: string) => parts?.has(key) ? Formatter.format(parts.get(key)) : "nothing"
  const lines = keys.flatMap((key) => {
    const at = path === "" ? key : `${path}.${key}`
    const [one, other] = [was?.get(key), is?.get(key)]
    if (!was?.has(key) || !is?.has(key)) return [`${at}: ${said(was, key)}, then ${said(is, key)}`]
    return Equal.equals(one, other) ? [] : differences(one, other, at)
  })
  if (lines.length > 0) return lines
  return [`${path === "" ? "" : `${path}: `}${Formatter.format(before)}, then ${Formatter.format(after)}`]
}

/** The parts of a map, an array or a plain object by their keys; `undefined`: it is a value without parts. */
const partsOf = (value: unknown): ReadonlyMap<string, unknown> | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  if (value instanceof Map) return new Map(Array.from(value, ([key, part]) => [Formatter.format(key), part]))
  const isPlain = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype
  return isPlain ? new Map(Object.entries(value)) : undefined
}
