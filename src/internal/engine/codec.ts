/**
 * Facts as text and back: every value in them by the schema of the node that it belongs to. This is the one place where
 * JSON is read. It stores nothing.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Envelope } from "../../DomainEvent.ts"
import * as ExecutionError from "../../ExecutionError.ts"
import type { EventRecord, PublishedEvent } from "../../Journal.ts"
import * as SagaError from "../../SagaError.ts"
import type { By } from "../../SagaEvent.ts"
import { SagaEvent } from "../../SagaEvent.ts"
import type { SagaDefinition } from "../../SagaValue.ts"
import type { StepPath } from "../../StepPath.ts"
import type { Letter } from "../mail.ts"
import type { Schemas } from "./schemas.ts"
import { secretIn } from "./secrets.ts"

/** The longest text of one value, in characters of JSON. */
export const maxLength = 1_048_576
/** From here on a value is warned of. */
export const longLength = 262_144

/** A schema as functions to and from what JSON can hold. */
interface Coder {
  readonly encode: (value: unknown) => Exit.Exit<unknown, unknown>
  readonly decode: (json: unknown) => Exit.Exit<unknown, unknown>
  readonly equivalent: (a: unknown, b: unknown) => boolean
}

const coders = new WeakMap<Schema.Top, Coder>()

const coderOf = (schema: Schema.Top): Coder => {
  let coder = coders.get(schema)
  if (coder === undefined) {
    // A schema that needs services to encode fails with a defect that names them, and what it encodes is refused.
    const json = Schema.toCodecJson(schema) as unknown as Schema.Codec<unknown, unknown>
    coder = {
      encode: Schema.encodeUnknownExit(json),
      decode: Schema.decodeUnknownExit(json),
      equivalent: Schema.toEquivalence(schema)
    }
    coders.set(schema, coder)
  }
  return coder
}

const issueOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error.message : String(error)
}

/** Why a value cannot be written down, or what it is when it has been read back. */
export type Admitted = Result.Result<{ readonly value: unknown; readonly text: string }, string>

/** Writes a value down and reads it back, so that what counts is what a journal holds. */
export const roundTrip = (schema: Schema.Top, value: unknown): Admitted => {
  const { decode, encode, equivalent } = coderOf(schema)
  const encoded = encode(value)
  if (Exit.isFailure(encoded)) return Result.fail(issueOf(encoded.cause))
  const text = JSON.stringify(encoded.value) ?? "null"
  if (text.length > maxLength) {
    return Result.fail(`it takes ${text.length} characters of JSON, and ${maxLength} are allowed`)
  }
  const decoded = decode(JSON.parse(text))
  if (Exit.isFailure(decoded)) return Result.fail(`it is written but cannot be read again: ${issueOf(decoded.cause)}`)
  return equivalent(value, decoded.value)
    ? Result.succeed({ value: decoded.value, text })
    : Result.fail("it is another value when it is read again")
}

// ------------------------------------------------------------------------------------------- causes

/** The errors of the toolkit that may stand in a cause. Their fields are plain data. */
const own: Readonly<Record<string, new(fields: never) => { readonly _tag: string }>> = {
  StepTimedOut: SagaError.StepTimedOut,
  SagaTimedOut: SagaError.SagaTimedOut,
  EventTimedOut: SagaError.EventTimedOut,
  CompensationTimedOut: SagaError.CompensationTimedOut,
  PayloadInvalid: SagaError.PayloadInvalid,
  DuplicateItemKey: SagaError.DuplicateItemKey,
  CaseMissing: SagaError.CaseMissing,
  StepUncertain: SagaError.StepUncertain,
  PivotUncertain: SagaError.PivotUncertain,
  SagaCancelled: ExecutionError.SagaCancelled,
  ProcessLost: ExecutionError.ProcessLost,
  NotRecordable: ExecutionError.NotRecordable
}
const ownClasses = new Set<unknown>(Object.values(own))
const ownKey = "~effect-saga/error"

const encodeOwn = (error: unknown): Record<string, unknown> | undefined => {
  if (typeof error !== "object" || error === null || !ownClasses.has(error.constructor)) return undefined
  const { _tag, ...fields } = error as { readonly _tag: string }
  return { [ownKey]: _tag, ...fields }
}

