/**
 * A world of its own for one run: a clock that jumps from one sleep to the next, and a scheduler whose tasks are run one
 * after the other until there are none. So what happens in it depends on nothing else, and it is known when all is at
 * rest. The clock is a `TestClock` for who asks for one.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import type { TestClock } from "effect/testing/TestClock"

/** A part of the world that can die: of what is dead nothing goes on. */
export interface Mortal {
  readonly dead: boolean
}

const immortal: Mortal = { dead: false }

interface Sleeper {
  readonly atMillis: number
  readonly wake: () => void
}

/** So many jumps of the clock in a row in which nothing was seen mean that nothing will be. */
const patience = 10_000
/** So many turns of fibers in a row in which nothing was seen, and no time passed, mean that somebody never rests. */
const restless = 1_000_000
/** How often others get their turn before time goes far ahead, or is said to end: somebody may wait for the machine. */
const turns = 20
const farMillis = 60_000

export class World {
  nowMillis = 0
  /** Counts what is seen to happen, so that idle time can be told. */
  ticks = 0
  /** Why the last drive was given up, in words; undefined if nothing moved any more. */
  givenUp: string | undefined
  readonly #live: Clock.Clock
  readonly #tasks: Array<() => void> = []
  #head = 0
  /** By time, the next one last; those of one time in the order in which they fell asleep. */
  readonly #sleepers: Array<Sleeper> = []
  /** What each part of it has for a clock and a scheduler. */
  readonly #contexts = new Map<Mortal, Context.Context<never>>()

  private constructor(live: Clock.Clock) {
    this.#live = live
  }

  /**
   * Does something in a world of its own, which ends with it: chance is the same each time, and what `build` makes of
   * layers is closed there. A layer that cannot be built is a defect.
   */
  static use<A>(
    body: (
      world: World,
      build: <B>(layer: Layer.Layer<B, unknown>) => Effect.Effect<Context.Context<B>>
    ) => Effect.Effect<A>
  ): Effect.Effect<A> {
    const made = Effect.map(Clock.clockWith(Effect.succeed), (live) => new World(live))
    return Effect.flatMap(made, (world) =>
      Effect.acquireUseRelease(
        Scope.make(),
        (scope) =>
          body(
            world,
            (layer) =>
              world.aside(Effect.orDie(Layer.buildWithScope(Layer.fresh(layer), scope)), "Building the services")
          ),
        // Of a world that was given up nothing can be closed.
        (scope, exit) => world.isStopped ? Effect.void : world.aside(Scope.close(scope, exit), "Closing the services")
      )).pipe(Random.withSeed("effect-saga"))
  }

  /** Runs an effect in this world, as a part of it. Nothing is logged: thousands of runs are stuck on purpose. */
  inside<A, E, R>(effect: Effect.Effect<A, E, R>, part: Mortal = immortal): Effect.Effect<A, E, R> {
    let context = this.#contexts.get(part)
    if (context === undefined) {
      context = Context.make(Clock.Clock, this.#clockOf(part)).pipe(
        Context.add(Scheduler.Scheduler, this.#schedulerOf(part)),
        Context.add(Logger.CurrentLoggers, new Set())
      )
      this.#contexts.set(part, context)
    }
    return Effect.provideContext(effect, context)
  }

  /**
   * Runs an effect while time passes, until it ends or `isOver`. `undefined`: it was over, or nothing moves any more and
   * `atRest` could not help. `isHopeless`: it need not be waited for long.
   */
  drive<A, E>(
    effect: Effect.Effect<A, E>,
    options: {
      readonly isOver?: () => boolean
      readonly isHopeless?: () => boolean
      readonly atRest?: () => boolean
      /** Whether somebody looks by the clock of the machine what others did. */
      readonly isLooking?: () => boolean
    } = {}
  ): Effect.Effect<Exit.Exit<A, E> | undefined> {
    const { atRest = never, isHopeless = never, isLooking = never, isOver = never } = options
    return Effect.gen({ self: this }, function*() {
      if (!this.isStopped) this.givenUp = undefined
      const fiber = yield* Effect.forkDetach(this.inside(effect), { startImmediately: true })
      let [idle, seen, waited] = [0, -1, 0]
      while (true) {
        this.#drain()
        const exit = fiber.pollUnsafe()
        if (exit !== undefined) return exit
        if (isOver() || this.isStopped) return undefined
        idle = seen === this.ticks ? idle + 1 : 0
        seen = this.ticks
        const next = this.#sleepers.at(-1)?.atMillis
        const hopeless = isHopeless()
        const far = next === undefined || next > this.nowMillis + farMillis
        if (far && !hopeless && waited < turns) {
          waited++
          yield* isLooking() ? moment : Effect.yieldNow
        } else if (next === undefined || idle > (hopeless ? turns : patience)) {
          if (!atRest()) {
            if (next !== undefined && !hopeless) {
              this.givenUp = `time was moved on ${idle - 1} times, and nothing was done meanwhile but to sleep`
            }
            return undefined
          }
          idle = 0
        } else {
          waited = 0
          this.#jump(next)
        }
      }
    })
  }

  /** Runs what is no part of the run itself, such as an invariant. `what` it is, for who has to find out why it hangs. */
  aside<A, E>(effect: Effect.Effect<A, E>, what: string): Effect.Effect<A, E> {
    return Effect.flatMap(
      this.drive(effect),
      (exit) => exit ?? Effect.die(new Error(`${what} has not ended, and nothing moves any more`))
    )
  }

  /** A task may ask for the others to be run before it goes on. What never rests is stopped, with all else. */
  #drain(): void {
    let [seen, turned] = [this.ticks, 0]
    while (this.#head < this.#tasks.length && !this.isStopped) {
      this.#tasks[this.#head++]!()
      if (this.#head === longQueue) {
        this.#tasks.splice(0, this.#head)
        this.#head = 0
      }
      if (seen !== this.ticks) [seen, turned] = [this.ticks, 0]
      else if (++turned > restless) {
        this.isStopped = true
        this.givenUp = `a fiber never rests: it has yielded ${
          restless.toLocaleString("en")
        } times, and done nothing else`
      }
    }
    this.#tasks.length = this.#head = 0
  }
  /** Nothing goes on in it any more. */
  isStopped = false

