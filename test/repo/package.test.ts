import { execFileSync } from "node:child_process"
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { afterAll, beforeAll, expect, it } from "vitest"
import { root, sources, withoutComments } from "./sources.ts"

/** The declarations whose public type says `any`, as in `Saga.AnySaga`, each with its reason. */
const sayAny: Record<string, string> = {}

/** The CPU time to import the package, a bare process taken off, as a multiple of that of other imports. */
const importLimits = { "what it imports itself": 1.25, "effect/Effect alone": 3 }

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

it("the program runs", () => {
  expect(run(project, "node", "main.ts")).toBe("reserve 12A\nrelease 12A\ndeclined\ntrue\n")
})

it("internal files are out of reach", () => {
  const program = `await import("effect-saga/internal/tree").catch(({ code }) => console.log(code))`
  expect(run(project, "node", "--input-type=module", "-e", program)).toBe("ERR_PACKAGE_PATH_NOT_EXPORTED\n")
})

it("public types say any where it is listed only", () => {
  const loose = sources("dist", ".d.ts").filter(({ name }) => !name.includes("internal/")).flatMap(({ name, text }) =>
    withoutComments(text).split(/^(?=export |declare |type |interface )/m)
      .filter((declaration) => /\bany\b/.test(declaration.replaceAll(/"[^"\n]*"|`[^`]*`/g, "")))
      .map((declaration) =>
        `${name}.${/\b(?:const|function|class|interface|type|namespace) (\w+)/.exec(declaration)?.[1]}`
      )
  )
  expect([...new Set(loose)].sort()).toEqual(Object.keys(sayAny).sort())
})

it("importing it takes little time", () => {
  const core = sources("dist", ".js").filter(({ name }) => !name.startsWith("diagram/"))
  const imported = new Set(core.flatMap(({ imports }) => imports.filter((name) => name.startsWith("effect/"))))
  const programs = {
    nothing: "",
    saga: `import "effect-saga"`,
    "what it imports itself": Array.from(imported, (name) => `import "${name}"`).join("\n"),
    "effect/Effect alone": `import "effect/Effect"`
  }
  const report = `const { user, system } = process.cpuUsage(); console.log(user + system)`
  const fastest = new Map<string, number>()
  for (let round = 0; round < 9; round++) {
    for (const [name, program] of Object.entries(programs)) {
      const micros = Number(run(project, "node", "--input-type=module", "-e", `${program}\n${report}`))
      fastest.set(name, Math.min(micros, fastest.get(name) ?? Infinity))
    }
  }
  const cost = (name: string) => fastest.get(name)! - fastest.get("nothing")!
  for (const [name, limit] of Object.entries(importLimits)) {
    expect(cost("saga") / cost(name), `as a multiple of ${name}`).toBeLessThan(limit)
  }
})
