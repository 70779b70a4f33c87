/**
 * What callers ask of an engine: to start, to wait, to look, to cancel. Whoever is interrupted in one of these has let go
 * of the execution and changed nothing.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import {
  AlreadyCommitted,
  AlreadyFinal,
  ExecutionAbandoned,
  ExecutionConflict,
  ExecutionIdInvalid,
  ExecutionNotFound,
  ExecutionStuck,
  PayloadRefused
} from "../../ExecutionError.ts"
import type { AwaitError, CancelError, StartError } from "../../ExecutionError.ts"
import type { ExecutionRecord, JournalUnavailable } from "../../Journal.ts"
import { withAftermath } from "../../SagaError.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import { keyed, randomId } from "../run.ts"
import type { SagaTree } from "../tree.ts"
import { onClock } from "../wait.ts"
import { equivalent, longLength, roundTrip } from "./codec.ts"
import type { Fate } from "./committer.ts"
import { hashOf } from "./definition.ts"
import type { Engine } from "./engine.ts"
import type { Ending } from "./outcome.ts"
import { endingOf } from "./outcome.ts"
import type { Registered } from "./registry.ts"
import type { Trace } from "./resident.ts"

const longestId = 400

/** Says in words why a text cannot be the id of an execution. */
const idProblem = (id: string): string | undefined =>
  id.length === 0
    ? "it is empty"
    : id.length > longestId
    ? `it has ${id.length} characters, and ${longestId} are allowed`
    : /\p{Cc}/u.test(id)
    ? "there is a control character in it"
    : /\p{Cs}/u.test(id)
    ? "there is half a character in it (a lone surrogate)"
    : undefined

// ------------------------------------------------------------------------------------------- start

/** Starts an execution, or joins the one that has the id. Returns its id when it is recorded. */
export const start = (
  engine: Engine,
  tree: SagaTree,
  payload: unknown,
  executionId: string | undefined
): Effect.Effect<string, StartError> =>
  Effect.flatMap(made(tree, payload), (payload) => admit(engine, tree, payload, executionId))

/** The payload as its schema makes it, with the defaults that are in there. */
const made = (
  { definition: { payload: schema, saga } }: SagaTree,
  payload: unknown
): Effect.Effect<unknown, PayloadRefused> =>
  Effect.mapError(schema.makeEffect(payload), (issue) => new PayloadRefused({ saga, issue: inWords(issue) }))

const inWords = SchemaIssue.makeFormatterDefault()

const admit = (
  engine: Engine,
  tree: SagaTree,
  payload: unknown,
  executionId: string | undefined
): Effect.Effect<string, StartError> =>
  Effect.withFiber((fiber) => {
    const { saga } = tree.definition
    const admitted = roundTrip(tree.definition.payload, payload)
    if (Result.isFailure(admitted)) return Effect.fail(new PayloadRefused({ saga, issue: admitted.failure }))
    const { text, value } = admitted.success
    const id = executionId ?? keyed(tree, value) ?? randomId(fiber)
    const problem = idProblem(id)
    if (problem !== undefined) return Effect.fail(new ExecutionIdInvalid({ executionId: id, problem }))
    const registered = engine.registry.known(tree)
    const span = Option.getOrUndefined(Context.getOption(fiber.context, Tracer.ParentSpan))
    const trace = span === undefined
      ? undefined
      : { traceId: span.traceId, spanId: span.spanId, sampled: span.sampled }
    const request = { engine, registered, executionId: id, payload: value, text, trace }
    const started = Effect.andThen(engine.registry.define(registered), begin(request))
    return text.length < longLength ? started : Effect.andThen(
      Effect.logWarning(`The payload of saga "${saga}" takes ${text.length} characters of JSON in the journal`),
      started
    )
  })

interface Request {
  readonly engine: Engine
  readonly registered: Registered
  readonly executionId: string
  readonly payload: unknown
  readonly text: string
  readonly trace: Trace | undefined
}

