/**
 * Sagas that together have every kind of node and every kind of end, each with a book of its calls: what an engine has to
 * do as a fiber does. Their times are a few milliseconds, so that any clock will do.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Saga from "../../../Saga.ts"

/** A saga that writes down what of it is called. */
export type Scene = (log: (line: string) => void) => Saga.Saga<void, unknown, unknown, unknown, unknown, never>

const twice = Schedule.recurs(2)

/** The steps of a scene. */
const stepsOf = (log: (line: string) => void) => {
  const act = (end: Effect.Effect<void, string> = Effect.void) => ({
    success: Schema.String,
    error: Schema.String,
    action: (_: unknown, { attempt, path }: Saga.StepContext): Effect.Effect<string, string> =>
      Effect.suspend(() => {
        log(`${path} ${attempt}`)
        return Effect.as(end, path)
      })
  })
  const undone =
    (end: Effect.Effect<void, string> = Effect.void) =>
    (given: string | Saga.Attempt<string>, _: unknown, { attempt, path }: Saga.CompensationContext) =>
      Effect.suspend(() => {
        const value = typeof given === "string" ? given : given._tag === "Succeeded" ? given.result : given.reason
        log(`~${path} ${attempt} ${value}`)
        return end
      })
  const retry = { compensationRetry: twice, compensationTimeout: 300 }
  return {
    act,
    step: (end?: Effect.Effect<void, string>, undo?: Effect.Effect<void, string>) => ({
      ...act(end),
      ...retry,
      compensation: undone(undo)
    }),
    knowing: (end?: Effect.Effect<void, string>) => ({
      ...act(end),
      ...retry,
      whenUncertain: "compensate" as const,
      compensation: undone()
    })
  }
}

const no = Effect.fail("no")
const lost = Effect.die(new Error("lost"))
const start = Saga.make("Scene", { payload: Schema.Void })
const inner = (log: (line: string) => void) =>
  Saga.make("Inner", { payload: Schema.Int }).pipe(
    Saga.step("a", stepsOf(log).step()),
    Saga.step("b", stepsOf(log).step())
  )

