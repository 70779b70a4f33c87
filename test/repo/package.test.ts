import { execFileSync } from "node:child_process"
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { afterAll, beforeAll, expect, it } from "vitest"
import { entries, root, sources, withoutComments } from "./sources.ts"

/** The declarations whose public type says `any`, as in `SagaRun.run`, each with its reason. */
const sayAny: Record<string, string> = {}

/** The CPU time to import the package, a bare process taken off, as a multiple of that of other imports. */
const importLimits = { "what it imports itself": 1.7, "effect/Effect alone": 2 }

const project = mkdtempSync(join(tmpdir(), "effect-saga-"))
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
const tarball = join(project, `effect-saga-${version}.tgz`)

/** As typed at a prompt: the tools of this project first, none of npm's variables, what was printed if it fails. */
const run = (cwd: string, command: string, ...args: ReadonlyArray<string>): string => {
  const variables = Object.entries(process.env).filter(([name]) => !name.toLowerCase().startsWith("npm_"))
  const path = [dirname(process.execPath), join(root, "node_modules/.bin"), process.env["PATH"]].join(delimiter)
  try {
    return execFileSync(command, args, {
      cwd,
      encoding: "utf8",
      env: { ...Object.fromEntries(variables), PATH: path },
      stdio: ["ignore", "pipe", "pipe"]
    })
  } catch (error) {
    const { stderr, stdout } = error as { readonly stdout: string; readonly stderr: string }
    throw new Error(`${command} ${args.join(" ")}\n${stdout}${stderr}`, { cause: error })
  }
}

beforeAll(() => {
  run(root, "npm", "pack", "--pack-destination", project)
  writeFileSync(join(project, "package.json"), `{ "type": "module" }`)
  run(project, "npm", "install", "--offline", "--no-audit", "--no-fund", tarball, join(root, "node_modules/effect"))
  copyFileSync(join(root, "test/repo/consumer/main.ts"), join(project, "main.ts"))
}, 120_000)

afterAll(() => rmSync(project, { recursive: true }))

it("publint finds nothing to say", () => {
  expect(run(root, "publint", tarball, "--strict")).toContain("All good!")
})

it("attw finds the types of every entry", () => {
  run(root, "attw", tarball, "--profile", "esm-only", "--no-definitely-typed")
})

it("a program compiles against it", () => {
  const options = {
    noEmit: true,
    strict: true,
    module: "nodenext",
    types: ["node"],
    typeRoots: [join(root, "node_modules/@types")]
  }
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["main.ts"] }))
  run(project, "tsc")
})

/** What runs inside of a test runner alone, which is not installed there. */
const inTests = "effect-saga/testing/vitest"

it("the program imports every entry and runs", () => {
  const program = readFileSync(join(project, "main.ts"), "utf8")
  expect(Array.from(entries.keys()).filter((entry) => !program.includes(`from "${entry}"`))).toEqual([inTests])
  expect(run(project, "node", "main.ts")).toBe("reserve 12A\nrelease 12A\ndeclined\ntrue\nFailure\nhello you\n")
})

it("internal files are out of reach", () => {
  const program = `await import("effect-saga/internal/tree").catch(({ code }) => console.log(code))`
  expect(run(project, "node", "--input-type=module", "-e", program)).toBe("ERR_PACKAGE_PATH_NOT_EXPORTED\n")
})

/** What a class extends that calls a factory of Effect, such as `Data.TaggedError`: named by the compiler alone. */
const factoryResult = /^declare const \w+_base: /

it("public types say any where it is listed only", () => {
  const loose = sources("dist", ".d.ts").filter(({ name }) => !name.includes("internal/")).flatMap(({ name, text }) =>
    withoutComments(text).split(/^(?=export |declare |type |interface )/m)
      .filter((declaration) => !factoryResult.test(declaration))
      .filter((declaration) => /\bany\b/.test(declaration.replaceAll(/"[^"\n]*"|`[^`]*`/g, "")))
      .map((declaration) =>
        `${name}.${/\b(?:const|function|class|interface|type|namespace) (\w+)/.exec(declaration)?.[1]}`
      )
  )
  expect([...new Set(loose)].sort()).toEqual(Object.keys(sayAny).sort())
})

it("importing it does not load effect/Schema, unless it is the schema of facts", () => {
  const loaded = (entry: string) =>
    run(
      project,
      "node",
      "--input-type=module",
      "-e",
      `import { registerHooks } from "node:module"
      const urls = []
      registerHooks({ load: (url, context, next) => (urls.push(url), next(url, context)) })
      await import("${entry}")
      console.log(urls.join("\\n"))`
    )
  expect(loaded("effect-saga/SagaEvent")).toContain("/effect/dist/Schema.js")
  expect(loaded("effect-saga")).not.toContain("/effect/dist/Schema.js")
})

// Measured again when the machine was busy.
it("importing it takes little time", { retry: 2 }, () => {
  const files = new Map(sources("dist", ".js").map(({ imports, name }) => [name, imports]))
  const reached = new Set(["index"])
  for (const name of reached) for (const target of files.get(name) ?? []) reached.add(target)
  const programs = {
    nothing: "",
    saga: `import "effect-saga"`,
    "what it imports itself": Array.from(reached).filter((name) => name.startsWith("effect/"))
      .map((name) => `import "${name}"`).join("\n"),
    "effect/Effect alone": `import "effect/Effect"`
  }
  const report = `const { user, system } = process.cpuUsage(); console.log(user + system)`
  // What is compared is measured at one moment: a machine that others use is fast and slow by turns.
  const rounds = Array.from({ length: 7 }, () => {
    const micros = new Map(
      Object.entries(programs).map(([name, program]) =>
        [name, Number(run(project, "node", "--input-type=module", "-e", `${program}\n${report}`))] as const
      )
    )
    return (name: string) => micros.get(name)! - micros.get("nothing")!
  })
  for (const [name, limit] of Object.entries(importLimits)) {
    const ratios = rounds.map((cost) => cost("saga") / cost(name)).sort((one, other) => one - other)
    expect(ratios[3], `as a multiple of ${name}, the median of ${ratios.join(", ")}`).toBeLessThan(limit)
  }
})
