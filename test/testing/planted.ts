/** A shop whose saga and fakes have a switch: none of the bugs, or one. Imported by plain Node, with bugs of the toolkit in it. */
import { Context, Effect, Layer, Option, Schedule, Schema } from "effect"
import { DomainEvent, EventBus } from "../../src/events/index.ts"
import { Saga } from "../../src/index.ts"
import { SagaJournal } from "../../src/SagaJournal.ts"
import { Ledger, SagaTest } from "../../src/testing/index.ts"

/** What is wrong with the saga or its participants. */
export const bugs = [
  "a compensation that does nothing",
  "a compensation that forgets the fee",
  "a compensation that undoes another step",
  "a key that is made anew in each call",
  "a participant that answers that it did nothing, and did",
  "an effect in a check",
  "an event that is published before the commit point",
  "two effects in one action, of which one is undone",
  "an error behind an effect",
  "a ledger that outlives its run",
  "a step undone with the key of its compensation",
  "an effect that is made behind the back of the saga"
] as const
export type Bug = (typeof bugs)[number]

class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}

const enter = (key: string, step: string) => Effect.asVoid(Ledger.Ledger.use((ledger) => ledger.apply(key, step)))
const cancel = (key: string, step: string) => Ledger.Ledger.use((ledger) => ledger.cancel(key, step))

const kept = Effect.runSync(Effect.provide(Ledger.Ledger, Ledger.layer))

/** A step that takes a while and is undone by the key of its action. */
const item = {
  error: Refused,
  whenUncertain: "compensate" as const,
  action: (_: unknown, { idempotencyKey, path }: Saga.StepContext) => Effect.delay(enter(idempotencyKey, path), 5),
  compensation: (_: unknown, __: unknown, { actionKey, path }: Saga.CompensationContext) => cancel(actionKey, path)
}

const wrapping = Saga.make("Wrapping", { payload: Schema.Void }).pipe(Saga.step("paper", item))

const shop = (bug?: Bug) => {
  let calls = 0
  const when = <A>(one: Bug, then: A, otherwise: A): A => bug === one ? then : otherwise
  const nothing: typeof item.compensation = () => Effect.void
  return Saga.make("Shop", { payload: Schema.Array(Schema.String) }).pipe(
    Saga.check("open", {
      error: Refused,
      action: (_, { idempotencyKey, path }) => when("an effect in a check", enter(idempotencyKey, path), Effect.void)
    }),
    Saga.step("funds", {
      ...item,
      action: (state, context) =>
        Effect.andThen(item.action(state, context), enter(`${context.idempotencyKey}/fee`, "fee")),
      compensation: (attempt: unknown, state, context) =>
        Effect.andThen(
          item.compensation(attempt, state, context),
          when("a compensation that forgets the fee", Effect.void, cancel(`${context.actionKey}/fee`, "fee"))
        )
    }),
    Saga.parallel((fork) => [
      fork.pipe(
        Saga.step("seat", {
          ...item,
          retry: Schedule.recurs(1),
          action: (state, context) =>
            when(
              "a key that is made anew in each call",
              enter(`${context.idempotencyKey}/${calls++}`, context.path),
              item.action(state, context)
            ),
          compensation: when("a compensation that does nothing", nothing, item.compensation)
        }),
        Saga.step("meal", {
          ...item,
          action: (state, context) =>
            when(
              "two effects in one action, of which one is undone",
              Effect.andThen(item.action(state, context), enter(`${context.idempotencyKey}/drink`, "drink")),
              item.action(state, context)
            )
        })
      ),
      fork.pipe(Saga.forEach("lines", {
        item: Schema.String,
        items: ({ payload }) => payload,
        key: (line) => line,
        concurrency: 2,
        each: (fork) =>
          fork.pipe(Saga.step("reserve", {
            ...item,
            compensation: (attempt: unknown, state, context) =>
              when(
                "a compensation that undoes another step",
                cancel(context.actionKey.replace("/tea/", "/cup/"), context.path.replace("/tea/", "/cup/")),
                item.compensation(attempt, state, context)
              )
          }))
      }))
    ]),
    Saga.orElse(
      "carrier",
      (fork) =>
        fork.pipe(
          Saga.step("slow", {
            ...item,
            action: (state, context) =>
              Effect.andThen(
                item.action(state, context),
                when<Effect.Effect<void, Refused>>("an error behind an effect", Effect.fail(new Refused()), Effect.void)
              )
          }),
          Saga.step("van", item)
        ),
      (fork) =>
        fork.pipe(Saga.step("fast", {
          ...item,
          compensation: (attempt: unknown, state, context) =>
            when(
              "a step undone with the key of its compensation",
              cancel(context.idempotencyKey, context.path),
              item.compensation(attempt, state, context)
            )
        }))
    ),
    Saga.nested("wrapped", wrapping, () => undefined),
    Saga.step("insured", {
      ...item,
      timeout: "1 second",
      verify: (_, { idempotencyKey }) =>
        Ledger.Ledger.use((ledger) =>
          Effect.map(ledger.standing, (standing) => {
            const took = standing.some(({ key }) => key === idempotencyKey)
            return when("a participant that answers that it did nothing, and did", false, took)
              ? Option.some(undefined)
              : Option.none()
          })
        ),
      action: (state, context) =>
        when(
          "an effect that is made behind the back of the saga",
          Effect.asVoid(Effect.forkDetach(Effect.delay(enter(context.idempotencyKey, context.path), 2_000))),
          item.action(state, context)
        )
    }),
    Saga.step("told", {
      action: (_, { idempotencyKey, path }) =>
        when("an event that is published before the commit point", enter(idempotencyKey, path), Effect.void),
      compensation: () => Effect.void
    }),
    Saga.pivot("pay", {
      error: Refused,
      retry: Schedule.recurs(1),
      action: (_, { idempotencyKey, path }) => enter(idempotencyKey, path)
    }),
    Saga.retriable("mail", {
      error: Refused,
      retry: Schedule.recurs(2),
      action: (_, { idempotencyKey, path }) => enter(idempotencyKey, path)
    })
  )
}

