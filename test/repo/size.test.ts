import { join } from "node:path"
import { brotliCompressSync } from "node:zlib"
import { rolldown } from "rolldown"
import { expect, it } from "vitest"
import { root } from "./sources.ts"

/** By how many bytes a program grows, shaken, minified and compressed: by our own code, and with what that needs. */
const limits = {
  inline: { own: 5_000, all: 5_300 },
  core: { own: 22_000, all: 24_300 }
}

/** What a program has of Effect before it has sagas: a service, a schema, retries, a time limit, logs. */
const program = `
  import * as Context from "effect/Context"
  import * as Effect from "effect/Effect"
  import * as Layer from "effect/Layer"
  import * as Schedule from "effect/Schedule"
  import * as Schema from "effect/Schema"
  class Order extends Schema.Class("Order")({ id: Schema.String }) {}
  class Shop extends Context.Service()("Shop") {}
  Effect.gen(function*() {
    const order = yield* Schema.decodeUnknownEffect(Order)({ id: "1" })
    yield* Shop.use((shop) => shop.sell(order))
  }).pipe(
    Effect.retry(Schedule.exponential("100 millis")),
    Effect.timeout("1 second"),
    Effect.tapCause((cause) => Effect.logError(cause)),
    Effect.provide(Layer.succeed(Shop, { sell: () => Effect.void })),
    Effect.runFork
  )`

const additions = {
  inline: `
    import { Saga } from "effect-saga"
    globalThis.saga = Saga.scoped(Effect.succeed(1).pipe(Saga.withCompensation(() => Effect.void)))`,
  core: `
    import * as core from "effect-saga"
    globalThis.core = core`
}

const bytes = async (program: string, external: Array<RegExp>): Promise<number> => {
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

const growth = async (addition: string, external: Array<RegExp> = []): Promise<number> =>
  await bytes(program + addition, external) - await bytes(program, external)

for (const [name, addition] of Object.entries(additions)) {
  const { all, own } = limits[name as keyof typeof limits]

  it(`${name}: a program grows by at most ${own} bytes of our own code`, async () => {
    expect(await growth(addition, [/^effect\//])).toBeLessThanOrEqual(own)
  })

  it(`${name}: a program grows by at most ${all} bytes in all`, async () => {
    expect(await growth(addition)).toBeLessThanOrEqual(all)
  })
}
