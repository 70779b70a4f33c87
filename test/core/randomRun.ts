/** Builds a random saga, runs it on virtual time, and keeps a ledger of what it did. It judges nothing. */
import type { Exit } from "effect"
import { Clock, Effect, Logger, Option, Schedule, Schema } from "effect"
import type { SagaEvent } from "effect-saga"
import { Saga, SagaObserver } from "effect-saga"
import { TestClock } from "effect/testing"
import { alive } from "../engine/process.ts"
import type { Attempt, Body, Fork, Leaf, Node, Script, Tries } from "./randomSaga.ts"
import { never } from "./randomSaga.ts"

type Grow = (saga: Saga.AnySaga) => Saga.AnySaga
type State = Readonly<Record<string, unknown>>
/** The functions that add nodes, with types taken off: a random saga has none that a compiler could know. */
interface Builders {
  readonly step: (name: string, options: object) => Grow
  readonly sleep: (name: string, duration: (state: State) => number) => Grow
  readonly parallel: (branches: (fork: Saga.AnySaga) => ReadonlyArray<Saga.AnySaga>, options: object) => Grow
  readonly forEach: (name: string, options: object) => Grow
  readonly when: (name: string, predicate: (state: State) => boolean, branch: Grow) => Grow
  readonly match: (name: string, tag: (state: State) => string, cases: Readonly<Record<string, Grow>>) => Grow
  readonly nested: (name: string, saga: Saga.AnySaga, payload: (state: State) => unknown) => Grow
  readonly orElse: (name: string, first: Grow, second: Grow) => Grow
  readonly timeout: (millis: number) => Grow
  readonly unwind: (options: object) => Grow
  readonly onStuck: (f: (stuck: Saga.Stuck) => Effect.Effect<void>) => Grow
}
const untyped = Saga as unknown as Builders & { readonly [K in Leaf["kind"]]: Builders["step"] }

export interface Run {
  /** What happened, in order, each line with its time. */
  readonly ledger: ReadonlyArray<string>
  /** The facts, and how many lines the ledger had when each was recorded. */
  readonly facts: ReadonlyArray<{ readonly event: SagaEvent; readonly line: number }>
  /** Undefined: it hangs. */
  readonly exit: Exit.Exit<Saga.Outcome<unknown, unknown>> | undefined
  readonly endedAt: number
  readonly stuck: Saga.Stuck["error"] | undefined
  /** What actions and compensations were given and should not have been. */
  readonly complaints: ReadonlyArray<string>
}

class World {
  readonly ledger: Array<string> = []
  readonly complaints: Array<string> = []
  readonly #clock: Clock.Clock
  readonly #applied = new Set<string>()
  readonly #keys = new Map<string, string>()

  constructor(clock: Clock.Clock) {
    this.#clock = clock
  }

  get now(): number {
    return this.#clock.currentTimeMillisUnsafe()
  }

  write(line: string): void {
    this.ledger.push(`${this.now} ${line}`)
  }

  apply(key: string): void {
    this.#applied.add(key)
  }

  applied(key: string): boolean {
    return this.#applied.has(key)
  }

  /** One key for each action and another one for each compensation, however often they run. */
  expectKey(owner: string, key: string): void {
    for (const [known, other] of this.#keys) {
      if ((known === owner) !== (other === key)) {
        this.complaints.push(`${owner} was given the key ${key}, ${known} ${other}`)
      }
    }
    this.#keys.set(owner, key)
  }

  expect(what: string, actual: unknown, expected: unknown): void {
    if (actual !== expected) this.complaints.push(`${what}: ${String(actual)} instead of ${String(expected)}`)
  }
}

/** How a saga is run: in a fiber, unless a test says otherwise. */
export type Executor = (
  saga: RandomSaga,
  /** What the saga itself said of being stuck, when it is asked. */
  stuck: () => Saga.Stuck["error"] | undefined,
  /** Where the facts are put that a journal holds, in place of those that an observer was told. */
  recorded: (facts: ReadonlyArray<SagaEvent>) => void
) => Effect.Effect<Saga.Outcome<unknown, unknown>>

const inFiber: Executor = (saga) => Saga.outcome(saga, "")

