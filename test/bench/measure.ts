/** How long a program takes by step, and how much heap it holds while it waits. This file knows no saga. */
import { Deferred, Effect, Fiber } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Bench } from "tinybench"

export interface Subject {
  readonly name: string
  readonly steps: number
  readonly program: Effect.Effect<unknown, unknown>
  /** What holds for all its runs. */
  readonly around?: (runs: Effect.Effect<void>) => Effect.Effect<void>
}

/** Nanoseconds a step, one figure of each round. */
export type Figures = ReadonlyMap<string, ReadonlyArray<number>>

/**
 * A sample is about so many steps: long enough that neither the clock nor the start of a fiber is measured, short enough
 * that most samples end before the machine turns to something else.
 */
const stepsPerSample = 2_000

const timesOf = ({ steps }: Subject): number => Math.ceil(stepsPerSample / steps)

const sampleOf = (subject: Subject): Effect.Effect<void> => {
  const times = timesOf(subject)
  const program = Effect.exit(subject.program)
  const runs = Effect.suspend(() => {
    let left = times
    return Effect.whileLoop({ while: () => left-- > 0, body: () => program, step: () => {} })
  })
  return subject.around === undefined ? runs : subject.around(runs)
}

/**
 * Takes the median of each subject in each round. The subjects take turns, forth and back, so that a busy moment of the
 * machine and what a neighbour left to the garbage collector meet all of them. Nothing is collected by force in between:
 * that would throw away optimized code too.
 */
export const timesPerStep = async (subjects: ReadonlyArray<Subject>, rounds: number): Promise<Figures> => {
  const figures = new Map(subjects.map((subject) => [subject.name, new Array<number>()]))
  for (let round = 0; round < rounds; round++) {
    const bench = new Bench({
      time: 20,
      iterations: 3,
      warmup: round === 0,
      warmupTime: 50,
      warmupIterations: 3,
      throws: true
    })
    for (const subject of round % 2 === 0 ? subjects : [...subjects].reverse()) {
      const sample = sampleOf(subject)
      bench.add(subject.name, async () => Effect.runPromise(sample))
    }
    await bench.run()
    for (const subject of subjects) {
      const result = bench.getTask(subject.name)?.result
      if (result?.state !== "completed") throw new Error(`${subject.name} was not measured`)
      figures.get(subject.name)!.push(result.latency.p50 * 1_000_000 / (timesOf(subject) * subject.steps))
    }
  }
  return figures
}

/** Collects all garbage, also where Node was started without `--expose-gc`. */
const collectGarbage = (): void => {
  setFlagsFromString("--expose-gc")
  const gc: () => void = globalThis.gc ?? runInNewContext("gc")
  gc()
}

const heapUsed = (): number => {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

/** The bytes that one of so many programs holds while all of them wait for the same gate. */
export const bytesWhileWaiting = async (
  make: (gate: Effect.Effect<void>) => Effect.Effect<unknown, unknown>,
  count: number
): Promise<number> => {
  const gate = Deferred.makeUnsafe<void>()
  const program = make(Deferred.await(gate))
  const before = heapUsed()
  const fibers = Array.from({ length: count }, () => Effect.runFork(program))
  const bytes = (heapUsed() - before) / count
  if (fibers.some((fiber) => fiber.pollUnsafe() !== undefined)) throw new Error("Some of the programs did not wait")
  Deferred.doneUnsafe(gate, Effect.void)
  await Effect.runPromise(Fiber.joinAll(fibers))
  return bytes
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** How many times the figures of one are those of the other: the median of the ratios of each round. */
export const ratio = (figures: ReadonlyArray<number>, others: ReadonlyArray<number>): number =>
  median(figures.map((figure, round) => figure / others[round]!))
