/**
 * The outside world of the soak test: a participant that keeps books in tables of its own, applies each idempotency key
 * once, and counts how often it was asked. What was undone, or is said not to have taken place, never takes place later.
 */
import { Effect, Schema } from "effect"
import { SqlClient, type SqlError } from "effect/sql"

/** `Applied`: it counts. `Undone`: it did. `Refused`: it never will. */
export type EntryState = "Applied" | "Undone" | "Refused"

export interface Entry {
  readonly key: string
  readonly execution_id: string
  readonly path: string
  readonly state: EntryState
  /** How often it was asked to apply it. */
  readonly calls: number
  /** How often it was asked to undo it. */
  readonly undo_calls: number
  /** How often a key came back with another execution or path. */
  readonly clashes: number
}

export const table = `CREATE TABLE entry (
  key text PRIMARY KEY,
  execution_id text NOT NULL,
  path text NOT NULL,
  state text NOT NULL,
  calls int NOT NULL,
  undo_key text,
  undo_calls int NOT NULL,
  clashes int NOT NULL
)`

/** The participant did not answer: nobody knows whether it did what it was asked. */
export class NoAnswer extends Schema.TaggedError<NoAnswer>()("NoAnswer", {}) {}

interface Place {
  readonly executionId: string
  readonly path: string
}

const clash = "(entry.execution_id <> excluded.execution_id OR entry.path <> excluded.path)::int"

const asked = (effect: Effect.Effect<ReadonlyArray<{ readonly state: EntryState }>, SqlError.SqlError>) =>
  Effect.matchCauseEffect(effect, {
    onSuccess: ([row]) => Effect.succeed(row?.state),
    // Whatever it is that went wrong, such as a connection whose server died while it was closed.
    onFailure: () => Effect.fail(new NoAnswer())
  })

/** Does what an action asks for. */
export const apply = (key: string, { executionId, path }: Place) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    asked(sql.unsafe(
      `INSERT INTO entry VALUES ($1, $2, $3, 'Applied', 1, NULL, 0, 0)
ON CONFLICT (key) DO UPDATE SET calls = entry.calls + 1, clashes = entry.clashes + ${clash} RETURNING state`,
      [key, executionId, path]
    )))

/** Undoes what was done under the key of an action, whether it is known to have taken place or not. */
export const undo = (undoKey: string, actionKey: string, { executionId, path }: Place) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    asked(sql.unsafe(
      `INSERT INTO entry VALUES ($1, $2, $3, 'Refused', 0, $4, 1, 0)
ON CONFLICT (key) DO UPDATE SET state = CASE entry.state WHEN 'Applied' THEN 'Undone' ELSE entry.state END,
  undo_key = $4, undo_calls = entry.undo_calls + 1,
  clashes = entry.clashes + ${clash} + (entry.undo_key <> $4 AND entry.undo_key IS NOT NULL)::int RETURNING state`,
      [actionKey, executionId, path, undoKey]
    )))

/** Says whether an action took place; one that did not never will. */
export const verify = (key: string, { executionId, path }: Place) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    asked(sql.unsafe(
      `INSERT INTO entry VALUES ($1, $2, $3, 'Refused', 0, NULL, 0, 0)
ON CONFLICT (key) DO UPDATE SET clashes = entry.clashes + ${clash} RETURNING state`,
      [key, executionId, path]
    )))
