/** Saying a report for a person. */
import type { Report } from "../Exploration.ts"
import { nameOf } from "./places.ts"

const plural = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`

/** Says a report for a person. */
export const textOf = (report: Omit<Report, "text">): string => {
  const { crashes, deliveries, ended, places, random, saga, schedules, skipped, unbounded, unreachable } = report
  const of = (kind: "action" | "compensation") => places.filter((place) => place.kind === kind).length
  const reachedAllTheSame = (name: string) =>
    places.some((place) => nameOf(place) === name) || name === "event" && deliveries > 0
      ? `${name} (and was reached)`
      : name
  const untried = places.filter(({ faults }) => faults === 0).map(nameOf)
  const faults = places.reduce((sum, place) => sum + place.faults, 0)
  const counts = schedules.map((count, size) => `${count.toLocaleString("en")} of ${plural(size, "fault")}`)
  const ends = Object.entries(ended).map(([status, count]) => `${count.toLocaleString("en")} ${status}`)
  const lines: ReadonlyArray<readonly [string, string]> = [
    ["places", `${plural(of("action"), "action")}, ${plural(of("compensation"), "compensation")}: all reached`],
    [
      "faults",
      `${faults} at these places${crashes === 0 ? "" : `, ${crashes} around writes to the journal`}${
        deliveries === 0 ? "" : `, ${deliveries} of events that come`
      }`
    ],
    ["schedules", `${counts.join(", ")}${random === 0 ? "" : `, ${random.toLocaleString("en")} at random`}`],
    ...(untried.length === 0 ? [] : [["untried", `${untried.join(", ")}: come to by the last fault`] as const]),
    ...(skipped === 0 ? [] : [["left out", `${skipped.toLocaleString("en")} schedules, over the limit`] as const]),
    ["ended", ends.join(", ")],
    ...(unreachable.length === 0 ? [] : [["unreachable", unreachable.map(reachedAllTheSame).join(", ")] as const]),
    ...(unbounded.length === 0 ? [] : [["unbounded", `${unbounded.join(", ")}: without a timeout`] as const])
  ]
  return [
    `${saga} keeps its promises`,
    ...lines.map(([label, text]) => `  ${label.padEnd(11)} ${text}`)
  ].join("\n")
}
