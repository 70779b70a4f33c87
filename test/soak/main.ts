/**
 * `npm run soak`: two processes on one PostgreSQL run random sagas, and are killed, frozen, cut off from their databases
 * and left without a server, for 20 minutes (`-- --minutes 3`, `-- --seed 7`). Then all that stops, every execution has to
 * end or to be stuck for a reason of its own, and the books of the participant have to agree with the journal.
 */
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { createWriteStream, mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { asker } from "../bench/database.ts"
import { machine } from "../bench/machine.ts"
import { Dice } from "../core/randomSaga.ts"
import { startServer } from "../sql/postgresServer.ts"
import type { ExecutionRow, FactRow, Told } from "./audit.ts"
import { problemsOf } from "./audit.ts"
import type { Entry } from "./ledger.ts"
import { table } from "./ledger.ts"
import { treesOf } from "./sagas.ts"
import type { Said } from "./worker.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "20" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1_000_000)) },
    sagas: { type: "string", default: "40" },
    everyMillis: { type: "string", default: "60" },
    /** Which faults there are, with commas between. */
    faults: { type: "string", default: "kill,freeze,stop,cut,restart,crash,hang" },
    /** How long what is left may take in the end. */
    patience: { type: "string", default: "120" }
  }
})
const seed = Number(values.seed)
const count = Number(values.sagas)
const leaseMillis = 4_000
const folder = mkdtempSync(join(tmpdir(), "effect-saga-soak-"))
const startedAt = Date.now()

const log = (line: string): void => console.log(`${((Date.now() - startedAt) / 1_000).toFixed(1).padStart(7)}  ${line}`)

console.log(`${machine()}. Seed ${seed}, ${values.minutes} minutes. Logs of the processes: ${folder}`)

// ------------------------------------------------------------------------------------------- the databases

const server = await startServer()
const urlOf = (name: string) => Object.assign(new URL(server.url), { pathname: `/${name}` }).href
const [journal, ledger] = [urlOf("journal"), urlOf("ledger")]

/** Asks on a connection of its own, again until there is an answer. */
const ask = async <A extends object>(url: string, text: string): Promise<ReadonlyArray<A>> => {
  for (let attempt = 0;; attempt++) {
    try {
      const { ask, close } = await asker(url)
      return await ask<A>(text).finally(close)
    } catch (cause) {
      if (attempt === 50) throw cause
      await sleep(200)
    }
  }
}
await ask(server.url, "CREATE DATABASE journal")
await ask(server.url, "CREATE DATABASE ledger")
await ask(ledger, table)

// ------------------------------------------------------------------------------------------- the processes

const told = new Map<string, Told>()
const surprises = new Map<string, { count: number; readonly example: string }>()
const toldOf = (id: string): Told => {
  let known = told.get(id)
  if (known === undefined) told.set(id, known = { started: false, ends: new Set(), cancels: new Set() })
  return known
}

const hear = (said: Said): void => {
  switch (said.tag) {
    case "Started":
      toldOf(said.id).started = true
      return
    case "Ended":
      return void toldOf(said.id).ends.add(said.end)
    case "Cancelled":
      return void toldOf(said.id).cancels.add(said.answer)
    case "Surprise": {
      const kind = said.what.split("\n")[0]!.replaceAll(/\d+/g, "#").slice(0, 200)
      const known = surprises.get(kind)
      if (known === undefined) surprises.set(kind, { count: 1, example: `${said.id}: ${said.what}` })
      else known.count++
    }
  }
}

const program = new URL("worker.ts", import.meta.url).pathname
let generation = 0
const ended: Array<string> = []

class Worker {
  readonly name = `worker-${++generation}`
  readonly child: ChildProcess
  readonly exited: Promise<void>
  frozen = false
  /** What the harness has done to it that ends it. */
  mayEnd = false
  gone = false

  constructor() {
    const options = {
      name: this.name,
      seed,
      sagas: count,
      journal,
      ledger,
      leaseMillis,
      since: startedAt,
      everyMillis: values.everyMillis
    }
    this.child = spawn(
      process.execPath,
      [program, ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])],
      { stdio: ["pipe", "pipe", "pipe"] }
    )
    this.child.stdin!.on("error", () => {})
    this.child.stderr!.pipe(createWriteStream(join(folder, `${this.name}.log`)))
    createInterface(this.child.stdout!).on("line", (line) => {
      // The last line of one that was killed may be half of one.
      if (line.endsWith("}")) hear(JSON.parse(line))
    })
    this.exited = new Promise((resolve) =>
      this.child.once("exit", (status, signal) => {
        this.gone = true
        // 75: there was no database when it started.
        if (!this.mayEnd && status !== 75) ended.push(`${this.name} ended by itself: ${status ?? signal}`)
        resolve()
      })
    )
  }

  signal(name: NodeJS.Signals): void {
    if (name === "SIGKILL" || name === "SIGTERM") this.mayEnd = true
    if (name === "SIGSTOP") this.frozen = true
    if (name === "SIGCONT") this.frozen = false
    this.child.kill(name)
  }
}

