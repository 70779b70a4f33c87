/**
 * Facts as text and back: every value in them by the schema of the node that it belongs to. This is the one place where
 * JSON is read. It stores nothing.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as ExecutionError from "../../ExecutionError.ts"
import * as SagaError from "../../SagaError.ts"
import { SagaEvent } from "../../SagaEvent.ts"
import type { SagaDefinition } from "../../SagaValue.ts"
import type { StepPath } from "../../StepPath.ts"
import { nodeAt } from "../paths.ts"
import type { Node, SagaTree } from "../tree.ts"

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

// ------------------------------------------------------------------------------------------- schemas by place

const results = new WeakMap<SagaTree, Schema.Top>()

/** The schema of what a saga or a branch returns. */
const resultOf = (tree: SagaTree): Schema.Top => {
  if (tree.output !== undefined) return tree.output.success
  let schema = results.get(tree)
  if (schema === undefined) {
    schema = Schema.Struct(Object.fromEntries(tree.nodes.flatMap(resultsOf)))
    results.set(tree, schema)
  }
  return schema
}

const resultsOf = (node: Node): ReadonlyArray<readonly [name: string, schema: Schema.Top]> => {
  switch (node._tag) {
    case "Step":
      return [[node.name, node.success ?? Schema.Undefined]]
    case "Sleep":
      return []
    case "Parallel":
      return node.branches.flatMap((branch) => branch.nodes.flatMap(resultsOf))
    case "ForEach":
      return [[node.name, Schema.Array(resultOf(node.each))]]
    case "Choice":
      return [[
        node.name,
        node.kind === "when"
          ? Schema.UndefinedOr(resultOf(node.cases.get("then")!))
          : Schema.Union(Array.from(node.cases, ([tag, tree]) => Schema.TaggedStruct(tag, { value: resultOf(tree) })))
      ]]
    case "Nested":
      return [[node.name, resultOf(node.saga)]]
    case "OrElse":
      // The longer record first: a record without a field would pass for one that has it.
      return [[
        node.name,
        Schema.Union(
          [node.first, node.second].sort((a, b) => b.names.length - a.names.length).map(resultOf)
        )
      ]]
  }
}

const events = Schema.decodeUnknownExit(Schema.toCodecJson(SagaEvent))

/** The definition that an engine has kept. Nobody else writes there. */
export const readDefinition = (text: string): SagaDefinition => JSON.parse(text) as SagaDefinition

/** Whether two values are the same to a schema. */
export const equivalent = (schema: Schema.Top, a: unknown, b: unknown): boolean => coderOf(schema).equivalent(a, b)

/** The facts of one saga as text and back. */
export class Codec {
  readonly tree: SagaTree

  constructor(tree: SagaTree) {
    this.tree = tree
  }

  /** The text of a fact whose values have been admitted. */
  encode(event: SagaEvent): string {
    switch (event._tag) {
      case "SagaStarted":
        return JSON.stringify({ ...event, payload: this.#write(this.tree.definition.payload, event.payload) })
      case "StepSucceeded": {
        const schema = this.#success(event.path)
        return JSON.stringify({ ...event, result: schema === undefined ? null : this.#write(schema, event.result) })
      }
      case "ItemsListed": {
        const node = nodeAt(this.tree, event.path)
        const items = node?._tag === "ForEach" ? event.items.map((item) => this.#write(node.item, item)) : event.items
        return JSON.stringify({ ...event, items })
      }
      case "NestedStarted": {
        const node = nodeAt(this.tree, event.path)
        const schema = node?._tag === "Nested" ? node.saga.definition.payload : Schema.Unknown
        return JSON.stringify({ ...event, payload: this.#write(schema, event.payload) })
      }
      case "SagaSucceeded":
        return JSON.stringify({ ...event, result: this.#write(resultOf(this.tree), event.result) })
      case "StepAttemptFailed":
      case "StepFailed":
      case "StepUncertain":
        return JSON.stringify({ ...event, cause: encodeCause(event.cause, event.path, this.#error(event.path)) })
      case "CompensationAttemptFailed":
      case "CompensationFailed":
        // The errors of a compensation have no schema: what is kept of them is what a log would say.
        return JSON.stringify({ ...event, cause: encodeCause(event.cause, event.path, undefined) })
      case "FellBack":
      case "UnwindStarted": {
        const path = event.failed ?? ""
        return JSON.stringify({ ...event, cause: encodeCause(event.cause, path, this.#error(path)) })
      }
      default:
        return JSON.stringify(event)
    }
  }

  /** The fact that a text holds, or in words why it holds none of this saga. */
  decode(text: string): Result.Result<SagaEvent, string> {
    let what = "a fact"
    try {
      const json: unknown = JSON.parse(text)
      const shape = events(json)
      if (Exit.isFailure(shape)) return Result.fail(issueOf(shape.cause))
      const event = shape.value
      what = `${event._tag}${"path" in event ? ` of "${event.path}"` : ""}`
      return Result.succeed(this.#read(event))
    } catch (problem) {
      const issue = problem instanceof Undecodable ? problem.what : String(problem)
      return Result.fail(`${what} cannot be read by today's schema: ${issue}`)
    }
  }

  /** A fact as everybody else will read it: errors are what their schemas make of them. */
  again(event: SagaEvent): SagaEvent {
    return "cause" in event ? Result.getOrElse(this.decode(this.encode(event)), () => event) : event
  }

  #read(event: SagaEvent): SagaEvent {
    switch (event._tag) {
      case "SagaStarted":
        return { ...event, payload: this.#decode(this.tree.definition.payload, event.payload) }
      case "StepSucceeded": {
        const schema = this.#success(event.path)
        return { ...event, result: schema === undefined ? undefined : this.#decode(schema, event.result) }
      }
      case "ItemsListed": {
        const node = nodeAt(this.tree, event.path)
        return node?._tag === "ForEach"
          ? { ...event, items: event.items.map((item) => this.#decode(node.item, item)) }
          : event
      }
      case "NestedStarted": {
        const node = nodeAt(this.tree, event.path)
        return node?._tag === "Nested"
          ? { ...event, payload: this.#decode(node.saga.definition.payload, event.payload) }
          : event
      }
      case "SagaSucceeded":
        return { ...event, result: this.#decode(resultOf(this.tree), event.result) }
      case "StepAttemptFailed":
      case "StepFailed":
      case "StepUncertain":
        return { ...event, cause: decodeCause(event.cause, this.#error(event.path)) }
      case "CompensationAttemptFailed":
      case "CompensationFailed":
        return { ...event, cause: decodeCause(event.cause, undefined) }
      case "FellBack":
      case "UnwindStarted":
        return { ...event, cause: decodeCause(event.cause, this.#error(event.failed ?? "")) }
      default:
        return event
    }
  }

  #success(path: StepPath): Schema.Top | undefined {
    const node = nodeAt(this.tree, path)
    return node?._tag === "Step" ? node.success : undefined
  }

  #error(path: StepPath): Schema.Top | undefined {
    const node = nodeAt(this.tree, path)
    return node?._tag === "Step" ? node.error : undefined
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
