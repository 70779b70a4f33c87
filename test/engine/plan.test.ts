// An execution laid over its definition: from facts that are written down here, and from real runs, where what a plan says
// of an unwind is compared with the unwind that follows.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Layer, Result, Schedule, Schema, Stream } from "effect"
import type { SagaEvent } from "effect-saga"
import { Saga, SagaObserver, SagaState } from "effect-saga"
import type { ExecutionPlan, PlannedStep } from "effect-saga/SagaEngine"
import { planOf, SagaEngine } from "effect-saga/SagaEngine"
import { SagaJournal } from "effect-saga/SagaJournal"
import type { Executor } from "../core/randomRun.ts"
import { run } from "../core/randomRun.ts"
import { leavesOf, randomSaga, randomScript } from "../core/randomSaga.ts"
import { Gate, inTime, World } from "./world.ts"

// ------------------------------------------------------------------------------------------- facts by hand

type Facts = ReadonlyArray<SagaEvent>
/** A fact that is told when it is. */
type Told = (atMillis: number) => SagaEvent

const no = Cause.fail("no")
const bug = Cause.die("bug")

const started = (path: string): Told => (atMillis) => ({ _tag: "StepStarted", atMillis, path })
const succeeded = (path: string, attempts = 1): Told => (atMillis) => (
  { _tag: "StepSucceeded", atMillis, path, attempts, result: { encoded: true } }
)
const done = (...paths: ReadonlyArray<string>): ReadonlyArray<Told> =>
  paths.flatMap((path) => [started(path), succeeded(path)])
const attemptFailed =
  (path: string, attempt: number, nextAtMillis: number, reason?: "TimedOut"): Told => (atMillis) => ({
    _tag: "StepAttemptFailed",
    atMillis,
    path,
    attempt,
    cause: no,
    nextAtMillis,
    ...(reason === undefined ? {} : { reason })
  })
const failed = (path: string, cause: Cause.Cause<unknown> = no): Told => (atMillis) => (
  { _tag: "StepFailed", atMillis, path, attempts: 1, cause }
)
const uncertain = (path: string, whenUncertain: "report" | "compensate" | "stuck"): Told => (atMillis) => (
  { _tag: "StepUncertain", atMillis, path, attempts: 1, reason: "Died", whenUncertain, cause: bug }
)
const chosen = (path: string, tag: string | null): Told => (atMillis) => ({ _tag: "BranchChosen", atMillis, path, tag })
const listed = (path: string, ...keys: ReadonlyArray<string>): Told => (atMillis) => (
  { _tag: "ItemsListed", atMillis, path, keys, items: keys }
)
const nested = (path: string): Told => (atMillis) => (
  { _tag: "NestedStarted", atMillis, path, saga: "Inner", version: 1, payload: null }
)
const timerSet = (path: string, fireAtMillis: number): Told => (atMillis) => (
  { _tag: "TimerSet", atMillis, path, fireAtMillis }
)
const timerFired = (path: string): Told => (atMillis) => ({ _tag: "TimerFired", atMillis, path })
const unwinds = (scope = ""): Told => (atMillis) => ({ _tag: "UnwindStarted", atMillis, scope, cause: no })
const fellBack = (path: string): Told => (atMillis) => ({ _tag: "FellBack", atMillis, path, cause: no })
const compensating = (path: string): Told => (atMillis) => ({ _tag: "CompensationStarted", atMillis, path })
const compensationTried = (path: string, attempt: number, nextAtMillis: number): Told => (atMillis) => (
  { _tag: "CompensationAttemptFailed", atMillis, path, attempt, cause: no, nextAtMillis }
)
const compensationFailed = (path: string): Told => (atMillis) => (
  { _tag: "CompensationFailed", atMillis, path, attempts: 5, cause: no }
)
const compensated = (...paths: ReadonlyArray<string>): ReadonlyArray<Told> =>
  paths.flatMap((path) => [
    compensating(path),
    (atMillis): SagaEvent => ({ _tag: "CompensationSucceeded", atMillis, path, attempts: 1 })
  ])
const limitPassed = (path: string): Told => (atMillis) => (
  { _tag: "LimitPassed", atMillis, path, saga: "Any", limitMillis: 1 }
)
const cancelled: Told = (atMillis) => ({ _tag: "CancelRequested", atMillis })
const sagaSucceeded: Told = (atMillis) => ({ _tag: "SagaSucceeded", atMillis, result: null })
const sagaCompensated = (...uncertain: ReadonlyArray<string>): Told => (atMillis) => (
  { _tag: "SagaCompensated", atMillis, uncertain }
)
const stuck = (
  reason: Extract<SagaEvent, { readonly _tag: "SagaStuck" }>["reason"],
  ...open: ReadonlyArray<string>
): Told =>
(atMillis) => ({ _tag: "SagaStuck", atMillis, reason, open })
const by = { actor: "ann", comment: "asked them" }
const retryRequested: Told = (atMillis) => ({ _tag: "RetryRequested", atMillis, ...by })
const unwindRequested: Told = (atMillis) => ({ _tag: "UnwindRequested", atMillis, ...by })
const stepSkipped = (path: string): Told => (atMillis) => (
  { _tag: "StepSkipped", atMillis, path, ...by, result: { encoded: true } }
)
const compensationSkipped = (path: string): Told => (atMillis) => (
  { _tag: "CompensationSkipped", atMillis, path, ...by }
)
const abandoned: Told = (atMillis) => ({ _tag: "SagaAbandoned", atMillis, ...by })
const migrated: Told = (atMillis) => ({ _tag: "SagaMigrated", atMillis, from: 1, to: 2 })

/** The facts of an execution, one a millisecond. They follow from each other, or the test is wrong. */
const told = (all: ReadonlyArray<Told | ReadonlyArray<Told>>): Facts => {
  const first: Told = (atMillis) => ({ _tag: "SagaStarted", atMillis, saga: "Any", version: 1, payload: null })
  const facts = [first, ...all.flat()].map((fact, index) => fact(index))
  const folded = SagaState.fold(facts)
  if (Result.isFailure(folded)) assert.fail(folded.failure.message)
  return facts
}

