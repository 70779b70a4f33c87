import * as faults from "./faults.ts"
import { memory } from "./stores.ts"

faults.suite("memory", memory)
