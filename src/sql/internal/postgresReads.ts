/**
 * What is read from PostgreSQL for people: lists, numbers, histories, and what the store says of itself. None of these
 * statements is prepared, so each is planned for what it is asked.
 */
import type { Group } from "./lists.ts"
import { execution, now } from "./postgresStatements.ts"
import type { ReadStatements } from "./reads.ts"

/** The statements that read, on the tables with a prefix. */
export const postgresReadStatements = (prefix: string): ReadStatements => {
  const leases = `${prefix}leases`
  const executions = `${prefix}executions`
  const facts = `${prefix}facts`
  const tags = `${prefix}tags`

  /** Groups, which are always the first three parameters. */
  const groups = "unnest($1::text[], $2::int[], $3::text[]) AS s(saga, version, state)"
  const isOfGroup = "x.saga = s.saga AND x.version = s.version AND x.state = s.state"

  /**
   * The first executions of each group, and of those the first: from time and id, up to time, limit. That rows are compared
   * as a whole hides from the planner how few it might expect in a group: if it is wrong in that, it reads and sorts a group
   * of thousands instead of taking its first from the index.
   */
  const inGroups = (columns: ReadonlyArray<string>, millis: string, condition: string) => {
    const [own, wanted] = ["x", "s"].map((table) => columns.map((column) => `${table}.${column}`).join(", "))
    return `SELECT w.millis::float8 AS millis, w.execution_id FROM ${groups}, LATERAL (
  SELECT x.${millis} AS millis, x.execution_id FROM ${executions} x
  WHERE (${own}, x.${millis}, x.execution_id) >= (${wanted}, $4::bigint, $5::text COLLATE "C")
    AND (${own}, x.${millis}) < (${wanted}, $6::bigint)${condition}
  ORDER BY ${own}, x.${millis}, x.execution_id LIMIT $7::int
) w
ORDER BY w.millis, w.execution_id LIMIT $7::int`
  }

  return {
    /** From one to the next in the index: however many executions there are, it looks up as many as there are kinds. */
    kinds: `WITH RECURSIVE kinds AS (
  (SELECT x.saga, x.version FROM ${executions} x ORDER BY x.saga, x.version LIMIT 1)
  UNION ALL
  SELECT w.saga, w.version FROM kinds k, LATERAL (
    SELECT x.saga, x.version FROM ${executions} x WHERE (x.saga, x.version) > (k.saga, k.version)
    ORDER BY x.saga, x.version LIMIT 1
  ) w
)
SELECT saga, version FROM kinds`,

    all: inGroups(["saga", "version", "state"], "started_at_millis", ""),

    uncertain: inGroups(["saga", "version", "state"], "started_at_millis", " AND x.uncertain"),

    stuck: inGroups(["saga", "version"], "updated_at_millis", " AND x.state = 'Stuck'"),

    /** By prefix, from id, limit, and up to id. */
    ids: (hasEnd: boolean) =>
      `SELECT 0::float8 AS millis, x.execution_id FROM ${executions} x
WHERE x.execution_id >= greatest($1::text COLLATE "C", $2::text)${hasEnd ? " AND x.execution_id < $4::text" : ""}
ORDER BY x.execution_id LIMIT $3::int`,

    /** By name and value, from time and id, up to time, limit. */
    tagged: `SELECT t.started_at_millis::float8 AS millis, t.execution_id FROM ${tags} t
WHERE t.name = $1::text AND t.value = $2::text
  AND (t.started_at_millis, t.execution_id) >= ($3::bigint, $4::text COLLATE "C") AND t.started_at_millis < $5::bigint
ORDER BY t.started_at_millis, t.execution_id LIMIT $6::int`,

    /**
     * Of ids: saga, version, states, started from, started before, updated before, uncertain, tags, limit. With its offset
     * the planner keeps apart that they are looked up, one by one, and what is asked of each.
     */
    matching: `SELECT ${execution}
FROM unnest($1::text[]) WITH ORDINALITY AS k(execution_id, place), LATERAL (
  SELECT * FROM ${executions} x WHERE x.execution_id = k.execution_id OFFSET 0
) x
WHERE ($2::text IS NULL OR x.saga = $2::text) AND ($3::int IS NULL OR x.version = $3::int)
  AND ($4::text[] IS NULL OR x.state = ANY ($4::text[]))
  AND x.started_at_millis >= $5::bigint AND x.started_at_millis < $6::bigint AND x.updated_at_millis < $7::bigint
  AND ($8::boolean IS NULL OR x.uncertain = $8::boolean)
  AND ($9::text = '{}' OR x.tags::jsonb @> $9::text::jsonb)
ORDER BY k.place LIMIT $10::int`,

    countAll: `SELECT saga, version, state, count(*)::float8 AS count FROM ${executions} GROUP BY saga, version, state`,

    counts: `SELECT s.saga, s.version, s.state, w.count::float8 AS count FROM ${groups}, LATERAL (
  SELECT count(*) AS count FROM ${executions} x WHERE ${isOfGroup}
) w
WHERE w.count > 0`,

    /** A fact under a lease that never was is of no engine: who starts in a transaction of his own writes one. */
    history: `SELECT f.execution_id, f.sequence, f.tag, f.data, coalesce(l.name, '') AS engine
FROM ${facts} f LEFT JOIN ${leases} l ON l.id = f.lease WHERE f.execution_id = $1 ORDER BY f.sequence`,

    clock: `SELECT (${now})::float8 AS now`,

    leases: `SELECT l.id::float8 AS id, l.name, l.expires_at_millis::float8 AS expires_at_millis,
  (SELECT count(*) FROM ${executions} x WHERE x.owner = l.id)::float8 AS owned
FROM ${leases} l WHERE NOT l.returned AND NOT l.ended ORDER BY l.id`,

    /**
     * In groups, longer than, limit. How many bytes a text has is known without reading it. The offsets keep the planner from
     * reading the facts of all that has ended, too.
     */
    longFacts: `SELECT x.execution_id, f.sequence, f.tag, length(f.data) AS length FROM ${groups}, LATERAL (
  SELECT x.execution_id FROM ${executions} x WHERE ${isOfGroup} OFFSET 0
) x, LATERAL (
  SELECT f.sequence, f.tag, f.data FROM ${facts} f
  WHERE f.execution_id = x.execution_id AND octet_length(f.data) > $4::int OFFSET 0
) f
WHERE length(f.data) > $4::int ORDER BY length(f.data) DESC, x.execution_id, f.sequence LIMIT $5::int`
  }
}

/** The groups as three lists. */
export const postgresGroups = (groups: ReadonlyArray<Group>): ReadonlyArray<unknown> => [
  groups.map(({ saga }) => saga),
  groups.map(({ version }) => version),
  groups.map(({ state }) => state)
]
