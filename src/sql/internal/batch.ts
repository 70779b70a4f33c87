/**
 * A batch as a database takes it: what belongs into one row is one row, and what depends on something comes after it.
 */
import type {
  Batch,
  EndedWait,
  EventRecord,
  ExecutionState,
  FactRecord,
  PublishedEvent,
  StartRecord,
  UpdateRecord,
  WaitRecord
} from "../../Journal.ts"

/** The states of an execution that goes on. */
export const liveStates: ReadonlyArray<ExecutionState> = ["Running", "Waiting", "Compensating"]

/** Those in which nothing comes any more. */
export const finalStates: ReadonlyArray<ExecutionState> = ["Succeeded", "Compensated", "Abandoned"]

/** All of them. */
export const states: ReadonlyArray<ExecutionState> = [...liveStates, "Stuck", ...finalStates]

/** The condition that a state is one of some. */
export const stateIn = (some: ReadonlyArray<ExecutionState>): string =>
  `state IN (${some.map((state) => `'${state}'`).join(", ")})`

const isLive = (state: ExecutionState): boolean => liveStates.includes(state)

/** The row of a new execution, with what the same batch changes in it. */
export interface NewRow {
  readonly executionId: string
  readonly saga: string
  readonly version: number
  readonly definition: string
  readonly state: ExecutionState
  readonly due: number | null
  readonly owned: boolean
  readonly clean: boolean
  readonly uncertain: boolean
  readonly startedAt: number
  readonly updatedAt: number
  readonly problem: string | null
  /** As JSON, where there are any. */
  readonly tags: string | undefined
}

/** A tag of a new execution. */
export interface TagRow {
  readonly executionId: string
  readonly startedAt: number
  readonly name: string
  readonly value: string
}

/** What changes in a row. */
export interface ChangedRow {
  readonly executionId: string
  readonly state: ExecutionState
  readonly due: number | null
  readonly released: boolean
  readonly clean: boolean | null
  readonly uncertain: boolean | null
  readonly signals: number
  readonly updatedAt: number
  readonly problem: string | null
  /** Whether the batch holds facts of it: then it changes if those are written, else if the lease owns it. */
  readonly hasFacts: boolean
}

/** A batch in parts. */
export interface Parts {
  readonly starts: ReadonlyArray<NewRow>
  /** The tags of all that start. */
  readonly tags: ReadonlyArray<TagRow>
  /** The first fact of each execution: the place that somebody else may have taken. */
  readonly first: ReadonlyArray<FactRecord>
  /** The facts after it, which only who wrote the first can write. */
  readonly rest: ReadonlyArray<FactRecord>
  readonly updates: ReadonlyArray<ChangedRow>
  readonly signals: ReadonlyArray<number>
  readonly waits: ReadonlyArray<WaitRecord>
  readonly ended: ReadonlyArray<EndedWait>
  readonly receipts: ReadonlyArray<Receipt>
  readonly published: ReadonlyArray<PublishedEvent>
}

/** An execution has received an event. */
export interface Receipt {
  readonly executionId: string
  readonly sequence: number
}

/** Tags as a row holds them; undefined where there are none. */
export const tagsText = (tags: StartRecord["tags"]): string | undefined =>
  tags === undefined || Object.keys(tags).length === 0 ? undefined : JSON.stringify(tags)

