/**
 * A saga as a value: its type, how one is begun, what holds for the whole of it, and its shape as plain data. Nothing
 * here runs; a saga is run by `Saga.run` or executed by an engine.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import type { SagaPipe } from "./internal/pipe.ts"
import type { Node } from "./internal/tree.ts"
import { SagaTree } from "./internal/tree.ts"
import type { SagaTimedOut, Stuck } from "./SagaError.ts"

/**
 * `Reversible` until the pivot or the first retriable, `Committed` after it.
 *
 * @category models
 * @since 0.1.0
 */
export type Phase = "Reversible" | "Committed"

/**
 * A business process of named steps, each with what undoes it.
 *
 * **Details**
 *
 * `State` is what the next step is given: the payload and all results so far. `Own` are the results of this saga or
 * branch alone. `A` is what it returns, `E` the errors that its steps declare, `R` the services of its actions and
 * compensations.
 *
 * @category models
 * @since 0.1.0
 */
export interface Saga<in Payload, out State, out Own, out A, out E, out R, out P extends string = Phase>
  extends SagaPipe
{
  readonly "~effect-saga/Saga": {
    readonly payload: (_: Payload) => void
    readonly state: State
    readonly own: Own
    readonly success: A
    readonly error: E
    readonly services: R
    readonly phase: P
  }
}

/**
 * Any saga, or any that is still in a phase.
 *
 * @category models
 * @since 0.1.0
 */
export type AnySaga<P extends string = Phase> = Saga<never, unknown, unknown, unknown, unknown, unknown, P>

/** Where a node may stand. The second member of each is no phase: it is what the compiler prints. */
export interface Place<P extends Phase = Phase> {
  readonly beforeCommit: "Reversible" | "after the pivot or a retriable there can only be retriables and sleeps"
  readonly branch: P | "a retriable or pivot cannot stand in a branch before the commit point"
}

/**
 * In the place of a payload: a branch has none, and a saga with one is no branch.
 *
 * @category models
 * @since 0.1.0
 */
export interface Branch {
  readonly "~effect-saga/Branch": "a branch is made of its fork"
}

/** What a branch cannot say: it holds for all of the saga. */
export type Whole<P0> = [P0] extends [never] ? unknown
  : [P0] extends [Branch]
    ? "`timeout`, `unwind`, `onStuck` and `migrateFrom` hold for a whole saga: say them outside the branch"
  : unknown

/** Takes the types off. The value behind every `Saga` is a `SagaTree`; nothing else can make one. */
export const toTree = (saga: AnySaga<string>): SagaTree => saga as unknown as SagaTree

/** Puts types on: the one place where what was built is claimed to have the type that its builder computed. */
export const fromTree = <S extends AnySaga>(tree: SagaTree): S => tree as unknown as S

