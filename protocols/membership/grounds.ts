import { authorityOf, isLeaving, rivalsOf, takesFrom } from './attacks.ts'
import { addBit, createBits, forEachBit, intersect, removeBit, subtract, unite, type Bits } from './bits.ts'
import type { GraphNode } from './graph.ts'
import { type LogIndex, needsOf } from './log-index.ts'

/**
 * What the fates of records depend on, as sets of their places in the order of arrival. Two admins who contest each
 * other with thousands of records have millions of pairs: as bits they cost a look each.
 */
export type Grounds = {
  /** Ancestors that say whether its author may do this. */
  readonly authority: readonly Bits[]
  /** Concurrent records that void it if they have effect themselves. The same as `attackersOf`. */
  readonly attackers: readonly Bits[]
}

const NOTHING = createBits(0)

export function groundsOf(index: LogIndex): Grounds {
  const nodes = index.nodes.toSorted((a, b) => a.index - b.index)
  const descendants = descendantsOf(nodes)
  const changes = createChanges(index)
  const setOf = (some: readonly GraphNode[]): Bits => {
    const bits = createBits(nodes.length)
    for (const { index: place } of some) addBit(bits, place)
    return bits
  }
  const authority = nodes.map((node) => {
    const bits = setOf(authorityOf(index, node))
    intersect(bits, node.ancestors)
    return bits
  })
  const attackers = nodes.map((node, place) => {
    const bits = changes(node)
    unite(bits, setOf(rivalsOf(index, node)))
    subtract(bits, node.ancestors)
    subtract(bits, descendants[place] ?? NOTHING)
    removeBit(bits, place)
    return bits
  })
  return { authority, attackers }
}

/** The other direction: whose fates depend on each. */
export function turned(edges: readonly Bits[]): Bits[] {
  const reversed = edges.map(() => createBits(edges.length))
  for (const [from, to] of edges.entries())
    forEachBit(to, (place) => {
      const back = reversed[place]
      if (back) addBit(back, from)
    })
  return reversed
}

function descendantsOf(nodes: readonly GraphNode[]): Bits[] {
  const places = new Map(nodes.map(({ record }, place) => [record.key, place]))
  const descendants = nodes.map(() => createBits(nodes.length))
  // Parents come before children.
  for (const [place, { record }] of [...nodes.entries()].toReversed())
    for (const key of record.parents) {
      const ofParent = descendants[places.get(key) ?? place]
      if (!ofParent) continue
      unite(ofParent, descendants[place] ?? NOTHING)
      addBit(ofParent, place)
    }
  return descendants
}

/** What takes rights away from an author that a record of it needs, wherever in the history. Few records differ in that. */
function createChanges(index: LogIndex): (node: GraphNode) => Bits {
  const known = new Map<string, Bits>()
  return (node) => {
    const { author } = node.record
    const name = [author, isLeaving(node.record), ...needsOf(index, node)].join()
    const bits = known.get(name) ?? createBits(index.nodes.length)
    if (!known.has(name)) {
      known.set(name, bits)
      for (const fact of index.about.get(author) ?? []) if (takesFrom(index, fact, node)) addBit(bits, fact.index)
    }
    return bits.slice()
  }
}
