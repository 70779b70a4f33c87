/**
 * `npm run bench:recovery`: how long it takes until the executions of a process that was killed, frozen or stopped have
 * ended elsewhere, beyond the time that their steps take. It ends with exit code 1 when a bar is missed.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { DatabaseSync } from "node:sqlite"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { startServer } from "../sql/postgresServer.ts"
import { asker, newDatabase } from "./database.ts"
import { judge, machine, table } from "./machine.ts"
import { median } from "./measure.ts"

const { values } = parseArgs({ options: { rounds: { type: "string", default: "3" } } })
const rounds = Number(values.rounds)
const executions = 100
const stepMillis = 200
const leaseMillis = 2_000

// ------------------------------------------------------------------------------------------- the processes

const worker = new URL("recoveryWorker.ts", import.meta.url).pathname

class Worker {
  readonly child: ChildProcess
  readonly spawnedAt = performance.now()
  readonly exited: Promise<unknown>
  /** How many actions it has started, of each execution. */
  readonly actions = new Map<string, number>()
  readonly #said = new Map<string, { readonly promise: Promise<void>; readonly resolve: () => void }>()

  constructor(place: ReadonlyArray<string>, start: number) {
    const options = ["--start", start, "--stepMillis", stepMillis, "--leaseMillis", leaseMillis]
    this.child = spawn(process.execPath, [worker, ...place, ...options.map(String)], {
      stdio: ["ignore", "pipe", "ignore"]
    })
    this.exited = new Promise((resolve) => this.child.once("exit", resolve))
    createInterface(this.child.stdout!).on("line", (line) => {
      const [word, executionId] = line.split(" ")
      if (word !== "act") return this.#word(word!).resolve()
      this.actions.set(executionId!, (this.actions.get(executionId!) ?? 0) + 1)
    })
    workers.add(this)
  }

  #word(word: string) {
    let said = this.#said.get(word)
    if (said === undefined) {
      let resolve = () => {}
      const promise = new Promise<void>((given) => {
        resolve = given
      })
      this.#said.set(word, said = { promise, resolve })
    }
    return said
  }

  said(word: "ready" | "started"): Promise<void> {
    return this.#word(word).promise
  }

  /** What the slowest execution had to do here, in milliseconds. */
  get ownMillis(): number {
    return Math.max(0, ...this.actions.values()) * stepMillis
  }

  async end(): Promise<void> {
    this.child.kill("SIGKILL")
    await this.exited
    workers.delete(this)
  }
}

const workers = new Set<Worker>()
process.once("exit", () => {
  for (const { child } of workers) child.kill("SIGKILL")
})

// ------------------------------------------------------------------------------------------- the journals

const own = process.env["DATABASE_URL"] === undefined ? await startServer() : undefined
const server = own?.url ?? process.env["DATABASE_URL"]!

interface Place {
  readonly options: ReadonlyArray<string>
  /** How many executions have ended. */
  readonly ended: () => Promise<number>
  readonly facts: () => Promise<number>
  readonly remove: () => Promise<void>
}

const endedOf = "SELECT count(*) AS n FROM saga_executions WHERE state = 'Succeeded'"
const factsOf = "SELECT count(*) AS n FROM saga_facts"

const sqlite = async (): Promise<Place> => {
  const folder = mkdtempSync(join(tmpdir(), "bench-recovery-"))
  const filename = join(folder, "recovery.db")
  let database: DatabaseSync | undefined
  const count = async (text: string) => {
    if (!existsSync(filename)) return 0
    database ??= new DatabaseSync(filename, { readOnly: true, timeout: 1_000 })
    return Number(database.prepare(text).get()!["n"])
  }
  return {
    options: ["--filename", filename],
    ended: () => count(endedOf),
    facts: () => count(factsOf),
    remove: async () => {
      database?.close()
      rmSync(folder, { recursive: true })
    }
  }
}

const postgres = async (): Promise<Place> => {
  const { drop, url } = await newDatabase(server)
  const { ask, close } = await asker(url)
  // Before the first process is there the tables are not.
  const count = (text: string) => ask<{ readonly n: bigint }>(text).then(([row]) => Number(row!.n), () => 0)
  return {
    options: ["--url", url],
    ended: () => count(endedOf),
    facts: () => count(factsOf),
    remove: async () => {
      await close()
      await drop()
    }
  }
}