const begin = (request: Request): Effect.Effect<string, StartError> =>
  Effect.suspend(() => {
    const { engine, executionId, payload, registered, trace } = request
    const closed = engine.closed("start")
    if (closed !== undefined) return Effect.fail(closed)
    const resident = engine.residents.get(executionId)
    if (resident !== undefined) {
      return Effect.flatMap(Deferred.await(resident.entered), (fate) =>
        fate._tag === "Written"
          ? join(request, resident.registered.definition.saga, resident.payload)
          : settle(request, fate))
    }
    const { saga, version } = registered.definition
    const row = {
      executionId,
      saga,
      version,
      definition: registered.hash,
      startedAtMillis: registered.clock.currentTimeMillisUnsafe()
    }
    if (engine.hasRoom(registered)) {
      return Effect.flatMap(
        // Once it is here nobody's interruption may leave it between here and the journal.
        Effect.uninterruptible(engine.enter(registered, { ...row, owned: true }, payload, trace)),
        (resident) => Effect.flatMap(Deferred.await(resident.entered), (fate) => settle(request, fate))
      )
    }
    const fact = { _tag: "SagaStarted", atMillis: row.startedAtMillis, saga, version, payload } as const
    const data = registered.codec.encode(trace === undefined ? fact : { ...fact, trace })
    const added = Effect.andThen(
      engine.registry.mention(registered),
      Effect.callback<Fate>((resume) =>
        engine.committer.add({
          executionId,
          start: { ...row, owned: false },
          facts: [{ executionId, sequence: 0, tag: "SagaStarted", data }],
          settled: (fate) => resume(Effect.succeed(fate))
        })
      )
    )
    return Effect.flatMap(
      added,
      (fate) => {
        engine.poke()
        return settle(request, fate)
      }
    )
  })

/** What follows from the fate of the first entry. */
const settle = (request: Request, fate: Fate): Effect.Effect<string, StartError> => {
  switch (fate._tag) {
    case "Written":
      return Effect.succeed(request.executionId)
    case "Missing":
      return joinStored(request)
    case "LeaseLost":
      return Effect.andThen(Effect.yieldNow, begin(request))
    case "Refused":
      return Effect.fail(
        new PayloadRefused({ saga: request.registered.definition.saga, issue: fate.cause.message })
      )
  }
}

/** The id is taken in the journal: by the same request, or by another one. */
const joinStored = (request: Request): Effect.Effect<string, StartError> => {
  const { engine, executionId, registered } = request
  return Effect.flatMap(
    engine.journal.facts(executionId, 0),
    (facts) =>
      Effect.flatMap(engine.journal.find(executionId), (row) => {
        if (Option.isNone(row) || facts[0] === undefined) return Effect.andThen(Effect.yieldNow, begin(request))
        const { saga } = row.value
        const first = saga === registered.definition.saga ? registered.codec.decode(facts[0].data) : undefined
        return first !== undefined && Result.isSuccess(first) && first.success._tag === "SagaStarted"
          ? join(request, saga, first.success.payload)
          : Effect.fail(conflict(request, saga, facts[0].data))
      })
  )
}

/** The same saga with the same payload is the same request. */
const join = (request: Request, saga: string, payload: unknown): Effect.Effect<string, ExecutionConflict> => {
  const { executionId, registered } = request
  if (saga !== registered.definition.saga) return Effect.fail(conflict(request, saga, String(payload)))
  const schema = registered.tree.definition.payload
  if (equivalent(schema, payload, request.payload)) return Effect.succeed(executionId)
  const written = roundTrip(schema, payload)
  const text = Result.isSuccess(written) ? written.success.text : String(payload)
  return Effect.fail(conflict(request, saga, text))
}

const conflict = (request: Request, existing: string, text: string): ExecutionConflict =>
  new ExecutionConflict({
    executionId: request.executionId,
    saga: request.registered.definition.saga,
    existing,
    payloadHash: hashOf(request.text),
    existingPayloadHash: hashOf(text)
  })

// ------------------------------------------------------------------------------------------- wait

