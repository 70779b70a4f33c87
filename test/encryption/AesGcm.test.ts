/** `AesGcm`: what is sealed opens with its key and in its place alone, keys change, and no error shows one. */
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Effect, Exit, Layer, Record, Redacted, Result, Schema } from "effect"
import { AesGcm } from "effect-saga/encryption"
import { JournalCipher } from "effect-saga/SagaJournal"
import { inspect } from "node:util"

/** 32 bytes that are all the same, in base64. */
const key = (byte: number, length = 32) => Buffer.alloc(length, byte).toString("base64")

const built = <E>(layer: Layer.Layer<JournalCipher, E>) =>
  Effect.map(Layer.build(layer), (context) => Context.get(context, JournalCipher))

const cipher = (current: string, keys: Record<string, string>) =>
  built(AesGcm.layer({ current, keys: Record.map(keys, (key) => Redacted.make(key)) }))

const configured = <E>(layer: Layer.Layer<JournalCipher, E>, env: Record<string, string>) =>
  Effect.provide(built(layer), ConfigProvider.layer(ConfigProvider.fromUnknown(env)))

const tagOf = (exit: Exit.Exit<unknown, { readonly _tag: string }>) =>
  Result.match(Exit.findError(exit), { onSuccess: ({ _tag }) => _tag, onFailure: () => "none" })

describe("a text", () => {
  it.effect("comes back as it was: empty, of many languages, a megabyte", () =>
    Effect.gen(function*() {
      const { open, seal } = yield* cipher("a", { a: key(1) })
      for (
        const text of [
          "",
          "{}",
          "\ufeff{}",
          "żółw 龟 🐢 \u0000 \ud83d\udc22",
          "龟🐢".repeat(350_000),
          "x".repeat(1 << 20)
        ]
      ) {
        assert.isTrue(text === (yield* open(yield* seal(text, "place"), "place")), text.slice(0, 20))
      }
    }))

  it.effect("is sealed in letters, digits and dots, names its key, and is another one each time", () =>
    Effect.gen(function*() {
      const { seal } = yield* cipher("2026-11", { "2026-11": key(1) })
      const sealed = yield* Effect.all(Array.from({ length: 100 }, () => seal("secret", "place")))
      for (const one of sealed) assert.match(one, /^A256GCM\.2026-11\.[\w-]{16}\.[\w-]{30}$/)
      assert.strictEqual(new Set(sealed.map((one) => one.split(".")[2])).size, 100, "nonces")
    }))

  it.effect("opens in its place alone", () =>
    Effect.gen(function*() {
      const { open, seal } = yield* cipher("a", { a: key(1) })
      const sealed = yield* seal("secret", "fact 1 of e")
      for (const place of ["fact 2 of e", "fact 1 of f", "signal 1 of e", ""]) {
        assert.strictEqual(tagOf(yield* Effect.exit(open(sealed, place))), "SealBroken")
      }
    }))

  it.effect("that was changed anywhere does not open", () =>
    Effect.gen(function*() {
      const { open, seal } = yield* cipher("a", { a: key(1), b: key(2) })
      // 8 bytes and 16 of the tag: in base64 every bit of theirs counts.
      const sealed = yield* seal("a secret", "place")
      const changed = Array.from(sealed, (letter, index) => {
        const other = letter === "." ? "" : letter === "x" ? "y" : "x"
        return sealed.slice(0, index) + other + sealed.slice(index + 1)
      })
      const broken = [...changed, "", ".", "...", sealed.slice(0, -4), `${sealed}AAAA`, sealed.replace(".a.", ".b.")]
      for (const text of broken) {
        const tag = tagOf(yield* Effect.exit(open(text, "place")))
        assert.isTrue(tag === "SealBroken" || tag === "KeyUnknown", `${tag}: ${text}`)
      }
    }))
})

