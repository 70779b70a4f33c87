/**
 * Reading kept events for those that await them: what several executions ask for at once is one question to the store. It
 * decodes nothing and decides nothing.
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type { JournalUnavailable, KeptEvent, LettersRequest } from "../../Journal.ts"

/** How many events an execution is handed at once: more wait in the store. */
export const pageOfLetters = 32

/** How many executions are answered by one question. */
const mostAtOnce = 200

interface Asked {
  readonly request: LettersRequest
  readonly answer: (events: ReadonlyArray<KeptEvent>) => void
}

/** Gathers questions while one is under way. */
export class Letters {
  readonly #ask: (requests: ReadonlyArray<LettersRequest>) => Effect.Effect<ReadonlyArray<ReadonlyArray<KeptEvent>>>
  readonly #latch = Latch.makeUnsafe(false)
  #asked: Array<Asked> = []

  constructor(
    read: (
      requests: ReadonlyArray<LettersRequest>,
      limit: number
    ) => Effect.Effect<ReadonlyArray<ReadonlyArray<KeptEvent>>, JournalUnavailable>,
    patiently: <A>(ask: Effect.Effect<A, JournalUnavailable>) => Effect.Effect<A>
  ) {
    this.#ask = (requests) => patiently(Effect.suspend(() => read(requests, pageOfLetters)))
  }

  /** The next events that a request is for. Interrupting who waits lets go of the answer. */
  read(request: LettersRequest): Effect.Effect<ReadonlyArray<KeptEvent>> {
    return Effect.callback((resume) => {
      const asked: Asked = { request, answer: (events) => resume(Effect.succeed(events)) }
      this.#asked.push(asked)
      this.#latch.openUnsafe()
      return Effect.sync(() => {
        this.#asked = this.#asked.filter((other) => other !== asked)
      })
    })
  }

  /** Asks for ever. */
  get run(): Effect.Effect<never> {
    return Effect.forever(Effect.gen({ self: this }, function*() {
      yield* this.#latch.await
      // Whoever was woken with the first asks too.
      yield* Effect.yieldNow
      const asked = this.#asked.splice(0, mostAtOnce)
      if (this.#asked.length === 0) this.#latch.closeUnsafe()
      if (asked.length === 0) return
      const answers = yield* this.#ask(asked.map(({ request }) => request))
      asked.forEach(({ answer }, index) => answer(answers[index] ?? []))
    }))
  }
}
