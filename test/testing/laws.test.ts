/** The laws of participants: kept by good ones, and each found broken in a bad one. */
import { assert, describe, it } from "@effect/vitest"
import type { Duration } from "effect"
import { Arbitrary, Context, Effect, Layer, Random, Ref, Schedule, Schema } from "effect"
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
      const { laws, text } = yield* SagaTest.laws(good, ledger)
      assert.deepStrictEqual(laws.map(({ law, path }) => `${path}: ${law}`), [
        "open: a check changes nothing",
        ...["charge", "lines/*/reserve", "wrap/gift"].flatMap((step) => [
          `${step}: doing it twice with one key is doing it once`,
          `${step}: undoing it leaves nothing`,
          `${step}: undoing it twice is undoing it once`,
          `${step}: undoing what was never done does nothing`
        ]),
        "pay: doing it twice with one key is doing it once"
      ])
      assert.isTrue(laws.every(({ checked, failed }) => checked >= 10 && failed === 0))
      assert.deepStrictEqual(text.split("\n").slice(0, 2), [
        "Good keeps its laws",
        "  open             a check changes nothing                       20 times"
      ])
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
      const limits: ReadonlyArray<object> = [{}, { timeout: "1 minute", whenUncertain: "report" }]
      for (const timeout of limits) {
        const hanging = Saga.make("One", { payload: Order }).pipe(
          Saga.step("charge", { action: () => Effect.void, compensation: () => Effect.never, ...timeout })
        )
        const { problem } = yield* broken(SagaTest.laws(hanging, bank))
        assert.strictEqual(problem, "the compensation has not ended, and nothing moves any more")
      }
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
        `"a check changes nothing" of funds (its action failed 20 times), "doing it twice with one key is doing it once" of pay.`
      )
      const { laws, text } = yield* SagaTest.laws(saga, { ...bank, unreachable: ["funds", "pay"], runs: 3 })
      assert.deepStrictEqual(laws.map(({ checked, failed }) => [checked, failed]), [[0, 3], [0, 0]])
      assert.include(text, "a check changes nothing                       0 times, and its action failed 3 times")
    }))

  it.effect("say nothing where the action fails for a payload, and are checked where it does not", () =>
    Effect.gen(function*() {
      const saga = Saga.make("One", { payload: Schema.Boolean }).pipe(
        Saga.pivot("pay", {
          error: Refused,
          action: ({ payload }) => payload ? Effect.fail(new Refused()) : Effect.void
        })
      )
      const { laws } = yield* SagaTest.laws(saga, bank)
      assert.isTrue(laws[0]!.checked > 0 && laws[0]!.failed > 0)
      assert.strictEqual(laws[0]!.checked + laws[0]!.failed, 20)
    }))

  it.effect("need a payload of yours where none can be generated", () =>
    Effect.gen(function*() {
      const one = (payload: Schema.Codec<unknown>) =>
        Saga.make("Odd", { payload }).pipe(Saga.check("open", { action: () => Effect.void }))
      const url = Schema.instanceOf(URL)
      for (const payload of [url, Schema.Never, Schema.Int.check(Schema.makeFilter(() => false))]) {
        assert.strictEqual((yield* Effect.flip(SagaTest.laws(one(payload), bank)))._tag, "NoSample")
      }
      const { laws } = yield* SagaTest.laws(one(url), { ...bank, payload: new URL("https://example.org") })
      assert.deepStrictEqual(laws.map(({ checked }) => checked), [1])
    }))

  const wrongFrom = (limit: number) =>
    Saga.make("One", { payload: Schema.Int }).pipe(
      Saga.step("charge", {
        action: ({ payload }) => set(payload),
        compensation: (_, { payload }) => set(payload >= limit ? 1 : 0)
      })
    )

  it.effect("are checked with a list of payloads, each as it is", () =>
    Effect.gen(function*() {
      const { laws } = yield* SagaTest.laws(wrongFrom(100), { ...bank, payload: 5, payloads: [6, 7] })
      assert.deepStrictEqual(laws.map(({ checked }) => checked), [3, 3, 3])
      const alone = yield* SagaTest.laws(wrongFrom(100), { ...bank, payloads: [6, 7] })
      assert.deepStrictEqual(alone.laws.map(({ checked }) => checked), [2, 2, 2])
      const nothing = Saga.make("Nothing", { payload: Schema.Void }).pipe(
        Saga.check("open", { action: () => Effect.void })
      )
      assert.strictEqual((yield* SagaTest.laws(nothing, { ...bank, payload: undefined })).laws[0]!.checked, 1)
      const options = { ...bank, payloads: [5, 200, 150] }
      const found = yield* broken(SagaTest.laws(wrongFrom(100), options))
      assert.strictEqual(found.payload, 200)
      assert.strictEqual(
        (yield* broken(SagaTest.laws(wrongFrom(100), { ...options, replay: found.replay }))).payload,
        200
      )
    }))

  it.effect("are checked with generated payloads of yours, which are made smaller", () =>
    Effect.gen(function*() {
      const payload = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5_000 })))
      const { laws } = yield* SagaTest.laws(wrongFrom(5_001), { ...bank, payload, payloads: [6, 7], runs: 7 })
      assert.deepStrictEqual(laws.map(({ checked }) => checked), [9, 9, 9])
      const wrong = wrongFrom(4_000)
      const found = yield* broken(SagaTest.laws(wrong, { ...bank, payload, seed: 7, runs: 50 }))
      assert.strictEqual(found.payload, 4_000)
      assert.notStrictEqual(
        (yield* broken(SagaTest.laws(wrong, { ...bank, payload, seed: 8, runs: 50 }))).replay,
        found.replay
      )
      // What one run alone does not find, its replay does.
      yield* SagaTest.laws(wrong, { ...bank, payload, runs: 1 })
      const again = yield* broken(SagaTest.laws(wrong, { ...bank, payload, runs: 1, replay: found.replay }))
      assert.strictEqual(again.payload, 4_000)
    }))

  it.effect("a replay of what was mended checks all", () =>
    Effect.gen(function*() {
      const { replay } = yield* broken(SagaTest.laws(wrongFrom(-1), bank))
      const { laws } = yield* SagaTest.laws(wrongFrom(Infinity), { ...bank, replay })
      assert.deepStrictEqual(laws.map(({ checked }) => checked), [20, 20, 20])
    }))

  it.effect("the parts of a model that differ are said, and not the others", () =>
    Effect.gen(function*() {
      const model = Effect.map(
        balance,
        (fee) => ({ name: "ours", books: [{ fee }, { fee: 0 }], open: new Map([["a", fee]]) })
      )
      const { message, replay } = yield* broken(SagaTest.laws(wrongFrom(-Infinity), { ...bank, model, payload: 2 }))
      assert.strictEqual(
        message,
        [
          `One, step "charge", breaks the law "undoing it leaves nothing": something is left`,
          `  payload  2`,
          `  before   books.0.fee: 0, then 1`,
          `           open."a": 0, then 1`,
          `  replay   SagaTest.laws(One, { ...options, replay: ${JSON.stringify(replay)} })`
        ].join("\n")
      )
    }))

  it.effect("parts that come, go or become something else are said, ten of them at most", () =>
    Effect.gen(function*() {
      const change = (before: unknown, after: unknown) =>
        Effect.map(
          broken(SagaTest.laws(wrongFrom(-Infinity), {
            ...bank,
            model: Effect.map(balance, (left) => left === 0 ? before : after),
            payload: 2
          })),
          ({ message }) => message.split("\n").slice(2, -1).map((line) => line.slice(11))
        )
      assert.deepStrictEqual(yield* change({ a: 1, c: 3 }, { b: undefined, c: 3 }), [
        "a: 1, then nothing",
        "b: nothing, then undefined"
      ])
      assert.deepStrictEqual(yield* change({ a: [1] }, { a: { 0: 2 } }), [`a: [1], then {"0":2}`])
      assert.deepStrictEqual(yield* change({ a: [] }, { a: {} }), ["a: [], then {}"])
      const many = yield* change(Array.from({ length: 12 }, () => 1), Array.from({ length: 12 }, () => 2))
      assert.deepStrictEqual([many.length, many.at(-2), many.at(-1)], [11, "9: 1, then 2", "and 2 more"])
    }))

  it.effect("each run has services of its own, built, used and released in virtual time, and is undone at its end", () =>
    Effect.gen(function*() {
      let [built, released, first, second] = [0, 0, 0, 0]
      const counted = Layer.effect(Bank, Effect.andThen(Effect.sync(() => built++), Ref.make(0)))
      const later = (count: () => unknown) => Effect.delay(Effect.sync(count), "1 hour")
      const slow = Layer.effectDiscard(Effect.acquireRelease(later(() => 0), () => later(() => released++)))
      const services = Layer.merge(counted, slow)
      const saga = Saga.make("Fresh", { payload: Schema.Void }).pipe(
        Saga.check("fresh", {
          error: Refused,
          action: () => Effect.flatMap(balance, (found) => found === 0 ? Effect.void : Effect.fail(new Refused()))
        }),
        Saga.step("first", {
          action: () => set(1),
          compensation: () => Effect.andThen(Effect.sync(() => first++), set(0))
        }),
        Saga.step("second", {
          action: () => Effect.void,
          whenUncertain: "compensate",
          compensation: () => Effect.sync(() => void second++)
        })
      )
      // Whoever has built the same layer around it shares nothing.
      const { laws } = yield* Effect.provide(SagaTest.laws(saga, { ...bank, services, runs: 1 }), counted)
      assert.isTrue(laws.every(({ checked, failed }) => checked === 1 && failed === 0))
      // One run that looks for the paths, and one for each law; and what is around them all.
      assert.deepStrictEqual([laws.length, built, released], [8, 1 + 8 + 1, 1 + 8])
      // As often as the laws do it, and once at the end of each run that has done it before.
      assert.deepStrictEqual([first, second], [0 + 1 + 2 + 4, 0 + 1 + 2 + 1 + 4])
    }))

  it.effect("chance is the same in every run", () =>
    Effect.gen(function*() {
      const saga = Saga.make("Luck", { payload: Schema.Void }).pipe(
        Saga.check("luck", { success: Schema.Int, action: () => Random.nextInt }),
        Saga.forEach("draws", {
          item: Schema.Int,
          items: ({ luck }) => [luck],
          key: String,
          each: (fork) => fork.pipe(Saga.step("draw", { action: () => set(1), compensation: () => set(0) }))
        })
      )
      const { laws } = yield* SagaTest.laws(saga, { ...bank, runs: 2 })
      assert.isTrue(laws.every(({ checked }) => checked === 2))
    }))

  it.effect("no time limit cuts a try: of the step, or of the saga", () =>
    Effect.gen(function*() {
      const saga = Saga.make("Limited", { payload: Schema.Void }).pipe(
        Saga.step("charge", { ...item, timeout: "1500 millis" }),
        Saga.timeout("2500 millis")
      )
      const { laws } = yield* SagaTest.laws(saga, ledger)
      assert.deepStrictEqual(laws.map(({ checked }) => checked), [20, 20, 20, 20])
    }))

  it.effect("what runs beside a step ends before, however long it takes, and nothing begins meanwhile", () =>
    Effect.gen(function*() {
      const wait = (duration: Duration.Input) => ({ action: () => Effect.sleep(duration) })
      const refused = { error: Refused, action: () => Effect.delay(Effect.fail(new Refused()), "1 second") }
      const undoneLate = {
        ...item,
        compensation: (...given: Parameters<typeof cancel>) => Effect.delay(cancel(...given), 500)
      }
      const slow = {
        ...item,
        action: (...given: Parameters<typeof item.action>) => Effect.delay(item.action(...given), "1 day")
      }
      const saga = Saga.make("Beside", { payload: Schema.Void }).pipe(
        Saga.parallel((fork) => [
          fork.pipe(Saga.orElse(
            "way",
            (fork) => fork.pipe(Saga.step("cheap", undoneLate), Saga.check("funds", refused)),
            (fork) => fork.pipe(Saga.step("dear", slow))
          )),
          // While `cheap` is done, while `funds` fails and `cheap` is to be compensated, while `dear` is done.
          fork.pipe(Saga.check("a", wait(500)), Saga.step("early", item)),
          fork.pipe(Saga.check("b", wait(1500)), Saga.step("later", item)),
          fork.pipe(Saga.check("c", wait("12 hours")), Saga.step("late", item))
        ])
      )
      const { laws } = yield* SagaTest.laws(saga, { ...ledger, unreachable: ["way/first/funds"], runs: 1 })
      assert.isTrue(laws.every(({ checked, path }) => checked === (path === "way/first/funds" ? 0 : 1)))
    }))

  it.effect("a step that succeeds at its second attempt is checked there", () =>
    Effect.gen(function*() {
      const saga = Saga.make("Flaky", { payload: Schema.Void }).pipe(
        Saga.step("charge", {
          error: Refused,
          retry: Schedule.recurs(1),
          action: (_, { attempt }) => attempt === 1 ? Effect.fail(new Refused()) : set(1),
          compensation: () => set(0)
        })
      )
      const { laws } = yield* SagaTest.laws(saga, { ...bank, runs: 2 })
      assert.deepStrictEqual(laws.map(({ checked, failed }) => [checked, failed]), [[2, 0], [2, 0], [2, 0]])
    }))

  it.effect("forward recovery, which would try for ever, ends", () =>
    Effect.gen(function*() {
      const saga = Saga.make("Forward", { payload: Schema.Void }).pipe(
        Saga.pivot("pay", { action: () => set(1) }),
        Saga.retriable("tell", { action: () => move(1), retry: Schedule.forever })
      )
      const found = yield* broken(SagaTest.laws(saga, bank))
      assert.deepStrictEqual([found.path, found.problem], ["tell", "the second call changed the model"])
    }))

  it.effect("an action that never ends is told, and is one that fails if its step has a limit", () =>
    Effect.gen(function*() {
      const hanging = (timeout: object, action: Effect.Effect<void>) =>
        Saga.make("One", { payload: Schema.Void }).pipe(Saga.pivot("charge", { action: () => action, ...timeout }))
      for (const action of [Effect.never, Effect.forever(Effect.sleep("1 second"))]) {
        const found = yield* broken(SagaTest.laws(hanging({}, action), bank))
        assert.strictEqual(found.problem, "the action has not ended, and nothing moves any more")
        const error = yield* Effect.flip(SagaTest.laws(hanging({ timeout: "1 minute" }, action), { ...bank, runs: 1 }))
        assert.include(error.message, "charge (its action failed 1 time)")
      }
    }))

  it.effect("a model that never answers is told, and services that cannot be built are a defect", () =>
    Effect.gen(function*() {
      const found = yield* broken(SagaTest.laws(good, { ...ledger, model: Effect.never }))
      assert.strictEqual(found.problem, "the model has not ended, and nothing moves any more")
      const services = Layer.effect(Bank, Effect.fail(new Error("no database")))
      const exit = yield* Effect.exit(SagaTest.laws(wrongFrom(0), { ...bank, services }))
      assert.include(String(exit), "no database")
    }))

  it.effect("runs that are not repeatable are told", () =>
    Effect.gen(function*() {
      let runs = 0
      const saga = Saga.make("Odd", { payload: Schema.Void }).pipe(
        Saga.check("first", { error: Refused, action: () => runs++ === 0 ? Effect.void : Effect.fail(new Refused()) }),
        Saga.pivot("second", { action: () => Effect.void })
      )
      assert.include((yield* broken(SagaTest.laws(saga, bank))).problem, "runs must be repeatable")
    }))

  it.effect("an item, or a nested saga, that breaks one is named by its path", () =>
    Effect.gen(function*() {
      const lines = Saga.make("Lines", { payload: Order }).pipe(
        Saga.forEach("lines", {
          item: Schema.String,
          items: ({ payload }) => Array.from(new Set(payload.lines)),
          key: (line) => line,
          each: (fork) =>
            fork.pipe(
              Saga.step("reserve", {
                action: ({ item }) => item.length < 2 ? Effect.void : move(1),
                compensation: () => Effect.void
              })
            )
        })
      )
      const found = yield* broken(SagaTest.laws(lines, bank))
      assert.strictEqual((found.payload as typeof Order.Type).lines.length, 1)
      assert.strictEqual((found.payload as typeof Order.Type).lines[0]!.length, 2)
      assert.match(found.path, /^lines\/.+\/reserve$/)
      const outer = Saga.make("Outer", { payload: Schema.Int }).pipe(
        Saga.nested("inner", wrongFrom(-Infinity), ({ payload }) => payload)
      )
      assert.strictEqual((yield* broken(SagaTest.laws(outer, bank))).path, "inner/charge")
    }))

  it.effect("there are none of a saga without steps", () =>
    Effect.gen(function*() {
      const { laws, text } = yield* SagaTest.laws(Saga.make("Empty", { payload: Schema.Void }), bank)
      assert.deepStrictEqual([laws, text], [[], "Empty keeps its laws"])
    }))
})
