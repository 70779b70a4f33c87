/** Random sagas: a tree of nodes, and what each action and compensation in it does, all from one number. It runs nothing. */

/** Pseudo-random numbers of one seed (mulberry32). */
export class Dice {
  #state: number

  constructor(seed: number, text: string) {
    this.#state = seed
    for (const char of text) this.#state = Math.imul(this.#state ^ char.charCodeAt(0), 0x01000193)
  }

  /** From 0 up to but not 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }

  int(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<const A>(list: ReadonlyArray<A>): A {
    return list[this.int(0, list.length - 1)]!
  }
}

// ------------------------------------------------------------------------------------------- the tree

export interface Tries {
  readonly times: number
  readonly millis: number
}

export interface Leaf {
  readonly kind: "step" | "check" | "pivot" | "retriable"
  readonly name: string
  /** No times: without a schedule. */
  readonly retry: Tries
  /** `never`: without a limit. */
  readonly timeout: number
  readonly timeoutError: boolean
  readonly interruptible: boolean
  readonly atMostOnce: boolean
  readonly verify: boolean
  readonly isUncertain: boolean
  readonly whenUncertain: "report" | "compensate" | "stuck"
  readonly undoRetry: Tries | undefined
  readonly undoTimeout: number
  /** The first of a branch. It has a duration of its own, so that no two branches ever do something at the same time. */
  readonly starter: boolean
}

export interface Sleep {
  readonly kind: "sleep"
  readonly name: string
  readonly decisions: ReadonlyArray<string>
  readonly millis: number
}

export interface Fork {
  readonly kind: "parallel" | "forEach" | "when" | "match" | "nested" | "orElse"
  readonly name: string
  /** Its decision throws, or names a case, an item or a payload that is refused. */
  readonly broken: boolean
  /** What is asked of the saga's own functions here, in order, by path. */
  readonly decisions: ReadonlyArray<string>
  readonly width: number
  /** What is run: all branches, one for each item, the case that is chosen, or the first way and the second. */
  readonly bodies: ReadonlyArray<Body>
  /** What is there and not run. */
  readonly idle: ReadonlyArray<Body>
}

export type Node = Leaf | Sleep | Fork

/** A sequence of nodes: the saga, a nested one, or a branch. */
export interface Body {
  /** Where it stands in the body around it. */
  readonly path: string
  readonly nodes: ReadonlyArray<Node>
  readonly timeout: number
  readonly undoRetry: Tries | undefined
  readonly undoDeadline: number
}

/** A time that does not come. */
export const never = Number.POSITIVE_INFINITY
/** How long actions take, at most. So much, that two never end at the same time by accident. */
const longest = 1_000_000_000

/** Plants the tree. `#left` is how many more nodes it may have. */
class Forest {
  readonly #dice: Dice
  #left: number
  #names = 0

  constructor(seed: number) {
    this.#dice = new Dice(seed, "tree")
    this.#left = this.#dice.int(2, 28)
  }

  saga(path: string, depth: number, commits: boolean): Body {
    const dice = this.#dice
    return {
      path,
      nodes: [...this.#nodes(depth, false), ...(commits ? this.#commit(depth) : [])],
      timeout: dice.chance(depth === 0 ? 0.2 : 0.4) ? dice.int(longest / 2, longest * 4) : never,
      undoRetry: dice.chance(0.2) ? this.#tries(2) : undefined,
      undoDeadline: dice.chance(0.2) ? dice.int(1, 40_000) : never
    }
  }

  /** The node that commits, and what follows it. */
  #commit(depth: number): ReadonlyArray<Node> {
    const dice = this.#dice
    const kind = depth === 0
      ? dice.pick(["pivot", "pivot", "retriable", "nested"])
      : dice.pick(["pivot", "pivot", "retriable"])
    const node = kind === "nested" ? this.#fork(kind, depth, false, true) : this.#leaf(kind, false)
    return [node, ...(dice.chance(0.7) ? this.#nodes(depth, true) : [])]
  }

  #nodes(depth: number, committed: boolean, starter = false): ReadonlyArray<Node> {
    const count = depth === 0 ? this.#dice.int(1, 16) : this.#dice.int(0, 4)
    const nodes: Array<Node> = []
    for (let i = 0; i < count && this.#left > 0; i++) {
      nodes.push(starter && i === 0 ? this.#plain(committed, true) : this.#node(depth, committed))
    }
    return nodes
  }

  #node(depth: number, committed: boolean): Node {
    const dice = this.#dice
    if (depth === 4 || dice.chance(0.5)) return this.#plain(committed, false)
    if (dice.chance(0.1)) {
      const name = this.#name()
      return { kind: "sleep", name, decisions: [name], millis: dice.int(1, longest) }
    }
    const kinds = ["parallel", "parallel", "forEach", "forEach", "when", "match"] as const
    return this.#fork(
      dice.pick(committed ? kinds : [...kinds, "nested", "orElse", "orElse", "orElse"]),
      depth,
      committed
    )
  }

