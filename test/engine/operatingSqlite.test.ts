import { suite } from "./operating.ts"
import { sqlite } from "./stores.ts"

suite("sqlite", sqlite)
