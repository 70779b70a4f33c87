/**
 * Executions as a stream of their facts, for those who want to do something with facts that takes time: show them, send
 * them on, store them. A run never waits for who reads.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { SagaEvent } from "../SagaEvent.ts"
import type { ObservedExecution, SagaObserver } from "../SagaObserver.ts"

/**
 * A fact, and where it belongs.
 *
 * @category models
 * @since 0.1.0
 */
export interface ObservedFact {
  readonly execution: ObservedExecution
  /** 1 for the first fact of its execution that was observed here. A reader that misses a number has lost a fact. */
  readonly position: number
  readonly event: SagaEvent
}

/**
 * Where the facts of the observed executions can be read.
 *
 * @category services
 * @since 0.1.0
 */
export class SagaFacts extends Context.Service<SagaFacts, {
  /**
   * The facts from the moment on in which it is run, those of one execution in their order. Each reader gets all of
   * them. It ends when the layer closes.
   */
  readonly stream: Stream.Stream<ObservedFact>
  /** Brings the facts here. */
  readonly observer: SagaObserver
}>()("effect-saga/telemetry/SagaFacts") {}

/**
 * Provides `SagaFacts` with a buffer of this many facts for each reader. One that falls behind by more loses the oldest
 * of them; that concerns neither the runs nor other readers.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: { readonly bufferSize: number }): Layer.Layer<SagaFacts> =>
  Layer.effect(
    SagaFacts,
    Effect.gen(function*() {
      const readers = new Set<Queue.Queue<ObservedFact, Cause.Done>>()
      let open = true
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          open = false
          readers.forEach(Queue.endUnsafe)
        })
      )
      const join = (queue: Queue.Queue<ObservedFact, Cause.Done>) =>
        Effect.acquireRelease(
          Effect.sync(() => open ? readers.add(queue) : Queue.endUnsafe(queue)),
          () => Effect.sync(() => readers.delete(queue))
        )
      return {
        stream: Stream.callback<ObservedFact>(join, { bufferSize: options.bufferSize, strategy: "sliding" }),
        observer: {
          observe: (execution) => {
            let position = 0
            return {
              onEvent: (event) => {
                const fact = { execution, position: ++position, event }
                readers.forEach((reader) => Queue.offerUnsafe(reader, fact))
              }
            }
          }
        }
      }
    })
  )

/**
 * Provides `SagaFacts` with a buffer of 4,096 facts for each reader.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<SagaFacts> = layerWith({ bufferSize: 4_096 })

/**
 * Brings the facts of the executions that it observes to `SagaFacts`.
 *
 * @category observers
 * @since 0.1.0
 */
export const observer: Effect.Effect<SagaObserver, never, SagaFacts> = SagaFacts.useSync((facts) => facts.observer)

/**
 * The facts of all observed executions, from the moment on in which it is run.
 *
 * **Details**
 *
 * Every reader has a buffer of its own. One that falls behind by more than its size loses the oldest facts, which shows
 * as a gap in `position`; no run and no other reader waits. The stream ends when the layer of `SagaFacts` closes, after
 * what is still in the buffer.
 *
 * **Gotchas**
 *
 * Facts from before the stream is run are not in it: start its fiber with `startImmediately: true`. Facts hold payloads
 * and results as the program has them, secrets too.
 *
 * **Example** (Reading the facts of a run)
 *
 * ```ts
 * import { Saga, SagaObserver } from "effect-saga"
 * import { SagaFacts } from "effect-saga/telemetry"
 * import { Effect, Fiber, Layer, Schema, Stream } from "effect"
 *
 * const hello = Saga.make("Hello", { payload: Schema.Void }).pipe(
 *   Saga.check("greet", { success: Schema.String, action: () => Effect.succeed("hello") })
 * )
 * const program = Effect.gen(function*() {
 *   const reader = yield* SagaFacts.stream.pipe(
 *     Stream.map(({ event, execution }) => `${execution.saga}: ${event._tag}`),
 *     Stream.takeUntil((fact) => fact.endsWith("SagaSucceeded")),
 *     Stream.runCollect,
 *     Effect.forkChild({ startImmediately: true })
 *   )
 *   yield* Saga.run(hello, undefined)
 *   return yield* Fiber.join(reader)
 * })
 * const Facts = SagaObserver.layer([SagaFacts.observer]).pipe(Layer.provideMerge(SagaFacts.layer))
 *
 * await Effect.runPromise(Effect.provide(program, Facts))
 * // => ["Hello: SagaStarted", "Hello: StepStarted", "Hello: StepSucceeded", "Hello: SagaSucceeded"]
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const stream: Stream.Stream<ObservedFact, never, SagaFacts> = Stream.unwrap(
  SagaFacts.useSync((facts) => facts.stream)
)
