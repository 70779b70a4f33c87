import { expect, it } from "vitest"
import { sources } from "./sources.ts"

/** `name` for a value, `Module.name` for what a namespace holds. */
const listing = (module: object): ReadonlyArray<string> =>
  Object.entries(module).flatMap(([name, value]) =>
    value[Symbol.toStringTag] === "Module" ? Object.keys(value).map((key) => `${name}.${key}`) : [name]
  ).sort()

it("the entries export what the golden list says", async () => {
  const entries = {
    "effect-saga": await import("../../src/index.ts"),
    "effect-saga/diagram": await import("../../src/diagram/index.ts")
  }
  const text = Object.entries(entries).map(([entry, module]) => [entry, ...listing(module)].join("\n  ") + "\n")
  await expect(text.join("\n")).toMatchFileSnapshot("exports.golden.txt")
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