const decodeOwn = (json: unknown): unknown => {
  if (typeof json !== "object" || json === null || !(ownKey in json)) return undefined
  const { [ownKey]: tag, ...fields } = json as Record<string, unknown>
  const Class = own[String(tag)]
  return Class === undefined ? undefined : new Class(fields as never)
}

const defects = coderOf(Schema.Defect())

/** What can be written of an error; another text when looking at it throws, or it is too deep to be written. */
const writable = <A, B>(encode: () => A, orElse: B): A | B => {
  try {
    const encoded = encode()
    JSON.stringify(encoded)
    return encoded
  } catch {
    return orElse
  }
}

const unreadable = "an error that throws when it is looked at, or is too deep to be written down"

const encodeDefect = (defect: unknown): unknown =>
  writable(() => {
    const known = encodeOwn(defect)
    if (known !== undefined) return known
    const encoded = defects.encode(defect)
    return Exit.isSuccess(encoded) ? encoded.value : String(defect)
  }, unreadable)

const decodeDefect = (json: unknown): unknown => {
  const known = decodeOwn(json)
  if (known !== undefined) return known
  const decoded = defects.decode(json)
  return Exit.isSuccess(decoded) ? decoded.value : json
}

const encodeCause = (cause: Cause.Cause<unknown>, path: StepPath, schema: Schema.Top | undefined): unknown =>
  cause.reasons.map((reason) => {
    switch (reason._tag) {
      case "Fail": {
        const known = writable(() => encodeOwn(reason.error), undefined)
        if (known !== undefined) return { _tag: "Fail", error: known }
        if (schema === undefined) return { _tag: "Fail", error: encodeDefect(reason.error) }
        let issue = unreadable
        const encoded = writable(() => {
          const exit = coderOf(schema).encode(reason.error)
          if (Exit.isSuccess(exit)) return { error: exit.value }
          issue = `its error (${String(reason.error)}): ${issueOf(exit.cause)}`
          return undefined
        }, undefined)
        return encoded !== undefined
          ? { _tag: "Fail", ...encoded }
          : { _tag: "Die", defect: encodeDefect(new ExecutionError.NotRecordable({ path, issue })) }
      }
      case "Die":
        return { _tag: "Die", defect: encodeDefect(reason.defect) }
      case "Interrupt":
        return { _tag: "Interrupt", fiberId: reason.fiberId ?? null }
    }
  })

/** What was read as plain data becomes the errors that it stands for. */
const decodeCause = (cause: Cause.Cause<unknown>, schema: Schema.Top | undefined): Cause.Cause<unknown> =>
  Cause.fromReasons(cause.reasons.map((reason) => {
    switch (reason._tag) {
      case "Fail": {
        const known = decodeOwn(reason.error)
        if (known !== undefined) return Cause.makeFailReason(known)
        if (schema === undefined) return Cause.makeFailReason(decodeDefect(reason.error))
        const decoded = coderOf(schema).decode(reason.error)
        if (Exit.isFailure(decoded)) throw new Undecodable(`an error, ${issueOf(decoded.cause)}`)
        return Cause.makeFailReason(decoded.value)
      }
      case "Die":
        return Cause.makeDieReason(decodeDefect(reason.defect))
      case "Interrupt":
        return reason
    }
  }))

/** Leaves a decoding from inside; caught where it began. */
class Undecodable {
  readonly what: string
  constructor(what: string) {
    this.what = what
  }
}

// ------------------------------------------------------------------------------------------- facts

const events = Schema.decodeUnknownExit(Schema.toCodecJson(SagaEvent))

/** What stands in a row in place of a fact or a signal: what a cipher made of it. */
export const writeSealed = (sealed: string): string => JSON.stringify({ sealed })

/** What a cipher made of a text; undefined where the text is in the clear. */
export const readSealed = (text: string): string | undefined =>
  text.startsWith(`{"sealed":`) ? Option.getOrUndefined(Exit.getSuccess(decodeSealed(text)))?.sealed : undefined

const decodeSealed = Schema.decodeUnknownExit(Schema.fromJsonString(Schema.Struct({ sealed: Schema.String })))

/** In place of a text that could not be opened, why not. */
export const writeUnopened = (problem: string): string => JSON.stringify({ unopened: problem })

