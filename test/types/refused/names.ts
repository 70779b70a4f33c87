/** Names that are not names, or not free. */
import { Effect, Schema } from "effect"
import { Saga } from "effect-saga"

const step = { action: () => Effect.void, compensation: () => Effect.void }
const start = Saga.make("Start", { payload: Schema.Struct({ kind: Schema.Literals(["x", "y"]) }) })
const items = { item: Schema.String, items: () => [], key: String }
declare const name: string
declare const either: "a" | "b"
declare const pattern: `step-${string}`

// @ts-expect-error used twice, one after the other
start.pipe(Saga.step("a", step), Saga.step("a", step))
// @ts-expect-error used twice, far apart and by different kinds
start.pipe(Saga.step("a", step), Saga.check("b", step), Saga.sleep("c", 1), Saga.when("a", () => true, (fork) => fork))
// @ts-expect-error used in two branches
start.pipe(Saga.parallel((fork) => [fork.pipe(Saga.step("a", step)), fork.pipe(Saga.step("a", step))]))
// @ts-expect-error used in two of three branches, by different kinds
start.pipe(Saga.parallel((fork) => [fork.pipe(Saga.step("a", step)), fork, fork.pipe(Saga.sleep("a", 1))]))
// @ts-expect-error used by sleeps in two branches
start.pipe(Saga.parallel((fork) => [fork.pipe(Saga.sleep("a", 1)), fork.pipe(Saga.sleep("a", 1))]))
start.pipe(
  // @ts-expect-error used in a branch inside a branch and beside it
  Saga.parallel((f) => [f.pipe(Saga.parallel((g) => [g.pipe(Saga.step("a", step))])), f.pipe(Saga.step("a", step))])
)
// @ts-expect-error used in a branch, and then after it
start.pipe(Saga.parallel((fork) => [fork.pipe(Saga.step("a", step))]), Saga.step("a", step))
// @ts-expect-error used by a sleep in a branch, and then after it
start.pipe(Saga.parallel((fork) => [fork.pipe(Saga.sleep("a", 1))]), Saga.step("a", step))
// @ts-expect-error used before, and then in a parallel branch
start.pipe(Saga.step("a", step), Saga.parallel((fork) => [fork.pipe(Saga.step("a", step))]))
// @ts-expect-error used before, and then in a when
start.pipe(Saga.step("a", step), Saga.when("w", () => true, (fork) => fork.pipe(Saga.step("a", step))))
// @ts-expect-error used before, and then in a match
start.pipe(Saga.step("a", step), Saga.match("m", () => "x", { x: (fork) => fork.pipe(Saga.step("a", step)) }))
// @ts-expect-error used before, and then for each item
start.pipe(Saga.step("a", step), Saga.forEach("f", { ...items, each: (fork) => fork.pipe(Saga.step("a", step)) }))
// @ts-expect-error used before, and then in an orElse
start.pipe(Saga.step("a", step), Saga.orElse("o", (fork) => fork, (fork) => fork.pipe(Saga.step("a", step))))
// @ts-expect-error used before by a nested saga
start.pipe(Saga.nested("a", start, ({ payload }) => payload), Saga.step("a", step))
// @ts-expect-error taken by the payload
start.pipe(Saga.step("payload", step))
// @ts-expect-error taken by the payload, in a branch
start.pipe(Saga.when("w", () => true, (fork) => fork.pipe(Saga.step("payload", step))))
// @ts-expect-error taken by the item
start.pipe(Saga.forEach("f", { ...items, each: (fork) => fork.pipe(Saga.step("item", step)) }))
// @ts-expect-error no literal
start.pipe(Saga.step(name, step))
// @ts-expect-error no literal, of a branching node
start.pipe(Saga.when(name, () => true, (fork) => fork))
// @ts-expect-error one of two literals
start.pipe(Saga.step(either, step))
// @ts-expect-error a pattern
start.pipe(Saga.step(pattern, step))
// @ts-expect-error no name at all
start.pipe(Saga.step(step))
