import { memory } from "./stores.ts"
import { suite } from "./verbs.ts"

suite("memory", memory)
