/** A real process, killed by SIGKILL at each write of its journal; another one goes on and ends it. */
import { Effect, Layer, Result, Stream } from "effect"
import { Saga, SagaState } from "effect-saga"
import { SagaEngine } from "effect-saga/SagaEngine"
import { fork } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, expect, it } from "vitest"
import * as Postgres from "../sql/postgres.ts"
import { journalOf, payload, tripOf } from "./killedTrip.ts"

const program = new URL("killed.ts", import.meta.url).pathname

/** Checks the books of an execution that has ended, and says how many calls in them came again. */
const check = (executionId: string, books: string): number => {
  const inPlace: Array<string> = []
  let again = 0
  let undoing = false
  for (const line of readFileSync(books, "utf8").trim().split("\n")) {
    const [sign, path, key] = line.split(" ") as [string, string, string]
    expect(key).toBe(`${executionId}/${path}`)
    const at = inPlace.indexOf(path)
    if (sign === "+") {
      assert.isFalse(undoing, `${path} is done while others are undone`)
      if (at >= 0) again++
      else inPlace.push(path)
    } else {
      undoing = true
      if (at < 0) again++
      else inPlace.splice(at, 1)
      // The last first, but for those two that were done side by side.
      const early = at < 0 ? [] : inPlace.slice(at).filter((other) => !"bc".includes(path) || !"bc".includes(other))
      assert.deepStrictEqual(early, [], `${path} is undone before them`)
    }
  }
  expect(inPlace).toEqual([])
  return again
}

/** Kills a process at one write after the other, until one comes to its end. Says how many were killed. */
const killAll = async (database: string, moment: "before" | "after") => {
  const folder = mkdtempSync(join(tmpdir(), "effect-saga-kill-"))
  let again = 0
  for (let deaths = 0;; deaths++) {
    const executionId = `${moment}-${deaths + 1}`
    const books = join(folder, executionId)
    writeFileSync(books, "")
    const args = [database, books, executionId, moment, `${deaths + 1}`]
    const child = fork(program, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] })
    const [code, signal] = await once(child, "exit") as [number | null, NodeJS.Signals | null]
    const trip = tripOf(books)
    const goOn = Effect.gen(function*() {
      const engine = yield* SagaEngine
      // Whoever has started it does not know whether that was recorded, and asks again.
      expect(yield* Effect.flip(engine.execute(trip, payload, { executionId }))).toBe("no")
      const facts = yield* Stream.runCollect(engine.events(trip, executionId))
      expect(Result.getOrThrow(SagaState.fold(facts)).status).toBe("Compensated")
      for (const tag of ["StepSucceeded", "CompensationSucceeded"]) {
        expect(facts.filter(({ _tag }) => _tag === tag).length).toBe(7)
      }
    })
    const Live = Saga.register(trip).pipe(
      Layer.provideMerge(SagaEngine.layerWith({ poll: 50 })),
      Layer.provide(journalOf(database))
    )
    await Effect.runPromise(Effect.provide(goOn, Live))
    again += check(executionId, books)
    if (signal === null) {
      expect(code).toBe(0)
      rmSync(folder, { recursive: true })
      return { again, deaths }
    }
    expect(signal).toBe("SIGKILL")
  }
}

const onFile = async (moment: "before" | "after") => {
  const folder = mkdtempSync(join(tmpdir(), "effect-saga-kill-"))
  const killed = await killAll(join(folder, "journal.db"), moment)
  rmSync(folder, { recursive: true })
  return killed
}

const timeout = 120_000

it("SQLite: after each write", { timeout }, async () => {
  expect((await onFile("after")).deaths).toBeGreaterThan(10)
})

it("SQLite: before each write, when what it is about has happened", { timeout }, async () => {
  const { again, deaths } = await onFile("before")
  expect(deaths).toBeGreaterThan(10)
  // Else it did not matter that they were killed.
  expect(again).toBeGreaterThan(5)
})

it("PostgreSQL: after each write", { timeout }, async () => {
  const killed = Effect.gen(function*() {
    const { url } = yield* Postgres.database(yield* Postgres.serverUrl)
    return yield* Effect.promise(() => killAll(url, "after"))
  })
  expect((await Effect.runPromise(Effect.scoped(killed))).deaths).toBeGreaterThan(10)
})
