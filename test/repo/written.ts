// What is written down is run. The `ts` blocks of a text become modules of a project in a temporary folder, which are
// compiled together and then imported one by one. This file never looks at what an example is about.
//
// - A statement that is followed by `// => value` must have that value, an expression in the scope of the example.
// - A `text`, `console` or `mermaid` block after an example is what it prints, to the letter.
// - An example that begins with `// shop.ts` is what other examples import from "./shop.ts".
// - An example that imports `vitest`, `@effect/vitest` or `effect-saga/testing/vitest` adds its own tests.
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { format } from "node:util"
import type { ESTree } from "rolldown/utils"
import { parseSync, Visitor } from "rolldown/utils"
import { afterAll, describe, expect, it, vi } from "vitest"
import { root } from "./sources.ts"

/** A text with examples: its path from the root of the project, and what it says. */
export interface Text {
  readonly path: string
  readonly text: string
}

interface Block {
  readonly path: string
  readonly language: string
  /** The line of the fence. */
  readonly line: number
  readonly code: string
}

interface Example extends Block {
  /** Under which name it is compiled. */
  readonly file: string
  readonly prints: string | undefined
}

const blocksOf = ({ path, text }: Text): ReadonlyArray<Block> =>
  Array.from(text.matchAll(/^([ \t]*(?:\* )?)```(\w*)\n([^]*?)^\1```$/gm), (match) => {
    const [, lead = "", language = "", code = ""] = match
    const line = text.slice(0, match.index).split("\n").length
    return { path, language, line, code: code.split("\n").map((line) => line.slice(lead.length)).join("\n") }
  })

const outputs: ReadonlyArray<string | undefined> = ["text", "console", "mermaid"]

const examplesOf = (blocks: ReadonlyArray<Block>): ReadonlyArray<Example> =>
  blocks.flatMap((block, index) => {
    if (block.language !== "ts") return []
    const next = blocks[index + 1]
    const prints = next?.path === block.path && outputs.includes(next.language) ? next.code.trimEnd() : undefined
    const file = /^\/\/ (\w+\.ts)\n/.exec(block.code)?.[1]
    return [{ ...block, file: file ?? `${block.path.replaceAll("/", ".")}.${block.line}.ts`, prints }]
  })

/** Where the claims of the examples stand that have held so far. */
const held = new Set<string>()

/** Called by the modules below, in place of the statement that makes the claim. */
export const claim = (where: string, actual: unknown, expected: unknown): void => {
  expect(actual, `the value at ${where}`).toStrictEqual(expected)
  held.add(where)
}

/** The example as a module with the same lines, whose claims are calls, and where they stand. */
const moduleOf = (
  { code, line, path }: Example
): { readonly module: string; readonly claims: ReadonlyArray<string> } => {
  const { comments, errors, program } = parseSync("example.ts", code)
  const statements: Array<ESTree.ExpressionStatement> = []
  new Visitor({ ExpressionStatement: (statement) => void statements.push(statement) }).visit(program)
  const claims: Array<string> = []
  const insertions: Array<{ readonly at: number; readonly text: string }> = []
  // What is not even a program is left for the compiler to judge.
  for (const comment of comments.filter(({ value }) => errors.length === 0 && value.startsWith(" => "))) {
    const where = `${path}:${line + code.slice(0, comment.start).split("\n").length}`
    const statement = statements.find(({ end }) => end <= comment.start && !code.slice(end, comment.start).trim())
    if (statement === undefined) throw new Error(`${where}: there is no value before "//${comment.value}"`)
    const { end, start } = statement.expression
    insertions.push({ at: start, text: `$claim("${where}", ` }, { at: end, text: `, ${comment.value.slice(4)})` })
    claims.push(where)
  }
  insertions.sort((a, b) => a.at - b.at)
  const pieces = insertions.map(({ at, text }, index) => text + code.slice(at, insertions[index + 1]?.at))
  const module = [
    "\n".repeat(line) + code.slice(0, insertions[0]?.at) + pieces.join(""),
    `import { claim as $claim } from "${fileURLToPath(import.meta.url)}"`
  ]
  return { module: module.join("\n"), claims }
}

/** Adds the tests of everything that is written in these texts. */
export const testWritten = (texts: ReadonlyArray<Text>): void => {
  const blocks = texts.flatMap(blocksOf)
  const examples = examplesOf(blocks)
  const project = mkdtempSync(join(tmpdir(), "effect-saga-written-"))
  afterAll(() => rmSync(project, { recursive: true }))

  const compilerOptions = { noUnusedLocals: false, rewriteRelativeImportExtensions: false }
  writeFileSync(join(project, "package.json"), `{ "type": "module" }`)
  writeFileSync(
    join(project, "tsconfig.json"),
    JSON.stringify({ extends: join(root, "tsconfig.json"), compilerOptions, include: ["*.ts"] })
  )
  symlinkSync(join(root, "node_modules"), join(project, "node_modules"))

  it("every block is an example, or what one prints", () => {
    const strays = blocks.filter(({ language, path }, index) => {
      const before = blocks[index - 1]
      return language !== "ts" && !(outputs.includes(language) && before?.path === path && before.language === "ts")
    })
    expect(strays.map(({ language, line, path }) => `${path}:${line} ${language}`)).toEqual([])
    expect(examples).not.toEqual([])
  })

  it("the examples compile", () => {
    expect(compile(project, examples)).toBe("")
  })

  const modules = examples.map((example) => {
    const { claims, module } = moduleOf(example)
    const path = join(project, example.file)
    writeFileSync(path, module, { flag: "wx" })
    const proven = () => expect(claims.filter((claim) => !held.has(claim)), "never reached").toEqual([])
    return {
      ...example,
      run: () => import(path),
      proven,
      isSuite: / from "(?:@effect\/|effect-saga\/testing\/)?vitest"/.test(example.code)
    }
  })

  for (const { line, path, proven, run } of modules.filter(({ isSuite }) => isSuite)) {
    describe(`${path}:${line}`, async () => {
      await run()
      it("every value is reached", proven)
    })
  }

  for (const { line, path, prints, proven, run } of modules.filter(({ isSuite }) => !isSuite)) {
    it(`${path}:${line}`, async () => {
      const printed = await output(run)
      expect(printed, `what ${path}:${line} prints`).toBe(prints ?? printed)
      proven()
    })
  }
}

/** What the compiler has to say, with the lines of the texts. */
const compile = (project: string, examples: ReadonlyArray<Example>): string => {
  try {
    return execFileSync(join(root, "node_modules/.bin/tsc"), ["--pretty", "false"], { cwd: project, encoding: "utf8" })
  } catch (error) {
    const paths = new Map(examples.map(({ file, path }) => [file, path]))
    const { stdout } = error as { readonly stdout: string }
    return stdout.replaceAll(/^(\S+)\((\d+),\d+\)/gm, (_, file, line) => `${paths.get(file) ?? file}:${line}`)
  }
}

/** What is printed on the console meanwhile. */
const output = async (program: () => Promise<unknown>): Promise<string> => {
  const lines: Array<string> = []
  const methods = ["debug", "error", "info", "log", "warn"] as const
  const spies = methods.map((method) =>
    vi.spyOn(console, method).mockImplementation((...values) => void lines.push(format(...values)))
  )
  try {
    await program()
    return lines.join("\n")
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}
