/** Secrets: no store, log, span, metric or error shows one, and an engine that could not see to that refuses them. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Layer, Metric, Option, Redacted, Schedule, Schema, Stream } from "effect"
import { Saga } from "effect-saga"
import { AesGcm } from "effect-saga/encryption"
import { DomainEvent, EventBus } from "effect-saga/events"
import { SagaEngine } from "effect-saga/SagaEngine"
import type { SagaEvent } from "effect-saga/SagaEvent"
import { JournalCipher, SagaJournal } from "effect-saga/SagaJournal"
import { hasProperty } from "effect/Predicate"
import type { Vault } from "./canary.ts"
import { canary, CurrentVault, looksOf, memory, seenIn, vaults, watchedBy, Witness } from "./canary.ts"
import type { StoreService } from "./world.ts"
import { boot, inTime, problem, state, tagOf, turn } from "./world.ts"

/** An engine on a store. */
const Live = Layer.provide(
  SagaEngine.layer,
  Layer.effect(SagaJournal, Effect.map(CurrentVault, ({ journal }) => journal))
)

const storeOf = ({ journal }: Vault): StoreService => ({
  journal,
  bury: () => Effect.void,
  tamper: () => Effect.void
})

// ------------------------------------------------------------------------------------------- a saga full of secrets

const Secret = Schema.Redacted(Schema.String)
const secret = Redacted.make(canary)

class Declined extends Schema.TaggedError<Declined>()("Declined", { token: Secret }) {}
const declined = () => Effect.fail(new Declined({ token: secret }))

/** As an error of nobody's schema may be. */
const untyped = () => Object.assign(new Error("no", { cause: { secret } }), { secret, list: [secret] })

/** Whatever is secret is the same secret: where it is another one, somebody dies. */
const same = (token: Redacted.Redacted) => {
  assert.strictEqual(Redacted.value(token), canary)
  return token
}

const step = {
  success: Secret,
  action: () => Effect.succeed(secret),
  compensation: (token: Redacted.Redacted | unknown) => Effect.sync(() => assert.isDefined(token))
}

const inner = Saga.make("Inner", { payload: Schema.Struct({ pin: Secret }) }).pipe(
  Saga.step("unlock", { ...step, action: ({ payload }) => Effect.sync(() => same(payload.pin)) }),
  Saga.output(Schema.Array(Secret), ({ unlock }) => [same(unlock)])
)

type How = "succeeds" | "fails" | "dies" | "sticks" | "waits" | "cannot be recorded"

const Payload = Schema.Struct({ how: Schema.String, token: Secret })

const saga = Saga.make("Secrets", { payload: Payload }).pipe(
  Saga.step("login", {
    ...step,
    error: Declined,
    retry: Schedule.recurs(1),
    // The first try fails.
    action: ({ payload }, { attempt }) => attempt === 1 ? declined() : Effect.sync(() => same(payload.token)),
    compensation: (_, { payload }) => payload.how === "sticks" ? Effect.fail(untyped()) : Effect.void,
    compensationRetry: Schedule.recurs(1)
  }),
  Saga.forEach("cards", {
    item: Schema.Struct({ number: Secret }),
    items: ({ login }) => [{ number: same(login) }],
    key: () => "gold",
    each: (fork) =>
      fork.pipe(Saga.step("charge", { ...step, action: ({ item }) => Effect.sync(() => same(item.number)) }))
  }),
  Saga.nested("vault", inner, ({ login }) => ({ pin: same(login) })),
  Saga.orElse(
    "ship",
    (fork) => fork.pipe(Saga.check("near", { error: Declined, action: declined })),
    (fork) => fork.pipe(Saga.step("far", step))
  ),
  Saga.sleep("pause", ({ payload }) => payload.how === "waits" ? "1 hour" : 0),
  Saga.step("odd", {
    success: Schema.Redacted(Schema.String.check(Schema.isMaxLength(1_000))),
    whenUncertain: "report",
    action: ({ payload: { how } }) =>
      how === "dies"
        ? Effect.die(untyped())
        : Effect.succeed(how === "cannot be recorded" ? Redacted.make(canary.repeat(100)) : secret),
    compensation: () => Effect.void
  }),
  Saga.check("stock", {
    error: Declined,
    action: ({ payload: { how }, vault }) =>
      how === "fails" || how === "sticks" ? declined() : Effect.sync(() => void vault.map(same))
  }),
  Saga.output(Schema.Struct({ session: Secret }), ({ login }) => ({ session: same(login) }))
)

