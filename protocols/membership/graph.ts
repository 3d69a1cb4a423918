import type { LogRecord } from './records.ts'

/** A record with its place in the history: which records its author knew. */
export type GraphNode = {
  readonly record: LogRecord
  /** Order of arrival; parents always come first. Never decides anything. */
  readonly index: number
  /** Length of the longest path from genesis. */
  readonly depth: number
  /** Bit set over indexes. */
  readonly ancestors: Uint32Array
}

export type RecordGraph = {
  /** Parents before children. */
  readonly nodes: readonly GraphNode[]
  find(key: string): GraphNode | undefined
  /** Hex ids of the parents that are not here. */
  missingParents(record: LogRecord): readonly string[]
  /** The node a record would become; nothing is added. @throws when a parent is missing. */
  place(record: LogRecord): GraphNode
  /** @throws when a parent is missing. */
  add(record: LogRecord): GraphNode
  /** Takes back everything that was added after the first `length` records. */
  truncate(length: number): void
  /** Records that are no parent of another, in byte order. */
  heads(): readonly GraphNode[]
}

export function createRecordGraph(): RecordGraph {
  const nodes: GraphNode[] = []
  const byKey = new Map<string, GraphNode>()
  const childCounts = new Map<string, number>()
  const countChild = (key: string, change: 1 | -1): void => {
    const count = (childCounts.get(key) ?? 0) + change
    if (count === 0) childCounts.delete(key)
    else childCounts.set(key, count)
  }
  const place = (record: LogRecord): GraphNode => {
    const index = nodes.length
    const ancestors = new Uint32Array((index + 31) >>> 5)
    let depth = 0
    for (const key of record.parents) {
      const parent = byKey.get(key)
      if (!parent) throw new Error(`parent ${key} of ${record.key} is not in the graph`)
      depth = Math.max(depth, parent.depth + 1)
      for (let i = 0; i < parent.ancestors.length; i++) ancestors[i] = word(ancestors, i) | word(parent.ancestors, i)
      ancestors[parent.index >>> 5] = word(ancestors, parent.index >>> 5) | (1 << (parent.index & 31))
    }
    return { record, index, depth, ancestors }
  }
  return {
    nodes,
    find: (key) => byKey.get(key),
    missingParents: (record) => record.parents.filter((key) => !byKey.has(key)),
    place,
    add(record) {
      const node = place(record)
      nodes.push(node)
      byKey.set(record.key, node)
      for (const parent of record.parents) countChild(parent, 1)
      return node
    },
    truncate(length) {
      for (const { record } of nodes.splice(length)) {
        byKey.delete(record.key)
        for (const parent of record.parents) countChild(parent, -1)
      }
    },
    heads: () => nodes.filter(({ record }) => !childCounts.has(record.key)).toSorted(byHash),
  }
}

export const isAncestor = (ancestor: GraphNode, node: GraphNode): boolean =>
  ((word(node.ancestors, ancestor.index >>> 5) >>> (ancestor.index & 31)) & 1) === 1

/** Neither author knew of the other's record. */
export const isConcurrent = (a: GraphNode, b: GraphNode): boolean => a !== b && !isAncestor(a, b) && !isAncestor(b, a)

/** An order that is the same on every replica and in which ancestors come first: earlier is more senior. */
export const bySeniority = (a: GraphNode, b: GraphNode): number => a.depth - b.depth || byHash(a, b)

const byHash = (a: GraphNode, b: GraphNode): number =>
  a.record.key < b.record.key ? -1 : a.record.key > b.record.key ? 1 : 0

const word = (bits: Uint32Array, i: number): number => bits[i] ?? 0
