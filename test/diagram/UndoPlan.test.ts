// What an undo plan says, and that a run does what it says.
import { assert, describe, expect, it } from "@effect/vitest"
import type { Duration } from "effect"
import { Effect, Option, Result, Schedule, Schema } from "effect"
import type { SagaEvent } from "effect-saga"
import { Saga } from "effect-saga"
import type { Undo, UndoPlan } from "effect-saga/diagram"
import { formatUndoPlan, undoPlan, undoPlans } from "effect-saga/diagram"
import { DomainEvent } from "effect-saga/events"
import { factsOf, taking } from "./runs.ts"
import type { Act, Order } from "./sagas.ts"
import { everything, gift, Refused, trip } from "./sagas.ts"

const planned = (saga: Saga.AnySaga, path: string): UndoPlan => Result.getOrThrow(undoPlan(saga, path))

/** All paths in an entry, in the order in which it names them. */
const pathsOf = (entry: Undo): ReadonlyArray<string> =>
  "branches" in entry ? entry.branches.flatMap(({ undo }) => undo.flatMap(pathsOf)) : [entry.path]

const compensate = (path: string): Undo => ({ _tag: "Compensate", path })

describe("undoPlan", () => {
  it("a failed pivot undoes what came before, the last first, branches side by side", () => {
    expect(planned(trip, "payment")).toEqual({
      _tag: "Unwinds",
      saga: "BookTrip",
      path: "payment",
      kind: "pivot",
      whenUncertain: "stuck",
      undo: [
        {
          _tag: "Branches",
          path: undefined,
          concurrency: Infinity,
          branches: [
            { label: undefined, partly: false, undo: [compensate("seat"), compensate("flight")] },
            { label: undefined, partly: false, undo: [compensate("hotel")] },
            { label: undefined, partly: false, undo: [compensate("car")] }
          ]
        },
        { _tag: "Nothing", path: "passport", kind: "check" }
      ]
    })
  })

  it("what ran beside a failed step is undone as far as it had come", () => {
    expect(planned(trip, "seat")).toMatchObject({
      undo: [
        {
          _tag: "Branches",
          branches: [
            { partly: false, undo: [compensate("flight")] },
            { partly: true, undo: [compensate("hotel")] },
            { partly: true, undo: [compensate("car")] }
          ]
        },
        { _tag: "Nothing" }
      ]
    })
  })

  it("past the commit point nothing is undone, and a person finishes what is left", () => {
    expect(planned(everything, "settled/receipt")).toEqual({
      _tag: "GoesForward",
      saga: "Everything",
      path: "settled/receipt",
      kind: "retriable",
      whenUncertain: undefined,
      left: ["settled/receipt", "mail", "points", "survey"]
    })
    expect(planned(everything, "mail")).toMatchObject({ left: ["mail"] })
    expect(planned(everything, "later")).toMatchObject({ _tag: "GoesForward", kind: "sleep", left: ["survey"] })
  })

  it("a retriable commits a saga without a pivot", () => {
    const saga = Saga.make("Mail", { payload: Schema.Void }).pipe(
      Saga.step("draft", { action: () => Effect.void, compensation: () => Effect.void }),
      Saga.retriable("send", { action: () => Effect.void, retry: Schedule.forever })
    )
    expect(undoPlans(saga).map(({ _tag }) => _tag)).toEqual(["Unwinds", "GoesForward"])
  })

  it("the first way of an orElse is undone alone, unless it was cut or died", () => {
    const plan = planned(everything, "carrier/first/arrives")
    expect(plan).toMatchObject({
      _tag: "FallsBack",
      scope: "carrier",
      undo: [{ _tag: "Nothing", path: "carrier/first/answer", kind: "sleep" }, compensate("carrier/first/cheap")]
    })
    const otherwise = plan._tag === "FallsBack" ? plan.otherwise.flatMap(pathsOf) : []
    expect(otherwise).toEqual(expect.arrayContaining(["carrier/first/cheap", "van", "order"]))
    expect(planned(everything, "carrier/first/answer")._tag).toBe("Unwinds")
    expect(planned(everything, "carrier/second/fast")._tag).toBe("Unwinds")
  })

  it("says what becomes of a step of unknown outcome", () => {
    const treatments = ["passport", "flight", "payment", "email"].map((path) => planned(trip, path).whenUncertain)
    expect(treatments).toEqual([undefined, "report", "stuck", undefined])
    expect(planned(everything, "kind/gift/wrapped/paper").whenUncertain).toBe("compensate")
    expect(planned(everything, "settled/hold").whenUncertain).toBe("stuck")
  })

  it("finds the plan for the path of a fact, and can be piped", () => {
    const plan = Result.getOrThrow(undoPlan("lines/tea%2Fgreen/pack")(everything))
    expect(plan.path).toBe("lines/*/pack")
  })

  it("says which paths there are when it is given another one", () => {
    const error = Option.getOrThrow(Result.getFailure(undoPlan(trip, "hotels")))
    expect(error._tag).toBe("StepNotFound")
    expect(error.message).toBe(
      `Saga "BookTrip" has no step "hotels", but these: passport, flight, seat, hotel, car, payment, email`
    )
    const strange = ["", "lines", "lines/tea", "lines/tea/pack/", "carrier/third/fast", "kind/plain", "lines/*/*"]
    expect(strange.filter((path) => Result.isSuccess(undoPlan(everything, path)))).toEqual([])
  })

  it("a tag that looks like the place of a key is told from one", () => {
    const saga = Saga.make("Stars", { payload: Schema.Void }).pipe(
      Saga.match("kind", () => "*", {
        "*": (fork) => fork.pipe(Saga.check("x", { action: () => Effect.void })),
        "a/b": (fork) => fork.pipe(Saga.check("x", { action: () => Effect.void }))
      })
    )
    expect(undoPlans(saga).map(({ path }) => planned(saga, path).path)).toEqual(["kind/*/x", "kind/a%2Fb/x"])
  })
})

