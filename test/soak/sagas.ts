/** Random sagas on a participant that keeps books: what they consist of, and what each execution of them does, from a seed. */
import { Effect, Option, Schedule, Schema } from "effect"
import type { SqlClient } from "effect/sql"
import { Saga } from "../../src/index.ts"
import { Dice } from "../core/randomSaga.ts"
import { apply, undo, verify } from "./ledger.ts"

// ------------------------------------------------------------------------------------------- the tree

interface Leaf {
  readonly kind: "step" | "check" | "pivot" | "retriable"
  readonly name: string
  readonly retries: boolean
  readonly timeout: boolean
  readonly atMostOnce: boolean
  readonly verifies: boolean
  readonly whenUncertain: "report" | "compensate" | "stuck" | undefined
}

export type Node =
  | Leaf
  | { readonly kind: "sleep"; readonly name: string; readonly millis: number }
  | { readonly kind: "parallel"; readonly branches: ReadonlyArray<Body>; readonly width: number }
  | {
    readonly kind: "forEach"
    readonly name: string
    readonly keys: ReadonlyArray<string>
    readonly width: number
    readonly each: Body
  }
  | { readonly kind: "when"; readonly name: string; readonly body: Body }
  | { readonly kind: "nested"; readonly name: string; readonly body: Body }
  | { readonly kind: "orElse"; readonly name: string; readonly first: Body; readonly second: Body }

export type Body = ReadonlyArray<Node>

class Forest {
  readonly #dice: Dice
  #left: number
  #names = 0

  constructor(seed: number, index: number) {
    this.#dice = new Dice(seed, `tree ${index}`)
    this.#left = this.#dice.int(3, 12)
  }

  get saga(): Body {
    const dice = this.#dice
    const before = this.#body(0, false)
    if (dice.chance(0.5)) return before
    const commit = this.#leaf(dice.pick(["pivot", "retriable"]))
    return [...before, commit, ...dice.chance(0.6) ? this.#body(1, true) : []]
  }

  #body(depth: number, committed: boolean): Body {
    const count = depth === 0 ? this.#dice.int(2, 7) : this.#dice.int(1, 3)
    const nodes: Array<Node> = []
    for (let i = 0; i < count && (i === 0 || this.#left > 0); i++) nodes.push(this.#node(depth, committed))
    return nodes
  }

  #node(depth: number, committed: boolean): Node {
    const dice = this.#dice
    if (depth === 3 || dice.chance(0.55)) {
      return this.#leaf(committed ? "retriable" : dice.chance(0.15) ? "check" : "step")
    }
    if (dice.chance(0.25)) {
      // Some are long enough that the execution leaves memory.
      return { kind: "sleep", name: this.#name(), millis: dice.pick([dice.int(1, 300), dice.int(1_500, 4_000)]) }
    }
    const body = () => this.#body(depth + 1, committed)
    const kind = dice.pick(
      committed
        ? ["parallel", "forEach", "when"]
        : ["parallel", "parallel", "forEach", "forEach", "when", "nested", "orElse"]
    )
    const name = this.#name()
    switch (kind) {
      case "parallel":
        return { kind, branches: Array.from({ length: dice.int(2, 3) }, body), width: dice.pick([1, 2, 9]) }
      case "forEach": {
        const keys = ["a", "b", "c", "d"].slice(0, dice.int(0, 4))
        return { kind, name, keys, width: dice.int(1, 3), each: body() }
      }
      case "when":
      case "nested":
        return { kind, name, body: body() }
      case "orElse":
        return { kind, name, first: body(), second: body() }
    }
  }

  #leaf(kind: Leaf["kind"]): Leaf {
    const dice = this.#dice
    const forward = kind === "pivot" || kind === "retriable"
    const timeout = kind !== "check" && dice.chance(0.25)
    const uncertain = kind === "step" && (timeout || dice.chance(0.3))
    return {
      kind,
      name: this.#name(),
      retries: forward || dice.chance(0.4),
      timeout,
      atMostOnce: kind === "step" && dice.chance(0.15),
      verifies: kind !== "check" && dice.chance(0.3),
      whenUncertain: uncertain ? dice.pick(["report", "compensate", "compensate", "compensate", "stuck"]) : undefined
    }
  }

  #name(): string {
    this.#left--
    return `n${++this.#names}`
  }
}

