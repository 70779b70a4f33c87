/**
 * Sagas in a SQL database: their journal. The client for SQLite on Node has an entry of its own, `effect-saga/sql/NodeSqlite`.
 *
 * @since 0.1.0
 */
export * from "./EngineLock.ts"
export * as SqlInbox from "./SqlInbox.ts"
export * as SqlSagaEngine from "./SqlSagaEngine.ts"
export * as SqlSagaJournal from "./SqlSagaJournal.ts"
