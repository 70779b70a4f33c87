/**
 * A strict ledger: what the outside world saw of one run, steps that write into it, and what must hold after every run,
 * whatever its test is about. It never looks inside a saga that runs.
 */
import { assert, it } from "@effect/vitest"
import type { Scope } from "effect"
import { Cause, Clock, Effect, Exit, Fiber, HashMap, Result, Schedule, Schema } from "effect"
import type { SagaEvent, StepPath } from "effect-saga"
import { Saga, SagaObserver, SagaState } from "effect-saga"
import { TestClock } from "effect/testing"
import { Store, stores } from "./stores.ts"

/** How most sagas here begin. */
export const trip = Saga.make("Trip", { payload: Schema.Void })

type Body = (ledger: Ledger) => Effect.Effect<void, unknown, Scope.Scope>

interface Options {
  /** Whether it runs on engines too, or on those alone that commit at once. */
  readonly engine: boolean | "at once"
}

/** Options of a test of what not every engine does, and why. */
export const inFiber = {
  /** Interrupting who waits for an execution lets go of it, and changes nothing there. */
  interruption: { engine: false },
  /** The bus of an engine is there with it, and keeps for as long as that says. */
  bus: { engine: false },
  /** An engine refuses a payload by a typed error, before there is an execution. */
  payload: { engine: false },
  /** What an engine gives was written down and read back: it is equal, and not the same. */
  identity: { engine: false },
  /** What JSON cannot hold is an error of its own where there is a journal. */
  unrecordable: { engine: false },
  /** Where a commit takes time, branches are started by one, and go on in the order in which it is answered. */
  together: { engine: "at once" }
} satisfies Record<string, Options>

/** A test of a saga, run observed, when its facts are checked too, unobserved, when other code runs, and on an engine. */
export const saga = (name: string, body: Body, options: Options = { engine: true }): void => {
  it.effect(name, () => body(new Ledger()))
  it.effect(`${name} (unobserved)`, () => body(new Ledger({ observed: false })))
  for (const kind of stores) {
    if (options.engine === false || options.engine === "at once" && !kind.atOnce) continue
    it.effect(`${name} (${kind.name})`, () => {
      const store = new Store(kind)
      return store.onItsClock(body(new Ledger({ store })))
    })
  }
}

/** What a step does around its effect. Before `before` has ended nothing has happened, from then on all has. */
interface Around {
  readonly before?: (context: Saga.StepContext) => Effect.Effect<unknown, string>
  readonly after?: (context: Saga.StepContext) => Effect.Effect<unknown, string>
  /** What the compensation does before it undoes the effect. */
  readonly undo?: (context: Saga.CompensationContext) => Effect.Effect<unknown, unknown>
}

const nothing = () => Effect.void

/** Lets everything go on that can. */
export const settle = TestClock.adjust(0)

/** User code that throws. */
export const throwing = (): never => {
  throw new Error("boom")
}

export class Ledger {
  readonly observed: boolean
  /** On what kind of journal its runs are executed; undefined: each in a fiber. */
  readonly store: Store | undefined
  /** Every fact of the run, in order. */
  readonly facts: Array<SagaEvent> = []
  readonly #marks: Array<string> = []
  readonly #violations: Array<string> = []
  /** The idempotency key of everything that took effect, and the other way round. */
  readonly #keys = new Map<string, string>()
  readonly #owners = new Map<string, string>()
  readonly #inPlace = new Set<StepPath.StepPath>()

  constructor({ observed = true, store }: { readonly observed?: boolean; readonly store?: Store | undefined } = {}) {
    this.observed = observed
    this.store = store
  }

  /**
   * What happened, in order: `+a` took effect, `=a` was called again with its key, `!a` failed, `-a` was undone. A
   * compensation that was told of an unknown outcome says so, `-a?TimedOut`; `~a` had nothing to undo.
   */
  get text(): string {
    return this.#marks.join(" ")
  }

  /** What took effect and was not undone. */
  get inPlace(): ReadonlySet<StepPath.StepPath> {
    return this.#inPlace
  }

  /** The facts as text: tag and path. */
  get told(): ReadonlyArray<string> {
    return this.facts.map((fact) => "path" in fact ? `${fact._tag} ${fact.path}` : fact._tag)
  }

