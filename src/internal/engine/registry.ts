/**
 * Which sagas an engine knows, each version by itself, and their definitions in its journal. It runs nothing.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Journal, JournalUnavailable } from "../../Journal.ts"
import { SagaDefinitionError } from "../../SagaError.ts"
import { Observers } from "../../SagaObserver.ts"
import type { SagaDefinition } from "../../SagaValue.ts"
import { definitionOf } from "../../SagaValue.ts"
import type { SagaTree } from "../tree.ts"
import { Codec } from "./codec.ts"
import { hashOf } from "./definition.ts"
import { Older } from "./migration.ts"
import { schemasOf } from "./schemas.ts"
import { secretProblem } from "./secrets.ts"

/** A saga that an engine runs, with the services of its steps. */
export interface Registered {
  readonly tree: SagaTree
  readonly codec: Codec
  /** The older versions whose executions it can go on with. */
  readonly migrations: ReadonlyMap<number, Older>
  readonly definition: SagaDefinition
  readonly hash: string
  /** Whether its values may be secret: then nothing that is made of them is told to others. */
  readonly sealed: boolean
  readonly context: Context.Context<never>
  readonly observers: Context.Service.Shape<typeof Observers>
  readonly clock: Clock.Clock
}

/** A version of a saga by its name. */
interface Version {
  readonly saga: string
  readonly version: number
}

/**
 * Sagas by name and version. What an older version has started is run by the newest that has a migration from it; unless
 * the older one is among them, or was: an execution keeps its own.
 */
export class Versions {
  readonly #all = new Map<string, Registered>()
  readonly #had = new Set<string>()

  get all(): ReadonlyArray<Registered> {
    return Array.from(this.#all.values())
  }

  add(registered: Registered): void {
    const key = keyOf(registered.definition)
    this.#all.set(key, registered)
    this.#had.add(key)
  }

  delete({ definition }: Registered): void {
    this.#all.delete(keyOf(definition))
  }

  /** The version itself. */
  exact(version: Version): Registered | undefined {
    return this.#all.get(keyOf(version))
  }

  /** What runs executions of a version. */
  find(version: Version): Registered | undefined {
    return this.#isOwn(version) ? this.exact(version) : this.newest(
      version.saga,
      ({ migrations }) => migrations.has(version.version)
    )
  }

  /** What runs an execution of a version that stands at this or a later one by now. */
  runs(started: Version, version: number): Registered | undefined {
    const now = { saga: started.saga, version }
    const first = this.find(started)
    // An engine asks its journal for what was started as a version that it knows, and for nothing else.
    if (first === undefined) return undefined
    const found = this.find(now)
    if (found !== undefined || this.#isOwn(now)) return found
    // One that is newer and cannot read it says so; to an older one it does not belong any more.
    return first.definition.version > version ? first : undefined
  }

  /** The highest version of a saga. */
  newest(saga: string, isSuch: (registered: Registered) => boolean = () => true): Registered | undefined {
    return this.all.filter((registered) => registered.definition.saga === saga && isSuch(registered))
      .sort((a, b) => b.definition.version - a.definition.version)[0]
  }

  /** The versions whose executions one of them runs. */
  of({ definition: { saga, version }, migrations }: Registered): ReadonlyArray<Version> {
    return [version, ...migrations.keys()].map((version) => ({ saga, version }))
      .filter((older) => older.version === version || !this.#isOwn(older))
  }

  #isOwn(version: Version): boolean {
    return this.#had.has(keyOf(version))
  }
}

/** The sagas of one engine. */
export class Registry extends Versions {
  /** Whether what is written goes through a cipher. If not, sagas with secrets are refused. */
  readonly sealed: boolean
  readonly #journal: Journal
  /** Those that take on what older versions have started. */
  readonly #taking = new Set<Registered>()
  /** Sagas that are asked for here and run elsewhere. */
  readonly #strangers = new WeakMap<SagaTree, Registered>()
  readonly #defined = new WeakSet<SagaTree>()
  readonly #mentioned = new WeakSet<SagaTree>()

  constructor(journal: Journal, sealed: boolean) {
    super()
    this.#journal = journal
    this.sealed = sealed
  }

