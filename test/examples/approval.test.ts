// The time limit of an approval, to the millisecond.
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Layer } from "effect"
import { Saga } from "effect-saga"
import { TestClock } from "effect/testing"
import { purchase } from "../../examples/approval/saga.ts"
import { Approvals, Budget, Supplier } from "../../examples/approval/services.ts"

const Office = Layer.mergeAll(Budget.layer, Approvals.layer, Supplier.layer)
const days = 2 * 24 * 60 * 60 * 1000

const answeredAfter = Effect.fnUntraced(function*(millis: number) {
  const payload = { id: "p", team: "design", item: "chair", cents: 5 }
  const run = yield* Effect.forkChild(Saga.outcome(purchase, payload), { startImmediately: true })
  yield* TestClock.adjust(millis)
  const counted = yield* Approvals.use((approvals) => approvals.decide("p", "Dana", true))
  return { counted, outcome: yield* Fiber.join(run) }
})

it.effect("an approval in the last millisecond counts", () =>
  Effect.gen(function*() {
    const { counted, outcome } = yield* answeredAfter(days - 1)
    assert.isTrue(counted)
    assert.deepInclude(outcome, { _tag: "Succeeded", result: { approvedBy: "Dana" } })
    assert.deepStrictEqual(yield* Supplier.use((supplier) => supplier.ordered), { chair: 1 })
  }).pipe(Effect.provide(Office)))

it.effect("one that comes with the end of the time does not: the budget has been released", () =>
  Effect.gen(function*() {
    const { counted, outcome } = yield* answeredAfter(days)
    assert.isFalse(counted)
    if (outcome._tag !== "Compensated") return assert.fail(outcome._tag)
    assert.propertyVal(Cause.squash(outcome.cause), "_tag", "NobodyAnswered")
    assert.deepStrictEqual(outcome.uncertain, [])
    assert.deepStrictEqual(yield* Budget.use((budget) => budget.held), {})
    assert.deepStrictEqual(yield* Supplier.use((supplier) => supplier.ordered), {})
  }).pipe(Effect.provide(Office)))
