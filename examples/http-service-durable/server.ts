/**
 * The handlers: each is one question to the engine, and each error of the engine is a status code. No handler waits for
 * an order: a client that goes away changes nothing.
 */
import { Cause, Effect, Layer, Option } from "effect"
import { HttpRouter } from "effect/http"
import { HttpApiBuilder, HttpApiMiddleware, HttpApiSchema } from "effect/http-api"
import { SagaEngine } from "../../src/SagaEngine.ts"
import { fulfil } from "../order-service/saga.ts"
import { Conflict, Invalid, InWords, NotFound, OrdersApi, type Status, TooLate, Unavailable } from "./api.ts"

const executionOf = (order: string) => `Fulfil/${order}`

const statusOf = Effect.fn("statusOf")(function*(order: string) {
  const engine = yield* SagaEngine
  const executionId = executionOf(order)
  const found = yield* engine.poll(executionId)
  if (Option.isNone(found)) return yield* new NotFound({ order })
  const { problem, state } = found.value
  if (state !== "Succeeded" && state !== "Compensated") {
    return { state, ...problem === undefined ? {} : { problem } } satisfies Status
  }
  // It has ended: there is nothing to wait for.
  const ending = yield* Effect.orDie(engine.outcome(fulfil, executionId))
  return ending._tag === "Succeeded"
    ? { state, result: ending.result } satisfies Status
    : { state, error: String(Cause.squash(ending.cause)) } satisfies Status
})

const Orders = HttpApiBuilder.group(OrdersApi, "orders", (handlers) =>
  handlers
    .handle("accept", ({ payload }) =>
      SagaEngine.use((engine) => engine.start(fulfil, payload)).pipe(
        Effect.map((executionId) =>
          HttpApiSchema.withHeaders({ body: { executionId }, headers: { location: `/orders/${payload.id}` } })
        ),
        Effect.catchTags({
          ExecutionConflict: () => new Conflict({ order: payload.id }),
          ExecutionIdInvalid: ({ message }) => new Invalid({ reason: message }),
          PayloadRefused: ({ message }) => new Invalid({ reason: message }),
          JournalUnavailable: () => new Unavailable()
        })
      ))
    .handle("status", ({ params }) =>
      statusOf(params.order).pipe(Effect.catchTag("JournalUnavailable", () => new Unavailable())))
    .handle("cancel", ({ params }) =>
      SagaEngine.use((engine) =>
        engine.cancel(executionOf(params.order))
      ).pipe(
        Effect.catchTags({
          ExecutionNotFound: () => new NotFound({ order: params.order }),
          AlreadyCommitted: ({ message }) => new TooLate({ reason: message }),
          AlreadyFinal: ({ message }) => new TooLate({ reason: message }),
          ExecutionStuck: ({ message }) => new TooLate({ reason: message }),
          JournalUnavailable: () => new Unavailable()
        })
      )))

const Words = HttpApiMiddleware.layerSchemaErrorTransform(
  InWords,
  ({ cause }) => Effect.fail(new Invalid({ reason: cause.message }))
)

export const Server = HttpRouter.serve(
  HttpApiBuilder.layer(OrdersApi).pipe(Layer.provide(Orders), Layer.provide(Words)),
  {
    disableListenLog: true,
    disableLogger: true
  }
)
