/**
 * What is compensated when a step fails, known from the saga alone: in which order, what side by side, what not at all.
 * It is a plan, not a run: what a branch or an item had done by then is not known here, and says so.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import { dual } from "effect/Function"
import * as Result from "effect/Result"
import type { AnySaga, NodeDefinition } from "../Saga.ts"
import { definition } from "../Saga.ts"
import type { StepPath } from "../StepPath.ts"
import { escape, segments } from "../StepPath.ts"
import type { Leaf, WaitKind } from "./internal/leaves.ts"
import { commits, waits } from "./internal/leaves.ts"

/**
 * One thing that is done, or not done, in an unwind.
 *
 * **Details**
 *
 * `Compensate` runs the compensation of a step. `Nothing` passes over a check, a published event, a sleep or a wait for events. `Branches` unwinds the
 * branches of a `parallel` or the items of a `forEach` side by side, so many at a time as they ran. `Chosen` unwinds the
 * one branch of a `when`, `match` or `orElse` that ran.
 *
 * @category models
 * @since 0.1.0
 */
export type Undo =
  | { readonly _tag: "Compensate"; readonly path: StepPath }
  | { readonly _tag: "Nothing"; readonly path: StepPath; readonly kind: "check" | "publish" | WaitKind }
  | {
    readonly _tag: "Branches"
    /** The path of a `forEach`; a `parallel` has none. */
    readonly path: StepPath | undefined
    readonly concurrency: number
    readonly branches: ReadonlyArray<UndoBranch>
  }
  | {
    readonly _tag: "Chosen"
    readonly path: StepPath
    readonly kind: "when" | "match" | "orElse"
    readonly branches: ReadonlyArray<UndoBranch>
  }

/**
 * A branch and what is undone of it, the last first.
 *
 * @category models
 * @since 0.1.0
 */
export interface UndoBranch {
  /** Which it is, if there are several kinds of them: a tag, `first` or `second` of an `orElse`, this item or others. */
  readonly label: string | undefined
  /** It ran beside the step that failed: it is undone as far as it had come. */
  readonly partly: boolean
  readonly undo: ReadonlyArray<Undo>
}

/**
 * What happens when a step fails.
 *
 * **Details**
 *
 * `Unwinds`: everything in `undo` is compensated, and the saga has failed. `FallsBack`: the step is in the first way of
 * the `orElse` at `scope`; only `undo` is compensated, then the second way starts, and `otherwise` is what follows when
 * it was cut off or died instead of failing with an error. `GoesForward`: it is past the commit point; nothing is
 * compensated, and `left` is what a person has to finish when its retries end. A wait there does not fail when its time is over.
 *
 * `whenUncertain` says what becomes of the step itself when nobody knows whether it took place.
 *
 * @category models
 * @since 0.1.0
 */
export type UndoPlan =
  & {
    readonly saga: string
    /** The step that fails; a `*` stands for the key of an item. */
    readonly path: StepPath
    readonly kind: "step" | "check" | "pivot" | "retriable" | "publish" | WaitKind
    readonly whenUncertain: "report" | "compensate" | "stuck" | undefined
    /** How long an event is awaited there; undefined for ever, and where none is. */
    readonly awaitedMillis: number | undefined
  }
  & (
    | { readonly _tag: "Unwinds"; readonly undo: ReadonlyArray<Undo> }
    | {
      readonly _tag: "FallsBack"
      readonly scope: StepPath
      readonly undo: ReadonlyArray<Undo>
      readonly otherwise: ReadonlyArray<Undo>
    }
    | { readonly _tag: "GoesForward"; readonly left: ReadonlyArray<StepPath> }
  )

/**
 * A path is of no step of its saga. It says which paths there are.
 *
 * @category errors
 * @since 0.1.0
 */
export class StepNotFound extends Data.TaggedError("StepNotFound")<{
  readonly saga: string
  readonly path: StepPath
  readonly paths: ReadonlyArray<StepPath>
}> {
  override get message(): string {
    return `Saga "${this.saga}" has no step ${JSON.stringify(this.path)}, but these: ${this.paths.join(", ")}`
  }
}

