/** A wire between a client and a PostgreSQL server that can be cut, held and made to lose an answer. */
import { Effect, type Scope } from "effect"
import { connect as dial, createServer, type Socket } from "node:net"

export interface Proxy {
  /** The database behind it, as seen through it. */
  readonly url: string
  /** The server gets what holds these words, and its answer never arrives: the wire is cut instead. */
  readonly loseAnswerTo: (words: string) => Effect.Effect<void>
  /** How many answers were lost. */
  readonly lost: () => number
  /** Nothing passes, and both ends believe they are connected: a frozen process. */
  readonly hold: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  /** Cuts all wires, and no new one is laid: a process that is dead. */
  readonly cut: Effect.Effect<void>
}

export const proxy = (url: string): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function*() {
    const target = new URL(url)
    const wires = new Set<readonly [client: Socket, server: Socket]>()
    let losing: string | undefined
    let lost = 0
    let held = false

    const listener = createServer((client) => {
      const server = dial(Number(target.port), target.hostname)
      const wire = [client, server] as const
      wires.add(wire)
      let deaf = false
      const end = () => {
        client.destroy()
        server.destroy()
        wires.delete(wire)
      }
      for (const socket of wire) socket.on("error", end).on("close", end)
      client.on("data", (sent) => {
        if (losing !== undefined && sent.includes(losing)) {
          losing = undefined
          deaf = true
        }
        server.write(sent)
      })
      server.on("data", (answer) => {
        if (!deaf) return client.write(answer)
        lost++
        end()
      })
      if (held) wire.forEach((socket) => socket.pause())
    })
    yield* Effect.promise(() => new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve)))
    const cut = Effect.sync(() => {
      listener.close()
      for (const wire of wires) wire.forEach((socket) => socket.destroy())
    })
    yield* Effect.addFinalizer(() => cut)
    const all = (act: (socket: Socket) => void) =>
      Effect.sync(() => {
        for (const wire of wires) wire.forEach(act)
      })
    const port = String((listener.address() as { readonly port: number }).port)
    return {
      url: Object.assign(new URL(url), { port }).href,
      loseAnswerTo: (words) => Effect.sync(() => void (losing = words)),
      lost: () => lost,
      hold: Effect.andThen(Effect.sync(() => void (held = true)), all((socket) => socket.pause())),
      resume: Effect.andThen(Effect.sync(() => void (held = false)), all((socket) => socket.resume())),
      cut
    }
  })
