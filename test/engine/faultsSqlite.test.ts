import * as faults from "./faults.ts"
import { sqlite } from "./stores.ts"

faults.suite("SQLite", sqlite)
