// The order service, killed in the middle: what it prints, what its ledger would not let pass, and that nobody outlives it.
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Saga } from "effect-saga"
import { SagaEngine } from "effect-saga/SagaEngine"
import { SagaJournal } from "effect-saga/SagaJournal"
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout } from "node:timers/promises"
import { promisify } from "node:util"
import { expect, it as test } from "vitest"
import { Books } from "../../examples/order-service/books.ts"
import { incoming, ordersOf, takeAll } from "../../examples/order-service/intake.ts"
import { prove } from "../../examples/order-service/proof.ts"
import { fulfil } from "../../examples/order-service/saga.ts"
import { Participants } from "../../examples/order-service/services.ts"

const root = join(import.meta.dirname, "../..")
const main = join(root, "examples/order-service/main.ts")

/** What differs from run to run becomes one sign each: pids, what was in flight, calls, times, bars and where they are. */
const steady = (printed: string): string => {
  const [report = "", timeline = ""] = printed.split(/(?=^Order o-077)/m)
  const time = (text: string) => text.replaceAll(/\b[\d.]+ (ms|s|min)\b/g, "* s")
  return time(report)
    .replaceAll(/\bprocess \d+/g, "process *")
    .replaceAll(/\b\d+ (are done|in flight|still to come)/g, "* $1")
    .replaceAll(/^ +[\d,]+(?= {2}(?:calls|came again|refused {5}and|done|undone))/gm, "      *")
    .concat(
      time(timeline)
        .replaceAll(/ [█▓░◆✗]+(?= |$)/gm, " =")
        .replaceAll(/(?:, )?\b\d attempts/g, "")
        .replaceAll(/─+/g, "─")
        .replaceAll(/(?<=\S) {2,}/g, "  ")
        .replaceAll(/^ {3,}/gm, "    ")
        .replaceAll(/ +$/gm, "")
    )
}

/** The number before some words. */
const counted = (printed: string, words: string): number =>
  Number(new RegExp(`([\\d,]+) +${words}`).exec(printed)?.[1]?.replaceAll(",", ""))

/** The part of it that the README shows. */
const shortened = (): string =>
  /^ {4}200 orders[^]*?(?=\n\n\S)/m.exec(readFileSync(join(root, "README.md"), "utf8"))?.[0].replaceAll(
    /^ {4}/gm,
    ""
  ) ??
    ""

test("half of the orders are done when it is killed, all of them in the end, and the books balance", async () => {
  const { stderr, stdout } = await promisify(execFile)(process.execPath, [main], { env: {} })
  expect(stderr).toBe("")

  const done = counted(stdout, "are done")
  expect(done).toBeGreaterThanOrEqual(94)
  expect(done).toBeLessThan(188)
  expect(counted(stdout, "in flight")).toBeGreaterThan(0)
  expect(counted(stdout, "came again")).toBeGreaterThan(0)
  // The timeline begins before the death of the first process and ends after the start of the second.
  const timed = (words: string) => {
    const [, digits, unit] = new RegExp(`${words} after ([\\d.]+) (s|ms)`).exec(stdout) ?? []
    return Number(digits) * (unit === "s" ? 1000 : 1)
  }
  expect(timed("killed")).toBeGreaterThan(0)
  expect(timed("started again")).toBeLessThan(timed("Fulfil was compensated"))

  await expect(steady(stdout)).toMatchFileSnapshot("golden/order-service.txt")

  // The README shows parts of it: every line but those of three dots, in this order.
  const lines = steady(stdout).split("\n")
  const shown = steady(shortened()).split("\n").filter((line) => line.trim() !== "..." && line.trim() !== "")
  expect(shown.length).toBeGreaterThan(20)
  let at = 0
  for (const line of shown) {
    at = lines.indexOf(line, at) + 1
    expect(at, `"${line}" of the README is not printed there`).toBeGreaterThan(0)
  }
}, 90_000)

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Starts the example and waits until it has started the service. */
const started = async () => {
  const parent = spawn(process.execPath, [main], { env: {}, stdio: ["ignore", "pipe", "inherit"] })
  for await (const line of createInterface(parent.stdout)) {
    const pid = /process (\d+) takes orders/.exec(line)?.[1]
    if (pid !== undefined) return { parent, pid: Number(pid) }
  }
  throw new Error("it has started no service")
}

test.for(["SIGTERM", "SIGINT", "SIGKILL"] as const)(
  "a %s to the example leaves no service behind",
  { timeout: 60_000 },
  async (signal) => {
    const { parent, pid } = await started()
    expect(isAlive(pid)).toBe(true)
    const ended = once(parent, "exit")
    parent.kill(signal)
    await ended
    const deadline = Date.now() + 20_000
    while (isAlive(pid) && Date.now() < deadline) await setTimeout(20)
    expect(isAlive(pid)).toBe(false)
  }
)

const inputs = incoming().slice(0, 20)
const orders = ordersOf(inputs)

const Service = Saga.register(fulfil).pipe(
  Layer.provide(Participants),
  Layer.provideMerge(SagaEngine.layer),
  Layer.provideMerge([SagaJournal.layerMemory, Books.layer(":memory:")])
)

/** Some orders without any death. */
const world = Effect.gen(function*() {
  const engine = yield* SagaEngine
  const refusals = yield* takeAll(inputs)
  yield* Effect.forEach(orders.keys(), (id) => Effect.exit(engine.await(fulfil, id, { onStuck: "fail" })), {
    concurrency: "unbounded"
  })
  const { executions } = yield* SagaJournal.use((journal) => journal.list({ limit: 100 }))
  const books = yield* Books
  return { refusals, executions, calls: yield* books.calls, postings: yield* books.postings }
}).pipe(Effect.provide(Service))

it.live("the ledger names what is missing, what is too much, and what was done twice", () =>
  Effect.gen(function*() {
    const { calls, executions, postings, refusals } = yield* world
    assert.deepStrictEqual(refusals.map(({ name }) => name), ["o-004"])
    const faults = (changed: { readonly calls?: typeof calls; readonly postings?: typeof postings }) =>
      prove(orders, executions, changed.calls ?? calls, changed.postings ?? postings).faults
    assert.deepStrictEqual(faults({}), [])

    const succeeded = executions.find(({ state }) => state === "Succeeded")!
    const order = orders.get(succeeded.executionId)!.id
    const mail = postings.find((posting) => posting.order === order && posting.account === "mails")!
    assert.deepStrictEqual(faults({ postings: postings.filter((posting) => posting !== mail) }), [
      `${order} is Succeeded: mails 0, not 1`,
      `${postings.length} calls changed something, and there are ${postings.length - 1} postings`
    ])

    const compensated = executions.find(({ state }) => state === "Compensated")!
    const undone = postings.find(({ amount, order }) =>
      amount < 0 && orders.get(compensated.executionId)!.id === order
    )!
    assert.include(
      faults({ postings: postings.filter((posting) => posting !== undone) })[0],
      `${undone.order} is Compensated: ${undone.account} ${-undone.amount}, not 0`
    )

    assert.include(
      faults({ calls: [...calls, calls.find(({ key }) => key === mail.key)!] }),
      `${mail.key} was applied 2 times`
    )
    assert.include(
      faults({ postings: [...postings, { ...mail, key: "k", order: "o-999" }] }),
      "o-999 mails 1 belongs to nobody"
    )
    const lost = new Map([...orders, ["Fulfil/o-999", orders.get(succeeded.executionId)!]])
    assert.include(prove(lost, executions, calls, postings).faults, "Fulfil/o-999 was lost")
  }), 30_000)
