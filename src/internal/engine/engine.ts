/**
 * The engine: which executions run here, when they come and when they leave. It holds the lease, claims what is due, gives
 * back what waits, and looks from time to time what others wrote. What callers ask is answered elsewhere.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type {
  Claimed,
  ExecutionRecord,
  Journal,
  JournalLocked,
  Lease,
  PublishedEvent,
  StartRecord,
  UpdateRecord
} from "../../Journal.ts"
import { JournalUnavailable } from "../../Journal.ts"
import type { SagaEvent } from "../../SagaEvent.ts"
import { printable } from "../../StepPath.ts"
import type { Telling } from "../recorder.ts"
import { quietly } from "../recorder.ts"
import type { SagaTree } from "../tree.ts"
import { onClock } from "../wait.ts"
import { reasonOf } from "./advice.ts"
import { Alarm } from "./alarm.ts"
import { acquire, untilAnswered } from "./asking.ts"
import type { Fate } from "./committer.ts"
import { Committer } from "./committer.ts"
import type { Keeping } from "./intake.ts"
import { Intake } from "./intake.ts"
import { problemOf } from "./journalRecorder.ts"
import { Letters } from "./letters.ts"
import { isUntouched, startOf, watchingOf } from "./observed.ts"
import { runnerOf } from "./reading.ts"
import type { Registered } from "./registry.ts"
import { Registry } from "./registry.ts"
import type { Departure, Entrance, Trace } from "./resident.ts"
import { Resident } from "./resident.ts"
import { read } from "./returning.ts"
import type { Cipher } from "./sealed.ts"
import { sealedWith } from "./sealed.ts"
import { toldParked } from "./told.ts"
import { Watches } from "./watches.ts"
import { busProblem } from "./wiring.ts"

/** How an engine behaves, times in milliseconds. */
export interface Settings extends Keeping {
  readonly name: string
  readonly leaseMillis: number
  readonly pollMillis: number
  readonly graceMillis: number
  readonly concurrency: number
  readonly evictAfterMillis: number
  readonly quarantineAfter: number
  /** Is told of each execution that becomes stuck here. */
  readonly onStuck: ((execution: ExecutionRecord) => Effect.Effect<void>) | undefined
}

/** How many executions are claimed at once. */
const page = 100

/** At which of its looks an engine asks whether what runs here was abandoned elsewhere. */
const looksForAbandoned = 20

/** How long an engine waits for what ignores its interruption when it closes. */
const abandonMillis = 1_000

/** How long what older versions have started is left alone after a newer one was registered: they may be next. */
const settleMillis = 250

/** How long an execution is left to others that a newer version has taken on. */
const othersMillis = 5_000

/** How long what has been cut gets at least, to say that it has ended. */
const cutMillis = 100

/** The engine of one process, or of one of its tests. */
export class Engine {
  /** What it writes to and reads from. */
  readonly journal: Journal
  /** The same without the cipher between, if there is one: what is secret stays sealed. */
  readonly store: Journal
  readonly settings: Settings
  readonly watches = new Watches()
  readonly residents = new Map<string, Resident>()
  readonly committer: Committer
  readonly registry: Registry
  readonly letters: Letters
  readonly intake: Intake
  /** The clock of the outside world: leases and looking what others wrote go by it, whatever the clock of the sagas is. */
  readonly live: Clock.Clock = Clock.Clock.defaultValue()
  readonly #alarm: Alarm
  readonly #due = Latch.makeUnsafe(false)
  readonly #leaseScope: Scope.Closeable
  #lease: Lease
  #nextDueMillis: number | undefined
  #suspect: Resident | undefined
  #closing = false

