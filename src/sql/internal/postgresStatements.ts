/**
 * What the journal says to PostgreSQL. A batch is one statement that commits by itself: it holds the row of its lease
 * while it runs, so that whoever ends the lease waits for it and then nothing comes after it.
 */
import { awake, finalStates, liveStates, type Parts, stateIn, states } from "./batch.ts"

const isLive = stateIn(liveStates)
const isFinal = stateIn(finalStates)

/**
 * Always true. PostgreSQL takes a list for a hundred rows, and would rather read a table of thousands than look up a
 * hundred; of those in a few states it expects a few.
 */
const isAny = stateIn(states)

/** The columns of an execution as they are read: big integers as numbers. */
export const execution = `x.execution_id, x.saga, x.version, x.definition, x.state,
  x.due_at_millis::float8 AS due_at_millis, x.started_at_millis::float8 AS started_at_millis,
  x.updated_at_millis::float8 AS updated_at_millis, x.problem, x.uncertain, x.tags`

/** The columns of a dead letter, and so those of an event. */
const deadLetter = `d.number::float8 AS number, d.sequence::float8 AS sequence, d.subscription, d.id, d.type, d.key,
  d.data, d.reason, d.at_millis::float8 AS at_millis`

/** The time of the store. */
export const now = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

/** Which parts of a batch are not empty. */
export type Variant = Readonly<Record<keyof Parts, boolean>>

