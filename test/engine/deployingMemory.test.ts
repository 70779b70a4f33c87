import * as deploying from "./deploying.ts"
import { memory } from "./stores.ts"

deploying.suite("memory", memory)