  mark(text: string): Effect.Effect<void> {
    return Effect.sync(() => void this.#marks.push(text))
  }

  /** A mark with the time. */
  stamp(text: string): Effect.Effect<void> {
    return Effect.flatMap(Clock.currentTimeMillis, (now) => this.mark(`${text}@${now}`))
  }

  // ------------------------------------------------------------------------------------------- steps

  /** An action that takes effect and returns its path, for what has no compensation. */
  action(around: Around = {}) {
    const { after = nothing, before = nothing } = around
    return {
      success: Schema.String,
      error: Schema.String,
      action: <S>(_: S, context: Saga.StepContext): Effect.Effect<string, string> =>
        Effect.suspend(() => before(context)).pipe(
          Effect.andThen(Effect.sync(() => this.#apply(context))),
          Effect.andThen(Effect.suspend(() => after(context))),
          Effect.as(context.path),
          Effect.tapError(() => this.mark(`!${context.path}`))
        )
    }
  }

  /** An action and what undoes it. */
  step(around: Around = {}) {
    const { undo = nothing } = around
    return {
      ...this.action(around),
      compensation: <S>(given: string, _: S, context: Saga.CompensationContext): Effect.Effect<unknown, unknown> =>
        Effect.andThen(
          Effect.suspend(() => undo(context)),
          Effect.sync(() => this.#revert({ _tag: "Succeeded", result: given }, context))
        )
    }
  }

  /** A step whose compensation wants to know of an unknown outcome. */
  knowing(around: Around = {}) {
    const { undo = nothing } = around
    return {
      ...this.action(around),
      whenUncertain: "compensate" as const,
      compensation: <S>(
        given: Saga.Attempt<string>,
        _: S,
        context: Saga.CompensationContext
      ): Effect.Effect<unknown, unknown> =>
        Effect.andThen(Effect.suspend(() => undo(context)), Effect.sync(() => this.#revert(given, context)))
    }
  }

  /** An action that is repeated until it succeeds. */
  retriable(around: Around = {}) {
    return { ...this.action(around), retry: Schedule.forever }
  }

  /** A step that fails with an error that says: it did not happen. */
  fails(error: string) {
    return this.step({ before: () => Effect.fail(error) })
  }

  /** A step that takes effect and never answers. */
  silent(around: Omit<Around, "after"> = {}) {
    return this.step({ ...around, after: () => Effect.never })
  }

  #apply({ idempotencyKey, path }: Saga.StepContext): void {
    const again = this.#remember(path, idempotencyKey)
    this.#inPlace.add(path)
    this.#marks.push(again ? `=${path}` : `+${path}`)
  }

  #revert(given: Saga.Attempt<string>, { actionKey, idempotencyKey, path }: Saga.CompensationContext): void {
    this.#remember(path, actionKey)
    this.#remember(`-${path}`, idempotencyKey)
    if (actionKey === idempotencyKey) this.#violations.push(`${path} is compensated with the key of its action`)
    if (given._tag === "Succeeded" && given.result !== path) {
      this.#violations.push(`${path} is compensated with the result ${given.result}`)
    }
    const inPlace = this.#inPlace.delete(path)
    if (!inPlace && given._tag === "Succeeded") this.#violations.push(`${path} is compensated and not in place`)
    this.#marks.push(`${inPlace ? "-" : "~"}${path}${given._tag === "Unknown" ? `?${given.reason}` : ""}`)
  }

  /** Whether a key has been seen before. Two keys for one thing are a violation, and so is one key for two. */
  #remember(what: string, key: string): boolean {
    const known = this.#keys.get(what)
    if (known === key) return true
    if (known !== undefined) this.#violations.push(`${what} has the keys ${known} and ${key}`)
    if (this.#owners.has(key)) this.#violations.push(`${what} has the key of ${this.#owners.get(key)}: ${key}`)
    this.#keys.set(what, key)
    this.#owners.set(key, what)
    return false
  }

  // ------------------------------------------------------------------------------------------- runs

  /** Starts a run in a fiber of its own. What must hold of it is checked at the end of the test. */
  start<P, S, O, A, E, R>(
    saga: Saga.Saga<P, S, O, A, E, R>,
    ...payload: [P] extends [void] ? [] : [payload: P]
  ): Effect.Effect<Fiber.Fiber<A, E | Saga.CompensationFailed<E>>, never, R | Scope.Scope> {
    const { store } = this
    const prepared = store === undefined
      ? Effect.succeed(Saga.run(saga, payload[0] as P))
      : this.observe(store.prepare(saga, payload[0] as P))
    return Effect.flatMap(prepared, (run) => Effect.forkChild(this.observe(run), { startImmediately: true })).pipe(
      Effect.tap(store?.rest ?? Effect.void),
      Effect.tap((fiber) =>
        Effect.addFinalizer((test) =>
          Effect.sync(() => {
            if (Exit.isFailure(test)) return
            const exit = fiber.pollUnsafe()
            if (exit === undefined) assert.fail("a run goes on when its test has ended")
            this.check(exit)
          })
        )
      )
    )
  }

  /** Runs to the end. */
  run<P, S, O, A, E, R>(
    saga: Saga.Saga<P, S, O, A, E, R>,
    ...payload: [P] extends [void] ? [] : [payload: P]
  ): Effect.Effect<Exit.Exit<A, E | Saga.CompensationFailed<E>>, never, R | Scope.Scope> {
    return Effect.flatMap(this.start(saga, ...payload), Fiber.await)
  }

  /** Collects the facts of what runs inside. */
  observe<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    if (!this.observed) return effect
    const observer: SagaObserver.SagaObserver = {
      observe: () => ({ onEvent: (fact) => void this.facts.push(fact) })
    }
    return Effect.flatMap(
      SagaObserver.Observers,
      (others) => Effect.provideService(effect, SagaObserver.Observers, [...others, observer])
    )
  }

  /** What the facts fold to. */
  get state(): SagaState.SagaState {
    return Result.getOrThrow(SagaState.fold(this.facts))
  }

  // ------------------------------------------------------------------------------------------- what must hold

  /** What must hold of every run that has ended like this. */
  check(exit: Exit.Exit<unknown, unknown>): void {
    assert.deepStrictEqual(this.#violations, [])
    if (this.observed) this.#checkFacts(exit)
    if (Exit.isFailure(exit) && !Cause.hasInterrupts(exit.cause)) this.#checkFailure(exit.cause)
  }

  /** The facts fold, to the state that the exit tells of, and say of each step what the ledger says. */
  #checkFacts(exit: Exit.Exit<unknown, unknown>): void {
    const state = this.state
    if (Exit.isSuccess(exit)) {
      assert.strictEqual(state.status, "Succeeded")
      if (this.store === undefined) assert.isTrue(Object.is(state.result, exit.value))
      else assert.deepStrictEqual(state.result, exit.value)
    } else if (!Cause.hasInterrupts(exit.cause)) {
      const error = Cause.squash(exit.cause)
      if (error instanceof Saga.CompensationFailed || error instanceof Saga.ForwardRecoveryFailed) {
        assert.strictEqual(state.status, "Stuck")
        assert.deepStrictEqual(state.open, openOf(error))
      } else if (!(error instanceof Saga.PayloadInvalid) || state.status !== "NotStarted") {
        assert.strictEqual(state.status, "Compensated")
        assert.deepStrictEqual(state.open, Saga.aftermath(exit.cause).uncertain.map((step) => step.path))
        assert.deepStrictEqual(reasons(Exit.failCause(state.cause!)), reasons(exit))
      }
    }
    assert.strictEqual(state.inFlight, 0)
    if (state.status === "Compensated") assert.isNotEmpty(state.cause?.reasons, "it unwound without a cause")
    for (const path of this.#inPlace) assert.isTrue(HashMap.has(state.steps, path), `${path} has no fact`)
    for (const [path, { status }] of state.steps) {
      if (status === "Failed" || status === "Compensated") {
        assert.isFalse(this.#inPlace.has(path), `${path} is in place and ${status}`)
      }
      if (status === "Succeeded" && this.#keys.has(path)) {
        assert.isTrue(this.#inPlace.has(path), `${path} is not in place and ${status}`)
      }
    }
  }

  /** What is still in place after a failure is told to the caller. */
  #checkFailure(cause: Cause.Cause<unknown>): void {
    const error = Cause.squash(cause)
    if (error instanceof Saga.ForwardRecoveryFailed) return
    const { uncertain } = error instanceof Saga.CompensationFailed ? error : Saga.aftermath(cause)
    const known = new Set(uncertain.map((step) => step.path))
    if (error instanceof Saga.CompensationFailed) error.uncompensated.forEach((path) => known.add(path))
    assert.deepStrictEqual(Array.from(this.#inPlace).filter((path) => !known.has(path)), [])
  }
}

/** The reasons of a failure without their annotations: `["Fail", error]`, `["Die", defect]`, `["Interrupt"]`. */
export const reasons = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<ReadonlyArray<unknown>> =>
  Exit.isSuccess(exit) ? [] : exit.cause.reasons.map((reason) => {
    switch (reason._tag) {
      case "Fail":
        return ["Fail", reason.error]
      case "Die":
        return ["Die", reason.defect]
      case "Interrupt":
        return ["Interrupt"]
    }
  })

/** What a stuck saga leaves open: what is unknown and forbids every compensation, then what still stands. */
const openOf = (error: Saga.Stuck["error"]): ReadonlyArray<StepPath.StepPath> => {
  if (error._tag === "ForwardRecoveryFailed") return error.left
  const unknown = error.failures.filter(({ cause }) => {
    const failure = Cause.squash(cause)
    return failure instanceof Saga.StepUncertain || failure instanceof Saga.PivotUncertain
  })
  return [...unknown.map((failure) => failure.path), ...error.uncompensated]
}

/** The error of a run that is stuck before its commit point, and nothing else. */
export const stuckOf = (exit: Exit.Exit<unknown, unknown>): Saga.CompensationFailed<unknown> => {
  const [[tag, error], ...rest] = reasons(exit) as [[string, Saga.CompensationFailed<unknown>]]
  assert.deepStrictEqual([tag, error._tag, rest], ["Fail", "CompensationFailed", []])
  return error
}

/** What is left to do of a run that is stuck behind its commit point. */
export const leftOf = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<StepPath.StepPath> => {
  const [[tag, error], ...rest] = reasons(exit) as [[string, Saga.ForwardRecoveryFailed]]
  assert.deepStrictEqual([tag, error._tag, rest], ["Fail", "ForwardRecoveryFailed", []])
  return error.left
}

/** The steps of unknown outcome that the caller is told of, each with the reason. */
export const uncertainOf = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<readonly [StepPath.StepPath, string]> =>
  Exit.isSuccess(exit) ? [] : Saga.aftermath(exit.cause).uncertain.map(({ path, reason }) => [path, reason])