/**
 * Says what happens when a step fails: what is compensated, in which order, what side by side, what not at all.
 *
 * **When to use**
 *
 * Use to see before anything has run what a failure would undo, or to show it to those who have to agree.
 *
 * **Details**
 *
 * In the path of a step in a `forEach` any key of an item will do, so that the path of a fact finds its plan; in the
 * plan it is a `*`. A sleep does not fail, nor does a wait without a time limit: their plan is for when they are cut.
 *
 * **Example** (What a hotel without rooms undoes)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { undoPlan } from "effect-saga/diagram"
 * import { Effect, Result, Schema } from "effect"
 *
 * const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
 *   Saga.step("flight", { action: () => Effect.void, compensation: () => Effect.void }),
 *   Saga.step("hotel", { action: () => Effect.void, compensation: () => Effect.void })
 * )
 * const plan = Result.getOrThrow(undoPlan(saga, "hotel"))
 * plan._tag === "Unwinds" ? plan.undo : [] // => [{ _tag: "Compensate", path: "flight" }]
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const undoPlan: {
  (path: StepPath): (saga: AnySaga) => Result.Result<UndoPlan, StepNotFound>
  (saga: AnySaga, path: StepPath): Result.Result<UndoPlan, StepNotFound>
} = dual(2, (saga: AnySaga, path: StepPath): Result.Result<UndoPlan, StepNotFound> => {
  const places = Array.from(placesOf(saga))
  const place = places.find((place) => place.path === path) ?? places.find((place) => fits(path, place.path))
  return place === undefined
    ? Result.fail(new StepNotFound({ saga: definition(saga).saga, path, paths: places.map(({ path }) => path) }))
    : Result.succeed(place.plan())
})

/**
 * What happens when a step fails, for each step of a saga, in the order of its definition.
 *
 * **Example** (Which failures undo nothing)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { undoPlans } from "effect-saga/diagram"
 * import { Effect, Schedule, Schema } from "effect"
 *
 * const saga = Saga.make("Trip", { payload: Schema.Void }).pipe(
 *   Saga.step("flight", { action: () => Effect.void, compensation: () => Effect.void }),
 *   Saga.pivot("payment", { action: () => Effect.void }),
 *   Saga.retriable("email", { retry: Schedule.recurs(3), action: () => Effect.void })
 * )
 * undoPlans(saga).map((plan) => plan._tag) // => ["Unwinds", "Unwinds", "GoesForward"]
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const undoPlans = (saga: AnySaga): ReadonlyArray<UndoPlan> => Array.from(placesOf(saga), ({ plan }) => plan())

/** Whether a path is the one of a place, with the keys of items in the place of its stars. */
const fits = (path: StepPath, place: StepPath): boolean => {
  const given = segments(path)
  const wanted = segments(place)
  return given.length === wanted.length && wanted.every((segment, index) => segment === "*" || segment === given[index])
}

// ------------------------------------------------------------------------------------------- where it may fail

/** Where a saga may fail. The plan is made when it is asked for. */
interface Place {
  readonly path: StepPath
  readonly plan: () => UndoPlan
}

type Nodes = ReadonlyArray<NodeDefinition>
type Undos = ReadonlyArray<Undo>

/** What surrounds a sequence of nodes, or a node. */
interface Around {
  readonly saga: string
  /** What is undone of the nearest save-point, and of the whole saga, when this is undone in here. */
  readonly inScope: (undo: Undos) => Undos
  readonly inSaga: (undo: Undos) => Undos
  /** The `orElse` in whose first way this is. */
  readonly scope: StepPath | undefined
  readonly committed: boolean
  /** What comes after it. */
  readonly rest: () => ReadonlyArray<StepPath>
}

const placesOf = (saga: AnySaga): Iterable<Place> => {
  const { nodes, saga: name } = definition(saga)
  const itself = (undo: Undos) => undo
  return inSequence(nodes, "", {
    saga: name,
    inScope: itself,
    inSaga: itself,
    scope: undefined,
    committed: false,
    rest: () => []
  })
}

function* inSequence(nodes: Nodes, prefix: StepPath, around: Around): Generator<Place> {
  let committed = around.committed
  for (const [index, node] of nodes.entries()) {
    const before = beside(around, (undo) => [...undo, ...undoOf(nodes.slice(0, index), prefix)])
    const rest = () => [...nodes.slice(index + 1).flatMap((next) => namesOf(next, prefix)), ...around.rest()]
    yield* inNode(node, prefix, { ...before, committed, rest })
    committed ||= commits(node)
  }
}

/** Adds to what is undone. */
const beside = (around: Around, add: (undo: Undos) => Undos): Around => ({
  ...around,
  inScope: (undo) => around.inScope(add(undo)),
  inSaga: (undo) => around.inSaga(add(undo))
})

function* inNode(node: NodeDefinition, prefix: StepPath, around: Around): Generator<Place> {
  switch (node.kind) {
    case "parallel":
      for (const [own, branch] of node.branches.entries()) {
        const branches = (undo: Undos) =>
          node.branches.map((other, index): UndoBranch =>
            index === own ? branchOf(undefined, undo) : branchOf(undefined, undoOf(other, prefix), true)
          )
        const add = (undo: Undos) =>
          node.concurrency === 1
            ? [...undo, ...undoOf(node.branches.slice(0, own).flat(), prefix)]
            : sideBySide(undefined, node.concurrency, branches(undo))
        yield* inSequence(branch, prefix, beside(around, add))
      }
      return
    case "forEach": {
      const { concurrency, each, name } = node
      const item = `${prefix}${name}/*/`
      const others = concurrency === 1
        ? branchOf("every item before it", undoOf(each, item))
        : branchOf("every other item", undoOf(each, item), true)
      const add = (undo: Undos) => sideBySide(prefix + name, concurrency, [branchOf("this item", undo), others])
      yield* inSequence(each, item, beside(around, add))
      return
    }
    case "when":
    case "match":
      for (const { nodes, tag } of node.cases) yield* inSequence(nodes, caseOf(node, tag, prefix), around)
      return
    case "nested":
      yield* inSequence(node.saga.nodes, `${prefix}${node.name}/`, around)
      return
    case "orElse": {
      const path = prefix + node.name
      yield* inSequence(node.first, `${path}/first/`, { ...around, inScope: (undo) => undo, scope: path })
      yield* inSequence(node.second, `${path}/second/`, around)
      return
    }
    default: {
      const path = prefix + node.name
      yield { path, plan: () => planOf(node, path, around) }
    }
  }
}

