/**
 * Mutation testing of the interpreter, the unwind and the fold: each is changed in every place, one change at a time, and the
 * tests have to notice. It works on a copy, takes the better part of an hour, prints which changes nobody has noticed, and fails
 * below 85 percent.
 *
 * `npm run mutation` for all of it, `npm run mutation -- src/internal/unwind.ts` for one file.
 */
import { execFileSync } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "../..")
const least = 85

const [, , ...given] = process.argv
const mutate = given.length > 0
  ? given
  : ["src/internal/interpreter.ts", "src/internal/waits.ts", "src/internal/unwind.ts", "src/SagaState.ts"]

const config = {
  testRunner: "vitest",
  plugins: [join(root, "test/mutation/node_modules/@stryker-mutator/vitest-runner/dist/src/index.js")],
  vitest: { configFile: "test/mutation/vitest.config.ts", related: false },
  // It is a copy already. TypeScript 7 has no door that Stryker could use.
  inPlace: true,
  tsconfigFile: "none.json",
  coverageAnalysis: "perTest",
  ignoreStatic: true,
  concurrency: availableParallelism(),
  timeoutMS: 5_000,
  timeoutFactor: 2,
  reporters: ["json", "progress-append-only"],
  mutate
}

interface Mutant {
  readonly status: string
  readonly mutatorName: string
  readonly replacement: string
  readonly location: { readonly start: { readonly line: number; readonly column: number } }
}
interface Report {
  readonly files: Readonly<Record<string, { readonly source: string; readonly mutants: ReadonlyArray<Mutant> }>>
}

const noticed = (mutant: Mutant) => mutant.status === "Killed" || mutant.status === "Timeout"
const missed = (mutant: Mutant) => mutant.status === "Survived" || mutant.status === "NoCoverage"
const percent = (mutants: ReadonlyArray<Mutant>) =>
  100 * mutants.filter(noticed).length / mutants.filter((mutant) => noticed(mutant) || missed(mutant)).length

const folder = mkdtempSync(join(tmpdir(), "effect-saga-mutation-"))
try {
  for (const name of ["src", "test", "examples", "package.json", "tsconfig.json", "README.md"]) {
    const from = join(root, name)
    cpSync(from, join(folder, name), { recursive: true, filter: (path) => !path.includes("node_modules") })
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
  writeFileSync(join(folder, "stryker.config.json"), JSON.stringify(config))
  const stryker = join(root, "test/mutation/node_modules/@stryker-mutator/core/bin/stryker.js")
  execFileSync(process.execPath, [stryker, "run"], { cwd: folder, stdio: "inherit" })
  const report: Report = JSON.parse(readFileSync(join(folder, "reports/mutation/mutation.json"), "utf8"))
  for (const [file, { mutants, source }] of Object.entries(report.files)) {
    const lines = source.split("\n")
    console.log(`\n${file}: ${percent(mutants).toFixed(1)} %`)
    for (const { location: { start }, mutatorName, replacement } of mutants.filter(missed)) {
      console.log(
        `  ${start.line}:${start.column} ${mutatorName}: ${lines[start.line - 1]!.trim()}  =>  ${replacement}`
      )
    }
  }
  const all = percent(Object.values(report.files).flatMap(({ mutants }) => mutants))
  console.log(`\n${all.toFixed(1)} % of all, ${least} are asked for`)
  if (all < least) process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