const wordsOf = (step: PlannedStep): string => {
  const { attempts, nextAtMillis, sinceMillis, status, uncertain } = step
  return [
    status,
    ...(attempts > 1 ? [`#${attempts}`] : []),
    ...(["InFlight", "Waiting", "Compensating"].includes(status) ? [`since ${sinceMillis}`] : []),
    ...(nextAtMillis === undefined ? [] : [`until ${nextAtMillis}`]),
    ...(uncertain === undefined ? [] : [`${uncertain.reason} ${uncertain.whenUncertain}`])
  ].join(" ")
}

/** Where the steps stand, in words: neighbours of which the same is told are told together. */
const stepsOf = ({ steps, unplaced }: ExecutionPlan): string => {
  const rows: Array<readonly [paths: string, words: string]> = []
  for (const step of steps) {
    const [paths, words] = rows.at(-1) ?? []
    if (words === wordsOf(step)) rows.splice(-1, 1, [`${paths}, ${step.path}`, words])
    else rows.push([step.path, wordsOf(step)])
  }
  return [...rows.map(([paths, words]) => `${paths} ${words}`), ...list("unplaced", unplaced)].join("; ")
}

/** What an unwind would do, in words. What there is nothing of is left out. */
const unwindOf = ({ commit, ifUnwoundNow }: ExecutionPlan): string => {
  const { allowed, awaited, compensated, reason, uncertain, uncompensated } = ifUnwoundNow
  return [
    ...(commit === "Before" ? [] : [commit]),
    ...(reason === undefined ? [] : [allowed ? reason : `refused, ${reason}`]),
    ...list("awaits", awaited),
    ...list("compensates", compensated),
    ...list("uncertain", uncertain),
    ...list("stays", uncompensated)
  ].join("; ")
}

const list = (what: string, paths: ReadonlyArray<string>) => paths.length === 0 ? [] : [`${what}: ${paths.join(", ")}`]

interface Scene {
  readonly facts: ReadonlyArray<Told | ReadonlyArray<Told>>
  readonly now?: number
  readonly steps: string
  readonly unwind: string
}

/** Each scene of a saga is a test. The definition is what a journal gives back. */
const scenes = (saga: Saga.AnySaga, all: { readonly [what: string]: Scene }): void => {
  const definition = JSON.parse(JSON.stringify(Saga.definition(saga))) as Saga.SagaDefinition
  for (const [what, { facts, now = 1000, steps, unwind }] of Object.entries(all)) {
    it(`${what}`, () => {
      const plan = planOf(definition, told(facts), now)
      assert.deepStrictEqual({ steps: stepsOf(plan), unwind: unwindOf(plan) }, { steps, unwind })
    })
  }
}

const step = { action: () => Effect.void, compensation: () => Effect.void }
const look = { action: () => Effect.void }
const often = { action: () => Effect.void, retry: Schedule.forever }
const lost = (whenUncertain: "report" | "stuck") => ({ ...step, whenUncertain, timeout: 1, retry: Schedule.forever })
const any = Saga.make("Any", { payload: Schema.Void })

const past = "it is past its commit point: nothing is compensated any more"
const already = "it unwinds already"
const pivotFirst = "the pivot is awaited first, and if it succeeds there is no way back"

// ------------------------------------------------------------------------------------------- scenes

