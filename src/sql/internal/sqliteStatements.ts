/**
 * What the journal says to SQLite. Lists travel as one JSON text, so that a statement stays the same for any number. Facts,
 * which are many, travel as rows: that is faster, and there is a statement for a few numbers of them.
 */
import { awake, finalStates, liveStates, stateIn } from "./batch.ts"

const isLive = stateIn(liveStates)
const isFinal = stateIn(finalStates)

/** The columns of a dead letter, and so those of an event. */
const deadLetter = "number, sequence, subscription, id, type, key, data, reason, at_millis"

/** The columns of an execution as they are read. */
export const execution =
  `x.execution_id, x.saga, x.version, x.definition, x.state, x.due_at_millis, x.started_at_millis,
  x.updated_at_millis, x.problem, x.uncertain, x.tags`

/** The time of the store. */
export const now = "CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER)"

/** A list of values. */
export const listed = "(SELECT value FROM json_each(?))"

/** The statements on the tables with a prefix. */
export const sqliteStatements = (prefix: string) => {
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

  const lastSequence = `coalesce((SELECT max(f.sequence) FROM ${facts} f WHERE f.number = x.number), -1)`

  const fact = "x.execution_id, f.sequence, f.tag, f.data"

  /** Gives back a page of what ended leases own. `takeovers` is what becomes of their number. */
  const giveBack = (takeovers: string) =>
    `UPDATE ${executions} AS x
SET owner = NULL, clean = 0, due_at_millis = CASE WHEN ${isLive} THEN 0 END, takeovers = ${takeovers}
WHERE x.number IN (SELECT number FROM ${executions} WHERE owner IN ${listed} LIMIT ?)
RETURNING 1`

  return {
    /** The lease, with a count of all changes so far. */
    lease: `SELECT total_changes() AS changes FROM ${leases} WHERE id = ? AND epoch = ? AND NOT ended`,

    acquire: `INSERT INTO ${leases} (name, epoch, ended, expires_at_millis) VALUES (?, 0, 0, ${now} + ?) RETURNING id`,

    renew: `UPDATE ${leases} SET expires_at_millis = ${now} + ? WHERE id = ? AND epoch = ? AND NOT ended RETURNING 1`,

    end: `UPDATE ${leases} SET ended = 1, epoch = epoch + 1 WHERE id = ? AND epoch = ? AND NOT ended RETURNING 1`,

    endDead: `UPDATE ${leases} SET ended = 1, epoch = epoch + 1
WHERE NOT returned AND NOT ended AND id <> ? AND (? OR expires_at_millis <= ${now})`,

    ended: `SELECT id FROM ${leases} WHERE ended AND NOT returned`,

    giveBackTaken: giveBack(`CASE WHEN ${lastSequence} > x.claimed_sequence THEN 1 ELSE x.takeovers + 1 END`),

    giveBackEnded: giveBack(`CASE WHEN ${lastSequence} > x.claimed_sequence THEN 0 ELSE x.takeovers END`),

    /** Nobody needs to look at these any more, once they own nothing. */
    returned: `UPDATE ${leases} SET returned = 1 WHERE ended AND NOT returned AND id IN ${listed}
AND NOT EXISTS (SELECT 1 FROM ${executions} x WHERE x.owner = ${leases}.id)`,

    taken: `SELECT execution_id FROM ${executions} WHERE execution_id IN ${listed}`,

    start: `INSERT INTO ${executions} (execution_id, saga, version, definition, state, due_at_millis, owner, clean,
  started_at_millis, updated_at_millis, problem, uncertain, tags)
SELECT s.value->>'executionId', s.value->>'saga', s.value->>'version', s.value->>'definition', s.value->>'state',
  s.value->>'due', CASE WHEN s.value->>'owned' THEN ? END, s.value->>'clean', s.value->>'startedAt',
  s.value->>'updatedAt', s.value->>'problem', s.value->>'uncertain', s.value->>'tags'
FROM json_each(?) s`,

    tag: `INSERT INTO ${tags} (name, value, started_at_millis, execution_id)
SELECT t.value->>'name', t.value->>'value', t.value->>'startedAt', t.value->>'executionId' FROM json_each(?) t`,

    /** The order of a cross join is kept: each fact looks its execution up. */
    facts: (count: number) =>
      `INSERT INTO ${facts} (number, sequence, tag, data, lease, batch)
SELECT x.number, f.column2, f.column3, f.column4, ?, ?
FROM (VALUES ${Array.from({ length: count }, () => "(?, ?, ?, ?)").join()}) f
CROSS JOIN ${executions} x ON x.execution_id = f.column1 WHERE true
ON CONFLICT (number, sequence) DO NOTHING`,

    changes: "SELECT total_changes() AS changes",

    /** Whose facts at these places were written by this batch. */
    written: `SELECT x.execution_id FROM json_each(?) k
CROSS JOIN ${executions} x ON x.execution_id = k.value->>'executionId'
CROSS JOIN ${facts} f ON f.number = x.number AND f.sequence = k.value->>'sequence'
WHERE f.lease = ? AND f.batch = ?`,

    update: `UPDATE ${executions} AS x SET state = u.value->>'state',
  due_at_millis = CASE WHEN u.value->>${
      isLive.replace("state", "'state'")
    } AND x.signal_count > u.value->>'signals' THEN 0
    ELSE u.value->>'due' END,
  owner = CASE WHEN u.value->>'released' THEN NULL ELSE x.owner END,
  clean = CASE WHEN u.value->>'released' THEN coalesce(u.value->>'clean', x.clean) ELSE x.clean END,
  uncertain = coalesce(u.value->>'uncertain', x.uncertain),
  takeovers = CASE WHEN u.value->>'released' THEN 0 ELSE x.takeovers END,
  updated_at_millis = u.value->>'updatedAt', problem = u.value->>'problem'
FROM json_each(?) u
WHERE x.execution_id = u.value->>'executionId' AND (u.value->>'hasFacts' OR x.owner = ?)`,

    answer: `DELETE FROM ${signals} WHERE id IN ${listed} AND execution_id NOT IN ${listed}`,

    /** Suspects have an index of their own. */
    due: (suspects: boolean) =>
      `SELECT number, due_at_millis FROM ${executions}
WHERE saga = ? AND version = ? AND owner IS NULL AND ${isLive} AND due_at_millis <= ?
  AND takeovers ${suspects ? ">=" : "<"} 2
ORDER BY due_at_millis LIMIT ?`,

    claim: `UPDATE ${executions} AS x SET owner = ?, claim = ?, ${awake}, claimed_sequence = ${lastSequence}
WHERE x.number IN ${listed}`,

    claimed: `SELECT ${execution}, x.clean, x.takeovers, x.signal_count, g.id, g.kind, g.data
FROM ${executions} x LEFT JOIN ${signals} g ON g.execution_id = x.execution_id
WHERE x.owner = ? AND x.claim >= ? ORDER BY x.due_at_millis, x.execution_id, g.id`,

    claimedFacts: `SELECT ${fact} FROM ${executions} x JOIN ${facts} f ON f.number = x.number
WHERE x.owner = ? AND x.claim >= ? ORDER BY f.number, f.sequence`,

    nextDue: `SELECT due_at_millis FROM ${executions}
WHERE saga = ? AND version = ? AND owner IS NULL AND ${isLive} AND due_at_millis IS NOT NULL
ORDER BY due_at_millis LIMIT 1`,

    find: `SELECT ${execution} FROM ${executions} x WHERE x.execution_id = ?`,

    factsOf: `SELECT ${fact} FROM ${executions} x JOIN ${facts} f ON f.number = x.number
WHERE x.execution_id = ? AND f.sequence >= ? ORDER BY f.sequence`,

    settled: `SELECT ${execution} FROM ${executions} x WHERE x.execution_id IN ${listed} AND NOT x.${isLive}`,

    /** Which of these are final: of them everything is removed. */
    final: `SELECT number, execution_id FROM ${executions} WHERE execution_id IN ${listed} AND ${isFinal}`,

    removeTags: `DELETE FROM ${tags} WHERE (name, value, started_at_millis, execution_id) IN (
  SELECT t.key, t.value, x.started_at_millis, x.execution_id FROM ${executions} x, json_each(x.tags) t
  WHERE x.number IN ${listed}
)`,

    removeSignals: `DELETE FROM ${signals} WHERE execution_id IN (
  SELECT x.execution_id FROM ${executions} x WHERE x.number IN ${listed}
)`,

    removeFacts: `DELETE FROM ${facts} WHERE number IN ${listed}`,

    remove: `DELETE FROM ${executions} WHERE number IN ${listed}`,

    /** Counts a signal and makes its execution claimable, if it goes on. */
    awake: `UPDATE ${executions} SET signal_count = signal_count + 1, due_at_millis = 0
WHERE execution_id = ? AND ${isLive} RETURNING 1`,

    send: `INSERT INTO ${signals} (execution_id, kind, data, sent_at_millis) VALUES (?, ?, ?, ${now})`,

    signals: `SELECT g.id, g.execution_id, g.kind, g.data FROM ${signals} g
CROSS JOIN ${executions} x ON x.execution_id = g.execution_id WHERE x.owner = ? ORDER BY g.id`,

    endWaits: `DELETE FROM ${waits} WHERE (execution_id, path) IN (
  SELECT e.value->>'executionId', e.value->>'path' FROM json_each(?) e
)`,

    receive: `INSERT INTO ${receipts} (sequence, execution_id)
SELECT r.value->>'sequence', r.value->>'executionId' FROM json_each(?) r WHERE true ON CONFLICT DO NOTHING`,

    wait: `INSERT INTO ${waits} (execution_id, path, type, key)
SELECT w.value->>'executionId', w.value->>'path', w.value->>'type', w.value->>'key' FROM json_each(?) w
WHERE true ON CONFLICT DO NOTHING`,

    removeWaits: `DELETE FROM ${waits} WHERE execution_id IN (
  SELECT x.execution_id FROM ${executions} x WHERE x.number IN ${listed}
)`,

    keep: `INSERT INTO ${events} (id, type, key, data, kept_at_millis)
SELECT e.value->>'id', e.value->>'type', e.value->>'key', e.value->>'data', ? FROM json_each(?) e WHERE true
ORDER BY e.key ON CONFLICT (id) DO NOTHING RETURNING id`,

    untold: `SELECT sequence FROM ${events} WHERE NOT told ORDER BY sequence LIMIT ?`,

    waiting: `SELECT DISTINCT x.execution_id FROM ${events} e
CROSS JOIN ${waits} w ON w.type = e.type AND w.key = e.key
CROSS JOIN ${executions} x ON x.execution_id = w.execution_id AND x.${isLive}
WHERE e.sequence IN ${listed}`,

    wake: `UPDATE ${executions} SET signal_count = signal_count + 1, due_at_millis = 0 WHERE execution_id IN ${listed}`,

    sendEach:
      `INSERT INTO ${signals} (execution_id, kind, data, sent_at_millis) SELECT value, 'event', '', ${now} FROM json_each(?)`,

    told: `UPDATE ${events} SET told = true WHERE sequence IN ${listed}`,

    read: `SELECT e.sequence, e.id, e.type, e.key, e.data FROM ${events} e
WHERE e.type = ? AND e.key = ? AND e.sequence > ? AND NOT EXISTS (
  SELECT 1 FROM ${receipts} r WHERE r.sequence = e.sequence AND r.execution_id = ?
)
ORDER BY e.sequence LIMIT ?`,

    publish: `INSERT INTO ${events} (id, type, key, data, kept_at_millis)
SELECT e.value->>'id', e.value->>'type', e.value->>'key', e.value->>'data', e.value->>'keptAtMillis'
FROM json_each(?) e WHERE true ORDER BY e.key ON CONFLICT (id) DO NOTHING`,

    advance: `INSERT INTO ${subscriptions} (name, position, type) SELECT ?, ?, value FROM json_each(?) WHERE true
ON CONFLICT (type, name) DO UPDATE SET position = max(position, excluded.position) RETURNING type, position`,

    log: `SELECT last.sequence AS last, e.sequence, e.id, e.type, e.key, e.data
FROM (SELECT coalesce(max(sequence), 0) AS sequence FROM ${events}) last LEFT JOIN (
  SELECT k.* FROM ${events} k WHERE k.sequence > ? AND EXISTS (
    SELECT 1 FROM json_each(?) p WHERE p.value->>'type' = k.type AND p.value->>'after' < k.sequence
  )
  ORDER BY k.sequence LIMIT ?
) e ORDER BY e.sequence`,

    subscriptions: `SELECT s.name, s.type, s.position, (
  SELECT count(*) FROM ${events} e WHERE e.type = s.type AND e.sequence > s.position
) AS behind FROM ${subscriptions} s ORDER BY s.name, s.type`,

    unsubscribe: `DELETE FROM ${subscriptions} WHERE name = ? RETURNING 1`,

    buryOne: `INSERT INTO ${deadLetters} (sequence, subscription, id, type, key, data, reason, at_millis)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (sequence, subscription) DO UPDATE SET reason = excluded.reason, at_millis = excluded.at_millis, again = false`,

    old: `SELECT e.sequence FROM ${events} e
WHERE e.kept_at_millis < ? AND NOT EXISTS (
  SELECT 1 FROM ${subscriptions} s WHERE s.type = e.type AND s.position < e.sequence
) AND NOT EXISTS (
  SELECT 1 FROM ${waits} w JOIN ${executions} x ON x.execution_id = w.execution_id
  WHERE w.type = e.type AND w.key = e.key AND NOT x.${isFinal} AND NOT EXISTS (
    SELECT 1 FROM ${receipts} r WHERE r.sequence = e.sequence AND r.execution_id = w.execution_id
  )
)
ORDER BY e.kept_at_millis LIMIT ?`,

    bury: `INSERT INTO ${deadLetters} (sequence, subscription, id, type, key, data, reason, at_millis)
SELECT e.sequence, '', e.id, e.type, e.key, e.data, ?, ? FROM ${events} e
WHERE e.sequence IN ${listed} AND e.type NOT IN (SELECT s.type FROM ${subscriptions} s)
  AND NOT EXISTS (SELECT 1 FROM ${receipts} r WHERE r.sequence = e.sequence)
ORDER BY e.sequence ON CONFLICT (sequence, subscription) DO NOTHING RETURNING ${deadLetter}`,

    removeEvents: `DELETE FROM ${events} WHERE sequence IN ${listed}`,

    removeReceipts: `DELETE FROM ${receipts} WHERE sequence IN ${listed}`,

    deadLetters: `SELECT ${deadLetter} FROM ${deadLetters} WHERE number > ? ORDER BY number LIMIT ?`,

    deadLetterCount: `SELECT count(*) AS count FROM ${deadLetters}`,

    handOut: `UPDATE ${deadLetters} SET again = true WHERE number = ? AND subscription <> '' RETURNING 1`,

    keepAgain: `INSERT INTO ${events} (id, type, key, data, kept_at_millis)
SELECT id, type, key, data, ? FROM ${deadLetters} WHERE number = ? ON CONFLICT (id) DO NOTHING`,

    redelivered: `SELECT ${deadLetter} FROM ${deadLetters}
WHERE again AND subscription = ? AND type IN ${listed} ORDER BY number LIMIT ?`,

    discard: `DELETE FROM ${deadLetters} WHERE number = ? RETURNING 1`,

    define: `INSERT INTO ${definitions} (hash, saga, version, data) VALUES (?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING`,

    definition: `SELECT data FROM ${definitions} WHERE hash = ?`
  }
}
