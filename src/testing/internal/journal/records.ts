/** Records for tests of a journal, each with what a test does not care about filled in. */
import * as Effect from "effect/Effect"
import type {
  Batch,
  Claimed,
  ExecutionRecord,
  ExecutionState,
  FactRecord,
  Journal,
  ListOptions,
  Page,
  StartRecord,
  UpdateRecord
} from "../../../SagaJournal.ts"

export const finalStates = ["Succeeded", "Compensated", "Abandoned"] as const
export const openStates = ["Running", "Waiting", "Compensating", "Stuck"] as const
export const states = [...openStates, ...finalStates] as const

export const kind = { saga: "Trip", version: 1 }

export const start = (executionId: string, fields: Partial<StartRecord> = {}): StartRecord => ({
  executionId,
  ...kind,
  definition: "hash",
  startedAtMillis: 1_000,
  owned: true,
  ...fields
})

export const fact = (executionId: string, sequence: number, data = "{}"): FactRecord => ({
  executionId,
  sequence,
  tag: sequence === 0 ? "SagaStarted" : "StepSucceeded",
  data
})

/** Facts of one execution from a sequence up to another one. */
export const factsOf = (executionId: string, from: number, to: number): ReadonlyArray<FactRecord> =>
  Array.from({ length: to - from + 1 }, (_, index) => fact(executionId, from + index))

export const update = (
  executionId: string,
  state: ExecutionState,
  fields: Partial<UpdateRecord> = {}
): UpdateRecord => ({
  executionId,
  state,
  dueAtMillis: null,
  released: true,
  clean: true,
  uncertain: null,
  signals: 0,
  updatedAtMillis: 2_000,
  problem: null,
  ...fields
})

/** Ends what goes on for ever. */
export const patience = (): () => void => {
  let left = 5_000
  return () => {
    if (left-- === 0) throw new Error("it was asked 5,000 times, and it does not come to an end")
  }
}

let batches = 0

export const batch = (parts: Partial<Batch>): Batch => ({
  id: batches++,
  starts: [],
  facts: [],
  updates: [],
  signals: [],
  ...parts
})

/** A batch that starts executions, each with its first fact. */
export const starting = (...starts: ReadonlyArray<StartRecord>): Batch =>
  batch({ starts, facts: starts.map(({ executionId }) => fact(executionId, 0)) })

/** A batch that starts executions which nobody owns and which are due some time. */
export const waiting = (dueAtMillis: number | null, ...starts: ReadonlyArray<StartRecord>): Batch => ({
  ...starting(...starts),
  updates: starts.map(({ executionId }) => update(executionId, "Waiting", { dueAtMillis }))
})

export const committed = { _tag: "Committed", missing: [] } as const

export const missing = (...executionIds: ReadonlyArray<string>) =>
  ({ _tag: "Committed", missing: executionIds }) as const

export const leaseLost = { _tag: "LeaseLost" } as const

export const acquire = (journal: Journal) => journal.acquire({ name: "test", leaseMillis: 60_000 })

/** Claims whatever is due now or ever. */
export const claimAll = (
  journal: Journal,
  lease: Parameters<Journal["claim"]>[0],
  fields: Partial<Parameters<Journal["claim"]>[1]> = {}
) => journal.claim(lease, { sagas: [kind], nowMillis: 1e15, limit: 1_000, suspects: false, ...fields })

/** All executions of a list, page by page, and how many they were on each page. */
export const listAll = (journal: Journal, options: ListOptions) =>
  Effect.gen(function*() {
    const executions: Array<ExecutionRecord> = []
    const sizes: Array<number> = []
    let after = options.after
    const wait = patience()
    do {
      wait()
      const page: Page = yield* journal.list({ ...options, after })
      executions.push(...page.executions)
      sizes.push(page.executions.length)
      after = page.next
    } while (after !== undefined)
    return { ids: executions.map(({ executionId }) => executionId), executions, sizes }
  })

export const idsOf = (claimed: ReadonlyArray<Claimed>): ReadonlyArray<string> =>
  claimed.map(({ execution }) => execution.executionId)

/** What a journal holds of some executions. */
export const contents = (journal: Journal, ...executionIds: ReadonlyArray<string>) =>
  Effect.forEach(executionIds, (executionId) => Effect.all([journal.find(executionId), journal.facts(executionId, 0)]))