describe("a sequence", () => {
  const saga = any.pipe(
    Saga.step("seat", step),
    Saga.check("funds", look),
    Saga.step("room", step),
    Saga.sleep("night", "1 day"),
    Saga.pivot("pay", look),
    Saga.retriable("mail", often),
    Saga.retriable("post", often)
  )
  const before = done("seat", "funds", "room")
  const slept = [...before, timerSet("night", 8), timerFired("night")]
  scenes(saga, {
    "that has not begun: all of it is to come": {
      facts: [],
      steps: "seat, funds, room, night, pay, mail, post ToCome",
      unwind: ""
    },
    "in its middle: what is in flight is awaited, the last done is compensated first, a check has nothing to undo": {
      facts: [...done("seat", "funds"), started("room")],
      steps: "seat, funds Done; room InFlight since 5; night, pay, mail, post ToCome",
      unwind: "awaits: room; compensates: seat; stays: funds"
    },
    "that sleeps: nothing is awaited": {
      facts: [before, timerSet("night", 5000)],
      steps: "seat, funds, room Done; night Waiting since 7 until 5000; pay, mail, post ToCome",
      unwind: "compensates: room, seat; stays: funds"
    },
    "whose pivot runs: it is awaited": {
      facts: [slept, started("pay")],
      steps: "seat, funds, room, night Done; pay InFlight since 9; mail, post ToCome",
      unwind: `Within; ${pivotFirst}; awaits: pay; compensates: room, seat; stays: funds`
    },
    "whose pivot waits for its next attempt: it is awaited too": {
      facts: [
        slept,
        started("pay"),
        attemptFailed("pay", 1, 2000, "TimedOut")
      ],
      steps: "seat, funds, room, night Done; pay Waiting since 10 until 2000 TimedOut stuck; mail, post ToCome",
      unwind: `Within; ${pivotFirst}; awaits: pay; compensates: room, seat; stays: funds`
    },
    "whose pivot nobody knows of: a person can have it unwound": {
      facts: [
        slept,
        started("pay"),
        uncertain("pay", "stuck"),
        stuck("PivotUncertain", "pay")
      ],
      steps: "seat, funds, room, night Done; pay Uncertain Died stuck; mail, post MayCome",
      unwind: "Within; compensates: room, seat; uncertain: pay; stays: funds"
    },
    "whose pivot was skipped by a person": {
      facts: [
        slept,
        started("pay"),
        uncertain("pay", "stuck"),
        stuck("PivotUncertain", "pay"),
        stepSkipped("pay")
      ],
      steps: "seat, funds, room, night, pay Done; mail, post ToCome",
      unwind: `Behind; refused, ${past}; stays: seat, funds, room, pay`
    },
    "past its commit point: nothing is compensated any more": {
      facts: [slept, done("pay"), started("mail"), attemptFailed("mail", 3, 2000)],
      steps: "seat, funds, room, night, pay Done; mail Waiting #3 since 12 until 2000; post ToCome",
      unwind: `Behind; refused, ${past}; stays: seat, funds, room, pay`
    },
    "stuck past its commit point: what is left may still come": {
      facts: [slept, done("pay"), started("mail"), failed("mail"), stuck("ForwardRecoveryFailed", "mail", "post")],
      steps: "seat, funds, room, night, pay Done; mail Failed; post ToCome",
      unwind: `Behind; refused, ${past}; stays: seat, funds, room, pay`
    },
    "that goes on past its commit point because a person wants it": {
      facts: [
        slept,
        done("pay"),
        started("mail"),
        failed("mail"),
        stuck("ForwardRecoveryFailed", "mail", "post"),
        retryRequested
      ],
      steps: "seat, funds, room, night, pay Done; mail InFlight #2 since 12; post ToCome",
      unwind: `Behind; refused, ${past}; stays: seat, funds, room, pay`
    },
    "that has succeeded": {
      facts: [slept, done("pay", "mail", "post"), sagaSucceeded],
      steps: "seat, funds, room, night, pay, mail, post Done",
      unwind: "Behind; refused, it has succeeded; stays: seat, funds, room, pay, mail, post"
    },
    "whose step has failed: it unwinds, and nothing more comes": {
      facts: [...done("seat", "funds"), started("room"), failed("room")],
      steps: "seat, funds Done; room Failed; night, pay, mail, post NotTaken",
      unwind: "refused, it unwinds already; compensates: seat; stays: funds"
    },
    "that is cancelled while it sleeps: the sleep is cut": {
      facts: [before, timerSet("night", 5000), cancelled],
      steps: "seat, funds, room Done; night, pay, mail, post NotTaken",
      unwind: "refused, it unwinds already; compensates: room, seat; stays: funds"
    },
    "whose limit has passed": {
      facts: [before, timerSet("night", 5000), limitPassed("")],
      steps: "seat, funds, room Done; night, pay, mail, post NotTaken",
      unwind: "refused, it unwinds already; compensates: room, seat; stays: funds"
    },
    "that is unwound halfway: what is left is shown": {
      facts: [slept, started("pay"), failed("pay"), unwinds(), compensating("room")],
      steps: "seat, funds Done; room Compensating since 12; night Done; pay Failed; mail, post NotTaken",
      unwind: "refused, it unwinds already; compensates: room, seat; stays: funds"
    },
    "whose compensation waits for its next try": {
      facts: [
        slept,
        started("pay"),
        failed("pay"),
        unwinds(),
        compensating("room"),
        compensationTried("room", 2, 2000)
      ],
      steps: "seat, funds Done; room Compensating #2 since 13 until 2000; night Done; pay Failed; mail, post NotTaken",
      unwind: "refused, it unwinds already; compensates: room, seat; stays: funds"
    },
    "stuck by a compensation: it stays, the others are compensated": {
      facts: [
        slept,
        started("pay"),
        failed("pay"),
        unwinds(),
        compensating("room"),
        compensationFailed("room"),
        compensated("seat"),
        stuck("CompensationFailed", "room")
      ],
      steps: "seat Compensated; funds Done; room CompensationFailed #5; night Done; pay Failed; mail, post NotTaken",
      unwind: "compensates: room; stays: funds"
    },
    "whose failed compensation is tried again because a person wants it": {
      facts: [
        slept,
        started("pay"),
        failed("pay"),
        unwinds(),
        compensating("room"),
        compensationFailed("room"),
        compensated("seat"),
        stuck("CompensationFailed", "room"),
        unwindRequested
      ],
      steps: "seat Compensated; funds Done; room Compensating #6 since 13; night Done; pay Failed; mail, post NotTaken",
      unwind: "refused, it unwinds already; compensates: room; stays: funds"
    },
    "that is compensated, one of it by hand": {
      facts: [
        before,
        cancelled,
        unwinds(),
        compensating("room"),
        compensationFailed("room"),
        compensated("seat"),
        stuck("CompensationFailed", "room"),
        compensationSkipped("room"),
        sagaCompensated()
      ],
      steps: "seat Compensated; funds Done; room Compensated #5; night, pay, mail, post NotTaken",
      unwind: "refused, it is compensated; stays: funds"
    },
    "that was abandoned": {
      facts: [
        ...done("seat"),
        started("funds"),
        failed("funds"),
        unwinds(),
        compensating("seat"),
        compensationFailed("seat"),
        stuck("CompensationFailed", "seat"),
        abandoned
      ],
      steps: "seat CompensationFailed #5; funds Failed; room, night, pay, mail, post NotTaken",
      unwind: "refused, it was abandoned; stays: seat"
    },
    "that was changed meanwhile: what has no place is listed": {
      facts: [...done("seat"), migrated, ...done("visa")],
      steps: "seat Done; funds, room, night, pay, mail, post ToCome; unplaced: visa",
      unwind: "compensates: seat"
    }
  })
})

describe("attempts", () => {
  const saga = any.pipe(
    Saga.step("seat", step),
    Saga.step("room", { ...lost("report"), compensation: step.compensation }),
    Saga.step("car", { ...step, retry: Schedule.forever })
  )
  scenes(saga, {
    "a step between two attempts is cut, and has not taken place": {
      facts: [...done("seat", "room"), started("car"), attemptFailed("car", 1, 100), attemptFailed("car", 2, 2000)],
      steps: "seat, room Done; car Waiting #2 since 7 until 2000",
      unwind: "compensates: room, seat"
    },
    "an attempt that is due is in flight since then": {
      facts: [...done("seat", "room"), started("car"), attemptFailed("car", 1, 100), attemptFailed("car", 2, 2000)],
      now: 2000,
      steps: "seat, room Done; car InFlight #3 since 2000",
      unwind: "awaits: car; compensates: room, seat"
    },
    "an attempt that was cut off leaves open whether it took place: the step would be reported": {
      facts: [
        ...done("seat"),
        started("room"),
        attemptFailed("room", 1, 10, "TimedOut"),
        attemptFailed("room", 2, 2000)
      ],
      steps: "seat Done; room Waiting #2 since 5 until 2000 TimedOut report; car ToCome",
      unwind: "compensates: seat; uncertain: room"
    },
    "a step that has succeeded in the end is certain": {
      facts: [...done("seat"), started("room"), attemptFailed("room", 1, 5, "TimedOut"), succeeded("room", 2)],
      steps: "seat Done; room Done #2; car ToCome",
      unwind: "compensates: room, seat"
    }
  })
})

