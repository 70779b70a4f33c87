import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { root, sources } from "./sources.ts"

/** Every file of `src` and the floor it stands on. A file imports lower floors only, types included. */
const floors: Record<string, number> = {
  // F0: words
  StepPath: 0,
  JournalError: 0,
  EventStore: 1,
  Journal: 2,
  JournalCipher: 1,
  SagaError: 1,
  StepContext: 2,
  DomainEvent: 2,
  SagaEvent: 3,
  ExecutionError: 3,
  // F1: the shape of a saga
  "internal/pipe": 10,
  "internal/schema": 11,
  "internal/signal": 12,
  "internal/mail": 12,
  "internal/tree": 13,
  SagaScope: 14,
  "internal/cause": 15,
  "internal/paths": 15,
  "internal/renames": 15,
  "internal/revised": 16,
  // F2: what is known about a run, and what runs it
  EventSubscription: 19,
  EventBus: 20,
  SagaState: 20,
  SagaObserver: 21,
  "internal/history": 20,
  "internal/recorded": 21,
  "internal/residence": 21,
  "internal/wait": 22,
  "internal/attempt": 23,
  "internal/unwind": 24,
  "internal/outbox": 24,
  "internal/execution": 25,
  "internal/recorder": 26,
  "internal/frame": 27,
  "internal/lifecycle": 27,
  "internal/bounds": 28,
  "internal/pool": 28,
  "internal/publishing": 28,
  "internal/waits": 28,
  "internal/interpreter": 29,
  "internal/run": 30,
  "internal/inlineLog": 28,
  "internal/inline": 29,
  // F3: what a user imports
  SagaValue: 31,
  SagaIntercept: 32,
  SagaMigration: 32,
  SagaStep: 32,
  EventNodes: 33,
  SagaBranch: 33,
  SagaInline: 34,
  StepEvents: 34,
  SagaRun: 35,
  // The engine, and its journal in memory
  "internal/engine/advice": 36,
  "internal/engine/archiveLine": 36,
  "internal/engine/asking": 36,
  "internal/engine/committer": 36,
  "internal/engine/definition": 36,
  "internal/engine/dueQueue": 36,
  "internal/engine/intake": 36,
  "internal/engine/letters": 36,
  "internal/engine/memoryEvents": 36,
  "internal/engine/memoryList": 36,
  "internal/engine/outcome": 36,
  "internal/engine/places": 36,
  "internal/engine/schemas": 36,
  "internal/engine/secrets": 36,
  "internal/engine/states": 36,
  ExecutionPlan: 37,
  "internal/engine/codec": 37,
  "internal/engine/journalMemory": 37,
  "internal/engine/mailbox": 37,
  "internal/engine/wiring": 30,
  "internal/engine/watches": 37,
  Operations: 38,
  SagaJournal: 38,
  "internal/engine/journalRecorder": 38,
  "internal/engine/migration": 38,
  "internal/engine/sealed": 38,
  ExecutionArchive: 39,
  "internal/engine/registry": 39,
  "internal/engine/reading": 40,
  "internal/engine/told": 40,
  "internal/engine/observed": 41,
  "internal/engine/returning": 41,
  "internal/engine/alarm": 42,
  "internal/engine/resident": 42,
  "internal/engine/engine": 43,
  "internal/engine/cancelling": 44,
  "internal/engine/queries": 44,
  "internal/engine/subscribing": 44,
  "internal/engine/undelivered": 45,
  "internal/engine/starting": 44,
  SagaStart: 45,
  "internal/engine/receiving": 45,
  "internal/engine/compatible": 45,
  "internal/engine/operator": 45,
  "internal/engine/requests": 45,
  "internal/engine/bulk": 46,
  "internal/engine/housekeeping": 46,
  "internal/engine/rerun": 46,
  SagaEngine: 47,
  // The door to all but the engine
  SagaRegister: 38,
  Saga: 43,
  // F4: rooms
  "diagram/internal/leaves": 50,
  "diagram/internal/text": 50,
  "diagram/internal/graph": 51,
  "diagram/internal/track": 51,
  "diagram/internal/words": 52,
  "diagram/internal/chart": 53,
  "diagram/Mermaid": 54,
  "diagram/UndoPlan": 54,
  "diagram/UndoPlanText": 55,
  "diagram/Timeline": 56,
  "diagram/index": 59,
  "encryption/AesGcm": 50,
  "encryption/index": 59,
  "events/MemoryBus": 50,
  "events/SagaEvents": 50,
  "events/index": 59,
  "telemetry/internal/identity": 50,
  "telemetry/internal/spans": 51,
  "telemetry/SagaTracing": 52,
  "telemetry/SagaMetrics": 53,
  "telemetry/SagaLogging": 54,
  "telemetry/SagaFacts": 55,
  "telemetry/SagaBacklog": 56,
  "telemetry/index": 59,
  "sql/EngineLock": 50,
  "sql/internal/batch": 50,
  "sql/internal/database": 50,
  "sql/internal/prefix": 50,
  "sql/internal/rows": 51,
  "sql/internal/migrations": 51,
  "sql/internal/postgresStatements": 51,
  "sql/internal/sqliteStatements": 51,
  "sql/internal/startStatements": 51,
  "sql/internal/lists": 51,
  "sql/internal/reads": 52,
  "sql/internal/postgresReads": 53,
  "sql/internal/sqliteReads": 53,
  "sql/internal/postgresLock": 52,
  "sql/internal/postgres": 54,
  "sql/internal/sqlite": 54,
  "sql/NodeSqlite": 54,
  "sql/SqlSagaJournal": 55,
  "sql/SqlInbox": 56,
  "sql/SqlSagaEngine": 56,
  "sql/index": 59,
  // F5: the test kit, a room that shows what it found by the timeline of another
  "testing/Conformance": 60,
  "testing/Fault": 60,
  "testing/Trace": 61,
  "testing/internal/asking": 60,
  "testing/internal/current": 60,
  "testing/internal/bus": 62,
  "testing/internal/engine/scenes": 60,
  "testing/internal/expect": 60,
  "testing/internal/journal/promise": 60,
  "testing/internal/journal/records": 60,
  "testing/internal/lawful": 60,
  "testing/internal/order": 60,
  "testing/internal/places": 60,
  "testing/internal/samples": 60,
  "testing/internal/world": 60,
  "testing/EventBusTest": 61,
  "testing/Doubles": 61,
  "testing/Exploration": 61,
  "testing/Ledger": 61,
  "testing/internal/engine/equal": 61,
  "testing/internal/harness": 61,
  "testing/internal/journal/claiming": 61,
  "testing/internal/journal/events": 61,
  "testing/internal/journal/keeping": 61,
  "testing/internal/journal/leases": 61,
  "testing/internal/journal/listing": 61,
  "testing/internal/journal/reading": 61,
  "testing/internal/journal/writing": 61,
  "testing/SagaJournalTest": 62,
  "testing/internal/engine/promises": 62,
  "testing/internal/random": 62,
  "testing/internal/reportText": 62,
  "testing/internal/runs": 63,
  "testing/Laws": 64,
  "testing/SagaEngineTest": 63,
  "testing/internal/invariants": 64,
  "testing/internal/lab": 65,
  "testing/internal/search": 66,
  "testing/Explore": 67,
  "testing/SagaTest": 68,
  "testing/vitest": 68,
  "testing/index": 69,
  // the door
  index: 90
}

