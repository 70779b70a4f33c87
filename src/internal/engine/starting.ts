/**
 * How an execution begins: what is recorded of it first, and what becomes of a request whose id is taken. What an execution
 * begins with is told without an engine, so that others can write it too.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Tracer from "effect/Tracer"
import type { StartError } from "../../ExecutionError.ts"
import { ExecutionConflict, ExecutionIdInvalid, PayloadRefused } from "../../ExecutionError.ts"
import type { FactRecord, StartRecord } from "../../Journal.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import { keyed, randomId } from "../run.ts"
import type { Definition, SagaTree } from "../tree.ts"
import { equivalent, longLength, roundTrip } from "./codec.ts"
import type { Fate } from "./committer.ts"
import { hashOf } from "./definition.ts"
import type { Engine } from "./engine.ts"
import { Reader } from "./reading.ts"
import type { Registered } from "./registry.ts"

// ------------------------------------------------------------------------------------------- what it begins with

/** The first fact of every execution. */
export type SagaStarted = Extract<SagaEvent, { readonly _tag: "SagaStarted" }>

/** What some of them say beyond what all of them say. */
export type More = Omit<SagaStarted, "_tag" | "atMillis" | "saga" | "version" | "payload" | "trace">

/** What an execution begins with, if nobody has its id. */
export interface Beginning {
  readonly registered: Registered
  readonly executionId: string
  /** The payload as it will be read. */
  readonly payload: unknown
  /** The same as a text. */
  readonly text: string
  readonly row: Omit<StartRecord, "owned">
  readonly fact: SagaStarted
  /** What a log should say of it. */
  readonly warnings: ReadonlyArray<string>
}

/**
 * Tells what an execution begins with. Without an id it is given that of its key, or a new one; `more` is what its first
 * fact says beside.
 */
export const beginningOf = (
  registered: Registered,
  given: unknown,
  executionId: string | undefined,
  more?: More
): Effect.Effect<Beginning, PayloadRefused | ExecutionIdInvalid> => {
  const { tree } = registered
  const { payload: schema, saga, version } = tree.definition
  const refused = (issue: string) => new PayloadRefused({ saga, issue })
  return Effect.flatMap(
    // The payload as its schema makes it, with the defaults that are in there.
    Effect.mapError(schema.makeEffect(given), (issue) => refused(inWords(issue))),
    (made) =>
      Effect.withFiber((fiber): Effect.Effect<Beginning, PayloadRefused | ExecutionIdInvalid> => {
        const admitted = roundTrip(schema, made)
        if (Result.isFailure(admitted)) return Effect.fail(refused(admitted.failure))
        const { text, value: payload } = admitted.success
        const id = executionId ?? keyed(tree, payload) ?? randomId(fiber)
        const problem = id === `${saga}/` ? "its key is empty: all of them would be one" : textProblem(id, longestId)
        if (problem !== undefined) return Effect.fail(new ExecutionIdInvalid({ executionId: id, problem }))
        const tags = tagsOf(tree.definition, payload)
        if (Result.isFailure(tags)) return Effect.fail(refused(tags.failure))
        const atMillis = registered.clock.currentTimeMillisUnsafe()
        const row = {
          executionId: id,
          saga,
          version,
          definition: registered.hash,
          startedAtMillis: atMillis,
          tags: tags.success
        }
        const fact = { _tag: "SagaStarted", atMillis, saga, version, payload, ...more } as const
        const span = Option.getOrUndefined(Context.getOption(fiber.context, Tracer.ParentSpan))
        return Effect.succeed({
          registered,
          executionId: id,
          payload,
          text,
          row,
          fact: span === undefined
            ? fact
            : { ...fact, trace: { traceId: span.traceId, spanId: span.spanId, sampled: span.sampled } },
          warnings: text.length < longLength
            ? []
            : [`The payload of saga "${saga}" takes ${text.length} characters of JSON in the journal`]
        })
      })
  )
}

const inWords = SchemaIssue.makeFormatterDefault()

/** The first fact as it is written. */
export const firstOf = ({ executionId, fact, registered }: Beginning): FactRecord => ({
  executionId,
  sequence: 0,
  tag: fact._tag,
  data: registered.codec.encode(fact)
})

