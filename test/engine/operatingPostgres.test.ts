import { suite } from "./operating.ts"
import { postgres } from "./stores.ts"

suite("postgres", postgres)
