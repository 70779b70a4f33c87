/** Executions of version 1 of a saga, wherever they may be left, and what version 2 has changed there. */
import { Effect, Option, Schedule, Schema, SchemaTransformation } from "effect"
import { Saga } from "effect-saga"
import type { By, SagaEngineService } from "effect-saga/SagaEngine"
import type { StoreService } from "./world.ts"
import { Gate, state, World } from "./world.ts"

export const ann: By = { actor: "ann", comment: "ticket 7" }
const once = Schedule.recurs(0)
const hourly = { retry: Schedule.spaced("1 hour") }

// ------------------------------------------------------------------------------------------- what changes

export const Old = Schema.Struct({ seat: Schema.String, at: Schema.Date })
export class New
  extends Schema.Class<New>("New")({ seat: Schema.String, at: Schema.Date, class: Schema.Literals(["eco", "biz"]) })
{}

export const old = (): typeof Old.Type => ({ seat: "1A", at: new Date(86_400_000) })
export const eco = SchemaTransformation.transform({
  decode: (before: typeof Old.Type) => new New({ ...before, class: "eco" }),
  encode: ({ at, seat }: New) => ({ at, seat })
})
export const payload = Old.pipe(Schema.decodeTo(Schema.toType(New), eco))

/** What a step has given, in version 2. */
export const Booked = Schema.Struct({ by: Schema.String, at: Schema.Option(Schema.Date) })
export const booked = Schema.String.pipe(Schema.decodeTo(
  Schema.toType(Booked),
  SchemaTransformation.transform({
    decode: (by): typeof Booked.Type => ({ by, at: Option.none() }),
    encode: ({ by }) => by
  })
))

export class Declined extends Schema.TaggedError<Declined>()("Declined", { why: Schema.String }) {}
export const declined = Schema.String.pipe(Schema.decodeTo(
  Schema.toType(Declined),
  SchemaTransformation.transform({ decode: (why) => new Declined({ why }), encode: ({ why }) => why })
))

export type One = Saga.Saga<typeof Old.Type, any, any, any, any, never>
export type Two = Saga.Saga<New, any, any, any, any, never>

export const one = Saga.make("Trip", { payload: Old, key: ({ seat }) => seat })
export const two = Saga.make("Trip", { payload: New, key: ({ seat }) => seat, version: 2 })

/** The world at its worst: what fails or cannot say does so until it is mended. */
export class Trouble extends World {
  broken = true
  readonly gate = new Gate()
  readonly lost = { after: () => this.broken ? Effect.die(new Error("cut")) : Effect.void }
  readonly locked = { undo: () => this.broken ? Effect.fail("locked") : Effect.void }

  mend(): void {
    this.broken = false
  }

  /** A step that the world knows under the name that it had first, and which gives what it gives in version 2. */
  booking(name: (path: string) => string, around: Parameters<World["step"]>[0] = {}) {
    const { action, compensation, error } = this.step(around)
    return {
      success: Booked,
      error,
      action: (state: unknown, context: Saga.StepContext) =>
        Effect.map(action(state, under(name, context)), (by) => ({ by, at: Option.some(new Date(0)) })),
      compensation: ({ by }: typeof Booked.Type, state: unknown, context: Saga.CompensationContext) =>
        compensation(by, state, under(name, context))
    }
  }

  /** The same, which gives what it has given in version 1. */
  known(name: (path: string) => string, around: Parameters<World["step"]>[0] = {}) {
    const { action, compensation, ...schemas } = this.step(around)
    return {
      ...schemas,
      action: (state: unknown, context: Saga.StepContext) => action(state, under(name, context)),
      compensation: (given: string, state: unknown, context: Saga.CompensationContext) =>
        compensation(given, state, under(name, context))
    }
  }
}

/** A context as it would be at another path. Its keys are what they are: the world looks at them. */
export const under = <C extends Saga.StepContext>(name: (path: string) => string, context: C): C =>
  ({
    executionId: context.executionId,
    path: name(context.path),
    attempt: context.attempt,
    idempotencyKey: context.idempotencyKey,
    ..."actionKey" in context ? { actionKey: context.actionKey } : {}
  }) as C

/** What a path was called in version 1. */
export const was = (names: Readonly<Record<string, string>>) => (path: string): string =>
  path.split("/").map((segment) => names[segment] ?? segment).join("/")

// ------------------------------------------------------------------------------------------- scenes

export interface Scene {
  readonly one: (world: Trouble) => One
  readonly two: (world: Trouble) => Two
  /** How far version 1 comes. */
  readonly come: (executionId: string, store: StoreService, world: Trouble) => Effect.Effect<unknown, unknown>
  readonly leaves?: "dead"
  /** What a person does about it when version 2 is there. */
  readonly decide?: (engine: SagaEngineService, executionId: string) => Effect.Effect<unknown, unknown>
  /** How it ends under version 2, and what the world has seen then. */
  readonly end: unknown
  readonly seen: string
}

