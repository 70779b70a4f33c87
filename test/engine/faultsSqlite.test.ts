import * as faults from "./faults.ts"
import * as callers from "./faultsCallers.ts"
import * as data from "./faultsData.ts"
import * as events from "./faultsEvents.ts"
import { sqlite } from "./stores.ts"

faults.suite("SQLite", sqlite)
data.suite("SQLite", sqlite)
callers.suite("SQLite", sqlite)
events.suite("SQLite", sqlite)