  constructor(
    store: Journal,
    cipher: Cipher | undefined,
    settings: Settings,
    lease: Lease,
    leaseScope: Scope.Closeable
  ) {
    this.store = store
    this.journal = cipher === undefined ? store : sealedWith(cipher, store)
    this.settings = settings
    this.#lease = lease
    this.#leaseScope = leaseScope
    this.registry = new Registry(this.journal, cipher !== undefined)
    this.committer = new Committer(this.journal, lease, this.live, (lost) => this.#renewed(lost))
    this.letters = new Letters(this.journal.events.read, (ask) => this.patiently(ask))
    this.intake = new Intake(this.journal.events, settings, () => this.announce)
    this.#alarm = new Alarm(settings.onStuck, (executionId) => this.patiently(this.journal.find(executionId)))
  }

  // ------------------------------------------------------------------------------------------- lifecycle

  /** Opens an engine, which closes with the scope. What it writes goes through the cipher, if there is one. */
  static open(
    journal: Journal,
    cipher: Cipher | undefined,
    settings: Settings
  ): Effect.Effect<Engine, JournalLocked, Scope.Scope> {
    return Effect.gen(function*() {
      const live = Clock.Clock.defaultValue()
      const leaseScope = yield* Scope.make()
      const lease = yield* acquire(journal, settings, live, leaseScope)
      const engine = new Engine(journal, cipher, settings, lease, leaseScope)
      const start = (fibers: ReadonlyArray<Effect.Effect<void>>) =>
        Effect.forEach(fibers, (fiber) => Effect.forkDetach(fiber, { startImmediately: true }))
      yield* engine.patiently(journal.takeOver(lease))
      const keeping = yield* start([
        engine.committer.run,
        engine.letters.run,
        engine.intake.run,
        engine.intake.forgetting,
        engine.#alarm.run,
        // One that is held for ever needs no renewal.
        ...journal.shared && Number.isFinite(settings.leaseMillis) ? [engine.#heartbeat] : []
      ])
      const coming = yield* start([engine.#untilDue, ...journal.shared ? [engine.#lookAround] : []])
      yield* Effect.addFinalizer(() => engine.#close(coming, keeping))
      return engine
    })
  }

  /** No more executions come; those that are here get their time, under a lease that is kept until they have left. */
  #close(
    coming: ReadonlyArray<Fiber.Fiber<void>>,
    keeping: ReadonlyArray<Fiber.Fiber<void>>
  ): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      this.#closing = true
      this.watches.wakeAll()
      yield* Fiber.interruptAll(coming)
      yield* this.#dismiss(Array.from(this.residents.values()))
      yield* Fiber.interruptAll(keeping)
      // What it still owns was cut: the next owner runs it again.
      yield* quietly(
        Effect.timeout(this.journal.end(this.#lease), abandonMillis).pipe((end) => onClock(this.live, end))
      )
      yield* Scope.close(this.#leaseScope, Exit.void)
      yield* this.#alarm.close(this.live, this.settings.graceMillis)
    })
  }

  /** On behalf of who calls: what it asks of the engine is not done where it would wait for itself. */
  guarded<A, E>(operation: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E | JournalUnavailable> {
    const { guard } = this.journal
    return guard === undefined ? effect : Effect.andThen(guard(operation), effect)
  }

  /** Asks the store until it answers. */
  patiently<A>(ask: Effect.Effect<A, JournalUnavailable>): Effect.Effect<A> {
    return untilAnswered<A, never>(ask, this.live, 50)
  }

  get #heartbeat(): Effect.Effect<never> {
    return Effect.forever(Effect.gen({ self: this }, function*() {
      yield* onClock(this.live, Effect.sleep(this.settings.leaseMillis / 3))
      const lease = this.#lease
      const kept = yield* this.patiently(this.journal.renew(lease, this.settings.leaseMillis))
      if (!kept) yield* this.#renewed(lease)
    }))
  }

  /** The lease is lost: everything here belongs to others now. Comes back with a new lease. */
  #renewed(lost: Lease): Effect.Effect<Lease> {
    return this.#renewing.withPermit(Effect.gen({ self: this }, function*() {
      if (this.#lease !== lost) return this.#lease
      yield* Effect.logWarning(
        `Engine "${this.settings.name}" has lost its lease: another engine took over. It goes on with a new one`
      )
      for (const resident of this.residents.values()) resident.cut()
      this.committer.fence()
      this.#lease = yield* Effect.orDie(acquire(this.journal, this.settings, this.live, this.#leaseScope))
      this.poke()
      return this.#lease
    }))
  }
  readonly #renewing = Semaphore.makeUnsafe(1)

  /** Why nothing can be asked of it any more; undefined while it can. */
  closed(operation: string): JournalUnavailable | undefined {
    return this.#closing ? new JournalUnavailable({ operation, cause: "the engine is closed" }) : undefined
  }

  // ------------------------------------------------------------------------------------------- sagas

  /** Runs a saga here from now on, until the scope closes. */
  register(tree: SagaTree): Effect.Effect<void, never, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const closed = this.closed("register")
      if (closed !== undefined) return yield* Effect.die(closed)
      const context = yield* Effect.context<never>()
      const problem = busProblem(tree, context)
      if (problem !== undefined) return yield* Effect.die(problem)
      const registered = yield* this.registry.admit(tree, context)
      yield* this.patiently(this.registry.define(registered))
      yield* Effect.acquireRelease(
        Effect.flatMap(this.registry.enter(registered), () => Effect.sync(() => this.poke())),
        () => {
          this.registry.leave(registered)
          return this.#dismiss(
            Array.from(this.residents.values()).filter((resident) => resident.registered === registered)
          )
        }
      )
      if (registered.migrations.size > 0) yield* Effect.forkScoped(this.#takeOn(registered))
    })
  }

  /** Goes on with what older versions have started, as soon as all that are to be here can be. */
  #takeOn(registered: Registered): Effect.Effect<void> {
    const millis = Math.min(settleMillis, this.settings.pollMillis)
    const settled = millis === 0 ? Effect.void : onClock(this.live, Effect.sleep(millis))
    return Effect.map(settled, () => {
      this.registry.takeOn(registered)
      this.poke()
    })
  }

  /** Whether a saga that is started now runs here at once. */
  hasRoom(registered: Registered): boolean {
    return this.registry.exact(registered.definition) === registered && !this.#closing
      && this.residents.size < this.settings.concurrency
  }

  // ------------------------------------------------------------------------------------------- coming

  /** Runs a new execution here. */
  enter(
    registered: Registered,
    start: StartRecord,
    payload: unknown,
    trace: Trace | undefined
  ): Effect.Effect<Resident> {
    return this.#admit({
      registered,
      executionId: start.executionId,
      payload,
      start,
      trace,
      facts: [],
      count: 0,
      history: undefined,
      signals: [],
      signalCount: 0,
      untold: false,
      migration: undefined,
      moved: []
    })
  }

  #admit(
    entrance: Omit<Entrance, "committer" | "letters" | "published" | "departed" | "evictAfterMillis">
  ): Effect.Effect<Resident> {
    const { committer, settings: { evictAfterMillis } } = this
    const { letters } = this
    const published = () => this.intake.poke()
    const its = { committer, letters, published, evictAfterMillis, departed: this.#departed }
    const resident = new Resident({ ...entrance, ...its })
    this.residents.set(resident.executionId, resident)
    return Effect.as(resident.run, resident)
  }

  /** Waits for the next that is due, and claims it. */
  get #untilDue(): Effect.Effect<never> {
    return Effect.forever(Effect.gen({ self: this }, function*() {
      const now = yield* Clock.currentTimeMillis
      const due = this.#nextDueMillis
      if (due === undefined) yield* this.#due.await
      else if (due > now) yield* Effect.raceFirst(Effect.sleep(due - now), this.#due.await)
      this.#due.closeUnsafe()
      yield* this.#claim
    }))
  }

  /** Something may be due now that nobody owns. */
  poke(): void {
    this.#nextDueMillis = 0
    this.#due.openUnsafe()
  }

  /** Claims what is due, as far as there is room. */
  get #claim(): Effect.Effect<void> {
    return this.#claiming.withPermit(Effect.gen({ self: this }, function*() {
      const sagas = this.registry.versions
      this.#nextDueMillis = undefined
      if (sagas.length === 0 || this.#closing) return
      const { concurrency } = this.settings
      const nowMillis = yield* Clock.currentTimeMillis
      while (this.residents.size < concurrency) {
        const limit = Math.min(page, concurrency - this.residents.size)
        const claimed = yield* this.patiently(
          this.journal.claim(this.#lease, { sagas, nowMillis, limit, suspects: false })
        )
        for (const one of claimed) yield* this.#come(one)
        if (claimed.length < limit) break
      }
      if (this.#suspect === undefined) {
        const [suspect] = yield* this.patiently(
          this.journal.claim(this.#lease, { sagas, nowMillis, limit: 1, suspects: true })
        )
        if (suspect !== undefined) this.#suspect = yield* this.#come(suspect)
      }
      const next = yield* this.patiently(this.journal.nextDue(sagas))
      // Who is due and has not come finds no room, or stands behind a suspect: whoever leaves makes way.
      if (Option.isSome(next) && next.value > nowMillis) {
        this.#nextDueMillis = Math.min(next.value, this.#nextDueMillis ?? next.value)
      }
    }))
  }
  readonly #claiming = Semaphore.makeUnsafe(1)

  #expect(dueAtMillis: number): void {
    if (this.#nextDueMillis !== undefined && this.#nextDueMillis <= dueAtMillis) return
    this.#nextDueMillis = dueAtMillis
    this.#due.openUnsafe()
  }

  /** Takes in an execution from the journal, or parks it with a reason. */
  #come(claimed: Claimed): Effect.Effect<Resident | undefined> {
    return Effect.gen({ self: this }, function*() {
      const { execution, takeovers } = claimed
      const registered = runnerOf(this.registry, execution, claimed.facts)
      if (registered === undefined) {
        // Its saga was taken away since: the next engine that has it goes on. Or a newer one has it, which is not here.
        const isNewer = this.registry.find(execution) !== undefined
        return this.#giveBack(claimed, isNewer ? (yield* Clock.currentTimeMillis) + othersMillis : undefined)
      }
      if (takeovers > this.settings.quarantineAfter) {
        return yield* this.#park(
          claimed,
          registered,
          `Quarantined: ${takeovers} engines in a row have died with it and left no new fact`
        )
      }
      const reading = read(claimed, registered, (hash) => this.patiently(this.journal.definition(hash)))
      // Whatever is wrong with one execution must not end the fiber that takes in all of them.
      const returning = yield* Effect.catchCause(
        reading,
        (cause) => Effect.succeed(Result.fail(`Defect: ${Cause.pretty(cause)}`))
      )
      if (Result.isFailure(returning)) return yield* this.#park(claimed, registered, returning.failure)
      const { count, facts, history, migration, moved, started } = returning.success
      return yield* this.#admit({
        registered,
        executionId: execution.executionId,
        payload: started.payload,
        start: undefined,
        trace: started.trace,
        facts,
        count,
        history,
        signals: claimed.signals,
        signalCount: claimed.signalCount,
        untold: takeovers === 0 && isUntouched(facts),
        migration,
        moved
      })
    })
  }

  /** Leaves an execution to a person. */
  #park(claimed: Claimed, registered: Registered, problem: string): Effect.Effect<undefined> {
    const { execution: { executionId }, facts } = claimed
    const update = { ...seenOf(claimed), state: "Stuck", dueAtMillis: null, problem } as const
    return Effect.callback<undefined>((resume) =>
      this.#release(executionId, update, (fate) => {
        if (fate._tag === "Written") {
          const observers = watchingOf(registered, executionId, startOf(registered, facts))
          this.#parked(executionId, registered, observers, problem, Cause.empty)
        }
        resume(Effect.undefined)
      }, toldParked(registered, executionId))
    )
  }

  #parked(
    executionId: string,
    registered: Registered,
    observers: Telling | undefined,
    problem: string,
    cause: Cause.Cause<unknown>
  ): void {
    const parked = { atMillis: registered.clock.currentTimeMillisUnsafe(), reason: reasonOf(problem), problem }
    this.#alarm.parked({ executionId, registered, observers, parked, cause })
  }

  /** Leaves an execution to others, who may have it at once unless it is said when. */
  #giveBack(claimed: Claimed, dueAtMillis: number | undefined): undefined {
    const { executionId, state: was } = claimed.execution
    const state = was === "Running" && dueAtMillis !== undefined ? "Waiting" : was
    this.#release(executionId, { ...seenOf(claimed), state, dueAtMillis: dueAtMillis ?? 0, problem: null })
    return undefined
  }

  /** Writes where an execution stands that nobody runs. */
  #release(
    executionId: string,
    update: Pick<UpdateRecord, "state" | "dueAtMillis" | "clean" | "signals" | "problem">,
    done: (fate: Fate) => void = () => {},
    published: ReadonlyArray<PublishedEvent> = []
  ): void {
    const updatedAtMillis = this.live.currentTimeMillisUnsafe()
    this.committer.add({
      executionId,
      facts: [],
      update: { executionId, released: true, uncertain: null, updatedAtMillis, ...update },
      published,
      settled: (fate) => {
        this.watches.wake(executionId)
        if (published.length > 0) this.intake.poke()
        done(fate)
      }
    })
  }

  /** Tells the observers what a person has decided about an execution, where its saga runs here. */
  decided(execution: ExecutionRecord, first: SagaEvent | undefined, fact: SagaEvent): Effect.Effect<void> {
    const { executionId } = execution
    const registered = this.registry.find(execution)
    if (registered === undefined) return Effect.void
    const started = first?._tag === "SagaStarted" ? first : undefined
    const observers = this.residents.get(executionId)?.observers ?? watchingOf(registered, executionId, started)
    observers?.record(fact)
    return observers?.commit() ?? Effect.void
  }

  // ------------------------------------------------------------------------------------------- leaving

  readonly #departed = (resident: Resident, departure: Departure): void => {
    const { executionId } = resident
    const full = this.residents.size >= this.settings.concurrency
    if (this.residents.get(executionId) === resident) this.residents.delete(executionId)
    if (departure._tag === "Left") this.#expect(departure.dueAtMillis)
    const last = departure._tag === "Stuck" ? resident.recorder.ending.at(-1) : undefined
    if (last?._tag === "SagaStuck") this.#alarm.stuck(executionId, problemOf(last, resident.recorder.ending))
    if (departure._tag === "Broken") {
      this.#broken(resident, `Defect: ${Cause.pretty(departure.cause)}`, departure.cause)
    } else if (departure._tag === "Gone" && departure.fate?._tag === "Refused") {
      const { cause } = departure.fate
      this.#broken(resident, `Refused: ${cause.message}`, Cause.fail(cause))
    } else if (departure._tag === "Left" || departure._tag === "Gone") resident.observers?.left()
    if (full || this.#suspect === resident) this.poke()
    if (this.#suspect === resident) this.#suspect = undefined
    this.watches.wake(
      executionId,
      departure._tag === "Ended"
        ? { ending: departure.ending, version: resident.registered.definition.version }
        : undefined
    )
  }

  /** Nothing more can be recorded of an execution but that: a person has to look at it. */
  #broken({ executionId, observers, registered }: Resident, problem: string, cause: Cause.Cause<unknown>): void {
    const update = { state: "Stuck", dueAtMillis: null, clean: false, signals: 0, problem } as const
    this.#release(executionId, update, (fate) => {
      if (fate._tag === "Written") this.#parked(executionId, registered, observers, problem, cause)
      else observers?.left()
    }, toldParked(registered, executionId))
  }

  /** Asks executions to leave, gives what is in flight its time, then cuts it. */
  #dismiss(residents: ReadonlyArray<Resident>): Effect.Effect<void> {
    if (residents.length === 0) return Effect.void
    const { graceMillis } = this.settings
    const all = Effect.forEach(residents, (resident) => Deferred.await(resident.left), { discard: true })
    const now = () => this.live.currentTimeMillisUnsafe()
    const until = (millis: number) =>
      onClock(this.live, Effect.timeoutOption(Effect.interruptible(all), Math.max(0, millis - now())))
    return Effect.gen({ self: this }, function*() {
      if (now() > this.#dismissedMillis + abandonMillis) this.#graceEndsMillis = now() + graceMillis
      for (const { residence } of residents) residence.leave.stop()
      if (Option.isSome(yield* until(this.#graceEndsMillis))) return
      const late = residents.filter((resident) => this.residents.get(resident.executionId) === resident)
      for (const resident of late) resident.cut()
      if (Option.isSome(yield* until(Math.max(this.#graceEndsMillis + abandonMillis, now() + cutMillis)))) return
      const ids = residents.filter((resident) => this.residents.has(resident.executionId)).map((one) => one.executionId)
      yield* Effect.logWarning(
        `These executions ignored their interruption and are given up by this engine, whose successor runs them again: ${
          ids.map(printable).join(", ")
        }`
      )
    }).pipe(Effect.ensuring(Effect.sync(() => this.#dismissedMillis = now())))
  }
  /** Sagas that are taken away one after the other, as when a program ends, share one grace. */
  #graceEndsMillis = 0
  #dismissedMillis = Number.NEGATIVE_INFINITY

  // ------------------------------------------------------------------------------------------- others

  /** Looks what other processes did: who died, who asks something of us, what has ended that somebody waits for here. */
  get #lookAround(): Effect.Effect<never> {
    return Effect.forever(Effect.gen({ self: this }, function*() {
      yield* onClock(this.live, Effect.sleep(this.settings.pollMillis))
      yield* Effect.catchTag(this.#look, "JournalUnavailable", (error) => Effect.logDebug(error.message))
    }))
  }

  /** Lets go of what somebody has abandoned elsewhere: one that writes nothing would not notice. */
  get #letGo(): Effect.Effect<void, JournalUnavailable> {
    return Effect.map(this.journal.settled(Array.from(this.residents.keys())), (rows) => {
      for (const { executionId, state } of rows) if (state === "Abandoned") this.residents.get(executionId)?.cut()
    })
  }
  #looks = 0

  /** The subscriptions that run here, by name, each with what tells it that there may be more. */
  readonly subscriptions = new Map<string, Latch.Latch>()
  /** How many dead letters were handed out again here. */
  redelivered = 0

  /** Wakes who awaits events that are kept, and hands on what was said to those that run here. */
  get announce(): Effect.Effect<void, JournalUnavailable> {
    return Effect.gen({ self: this }, function*() {
      for (const news of this.subscriptions.values()) news.openUnsafe()
      // What is being written just now is left for the next look. Who is woken does not wait for the others.
      while ((yield* this.journal.events.wake) > 0) {
        this.poke()
        yield* this.#hear
      }
    })
  }

  /** Hands on what was said to those that run here. Those that have mail read it. */
  get #hear(): Effect.Effect<void, JournalUnavailable> {
    return Effect.gen({ self: this }, function*() {
      if (this.residents.size === 0) return
      for (const signal of yield* this.journal.signals(this.#lease)) {
        const resident = this.residents.get(signal.executionId)
        if (resident?.signal([signal]) !== true) continue
        resident.mailbox.hear()
        yield* Effect.forkDetach(resident.look)
      }
    })
  }

  get #look(): Effect.Effect<void, JournalUnavailable> {
    return Effect.gen({ self: this }, function*() {
      const { journal } = this
      yield* journal.takeOver(this.#lease)
      yield* Effect.repeat(journal.events.wake, { while: (count) => count > 0 })
      yield* this.#hear
      if (this.residents.size > 0) {
        if (this.#looks++ % looksForAbandoned === 0) yield* this.#letGo
      }
      const waited = this.watches.executionIds.filter((executionId) => !this.residents.has(executionId))
      if (waited.length > 0) {
        for (const { executionId, state } of yield* journal.settled(waited)) this.watches.tell(executionId, state)
      }
      if (this.residents.size >= this.settings.concurrency) return
      const next = yield* journal.nextDue(this.registry.versions)
      if (Option.isSome(next)) this.#expect(next.value)
    })
  }
}

/** What an engine leaves of an execution as it was when it was claimed. */
const seenOf = ({ clean, signalCount, signals }: Claimed): Pick<UpdateRecord, "clean" | "signals"> => ({
  clean,
  signals: signalCount - signals.length
})