describe("unknown outcomes", () => {
  const saga = any.pipe(
    Saga.step("seat", step),
    Saga.step("report", { ...lost("report") }),
    Saga.step("undo", { ...lost("report"), whenUncertain: "compensate", compensation: () => Effect.void }),
    Saga.step("park", { ...lost("stuck") }),
    Saga.step("last", step)
  )
  const parked = [...done("seat", "report", "undo"), started("park")]
  scenes(saga, {
    "one that is reported is not compensated": {
      facts: [...done("seat"), started("report"), uncertain("report", "report"), unwinds()],
      steps: "seat Done; report Uncertain Died report; undo, park, last NotTaken",
      unwind: "refused, it unwinds already; compensates: seat; uncertain: report"
    },
    "one that is compensated comes first": {
      facts: [...done("seat", "report"), started("undo"), uncertain("undo", "compensate"), unwinds()],
      steps: "seat, report Done; undo Uncertain Died compensate; park, last NotTaken",
      unwind: "refused, it unwinds already; compensates: undo, report, seat"
    },
    "one that would be compensated": {
      facts: [...done("seat", "report"), started("undo"), attemptFailed("undo", 1, 2000, "TimedOut")],
      steps: "seat, report Done; undo Waiting since 6 until 2000 TimedOut compensate; park, last ToCome",
      unwind: "compensates: undo, report, seat"
    },
    "one that would park it: nothing would be compensated": {
      facts: [parked, attemptFailed("park", 1, 2000, "TimedOut")],
      steps: "seat, report, undo Done; park Waiting since 8 until 2000 TimedOut stuck; last ToCome",
      unwind:
        "the outcome of \"park\" is unknown: until a person has decided nothing is compensated; uncertain: park; stays: seat, report, undo"
    },
    "one that has parked it: a person can have it unwound, or go on": {
      facts: [parked, uncertain("park", "stuck"), stuck("StepUncertain", "park", "undo", "report", "seat")],
      steps: "seat, report, undo Done; park Uncertain Died stuck; last MayCome",
      unwind: "compensates: undo, report, seat; uncertain: park"
    },
    "one that a person lets try again": {
      facts: [
        parked,
        uncertain("park", "stuck"),
        stuck("StepUncertain", "park", "undo", "report", "seat"),
        retryRequested
      ],
      steps: "seat, report, undo Done; park InFlight #2 since 8 Died stuck; last ToCome",
      unwind: "awaits: park; compensates: undo, report, seat"
    },
    "one that a person has skipped": {
      facts: [
        parked,
        uncertain("park", "stuck"),
        stuck("StepUncertain", "park", "undo", "report", "seat"),
        stepSkipped("park"),
        started("last")
      ],
      steps: "seat, report, undo, park Done; last InFlight since 11",
      unwind: "awaits: last; compensates: park, undo, report, seat"
    },
    "one that a person gives up": {
      facts: [
        parked,
        uncertain("park", "stuck"),
        stuck("StepUncertain", "park", "undo", "report", "seat"),
        unwindRequested
      ],
      steps: "seat, report, undo Done; park Uncertain Died report; last NotTaken",
      unwind: "refused, it unwinds already; compensates: undo, report, seat; uncertain: park"
    }
  })
})

describe("many at once", () => {
  const items = { item: Schema.String, items: () => [], key: (item: string) => item }
  const saga = any.pipe(
    Saga.forEach("lines", {
      ...items,
      concurrency: 2,
      each: (fork) => fork.pipe(Saga.step("reserve", step), Saga.check("weigh", look))
    }),
    Saga.parallel((fork) => [
      fork.pipe(Saga.step("van", step), Saga.step("driver", step)),
      fork.pipe(Saga.step("fuel", step))
    ])
  )
  const lines = listed("lines", "tea", "a/b", "salt")
  const all = done(...["tea", "a%2Fb", "salt"].flatMap((key) => [`lines/${key}/reserve`, `lines/${key}/weigh`]))
  scenes(saga, {
    "items that are not listed yet are shown once": {
      facts: [],
      steps: "lines/*/reserve, lines/*/weigh, van, driver, fuel ToCome",
      unwind: ""
    },
    "of a list of nothing there is nothing to show": {
      facts: [listed("lines"), started("van")],
      steps: "van InFlight since 2; driver, fuel ToCome",
      unwind: "awaits: van"
    },
    "items: some are done, some in flight, some to come": {
      facts: [
        lines,
        started("lines/tea/reserve"),
        started("lines/a%2Fb/reserve"),
        succeeded("lines/tea/reserve"),
        started("lines/tea/weigh")
      ],
      steps:
        "lines/tea/reserve Done; lines/tea/weigh InFlight since 5; lines/a%2Fb/reserve InFlight since 3; lines/a%2Fb/weigh, lines/salt/reserve, lines/salt/weigh, van, driver, fuel ToCome",
      unwind: "awaits: lines/tea/weigh, lines/a%2Fb/reserve; compensates: lines/tea/reserve"
    },
    "branches: the last one is compensated first, whatever succeeded first": {
      facts: [
        lines,
        all,
        started("van"),
        started("fuel"),
        succeeded("fuel"),
        succeeded("van"),
        started("driver")
      ],
      steps:
        "lines/tea/reserve, lines/tea/weigh, lines/a%2Fb/reserve, lines/a%2Fb/weigh, lines/salt/reserve, lines/salt/weigh, van Done; driver InFlight since 18; fuel Done",
      unwind:
        "awaits: driver; compensates: fuel, van, lines/salt/reserve, lines/a%2Fb/reserve, lines/tea/reserve; stays: lines/tea/weigh, lines/a%2Fb/weigh, lines/salt/weigh"
    },
    "a branch that has failed stops the others: what is in flight is awaited": {
      facts: [lines, all, started("van"), started("fuel"), failed("fuel")],
      steps:
        "lines/tea/reserve, lines/tea/weigh, lines/a%2Fb/reserve, lines/a%2Fb/weigh, lines/salt/reserve, lines/salt/weigh Done; van InFlight since 14; driver NotTaken; fuel Failed",
      unwind:
        `refused, ${already}; awaits: van; compensates: lines/salt/reserve, lines/a%2Fb/reserve, lines/tea/reserve; stays: lines/tea/weigh, lines/a%2Fb/weigh, lines/salt/weigh`
    }
  })
})

