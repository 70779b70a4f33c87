/**
 * Random sagas whose process dies after a write go on under a version in which every node has another name, and keep what
 * is promised of every saga.
 */
import { Context, Effect, Layer, Stream } from "effect"
import { Saga } from "effect-saga"
import type { SagaEngine } from "effect-saga/SagaEngine"
import { SagaJournal } from "effect-saga/SagaJournal"
import { expect, it } from "vitest"
import type { Rename } from "../../src/internal/renames.ts"
import { renamed } from "../../src/internal/renames.ts"
import type { Node, SagaTree, State } from "../../src/internal/tree.ts"
import { SagaTree as Tree } from "../../src/internal/tree.ts"
import type { Executor, RandomSaga } from "../core/randomRun.ts"
import { never } from "../core/randomSaga.ts"
import type { Seen } from "./dying.ts"
import { isReplay, runAll, seeds, stuckAsTold, timeout } from "./dying.ts"
import { inProcess, Process } from "./process.ts"

// ------------------------------------------------------------------------------------------- the other version

const newName = (name: string): string => `${name}x`
const oldName = (name: string): string => name.replace(/^(n\d+)x$/, "$1")
const back: Rename = (path) => path.split("/").map(oldName).join("/")

/** A state, or a context, as the saga knew it under the old names. */
const stateThen = (state: State): State =>
  Object.fromEntries(Object.entries(state).map(([name, value]) => [oldName(name), value]))
const contextThen = <C extends Saga.StepContext>(context: C): C => ({
  ...context,
  executionId: context.executionId,
  path: back(context.path),
  attempt: context.attempt,
  idempotencyKey: context.idempotencyKey,
  ..."actionKey" in context ? { actionKey: context.actionKey } : {}
})

const movedTree = (tree: SagaTree): SagaTree => {
  const start = Tree.make({ ...tree.definition, version: 2 })
  const moved = tree.nodes.reduce((saga, node) => saga.append(movedNode(node)), start)
  return moved.withOptions(tree.options)
}

const movedNode = (node: Node): Node => {
  if (node._tag === "Parallel") return { ...node, branches: node.branches.map(movedTree) }
  const name = newName(node.name)
  switch (node._tag) {
    case "Step": {
      const { action, compensation, verify } = node
      return {
        ...node,
        name,
        action: (state, context) => action(stateThen(state), contextThen(context)),
        verify: verify && ((state, context) => verify(stateThen(state), contextThen(context))),
        compensation: compensation
          && ((given, state, context) => compensation(given, stateThen(state), contextThen(context)))
      }
    }
    case "Sleep":
      return { ...node, name, duration: (state) => node.duration(stateThen(state)) }
    case "Publish":
      return { ...node, name, payloadOf: (state) => node.payloadOf(stateThen(state)) }
    case "Await":
      return { ...node, name, correlate: (state) => node.correlate(stateThen(state)) }
    case "ForEach":
      return { ...node, name, items: (state) => node.items(stateThen(state)), each: movedTree(node.each) }
    case "Choice": {
      const cases = new Map(Array.from(node.cases, ([tag, tree]) => [tag, movedTree(tree)] as const))
      return { ...node, name, choose: (state) => node.choose(stateThen(state)), cases }
    }
    case "Nested":
      return { ...node, name, payloadOf: (state) => node.payloadOf(stateThen(state)), saga: movedTree(node.saga) }
    case "OrElse":
      return { ...node, name, first: movedTree(node.first), second: movedTree(node.second) }
  }
}

/** The old path of every node. */
const patternsOf = (tree: SagaTree, prefix = ""): ReadonlyArray<string> =>
  tree.nodes.flatMap((node) => {
    if (node._tag === "Parallel") return node.branches.flatMap((branch) => patternsOf(branch, prefix))
    const path = prefix + node.name
    switch (node._tag) {
      case "ForEach":
        return [path, ...patternsOf(node.each, `${path}/*/`)]
      case "Choice":
        return [
          path,
          ...Array.from(node.cases).flatMap(([tag, tree]) =>
            patternsOf(tree, node.kind === "when" ? `${path}/` : `${path}/${tag}/`)
          )
        ]
      case "Nested":
        return [path, ...patternsOf(node.saga, `${path}/`)]
      case "OrElse":
        return [path, ...patternsOf(node.first, `${path}/first/`), ...patternsOf(node.second, `${path}/second/`)]
      default:
        return [path]
    }
  })

