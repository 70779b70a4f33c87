/** The tests that judge a mutant: those of the core, and those of the engine on a journal in memory. None that takes long. */
import { defineConfig } from "vitest/config"

export default defineConfig({
  resolve: { tsconfigPaths: true },
  test: {
    include: [
      "test/core/*.test.ts",
      "test/engine/{faultsMemory,verbsMemory,deployingMemory,crash.property,random.property,plan,migrateFrom}.test.ts"
    ],
    exclude: ["test/core/{sizes,repetition,interleavings}.test.ts"],
    globalSetup: ["test/sql/postgresSetup.ts"],
    env: { SEEDS: "60" },
    testTimeout: 20_000
  }
})
