/**
 * How a list is read. Executions are looked up in order in one index, so many at a time, and only then it is looked whether
 * they are what was asked for. So no filter makes a database read all that it has: it rather answers with a short page.
 */
import * as Effect from "effect/Effect"
import type {
  Cursor,
  ExecutionRecord,
  ExecutionState,
  Filter,
  Journal,
  JournalUnavailable,
  Page
} from "../../Journal.ts"
import { finalStates, isStorable, readable, states } from "./batch.ts"

/** A version of a saga of which there are executions. */
export interface Kind {
  readonly saga: string
  readonly version: number
}

/** The executions of one version of a saga in one state, which stand in an index side by side. */
export interface Group extends Kind {
  readonly state: ExecutionState
}

/** From which time and id on, and up to which time. */
export interface Span {
  readonly from: Cursor
  readonly beforeMillis: number
}

/** Where candidates are looked up, in the order of the list. */
export type Source =
  /** By id. `before` is the least that stands behind all that begin so, if there is any. */
  | { readonly _tag: "Ids"; readonly prefix: string; readonly from: string; readonly before: string | undefined }
  | { readonly _tag: "Tag"; readonly name: string; readonly value: string; readonly span: Span }
  | {
    readonly _tag: "Groups"
    /** All of the groups, or those of them that are uncertain, by their start; those that are stuck by their last change. */
    readonly index: "all" | "uncertain" | "stuck"
    readonly groups: ReadonlyArray<Group>
    readonly span: Span
  }

/** What candidates must be. Null does not matter. */
export interface Conditions {
  readonly saga: string | null
  readonly version: number | null
  readonly states: ReadonlyArray<ExecutionState> | null
  readonly startedFromMillis: number
  readonly startedBeforeMillis: number
  readonly updatedBeforeMillis: number
  readonly uncertain: boolean | null
  readonly tags: Readonly<Record<string, string>>
}

/** What a database is asked for a list. */
export interface Reader {
  /** Of which versions of sagas there are executions. */
  readonly kinds: Effect.Effect<ReadonlyArray<Kind>, JournalUnavailable>
  /** The first executions of a source. */
  readonly candidates: (source: Source, limit: number) => Effect.Effect<ReadonlyArray<Cursor>, JournalUnavailable>
  /** The first of these executions that are as they must be, in the order in which they are given. */
  readonly matching: (
    executionIds: ReadonlyArray<string>,
    conditions: Conditions,
    limit: number
  ) => Effect.Effect<ReadonlyArray<ExecutionRecord>, JournalUnavailable>
}

/** How many candidates are looked at for a page, in all sources together. */
const mostCandidates = 2_400

/** How many may come together out of groups, before the first of them are taken. */
const mostInGroups = 8_000

/** How many groups are read first, where all of them may hold more than that. */
const leadingGroups = 8

/** Of which executions there are probably most: their groups lead. */
const byNumber: ReadonlyArray<ExecutionState> = [
  ...finalStates,
  ...states.filter((state) => !finalStates.includes(state))
]

/** More than anybody reads, and less than where integers end. */
const mostRows = 1_000_000

/** Beyond any time. */
const endOfTime = 9e15

const emptyPage: Page = { executions: [], next: undefined }

/** The groups of these kinds that a filter leaves. */
export const groupsOf = (
  kinds: ReadonlyArray<Kind>,
  { saga, states: wanted = states, version }: Pick<Filter, "saga" | "version" | "states">
): ReadonlyArray<Group> => {
  const meant = kinds.filter((kind) => (saga ?? kind.saga) === kind.saga && (version ?? kind.version) === kind.version)
  return byNumber.filter((state) => wanted.includes(state))
    .flatMap((state) => meant.map(({ saga, version }) => ({ saga, version, state })))
}

/** Reads lists. */
export const makeList = (reader: Reader): Journal["list"] =>
  Effect.fnUntraced(function*({ after, limit: asked, ...filter }) {
    const limit = Math.min(Math.floor(asked), mostRows)
    if (!(limit > 0) || !isPossible(filter)) return emptyPage
    const groups = groupsOf(yield* reader.kinds, filter)
    if (groups.length === 0) return emptyPage
    let farthest = emptyPage
    const sources = sourcesOf(filter, after, groups)
    for (const source of sources) {
      const page = yield* readPage(reader, source, filter, limit, mostCandidates / sources.length)
      if (page.next === undefined || page.executions.length === limit) return page
      // Each page holds all there is as far as it goes.
      if (farthest.next === undefined || farthest.next.millis < page.next.millis) farthest = page
    }
    return farthest
  })

const readPage = Effect.fnUntraced(function*(
  reader: Reader,
  source: Source,
  filter: Filter,
  limit: number,
  share: number
) {
  // One more than the page holds tells that there are more.
  const wanted = limit + 1
  const enough = source._tag === "Groups"
    ? Math.min(share, mostInGroups / Math.min(source.groups.length, leadingGroups))
    : share
  const most = isAll(source, filter) ? wanted : Math.max(wanted, Math.floor(enough))
  const candidates = yield* candidatesOf(reader, source, most)
  if (candidates.length === 0) return emptyPage
  const executionIds = candidates.map(({ executionId }) => executionId)
  const found = yield* reader.matching(executionIds, conditionsOf(filter), wanted)
  const next = found.length > limit
    ? candidates[executionIds.indexOf(found[limit - 1]!.executionId)]
    : candidates[most - 1]
  return { executions: found.slice(0, limit), next }
})

/**
 * The first candidates of a source. Where groups may hold too many, what some of them hold says how far more of them need to
 * be read, and at last all: else each would be read as far as if there were no other.
 */
