/**
 * A strict ledger: compares what the books of the participants hold with what each order should have left there. What is
 * lost, applied twice or not undone is a fault.
 */
import type { ExecutionRecord } from "../../src/Journal.ts"
import type { Call, Posting, Verdict } from "./books.ts"
import type { Order } from "./saga.ts"
import { totalOf } from "./saga.ts"

type Sums = Readonly<Record<string, number>>

export interface Proof {
  readonly calls: number
  readonly verdicts: Readonly<Record<Verdict, number>>
  /** The deeds that stand. */
  readonly standing: number
  /** How many of them are left over by orders that are stuck. */
  readonly leftOver: number
  readonly faults: ReadonlyArray<string>
}

const complete = (order: Order): Sums => ({
  reserved: order.lines.reduce((sum, line) => sum + line.quantity, 0),
  held: totalOf(order),
  taken: totalOf(order),
  parcels: order.express ? 2 : 1,
  mails: 1
})

/** What an order leaves with the participants. */
const expected = (order: Order, { problem, state }: ExecutionRecord): Sums => {
  if (state === "Succeeded") return complete(order)
  if (state !== "Stuck") return {}
  // Committed, and the mail could not be sent.
  if (problem === "ForwardRecoveryFailed: mail") return { ...complete(order), mails: 0 }
  const open = order.lines.filter(({ sku }) => problem?.includes(`lines/${sku}/reserve`))
  return { reserved: open.reduce((sum, line) => sum + line.quantity, 0) }
}

const countBy = <A>(all: Iterable<A>, keyOf: (one: A) => string): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const one of all) counts.set(keyOf(one), (counts.get(keyOf(one)) ?? 0) + 1)
  return counts
}

/** Judges the books. */
export const prove = (
  orders: ReadonlyMap<string, Order>,
  executions: ReadonlyArray<ExecutionRecord>,
  calls: ReadonlyArray<Call>,
  postings: ReadonlyArray<Posting>
): Proof => {
  const faults: Array<string> = []
  const rest = new Map<string, number>()
  for (const { account, amount, order } of postings) {
    const key = `${order} ${account}`
    rest.set(key, (rest.get(key) ?? 0) + amount)
  }
  const byOrder = countBy(postings.filter(({ amount }) => amount > 0), ({ order }) => order)
  const undoneByOrder = countBy(postings.filter(({ amount }) => amount < 0), ({ order }) => order)
  let leftOver = 0
  const found = new Set<string>()
  for (const execution of executions) {
    const order = orders.get(execution.executionId)
    found.add(execution.executionId)
    if (order === undefined) {
      faults.push(`${execution.executionId} is no order that came in`)
      continue
    }
    const sums = expected(order, execution)
    for (const account of Object.keys(complete(order))) {
      const [is, should] = [rest.get(`${order.id} ${account}`) ?? 0, sums[account] ?? 0]
      rest.delete(`${order.id} ${account}`)
      if (is !== should) faults.push(`${order.id} is ${execution.state}: ${account} ${is}, not ${should}`)
    }
    if (execution.state === "Stuck") leftOver += (byOrder.get(order.id) ?? 0) - (undoneByOrder.get(order.id) ?? 0)
  }
  for (const id of orders.keys()) if (!found.has(id)) faults.push(`${id} was lost`)
  for (const [key, amount] of rest) if (amount !== 0) faults.push(`${key} ${amount} belongs to nobody`)

  const of = (verdict: Verdict) => calls.filter((call) => call.verdict === verdict)
  const verdicts: Record<Verdict, number> = {
    applied: of("applied").length,
    undone: of("undone").length,
    repeated: of("repeated").length,
    refused: of("refused").length,
    "nothing to undo": of("nothing to undo").length
  }
  for (const [key, times] of countBy([...of("applied"), ...of("undone")], ({ key }) => key)) {
    if (times > 1) faults.push(`${key} was applied ${times} times`)
  }
  const changes = verdicts.applied + verdicts.undone
  if (changes !== postings.length) {
    faults.push(`${changes} calls changed something, and there are ${postings.length} postings`)
  }
  return { calls: calls.length, verdicts, standing: verdicts.applied - verdicts.undone, leftOver, faults }
}
