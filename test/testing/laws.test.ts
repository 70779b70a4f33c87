/** The laws of participants: kept by good ones, and each found broken in a bad one. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Ref, Schema } from "effect"
import { Saga } from "effect-saga"
import { Ledger, SagaTest } from "effect-saga/testing"

const Order = Schema.Struct({ cents: Schema.Int, lines: Schema.Array(Schema.String) })
class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}

/** A bank with one account, which books what it is asked for as often as it is asked. */
class Bank extends Context.Service<Bank, Ref.Ref<number>>()("test/Bank") {
  static readonly layer = Layer.effect(Bank, Ref.make(0))
}
const move = (cents: number) => Bank.use((bank) => Ref.update(bank, (balance) => balance + cents))
const balance = Bank.use(Ref.get)
const bank = { services: Bank.layer, model: balance }

const enter = (value?: unknown) => (_: unknown, { idempotencyKey, path }: Saga.StepContext) =>
  Ledger.Ledger.use((ledger) => Effect.asVoid(ledger.apply(idempotencyKey, path, value))).pipe(Effect.delay("1 second"))
const cancel = (_: unknown, __: unknown, { actionKey, path }: Saga.CompensationContext) =>
  Ledger.Ledger.use((ledger) => ledger.cancel(actionKey, path))
const item = { action: enter(), whenUncertain: "compensate" as const, compensation: cancel }
const ledger = { services: Ledger.layer, model: Ledger.Ledger.use((ledger) => ledger.standing) }

const inner = Saga.make("Inner", { payload: Schema.Int }).pipe(Saga.step("gift", item))
const good = Saga.make("Good", { payload: Order }).pipe(
  Saga.check("open", { action: () => Effect.void }),
  Saga.step("charge", item),
  Saga.forEach("lines", {
    item: Schema.String,
    items: ({ payload }) => Array.from(new Set(payload.lines)),
    key: (line) => line,
    concurrency: 2,
    each: (fork) => fork.pipe(Saga.step("reserve", item))
  }),
  Saga.nested("wrap", inner, ({ payload }) => payload.cents),
  Saga.pivot("pay", { action: enter() })
)

const broken = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, SagaTest.LawBroken)
    return error
  })

/** A saga of one step. */
const one = (
  action: (cents: number, key: string) => Effect.Effect<void, never, Bank>,
  undone: (cents: number) => Effect.Effect<void, never, Bank>
) =>
  Saga.make("One", { payload: Order }).pipe(
    Saga.step("charge", {
      action: ({ payload }, { idempotencyKey }) => action(payload.cents, idempotencyKey),
      compensation: (_, { payload }) => undone(payload.cents)
    })
  )