/** The same with another idea of its payload, so that nothing of it can be read. */
const another = Saga.make("Secrets", {
  payload: Schema.Struct({ how: Schema.String, token: Schema.Redacted(Schema.Int) })
}).pipe(Saga.step("login", step))

const key = (byte: number) => Redacted.make(Buffer.alloc(32, byte).toString("base64"))
const Cipher = AesGcm.layer({ current: "k", keys: { k: key(1) } })

/** Lets everything happen to executions of the saga, on two engines, and shows a witness all that comes of it. */
const live = (vault: Vault, witness: Witness) =>
  Effect.gen(function*() {
    const store = storeOf(vault)
    const answers = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.map(inTime("there is an answer", Effect.exit(effect)), (exit) => {
        witness.see("answers", exit)
        return exit
      })
    const ask = (engine: SagaEngine["Service"], how: How) => {
      const options = { executionId: how, onStuck: "fail" } as const
      return answers(engine.execute(saga, { how, token: secret }, options))
    }
    const first = yield* boot(store, [saga], { evictAfter: 0 })
    const outcomes = yield* Effect.forEach(
      ["succeeds", "fails", "dies", "sticks", "cannot be recorded"] as const,
      (how) => ask(first.engine, how)
    )
    assert.deepStrictEqual(outcomes.map(Exit.isSuccess), [true, false, false, false, false])
    // Known again, another payload, no payload at all.
    yield* ask(first.engine, "succeeds")
    const other = { how: "fails", token: secret }
    yield* answers(first.engine.execute(saga, other, { executionId: "succeeds" }))
    yield* answers(first.engine.execute(saga, { how: "", token: canary } as never))
    yield* answers(first.engine.execute(saga, { how: "", token: Redacted.make({ canary }) } as never))
    // One that waits, and two that go on after the process: one to be cancelled, one that nobody can read any more.
    for (const executionId of ["waits", "cancelled", "unreadable"]) {
      yield* first.engine.start(saga, { how: "waits", token: secret }, { executionId })
      yield* state(vault.journal, executionId, "Waiting")
    }
    yield* first.close
    const second = yield* boot(store, [saga], { evictAfter: 0 })
    yield* answers(second.engine.cancel("cancelled"))
    assert.strictEqual(tagOf(yield* answers(second.engine.await(saga, "cancelled"))), "SagaCancelled")
    const some = ["succeeds", "fails", "sticks"]
    for (const how of some) {
      yield* answers(second.engine.await(saga, how, { onStuck: "fail" }))
      yield* answers(second.engine.outcome(saga, how, { onStuck: "fail" }))
      yield* answers(Stream.runCollect(second.engine.events(saga, how)))
      yield* answers(second.engine.poll(how))
      yield* answers(second.engine.plan(how))
      yield* answers(second.engine.history(how))
    }
    yield* second.close
    // An engine that has another idea of the saga, and one that has none.
    const third = yield* boot(store, [another], { evictAfter: 0 })
    yield* answers(third.engine.cancel("unreadable"))
    yield* state(vault.journal, "unreadable", "Stuck")
    assert.match(yield* problem(vault.journal, "unreadable"), /^Undecodable: SagaStarted .* Expected number/)
    for (const how of [...some, "unreadable"]) yield* answers(third.engine.history(how))
    yield* answers(third.engine.await(another, "fails"))
    yield* answers(third.engine.rerun("fails", { actor: "a person", comment: "again" }))
    yield* answers(third.engine.compatible([another]))
    yield* third.close
    const fourth = yield* boot(store, [])
    for (const how of some) yield* answers(fourth.engine.history(how))
    yield* answers(fourth.engine.doctor)
    const archive = (lines: ReadonlyArray<string>) => Effect.sync(() => witness.see("archive", ...lines))
    // All have ended before this millisecond.
    const now = yield* Clock.currentTimeMillis
    while ((yield* Clock.currentTimeMillis) < now + 3) yield* turn
    yield* answers(Stream.runDrain(fourth.engine.purge({ olderThan: 1, archive })))
    witness.see("rows", ...yield* vault.content)
  }).pipe(Effect.scoped, watchedBy(witness))

