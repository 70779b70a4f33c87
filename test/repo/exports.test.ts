import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { parseSync } from "rolldown/utils"
import { expect, it } from "vitest"
import { entries, root, sources } from "./sources.ts"

const files = new Map(sources().map(({ name, text }) => [name, text]))

/** What a module exports, as in `make` or `Phase (type)`, and as in `Saga.make` what the namespaces that it exports hold. */
const exportsOf = (name: string): ReadonlyArray<string> =>
  parseSync(`${name}.ts`, files.get(name)!).module.staticExports.flatMap(({ entries }) => entries).flatMap((entry) => {
    const from = entry.moduleRequest?.value.replace(/\.ts$/, "")
    const inner = from === undefined || entry.importName.kind === "Name" ? [] : exportsOf(join(dirname(name), from))
    if (entry.importName.kind === "AllButDefault") return inner
    if (entry.importName.kind === "All") return inner.map((exported) => `${entry.exportName.name}.${exported}`)
    return [`${entry.exportName.name}${entry.isType ? " (type)" : ""}`]
  })

it("the entries export what the golden list says", async () => {
  const lists = Array.from(entries, ([entry, name]) => [entry, ...[...exportsOf(name)].sort()].join("\n  ") + "\n")
  await expect(lists.join("\n")).toMatchFileSnapshot("exports.golden.txt")
})

it("in here an entry is its source", () => {
  const { compilerOptions } = JSON.parse(readFileSync(join(root, "tsconfig.json"), "utf8"))
  expect(compilerOptions.paths).toEqual(
    Object.fromEntries(Array.from(entries, ([entry, name]) => [entry, [`./src/${name}.ts`]]))
  )
})

it("every exported declaration of a public module says what it is, in which category and since when", () => {
  const declaration = /^export (?:declare |abstract )*(?:const|function\*?|class|interface|type|namespace) (\w+)/gm
  const undocumented = sources().filter(({ name }) => !name.includes("internal/")).flatMap(({ name, text }) =>
    Array.from(text.matchAll(declaration)).filter(({ index }) => {
      const before = text.slice(0, index).trimEnd()
      const comment = before.endsWith("*/") ? before.slice(before.lastIndexOf("/**")) : ""
      return !/^\/\*\*\s+\* [^@\s]/.test(comment) || !/@category \w/.test(comment) || !/@since \d/.test(comment)
    }).map(([, declared]) => `${name}.${declared}`)
  )
  expect(undocumented).toEqual([])
})
