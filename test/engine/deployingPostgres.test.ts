import * as deploying from "./deploying.ts"
import { postgres } from "./stores.ts"

deploying.suite("PostgreSQL", postgres)
