/** The checker is checked: `explore` finds every planted bug by at most two faults, and nothing where there is none. */
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import { bugs, explored } from "./planted.ts"
import { plants } from "./plants.ts"

/** What `explore` finds with each bug, a line each. */
const table = (
  found: ReadonlyArray<{ readonly bug: string; readonly found: string; readonly replay: string }>
): string => found.map(({ bug, found, replay }) => `${bug}\n  ${found}\n  ${replay}\n`).join("\n")

it.each(["fiber", "engine"] as const)(
  "nothing is found where there is no bug: %s",
  { timeout: 60_000 },
  async (where) => {
    for (const saga of [{}, { events: true }] as const) {
      const { found } = await Effect.runPromise(
        explored(undefined, { where, limit: where === "fiber" ? 2_000 : 800, ...saga })
      )
      expect(found).toBe("nothing")
    }
  }
)

it("each bug of a saga or a participant is found", { timeout: 60_000 }, async () => {
  const all = await Promise.all(
    bugs.map(async (bug) => ({ bug, ...await Effect.runPromise(explored(bug, { where: "fiber" })) }))
  )
  expect(all.filter(({ faults, found }) => found === "nothing" || faults > 2)).toEqual([])
  await expect(table(all)).toMatchFileSnapshot("golden/bugs.txt")
})

it("each bug of the toolkit is found", { timeout: 120_000 }, async () => {
  const printed = execFileSync(process.execPath, [fileURLToPath(new URL("plants.ts", import.meta.url))], {
    encoding: "utf8"
  })
  const all = printed.trim().split("\n").map((line) => JSON.parse(line)).map(({ plant, ...found }) => ({
    bug: plant,
    ...found
  }))
  expect(all.map(({ bug }) => bug)).toEqual(Object.keys(plants))
  expect(all.filter(({ faults, found }) => found === "nothing" || faults > 2)).toEqual([])
  await expect(table(all)).toMatchFileSnapshot("golden/plants.txt")
})
