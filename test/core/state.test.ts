// Which fact may follow which: one that may not is a value that says why, never a throw.
import { assert, describe, it } from "@effect/vitest"
import { Cause, HashMap, Option, Result } from "effect"
import type { SagaEvent } from "effect-saga"
import { SagaState } from "effect-saga"

const atMillis = 0
const cause = Cause.fail("no")
const once = { atMillis, attempts: 1 }
const started: SagaEvent = { _tag: "SagaStarted", atMillis, saga: "Trip", version: 1, payload: undefined }
const begin = (path: string): SagaEvent => ({ _tag: "StepStarted", atMillis, path })
const done = (path: string): SagaEvent => ({ _tag: "StepSucceeded", ...once, path, result: undefined })
const failed = (path: string): SagaEvent => ({ _tag: "StepFailed", ...once, path, cause })
const unknown = (path: string, whenUncertain: "report" | "compensate" | "stuck"): SagaEvent => ({
  _tag: "StepUncertain",
  ...once,
  path,
  reason: "Died",
  whenUncertain,
  cause
})
const unwinds = (scope = ""): SagaEvent => ({ _tag: "UnwindStarted", atMillis, scope, cause })
const undo = (path: string): SagaEvent => ({ _tag: "CompensationStarted", atMillis, path })
const undone = (path: string): SagaEvent => ({ _tag: "CompensationSucceeded", ...once, path })
const notUndone = (path: string): SagaEvent => ({ _tag: "CompensationFailed", ...once, path, cause })
const chosen = (path: string): SagaEvent => ({ _tag: "BranchChosen", atMillis, path, tag: null })
const set = (path: string): SagaEvent => ({ _tag: "TimerSet", atMillis, path, fireAtMillis: 5 })
const fired = (path: string): SagaEvent => ({ _tag: "TimerFired", atMillis, path })
const fellBack = (path: string): SagaEvent => ({ _tag: "FellBack", atMillis, path, cause })
const succeeded: SagaEvent = { _tag: "SagaSucceeded", atMillis, result: undefined }
const compensated: SagaEvent = { _tag: "SagaCompensated", atMillis, uncertain: [] }
const stuck: SagaEvent = { _tag: "SagaStuck", atMillis, reason: "CompensationFailed", open: ["a"] }

describe("a fact that cannot follow", () => {
  const a = [started, begin("a"), done("a")]
  const first = "way/first/a"
  const second = "way/second/a"
  const cases: ReadonlyArray<readonly [before: ReadonlyArray<SagaEvent>, fact: SagaEvent, problem: string]> = [
    [[], begin("a"), "cannot follow when the execution is NotStarted"],
    [[started], started, "is not the first one"],
    [[started, succeeded], begin("a"), "cannot follow when the execution is Succeeded"],
    [[started, unwinds(), compensated], undo("a"), "cannot follow when the execution is Compensated"],
    [[started, stuck], begin("a"), "cannot follow when the execution is Stuck"],
    [a, begin("a"), "is the second of its step"],
    [[started], done("a"), "is of a step that has not started"],
    [a, failed("a"), "cannot follow when the step is Succeeded"],
    [[...a, unwinds()], begin("b"), "cannot follow when the execution is Compensating"],
    [[...a, unwinds()], chosen("b"), "cannot follow when the execution is Compensating"],
    [[...a, unwinds()], set("b"), "cannot follow when the execution is Compensating"],
    [a, undo("a"), "has no unwind that it is a part of"],
    [[started, begin("a"), failed("a"), unwinds()], undo("a"), "cannot follow when the step is Failed"],
    [
      [started, begin("a"), unknown("a", "report"), unwinds()],
      undo("a"),
      "cannot follow: a step of unknown outcome with whenUncertain \"report\""
    ],
    [[...a, unwinds(), undo("a"), undone("a")], undo("a"), "cannot follow when the step is Compensated"],
    [[...a, unwinds(), undo("a"), notUndone("a")], undo("a"), "cannot follow when the step is CompensationFailed"],
    [[started, chosen("b")], chosen("b"), "decides again what is decided"],
    [[started], fired("b"), "is of a timer that is not set"],
    [[started, set("b"), fired("b")], fired("b"), "is of a timer that is not set"],
    [[started, unwinds()], unwinds(), "starts again what unwinds at \"\""],
    [[started], fellBack("way"), "is of a save-point that does not unwind"],
    [[started, unwinds("way")], begin(first), "cannot follow the unwind of \"way\""],
    [[started, unwinds("way")], begin(second), "cannot follow the unwind of \"way\""],
    [[started, unwinds("way"), fellBack("way")], begin(first), "cannot follow the unwind of \"way\""],
    [[...a, unwinds("way")], undo("a"), "has no unwind that it is a part of"],
    [[started, begin("a")], succeeded, "cannot follow while something is in flight"],
    [[started, unwinds()], succeeded, "cannot follow an unwind"],
    [[started], compensated, "needs an unwind before it"],
    [[...a, unwinds(), undo("a")], compensated, "cannot follow while something is in flight"],
    [[...a, unwinds(), undo("a"), notUndone("a")], compensated, "cannot follow a compensation that failed"],
    [[started, begin("a")], stuck, "cannot follow while something is in flight"]
  ]
  for (const [before, fact, problem] of cases) {
    it(`${before.map(({ _tag }) => _tag).join()} + ${fact._tag}: ${problem}`, () => {
      const state = Result.getOrThrow(SagaState.fold(before))
      const mismatch = Result.getFailure(SagaState.apply(state, fact))
      const of = "path" in fact ? ` of "${fact.path}"` : ""
      assert.strictEqual(Option.getOrThrow(mismatch).message, `The fact ${fact._tag}${of} ${problem}`)
    })
  }
})

describe("the state", () => {
  it("siblings of a save-point go forward while it unwinds, and its second way afterwards", () => {
    const facts = [
      started,
      begin("way/first/a"),
      done("way/first/a"),
      unwinds("way"),
      begin("sibling"),
      undo("way/first/a"),
      undone("way/first/a"),
      done("sibling"),
      fellBack("way"),
      begin("way/second/a"),
      done("way/second/a"),
      succeeded
    ]
    assert.strictEqual(Result.getOrThrow(SagaState.fold(facts)).status, "Succeeded")
  })

  it("waits when timers are all that is in flight", () => {
    const statusAfter = (...facts: ReadonlyArray<SagaEvent>) =>
      Result.getOrThrow(SagaState.fold([started, ...facts])).status
    assert.strictEqual(statusAfter(set("b")), "Waiting")
    assert.strictEqual(statusAfter(set("b"), begin("a")), "Running")
    assert.strictEqual(statusAfter(set("b"), begin("a"), done("a")), "Waiting")
    assert.strictEqual(statusAfter(set("b"), fired("b")), "Running")
  })

  it("an unwind ends the timers of what it unwinds", () => {
    const timers = (scope: string) =>
      Array.from(HashMap.keys(
        Result.getOrThrow(SagaState.fold([started, set("way/first/b"), set("c"), unwinds(scope)])).timers
      ))
    assert.deepStrictEqual(timers("way"), ["c"])
    assert.deepStrictEqual(timers(""), [])
  })

  it("the first fact that does not fit ends a fold", () => {
    const folded = SagaState.fold([started, done("a"), begin("a")])
    assert.isTrue(Result.isFailure(folded) && folded.failure.event._tag === "StepSucceeded")
  })
})