// ------------------------------------------------------------------------------------------- ids and tags

/** How many characters an id may have. */
export const longestId = 400
const longestTag = 200
const mostTags = 16

/** Says in words why a journal cannot carry a text by which something is found. */
const textProblem = (text: string, longest: number): string | undefined =>
  text.length === 0
    ? "it is empty"
    : text.length > longest
    ? `it has ${text.length} characters, and ${longest} are allowed`
    : /\p{Cc}/u.test(text)
    ? "there is a control character in it"
    : /\p{Cs}/u.test(text)
    ? "there is half a character in it (a lone surrogate)"
    : undefined

/** The tags of an execution, or in words why it cannot have them. */
const tagsOf = ({ tags }: Definition, payload: unknown): Result.Result<StartRecord["tags"], string> =>
  tags === undefined ? Result.succeed(undefined) : Result.flatMap(
    Result.try({
      try: (): ReadonlyArray<readonly [string, unknown]> | string => {
        const given: unknown = tags(payload)
        return typeof given === "object" && given !== null && !Array.isArray(given)
          ? Object.entries(given)
          : `\`tags\` gave ${Array.isArray(given) ? "an array" : wordsOf(given)}, not a record of texts`
      },
      catch: (error) => `\`tags\` threw ${wordsOf(error)}`
    }),
    (entries) => {
      const problem = typeof entries === "string" ? entries : entries.length > mostTags
        ? `it has ${entries.length} tags, and ${mostTags} are allowed`
        : entries.map(tagProblem).find((problem) => problem !== undefined)
      return problem === undefined
        ? Result.succeed(Object.fromEntries(entries as ReadonlyArray<readonly [string, string]>))
        : Result.fail(problem)
    }
  )

const tagProblem = ([name, value]: readonly [string, unknown]): string | undefined => {
  const tag = `its tag ${JSON.stringify(name.slice(0, 100))} has a wrong`
  const ofName = textProblem(name, longestTag)
  if (ofName !== undefined) return `${tag} name: ${ofName}`
  const ofValue = typeof value === "string" ? textProblem(value, longestTag) : `it is ${wordsOf(value)}, not a text`
  return ofValue === undefined ? undefined : `${tag} value: ${ofValue}`
}

/** Something of the user's in words, whatever it does when it is looked at. */
const wordsOf = (value: unknown): string =>
  Result.getOrElse(
    Result.try(() => (value instanceof Error ? value.message : String(value)).slice(0, 100)),
    () => `a value that throws when it is looked at`
  )

// ------------------------------------------------------------------------------------------- start

/** Starts an execution, or joins the one that has the id. Returns its id when it is recorded. */
export const start = (
  engine: Engine,
  tree: SagaTree,
  payload: unknown,
  executionId: string | undefined
): Effect.Effect<string, StartError> =>
  Effect.suspend(() =>
    Effect.flatMap(beginningOf(engine.registry.known(tree), payload, executionId), (beginning) => {
      const recorded = Effect.andThen(engine.registry.define(beginning.registered), begin(engine, beginning))
      const started = engine.guarded("start", recorded)
      return beginning.warnings.length === 0
        ? started
        : Effect.andThen(Effect.forEach(beginning.warnings, (words) => Effect.logWarning(words)), started)
    })
  )

const begin = (engine: Engine, beginning: Beginning): Effect.Effect<string, StartError> =>
  Effect.suspend(() => {
    const { executionId, fact, payload, registered, row } = beginning
    const closed = engine.closed("start")
    if (closed !== undefined) return Effect.fail(closed)
    const resident = engine.residents.get(executionId)
    if (resident !== undefined) {
      return Effect.flatMap(Deferred.await(resident.entered), (fate) =>
        fate._tag === "Written"
          // What another version has made of it is read as this one reads it.
          ? resident.registered === registered
            ? join(beginning, registered.definition.saga, resident.payload)
            : joinStored(engine, beginning)
          : settle(engine, beginning, fate))
    }
    if (engine.hasRoom(registered)) {
      return Effect.flatMap(
        // Once it is here nobody's interruption may leave it between here and the journal.
        Effect.uninterruptible(engine.enter(registered, { ...row, owned: true }, payload, fact.trace)),
        (resident) => Effect.flatMap(Deferred.await(resident.entered), (fate) => settle(engine, beginning, fate))
      )
    }
    return enqueue(engine, beginning, [])
  })

