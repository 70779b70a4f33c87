/**
 * An undo plan as text for people. The plan is made elsewhere.
 *
 * @since 0.1.0
 */
import type { StepPath } from "../StepPath.ts"
import { waits } from "./internal/leaves.ts"
import { visible, wrap } from "./internal/text.ts"
import type { Undo, UndoBranch, UndoPlan } from "./UndoPlan.ts"

type Undos = ReadonlyArray<Undo>
type Choice = Extract<Undo, { readonly _tag: "Chosen" }>["kind"]

const compensates = (entry: Undo): boolean =>
  entry._tag === "Compensate"
  || entry._tag !== "Nothing" && entry.branches.some(({ undo }) => undo.some(compensates))

/** The checks and waits in it. */
const passedOver = (entry: Undo): ReadonlyArray<StepPath> =>
  entry._tag === "Nothing"
    ? [entry.path]
    : entry._tag === "Compensate"
    ? []
    : entry.branches.flatMap(({ undo }) => undo.flatMap(passedOver))

const order = (concurrency: number): string =>
  concurrency === 1
    ? "one after the other, the last first"
    : Number.isFinite(concurrency)
    ? `side by side, ${concurrency} at a time`
    : "side by side"

const choices: { readonly [Kind in Choice]: string } = {
  when: "if it applied",
  match: "whichever it was",
  orElse: "whichever way it went"
}

/** The lines of one entry. `partly`: its branch was still running. */
const linesOf = (entry: Undo, partly: boolean): ReadonlyArray<string> => {
  switch (entry._tag) {
    case "Nothing":
      return []
    case "Compensate":
      return [visible(entry.path) + (partly ? " (if done)" : "")]
    case "Branches": {
      const branches = entry.branches.filter(({ undo }) => undo.some(compensates))
      const title = entry.path === undefined ? "" : `${visible(entry.path)}, `
      return [title + order(entry.concurrency), ...treeOf(branches, partly)]
    }
    case "Chosen":
      return [`${visible(entry.path)}, ${choices[entry.kind]}`, ...treeOf(entry.branches, partly)]
  }
}

const treeOf = (branches: ReadonlyArray<UndoBranch>, partlyAround: boolean): ReadonlyArray<string> =>
  branches.flatMap(({ label, partly, undo }, index) => {
    const inner = undo.filter(compensates).flatMap((entry) => linesOf(entry, partlyAround || partly))
    const titled = label === undefined
      ? inner
      : inner.length === 0
      ? [`${visible(label)}: nothing`]
      : [`${visible(label)}:`, ...inner.map((line) => `  ${line}`)]
    const [first, others] = index === branches.length - 1 ? ["└─ ", "   "] : ["├─ ", "│  "]
    return titled.map((line, at) => (at === 0 ? first : others) + line)
  })

const listOf = (undo: Undos): ReadonlyArray<string> =>
  undo.filter(compensates).flatMap((entry, index) =>
    linesOf(entry, false).map((line, at) => `  ${(at === 0 ? `${index + 1}.` : "").padEnd(3)} ${line}`)
  )

const sentence = (text: string): ReadonlyArray<string> => wrap(text, 80)

/** The list of what is compensated, with what is passed over. */
const inOrder = (opening: string, undo: Undos): ReadonlyArray<ReadonlyArray<string>> => {
  const passed = new Set(undo.flatMap(passedOver))
  return [
    sentence(`${opening} in this order:`),
    listOf(undo),
    ...(passed.size === 0 ? [] : [sentence(`Nothing to undo: ${Array.from(passed, visible).join(", ")}.`)])
  ]
}