describe("choices", () => {
  const saga = any.pipe(
    Saga.when("express", () => true, (fork) => fork.pipe(Saga.step("bike", step))),
    Saga.match("kind", () => "gift" as "gift" | "to/go", {
      "gift": (fork) => fork.pipe(Saga.step("wrap", step)),
      "to/go": (fork) =>
        fork.pipe(Saga.forEach("bags", {
          item: Schema.String,
          items: () => [],
          key: (item) => item,
          each: (fork) => fork.pipe(Saga.step("pack", step))
        }))
    }),
    Saga.step("last", step)
  )
  scenes(saga, {
    "that are not decided: each way may come": {
      facts: [],
      steps: "express/bike, kind/gift/wrap, kind/to%2Fgo/bags/*/pack MayCome; last ToCome",
      unwind: ""
    },
    "that are taken: the other ways are not": {
      facts: [chosen("express", "then"), done("express/bike"), chosen("kind", "to/go")],
      steps: "express/bike Done; kind/gift/wrap NotTaken; kind/to%2Fgo/bags/*/pack, last ToCome",
      unwind: "compensates: express/bike"
    },
    "that are not taken": {
      facts: [
        chosen("express", null),
        chosen("kind", "to/go"),
        listed("kind/to%2Fgo/bags", "1"),
        done("kind/to%2Fgo/bags/1/pack", "last")
      ],
      steps: "express/bike, kind/gift/wrap NotTaken; kind/to%2Fgo/bags/1/pack, last Done",
      unwind: "compensates: last, kind/to%2Fgo/bags/1/pack"
    },
    "that nobody comes to any more": {
      facts: [chosen("express", "then"), started("express/bike"), failed("express/bike", bug), unwinds()],
      steps: "express/bike Failed; kind/gift/wrap, kind/to%2Fgo/bags/*/pack, last NotTaken",
      unwind: "refused, it unwinds already"
    }
  })
})

describe("a nested saga", () => {
  const inner = Saga.make("Inner", { payload: Schema.Void }).pipe(Saga.step("hold", step), Saga.pivot("pay", look))
  const saga = any.pipe(
    Saga.step("seat", step),
    Saga.nested("paid", inner, () => undefined),
    Saga.retriable("mail", often)
  )
  const held = [...done("seat"), nested("paid"), ...done("paid/hold"), started("paid/pay")]
  scenes(saga, {
    "is compensated in its place": {
      facts: [...done("seat"), nested("paid"), ...done("paid/hold")],
      steps: "seat, paid/hold Done; paid/pay, mail ToCome",
      unwind: "compensates: paid/hold, seat"
    },
    "has the pivot of the whole": {
      facts: [held],
      steps: "seat, paid/hold Done; paid/pay InFlight since 6; mail ToCome",
      unwind: `Within; ${pivotFirst}; awaits: paid/pay; compensates: paid/hold, seat`
    },
    "whose pivot is passed": {
      facts: [held, succeeded("paid/pay")],
      steps: "seat, paid/hold, paid/pay Done; mail ToCome",
      unwind: `Behind; refused, ${past}; stays: seat, paid/hold, paid/pay`
    }
  })
})

describe("a second way", () => {
  const saga = any.pipe(
    Saga.step("seat", step),
    Saga.parallel((fork) => [
      fork.pipe(Saga.orElse(
        "way",
        (fork) => fork.pipe(Saga.step("truck", step), Saga.step("ferry", lost("stuck"))),
        (fork) => fork.pipe(Saga.step("bike", step))
      )),
      fork.pipe(Saga.step("beside", step))
    ]),
    Saga.step("last", step)
  )
  const first = [...done("seat"), started("way/first/truck"), ...done("beside"), succeeded("way/first/truck")]
  const tried = [...first, started("way/first/ferry")]
  scenes(saga, {
    "may come as long as the first goes on": {
      facts: [tried],
      steps:
        "seat, way/first/truck Done; way/first/ferry InFlight since 7; way/second/bike MayCome; beside Done; last ToCome",
      unwind: "awaits: way/first/ferry; compensates: beside, way/first/truck, seat"
    },
    "does not come when the first is done": {
      facts: [tried, succeeded("way/first/ferry")],
      steps: "seat, way/first/truck, way/first/ferry Done; way/second/bike NotTaken; beside Done; last ToCome",
      unwind: "compensates: beside, way/first/ferry, way/first/truck, seat"
    },
    "is to come when the first has failed": {
      facts: [tried, failed("way/first/ferry")],
      steps: "seat, way/first/truck Done; way/first/ferry Failed; way/second/bike ToCome; beside Done; last ToCome",
      unwind: "compensates: beside, way/first/truck, seat"
    },
    "waits until the first is undone: that goes on, before everything else": {
      facts: [tried, failed("way/first/ferry"), unwinds("way"), compensating("way/first/truck")],
      steps:
        "seat Done; way/first/truck Compensating since 10; way/first/ferry Failed; way/second/bike ToCome; beside Done; last ToCome",
      unwind: "compensates: way/first/truck, beside, seat"
    },
    "goes on in place of the first": {
      facts: [
        tried,
        failed("way/first/ferry"),
        unwinds("way"),
        compensated("way/first/truck"),
        fellBack("way"),
        done("way/second/bike")
      ],
      steps:
        "seat Done; way/first/truck Compensated; way/first/ferry Failed; way/second/bike, beside Done; last ToCome",
      unwind: "compensates: beside, way/second/bike, seat"
    },
    "does not come after a defect: all of it unwinds": {
      facts: [tried, failed("way/first/ferry", bug)],
      steps: "seat, way/first/truck Done; way/first/ferry Failed; way/second/bike NotTaken; beside Done; last NotTaken",
      unwind: "refused, it unwinds already; compensates: beside, way/first/truck, seat"
    },
    "does not come when the first cannot be undone": {
      facts: [
        tried,
        failed("way/first/ferry"),
        unwinds("way"),
        compensating("way/first/truck"),
        compensationFailed("way/first/truck")
      ],
      steps:
        "seat Done; way/first/truck CompensationFailed #5; way/first/ferry Failed; way/second/bike NotTaken; beside Done; last NotTaken",
      unwind: "refused, it unwinds already; compensates: beside, seat; stays: way/first/truck"
    },
    "is to come when what was uncertain in the first is undone, although its participant gave no answer": {
      facts: [
        first,
        started("way/first/ferry"),
        uncertain("way/first/ferry", "compensate"),
        unwinds("way"),
        compensated("way/first/ferry")
      ],
      steps:
        "seat, way/first/truck Done; way/first/ferry Compensated Died compensate; way/second/bike ToCome; beside Done; last ToCome",
      unwind: "compensates: way/first/truck, beside, seat"
    },
    "may come as long as a person has not decided about the first": {
      facts: [tried, uncertain("way/first/ferry", "stuck"), stuck("StepUncertain", "way/first/ferry")],
      steps:
        "seat, way/first/truck Done; way/first/ferry Uncertain Died stuck; way/second/bike MayCome; beside Done; last MayCome",
      unwind: "compensates: beside, way/first/truck, seat; uncertain: way/first/ferry"
    }
  })
})

