import { suite } from "./operating.ts"
import { memory } from "./stores.ts"

suite("memory", memory)