/** Runs a saga in virtual time until nothing happens any more, and interrupts it at the times given. */
export const run = (
  body: Body,
  script: Script,
  interruptions: ReadonlyArray<number>,
  observed: boolean,
  execute: Executor = inFiber
): Effect.Effect<Run> =>
  Effect.gen(function*() {
    const world = new World(yield* Clock.Clock)
    const facts: Array<Run["facts"][number]> = []
    const observer: SagaObserver.SagaObserver = {
      observe: () => ({ onEvent: (event) => void facts.push({ event, line: world.ledger.length }) })
    }
    let stuck: Run["stuck"]
    const onStuck = untyped.onStuck(({ error }) =>
      Effect.sync(() => {
        stuck = error
      })
    )
    const saga = onStuck(new Builder(world, script).saga("Random", body)) as RandomSaga
    const outcome = Effect.provide(
      execute(saga, () => stuck, (events) => {
        // Later than all that happened until then.
        const lineOf = (event: SagaEvent) => {
          const line = world.ledger.findIndex((line) => Number.parseInt(line, 10) > event.atMillis)
          return line === -1 ? world.ledger.length : line
        }
        facts.splice(0, facts.length, ...events.map((event) => ({ event, line: lineOf(event) })))
      }),
      SagaObserver.layer(observed ? [observer] : [])
    )
    const fiber = yield* Effect.forkDetach(outcome, { startImmediately: true })
    let endedAt = never
    fiber.addObserver(() => {
      endedAt = world.now
    })
    for (const at of interruptions) {
      const interruption = Effect.andThen(Effect.sleep(at), Effect.sync(() => fiber.interruptUnsafe()))
      yield* Effect.forkDetach(interruption, { startImmediately: true })
    }
    // Comes to rest, then wakes whoever sleeps, one after the other, those too that fall asleep meanwhile.
    for (let turn = 0; turn < turnsToRest; turn++) yield* Effect.yieldNow
    // A journal answers in its own time: a clock that ran away from it is moved again.
    for (let times = 0; times < 20 && fiber.pollUnsafe() === undefined; times++) {
      yield* TestClock.adjust(longerThanAnyRun)
      for (let turn = 0; turn < turnsToRest; turn++) yield* Effect.yieldNow
    }
    const { complaints, ledger } = world
    return { ledger, facts, exit: fiber.pollUnsafe(), endedAt, stuck, complaints }
  }).pipe(Effect.provide([TestClock.layer(), Logger.layer([])]))

const longerThanAnyRun = 1e13
const turnsToRest = 20
export type RandomSaga = Saga.Saga<string, unknown, unknown, unknown, unknown, never>

class Builder {
  readonly #world: World
  readonly #script: Script

  constructor(world: World, script: Script) {
    this.#world = world
    this.#script = script
  }

  saga(name: string, body: Body): Saga.AnySaga {
    const { timeout, undoDeadline, undoRetry } = body
    const saga = this.#grow(body, "", ["payload"])(Saga.make(name, { payload: Schema.String }))
    const options: Array<Grow> = []
    if (timeout < never) options.push(untyped.timeout(timeout))
    if (undoRetry !== undefined) options.push(untyped.unwind({ retry: scheduleOf(undoRetry) }))
    if (undoDeadline < never) options.push(untyped.unwind({ deadline: undoDeadline }))
    return options.reduce((saga, option) => option(saga), saga)
  }