describe("formatUndoPlan", () => {
  const Paid = DomainEvent.make("Paid", { payload: Schema.Int, key: () => "o" })
  const correlate = () => "o"
  const waits = Saga.make("Waits", { payload: Schema.Void }).pipe(
    Saga.step("a", { action: () => Effect.void, compensation: () => Effect.void }),
    Saga.awaitEvent("unlimited", Paid, { correlate }),
    Saga.awaitEvent("limited", Paid, { correlate, timeout: "1 hour" }),
    Saga.publish("told", Paid, () => 1),
    Saga.pivot("go", { action: () => Effect.void }),
    Saga.awaitEvent("unlimited-behind", Paid, { correlate }),
    Saga.awaitEvent("limited-behind", Paid, { correlate, timeout: "1 hour" }),
    Saga.publish("told-behind", Paid, () => 1)
  )
  for (const [name, saga] of Object.entries({ trip, everything, waits })) {
    it(`${name}: reads as in the golden file`, async () => {
      const text = undoPlans(saga).map(formatUndoPlan).join(`\n\n${"-".repeat(80)}\n\n`)
      await expect(`${text}\n`).toMatchFileSnapshot(`golden/${name}-undo.txt`)
    })
  }

  it("shows nothing that a terminal would take for a command", () => {
    const saga = Saga.make("Hostile", { payload: Schema.Void }).pipe(
      Saga.match("kind", () => "\u001b[31m\u202e", {
        "\u001b[31m\u202e": (fork) =>
          fork.pipe(Saga.step("x", { action: () => Effect.void, compensation: () => Effect.void }))
      }),
      Saga.pivot("pay", { action: () => Effect.void })
    )
    const text = undoPlans(saga).map(formatUndoPlan).join("\n")
    expect(text).toContain("└─ %1B[31m%E2%80%AE:\n           kind/%1B[31m%E2%80%AE/x\n")
    expect(text.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  })
})

// ------------------------------------------------------------------------------------------- plan and run

/** In which way the step at a path comes to no good. */
type Fault = "fails" | "dies" | "is cut"

const orders: ReadonlyArray<Order> = [gift, { lines: ["tea"], express: false, kind: "plain" }]

/** When the sleeps of the order are under way; all else takes no time. */
const asleep: { readonly [path: string]: Duration.Input } = {
  pause: "500 millis",
  "carrier/first/answer": "1100 millis",
  later: "1 hour"
}

/** The facts of the first order that comes by that path, which is then hit. The item that is hit is the one called tea. */
const hit = Effect.fn(function*({ path, whenUncertain }: UndoPlan, fault: Fault) {
  const at = path.replace("*", "tea")
  const refused = Effect.fail(new Refused({ why: "on purpose" }))
  const fates: Record<string, ReturnType<Act>> = {
    // Without this nobody goes the second way.
    ...(path.startsWith("carrier/second/") ? { "carrier/first/cheap": refused } : {}),
    ...(fault === "is cut" ? {} : { [at]: fault === "dies" ? Effect.die("on purpose") : refused })
  }
  const reached = fault === "is cut"
    ? "TimerSet"
    : fault === "fails" || whenUncertain === undefined
    ? "StepFailed"
    : "StepUncertain"
  for (const order of orders) {
    const run = Saga.run(everything, order)
    const facts = yield* factsOf(fault === "is cut" ? Effect.timeout(run, asleep[path]!) : run, taking(fates))
    if (facts.some((fact) => fact._tag === reached && fact.path === at)) return facts
  }
  throw new Error(`nothing was hit at ${at}`)
})

/** The paths of the compensations in their order, with a star for the key of an item. */
const compensatedIn = (facts: ReadonlyArray<SagaEvent>) =>
  facts.flatMap((fact) =>
    fact._tag === "CompensationSucceeded" ? [fact.path.replace(/^(lines|labels)\/\w+/, "$1/*")] : []
  )

/** What a plan says that a run did not do, or did in another order. `sure`: it has to be done. */
const contradictions = (
  undo: ReadonlyArray<Undo>,
  ran: ReadonlyArray<string>,
  sure: boolean
): ReadonlyArray<string> => {
  const spans = undo.map((entry) => {
    const at = pathsOf(entry).flatMap((path) => ran.flatMap((other, index) => other === path ? [index] : []))
    return { entry, first: Math.min(...at), last: Math.max(...at) }
  })
  return spans.flatMap(({ entry, last }, index) => {
    const early = spans.slice(index + 1).filter(({ first }) => first < last).map(({ entry }) =>
      `${pathsOf(entry)} is early`
    )
    switch (entry._tag) {
      case "Compensate":
        return sure && !ran.includes(entry.path) ? [...early, `${entry.path} is not compensated`] : early
      case "Nothing":
        return ran.includes(entry.path) ? [...early, `${entry.path} is compensated`] : early
      case "Chosen":
        return [...early, ...entry.branches.flatMap((branch) => contradictions(branch.undo, ran, false))]
      case "Branches":
        // All items have one path in a plan, so their order says nothing.
        return entry.path !== undefined ? early : [
          ...early,
          ...entry.branches.flatMap((branch) => contradictions(branch.undo, ran, sure && !branch.partly))
        ]
    }
  })
}

const assertPlanned = (facts: ReadonlyArray<SagaEvent>, undo: ReadonlyArray<Undo>) => {
  const ran = compensatedIn(facts)
  const unplanned = ran.filter((path) => !undo.flatMap(pathsOf).includes(path))
  assert.deepStrictEqual([...contradictions(undo, ran, true), ...unplanned], [])
}

describe("a run does what its plan says", () => {
  for (const plan of undoPlans(everything)) {
    const fault = plan.kind === "sleep" ? "is cut" : "fails"

    it.effect(`when ${plan.path} ${fault}`, () =>
      Effect.gen(function*() {
        const facts = yield* hit(plan, fault)
        const last = facts.at(-1)!
        switch (plan._tag) {
          case "Unwinds":
            assert.strictEqual(last._tag, "SagaCompensated")
            return assertPlanned(facts, plan.undo)
          case "FallsBack":
            assert.isTrue(facts.some((fact) => fact._tag === "FellBack" && fact.path === plan.scope))
            assert.strictEqual(last._tag, "SagaSucceeded")
            return assertPlanned(facts, plan.undo)
          case "GoesForward":
            assert.deepStrictEqual(compensatedIn(facts), [])
            return assert.deepStrictEqual(last._tag === "SagaStuck" ? last.open : last._tag, plan.left)
        }
      }))

    if (plan._tag === "FallsBack") {
      it.effect(`when ${plan.path} dies`, () =>
        Effect.gen(function*() {
          const facts = yield* hit(plan, "dies")
          assert.strictEqual(facts.at(-1)!._tag, "SagaCompensated")
          assertPlanned(facts, plan.otherwise)
        }))
    }
  }
})