class Told extends Context.Service<Told, (key: string) => Effect.Effect<void>>()("test/Told") {
  /** Says two things of what it was asked for, each once. */
  static readonly layer = Layer.effect(
    Told,
    Effect.map(
      EventBus,
      (bus) => (key: string) =>
        Effect.forEach([1, 2], (n) => Effect.retry(bus.publish(Said, n, { id: `${key} ${n}` }), { times: 5 }), {
          discard: true
        }).pipe(Effect.orDie)
    )
  )
}

const Said = DomainEvent.make("Said", { payload: Schema.Int, key: () => "o" })

/** Waits for two events, which come early, twice, or late. */
const letters = Saga.make("Letters", { payload: Schema.Array(Schema.String) }).pipe(
  Saga.check("ask", { action: (_, { idempotencyKey }) => Told.use((tell) => tell(idempotencyKey)) }),
  Saga.awaitEvent("one", Said, { correlate: () => "o", timeout: "5 minutes" }),
  Saga.awaitEvent("two", Said, { correlate: () => "o", timeout: "5 minutes" }),
  Saga.check("end", { action: () => Effect.void })
)

const eachOnce = ({ facts, faults, status }: SagaTest.Explored<ReadonlyArray<string>>) => {
  const received = facts.flatMap((fact) => fact._tag === "EventReceived" ? [fact.payload] : [])
  const [missing, again] = [status === "Succeeded" && received.length !== 2, new Set(received).size !== received.length]
  const late = facts.some((fact) => fact._tag === "EventTimedOut") && faults.length === 0
  return missing || again || late ? Effect.fail(`received were ${received.join()}`) : Effect.void
}

/** What `explore` finds: nothing, or by how many faults which invariant is broken. */
export const explored = (
  bug: Bug | undefined,
  { events, limit, places, where }: {
    readonly where: "fiber" | "engine"
    readonly events?: true
    readonly places?: ReadonlyArray<string>
    readonly limit?: number
  }
) => {
  const options = {
    payload: ["tea", "cup"],
    ...(places === undefined ? {} : { places }),
    ...(limit === undefined ? {} : { limit }),
    ...(where === "engine" ? { journal: SagaJournal.layerMemory } : {})
  }
  const services = bug === "a ledger that outlives its run" ? Layer.succeed(Ledger.Ledger, kept) : Ledger.layer
  const exploration = events === true
    ? SagaTest.explore(letters, { ...options, services: Told.layer, invariant: eachOnce })
    : SagaTest.explore(shop(bug), { ...options, services })
  return exploration.pipe(
    Effect.match({
      onSuccess: ({ text }) => ({ found: "nothing", faults: 0, replay: "", text }),
      onFailure: (error) =>
        error._tag === "SagaViolation"
          ? { found: error.invariant, faults: error.faults.length, replay: error.replay, text: error.message }
          : { found: error._tag, faults: 1, replay: "", text: error.message }
    })
  )
}