  /** All whose executions run here. */
  get versions(): ReadonlyArray<Version> {
    const all = this.all.flatMap((registered) =>
      this.#taking.has(registered) ? this.of(registered) : [registered.definition]
    )
    return Array.from(new Map(all.map((version) => [keyOf(version), version])).values())
  }

  /** From now on a saga takes on what older versions have started that are not here. */
  takeOn(registered: Registered): void {
    this.#taking.add(registered)
  }

  /** What an engine knows of a saga, whether it runs it or not. */
  known(tree: SagaTree): Registered {
    const registered = this.exact(tree.definition) ?? this.#strangers.get(tree)
    if (registered !== undefined) return registered
    const stranger = describe(tree, Context.empty(), this.sealed)
    this.#strangers.set(tree, stranger)
    return stranger
  }

  /** Says once of a saga that does not run here what its executions wait for. */
  mention({ definition, tree }: Registered): Effect.Effect<void> {
    if (this.find(definition) !== undefined || this.#mentioned.has(tree)) return Effect.void
    this.#mentioned.add(tree)
    return Effect.logInfo(
      `Saga "${definition.saga}", version ${definition.version}, is not registered here (Saga.register): what is started waits until an engine has it`
    )
  }

  /** Keeps the definition in the journal, once in the life of an engine. */
  define(registered: Registered): Effect.Effect<void, JournalUnavailable> {
    if (this.#defined.has(registered.tree)) return Effect.void
    return Effect.map(
      this.#journal.define(definitionRecord(registered)),
      () => void this.#defined.add(registered.tree)
    )
  }

  /** Describes a saga that is to run here with these services. Dies when its version runs here already, or may not. */
  admit(tree: SagaTree, context: Context.Context<never>): Effect.Effect<Registered> {
    return Effect.suspend(() => this.#taken(tree) ?? Effect.succeed(describe(tree, context, this.sealed)))
  }

  #taken({ definition }: SagaTree): Effect.Effect<never> | undefined {
    const { saga, version } = definition
    if (this.exact(definition) === undefined) return undefined
    const problem =
      `version ${version} is registered already: register each version once, and raise \`version\` for another`
    return Effect.die(new SagaDefinitionError({ saga, path: "", problem }))
  }

  /** Runs a saga here from now on. Dies when its version runs here already. */
  enter(registered: Registered): Effect.Effect<void> {
    return Effect.suspend(() => {
      const taken = this.#taken(registered.tree)
      if (taken === undefined) this.add(registered)
      return taken ?? Effect.void
    })
  }

  leave(registered: Registered): void {
    this.delete(registered)
    this.#taking.delete(registered)
  }
}

/** The sagas that would run in an engine which has these. */
export const versionsOf = (trees: ReadonlyArray<SagaTree>, sealed: boolean): Versions => {
  const versions = new Versions()
  for (const tree of trees) versions.add(describe(tree, Context.empty(), sealed))
  return versions
}

/** The name of a version. */
export const keyOf = ({ saga, version }: Version): string => `${saga}@${version}`

/** A definition as a journal keeps it. */
export const definitionRecord = (
  { definition, hash }: Pick<Registered, "definition" | "hash">
): Parameters<Journal["define"]>[0] => {
  const { saga, version } = definition
  return { hash, saga, version, data: JSON.stringify(definition) }
}

/**
 * What is known of a saga that runs with these services. Throws when its values may not be written down, or when it has a
 * migration of what it has not.
 */
export const describe = (tree: SagaTree, context: Context.Context<never>, sealed: boolean): Registered => {
  const problem = secretProblem(tree, sealed)
  if (problem !== undefined) throw problem
  const definition = definitionOf(tree)
  return {
    tree,
    codec: new Codec(schemasOf(tree), sealed),
    migrations: new Map(
      Array.from(tree.options.migrations, ([from, told]) => [from, new Older(tree, from, told, sealed)] as const)
    ),
    definition,
    hash: `${keyOf(definition)}#${hashOf(JSON.stringify(definition))}`,
    sealed,
    context,
    observers: Context.get(context, Observers),
    clock: Context.get(context, Clock.Clock)
  }
}
