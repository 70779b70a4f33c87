/**
 * Stopping an execution that goes on, wherever it is: its owner is asked, and answers by a fact. Whoever is interrupted
 * while waiting for the answer has asked all the same.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { CancelError } from "../../ExecutionError.ts"
import { AlreadyCommitted, AlreadyFinal, ExecutionNotFound, ExecutionStuck } from "../../ExecutionError.ts"
import type { ExecutionRecord } from "../../Journal.ts"
import type { By } from "../../SagaEvent.ts"
import { onClock } from "../wait.ts"
import { readBy } from "./codec.ts"
import type { Engine } from "./engine.ts"
import { isFinal, isLive } from "./states.ts"

/** Whether this request is on record, or nothing was: the execution unwinds for another reason. */
export type Cancelled = "Cancelled" | "Unwinding"

/** Cancels an execution wherever it is. Returns when that is recorded. */
export const cancel = (engine: Engine, executionId: string, by: Partial<By>): Effect.Effect<Cancelled, CancelError> =>
  Effect.suspend(() => {
    const resident = engine.residents.get(executionId)
    if (resident === undefined || resident.residence.leaving) return cancelStored(engine, executionId, by)
    const asked = Effect.callback<Cancelled | "Committed" | "Ended" | "Left">((resume) => {
      resident.cancel([], by, (answer) => resume(Effect.succeed(resident.residence.isGone ? "Left" : answer)))
      return undefined
    })
    return Effect.flatMap(
      engine.guarded("cancel", Effect.raceFirst(asked, Effect.as(Deferred.await(resident.left), "Left" as const))),
      (answer) =>
        answer === "Committed"
          ? Effect.fail(new AlreadyCommitted({ executionId }))
          : answer === "Ended" || answer === "Left"
          ? cancelStored(engine, executionId, by)
          : Effect.succeed(answer)
    )
  })

/** Leaves a word for whoever owns it, and waits for the answer among its facts. */
const cancelStored = (engine: Engine, executionId: string, by: Partial<By>): Effect.Effect<Cancelled, CancelError> =>
  Effect.gen(function*() {
    const { journal } = engine
    const before = yield* journal.facts(executionId, 0)
    const row = yield* journal.find(executionId)
    if (Option.isNone(row)) return yield* new ExecutionNotFound({ executionId })
    if (isAtRest(row.value)) return yield* atRest(row.value)
    if (isUndone(row.value) || before.some(({ tag }) => tag === "CancelRequested")) return "Unwinding"
    if (!(yield* journal.send({ executionId, kind: "cancel", data: JSON.stringify(by) }))) {
      return yield* cancelStored(engine, executionId, by)
    }
    engine.poke()
    let pauseMillis = 2
    while (true) {
      const now = yield* journal.find(executionId)
      for (const { data, tag } of yield* journal.facts(executionId, before.length)) {
        if (tag === "CancelRequested") return isOf(by, readBy(data)) ? "Cancelled" : "Unwinding"
        if (tag === "CancelRefused") return yield* new AlreadyCommitted({ executionId })
      }
      if (Option.isSome(now) && isUndone(now.value)) return "Unwinding"
      if (Option.isSome(now) && isAtRest(now.value)) return yield* atRest(now.value)
      yield* onClock(engine.live, Effect.sleep(pauseMillis))
      pauseMillis = Math.min(pauseMillis * 2, engine.settings.pollMillis)
    }
  })

const isOf = (by: Partial<By>, of: Partial<By>): boolean => by.actor === of.actor && by.comment === of.comment

/** There is nothing left to cancel: all of it is being undone. */
const isUndone = ({ state }: ExecutionRecord): boolean => state === "Compensating"

/** Whether nobody runs it any more: it has ended, or a person has to decide. */
export const isAtRest = ({ state }: ExecutionRecord): boolean => !isLive(state)

const atRest = (row: ExecutionRecord): Effect.Effect<never, AlreadyFinal | ExecutionStuck> =>
  Effect.fail(finalAt(row) ?? stuckAt(row))

/** The error of who wants to change an execution that has ended; undefined when it has not. */
export const finalAt = ({ executionId, state }: ExecutionRecord): AlreadyFinal | undefined =>
  isFinal(state) ? new AlreadyFinal({ executionId, state }) : undefined

/** The error of who meets an execution that waits for a person. */
export const stuckAt = ({ executionId, problem, saga }: ExecutionRecord): ExecutionStuck =>
  new ExecutionStuck({ saga, executionId, problem: problem ?? "a person has to look at it" })