  #fork(kind: Fork["kind"], depth: number, committed: boolean, commits = false): Fork {
    const dice = this.#dice
    const name = kind === "parallel" ? "" : this.#name()
    const broken = kind !== "parallel" && kind !== "orElse" && dice.chance(committed ? 0.1 : 0.03)
    const body = (path: string, starter = false): Body => {
      const nodes = this.#nodes(depth + 1, committed, starter)
      return { path, nodes, timeout: never, undoRetry: undefined, undoDeadline: never }
    }
    const decisions = kind === "parallel" || kind === "orElse" ? [] : [name]
    const fork = (bodies: ReadonlyArray<Body>, idle: ReadonlyArray<Body> = [], width = 1): Fork => (
      { kind, name, broken, decisions, width, bodies, idle }
    )
    switch (kind) {
      case "parallel": {
        const width = dice.pick([1, 2, never, never])
        return fork(Array.from({ length: dice.int(1, 4) }, () => body("", width > 1)), [], width)
      }
      case "forEach": {
        const width = dice.pick([1, 2, 3])
        const each = body("", width > 1)
        const keys = broken ? ["a", "a"] : ["a", "b%2Fc", "d", "e"].slice(0, dice.int(0, 4))
        decisions.push(...keys.map((key) => `${name}/${key}`))
        return fork(keys.map((key) => ({ ...each, path: `${name}/${key}/` })), [each], width)
      }
      case "when": {
        const then = body(`${name}/`)
        return dice.chance(0.7) ? fork([then]) : fork([], [then])
      }
      case "match":
        return fork([body(`${name}/x/`)], [body(`${name}/y/`)])
      case "nested":
        return fork([this.saga(`${name}/`, depth + 1, commits)])
      case "orElse":
        return fork([body(`${name}/first/`), body(`${name}/second/`)])
    }
  }

  #plain(committed: boolean, starter: boolean): Leaf {
    return this.#leaf(committed ? "retriable" : this.#dice.chance(0.2) ? "check" : "step", starter)
  }

  #leaf(kind: Leaf["kind"], starter: boolean): Leaf {
    const dice = this.#dice
    const forward = kind === "pivot" || kind === "retriable"
    const acts = (probability: number) => kind !== "check" && dice.chance(probability)
    const undoes = (probability: number) => kind === "step" && dice.chance(probability)
    const limited = !starter && dice.chance(0.25)
    return {
      kind,
      name: this.#name(),
      retry: kind === "retriable" || dice.chance(limited ? 0.6 : 0.3)
        ? this.#tries(longest / 2)
        : { times: 0, millis: 0 },
      timeout: limited ? dice.int(longest / 2, longest * 2) : never,
      timeoutError: limited && dice.chance(0.3),
      interruptible: !forward && dice.chance(0.8),
      atMostOnce: acts(0.2),
      verify: acts(0.3),
      isUncertain: kind !== "retriable" && acts(0.3),
      whenUncertain: forward ? "stuck" : dice.pick(["report", "compensate", "compensate", "stuck"]),
      undoRetry: undoes(0.3) ? this.#tries(200) : undefined,
      undoTimeout: undoes(0.3) ? dice.int(10_000, 40_000) : 30_000,
      starter
    }
  }

  #tries(longest: number): Tries {
    return { times: this.#dice.int(0, 3), millis: this.#dice.int(1, longest) }
  }

  #name(): string {
    this.#left--
    return `n${++this.#names}`
  }
}

export const randomSaga = (seed: number): Body => new Forest(seed).saga("", 0, seed % 2 === 0)

/** The branches of a node as they are written down: the items of a `forEach` have one. */
export const bodiesOf = (node: Node): ReadonlyArray<Body> =>
  "bodies" in node ? node.kind === "forEach" ? node.idle : [...node.bodies, ...node.idle] : []

/** All leaves by name. */
export const leavesOf = (body: Body): ReadonlyMap<string, Leaf> =>
  new Map(
    body.nodes.flatMap((node) =>
      "retry" in node ? [[node.name, node]] as const : bodiesOf(node).flatMap((body) => [...leavesOf(body)])
    )
  )

export const sizeOf = ({ nodes }: Body): number =>
  nodes.reduce((sum, node) => sum + 1 + bodiesOf(node).reduce((sum, body) => sum + sizeOf(body), 0), 0)

/** What is left to do of nodes that have not started. */
export const leftOf = (nodes: ReadonlyArray<Node>, path: string): ReadonlyArray<string> =>
  nodes.flatMap((node) => {
    if (node.kind === "parallel") return node.bodies.flatMap((body) => leftOf(body.nodes, path))
    return node.kind === "sleep" ? [] : [path + node.name]
  })