  /** `base`: the path inside the item or the nested saga. `names`: what a step can see. */
  #grow(body: Body, base: string, names: ReadonlyArray<string>): Grow {
    const seen = [...names]
    const nodes = body.nodes.map((node) => {
      const grow = this.#node(node, base, [...seen])
      seen.push(...resultsOf([node]))
      return grow
    })
    return (saga) => nodes.reduce((saga, grow) => grow(saga), saga)
  }

  #node(node: Node, base: string, names: ReadonlyArray<string>): Grow {
    if ("retry" in node) return untyped[node.kind](node.name, this.#leaf(node, names))
    const decide = <A>(decision: A) => (state: State): A => {
      this.#world.write(`decide ${pathIn(state)}${base}${node.name}`)
      if (decision === undefined) throw new Error(`broken ${node.name}`)
      return decision
    }
    return node.kind === "sleep"
      ? untyped.sleep(node.name, decide(node.millis))
      : this.#fork(node, base, names, decide)
  }

  #fork(node: Fork, base: string, names: ReadonlyArray<string>, decide: <A>(decision: A) => (state: State) => A): Grow {
    const { bodies, broken, idle, kind, name } = node
    const all = [...bodies, ...idle]
    const inside = (body: Body) => this.#grow(body, `${base}${body.path}`, names)
    switch (kind) {
      case "parallel":
        return untyped.parallel((fork) => all.map((body) => inside(body)(fork)), { concurrency: node.width })
      case "forEach": {
        const items = decide(bodies.map(({ path }) => path))
        return untyped.forEach(name, {
          item: Schema.String,
          items: (state: State) => items(state).map((path) => `${pathIn(state)}${base}${path}`),
          key: (item: string) => {
            this.#world.write(`decide ${item.slice(0, -1)}`)
            return item.split("/").at(-2)!.replace("%2F", "/")
          },
          concurrency: node.width,
          each: this.#grow(all[0]!, "", [...new Set([...names, "item"])])
        })
      }
      case "when":
        return untyped.when(name, decide(broken ? undefined! : bodies.length > 0), inside(all[0]!))
      case "match":
        return untyped.match(name, decide(broken ? "z" : "x"), { x: inside(all[0]!), y: inside(all[1]!) })
      case "nested": {
        const inner = this.saga(name, bodies[0]!)
        const decided = decide(broken)
        return untyped.nested(name, inner, (state) => decided(state) ? 0 : `${pathIn(state)}${base}${bodies[0]!.path}`)
      }
      case "orElse":
        return untyped.orElse(name, inside(bodies[0]!), inside(bodies[1]!))
    }
  }

  #leaf(leaf: Leaf, names: ReadonlyArray<string>): object {
    const world = this.#world
    const { kind, name } = leaf
    const seen = [...names].sort().join()
    return {
      success: Schema.String,
      error: Schema.String,
      action: (state: State, { attempt, idempotencyKey, path }: Saga.StepContext) => {
        world.write(`act ${path}#${attempt}`)
        world.expect(`what ${path} sees`, Object.keys(state).sort().join(), seen)
        world.expectKey(path, idempotencyKey)
        const apply = alive(Effect.sync(() => {
          world.apply(idempotencyKey)
          world.write(`done ${path}#${attempt}`)
        }))
        return Effect.as(perform(this.#script.attempt(path, leaf, attempt), apply, name), path)
      },
      ...(leaf.retry.times > 0
        ? { retry: scheduleOf(leaf.retry) }
        : kind === "retriable"
        ? { retry: Schedule.recurs(0) }
        : {}),
      ...(leaf.timeout < never ? { timeout: leaf.timeout } : {}),
      ...(leaf.timeoutError ? { timeoutError: () => `TimedOut ${name}` } : {}),
      interruptible: leaf.interruptible,
      ...(leaf.atMostOnce ? { delivery: "at-most-once" } : {}),
      ...(leaf.isUncertain ? { isUncertain: (error: string) => error.startsWith("DeclaredByError") } : {}),
      ...(leaf.verify ? { verify: this.#verify } : {}),
      ...(kind === "step" ? { whenUncertain: leaf.whenUncertain, ...this.#compensation(leaf) } : {})
    }
  }

  /** The participant answers truly, or not at all. */
  readonly #verify = (_: State, { idempotencyKey, path }: Saga.StepContext) => {
    const { knows, millis } = this.#script.answer(path)
    this.#world.write(`ask ${path}`)
    return Effect.andThen(
      pause(millis),
      Effect.suspend(() => {
        if (!knows) return Effect.fail("nobody answers")
        return Effect.succeed(this.#world.applied(idempotencyKey) ? Option.some(path) : Option.none())
      })
    )
  }

  #compensation(leaf: Leaf): object {
    const world = this.#world
    return {
      compensation: (given: string | Saga.Attempt<string>, _: State, context: Saga.CompensationContext) => {
        const { actionKey, attempt, idempotencyKey, path } = context
        const text = typeof given === "string" ? given : given._tag === "Unknown" ? given.reason : given._tag
        world.write(`undo ${path}#${attempt} ${text}`)
        world.expectKey(path, actionKey)
        world.expectKey(`the compensation of ${path}`, idempotencyKey)
        if (typeof given !== "string" && given._tag === "Succeeded") {
          world.expect(`the result of ${path}`, given.result, path)
        }
        const apply = alive(Effect.sync(() => world.write(`undone ${path}#${attempt}`)))
        return perform(this.#script.undo(path, leaf, attempt), apply, leaf.name)
      },
      ...(leaf.undoRetry === undefined ? {} : { compensationRetry: scheduleOf(leaf.undoRetry) }),
      ...(leaf.undoTimeout === 30_000 ? {} : { compensationTimeout: leaf.undoTimeout })
    }
  }
}

/** The path of the item, or of the nested saga, that a function stands in. */
const pathIn = (state: State): string => String(state.item ?? state.payload)

const scheduleOf = ({ millis, times }: Tries) => Schedule.max([Schedule.spaced(millis), Schedule.recurs(times)])

/** The names of results, as a step that follows can see them. */
const resultsOf = (nodes: ReadonlyArray<Node>): ReadonlyArray<string> =>
  nodes.flatMap((node) =>
    node.kind === "parallel"
      ? node.bodies.flatMap((body) => resultsOf(body.nodes))
      : node.kind === "sleep"
      ? []
      : [node.name]
  )

const pause = (millis: number): Effect.Effect<void> =>
  millis === 0 ? Effect.void : millis === never ? Effect.never : Effect.sleep(millis)

const perform = (plan: Attempt, apply: Effect.Effect<void>, name: string): Effect.Effect<void, string> => {
  const { applies, end, millis, stubborn } = plan
  if (plan.thrown) throw new Error(`${end} ${name}`)
  const before = applies === never ? Effect.void : Effect.andThen(pause(applies), apply)
  const after = pause(applies === never ? millis : millis - applies)
  const ending = end === "ok"
    ? Effect.void
    : end === "Died"
    ? Effect.die(new Error(`Died ${name}`))
    : Effect.fail(`${end} ${name}`)
  const all = Effect.andThen(Effect.andThen(before, after), ending)
  return stubborn ? Effect.uninterruptible(all) : all
}
