import { sqlite } from "./stores.ts"
import { suite } from "./verbs.ts"

suite("sqlite", sqlite)
