/**
 * Publishing inside a step: what an attempt publishes if it succeeds. Nothing here decides whether it does.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { DomainEvent } from "./DomainEvent.ts"
import { EventBus } from "./EventBus.ts"
import { outbox, type Speaker } from "./internal/outbox.ts"
import type { StepContext } from "./StepContext.ts"

/**
 * Publishes an event in an action, in a compensation or in a `verify`: if this attempt succeeds, and with the fact that says so.
 *
 * **When to use**
 *
 * Use for what only the action knows, such as each of several things that it has done. What the results of the steps say is
 * published by a node of its own, `Saga.publish`, whatever becomes of the process.
 *
 * **Details**
 *
 * An attempt that fails, is cut or is retried publishes nothing of what it has said; the next attempt says it again. On an
 * engine the events are kept in one statement with the fact that the attempt succeeded. The id of each is the idempotency key of
 * the attempt with a number, its `causationId` is that key, its `correlationId` the execution. In a fiber the bus gets them when
 * the action has succeeded, before anything else begins.
 *
 * **Gotchas**
 *
 * A crash before that fact publishes nothing. The attempt that runs again says it again; but where `verify` finds that the action
 * has taken place nobody does, unless `verify` publishes too. A payload that does not match its schema is a defect. With a context
 * that was made by hand, as in a test of an action alone, the event goes to the bus at once.
 *
 * **Example** (Parcels, as many as there are)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { DomainEvent, EventBus, MemoryBus, SagaEvents } from "effect-saga/events"
 * import { Effect, Schema } from "effect"
 *
 * const ParcelSent = DomainEvent.make("ParcelSent", { payload: Schema.Struct({ parcel: Schema.Int }), key: () => "A-1" })
 * const ship = Saga.make("Ship", { payload: Schema.Int }).pipe(
 *   Saga.pivot("parcels", {
 *     action: ({ payload }, context) =>
 *       Effect.forEach(
 *         Array.from({ length: payload }, (_, index) => index + 1),
 *         (parcel) => SagaEvents.publish(context, ParcelSent, { parcel }),
 *         { discard: true }
 *       )
 *   })
 * )
 * const program = Effect.gen(function*() {
 *   yield* Saga.run(ship, 2)
 *   const seen: Array<string> = []
 *   const handle = ({ id, payload }: { id: string; payload: { parcel: number } }) =>
 *     Effect.sync(() => seen.push(`${id.split("/")[1]}: ${payload.parcel}`))
 *   yield* Effect.forkChild(EventBus.use((bus) => bus.subscribe({ name: "s", events: [ParcelSent], handle })))
 *   while (seen.length < 2) yield* Effect.yieldNow
 *   return seen
 * })
 * await Effect.runPromise(program.pipe(Effect.provide(MemoryBus.layer))) // => ["parcels#1: 1", "parcels#2: 2"]
 * ```
 *
 * @category events
 * @since 0.1.0
 */
export const publish = <T extends string, P extends Schema.Top>(
  context: StepContext,
  event: DomainEvent<T, P>,
  payload: P["Type"]
): Effect.Effect<void, never, EventBus> =>
  Effect.flatMap(EventBus, (bus) => {
    if (isSpeaker(context)) return context[outbox](event, payload, bus)
    const { executionId: correlationId, idempotencyKey: causationId } = context
    return Effect.orDie(bus.publish(event, payload, { correlationId, causationId }))
  })

const isSpeaker = (context: StepContext): context is StepContext & Speaker => outbox in context
