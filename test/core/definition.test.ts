// Sagas that cannot run are refused when they are defined, in words; and the shape of those that can, as plain data.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule, Schema } from "effect"
import { Saga, StepPath } from "effect-saga"
import { trip } from "./ledger.ts"

const done = { action: () => Effect.void, compensation: () => Effect.void }
const again = { action: () => Effect.void, retry: Schedule.forever }
/** What the types refuse as well. */
const forced = <A>(value: unknown): A => value as A
const committed = forced<typeof trip>(trip.pipe(Saga.pivot("paid", { action: () => Effect.void })))

const refuses = (cases: ReadonlyArray<readonly [what: string, define: () => unknown, message: string]>) => {
  for (const [what, define, message] of cases) {
    it(`refused: ${what}`, () => {
      let refusal: unknown
      try {
        define()
      } catch (error) {
        refusal = error
      }
      if (!(refusal instanceof Saga.SagaDefinitionError)) return assert.fail(`it was not refused: ${String(refusal)}`)
      assert.strictEqual(refusal.message, message)
    })
  }
}

describe("names", () => {
  const long = "x".repeat(101)
  const rule = "is no name: use 1 to 100 of the characters A-Z a-z 0-9 . _ -"
  for (const name of ["", " ", "two words", "a/b", "ä", "🐢", "a\n", "a\u0000", long]) {
    const shown = JSON.stringify(name)
    const inLine = StepPath.printable(name)
    refuses([
      [`of a saga: ${shown}`, () => Saga.make(name, { payload: Schema.Void }), `Saga "${inLine}": ${shown} ${rule}`],
      [
        `of a step: ${shown}`,
        () => trip.pipe(Saga.step(forced<"a">(name), done)),
        name === "" ? `Saga "Trip": "" ${rule}` : `Saga "Trip", at "${inLine}": ${shown} ${rule}`
      ]
    ])
  }
  it("of 100 characters, and all that are allowed", () => {
    const name = `Az09._-${"x".repeat(93)}`
    assert.strictEqual(Saga.definition(Saga.make(name, { payload: Schema.Void })).saga, name)
  })

  const proto = "\"__proto__\" is no name: JavaScript gives it a meaning of its own"
  const a = forced<"a">
  refuses([
    ["__proto__", () => trip.pipe(Saga.sleep("__proto__", 1)), `Saga "Trip", at "__proto__": ${proto}`],
    [
      "in a branch: the path says where",
      () =>
        trip.pipe(
          Saga.orElse("way", (fork) =>
            fork.pipe(Saga.when("maybe", () => true, (fork) => fork.pipe(Saga.step(a("no way"), done)))), (fork) =>
            fork)
        ),
      `Saga "Trip", at "way/first/maybe/no way": "no way" ${rule}`
    ]
  ])
})

