/** Steps whose options do not fit together. */
import { Effect, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"

const none = { compensation: () => Effect.void }
const act = { action: () => Effect.void }
const one = { success: Schema.Number, action: () => Effect.succeed(1) }
const again = { retry: Schedule.recurs(3) }
const start = Saga.make("Start", { payload: Schema.Void })

// ------------------------------------------------------------------------------------------- actions

// @ts-expect-error no action
start.pipe(Saga.step("a", none))
// @ts-expect-error an action that is no effect
start.pipe(Saga.step("a", { action: () => 1, ...none }))
// @ts-expect-error an action that is an effect, not a function
start.pipe(Saga.step("a", { action: Effect.void, ...none }))
// @ts-expect-error a result without a schema
start.pipe(Saga.step("a", { action: () => Effect.succeed(1), ...none }))
// @ts-expect-error an error without a schema
start.pipe(Saga.step("a", { action: () => Effect.fail("no"), ...none }))
// @ts-expect-error a result that is not the one of the schema
start.pipe(Saga.step("a", { success: Schema.Number, action: () => Effect.succeed("x"), ...none }))
// @ts-expect-error an error that is not the one of the schema
start.pipe(Saga.step("a", { error: Schema.Number, action: () => Effect.fail("no"), ...none }))
// @ts-expect-error one error of two without a schema
start.pipe(Saga.check("a", { error: Schema.Literal("x"), action: () => Effect.fail<"x" | "y">("y") }))
// @ts-expect-error a result without a schema, of a check
start.pipe(Saga.check("a", { action: () => Effect.succeed(1) }))
// @ts-expect-error an error without a schema, of a pivot
start.pipe(Saga.pivot("a", { action: () => Effect.fail("no") }))
// @ts-expect-error an error without a schema, of a retriable
start.pipe(Saga.retriable("a", { ...again, action: () => Effect.fail("no") }))

// ------------------------------------------------------------------------------------------- compensations

// @ts-expect-error no compensation
start.pipe(Saga.step("a", act))
// @ts-expect-error a compensation that is no effect
start.pipe(Saga.step("a", { ...act, compensation: () => {} }))
// @ts-expect-error a compensation of another result
start.pipe(Saga.step("a", { ...one, compensation: (result: string) => Effect.log(result) }))
// @ts-expect-error a compensation of a result, with "compensate": it is given an Attempt
start.pipe(Saga.step("a", { ...one, whenUncertain: "compensate", compensation: (n: number) => Effect.log(n) }))
// @ts-expect-error a compensation that reads an Attempt as the result
start.pipe(Saga.step("a", { ...one, whenUncertain: "compensate", compensation: (n) => Effect.log(n.toFixed()) }))
// @ts-expect-error a compensation of an Attempt, with "report": it is given the result
start.pipe(Saga.step("a", { ...one, whenUncertain: "report", compensation: (n) => Effect.log(n.reason) }))
// @ts-expect-error a compensation of an Attempt, without saying what an unknown outcome means
start.pipe(Saga.step("a", { ...one, compensation: (attempt) => Effect.log(attempt._tag) }))
// @ts-expect-error a check with a compensation
start.pipe(Saga.check("a", { ...act, compensation: () => Effect.void }))
// @ts-expect-error a pivot with a compensation
start.pipe(Saga.pivot("a", { ...act, compensation: () => Effect.void }))

// ------------------------------------------------------------------------------------------- unknown outcomes

// @ts-expect-error a time limit without saying what an unknown outcome means
start.pipe(Saga.step("a", { ...act, ...none, timeout: "1 second" }))
// @ts-expect-error isUncertain without saying what an unknown outcome means
start.pipe(Saga.step("a", { ...act, ...none, error: Schema.String, isUncertain: () => true }))
// @ts-expect-error a word that whenUncertain does not know
start.pipe(Saga.step("a", { ...act, ...none, whenUncertain: "ignore" }))
// @ts-expect-error whenUncertain of a check: it is never uncertain
start.pipe(Saga.check("a", { ...act, whenUncertain: "report" }))
// @ts-expect-error whenUncertain of a pivot: it is never unwound
start.pipe(Saga.pivot("a", { ...act, whenUncertain: "compensate" }))
// @ts-expect-error a verify of another result
start.pipe(Saga.step("a", { ...one, ...none, verify: () => Effect.succeedSome("x") }))
// @ts-expect-error a verify that forgets its Option
start.pipe(Saga.step("a", { ...one, ...none, verify: () => Effect.succeed(1) }))
// @ts-expect-error isUncertain of another error
start.pipe(Saga.pivot("a", { ...act, error: Schema.String, isUncertain: (error: number) => error > 0 }))
// @ts-expect-error a word that delivery does not know
start.pipe(Saga.step("a", { ...act, ...none, delivery: "exactly-once" }))

// ------------------------------------------------------------------------------------------- limits and retries

// @ts-expect-error a limit that is no duration
start.pipe(Saga.check("a", { ...act, timeout: "1 sec" }))
// @ts-expect-error an error for the limit that is not declared
start.pipe(Saga.check("a", { ...act, error: Schema.String, timeout: "1 second", timeoutError: () => 1 }))
// @ts-expect-error a retriable without a schedule
start.pipe(Saga.retriable("a", act))
// @ts-expect-error a number of retries for a schedule
start.pipe(Saga.retriable("a", { ...act, retry: 3 }))
// @ts-expect-error a retry that wants another error
start.pipe(Saga.check("a", { ...act, retry: Schedule.recurs(1).pipe(Schedule.setInputType<"other">()) }))
// @ts-expect-error a pivot that others may cut
start.pipe(Saga.pivot("a", { ...act, interruptible: true }))
// @ts-expect-error a retriable that others may cut
start.pipe(Saga.retriable("a", { ...act, ...again, interruptible: true }))
// @ts-expect-error a time limit of a saga that is no duration
start.pipe(Saga.timeout("soon"))
// @ts-expect-error a sleep that is no duration
start.pipe(Saga.sleep("a", () => "tomorrow"))