const movedOf = (saga: RandomSaga): RandomSaga => {
  const tree = saga as unknown as SagaTree
  const steps = Object.fromEntries(
    patternsOf(tree).map((path) => [path, { name: newName(path.slice(path.lastIndexOf("/") + 1)) }])
  )
  const moved = movedTree(tree) as unknown as Saga.Saga<string, unknown, unknown, unknown, unknown, never>
  return moved.pipe(Saga.migrateFrom(1, { steps }))
}

/** What is said of an execution, under the names that it had first. */
const outcomeThen = (outcome: Saga.Outcome<unknown, unknown>): Saga.Outcome<unknown, unknown> => {
  switch (outcome._tag) {
    case "Succeeded":
      return { ...outcome, result: valueThen(outcome.result) }
    case "Compensated":
      return {
        ...outcome,
        compensated: outcome.compensated.map(back),
        uncertain: outcome.uncertain.map((step) => ({ ...step, path: back(step.path) })),
        others: outcome.others.map((failure) => ({ ...failure, path: back(failure.path) }))
      }
    case "Stuck":
      return outcome
  }
}

const valueThen = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(valueThen)
    : typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([name, value]) => [oldName(name), valueThen(value)]))
    : value

const errorThen = (error: Saga.Stuck["error"]): Saga.Stuck["error"] => {
  const fields: any = { ...error }
  for (const list of ["compensated", "uncompensated", "left"]) if (list in fields) fields[list] = fields[list].map(back)
  for (const list of ["failures", "uncertain"]) {
    if (list in fields) fields[list] = fields[list].map((one: { path: string }) => ({ ...one, path: back(one.path) }))
  }
  return error._tag === "CompensationFailed"
    ? new Saga.CompensationFailed(fields)
    : new Saga.ForwardRecoveryFailed(fields)
}

// ------------------------------------------------------------------------------------------- the runs

/** Version 1 until it dies, then version 2, which may die too. */
const dyingAt = (deaths: ReadonlyArray<number>, seen: Seen): Executor => (saga, stuck, recorded) =>
  Effect.scoped(Effect.gen(function*() {
    const journal = Context.get(yield* Layer.build(SagaJournal.layerMemory), SagaJournal)
    const executionId = "run"
    const moved = movedOf(saga)
    for (const [index, lastWrite] of [...deaths, never].entries()) {
      const process = new Process()
      const version = index === 0 ? saga : moved
      const ended = (engine: SagaEngine["Service"]) =>
        Effect.catchTag(engine.outcome(version, executionId, { onStuck: "fail" }), "ExecutionStuck", () => {
          const told = stuckAsTold(executionId, stuck())
          return Effect.succeed(index === 0 ? told : { ...told, error: errorThen(told.error) })
        })
      const start = (engine: SagaEngine["Service"]) => engine.start(version, "", { executionId })
      const facts = (engine: SagaEngine["Service"]) =>
        Effect.map(Stream.runCollect(engine.events(version, executionId)), (facts) => {
          seen.migrated += facts.filter(({ _tag }) => _tag === "SagaMigrated").length
          recorded(facts.map((fact) => renamed(fact, back)))
        })
      const outcome = yield* Effect.orDie(
        inProcess(journal, version, lastWrite, { evictAfter: 0, poll: 0 }, (engine) =>
          Effect.tap(
            // It joins, whichever version has it.
            index === 0 ? Effect.andThen(start(engine), ended(engine)) : Effect.tap(ended(engine), start(engine)),
            () => facts(engine)
          ), process)
      )
      seen.writes += process.writes
      if (outcome !== undefined) return index === 0 ? outcome : outcomeThen(outcome)
      seen.died++
    }
    return yield* Effect.die("died too often")
  }))

it("random sagas whose process dies after any write go on under new names, and keep their promises", {
  timeout
}, async () => {
  const { died, migrated } = await runAll(dyingAt, "npx vitest run engine/deploying.property")
  expect(Math.min(died, migrated)).toBeGreaterThan(isReplay ? -1 : seeds.length)
})