const paragraphsOf = (plan: UndoPlan, path: string, saga: string): ReadonlyArray<ReadonlyArray<string>> => {
  const isWait = waits(plan.kind)
  const fails = isWait
    ? `If ${path} is cut${plan.awaitedMillis === undefined ? "" : " or no event comes in time"}`
    : `If ${path} fails`
  const dies = `If ${path} dies or is cut off, there is no second way`
  switch (plan._tag) {
    case "Unwinds":
      return plan.undo.some(compensates)
        ? inOrder(`${fails}, ${saga} is compensated`, plan.undo)
        : [sentence(`${fails}, there is nothing to compensate.`)]
    case "FallsBack": {
      const secondWay = `${fails}, ${visible(plan.scope)} goes its second way`
      return [
        ...(plan.undo.some(compensates)
          ? inOrder(`${secondWay} after its first is compensated`, plan.undo)
          : [sentence(`${secondWay}.`)]),
        ...(plan.otherwise.some(compensates)
          ? inOrder(`${dies} and ${saga} is compensated`, plan.otherwise)
          : [sentence(`${dies}, and nothing to compensate.`)])
      ]
    }
    case "GoesForward": {
      const past = `${saga} is past its point of no return`
      const retried = !isWait && plan.kind !== "publish"
      const nothing = retried
        ? `${fails}, it is tried again. ${past}: nothing is compensated.`
        : `If ${path} ${isWait ? "is cut" : "fails"}, nothing is compensated: ${past}.`
      const late = plan.awaitedMillis === undefined
        ? []
        : [sentence(`If no event comes in time, ${saga} goes on, and knows it.`)]
      const stuck = retried ? `When its retries have ended, ${saga} is` : `${saga} is`
      return plan.left.length === 0 ? [...late, sentence(nothing)] : [
        ...late,
        sentence(nothing),
        sentence(`${stuck} stuck, and a person has to finish:`),
        plan.left.map((left) => `  -   ${visible(left)}`)
      ]
    }
  }
}

const uncertainties: { readonly [Treatment in NonNullable<UndoPlan["whenUncertain"]>]: (saga: string) => string } = {
  report: () => "it is not compensated but reported: ask its participant.",
  compensate: () => "it is compensated too, before all others.",
  stuck: (saga) => `nothing is compensated: ${saga} is stuck until a person decides.`
}

/**
 * Writes an undo plan down for people.
 *
 * **Details**
 *
 * What is compensated is numbered in its order. Lines that branch off are undone side by side; within a branch the order
 * is from top to bottom.
 *
 * **Example** (What a declined payment undoes)
 *
 * ```ts
 * import { Saga } from "effect-saga"
 * import { formatUndoPlan, undoPlan } from "effect-saga/diagram"
 * import { Effect, Result, Schema } from "effect"
 *
 * const booking = { action: () => Effect.void, compensation: () => Effect.void }
 * const saga = Saga.make("BookTrip", { payload: Schema.Void }).pipe(
 *   Saga.step("account", booking),
 *   Saga.check("passport", { action: () => Effect.void }),
 *   Saga.parallel((fork) => [
 *     fork.pipe(Saga.step("flight", booking), Saga.step("seat", booking)),
 *     fork.pipe(Saga.step("hotel", booking))
 *   ]),
 *   Saga.pivot("payment", { action: () => Effect.void })
 * )
 * console.log(formatUndoPlan(Result.getOrThrow(undoPlan(saga, "payment"))))
 * ```
 *
 * ```text
 * If payment fails, BookTrip is compensated in this order:
 *
 *   1.  side by side
 *       ├─ seat
 *       │  flight
 *       └─ hotel
 *   2.  account
 *
 * Nothing to undo: passport.
 *
 * When nobody knows whether payment took place, nothing is compensated: BookTrip
 * is stuck until a person decides.
 * ```
 *
 * @category converting
 * @since 0.1.0
 */
export const formatUndoPlan = (plan: UndoPlan): string => {
  const path = visible(plan.path)
  const saga = visible(plan.saga)
  const uncertain = plan.whenUncertain === undefined
    ? []
    : [sentence(`When nobody knows whether ${path} took place, ${uncertainties[plan.whenUncertain](saga)}`)]
  return [...paragraphsOf(plan, path, saga), ...uncertain].map((lines) => lines.join("\n")).join("\n\n")
}
