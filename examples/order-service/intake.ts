/**
 * Taking orders: what is one is started, or joined if it was started before; what is none is refused, by name and with a
 * reason. An order that is taken is finished or undone, whatever happens to this process.
 */
import { Effect, Option, Result, Schema, SchemaIssue } from "effect"
import { readFileSync } from "node:fs"
import { SagaEngine } from "../../src/SagaEngine.ts"
import { fulfil, Order } from "./saga.ts"

export interface Refusal {
  readonly name: string
  readonly reason: string
}

/** What came in, order or not. */
export const incoming = (): ReadonlyArray<unknown> =>
  JSON.parse(readFileSync(new URL("orders.json", import.meta.url), "utf8"))

const decode = Schema.decodeUnknownResult(Order)
const format = SchemaIssue.makeFormatterStandardSchemaV1()

const reasonOf = (issue: SchemaIssue.Issue): string => {
  const [first] = format(issue).issues
  const path = first?.path?.reduce<string>(
    (path, key) => typeof key === "number" ? `${path}[${key}]` : path === "" ? String(key) : `${path}.${String(key)}`,
    ""
  )
  const message = first?.message ?? "no order"
  return path === undefined || path === "" ? message : `${path}: ${message}`
}

/** What something that should be an order is called: by its id if it has one, else by its place. */
const nameOf = (input: unknown, index: number): string =>
  Schema.decodeUnknownOption(Schema.Struct({ id: Schema.NonEmptyString }))(input).pipe(
    Option.match({ onNone: () => `number ${index + 1}`, onSome: ({ id }) => id })
  )

const take = Effect.fnUntraced(function*(input: unknown, index: number) {
  const refused = (reason: string): Refusal => ({ name: nameOf(input, index), reason })
  const order = decode(input)
  if (Result.isFailure(order)) return refused(reasonOf(order.failure.issue))
  const engine = yield* SagaEngine
  return yield* engine.start(fulfil, order.success).pipe(
    Effect.as(undefined),
    Effect.catchTag("ExecutionConflict", () => Effect.succeed(refused("There is another order of this id"))),
    Effect.catchTag(["ExecutionIdInvalid", "PayloadRefused"], ({ message }) => Effect.succeed(refused(message)))
  )
})

/** Takes all orders, one after the other. Returns the refusals. */
export const takeAll = (inputs: ReadonlyArray<unknown>) =>
  Effect.map(
    Effect.forEach(inputs, take),
    (refusals): ReadonlyArray<Refusal> => refusals.filter((one) => one !== undefined)
  )

/** The orders among what came in, by the id of their execution; of two with one id the first. */
export const ordersOf = (inputs: ReadonlyArray<unknown>): ReadonlyMap<string, Order> => {
  const orders = new Map<string, Order>()
  for (const input of inputs) {
    const order = decode(input)
    if (Result.isFailure(order)) continue
    const id = `Fulfil/${order.success.id}`
    if (!orders.has(id)) orders.set(id, order.success)
  }
  return orders
}
