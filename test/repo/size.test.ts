import { join } from "node:path"
import { brotliCompressSync } from "node:zlib"
import { rolldown } from "rolldown"
import { expect, it } from "vitest"
import { root } from "./sources.ts"

/** Bytes after tree shaking, minifying and brotli. */
const limits = {
  inline: { own: 4_000, added: 5_000 },
  core: { own: 20_000, added: 30_000 }
}

const plain = `
  import * as Effect from "effect/Effect"
  import * as Schedule from "effect/Schedule"
  import * as Schema from "effect/Schema"
  class Order extends Schema.Class("Order")({ id: Schema.String }) {}
  const order = Schema.decodeUnknownEffect(Order)({ id: "1" })
  Effect.runFork(order.pipe(Effect.retry(Schedule.exponential(100)), Effect.timeout(100)))`

/** A program with a saga, beside one that does what it can without. */
const programs = {
  inline: {
    without: `
      import * as Effect from "effect/Effect"
      const seat = Effect.acquireRelease(Effect.succeed(1), () => Effect.void)
      Effect.runFork(Effect.scoped(Effect.gen(function*() { yield* seat })))`,
    with: `
      import * as Effect from "effect/Effect"
      import { Saga } from "effect-saga"
      const seat = Effect.succeed(1).pipe(Saga.withCompensation(() => Effect.void))
      Effect.runFork(Saga.scoped(Effect.gen(function*() { yield* seat })))`
  },
  core: {
    without: plain,
    with: `${plain}
      import * as core from "effect-saga"
      globalThis.core = core`
  }
}

const bytes = async (program: string, external: Array<RegExp> = []): Promise<number> => {
  const entry = join(root, "size.ts")
  const bundle = await rolldown({
    input: entry,
    tsconfig: join(root, "tsconfig.json"),
    external,
    plugins: [{
      name: "program",
      load: (id) => id === entry ? program : null,
      resolveId: (id) => id === entry ? id : null
    }]
  })
  const { output: [{ code }] } = await bundle.generate({ minify: true })
  return brotliCompressSync(code).length
}

for (const [name, program] of Object.entries(programs)) {
  const { added, own } = limits[name as keyof typeof limits]

  it(`${name}: our own code is at most ${own} bytes`, async () => {
    expect(await bytes(program.with, [/^effect\//])).toBeLessThanOrEqual(own)
  })

  it(`${name}: a program grows by at most ${added} bytes`, async () => {
    expect(await bytes(program.with) - await bytes(program.without)).toBeLessThanOrEqual(added)
  })
}
