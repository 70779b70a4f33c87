import { expect, it } from "vitest"
import { sources } from "./sources.ts"

const forbidden: Record<string, RegExp> = {
  "runs an effect": /\bEffect\.run[A-Z]\w*/g,
  "reads the clock of the machine": /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b/g,
  "sets a timer": /\bset(?:Timeout|Interval|Immediate)\b/g,
  "parses JSON": /\bJSON\.parse\b/g,
  "writes to the console": /\bconsole\./g
}

/** The one file each that may: it reads and writes the journal's text; it is where a test runner begins. */
const exceptions: Record<string, string> = {
  "parses JSON": "internal/engine/codec",
  "runs an effect": "testing/vitest"
}

const found = (pattern: RegExp, part: "code" | "text", except?: string): ReadonlyArray<string> =>
  sources().filter(({ name }) => name !== except).flatMap((source) =>
    Array.from(source[part].matchAll(pattern), ({ 0: match, index }) => {
      return `src/${source.name}.ts:${source[part].slice(0, index).split("\n").length} ${match}`
    })
  )

for (const [deed, pattern] of Object.entries(forbidden)) {
  it(`no file ${deed}`, () => expect(found(pattern, "code", exceptions[deed])).toEqual([]))
}

it("nothing is left for later", () => expect(found(/\b(?:TODO|FIXME|XXX)\b/g, "text")).toEqual([]))

it("no file has more than 600 lines", () => {
  expect(sources().filter(({ text }) => text.trimEnd().split("\n").length > 600).map(({ name }) => name)).toEqual([])
})

it("no error has a field that hides what every error has", () => {
  expect(found(/TaggedError(?:<\w+>\(\))?\("\w+"[^]{0,300}?readonly (?:name|stack)\b/g, "text")).toEqual([])
})
