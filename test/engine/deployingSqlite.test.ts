import * as deploying from "./deploying.ts"
import { sqlite } from "./stores.ts"

deploying.suite("SQLite", sqlite)
