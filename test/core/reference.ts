/**
 * What a saga must do, said as plainly as possible: processes that yield until when they wait, on a clock that jumps from
 * one such time to the next. It shares no code with the core.
 */
import type { Body, Fork, Leaf, Node, Script, Tries } from "./randomSaga.ts"
import { leftOf, never } from "./randomSaga.ts"

/** What happens in which order: one after the other, or side by side. */
export type Order = string | Orders | { readonly par: ReadonlyArray<Orders> }
type Orders = Array<Order>
type Process<A = void> = Generator<() => number, A>
type Play<A> = (job: A, order: Orders) => Process
type Log = Array<Entry | { readonly logs: Array<Log>; readonly width: number }>
type Entry = { readonly leaf: Leaf; readonly path: string; readonly given: string; readonly retry: Tries | undefined }
/** What is compensated together: the saga, or the first way of an `orElse`. When it has failed it starts nothing more. */
type Scope = { readonly causes: Array<string>; readonly outer?: Scope }
interface Around {
  readonly path: string
  readonly scope: Scope
  /** When what may be cut is cut, by the interruption of the fiber or by a limit. */
  readonly cut: number
  readonly undoRetry: Tries | undefined
  readonly log: Log
  readonly order: Orders
}

const isStopped = ({ causes, outer }: Scope): boolean => causes.length > 0 || (outer !== undefined && isStopped(outer))