/** The imports that may look upward, each as `from -> to` with its reason. */
const exceptions: ReadonlyArray<string> = [
  // The type of the engine alone, beside its key: registering a saga must not load the engine.
  "SagaRegister -> SagaEngine"
]

/** What a room may import from outside, beyond the stable modules of Effect's core. */
const roomImports: Record<string, ReadonlyArray<string>> = {
  diagram: ["effect/Graph"],
  encryption: [
    "effect/crypto/Aead",
    "effect/crypto/CryptoError",
    "effect/crypto/SecureRandom",
    "effect/encoding/Base64",
    "effect/encoding/Base64Url"
  ],
  events: ["effect/crypto/Digest"],
  sql: [
    "effect/reactivity/Reactivity",
    "effect/sql/Migrator",
    "effect/sql/SqlClient",
    "effect/sql/SqlConnection",
    "effect/sql/SqlError",
    "effect/sql/Statement",
    "node:sqlite"
  ],
  testing: ["effect/Arbitrary", "effect/testing/TestClock", "vitest"]
}

/** The rooms that another one may look into, each with its reason. */
const openRooms: Record<string, ReadonlyArray<string>> = {
  // A run that broke a promise is shown as its timeline, and a saga that awaits events gets them from a bus in memory.
  testing: ["diagram", "events"]
}

const files = sources()
const names = new Set(files.map(({ name }) => name))
const imports = files.flatMap(({ name, imports }) => imports.map((target) => ({ name, target })))
const inside = imports.filter(({ target }) => names.has(target))
const show = ({ name, target }: { readonly name: string; readonly target: string }) => `${name} -> ${target}`
const roomOf = (name: string) => /^(?!internal\/)(\w+)\//.exec(name)?.[1]

const isStable = (target: string) =>
  /^effect\/[A-Z]\w*$/.test(target)
  && readFileSync(join(root, `node_modules/${target.replace("/", "/dist/")}.d.ts`), "utf8").includes(
    "@stability stable"
  )

it("every file has a floor, and every floor its file", () => {
  expect([...names].sort()).toEqual(Object.keys(floors).sort())
})

it("imports point down", () => {
  const upward = inside.filter(({ name, target }) => floors[target]! >= floors[name]!)
  expect(upward.map(show)).toEqual(exceptions)
})

it("imports form no cycle", () => {
  const cycles: Array<string> = []
  const done = new Set<string>()
  const visit = (name: string, path: ReadonlyArray<string>): void => {
    if (path.includes(name)) cycles.push([...path.slice(path.indexOf(name)), name].join(" -> "))
    if (done.has(name)) return
    done.add(name)
    for (const edge of inside) if (edge.name === name) visit(edge.target, [...path, name])
  }
  for (const name of names) visit(name, [])
  expect(cycles).toEqual([])
})

it("internal files are imported from their own folder's parent only", () => {
  const reaching = inside.filter(({ name, target }) => {
    const parent = /^(.*?)internal\//.exec(target)?.[1]
    return parent !== undefined &&
      !/^(internal\/(\w+\/)?)?\w+$/.test(name.startsWith(parent) ? name.slice(parent.length) : "/")
  })
  expect(reaching.map(show)).toEqual([])
})

it("rooms do not import each other, but where it says so", () => {
  const crossing = inside.filter(({ name, target }) => {
    const [from, to] = [roomOf(name), roomOf(target)]
    return from !== undefined && to !== undefined && from !== to && !openRooms[from]?.includes(to)
  })
  expect(crossing.map(show)).toEqual([])
})

it("from outside come stable modules of effect alone, one by one", () => {
  const foreign = imports.filter(({ name, target }) =>
    !names.has(target) && !isStable(target) && !roomImports[roomOf(name) ?? ""]?.includes(target)
  )
  expect(foreign.map(show)).toEqual([])
})
