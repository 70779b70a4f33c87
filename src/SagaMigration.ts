/**
 * Deploying a changed saga: how what an older version has recorded is read by a newer one.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import type { SagaTree } from "./internal/tree.ts"
import type { Phase, Saga, Whole } from "./SagaValue.ts"
import { fromTree, toTree } from "./SagaValue.ts"
import { nameProblem } from "./StepPath.ts"

/**
 * What an older version has recorded at one of its nodes. What is left out was as it is today.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodeMigration {
  /** What the node is called now. What is below it moves along. */
  readonly name?: string
  /** From the result of a step as it was to what it is. */
  readonly success?: Schema.Top
  /** From the error of a step as it was to what it is. */
  readonly error?: Schema.Top
  /** From an item of a `forEach` as it was to what it is. */
  readonly item?: Schema.Top
  /** From the payload of a nested saga as it was to what it is. */
  readonly payload?: Schema.Top
}

/** Whether a schema gives what the saga has today; else what the compiler prints. */
type Gives<S extends Schema.Top, Today, What extends string> = [S] extends [never] ? unknown
  : [S["Type"]] extends [Today] ? unknown
  : `the Type of \`${What}\` is not the ${What} of this saga`

/**
 * Says how executions that an older version of the saga has started are read, so that they go on under this one.
 *
 * **When to use**
 *
 * Use when a saga changes in a way that its executions in a journal do not survive as they are: another payload, another
 * result or error of a step, another name. Raise its `version`, and tell what was different. What is new at an end that
 * no execution has come to needs neither; and to let the executions of the old version end as they began, register that
 * version too.
 *
 * **Details**
 *
 * A schema reads what the older version has written: its encoded side is what stands in the journal, its type is what the
 * saga has today. `OldPayload.pipe(Schema.decodeTo(NewPayload, transformation))` is one. `payload` is that of the saga,
 * `output` what it returned when it had ended, and `steps` are its nodes by the paths that they had, with a `*` in the
 * place of the key of an item. `name` is what such a node is called now. Whatever is not told of is read by today's
 * schemas.
 *
 * Where this saga is registered, and the older version is not, its executions are taken on when they are due: from then on
 * they are of this version, as the fact `SagaMigrated` says, and the older one does not run them any more. An action that
 * had started before keeps its idempotency keys, whatever it is called now. Whoever awaits one with this saga, or joins it
 * with its payload, has everything by the migration, of those too that had ended before.
 *
 * An execution is read as each version wrote it: one of version 1 that version 2 has taken on needs a migration from both
 * in version 3. What cannot be read, or does not fit, is parked with the difference in words before anything of it is
 * done; `SagaEngine.compatible` says beforehand what would be.
 *
 * **Gotchas**
 *
 * An engine that is given both versions has to have the older one when it looks for work: it waits a quarter of a second
 * after a saga with migrations was registered. An engine that has had the older version leaves it its executions for as
 * long as the engine is open.
 *
 * A path of `steps` that leads nowhere in today's saga, or to a node without such a value, is a `SagaDefinitionError` when
 * the saga is registered. What a nested saga tells of its own older versions counts where it is a saga of its own: inside
 * of another one, the other one tells of it. A node moves with its name only: one that is in another place, the tag of a
 * `match` or another nested saga does not fit.
 *
 * **Example** (A payload with one more field, and a step with another name)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { SagaEngine } from "effect-saga/SagaEngine"
 * import { SagaJournal } from "effect-saga/SagaJournal"
 * import { Effect, Layer, Schema, SchemaTransformation } from "effect"
 *
 * const Old = Schema.Struct({ sku: Schema.String })
 * const Order = Schema.Struct({ sku: Schema.String, count: Schema.Int })
 *
 * const reserve = {
 *   success: Schema.String,
 *   action: (_: unknown, { idempotencyKey }: Saga.StepContext) => Effect.succeed(`by ${idempotencyKey}`),
 *   compensation: () => Effect.void
 * }
 * const before = Saga.make("Order", { payload: Old }).pipe(
 *   Saga.step("reserve", reserve),
 *   Saga.sleep("rest", "500 millis")
 * )
 * const after = Saga.make("Order", { payload: Order, version: 2 }).pipe(
 *   Saga.step("hold", reserve),
 *   Saga.sleep("rest", "500 millis"),
 *   Saga.output(Schema.String, ({ hold, payload }) => `${payload.count} ${payload.sku}, ${hold}`),
 *   Saga.migrateFrom(1, {
 *     payload: Old.pipe(Schema.decodeTo(
 *       Order,
 *       SchemaTransformation.transform({ decode: ({ sku }) => ({ sku, count: 1 }), encode: ({ sku }) => ({ sku }) })
 *     )),
 *     steps: { reserve: { name: "hold" } }
 *   })
 * )
 *
 * const Yesterday = Saga.register(before).pipe(Layer.provideMerge(Layer.fresh(SagaEngine.layer)))
 * const Today = Saga.register(after).pipe(Layer.provideMerge(Layer.fresh(SagaEngine.layer)))
 * const program = Effect.gen(function*() {
 *   yield* SagaEngine.use((engine) => engine.start(before, { sku: "tea" }, { executionId: "one" })).pipe(
 *     Effect.provide(Yesterday)
 *   )
 *   return yield* SagaEngine.use((engine) => engine.await(after, "one")).pipe(Effect.provide(Today))
 * })
 * await Effect.runPromise(program.pipe(Effect.provide(SagaJournal.layerMemory))) // => "1 tea, by one/reserve"
 * ```
 *
 * @category options
 * @since 0.1.0
 */
export const migrateFrom = <PS extends Schema.Top = never, OS extends Schema.Top = never>(
  version: number,
  options: {
    readonly payload?: PS
    readonly output?: OS
    readonly steps?: Readonly<Record<string, NodeMigration>>
  } = {}
) =>
<P0, S, O, A, E, R, P extends Phase>(
  self: Saga<P0, S, O, A, E, R, P> & Whole<P0> & Gives<PS, P0, "payload"> & Gives<OS, A, "output">
): Saga<P0, S, O, A, E, R, P> => {
  const tree = toTree(self)
  const { migrations } = tree.options
  const problem = versionProblem(tree, version)
  if (problem !== undefined) throw tree.error("", problem)
  const { output, payload, steps = {} } = options
  if (payload !== undefined) tree.schema("payload", payload)
  if (output !== undefined) tree.schema("output", output)
  for (const [pattern, node] of Object.entries(steps)) check(tree, pattern, node)
  return fromTree(tree.withOptions({ migrations: new Map(migrations).set(version, { payload, output, nodes: steps }) }))
}

const versionProblem = (tree: SagaTree, version: number): string | undefined => {
  const own = tree.definition.version
  return !Number.isInteger(version) || version < 0 || version >= own
    ? `\`migrateFrom\` is told of version ${version}, and this is version ${own}: give a whole number below it`
    : tree.options.migrations.has(version)
    ? `there is a \`migrateFrom(${version}, ...)\` already: say all of it at once`
    : undefined
}

const check = (tree: SagaTree, pattern: string, { error, item, name, payload, success }: NodeMigration): void => {
  const problem = name === undefined ? undefined : nameProblem(name)
  if (problem !== undefined) throw tree.error(pattern, problem)
  for (const schema of [error, item, payload, success]) if (schema !== undefined) tree.schema(pattern, schema)
}
