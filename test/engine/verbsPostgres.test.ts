import { postgres } from "./stores.ts"
import { suite } from "./verbs.ts"

suite("postgres", postgres)