describe("duplicates", () => {
  const used = (path: string, name: string) =>
    `Saga "Trip", at "${path}": the name "${name}" is already used in this saga`
  const one = trip.pipe(Saga.step("a", done))
  refuses([
    ["two steps", () => one.pipe(Saga.step(forced<"b">("a"), done)), used("a", "a")],
    ["a sleep and a step", () => trip.pipe(Saga.sleep("a", 1), Saga.step(forced<"b">("a"), done)), used("a", "a")],
    ["`payload`", () => trip.pipe(Saga.step(forced<"b">("payload"), done)), used("payload", "payload")],
    ["`item` in a forEach", () =>
      trip.pipe(Saga.forEach("all", {
        item: Schema.String,
        items: () => [],
        key: (item) => item,
        each: (fork) => fork.pipe(Saga.step(forced<"b">("item"), done))
      })), used("all/item", "item")],
    [
      "a step in a branch and one before it",
      () => one.pipe(Saga.when("maybe", () => true, (fork) => fork.pipe(Saga.step(forced<"b">("a"), done)))),
      used("maybe/a", "a")
    ],
    [
      "a step in a parallel branch and one before it",
      () => one.pipe(Saga.parallel((fork) => [fork.pipe(Saga.step(forced<"b">("a"), done))])),
      used("a", "a")
    ],
    [
      "a step behind a parallel and one in it",
      () => trip.pipe(Saga.parallel((fork) => [fork.pipe(Saga.step("a", done))]), Saga.step(forced<"b">("a"), done)),
      used("a", "a")
    ],
    [
      "two parallel branches",
      () =>
        trip.pipe(Saga.parallel((fork) => [
          fork.pipe(Saga.step("a", done)),
          fork.pipe(Saga.step(forced<"b">("a"), done))
        ])),
      "Saga \"Trip\": the name \"a\" is used in two branches"
    ],
    [
      "sleeps in two parallel branches",
      () =>
        trip.pipe(Saga.parallel((fork) => [fork.pipe(Saga.sleep("a", 1)), fork.pipe(Saga.sleep(forced<"b">("a"), 1))])),
      "Saga \"Trip\": the name \"a\" is used in two branches"
    ]
  ])

  it("the same name in two branches of which one runs, and in two sagas with the same beginning", () => {
    const begin = trip.pipe(Saga.step("a", done))
    const first = begin.pipe(Saga.step("b", done), Saga.step("c", done))
    const second = begin.pipe(Saga.step("c", done), Saga.step("b", done))
    const third = begin.pipe(
      Saga.match("kind", () => "x", {
        x: (fork) => fork.pipe(Saga.step("b", done)),
        y: (fork) => fork.pipe(Saga.step("b", done))
      }),
      Saga.step("b", done)
    )
    const names = [begin, first, second, third].map((saga) =>
      Saga.definition(saga).nodes.map((node) => "name" in node && node.name)
    )
    assert.deepStrictEqual(names, [["a"], ["a", "b", "c"], ["a", "c", "b"], ["a", "kind", "b"]])
  })

  it("a refusal leaves the saga that it was meant for as it was", () => {
    const begin = trip.pipe(Saga.step("a", done))
    assert.throws(() =>
      begin.pipe(Saga.parallel((fork) => [
        fork.pipe(Saga.step("b", done)),
        fork.pipe(Saga.step(forced<"c">("b"), done))
      ]))
    )
    assert.doesNotThrow(() => begin.pipe(Saga.step("b", done)))
  })
})

describe("Schema.Any", () => {
  const any = "`Schema.Any` lets values through that no journal can hold. Write the schema of the value"
  class Cart extends Schema.Class<Cart>("Cart")({ id: Schema.String, content: Schema.Any }) {}
  interface Tree {
    readonly value: unknown
    readonly children: ReadonlyArray<Tree>
  }
  const Tree: Schema.Codec<Tree> = Schema.Struct({
    value: Schema.Any,
    children: Schema.Array(Schema.suspend(() => Tree))
  })
  const step = (success: Schema.Top) => () => trip.pipe(Saga.check("a", { success, action: () => Effect.die("never") }))
  refuses([
    ["in a payload", () => Saga.make("Trip", { payload: Schema.Any }), `Saga "Trip", at "payload": ${any}`],
    ["in a result", step(Schema.Any), `Saga "Trip", at "a": ${any}`],
    [
      "in a struct",
      step(Schema.Struct({ ok: Schema.String, deep: Schema.Struct({ no: Schema.Any }) })),
      `Saga "Trip", at "a": ${any}`
    ],
    [
      "in an optional field",
      step(Schema.Struct({ no: Schema.optionalKey(Schema.Any) })),
      `Saga "Trip", at "a": ${any}`
    ],
    ["in an array", step(Schema.Array(Schema.Any)), `Saga "Trip", at "a": ${any}`],
    ["in a tuple", step(Schema.Tuple([Schema.String, Schema.Any])), `Saga "Trip", at "a": ${any}`],
    ["in a record", step(Schema.Record(Schema.String, Schema.Any)), `Saga "Trip", at "a": ${any}`],
    ["in a union", step(Schema.Union([Schema.String, Schema.Array(Schema.Any)])), `Saga "Trip", at "a": ${any}`],
    ["in a class", step(Cart), `Saga "Trip", at "a": ${any}`],
    ["in an option", step(Schema.Option(Schema.Any)), `Saga "Trip", at "a": ${any}`],
    ["in a recursive schema", step(Tree), `Saga "Trip", at "a": ${any}`],
    ["behind a check", step(Schema.Any.check(Schema.makeFilter(() => true))), `Saga "Trip", at "a": ${any}`],
    [
      "in what a schema is encoded to",
      step(Schema.String.pipe(Schema.encodeTo(Schema.Any))),
      `Saga "Trip", at "a": ${any}`
    ],
    [
      "in an error",
      () =>
        trip.pipe(Saga.step("a", { error: Schema.Any, action: () => Effect.void, compensation: () => Effect.void })),
      `Saga "Trip", at "a": ${any}`
    ],
    ["in an output", () => trip.pipe(Saga.output(Schema.Any, () => 1)), `Saga "Trip", at "output": ${any}`],
    ["in an item", () =>
      trip.pipe(Saga.forEach("all", {
        item: Schema.Any,
        items: () => [],
        key: String,
        each: (fork) => fork
      })), `Saga "Trip", at "all": ${any}`]
  ])

  it("is not what Schema.Unknown, a recursive schema without it, or a plain class is", () => {
    class Plain extends Schema.Class<Plain>("Plain")({ id: Schema.String, at: Schema.DateTimeUtc }) {}
    interface List {
      readonly next: List | undefined
    }
    const List: Schema.Codec<List> = Schema.Struct({ next: Schema.UndefinedOr(Schema.suspend(() => List)) })
    for (const schema of [Schema.Unknown, Plain, List, Schema.Json]) assert.doesNotThrow(step(schema))
  })
})

