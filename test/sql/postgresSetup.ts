/**
 * One PostgreSQL server for all tests of a run. It is started when the first test asks for it, so that a run without such
 * a test does not wait for it, and removed at the end. `DATABASE_URL` names another server to use.
 */
import { createServer } from "node:net"
import type { TestProject } from "vitest/node"
import { type PostgresServer, startServer } from "./postgresServer.ts"

declare module "vitest" {
  export interface ProvidedContext {
    /** The port that says where the server is: `{ "url": ... }` or `{ "error": ... }`. */
    readonly postgresPort: number
  }
}

export default async function setup(project: TestProject) {
  let server: Promise<PostgresServer> | undefined
  const given = process.env["DATABASE_URL"]
  const answer = async () => {
    if (given !== undefined && given !== "") return { url: given }
    try {
      server ??= startServer()
      return { url: (await server).url }
    } catch (cause) {
      return { error: String(cause) }
    }
  }
  const asked = createServer((socket) => {
    socket.on("error", () => {})
    void answer().then((said) => socket.end(JSON.stringify(said)))
  })
  await new Promise<void>((resolve) => asked.listen(0, "127.0.0.1", resolve))
  asked.unref()
  project.provide("postgresPort", (asked.address() as { readonly port: number }).port)

  return async () => {
    asked.close()
    await server?.then(({ remove }) => remove(), () => {})
  }
}