export const predict = (saga: Body, script: Script, interruptedAt: number) => {
  const left: Array<string> = []
  /** What became of each step, in words. */
  const steps = new Map<string, string>()
  const waiting: Array<readonly [resume: () => unknown, due: () => number]> = []
  let [now, committing, committed] = [0, false, false]

  const isAny = (words: RegExp, under = ""): boolean =>
    [...steps].some(([path, outcome]) => path.startsWith(under) && words.test(outcome))
  const haltsAt = ({ cut, scope }: Around): number => isStopped(scope) ? now : committing ? interruptedAt : cut
  const fail = (around: Around, path: string, cause: string): false => {
    if (committed) left.push(`${path} ${cause}`)
    else around.scope.causes.push(`${now} ${cause}`)
    return false
  }
  const go = (process: Process): void => {
    const next = process.next()
    if (next.done !== true) waiting.push([() => go(process), next.value])
  }

  /** False when it was cut, as waits are that hear of what happens around. */
  function* wait(millis: number, around?: Around): Process<boolean> {
    const end = now + millis
    yield () => around === undefined ? end : Math.min(end, haltsAt(around))
    return now === end
  }

  /** Plays jobs, so many at once. */
  function* pool<A>(jobs: ReadonlyArray<A>, width: number, order: Orders, play: Play<A>): Process {
    const orders = jobs.map((): Orders => [])
    order.push(width === 1 ? orders : { par: orders })
    const queue = jobs.entries()
    let busy = Math.min(width, jobs.length)
    const worker = function*(): Process {
      for (const [i, job] of queue) yield* play(job, orders[i]!)
      busy--
    }
    for (let i = busy; i > 0; i--) waiting.push([() => go(worker()), () => now])
    yield () => busy === 0 ? now : never
  }

  function* unwind(log: Log, order: Orders, deadline = now + saga.undoDeadline): Process {
    for (let entry = log.pop(); entry !== undefined; entry = log.pop()) {
      if ("leaf" in entry) yield* undo(entry, order, deadline)
      else yield* pool(entry.logs.reverse(), entry.width, order, (log, order) => unwind(log, order, deadline))
    }
  }

  function* undo({ given, leaf, path, retry }: Entry, order: Orders, deadline: number): Process {
    for (let attempt = 1;; attempt++) {
      const plan = script.undo(path, leaf, attempt)
      const inTime = plan.millis <= leaf.undoTimeout
      order.push(`${now} undo ${path}#${attempt} ${given}`)
      if (plan.applies < never) order.push(`${now + plan.applies} undone ${path}#${attempt}`)
      yield* wait(inTime || plan.stubborn ? Math.min(plan.millis, leaf.undoTimeout + 1000) : leaf.undoTimeout)
      const done = inTime && plan.end === "ok"
      const { millis, times } = leaf.undoRetry ?? retry ?? { times: 4, millis: 100 * 2 ** (attempt - 1) }
      steps.set(path, `${steps.get(path)!.split(",")[0]}, ${done ? "Compensated" : "CompensationFailed"} ${attempt}`)
      if (done || attempt > times || now >= deadline) return
      yield* wait(millis)
    }
  }

  function* act(leaf: Leaf, path: string, around: Around): Process<boolean> {
    const { atMostOnce, interruptible, kind, name, retry, timeout, whenUncertain } = leaf
    const forward = kind === "pivot" || kind === "retriable"
    const remember = (given: string) => around.log.push({ leaf, path, given, retry: around.undoRetry })
    committing ||= forward
    committed ||= kind === "retriable"
    let unknown: string | undefined
    let applied = false
    for (let attempt = 1;; attempt++) {
      const plan = script.attempt(path, leaf, attempt)
      const cut = Math.min(now + timeout, interruptible ? around.cut : never)
      const natural = now + plan.millis
      let ending = natural <= cut ? plan.end : cut === now + timeout ? "TimedOut" : "Interrupted"
      const end = plan.stubborn ? natural : Math.min(natural, cut)
      const applies = now + plan.applies
      applied ||= applies <= end
      around.order.push(`${now} act ${path}#${attempt}`)
      if (applies <= end) around.order.push(`${applies} done ${path}#${attempt}`)
      yield () => end
      const typed = ending === "fail" || ending === "DeclaredByError"
      const reason = kind === "check" || ending === "fail" || ending === "ok" ? undefined : ending
      unknown = reason ?? unknown
      const may = typed || ending === "TimedOut" || (forward && ending === "Died")
      const again = may && attempt <= retry.times && !(atMostOnce && reason !== undefined)
      if (again && (yield* wait(retry.millis, around))) continue
      if (unknown !== undefined && ending !== "ok" && leaf.verify) {
        const answer = script.answer(path)
        around.order.push(`${now} ask ${path}`)
        yield* wait(Math.min(answer.millis, timeout === never ? 30_000 : timeout))
        if (answer.knows) unknown = undefined
        if (answer.knows && applied) ending = "ok"
      }
      if (ending === "ok") {
        steps.set(path, `Succeeded ${attempt}`)
        if (kind === "step") remember(whenUncertain === "compensate" ? "Succeeded" : path)
        committed ||= forward
        return true
      }
      const open = unknown !== undefined && kind !== "retriable"
      steps.set(path, open ? `Uncertain ${attempt} ${unknown} ${whenUncertain}` : `Failed ${attempt}`)
      if (open && whenUncertain === "compensate") remember(unknown!)
      const says = typed || (ending === "TimedOut" && leaf.timeoutError) ? "Fail" : "Die"
      return fail(around, path, ending === "Interrupted" ? ending : `${says} ${ending} ${name}`)
    }
  }

  function* branches(around: Around, { bodies, width }: Fork, scope = around.scope): Process<boolean> {
    const logs: Array<Log> = []
    around.log.push({ logs, width })
    let complete = 0
    yield* pool(bodies, width, around.order, function*(body, order) {
      const log: Log = []
      logs.push(log)
      if (yield* sequence(body, { ...around, scope, log, order })) complete++
    })
    return complete === bodies.length
  }

  function* visit(node: Node, around: Around): Process<boolean> {
    const path = around.path + node.name
    if ("retry" in node) return yield* act(node, path, around)
    around.order.push(...node.decisions.map((decision) => `${now} decide ${around.path}${decision}`))
    if (node.kind === "sleep") return yield* wait(node.millis, around)
    if (node.broken) return fail(around, path, `Die broken ${node.name}`)
    if (node.kind !== "orElse") return yield* branches(around, node)
    const scope: Scope = { causes: [], outer: around.scope }
    const [first, second] = node.bodies.map((body): Fork => ({ ...node, bodies: [body] }))
    if (yield* branches(around, first!, scope)) return true
    const kinds = scope.causes.map((cause) => cause.split(" ")[1])
    const isOpen = () => isAny(/report|stuck|CompensationFailed/, `${path}/first/`)
    if (kinds[0] === "Fail" && !kinds.includes("Die") && !isOpen() && now < haltsAt(around)) {
      yield* unwind([around.log.pop()!], around.order)
      if (!isOpen()) return yield* branches(around, second!)
    }
    for (const cause of scope.causes) fail(around, path, cause.replace(/^\d+ /, "").replace("Fail", "Die"))
    return false
  }

  /** Plays nodes one after the other. A limit holds until the commit point. */
  function* sequence(body: Body, outer: Around): Process<boolean> {
    const limit = now + body.timeout
    let over = false
    const isOver = () => over || committing || outer.cut < limit || limit === never
    waiting.push([() => isOver() || fail(outer, "", "Fail SagaTimedOut"), () => isOver() ? now : limit])
    const cut = Math.min(outer.cut, limit)
    const around = { ...outer, path: outer.path + body.path, cut, undoRetry: body.undoRetry ?? outer.undoRetry }
    let complete = true
    for (let i = 0; i < body.nodes.length && complete; i++) {
      const goes = now < haltsAt(around)
      complete = goes && (yield* visit(body.nodes[i]!, around))
      if (!complete && committed) left.push(...leftOf(body.nodes.slice(goes ? i + 1 : i), around.path))
    }
    over = true
    return committed || now < cut ? complete : fail(around, "", "Interrupted")
  }

  const root: Around = { path: "", scope: { causes: [] }, cut: interruptedAt, undoRetry: undefined, log: [], order: [] }
  let complete = false
  const main = function*(): Process {
    complete = yield* sequence(saga, root)
    if (!complete && !committed && !isAny(/stuck/)) yield* unwind(root.log, root.order)
  }
  for (go(main()); waiting.length > 0;) {
    const [resume, due] = waiting.sort((a, b) => a[1]() - b[1]()).shift()!
    now = Math.max(now, due())
    resume()
  }
  return { complete, committed, causes: root.scope.causes, steps, order: root.order, left, endsAt: now }
}