/**
 * Begins a saga. It has no steps yet: `pipe` them in.
 *
 * **When to use**
 *
 * Use for a process that has a name: that is observed, drawn, tested for every fault, or executed by an engine. For a
 * few lines inside an Effect program `Saga.scoped` with `Saga.withCompensation` is enough.
 *
 * **Details**
 *
 * `payload` is checked before anything runs; what does not match is a defect `PayloadInvalid`. `key` makes the
 * execution id out of the payload: two executions of one payload have the same idempotency keys, so that participants
 * know them as one. Without it each run has a new id. `version` is 1 unless given: raise it when code changes in a way
 * that old executions must not see.
 *
 * `tags` makes out of the payload what an execution can be found by beside its id: its tenant, its region. An engine asks
 * it when it is asked to start one, and keeps the answer of that moment for as long as it keeps the execution. At most 16
 * tags, names and values of 1 to 200 characters, none of them a control character: else the start is refused with
 * `PayloadRefused`, as it is when the function throws. `Saga.run` keeps nothing and does not ask.
 *
 * **Gotchas**
 *
 * The keys of an execution that was compensated are spent: participants that remember them refuse to act under them
 * again. Let `key` name what may happen once: an order that the customer may place anew needs a new one.
 *
 * Tags are kept as they are, whatever becomes of the payload: give no secrets to `tags`. Whoever joins an execution
 * changes nothing in it, and so nothing in its tags.
 *
 * A name that a path cannot carry, a name that is used twice, `Schema.Any`: all throw a `SagaDefinitionError` here and
 * in the functions that add nodes, so that a program with a wrong saga does not start.
 *
 * **Example** (A saga of one step)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const book = Saga.make("Book", { payload: Schema.Struct({ seat: Schema.String }) }).pipe(
 *   Saga.step("seat", {
 *     success: Schema.String,
 *     action: ({ payload }) => Effect.succeed(`reserved ${payload.seat}`),
 *     compensation: () => Effect.log("released")
 *   })
 * )
 * Effect.runSync(Saga.run(book, { seat: "1A" })) // => { seat: "reserved 1A" }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const N extends string, PS extends Schema.Top>(
  name: N,
  options: {
    readonly payload: PS
    readonly key?: (payload: PS["Type"]) => string
    readonly tags?: (payload: PS["Type"]) => Readonly<Record<string, string>>
    readonly version?: number
  }
): Saga<PS["Type"], { readonly payload: PS["Type"] }, {}, {}, never, never, "Reversible"> => {
  const tree = SagaTree.make({
    saga: name,
    version: options.version ?? 1,
    payload: options.payload,
    key: options.key,
    tags: options.tags,
    path: ""
  })
  tree.schema("payload", options.payload)
  return fromTree(tree)
}

/**
 * Bounds the part before the commit point. When the time has passed, what may be cut is cut, the saga unwinds, and the
 * caller gets a `SagaTimedOut`. The unwind itself is not cut.
 *
 * **Gotchas**
 *
 * An action with `interruptible: false` is waited for, and a pivot that has started is never cut: the saga may end
 * later than its limit.
 *
 * **Example** (Five minutes to get everything together)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Exit, Schema } from "effect"
 *
 * const wait = Saga.make("Wait", { payload: Schema.Void }).pipe(
 *   Saga.sleep("long", "1 hour"),
 *   Saga.timeout("10 millis")
 * )
 * Exit.isFailure(await Effect.runPromiseExit(Saga.run(wait, undefined))) // => true
 * ```
 *
 * @category options
 * @since 0.1.0
 */
export const timeout = (duration: Duration.Input) =>
<P0, S, O, A, E, R, P extends Phase>(
  self: Saga<P0, S, O, A, E, R, P> & Whole<P0>
): Saga<P0, S, O, A, E | SagaTimedOut, R, P> => {
  const tree = toTree(self)
  return fromTree(tree.withOptions({ timeoutMillis: tree.limit("", "timeout", duration) }))
}

/**
 * Says how the compensations of this saga are tried unless a step says otherwise.
 *
 * **Details**
 *
 * `retry` is given the error of the try, its defect, or `CompensationTimedOut`; without it a compensation has five
 * tries with pauses of 100, 200, 400 and 800 ms. After `deadline`, counted from the beginning of the unwind, no try is
 * repeated: every compensation still has its one try.
 *
 * **Example** (Ten tries, a second apart)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Schedule, Schema } from "effect"
 *
 * const patient = Saga.make("Patient", { payload: Schema.Void }).pipe(
 *   Saga.unwind({ retry: Schedule.max([Schedule.spaced("1 second"), Schedule.recurs(9)]), deadline: "5 minutes" })
 * )
 * Saga.definition(patient).saga // => "Patient"
 * ```
 *
 * @category options
 * @since 0.1.0
 */
export const unwind = (options: {
  readonly retry?: Schedule.Schedule<unknown, unknown>
  readonly deadline?: Duration.Input
}) =>
<P0, S, O, A, E, R, P extends Phase>(self: Saga<P0, S, O, A, E, R, P> & Whole<P0>): Saga<P0, S, O, A, E, R, P> => {
  const tree = toTree(self)
  return fromTree(tree.withOptions({
    unwindRetry: options.retry ?? tree.options.unwindRetry,
    unwindDeadlineMillis: tree.limit("", "unwind.deadline", options.deadline) ?? tree.options.unwindDeadlineMillis
  }))
}

/**
 * Is told when a saga is stuck, also when nobody is left to get the error: an interrupted caller sees an interruption
 * only. Without it an error is logged.
 *
 * **Gotchas**
 *
 * It is not interrupted and nothing bounds it: a run that is stuck ends when it has ended. If it fails, its failure and
 * the report go to the log.
 *
 * **Example** (Paging a person)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const watched = Saga.make("Watched", { payload: Schema.Void }).pipe(
 *   Saga.onStuck(({ error }) => Effect.logFatal(error.message))
 * )
 * Saga.definition(watched).saga // => "Watched"
 * ```
 *
 * @category options
 * @since 0.1.0
 */