const workers: Array<Worker> = [new Worker(), new Worker()]
process.once("exit", () => {
  for (const { child } of workers) child.kill("SIGKILL")
})
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => process.exit(1))

const replace = (worker: Worker): void => {
  workers[workers.indexOf(worker)] = new Worker()
}

// ------------------------------------------------------------------------------------------- the faults

const dice = new Dice(seed, "faults")
const counts = new Map<string, number>()
let serverIsUp = true

const faults: Readonly<Record<string, () => Promise<string>>> = {
  kill: async () => {
    const worker = dice.pick(workers)
    worker.signal("SIGKILL")
    await worker.exited
    const pause = dice.pick([0, dice.int(0, 6_000)])
    await sleep(pause)
    replace(worker)
    return `${worker.name} was killed, and there was none for ${pause} ms`
  },
  freeze: async () => {
    const worker = dice.pick(workers)
    const pause = dice.pick([dice.int(200, leaseMillis), dice.int(leaseMillis, 2 * leaseMillis)])
    worker.signal("SIGSTOP")
    await sleep(pause)
    worker.signal("SIGCONT")
    return `${worker.name} was frozen for ${pause} ms`
  },
  stop: async () => {
    const worker = dice.pick(workers)
    worker.signal("SIGTERM")
    const late = await Promise.race([worker.exited.then(() => false), sleep(30_000).then(() => true)])
    if (late) {
      ended.push(`${worker.name} did not stop in 30 s`)
      worker.signal("SIGKILL")
    }
    replace(worker)
    return `${worker.name} was stopped in good order`
  },
  cut: async () => {
    const share = dice.pick([0.3, 1])
    const rows = await ask<{ readonly killed: bigint }>(
      server.url,
      `SELECT count(pg_terminate_backend(pid)) AS killed FROM pg_stat_activity
WHERE datname IN ('journal', 'ledger') AND pid <> pg_backend_pid() AND random() < ${share}`
    )
    return `${rows[0]!.killed} connections were cut`
  },
  restart: async () => {
    serverIsUp = false
    await server.stop("fast")
    const pause = dice.pick([0, dice.int(0, 5_000)])
    await sleep(pause)
    await server.start()
    serverIsUp = true
    return `the server was stopped for ${pause} ms`
  },
  crash: async () => {
    serverIsUp = false
    await server.stop("kill")
    await sleep(dice.int(0, 1_000))
    await server.start()
    serverIsUp = true
    return "the server was killed"
  },
  hang: async () => {
    const pause = dice.int(500, 2 * leaseMillis)
    server.freeze()
    await sleep(pause)
    server.thaw()
    return `the server was frozen for ${pause} ms`
  }
}

const wanted = values.faults.split(",").filter((name) => name !== "")
const until = startedAt + Number(values.minutes) * 60_000
/** Who has ended because there was no server is started again. */
const revive = () => {
  for (const worker of workers) if (worker.gone && !worker.mayEnd) replace(worker)
}
await sleep(3_000)
while (Date.now() < until) {
  await sleep(dice.pick([dice.int(0, 500), dice.int(500, 5_000)]))
  revive()
  if (wanted.length === 0) continue
  // More often what harms one process.
  const kind = dice.pick([
    ...wanted,
    ...wanted.filter((name) => name === "kill" || name === "freeze" || name === "cut")
  ])
  counts.set(kind, (counts.get(kind) ?? 0) + 1)
  log(await faults[kind]!())
}

// ------------------------------------------------------------------------------------------- the end

log("No more faults, and nothing new is started")
const drain = () => {
  for (const { child } of workers) child.stdin!.write("drain\n")
}
drain()
const open = () =>
  ask<{ readonly n: bigint }>(
    journal,
    "SELECT count(*) AS n FROM saga_executions WHERE state IN ('Running', 'Waiting', 'Compensating')"
  ).then(([row]) => Number(row!.n))
const patience = Date.now() + Number(values.patience) * 1_000
while (await open() > 0 && Date.now() < patience) {
  await sleep(500)
  if (workers.some(({ gone }) => gone)) {
    revive()
    drain()
  }
}
log(`${await open()} executions have not ended`)
// Who waits for an end hears of it.
await sleep(2_000)
for (const worker of workers) worker.signal("SIGTERM")
const stopped = await Promise.race([
  Promise.all(workers.map(({ exited }) => exited)).then(() => true),
  sleep(30_000).then(() => false)
])
if (!stopped) ended.push("A process did not stop in 30 s at the end")

// ------------------------------------------------------------------------------------------- the books

const grouped = <A>(rows: ReadonlyArray<A>, keyOf: (row: A) => string): ReadonlyMap<string, ReadonlyArray<A>> => {
  const groups = new Map<string, Array<A>>()
  for (const row of rows) {
    const group = groups.get(keyOf(row))
    if (group === undefined) groups.set(keyOf(row), [row])
    else group.push(row)
  }
  return groups
}

