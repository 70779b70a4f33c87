/** Sagas that misunderstand events. */
import { Effect, Schema } from "effect"
import { Saga } from "effect-saga"
import { DomainEvent, MemoryBus, SagaEvents } from "effect-saga/events"

const Paid = DomainEvent.make("Paid", { payload: Schema.Struct({ cents: Schema.Int }), key: () => "o" })
const Refused = DomainEvent.make("Refused", { payload: Schema.String, key: () => "o" })
const start = Saga.make("Start", { payload: Schema.Struct({ id: Schema.String, n: Schema.Int }) })
const correlate = ({ payload }: { readonly payload: { readonly id: string } }) => payload.id

// @ts-expect-error a key that is no text
start.pipe(Saga.awaitEvent("paid", Paid, { correlate: ({ payload }) => payload.n }))
// @ts-expect-error nothing to correlate by
start.pipe(Saga.awaitEvent("paid", Paid, {}))
// @ts-expect-error a field that the event does not have
start.pipe(Saga.awaitEvent("paid", Paid, { correlate, where: ({ amount }) => amount > 0 }))
// @ts-expect-error an option that it does not know
start.pipe(Saga.awaitEvent("paid", Paid, { correlate, retry: 3 }))
// @ts-expect-error the first of none
start.pipe(Saga.awaitFirst("first", [], { correlate }))
// @ts-expect-error a case that is awaited by nobody
start.pipe(Saga.awaitFirst("first", [Paid, Refused], { correlate, where: ({ _tag }) => _tag === "Lost" }))
// @ts-expect-error an event that says something else
start.pipe(Saga.publish("told", Paid, () => ({ cents: "1" })))
// @ts-expect-error an event of something that the saga does not know
start.pipe(Saga.publish("told", Refused, ({ order }) => order))
// @ts-expect-error a name that is taken
start.pipe(Saga.awaitEvent("paid", Paid, { correlate }), Saga.publish("paid", Refused, () => "x"))
// @ts-expect-error a wait without a bus around it
Effect.runPromise(Saga.run(start.pipe(Saga.awaitEvent("paid", Paid, { correlate })), { id: "1", n: 1 }))
// @ts-expect-error a saga that is started with another payload
SagaEvents.startOn(start, Paid, { payload: ({ payload }) => payload.cents })
// @ts-expect-error a relay of an event that is none
SagaEvents.relay({ name: "r", events: ["Paid"], handle: () => Effect.void })
// @ts-expect-error a bus in memory that keeps events until a date
MemoryBus.layerWith({ keep: new Date() })
// @ts-expect-error a state that there is not
start.pipe(Saga.publishLifecycle(SagaEvents.lifecycle("Start"), "Done"))
// @ts-expect-error a lifecycle that says something else
start.pipe(Saga.publishLifecycle(Paid))
// @ts-expect-error a branch that tells how it ends
start.pipe(Saga.when("w", () => true, (fork) => fork.pipe(Saga.publishLifecycle(SagaEvents.lifecycle("Start")))))
