import * as faults from "./faults.ts"
import * as callers from "./faultsCallers.ts"
import * as data from "./faultsData.ts"
import * as events from "./faultsEvents.ts"
import { postgres } from "./stores.ts"

faults.suite("PostgreSQL", postgres)
data.suite("PostgreSQL", postgres)
callers.suite("PostgreSQL", postgres)
events.suite("PostgreSQL", postgres)
