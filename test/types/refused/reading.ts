/** Results and payloads that are read where there are none, or as what they are not. */
import { Effect, Schema } from "effect"
import { Saga } from "effect-saga"

const text = { success: Schema.String, action: () => Effect.succeed("x"), compensation: () => Effect.void }
const none = { compensation: () => Effect.void }
const Kind = Schema.Literals(["x", "y"])
const start = Saga.make("Start", { payload: Schema.Struct({ id: Schema.String, kind: Kind }) })
const items = { item: Schema.Number, items: () => [1], key: String }

// @ts-expect-error a result that no step has made
start.pipe(Saga.step("a", { ...none, action: ({ b }) => Effect.log(b) }))
// @ts-expect-error a result of a later step
start.pipe(Saga.step("a", { ...none, action: ({ b }) => Effect.log(b) }), Saga.step("b", text))
// @ts-expect-error its own result, in the action
start.pipe(Saga.step("a", { ...text, action: ({ a }) => Effect.succeed(a) }))
start.pipe(
  Saga.parallel((fork) => [
    fork.pipe(Saga.step("a", text)),
    // @ts-expect-error a result of a sibling branch
    fork.pipe(Saga.check("b", { action: ({ a }) => Effect.log(a) })),
    // @ts-expect-error a result of a sibling branch, in a compensation
    fork.pipe(Saga.step("c", { ...text, compensation: (_, { a }) => Effect.log(a) }))
  ])
)
start.pipe(
  Saga.orElse(
    "o",
    (fork) => fork.pipe(Saga.step("a", text)),
    // @ts-expect-error a result of the other way
    (fork) => fork.pipe(Saga.check("b", { action: ({ a }) => Effect.log(a) }))
  )
)
start.pipe(
  Saga.when("w", () => true, (fork) => fork.pipe(Saga.step("a", text))),
  // @ts-expect-error a result inside a branch, from outside
  Saga.check("b", { action: ({ a }) => Effect.log(a) }),
  // @ts-expect-error a branch that may not have run
  Saga.check("c", { action: ({ w }) => Effect.log(w.a) })
)
start.pipe(
  Saga.match("m", ({ payload }) => payload.kind, { x: (fork) => fork.pipe(Saga.step("a", text)), y: (fork) => fork }),
  // @ts-expect-error a case that may not have been chosen
  Saga.check("b", { action: ({ m }) => Effect.log(m.value.a) })
)
start.pipe(
  Saga.forEach("f", { ...items, each: (fork) => fork }),
  // @ts-expect-error the item, outside of its forEach
  Saga.check("b", { action: ({ item }) => Effect.log(item) })
)
// @ts-expect-error the result of a sleep as a text
start.pipe(Saga.sleep("pause", 1), Saga.check("b", { action: ({ pause }) => Effect.log(pause.length) }))
Saga.make("Inner", { payload: Schema.String }).pipe(
  // @ts-expect-error the payload of the outer saga, in a nested one
  Saga.check("a", { action: ({ payload }) => Effect.log(payload.id) })
)
// @ts-expect-error a tag that is no case
start.pipe(Saga.match("m", () => "z", { x: (fork) => fork, y: (fork) => fork }))
// @ts-expect-error a tag without a case
start.pipe(Saga.match("m", ({ payload }) => payload.kind, { x: (fork) => fork }))
// @ts-expect-error a predicate that is an effect
start.pipe(Saga.when("w", () => Effect.succeed(true), (fork) => fork))
// @ts-expect-error items of another schema
start.pipe(Saga.forEach("f", { ...items, items: ({ payload }) => [payload.id], each: (fork) => fork }))
// @ts-expect-error a key that is no text
start.pipe(Saga.forEach("f", { ...items, key: (item) => item, each: (fork) => fork }))
// @ts-expect-error a nested saga with another payload
start.pipe(Saga.nested("n", start, ({ payload }) => payload.id))
// @ts-expect-error an output that is not the one of its schema
start.pipe(Saga.step("a", text), Saga.output(Schema.Number, ({ a }) => a))
// @ts-expect-error an output that reads what is not there
start.pipe(Saga.output(Schema.String, ({ a }) => a))
// @ts-expect-error a sleep that reads what is not there
start.pipe(Saga.sleep("pause", ({ millis }) => millis))
// @ts-expect-error a key of the payload that is no text
Saga.make("Other", { payload: Schema.Number, key: (payload) => payload })
// @ts-expect-error a tag that is no text
Saga.make("Other", { payload: Schema.Number, tags: (count) => ({ count }) })
// @ts-expect-error a tag that may be missing
Saga.make("Other", { payload: Schema.Struct({ region: Schema.optional(Schema.String) }), tags: (payload) => payload })
// @ts-expect-error tags that read what the payload does not have
Saga.make("Other", { payload: Schema.Number, tags: ({ tenant }) => ({ tenant }) })
// @ts-expect-error tags that are an effect
Saga.make("Other", { payload: Schema.Number, tags: () => Effect.succeed({ tenant: "acme" }) })
// @ts-expect-error a payload without a schema
Saga.make("Other")
