import type { DocId } from '../../../crdt/ids.ts'
import type { Counts } from './counts.ts'
import type { SimNode } from './sim-node.ts'

/** Sees edits of one thing by somebody who does not have the last edit of it yet. */
export class Edits {
  readonly #last = new Map<string, { node: SimNode; seq: number }>()
  readonly #counts: Counts

  constructor(counts: Counts) {
    this.#counts = counts
  }

  note(node: SimNode, doc: DocId, what: string): void {
    const key = `${doc} ${what}`
    const last = this.#last.get(key)
    if (last && last.node !== node && node.headOf(doc, last.node.peer) < last.seq) this.#counts.conflictingEdits += 1
    // The edit goes into the next envelope, or a later one.
    this.#last.set(key, { node, seq: node.headOf(doc, node.peer) + 1 })
  }
}