/** Why what was read is not what was written, in words; undefined where it is. */
const unopened = (json: unknown): string | undefined =>
  hasProperty(json, "unopened")
    ? String(json.unopened)
    : hasProperty(json, "sealed")
    ? "it is sealed, and this engine has no cipher. Give it the `JournalCipher` that the journal was written with"
    : undefined

/** The fact that a text holds, its values as they are encoded, or in words why it holds none. Throws where it is no JSON. */
const looseUnsafe = (text: string): Result.Result<SagaEvent, string> => {
  const json: unknown = JSON.parse(text)
  const closed = unopened(json)
  if (closed !== undefined) return Result.fail(closed)
  const fact = events(json)
  return Exit.isSuccess(fact) ? Result.succeed(fact.value) : Result.fail(issueOf(fact.cause))
}

/** A fact whose values stay as they are encoded, of whatever saga it is; or in words why the text holds none. */
export const readLoosely = (text: string): Result.Result<SagaEvent, string> => {
  try {
    return looseUnsafe(text)
  } catch (problem) {
    return Result.fail(String(problem))
  }
}

/** A fact without the values of its saga: for who has no schema that says which of them are secret. Our errors stay. */
export const withoutValues = (event: SagaEvent): SagaEvent => ({
  ...event,
  ..."payload" in event ? { payload: redacted } : {},
  ..."result" in event ? { result: redacted } : {},
  ..."items" in event ? { items: event.items.map(() => redacted) } : {},
  ..."cause" in event ? { cause: Cause.map(event.cause, (error) => hasProperty(error, ownKey) ? error : redacted) } : {}
})

const redacted = "<redacted>"

/** The text of a fact without values that need a schema. */
export const writeLoosely = (event: SagaEvent): string => JSON.stringify(event)

/** Who has sent a signal and why, as far as it says so. */
export const readBy = (text: string): Partial<By> => {
  const by = Exit.getSuccess(decodeBy(text))
  return by._tag === "Some" ? by.value : {}
}

const decodeBy = Schema.decodeUnknownExit(
  Schema.fromJsonString(
    Schema.Struct({ actor: Schema.optionalKey(Schema.String), comment: Schema.optionalKey(Schema.String) })
  )
)

/** The definition that an engine has kept. Nobody else writes there. */
export const readDefinition = (text: string): SagaDefinition => JSON.parse(text) as SagaDefinition

/** What a store holds of an event besides its type and its key, its payload as it is encoded. */
export type StoredEvent = Omit<Envelope, "id" | "type" | "key">

/** The text of an event, or in words why there is none. */
export const eventText = (schema: Schema.Top, envelope: Envelope): Result.Result<string, string> =>
  Result.map(roundTrip(schema, envelope.payload), ({ text }) => {
    const { causationId, correlationId, occurredAtMillis } = envelope
    const event: StoredEvent = { occurredAtMillis, correlationId, causationId, payload: JSON.parse(text) }
    return JSON.stringify(event)
  })

/** The event that a text holds, or in words why it holds none. */
const readEvent = (text: string): Result.Result<StoredEvent, string> => {
  try {
    const json: unknown = JSON.parse(text)
    const closed = unopened(json)
    if (closed !== undefined) return Result.fail(closed)
    const event = storedEvents(json)
    return Exit.isSuccess(event) ? Result.succeed(event.value) : Result.fail(issueOf(event.cause))
  } catch (problem) {
    return Result.fail(String(problem))
  }
}

const storedEvents = Schema.decodeUnknownExit(
  Schema.Struct({
    occurredAtMillis: Schema.Number,
    correlationId: Schema.optionalKey(Schema.String),
    causationId: Schema.optionalKey(Schema.String),
    payload: Schema.Unknown
  })
)

/** An event that is kept, as one of a kind; in words why it is none. */
export const envelopeIn = (
  schema: Schema.Top | undefined,
  { data, id, key, type }: EventRecord
): Result.Result<Envelope, string> => {
  if (schema === undefined) return Result.fail("it is of no type that is read here")
  const read = readEvent(data)
  if (Result.isFailure(read)) return Result.fail(`it cannot be read: ${read.failure}`)
  const decoded = coderOf(schema).decode(read.success.payload)
  return Exit.isSuccess(decoded)
    ? Result.succeed({ ...read.success, id, type, key, payload: decoded.value })
    : Result.fail(`what it says cannot be read: ${issueOf(decoded.cause)}`)
}

