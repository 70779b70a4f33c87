/**
 * The saga as a value: an immutable list of nodes, each node a step or a tree of further lists. Types are erased here;
 * the modules that build and run sagas put them back on. Building checks names and order; nothing is run.
 */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import { pipeArguments } from "effect/Pipeable"
import type * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import type { LifecycleEvent, LifecycleState } from "../DomainEvent.ts"
import type { Stuck } from "../SagaError.ts"
import { SagaDefinitionError } from "../SagaError.ts"
import type { CompensationContext, StepContext } from "../StepContext.ts"
import { nameProblem } from "../StepPath.ts"
import { anyIn } from "./schema.ts"

/** The payload and the results so far. It grows while the saga runs; steps only read it. */
export type State = Record<string, unknown>
/** An effect whose services have been accounted for in the type of the saga. */
export type AnyEffect<A = unknown> = Effect.Effect<A, unknown>
/** A schedule whose input has been accounted for in the type of the step. */
export type AnySchedule = Schedule.Schedule<unknown, unknown>

/** An action of any kind, with all that its options said. */
export interface StepNode {
  readonly _tag: "Step"
  readonly kind: "step" | "check" | "pivot" | "retriable"
  readonly name: string
  readonly success: Schema.Top | undefined
  readonly error: Schema.Top | undefined
  readonly action: (state: State, context: StepContext) => AnyEffect
  readonly retry: AnySchedule | undefined
  readonly timeoutMillis: number | undefined
  readonly timeoutError: (() => unknown) | undefined
  readonly interruptible: boolean
  readonly delivery: "at-least-once" | "at-most-once"
  readonly verify: ((state: State, context: StepContext) => AnyEffect<Option.Option<unknown>>) | undefined
  readonly isUncertain: ((error: unknown) => boolean) | undefined
  readonly whenUncertain: "report" | "compensate" | "stuck"
  readonly compensation:
    | ((given: unknown, state: State, context: CompensationContext) => AnyEffect)
    | undefined
  readonly compensationRetry: AnySchedule | undefined
  readonly compensationTimeoutMillis: number
  /** The action is run as it is: no retry, no limit, nobody to ask. */
  readonly simple: boolean
}

/** A wait. */
export interface SleepNode {
  readonly _tag: "Sleep"
  readonly name: string
  readonly duration: (state: State) => Duration.Input
}

/** A kind of event, with types taken off. */
export interface Awaited {
  readonly type: string
  readonly payload: Schema.Top
}

/** A wait for the first of some events. */
export interface AwaitNode {
  readonly _tag: "Await"
  /** Of one event its payload is the result, of several the payload with the type. */
  readonly kind: "awaitEvent" | "awaitFirst"
  readonly name: string
  readonly events: ReadonlyArray<Awaited>
  readonly correlate: (state: State) => string
  readonly where: ((payload: unknown, state: State, type: string) => boolean) | undefined
  readonly timeoutMillis: number | undefined
  /** Past the commit point nothing fails: a limit that passes is a result. */
  readonly committed: boolean
}

/** An event that the saga publishes. */
export interface PublishNode {
  readonly _tag: "Publish"
  readonly name: string
  readonly event: Awaited & { readonly key: (payload: unknown) => string }
  readonly payloadOf: (state: State) => unknown
}

/** Branches side by side, whose results are results of the saga. */
export interface ParallelNode {
  readonly _tag: "Parallel"
  readonly branches: ReadonlyArray<SagaTree>
  readonly concurrency: number
}

/** One branch, run for each item of a list. */
export interface ForEachNode {
  readonly _tag: "ForEach"
  readonly name: string
  readonly item: Schema.Top
  readonly items: (state: State) => ReadonlyArray<unknown>
  readonly key: (item: unknown) => string
  readonly concurrency: number
  readonly each: SagaTree
}

/** `when` and `match`. No tag: no case runs, and the result is undefined. */
export interface ChoiceNode {
  readonly _tag: "Choice"
  readonly kind: "when" | "match"
  readonly name: string
  readonly choose: (state: State) => string | undefined
  readonly cases: ReadonlyMap<string, SagaTree>
}

/** Another saga in the place of a step. */
export interface NestedNode {
  readonly _tag: "Nested"
  readonly name: string
  readonly saga: SagaTree
  readonly payloadOf: (state: State) => unknown
}

/** A way, and another one for when it fails. */
export interface OrElseNode {
  readonly _tag: "OrElse"
  readonly name: string
  readonly first: SagaTree
  readonly second: SagaTree
}

/** What a saga is a list of. */
export type Node =
  | StepNode
  | SleepNode
  | AwaitNode
  | PublishNode
  | ParallelNode
  | ForEachNode
  | ChoiceNode
  | NestedNode
  | OrElseNode

/** Which saga it is, and what it was made with. */
export interface Definition {
  readonly saga: string
  readonly version: number
  readonly payload: Schema.Top
  readonly key: ((payload: unknown) => string) | undefined
  readonly tags: ((payload: unknown) => Readonly<Record<string, string>>) | undefined
  /** Where a branch stands in its saga, for messages: empty for the saga itself. */
  readonly path: string
}