describe("limits", () => {
  const message = (where: string, option: string, given: string) =>
    `Saga "Trip"${where}: \`${option}\` must be longer than zero and finite, not ${given} ms`
  const step = (options: object) => () => trip.pipe(Saga.step("a", { ...done, ...options }))
  refuses([
    ["of a step: zero", step({ timeout: 0, whenUncertain: "report" }), message(", at \"a\"", "timeout", "0")],
    ["of a step: infinite", step({ timeout: Infinity }), message(", at \"a\"", "timeout", "Infinity")],
    [
      "of a compensation",
      step({ compensationTimeout: "0 seconds" }),
      message(", at \"a\"", "compensationTimeout", "0")
    ],
    ["of a saga", () => trip.pipe(Saga.timeout(0)), message("", "timeout", "0")],
    ["of an unwind", () => trip.pipe(Saga.unwind({ deadline: Infinity })), message("", "unwind.deadline", "Infinity")]
  ])

  for (const concurrency of [0, -1, 1.5, NaN, -Infinity]) {
    refuses([
      [
        `of a parallel: ${concurrency}`,
        () => trip.pipe(Saga.parallel((fork) => [fork], { concurrency })),
        `Saga "Trip": \`concurrency\` must be a whole number from 1 up, not ${concurrency}`
      ],
      [
        `of a forEach: ${concurrency}`,
        () =>
          trip.pipe(Saga.forEach("all", {
            item: Schema.String,
            items: () => [],
            key: String,
            concurrency,
            each: (fork) => fork
          })),
        `Saga "Trip", at "all": \`concurrency\` must be a whole number from 1 up, not ${concurrency}`
      ]
    ])
  }
})

