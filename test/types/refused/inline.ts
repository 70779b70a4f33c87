/** Inline steps without a saga, and options that do not fit together. */
import { Effect } from "effect"
import { Saga } from "effect-saga"
import type { Receipt, SoldOut } from "../order.ts"
import { Shop } from "../order.ts"

declare const reserve: Effect.Effect<Receipt, SoldOut>
const step = reserve.pipe(Saga.withCompensation((receipt) => Shop.use((shop) => shop.release(receipt.ref))))

// @ts-expect-error a step without a saga around it
Effect.runPromise(reserve.pipe(Saga.withCompensation(() => Effect.void)))
// @ts-expect-error a joined part without a saga around it
Effect.runPromise(Saga.joined(reserve))
// @ts-expect-error a race without a saga around it
Effect.runPromise(Saga.race(reserve, reserve))
// @ts-expect-error a time limit without a saga around it
Effect.runPromise(Saga.timeoutOption(reserve, "1 second"))
// @ts-expect-error a saga whose compensations need a service
Effect.runPromise(Saga.scoped(step))
// @ts-expect-error a saga whose errors nobody handles
export const unhandled: Effect.Effect<unknown, SoldOut, Shop> = Saga.scoped(step)
// @ts-expect-error a compensation of another result
reserve.pipe(Saga.withCompensation((receipt: number) => Effect.log(receipt)))
// @ts-expect-error a compensation that reads what the result does not have
reserve.pipe(Saga.withCompensation((receipt) => Effect.log(receipt.cents)))
// @ts-expect-error a compensation that is no effect
reserve.pipe(Saga.withCompensation((receipt) => receipt.ref))
// @ts-expect-error a compensation of a result, with "compensate": it is given an Attempt
reserve.pipe(Saga.withCompensation((receipt: Receipt) => Effect.log(receipt), { whenUncertain: "compensate" }))
// @ts-expect-error a compensation that reads an Attempt as the result
reserve.pipe(Saga.withCompensation((receipt) => Effect.log(receipt.ref), { whenUncertain: "compensate" }))
// @ts-expect-error a compensation of an Attempt, without "compensate": it is given the result
reserve.pipe(Saga.withCompensation((attempt: Saga.Attempt<Receipt>) => Effect.log(attempt)))
// @ts-expect-error a word that whenUncertain does not know
reserve.pipe(Saga.withCompensation(() => Effect.void, { whenUncertain: "ignore" }))
// @ts-expect-error an option that does not exist
reserve.pipe(Saga.withCompensation(() => Effect.void, { retry: 3 }))
// @ts-expect-error isUncertain of another error
reserve.pipe(Saga.withCompensation(() => Effect.void, { isUncertain: (error: number) => error > 0 }))
// @ts-expect-error a verify of another result
reserve.pipe(Saga.withCompensation(() => Effect.void, { verify: Effect.succeedSome(1) }))
// @ts-expect-error a verify that forgets its Option
reserve.pipe(Saga.withCompensation(() => Effect.void, { verify: reserve }))
// @ts-expect-error action first, a compensation of another result
Saga.withCompensation(reserve, (receipt: number) => Effect.log(receipt))
// @ts-expect-error action first, a compensation of a result with "compensate"
Saga.withCompensation(reserve, (receipt: Receipt) => Effect.log(receipt), { whenUncertain: "compensate" })
// @ts-expect-error no compensation
reserve.pipe(Saga.withCompensation())