/** Whether two values are the same to a schema. */
export const equivalent = (schema: Schema.Top, a: unknown, b: unknown): boolean => coderOf(schema).equivalent(a, b)

/** The facts of one version of a saga as text and back. */
export class Codec {
  readonly #schemas: Schemas
  /** Whether there may be secrets in them. */
  readonly #sealed: boolean
  /** What reads them, in words. */
  readonly #reader: string

  constructor(schemas: Schemas, sealed: boolean, reader = "today's schema") {
    this.#schemas = schemas
    this.#sealed = sealed
    this.#reader = reader
  }

  /** The text of a fact whose values have been admitted. */
  encode(event: SagaEvent): string {
    switch (event._tag) {
      case "SagaStarted":
        return JSON.stringify({ ...event, payload: this.#write(this.#schemas.payload, event.payload) })
      case "StepSucceeded":
      case "StepSkipped": {
        const schema = this.#schemas.success(event.path)
        return JSON.stringify({ ...event, result: schema === undefined ? null : this.#write(schema, event.result) })
      }
      case "ItemsListed": {
        const schema = this.#schemas.item(event.path)
        const items = schema === undefined ? event.items : event.items.map((item) => this.#write(schema, item))
        return JSON.stringify({ ...event, items })
      }
      case "NestedStarted": {
        const schema = this.#schemas.nested(event.path) ?? Schema.Unknown
        return JSON.stringify({ ...event, payload: this.#write(schema, event.payload) })
      }
      case "EventPublished":
      case "EventReceived": {
        const schema = this.#schemas.event(event.path, event.type) ?? Schema.Unknown
        return JSON.stringify({ ...event, payload: this.#write(schema, event.payload) })
      }
      case "SagaSucceeded":
        return JSON.stringify({ ...event, result: this.#write(this.#schemas.output, event.result) })
      case "StepAttemptFailed":
      case "StepFailed":
      case "StepUncertain":
        return JSON.stringify({
          ...event,
          cause: encodeCause(event.cause, event.path, this.#schemas.error(event.path))
        })
      case "CompensationAttemptFailed":
      case "CompensationFailed":
        // The errors of a compensation have no schema: what is kept of them is what a log would say.
        return JSON.stringify({ ...event, cause: encodeCause(event.cause, event.path, undefined) })
      case "FellBack":
      case "UnwindStarted": {
        const path = event.failed ?? ""
        return JSON.stringify({ ...event, cause: encodeCause(event.cause, path, this.#schemas.error(path)) })
      }
      default:
        return JSON.stringify(event)
    }
  }

  /** The fact that a text holds, or in words why it holds none of this saga. */
  decode(text: string): Result.Result<SagaEvent, string> {
    let what = "a fact"
    try {
      const loose = looseUnsafe(text)
      if (Result.isFailure(loose)) return loose
      const event = this.#sealed && this.#isStrange(loose.success) ? withoutValues(loose.success) : loose.success
      what = `${event._tag}${"path" in event ? ` of "${event.path}"` : ""}`
      return Result.succeed(this.#read(event))
    } catch (problem) {
      const issue = problem instanceof Undecodable ? problem.what : String(problem)
      return Result.fail(`${what} cannot be read by ${this.#reader}: ${issue}`)
    }
  }

  /** An event that is kept, as one that is awaited at a path; in words why it is none. */
  letter(path: StepPath, event: EventRecord): Result.Result<Letter, string> {
    return Result.map(envelopeIn(this.#schemas.event(path, event.type), event), ({ id, key, payload, type }) => ({
      id,
      type,
      key,
      payload
    }))
  }

  /** What is kept of an event that a step publishes, or in words why it cannot be. */
  outgoing(schema: Schema.Top, envelope: Envelope): Result.Result<string, string> {
    const secret = secretIn(schema, this.#sealed)
    return secret === undefined ? eventText(schema, envelope) : Result.fail(`it holds ${secret}`)
  }

  /** An event that an execution publishes, as it is kept. */
  published(event: Extract<SagaEvent, { readonly _tag: "EventPublished" }>, executionId: string): PublishedEvent {
    const { atMillis: occurredAtMillis, eventId: id, key, path, type } = event
    const payload = this.#write(this.#schemas.event(path, type) ?? Schema.Unknown, event.payload)
    const stored: StoredEvent = { occurredAtMillis, correlationId: executionId, causationId: id, payload }
    return { executionId, id, type, key, data: JSON.stringify(stored), keptAtMillis: occurredAtMillis }
  }

  /** The result of a step that a person gives in its encoded form, or in words why it is none. */
  resultOf(path: StepPath, json: unknown): Result.Result<unknown, string> {
    const schema = this.#schemas.success(path)
    if (schema === undefined) {
      return json === undefined || json === null
        ? Result.succeed(undefined)
        : Result.fail("the step has no result: leave the value out")
    }
    // JSON knows no undefined.
    const decoded = coderOf(schema).decode(json === undefined ? null : json)
    if (Exit.isFailure(decoded)) return Result.fail(issueOf(decoded.cause))
    return Result.map(roundTrip(schema, decoded.value), ({ value }) => value)
  }

  /** A payload that a person gives in its encoded form, or in words why it is none. */
  payloadOf(json: unknown): Result.Result<unknown, string> {
    const decoded = coderOf(this.#schemas.payload).decode(json)
    return Exit.isSuccess(decoded) ? Result.succeed(decoded.value) : Result.fail(issueOf(decoded.cause))
  }

  /** A fact as everybody else will read it: errors are what their schemas make of them. */
  again(event: SagaEvent): SagaEvent {
    return "cause" in event ? Result.getOrElse(this.decode(this.encode(event)), () => event) : event
  }

  #read(event: SagaEvent): SagaEvent {
    switch (event._tag) {
      case "SagaStarted":
        return { ...event, payload: this.#decode(this.#schemas.payload, event.payload) }
      case "StepSucceeded":
      case "StepSkipped": {
        const schema = this.#schemas.success(event.path)
        return { ...event, result: schema === undefined ? undefined : this.#decode(schema, event.result) }
      }
      case "ItemsListed": {
        const schema = this.#schemas.item(event.path)
        return schema === undefined ? event : { ...event, items: event.items.map((item) => this.#decode(schema, item)) }
      }
      case "NestedStarted": {
        const schema = this.#schemas.nested(event.path)
        return schema === undefined ? event : { ...event, payload: this.#decode(schema, event.payload) }
      }
      case "EventPublished":
      case "EventReceived": {
        const schema = this.#schemas.event(event.path, event.type)
        return schema === undefined ? event : { ...event, payload: this.#decode(schema, event.payload) }
      }
      case "SagaSucceeded":
        return { ...event, result: this.#decode(this.#schemas.output, event.result) }
      case "StepAttemptFailed":
      case "StepFailed":
      case "StepUncertain":
        return { ...event, cause: decodeCause(event.cause, this.#schemas.error(event.path)) }
      case "CompensationAttemptFailed":
      case "CompensationFailed":
        return { ...event, cause: decodeCause(event.cause, undefined) }
      case "FellBack":
      case "UnwindStarted":
        return { ...event, cause: decodeCause(event.cause, this.#schemas.error(event.failed ?? "")) }
      default:
        return event
    }
  }

  /** Whether today's saga has no schema for what a fact holds: there was another node at its path. */
  #isStrange(event: SagaEvent): boolean {
    switch (event._tag) {
      case "ItemsListed":
        return this.#schemas.item(event.path) === undefined
      case "NestedStarted":
        return this.#schemas.nested(event.path) === undefined
      case "EventPublished":
      case "EventReceived":
        return this.#schemas.event(event.path, event.type) === undefined
      case "StepAttemptFailed":
      case "StepFailed":
      case "StepUncertain":
        return this.#schemas.error(event.path) === undefined
      case "FellBack":
      case "UnwindStarted":
        return this.#schemas.error(event.failed ?? "") === undefined
      default:
        return false
    }
  }

  #write(schema: Schema.Top, value: unknown): unknown {
    const encoded = coderOf(schema).encode(value)
    // What is recorded has been admitted before: the same value encodes again.
    if (Exit.isFailure(encoded)) throw Cause.squash(encoded.cause)
    return encoded.value
  }

  #decode(schema: Schema.Top, json: unknown): unknown {
    const decoded = coderOf(schema).decode(json)
    if (Exit.isFailure(decoded)) throw new Undecodable(issueOf(decoded.cause))
    return decoded.value
  }
}
