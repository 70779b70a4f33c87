/** One error of each kind that a step declares, made from the schema of its errors. It knows no step and no saga. */
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** An error with the name by which a schedule calls it. */
export interface Sample {
  readonly name: string
  readonly error: unknown
}

/** The kinds of values of a schema: the members of a union, or all as one. */
const membersOf = (schema: Schema.Top): ReadonlyArray<Schema.Top> => {
  const { ast } = schema
  if (ast._tag === "Never") return []
  if (ast._tag === "Suspend") {
    const inner = Schema.make<Schema.Top>(ast.thunk())
    return inner.ast._tag === "Union" ? membersOf(inner) : [schema]
  }
  if (ast._tag === "Union") {
    // A union that says its members as schemas says more of them than as syntax.
    const members = "members" in schema && Array.isArray(schema.members)
      ? (schema.members as ReadonlyArray<Schema.Top>)
      : ast.types.map((type) => Schema.make<Schema.Top>(type))
    return members.flatMap(membersOf)
  }
  return [schema]
}

const nameOf = (error: unknown, { ast }: Schema.Top): string => {
  if (typeof error === "object" && error !== null) {
    if ("_tag" in error) return String(error._tag)
    return error.constructor?.name ?? "object"
  }
  return ast._tag === "Literal" ? String(error) : typeof error
}

/** The same values each time, so that a schedule means the same tomorrow. Fails when a schema generates nothing. */
export const samplesOf = (schema: Schema.Top | undefined): Effect.Effect<ReadonlyArray<Sample>, unknown> =>
  Effect.gen(function*() {
    const samples: Array<Sample> = []
    for (const member of schema === undefined ? [] : membersOf(schema)) {
      const arbitrary = yield* Effect.try(() => Arbitrary.schema(member))
      const [error] = yield* Arbitrary.sampleEffect(arbitrary, { count: 1, seed: 1 })
      const name = nameOf(error, member)
      const same = samples.filter((sample) => sample.name === name || sample.name.startsWith(`${name}-`)).length
      samples.push({ name: same === 0 ? name : `${name}-${same + 1}`, error })
    }
    return samples
  })
