import { defineConfig } from "vitest/config"

export default defineConfig({
  resolve: { tsconfigPaths: true },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/sql/postgresSetup.ts"],
    maxWorkers: "100%",
    testTimeout: 30_000
  }
})