const everywhere = ["answers", "archive", "facts", "logs", "metrics", "rows", "spans"]

/** Of which kinds the facts are that hold something of the user's. */
const eventful: ReadonlyArray<SagaEvent["_tag"]> = [
  "SagaStarted",
  "StepSucceeded",
  "StepAttemptFailed",
  "StepFailed",
  "StepUncertain",
  "ItemsListed",
  "NestedStarted",
  "FellBack",
  "CancelRequested",
  "UnwindStarted",
  "CompensationAttemptFailed",
  "CompensationFailed",
  "SagaSucceeded"
]

/** A saga whose author lets its secret out wherever that is possible. */
const careless = Saga.make("Careless", { payload: Secret }).pipe(
  Saga.step("login", {
    action: ({ payload }) =>
      Effect.gen(function*() {
        const open = Redacted.value(payload)
        yield* Effect.logInfo(`token ${encodeURIComponent(open)}`)
        yield* Effect.annotateCurrentSpan("token", Buffer.from(`Bearer ${open}`).toString("base64"))
        yield* Metric.update(Metric.counter("logins", { attributes: { token: open } }), 1)
        return yield* Effect.die(new Error("no", { cause: new Error(`refused ${open}`) }))
      }),
    compensation: () => Effect.void
  })
)

for (const [name, Vault] of Object.entries(vaults)) {
  describe(`on ${name}`, () => {
    it.live("a secret is found nowhere, whatever becomes of the execution that has it", () =>
      Effect.gen(function*() {
        const witness = new Witness()
        yield* live(yield* CurrentVault, witness)
        assert.deepStrictEqual(witness.places, everywhere)
        const tags = new Set(witness.at("facts").flatMap((fact) => hasProperty(fact, "_tag") ? [fact._tag] : []))
        assert.deepStrictEqual(eventful.filter((tag) => !tags.has(tag)), [], "facts that did not come about")
        assert.deepStrictEqual(witness.found, [])
      }).pipe(Effect.provide([Vault, Cipher])), 60_000)

    it.live("it would be found: in the rows, if the cipher did nothing", () =>
      Effect.gen(function*() {
        const witness = new Witness()
        yield* live(yield* CurrentVault, witness)
        assert.deepStrictEqual(witness.found, ["archive", "rows"])
      }).pipe(
        Effect.provide(Vault),
        Effect.provideService(JournalCipher, { seal: Effect.succeed, open: Effect.succeed })
      ), 60_000)
  })
}

describe("the search", () => {
  it.live("finds what a saga itself lets out", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      yield* Effect.gen(function*() {
        const { engine } = yield* boot(storeOf(yield* CurrentVault), [careless])
        witness.see("answers", yield* Effect.exit(engine.execute(careless, secret)))
      }).pipe(Effect.scoped, watchedBy(witness))
      assert.deepStrictEqual(witness.found, ["answers", "facts", "logs", "metrics", "spans"])
    }).pipe(Effect.provide([memory, Cipher])))

  it("knows the forms that a text takes", () => {
    for (const text of [canary, `a ${canary} b`, `ab ${canary} c`, `abc ${canary}`]) {
      for (const encoding of ["base64", "base64url", "hex", "utf8", "latin1"] as const) {
        assert.isTrue(seenIn(Buffer.from(text).toString(encoding)), encoding)
      }
      assert.isTrue(seenIn(encodeURIComponent(text)) && seenIn(encodeURI(text)) && seenIn(JSON.stringify({ text })))
    }
    assert.isFalse(seenIn("canary: a songbird/of+gold"))
  })
})

// ------------------------------------------------------------------------------------------- refused when defined

const plain = Saga.make("Plain", { payload: Schema.Void })
const about = { action: () => Effect.succeed(secret), compensation: () => Effect.void }

