/**
 * The order service: an engine on one file, the saga that it runs, and the orders that it takes. It is a process of its
 * own, made to be killed. It stays until it is told to stop, or until the process is gone that has started it.
 *
 *     node worker.ts <file of the journal> <file of the books>
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer } from "effect"
import { Saga } from "../../src/index.ts"
import { SqlSagaEngine } from "../../src/sql/index.ts"
import * as NodeSqlite from "../../src/sql/NodeSqlite.ts"
import { endWithParent } from "../killable.ts"
import { Books } from "./books.ts"
import { incoming, takeAll } from "./intake.ts"
import { fulfil } from "./saga.ts"
import { Participants } from "./services.ts"

const [journal, books] = process.argv.slice(2)

const Engine = SqlSagaEngine.layerWith({ concurrency: 32, grace: "1 second" }).pipe(
  Layer.provide(NodeSqlite.layer({ filename: journal! }))
)
const Service = Saga.register(fulfil).pipe(
  Layer.provideMerge(Engine),
  Layer.provide(Participants.pipe(Layer.provide(Books.layer(books!))))
)

const program = Effect.gen(function*() {
  const refusals = yield* takeAll(incoming())
  process.send?.(refusals)
  return yield* Effect.never
})

endWithParent()
program.pipe(Effect.provide(Service), NodeRuntime.runMain)
