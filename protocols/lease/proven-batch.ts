import { equalBytes } from '../codec.ts'
import type { Seal } from './signing.ts'

type Join = (left: Uint8Array, right: Uint8Array) => Uint8Array

/** The root that a leaf's path leads to. */
export function rootOf(leaf: Uint8Array, { path, at }: Seal, join: Join): Uint8Array {
  return path.reduce((node, sibling, height) => above(node, sibling, { index: at >> height, join }), leaf)
}

const above = (node: Uint8Array, sibling: Uint8Array, { index, join }: { index: number; join: Join }): Uint8Array =>
  index & 1 ? join(sibling, node) : join(node, sibling)

/**
 * What is known of the tree under one genuine signature. The statements of a batch are checked one after the other and
 * share most of their paths: each is followed only up to where an earlier one has been, and compared from there on.
 */
export class ProvenBatch {
  readonly #seal: Pick<Seal, 'sig' | 'path'>
  readonly #nodes: Map<number, Uint8Array>

  /** `root` is what the signature is over, and where the path of this seal leads to. */
  constructor(seal: Seal, root: Uint8Array) {
    this.#seal = seal
    this.#nodes = new Map([[placeOf(seal.path.length, 0), root]])
  }

  /** Whether this leaf and its whole path belong to the tree. */
  includes(leaf: Uint8Array, seal: Seal, join: Join): boolean {
    const { sig, path, at } = seal
    if (path.length !== this.#seal.path.length || !equalBytes(sig, this.#seal.sig)) return false
    const fresh: [place: number, node: Uint8Array][] = []
    let node = leaf
    for (let height = 0; height <= path.length; height++) {
      const index = at >> height
      const known = this.#nodes.get(placeOf(height, index))
      if (known) {
        if (!equalBytes(known, node) || !this.#includesRest(seal, height)) return false
        for (const [place, one] of fresh) this.#nodes.set(place, one)
        return true
      }
      const sibling = path[height]
      if (!sibling) return false
      fresh.push([placeOf(height, index), node], [placeOf(height, index ^ 1), sibling])
      node = above(node, sibling, { index, join })
    }
    return false
  }

  /** A node is known only together with its sibling, and with both of every height above. */
  #includesRest({ path, at }: Seal, from: number): boolean {
    for (let height = from; height < path.length; height++) {
      const [known, sibling] = [this.#nodes.get(placeOf(height, (at >> height) ^ 1)), path[height]]
      if (!known || !sibling || !equalBytes(known, sibling)) return false
    }
    return true
  }
}

/** There are at most ten heights. */
const placeOf = (height: number, index: number): number => index * 16 + height
