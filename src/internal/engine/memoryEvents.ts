/** The events that a journal in memory keeps, and who awaits them. It knows executions by their ids alone. */
import type { DeadLetter, EndedWait, EventRecord, KeptEvent, LettersRequest, WaitRecord } from "../../Journal.ts"

interface Kept extends KeptEvent {
  readonly keptAtMillis: number
  /** Which executions have received it. */
  readonly receivedBy: Set<string>
}

/** Why an event is a dead letter that was kept for as long as it should be. */
export const nobodyReceived = "nobody received it while it was kept"

const addressOf = ({ key, type }: { readonly key: string; readonly type: string }): string => `${type} ${key}`

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
  readonly #dead = new Map<number, DeadLetter>()
  readonly #subscriptions = new Map<string, { position: number; readonly types: ReadonlyArray<string> }>()
  #last = 0

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

  position(subscription: string, types: ReadonlyArray<string>): number {
    const position = this.#subscriptions.get(subscription)?.position ?? 0
    this.#subscriptions.set(subscription, { position, types })
    return position
  }

  log(types: ReadonlyArray<string>, after: number, limit: number): { events: Array<KeptEvent>; upTo: number } {
    const events: Array<KeptEvent> = []
    for (const { data, id, key, sequence, type } of this.#kept.values()) {
      if (sequence <= after || !types.includes(type)) continue
      if (events.length === limit) return { events, upTo: events.at(-1)!.sequence }
      events.push({ sequence, id, type, key, data })
    }
    return { events, upTo: Math.max(after, this.#last) }
  }

  advance(subscription: string, from: number, to: number): boolean {
    const standing = this.#subscriptions.get(subscription)
    if (standing?.position !== from) return false
    standing.position = to
    return true
  }

  bury(event: KeptEvent, reason: string, atMillis: number): void {
    if (!this.#dead.has(event.sequence)) this.#dead.set(event.sequence, { ...event, reason, atMillis })
  }

  forget(
    { keptBeforeMillis, limit }: { readonly keptBeforeMillis: number; readonly limit: number },
    atMillis: number,
    mayGoOn: (executionId: string) => boolean
  ): { count: number; dead: ReadonlyArray<DeadLetter> } {
    const dead: Array<DeadLetter> = []
    /** How far all subscriptions have come that read a type; of others there is none. */
    const passed = new Map<string, number>()
    for (const { position, types } of this.#subscriptions.values()) {
      for (const type of types) passed.set(type, Math.min(passed.get(type) ?? Infinity, position))
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
      if (event.receivedBy.size > 0 || passed.has(event.type) || this.#dead.has(event.sequence)) continue
      const { data, id, key, sequence, type } = event
      dead.push({ sequence, id, type, key, data, reason: nobodyReceived, atMillis })
    }
    for (const letter of dead) this.#dead.set(letter.sequence, letter)
    return { count, dead }
  }

  deadLetters(after: number, limit: number): ReadonlyArray<DeadLetter> {
    return Array.from(this.#dead.values()).filter(({ sequence }) => sequence > after)
      .sort((one, other) => one.sequence - other.sequence)
      .slice(0, limit)
  }
}

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
