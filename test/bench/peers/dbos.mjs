/** DBOS on PostgreSQL. It has no compensations: they are steps in a `catch`. */
import { DBOS } from "@dbos-inc/dbos-sdk"
import { asked, databaseAmong, freshDatabase, measure, seen } from "./peer.ts"

databaseAmong("postgres")
const succeeds = asked.scenario === "success"

const action = (name) => DBOS.runStep(async () => void seen.actions++, { name })
const undo = (name) => DBOS.runStep(async () => void seen.compensations++, { name })

const trip = DBOS.registerWorkflow(async (_n) => {
  const undone = []
  try {
    await action("first")
    undone.unshift("undo first")
    await action("second")
    undone.unshift("undo second")
    if (succeeds) return void await action("third")
    await DBOS.runStep(() => Promise.reject(new Error("no")), { name: "third" })
  } catch (cause) {
    for (const name of undone) await undo(name)
    throw cause
  }
}, { name: "trip" })

const { drop, url } = await freshDatabase()
DBOS.setConfig({
  name: "peer",
  systemDatabaseUrl: url,
  // Of 10 (its default), 20, 32 and 64 the fastest at a concurrency of 100.
  systemDatabasePoolSize: 20,
  logger: { info() {}, debug() {}, warn() {}, error() {} }
})
await DBOS.launch()
await measure("dbos", (n) => trip(n).then(() => true, () => false))
await DBOS.shutdown()
await drop()
process.exit()