describe("keys", () => {
  it.effect("change: the new one seals, the old one still opens", () =>
    Effect.gen(function*() {
      const before = yield* cipher("old", { old: key(1) })
      const both = yield* cipher("new", { old: key(1), new: key(2) })
      const after = yield* cipher("new", { new: key(2) })
      const [first, second] = [yield* before.seal("one", "p"), yield* both.seal("two", "p")]
      assert.match(second, /^A256GCM\.new\./)
      assert.deepStrictEqual([yield* both.open(first, "p"), yield* both.open(second, "p")], ["one", "two"])
      assert.strictEqual(yield* after.open(second, "p"), "two")
      const unknown = yield* Effect.flip(after.open(first, "p"))
      assert.strictEqual(
        unknown.message,
        `it was sealed with the key "old", which the cipher does not have. Give it that key beside the current one`
      )
    }))

  it.effect("another one under the same id opens nothing", () =>
    Effect.gen(function*() {
      const { seal } = yield* cipher("a", { a: key(1) })
      const { open } = yield* cipher("a", { a: key(2) })
      const broken = yield* Effect.flip(open(yield* seal("secret", "p"), "p"))
      assert.strictEqual(
        broken.message,
        `the key "a" does not open it: it was changed or moved, or another key has this id now`
      )
    }))

  it.effect("what another cipher has sealed is not taken for ours", () =>
    Effect.gen(function*() {
      const { open } = yield* cipher("a", { a: key(1) })
      const { message } = yield* Effect.flip(open("vault:v1:abc", "p"))
      assert.strictEqual(
        message,
        "it is sealed in a way that the cipher does not know. Give the engine the cipher that the journal was written with"
      )
    }))

  const secret = key(7, 31)
  const wrong: ReadonlyArray<[string, string, Record<string, string>, string]> = [
    ["that is not base64", "a", { a: `!${secret}` }, `The key "a" of the journal cannot be used: it is not base64`],
    [
      "of another length",
      "a",
      { a: secret },
      `The key "a" of the journal cannot be used: it has 31 bytes, and AES-256 takes 32`
    ],
    [
      "that is not there",
      "b",
      { a: key(1) },
      `The key "b" of the journal cannot be used: it is the current one, and is not among the keys`
    ],
    [
      "that an object has by itself",
      "constructor",
      { a: key(1) },
      `The key "constructor" of the journal cannot be used: it is the current one, and is not among the keys`
    ],
    [
      "of an id that no row can name",
      "a.b",
      { "a.b": key(1) },
      `The key "a.b" of the journal cannot be used: its id has to be 1 to 64 letters, digits, - and _`
    ],
    [
      "that does not seal, and is wrong",
      "a",
      { a: key(1), b: "" },
      `The key "b" of the journal cannot be used: it has 0 bytes, and AES-256 takes 32`
    ]
  ]
  for (const [what, current, keys, message] of wrong) {
    it.effect(`one ${what} is an error that does not show it`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(cipher(current, keys))
        assert.strictEqual(error._tag, "KeyInvalid")
        assert.strictEqual(error.message, message)
        assert.notInclude(inspect(error, { depth: Infinity }) + JSON.stringify(error), secret.slice(0, 8))
      }))
  }

  it.effect("come from the configuration, which says which one is missing", () =>
    Effect.gen(function*() {
      const layer = AesGcm.layerConfig({
        current: Config.String("CURRENT"),
        keys: { a: Config.Redacted("KEY_A"), b: Config.Redacted("KEY_B") }
      })
      const { seal } = yield* configured(layer, { CURRENT: "b", KEY_A: key(1), KEY_B: ` ${key(2)}\n` })
      const { open } = yield* cipher("b", { b: key(2) })
      assert.strictEqual(yield* open(yield* seal("secret", "p"), "p"), "secret")
      const missing = yield* Effect.flip(configured(layer, { CURRENT: "b", KEY_A: key(1) }))
      assert.match(missing.message, /KEY_B/)
      assert.notInclude(missing.message, key(1))
    }))

  it.effect("may stand in one variable, by their ids", () =>
    Effect.gen(function*() {
      const Keys = Schema.fromJsonString(Schema.Record(Schema.String, Schema.RedactedFromValue(Schema.String)))
      const { open, seal } = yield* configured(
        AesGcm.layerConfig({ current: Config.String("CURRENT"), keys: Config.schema(Keys, "KEYS") }),
        { CURRENT: "b", KEYS: JSON.stringify({ a: key(1), b: key(2) }) }
      )
      assert.match(yield* seal("secret", "p"), /^A256GCM\.b\./)
      const old = yield* cipher("a", { a: key(1) })
      assert.strictEqual(yield* open(yield* old.seal("secret", "p"), "p"), "secret")
    }))
})
