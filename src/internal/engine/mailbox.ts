/**
 * The waits of one execution that runs in an engine: reads what is kept for them, and offers it, the oldest first. What is
 * received is recorded by who waits.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { KeptEvent } from "../../Journal.ts"
import { printable } from "../../StepPath.ts"
import type { Letter, Mail, Waiting } from "../mail.ts"
import type { StopSignal } from "../signal.ts"
import { pageOfLetters } from "./letters.ts"
import type { Letters } from "./letters.ts"

interface Open {
  readonly waiting: Waiting
  /** Behind which number events were not offered yet, by type. */
  readonly after: Map<string, number>
  closed: boolean
  /** Something has come since it began to read. */
  again: boolean
  reading: boolean
}

/** What a mailbox is given. */
export interface MailboxOptions {
  readonly executionId: string
  readonly letters: Letters
  /** Stops when the execution leaves: nothing is read any more. */
  readonly leave: StopSignal
  /** The event that a text holds, as an event awaited at a path; in words why it holds none. */
  readonly decode: (path: string, event: KeptEvent) => Result.Result<Letter, string>
  /** Told, before an event is offered, which number it has. */
  readonly offering: (eventId: string, sequence: number) => void
}

/** The mail of one execution. */
export class Mailbox implements Mail {
  readonly #options: MailboxOptions
  readonly #open = new Set<Open>()
  /** How many times it was told of something that it has not looked for. */
  #heard = 0
  /** It has left while it was reading. */
  #cut = false

  constructor(options: MailboxOptions) {
    this.#options = options
  }

  readonly open = (waiting: Waiting): Effect.Effect<() => void> =>
    Effect.suspend(() => {
      const open: Open = { waiting, after: new Map(), closed: false, again: false, reading: false }
      this.#open.add(open)
      return Effect.as(this.#read(open), () => {
        open.closed = true
        this.#open.delete(open)
      })
    })

  /** Something may have come for a wait: to be looked for. */
  hear(): void {
    this.#heard++
  }

  /** Whether there may be something for a wait that it was not offered: who leaves then comes back at once. */
  get unread(): boolean {
    return this.#heard > 0 || this.#cut || Array.from(this.#open).some(({ reading }) => reading)
  }

  /** Looks for what it has heard of. */
  get look(): Effect.Effect<void> {
    const all = Effect.suspend(() =>
      Effect.forEach(Array.from(this.#open), (open) => {
        if (!open.reading) return this.#read(open)
        open.again = true
        return Effect.void
      }, { concurrency: "unbounded", discard: true })
    )
    return Effect.ensuring(all, Effect.sync(() => this.#heard--))
  }

  /** Offers what is kept until it is taken, or there is no more. */
  #read(open: Open): Effect.Effect<void> {
    const { executionId, leave, letters } = this.#options
    return Effect.gen({ self: this }, function*() {
      open.reading = true
      do {
        open.again = false
        const pages = yield* this.#unlessLeaving(
          Effect.forEach(
            open.waiting.events,
            ({ key, type }) => letters.read({ executionId, type, key, after: open.after.get(type) ?? 0 }),
            { concurrency: "unbounded" }
          )
        )
        if (open.closed) break
        if (pages === undefined || leave.stopped) {
          this.#cut = true
          break
        }
        // Behind the end of a page that is full there may be others before those of another type.
        const ends = pages.flatMap((page) => page.length === pageOfLetters ? [page.at(-1)!.sequence] : [])
        if (ends.length > 0) open.again = true
        const last = Math.min(...ends)
        const events = pages.flat().filter(({ sequence }) => sequence <= last)
        for (const event of events.sort((one, other) => one.sequence - other.sequence)) {
          if (open.closed || (yield* this.#offer(open, event))) {
            open.again = false
            break
          }
        }
      } while (open.again)
      open.reading = false
    })
  }

  #offer(open: Open, event: KeptEvent): Effect.Effect<boolean> {
    const { decode, executionId, offering } = this.#options
    open.after.set(event.type, event.sequence)
    const letter = decode(open.waiting.path, event)
    if (Result.isFailure(letter)) {
      return Effect.as(
        Effect.logWarning(
          `The event ${event.type} "${printable(event.id)}" is passed over by "${
            printable(executionId)
          }", which awaits it at "${open.waiting.path}": ${letter.failure}`
        ),
        false
      )
    }
    offering(event.id, event.sequence)
    return Effect.succeed(open.waiting.offer(letter.success))
  }

  /** What is asked may take as long as the store does: who leaves does not wait for it. */
  #unlessLeaving<A>(effect: Effect.Effect<A>): Effect.Effect<A | undefined> {
    const { leave } = this.#options
    const left = Effect.callback<undefined>((resume) => {
      if (leave.stopped) return resume(Effect.undefined)
      const forget = leave.listen(() => resume(Effect.undefined))
      return Effect.sync(forget)
    })
    return Effect.raceFirst(Effect.interruptible(effect), Effect.interruptible(left))
  }
}