  /** Wakes the next sleeper. */
  #jump(atMillis: number): void {
    this.nowMillis = Math.max(this.nowMillis, atMillis)
    this.#sleepers.pop()?.wake()
  }

  #schedulerOf(part: Mortal): Scheduler.Scheduler {
    const scheduleTask = (task: () => void) => {
      this.#tasks.push(() => {
        if (!part.dead) task()
      })
    }
    return {
      executionMode: "async",
      shouldYield: (fiber) => fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield,
      makeDispatcher: () => ({ scheduleTask, flush: () => this.#drain() })
    }
  }

  #clockOf(part: Mortal): TestClock {
    const nanos = () => BigInt(Math.floor(this.nowMillis)) * 1_000_000n
    const setTime = (endMillis: number) =>
      Effect.gen({ self: this }, function*() {
        yield* Effect.yieldNow
        for (let next = this.#sleepers.at(-1); next !== undefined && next.atMillis <= endMillis;) {
          this.#jump(next.atMillis)
          yield* Effect.yieldNow
          next = this.#sleepers.at(-1)
        }
        this.nowMillis = Math.max(this.nowMillis, endMillis)
      })
    return {
      currentTimeMillisUnsafe: () => this.nowMillis,
      currentTimeMillis: Effect.sync(() => this.nowMillis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: (duration) => this.#sleep(Duration.toMillis(duration), part),
      setTime,
      adjust: (duration) =>
        Effect.suspend(() => setTime(this.nowMillis + Duration.toMillis(Duration.fromInputUnsafe(duration)))),
      withLive: (effect) => Effect.provideService(effect, Clock.Clock, this.#live)
    }
  }

  #sleep(millis: number, part: Mortal): Effect.Effect<void> {
    if (millis <= 0) return Effect.void
    if (millis === Infinity) return Effect.never
    return Effect.callback((resume) => {
      const wake = () => {
        if (!part.dead) resume(Effect.void)
      }
      const sleeper = { atMillis: this.nowMillis + millis, wake }
      const all = this.#sleepers
      let index = all.length
      while (index > 0 && all[index - 1]!.atMillis <= sleeper.atMillis) index--
      all.splice(index, 0, sleeper)
      return Effect.sync(() => {
        const index = all.indexOf(sleeper)
        if (index !== -1) all.splice(index, 1)
      })
    })
  }
}

/** So long a queue is cut when it has been worked off. */
const longQueue = 10_000

const never = () => false

/** So long by the clock of the machine that who looks each millisecond has looked. */
const moment = Effect.provideService(Effect.sleep(3), Clock.Clock, Clock.Clock.defaultValue())
