/** The events that a journal in memory keeps, and who awaits them. It knows executions by their ids alone. */
import type {
  DeadLetter,
  EndedWait,
  EventRecord,
  KeptEvent,
  LettersRequest,
  LogPosition,
  SubscriptionRecord,
  WaitRecord
} from "../../Journal.ts"

interface Kept extends KeptEvent {
  readonly keptAtMillis: number
  /** Which executions have received it. */
  readonly receivedBy: Set<string>
}

interface Dead {
  letter: DeadLetter
  /** It is to be handed out again. */
  again: boolean
}

/** Why an event is a dead letter that was kept for as long as it should be. */
export const nobodyReceived = "nobody received it while it was kept"

const addressOf = ({ key, type }: { readonly key: string; readonly type: string }): string => `${type} ${key}`

/** Of what, and for whom, a dead letter is: that is one. */
const placeOf = ({ sequence, subscription }: Pick<DeadLetter, "sequence" | "subscription">): string =>
  `${sequence} ${subscription ?? ""}`

/** Events and waits. */
export class MemoryEvents {
  /** By id, in the order of their numbers. */
  readonly #kept = new Map<string, Kept>()
  readonly #bySequence = new Map<number, Kept>()
  readonly #byAddress = new Map<string, Array<Kept>>()
  /** Which executions await something, each by the paths of its waits. */
  readonly #waiting = new Map<string, Map<string, Set<string>>>()
  readonly #addresses = new Map<string, Map<string, Set<string>>>()
  #untold: Array<Kept> = []
  /** By their numbers, in order. */
  readonly #dead = new Map<number, Dead>()
  readonly #numbers = new Map<string, number>()
  /** How far each has come, by type. */
  readonly #subscriptions = new Map<string, Map<string, number>>()
  #last = 0
  #lastDead = 0