/** Records an execution that nobody runs yet, with facts behind its first. */
const enqueue = (
  engine: Engine,
  beginning: Beginning,
  facts: ReadonlyArray<FactRecord>
): Effect.Effect<string, StartError> => {
  const { executionId, registered, row } = beginning
  const added = Effect.andThen(
    engine.registry.mention(registered),
    Effect.callback<Fate>((resume) =>
      engine.committer.add({
        executionId,
        start: { ...row, owned: false },
        facts: [firstOf(beginning), ...facts],
        settled: (fate) => resume(Effect.succeed(fate))
      })
    )
  )
  return Effect.flatMap(added, (fate) => {
    engine.poke()
    return fate._tag === "LeaseLost"
      ? Effect.andThen(Effect.yieldNow, enqueue(engine, beginning, facts))
      : settle(engine, beginning, fate)
  })
}

/** Starts an execution that begins with more than its first fact, or joins the one that has its id. */
export const startWith = (
  engine: Engine,
  beginning: Beginning,
  facts: ReadonlyArray<FactRecord>
): Effect.Effect<string, StartError> =>
  Effect.suspend(() => {
    const closed = engine.closed("start")
    return closed !== undefined
      ? Effect.fail(closed)
      : Effect.andThen(engine.registry.define(beginning.registered), enqueue(engine, beginning, facts))
  })

/** What follows from the fate of the first entry. */
const settle = (engine: Engine, beginning: Beginning, fate: Fate): Effect.Effect<string, StartError> => {
  switch (fate._tag) {
    case "Written":
      return Effect.succeed(beginning.executionId)
    case "Missing":
      return joinStored(engine, beginning)
    case "LeaseLost":
      return Effect.andThen(Effect.yieldNow, begin(engine, beginning))
    case "Refused":
      return Effect.fail(
        new PayloadRefused({ saga: beginning.registered.definition.saga, issue: fate.cause.message })
      )
  }
}

// ------------------------------------------------------------------------------------------- join

/** The id is taken in the journal: by the same request, or by another one. */
const joinStored = (engine: Engine, beginning: Beginning): Effect.Effect<string, StartError> => {
  const { journal } = engine
  return Effect.flatMap(
    journal.facts(beginning.executionId, 0),
    (facts) =>
      Effect.flatMap(journal.find(beginning.executionId), (row) =>
        Option.isNone(row) || facts[0] === undefined
          ? Effect.andThen(Effect.yieldNow, begin(engine, beginning))
          : joined(beginning, row.value.saga, facts[0].data))
  )
}

/** What the request is told when its id belongs to an execution of this saga, with this first fact. */
export const joined = (beginning: Beginning, saga: string, data: string): Effect.Effect<string, ExecutionConflict> => {
  const { definition } = beginning.registered
  const first = saga === definition.saga ? new Reader(beginning.registered).read(data) : undefined
  return first !== undefined && Result.isSuccess(first) && first.success._tag === "SagaStarted"
    ? join(beginning, saga, first.success.payload)
    : Effect.fail(conflict(beginning, saga, data))
}

/** The same saga with the same payload is the same request. */
const join = (beginning: Beginning, saga: string, payload: unknown): Effect.Effect<string, ExecutionConflict> => {
  const { executionId, registered } = beginning
  if (saga !== registered.definition.saga) return Effect.fail(conflict(beginning, saga, String(payload)))
  const schema = registered.tree.definition.payload
  if (equivalent(schema, payload, beginning.payload)) return Effect.succeed(executionId)
  const written = roundTrip(schema, payload)
  const text = Result.isSuccess(written) ? written.success.text : String(payload)
  return Effect.fail(conflict(beginning, saga, text))
}

const conflict = ({ executionId, registered, text }: Beginning, existing: string, other: string): ExecutionConflict => {
  // Who knows what a secret may be would find it by the hash.
  const hash = (text: string) => registered.sealed ? "<redacted>" : hashOf(text)
  return new ExecutionConflict({
    executionId,
    saga: registered.definition.saga,
    existing,
    payloadHash: hash(text),
    existingPayloadHash: hash(other)
  })
}
