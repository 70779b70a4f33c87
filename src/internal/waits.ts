/**
 * The nodes that only wait: a sleep, and a wait for events. What cuts them fails nothing: the sequence stands still then, and
 * whoever has cut it knows why.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { EventBus } from "../EventBus.ts"
import type { Frame } from "./frame.ts"
import { Progress } from "./frame.ts"
import type { PastAwait } from "./history.ts"
import { timedOut } from "./history.ts"
import type { Letter, Mail } from "./mail.ts"
import type { AnyEffect, AwaitNode, SleepNode } from "./tree.ts"
import { delay, pauseUntil } from "./wait.ts"

/** Waits until a time that is recorded when the wait begins. */
export const sleep = (frame: Frame, node: SleepNode): AnyEffect =>
  Effect.uninterruptible(Effect.suspend(() => {
    const { execution, restore, savePoint } = frame
    const { history, recorder, residence } = execution
    const path = frame.pathOf(node.name)
    const timer = history?.timers.get(path)
    if (timer?.fired === true) return Effect.void
    const woken = (toTheEnd: boolean) => {
      if (toTheEnd) recorder?.record({ _tag: "TimerFired", atMillis: recorder.now(), path })
      else frame.halted = true
    }
    const wait = (fireAtMillis: number) =>
      Effect.map(pauseUntil(fireAtMillis, residence, false, savePoint.signal, restore), woken)
    if (timer !== undefined) return wait(timer.fireAtMillis)
    const millis = Duration.toMillis(node.duration(frame.state))
    if (recorder === undefined) return Effect.map(delay(millis, savePoint.signal, restore), woken)
    const atMillis = recorder.now()
    recorder.record({ _tag: "TimerSet", atMillis, path, fireAtMillis: atMillis + millis })
    const committed = recorder.commit()
    const waiting = wait(atMillis + millis)
    return committed === undefined ? waiting : Effect.andThen(committed, waiting)
  }))

// ------------------------------------------------------------------------------------------- events

type Awaited = PastAwait["awaited"]
type End = NonNullable<PastAwait["end"]>

/** Waits for the first of some events. What is awaited is recorded when the wait begins, and is not asked again. */
export const awaitEvents = (frame: Frame, node: AwaitNode): AnyEffect =>
  Effect.uninterruptible(Effect.suspend(() => {
    const { history, recorder } = frame.execution
    const path = frame.pathOf(node.name)
    const past = history?.awaits.get(path)
    if (past?.end !== undefined) return settle(frame, node, past.end)
    if (past !== undefined) return receive(frame, node, past.awaited)
    const key: unknown = node.correlate(frame.state)
    if (typeof key !== "string" || key === "") {
      return Effect.die(new TypeError(`\`correlate\` of "${path}" gave no text, or an empty one`))
    }
    const { timeoutMillis } = node
    const begin = (atMillis: number): Awaited => {
      const events = node.events.map(({ type }) => ({ type, key }))
      const fact = { _tag: "EventAwaited", atMillis, path, events } as const
      return timeoutMillis === undefined ? fact : { ...fact, untilMillis: atMillis + timeoutMillis }
    }
    if (recorder === undefined) {
      return Effect.flatMap(Clock.currentTimeMillis, (now) => receive(frame, node, begin(now)))
    }
    const awaited = begin(recorder.now())
    recorder.record(awaited)
    const committed = recorder.commit()
    const waiting = Effect.suspend(() => receive(frame, node, awaited))
    return committed === undefined ? waiting : Effect.andThen(committed, waiting)
  }))

/** Waits for what is awaited. Whatever is recorded first, an event or the end of the time, is what has happened. */
const receive = (frame: Frame, node: AwaitNode, { events, path, untilMillis }: Awaited): AnyEffect => {
  const { execution, restore, savePoint } = frame
  const { received, recorder, residence } = execution
  const { close, signal } = savePoint.signal.child()
  const now = () => recorder?.now() ?? 0
  let end: End | undefined
  let defect: Cause.Cause<never> | undefined
  const offer = ({ id: eventId, payload, type }: Letter): boolean => {
    if (signal.stopped || received.has(eventId)) return false
    try {
      if (node.where?.(payload, frame.state, type) === false) return false
    } catch (error) {
      defect = Cause.die(error)
      signal.stop()
      return false
    }
    end = { _tag: "EventReceived", atMillis: now(), path, eventId, type, payload }
    received.add(eventId)
    recorder?.record(end)
    signal.stop()
    return true
  }
  const over = (toTheEnd: boolean): AnyEffect => {
    close()
    if (defect !== undefined) return Effect.failCause(defect)
    if (toTheEnd) {
      const { committed, timeoutMillis: limitMillis = 0 } = node
      const types = events.map(({ type }) => type)
      end = { _tag: "EventTimedOut", atMillis: now(), path, events: types, limitMillis, failed: !committed }
      recorder?.record(end)
    }
    if (end !== undefined) return settle(frame, node, end)
    frame.halted = true
    return Effect.void
  }
  return Effect.flatMap(
    mailOf(frame, node, path),
    (mail) =>
      Effect.flatMap(
        mail.open({ path, events, offer }),
        (closeMail) =>
          Effect.flatMap(pauseUntil(untilMillis ?? Infinity, residence, false, signal, restore), (toTheEnd) => {
            closeMail()
            return over(toTheEnd)
          })
      )
  )
}

/** Where events come from: the engine that the execution is in, or the bus around a run in a fiber. */
const mailOf = (frame: Frame, node: AwaitNode, path: string): Effect.Effect<Mail> => {
  const mail = frame.execution.residence?.mail
  if (mail !== undefined) return Effect.succeed(mail)
  return Effect.flatMap(Effect.serviceOption(EventBus), (bus) => {
    const inFiber = Option.isSome(bus) ? bus.value["~mail"] : undefined
    if (inFiber !== undefined) return Effect.succeed(inFiber)
    const types = node.events.map(({ type }) => type).join(" or ")
    return Effect.die(
      new Error(
        `"${path}" awaits ${types}, and nothing around this run brings events to a fiber: provide \`MemoryBus.layer\` of effect-saga/events, or execute the saga on an engine`
      )
    )
  })
}

/** Books what came of a wait. */
const settle = (frame: Frame, node: AwaitNode, end: End): AnyEffect => {
  const single = node.kind === "awaitEvent"
  if (end._tag === "EventReceived") {
    frame.state[node.name] = single ? end.payload : { _tag: end.type, value: end.payload }
    return Effect.void
  }
  if (!end.failed) {
    frame.state[node.name] = single ? undefined : { _tag: "TimedOut" }
    return Effect.void
  }
  const failure = timedOut(end)
  frame.progress = Progress.Reported
  frame.fail(failure)
  return Effect.failCause(failure.cause)
}