/** By what they show. */
export const scenes: Readonly<Record<string, Scene>> = {
  "no step": () => start,
  "steps that succeed": (log) => {
    const { step } = stepsOf(log)
    return start.pipe(Saga.step("a", step()), Saga.step("b", step()), Saga.output(Schema.String, ({ a, b }) => a + b))
  },
  "a step that fails": (log) => {
    const { step } = stepsOf(log)
    return start.pipe(Saga.step("a", step()), Saga.step("b", step()), Saga.step("c", step(no)))
  },
  "the first step fails": (log) => start.pipe(Saga.step("a", stepsOf(log).step(no))),
  "a check that fails": (log) => {
    const { act, step } = stepsOf(log)
    return start.pipe(Saga.step("a", step()), Saga.check("b", act(no)))
  },
  "a step that dies is reported": (log) => {
    const { step } = stepsOf(log)
    return start.pipe(Saga.step("a", step()), Saga.step("b", step(lost)))
  },
  "a step that dies is compensated": (log) => {
    const { knowing } = stepsOf(log)
    return start.pipe(Saga.step("a", knowing()), Saga.step("b", knowing(lost)))
  },
  "a step that dies needs a person": (log) => {
    const { step } = stepsOf(log)
    return start.pipe(Saga.step("a", step()), Saga.step("b", { ...step(lost), whenUncertain: "stuck" }))
  },
  "a step past its limit": (log) => {
    const { knowing, step } = stepsOf(log)
    return start.pipe(Saga.step("a", step()), Saga.step("b", { ...knowing(Effect.never), timeout: 10 }))
  },
  "a limit with an error of its own": (log) => {
    const { knowing } = stepsOf(log)
    return start.pipe(Saga.step("a", { ...knowing(Effect.never), timeout: 10, timeoutError: () => "late" }))
  },
  "a participant that says it did": (log) => {
    const { knowing, step } = stepsOf(log)
    return start.pipe(
      Saga.step("a", { ...knowing(lost), verify: () => Effect.succeed(Option.some("found")) }),
      Saga.step("b", step(no))
    )
  },
  "a participant that says it did not": (log) => {
    const { knowing, step } = stepsOf(log)
    return start.pipe(Saga.step("a", step()), Saga.step("b", { ...knowing(lost), verify: () => Effect.succeedNone }))
  },
  "a participant that cannot say": (log) =>
    start.pipe(Saga.step("a", { ...stepsOf(log).knowing(lost), verify: () => Effect.fail("who knows") })),
  "an error that leaves it open": (log) =>
    start.pipe(Saga.step("a", { ...stepsOf(log).knowing(no), isUncertain: (error: string) => error === "no" })),
  "retries that are exhausted": (log) => {
    const { step } = stepsOf(log)
    return start.pipe(Saga.step("a", step()), Saga.step("b", { ...step(no), retry: twice }))
  },
  "a failure behind an attempt that was cut off": (log) => {
    let calls = 0
    const end = Effect.suspend(() => calls++ === 0 ? Effect.never : no)
    return start.pipe(Saga.step("a", { ...stepsOf(log).knowing(end), timeout: 10, retry: twice }))
  },
  "at most once": (log) =>
    start.pipe(
      Saga.step("a", { ...stepsOf(log).knowing(Effect.never), timeout: 10, retry: twice, delivery: "at-most-once" })
    ),
  "a compensation that is tried again": (log) => {
    let calls = 0
    const { step } = stepsOf(log)
    return start.pipe(
      Saga.step("a", step()),
      Saga.step("b", step(undefined, Effect.suspend(() => calls++ === 0 ? no : Effect.void))),
      Saga.step("c", step(no))
    )
  },
  "a compensation that fails to its last try": (log) => {
    const { step } = stepsOf(log)
    return start.pipe(Saga.step("a", step()), Saga.step("b", step(undefined, no)), Saga.step("c", step(no)))
  },
  "a compensation that dies": (log) => {
    const { step } = stepsOf(log)
    return start.pipe(Saga.step("a", step()), Saga.step("b", step(undefined, lost)), Saga.step("c", step(no)))
  },
  "a compensation that hangs": (log) => {
    const { step } = stepsOf(log)
    return start.pipe(Saga.step("a", step()), Saga.step("b", step(undefined, Effect.never)), Saga.step("c", step(no)))
  },
  "a pivot that fails": (log) => {
    const { act, step } = stepsOf(log)
    return start.pipe(Saga.step("a", step()), Saga.pivot("b", act(no)))
  },
  "a pivot of unknown outcome": (log) => {
    const { act, step } = stepsOf(log)
    return start.pipe(Saga.step("a", step()), Saga.pivot("b", { ...act(lost), retry: twice }))
  },
  "forward recovery": (log) => {
    let calls = 0
    const { act, step } = stepsOf(log)
    return start.pipe(
      Saga.step("a", step()),
      Saga.pivot("b", act()),
      Saga.retriable("c", { ...act(Effect.suspend(() => calls++ < 2 ? no : Effect.void)), retry: Schedule.recurs(5) })
    )
  },
  "forward recovery that ends": (log) => {
    const { act, step } = stepsOf(log)
    return start.pipe(
      Saga.step("a", step()),
      Saga.pivot("b", act()),
      Saga.retriable("c", { ...act(no), retry: twice }),
      Saga.retriable("d", { ...act(), retry: twice })
    )
  },
  "branches side by side": (log) => {
    const { step } = stepsOf(log)
    return start.pipe(
      Saga.parallel((fork) => [
        fork.pipe(Saga.step("a", step(Effect.sleep(5))), Saga.step("b", step())),
        fork.pipe(Saga.step("c", step(Effect.sleep(5))))
      ])
    )
  },
  "a branch that fails beside others": (log) => {
    const { step } = stepsOf(log)
    return start.pipe(
      Saga.parallel((fork) => [
        fork.pipe(Saga.step("a", step(Effect.sleep(20))), Saga.step("never", step())),
        fork.pipe(Saga.step("b", step(Effect.delay(no, 5))))
      ])
    )
  },
  "an item that fails": (log) => {
    const { step } = stepsOf(log)
    return start.pipe(Saga.forEach("items", {
      item: Schema.String,
      items: () => ["x", "y/z", "no"],
      key: (item) => item,
      each: (fork) =>
        fork.pipe(
          Saga.step("a", step()),
          Saga.step("b", {
            ...step(),
            action: ({ item }, { attempt, path }) =>
              Effect.suspend(() => {
                log(`${path} ${attempt}`)
                return item === "no" ? Effect.fail("no") : Effect.succeed(path)
              })
          })
        )
    }))
  },
  "no items, and a branch that is not taken": (log) => {
    const { step } = stepsOf(log)
    return start.pipe(
      Saga.forEach("items", {
        item: Schema.String,
        items: () => [],
        key: (item) => item,
        each: (fork) => fork.pipe(Saga.step("a", step()))
      }),
      Saga.when("if", () => false, (fork) => fork.pipe(Saga.step("b", step())))
    )
  },
  "choices": (log) => {
    const { step } = stepsOf(log)
    return start.pipe(
      Saga.when("if", () => true, (fork) => fork.pipe(Saga.step("a", step()))),
      Saga.match("which", (): "one" | "other" => "other", {
        one: (fork) => fork.pipe(Saga.step("b", step())),
        other: (fork) => fork.pipe(Saga.step("c", step()))
      }),
      Saga.step("d", step(no))
    )
  },
  "a saga in a saga": (log) =>
    start.pipe(Saga.nested("inner", inner(log), () => 1), Saga.step("c", stepsOf(log).step(no))),
  "another way": (log) => {
    const { step } = stepsOf(log)
    return start.pipe(
      Saga.step("a", step()),
      Saga.orElse(
        "way",
        (fork) => fork.pipe(Saga.step("b", step()), Saga.step("c", step(no))),
        (fork) => fork.pipe(Saga.step("d", step()))
      ),
      Saga.step("e", step(no))
    )
  },
  "no other way behind a death": (log) => {
    const { step } = stepsOf(log)
    return start.pipe(
      Saga.orElse(
        "way",
        (fork) => fork.pipe(Saga.step("b", step(lost))),
        (fork) => fork.pipe(Saga.step("d", step()))
      )
    )
  },
  "a wait": (log) => {
    const { step } = stepsOf(log)
    return start.pipe(Saga.step("a", step()), Saga.sleep("pause", 5), Saga.step("b", step(no)))
  },
  "the limit of the saga": (log) =>
    start.pipe(Saga.step("a", stepsOf(log).step()), Saga.sleep("pause", "1 hour"), Saga.timeout(500)),
  "a decision that throws": (log) =>
    start.pipe(
      Saga.step("a", stepsOf(log).step()),
      Saga.when("if", () => {
        throw new Error("broken")
      }, (fork) => fork)
    )
}
