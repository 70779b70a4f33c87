/** Which of two paths comes first, from the definition alone. */
import { Effect, Schema } from "effect"
import { Saga } from "effect-saga"
import { expect, it } from "vitest"
import { orderIn } from "../../src/testing/internal/order.ts"

const step = { action: () => Effect.void, compensation: () => Effect.void }
const start = Saga.make("All", { payload: Schema.Void })
const inner = Saga.make("Inner", { payload: Schema.Void }).pipe(Saga.step("paper", step), Saga.step("ribbon", step))

const saga = start.pipe(
  Saga.step("first", step),
  Saga.parallel((fork) => [
    fork.pipe(
      Saga.step("left", step),
      Saga.forEach("lines", {
        item: Schema.String,
        items: () => [],
        key: (item) => item,
        concurrency: 2,
        each: (fork) => fork.pipe(Saga.step("reserve", step), Saga.step("pack", step))
      })
    ),
    fork.pipe(Saga.step("right", step))
  ]),
  Saga.match("kind", (): "a/b" | "c" => "c", {
    "a/b": (fork) => fork.pipe(Saga.nested("wrapped", inner, () => undefined)),
    "c": (fork) => fork.pipe(Saga.step("plain", step))
  }),
  Saga.when("express", () => true, (fork) => fork.pipe(Saga.step("van", step), Saga.step("driver", step))),
  Saga.orElse(
    "way",
    (fork) => fork.pipe(Saga.step("cheap", step), Saga.step("slow", step)),
    (fork) => fork.pipe(Saga.step("fast", step))
  ),
  Saga.step("last", step)
)
const order = orderIn(Saga.definition(saga))

const before: ReadonlyArray<readonly [string, string]> = [
  ["first", "last"],
  ["first", "left"],
  ["left", "lines/x/pack"],
  ["lines/a%2Fb/reserve", "lines/a%2Fb/pack"],
  ["right", "kind/c/plain"],
  ["lines/x/pack", "express/van"],
  ["kind/a%2Fb/wrapped/paper", "kind/a%2Fb/wrapped/ribbon"],
  ["express/van", "express/driver"],
  ["way/first/cheap", "way/first/slow"],
  ["way/first/slow", "way/second/fast"],
  ["way/second/fast", "last"]
]

it.each(before)("%s comes before %s", (one, other) => {
  expect([order(one, other), order(other, one)]).toEqual(["before", "after"])
})

const unordered: ReadonlyArray<readonly [string, string]> = [
  ["left", "right"],
  ["lines/x/pack", "right"],
  ["lines/x/reserve", "lines/y/pack"],
  ["kind/c/plain", "kind/a%2Fb/wrapped/paper"],
  ["first", "first"],
  ["first", "unknown"],
  ["lines/x/unknown", "first"],
  ["first/deeper", "last"],
  ["kind", "first"]
]

it.each(unordered)("%s and %s are unordered", (one, other) => {
  expect([order(one, other), order(other, one)]).toEqual(["unordered", "unordered"])
})