const executions = await ask<ExecutionRow>(
  journal,
  "SELECT execution_id, state, problem FROM saga_executions ORDER BY started_at_millis"
)
const facts = grouped(
  await ask<FactRow>(
    journal,
    "SELECT execution_id, sequence, tag, data FROM saga_facts ORDER BY execution_id, sequence"
  ),
  ({ execution_id }) => execution_id
)
const entries = grouped(await ask<Entry>(ledger, "SELECT * FROM entry"), ({ execution_id }) => execution_id)
const trees = treesOf(seed, count)

const problems: Array<{ readonly id: string; readonly what: string; readonly facts: number }> = []
const states = new Map<string, number>()
const reasons = new Map<string, number>()
for (const execution of executions) {
  const { execution_id: id, problem, state } = execution
  states.set(state, (states.get(state) ?? 0) + 1)
  const its = facts.get(id) ?? []
  const body = trees[Number(id.slice("Soak".length, id.indexOf("/")))]!
  for (const what of problemsOf(execution, its, entries.get(id) ?? [], told.get(id), body)) {
    problems.push({ id, what, facts: its.length })
  }
  if (state === "Stuck") {
    const reason = problem?.split(":")[0] ?? "no reason"
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
    if (!/^(?:CompensationFailed|StepUncertain|PivotUncertain|ForwardRecoveryFailed|Quarantined)$/.test(reason)) {
      problems.push({ id, what: `stuck: ${problem}`, facts: its.length })
    }
  } else if (state !== "Succeeded" && state !== "Compensated") {
    problems.push({ id, what: `it has not ended: ${state}, after ${its.at(-1)?.tag}`, facts: its.length })
  }
}
const known = new Set(executions.map(({ execution_id }) => execution_id))
for (const [id, { started }] of told) {
  if (started && !known.has(id)) problems.push({ id, what: "its start was confirmed, and it is not there", facts: 0 })
}
for (const id of entries.keys()) {
  if (!known.has(id)) problems.push({ id, what: "it has done something, and it is not there", facts: 0 })
}

const all = [...entries.values()].flat()
const sum = (of: (entry: Entry) => number) => all.reduce((sum, entry) => sum + of(entry), 0)
/** How often each action was tried again by its own schedule, in the same process or not. */
const retries = new Map<string, number>()
for (const { data, execution_id, tag } of [...facts.values()].flat()) {
  if (tag !== "StepAttemptFailed") continue
  const key = `${execution_id} ${(JSON.parse(data) as { readonly path: string }).path}`
  retries.set(key, (retries.get(key) ?? 0) + 1)
}
// What is asked again because a process or a connection was lost, and for no other reason.
const again = sum(({ calls, execution_id, path, undo_calls }) =>
  Math.max(0, calls - 1 - (retries.get(`${execution_id} ${path}`) ?? 0)) + Math.max(0, undo_calls - 1)
)
const list = (map: ReadonlyMap<string, number>) =>
  [...map].map(([name, count]) => `${count} ${name}`).join(", ") || "none"

console.log(`
faults       ${list(counts)}
processes    ${generation}
executions   ${executions.length}: ${list(states)}
stuck        ${list(reasons)}
facts        ${[...facts.values()].flat().length}
participant  ${sum(({ calls, undo_calls }) => calls + undo_calls)} calls, ${again} of them again with the same key
told         ${[...told.values()].filter(({ ends }) => ends.size > 0).length} ends, ${
  [...told.values()].filter(({ cancels }) => cancels.size > 0).length
} answers to cancellations`)

if (again === 0 && wanted.length > 0) ended.push("No call came twice: the faults did nothing")
for (const [kind, { count, example }] of surprises) {
  ended.push(`${count} times somebody was told: ${kind}\n    ${example}`)
}
const failed = problems.length + ended.length > 0
for (const what of ended) console.log(`FAIL  ${what}`)
const broken = new Set(problems.map(({ id }) => id))
// The shortest tell most.
for (const { facts, id, what } of problems.sort((a, b) => a.facts - b.facts).slice(0, 20)) {
  console.log(`FAIL  ${id} (${facts} facts): ${what}`)
}
const [smallest] = problems
if (smallest !== undefined) {
  console.log(`\nThe facts and the books of ${smallest.id}:`)
  for (const { data, sequence } of facts.get(smallest.id) ?? []) console.log(`  ${sequence} ${data}`)
  for (const entry of entries.get(smallest.id) ?? []) console.log(`  ${JSON.stringify(entry)}`)
}
console.log(
  failed
    ? `FAIL  ${broken.size} executions, ${ended.length} other things. --seed ${seed} draws the same sagas and faults`
    : "PASS"
)
if (serverIsUp) await server.remove()
process.exit(failed ? 1 : 0)