/** The statements on the tables with a prefix. Lease and epoch are the first two parameters of all that need a lease. */
export const postgresStatements = (prefix: string) => {
  const leases = `${prefix}leases`
  const executions = `${prefix}executions`
  const facts = `${prefix}facts`
  const signals = `${prefix}signals`
  const tags = `${prefix}tags`
  const definitions = `${prefix}definitions`
  const events = `${prefix}events`
  const waits = `${prefix}waits`
  const receipts = `${prefix}receipts`
  const deadLetters = `${prefix}dead_letters`
  const subscriptions = `${prefix}subscriptions`

  /** The lease, held until the statement is over. Without a row nothing else happens. */
  const holding = `lease AS MATERIALIZED (
  SELECT id FROM ${leases} WHERE id = $1::bigint AND epoch = $2::bigint AND NOT ended FOR SHARE
)`

  /**
   * Who keeps events does so one after the other until it is committed: then the order of their numbers is the order in which
   * they can be seen, and who has read up to a number has missed none.
   */
  const turn = `SELECT pg_advisory_xact_lock(hashtextextended('${events}'::regclass::oid || '/keep', 0))`

  /** The same lease, held by who has the turn: whatever depends on it comes after that. */
  const holdingInTurn = holding.replace(`FROM ${leases}`, `FROM turn, ${leases}`).replace(
    "FOR SHARE",
    `FOR SHARE OF ${leases}`
  )

  /** The advisory lock that the holder of a lease keeps. */
  const lockOf = (id: string) => `hashtextextended('${leases}'::regclass::oid || '/' || ${id}, 0)`

  const lastSequence = `coalesce((SELECT max(f.sequence) FROM ${facts} f WHERE f.execution_id = x.execution_id), -1)`

  /** Gives back a page of what ended leases own. `takeovers` is what becomes of their number. */
  const giveBack = (takeovers: string) => `
WITH page AS MATERIALIZED (
  SELECT execution_id FROM ${executions} WHERE owner = ANY ($1::bigint[]) LIMIT $2 FOR UPDATE SKIP LOCKED
),
given AS (
  UPDATE ${executions} x SET owner = NULL, clean = false, due_at_millis = CASE WHEN ${isLive} THEN 0 END,
    takeovers = ${takeovers}
  FROM page WHERE x.execution_id = page.execution_id
  RETURNING 1
)
SELECT count(*)::int AS count FROM given`

  return {
    nextLease: `SELECT nextval('${leases}_id_seq')::float8 AS id`,

    lock: `SELECT pg_try_advisory_lock(${lockOf("$1::text")}) AS locked`,

    unlock: `SELECT pg_advisory_unlock(${lockOf("$1::text")})`,

    acquire: `INSERT INTO ${leases} (id, name, epoch, ended, expires_at_millis)
VALUES ($1::bigint, $2, 0, false, ${now} + $3::bigint)`,

    renew: `UPDATE ${leases} SET expires_at_millis = ${now} + $3::bigint
WHERE id = $1::bigint AND epoch = $2::bigint AND NOT ended RETURNING 1`,

    end: `UPDATE ${leases} SET ended = true, epoch = epoch + 1
WHERE id = $1::bigint AND epoch = $2::bigint AND NOT ended RETURNING 1`,

    /** Whose holder has let go of its lock. The locks that are taken to find out are free again at once. */
    unlocked: `SELECT id::text FROM ${leases}
WHERE NOT returned AND NOT ended AND id <> $1::bigint AND expires_at_millis > ${now}
  AND pg_try_advisory_xact_lock(${lockOf("id::text")})`,

    endDead: `WITH ${holding}
UPDATE ${leases} l SET ended = true, epoch = l.epoch + 1 FROM lease
WHERE NOT l.returned AND NOT l.ended AND l.id <> lease.id AND CASE
  WHEN l.expires_at_millis <= ${now} THEN true
  WHEN l.id = ANY ($3::bigint[]) THEN pg_try_advisory_xact_lock(${lockOf("l.id::text")})
  ELSE false
END`,

    ended: `SELECT id::text FROM ${leases} WHERE ended AND NOT returned`,

    giveBackTaken: giveBack(`CASE WHEN ${lastSequence} > x.claimed_sequence THEN 1 ELSE x.takeovers + 1 END`),

    giveBackEnded: giveBack(`CASE WHEN ${lastSequence} > x.claimed_sequence THEN 0 ELSE x.takeovers END`),

    /** Nobody needs to look at these any more, once they own nothing. */
    returned: `UPDATE ${leases} l SET returned = true WHERE l.ended AND NOT l.returned AND l.id = ANY ($1::bigint[])
  AND NOT EXISTS (SELECT FROM ${executions} x WHERE x.owner = l.id)`,

    /** Writes a batch. Parameters: lease, epoch, batch, then those of each part that is not empty. */
    write: (has: Variant): string => {
      let parameters = 3
      const next = () => `$${++parameters}`
      const columns = () => `unnest(${next()}::text[], ${next()}::int[], ${next()}::text[], ${next()}::text[])`
      const expressions = has.published ? [`turn AS MATERIALIZED (${turn})`, holdingInTurn] : [holding]
      if (has.starts) {
        expressions.push(`started AS (
  INSERT INTO ${executions} (execution_id, saga, version, definition, state, due_at_millis, owner, clean,
    started_at_millis, updated_at_millis, problem, uncertain, tags)
  SELECT s."executionId", s.saga, s.version, s.definition, s.state, s.due, CASE WHEN s.owned THEN lease.id END, s.clean,
    s."startedAt", s."updatedAt", s.problem, s.uncertain, s.tags
  FROM lease, json_to_recordset(${next()}::text::json) AS s("executionId" text, saga text, version int, definition text,
    state text, due bigint, owned boolean, clean boolean, "startedAt" bigint, "updatedAt" bigint, problem text,
    uncertain boolean, tags text)
  ON CONFLICT (execution_id) DO NOTHING RETURNING execution_id
)`)
      }
      if (has.tags) {
        expressions.push(`tagged AS (
  INSERT INTO ${tags} (execution_id, started_at_millis, name, value)
  SELECT t.execution_id, t.started_at_millis, t.name, t.value
  FROM unnest(${next()}::text[], ${next()}::bigint[], ${next()}::text[], ${next()}::text[])
    AS t(execution_id, started_at_millis, name, value)
  WHERE t.execution_id IN (SELECT execution_id FROM started)
)`)
      }
      let firstIds = ""
      if (has.first) {
        firstIds = `$${parameters + 1}::text[]`
        const from = columns()
        const gate = has.starts
          ? `WHERE f.execution_id IN (SELECT execution_id FROM started) OR NOT f.execution_id = ANY (${next()}::text[])`
          : ""
        expressions.push(`first AS (
  INSERT INTO ${facts} (execution_id, sequence, tag, data, lease, batch)
  SELECT f.execution_id, f.sequence, f.tag, f.data, lease.id, $3::bigint
  FROM lease, ${from} AS f(execution_id, sequence, tag, data) ${gate}
  ON CONFLICT (execution_id, sequence) DO NOTHING RETURNING execution_id
)`)
      }
      if (has.rest) {
        expressions.push(`rest AS (
  INSERT INTO ${facts} (execution_id, sequence, tag, data, lease, batch)
  SELECT f.execution_id, f.sequence, f.tag, f.data, lease.id, $3::bigint
  FROM lease, ${columns()} AS f(execution_id, sequence, tag, data)
  WHERE f.execution_id IN (SELECT execution_id FROM first)
)`)
      }
      if (has.updates) {
        const written = has.first ? "u.\"executionId\" IN (SELECT execution_id FROM first)" : "false"
        expressions.push(`updated AS (
  UPDATE ${executions} x SET state = u.state,
    due_at_millis = CASE WHEN u.${isLive} AND x.signal_count > u.signals THEN 0 ELSE u.due END,
    owner = CASE WHEN u.released THEN NULL ELSE x.owner END,
    clean = CASE WHEN u.released THEN coalesce(u.clean, x.clean) ELSE x.clean END,
    uncertain = coalesce(u.uncertain, x.uncertain),
    takeovers = CASE WHEN u.released THEN 0 ELSE x.takeovers END,
    updated_at_millis = u."updatedAt", problem = u.problem
  FROM lease, json_to_recordset(${next()}::text::json) AS u("executionId" text, state text, due bigint,
    released boolean, clean boolean, uncertain boolean, signals int, "updatedAt" bigint, problem text, "hasFacts" boolean)
  WHERE x.execution_id = u."executionId" AND u.${isAny}
    AND CASE WHEN u."hasFacts" THEN ${written} ELSE x.owner = lease.id END
  RETURNING u."hasFacts" AS has_facts
)`)
      }
      if (has.signals) {
        const written = has.first
          ? ` AND (g.execution_id IN (SELECT execution_id FROM first) OR NOT g.execution_id = ANY (${firstIds}))`
          : ""
        expressions.push(`answered AS (
  DELETE FROM ${signals} g USING lease WHERE g.id = ANY (${next()}::bigint[])${written}
)`)
      }
      const isWritten = (row: string) =>
        has.first
          ? `(${row}.execution_id IN (SELECT execution_id FROM first) OR NOT ${row}.execution_id = ANY (${firstIds}))`
          : "true"
      if (has.ended) {
        expressions.push(`ended AS (
  DELETE FROM ${waits} w USING lease, unnest(${next()}::text[], ${next()}::text[]) AS e(execution_id, path)
  WHERE w.execution_id = e.execution_id AND w.path = e.path AND ${isWritten("e")}
)`)
      }
      if (has.receipts) {
        expressions.push(`received AS (
  INSERT INTO ${receipts} (sequence, execution_id)
  SELECT r.sequence, r.execution_id FROM lease, unnest(${next()}::bigint[], ${next()}::text[]) AS r(sequence, execution_id)
  WHERE ${isWritten("r")} ON CONFLICT DO NOTHING
)`)
      }
      if (has.waits) {
        expressions.push(`waiting AS (
  INSERT INTO ${waits} (execution_id, path, type, key)
  SELECT w.execution_id, w.path, w.type, w.key
  FROM lease, unnest(${next()}::text[], ${next()}::text[], ${next()}::text[], ${next()}::text[])
    AS w(execution_id, path, type, key)
  WHERE ${isWritten("w")} ON CONFLICT DO NOTHING
)`)
      }
      if (has.published) {
        expressions.push(`published AS (
  INSERT INTO ${events} (sequence, id, type, key, data, kept_at_millis)
  SELECT p.sequence, p.id, p.type, p.key, p.data, p.kept_at_millis FROM (
    SELECT nextval(pg_get_serial_sequence('${events}', 'sequence')) AS sequence, u.* FROM lease, (
      SELECT * FROM unnest(${next()}::text[], ${next()}::text[], ${next()}::text[], ${next()}::text[], ${next()}::text[],
        ${next()}::bigint[]) WITH ORDINALITY AS u(execution_id, id, type, key, data, kept_at_millis, place)
      ORDER BY place
    ) u
  ) p
  WHERE ${isWritten("p")} ORDER BY p.id ON CONFLICT (id) DO NOTHING
)`)
      }
      const count = (name: string, isThere: boolean) =>
        `${isThere ? `(SELECT count(*) FROM ${name})::int` : "0"} AS ${name}`
      return `WITH ${expressions.join(",\n")}
SELECT ${count("lease", true)}, ${count("started", has.starts)}, ${count("first", has.first)},
  ${has.updates ? "(SELECT count(*) FROM updated WHERE has_facts)::int" : "0"} AS updated`
    },

    /** Takes back what a batch has written for executions that are not there. */
    unwrite:
      `DELETE FROM ${facts} f WHERE f.execution_id = ANY ($3::text[]) AND f.lease = $1::bigint AND f.batch = $2::bigint
  AND NOT EXISTS (SELECT FROM ${executions} x WHERE x.execution_id = f.execution_id)`,

    /** Whose facts at these places were written by this batch. */
    written: `SELECT f.execution_id FROM unnest($3::text[], $4::int[]) AS k(execution_id, sequence)
JOIN ${facts} f ON f.execution_id = k.execution_id AND f.sequence = k.sequence
WHERE f.lease = $1::bigint AND f.batch = $2::bigint`,

    /** Takes what is due: lease, epoch, sagas, versions, now, limit, claim. Suspects have an index of their own. */
    claim: (suspects: boolean) =>
      `WITH ${holding},
due AS MATERIALIZED (
  SELECT w.execution_id FROM lease, unnest($3::text[], $4::int[]) AS s(saga, version), LATERAL (
    SELECT x.execution_id, x.due_at_millis FROM ${executions} x
    WHERE x.saga = s.saga AND x.version = s.version AND x.owner IS NULL AND x.${isLive}
      AND x.due_at_millis <= $5::bigint AND x.takeovers ${suspects ? ">=" : "<"} 2
    ORDER BY x.due_at_millis LIMIT $6::int FOR UPDATE SKIP LOCKED
  ) w
  ORDER BY w.due_at_millis LIMIT $6::int
),
claimed AS (
  UPDATE ${executions} x SET owner = lease.id, ${awake}, claim = $7::int, claimed_sequence = ${lastSequence}
  FROM lease, due WHERE x.execution_id = due.execution_id
  RETURNING 1
)
SELECT count(*)::int AS count FROM claimed`,

    /** Waits until every statement that holds the lease is over. */
    settle: `SELECT id FROM ${leases} WHERE id = $1::bigint FOR UPDATE`,

    /** What was claimed, with the signals at the same instant. */
    claimed: `SELECT ${execution}, x.clean, x.takeovers, x.signal_count, g.id::float8 AS id, g.kind, g.data
FROM ${executions} x LEFT JOIN ${signals} g ON g.execution_id = x.execution_id
WHERE x.owner = $1::bigint AND x.claim >= $2::int
ORDER BY x.due_at_millis, x.execution_id, g.id`,

    factsOf: `SELECT execution_id, sequence, tag, data FROM ${facts}
WHERE execution_id = ANY ($1::text[]) ORDER BY execution_id, sequence`,

    nextDue:
      `SELECT min(w.due_at_millis)::float8 AS due FROM unnest($1::text[], $2::int[]) AS s(saga, version), LATERAL (
  SELECT x.due_at_millis FROM ${executions} x
  WHERE x.saga = s.saga AND x.version = s.version AND x.owner IS NULL AND x.${isLive} AND x.due_at_millis IS NOT NULL
  ORDER BY x.due_at_millis LIMIT 1
) w`,

    find: `SELECT ${execution} FROM ${executions} x WHERE x.execution_id = $1`,

    facts: `SELECT execution_id, sequence, tag, data FROM ${facts}
WHERE execution_id = $1 AND sequence >= $2::int ORDER BY sequence`,

    settled: `SELECT ${execution} FROM ${executions} x
WHERE x.execution_id = ANY ($1::text[]) AND NOT x.${isLive}`,

    /** What is final has no owner that writes, so nothing comes to it while it goes. */
    remove: `WITH removed AS (
  DELETE FROM ${executions} x WHERE x.execution_id = ANY ($1::text[]) AND x.${isFinal}
  RETURNING x.execution_id, x.started_at_millis, x.tags
),
facts AS (DELETE FROM ${facts} f USING removed r WHERE f.execution_id = r.execution_id),
signals AS (DELETE FROM ${signals} g USING removed r WHERE g.execution_id = r.execution_id),
waits AS (DELETE FROM ${waits} w USING removed r WHERE w.execution_id = r.execution_id),
tags AS (
  DELETE FROM ${tags} t USING removed r, json_each_text(r.tags::json) w
  WHERE t.name = w.key AND t.value = w.value AND t.started_at_millis = r.started_at_millis
    AND t.execution_id = r.execution_id
)
SELECT execution_id FROM removed`,

    /** The row stays locked until the signal is there, so that no owner gives it back in between without seeing either. */
    send: `WITH live AS (
  UPDATE ${executions} SET signal_count = signal_count + 1, due_at_millis = 0
  WHERE execution_id = $1 AND ${isLive} RETURNING execution_id
)
INSERT INTO ${signals} (execution_id, kind, data, sent_at_millis) SELECT execution_id, $2, $3, ${now} FROM live RETURNING 1`,

    signals: `SELECT g.id::float8 AS id, g.execution_id, g.kind, g.data
FROM ${signals} g JOIN ${executions} x ON x.execution_id = g.execution_id
WHERE x.owner = $1::bigint ORDER BY g.id`,

    keep: `WITH turn AS MATERIALIZED (${turn}),
given AS MATERIALIZED (
  SELECT nextval(pg_get_serial_sequence('${events}', 'sequence')) AS sequence, g.* FROM turn, (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
      WITH ORDINALITY AS u(id, type, key, data, place) ORDER BY place
  ) g
)
INSERT INTO ${events} (sequence, id, type, key, data, kept_at_millis)
SELECT sequence, id, type, key, data, $5::bigint FROM given ORDER BY id
ON CONFLICT (id) DO NOTHING RETURNING id`,

    /** Nobody is waited for, so that nobody who writes and waits for this one waits for ever. */
    wake: `WITH news AS MATERIALIZED (
  SELECT sequence, type, key FROM ${events} WHERE NOT told ORDER BY sequence LIMIT $1 FOR UPDATE SKIP LOCKED
),
waiting AS MATERIALIZED (
  SELECT n.sequence, w.execution_id FROM news n
  JOIN ${waits} w ON w.type = n.type AND w.key = n.key
  JOIN ${executions} x ON x.execution_id = w.execution_id AND x.${isLive}
),
free AS MATERIALIZED (
  SELECT execution_id FROM ${executions} x
  WHERE execution_id IN (SELECT execution_id FROM waiting) AND ${isLive} FOR UPDATE SKIP LOCKED
),
woken AS (
  UPDATE ${executions} x SET signal_count = signal_count + 1, due_at_millis = 0
  FROM free WHERE x.execution_id = free.execution_id
),
sent AS (
  INSERT INTO ${signals} (execution_id, kind, data, sent_at_millis) SELECT execution_id, 'event', '', ${now} FROM free
),
done AS (
  UPDATE ${events} e SET told = true FROM news n
  WHERE e.sequence = n.sequence AND NOT EXISTS (
    SELECT FROM waiting w WHERE w.sequence = n.sequence AND w.execution_id NOT IN (SELECT execution_id FROM free)
  )
  RETURNING 1
)
SELECT count(*)::int AS count FROM done`,

    read: `SELECT k.place::int AS place, e.sequence::float8 AS sequence, e.id, e.type, e.key, e.data
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
  WITH ORDINALITY AS k(execution_id, type, key, after, place), LATERAL (
  SELECT e.* FROM ${events} e
  WHERE e.type = k.type AND e.key = k.key AND e.sequence > k.after AND NOT EXISTS (
    SELECT FROM ${receipts} r WHERE r.sequence = e.sequence AND r.execution_id = k.execution_id
  )
  ORDER BY e.sequence LIMIT $5::int
) e
ORDER BY k.place, e.sequence`,

    advance: `INSERT INTO ${subscriptions} AS s (name, type, position)
SELECT $1, type, $3::bigint FROM unnest($2::text[]) AS t(type) ORDER BY type
ON CONFLICT (type, name) DO UPDATE SET position = greatest(s.position, excluded.position)
RETURNING type, position::float8 AS position`,

    log: `SELECT last.sequence::float8 AS last, e.sequence::float8 AS sequence, e.id, e.type, e.key, e.data
FROM (SELECT coalesce(max(sequence), 0) AS sequence FROM ${events}) last LEFT JOIN LATERAL (
  SELECT * FROM ${events}
  WHERE sequence > $1::bigint AND type = ANY ($2::text[])
    AND sequence > ($3::bigint[])[array_position($2::text[], type)]
  ORDER BY sequence LIMIT $4::int
) e ON true ORDER BY e.sequence`,

    subscriptions: `SELECT s.name, s.type, s.position::float8 AS position, (
  SELECT count(*) FROM ${events} e WHERE e.type = s.type AND e.sequence > s.position
)::int AS behind FROM ${subscriptions} s ORDER BY s.name, s.type`,

    unsubscribe: `DELETE FROM ${subscriptions} WHERE name = $1 RETURNING 1`,

    bury: `INSERT INTO ${deadLetters} (sequence, subscription, id, type, key, data, reason, at_millis)
VALUES ($1::bigint, $2, $3, $4, $5, $6, $7, $8::bigint)
ON CONFLICT (sequence, subscription) DO UPDATE SET reason = excluded.reason, at_millis = excluded.at_millis, again = false`,

    forget: `WITH page AS MATERIALIZED (
  SELECT e.sequence FROM ${events} e
  WHERE e.kept_at_millis < $1::bigint AND NOT EXISTS (
    SELECT FROM ${subscriptions} s WHERE s.type = e.type AND s.position < e.sequence
  ) AND NOT EXISTS (
    SELECT FROM ${waits} w JOIN ${executions} x ON x.execution_id = w.execution_id
    WHERE w.type = e.type AND w.key = e.key AND NOT x.${isFinal} AND NOT EXISTS (
      SELECT FROM ${receipts} r WHERE r.sequence = e.sequence AND r.execution_id = w.execution_id
    )
  )
  ORDER BY e.kept_at_millis LIMIT $2::int FOR UPDATE OF e SKIP LOCKED
),
gone AS (DELETE FROM ${events} e USING page WHERE e.sequence = page.sequence RETURNING e.*),
receipts AS (DELETE FROM ${receipts} r USING page WHERE r.sequence = page.sequence RETURNING r.sequence),
dead AS (
  INSERT INTO ${deadLetters} (sequence, subscription, id, type, key, data, reason, at_millis)
  SELECT g.sequence, '', g.id, g.type, g.key, g.data, $3, $4::bigint FROM gone g
  WHERE NOT EXISTS (SELECT FROM ${receipts} r WHERE r.sequence = g.sequence)
    AND g.type NOT IN (SELECT s.type FROM ${subscriptions} s)
  ORDER BY g.sequence ON CONFLICT (sequence, subscription) DO NOTHING RETURNING *
)
SELECT (SELECT count(*) FROM gone)::int AS count, ${deadLetter}
FROM (SELECT 1) one LEFT JOIN dead d ON true ORDER BY d.number`,

    deadLetters: `SELECT ${deadLetter} FROM ${deadLetters} d WHERE number > $1::bigint ORDER BY number LIMIT $2::int`,

    deadLetterCount: `SELECT count(*)::int AS count FROM ${deadLetters}`,

    redeliver: `WITH turn AS MATERIALIZED (${turn}),
again AS (UPDATE ${deadLetters} SET again = true WHERE number = $1::bigint AND subscription <> '' RETURNING 1),
nobodys AS (DELETE FROM ${deadLetters} WHERE number = $1::bigint AND subscription = '' RETURNING *),
kept AS (
  INSERT INTO ${events} (id, type, key, data, kept_at_millis)
  SELECT n.id, n.type, n.key, n.data, $2::bigint FROM turn, nobodys n ON CONFLICT (id) DO NOTHING
)
SELECT 1 FROM again UNION ALL SELECT 1 FROM nobodys`,

    redelivered: `SELECT ${deadLetter} FROM ${deadLetters} d
WHERE again AND subscription = $1 AND type = ANY ($2::text[]) ORDER BY number LIMIT $3::int`,

    discard: `DELETE FROM ${deadLetters} WHERE number = $1::bigint RETURNING 1`,

    define: `INSERT INTO ${definitions} (hash, saga, version, data) VALUES ($1, $2, $3::int, $4)
ON CONFLICT (hash) DO NOTHING`,

    definition: `SELECT data FROM ${definitions} WHERE hash = $1`
  }
}
