/**
 * Asking a database on one's own: outside of the transaction, the spans and the clock that surround the caller, and never
 * longer than a time limit.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as References from "effect/References"
import * as SqlClient from "effect/sql/SqlClient"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { BatchRefused, JournalUnavailable } from "../../Journal.ts"

/** A row as it was read. Both dialects name and convert their columns alike. */
export type Row = Readonly<Record<string, any>>

/** What is done with a database. */
export interface Database {
  readonly sql: SqlClient.SqlClient
  /**
   * Fails inside of a transaction of this client, where it has one connection: what is run would wait for its end. Undefined: it
   * has others.
   */
  readonly guard: ((operation: string) => Effect.Effect<void, JournalUnavailable>) | undefined
  /** Runs something that needs nothing, in time or not at all. Whatever becomes of it, the caller waits no longer. */
  readonly run: <A>(operation: string, effect: Effect.Effect<A, SqlError>) => Effect.Effect<A, JournalUnavailable>
  /** The same without a time limit. */
  readonly apart: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

/** Time goes on in here when a test holds it: no database knows of tests. */
export const liveClock = Clock.Clock.defaultValue()

/** What a statement finds around it. */
const surroundings = Context.make(Clock.Clock, liveClock).pipe(Context.add(References.TracerEnabled, false))

/** How a transaction begins. On SQLite it takes the right to write at once: halfway it may be too late. */
export const beginningOn = (sql: SqlClient.SqlClient): string | undefined =>
  sql.onDialectOrElse({ sqlite: () => "BEGIN IMMEDIATE", orElse: () => undefined })

/** On SQLite a client has one connection, and a transaction has that for itself. */
const guardOf = (sql: SqlClient.SqlClient): Database["guard"] => {
  if (!sql.onDialectOrElse({ sqlite: () => true, orElse: () => false })) return undefined
  const transaction = Effect.serviceOption(sql.transactionService)
  return (operation) =>
    Effect.flatMap(transaction, (transaction) =>
      Option.isNone(transaction)
        ? Effect.void
        : Effect.fail(new JournalUnavailable({ operation, cause: new Error(insideTransaction) })))
}

const insideTransaction =
  "it is asked inside of a transaction on the same SQLite file, and would wait for its end. Ask behind the "
  + "commit, or start in the transaction with SqlSagaEngine.startIn"

/** A database behind a client. */
export const makeDatabase = (client: SqlClient.SqlClient, timeout: Duration.Duration): Database => {
  const sql = client.withoutTransforms()
  const around = Context.add(surroundings, SqlClient.BeginTransaction, beginningOn(sql))
  const apart: Database["apart"] = (effect) => Effect.setContext(effect, around)
  const limit = Duration.format(timeout)
  const guard = guardOf(sql)
  return {
    sql,
    guard,
    apart,
    run: <A>(operation: string, effect: Effect.Effect<A, SqlError>) => {
      const unavailable = (cause: unknown) => Effect.fail(new JournalUnavailable({ operation, cause }))
      const late = Effect.suspend(() => unavailable(new Cause.TimeoutError(`no answer within ${limit}`)))
      // A statement that is cut waits until the server confirms it, and a frozen server does not. So it runs in a fiber
      // for which nobody waits, not even a caller that cannot be interrupted.
      const run = apart(Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          Effect.all([
            Effect.forkDetach(effect, { startImmediately: true }),
            Effect.forkDetach(Effect.sleep(timeout), { startImmediately: true })
          ]),
          ([statement, timer]) =>
            Effect.ensuring(
              restore(Effect.callback<A, JournalUnavailable>((resume) => {
                statement.addObserver((exit) =>
                  // A transaction whose connection is gone dies of its rollback.
                  resume(Exit.isSuccess(exit) ? Effect.succeed(exit.value) : unavailable(Cause.squash(exit.cause)))
                )
                timer.addObserver(() => resume(late))
              })),
              Effect.sync(() => {
                timer.interruptUnsafe()
                statement.interruptUnsafe()
              })
            )
        )
      ))
      return guard === undefined ? run : Effect.andThen(guard(operation), run)
    }
  }
}

/** Tells a value that the store will never take from everything else that can go wrong. */
export const refusedOr = (error: JournalUnavailable): BatchRefused | JournalUnavailable =>
  isAboutValues(error.cause) ? new BatchRefused({ cause: error.cause }) : error

/** PostgreSQL: data exceptions, violated constraints, limits of the program. */
const valueStates = /^(?:22|23|54)/

/** SQLite: too big, constraint, mismatch, out of range. */
const valueCodes: ReadonlyArray<unknown> = [18, 19, 20, 25]

const isAboutValues = (error: unknown): boolean => {
  if (!isSqlError(error)) return false
  const { _tag, cause } = error.reason
  if (_tag === "ConstraintError" || _tag === "UniqueViolation") return true
  if (hasProperty(cause, "errcode") && typeof cause.errcode === "number") {
    return valueCodes.includes(cause.errcode & 0xff)
  }
  const code = hasProperty(cause, "code") ? String(cause.code) : ""
  return valueStates.test(code) || /^SQLITE_(?:TOOBIG|CONSTRAINT|MISMATCH|RANGE)/.test(code)
    // What the driver could not even encode.
    || (hasProperty(cause, "_tag") && /(?:Encode|Codec)Error$/.test(String(cause._tag)))
}
