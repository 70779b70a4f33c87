/** What every journal promises. Each backend runs all of it. */
import { it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { SagaJournal } from "effect-saga/SagaJournal"
import { describe } from "vitest"
import { claiming } from "./claiming.ts"
import { keeping } from "./keeping.ts"
import { leases } from "./leases.ts"
import { listing } from "./listing.ts"
import type { PromiseTest } from "./promise.ts"
import { reading } from "./reading.ts"
import { writing } from "./writing.ts"

export interface Backend {
  /** A journal with nothing in it. */
  readonly layer: Layer.Layer<SagaJournal, unknown>
  /** Whether it notices the death of a holder before its lease has run out. */
  readonly noticesDeath: boolean
}

export const suite = (name: string, { layer, noticesDeath }: Backend) =>
  describe(`the journal ${name}`, () => {
    const test: PromiseTest = (promise, body) =>
      void it.effect(promise, () => Effect.provide(Effect.flatMap(SagaJournal, body), layer))
    writing(test)
    leases(test, noticesDeath)
    claiming(test)
    reading(test)
    listing(test)
    keeping(test)
  })