const planOf = (node: Leaf, path: StepPath, { committed, inSaga, inScope, rest, saga, scope }: Around): UndoPlan => {
  const { kind } = node
  const whenUncertain = node.kind === "step" ? node.whenUncertain : node.kind === "pivot" ? "stuck" : undefined
  const awaits = node.kind === "awaitEvent" || node.kind === "awaitFirst"
  const awaitedMillis = awaits ? node.timeoutMillis : undefined
  const step = { saga, path, kind, whenUncertain, awaitedMillis } as const
  if (committed || kind === "retriable") {
    return { ...step, _tag: "GoesForward", left: waits(kind) ? rest() : [path, ...rest()] }
  }
  // Only a typed error leads to a second way: that of a step, or of an awaited event that does not come in time.
  const fails = awaits ? awaitedMillis !== undefined : node.kind !== "sleep" && node.kind !== "publish"
  return scope === undefined || !fails
    ? { ...step, _tag: "Unwinds", undo: inSaga([]) }
    : { ...step, _tag: "FallsBack", scope, undo: inScope([]), otherwise: inSaga([]) }
}

// ------------------------------------------------------------------------------------------- what is undone

/** What is undone of nodes that have run to their end, the last first. */
const undoOf = (nodes: Nodes, prefix: StepPath): Undos =>
  [...nodes].reverse().flatMap((node) => undoOfNode(node, prefix))

const undoOfNode = (node: NodeDefinition, prefix: StepPath): Undos => {
  switch (node.kind) {
    case "step":
      return [{ _tag: "Compensate", path: prefix + node.name }]
    case "check":
    case "publish":
    case "sleep":
    case "awaitEvent":
    case "awaitFirst":
      return [{ _tag: "Nothing", path: prefix + node.name, kind: node.kind }]
    case "pivot":
    case "retriable":
      return []
    case "parallel":
      return node.concurrency === 1
        ? undoOf(node.branches.flat(), prefix)
        : sideBySide(
          undefined,
          node.concurrency,
          node.branches.map((nodes) => branchOf(undefined, undoOf(nodes, prefix)))
        )
    case "forEach": {
      const path = prefix + node.name
      return sideBySide(path, node.concurrency, [branchOf("every item", undoOf(node.each, `${path}/*/`))])
    }
    case "when":
    case "match":
      return chosen(
        prefix + node.name,
        node.kind,
        node.cases.map(({ nodes, tag }) =>
          branchOf(node.kind === "when" ? undefined : tag, undoOf(nodes, caseOf(node, tag, prefix)))
        )
      )
    case "nested":
      return undoOf(node.saga.nodes, `${prefix}${node.name}/`)
    case "orElse": {
      const path = prefix + node.name
      return chosen(path, "orElse", [
        branchOf("first", undoOf(node.first, `${path}/first/`)),
        branchOf("second", undoOf(node.second, `${path}/second/`))
      ])
    }
  }
}

const branchOf = (label: string | undefined, undo: Undos, partly = false): UndoBranch => ({ label, partly, undo })

/** Branches of which there is nothing to tell are left out. */
const sideBySide = (path: StepPath | undefined, concurrency: number, all: ReadonlyArray<UndoBranch>): Undos => {
  const branches = all.filter(({ undo }) => undo.length > 0)
  return branches.length === 0 ? [] : [{ _tag: "Branches", path, concurrency, branches }]
}

const chosen = (
  path: StepPath,
  kind: Extract<Undo, { readonly _tag: "Chosen" }>["kind"],
  branches: ReadonlyArray<UndoBranch>
): Undos => branches.every(({ undo }) => undo.length === 0) ? [] : [{ _tag: "Chosen", path, kind, branches }]

const caseOf = (node: Extract<NodeDefinition, { readonly kind: "when" | "match" }>, tag: string, prefix: StepPath) =>
  node.kind === "when" ? `${prefix}${node.name}/` : `${prefix}${node.name}/${escape(tag)}/`

/** What the nodes of a sequence are called when they are left to do; a wait is nothing to do. */
const namesOf = (node: NodeDefinition, prefix: StepPath): ReadonlyArray<StepPath> =>
  node.kind === "parallel"
    ? node.branches.flatMap((branch) => branch.flatMap((inner) => namesOf(inner, prefix)))
    : waits(node.kind)
    ? []
    : [prefix + node.name]
