// Each example runs as a program of its own, asserts its end states, and prints what is in golden/.
import { execFile } from "node:child_process"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { describe, it } from "vitest"

const examples = join(import.meta.dirname, "../../examples")
// What the order service prints differs from run to run: it has a test of its own.
const programs = readdirSync(examples, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== "order-service")

describe.concurrent("every example ends well and prints what it printed before", () => {
  it.for(programs.map(({ name }) => name))("%s", async (name, { expect }) => {
    const main = join(examples, name, "main.ts")
    const { stderr, stdout } = await promisify(execFile)(process.execPath, [main], { env: {} })
    expect(stderr).toBe("")
    await expect(stdout).toMatchFileSnapshot(`golden/${name}.txt`)
  })
})