describe("a second way in a first one", () => {
  const saga = any.pipe(
    Saga.orElse(
      "way",
      (fork) =>
        fork.pipe(
          Saga.orElse(
            "first",
            (fork) => fork.pipe(Saga.step("truck", step), Saga.check("ferry", look)),
            (fork) => fork.pipe(Saga.step("bike", step))
          ),
          Saga.step("sign", step)
        ),
      (fork) => fork.pipe(Saga.step("post", step))
    )
  )
  const fallenBack = [
    ...done("way/first/first/first/truck"),
    started("way/first/first/first/ferry"),
    failed("way/first/first/first/ferry"),
    unwinds("way/first/first"),
    ...compensated("way/first/first/first/truck"),
    fellBack("way/first/first"),
    ...done("way/first/first/second/bike")
  ]
  scenes(saga, {
    "leaves the outer one open": {
      facts: [fallenBack],
      steps:
        "way/first/first/first/truck Compensated; way/first/first/first/ferry Failed; way/first/first/second/bike Done; way/first/sign ToCome; way/second/post MayCome",
      unwind: "compensates: way/first/first/second/bike"
    },
    "leads past the outer one": {
      facts: [fallenBack, ...done("way/first/sign")],
      steps:
        "way/first/first/first/truck Compensated; way/first/first/first/ferry Failed; way/first/first/second/bike, way/first/sign Done; way/second/post NotTaken",
      unwind: "compensates: way/first/sign, way/first/first/second/bike"
    },
    "leads to the outer one when it fails too": {
      facts: [fallenBack, started("way/first/sign"), failed("way/first/sign"), unwinds("way")],
      steps:
        "way/first/first/first/truck Compensated; way/first/first/first/ferry Failed; way/first/first/second/bike Done; way/first/sign Failed; way/second/post ToCome",
      unwind: "compensates: way/first/first/second/bike"
    }
  })
})

// ------------------------------------------------------------------------------------------- real runs

/** What was compensated, in order. */
const undoneIn = (facts: Facts): ReadonlyArray<string> =>
  facts.flatMap((fact) => fact._tag === "CompensationSucceeded" ? fact.path : [])

describe("a run", () => {
  const world = new World()
  const items = { item: Schema.String, items: () => ["a", "b"], key: (item: string) => item, concurrency: 1 }
  const ship = Saga.make("Ship", { payload: Schema.Void }).pipe(
    Saga.step("box", world.step()),
    Saga.pivot("send", world.fails())
  )
  const saga = any.pipe(
    Saga.step("seat", world.step()),
    Saga.forEach("lines", { ...items, each: (fork) => fork.pipe(Saga.step("reserve", world.step())) }),
    Saga.orElse(
      "way",
      (fork) => fork.pipe(Saga.step("truck", world.step()), Saga.check("ferry", world.fails())),
      (fork) => fork.pipe(Saga.step("bike", world.step()))
    ),
    Saga.when("gift", () => true, (fork) => fork.pipe(Saga.step("wrap", world.step()))),
    Saga.nested("ship", ship, () => undefined)
  )

  it.effect("is compensated in the order that was said before it failed", () =>
    Effect.gen(function*() {
      const [outcome, facts] = yield* SagaObserver.collect(Saga.outcome(saga, undefined))
      const failing = facts.findIndex((fact) => fact._tag === "StepStarted" && fact.path === "ship/send")
      const { ifUnwoundNow } = planOf(Saga.definition(saga), facts.slice(0, failing + 1), 0)
      assert.deepStrictEqual(ifUnwoundNow.awaited, ["ship/send"])
      assert.deepStrictEqual(ifUnwoundNow.compensated, undoneIn(facts.slice(failing)))
      assert.strictEqual(outcome._tag, "Compensated")
      yield* world.check
    }))
})

describe("an execution that is cancelled while an action is held", () => {
  const world = new World()
  const gates = new Map<string, Gate>()
  const held = world.step({ before: ({ path }) => gates.get(path)?.pass ?? Effect.void })
  const items = { item: Schema.String, items: () => ["a", "b", "c"], key: (item: string) => item, concurrency: 1 }
  const inner = Saga.make("Inner", { payload: Schema.Void }).pipe(Saga.step("box", held), Saga.step("label", held))
  const saga = any.pipe(
    Saga.step("seat", held),
    Saga.forEach("lines", {
      ...items,
      each: (fork) => fork.pipe(Saga.step("reserve", held), Saga.step("pack", held))
    }),
    Saga.nested("shipped", inner, () => undefined),
    Saga.orElse(
      "way",
      (fork) => fork.pipe(Saga.step("truck", held), Saga.check("ferry", world.fails())),
      (fork) => fork.pipe(Saga.step("bike", held))
    ),
    Saga.when("express", () => false, (fork) => fork.pipe(Saga.step("fast", held))),
    Saga.parallel((fork) => [fork.pipe(Saga.step("van", held)), fork.pipe(Saga.step("fuel", held))], {
      concurrency: 1
    }),
    Saga.step("last", held)
  )
  const paths = [
    "seat",
    ...["a", "b", "c"].flatMap((key) => [`lines/${key}/reserve`, `lines/${key}/pack`]),
    "shipped/box",
    "shipped/label",
    "way/first/truck",
    "way/second/bike",
    "van",
    "fuel",
    "last"
  ]
  for (const path of paths) {
    it.effect(`${path}: it awaits that, and compensates the rest as was said`, () =>
      Effect.gen(function*() {
        const gate = new Gate()
        gates.clear()
        gates.set(path, gate)
        const engine = yield* SagaEngine
        const executionId = yield* engine.start(saga, undefined, { executionId: path })
        yield* gate.reached
        const { ifUnwoundNow: said } = yield* engine.plan(executionId)
        yield* engine.cancel(executionId)
        yield* gate.open
        yield* inTime("it has ended", Effect.exit(engine.await(saga, executionId)))
        const facts = Array.from(yield* Stream.runCollect(engine.events(saga, executionId)))
        const rest = facts.slice(facts.findIndex(({ _tag }) => _tag === "CancelRequested"))
        assert.isTrue(said.allowed)
        assert.deepStrictEqual(said.awaited, [path])
        assert.deepStrictEqual([path, ...said.compensated], undoneIn(rest))
        yield* world.check
      }).pipe(Effect.provide(Layer.provideMerge(Saga.register(saga), SagaEngine.layerMemory))))
  }
})