describe("order", () => {
  const behind = (kind: string, name: string) =>
    `Saga "Trip", at "${name}": a ${kind} cannot follow the pivot or a retriable: nothing is compensated there. ` +
    "Move it before, or make it a retriable"
  const inBranch = (where: string) =>
    `Saga "Trip"${where}: a retriable or pivot cannot stand in a branch before the commit point`
  const paying = Saga.make("Pay", { payload: Schema.Void }).pipe(Saga.pivot("charge", { action: () => Effect.void }))
  const before = forced<(fork: unknown) => typeof trip>
  refuses([
    ["a step behind the pivot", () => committed.pipe(Saga.step("a", done)), behind("step", "a")],
    [
      "a check behind the pivot",
      () => committed.pipe(Saga.check("a", { action: () => Effect.void })),
      behind("check", "a")
    ],
    ["a second pivot", () => committed.pipe(Saga.pivot("a", { action: () => Effect.void })), behind("pivot", "a")],
    [
      "a step behind a retriable",
      () => forced<typeof trip>(trip.pipe(Saga.retriable("mail", again))).pipe(Saga.step("a", done)),
      behind("step", "a")
    ],
    [
      "a step in a branch behind the pivot",
      () => committed.pipe(Saga.when("maybe", () => true, (fork) => fork.pipe(Saga.step("a", done)))),
      behind("step", "maybe/a")
    ],
    [
      "a nested saga behind the pivot",
      () => committed.pipe(Saga.nested("in", trip, () => {})),
      "Saga \"Trip\", at \"in\": a nested saga cannot follow the pivot or a retriable: nothing is compensated there. Move it before"
    ],
    [
      "an orElse behind the pivot",
      () => committed.pipe(Saga.orElse("way", (fork) => fork, (fork) => fork)),
      "Saga \"Trip\", at \"way\": an orElse cannot follow the pivot or a retriable: nothing is compensated there. Move it before"
    ],
    [
      "a retriable in a parallel branch",
      () => trip.pipe(Saga.parallel(forced((fork: typeof trip) => [fork.pipe(Saga.retriable("a", again))]))),
      inBranch("")
    ],
    [
      "a pivot in a forEach",
      () =>
        trip.pipe(Saga.forEach("all", {
          item: Schema.String,
          items: () => [],
          key: (item) => item,
          each: forced<() => never>((fork: typeof trip) => fork.pipe(Saga.pivot("a", { action: () => Effect.void })))
        })),
      inBranch(", at \"all\"")
    ],
    [
      "a pivot in a when",
      () =>
        trip.pipe(
          Saga.when(
            "maybe",
            () => true,
            before((fork: typeof trip) => fork.pipe(Saga.pivot("a", { action: () => Effect.void }))) as never
          )
        ),
      inBranch(", at \"maybe\"")
    ],
    [
      "a pivot in a match",
      () =>
        trip.pipe(
          Saga.match("kind", () => "x", {
            x: before((fork: typeof trip) => fork.pipe(Saga.pivot("a", { action: () => Effect.void }))) as never
          })
        ),
      inBranch(", at \"kind/x\"")
    ],
    [
      "a pivot in an orElse",
      () =>
        trip.pipe(
          Saga.orElse(
            "way",
            (fork) => fork,
            before((fork: typeof trip) => fork.pipe(Saga.pivot("a", { action: () => Effect.void }))) as never
          )
        ),
      inBranch(", at \"way/second\"")
    ],
    [
      "a nested saga with a pivot in a branch",
      () =>
        trip.pipe(
          Saga.when(
            "maybe",
            () => true,
            before((fork: typeof trip) => fork.pipe(Saga.nested("pay", paying, () => {}))) as never
          )
        ),
      "Saga \"Trip\", at \"maybe/pay\": a saga with a pivot or a retriable can only be nested in the top-level sequence"
    ],
    [
      "a nested saga with a pivot in a parallel branch",
      () => trip.pipe(Saga.parallel(forced((fork: typeof trip) => [fork.pipe(Saga.nested("pay", paying, () => {}))]))),
      inBranch("")
    ],
    [
      "anything behind `output`",
      () => forced<typeof trip>(trip.pipe(Saga.output(Schema.Void, () => {}))).pipe(Saga.step("a", done)),
      "Saga \"Trip\", at \"a\": nothing can follow `output`: put it at the end"
    ],
    [
      "an `output` in a branch of `parallel`",
      () => trip.pipe(Saga.parallel(forced((fork: typeof trip) => [fork.pipe(Saga.output(Schema.Void, () => {}))]))),
      "Saga \"Trip\": `output` has no place in a branch of `parallel`: its results are results of the saga"
    ],
    [
      "a step without a compensation",
      () => trip.pipe(Saga.step("a", forced<typeof done>({ action: () => Effect.void }))),
      "Saga \"Trip\", at \"a\": a step says how it is compensated, or it is a check, a pivot or a retriable"
    ],
    [
      "a branch that is another saga",
      () => trip.pipe(Saga.when("maybe", () => true, forced(() => trip))),
      "Saga \"Trip\", at \"maybe\": a branch is made of the fork that it is given; another saga is put in by `nested`"
    ],
    [
      "a limit on a branch",
      () => trip.pipe(Saga.when("maybe", () => true, forced((fork: typeof trip) => fork.pipe(Saga.timeout(1))))),
      "Saga \"Trip\", at \"maybe\": `timeout`, `unwind`, `onStuck` and `migrateFrom` hold for a whole saga: say them outside the branch"
    ]
  ])
})

