/**
 * The cipher of a journal by AES-256-GCM, as the web platform has it.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Aead from "effect/crypto/Aead"
import type { CryptoError } from "effect/crypto/CryptoError"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { JournalCipher, JournalUnavailable, KeyUnknown, SealBroken } from "../SagaJournal.ts"

/** Every platform has these; the build knows none of them. */
declare const TextEncoder: new() => { readonly encode: (text: string) => Uint8Array }
declare const TextDecoder: new(label: "utf-8", options: { readonly ignoreBOM: boolean }) => {
  readonly decode: (bytes: Uint8Array) => string
}

/**
 * The keys of a journal.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The id of the key that seals. The others only open what they have sealed. */
  readonly current: string
  /**
   * The keys by their ids: 32 random bytes each, in base64, as `openssl rand -base64 32` makes them. An id stands in
   * every row: 1 to 64 letters, digits, `-` and `_`. A key that is put in place of another one needs a new id.
   */
  readonly keys: Readonly<Record<string, Redacted.Redacted>>
}

/**
 * A key cannot be used.
 *
 * @category errors
 * @since 0.1.0
 */
export class KeyInvalid extends Data.TaggedError("KeyInvalid")<{
  readonly keyId: string
  readonly problem: string
}> {
  override get message(): string {
    return `The key ${JSON.stringify(this.keyId)} of the journal cannot be used: ${this.problem}`
  }
}

type Key = Aead.Key<typeof Aead.aes256Gcm>

const validId = /^[\w-]{1,64}$/

const keyOf = (keyId: string, text: Redacted.Redacted): Effect.Effect<Key, KeyInvalid> => {
  const invalid = (problem: string) => Effect.fail(new KeyInvalid({ keyId, problem }))
  if (!validId.test(keyId)) return invalid("its id has to be 1 to 64 letters, digits, - and _")
  // The error of the decoder holds the text.
  const bytes = Base64.decode(Redacted.value(text).trim())
  if (Result.isFailure(bytes)) return invalid("it is not base64")
  const { length } = bytes.success
  return length === Aead.aes256Gcm.keyLength
    ? Effect.orDie(Aead.key(Aead.aes256Gcm, bytes.success))
    : invalid(`it has ${length} bytes, and AES-256 takes ${Aead.aes256Gcm.keyLength}`)
}

const encoder = new TextEncoder()
/** What begins with a byte order mark keeps it. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** What a sealed text begins with. Behind it come the id of the key, the nonce and what AES-GCM made, all between dots. */
const mark = "A256GCM"

const make = Effect.fnUntraced(function*(options: Options) {
  const aead = yield* Aead.Aead
  const { randomBytes } = yield* SecureRandom.SecureRandom
  const keys = new Map<string, Key>()
  for (const [keyId, text] of Object.entries(options.keys)) keys.set(keyId, yield* keyOf(keyId, text))
  const current = keys.get(options.current)
  if (current === undefined) {
    return yield* new KeyInvalid({
      keyId: options.current,
      problem: "it is the current one, and is not among the keys"
    })
  }

  const seal = (text: string, place: string): Effect.Effect<string, CryptoError> =>
    Effect.flatMap(randomBytes(Aead.aes256Gcm.nonceLength), (nonce) =>
      Effect.map(
        aead.encrypt(current, encoder.encode(text), { nonce, aad: encoder.encode(place) }),
        (bytes) => [mark, options.current, Base64Url.encode(nonce), Base64Url.encode(bytes)].join(".")
      ))

  const open = (sealed: string, place: string): Effect.Effect<string, KeyUnknown | SealBroken> => {
    const [begin, keyId, ...parts] = sealed.split(".")
    const [nonce, bytes] = parts.map((part) => Result.getOrUndefined(Base64Url.decode(part)))
    if (begin !== mark || keyId === undefined) return Effect.fail(new SealBroken({ keyId: undefined }))
    const key = keys.get(keyId)
    if (key === undefined) return Effect.fail(new KeyUnknown({ keyId }))
    return nonce === undefined || bytes === undefined
      ? Effect.fail(new SealBroken({ keyId }))
      : Effect.mapBoth(aead.decrypt(key, bytes, { nonce, aad: encoder.encode(place) }), {
        onSuccess: (bytes) => decoder.decode(bytes),
        onFailure: () => new SealBroken({ keyId })
      })
  }

  // A platform that cannot do it says so now, and not in the middle of a saga.
  yield* Effect.orDie(seal("", ""))
  return JournalCipher.of({
    seal: (text, place) =>
      Effect.mapError(seal(text, place), (cause) => new JournalUnavailable({ operation: "seal", cause })),
    open
  })
})

const platform = Layer.provideMerge(Aead.layerWebCrypto, SecureRandom.layerWebCrypto)

/**
 * A cipher with these keys.
 *
 * **When to use**
 *
 * Use where a program has the keys already, from a vault for example. Where they stand in the environment, `layerConfig`
 * reads them.
 *
 * **Details**
 *
 * See `layerConfig`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<JournalCipher, KeyInvalid> =>
  Layer.provide(Layer.effect(JournalCipher, make(options)), platform)

/**
 * A cipher with the keys of the configuration.
 *
 * **When to use**
 *
 * Use so that an engine may run sagas with `Schema.Redacted`, and to keep everything that a journal holds from those who
 * can read the database and do not have the key.
 *
 * **Details**
 *
 * Each fact is sealed with the current key, and the row names it. To bring in a new key, give it to all processes beside
 * the old one, then make it the current one of all. The old one can go when no row names it any more:
 * `SELECT 1 FROM saga_facts WHERE data LIKE '{"sealed":"A256GCM.<id>.%'`.
 *
 * A sealed fact opens in its place alone: moved to another one, or to another execution, it is broken.
 *
 * **Gotchas**
 *
 * A key that is lost takes the executions with it: they are parked as stuck, and go on by a retry when it is found again.
 *
 * The nonces are random: a key is good for 2^32 facts. Change it before.
 *
 * A sealed text takes a third more room, and a value of a megabyte as long as the store takes it.
 *
 * **Example** (A token in a payload, and two keys)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { SagaEngine } from "effect-saga/SagaEngine"
 * import { AesGcm } from "effect-saga/encryption"
 * import { Config, ConfigProvider, Effect, Layer, Redacted, Schema } from "effect"
 *
 * const Cipher = AesGcm.layerConfig({
 *   current: Config.succeed("2026-11"),
 *   keys: { "2026-11": Config.Redacted("JOURNAL_KEY_2026_11"), "2025-12": Config.Redacted("JOURNAL_KEY_2025_12") }
 * })
 *
 * const login = Saga.make("Login", { payload: Schema.Struct({ token: Schema.Redacted(Schema.String) }) }).pipe(
 *   Saga.output(Schema.Int, ({ payload }) => Redacted.value(payload.token).length)
 * )
 * const Live = Saga.register(login).pipe(
 *   Layer.provideMerge(SagaEngine.layerMemory),
 *   Layer.provide(Cipher),
 *   Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({
 *     JOURNAL_KEY_2026_11: "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=",
 *     JOURNAL_KEY_2025_12: "3q2+796tvu/erb7v3q2+796tvu/erb7v3q2+796tvu8="
 *   })))
 * )
 * const program = SagaEngine.use((engine) => engine.execute(login, { token: Redacted.make("hunter2") }))
 * await Effect.runPromise(program.pipe(Effect.provide(Live))) // => 7
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<JournalCipher, KeyInvalid | Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
