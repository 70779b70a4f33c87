import { readFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "./sources.ts"
import { testWritten } from "./written.ts"

testWritten([{ path: "README.md", text: readFileSync(join(root, "README.md"), "utf8") }])
