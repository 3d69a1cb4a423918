export type BoundedSet = {
  has(item: string): boolean
  add(item: string): void
  delete(item: string): void
}

/** A set of the `max` items added last. */
export function createBoundedSet(max: number): BoundedSet {
  const items = new Set<string>()
  return {
    has: (item) => items.has(item),
    delete: (item) => void items.delete(item),
    add(item) {
      items.delete(item)
      items.add(item)
      for (const oldest of items) {
        if (items.size <= max) return
        items.delete(oldest)
      }
    },
  }
}