// ------------------------------------------------------------------------------------------- random sagas

/** What was said of an execution when it was cancelled. */
interface Cut {
  readonly plan: ExecutionPlan
  /** How many facts there were. */
  readonly index: number
}

type Steps = ReadonlyMap<string, { readonly verify: boolean }>

const isParked = ({ steps }: ExecutionPlan): boolean =>
  steps.some(({ status, uncertain }) => status === "Uncertain" && uncertain?.whenUncertain === "stuck")

/** Runs a saga on an engine and has it unwound: it is cancelled at a time, and compensated when a step has parked it. */
const unwinding = (millis: number, facts: Array<SagaEvent>, onCut: (cut: Cut) => void): Executor => (saga, stuck) =>
  Effect.gen(function*() {
    const engine = yield* SagaEngine
    const clock = yield* Clock.Clock
    const executionId = yield* Effect.orDie(engine.start(saga, ""))
    let plan: ExecutionPlan | undefined
    const cut = () => {
      plan = planOf(Saga.definition(saga), facts, clock.currentTimeMillisUnsafe())
      onCut({ plan, index: facts.length })
      return plan
    }
    const cancel = Effect.suspend(() => {
      cut()
      return Effect.exit(engine.cancel(executionId))
    })
    yield* Effect.forkDetach(Effect.andThen(Effect.sleep(millis), cancel), { startImmediately: true })
    const outcome = engine.outcome(saga, executionId, { onStuck: "fail" })
    const decided = Effect.catchTag(outcome, "ExecutionStuck", (error) => {
      if (!isParked(plan ?? cut())) return Effect.fail(error)
      // An observer is not told what a person decides.
      facts.push(unwindRequested(clock.currentTimeMillisUnsafe()))
      return Effect.andThen(engine.compensate(executionId, by), outcome)
    })
    return yield* Effect.catchTag(decided, "ExecutionStuck", (error) => {
      const said = stuck()
      return said === undefined
        ? Effect.die(error)
        : Effect.succeed({ _tag: "Stuck" as const, executionId, error: said })
    }).pipe(Effect.orDie)
  }).pipe(Effect.provide(
    Saga.register(saga).pipe(
      Layer.provide(SagaObserver.layer([{ observe: () => ({ onEvent: (fact) => void facts.push(fact) }) }])),
      Layer.provideMerge(SagaEngine.layerWith({ evictAfter: "1000 days" })),
      Layer.provide(SagaJournal.layerMemory),
      Layer.orDie
    )
  ))

/** In which branch of which node a path stands, from the outside in, and whether its branches run side by side. */
type Lane = ReadonlyArray<{ readonly node: string; readonly branch: string; readonly wide: boolean }>

const laneOf = (nodes: ReadonlyArray<Saga.NodeDefinition>, path: ReadonlyArray<string>, at = ""): Lane => {
  const [name, key, ...rest] = path
  for (const [index, node] of nodes.entries()) {
    if (node.kind === "parallel") {
      for (const [number, branch] of node.branches.entries()) {
        const here = `${at}${index}.${number}`
        const lane = laneOf(branch, path, here)
        if (lane.some(({ node }) => node === "found")) {
          return [{ node: `${at}${index}`, branch: String(number), wide: node.concurrency > 1 }, ...lane]
        }
      }
    } else if (node.name === name) {
      const inside = `${at}/${name}`
      const inner = path.slice(1)
      switch (node.kind) {
        case "forEach":
          return [
            { node: inside, branch: key!, wide: node.concurrency > 1 },
            ...laneOf(node.each, rest, `${inside}/${key}`)
          ]
        case "when":
          return laneOf(node.cases[0]!.nodes, inner, inside)
        case "match":
          return laneOf(node.cases.find(({ tag }) => tag === key)!.nodes, rest, `${inside}/${key}`)
        case "nested":
          return laneOf(node.saga.nodes, inner, inside)
        case "orElse":
          return laneOf(key === "first" ? node.first : node.second, rest, `${inside}/${key}`)
        default:
          return [{ node: "found", branch: "", wide: false }]
      }
    }
  }
  return []
}

/** Whether nothing is said of the order in which two are compensated. */
const sideBySide = (definition: Saga.SagaDefinition, a: string, b: string): boolean => {
  const [left, right] = [a, b].map((path) => laneOf(definition.nodes, path.split("/")))
  const index = left!.findIndex((lane, index) =>
    lane.branch !== right![index]?.branch || lane.node !== right![index]?.node
  )
  return index !== -1 && left![index]!.node === right![index]?.node && left![index]!.wide
}

const sorted = (list: Iterable<string>) => Array.from(list).sort()