const waiting: Scene["come"] = (executionId, store) => state(store.journal, executionId, "Waiting")
const stuck: Scene["come"] = (executionId, store) => state(store.journal, executionId, "Stuck")
const held: Scene["come"] = (_, _store, world) => world.gate.reached

const reserve = was({ hold: "reserve" })
const ended = { by: "reserve", at: Option.none() }

const inItems = was({ rows: "lines", hold: "pick" })
const Line = Schema.Struct({ sku: Schema.String, count: Schema.Int })

const inPlaces = was({ hold: "reserve", kind2: "kind", way2: "way", parcel2: "parcel", gift2: "gift" })
/** Nodes of all kinds, whose names are made. */
const places = (names: (name: string) => string, step: (around?: Parameters<World["step"]>[0]) => any, gate: Gate) => {
  const untyped: any = Saga
  const name = names("reserve")
  const body = (fork: any) => fork.pipe(untyped.step(name, step()))
  const parcel = untyped.make("Parcel", {
    payload: Schema.Struct({ n: name === "reserve" ? Schema.Int : Schema.String })
  })
  return (saga: any): any =>
    saga.pipe(
      untyped.when(names("gift"), () => true, body),
      untyped.match(names("kind"), () => "a/b", { "a/b": body, no: body }),
      untyped.nested(names("parcel"), body(parcel), () => ({ n: 1 })),
      untyped.parallel((fork: any) => [
        fork.pipe(untyped.step(names("left"), step())),
        fork.pipe(untyped.step("right", step()))
      ]),
      untyped.orElse(
        names("way"),
        (fork: any) =>
          body(fork).pipe(untyped.check("full", { error: Schema.String, action: () => Effect.fail("full") })),
        (fork: any) => fork.pipe(untyped.step(name, step({ after: () => gate.pass })))
      )
    )
}

