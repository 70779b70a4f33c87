/**
 * Looking for a secret: a text that stands nowhere else stands for it, and is looked for in every form that a text takes on
 * its way, wherever something of an execution may come to. It knows no saga.
 */
import { Cause, Context, Effect, Exit, Layer, Logger, Metric, References } from "effect"
import { SagaObserver } from "effect-saga"
import type { Journal } from "effect-saga/SagaJournal"
import { SagaJournal } from "effect-saga/SagaJournal"
import { SagaLogging, SagaMetrics, SagaTracing } from "effect-saga/telemetry"
import { SqlClient } from "effect/sql"
import { readdirSync, readFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { inspect } from "node:util"
import { Traces } from "../telemetry/traces.ts"
import { postgresWith, sqliteWith } from "./stores.ts"

// ------------------------------------------------------------------------------------------- looking for it

/** The text. */
export const canary = "canary: a söngbird/of+gold"

/** What can be told of a text in base64, wherever in a longer one it stands. */
const base64Of = (text: string, encoding: "base64" | "base64url"): ReadonlyArray<string> =>
  [0, 1, 2].map((before) => Buffer.from(" ".repeat(before) + text).toString(encoding).slice(4, -4))

const forms = [
  canary,
  "söngbird",
  encodeURIComponent(canary),
  encodeURI(canary),
  ...base64Of(canary, "base64"),
  ...base64Of(canary, "base64url"),
  Buffer.from(canary).toString("hex"),
  // Bytes that are taken for letters.
  Buffer.from("söngbird").toString("latin1")
]

/** Whether the text is in another one, in whatever form. */
export const seenIn = (text: string): boolean => forms.some((form) => text.includes(form))

/** What a value looks like to whoever prints it. */
export const looksOf = (value: unknown): ReadonlyArray<string> => {
  const cause = Exit.isExit(value) && Exit.isFailure(value) ? value.cause : value
  return [
    // A row of SQLite is an object without a prototype.
    typeof value === "object" && value !== null && !("toString" in value) ? "" : String(value),
    JSON.stringify(value, (_, inner) => typeof inner === "bigint" ? String(inner) : inner) ?? "",
    inspect(value, { depth: Infinity, showHidden: true, maxArrayLength: null, maxStringLength: null }),
    ...Cause.isCause(cause) ? [Cause.pretty(cause), ...cause.reasons.flatMap(looksOf)] : [],
    ...value instanceof Error ? [value.message, value.stack ?? "", ...looksOf(value.cause)] : []
  ]
}

/** Everything that was seen, by where. */
export class Witness {
  readonly #seen = new Map<string, Array<unknown>>()

  see(where: string, ...values: ReadonlyArray<unknown>): void {
    const seen = this.#seen.get(where)
    if (seen === undefined) this.#seen.set(where, [...values])
    else seen.push(...values)
  }

  /** What was seen there. */
  at(where: string): ReadonlyArray<unknown> {
    return this.#seen.get(where) ?? []
  }

  /** Where something was seen. */
  get places(): ReadonlyArray<string> {
    return Array.from(this.#seen.keys()).sort()
  }

  /** Where the canary is. */
  get found(): ReadonlyArray<string> {
    return this.places.filter((where) => this.at(where).some((value) => looksOf(value).some(seenIn)))
  }
}

/** Runs an effect under a logger, a tracer, metrics and an observer that tell a witness what they get. */
export const watchedBy = (witness: Witness) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const traces = new Traces()
    const formats = [Logger.formatSimple, Logger.formatLogFmt, Logger.formatJson, Logger.formatStructured]
    const logger = Logger.make((options) => {
      witness.see("logs", options.message, options.cause, options.fiber.getRef(References.CurrentLogAnnotations))
      for (const format of formats) witness.see("logs", format.log(options))
    })
    const observer: SagaObserver.SagaObserver = {
      observe: ({ executionId, saga }) => {
        witness.see("facts", executionId, saga)
        return { onEvent: (event) => witness.see("facts", event) }
      }
    }
    const looked = Effect.map(Metric.snapshot, (snapshot) => {
      witness.see("metrics", ...snapshot)
      for (const { attributes, events, links, name, status } of traces.spans) {
        witness.see("spans", name, Object.fromEntries(attributes), events, links.map(({ attributes }) => attributes))
        // What a span has as its value, such as the rows of a statement, no tracer passes on.
        if (status._tag === "Ended" && Exit.isFailure(status.exit)) witness.see("spans", status.exit)
      }
    })
    return effect.pipe(
      Effect.provide(
        SagaObserver.layer([observer, SagaLogging.observer, SagaMetrics.observer, SagaTracing.observer])
      ),
      Effect.ensuring(looked),
      Effect.withTracer(traces.tracer),
      Effect.provideService(Metric.MetricRegistry, new Map()),
      Effect.provideService(Logger.CurrentLoggers, new Set([logger])),
      Effect.provideService(References.MinimumLogLevel, "All")
    )
  })

// ------------------------------------------------------------------------------------------- stores

/** A store, and all that somebody finds in it who has a copy of it. */
export interface Vault {
  readonly journal: Journal
  readonly content: Effect.Effect<ReadonlyArray<unknown>, unknown>
}

/** The store of a test, with nothing in it. */
export class CurrentVault extends Context.Service<CurrentVault, Vault>()("test/engine/CurrentVault") {}

/** In memory: what the store was ever given. */
export const memory = Layer.effect(
  CurrentVault,
  Effect.map(SagaJournal, (journal) => {
    const given: Array<unknown> = []
    const told = Object.entries(journal).map(([name, member]: [string, unknown]) =>
      [
        name,
        typeof member !== "function" ? member : (...args: ReadonlyArray<unknown>) => {
          given.push(args)
          return member(...args)
        }
      ] as const
    )
    return { journal: Object.fromEntries(told) as unknown as Journal, content: Effect.succeed(given) }
  })
).pipe(Layer.provide(SagaJournal.layerMemory))

/** All rows of all tables, whoever made them. */
const rowsOf = (tables: Effect.Effect<ReadonlyArray<{ readonly name: string }>, unknown>) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* Effect.forEach(yield* tables, ({ name }) => sql`SELECT * FROM ${sql(name)}`)
    return rows.flat()
  })

const sqlite = Layer.effect(
  CurrentVault,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const [main] = yield* sql<{ readonly file: string }>`PRAGMA database_list`
    const { file } = main!
    return CurrentVault.of({
      journal: yield* SagaJournal,
      content: Effect.gen(function*() {
        const rows = yield* rowsOf(sql`SELECT name FROM sqlite_schema WHERE type = 'table'`)
        // The file and what lies beside it, with what was written over or deleted.
        const files = readdirSync(dirname(file)).filter((name) => name.startsWith(basename(file)))
        return [
          ...rows,
          ...files.flatMap((name) => {
            const bytes = readFileSync(join(dirname(file), name))
            return [bytes.toString("utf8"), bytes.toString("latin1")]
          })
        ]
      }).pipe(Effect.provideService(SqlClient.SqlClient, sql))
    })
  })
).pipe(Layer.provide(sqliteWith({ synchronous: "OFF" })))

const postgres = Layer.effect(
  CurrentVault,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const tables = sql<{ readonly name: string }>`
      SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema()`
    return CurrentVault.of({
      journal: yield* SagaJournal,
      content: Effect.provideService(rowsOf(tables), SqlClient.SqlClient, sql)
    })
  })
).pipe(Layer.provide(postgresWith()))

/** All of them. */
export const vaults: Record<string, Layer.Layer<CurrentVault, unknown>> = { memory, sqlite, postgres }
