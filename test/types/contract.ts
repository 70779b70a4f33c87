/** What the types compute, node by node: results, errors, services. Compiled, never run. */
import type { Context, Duration } from "effect"
import { Effect, Option, Schedule, Schema, SchemaTransformation } from "effect"
import { Saga } from "effect-saga"
import type { EventBus } from "effect-saga/events"
import { DomainEvent, SagaEvents } from "effect-saga/events"
import type { Declined, MailDown, Order, Receipt } from "./order.ts"
import { Mail, Payments, placeOrder, Shop, SoldOut } from "./order.ts"

/** Equal to the compiler, which is more than assignable both ways. */
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
/** An intersection of records as one record. */
type Flat<A> = A extends object ? { [K in keyof A]: A[K] } : A

// @ts-expect-error the checks below can fail
export const checked: Equal<{ readonly a: 1 }, { readonly a: 1; readonly b?: 2 }> = true

type Plain<E> = Exclude<E, { readonly _tag: "CompensationFailed" }>

// ------------------------------------------------------------------------------------------- the order example

declare const order: Order
const placed = Saga.run(placeOrder, order)
export const orderSuccess: Equal<
  Effect.Success<typeof placed>,
  { readonly van: string | undefined; readonly lines: ReadonlyArray<string>; readonly wrapped: boolean }
> = true
export const orderServices: Equal<Effect.Services<typeof placed>, Shop | Payments | Mail> = true
export const orderErrors: Equal<
  Plain<Effect.Error<typeof placed>>,
  SoldOut | Declined | Saga.ForwardRecoveryFailed
> = true
export const orderStuck: Equal<
  Extract<Effect.Error<typeof placed>, { readonly _tag: "CompensationFailed" }>,
  Saga.CompensationFailed<SoldOut | Declined | Saga.ForwardRecoveryFailed>
> = true
export const errorsOfRetriablesAreTheirOwn: Equal<Extract<Effect.Error<typeof placed>, MailDown>, never> = true

const outcome = Saga.outcome(placeOrder, order)
export const outcomeNeverFails: Equal<Effect.Error<typeof outcome>, never> = true
export const outcomeOfOrder: Equal<
  Effect.Success<typeof outcome>,
  Saga.Outcome<Effect.Success<typeof placed>, SoldOut | Declined | Saga.ForwardRecoveryFailed>
> = true

// ------------------------------------------------------------------------------------------- results, node by node

const undoable = { compensation: () => Effect.void }
const text = { success: Schema.String, action: () => Effect.succeed("x"), ...undoable }
const number = { success: Schema.Number, action: () => Effect.succeed(1), ...undoable }
const start = Saga.make("Start", { payload: Schema.Struct({ id: Schema.String, kind: Schema.Literals(["a", "b"]) }) })

/** What a saga returns, as one record. */
type Result<S> = S extends Saga.Saga<never, unknown, unknown, infer A, unknown, unknown> ? Flat<A> : never
type Errors<S> = S extends Saga.Saga<never, unknown, unknown, unknown, infer E, unknown> ? E : never
type Services<S> = S extends Saga.Saga<never, unknown, unknown, unknown, unknown, infer R> ? R : never

const steps = start.pipe(Saga.step("a", text), Saga.check("b", { action: () => Effect.void }), Saga.sleep("c", 1))
export const ofSteps: Equal<Result<typeof steps>, { readonly a: string; readonly b: void }> = true

const parallel = start.pipe(
  Saga.step("before", text),
  Saga.parallel((fork) => [
    fork.pipe(Saga.step("a", text), Saga.step("b", number)),
    fork.pipe(Saga.step("c", number), Saga.sleep("pause", 1)),
    fork
  ])
)
export const ofParallel: Equal<
  Result<typeof parallel>,
  { readonly before: string; readonly a: string; readonly b: number; readonly c: number }
> = true

const each = start.pipe(
  Saga.forEach("lines", {
    item: Schema.Number,
    items: () => [1],
    key: String,
    each: (fork) => fork.pipe(Saga.step("a", { ...number, action: ({ item }) => Effect.succeed(item) }))
  })
)
export const ofForEach: Equal<Result<typeof each>["lines"], ReadonlyArray<{ readonly a: number }>> = true

const when = start.pipe(Saga.when("maybe", () => true, (fork) => fork.pipe(Saga.step("a", text))))
export const ofWhen: Equal<Result<typeof when>["maybe"], { readonly a: string } | undefined> = true

