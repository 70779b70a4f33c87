// Finding a path in the definition of a saga, and how far facts have come through the point of no return.
import { assert, it } from "@effect/vitest"
import { Effect, Schedule, Schema } from "effect"
import type { SagaEvent } from "effect-saga"
import { Saga } from "effect-saga"
import { commitOf, definedAt } from "../../src/internal/engine/places.ts"

const done = { action: () => Effect.void, compensation: () => Effect.void }
const nothing = { action: () => Effect.void }
const again = { action: () => Effect.void, retry: Schedule.forever }

const inner = Saga.make("Inner", { payload: Schema.Void }).pipe(Saga.step("paper", done), Saga.pivot("pay", nothing))
const saga = Saga.make("Outer", { payload: Schema.Void }).pipe(
  Saga.forEach("lines", {
    item: Schema.String,
    items: () => [],
    key: (item) => item,
    each: (fork) => fork.pipe(Saga.step("reserve", done))
  }),
  Saga.when("express", () => true, (fork) => fork.pipe(Saga.step("bike", done))),
  Saga.match("kind", () => "a/b" as const, { "a/b": (fork) => fork.pipe(Saga.step("wrap", done)) }),
  Saga.orElse(
    "way",
    (fork) =>
      fork.pipe(Saga.parallel((fork) => [
        fork.pipe(Saga.parallel((fork) => [fork.pipe(Saga.step("deep", done))])),
        fork.pipe(Saga.when("first", () => true, (fork) => fork.pipe(Saga.check("look", nothing))))
      ])),
    (fork) => fork.pipe(Saga.sleep("wait", "1 day"))
  ),
  Saga.nested("paid", inner, () => undefined),
  Saga.retriable("mail", again)
)
// As a journal gives it back.
const definition = JSON.parse(JSON.stringify(Saga.definition(saga))) as Saga.SagaDefinition

const kinds: { readonly [path: string]: string | undefined } = {
  "lines": "forEach",
  "lines/any%2Fkey/reserve": "step",
  "lines/*/reserve": "step",
  "lines/any": undefined,
  "lines/any/other": undefined,
  "express/bike": "step",
  "express/then/bike": undefined,
  "kind/a%2Fb/wrap": "step",
  "kind/a/b/wrap": undefined,
  "kind/c/wrap": undefined,
  "way/first/deep": "step",
  "way/second/wait": "sleep",
  "way/first": undefined,
  "way/first/first": "when",
  "way/first/first/look": "check",
  "way/third/wait": undefined,
  "paid/paper": "step",
  "paid/pay": "pivot",
  "mail": "retriable",
  "mail/more": undefined,
  "": undefined
}

for (const [path, kind] of Object.entries(kinds)) {
  it(`at "${path}" there is ${kind === undefined ? "nothing" : `a ${kind}`}`, () => {
    assert.strictEqual(definedAt(definition, path)?.kind, kind)
  })
}

const fact = (words: string): SagaEvent => {
  const [tag, path = ""] = words.split(" ")
  return { _tag: tag, path, atMillis: 0, attempts: 1 } as unknown as SagaEvent
}

const commits: { readonly [what: string]: readonly [facts: ReadonlyArray<string>, commit: string] } = {
  "before the first fact": [[], "Before"],
  "while steps run": [["StepStarted express/bike", "StepSucceeded express/bike"], "Before"],
  "while a nested pivot runs": [["StepStarted paid/pay", "StepAttemptFailed paid/pay"], "Within"],
  "when nobody knows of the pivot": [["StepStarted paid/pay", "StepUncertain paid/pay"], "Within"],
  "when the pivot has failed": [["StepStarted paid/pay", "StepFailed paid/pay", "UnwindStarted"], "Before"],
  "when the pivot has succeeded": [["StepStarted paid/pay", "StepSucceeded paid/pay"], "Behind"],
  "when the pivot was skipped": [["StepStarted paid/pay", "StepUncertain paid/pay", "StepSkipped paid/pay"], "Behind"],
  "when a retriable has started": [["StepStarted mail"], "Behind"],
  "after facts that it does not know": [["StepStarted express/bike", "LaterRelease express/bike"], "Before"],
  "at a path that is nowhere": [["StepStarted nowhere"], "Before"]
}

for (const [what, [facts, commit]] of Object.entries(commits)) {
  it(`${what} it is ${commit.toLowerCase()} the commit point`, () => {
    assert.strictEqual(commitOf(definition, facts.map(fact)), commit)
  })
}
