/**
 * A change to a database that a person has to agree to: tried out first, then asked for, for up to three days; then backed up, run,
 * and looked at. What was backed up is restored if anything fails behind it.
 */
import { Context, Effect, Layer, Ref, Schema } from "effect"
import { DomainEvent } from "../../src/events/index.ts"
import { Saga } from "../../src/index.ts"

const about = {
  payload: Schema.Struct({ change: Schema.String, by: Schema.String }),
  key: ({ change }: { readonly change: string }) => change
}
export const ApprovalRequested = DomainEvent.make("ApprovalRequested", about)
export const ChangeApproved = DomainEvent.make("ChangeApproved", about)
export const ChangeRejected = DomainEvent.make("ChangeRejected", about)

export class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {
  override get message() {
    return this.why
  }
}

/** The database: its rows, and what was backed up, by key. */
export class Database extends Context.Service<Database, {
  readonly dryRun: (change: string) => Effect.Effect<void, Refused>
  readonly backUp: (key: string) => Effect.Effect<void>
  readonly restore: (key: string) => Effect.Effect<void>
  readonly run: (change: string) => Effect.Effect<void, Refused>
  readonly rows: Effect.Effect<ReadonlyArray<string>>
}>()("approval-gate/Database") {
  static readonly layer = Layer.effect(
    Database,
    Effect.gen(function*() {
      const rows = yield* Ref.make<ReadonlyArray<string>>(["ann", "bob"])
      const backups = new Map<string, ReadonlyArray<string>>()
      return {
        dryRun: (change) =>
          change.includes("typo") ? Effect.fail(new Refused({ why: "it does not run" })) : Effect.void,
        backUp: (key) => Effect.map(Ref.get(rows), (all) => void (backups.has(key) || backups.set(key, all))),
        restore: (key) => Effect.suspend(() => Ref.set(rows, backups.get(key) ?? [])),
        run: (change) =>
          Effect.andThen(
            Ref.update(rows, (all) => [...all, change]),
            change.includes("half") ? Effect.fail(new Refused({ why: "it stopped half-way" })) : Effect.void
          ),
        rows: Ref.get(rows)
      }
    })
  )
}

const Change = Schema.Struct({ name: Schema.String, by: Schema.String })

export const migrate = Saga.make("Migrate", { payload: Change, key: ({ name }) => name }).pipe(
  Saga.check("tried", {
    error: Refused,
    action: ({ payload }) => Database.use((database) => database.dryRun(payload.name))
  }),
  Saga.publish("asked", ApprovalRequested, ({ payload }) => ({ change: payload.name, by: payload.by })),
  Saga.awaitFirst("answer", [ChangeApproved, ChangeRejected], {
    correlate: ({ payload }) => payload.name,
    // Whoever wants a change does not answer for it.
    where: (answer, { payload }) => answer.value.by !== payload.by,
    timeout: "3 days"
  }),
  Saga.check("approved", {
    error: Refused,
    action: ({ answer }) =>
      answer._tag === "ChangeApproved" ? Effect.void : Effect.fail(new Refused({ why: `${answer.value.by} said no` }))
  }),
  Saga.step("backup", {
    action: (_, { idempotencyKey }) => Database.use((database) => database.backUp(idempotencyKey)),
    compensation: (_, __, { actionKey }) => Database.use((database) => database.restore(actionKey))
  }),
  // What it has changed is undone by the backup.
  Saga.step("run", {
    error: Refused,
    action: ({ payload }) => Database.use((database) => database.run(payload.name)),
    compensation: () => Effect.void
  }),
  Saga.output(Schema.String, ({ answer }) => `approved by ${answer.value.by}`)
)
