/** The strict ledger: a good participant by key, and every violation that it remembers. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Saga } from "effect-saga"
import { Ledger } from "effect-saga/testing"

const step = { action: () => Effect.void, compensation: () => Effect.void }
const trip = Saga.make("Trip", { payload: Schema.Void }).pipe(
  Saga.step("flight", step),
  Saga.parallel((fork) => [fork.pipe(Saga.step("hotel", step)), fork.pipe(Saga.step("car", step))])
)

/** A test with a ledger of its own. */
const ledger = (
  name: string,
  body: (ledger: Ledger.Ledger["Service"]) => Effect.Effect<void, unknown>,
  layer = Ledger.layer
) => it.effect(name, () => Effect.flatMap(Ledger.Ledger, body).pipe(Effect.provide(layer)))

describe("a participant", () => {
  ledger("does once what comes twice with one key", (ledger) =>
    Effect.gen(function*() {
      assert.isTrue(yield* ledger.apply("k", "charge", 500))
      assert.isTrue(yield* ledger.apply("k", "charge", 900))
      assert.deepStrictEqual(yield* ledger.standing, [{ key: "k", step: "charge", value: 500 }])
      yield* ledger.check
    }))

  ledger("undoes once what is undone twice", (ledger) =>
    Effect.gen(function*() {
      yield* ledger.apply("k", "charge")
      yield* ledger.undo("k", "charge")
      yield* ledger.undo("k", "charge")
      yield* ledger.settled()
    }))

  ledger("refuses what arrives behind its compensation", (ledger) =>
    Effect.gen(function*() {
      yield* ledger.cancel("k", "charge")
      assert.isFalse(yield* ledger.apply("k", "charge"))
      yield* ledger.apply("l", "seat")
      yield* ledger.undo("l", "seat")
      assert.isFalse(yield* ledger.apply("l", "seat"))
      yield* ledger.settled()
    }))

  ledger("cancels what is there", (ledger) =>
    Effect.gen(function*() {
      yield* ledger.apply("k", "charge")
      yield* ledger.cancel("k", "charge")
      assert.deepStrictEqual(yield* ledger.standing, [])
    }))
})

/** The violation that a ledger fails with, and that it remembers it alone. */
const only = (ledger: Ledger.Ledger["Service"]) =>
  Effect.gen(function*() {
    const violation = yield* Effect.flip(ledger.check)
    assert.deepStrictEqual(yield* ledger.violations, [violation])
    return violation
  })

describe("what it does not forget", () => {
  ledger("a step that took effect under two keys", (ledger) =>
    Effect.gen(function*() {
      yield* ledger.apply("k", "charge")
      yield* ledger.apply("l", "charge")
      const { message } = yield* only(ledger)
      assert.include(message, `"charge" took effect under "l", and still stands under "k"`)
    }))

  ledger("not a step that was undone in between", (ledger) =>
    Effect.gen(function*() {
      yield* ledger.apply("k", "charge")
      yield* ledger.undo("k", "charge")
      yield* ledger.apply("l", "charge")
      yield* ledger.check
    }))

  ledger("two steps with one key", (ledger) =>
    Effect.gen(function*() {
      yield* ledger.apply("k", "charge")
      yield* ledger.apply("k", "seat")
      const violation = yield* only(ledger)
      assert.strictEqual(violation._tag, "KeyShared")
      assert.include(violation.message, `"seat" came with the key "k" of "charge"`)
    }))

  ledger("what is undone and was not there", (ledger) =>
    Effect.gen(function*() {
      yield* ledger.undo("k", "charge")
      assert.strictEqual((yield* only(ledger))._tag, "UndoneWhenAbsent")
    }))

  ledger("what is left over, but for what is reported", (ledger) =>
    Effect.gen(function*() {
      yield* ledger.apply("k", "charge", 500)
      yield* ledger.apply("l", "seat")
      yield* ledger.check
      const left = yield* Effect.flip(ledger.settled({ uncertain: ["seat"] }))
      assert.deepStrictEqual(left, new Ledger.LeftOver({ step: "charge", key: "k", value: 500 }))
      yield* ledger.settled({ uncertain: ["seat", "charge"] })
    }))

  ledger("what is undone before what came after it", (ledger) =>
    Effect.gen(function*() {
      yield* ledger.apply("f", "flight")
      yield* ledger.apply("h", "hotel")
      yield* ledger.undo("f", "flight")
      const violation = yield* only(ledger)
      assert.deepStrictEqual(violation, new Ledger.UndoneOutOfOrder({ step: "flight", key: "f", standing: "hotel" }))
    }), Ledger.layerFor(trip))

  ledger("not what may be undone in any order", (ledger) =>
    Effect.gen(function*() {
      for (const path of ["flight", "hotel", "car"]) yield* ledger.apply(path, path)
      for (const path of ["hotel", "car", "flight"]) yield* ledger.undo(path, path)
      yield* ledger.settled()
    }), Ledger.layerFor(trip))
})