const match = start.pipe(
  Saga.match("kind", ({ payload }) => payload.kind, {
    a: (fork) => fork.pipe(Saga.step("one", text)),
    b: (fork) => fork.pipe(Saga.output(Schema.Number, () => 1))
  })
)
export const ofMatch: Equal<
  Result<typeof match>["kind"],
  { readonly _tag: "a"; readonly value: { readonly one: string } } | { readonly _tag: "b"; readonly value: number }
> = true

const nested = start.pipe(Saga.nested("inner", steps, ({ payload }) => payload))
export const ofNested: Equal<Flat<Result<typeof nested>["inner"]>, { readonly a: string; readonly b: void }> = true

const failing = <const E extends string>(error: E) => ({
  success: Schema.String,
  error: Schema.Literal(error),
  action: () => Effect.fail(error),
  ...undoable
})
const orElse = start.pipe(
  Saga.orElse(
    "way",
    (fork) => fork.pipe(Saga.step("a", failing("first failed"))),
    (fork) => fork.pipe(Saga.step("b", failing("second failed")))
  )
)
export const ofOrElse: Equal<Result<typeof orElse>["way"], { readonly a: string } | { readonly b: string }> = true
export const onlyTheSecondFailureLeavesOrElse: Equal<Errors<typeof orElse>, "second failed"> = true

const output = start.pipe(Saga.step("a", text), Saga.output(Schema.Number, ({ a }) => a.length))
export const ofOutput: Equal<Result<typeof output>, number> = true

const empty = Saga.make("Empty", { payload: Schema.Void })
export const ofNothing: Equal<Result<typeof empty>, {}> = true
export const noErrors: Equal<Effect.Error<ReturnType<typeof runEmpty>>, Saga.CompensationFailed<never>> = true
const runEmpty = () => Saga.run(empty, undefined)

// ------------------------------------------------------------------------------------------- errors and services

export const errorsOfBranches = start.pipe(
  Saga.parallel((fork) => [fork.pipe(Saga.step("a", failing("a"))), fork.pipe(Saga.step("b", failing("b")))]),
  Saga.when("w", () => true, (fork) => fork.pipe(Saga.step("c", failing("c")))),
  Saga.match("m", ({ payload }) => payload.kind, {
    a: (fork) => fork.pipe(Saga.step("d", failing("d"))),
    b: (fork) => fork.pipe(Saga.check("e", { error: Schema.Literal("e"), action: () => Effect.fail("e" as const) }))
  }),
  Saga.forEach("f", {
    item: Schema.Number,
    items: () => [],
    key: String,
    each: (fork) => fork.pipe(Saga.step("f1", failing("f")))
  }),
  Saga.nested("n", start.pipe(Saga.step("g", failing("g"))), ({ payload }) => payload),
  Saga.pivot("p", { error: Schema.Literal("h"), action: () => Effect.fail("h" as const) })
)
export const allErrors: Equal<Errors<typeof errorsOfBranches>, "a" | "b" | "c" | "d" | "e" | "f" | "g" | "h"> = true

const limited = start.pipe(Saga.timeout("1 minute"))
export const aLimitIsAnError: Equal<Errors<typeof limited>, Saga.SagaTimedOut> = true

const watched = start.pipe(
  Saga.step("a", {
    success: Schema.String,
    action: () => Shop.use(() => Effect.succeed("x")),
    compensation: () => Payments.use(() => Effect.void)
  }),
  Saga.onStuck(() => Mail.use(() => Effect.void))
)
export const servicesOfActionsCompensationsAndHooks: Equal<Services<typeof watched>, Shop | Payments | Mail> = true

const verified = start.pipe(Saga.step("a", {
  ...text,
  timeout: "1 second",
  whenUncertain: "report",
  verify: () => Mail.use(() => Effect.succeedSome("x"))
}))
export const servicesOfVerify: Equal<Services<typeof verified>, Mail> = true

// ------------------------------------------------------------------------------------------- what callbacks are given