const holders: Record<string, [saga: Saga.AnySaga, path: string, what: string]> = {
  "a payload": [Saga.make("Plain", { payload: Schema.Struct({ deep: Schema.Array(Secret) }) }), "", "payload"],
  "a payload that is made of plain text": [
    Saga.make("Plain", { payload: Schema.RedactedFromValue(Schema.String) }),
    "",
    "payload"
  ],
  "a result": [plain.pipe(Saga.step("login", { ...about, success: Secret })), "login", "result"],
  "an error": [
    plain.pipe(Saga.check("login", { error: Schema.Union([Schema.String, Declined]), action: declined })),
    "login",
    "error"
  ],
  "an item": [
    plain.pipe(
      Saga.forEach("cards", { item: Secret, items: () => [secret], key: () => "gold", each: (fork) => fork })
    ),
    "cards",
    "item"
  ],
  "a step of an item": [
    plain.pipe(
      Saga.forEach("cards", {
        item: Schema.String,
        items: () => [""],
        key: (item) => item,
        each: (fork) => fork.pipe(Saga.step("charge", { ...about, success: Secret }))
      })
    ),
    "cards/charge",
    "result"
  ],
  "a branch": [
    plain.pipe(
      Saga.parallel((fork) => [
        fork.pipe(Saga.check("free", { action: () => Effect.void })),
        fork.pipe(Saga.step("login", { ...about, success: Secret }))
      ])
    ),
    "login",
    "result"
  ],
  "a condition": [
    plain.pipe(Saga.when("gift", () => true, (fork) => fork.pipe(Saga.step("wrap", { ...about, success: Secret })))),
    "gift/wrap",
    "result"
  ],
  "a case": [
    plain.pipe(
      Saga.match("kind", () => "a/b" as const, {
        "a/b": (fork) => fork.pipe(Saga.step("wrap", { ...about, success: Secret }))
      })
    ),
    "kind/a%2Fb/wrap",
    "result"
  ],
  "a second way": [
    plain.pipe(
      Saga.orElse(
        "way",
        (fork) => fork.pipe(Saga.check("first", { error: Schema.String, action: () => Effect.fail("") })),
        (fork) => fork.pipe(Saga.step("login", { ...about, success: Secret }))
      )
    ),
    "way/second/login",
    "result"
  ],
  "the payload of a nested saga": [
    plain.pipe(Saga.nested("vault", inner, () => ({ pin: secret }))),
    "vault",
    "payload"
  ],
  "the output of a nested saga": [
    plain.pipe(Saga.nested("vault", plain.pipe(Saga.output(Secret, () => secret)), () => undefined)),
    "vault",
    "output"
  ],
  "an output": [plain.pipe(Saga.output(Secret, () => secret)), "", "output"]
}

describe("an engine without a cipher", () => {
  for (const [holder, [saga, path, what]] of Object.entries(holders)) {
    it.effect(`refuses a saga with a secret in ${holder}, and writes nothing`, () =>
      Effect.gen(function*() {
        const vault = yield* CurrentVault
        const engine = yield* SagaEngine
        const asked = saga as Saga.Saga<unknown, any, any, any, any, never>
        const before = yield* vault.content
        for (
          const ask of [
            Effect.scoped(engine.register(saga)),
            engine.start(asked, undefined, { executionId: "e" }),
            engine.execute(asked, undefined, { executionId: "e" })
          ]
        ) {
          const error = Cause.squash(Exit.getCause(yield* Effect.exit(ask)).pipe(Option.getOrThrow))
          assert.instanceOf(error, Saga.SagaDefinitionError)
          assert.strictEqual(
            error.message,
            `Saga "Plain"${
              path === "" ? "" : `, at "${path}"`
            }: its ${what} holds a \`Schema.Redacted\`, and a journal `
              + "without a cipher would hold it in plain text. Give the engine a `JournalCipher`, such as "
              + "`AesGcm.layer` of effect-saga/encryption, or use `Saga.run`"
          )
        }
        assert.deepStrictEqual(yield* vault.content, before)
      }).pipe(Effect.provide(Layer.provideMerge(Live, memory))))
  }

  it.effect("runs all others, and a fiber runs those too", () =>
    Effect.gen(function*() {
      const engine = yield* SagaEngine
      const open = Saga.make("Open", { payload: Schema.String }).pipe(
        Saga.output(Schema.String, ({ payload }) => payload)
      )
      yield* engine.register(open)
      assert.strictEqual(yield* engine.execute(open, "you"), "you")
      const token = { how: "succeeds", token: secret }
      assert.deepStrictEqual(yield* Saga.run(saga, token), { session: secret })
    }).pipe(Effect.provide(Layer.provideMerge(Live, memory))))

  it.effect("keeps of an error without a schema what a log would say", () =>
    Effect.gen(function*() {
      const vault = yield* CurrentVault
      const engine = yield* SagaEngine
      const dies = plain.pipe(
        Saga.step("a", {
          action: () => Effect.void,
          compensation: () => Effect.fail(untyped()),
          compensationRetry: Schedule.recurs(0)
        }),
        Saga.check("b", { action: () => Effect.die({ secret, list: [secret], inner: new Map([[secret, secret]]) }) })
      )
      yield* engine.register(dies)
      const witness = new Witness()
      witness.see("answers", yield* Effect.exit(engine.execute(dies, undefined, { onStuck: "fail" })))
      witness.see("rows", ...yield* vault.content)
      assert.deepStrictEqual([witness.places, witness.found], [["answers", "rows"], []])
      assert.isTrue(looksOf(witness.at("rows")).some((look) => look.includes("<redacted>")))
    }).pipe(Effect.provide(Layer.provideMerge(Live, memory))))
})