/** How an execution ends, as soon as it has. */
export const ending = (
  engine: Engine,
  tree: SagaTree,
  executionId: string,
  onStuck: "wait" | "fail"
): Effect.Effect<Ending, AwaitError> =>
  Effect.suspend(() => {
    const watch = engine.watches.open(executionId)
    const more: Effect.Effect<Ending, AwaitError> = Effect.andThen(watch.latch.await, Effect.suspend(() => look))
    const look: Effect.Effect<Ending, AwaitError> = Effect.suspend(() => {
      watch.latch.closeUnsafe()
      if (watch.ending !== undefined) return Effect.succeed(watch.ending)
      const closed = engine.closed("await")
      if (closed !== undefined && !engine.residents.has(executionId)) return Effect.fail(closed)
      const resident = engine.residents.get(executionId)
      if (resident !== undefined) {
        return isOf(tree, resident.registered.definition) ? more : Effect.fail(none(tree, executionId))
      }
      return Effect.flatMap(engine.patiently(engine.journal.find(executionId)), (row) => {
        if (Option.isNone(row) || !isOf(tree, row.value)) return Effect.fail(none(tree, executionId))
        const { saga, state } = row.value
        watch.seen = state
        switch (state) {
          case "Succeeded":
          case "Compensated":
            return stored(engine, tree, row.value)
          case "Abandoned":
            return Effect.fail(new ExecutionAbandoned({ saga, executionId }))
          case "Stuck":
            return onStuck === "wait" ? more : Effect.fail(stuckAt(row.value))
          default:
            return more
        }
      })
    })
    return Effect.ensuring(look, Effect.sync(() => engine.watches.close(watch)))
  })

/** Whether an execution is one of a saga. */
const isOf = ({ definition }: SagaTree, { saga }: { readonly saga: string }): boolean => saga === definition.saga

const none = ({ definition }: SagaTree, executionId: string): ExecutionNotFound =>
  new ExecutionNotFound({ executionId, saga: definition.saga })

/** The ending that the journal holds. */
const stored = (engine: Engine, tree: SagaTree, row: ExecutionRecord): Effect.Effect<Ending, AwaitError> => {
  const { executionId, saga } = row
  return Effect.flatMap(engine.patiently(engine.journal.facts(executionId, 0)), (records) => {
    const { codec } = engine.registry.known(tree)
    const facts: Array<SagaEvent> = []
    for (const record of records) {
      const fact = codec.decode(record.data)
      if (Result.isFailure(fact)) {
        const problem = `it is ${row.state}, and cannot be read: ${fact.failure}`
        return Effect.fail(new ExecutionStuck({ saga, executionId, problem }))
      }
      facts.push(fact.success)
    }
    const ending = endingOf(executionId, facts)
    return ending === undefined
      ? Effect.fail(
        new ExecutionStuck({ saga, executionId, problem: `it is ${row.state}, and its last fact says otherwise` })
      )
      : Effect.succeed(ending)
  })
}

/** An ending as the caller of a saga sees it. */
export const answerOf = (ending: Ending): Effect.Effect<unknown, unknown> =>
  ending._tag === "Succeeded"
    ? Effect.succeed(ending.result)
    : Effect.failCause(withAftermath(ending.cause, listed(ending.uncertain), listed(ending.others)))

const listed = <A>(list: ReadonlyArray<A>): ReadonlyArray<A> | undefined => list.length === 0 ? undefined : list

// ------------------------------------------------------------------------------------------- look

