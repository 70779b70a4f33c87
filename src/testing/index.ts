/**
 * Testing sagas: explored under every fault, held, replaced, watched; fakes of their participants with a strict ledger;
 * and what every engine, every journal and every bus promises, as suites.
 *
 * @since 0.1.0
 */
export { PromiseBroken, type PromiseTest } from "./Conformance.ts"
export * as EventBusTest from "./EventBusTest.ts"
export * as Fault from "./Fault.ts"
export * as Ledger from "./Ledger.ts"
export * as SagaEngineTest from "./SagaEngineTest.ts"
export * as SagaJournalTest from "./SagaJournalTest.ts"
export * as SagaTest from "./SagaTest.ts"