  keep(events: ReadonlyArray<EventRecord>, keptAtMillis: number): ReadonlyArray<string> {
    return events.flatMap((event) => {
      if (this.#kept.has(event.id)) return []
      const { data, id, key, type } = event
      const kept: Kept = { id, type, key, data, sequence: ++this.#last, keptAtMillis, receivedBy: new Set() }
      this.#kept.set(event.id, kept)
      this.#bySequence.set(kept.sequence, kept)
      const address = addressOf(event)
      const others = this.#byAddress.get(address)
      if (others === undefined) this.#byAddress.set(address, [kept])
      else others.push(kept)
      this.#untold.push(kept)
      return [event.id]
    })
  }

  /** Tells who awaits an event that nobody was told of yet. */
  wake(tell: (executionId: string) => void): number {
    const untold = this.#untold
    this.#untold = []
    const told = new Set<string>()
    for (const event of untold) {
      for (const executionId of this.#waiting.get(addressOf(event))?.keys() ?? []) told.add(executionId)
    }
    told.forEach(tell)
    return untold.length
  }

  open(wait: WaitRecord): void {
    const address = addressOf(wait)
    add(this.#waiting, address, wait.executionId, wait.path)
    add(this.#addresses, wait.executionId, wait.path, address)
  }

  end({ executionId, path, received }: EndedWait): void {
    for (const address of this.#addresses.get(executionId)?.get(path) ?? []) {
      remove(this.#waiting, address, executionId, path)
    }
    this.#addresses.get(executionId)?.delete(path)
    if (received !== null) this.#bySequence.get(received)?.receivedBy.add(executionId)
  }

  /** Ends all waits of an execution. */
  remove(executionId: string): void {
    for (const path of Array.from(this.#addresses.get(executionId)?.keys() ?? [])) {
      this.end({ executionId, path, received: null })
    }
    this.#addresses.delete(executionId)
  }

  read(request: LettersRequest, limit: number): ReadonlyArray<KeptEvent> {
    const found: Array<KeptEvent> = []
    for (const { data, id, key, receivedBy, sequence, type } of this.#byAddress.get(addressOf(request)) ?? []) {
      if (found.length === limit) break
      if (sequence > request.after && !receivedBy.has(request.executionId)) {
        found.push({ sequence, id, type, key, data })
      }
    }
    return found
  }

  advance(subscription: string, types: ReadonlyArray<string>, to: number): ReadonlyArray<LogPosition> {
    const positions = this.#subscriptions.get(subscription) ?? new Map<string, number>()
    this.#subscriptions.set(subscription, positions)
    return types.map((type) => {
      const after = Math.max(positions.get(type) ?? 0, to)
      positions.set(type, after)
      return { type, after }
    })
  }

  log(from: ReadonlyArray<LogPosition>, limit: number): { events: Array<KeptEvent>; upTo: number } {
    const after = new Map(from.map(({ after, type }) => [type, after]))
    const events: Array<KeptEvent> = []
    for (const { data, id, key, sequence, type } of this.#kept.values()) {
      if (sequence <= (after.get(type) ?? Infinity)) continue
      if (events.length === limit) return { events, upTo: events.at(-1)!.sequence }
      events.push({ sequence, id, type, key, data })
    }
    return { events, upTo: this.#last }
  }

  get subscriptions(): ReadonlyArray<SubscriptionRecord> {
    const kept = Array.from(this.#kept.values())
    return Array.from(this.#subscriptions).flatMap(([name, positions]) =>
      Array.from(positions, ([type, after]) => {
        const behind = kept.filter((event) => event.type === type && event.sequence > after).length
        return { name, type, after, behind }
      })
    ).sort((one, other) => compare(one.name, other.name) || compare(one.type, other.type))
  }

  unsubscribe(subscription: string): boolean {
    return this.#subscriptions.delete(subscription)
  }

  bury(event: KeptEvent, subscription: string, reason: string, atMillis: number): void {
    this.#bury(event, subscription, reason, atMillis)
  }

  #bury(event: KeptEvent, subscription: string | null, reason: string, atMillis: number): DeadLetter {
    const { data, id, key, sequence, type } = event
    const place = placeOf({ sequence, subscription })
    const number = this.#numbers.get(place) ?? ++this.#lastDead
    this.#numbers.set(place, number)
    const letter: DeadLetter = { sequence, id, type, key, data, number, subscription, reason, atMillis }
    this.#dead.set(number, { letter, again: false })
    return letter
  }

  forget(
    { keptBeforeMillis, limit }: { readonly keptBeforeMillis: number; readonly limit: number },
    atMillis: number,
    mayGoOn: (executionId: string) => boolean
  ): { count: number; dead: ReadonlyArray<DeadLetter> } {
    const dead: Array<DeadLetter> = []
    /** How far all subscriptions have come that read a type; of others there is none. */
    const passed = new Map<string, number>()
    for (const positions of this.#subscriptions.values()) {
      for (const [type, after] of positions) passed.set(type, Math.min(passed.get(type) ?? Infinity, after))
    }
    const isAwaited = (event: Kept) =>
      Array.from(this.#waiting.get(addressOf(event))?.keys() ?? []).some((executionId) =>
        !event.receivedBy.has(executionId) && mayGoOn(executionId)
      )
    let count = 0
    for (const event of Array.from(this.#kept.values())) {
      if (count === limit) break
      const isBefore = event.sequence > (passed.get(event.type) ?? Infinity)
      if (event.keptAtMillis >= keptBeforeMillis || isBefore || isAwaited(event)) continue
      count++
      this.#kept.delete(event.id)
      this.#bySequence.delete(event.sequence)
      const address = addressOf(event)
      const others = this.#byAddress.get(address)!
      others.splice(others.indexOf(event), 1)
      if (others.length === 0) this.#byAddress.delete(address)
      if (event.receivedBy.size > 0 || passed.has(event.type)) continue
      dead.push(this.#bury(event, null, nobodyReceived, atMillis))
    }
    return { count, dead }
  }

  deadLetters(after: number, limit: number): ReadonlyArray<DeadLetter> {
    return Array.from(this.#dead.values(), ({ letter }) => letter).filter(({ number }) => number > after).slice(
      0,
      limit
    )
  }

  get deadLetterCount(): number {
    return this.#dead.size
  }

  redeliver(number: number, atMillis: number): boolean {
    const dead = this.#dead.get(number)
    if (dead === undefined) return false
    if (dead.letter.subscription !== null) dead.again = true
    else {
      this.discard(number)
      this.keep([dead.letter], atMillis)
    }
    return true
  }

  redelivered(subscription: string, types: ReadonlyArray<string>, limit: number): ReadonlyArray<DeadLetter> {
    return Array.from(this.#dead.values()).flatMap(({ again, letter }) =>
      again && letter.subscription === subscription && types.includes(letter.type) ? [letter] : []
    ).slice(0, limit)
  }

  discard(number: number): boolean {
    const dead = this.#dead.get(number)
    if (dead === undefined) return false
    this.#numbers.delete(placeOf(dead.letter))
    return this.#dead.delete(number)
  }
}

const compare = (one: string, other: string): number => one < other ? -1 : one > other ? 1 : 0

type Nested = Map<string, Map<string, Set<string>>>

const add = (nested: Nested, one: string, two: string, three: string): void => {
  let inner = nested.get(one)
  if (inner === undefined) nested.set(one, inner = new Map())
  const set = inner.get(two)
  if (set === undefined) inner.set(two, new Set([three]))
  else set.add(three)
}

const remove = (nested: Nested, one: string, two: string, three: string): void => {
  const inner = nested.get(one)
  const set = inner?.get(two)
  set?.delete(three)
  if (set?.size === 0) inner!.delete(two)
  if (inner?.size === 0) nested.delete(one)
}