/** The trees of a run. */
export const treesOf = (seed: number, count: number): ReadonlyArray<Body> =>
  Array.from({ length: count }, (_, index) => new Forest(seed, index).saga)

/** Which way a choice goes. */
const goes = (n: number): boolean => n % 3 !== 0

/** The paths of actions that must have taken place when an execution has succeeded: those with no other way. */
export const neededOf = (body: Body, n: number, base = ""): ReadonlyArray<string> =>
  body.flatMap((node) => {
    switch (node.kind) {
      case "check":
      case "sleep":
      case "orElse":
        return []
      case "parallel":
        return node.branches.flatMap((branch) => neededOf(branch, n, base))
      case "forEach":
        return node.keys.flatMap((key) => neededOf(node.each, n, `${base}${node.name}/${key}/`))
      case "when":
        return goes(n) ? neededOf(node.body, n, `${base}${node.name}/`) : []
      case "nested":
        return neededOf(node.body, n, `${base}${node.name}/`)
      default:
        return [base + node.name]
    }
  })

// ------------------------------------------------------------------------------------------- what happens

/** What an action does in the end: before that it may fail some times. */
type Fate = "ok" | "fails" | "dies" | "unclear" | "hangs"

interface Script {
  readonly millis: number
  readonly failures: number
  readonly fate: Fate
  /** Whether what ends unclear, or not at all, takes place all the same. */
  readonly applies: boolean
  /** How often its compensation fails; very often: for ever. */
  readonly undoFailures: number
}

const scriptOf = (seed: number, executionId: string, path: string, leaf: Leaf): Script => {
  const dice = new Dice(seed, `${executionId} ${path}`)
  const forward = leaf.kind === "pivot" || leaf.kind === "retriable"
  const uncertain = leaf.whenUncertain !== undefined
  const fates: ReadonlyArray<Fate> = [
    "fails",
    "fails",
    "fails",
    "dies",
    ...uncertain ? ["unclear", "unclear"] as const : [],
    ...leaf.timeout ? ["hangs"] as const : []
  ]
  return {
    millis: dice.pick([0, dice.int(1, 30), dice.int(1, 400)]),
    failures: leaf.retries && dice.chance(0.2) ? dice.int(1, 2) : 0,
    fate: dice.chance(forward ? 0.01 : 0.07) ? dice.pick(fates) : "ok",
    applies: dice.chance(0.5),
    undoFailures: dice.chance(0.05) ? dice.int(1, 3) : dice.chance(0.003) ? 1_000 : 0
  }
}

class Failed extends Schema.TaggedError<Failed>()("Failed", { path: Schema.String, unclear: Schema.Boolean }) {}

const timeoutMillis = 1_000

/** Asks until there is an answer: each time with the same key. */
const patiently = Effect.retry(Schedule.spaced(100))

const act = (seed: number, leaf: Leaf) => (_: unknown, context: Saga.StepContext) =>
  Effect.gen(function*() {
    const { attempt, executionId, idempotencyKey, path } = context
    const { applies, failures, fate, millis } = scriptOf(seed, executionId, path, leaf)
    if (millis > 0) yield* Effect.sleep(millis)
    if (attempt <= failures) return yield* new Failed({ path, unclear: false })
    if (fate === "fails") return yield* new Failed({ path, unclear: false })
    if (leaf.kind !== "check" && (fate === "ok" || applies)) {
      const state = yield* patiently(apply(idempotencyKey, context))
      // It was undone, or said not to take place, while this was under way.
      if (state !== "Applied") return yield* new Failed({ path, unclear: false })
    }
    if (fate === "dies") return yield* Effect.die(new Error(`Died ${path}`))
    if (fate === "unclear") return yield* new Failed({ path, unclear: true })
    if (fate === "hangs") return yield* Effect.never
    return path
  })

