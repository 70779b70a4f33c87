import { sources } from "./sources.ts"
import { testWritten } from "./written.ts"

testWritten(
  sources().filter(({ name }) => !name.includes("internal/")).map(({ name, text }) => ({
    path: `src/${name}.ts`,
    text
  }))
)
