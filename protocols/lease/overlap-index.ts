import type { Resource } from './messages.ts'

/**
 * Finds what overlaps a set of resources without looking at everything: the cost depends on the depth of the keys and
 * on the number of hits. Agrees with `overlaps`.
 */
export class OverlapIndex<T extends { readonly res: readonly Resource[] }> {
  /** Items by the key they name exactly. */
  readonly #exact = new Map<string, Set<T>>()
  /** Items that cover everything below the key. */
  readonly #subtree = new Map<string, Set<T>>()
  /** Items that name something strictly below the key. */
  readonly #below = new Map<string, Set<T>>()

  add(item: T): void {
    for (const resource of item.res) {
      insert(this.#mapFor(resource), indexKey(resource.kind, resource.key), item)
      for (const ancestor of ancestors(resource)) insert(this.#below, ancestor, item)
    }
  }

  remove(item: T): void {
    for (const resource of item.res) {
      withdraw(this.#mapFor(resource), indexKey(resource.kind, resource.key), item)
      for (const ancestor of ancestors(resource)) withdraw(this.#below, ancestor, item)
    }
  }

  overlapping(resources: readonly Resource[]): Set<T> {
    const hits = new Set<T>()
    for (const resource of resources) {
      const key = indexKey(resource.kind, resource.key)
      collect(hits, this.#exact.get(key))
      collect(hits, this.#subtree.get(key))
      for (const ancestor of ancestors(resource)) collect(hits, this.#subtree.get(ancestor))
      if (resource.mode === 'subtree') collect(hits, this.#below.get(key))
    }
    return hits
  }

  #mapFor(resource: Resource): Map<string, Set<T>> {
    return resource.mode === 'exact' ? this.#exact : this.#subtree
  }
}

const indexKey = (kind: string, key: string): string => `${kind}:${key}`

function* ancestors({ kind, key }: Resource): Generator<string> {
  if (key === '') return
  yield indexKey(kind, '')
  for (let slash = key.indexOf('/'); slash !== -1; slash = key.indexOf('/', slash + 1)) {
    yield indexKey(kind, key.slice(0, slash))
  }
}

function insert<T>(map: Map<string, Set<T>>, key: string, item: T): void {
  const set = map.get(key)
  if (set) set.add(item)
  else map.set(key, new Set([item]))
}

function withdraw<T>(map: Map<string, Set<T>>, key: string, item: T): void {
  const set = map.get(key)
  set?.delete(item)
  if (set?.size === 0) map.delete(key)
}

function collect<T>(into: Set<T>, from: Set<T> | undefined): void {
  if (from) for (const item of from) into.add(item)
}
