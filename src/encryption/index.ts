/**
 * Ciphers for the journal of an engine, so that secrets may stand in it.
 *
 * @since 0.1.0
 */
export * as AesGcm from "./AesGcm.ts"