// ------------------------------------------------------------------------------------------- the cases

/** Waits until all have ended. */
const untilEnded = async (place: Place): Promise<number> => {
  const deadline = performance.now() + 30_000
  while (performance.now() < deadline) {
    if (await place.ended() === executions) return performance.now()
    await sleep(5)
  }
  throw new Error(`Only ${await place.ended()} of ${executions} have ended`)
}

/** A process in the middle of its executions: all are in their third step. */
const busyWorker = async (place: Place): Promise<Worker> => {
  const busy = new Worker(place.options, executions)
  await busy.said("started")
  while (busy.actions.size < executions || [...busy.actions.values()].some((count) => count < 3)) await sleep(5)
  return busy
}

/** The process dies, and is started again. */
const restarted = async (place: Place): Promise<number> => {
  const busy = await busyWorker(place)
  await busy.end()
  const next = new Worker(place.options, 0)
  const millis = await untilEnded(place) - next.spawnedAt - next.ownMillis
  await next.end()
  return millis
}

/** Another process is there already. `end` says how the first one ends, and how many steps it may still finish. */
const takenOver = (end: (busy: Worker, place: Place) => number) => async (place: Place): Promise<number> => {
  const other = new Worker(place.options, 0)
  await other.said("started")
  const busy = await busyWorker(place)
  const from = performance.now()
  const finishes = end(busy, place)
  const millis = await untilEnded(place) - from - other.ownMillis - finishes * stepMillis
  if (other.actions.size < executions / 2) throw new Error(`${other.actions.size} executions were left to take over`)
  // Who wakes up again changes nothing.
  const facts = await place.facts()
  busy.child.kill("SIGCONT")
  await sleep(500)
  if (await place.facts() !== facts) throw new Error("A process that was fenced has written facts")
  await Promise.all([busy.end(), other.end()])
  return millis
}

interface Case {
  readonly name: string
  readonly make: () => Promise<Place>
  readonly run: (place: Place) => Promise<number>
  readonly limit: number
}

const cases: ReadonlyArray<Case> = [
  { name: "sqlite, killed and started again", make: sqlite, run: restarted, limit: 1_000 },
  { name: "postgres, killed and started again", make: postgres, run: restarted, limit: 1_000 },
  {
    name: "postgres, killed beside another process",
    make: postgres,
    run: takenOver(({ child }) => (child.kill("SIGKILL"), 0)),
    limit: 1_000
  },
  {
    name: `postgres, frozen beside another process, lease of ${leaseMillis / 1_000} s`,
    make: postgres,
    run: takenOver(({ child }) => (child.kill("SIGSTOP"), 0)),
    limit: leaseMillis + 500
  },
  {
    name: "postgres, stopped in good order beside another process",
    make: postgres,
    run: takenOver(({ child }) => (child.kill("SIGTERM"), 1)),
    limit: 500
  }
]

console.log(`${machine()}. ${executions} executions, steps of ${stepMillis} ms, ${rounds} rounds.`)
console.log("Milliseconds until all have ended, without the time that their steps take.\n")
const figures = new Map<string, Array<number>>()
for (let round = 0; round < rounds; round++) {
  for (const { make, name, run } of cases) {
    const place = await make()
    try {
      figures.set(name, [...figures.get(name) ?? [], await run(place)])
    } finally {
      await Promise.all(Array.from(workers, (worker) => worker.end()))
      await place.remove()
    }
  }
}
await own?.remove()

const whole = (value: number) => Math.round(value).toLocaleString("en-US")
table(
  ["", "best", "median", "worst"],
  cases.map(({ name }) => {
    const values = figures.get(name)!
    return [name, whole(Math.min(...values)), whole(median(values)), whole(Math.max(...values))]
  })
)
console.log()
judge(
  cases.map(({ limit, name }) => ({
    claim: name,
    value: median(figures.get(name)!),
    limit,
    keeps: "at most",
    unit: " ms"
  }))
)