export const scenes: Readonly<Record<string, Scene>> = {
  "waiting in a sleep": {
    one: (world) =>
      one.pipe(
        Saga.step("reserve", world.step()),
        Saga.sleep("rest", "1 hour"),
        Saga.step("ship", world.step())
      ),
    two: (world) =>
      two.pipe(
        Saga.step("hold", world.booking(reserve)),
        Saga.sleep("pause", "2 hours"),
        Saga.step("ship", world.step()),
        Saga.step("more", world.step()),
        Saga.output(Schema.Tuple([Booked, Schema.String]), ({ hold, payload }) => [hold, payload.class] as const),
        Saga.migrateFrom(1, { payload, steps: { reserve: { name: "hold", success: booked }, rest: { name: "pause" } } })
      ),
    come: waiting,
    end: [ended, "eco"],
    seen: "+reserve +ship +more"
  },
  "between two attempts": {
    one: (world) =>
      one.pipe(
        Saga.step("reserve", world.step()),
        Saga.step("charge", { ...world.step({ before: () => Effect.fail("empty") }), ...hourly })
      ),
    two: (world) =>
      two.pipe(
        Saga.step("reserve", world.step()),
        Saga.step("pay", {
          ...world.known(was({ pay: "charge" })),
          error: Declined,
          action: (_, { attempt, executionId, idempotencyKey }) => {
            world.mark(executionId, `${attempt} ${idempotencyKey}`)
            return Effect.fail(new Declined({ why: `still ${attempt}` }))
          },
          // It is asked with the error of version 1 first.
          retry: Schedule.while(Schedule.spaced("1 hour"), ({ input }) =>
            Effect.succeed(input instanceof Declined && input.why !== "still 3"))
        }),
        Saga.migrateFrom(1, { payload, steps: { charge: { name: "pay", error: declined } } })
      ),
    come: waiting,
    end: new Declined({ why: "still 3" }),
    seen: "+reserve !charge 2 e/charge 3 e/charge -reserve"
  },
  "dead in a forEach": {
    one: (world) =>
      one.pipe(
        Saga.forEach("lines", {
          item: Schema.String,
          items: () => ["lamp", "a/b%", "cup"],
          key: (sku) => sku,
          each: (fork) =>
            fork.pipe(
              Saga.step(
                "pick",
                world.step({ after: ({ path }) => path.includes("a%") ? world.gate.pass : Effect.void })
              ),
              Saga.step("pack", world.step())
            )
        }),
        Saga.step("ship", world.step())
      ),
    two: (world) =>
      two.pipe(
        Saga.forEach("rows", {
          item: Line,
          items: () => [],
          key: ({ sku }) => sku,
          each: (fork) =>
            fork.pipe(
              Saga.step("hold", world.booking(inItems)),
              Saga.step("pack", world.known(inItems)),
              Saga.output(Schema.String, ({ hold, item }) => `${item.count} ${hold.by}`)
            )
        }),
        Saga.step("ship", world.step()),
        Saga.migrateFrom(1, {
          payload,
          steps: {
            lines: {
              name: "rows",
              item: Schema.String.pipe(Schema.decodeTo(
                Line,
                SchemaTransformation.transform({ decode: (sku) => ({ sku, count: 7 }), encode: ({ sku }) => sku })
              ))
            },
            "lines/*/pick": { name: "hold", success: booked }
          }
        })
      ),
    come: held,
    leaves: "dead",
    end: { rows: ["7 lines/lamp/pick", "7 lines/a%2Fb%25/pick", "7 lines/cup/pick"], ship: "ship" },
    // A step that had not started before it was renamed has keys of its own.
    seen: "+lines/lamp/pick +lines/lamp/pack +lines/a%2Fb%25/pick =lines/a%2Fb%25/pick +lines/a%2Fb%25/pack "
      + "+lines/cup/pick +lines/cup/pack +ship"
  },
  "dead in a compensation": {
    one: (world) =>
      one.pipe(
        Saga.step("first", world.step()),
        Saga.step("reserve", world.step({ undo: () => world.gate.pass })),
        Saga.step("last", world.step()),
        Saga.check("no", world.fails())
      ),
    two: (world) =>
      two.pipe(
        Saga.step("start", world.booking(was({ start: "first" }))),
        Saga.step("hold", world.booking(reserve)),
        Saga.step("last", world.step()),
        Saga.check("not", { error: Declined, action: () => Effect.fail(new Declined({ why: "never" })) }),
        Saga.migrateFrom(1, {
          payload,
          steps: {
            first: { name: "start", success: booked },
            reserve: { name: "hold", success: booked },
            no: { name: "not", error: declined }
          }
        })
      ),
    come: held,
    leaves: "dead",
    end: new Declined({ why: "no" }),
    seen: "+first +reserve +last !no -last -reserve -first"
  },
  "stuck with a compensation": {
    one: (world) =>
      one.pipe(
        Saga.step("first", world.step()),
        Saga.step("reserve", { ...world.step(world.locked), compensationRetry: once }),
        Saga.check("no", world.fails())
      ),
    two: (world) =>
      two.pipe(
        Saga.step("first", world.step()),
        Saga.step("hold", { ...world.booking(reserve, world.locked), compensationRetry: once }),
        Saga.check("no", world.fails()),
        Saga.migrateFrom(1, { payload, steps: { reserve: { name: "hold", success: booked } } })
      ),
    come: stuck,
    decide: (engine, executionId) => engine.retry(executionId, ann),
    end: "no",
    seen: "+first +reserve !no -first -reserve"
  },
  "stuck with an unknown outcome, which is skipped as version 1 would have it": {
    one: (world) =>
      one.pipe(
        Saga.step("first", world.step()),
        Saga.step("reserve", { ...world.step(world.lost), retry: once, whenUncertain: "stuck" })
      ),
    two: (world) =>
      two.pipe(
        Saga.step("first", world.step()),
        Saga.step("hold", { ...world.booking(reserve, world.lost), whenUncertain: "stuck" }),
        Saga.migrateFrom(1, { payload, steps: { reserve: { name: "hold", success: booked } } })
      ),
    come: stuck,
    decide: (engine, executionId) => engine.skip(executionId, "reserve", "found", ann),
    end: { first: "first", hold: { by: "found", at: Option.none() } },
    seen: "+first +reserve"
  },
  "in a when, a match, a nested saga, a parallel and an orElse": {
    one: (world) => places((name) => name, (around) => world.step(around), world.gate)(one),
    two: (world) =>
      places(
        (name) => ({ reserve: "hold", left: "links", n: "text" })[name] ?? `${name}2`,
        (around) => world.booking((path) => inPlaces(was({ links: "left" })(path)), around),
        world.gate
      )(two).pipe(
        Saga.migrateFrom(1, {
          payload,
          steps: {
            gift: { name: "gift2" },
            "gift/reserve": { name: "hold", success: booked },
            kind: { name: "kind2" },
            "kind/a%2Fb/reserve": { name: "hold", success: booked },
            parcel: {
              name: "parcel2",
              payload: Schema.Struct({ n: Schema.Int }).pipe(Schema.decodeTo(
                Schema.Struct({ n: Schema.String }),
                SchemaTransformation.transform({ decode: ({ n }) => ({ n: `${n}` }), encode: () => ({ n: 0 }) })
              ))
            },
            "parcel/reserve": { name: "hold", success: booked },
            left: { name: "links", success: booked },
            right: { success: booked },
            way: { name: "way2" },
            "way/first/reserve": { name: "hold", success: booked },
            "way/second/reserve": { name: "hold", success: booked }
          }
        })
      ),
    come: held,
    leaves: "dead",
    end: {
      gift2: { hold: { by: "gift/reserve", at: Option.none() } },
      kind2: { _tag: "a/b", value: { hold: { by: "kind/a%2Fb/reserve", at: Option.none() } } },
      parcel2: { hold: { by: "parcel/reserve", at: Option.none() } },
      links: { by: "left", at: Option.none() },
      right: { by: "right", at: Option.none() },
      way2: { hold: { by: "way/second/reserve", at: Option.some(new Date(0)) } }
    },
    seen: "+gift/reserve +kind/a%2Fb/reserve +parcel/reserve +left +right +way/first/reserve -way/first/reserve "
      + "+way/second/reserve =way/second/reserve"
  }
}
