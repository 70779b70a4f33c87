import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"

export const root = fileURLToPath(new URL("../../", import.meta.url))

/** What a user can import, as in `effect-saga/diagram`, and the source behind it, as in `diagram/index`. */
export const entries: ReadonlyMap<string, string> = new Map(
  Object.entries<string | null>(JSON.parse(readFileSync(join(root, "package.json"), "utf8")).exports).flatMap(
    ([entry, target]) => {
      const name = /^\.\/dist\/(.+)\.js$/.exec(target ?? "")?.[1]
      return name === undefined ? [] : [[entry.replace(/^\./, "effect-saga"), name]]
    }
  )
)

export interface Source {
  /** The path below the folder without its extension, as in `internal/tree`. */
  readonly name: string
  readonly text: string
  /** The text with its comments blanked out, line for line. */
  readonly code: string
  /** What it imports or exports from, types too: `effect/Effect`, and names of sources for relative paths. */
  readonly imports: ReadonlyArray<string>
}

/** All files of a folder of the project that end in `extension`. */
export const sources = (folder = "src", extension = ".ts"): ReadonlyArray<Source> => {
  const base = join(root, folder)
  const read = (path: string): Source => {
    const name = path.slice(0, -extension.length)
    const text = readFileSync(join(base, path), "utf8")
    const code = withoutComments(text)
    const targets = Array.from(code.matchAll(/\b(?:from|import)\s*\(?\s*"([^"]+)"/g), ([, target]) => target!)
    const imports = [...new Set(targets)].map((target) =>
      target.startsWith(".") ? relative(base, join(base, dirname(path), target)).replace(/\.[jt]s$/, "") : target
    )
    return { name, text, code, imports }
  }
  return readdirSync(base, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(extension)).map(read)
}

/** Line comments are those at the start of a line or after a blank, so that `https://` survives. */
export const withoutComments = (text: string): string =>
  text.replaceAll(/\/\*[^]*?\*\//g, (comment) => comment.replaceAll(/[^\n]+/g, "")).replaceAll(/(^|\s)\/\/.*$/gm, "")
