/** The stores that the engine's faults are tested on. */
import { Effect, Layer } from "effect"
import { SagaJournal } from "effect-saga/SagaJournal"
import { SqlSagaJournal } from "effect-saga/sql"
import * as NodeSqlite from "effect-saga/sql/NodeSqlite"
import { SqlClient } from "effect/sql"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Postgres from "../sql/postgres.ts"
import type { Backend } from "./world.ts"
import { Store } from "./world.ts"

/** In memory. Nobody else can write there: what is read is written over on its way. */
export const memory: Backend = {
  shared: true,
  layer: Layer.effect(
    Store,
    Effect.map(SagaJournal, (journal) => {
      const texts = new Map<string, string>()
      const changed = <A extends { executionId: string; sequence: number; data: string }>(facts: ReadonlyArray<A>) =>
        facts.map((fact) => ({ ...fact, data: texts.get(`${fact.sequence} ${fact.executionId}`) ?? fact.data }))
      return Store.of({
        journal: {
          ...journal,
          claim: (lease, options) =>
            Effect.map(
              journal.claim(lease, options),
              (claimed) => claimed.map((one) => ({ ...one, facts: changed(one.facts) }))
            ),
          facts: (id, from) => Effect.map(journal.facts(id, from), changed)
        },
        bury: () => Effect.void,
        tamper: (executionId, sequence, data) => Effect.sync(() => void texts.set(`${sequence} ${executionId}`, data))
      })
    })
  ).pipe(Layer.provide(SagaJournal.layerMemory))
}

const temporaryFile = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-saga-faults-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
).pipe(Effect.map((folder) => join(folder, "journal.db")))

/** A file of SQLite. */
export const sqliteWith = (options: Omit<NodeSqlite.Options, "filename">) =>
  Layer.unwrap(Effect.map(temporaryFile, (filename) => {
    const Client = NodeSqlite.layer({ ...options, filename })
    return Layer.merge(Layer.provide(SqlSagaJournal.layer, Client), Client)
  }))

/** SQLite: who has the lock knows that all others are dead. */
export const sqlite: Backend = {
  shared: false,
  layer: Layer.effect(
    Store,
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      return Store.of({
        journal: yield* SagaJournal,
        bury: () => Effect.void,
        tamper: (executionId, sequence, data) =>
          Effect.asVoid(Effect.orDie(sql`
            UPDATE saga_facts SET data = ${data} WHERE sequence = ${sequence}
            AND number = (SELECT number FROM saga_executions WHERE execution_id = ${executionId})`))
      })
    })
  ).pipe(Layer.provide(sqliteWith({ synchronous: "OFF" })))
}

/** A database on the server of the run, its client, and a journal in it. */
export const postgresWith = (options?: Parameters<typeof Postgres.layer>[0], journal?: SqlSagaJournal.Options) => {
  const Client = Postgres.layer(options)
  return Layer.provideMerge(SqlSagaJournal.layerWith(journal ?? {}), Client)
}

const onTables = Postgres.shared({ maxConnections: 20 })

export const postgres: Backend = {
  shared: true,
  layer: onTables((prefix) =>
    Layer.effect(
      Store,
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const [facts, leases] = [sql(`${prefix}facts`), sql(`${prefix}leases`)]
        return Store.of({
          journal: yield* SagaJournal,
          // Without waiting until the server has noticed it and everybody believes it.
          bury: ({ id }) =>
            Effect.asVoid(Effect.orDie(sql`UPDATE ${leases} SET expires_at_millis = 0 WHERE id = ${id} AND NOT ended`)),
          tamper: (executionId, sequence, data) =>
            Effect.asVoid(Effect.orDie(
              sql`UPDATE ${facts} SET data = ${data} WHERE sequence = ${sequence} AND execution_id = ${executionId}`
            ))
        })
      })
    ).pipe(Layer.provide(SqlSagaJournal.layerWith({ prefix })))
  )
}
