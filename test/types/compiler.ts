/** Runs TypeScript's compiler over texts, as a child process: version 7 has no other door. It judges nothing. */
import { execFile } from "node:child_process"
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { root } from "../repo/sources.ts"

export interface Diagnostic {
  readonly file: string
  readonly line: number
  /** From the summary down to the reason, a line each. */
  readonly message: ReadonlyArray<string>
}

export interface Compiled {
  readonly diagnostics: ReadonlyArray<Diagnostic>
  /** What `--extendedDiagnostics` counts. */
  readonly counts: Readonly<Record<string, number>>
}

/** Compiles files against the source of the package, in a folder of their own, by the project's settings. */
export const compile = async (files: Readonly<Record<string, string>>): Promise<Compiled> => {
  const folder = await mkdtemp(join(tmpdir(), "effect-saga-types-"))
  try {
    await symlink(join(root, "node_modules"), join(folder, "node_modules"))
    await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }))
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify(settings))
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true })
      await writeFile(join(folder, name), text)
    }
    return read(await run(folder))
  } finally {
    await rm(folder, { recursive: true })
  }
}

const settings = {
  extends: join(root, "tsconfig.json"),
  compilerOptions: {
    paths: Object.fromEntries(
      ["", "/events", "/testing"].map((room) => [`effect-saga${room}`, [join(root, `src${room}/index.ts`)]])
    ),
    types: []
  },
  include: ["**/*.ts"]
}

// In one thread, so that the order in which types are met, and with it the text of unions, is the same each time.
const run = (folder: string): Promise<string> => {
  const tsc = join(root, "node_modules/typescript/bin/tsc")
  const args = [tsc, "--singleThreaded", "--extendedDiagnostics", "--pretty", "false"]
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: folder }, (_, stdout) => resolve(stdout))
  })
}

const read = (output: string): Compiled => {
  const diagnostics: Array<{ file: string; line: number; message: Array<string> }> = []
  const counts: Record<string, number> = {}
  for (const text of output.split("\n")) {
    const [, file, line, summary] = /^(\S+)\((\d+),\d+\): error TS\d+: (.*)$/.exec(text) ?? []
    const [, count, figure] = /^(\w[\w ]*):\s+([\d.]+)/.exec(text) ?? []
    if (summary !== undefined) diagnostics.push({ file: file!, line: Number(line), message: [summary] })
    else if (text.startsWith(" ")) diagnostics.at(-1)?.message.push(text.trim())
    else if (count !== undefined) counts[count] = Number(figure)
  }
  return { diagnostics, counts }
}