export const given = start.pipe(
  Saga.step("first", text),
  Saga.step("second", {
    success: Schema.Number,
    error: SoldOut,
    whenUncertain: "compensate",
    timeout: "1 second",
    timeoutError: () => new SoldOut(),
    isUncertain: (error) => {
      const it: Equal<typeof error, SoldOut> = true
      return it
    },
    action: ({ first, payload }, { attempt, executionId, idempotencyKey, path }) => {
      const them: Equal<[typeof first, typeof payload.kind], [string, "a" | "b"]> = true
      const mine: Equal<[typeof attempt, typeof executionId, typeof idempotencyKey, typeof path], [
        number,
        string,
        string,
        string
      ]> = true
      return Effect.succeed(Number(them && mine))
    },
    compensation: (attempt, { first }, { actionKey, cause }) => {
      const it: Equal<typeof attempt, Saga.Attempt<number>> = true
      return Effect.log(it, first, actionKey, cause)
    },
    verify: ({ first }) => Effect.succeedSome(first.length),
    retry: Schedule.recurs(3).pipe(Schedule.setInputType<SoldOut | Saga.StepTimedOut>())
  }),
  Saga.step("third", {
    ...number,
    compensation: (result, state) => {
      const it: Equal<[typeof result, typeof state.second], [number, number]> = true
      return Effect.log(it)
    }
  }),
  Saga.sleep("pause", ({ third }) => third),
  Saga.output(Schema.String, ({ first, second, third }) => first + second + third)
)

// ------------------------------------------------------------------------------------------- what a saga is called

export const called = Saga.make("Called", {
  payload: Schema.Struct({ at: Schema.DateFromString, tenant: Schema.String }),
  key: (payload) => {
    const it: Equal<typeof payload, { readonly at: Date; readonly tenant: string }> = true
    return String(it)
  },
  tags: (payload) => {
    const it: Equal<typeof payload, { readonly at: Date; readonly tenant: string }> = true
    return { tenant: payload.tenant, it: String(it) }
  },
  version: 2
})
declare const readonlyTags: Readonly<Record<string, string>>
export const calledByGiven = Saga.make("Given", { payload: Schema.Void, tags: () => readonlyTags })

// ------------------------------------------------------------------------------------------- migrations

const sku = Schema.Struct({ sku: Schema.String })
export const moved = Saga.make("Moved", { payload: sku, version: 4 }).pipe(
  Saga.migrateFrom(1),
  Saga.step("hold", { success: Schema.String, action: () => Effect.succeed("1"), compensation: () => Effect.void }),
  Saga.migrateFrom(2, {
    payload: Schema.String.pipe(
      Schema.decodeTo(sku, SchemaTransformation.transform({ decode: (sku) => ({ sku }), encode: ({ sku }) => sku }))
    ),
    steps: { reserve: { name: "hold", success: Schema.NumberFromString }, "lines/*/pick": { name: "take" } }
  }),
  Saga.output(Schema.Number, () => 1),
  Saga.migrateFrom(3, { output: Schema.NumberFromString })
)
const runMoved = () => Saga.run(moved, { sku: "tea" })
export const movedResult: Equal<Effect.Success<ReturnType<typeof runMoved>>, number> = true

// ------------------------------------------------------------------------------------------- inline

declare const reserve: Effect.Effect<Receipt, SoldOut, Shop>

const step = reserve.pipe(Saga.withCompensation((receipt) => Mail.use((mail) => mail.send(receipt.ref))))
export const aStepNeedsASaga: Equal<
  typeof step,
  Effect.Effect<Receipt, SoldOut, Shop | Mail | Saga.SagaScope>
> = true

const scoped = Saga.scoped(step)
export const aScopeTakesItOut: Equal<
  typeof scoped,
  Effect.Effect<Receipt, SoldOut | Saga.CompensationFailed<SoldOut>, Shop | Mail>
> = true

const joined = Saga.joined(step)
export const aPartKeepsIt: Equal<Effect.Services<typeof joined>, Shop | Mail | Saga.SagaScope> = true

const raced = step.pipe(Saga.race(Effect.as(step, 1)))
export const aRace: Equal<Effect.Success<typeof raced>, Receipt | number> = true

const timed = step.pipe(Saga.timeoutOption("1 second"))
export const aTimeLimit: Equal<Effect.Success<typeof timed>, Option.Option<Receipt>> = true

export const everyOption = reserve.pipe(Saga.withCompensation((attempt, { attempt: number, cause }) => {
  const it: Equal<typeof attempt, Saga.Attempt<Receipt>> = true
  return Effect.log(it, number, cause)
}, {
  name: "reserve",
  whenUncertain: "compensate",
  isUncertain: (error) => error._tag === "SoldOut",
  verify: Payments.use(() => Effect.succeedNone),
  compensationRetry: Schedule.recurs(1),
  compensationTimeout: "1 second"
}))
export const servicesOfEveryOption: Equal<
  Effect.Services<typeof everyOption>,
  Shop | Payments | Saga.SagaScope
