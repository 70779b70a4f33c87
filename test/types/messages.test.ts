/** What the compiler says to a person who makes a mistake: the mistakes in `refused`, and their messages in a golden file. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, describe, expect, it } from "vitest"
import { root, sources } from "../repo/sources.ts"
import type { Compiled } from "./compiler.ts"
import { compile } from "./compiler.ts"

const expected = "// @ts-expect-error "

const fixtures = [...sources("test/types/refused")].sort((a, b) => a.name < b.name ? -1 : 1)

/** Each mistake, with the line that makes it. */
const mistakes = fixtures.flatMap(({ name, text }) =>
  text.split("\n").flatMap((line, index) => {
    const what = line.trim()
    return what.startsWith(expected)
      ? [{ file: `refused/${name}.ts`, line: index + 2, what: what.slice(expected.length) }]
      : []
  })
)

let compiled: Compiled
beforeAll(async () => {
  const files = Object.fromEntries(fixtures.map(({ name, text }) => [
    `refused/${name}.ts`,
    // The mistakes stay on their lines, and are mistakes now.
    text.replaceAll(expected, "// ")
  ]))
  const order = readFileSync(join(root, "test/types/order.ts"), "utf8")
  const contract = readFileSync(join(root, "test/types/contract.ts"), "utf8")
  compiled = await compile({ ...files, "order.ts": order, "contract.ts": contract })
}, 60_000)

const saidAbout = (file: string, line: number) =>
  compiled.diagnostics.filter((diagnostic) => diagnostic.file === file && diagnostic.line === line)

it("what must compile compiles", () => {
  expect(compiled.diagnostics.filter(({ file }) => !file.startsWith("refused/"))).toEqual([])
})

describe("what must not compile does not", () => {
  it.each(mistakes)("$what", ({ file, line }) => expect(saidAbout(file, line)).not.toEqual([]))

  it("and nothing else fails", () => {
    const others = compiled.diagnostics.filter(({ file, line }) =>
      !mistakes.some((mistake) => mistake.file === file && mistake.line === line)
    )
    expect(others.filter(({ file }) => file.startsWith("refused/"))).toEqual([])
  })
})

it("says why, in these words", async () => {
  const chapters = fixtures.map(({ name }) => {
    const file = `refused/${name}.ts`
    return mistakes.filter((mistake) => mistake.file === file).map(({ line, what }) => {
      // The last line of a message is the reason; those before say where.
      const reasons = saidAbout(file, line).map(({ message }) => `  ${message.at(-1)}`)
      return [what, ...new Set(reasons)].join("\n")
    }).join("\n\n")
  })
  const text = fixtures.map(({ name }, index) => `# ${name}\n\n${chapters[index]}\n`).join("\n")
  await expect(text).toMatchFileSnapshot("messages.golden.txt")
})
