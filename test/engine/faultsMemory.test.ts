import * as faults from "./faults.ts"
import * as callers from "./faultsCallers.ts"
import * as data from "./faultsData.ts"
import * as events from "./faultsEvents.ts"
import { memory } from "./stores.ts"

faults.suite("memory", memory)
data.suite("memory", memory)
callers.suite("memory", memory)
events.suite("memory", memory)
