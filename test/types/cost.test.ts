/** What the types of a long saga cost the compiler, above what the package costs by itself. */
import { beforeAll, describe, expect, it } from "vitest"
import type { Compiled } from "./compiler.ts"
import { compile } from "./compiler.ts"

const around = (pipeline: string): string => `
import { Effect, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"

const retry = Schedule.recurs(3)
const undoable = { compensation: () => Effect.void }
const start = Saga.make("Long", { payload: Schema.Struct({ id: Schema.String, kind: Schema.Literals(["a", "b"]) }) })
export const program = Saga.run(start${pipeline}, { id: "1", kind: "a" })
export const kept = { Schedule, retry, undoable }
`

const pipe = (nodes: ReadonlyArray<string>): string => nodes.length === 0 ? "" : `.pipe(\n${nodes.join(",\n")}\n)`

/** A step with everything, which reads the result of the one before it. */
const step = (_: unknown, index: number): string =>
  `Saga.step("step${index}", {
  success: Schema.Struct({ ref: Schema.String }),
  error: Schema.Literal("error ${index}"),
  timeout: "1 second",
  whenUncertain: "compensate",
  retry,
  action: ({ payload${index === 0 ? "" : `, step${index - 1}`} }, { idempotencyKey }) =>
    Effect.succeed({ ref: payload.id + idempotencyKey${index === 0 ? "" : ` + step${index - 1}.ref`} }),
  compensation: (attempt, { payload }) => Effect.log(attempt, payload.id)
})`

const kinds: ReadonlyArray<(name: string) => string> = [
  (name) => `Saga.check("${name}", { action: ({ payload }) => Effect.log(payload.id) })`,
  (name) => `Saga.sleep("${name}", "1 second")`,
  (name) =>
    `Saga.parallel((fork) => [
      fork.pipe(Saga.step("${name}-first", { action: () => Effect.void, ...undoable })),
      fork.pipe(Saga.step("${name}-second", { action: () => Effect.void, ...undoable }))
    ])`,
  (name) =>
    `Saga.forEach("${name}", {
      item: Schema.String,
      items: ({ payload }) => [payload.id],
      key: (item) => item,
      each: (fork) => fork.pipe(Saga.step("in${name}", { action: ({ item }) => Effect.log(item), ...undoable }))
    })`,
  (name) =>
    `Saga.when("${name}", ({ payload }) => payload.id === "", (fork) =>
      fork.pipe(Saga.step("in${name}", { action: () => Effect.void, ...undoable })))`,
  (name) =>
    `Saga.match("${name}", ({ payload }) => payload.kind, {
      a: (fork) => fork.pipe(Saga.step("in${name}", { action: () => Effect.void, ...undoable })),
      b: (fork) => fork
    })`,
  (name) => `Saga.nested("${name}", start, ({ payload }) => payload)`,
  (name) =>
    `Saga.orElse(
      "${name}",
      (fork) => fork.pipe(Saga.step("in${name}", { action: () => Effect.void, ...undoable })),
      (fork) => fork
    )`
]

const pipelines = {
  nothing: [],
  "25 steps": Array.from({ length: 25 }, step),
  "40 steps": Array.from({ length: 40 }, step),
  "25 nodes of every kind": [
    ...Array.from({ length: 24 }, (_, index) => kinds[index % kinds.length]!(`node${index}`)),
    `Saga.retriable("last", { retry, action: ({ payload }) => Effect.log(payload.id) })`
  ]
}
type Name = keyof typeof pipelines

const compiled = new Map<string, Compiled>()
beforeAll(async () => {
  for (const [name, nodes] of Object.entries(pipelines)) {
    compiled.set(name, await compile({ "saga.ts": around(pipe(nodes)) }))
  }
}, 60_000)

it.each(Object.keys(pipelines))("%s: it compiles", (name) => expect(compiled.get(name)!.diagnostics).toEqual([]))

// A count of instantiations is the same on every machine; 30,000 take less than 0.1 s.
describe("the instantiations of", () => {
  const of = (name: Name) => compiled.get(name)!.counts["Instantiations"]!
  const above = (name: Name) => of(name) - of("nothing")

  it("25 steps are few", () => expect(above("25 steps")).toBeLessThan(30_000))

  it("25 nodes of every kind are few", () => expect(above("25 nodes of every kind")).toBeLessThan(18_000))

  it("a step do not grow with its place", () => {
    expect(above("40 steps") / 40).toBeLessThan(1.25 * above("25 steps") / 25)
  })

  it("the package without a saga are few", () => expect(of("nothing")).toBeLessThan(96_000))
})