export const onStuck =
  <R2>(f: (stuck: Stuck) => Effect.Effect<unknown, unknown, R2>) =>
  <P0, S, O, A, E, R, P extends Phase>(
    self: Saga<P0, S, O, A, E, R, P> & Whole<P0>
  ): Saga<P0, S, O, A, E, R | R2, P> => {
    // The services of the hook are in the type of the saga from here on.
    const erased = f as (stuck: Stuck) => Effect.Effect<unknown, unknown>
    return fromTree(toTree(self).withOptions({ onStuck: erased }))
  }

/**
 * One node of a saga as plain data, for what draws, compares or lists sagas.
 *
 * @category models
 * @since 0.1.0
 */
export type NodeDefinition =
  | {
    readonly kind: "step" | "check" | "pivot" | "retriable"
    readonly name: string
    readonly compensated: boolean
    readonly whenUncertain: "report" | "compensate" | "stuck"
    readonly retried: boolean
    readonly timeoutMillis: number | undefined
  }
  | { readonly kind: "sleep"; readonly name: string }
  | { readonly kind: "publish"; readonly name: string; readonly event: string }
  | {
    readonly kind: "awaitEvent" | "awaitFirst"
    readonly name: string
    /** The types of the events. */
    readonly events: ReadonlyArray<string>
    readonly timeoutMillis: number | undefined
  }
  | {
    readonly kind: "parallel"
    readonly concurrency: number
    readonly branches: ReadonlyArray<ReadonlyArray<NodeDefinition>>
  }
  | {
    readonly kind: "forEach"
    readonly name: string
    readonly concurrency: number
    readonly each: ReadonlyArray<NodeDefinition>
  }
  | {
    readonly kind: "when" | "match"
    readonly name: string
    readonly cases: ReadonlyArray<{ readonly tag: string; readonly nodes: ReadonlyArray<NodeDefinition> }>
  }
  | { readonly kind: "nested"; readonly name: string; readonly saga: SagaDefinition }
  | {
    readonly kind: "orElse"
    readonly name: string
    readonly first: ReadonlyArray<NodeDefinition>
    readonly second: ReadonlyArray<NodeDefinition>
  }

/**
 * A saga as plain data.
 *
 * @category models
 * @since 0.1.0
 */
export interface SagaDefinition {
  readonly saga: string
  readonly version: number
  readonly timeoutMillis: number | undefined
  readonly nodes: ReadonlyArray<NodeDefinition>
}

/**
 * The shape of a saga as plain data: what it consists of, without the code.
 *
 * **Example** (Listing the steps of a saga)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const saga = Saga.make("Mail", { payload: Schema.Void }).pipe(
 *   Saga.check("address", { action: () => Effect.void })
 * )
 * Saga.definition(saga).nodes.map((node) => node.kind) // => ["check"]
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const definition = (saga: AnySaga): SagaDefinition => definitionOf(toTree(saga))

/** The shape of a saga as plain data. */
export const definitionOf = (tree: SagaTree): SagaDefinition => ({
  saga: tree.definition.saga,
  version: tree.definition.version,
  timeoutMillis: tree.options.timeoutMillis,
  nodes: tree.nodes.map(nodeOf)
})

const nodesOf = (tree: SagaTree): ReadonlyArray<NodeDefinition> => tree.nodes.map(nodeOf)

const nodeOf = (node: Node): NodeDefinition => {
  switch (node._tag) {
    case "Step":
      return {
        kind: node.kind,
        name: node.name,
        compensated: node.compensation !== undefined,
        whenUncertain: node.whenUncertain,
        retried: node.retry !== undefined,
        timeoutMillis: node.timeoutMillis
      }
    case "Sleep":
      return { kind: "sleep", name: node.name }
    case "Publish":
      return { kind: "publish", name: node.name, event: node.event.type }
    case "Await": {
      const { events, kind, name, timeoutMillis } = node
      return { kind, name, events: events.map(({ type }) => type), timeoutMillis }
    }
    case "Parallel":
      return { kind: "parallel", concurrency: node.concurrency, branches: node.branches.map(nodesOf) }
    case "ForEach":
      return { kind: "forEach", name: node.name, concurrency: node.concurrency, each: nodesOf(node.each) }
    case "Choice": {
      const cases = Array.from(node.cases, ([tag, tree]) => ({ tag, nodes: nodesOf(tree) }))
      return { kind: node.kind, name: node.name, cases }
    }
    case "Nested":
      return { kind: "nested", name: node.name, saga: definitionOf(node.saga) }
    case "OrElse":
      return { kind: "orElse", name: node.name, first: nodesOf(node.first), second: nodesOf(node.second) }
  }
}
