// The sagas that are drawn here, and how a test says what their actions and compensations do.
import { Context, Effect, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"

/** A participant says no. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {
  override get message(): string {
    return this.why
  }
}

/** What an action, or a compensation (`undo`), does: nothing unless a test provides another one. */
export type Act = (path: string, attempt: number, undo: boolean) => Effect.Effect<void, Refused>
export const Act: Context.Reference<Act> = Context.Reference<Act>("test/diagram/Act", {
  defaultValue: () => () => Effect.void
})

type Where = Pick<Saga.StepContext, "attempt" | "path">
const act = (undo: boolean) => ({ attempt, path }: Where) =>
  Effect.flatMap(Effect.service(Act), (act) => act(path, attempt, undo))

const forward = { error: Refused, action: (_: unknown, context: Where) => act(false)(context) }
const done = { ...forward, compensation: (_: unknown, _state: unknown, context: Where) => act(true)(context) }
const often = { ...forward, retry: Schedule.max([Schedule.spaced("100 millis"), Schedule.recurs(2)]) }

/** As in the README: three bookings side by side, the payment as the point of no return, an e-mail that is sent at last. */
export const trip = Saga.make("BookTrip", { payload: Schema.Void }).pipe(
  Saga.check("passport", forward),
  Saga.parallel((fork) => [
    fork.pipe(Saga.step("flight", done), Saga.step("seat", done)),
    fork.pipe(Saga.step("hotel", { ...done, timeout: "400 millis", whenUncertain: "report" })),
    fork.pipe(Saga.step("car", { ...done, retry: Schedule.max([Schedule.spaced("50 millis"), Schedule.recurs(1)]) }))
  ]),
  Saga.pivot("payment", forward),
  Saga.retriable("email", often)
)

const wrap = Saga.make("Wrap", { payload: Schema.Void }).pipe(
  Saga.step("paper", { ...done, whenUncertain: "compensate", timeout: "1 second" }),
  Saga.step("ribbon", done)
)

const settle = Saga.make("Settle", { payload: Schema.Void }).pipe(
  Saga.step("hold", { ...done, whenUncertain: "stuck", timeout: "1 second" }),
  Saga.pivot("capture", forward),
  Saga.retriable("receipt", often)
)

export interface Order {
  readonly lines: ReadonlyArray<string>
  readonly express: boolean
  readonly kind: "gift" | "plain"
}

/** Every kind of node, in every place where it may stand. */
export const everything = Saga.make("Everything", {
  payload: Schema.Struct({
    lines: Schema.Array(Schema.String),
    express: Schema.Boolean,
    kind: Schema.Literals(["gift", "plain"])
  })
}).pipe(
  Saga.check("address", forward),
  Saga.step("order", done),
  Saga.forEach("lines", {
    item: Schema.String,
    items: ({ payload }) => payload.lines,
    key: (sku) => sku,
    concurrency: 4,
    each: (fork) => fork.pipe(Saga.check("price", forward), Saga.step("reserve", done), Saga.step("pack", done))
  }),
  Saga.forEach("labels", {
    item: Schema.String,
    items: ({ payload }) => payload.lines,
    key: (sku) => sku,
    each: (fork) => fork.pipe(Saga.step("print", done))
  }),
  Saga.sleep("pause", "1 second"),
  Saga.parallel((fork) => [
    fork.pipe(Saga.step("van", done), Saga.step("driver", done)),
    fork.pipe(Saga.check("weather", forward)),
    fork.pipe(Saga.orElse(
      "carrier",
      (fork) => fork.pipe(Saga.step("cheap", done), Saga.sleep("answer", "300 millis"), Saga.check("arrives", forward)),
      (fork) => fork.pipe(Saga.step("fast", done))
    ))
  ], { concurrency: 2 }),
  Saga.parallel((fork) => [fork.pipe(Saga.step("toll", done)), fork.pipe(Saga.step("fuel", done))], { concurrency: 1 }),
  Saga.when("courier", ({ payload }) => payload.express, (fork) => fork.pipe(Saga.step("bike", done))),
  Saga.match("kind", ({ payload }) => payload.kind, {
    gift: (fork) => fork.pipe(Saga.nested("wrapped", wrap, () => undefined)),
    plain: (fork) => fork
  }),
  Saga.nested("settled", settle, () => undefined),
  Saga.parallel((fork) => [
    fork.pipe(Saga.retriable("mail", often)),
    fork.pipe(Saga.retriable("points", often), Saga.sleep("later", "1 day"), Saga.retriable("survey", often))
  ])
)

export const gift: Order = { lines: ["tea", "milk"], express: true, kind: "gift" }

/** Text that means something to Mermaid, Markdown, HTML or a terminal, wherever a saga takes any text. */
export const hostileTexts: ReadonlyArray<string> = [
  "end",
  "\"]; click 0 call alert(1); x[\"",
  "<img src=x onerror=alert(1)>",
  "line\r\nbreak %% comment",
  "`**bold** _x_`",
  "1. list",
  "- list",
  "#quot;&amp;#35;",
  "|x|-->y{z}(w)",
  "fa:fa-ban https://example.com",
  "$$x^2$$",
  "ﬂ°°96¶ß",
  "日本語 😀 שלום e\u0301",
  "\u202edesrever\u0000\u001b[31m\ud800",
  " ",
  ""
]

const fork = (text: string) => [text, <S extends Saga.AnySaga>(fork: S) => fork] as const

/** Names that a path can carry and that mean something to Mermaid or Markdown, and tags that may be any text. */
export const hostile = Saga.make("end", { payload: Schema.Void }).pipe(
  Saga.match("subgraph", () => "end", Object.fromEntries(hostileTexts.map(fork))),
  Saga.step("1.", done),
  Saga.step("-", done),
  Saga.step("__init__", done),
  Saga.step("a.b-c_d", done),
  Saga.step("o--o", done),
  Saga.step("default", done)
)
