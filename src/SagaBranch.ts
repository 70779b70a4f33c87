/**
 * What a saga consists of besides steps: branches side by side, branches for items, choices, another saga inside, a
 * second way when the first fails, and what it returns. Each function adds one node; none runs anything.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import type { SagaTree, State } from "./internal/tree.ts"
import type { Fresh, With } from "./SagaStep.ts"
import type { AnySaga, Branch, Phase, Place, Saga } from "./SagaValue.ts"
import { fromTree, toTree } from "./SagaValue.ts"

/**
 * Where a branch begins: it sees the state so far and has no steps yet.
 *
 * @category models
 * @since 0.1.0
 */
export type Fork<S, P extends Phase> = Saga<Branch, S, {}, {}, never, never, P>

/** A branch may not commit alone: the others could still fail, and what it did would stay. */
type AnyBranch<P extends Phase = Phase> = AnySaga<Place<P>["branch"]>

/** What is returned for a branch and is none, as what the compiler prints. */
type Stranger<B> = B extends Saga<infer Payload, unknown, unknown, unknown, unknown, unknown, string>
  ? [Payload] extends [Branch] ? never : "a branch is made of its fork; another saga is put in by `nested`"
  : never
type Made<B> = [Stranger<B>] extends [never] ? unknown : Stranger<B>

type OwnOf<B> = B extends Saga<never, unknown, infer O, unknown, unknown, unknown> ? O : never
type SuccessOf<B> = B extends Saga<never, unknown, unknown, infer A, unknown, unknown> ? A : never
type ErrorOf<B> = B extends Saga<never, unknown, unknown, unknown, infer E, unknown> ? E : never
type ServicesOf<B> = B extends Saga<never, unknown, unknown, unknown, unknown, infer R> ? R : never
type Intersect<U> = (U extends unknown ? (_: U) => void : never) extends (_: infer I) => void ? I : never

type Clash<B extends ReadonlyArray<unknown>, Seen = never> = B extends readonly [infer H, ...infer T]
  ? (keyof OwnOf<H> & Seen) | Clash<T, Seen | keyof OwnOf<H>>
  : never
type Distinct<B extends ReadonlyArray<unknown>> = [Clash<B>] extends [never] ? unknown
  : `the name "${Clash<B> & string}" is used in two branches`

type WithoutOutput<B> = [Extract<B, Saga<never, string, unknown, unknown, unknown, unknown, string>>] extends [never]
  ? unknown
  : "`output` has no place in a branch of `parallel`: its results are results of the saga"

/**
 * Adds branches that run side by side. Their results are results of the saga.
 *
 * **Details**
 *
 * When a branch fails no new step starts in the others; what is in flight is awaited; then everything that succeeded is
 * compensated, branches side by side, each in reverse. `concurrency` is unbounded unless given. After the commit point
 * the branches consist of retriables.
 *
 * **Example** (Two reservations at once)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const reserve = (what: string) => ({
 *   success: Schema.String,
 *   action: () => Effect.succeed(what),
 *   compensation: () => Effect.void
 * })
 * const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
 *   Saga.parallel((fork) => [
 *     fork.pipe(Saga.step("flight", reserve("AF1"))),
 *     fork.pipe(Saga.step("hotel", reserve("Ritz")))
 *   ])
 * )
 * Effect.runSync(Saga.run(saga, undefined)) // => { flight: "AF1", hotel: "Ritz" }
 * ```
 *
 * @category branches
 * @since 0.1.0
 */
export const parallel = <S, P extends Phase, const B extends ReadonlyArray<AnyBranch<NoInfer<P>>>>(
  branches: (fork: Fork<S, P>) => B & Distinct<B> & Made<B[number]> & WithoutOutput<B[number]>,
  options?: { readonly concurrency?: number }
) =>
<P0, O0, A0, E0, R0>(
  self: Saga<P0, S, O0, A0, E0, R0, P>
): Saga<
  P0,
  S & Intersect<OwnOf<B[number]>>,
  O0 & Intersect<OwnOf<B[number]>>,
  A0 & Intersect<SuccessOf<B[number]>>,
  E0 | ErrorOf<B[number]>,
  R0 | ServicesOf<B[number]>,
  P
> => {
  const tree = toTree(self)
  const fork = tree.fork("")
  const trees = branches(fromTree(fork)).map((branch) => {
    const body = inside(tree, "", fork, branch)
    if (body.output === undefined) return body
    throw tree.error("", "`output` has no place in a branch of `parallel`: its results are results of the saga")
  })
  const concurrency = concurrencyOf(tree, "", options?.concurrency, Number.POSITIVE_INFINITY)
  return fromTree(tree.append({ _tag: "Parallel", branches: trees, concurrency }))
}

