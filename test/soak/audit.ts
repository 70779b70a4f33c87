/** What must be true of the journal and of the participant's books when nothing goes on any more. */
import type { Entry } from "./ledger.ts"
import type { Body } from "./sagas.ts"
import { neededOf } from "./sagas.ts"

export interface ExecutionRow {
  readonly execution_id: string
  readonly state: string
  readonly problem: string | null
}

export interface FactRow {
  readonly execution_id: string
  readonly sequence: number
  readonly tag: string
  readonly data: string
}

/** What somebody was told of an execution. */
export interface Told {
  started: boolean
  readonly ends: Set<string>
  readonly cancels: Set<string>
}

/** What is recorded of an action. */
interface Record {
  started: number
  ends: Array<string>
  undone: Array<string>
}

const finals = ["Succeeded", "Compensated", "Stuck"]

const recordsOf = (facts: ReadonlyArray<FactRow>): ReadonlyMap<string, Record> => {
  const records = new Map<string, Record>()
  for (const { data, tag } of facts) {
    const { path } = JSON.parse(data) as { readonly path?: string }
    if (path === undefined || !/^(?:Step|Compensation)/.test(tag)) continue
    let record = records.get(path)
    if (record === undefined) records.set(path, record = { started: 0, ends: [], undone: [] })
    if (tag === "StepStarted") record.started++
    if (/^Step(?:Succeeded|Failed|Uncertain)$/.test(tag)) record.ends.push(tag)
    if (/^Compensation(?:Succeeded|Failed)$/.test(tag)) record.undone.push(tag)
  }
  return records
}

/** What is wrong with the books of one action, in words. */
const bookProblem = (kind: string, record: Record | undefined, entry: Entry | undefined): string | undefined => {
  const state = entry?.state
  if (entry !== undefined && entry.clashes > 0) return `${entry.clashes} calls had a key of something else`
  if (record === undefined || record.started === 0) return "it took place, and its start is not on record"
  const [end] = record.ends
  const [undone] = record.undone
  if (record.ends.length > 1) return `it has ended more than once: ${record.ends.join(", ")}`
  if (record.undone.length > 1) return `it was undone more than once: ${record.undone.join(", ")}`
  if (undone === "CompensationFailed" || end === undefined) return undefined
  if (undone === "CompensationSucceeded") {
    if (state === "Applied") return "its compensation is on record, and it stands"
    return end === "StepSucceeded" && state !== "Undone" ? `it succeeded, was compensated, and is ${state}` : undefined
  }
  if (end === "StepSucceeded" && state !== "Applied") return `it succeeded, and is ${state}`
  // A retriable that has failed is left to a person, who finds out.
  return end === "StepFailed" && kind !== "retriable" && state === "Applied" ? "it failed, and stands" : undefined
}

/** What is wrong with one execution, in words. */
export const problemsOf = (
  execution: ExecutionRow,
  facts: ReadonlyArray<FactRow>,
  entries: ReadonlyArray<Entry>,
  told: Told | undefined,
  body: Body
): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const { execution_id, state } = execution
  facts.forEach(({ sequence }, index) => {
    if (sequence !== index) problems.push(`the fact number ${index} has the sequence ${sequence}`)
  })
  const ends = facts.filter(({ tag }) => /^Saga(?:Succeeded|Compensated|Stuck)$/.test(tag))
  if (facts[0]?.tag !== "SagaStarted") problems.push("it does not begin with its start")
  if (ends.length > 1) problems.push(`it has ended more than once: ${ends.map(({ tag }) => tag).join(", ")}`)
  if (ends.length === 1 && ends[0] !== facts.at(-1)) problems.push("something is on record after its end")
  if (ends.length === 1 && ends[0]!.tag !== `Saga${state}`) problems.push(`${ends[0]!.tag}, and its row says ${state}`)
  if (ends.length === 0 && (state === "Succeeded" || state === "Compensated")) {
    problems.push(`${state} without its fact`)
  }

  const records = recordsOf(facts)
  const books = new Map(entries.map((entry) => [entry.path, entry]))
  for (const path of new Set([...records.keys(), ...books.keys()])) {
    const entry = books.get(path)
    const record = records.get(path)
    const kind = kindOf(path, body)
    const problem = kind === "check" ? undefined : bookProblem(kind, record, entry)
    if (problem !== undefined) problems.push(`${path}: ${problem}`)
    if (finals.slice(0, 2).includes(state) && record !== undefined && record.started > 0 && record.ends.length === 0) {
      problems.push(`${path}: started, and the execution has ended without its outcome`)
    }
  }
  if (state === "Succeeded") {
    for (const path of neededOf(body, Number(execution_id.split("/")[1]))) {
      if (books.get(path)?.state !== "Applied") problems.push(`${path}: is ${books.get(path)?.state}, and it succeeded`)
    }
  }
  if (state === "Compensated") {
    for (const { path, state } of entries) {
      const isUncertain = records.get(path)?.ends[0] === "StepUncertain"
      if (state === "Applied" && !isUncertain) problems.push(`${path}: stands, and it is compensated`)
    }
  }

  for (const end of told?.ends ?? []) {
    // Who did not want to wait for a person was told so.
    const same = end === state || end === "SagaCancelled" && state === "Compensated"
      || end === "ExecutionStuck" && state === "Stuck"
    if (!same) problems.push(`somebody was told ${end}, and it is ${state}`)
  }
  if (told?.cancels.has("Cancelled") && state === "Succeeded") {
    problems.push("its cancellation was confirmed, and it succeeded")
  }
  if (told?.cancels.has("AlreadyCommitted") && state === "Compensated") {
    problems.push("its cancellation came too late, and it is compensated")
  }
  return problems
}

/** The kind of the node at a path: names are unique in a tree. */
const kindOf = (path: string, body: Body): string => {
  const name = path.split("/").at(-1)!
  const find = (body: Body): string | undefined => {
    for (const node of body) {
      if (node.kind === "parallel") {
        for (const branch of node.branches) {
          const found = find(branch)
          if (found !== undefined) return found
        }
        continue
      }
      if (node.name === name) return node.kind
      const found = node.kind === "forEach"
        ? find(node.each)
        : node.kind === "when" || node.kind === "nested"
        ? find(node.body)
        : node.kind === "orElse"
        ? find(node.first) ?? find(node.second)
        : undefined
      if (found !== undefined) return found
    }
    return undefined
  }
  return find(body) ?? "nothing"
}
