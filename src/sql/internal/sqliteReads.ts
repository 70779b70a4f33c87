/**
 * What is read from SQLite for people: lists, numbers, histories, and what the store says of itself. The order of a cross
 * join is kept, and what must be looked up comes last in it.
 */
import type { ReadStatements } from "./reads.ts"
import { execution, now } from "./sqliteStatements.ts"

/** The statements that read, on the tables with a prefix. */
export const sqliteReadStatements = (prefix: string): ReadStatements => {
  const leases = `${prefix}leases`
  const executions = `${prefix}executions`
  const facts = `${prefix}facts`
  const tags = `${prefix}tags`

  /** Groups, which are always the first parameter. */
  const groups = "json_each(?1) s"
  const isOfGroup = `x.saga = s.value->>'saga' AND x.version = s.value->>'version' AND x.state = s.value->>'state'`

  /** The first executions of each group, and of those the first: from time and id, up to time, limit. */
  const inGroups = (millis: string, condition: string) =>
    `SELECT w.${millis} AS millis, w.execution_id FROM ${groups} CROSS JOIN ${executions} w WHERE w.number IN (
  SELECT x.number FROM ${executions} x
  WHERE ${isOfGroup}${condition} AND (x.${millis}, x.execution_id) >= (?2, ?3) AND x.${millis} < ?4
  ORDER BY x.${millis}, x.execution_id LIMIT ?5
)
ORDER BY w.${millis}, w.execution_id LIMIT ?5`

  return {
    /** From one to the next in the index: however many executions there are, it looks up as many as there are kinds. */
    kinds: `WITH RECURSIVE kinds AS (
  SELECT * FROM (SELECT saga, version FROM ${executions} ORDER BY saga, version LIMIT 1)
  UNION ALL
  SELECT w.saga, w.version FROM kinds k CROSS JOIN ${executions} w ON w.number = coalesce(
    (SELECT x.number FROM ${executions} x WHERE x.saga = k.saga AND x.version > k.version ORDER BY x.version LIMIT 1),
    (SELECT x.number FROM ${executions} x WHERE x.saga > k.saga ORDER BY x.saga, x.version LIMIT 1)
  )
)
SELECT saga, version FROM kinds`,

    all: inGroups("started_at_millis", ""),

    uncertain: inGroups("started_at_millis", " AND x.uncertain"),

    stuck: inGroups("updated_at_millis", " AND x.state = 'Stuck'"),

    /** By prefix, from id, limit, and up to id. */
    ids: (hasEnd: boolean) =>
      `SELECT 0 AS millis, x.execution_id FROM ${executions} x
WHERE x.execution_id >= max(?1, ?2)${hasEnd ? " AND x.execution_id < ?4" : ""} ORDER BY x.execution_id LIMIT ?3`,

    /** By name and value, from time and id, up to time, limit. */
    tagged: `SELECT t.started_at_millis AS millis, t.execution_id FROM ${tags} t
WHERE t.name = ?1 AND t.value = ?2 AND (t.started_at_millis, t.execution_id) >= (?3, ?4) AND t.started_at_millis < ?5
ORDER BY t.started_at_millis, t.execution_id LIMIT ?6`,

    /** Of ids: saga, version, states, started from, started before, updated before, uncertain, tags, limit. */
    matching: `SELECT ${execution} FROM json_each(?1) k CROSS JOIN ${executions} x ON x.execution_id = k.value
WHERE (?2 IS NULL OR x.saga = ?2) AND (?3 IS NULL OR x.version = ?3)
  AND (?4 IS NULL OR x.state IN (SELECT value FROM json_each(?4)))
  AND x.started_at_millis >= ?5 AND x.started_at_millis < ?6 AND x.updated_at_millis < ?7
  AND (?8 IS NULL OR x.uncertain = ?8)
  AND NOT EXISTS (
    SELECT 1 FROM json_each(?9) w
    WHERE NOT EXISTS (SELECT 1 FROM json_each(x.tags) t WHERE t.key = w.key AND t.value = w.value)
  )
ORDER BY k.rowid LIMIT ?10`,

    countAll: `SELECT saga, version, state, count(*) AS count FROM ${executions} GROUP BY saga, version, state`,

    counts: `SELECT * FROM (
  SELECT s.value->>'saga' AS saga, s.value->>'version' AS version, s.value->>'state' AS state,
    (SELECT count(*) FROM ${executions} x WHERE ${isOfGroup}) AS count FROM ${groups}
)
WHERE count > 0`,

    /** A fact under a lease that never was is of no engine: who starts in a transaction of his own writes one. */
    history: `SELECT x.execution_id, f.sequence, f.tag, f.data, coalesce(l.name, '') AS engine
FROM ${executions} x CROSS JOIN ${facts} f ON f.number = x.number LEFT JOIN ${leases} l ON l.id = f.lease
WHERE x.execution_id = ? ORDER BY f.sequence`,

    clock: `SELECT ${now} AS now`,

    leases: `SELECT l.id, l.name, l.expires_at_millis,
  (SELECT count(*) FROM ${executions} x WHERE x.owner = l.id) AS owned
FROM ${leases} l WHERE NOT l.returned AND NOT l.ended ORDER BY l.id`,

    /** In groups, longer than, limit. How many bytes a text has is known without reading it. */
    longFacts: `SELECT x.execution_id, f.sequence, f.tag, length(f.data) AS length
FROM ${groups} CROSS JOIN ${executions} x ON ${isOfGroup} CROSS JOIN ${facts} f ON f.number = x.number
WHERE octet_length(f.data) > ?2 AND length(f.data) > ?2
ORDER BY length(f.data) DESC, x.execution_id, f.sequence LIMIT ?3`
  }
}
