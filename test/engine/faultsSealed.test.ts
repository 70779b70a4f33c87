/** All faults of an engine once more, with a cipher between it and its store: to the engine it makes no difference. */
import { Effect, Layer, Redacted } from "effect"
import { AesGcm } from "effect-saga/encryption"
import type { Journal } from "effect-saga/SagaJournal"
import { JournalCipher } from "effect-saga/SagaJournal"
import { sealedWith } from "../../src/internal/engine/sealed.ts"
import * as faults from "./faults.ts"
import * as callers from "./faultsCallers.ts"
import * as data from "./faultsData.ts"
import { memory } from "./stores.ts"
import type { Backend } from "./world.ts"
import { Store } from "./world.ts"

const Cipher = AesGcm.layer({ current: "k", keys: { k: Redacted.make(Buffer.alloc(32, 1).toString("base64")) } })

/** A day in place of the time that holds where a test says none. */
const long = (leaseMillis: number) => leaseMillis === 10_000 ? 86_400_000 : leaseMillis

const sealed: Backend = {
  shared: memory.shared,
  layer: Layer.effect(
    Store,
    Effect.gen(function*() {
      const store = yield* Store
      const { acquire, renew } = store.journal
      // Its leases go by the clock of the test, which jumps by hours, and what is sealed takes a moment of the world's.
      const lasting: Journal = {
        ...store.journal,
        acquire: (options) => acquire({ ...options, leaseMillis: long(options.leaseMillis) }),
        renew: (lease, millis) => renew(lease, long(millis))
      }
      return { ...store, journal: sealedWith(yield* JournalCipher, lasting) }
    })
  ).pipe(Layer.provide([memory.layer, Cipher]))
}

faults.suite("sealed", sealed)
data.suite("sealed", sealed)
callers.suite("sealed", sealed)
