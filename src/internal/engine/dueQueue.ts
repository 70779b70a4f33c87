/**
 * A queue by time: a binary heap in which each element knows its place, so that it can be taken out of the middle.
 */

/** What stands in a queue. `dueIndex` is -1 outside. When the due time changes, it is taken out before anything else. */
export interface Due {
  readonly dueAtMillis: number | null
  dueIndex: number
  dueOrder: number
}

/** Elements by due time; those due at the same time in the order in which they were added. */
export class DueQueue<A extends Due> {
  readonly #heap: Array<A> = []
  #added = 0

  get first(): A | undefined {
    return this.#heap[0]
  }

  add(element: A): void {
    element.dueOrder = this.#added++
    this.#up(element, this.#heap.length)
  }

  /** Takes an element out; one that is not in this queue stays where it is. */
  remove(element: A): void {
    const heap = this.#heap
    const index = element.dueIndex
    if (heap[index] !== element) return
    element.dueIndex = -1
    const last = heap.pop()!
    if (last === element) return
    if (index > 0 && isBefore(last, heap[(index - 1) >> 1]!)) this.#up(last, index)
    else this.#down(last, index)
  }

  #up(element: A, from: number): void {
    const heap = this.#heap
    let index = from
    while (index > 0) {
      const parent = heap[(index - 1) >> 1]!
      if (!isBefore(element, parent)) break
      heap[index] = parent
      parent.dueIndex = index
      index = (index - 1) >> 1
    }
    heap[index] = element
    element.dueIndex = index
  }

  #down(element: A, from: number): void {
    const heap = this.#heap
    let index = from
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      const next = heap[child]!
      if (!isBefore(next, element)) break
      heap[index] = next
      next.dueIndex = index
      index = child
    }
    heap[index] = element
    element.dueIndex = index
  }
}

const isBefore = (a: Due, b: Due): boolean =>
  a.dueAtMillis! < b.dueAtMillis! || (a.dueAtMillis === b.dueAtMillis && a.dueOrder < b.dueOrder)
