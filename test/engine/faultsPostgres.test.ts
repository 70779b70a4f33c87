import * as faults from "./faults.ts"
import { postgres } from "./stores.ts"

faults.suite("PostgreSQL", postgres)
