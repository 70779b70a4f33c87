/**
 * The service as a process: an engine on one file, the saga that it runs, and a port. When it is told to stop it takes no
 * more requests, gives the orders in flight their time, and leaves the others to the next one.
 *
 *     node serve.ts <file of the journal> <file of the books>
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import { createServer } from "node:http"
import { Saga } from "../../src/index.ts"
import { SqlSagaEngine } from "../../src/sql/index.ts"
import * as NodeSqlite from "../../src/sql/NodeSqlite.ts"
import { endWithParent } from "../killable.ts"
import { Books } from "../order-service/books.ts"
import { fulfil } from "../order-service/saga.ts"
import { Participants } from "../order-service/services.ts"
import { Server } from "./server.ts"

const [journal, books] = process.argv.slice(2)

const Engine = Saga.register(fulfil).pipe(
  Layer.provide(Participants.pipe(Layer.provide(Books.layer(books!)))),
  Layer.provideMerge(SqlSagaEngine.layer),
  Layer.provide(NodeSqlite.layer({ filename: journal! }))
)

/** Tells its port to the process that has started it. */
const Ready = Layer.effectDiscard(
  HttpServer.HttpServer.use(({ address }) => Effect.sync(() => "port" in address && process.send?.(address.port)))
)

endWithParent()
Layer.launch(Ready.pipe(
  Layer.provideMerge(Server),
  Layer.provide([Engine, NodeHttpServer.layer(createServer, { port: 0 })])
)).pipe(NodeRuntime.runMain)