/**
 * Adds a branch for each item of a list. The result is the list of their results, in the order of the items.
 *
 * **Details**
 *
 * `items` and `key` are evaluated once, before the first item starts. A key names its item in paths and idempotency
 * keys, so two equal keys are a defect `DuplicateItemKey`. `each` is called once, when the saga is defined; its steps
 * see the `item`. One item at a time unless `concurrency` is given.
 *
 * **Example** (One reservation for each line of an order)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const saga = Saga.make("Order", { payload: Schema.Array(Schema.String) }).pipe(
 *   Saga.forEach("lines", {
 *     item: Schema.String,
 *     items: ({ payload }) => payload,
 *     key: (sku) => sku,
 *     each: (fork) =>
 *       fork.pipe(Saga.step("reserve", {
 *         success: Schema.String,
 *         action: ({ item }) => Effect.succeed(`reserved ${item}`),
 *         compensation: () => Effect.void
 *       }))
 *   })
 * )
 * Effect.runSync(Saga.run(saga, ["tea"])) // => { lines: [{ reserve: "reserved tea" }] }
 * ```
 *
 * @category branches
 * @since 0.1.0
 */
export const forEach = <
  const N extends string,
  S,
  P extends Phase,
  IS extends Schema.Top,
  B extends AnyBranch<NoInfer<P>>
>(
  name: Fresh<N, S>,
  options: {
    readonly item: IS
    readonly items: (state: NoInfer<S>) => ReadonlyArray<IS["Type"]>
    readonly key: (item: IS["Type"]) => string
    readonly concurrency?: number
    readonly each: (fork: Fork<Omit<S, "item"> & { readonly item: IS["Type"] }, P>) => B & Made<B>
  }
) =>
<P0, O0, A0, E0, R0>(
  self: Saga<P0, S, O0, A0, E0, R0, P>
): Saga<
  P0,
  With<S, N, ReadonlyArray<SuccessOf<B>>>,
  With<O0, N, ReadonlyArray<SuccessOf<B>>>,
  With<A0, N, ReadonlyArray<SuccessOf<B>>>,
  E0 | ErrorOf<B>,
  R0 | ServicesOf<B>,
  P
> => {
  const tree = toTree(self)
  const fork = tree.fork(name, "item")
  return fromTree(tree.append({
    _tag: "ForEach",
    name,
    item: tree.schema(name, options.item),
    items: options.items as (state: State) => ReadonlyArray<unknown>,
    key: options.key,
    concurrency: concurrencyOf(tree, name, options.concurrency, 1),
    each: inside(tree, name, fork, options.each(fromTree(fork)))
  }))
}

/**
 * Adds a branch that runs when a predicate holds. The result is the branch's, or undefined.
 *
 * **Details**
 *
 * The predicate is evaluated once.
 *
 * **Example** (A courier for express orders)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const saga = Saga.make("Ship", { payload: Schema.Struct({ express: Schema.Boolean }) }).pipe(
 *   Saga.when("courier", ({ payload }) => payload.express, (fork) =>
 *     fork.pipe(Saga.step("van", { action: () => Effect.void, compensation: () => Effect.void })))
 * )
 * Effect.runSync(Saga.run(saga, { express: false })) // => { courier: undefined }
 * ```
 *
 * @category branches
 * @since 0.1.0
 */
export const when = <const N extends string, S, P extends Phase, B extends AnyBranch<NoInfer<P>>>(
  name: Fresh<N, S>,
  predicate: (state: NoInfer<S>) => boolean,
  branch: (fork: Fork<S, P>) => B & Made<B>
) =>
<P0, O0, A0, E0, R0>(
  self: Saga<P0, S, O0, A0, E0, R0, P>
): Saga<
  P0,
  With<S, N, SuccessOf<B> | undefined>,
  With<O0, N, SuccessOf<B> | undefined>,
  With<A0, N, SuccessOf<B> | undefined>,
  E0 | ErrorOf<B>,
  R0 | ServicesOf<B>,
  P
> => {
  const tree = toTree(self)
  const holds = predicate as (state: State) => boolean
  const fork = tree.fork(name)
  return fromTree(tree.append({
    _tag: "Choice",
    kind: "when",
    name,
    choose: (state) => holds(state) ? "then" : undefined,
    cases: new Map([["then", inside(tree, name, fork, branch(fromTree(fork)))]])
  }))
}

type Chosen<C extends Record<string, AnyBranch>> = {
  readonly [K in keyof C]: { readonly _tag: K; readonly value: SuccessOf<C[K]> }
}[keyof C]