/** Takes a batch apart. */
export const partsOf = (batch: Batch): Parts => {
  const seen = new Set<string>()
  const first: Array<FactRecord> = []
  const rest: Array<FactRecord> = []
  for (const fact of batch.facts) {
    if (seen.has(fact.executionId)) rest.push(fact)
    else {
      seen.add(fact.executionId)
      first.push(fact)
    }
  }
  // Of several updates of one execution the last one counts, except for what it leaves as it was.
  const updates = new Map<string, UpdateRecord>()
  for (const update of batch.updates) {
    const before = updates.get(update.executionId)
    const kept = before && { clean: update.clean ?? before.clean, uncertain: update.uncertain ?? before.uncertain }
    updates.set(update.executionId, kept === undefined ? update : { ...update, ...kept })
  }
  const tags: Array<TagRow> = []
  const starts = batch.starts.map((start): NewRow => {
    const update = updates.get(start.executionId)
    updates.delete(start.executionId)
    const startedAt = Math.trunc(start.startedAtMillis)
    for (const [name, value] of Object.entries(start.tags ?? {})) {
      tags.push({ executionId: start.executionId, startedAt, name, value })
    }
    return {
      executionId: start.executionId,
      saga: start.saga,
      version: start.version,
      definition: start.definition,
      state: update?.state ?? "Running",
      due: update === undefined ? 0 : dueOf(update),
      owned: start.owned && update?.released !== true,
      clean: update?.released !== true || update.clean !== false,
      uncertain: update?.uncertain === true,
      startedAt,
      updatedAt: Math.trunc(update?.updatedAtMillis ?? startedAt),
      problem: update === undefined ? null : problemOf(update),
      tags: tagsText(start.tags)
    }
  })
  const changes = Array.from(updates.values(), (update): ChangedRow => ({
    executionId: update.executionId,
    state: update.state,
    due: dueOf(update),
    released: update.released,
    clean: update.clean,
    uncertain: update.uncertain,
    signals: update.signals,
    updatedAt: Math.trunc(update.updatedAtMillis),
    problem: problemOf(update),
    hasFacts: seen.has(update.executionId)
  }))
  const { ended = [], published = [], signals, waits = [] } = batch
  const receipts = ended.flatMap(({ executionId, received }) =>
    received === null ? [] : [{ executionId, sequence: received }]
  )
  return { starts, tags, first, rest, updates: changes, signals, waits, ended, receipts, published }
}

/** What waited does not any more when it is taken. */
export const awake = "state = CASE state WHEN 'Waiting' THEN 'Running' ELSE state END"

/** What is due later than any time is not due by time. */
const lastMillis = 8.64e15

const dueOf = ({ dueAtMillis, state }: UpdateRecord): number | null =>
  dueAtMillis === null || !isLive(state) || !(dueAtMillis <= lastMillis) ? null : Math.ceil(dueAtMillis)

/** Not every text can be stored: no database takes half of a pair of surrogates, and PostgreSQL no NUL. */
const unstorable = /[\0\p{Surrogate}]/u

/** Whether a text comes back as it is. */
export const isStorable = (text: string): boolean => !unstorable.test(text)

/** A text for people, which must be stored whatever is in it. */
export const readable = (text: string): string => text.replaceAll(/[\0\p{Surrogate}]/gu, "\uFFFD")

const problemOf = ({ problem }: UpdateRecord): string | null => problem === null ? null : readable(problem)

/**
 * What is longer a client writes but may refuse to read: in UTF-8 these are up to 13.5 MiB. The longest value that a fact
 * may hold, in whatever language, is shorter also when it is sealed.
 */
const longestData = 4.5 * 1024 * 1024

/** Of how many events who awaits them is woken at once. */
export const eventsAtOnce = 1_000

/** Why an event is a dead letter that was kept for as long as it should be. */
export const nobodyReceived = "nobody received it while it was kept"

/** What no database would give back of an event as it was, in words. */
export const unstorableEvent = (events: ReadonlyArray<EventRecord>): string | undefined => {
  const event = events.find(({ id, key, type }) => !isStorable(id) || !isStorable(type) || !isStorable(key))
  if (event !== undefined) {
    return `The event ${JSON.stringify(event.id)} of the key ${JSON.stringify(event.key)} cannot be stored`
  }
  const long = events.find(({ data }) => data.length > longestData)
  return long && `The event "${long.id}" is longer than ${longestData} characters`
}

/** What no database would give back as it was, in words. */
export const unstorableIn = ({ first, published, rest, starts, tags, waits }: Parts): string | undefined => {
  const start = starts.find(({ executionId }) => !isStorable(executionId))
  if (start !== undefined) return `The execution id ${JSON.stringify(start.executionId)} cannot be stored`
  const tag = tags.find(({ name, value }) => !isStorable(name) || !isStorable(value))
  if (tag !== undefined) {
    return `The tag ${JSON.stringify(tag.name)} of "${tag.executionId}" cannot be stored: ${JSON.stringify(tag.value)}`
  }
  const wait = waits.find(({ key }) => !isStorable(key))
  if (wait !== undefined) return `The key ${JSON.stringify(wait.key)} that "${wait.path}" awaits cannot be stored`
  const event = unstorableEvent(published)
  if (event !== undefined) return event
  const isTooLong = ({ data }: FactRecord) => data.length > longestData
  const fact = first.find(isTooLong) ?? rest.find(isTooLong)
  return fact && `Fact ${fact.sequence} (${fact.tag}) of "${fact.executionId}" is longer than ${longestData} characters`
}