/** What an older version wrote at one of its nodes: of what is not said, the same as today's. */
export interface NodeMigration {
  /** What the node is called now. */
  readonly name?: string
  readonly success?: Schema.Top
  readonly error?: Schema.Top
  readonly item?: Schema.Top
  readonly payload?: Schema.Top
}

/** How journals of an older version are read. */
export interface Migration {
  readonly payload: Schema.Top | undefined
  readonly output: Schema.Top | undefined
  /** By the patterns of old paths, with a `*` for the key of each item. */
  readonly nodes: Readonly<Record<string, NodeMigration>>
}

/** What holds for the whole of a saga. */
export interface Options {
  readonly timeoutMillis: number | undefined
  readonly unwindRetry: AnySchedule | undefined
  readonly unwindDeadlineMillis: number | undefined
  readonly onStuck: ((stuck: Stuck) => AnyEffect) | undefined
  /** How others are told of its executions, and of which of their states. */
  readonly lifecycle: {
    readonly event: LifecycleEvent
    readonly states: ReadonlySet<LifecycleState>
  } | undefined
  /** By the older version. */
  readonly migrations: ReadonlyMap<number, Migration>
}

/** What a saga or a branch returns in place of the record of its results. */
export interface Output {
  readonly success: Schema.Top
  readonly f: (state: State) => unknown
}

/** The largest number that every journal can hold as a version. */
const lastVersion = 0x7fff_ffff

const noOptions: Options = {
  timeoutMillis: undefined,
  unwindRetry: undefined,
  unwindDeadlineMillis: undefined,
  onStuck: undefined,
  lifecycle: undefined,
  migrations: new Map()
}

/** Whether a node ends the part of its saga that can be compensated. */
const commits = (node: Node): boolean =>
  node._tag === "Step"
    ? node.kind === "pivot" || node.kind === "retriable"
    : node._tag === "Nested" && node.saga.committed

/** The names under which a node leaves results in the state. */
const resultNames = (node: Node): ReadonlyArray<string> =>
  node._tag === "Parallel"
    ? node.branches.flatMap((branch) => branch.names)
    : node._tag === "Sleep" || node._tag === "Publish"
    ? []
    : [node.name]

/** The names that a node takes: those of its results, and of what leaves none. */
const namesOf = (node: Node): ReadonlyArray<string> =>
  node._tag === "Parallel" ? node.branches.flatMap((branch) => branch.nodes.flatMap(namesOf)) : [node.name]

/** Says in words why a time cannot be a limit; `undefined` when it can. */
export const limitProblem = (option: string, millis: number): string | undefined =>
  millis > 0 && Number.isFinite(millis)
    ? undefined
    : `\`${option}\` must be longer than zero and finite, not ${millis} ms`

/** A node with other steps in it. */
const changed = (node: Node, change: (step: StepNode) => StepNode): Node => {
  const inside = (tree: SagaTree) => tree.withSteps(change)
  switch (node._tag) {
    case "Step":
      return change(node)
    case "Sleep":
    case "Await":
    case "Publish":
      return node
    case "Parallel":
      return { ...node, branches: node.branches.map(inside) }
    case "ForEach":
      return { ...node, each: inside(node.each) }
    case "Choice":
      return { ...node, cases: new Map(Array.from(node.cases, ([tag, tree]) => [tag, inside(tree)])) }
    case "Nested":
      return { ...node, saga: inside(node.saga) }
    case "OrElse":
      return { ...node, first: inside(node.first), second: inside(node.second) }
  }
}

/** A list of nodes that shares its beginning with the lists that it was made from. */
export class SagaTree {
  readonly definition: Definition
  readonly previous: SagaTree | undefined
  readonly node: Node | undefined
  readonly committed: boolean
  readonly output: Output | undefined
  readonly options: Options
  /** Shared along the line of lists that grew from one; its first `taken` entries are ours. */
  readonly #reserved: Set<string>
  readonly #taken: number
  #nodes: ReadonlyArray<Node> | undefined
  #names: ReadonlyArray<string> | undefined
  #commitIndex: number | undefined

  private constructor(
    from: SagaTree | { readonly definition: Definition; readonly reserved: Set<string>; readonly committed: boolean },
    change: {
      readonly node?: Node
      readonly reserved?: Set<string>
      readonly committed?: boolean
      readonly output?: Output
      readonly options?: Options
    }
  ) {
    this.definition = from.definition
    this.committed = change.committed ?? from.committed
    if (from instanceof SagaTree) {
      this.previous = change.node === undefined ? from.previous : from
      this.node = change.node ?? from.node
      this.output = change.output ?? from.output
      this.options = change.options ?? from.options
      this.#reserved = change.reserved ?? from.#reserved
      this.#taken = change.reserved?.size ?? from.#taken
    } else {
      this.previous = undefined
      this.node = undefined
      this.output = undefined
      this.options = noOptions
      this.#reserved = from.reserved
      this.#taken = from.reserved.size
    }
  }

