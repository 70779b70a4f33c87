/** PostgreSQL for measurements: databases of their own on one server, and a client that asks them from outside. */
import { PgClient } from "@effect/sql-pg"
import { Effect, Exit, Redacted, Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { randomBytes } from "node:crypto"

/** A connection from the outside. */
export interface Asker {
  readonly ask: <A extends object>(text: string, params?: ReadonlyArray<unknown>) => Promise<ReadonlyArray<A>>
  readonly close: () => Promise<void>
}

export const asker = async (url: string): Promise<Asker> => {
  const scope = Scope.makeUnsafe()
  const sql = await Effect.runPromise(
    PgClient.make({ url: Redacted.make(url), maxConnections: 1 }).pipe(
      Effect.provide(Reactivity.layer),
      Scope.provide(scope)
    )
  )
  return {
    ask: <A extends object>(text: string, params: ReadonlyArray<unknown> = []) =>
      Effect.runPromise(sql.unsafe<A>(text, params).unprepared),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

const once = async (url: string, text: string): Promise<void> => {
  const { ask, close } = await asker(url)
  await ask(text).finally(close)
}

/** A new database on a server. */
export const newDatabase = async (
  server: string
): Promise<{ readonly url: string; readonly drop: () => Promise<void> }> => {
  const name = `bench_${randomBytes(8).toString("hex")}`
  await once(server, `CREATE DATABASE ${name}`)
  return {
    url: Object.assign(new URL(server), { pathname: `/${name}` }).href,
    drop: () => once(server, `DROP DATABASE ${name} WITH (FORCE)`)
  }
}
