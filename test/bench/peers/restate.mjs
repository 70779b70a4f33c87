/**
 * Restate: its server, which has a log and a database of its own, and a service in this process. It has no compensations:
 * they are steps in a `catch`.
 */
import * as restate from "@restatedev/restate-sdk"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http2"
import { createRequire } from "node:module"
import { createServer as createTcpServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { asked, databaseAmong, measure, seen } from "./peer.ts"

databaseAmong("restate")
const succeeds = asked.scenario === "success"

const trip = restate.service({
  name: "Trip",
  handlers: {
    run: async (context) => {
      const action = (name) => context.run(name, () => void seen.actions++)
      const undo = (name) => context.run(name, () => void seen.compensations++)
      const undone = []
      try {
        await action("first")
        undone.unshift("undo first")
        await action("second")
        undone.unshift("undo second")
        if (succeeds) return void await action("third")
        await context.run("third", () => {
          throw new restate.TerminalError("no")
        })
      } catch (cause) {
        for (const name of undone) await undo(name)
        throw cause
      }
    }
  }
})

const freePort = () =>
  new Promise((resolve) => {
    const server = createTcpServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })

const [node, admin, ingress, service] = [await freePort(), await freePort(), await freePort(), await freePort()]
const endpoint = createServer(restate.createEndpointHandler({ services: [trip], logger: () => {} })).listen(service, "127.0.0.1")

const folder = mkdtempSync(join(tmpdir(), "peer-restate-"))
const installed = createRequire(createRequire(import.meta.url).resolve("@restatedev/restate-server/package.json"))
const binaries = installed.resolve(`@restatedev/restate-server-${process.platform}-${process.arch}/package.json`)
const server = spawn(join(dirname(binaries), "bin", "restate-server"), ["--base-dir", folder], {
  stdio: ["ignore", "ignore", "inherit"],
  env: {
    ...process.env,
    DO_NOT_TRACK: "1",
    RUST_LOG: "off",
    RESTATE_DISABLE_TELEMETRY: "true",
    RESTATE_BIND_ADDRESS: `127.0.0.1:${node}`,
    RESTATE_ADVERTISED_ADDRESS: `http://127.0.0.1:${node}`,
    RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${admin}`,
    RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingress}`
  }
})
const ended = new Promise((resolve) => server.once("exit", resolve))
process.once("exit", () => {
  server.kill("SIGKILL")
  rmSync(folder, { recursive: true, force: true })
})

const post = (port, path, body) =>
  fetch(`http://127.0.0.1:${port}/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body)
  })

const register = async (deadline) => {
  const answer = await post(admin, "deployments", { uri: `http://127.0.0.1:${service}` }).catch((cause) => cause)
  if (answer.ok) return
  if (performance.now() > deadline) throw new Error(await answer.text?.() ?? String(answer))
  await new Promise((resolve) => setTimeout(resolve, 100))
  await register(deadline)
}
await register(performance.now() + 30_000)

await measure("restate", async (n) => {
  const answer = await post(ingress, "Trip/run", n)
  await answer.text()
  return answer.ok
})
endpoint.close()
server.kill("SIGTERM")
await ended
process.exit()
