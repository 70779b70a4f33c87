/** What is wrong with the services around a saga that is registered. It runs nothing. */
import * as Context from "effect/Context"
import * as Option from "effect/Option"
import { EventBus } from "../../EventBus.ts"
import { SagaDefinitionError } from "../../SagaError.ts"
import { treesIn } from "../paths.ts"
import type { SagaTree } from "../tree.ts"

/** Why events of a saga would reach nobody; undefined when they do. On an engine they come and go by its own bus. */
export const busProblem = (tree: SagaTree, context: Context.Context<never>): SagaDefinitionError | undefined => {
  const bus = Option.getOrUndefined(Context.getOption(context, EventBus))
  if (bus?.["~mail"] === undefined || !hasEvents(tree)) return undefined
  const problem =
    "it awaits or publishes events, and the `EventBus` around its registration is one in memory, of which an engine "
    + "hears nothing. The layer of the engine provides its own: leave out `MemoryBus`, or provide it to others alone"
  return new SagaDefinitionError({ saga: tree.definition.saga, path: "", problem })
}

const hasEvents = (tree: SagaTree): boolean =>
  tree.options.lifecycle !== undefined
  || tree.nodes.some((node) => node._tag === "Await" || node._tag === "Publish" || treesIn(node).some(hasEvents))
