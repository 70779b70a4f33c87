/**
 * What all peers share: how they are asked, how they are measured, and the one line they answer.
 *
 * `node <peer> --database postgres --scenario success --concurrency 100 --seconds 5 --warmup 2`
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted } from "effect"
import { Reactivity } from "effect/reactivity"
import { randomBytes } from "node:crypto"
import { parseArgs } from "node:util"
import { type PostgresServer, startServer } from "../../sql/postgresServer.ts"

/** `success`: three steps that do nothing. `compensated`: the third one fails, and the two before it are undone. */
export type Scenario = "success" | "compensated"

const { values } = parseArgs({
  options: {
    database: { type: "string" },
    scenario: { type: "string", default: "success" },
    concurrency: { type: "string", default: "1" },
    seconds: { type: "string", default: "5" },
    warmup: { type: "string", default: "2" },
    connections: { type: "string" },
    listing: { type: "boolean", default: false }
  }
})

const oneOf = <A extends string>(name: string, value: string, allowed: ReadonlyArray<A>): A => {
  const found = allowed.find((each) => each === value)
  if (found === undefined) throw new Error(`--${name} is one of ${allowed.join(", ")}, not ${value}`)
  return found
}

export const asked = {
  /** Among those that the peer has; the first of them unless another is asked for. */
  database: values.database ?? "",
  scenario: oneOf<Scenario>("scenario", values.scenario, ["success", "compensated"]),
  concurrency: Number(values.concurrency),
  seconds: Number(values.seconds),
  warmup: Number(values.warmup),
  /** Whether somebody lists executions meanwhile. */
  listing: values.listing,
  /** How many connections a client that has a pool may open; one for each saga at a time unless it is said. */
  connections: Number(values.connections ?? values.concurrency)
}

/** Which database is asked for, of those that the peer has; the first unless it is said. */
export const databaseAmong = <A extends string>(...allowed: readonly [A, ...ReadonlyArray<A>]): A => {
  const database = oneOf("database", values.database ?? allowed[0], allowed)
  asked.database = database
  return database
}

// So that `exit` is told, where the peers end what they have started.
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => process.exit(1))

/** What the world has seen of the sagas: a peer that skips a step or a compensation is not faster, it is wrong. */
export const seen = { actions: 0, compensations: 0 }

const ran = { sagas: 0 }
const expected = () =>
  asked.scenario === "success"
    ? { actions: 3 * ran.sagas, compensations: 0 }
    : { actions: 2 * ran.sagas, compensations: 2 * ran.sagas }

const median = (numbers: ReadonlyArray<number>): number =>
  [...numbers].sort((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? Number.NaN

const round = (n: number): number => Number(n.toPrecision(4))

/**
 * Runs sagas, so many at a time, first to warm up and then to be measured, and prints what came of it. `saga` runs the
 * saga of a number and returns whether it succeeded.
 */
export const measure = async (peer: string, saga: (n: number) => Promise<boolean>): Promise<void> => {
  const from = performance.now() + asked.warmup * 1000
  const to = from + asked.seconds * 1000
  const millis: Array<number> = []
  const one = async () => {
    while (performance.now() < to) {
      const started = performance.now()
      const succeeded = await saga(ran.sagas++)
      const ended = performance.now()
      if (succeeded !== (asked.scenario === "success")) throw new Error(`${peer} returned ${succeeded}`)
      if (ended >= from && ended < to) millis.push(ended - started)
    }
  }
  await Promise.all(Array.from({ length: asked.concurrency }, one))
  const wanted = expected()
  if (seen.actions !== wanted.actions || seen.compensations !== wanted.compensations) {
    throw new Error(`${peer} did ${JSON.stringify(seen)} instead of ${JSON.stringify(wanted)}`)
  }
  const { concurrency, database, scenario, seconds } = asked
  const perSecond = round(millis.length / seconds)
  const answer = { peer, database, concurrency, scenario, perSecond, medianMillis: round(median(millis)) }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}

const once = (url: string, text: string) =>
  PgClient.makeClient({ url: Redacted.make(url) }).pipe(
    Effect.flatMap((sql) => sql.unsafe(text).unprepared),
    Effect.provide(Reactivity.layer),
    Effect.scoped,
    Effect.runPromise
  )

/** A new database, on the server of `DATABASE_URL` or one that is started for it. */
export const freshDatabase = async (): Promise<{ readonly url: string; readonly drop: () => Promise<void> }> => {
  const given = process.env["DATABASE_URL"]
  const own: PostgresServer | undefined = given === undefined ? await startServer() : undefined
  const server = given ?? own!.url
  const name = `peer_${randomBytes(8).toString("hex")}`
  await once(server, `CREATE DATABASE ${name}`)
  return {
    url: Object.assign(new URL(server), { pathname: `/${name}` }).href,
    drop: async () => {
      await (own === undefined ? once(server, `DROP DATABASE ${name} WITH (FORCE)`) : own.remove())
    }
  }
}
