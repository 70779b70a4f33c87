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

/** A saga that an engine runs, with the services of its steps. */
export interface Registered {
  readonly tree: SagaTree
  readonly codec: Codec
  readonly definition: SagaDefinition
  readonly hash: string
  readonly context: Context.Context<never>
  readonly observers: Context.Service.Shape<typeof Observers>
  readonly clock: Clock.Clock
}

/** A version of a saga by its name. */
interface Version {
  readonly saga: string
  readonly version: number
}

/** The sagas of one engine. */
export class Registry {
  readonly #journal: Journal
  readonly #registered = new Map<string, Registered>()
  /** Sagas that are asked for here and run elsewhere. */
  readonly #strangers = new WeakMap<SagaTree, Registered>()
  readonly #defined = new WeakSet<SagaTree>()
  readonly #mentioned = new WeakSet<SagaTree>()

  constructor(journal: Journal) {
    this.#journal = journal
  }

  /** All that run here. */
  get versions(): ReadonlyArray<Version> {
    return Array.from(this.#registered.values(), ({ definition }) => definition)
  }

  /** What runs here under a name. */
  find(version: Version): Registered | undefined {
    return this.#registered.get(keyOf(version))
  }

  /** What an engine knows of a saga, whether it runs it or not. */
  known(tree: SagaTree): Registered {
    const registered = this.find(tree.definition) ?? this.#strangers.get(tree)
    if (registered !== undefined) return registered
    const stranger = describe(tree, Context.empty())
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
    const { definition, hash } = registered
    const { saga, version } = definition
    return Effect.map(
      this.#journal.define({ hash, saga, version, data: JSON.stringify(definition) }),
      () => void this.#defined.add(registered.tree)
    )
  }

  /** Describes a saga that is to run here with these services. Dies when its version runs here already. */
  admit(tree: SagaTree, context: Context.Context<never>): Effect.Effect<Registered> {
    return Effect.suspend(() => this.#taken(tree) ?? Effect.succeed(describe(tree, context)))
  }

  #taken({ definition }: SagaTree): Effect.Effect<never> | undefined {
    const { saga, version } = definition
    if (this.find(definition) === undefined) return undefined
    const problem =
      `version ${version} is registered already: register each version once, and raise \`version\` for another`
    return Effect.die(new SagaDefinitionError({ saga, path: "", problem }))
  }

  add(registered: Registered): Effect.Effect<void> {
    return Effect.suspend(() => {
      const taken = this.#taken(registered.tree)
      if (taken === undefined) this.#registered.set(keyOf(registered.definition), registered)
      return taken ?? Effect.void
    })
  }

  delete(registered: Registered): void {
    this.#registered.delete(keyOf(registered.definition))
  }
}

const keyOf = ({ saga, version }: Version): string => `${saga}@${version}`

const describe = (tree: SagaTree, context: Context.Context<never>): Registered => {
  const definition = definitionOf(tree)
  return {
    tree,
    codec: new Codec(tree),
    definition,
    hash: `${keyOf(definition)}#${hashOf(JSON.stringify(definition))}`,
    context,
    observers: Context.get(context, Observers),
    clock: Context.get(context, Clock.Clock)
  }
}
