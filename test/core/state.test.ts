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
const stuckAt = (...open: ReadonlyArray<string>): SagaEvent => ({
  _tag: "SagaStuck",
  atMillis,
  reason: "CompensationFailed",
  open
})
const stuck = stuckAt("a")
const by = { actor: "ann", comment: "7" }
const retried: SagaEvent = { _tag: "RetryRequested", atMillis, ...by }
const givenUp: SagaEvent = { _tag: "UnwindRequested", atMillis, ...by }
const skipped = (path: string): SagaEvent => ({ _tag: "StepSkipped", atMillis, path, ...by, result: 7 })
const undoSkipped = (path: string): SagaEvent => ({ _tag: "CompensationSkipped", atMillis, path, ...by })
const abandoned: SagaEvent = { _tag: "SagaAbandoned", atMillis, ...by }
const handedOver: SagaEvent = { _tag: "ResultsHandedOver", atMillis, ...by, to: "f" }
const cancelled: SagaEvent = { _tag: "CancelRequested", atMillis }
const limit: SagaEvent = { _tag: "LimitPassed", atMillis, path: "", saga: "Trip", limitMillis: 5 }

describe("a fact that cannot follow", () => {
  const a = [started, begin("a"), done("a")]
  const first = "way/first/a"
  const second = "way/second/a"
  const open = [started, begin("a"), done("a"), begin("b"), unknown("b", "stuck"), stuckAt("b", "a")]
  const notUndoneA = [started, begin("a"), done("a"), unwinds(), undo("a"), notUndone("a"), stuckAt("a")]
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
    [[started, begin("a")], stuck, "cannot follow while something is in flight"],
    [[started], handedOver, "cannot follow when the execution is Running"],
    [open, handedOver, "cannot follow when the execution is Stuck"],
    [[...open, abandoned], retried, "cannot follow when the execution is Abandoned"],
    [open, cancelled, "cannot follow when the execution is Stuck"],
    [[started, unwinds()], cancelled, "cannot follow when the execution is Compensating"],
    [[started, unwinds()], limit, "cannot follow when the execution is Compensating"],
    [open, skipped("a"), "is of a step that is not open"],
    [open, skipped("c"), "is of a step that is not open"],
    [[started, begin("b"), unknown("b", "stuck")], skipped("b"), "is of a step that is not open"],
    [notUndoneA, skipped("a"), "is of a step that is not open"],
    [open, undoSkipped("b"), "is of a compensation that has not failed"],
    [open, undoSkipped("c"), "is of a compensation that has not failed"],
    [notUndoneA.slice(0, -1), undoSkipped("a"), "is of a compensation that has not failed"],
    [[started, begin("a"), failed("a"), stuckAt("c", "a")], givenUp, "cannot follow: \"a\" is past the commit point"]
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

describe("a decision of a person", () => {
  const open = [started, begin("a"), done("a"), begin("b"), unknown("b", "stuck"), stuckAt("b", "a")]
  const notUndoneA = [started, begin("a"), done("a"), unwinds(), undo("a"), notUndone("a"), stuckAt("a")]
  const after = (...facts: ReadonlyArray<SagaEvent>) => Result.getOrThrow(SagaState.fold(facts))
  const stepOf = ({ steps }: SagaState.SagaState, path: string) => Option.getOrThrow(HashMap.get(steps, path))
  const shape = ({ inFlight, open, status }: SagaState.SagaState) => ({ status, open, inFlight })

  it("waits for what is undecided, and not for what stands still because of it", () => {
    assert.deepStrictEqual(SagaState.undecided(after(...open)), ["b"])
    assert.deepStrictEqual(SagaState.undecided(after(...notUndoneA)), ["a"])
    assert.deepStrictEqual(SagaState.undecided(after(started, begin("b"), unknown("b", "stuck"))), [])
  })

  it("retry: what is open is in flight again, as if it had not ended", () => {
    const state = after(...open, retried)
    assert.deepStrictEqual(shape(state), { status: "Running", open: [], inFlight: 1 })
    const { status, uncertain } = stepOf(state, "b")
    assert.deepStrictEqual([status, uncertain, stepOf(state, "a").status], ["Started", undefined, "Succeeded"])
    assert.strictEqual(after(...open, retried, done("b"), succeeded).status, "Succeeded")
    const again = after(...notUndoneA, retried)
    assert.deepStrictEqual(shape(again), { status: "Compensating", open: [], inFlight: 1 })
    assert.strictEqual(stepOf(again, "a").status, "Compensating")
    assert.strictEqual(after(...notUndoneA, retried, undone("a"), compensated).status, "Compensated")
    const forward = after(started, begin("a"), failed("a"), stuckAt("a"), retried)
    assert.deepStrictEqual([shape(forward).inFlight, stepOf(forward, "a").status], [1, "Started"])
  })

  it("compensate: what is open is reported, an open compensation is tried again", () => {
    const state = after(...open, givenUp)
    assert.deepStrictEqual(shape(state), { status: "Running", open: [], inFlight: 0 })
    assert.deepStrictEqual(stepOf(state, "b").uncertain, { reason: "Died", whenUncertain: "report" })
    assert.strictEqual(stepOf(state, "b").status, "Uncertain")
    assert.strictEqual(after(...open, givenUp, unwinds(), undo("a"), undone("a"), compensated).status, "Compensated")
    const again = after(...notUndoneA, givenUp)
    assert.deepStrictEqual([shape(again).inFlight, stepOf(again, "a").status], [1, "Compensating"])
  })

  it("skip: the step has succeeded with the value, the compensation is done; behind the last it goes on", () => {
    const state = after(...open, skipped("b"))
    assert.deepStrictEqual(shape(state), { status: "Running", open: [], inFlight: 0 })
    const { attempts, result, status, uncertain } = stepOf(state, "b")
    assert.deepStrictEqual([status, result, uncertain, attempts], ["Succeeded", 7, undefined, 1])
    const undo = after(...notUndoneA, undoSkipped("a"))
    assert.deepStrictEqual(shape(undo), { status: "Compensating", open: [], inFlight: 0 })
    assert.deepStrictEqual([stepOf(undo, "a").status, stepOf(undo, "a").compensationAttempts], ["Compensated", 1])
    const two = [started, begin("a"), unknown("a", "stuck"), begin("b"), unknown("b", "stuck"), stuckAt("a", "b")]
    assert.deepStrictEqual(shape(after(...two, skipped("a"))), { status: "Stuck", open: ["b"], inFlight: 0 })
    assert.strictEqual(after(...two, skipped("a"), skipped("b")).status, "Running")
  })

  it("abandon: nothing comes any more but that its results went elsewhere", () => {
    assert.strictEqual(after(...open, abandoned).status, "Abandoned")
    assert.strictEqual(after(...open, abandoned, handedOver).status, "Abandoned")
  })

  it("a request to cancel, a refusal of one, and a limit change nothing by themselves", () => {
    const refused: SagaEvent = { _tag: "CancelRefused", atMillis }
    for (const fact of [cancelled, refused, limit]) {
      assert.deepStrictEqual(shape(after(started, begin("a"), fact)), { status: "Running", open: [], inFlight: 1 })
    }
  })
})

describe("the state", () => {
  it("counts attempts and tries, and keeps why the last one failed", () => {
    const because = (words: string) => Cause.fail(words)
    const attempt = { atMillis, path: "a", nextAtMillis: 5 }
    const state = Result.getOrThrow(SagaState.fold([
      started,
      begin("a"),
      { _tag: "StepAttemptFailed", ...attempt, attempt: 2, cause: because("first") }
    ]))
    const step = Option.getOrThrow(HashMap.get(state.steps, "a"))
    assert.deepStrictEqual([step.attempts, step.cause], [2, because("first")])
    const undoing = Result.getOrThrow(SagaState.fold([
      started,
      begin("a"),
      done("a"),
      unwinds(),
      undo("a"),
      { _tag: "CompensationAttemptFailed", ...attempt, attempt: 3, cause: because("second") }
    ]))
    const undone = Option.getOrThrow(HashMap.get(undoing.steps, "a"))
    assert.deepStrictEqual([undone.attempts, undone.compensationAttempts, undone.cause], [1, 3, because("second")])
  })

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

  it("goes forward beside a save-point that unwinds, in what only looks like a way of it too", () => {
    for (const path of ["way/firstly/a", "way/xfirst/a", "ways/first/a"]) {
      assert.isTrue(Result.isSuccess(SagaState.fold([started, unwinds("way"), begin(path)])), path)
    }
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