  static make(definition: Definition): SagaTree {
    const tree = new SagaTree({ definition, reserved: new Set(["payload"]), committed: false }, {})
    const problem = nameProblem(definition.saga)
    if (problem !== undefined) throw tree.error("", problem)
    const { version } = definition
    if (!Number.isInteger(version) || version < 0 || version > lastVersion) {
      throw tree.error("", `its version is ${version}, and a version is a whole number from 0 to ${lastVersion}`)
    }
    return tree
  }

  /** An empty list for a branch: it sees the names so far, and its own nodes are kept apart. */
  fork(segment: string, also?: string): SagaTree {
    const reserved = new Set(this.#ours())
    if (also !== undefined) reserved.add(also)
    const path = segment === "" ? this.definition.path : `${this.definition.path}${segment}/`
    return new SagaTree({ definition: { ...this.definition, path }, reserved, committed: this.committed }, {})
  }

  append(node: Node): SagaTree {
    const where = node._tag === "Parallel" ? "" : node.name
    if (this.output !== undefined) {
      throw this.error(where, "nothing can follow `output`: put it at the end")
    }
    if (node._tag !== "Parallel") {
      const problem = nameProblem(node.name)
      if (problem !== undefined) throw this.error(where, problem)
    }
    if (this.committed && node._tag === "Step" && node.kind !== "retriable") {
      throw this.error(
        where,
        `a ${node.kind} cannot follow the pivot or a retriable: nothing is compensated there. Move it before, or make it a retriable`
      )
    }
    const reserved = new Set<string>()
    for (const name of namesOf(node)) {
      if (reserved.has(name)) throw this.error(where, `the name "${name}" is used in two branches`)
      reserved.add(name)
    }
    const names = this.#reserved.size === this.#taken ? this.#reserved : new Set(this.#ours())
    for (const name of reserved) {
      if (names.has(name)) throw this.error(where, `the name "${name}" is already used in this saga`)
      names.add(name)
    }
    return new SagaTree(this, { node, reserved: names, committed: this.committed || commits(node) })
  }

  withOutput(output: Output): SagaTree {
    if (this.output !== undefined) throw this.error("", "there is an `output` already: say it once, at the end")
    return new SagaTree(this, { output })
  }

  withOptions(options: Partial<Options>): SagaTree {
    return new SagaTree(this, { options: { ...this.options, ...options } })
  }

  /** The same saga with other steps in the places of its own: each of the same name and kind, in nested sagas too. */
  withSteps(change: (step: StepNode) => StepNode): SagaTree {
    const trees: Array<SagaTree> = []
    for (let tree: SagaTree | undefined = this; tree !== undefined; tree = tree.previous) trees.push(tree)
    let result = trees.pop()!
    for (const tree of trees.reverse()) {
      result = new SagaTree(result, { node: changed(tree.node!, change), committed: tree.committed })
    }
    const { options, output } = this
    return new SagaTree(result, {
      reserved: new Set(this.#ours()),
      options,
      ...(output === undefined ? {} : { output })
    })
  }

  /** A limit in milliseconds; refused when it is not a finite time above zero. */
  limit(where: string, option: string, duration: Duration.Input): number
  limit(where: string, option: string, duration: Duration.Input | undefined): number | undefined
  limit(where: string, option: string, duration: Duration.Input | undefined): number | undefined {
    if (duration === undefined) return undefined
    const millis = Duration.toMillis(duration)
    const problem = limitProblem(option, millis)
    if (problem === undefined) return millis
    throw this.error(where, problem)
  }

  /** A schema; refused when it lets anything through. */
  schema(where: string, schema: Schema.Top): Schema.Top {
    const problem = anyIn(schema)
    if (problem === undefined) return schema
    throw this.error(where, problem)
  }

  error(where: string, problem: string): SagaDefinitionError {
    return new SagaDefinitionError({ saga: this.definition.saga, path: this.definition.path + where, problem })
  }

  get nodes(): ReadonlyArray<Node> {
    if (this.#nodes === undefined) {
      const nodes: Array<Node> = []
      for (let tree: SagaTree | undefined = this; tree?.node !== undefined; tree = tree.previous) nodes.push(tree.node)
      this.#nodes = nodes.reverse()
    }
    return this.#nodes
  }

  /** The names of its own results, in order. */
  get names(): ReadonlyArray<string> {
    return this.#names ??= this.nodes.flatMap(resultNames)
  }

  /** The position of the first node that commits; the number of nodes when none does. */
  get commitIndex(): number {
    if (this.#commitIndex === undefined) {
      const index = this.nodes.findIndex(commits)
      this.#commitIndex = index === -1 ? this.nodes.length : index
    }
    return this.#commitIndex
  }

  /** What the list is worth when all of it has run. */
  resultOf(state: State): unknown {
    return this.output === undefined ? this.ownOf(state) : this.output.f(state)
  }

  /** The record of its own results. */
  ownOf(state: State): State {
    const result: State = {}
    for (const name of this.names) result[name] = state[name]
    return result
  }

  pipe(): unknown {
    return pipeArguments(this, arguments)
  }

  #ours(): Iterable<string> {
    return this.#reserved.size === this.#taken ? this.#reserved : Array.from(this.#reserved).slice(0, this.#taken)
  }
}