/**
 * Adds one branch out of several, chosen by a tag. The result is `{ _tag, value }`.
 *
 * **Details**
 *
 * The tag is evaluated once. A tag without a case is a defect `CaseMissing`; the types exclude it.
 *
 * **Example** (Wrapping gifts)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const saga = Saga.make("Wrap", { payload: Schema.Literals(["gift", "plain"]) }).pipe(
 *   Saga.match("kind", ({ payload }) => payload, {
 *     gift: (fork) => fork.pipe(Saga.step("paper", { action: () => Effect.void, compensation: () => Effect.void })),
 *     plain: (fork) => fork
 *   })
 * )
 * Effect.runSync(Saga.run(saga, "plain")) // => { kind: { _tag: "plain", value: {} } }
 * ```
 *
 * @category branches
 * @since 0.1.0
 */
export const match = <const N extends string, S, P extends Phase, C extends Record<string, AnyBranch<NoInfer<P>>>>(
  name: Fresh<N, S>,
  tag: (state: NoInfer<S>) => keyof NoInfer<C>,
  cases: { readonly [K in keyof C]: (fork: Fork<S, P>) => C[K] & Made<C[K]> }
) =>
<P0, O0, A0, E0, R0>(
  self: Saga<P0, S, O0, A0, E0, R0, P>
): Saga<
  P0,
  With<S, N, Chosen<C>>,
  With<O0, N, Chosen<C>>,
  With<A0, N, Chosen<C>>,
  E0 | ErrorOf<C[keyof C]>,
  R0 | ServicesOf<C[keyof C]>,
  P
> => {
  const tree = toTree(self)
  const bodies = Object.entries<(fork: Fork<S, P>) => AnySaga<string>>(cases)
  return fromTree(tree.append({
    _tag: "Choice",
    kind: "match",
    name,
    choose: tag as (state: State) => string,
    cases: new Map(bodies.map(([label, body]) => {
      const where = `${name}/${label}`
      const fork = tree.fork(where)
      return [label, inside(tree, where, fork, body(fromTree(fork)))]
    }))
  }))
}

/**
 * Adds a save-point: when `first` fails, what it did is compensated, and `second` runs instead.
 *
 * **Details**
 *
 * Only typed failures of `first` lead to `second`, and only after a clean unwind: nothing stuck, nothing uncertain. A
 * defect, an interruption, the limit of a step or of the saga goes outward; the `timeout` of a saga nested in `first` is a
 * typed failure like others. Siblings of the node go on meanwhile.
 *
 * **Gotchas**
 *
 * The errors of `first` are not among those of the saga: one that cannot lead to `second` reaches the caller as a
 * defect.
 *
 * **Example** (Another carrier)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const carrier = (name: string, free: boolean) => ({
 *   success: Schema.String,
 *   error: Schema.String,
 *   action: () => free ? Effect.succeed(name) : Effect.fail(`${name} is booked out`),
 *   compensation: () => Effect.void
 * })
 * const saga = Saga.make("Ship", { payload: Schema.Void }).pipe(
 *   Saga.orElse(
 *     "carrier",
 *     (fork) => fork.pipe(Saga.step("cheap", carrier("Snail", false))),
 *     (fork) => fork.pipe(Saga.step("fast", carrier("Falcon", true)))
 *   )
 * )
 * Effect.runSync(Saga.run(saga, undefined)) // => { carrier: { fast: "Falcon" } }
 * ```
 *
 * @category branches
 * @since 0.1.0
 */
export const orElse =
  <const N extends string, S, B1 extends AnyBranch<"Reversible">, B2 extends AnyBranch<"Reversible">>(
    name: Fresh<N, S>,
    first: (fork: Fork<S, "Reversible">) => B1,
    second: (fork: Fork<S, "Reversible">) => B2
  ) =>
  <P0, O0, A0, E0, R0>(
    self: Saga<P0, S, O0, A0, E0, R0, Place["beforeCommit"]>
  ): Saga<
    P0,
    With<S, N, SuccessOf<B1> | SuccessOf<B2>>,
    With<O0, N, SuccessOf<B1> | SuccessOf<B2>>,
    With<A0, N, SuccessOf<B1> | SuccessOf<B2>>,
    E0 | ErrorOf<B2>,
    R0 | ServicesOf<B1> | ServicesOf<B2>,
    "Reversible"
  > => {
    const tree = toTree(self)
    refuseCommitted(tree, name, "an orElse")
    const way = (which: "first" | "second", body: (fork: Fork<S, "Reversible">) => AnySaga<string>) => {
      const where = `${name}/${which}`
      const fork = tree.fork(where)
      return inside(tree, where, fork, body(fromTree(fork)))
    }
    return fromTree(tree.append({ _tag: "OrElse", name, first: way("first", first), second: way("second", second) }))
  }