describe("laws", () => {
  it.effect("are kept by a participant that remembers keys, in every step", () =>
    Effect.gen(function*() {
      const { checked } = yield* SagaTest.laws(good, ledger)
      assert.deepStrictEqual(checked.map(({ law, step }) => `${step}: ${law}`), [
        "open: a check changes nothing",
        ...["charge", "lines/*/reserve", "wrap/gift"].flatMap((step) => [
          `${step}: doing it twice with one key is doing it once`,
          `${step}: undoing it leaves nothing`,
          `${step}: undoing it twice is undoing it once`,
          `${step}: undoing what was never done does nothing`
        ]),
        "pay: doing it twice with one key is doing it once"
      ])
      assert.isTrue(checked.every(({ times }) => times >= 10))
    }), 30_000)

  it.effect("do;do: what is booked twice is found, with the smallest payload", () =>
    Effect.gen(function*() {
      const found = yield* broken(SagaTest.laws(one(move, (cents) => move(-cents)), bank))
      assert.strictEqual(found.law, "doing it twice with one key is doing it once")
      const { cents, lines } = found.payload as typeof Order.Type
      assert.deepStrictEqual([Math.abs(cents), lines], [1, []])
      assert.deepStrictEqual([found.path, found.before, found.after], ["charge", cents, 2 * cents])
      assert.include(found.message, `One, step "charge", breaks the law "doing it twice with one key is doing it once"`)
      const again = yield* broken(
        SagaTest.laws(one(move, (cents) => move(-cents)), { ...bank, replay: found.replay })
      )
      assert.deepStrictEqual(again.payload, found.payload)
    }))

  it.effect("do;do: another answer to the same key is found", () =>
    Effect.gen(function*() {
      const saga = Saga.make("One", { payload: Order }).pipe(
        Saga.pivot("charge", {
          success: Schema.Int,
          action: () => Bank.use((bank) => Ref.updateAndGet(bank, (calls) => calls + 1))
        })
      )
      const found = yield* broken(SagaTest.laws(saga, { ...bank, model: Effect.succeed(0) }))
      assert.strictEqual(found.problem, "the second call gave another result")
    }))

  const set = (cents: number) => Bank.use((bank) => Ref.set(bank, cents))

  it.effect("do;undo: what a compensation forgets is found", () =>
    Effect.gen(function*() {
      const found = yield* broken(SagaTest.laws(one((cents) => set(cents + 3), () => set(3)), bank))
      assert.deepStrictEqual([found.law, found.before, found.after], ["undoing it leaves nothing", 0, 3])
    }))

  it.effect("undo;undo: what is undone twice is found", () =>
    Effect.gen(function*() {
      const saga = one(() => set(1), () => Bank.use((bank) => Ref.update(bank, (n) => n - 1)))
      const found = yield* broken(SagaTest.laws(saga, bank))
      assert.deepStrictEqual([found.law, found.before, found.after], ["undoing it twice is undoing it once", 0, -1])
    }))

  it.effect("undo before do: what a compensation makes up is found", () =>
    Effect.gen(function*() {
      const saga = Saga.make("One", { payload: Order }).pipe(
        Saga.step("charge", {
          action: () => Effect.void,
          whenUncertain: "compensate",
          compensation: (attempt) => attempt._tag === "Unknown" ? set(-5) : Effect.void
        })
      )
      const found = yield* broken(SagaTest.laws(saga, bank))
      assert.deepStrictEqual([found.law, found.after], ["undoing what was never done does nothing", -5])
    }))

  it.effect("a check that does something is found", () =>
    Effect.gen(function*() {
      const saga = Saga.make("One", { payload: Order }).pipe(Saga.check("funds", { action: () => set(7) }))
      assert.strictEqual((yield* broken(SagaTest.laws(saga, bank))).law, "a check changes nothing")
    }))

  it.effect("a compensation that fails breaks them, and one that hangs", () =>
    Effect.gen(function*() {
      const failing = Saga.make("One", { payload: Order }).pipe(
        Saga.step("charge", { action: () => Effect.void, compensation: () => Effect.fail("busy") })
      )
      assert.include((yield* broken(SagaTest.laws(failing, bank))).problem, "the compensation fails: busy")
      const hanging = one(() => Effect.void, () => Effect.never)
      assert.include((yield* broken(SagaTest.laws(hanging, bank))).problem, "nothing moves any more")
    }))

  it.effect("a model that fails is told", () =>
    Effect.gen(function*() {
      const found = yield* broken(SagaTest.laws(good, { ...ledger, model: Effect.fail(new Error("no table")) }))
      assert.strictEqual(found.problem, "the model fails: no table")
    }))

  it.effect("that were never checked are an error, unless the step is named", () =>
    Effect.gen(function*() {
      const saga = Saga.make("One", { payload: Order }).pipe(
        Saga.check("funds", { error: Refused, action: () => Effect.fail(new Refused()) }),
        Saga.pivot("pay", { action: () => Effect.void })
      )
      const error = yield* Effect.flip(SagaTest.laws(saga, bank))
      assert.include(
        error.message,
        `"a check changes nothing" of funds, "doing it twice with one key is doing it once" of pay`
      )
      yield* SagaTest.laws(saga, { ...bank, unreachable: ["funds", "pay"] })
    }))

  it.effect("are checked with a payload of yours, and need one where none can be generated", () =>
    Effect.gen(function*() {
      const odd = Saga.make("Odd", { payload: Schema.instanceOf(URL) }).pipe(
        Saga.check("open", { action: () => Effect.void })
      )
      const error = yield* Effect.flip(SagaTest.laws(odd, bank))
      assert.strictEqual(error._tag, "NoSample")
      const { checked } = yield* SagaTest.laws(odd, { ...bank, payload: new URL("https://example.org") })
      assert.deepStrictEqual(checked.map(({ times }) => times), [1])
    }))
})
