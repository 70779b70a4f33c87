/**
 * How events come into an engine: what is given at once is kept at once, and whoever awaits it is woken. What was kept long
 * enough is forgotten. It knows neither sagas nor schemas.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import { tellUnmatched } from "../../EventSubscription.ts"
import type { BatchRefused, DeadLetter, EventRecord, EventStore } from "../../Journal.ts"
import { JournalUnavailable } from "../../Journal.ts"

/** How long events are kept, and who is told of what nobody has received. */
export interface Keeping {
  readonly keepMillis: number
  readonly onUnmatched: ((letter: DeadLetter) => Effect.Effect<void>) | undefined
}

type Refusal = JournalUnavailable | BatchRefused

interface Given {
  readonly event: EventRecord
  readonly answer: (answer: Effect.Effect<void, Refusal>) => void
}

/** How many events are kept by one question to the store, and of how many characters: a list of them is one text in some. */
const mostAtOnce = 1_000
const longestAtOnce = 8_000_000

/** How many are forgotten at once. */
const forgottenAtOnce = 500

/** How long it waits at least before it looks again what to forget. */
const shortestPause = 100

/** Into how many parts the time is divided for which events are kept: so much longer some are there. */
const looksPerKeeping = 20

const engineClosed = new JournalUnavailable({ operation: "publish", cause: "the engine is closed" })

/** What a store throws is no answer: who asked may ask again. */
const unanswered = (operation: string) => (cause: unknown) => Effect.fail(new JournalUnavailable({ operation, cause }))

/** Gathers events while others are being kept. */
export class Intake {
  readonly #store: EventStore
  readonly #announce: () => Effect.Effect<void, JournalUnavailable>
  readonly #keeping: Keeping
  readonly #latch = Latch.makeUnsafe(false)
  readonly #holds = Latch.makeUnsafe(false)
  #given: Array<Given> = []
  /** Those that are being kept. */
  #underWay: ReadonlyArray<Given> = []
  #closed = false

  constructor(store: EventStore, keeping: Keeping, announce: () => Effect.Effect<void, JournalUnavailable>) {
    this.#store = store
    this.#keeping = keeping
    this.#announce = announce
  }

  /** Keeps an event. From then on whoever awaits it gets it. */
  give(event: EventRecord): Effect.Effect<void, Refusal> {
    return Effect.callback((resume) => {
      if (this.#closed) return resume(Effect.fail(engineClosed))
      this.#given.push({ event, answer: resume })
      this.#latch.openUnsafe()
    })
  }

  /** Something is kept that nobody was told of. */
  poke(): void {
    this.#latch.openUnsafe()
  }

  /** Keeps what is given until it is cut. Whoever was not answered then is told that nobody knows. */
  get run(): Effect.Effect<never> {
    const close = Effect.sync(() => {
      this.#closed = true
      for (const { answer } of [...this.#underWay, ...this.#given]) answer(Effect.fail(engineClosed))
    })
    return Effect.ensuring(this.#keepAll, close)
  }

  get #keepAll(): Effect.Effect<never> {
    return Effect.forever(Effect.gen({ self: this }, function*() {
      yield* this.#latch.await
      yield* Effect.yieldNow
      const given = this.#given.splice(0, this.#countAtOnce())
      if (this.#given.length === 0) this.#latch.closeUnsafe()
      this.#underWay = given
      if (given.length > 0) yield* this.#keep(given)
      this.#underWay = []
      this.#holds.openUnsafe()
      // What could not be announced is, at the next look of whoever shares the store.
      yield* Effect.catch(
        Effect.catchDefect(this.#announce(), unanswered("wake")),
        (error) => Effect.logWarning(error.message)
      )
    }))
  }

  #countAtOnce(): number {
    let characters = 0
    const end = this.#given.findIndex(({ event }, index) =>
      index === mostAtOnce || (characters += event.data.length) > longestAtOnce && index > 0
    )
    return end === -1 ? this.#given.length : end
  }

  /** Keeps these; one that the store will not take harms no other. */
  #keep(given: ReadonlyArray<Given>): Effect.Effect<void> {
    return Effect.flatMap(
      Clock.currentTimeMillis,
      (now) =>
        Effect.matchEffect(
          Effect.catchDefect(this.#store.keep(given.map(({ event }) => event), now), unanswered("publish")),
          {
            onSuccess: () => Effect.sync(() => given.forEach(({ answer }) => answer(Effect.void))),
            onFailure: (error) =>
              error._tag === "BatchRefused" && given.length > 1
                ? Effect.forEach(given, (one) => this.#keep([one]), { discard: true })
                : Effect.sync(() => given.forEach(({ answer }) => answer(Effect.fail(error))))
          }
        )
    )
  }

  /** Forgets what was kept long enough, page after page as long as there is more. */
  get forgetting(): Effect.Effect<never> {
    const { keepMillis, onUnmatched } = this.#keeping
    if (!Number.isFinite(keepMillis)) return Effect.never
    let more = false
    // What an engine before this one has left.
    const last = Effect.map(this.#store.log({ from: [], limit: 1 }), ({ upTo }) => upTo)
    const open = Effect.map(
      Effect.catchCause(last, () => Effect.succeed(1)),
      (last) => last > 0 && this.#holds.openUnsafe()
    )
    const rounds = Effect.forever(Effect.gen({ self: this }, function*() {
      yield* this.#holds.await
      if (!more) yield* Effect.sleep(Math.max(shortestPause, keepMillis / looksPerKeeping))
      const keptBeforeMillis = (yield* Clock.currentTimeMillis) - keepMillis
      const forget = this.#store.forget({ keptBeforeMillis, limit: forgottenAtOnce })
      const { count, dead } = yield* Effect.catch(
        Effect.catchDefect(forget, unanswered("forget")),
        (error) => Effect.as(Effect.logWarning(error.message), { count: 0, dead: [] })
      )
      more = count === forgottenAtOnce
      if (onUnmatched === undefined) return
      for (const letter of dead) yield* tellUnmatched(onUnmatched, letter)
    }))
    return Effect.andThen(open, rounds)
  }
}
