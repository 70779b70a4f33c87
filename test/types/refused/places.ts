/** Nodes that stand where they cannot. */
import { Effect, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"

const step = { action: () => Effect.void, compensation: () => Effect.void }
const act = { action: () => Effect.void }
const again = { action: () => Effect.void, retry: Schedule.recurs(3) }
const start = Saga.make("Start", { payload: Schema.Literals(["x", "y"]) })
const items = { item: Schema.String, items: () => [], key: String }
const pivoted = start.pipe(Saga.pivot("pivot", act))
const committed = start.pipe(Saga.retriable("mail", again))

// ------------------------------------------------------------------------------------------- after the commit point

// @ts-expect-error a step after the pivot
pivoted.pipe(Saga.step("late", step))
// @ts-expect-error a step after a retriable
committed.pipe(Saga.step("late", step))
// @ts-expect-error a step after the pivot and a sleep
pivoted.pipe(Saga.sleep("pause", 1), Saga.step("late", step))
// @ts-expect-error a step between the pivot and a retriable
start.pipe(Saga.pivot("pivot", act), Saga.step("late", step), Saga.retriable("mail", again))
// @ts-expect-error a check after the pivot
pivoted.pipe(Saga.check("late", act))
// @ts-expect-error a second pivot
pivoted.pipe(Saga.pivot("again", act))
// @ts-expect-error a pivot after a retriable
committed.pipe(Saga.pivot("late", act))
// @ts-expect-error an orElse after the pivot
pivoted.pipe(Saga.orElse("late", (fork) => fork, (fork) => fork))
// @ts-expect-error a nested saga after the pivot
pivoted.pipe(Saga.nested("late", start, ({ payload }) => payload))
// @ts-expect-error a step after a nested saga that commits
start.pipe(Saga.nested("inner", committed, ({ payload }) => payload), Saga.step("late", step))
// @ts-expect-error a step in a parallel after the pivot
pivoted.pipe(Saga.parallel((fork) => [fork.pipe(Saga.step("late", step))]))
// @ts-expect-error a step in a when after the pivot
pivoted.pipe(Saga.when("w", () => true, (fork) => fork.pipe(Saga.step("late", step))))
// @ts-expect-error a step in a match after the pivot
pivoted.pipe(Saga.match("m", () => "x", { x: (fork) => fork.pipe(Saga.step("late", step)) }))
// @ts-expect-error a step for each item after the pivot
pivoted.pipe(Saga.forEach("f", { ...items, each: (fork) => fork.pipe(Saga.step("late", step)) }))
// @ts-expect-error a check in a branch of a branch after the pivot
pivoted.pipe(Saga.when("w", () => true, (f) => f.pipe(Saga.parallel((g) => [g.pipe(Saga.check("late", act))]))))
// @ts-expect-error a nested saga in a branch after the pivot
pivoted.pipe(Saga.when("w", () => true, (fork) => fork.pipe(Saga.nested("late", start, ({ payload }) => payload))))

// ------------------------------------------------------------------------------------------- in a branch before it

// @ts-expect-error a pivot in a parallel
start.pipe(Saga.parallel((fork) => [fork.pipe(Saga.step("a", step)), fork.pipe(Saga.pivot("p", act))]))
// @ts-expect-error a retriable in a parallel
start.pipe(Saga.parallel((fork) => [fork.pipe(Saga.retriable("r", again))]))
// @ts-expect-error a pivot in a when
start.pipe(Saga.when("w", () => true, (fork) => fork.pipe(Saga.pivot("p", act))))
// @ts-expect-error a retriable in a match
start.pipe(Saga.match("m", () => "x", { x: (fork) => fork.pipe(Saga.retriable("r", again)) }))
// @ts-expect-error a pivot for each item
start.pipe(Saga.forEach("f", { ...items, each: (fork) => fork.pipe(Saga.pivot("p", act)) }))
// @ts-expect-error a pivot in the first way of an orElse
start.pipe(Saga.orElse("o", (fork) => fork.pipe(Saga.pivot("p", act)), (fork) => fork))
// @ts-expect-error a retriable in the second way of an orElse
start.pipe(Saga.orElse("o", (fork) => fork, (fork) => fork.pipe(Saga.retriable("r", again))))
// @ts-expect-error a nested saga that commits, in a when
start.pipe(Saga.when("w", () => true, (fork) => fork.pipe(Saga.nested("n", committed, ({ payload }) => payload))))
// @ts-expect-error a nested saga that commits, in a parallel
start.pipe(Saga.parallel((fork) => [fork.pipe(Saga.nested("n", pivoted, ({ payload }) => payload))]))
// @ts-expect-error a pivot in a branch of a branch
start.pipe(Saga.when("w", () => true, (f) => f.pipe(Saga.when("v", () => true, (g) => g.pipe(Saga.pivot("p", act))))))

// ------------------------------------------------------------------------------------------- what is no branch

// @ts-expect-error another saga as a branch
start.pipe(Saga.when("w", () => true, () => start))
// @ts-expect-error another saga as a branch of parallel
start.pipe(Saga.parallel((fork) => [fork, start]))
// @ts-expect-error an effect as a branch
start.pipe(Saga.when("w", () => true, () => Effect.void))
// @ts-expect-error one branch where parallel wants a list
start.pipe(Saga.parallel((fork) => fork))
// @ts-expect-error a time limit in a branch
start.pipe(Saga.when("w", () => true, (fork) => fork.pipe(Saga.step("a", step), Saga.timeout("1 second"))))
// @ts-expect-error the unwind options in a branch
start.pipe(Saga.parallel((fork) => [fork.pipe(Saga.unwind({ deadline: "1 minute" }))]))
// @ts-expect-error a hook in a branch
start.pipe(Saga.when("w", () => true, (fork) => fork.pipe(Saga.onStuck(() => Effect.void))))

// ------------------------------------------------------------------------------------------- after the output

// @ts-expect-error a step after the output
start.pipe(Saga.output(Schema.Number, () => 1), Saga.step("late", step))
// @ts-expect-error a retriable after the output
start.pipe(Saga.output(Schema.Number, () => 1), Saga.retriable("late", again))
// @ts-expect-error a parallel after the output
start.pipe(Saga.output(Schema.Number, () => 1), Saga.parallel((fork) => [fork.pipe(Saga.step("late", step))]))
// @ts-expect-error a step after the output of a branch
start.pipe(Saga.when("w", () => true, (fork) => fork.pipe(Saga.output(Schema.Number, () => 1), Saga.step("a", step))))
// @ts-expect-error an output in a branch of parallel
start.pipe(Saga.parallel((fork) => [fork.pipe(Saga.output(Schema.Number, () => 1))]))
