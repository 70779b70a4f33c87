/**
 * The lock by which others see at once that the holder of a lease is dead: an advisory lock of a session, which the server
 * frees when the process is gone. The session stays reserved. If it is cut while the process lives, another one takes its
 * place.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Connection } from "effect/sql/SqlConnection"
import { JournalUnavailable } from "../../Journal.ts"
import type { Database, Row } from "./database.ts"
import type { postgresStatements } from "./postgresStatements.ts"

/** How often a session is asked whether it is still there. */
export const pulseMillis = 100

/** How often another id is tried whose lock is free: an equal name of a lock elsewhere is possible and rare. */
const attempts = 10

/** The lock of a lease, whose id comes with it. */
export interface LeaseLock {
  readonly id: number
  /** Lets go of it. */
  readonly release: Effect.Effect<void>
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

interface Session {
  readonly connection: Connection
  readonly scope: Scope.Closeable
}

/** Takes an id for a lease and its lock, which is kept until the scope closes. */
export const takeLock = (
  database: Database,
  statements: ReturnType<typeof postgresStatements>
): Effect.Effect<LeaseLock, JournalUnavailable, Scope.Scope> => {
  const ask = ({ connection }: Session, text: string, params: ReadonlyArray<unknown> = []) =>
    database.run("lock", connection.executeUnprepared(text, params, undefined) as Effect.Effect<ReadonlyArray<Row>>)

  const close = ({ scope }: { readonly scope: Scope.Closeable }) =>
    Effect.ignore(database.run("unlock", Scope.close(scope, Exit.void)))

  const tryLock = (session: Session, id: number) =>
    Effect.map(ask(session, statements.lock, [String(id)]), ([row]) => row?.["locked"] === true)

  /** Opens a session and keeps it if `prepare` finds something. Called where nothing interrupts; `restore` says where. */
  const open = Effect.fnUntraced(function*<A>(
    restore: Restore,
    prepare: (session: Session) => Effect.Effect<A | undefined, JournalUnavailable>
  ) {
    const scope = yield* Scope.make()
    const prepared = Effect.gen(function*() {
      const session = { connection: yield* database.run("reserve", Scope.provide(database.sql.reserve, scope)), scope }
      return [session, yield* prepare(session)] as const
    })
    const exit = yield* Effect.exit(restore(prepared))
    if (Exit.isSuccess(exit) && exit.value[1] !== undefined) return [exit.value[0], exit.value[1]] as const
    yield* close({ scope })
    return yield* Exit.map(exit, () => undefined)
  })

  const freeId = Effect.fnUntraced(function*(session: Session) {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const id: number = (yield* ask(session, statements.nextLease))[0]!["id"]
      if (yield* tryLock(session, id)) return id
    }
    return undefined
  })

  return Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const scope = yield* Scope.fork(yield* Effect.scope)
      const opened = yield* open(restore, freeId)
      if (opened === undefined) {
        const cause = new Error(`The locks of ${attempts} leases in a row are held`)
        return yield* new JournalUnavailable({ operation: "lock", cause })
      }
      const id = opened[1]
      let session: Session | undefined = opened[0]
      yield* Scope.addFinalizer(
        scope,
        Effect.suspend(() => {
          if (session === undefined) return Effect.void
          return Effect.andThen(Effect.ignore(ask(session, statements.unlock, [String(id)])), close(session))
        })
      )

      const reopen = Effect.uninterruptibleMask((restore) =>
        Effect.map(
          open(restore, (session) => Effect.map(tryLock(session, id), (locked) => locked ? id : undefined)),
          (opened) => void (session = opened?.[0])
        )
      )
      const pulse = Effect.suspend(() => {
        if (session === undefined) return reopen
        const lost = session
        return Effect.catch(Effect.asVoid(ask(lost, "SELECT 1")), () => {
          session = undefined
          return Effect.andThen(Effect.forkDetach(close(lost)), reopen)
        })
      })
      const pulses = Effect.forever(Effect.andThen(Effect.sleep(pulseMillis), Effect.ignore(pulse)))
      yield* Effect.forkIn(database.apart(Effect.interruptible(pulses)), scope)
      return { id, release: Scope.close(scope, Exit.void) }
    })
  )
}
