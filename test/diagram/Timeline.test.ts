// What the timeline of a run shows: each golden file is a run.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Redacted, Schema } from "effect"
import type { SagaEvent } from "effect-saga"
import { Saga } from "effect-saga"
import { timeline } from "effect-saga/diagram"
import { stripVTControlCharacters } from "node:util"
import { factsOf, golden, refusedAtFirst, refusing, taking } from "./runs.ts"
import type { Act } from "./sagas.ts"
import { everything, gift, hostileTexts, trip } from "./sagas.ts"

const times = {
  passport: "20 millis",
  flight: "120 millis",
  seat: "60 millis",
  hotel: "250 millis",
  car: "90 millis",
  payment: "300 millis",
  email: "40 millis",
  "undo flight": "100 millis",
  "undo seat": "40 millis",
  "undo hotel": "200 millis",
  "undo car": "80 millis"
} as const

const oneTrip = Saga.run(trip, undefined)
const oneOrder = Saga.run(everything, gift)

const firstWay = Saga.make("Deliver", { payload: Schema.Void }).pipe(
  Saga.parallel((fork) => [
    fork.pipe(Saga.sleep("beside", "1 second")),
    fork.pipe(Saga.orElse(
      "carrier",
      (fork) =>
        fork.pipe(Saga.parallel((fork) => [
          fork.pipe(Saga.sleep("answer", "2 seconds")),
          fork.pipe(Saga.check("van", {
            error: Schema.String,
            action: () => Effect.andThen(Effect.sleep("300 millis"), Effect.fail("no van"))
          }))
        ])),
      (fork) => fork.pipe(Saga.sleep("bike", "400 millis"))
    ))
  ])
)

const runs: { readonly [name: string]: readonly [run: Effect.Effect<unknown, unknown>, act: Act] } = {
  "success": [oneTrip, taking(times)],
  "every-kind": [oneOrder, taking({ order: "6 hours", "settled/capture": "90 minutes" })],
  "no-time": [oneTrip, taking({ payment: refusing(0, "no money") })],
  "failure-beside-others": [oneTrip, taking({ ...times, hotel: refusing("100 millis", "no room in Rome") })],
  "two-failures": [
    oneTrip,
    taking({
      ...times,
      car: Effect.die(new Error("the driver\n  is broken")),
      hotel: refusing("100 millis", "no room")
    })
  ],
  "declined-pivot": [oneTrip, taking({ ...times, payment: refusing("300 millis", "the card has expired") })],
  "retried": [
    oneTrip,
    taking({
      ...times,
      car: refusedAtFirst(1, "30 millis", "busy"),
      email: refusedAtFirst(2, "20 millis", "no answer")
    })
  ],
  "given-up-after-retries": [
    oneTrip,
    taking({
      ...times,
      car: refusing("30 millis", "busy"),
      "undo hotel": refusedAtFirst(1, "50 millis", "no answer")
    })
  ],
  "uncertain": [oneTrip, taking({ ...times, hotel: "1 hour" })],
  "uncertain-and-compensated": [oneOrder, taking({ "kind/gift/wrapped/paper": "1 hour" })],
  "interrupted": [Effect.timeout(oneTrip, "200 millis"), taking(times)],
  "interrupted-in-a-sleep": [Effect.timeout(oneOrder, "500 millis"), taking({ order: "100 millis" })],
  "interrupted-after-the-commit-point": [Effect.timeout(oneOrder, "1 hour"), taking({ mail: "10 minutes" })],
  "sleeps-beside-a-second-way": [Saga.run(firstWay, undefined), taking({})],
  "a-second-way": [
    oneOrder,
    taking({
      "lines/tea/reserve": "200 millis",
      "lines/milk/reserve": "300 millis",
      "carrier/first/cheap": "200 millis",
      "carrier/first/arrives": refusing("100 millis", "booked out"),
      "undo carrier/first/cheap": "150 millis",
      "carrier/second/fast": "250 millis",
      driver: "700 millis",
      "settled/hold": refusing("400 millis", "not enough")
    })
  ],
  "stuck-in-a-compensation": [
    oneTrip,
    taking({
      ...times,
      payment: refusing("1 second", "no money"),
      "undo flight": refusing("50 millis", "the airline is down")
    })
  ],
  "stuck-in-the-compensation-of-an-uncertain-step": [
    oneOrder,
    taking({
      "kind/gift/wrapped/paper": "1 hour",
      "undo kind/gift/wrapped/paper": refusing("200 millis", "no such paper"),
      "undo order": refusing(0, "closed")
    })
  ],
  "stuck-by-an-uncertain-pivot": [oneTrip, taking({ ...times, payment: Effect.die("connection reset") })],
  "stuck-by-an-uncertain-step": [oneOrder, taking({ order: "100 millis", "settled/hold": "1 hour" })],
  "stuck-after-the-commit-point": [
    oneOrder,
    taking({
      order: "100 millis",
      "settled/capture": "300 millis",
      points: refusing("50 millis", "no points"),
      mail: "100 millis"
    })
  ]
}