it("the shape of a saga is plain data", () => {
  const inner = Saga.make("Inner", { payload: Schema.Void, version: 3 }).pipe(Saga.step("a", done), Saga.timeout(9))
  const saga = Saga.make("Whole", { payload: Schema.Void }).pipe(
    Saga.step("a", { ...done, retry: Schedule.recurs(1), timeout: "1 second", whenUncertain: "stuck" }),
    Saga.parallel((fork) => [fork.pipe(Saga.check("b", { action: () => Effect.void })), fork]),
    Saga.forEach("c", {
      item: Schema.String,
      items: () => [],
      key: String,
      concurrency: 4,
      each: (fork) => fork.pipe(Saga.step("x", done))
    }),
    Saga.when("d", () => true, (fork) => fork.pipe(Saga.sleep("y", 1))),
    Saga.match("e", () => "p", { p: (fork) => fork, q: (fork) => fork.pipe(Saga.step("z", done)) }),
    Saga.nested("f", inner, () => {}),
    Saga.orElse("g", (fork) => fork.pipe(Saga.step("x", done)), (fork) => fork),
    Saga.pivot("h", { action: () => Effect.void }),
    Saga.retriable("i", again),
    Saga.timeout("1 minute")
  )
  const step = (name: string, changes: object = {}) => ({
    kind: "step",
    name,
    compensated: true,
    whenUncertain: "report",
    retried: false,
    timeoutMillis: undefined,
    ...changes
  })
  assert.deepStrictEqual<unknown>(
    JSON.parse(JSON.stringify(Saga.definition(saga))),
    JSON.parse(JSON.stringify({
      saga: "Whole",
      version: 1,
      timeoutMillis: 60_000,
      nodes: [
        step("a", { whenUncertain: "stuck", retried: true, timeoutMillis: 1_000 }),
        { kind: "parallel", concurrency: Infinity, branches: [[step("b", { kind: "check", compensated: false })], []] },
        { kind: "forEach", name: "c", concurrency: 4, each: [step("x")] },
        { kind: "when", name: "d", cases: [{ tag: "then", nodes: [{ kind: "sleep", name: "y" }] }] },
        { kind: "match", name: "e", cases: [{ tag: "p", nodes: [] }, { tag: "q", nodes: [step("z")] }] },
        { kind: "nested", name: "f", saga: { saga: "Inner", version: 3, timeoutMillis: 9, nodes: [step("a")] } },
        { kind: "orElse", name: "g", first: [step("x")], second: [] },
        step("h", { kind: "pivot", compensated: false }),
        step("i", { kind: "retriable", compensated: false, retried: true })
      ]
    }))
  )
})

describe("what only a step has", () => {
  const undone = { ...done, whenUncertain: "report" as const }
  refuses([
    [
      "a check with a compensation",
      () => trip.pipe(Saga.check("a", forced<{ readonly action: () => Effect.Effect<void> }>(undone))),
      "Saga \"Trip\", at \"a\": a check is not compensated: make it a step, or leave out `compensation` and `whenUncertain`"
    ],
    [
      "a second output",
      () => trip.pipe(Saga.output(Schema.Int, () => 1), Saga.output(Schema.Int, () => 2)),
      "Saga \"Trip\": there is an `output` already: say it once, at the end"
    ]
  ])
})
