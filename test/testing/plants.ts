/**
 * Bugs of the toolkit itself, each a place in its source that is written over while it is loaded, and where it shows. Run
 * by plain Node: `node test/testing/plants.ts [name]` prints what `explore` finds with each.
 */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { registerHooks } from "node:module"
import { fileURLToPath } from "node:url"

interface Plant {
  readonly file: string
  readonly from: string
  readonly to: string
  readonly where: "fiber" | "engine"
  /** In the saga that waits for events. */
  readonly events?: true
  /** Where the last fault is looked for, to be there sooner. */
  readonly places?: ReadonlyArray<string>
}

export const plants: Readonly<Record<string, Plant>> = {
  "the last compensation is skipped": {
    file: "internal/unwind",
    from: "this.#positions.push(log.size - 1)",
    to: "this.#positions.push(log.size > 1 ? log.size - 2 : log.size - 1)",
    where: "fiber"
  },
  "two compensations are swapped": {
    file: "internal/frame",
    from: "else this.entries.push(entry)",
    to: "else this.entries.unshift(entry)",
    where: "fiber"
  },
  "a sibling is forgotten": {
    file: "internal/unwind",
    from: "let left = logs.length\n  const worker",
    to: "let left = logs.length - 1\n  const worker",
    where: "fiber"
  },
  "compensations run twice": {
    file: "internal/frame",
    from: `return this.inSpan(step, "compensation", step.compensation!(given, this.state, context))`,
    to:
      `const once = () => this.inSpan(step, "compensation", step.compensation!(given, this.state, context))\n    return Effect.andThen(once(), Effect.suspend(once))`,
    where: "fiber"
  },
  "a compensation is given another value": {
    file: "internal/frame",
    from: `{ _tag: "Succeeded", result: atHand.value }`,
    to: `{ _tag: "Succeeded", result: "another" }`,
    where: "fiber"
  },
  "an uncertain outcome is taken for a failure": {
    file: "internal/attempt",
    from: ": ask(step, around, { _tag: \"Unknown\", attempts, cause, reason })",
    to: `: Effect.succeed({ _tag: "Failed", attempts, cause })`,
    where: "fiber"
  },
  "what a cut-off attempt left open is forgotten": {
    file: "internal/attempt",
    from: "reason = own ?? reason\n",
    to: "reason = own\n",
    where: "fiber",
    places: ["pay"]
  },
  "each attempt has a key of its own": {
    file: "internal/frame",
    from: "return this.#frame.keyOf(this.#step)",
    to: "return `${this.#frame.keyOf(this.#step)}#${this.attempt}`",
    where: "fiber"
  },
  "the commit point comes too early": {
    file: "internal/tree",
    from: "this.nodes.findIndex(commits)",
    to: `this.nodes.findIndex((node) => node._tag === "Nested" || commits(node))`,
    where: "fiber"
  },
  "siblings go on behind a failure": {
    file: "internal/interpreter",
    from: "return !this.savePoint.signal.stopped || this.#isRecorded()",
    to: "return true",
    where: "fiber"
  },
  "the second way starts before the first is undone": {
    file: "internal/interpreter",
    from: "return Effect.flatMap(backward(first), () => fallBack(restore, cause))",
    to: "return Effect.flatMap(fallBack(restore, cause), () => (first.unwound = false, backward(first)))",
    where: "fiber"
  },
  "a saga that could not be undone is called compensated": {
    file: "internal/run",
    from: `if (failures !== undefined) return stuck(frame, failures, "CompensationFailed", endings)`,
    to: "",
    where: "fiber"
  },
  "a compensation does not wait for the verdict to be on record": {
    file: "internal/frame",
    from: "return recorder?.commit()\n  }\n\n  #undo",
    to: "recorder?.commit()\n    return undefined\n  }\n\n  #undo",
    where: "engine",
    places: ["journal"]
  },
  "what is on record is done again": {
    file: "internal/interpreter",
    from: "if (past?.end !== undefined) return this.recall(node, past, past.end)",
    to: "",
    where: "engine"
  },
  "a decision is taken again": {
    file: "internal/interpreter",
    from: `if (past?._tag === "ItemsListed") return this.each(node, past.keys, past.items)`,
    to: "",
    where: "engine"
  },
  "a process whose lease was ended is told that it has written": {
    file: "internal/engine/journalMemory",
    from: "if (holder === undefined) return leaseLost",
    to: "if (holder === undefined) return committed",
    where: "engine",
    places: ["journal"]
  },
  "a step that was in flight when its process died is taken for a failure": {
    file: "internal/attempt",
    from: `if (lost) reason = "ProcessLost"`,
    to: "",
    where: "engine",
    places: ["funds"]
  },
  "an event is received by two waits": {
    file: "internal/waits",
    from: "signal.stopped || received.has(eventId)",
    to: "signal.stopped",
    where: "fiber",
    events: true
  },
  "an event that came early is forgotten": {
    file: "events/MemoryBus",
    from: "if (kept.untilMillis > now && offer(kept, waiting)) break",
    to: "",
    where: "fiber",
    events: true
  },
  "what was kept before a wait is not read for it": {
    file: "internal/engine/mailbox",
    from: "return Effect.as(this.#read(open), () => {",
    to: "return Effect.as(Effect.void, () => {",
    where: "engine",
    events: true
  },
  "that an event was received is not on record": {
    file: "internal/waits",
    from: "recorder?.record(end)\n    signal.stop()",
    to: "signal.stop()",
    where: "engine",
    events: true
  }
}

const source = (plant: string): string => {
  const { file, from, to } = plants[plant]!
  const path = fileURLToPath(new URL(`../../src/${file}.ts`, import.meta.url))
  const text = readFileSync(path, "utf8")
  const count = text.split(from).length - 1
  if (count !== 1) throw new Error(`"${plant}": its place stands ${count} times in src/${file}.ts`)
  return text.replace(from, () => to)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // Everything that is imported with a plant is imported anew, and one file of it is written over.
  registerHooks({
    resolve: (specifier, context, next) => {
      const resolved = next(specifier, context)
      const plant = new URL(context.parentURL ?? "file:///").searchParams.get("plant")
      const own = /\/(?:src|test)\/.*\.ts$/.test(resolved.url)
      return plant === null || !own
        ? resolved
        : { ...resolved, url: `${resolved.url}?plant=${encodeURIComponent(plant)}` }
    },
    load: (url, context, next) => {
      const { pathname, searchParams } = new URL(url)
      const plant = searchParams.get("plant")
      if (plant === null || !pathname.endsWith(`/src/${plants[plant]!.file}.ts`)) return next(url, context)
      return { ...next(url, context), source: source(plant) }
    }
  })
  for (const plant of process.argv[2] === undefined ? Object.keys(plants) : [process.argv[2]]) {
    const { explored } = await import(
      `./planted.ts?plant=${encodeURIComponent(plant)}`
    ) as typeof import("./planted.ts")
    const found = await Effect.runPromise(explored(undefined, plants[plant]!))
    console.log(JSON.stringify({ plant, ...found }))
  }
}