describe("the timeline of a run", () => {
  for (const [name, [run, act]] of Object.entries(runs)) {
    it.effect(name, () => Effect.flatMap(factsOf(run, act), (facts) => golden(`${name}.txt`, timeline(facts))))
  }

  it.effect("so far: what is running, waiting, sleeping, being compensated", () =>
    Effect.gen(function*() {
      const retried = yield* factsOf(...runs["retried"]!)
      const slept = yield* factsOf(...runs["interrupted-in-a-sleep"]!)
      const delivered = yield* factsOf(...runs["sleeps-beside-a-second-way"]!)
      const compensated = yield* factsOf(...runs["declined-pivot"]!)
      const until = (facts: ReadonlyArray<SagaEvent>, tag: SagaEvent["_tag"], path: string) =>
        facts.slice(0, facts.findIndex((fact) => fact._tag === tag && "path" in fact && fact.path === path) + 1)
      const soFar = [
        [],
        retried.slice(0, 1),
        until(retried, "StepSucceeded", "flight"),
        until(retried, "StepAttemptFailed", "email"),
        until(slept, "TimerSet", "pause"),
        until(compensated, "CompensationSucceeded", "seat"),
        until(delivered, "FellBack", "carrier")
      ]
      yield* golden("so-far.txt", soFar.map((facts) => timeline(facts)).join(`\n\n${"-".repeat(80)}\n\n`))
    }))
})

/** How wide the characters of this file are: those of the Far East and pictures take two columns, accents none. */
const columns = (line: string): number =>
  Array.from(line).reduce((sum, char) => sum + (/[日本語😀]/u.test(char) ? 2 : /\p{M}/u.test(char) ? 0 : 1), 0)

describe("on a terminal", () => {
  const hostileRun = factsOf(
    Saga.run(
      Saga.make("Hostile", { payload: Schema.Void }).pipe(
        Saga.forEach("a-name-that-is-longer-than-most-names-are", {
          item: Schema.String,
          items: () => hostileTexts,
          key: (text) => text,
          each: (fork) =>
            fork.pipe(Saga.check("check", { error: Schema.String, action: () => Effect.sleep("1 second") }))
        }),
        Saga.match("kind", () => "\u001b[1m", { "\u001b[1m": (fork) => fork }),
        Saga.check("last", { error: Schema.String, action: () => Effect.die({ _tag: "\u001b[2JGone\u202e" }) })
      ),
      undefined
    ),
    taking({})
  )

  it.effect("texts from outside are shown, not obeyed", () =>
    Effect.gen(function*() {
      const text = timeline(yield* hostileRun, { width: 120 })
      assert.include(text, "%1B[2JGone%E2%80%AE")
      assert.notMatch(text.replaceAll("\n", ""), /[\p{Cc}\p{Cf}\p{Cs}]/u)
      yield* golden("hostile.txt", text)
    }))

  it.effect("no row is wider than the terminal, and all bars end in one column", () =>
    Effect.gen(function*() {
      const all = [yield* hostileRun]
      for (const [run, act] of Object.values(runs)) all.push(yield* factsOf(run, act))
      for (const facts of all) {
        for (const width of [60, 80, 132]) {
          const lines = timeline(facts, { width }).split("\n\n")[1]!.split("\n")
          assert.isAtMost(Math.max(...lines.map(columns)), width)
          const ruler = lines.find((line) => line.includes("├"))!
          const bars = lines.flatMap((line) => /^(.*[█▓░◆✗?-]) +(?:\d.*|\D*)$/.exec(line)?.[1] ?? [])
          assert.deepStrictEqual(bars.filter((bar) => columns(bar) > columns(ruler)), [])
        }
      }
      assert.strictEqual(timeline(all[1]!, { width: 20 }), timeline(all[1]!, { width: 60 }))
    }))

  it.effect("there are colours when they are asked for, and nothing else is different", () =>
    Effect.gen(function*() {
      const facts = yield* factsOf(...runs["stuck-in-a-compensation"]!)
      const plain = timeline(facts)
      const colored = timeline(facts, { colors: true })
      assert.notInclude(plain, "\u001b")
      assert.strictEqual(stripVTControlCharacters(colored), plain)
      assert.include(colored, "\u001b[32m✓\u001b[0m passport")
      assert.include(colored, "\u001b[31m✗\u001b[0m payment")
      assert.include(colored, "\u001b[34m↶\u001b[0m hotel")
    }))
})

