/**
 * A process that is killed by SIGKILL at a write of its journal, before it or after.
 *
 * `node killed.ts <database> <books> <execution> <moment> <write>`
 */
import { Effect, Layer } from "effect"
import { Saga } from "../../src/index.ts"
import { SagaEngine } from "../../src/SagaEngine.ts"
import { SagaJournal } from "../../src/SagaJournal.ts"
import { journalOf, payload, tripOf } from "./killedTrip.ts"

const [database, books, executionId, moment, fatal] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string
]
let writes = 0
const die = Effect.sync(() => process.kill(process.pid, "SIGKILL"))
const Doomed = Layer.effect(
  SagaJournal,
  Effect.map(SagaJournal, (journal) =>
    SagaJournal.of({
      ...journal,
      write: (lease, batch) =>
        Effect.suspend(() => {
          const isFatal = ++writes === Number(fatal)
          const write = journal.write(lease, batch)
          return !isFatal ? write : moment === "before" ? Effect.andThen(die, write) : Effect.tap(write, die)
        })
    }))
).pipe(Layer.provide(journalOf(database)))
const trip = tripOf(books)
const Live = Saga.register(trip).pipe(Layer.provideMerge(SagaEngine.layerWith({})), Layer.provide(Doomed))
await SagaEngine.use((engine) => Effect.exit(engine.execute(trip, payload, { executionId }))).pipe(
  Effect.provide(Live),
  Effect.runPromise
)
process.disconnect()