const candidatesOf = Effect.fnUntraced(function*(reader: Reader, source: Source, limit: number) {
  if (source._tag !== "Groups" || source.groups.length * limit <= mostInGroups) {
    return yield* reader.candidates(source, limit)
  }
  const upTo = (beforeMillis: number): Source => ({ ...source, span: { ...source.span, beforeMillis } })
  let end = source.span.beforeMillis
  for (let count = leadingGroups; count < source.groups.length; count *= leadingGroups) {
    const leading = { ...upTo(end), groups: source.groups.slice(0, count) }
    const last = (yield* reader.candidates(leading, limit))[limit - 1]
    if (last !== undefined) end = last.millis + 1
  }
  const found = yield* reader.candidates(upTo(end), limit)
  // Unless some of them have gone meanwhile.
  return found.length === limit || end === source.span.beforeMillis ? found : yield* reader.candidates(source, limit)
})

/** Whether there can be an execution like that. */
const isPossible = (filter: Filter): boolean => {
  const { idPrefix, saga, startedBeforeMillis, startedFromMillis, tags, updatedBeforeMillis } = filter
  const texts = [saga, idPrefix, ...Object.entries(tags ?? {}).flat()]
  const times = [startedFromMillis, startedBeforeMillis, updatedBeforeMillis]
  return texts.every((text) => text === undefined || isStorable(text)) && !times.some(Number.isNaN)
}

// ------------------------------------------------------------------------------------------- sources

/** Where the executions of a filter can be looked up: in the first source, and if those it leaves are few, in the next. */
const sourcesOf = (
  filter: Filter,
  after: Cursor | undefined,
  groups: ReadonlyArray<Group>
): ReadonlyArray<Source> => {
  const { idPrefix, tags = {}, uncertain } = filter
  const { startedBeforeMillis, startedFromMillis, updatedBeforeMillis } = conditionsOf(filter)
  const from = after && behind(after)
  if (idPrefix !== undefined) {
    return [{ _tag: "Ids", prefix: idPrefix, from: from?.executionId ?? "", before: endOf(idPrefix) }]
  }
  if (groups.every(({ state }) => state === "Stuck")) {
    const span = { from: from ?? { millis: -endOfTime, executionId: "" }, beforeMillis: updatedBeforeMillis }
    return [{ _tag: "Groups", index: "stuck", groups, span }]
  }
  const span = {
    from: from !== undefined && from.millis >= startedFromMillis
      ? from
      : { millis: startedFromMillis, executionId: "" },
    beforeMillis: startedBeforeMillis
  }
  const inTags = Object.entries(tags).map(([name, value]): Source => ({ _tag: "Tag", name, value, span }))
  const inGroups: Source = { _tag: "Groups", index: uncertain === true ? "uncertain" : "all", groups, span }
  const isNarrow = uncertain === true || narrowing.some((field) => filter[field] !== undefined)
  return inTags.length === 0 || isNarrow ? [...inTags, inGroups] : inTags
}

/** What makes groups fewer. */
const narrowing = ["saga", "version", "states"] as const

const byStart = ["startedFromMillis", "startedBeforeMillis"] as const

/** Which fields of a filter a source takes care of. */
const minded = (source: Source, { tags = {} }: Filter): ReadonlyArray<keyof Filter> => {
  if (source._tag === "Ids") return ["idPrefix"]
  if (source._tag === "Tag") return Object.keys(tags).length === 1 ? [...byStart, "tags"] : byStart
  switch (source.index) {
    case "all":
      return [...narrowing, ...byStart]
    case "uncertain":
      return [...narrowing, ...byStart, "uncertain"]
    case "stuck":
      return [...narrowing, "updatedBeforeMillis"]
  }
}

/** Whether all candidates of a source are what was asked for. */
const isAll = (source: Source, filter: Filter): boolean => {
  const fields = minded(source, filter)
  return Object.entries(filter).every(([field, value]) =>
    value === undefined || fields.some((minded) => minded === field)
  )
}

// ------------------------------------------------------------------------------------------- values

const conditionsOf = (filter: Filter): Conditions => {
  const updatedBeforeMillis = toMillis(filter.updatedBeforeMillis ?? endOfTime)
  return {
    saga: filter.saga ?? null,
    version: filter.version ?? null,
    states: filter.states ?? null,
    startedFromMillis: toMillis(filter.startedFromMillis ?? -endOfTime),
    // The start is a change too.
    startedBeforeMillis: Math.min(toMillis(filter.startedBeforeMillis ?? endOfTime), updatedBeforeMillis),
    updatedBeforeMillis,
    uncertain: filter.uncertain ?? null,
    tags: filter.tags ?? {}
  }
}

/** A time as databases compare it, which keep whole milliseconds. */
const toMillis = (millis: number): number => Math.ceil(Math.min(Math.max(millis, -endOfTime), endOfTime))

/** The least place behind another one. There is no character before this one, since no database keeps NUL. */
const behind = ({ executionId, millis }: Cursor): Cursor => ({
  millis: toMillis(millis),
  executionId: `${readable(executionId)}\u0001`
})

/** The least text behind all that begin so, in the order of characters. Undefined: there is none. */
export const endOf = (prefix: string): string | undefined => {
  const points = Array.from(prefix, (character) => character.codePointAt(0)!)
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    // Behind the last character nothing begins so, and between these two are no characters.
    if (last < 0x10FFFF) return String.fromCodePoint(...points, last === 0xD7FF ? 0xE000 : last + 1)
  }
  return undefined
}