describe("whatever the facts are", () => {
  const started: SagaEvent = { _tag: "SagaStarted", atMillis: 0, saga: "Slow", version: 1, payload: undefined }
  const step = (from: number, to: number): ReadonlyArray<SagaEvent> => [
    started,
    { _tag: "StepStarted", atMillis: from, path: "step" },
    { _tag: "StepSucceeded", atMillis: to, path: "step", attempts: 1, result: undefined }
  ]

  it("times are told in their two largest units", () => {
    const told = [0, 999, 1000, 1250, 59_994, 60_000, 200_000, 3_600_000, 12_000_000, 90_000_000, 86_400_000 * 30]
      .map((millis) => / for (.*)/.exec(timeline(step(0, millis)))![1])
    assert.deepStrictEqual(told, [
      "0 ms",
      "999 ms",
      "1 s",
      "1.25 s",
      "59.99 s",
      "1 min",
      "3 min 20 s",
      "1 h",
      "3 h 20 min",
      "1 d 1 h",
      "30 d"
    ])
  })

  it("an attempt that is to come has not begun, also when no time has passed", () => {
    const failed = (nextAtMillis: number): SagaEvent => ({
      _tag: "StepAttemptFailed",
      atMillis: 0,
      path: "step",
      attempt: 1,
      cause: Cause.fail("busy"),
      nextAtMillis
    })
    const soFar = step(0, 0).slice(0, 2)
    assert.match(timeline([...soFar, failed(1)]), /waits to try again$/m)
    assert.match(timeline([...soFar, failed(0)]), /running$/m)
  })

  it("a clock that was set back does no harm", () => {
    assert.match(timeline(step(5000, 1000)), /✓ step +█ +0 ms$/m)
  })

  it.effect("facts of another run are refused, and what came before is shown", () =>
    Effect.gen(function*() {
      const facts = yield* factsOf(...runs["success"]!)
      const text = timeline([...facts.slice(0, 3), ...facts])
      assert.match(text, /^BookTrip has been running for 20 ms\n/)
      assert.match(text, /✓ passport/)
      assert.match(text, /mismatch   The fact SagaStarted is not the first one; nothing from there on is\n +shown$/)
      assert.match(timeline(facts.slice(1)), /^Nothing has happened\n\n  mismatch /)
    }))

  it("what is redacted stays so", () => {
    const error = { _tag: "Denied", token: Redacted.make("secret") }
    const failed: SagaEvent = { _tag: "StepFailed", atMillis: 5, path: "step", attempts: 1, cause: Cause.fail(error) }
    const text = timeline([...step(0, 0).slice(0, 2), failed])
    assert.include(text, `cause      step: {"_tag":"Denied","token":<redacted>}`)
    assert.match(text, /5 ms {2}Denied$/m)
  })
})