/**
 * Adds another saga in the place of a step. It stays undoable by this one; its errors and services are this one's too.
 *
 * **Details**
 *
 * `payload` is evaluated once and checked by the inner schema. A pivot or retriable of the inner saga commits the outer
 * one, so such a saga can only stand in the top-level sequence. The inner `timeout` bounds the inner part, the inner
 * `unwind` retry holds for its compensations; `onStuck` is the outermost saga's.
 *
 * **Example** (Wrapping as a part of ordering)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const wrap = Saga.make("Wrap", { payload: Schema.String }).pipe(
 *   Saga.step("paper", {
 *     success: Schema.String,
 *     action: ({ payload }) => Effect.succeed(`${payload} paper`),
 *     compensation: () => Effect.void
 *   })
 * )
 * const order = Saga.make("Order", { payload: Schema.Void }).pipe(Saga.nested("wrapped", wrap, () => "gold"))
 * Effect.runSync(Saga.run(order, undefined)) // => { wrapped: { paper: "gold paper" } }
 * ```
 *
 * @category branches
 * @since 0.1.0
 */
export const nested = <const N extends string, S, PI, A, E, R, P extends Phase>(
  name: Fresh<N, S>,
  saga: Saga<PI, unknown, unknown, A, E, R, P>,
  payload: (state: NoInfer<S>) => PI
) =>
<P0, O0, A0, E0, R0>(
  self: Saga<P0, S, O0, A0, E0, R0, Place["beforeCommit"]>
): Saga<P0, With<S, N, A>, With<O0, N, A>, With<A0, N, A>, E0 | E, R0 | R, P> => {
  const tree = toTree(self)
  refuseCommitted(tree, name, "a nested saga")
  const inner = toTree(saga)
  if (inner.committed && tree.definition.path !== "") {
    throw tree.error(name, "a saga with a pivot or a retriable can only be nested in the top-level sequence")
  }
  const payloadOf = payload as (state: State) => unknown
  return fromTree(tree.append({ _tag: "Nested", name, saga: inner, payloadOf }))
}

/**
 * Says what the saga, or a branch, returns. Without it that is the record of its results.
 *
 * **Example** (One value out of many)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { Effect, Schema } from "effect"
 *
 * const saga = Saga.make("Add", { payload: Schema.Tuple([Schema.Int, Schema.Int]) }).pipe(
 *   Saga.output(Schema.Int, ({ payload }) => payload[0] + payload[1])
 * )
 * Effect.runSync(Saga.run(saga, [1, 2])) // => 3
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const output =
  <S, AS extends Schema.Top>(success: AS, f: (state: NoInfer<S>) => AS["Type"]) =>
  <P0, O0, A0, E0, R0, P extends Phase>(
    self: Saga<P0, S, O0, A0, E0, R0, P>
  ): Saga<P0, "nothing can follow `output`: put it at the end", O0, AS["Type"], E0, R0, P> => {
    const tree = toTree(self)
    return fromTree(tree.withOutput({ success: tree.schema("output", success), f: f as (state: State) => unknown }))
  }

// ------------------------------------------------------------------------------------------- what types check too

const refuseCommitted = (tree: SagaTree, name: string, what: string): void => {
  if (!tree.committed) return
  throw tree.error(name, `${what} cannot follow the pivot or a retriable: nothing is compensated there. Move it before`)
}

/** The body of a branch; refused when it is not made of its fork, commits alone, or says what holds for the whole saga. */
const inside = (tree: SagaTree, where: string, fork: SagaTree, branch: AnySaga<string>): SagaTree => {
  const body = toTree(branch)
  const problem = body.definition !== fork.definition
    ? "a branch is made of the fork that it is given; another saga is put in by `nested`"
    : body.committed !== tree.committed
    ? "a retriable or pivot cannot stand in a branch before the commit point"
    : body.options !== fork.options
    ? "`timeout`, `unwind`, `onStuck` and `migrateFrom` hold for a whole saga: say them outside the branch"
    : undefined
  if (problem === undefined) return body
  throw tree.error(where, problem)
}

const concurrencyOf = (tree: SagaTree, where: string, given: number | undefined, otherwise: number): number => {
  if (given === undefined) return otherwise
  if (given >= 1 && (Number.isInteger(given) || given === Number.POSITIVE_INFINITY)) return given
  throw tree.error(where, `\`concurrency\` must be a whole number from 1 up, not ${given}`)
}
