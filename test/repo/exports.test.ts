import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { parseSync } from "rolldown/utils"
import { expect, it } from "vitest"
import { entries, root, sources } from "./sources.ts"

interface Export {
  /** As a user finds it: `make` or `Phase (type)`, and `Saga.make` in a namespace. */
  readonly name: string
  readonly declaration: { readonly module: string; readonly name: string }
}

const files = new Map(sources().map(({ name, text }) => [name, text]))

const exportsOf = (module: string): ReadonlyArray<Export> =>
  parseSync(`${module}.ts`, files.get(module)!).module.staticExports.flatMap(({ entries }) => entries)
    .flatMap(({ exportName, importName, isType, moduleRequest }) => {
      const from = moduleRequest === null ? module : join(dirname(module), moduleRequest.value.replace(/\.ts$/, ""))
      if (importName.kind === "AllButDefault") return exportsOf(from)
      if (importName.kind === "All") {
        return exportsOf(from).map((inner) => ({ ...inner, name: `${exportName.name}.${inner.name}` }))
      }
      const declaration = { module: from, name: importName.name ?? exportName.name! }
      return [{ name: `${exportName.name}${isType ? " (type)" : ""}`, declaration }]
    })

it("the entries export what the golden list says", async () => {
  const lists = Array.from(entries, ([entry, module]) => [entry, ...exportsOf(module).map(({ name }) => name).sort()])
  await expect(lists.map((list) => list.join("\n  ") + "\n").join("\n")).toMatchFileSnapshot("exports.golden.txt")
})

it("in here an entry is its source", () => {
  const { compilerOptions } = JSON.parse(readFileSync(join(root, "tsconfig.json"), "utf8"))
  const paths = Array.from(entries, ([entry, module]) => [entry, [`./src/${module}.ts`]])
  expect(compilerOptions.paths).toEqual(Object.fromEntries(paths))
})

it("everything exported says what it is, in which category and since when", () => {
  const isDocumented = ({ module, name }: Export["declaration"]): boolean => {
    const text = files.get(module)!
    const declared = new RegExp(`^export (?:abstract )?(?:const|function\\*?|class|interface|type) ${name}\\b`, "gm")
    const comments = Array.from(text.matchAll(declared), ({ index }) => {
      const before = text.slice(0, index).trimEnd()
      return before.endsWith("*/") ? before.slice(before.lastIndexOf("/**")) : ""
    })
    const complete = comments.filter((comment) =>
      /^\/\*\*\s+\* [^@\s]/.test(comment) && /@category \w/.test(comment) && /@since \d/.test(comment)
    )
    return comments.length > 0 && complete.length === comments.length
  }
  const declarations = Array.from(entries.values()).flatMap(exportsOf).map(({ declaration }) => declaration)
  const undocumented = declarations.filter((declaration) => !isDocumented(declaration))
  expect(undocumented.map(({ module, name }) => `${module}.${name}`)).toEqual([])
})