/** A body as text, a node a line. */
export const shapeOf = (body: Body, indent = ""): string => {
  const { nodes, path, ...own } = body
  const inside = nodes.map((node) => {
    const { bodies: _, idle: __, ...own } = { bodies: [], idle: [], ...node }
    return `\n${indent}  ${wordsOf(own)}${bodiesOf(node).map((body) => shapeOf(body, `${indent}    `)).join("")}`
  })
  return `${indent === "" ? "" : "\n"}${indent}[${path}] ${wordsOf(own)}${inside.join("")}`
}

const wordsOf = ({ kind, name, ...options }: Readonly<Record<string, unknown>>): string =>
  [
    kind,
    name,
    ...Object.entries(options).flatMap(([key, value]) => {
      if (value === undefined || value === false || value === never || Array.isArray(value)) return []
      return value === true ? [key] : [`${key}=${typeof value === "object" ? Object.values(value!).join("x") : value}`]
    })
  ].filter((word) => word !== undefined).join(" ")

// ------------------------------------------------------------------------------------------- what happens

/** What an action or a compensation does in one attempt. */
export interface Attempt {
  /** When it ends by itself. */
  readonly millis: number
  /** When it has its effect. */
  readonly applies: number
  readonly end: "ok" | "fail" | "DeclaredByError" | "Died"
  /** It is not the effect that dies, but the function that makes it. */
  readonly thrown: boolean
  /** Ignores its interruption. */
  readonly stubborn: boolean
}

/** What a participant says when it is asked. `knows`: it answers truly. */
export interface Answer {
  readonly millis: number
  readonly knows: boolean
}

/** What happens in a run, told by path, so that each item of a list has a fate of its own. */
export interface Script {
  readonly attempt: (path: string, leaf: Leaf, attempt: number) => Attempt
  readonly answer: (path: string) => Answer
  readonly undo: (path: string, leaf: Leaf, attempt: number) => Attempt
}

export const randomScript = (seed: number): Script => {
  const rates = new Dice(seed, "rates")
  const actions = rates.pick([0.02, 0.05, 0.1, 0.2])
  const compensations = rates.pick([0, 0.05, 0.3])
  /** Some fail once or a few times, some always. */
  const fails = (what: string, path: string, attempt: number, rate: number): boolean => {
    const dice = new Dice(seed, `${what} ${path}`)
    return dice.chance(rate) && attempt <= dice.pick([1, 2, 3, never])
  }
  const thrown: Attempt = { millis: 0, applies: never, end: "Died", thrown: true, stubborn: false }
  return {
    attempt: (path, leaf, attempt) => {
      const dice = new Dice(seed, `act ${attempt} ${path}`)
      // More where more can go wrong.
      const rate = leaf.retry.times > 0 || leaf.timeout < never ? 3 * actions : actions
      const failing = fails("act", path, attempt, leaf.kind === "pivot" ? 0.4 : rate)
      if (failing && !leaf.starter && dice.chance(0.1)) return thrown
      const failures = ["fail", "fail", leaf.isUncertain ? "DeclaredByError" : "fail", "Died"] as const
      const end: Attempt["end"] = failing ? dice.pick(failures) : "ok"
      const stubborn = !failing && dice.chance(0.1)
      const endless = failing && leaf.timeout < never && !stubborn && dice.chance(0.5)
      const millis = !leaf.starter && dice.chance(0.3) ? 0 : dice.int(1, longest)
      const applies = leaf.kind !== "check" && (end === "ok" || end !== "fail" && dice.chance(0.5))
      const times = { millis: endless ? never : millis, applies: applies ? dice.int(0, millis) : never }
      return { ...times, end, thrown: false, stubborn }
    },
    answer: (path) => {
      const dice = new Dice(seed, `answer ${path}`)
      const knows = dice.chance(0.7)
      return { millis: !knows && dice.chance(0.3) ? never : dice.int(1, 29_999), knows }
    },
    undo: (path, leaf, attempt) => {
      const dice = new Dice(seed, `undo ${attempt} ${path}`)
      if (!fails("undo", path, attempt, compensations)) {
        const millis = dice.chance(0.5) ? 0 : dice.int(1, 9_999)
        return { millis, applies: dice.int(0, millis), end: "ok", thrown: false, stubborn: dice.chance(0.1) }
      }
      if (dice.chance(0.2)) return thrown
      const end = dice.pick(["ok", "fail", "Died"])
      const late = leaf.undoTimeout + dice.int(1, 999)
      const millis = end === "ok" ? dice.pick([late, never]) : dice.int(0, leaf.undoTimeout - 1)
      const applies = dice.chance(0.5) ? dice.int(0, Math.min(millis, leaf.undoTimeout - 1)) : never
      return { millis, applies, end, thrown: false, stubborn: dice.chance(0.5) }
    }
  }
}
