/**
 * What keeps secrets out of a journal: a cipher through which an engine writes and reads.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { JournalUnavailable } from "./JournalError.ts"

/**
 * A text was sealed with a key that the cipher does not have.
 *
 * @category errors
 * @since 0.1.0
 */
export class KeyUnknown extends Data.TaggedError("KeyUnknown")<{ readonly keyId: string }> {
  override get message(): string {
    return `it was sealed with the key ${
      JSON.stringify(this.keyId)
    }, which the cipher does not have. Give it that key beside the current one`
  }
}

/**
 * A text cannot be opened with the key that it names, or names none: it was changed, or moved from another place, or its
 * key is not the one that it was sealed with.
 *
 * @category errors
 * @since 0.1.0
 */
export class SealBroken extends Data.TaggedError("SealBroken")<{ readonly keyId: string | undefined }> {
  override get message(): string {
    return this.keyId === undefined
      ? "it is sealed in a way that the cipher does not know. Give the engine the cipher that the journal was written with"
      : `the key ${
        JSON.stringify(this.keyId)
      } does not open it: it was changed or moved, or another key has this id now`
  }
}

/**
 * The cipher of the journals of the engines that are built with it.
 *
 * **When to use**
 *
 * Use for sagas with `Schema.Redacted` in a payload, an item, a result, an error or an output: without a cipher an engine
 * refuses them. `AesGcm` of `effect-saga/encryption` is one; write your own where a service keeps the keys.
 *
 * **Details**
 *
 * Provide it to the layer of the engine. What every fact of every saga says, and every word to an execution, is then
 * sealed before the journal sees it. What was written before there was a cipher is read as it is.
 *
 * A fact that cannot be opened parks its execution as stuck, with the reason, and harms no other.
 *
 * **Gotchas**
 *
 * In the clear stay the names of sagas, versions and definitions, ids, tags, the kinds and times of facts, the paths of
 * the steps that are open in an execution that is stuck, and how long the texts are. Keep secrets out of `key`, `tags` and
 * the messages of errors, which loggers print.
 *
 * Whoever can write to the store can put plain facts in place of sealed ones: a cipher keeps secrets, it does not prove
 * who wrote.
 *
 * **Example** (A cipher that is none)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { SagaEngine } from "effect-saga/SagaEngine"
 * import { JournalCipher } from "effect-saga/SagaJournal"
 * import { Effect, Layer, Redacted, Schema } from "effect"
 *
 * const reversed = (text: string) => Effect.succeed(Array.from(text).reverse().join(""))
 * const Reversed = Layer.succeed(JournalCipher, { seal: reversed, open: reversed })
 *
 * const login = Saga.make("Login", { payload: Schema.Redacted(Schema.String) }).pipe(
 *   Saga.output(Schema.Int, ({ payload }) => Redacted.value(payload).length)
 * )
 * const Live = Saga.register(login).pipe(Layer.provideMerge(SagaEngine.layerMemory), Layer.provide(Reversed))
 * const program = SagaEngine.use((engine) => engine.execute(login, Redacted.make("hunter2")))
 * await Effect.runPromise(program.pipe(Effect.provide(Live))) // => 7
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class JournalCipher extends Context.Service<JournalCipher, {
  /**
   * Makes of a text one that nobody can read without the key, and that names the key. `place` says where it will stand:
   * what was sealed for one place must not open in another. A batch that is written again is sealed again.
   */
  readonly seal: (text: string, place: string) => Effect.Effect<string, JournalUnavailable>
  /**
   * The text that was sealed for a place. It fails for what will never open; one that has to ask somebody for the key
   * waits until it has the answer.
   */
  readonly open: (sealed: string, place: string) => Effect.Effect<string, KeyUnknown | SealBroken>
}>()("effect-saga/JournalCipher") {}