> = true

export const dataFirst = Saga.withCompensation(reserve, (receipt) => {
  const it: Equal<typeof receipt, Receipt> = true
  return Effect.log(it)
}, { whenUncertain: "stuck" })

const asks = start.pipe(Saga.step("asked", {
  success: Schema.String,
  action: (_, { path }) => Effect.succeed(path),
  verify: (_, { idempotencyKey }) => Effect.as(Mail.use(() => Effect.void), Option.some(idempotencyKey)),
  ...undoable
}))
export const servicesOfAQuestion: Equal<Services<typeof asks>, Mail> = true

// ------------------------------------------------------------------------------------------- events

const Paid = DomainEvent.make("Paid", { payload: Schema.Struct({ cents: Schema.Int }), key: () => "o" })
const Refused = DomainEvent.make("Refused", { payload: Schema.String, key: () => "o" })
declare const perhaps: Duration.Input | undefined
const correlate = ({ payload }: { readonly payload: { readonly id: string } }) => payload.id
const committed = start.pipe(Saga.pivot("go", { action: () => Effect.void }))

const unlimitedWait = start.pipe(Saga.awaitEvent("paid", Paid, { correlate }))
const limitedWait = start.pipe(Saga.awaitEvent("paid", Paid, { correlate, timeout: "1 minute" }))
const perhapsLimited = start.pipe(Saga.awaitEvent("paid", Paid, { correlate, timeout: perhaps }))
export const aWait: Equal<Result<typeof unlimitedWait>, { readonly paid: { readonly cents: number } }> = true
export const aWaitWithoutLimit: Equal<Errors<typeof unlimitedWait>, never> = true
export const aWaitWithLimit: Equal<Errors<typeof limitedWait>, Saga.EventTimedOut> = true
export const aWaitThatMayHaveOne: Equal<Errors<typeof perhapsLimited>, Saga.EventTimedOut> = true
export const aWaitNeedsABus: Equal<Services<typeof unlimitedWait>, EventBus> = true

const limitedBehind = committed.pipe(Saga.awaitEvent("paid", Paid, { correlate, timeout: "1 minute" }))
const perhapsBehind = committed.pipe(Saga.awaitEvent("paid", Paid, { correlate, timeout: perhaps }))
const unlimitedBehind = committed.pipe(Saga.awaitEvent("paid", Paid, { correlate }))
type PaidOrNot = { readonly go: void; readonly paid: { readonly cents: number } | undefined }
export const behindTheCommitPoint: Equal<Result<typeof limitedBehind>, PaidOrNot> = true
export const perhapsBehindTheCommitPoint: Equal<Result<typeof perhapsBehind>, PaidOrNot> = true
export const unlimitedBehindIt: Equal<
  Result<typeof unlimitedBehind>,
  { readonly go: void; readonly paid: { readonly cents: number } }
> = true
export const behindItNothingFails: Equal<Errors<typeof limitedBehind>, never> = true

const first = start.pipe(Saga.awaitFirst("first", [Paid, Refused], { correlate, timeout: perhaps }))
type Either =
  | { readonly _tag: "Paid"; readonly value: { readonly cents: number } }
  | { readonly _tag: "Refused"; readonly value: string }
export const theFirstOfSeveral: Equal<Result<typeof first>["first"], Either> = true
const firstBehind = committed.pipe(Saga.awaitFirst("first", [Paid, Refused], { correlate, timeout: perhaps }))
export const theFirstOrNone: Equal<Result<typeof firstBehind>["first"], Either | { readonly _tag: "TimedOut" }> = true

const tells = start.pipe(
  Saga.publish("told", Paid, () => ({ cents: 1 })),
  Saga.publishLifecycle(SagaEvents.lifecycle("Start"), "Stuck")
)
export const publishing: Equal<Result<typeof tells>, {}> = true
export const publishingNeedsABus: Equal<Services<typeof tells>, EventBus> = true

declare const services: Context.Context<Shop | Payments | Mail>
export const run: Promise<unknown> = Effect.runPromise(Effect.provideContext(placed, services))
