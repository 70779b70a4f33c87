/** PostgreSQL for tests: databases of their own on the server of the run, and servers of their own to break. */
import { PgClient } from "@effect/sql-pg"
import { Clock, Context, Effect, Layer, ManagedRuntime, Redacted, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlError } from "effect/sql"
import { randomBytes } from "node:crypto"
import { connect } from "node:net"
import { afterAll, inject } from "vitest"
import { type PostgresServer as Server, startServer } from "./postgresServer.ts"

/** The database of a test. */
export class TestDatabase extends Context.Service<TestDatabase, {
  readonly url: string
  /** Ends all connections to it, as seen from the server, and says how many those were. */
  readonly killConnections: Effect.Effect<number, SqlError.SqlError>
  /** One more client, as another process would have, until the scope closes. */
  readonly connect: (options?: Options) => Effect.Effect<PgClient.PgClient, SqlError.SqlError, Scope.Scope>
}>()("test/sql/TestDatabase") {}

export type Options = Omit<PgClient.PgPoolConfig, "url">

/** Pools and connections take the time from here: a test that holds its own clock must not hold theirs. */
const live = Clock.Clock.defaultValue()

const open = (url: string, options: Options = {}): Effect.Effect<PgClient.PgClient, SqlError.SqlError, Scope.Scope> =>
  PgClient.make({ ...options, url: Redacted.make(url) }).pipe(
    Effect.provide(Reactivity.layer),
    Effect.provideService(Clock.Clock, live)
  )

/** Runs one statement on a connection of its own. */
const once = <A extends object>(url: string, text: string, params: ReadonlyArray<unknown> = []) =>
  Effect.scoped(Effect.flatMap(open(url, { maxConnections: 1 }), (sql) => sql.unsafe<A>(text, params).unprepared))

const askUrl = Effect.callback<string>((resume) => {
  let said = ""
  connect(inject("postgresPort"), "127.0.0.1")
    .setEncoding("utf8")
    .on("data", (text) => said += text)
    .on("error", (cause) => resume(Effect.die(cause)))
    .on("end", () => {
      const { error, url } = JSON.parse(said) as { readonly error?: string; readonly url?: string }
      resume(url === undefined ? Effect.die(new Error(error)) : Effect.succeed(url))
    })
})

/** Where the server of this run is, which is started if it was not. `DATABASE_URL` names another one. */
export const serverUrl: Effect.Effect<string> = askUrl

/** A new database on a server, dropped when the scope closes, whoever still uses it. */
export const database = (server: string): Effect.Effect<TestDatabase["Service"], SqlError.SqlError, Scope.Scope> =>
  Effect.gen(function*() {
    const name = `saga_${randomBytes(8).toString("hex")}`
    yield* Effect.acquireRelease(
      once(server, `CREATE DATABASE ${name}`),
      // On a server that the test has broken there is nothing to drop.
      () => Effect.ignore(once(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
    )
    const url = Object.assign(new URL(server), { pathname: `/${name}` }).href
    return TestDatabase.of({
      url,
      killConnections: Effect.map(
        once<{ readonly killed: bigint }>(
          server,
          "SELECT count(pg_terminate_backend(pid)) AS killed FROM pg_stat_activity WHERE datname = $1",
          [name]
        ),
        (rows) => Number(rows[0]?.killed)
      ),
      connect: (options) => open(url, options)
    })
  })

/** A client on a database of its own, on the given server or the one of the run. */
export const layer = (
  options?: Options & { readonly server?: string | undefined }
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient | TestDatabase, SqlError.SqlError> => {
  const { server, ...config } = options ?? {}
  return Layer.effectContext(Effect.gen(function*() {
    const own = yield* database(server ?? (yield* serverUrl))
    const client = yield* own.connect(config)
    return Context.make(TestDatabase, own).pipe(
      Context.add(PgClient.PgClient, client),
      Context.add(SqlClient.SqlClient, client)
    )
  }))
}

/** One database for all tests of a file, and tables of their own for each: making a database takes as long as a test. */
export const shared = (options?: Options) => {
  const database = ManagedRuntime.make(layer(options))
  afterAll(() => database.dispose())
  let count = 0
  return <A, E>(
    of: (prefix: string) => Layer.Layer<A, E, PgClient.PgClient | SqlClient.SqlClient>
  ): Layer.Layer<A, E | SqlError.SqlError> =>
    Layer.unwrap(
      Effect.map(
        database.contextEffect,
        (context) => Layer.provide(of(`t${count++}_`), Layer.succeedContext(context))
      )
    )
}

/** A server of its own, for a test that stops, kills or freezes it. Removed when the scope closes. */
export interface PrivateServer {
  readonly url: string
  readonly start: Effect.Effect<void>
  readonly stop: Effect.Effect<void>
  /** All its processes die at once, as in a power cut; what was committed is there after the next start. */
  readonly kill: Effect.Effect<void>
  /** Its connections stay open and nothing answers. */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
}

/** Starts a server of its own, which takes a second. */
export const privateServer: Effect.Effect<PrivateServer, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(Effect.promise(startServer), (server) => Effect.promise(server.remove)),
  (server: Server) => ({
    url: server.url,
    start: Effect.promise(server.start),
    stop: Effect.promise(() => server.stop("fast")),
    kill: Effect.promise(() => server.stop("kill")),
    freeze: Effect.sync(server.freeze),
    thaw: Effect.sync(server.thaw)
  })
)
