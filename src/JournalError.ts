/**
 * What can go wrong with a store of executions. What a store must keep stands in `Journal`.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/** What went wrong, and why: a client often says only that something did. */
const inWords = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  const why = cause.cause instanceof Error ? inWords(cause.cause) : ""
  return why === "" || why.startsWith(cause.message) ? why || cause.message : `${cause.message}: ${why}`
}

/**
 * The store did not do what it was asked: it was out of reach, full, read-only or too slow. Asked again later it may.
 *
 * @category errors
 * @since 0.1.0
 */
export class JournalUnavailable extends Data.TaggedError("JournalUnavailable")<{
  readonly operation: string
  readonly cause: unknown
}> {
  override get message(): string {
    return `The journal did not answer to "${this.operation}": ${
      inWords(this.cause)
    }. What was recorded is not lost: ask again`
  }
}

/**
 * The store refused a batch because of a value in it, and would refuse it again. Nothing of it was written.
 *
 * @category errors
 * @since 0.1.0
 */
export class BatchRefused extends Data.TaggedError("BatchRefused")<{ readonly cause: unknown }> {
  override get message(): string {
    return `The journal refused a value: ${inWords(this.cause)}`
  }
}

/**
 * Another engine, in another process, holds this journal, which serves one engine at a time.
 *
 * @category errors
 * @since 0.1.0
 */
export class JournalLocked extends Data.TaggedError("JournalLocked")<{ readonly journal: string }> {
  override get message(): string {
    return `Another process runs an engine on "${this.journal}", and one SQLite file serves one engine. Stop that process, or use PostgreSQL for several`
  }
}