describe("an engine with a cipher", () => {
  it.effect("refuses a saga with a secret that forbids to be encoded", () =>
    Effect.gen(function*() {
      const engine = yield* SagaEngine
      const closed = Schema.RedactedFromValue(Schema.String, { disallowEncode: true })
      const saga = plain.pipe(Saga.step("login", { ...about, success: closed }))
      const exit = yield* Effect.exit(engine.start(saga, undefined))
      assert.match(
        Cause.pretty(Option.getOrThrow(Exit.getCause(exit))),
        /at "login": its result holds a `Schema.Redacted` that may not be encoded, so that no journal can hold it/
      )
    }).pipe(Effect.provide(Layer.provide(Layer.provideMerge(Live, memory), Cipher))))

  it.live("writes nothing in the clear where a store would take it at once", () =>
    Effect.gen(function*() {
      const engine = yield* SagaEngine
      yield* engine.register(saga)
      const witness = new Witness()
      assert.deepStrictEqual(yield* engine.execute(saga, { how: "succeeds", token: secret }), { session: secret })
      witness.see("rows", ...yield* (yield* CurrentVault).content)
      assert.deepStrictEqual([witness.places, witness.found], [["rows"], []])
    }).pipe(Effect.provide(Layer.provide(Layer.provideMerge(Live, memory), Cipher))))

  it.effect("says of two payloads that they are not the same, and no more", () =>
    Effect.gen(function*() {
      const engine = yield* SagaEngine
      const open = Saga.make("Open", { payload: Schema.String })
      yield* engine.start(open, "1234", { executionId: "e" })
      const conflict = yield* Effect.flip(engine.start(open, "4321", { executionId: "e" }))
      assert.strictEqual(
        conflict.message,
        "The execution \"e\" of saga \"Open\" exists with another payload (<redacted>, not <redacted>). Start it under another id, or with the payload it has"
      )
    }).pipe(Effect.provide(Layer.provide(Layer.provideMerge(Live, memory), Cipher))))
})

it.effect("an event that holds a secret is refused by an engine without a cipher, and kept by one that has one", () =>
  Effect.gen(function*() {
    const Revealed = DomainEvent.make("Revealed", { payload: Schema.Struct({ token: Secret }), key: () => "o" })
    const publish = EventBus.use((bus) => bus.publish(Revealed, { token: secret }))
    const kept = SagaJournal.use((journal) =>
      journal.events.read([{ executionId: "nobody", type: "Revealed", key: "o", after: 0 }], 10)
    )
    const both = Effect.all([Effect.exit(publish), kept])
    const plain = yield* Effect.provide(both, Layer.provideMerge(SagaEngine.layer, SagaJournal.layerMemory))
    assert.include(Exit.isFailure(plain[0]) ? Cause.pretty(plain[0].cause) : "it is kept", "JournalCipher")
    assert.deepStrictEqual(plain[1], [[]])
    const sealed = yield* Effect.provide(
      both,
      Layer.provideMerge(SagaEngine.layer, Layer.merge(SagaJournal.layerMemory, Cipher))
    )
    assert.isTrue(Exit.isSuccess(sealed[0]))
    assert.strictEqual(sealed[1][0]!.length, 1)
    assert.notInclude(JSON.stringify(sealed[1]), canary)
  }))