/** The facts of an execution, and those to come until it has ended or is stuck. */
export const facts = (
  engine: Engine,
  tree: SagaTree,
  executionId: string
): Stream.Stream<SagaEvent, ExecutionNotFound | ExecutionStuck | JournalUnavailable> =>
  Stream.unwrap(Effect.sync(() => {
    const { codec } = engine.registry.known(tree)
    let from = 0
    const next = Effect.gen(function*() {
      while (true) {
        // The row first: when it is at rest, no fact comes after those that are read then.
        const row = yield* engine.journal.find(executionId)
        const records = yield* engine.journal.facts(executionId, from)
        if (Option.isNone(row) || !isOf(tree, row.value)) return yield* none(tree, executionId)
        from += records.length
        const read: Array<SagaEvent> = []
        for (const record of records) {
          const fact = codec.decode(record.data)
          if (Result.isFailure(fact)) {
            return yield* new ExecutionStuck({ saga: row.value.saga, executionId, problem: fact.failure })
          }
          read.push(fact.success)
        }
        if (read.length > 0) return Option.some(read)
        if (isAtRest(row.value)) return Option.none<ReadonlyArray<SagaEvent>>()
        yield* onClock(engine.live, Effect.sleep(Math.min(50, engine.settings.pollMillis)))
      }
    })
    return Stream.flattenIterable(
      Stream.unfold(
        undefined,
        () => Effect.map(next, Option.match({ onNone: () => undefined, onSome: (read) => [read, undefined] as const }))
      )
    )
  }))

const isAtRest = ({ state }: ExecutionRecord): boolean =>
  state !== "Running" && state !== "Waiting" && state !== "Compensating"

// ------------------------------------------------------------------------------------------- cancel

/** Cancels an execution wherever it is. Returns when that is recorded. */
export const cancel = (engine: Engine, executionId: string): Effect.Effect<void, CancelError> =>
  Effect.suspend(() => {
    const resident = engine.residents.get(executionId)
    if (resident === undefined || resident.residence.leaving) return cancelStored(engine, executionId)
    const asked = Effect.callback<"Cancelled" | "Committed" | "Ended" | "Left">((resume) => {
      resident.cancel([], (answer) => resume(Effect.succeed(resident.residence.isGone ? "Left" : answer)))
      return undefined
    })
    return Effect.flatMap(
      Effect.raceFirst(asked, Effect.as(Deferred.await(resident.left), "Left" as const)),
      (answer) =>
        answer === "Cancelled"
          ? Effect.void
          : answer === "Committed"
          ? Effect.fail(new AlreadyCommitted({ executionId }))
          : cancelStored(engine, executionId)
    )
  })

/** Leaves a word for whoever owns it, and waits for the answer among its facts. */
const cancelStored = (engine: Engine, executionId: string): Effect.Effect<void, CancelError> =>
  Effect.gen(function*() {
    const { journal } = engine
    const before = yield* journal.facts(executionId, 0)
    const row = yield* journal.find(executionId)
    if (Option.isNone(row)) return yield* new ExecutionNotFound({ executionId })
    if (isAtRest(row.value)) return yield* atRest(row.value)
    if (isUndone(row.value) || before.some(({ tag }) => tag === "CancelRequested")) return
    if (!(yield* journal.send({ executionId, kind: "cancel", data: "{}" }))) {
      return yield* cancelStored(engine, executionId)
    }
    engine.poke()
    let pauseMillis = 2
    while (true) {
      const now = yield* journal.find(executionId)
      for (const { tag } of yield* journal.facts(executionId, before.length)) {
        if (tag === "CancelRequested") return
        if (tag === "CancelRefused") return yield* new AlreadyCommitted({ executionId })
      }
      if (Option.isSome(now) && isUndone(now.value)) return
      if (Option.isSome(now) && isAtRest(now.value)) return yield* atRest(now.value)
      yield* onClock(engine.live, Effect.sleep(pauseMillis))
      pauseMillis = Math.min(pauseMillis * 2, engine.settings.pollMillis)
    }
  })

/** There is nothing left to cancel: all of it is being undone. */
const isUndone = ({ state }: ExecutionRecord): boolean => state === "Compensating"

const atRest = (row: ExecutionRecord): Effect.Effect<never, AlreadyFinal | ExecutionStuck> => {
  const { executionId, state } = row
  return state === "Succeeded" || state === "Compensated" || state === "Abandoned"
    ? Effect.fail(new AlreadyFinal({ executionId, state }))
    : Effect.fail(stuckAt(row))
}

const stuckAt = ({ executionId, problem, saga }: ExecutionRecord): ExecutionStuck =>
  new ExecutionStuck({ saga, executionId, problem: problem ?? "a person has to look at it" })