/** What has come about otherwise than was said. */
const untrue = (definition: Saga.SagaDefinition, steps: Steps, { index, plan }: Cut, facts: Facts) => {
  const { allowed, awaited, compensated, reason, uncertain } = plan.ifUnwoundNow
  const rest = facts.slice(index)
  const last = facts[index - 1]
  // What a person would do by `compensate` nobody does here.
  if (last?._tag === "SagaStuck" && last.reason === "CompensationFailed") {
    return { reached: ["left open"], problems: [] }
  }
  const nameOf = (path: string) => path.slice(path.lastIndexOf("/") + 1)
  // Of these nobody can say how they will end.
  const asked = plan.steps.filter(({ path, status }) =>
    status === "Waiting" && steps.get(nameOf(path))?.verify === true
  )
  const open = new Set([...awaited, ...asked.map(({ path }) => path)])
  const parked = rest.some((fact) =>
    fact._tag === "StepUncertain" && fact.whenUncertain === "stuck" && open.has(fact.path)
  )
  const committed = rest.some((fact) => fact._tag === "CancelRefused") && plan.commit === "Within"
  if (parked && !isParked(plan) || committed || reason !== undefined && asked.length > 0) {
    return { reached: ["left open"], problems: [] }
  }
  const begun = [
    ...plan.steps.flatMap(({ path, status }) => status === "Compensating" ? path : []),
    ...rest.flatMap((fact) => fact._tag === "CompensationStarted" ? fact.path : [])
  ]
  const known = (paths: ReadonlyArray<string>) => paths.filter((path) => !open.has(path))
  const [actual, said] = [known(begun), known(compensated)]
  const unknown = facts.flatMap((fact) =>
    fact._tag === "StepUncertain" && fact.whenUncertain !== "compensate" ? fact.path : []
  )
  const problems: Array<string> = []
  const compare = (what: string, left: ReadonlyArray<string>, right: ReadonlyArray<string>) => {
    if (left.join() !== right.join()) problems.push(`${what}: ${right.join()} was said, and it was ${left.join()}`)
  }
  compare("compensated", sorted(actual), sorted(said))
  compare("uncertain", sorted(known(unknown)), sorted(known(uncertain)))
  const reached = reason === undefined ? [] : [reason.startsWith("the outcome") ? "would be stuck" : reason]
  for (const [at, later] of actual.entries()) {
    for (const earlier of actual.slice(0, at)) {
      const ordered = !sideBySide(definition, earlier, later)
      reached.push(ordered ? "in order" : "side by side")
      if (ordered && said.indexOf(earlier) > said.indexOf(later)) {
        problems.push(`"${earlier}" was compensated before "${later}"`)
      }
    }
  }
  const waits = plan.steps.some(({ status, uncertain }) => status === "Waiting" && uncertain !== undefined)
  if (waits && uncertain.length > 0) reached.push("would be uncertain")
  if (allowed && plan.steps.some(({ status }) => status === "Compensating")) {
    reached.push("undoes a first way meanwhile")
  }
  if (isParked(plan)) reached.push("asked for by a person")
  return { reached, problems }
}

/** What a plan did not foresee of the next fact. */
const unforeseen = (definition: Saga.SagaDefinition, facts: Facts): ReadonlyArray<string> =>
  facts.flatMap((fact, index) => {
    const { ifUnwoundNow, steps, unplaced } = planOf(definition, facts.slice(0, index), fact.atMillis)
    const having = (...all: ReadonlyArray<PlannedStep["status"]>) => steps.filter(({ status }) => all.includes(status))
    const wrong = (what: string, paths: Iterable<unknown>) => {
      const all = Array.from(paths)
      return all.length === 0 ? [] : [`before fact ${index}, ${fact._tag}: ${what} ${JSON.stringify(all)}`]
    }
    const moving = having("InFlight", "Waiting", "Compensating", "ToCome")
    switch (fact._tag) {
      case "StepStarted":
      case "TimerSet":
        return having("ToCome").some(({ path }) => path === fact.path) ? [] : wrong("not to come:", [fact.path])
      case "SagaSucceeded":
        return wrong("left:", [...unplaced, ...moving, ...having("MayCome")])
      case "SagaCompensated":
        return [
          ...wrong("left:", [...unplaced, ...moving, ...having("MayCome"), ...ifUnwoundNow.compensated]),
          ...ifUnwoundNow.uncertain.length === fact.uncertain.length ? [] : wrong("uncertain", ifUnwoundNow.uncertain)
        ]
      case "SagaStuck":
        return fact.reason === "ForwardRecoveryFailed" ? [] : wrong("left:", moving)
      case "UnwindStarted":
        return wrong("in flight:", having("InFlight").filter(({ path }) => path.startsWith(fact.scope)))
      case "CompensationStarted":
        return ifUnwoundNow.compensated.includes(fact.path) ? [] : wrong("not to be compensated:", [fact.path])
      default:
        return []
    }
  })

const { SEED, SEEDS = "200" } = process.env
const seeds = SEED === undefined ? Array.from({ length: Number(SEEDS) }, (_, seed) => seed) : [Number(SEED)]

/** What must be reached, or the generator has lost something. */
const everything = [
  "left open",
  "asked for by a person",
  "it has succeeded",
  "it is compensated",
  past,
  pivotFirst,
  already,
  "would be stuck",
  "would be uncertain",
  "undoes a first way meanwhile",
  "in order",
  "side by side"
]

it("random sagas, unwound at any time, do what was said", { timeout: 600_000 }, async () => {
  const problems: Array<string> = []
  const reached = new Set<string>()
  for (const seed of seeds) {
    const body = randomSaga(seed)
    const script = randomScript(seed)
    const runUntil = async (cancelledAt: number) => {
      const facts: Array<SagaEvent> = []
      let definition: Saga.SagaDefinition | undefined
      let cut: Cut | undefined
      const execute = unwinding(cancelledAt, facts, (now) => {
        cut = now
      })
      await Effect.runPromise(run(body, script, [], true, (saga, ...more) => {
        definition = Saga.definition(saga)
        return execute(saga, ...more)
      }))
      return { facts, definition: definition!, cut }
    }
    const whole = await runUntil(Infinity)
    const report = (where: string, all: ReadonlyArray<string>) =>
      problems.push(...all.map((problem) => `SEED=${seed} ${where}: ${problem}`))
    const judge = (where: string, { cut, definition, facts }: typeof whole) => {
      report(where, unforeseen(definition, facts))
      if (cut === undefined) return
      const judged = untrue(definition, leavesOf(body), cut, facts)
      judged.reached.forEach((word) => reached.add(word))
      report(where, judged.problems)
    }
    judge("on its own", whole)
    for (const at of new Set(whole.facts.map(({ atMillis }) => atMillis + 1))) judge(`at ${at}`, await runUntil(at))
  }
  assert.deepStrictEqual(problems.slice(0, 20), [])
  if (seeds.length >= 200) assert.deepStrictEqual(everything.filter((word) => !reached.has(word)), [])
})
