// What a saga looks like in Mermaid: the golden files were rendered with Mermaid 10, 11 and 12 and looked at.
import { describe, expect, it } from "@effect/vitest"
import { Effect, Schedule, Schema } from "effect"
import { Saga } from "effect-saga"
import { toMermaid } from "effect-saga/diagram"
import { everything, hostile, hostileTexts, trip } from "./sagas.ts"

const nothing = { action: () => Effect.void }
const undoable = { ...nothing, compensation: () => Effect.void }
const begin = Saga.make("Small", { payload: Schema.Void })

interface Box {
  readonly id: string
  readonly label: string
  /** The boxes around it, from the outside in. */
  readonly within: ReadonlyArray<string>
}

/** Reads a flowchart by a grammar that knows no more than what is meant to be there. */
const parsed = (text: string) => {
  const boxes = new Map<string, Box>()
  const arrows: Array<{ readonly from: string; readonly to: string; readonly arrow: string; readonly label: string }> =
    []
  const rest: Array<string> = []
  const within: Array<string> = []
  const label = String.raw`"((?:[\p{L}\p{M}\p{N},:↶ ]|(?<=\w)[._-](?=\w)|#\d+;|<br/>)+)"`
  const box = new RegExp(
    String.raw`^ +(subgraph )?(\d+)(?:\[|\(|\{|\(\[|\(\(|\{\{)${label}(?:\]|\)|\}|\]\)|\)\)|\}\})$`,
    "u"
  )
  const arrow = new RegExp(String.raw`^  (\d+) (-->|==>|-\.->)(?:\|${label}\|)? (\d+)$`, "u")
  for (const line of text.split("\n")) {
    const [, subgraph, id, boxLabel] = box.exec(line) ?? []
    const [, from, kind, arrowLabel, to] = arrow.exec(line) ?? []
    if (id !== undefined) boxes.set(id, { id, label: decoded(boxLabel!), within: [...within] })
    if (subgraph !== undefined) within.push(id!)
    if (kind !== undefined) arrows.push({ from: from!, to: to!, arrow: kind, label: decoded(arrowLabel ?? "") })
    if (/^ +end$/.test(line)) within.pop()
    else if (id === undefined && kind === undefined) rest.push(line)
  }
  return { boxes, arrows, rest, open: within }
}

/** What Mermaid makes of a label. */
const decoded = (label: string): string => label.replaceAll(/#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))

/** As in `flight -.-> Compensated`, by the first lines of the labels. */
const arrowsOf = (saga: Saga.AnySaga): ReadonlyArray<string> => {
  const { arrows, boxes } = parsed(toMermaid(saga))
  const name = (id: string) => boxes.get(id)!.label.split(/<br\/>|: /)[0]
  return arrows.map(({ arrow, from, label, to }) =>
    [name(from), arrow, ...(label === "" ? [] : [label]), name(to)].join(" ")
  )
}

describe("toMermaid", () => {
  for (const [name, saga] of Object.entries({ trip, everything, hostile })) {
    it(`${name}: is drawn as in the golden file`, async () => {
      await expect(`${toMermaid(saga)}\n`).toMatchFileSnapshot(`golden/${name}.mmd`)
    })

    it(`${name}: has nothing in it but boxes, arrows and styles`, () => {
      const { boxes, open, rest } = parsed(toMermaid(saga))
      expect(open).toEqual([])
      expect(rest.slice(0, 2)).toEqual([`%%{init: {"flowchart": {"wrappingWidth": 400}}}%%`, "flowchart TB"])
      const others = rest.slice(2).filter((line) => !/^ +direction TB$|^  classDef \w+ [\w:#,. -]+$/.test(line))
      const styled = others.flatMap((line) =>
        /^  class ([\d,]+) \w+$/.exec(line)?.[1]?.split(",") ?? [`stray: ${line}`]
      )
      expect(styled.filter((id) => !boxes.has(id))).toEqual([])
    })

    it(`${name}: no arrow crosses the border of a box`, () => {
      const { arrows, boxes } = parsed(toMermaid(saga))
      expect(arrows.length).toBeGreaterThan(0)
      for (const { from, to } of arrows) expect(boxes.get(from)!.within).toEqual(boxes.get(to)!.within)
    })
  }

  it("every text arrives as it is, but for what cannot be seen", () => {
    const tags = parsed(toMermaid(hostile)).arrows.flatMap(({ label }) => label === "" ? [] : [label])
    const unseen: Record<string, string> = {
      "\r": "%0D",
      "\n": "%0A",
      "\u0000": "%00",
      "\u001b": "%1B",
      "\u202e": "%E2%80%AE",
      "\ud800": "\ufffd",
      "ﬂ": "fl"
    }
    const seen = (text: string) => Array.from(text, (char) => unseen[char] ?? char).join("") || `""`
    expect(tags).toEqual(hostileTexts.map(seen))
  })

  it("dashed arrows lead from what failed to what is compensated next, past what has nothing to undo", () => {
    const saga = begin.pipe(
      Saga.check("a", nothing),
      Saga.step("b", undoable),
      Saga.sleep("c", 1),
      Saga.check("d", nothing),
      Saga.step("e", undoable)
    )
    expect(arrowsOf(saga).filter((arrow) => arrow.includes("-.->"))).toEqual([
      "a -.-> Compensated",
      "b -.-> Compensated",
      "d -.-> b",
      "e -.-> b"
    ])
  })

  it("from the pivot on arrows are thick and none leads back", () => {
    const saga = begin.pipe(
      Saga.step("a", undoable),
      Saga.pivot("b", nothing),
      Saga.retriable("c", { ...nothing, retry: Schedule.forever })
    )
    expect(arrowsOf(saga)).toEqual([
      "Small --> a",
      "a --> b",
      "b ==> c",
      "c ==> Succeeded",
      "a -.-> Compensated",
      "b -.-> a"
    ])
  })

  it("a saga that cannot fail does not end compensated", () => {
    const saga = begin.pipe(Saga.retriable("a", { ...nothing, retry: Schedule.forever }))
    expect(arrowsOf(saga)).toEqual(["Small --> a", "a ==> Succeeded"])
    expect(toMermaid(saga)).not.toContain("Compensated")
    expect(toMermaid(saga)).toContain(`"a<br/>retriable, no return once it starts"`)
    expect(arrowsOf(begin)).toEqual(["Small --> Succeeded"])
  })

  it("the first way of an orElse leads to the second", () => {
    const saga = begin.pipe(
      Saga.orElse("way", (fork) => fork, (fork) => fork.pipe(Saga.step("a", undoable))),
      Saga.step("b", undoable)
    )
    expect(arrowsOf(saga)).toContain("first way -.-> failed and compensated second way")
    expect(arrowsOf(saga)).toContain("b -.-> way")
    expect(toMermaid(saga)).toContain(`"nothing to do"`)
  })
})