const compensate = (seed: number, leaf: Leaf) =>
(
  given: string | Saga.Attempt<string>,
  _: unknown,
  context: Saga.CompensationContext
) =>
  Effect.gen(function*() {
    const { actionKey, attempt, executionId, idempotencyKey, path } = context
    const result = typeof given === "string" ? given : given._tag === "Succeeded" ? given.result : path
    if (result !== path) return yield* Effect.die(new Error(`${path} was given the result of ${result}`))
    if (attempt <= scriptOf(seed, executionId, path, leaf).undoFailures) {
      return yield* new Failed({ path, unclear: false })
    }
    yield* patiently(undo(idempotencyKey, actionKey, context))
  })

const answer = (_: unknown, context: Saga.StepContext) =>
  Effect.map(
    patiently(verify(context.idempotencyKey, context)),
    (state) => state === "Applied" ? Option.some(context.path) : Option.none()
  )

// ------------------------------------------------------------------------------------------- the sagas

type Grow = (saga: Saga.AnySaga) => Saga.AnySaga
interface State {
  readonly payload: { readonly n: number }
}

/** The functions that add nodes, with types taken off: a random saga has none that a compiler could know. */
interface Builders {
  readonly sleep: (name: string, millis: number) => Grow
  readonly parallel: (branches: (fork: Saga.AnySaga) => ReadonlyArray<Saga.AnySaga>, options: object) => Grow
  readonly forEach: (name: string, options: object) => Grow
  readonly when: (name: string, predicate: (state: State) => boolean, branch: Grow) => Grow
  readonly nested: (name: string, saga: Saga.AnySaga, payload: (state: State) => unknown) => Grow
  readonly orElse: (name: string, first: Grow, second: Grow) => Grow
}
const untyped = Saga as unknown as Builders & { readonly [K in Leaf["kind"]]: (name: string, options: object) => Grow }

const Payload = Schema.Struct({ n: Schema.Int })

export type SoakSaga = Saga.Saga<{ readonly n: number }, unknown, unknown, unknown, unknown, SqlClient.SqlClient>

const grow = (seed: number, body: Body): Grow => (saga) => body.reduce((saga, node) => add(seed, node)(saga), saga)

const add = (seed: number, node: Node): Grow => {
  const inside = (body: Body) => grow(seed, body)
  switch (node.kind) {
    case "sleep":
      return untyped.sleep(node.name, node.millis)
    case "parallel":
      return untyped.parallel((fork) => node.branches.map((branch) => inside(branch)(fork)), {
        concurrency: node.width
      })
    case "forEach":
      return untyped.forEach(node.name, {
        item: Schema.String,
        items: () => node.keys,
        key: (item: string) => item,
        concurrency: node.width,
        each: inside(node.each)
      })
    case "when":
      return untyped.when(node.name, ({ payload }) => goes(payload.n), inside(node.body))
    case "nested": {
      const inner = Saga.make(node.name, { payload: Payload })
      return untyped.nested(node.name, inside(node.body)(inner as Saga.AnySaga), ({ payload }) => payload)
    }
    case "orElse":
      return untyped.orElse(node.name, inside(node.first), inside(node.second))
    default:
      return untyped[node.kind](node.name, optionsOf(seed, node))
  }
}

const optionsOf = (seed: number, leaf: Leaf): object => ({
  success: Schema.String,
  error: Failed,
  action: act(seed, leaf),
  ...leaf.retries ? { retry: Schedule.max([Schedule.spaced(50), Schedule.recurs(5)]) } : {},
  ...leaf.timeout ? { timeout: timeoutMillis } : {},
  ...leaf.atMostOnce ? { delivery: "at-most-once" } : {},
  ...leaf.verifies ? { verify: answer } : {},
  ...leaf.kind === "step"
    ? {
      compensation: compensate(seed, leaf),
      ...leaf.whenUncertain === undefined
        ? {}
        : { whenUncertain: leaf.whenUncertain, isUncertain: (error: Failed) => error.unclear }
    }
    : {}
})

/** The sagas of a run, by number. An execution of the third is called `Soak3/<n>`. */
export const sagasOf = (seed: number, count: number): ReadonlyArray<SoakSaga> =>
  treesOf(seed, count).map((body, index) => {
    const saga = Saga.make(`Soak${index}`, { payload: Payload, key: ({ n }) => String(n) })
    return grow(seed, body)(saga as Saga.AnySaga) as SoakSaga
  })
