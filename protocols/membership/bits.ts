/** A set of small numbers. All sets that are combined have room for the same numbers. */
export type Bits = Uint32Array<ArrayBuffer>

export const createBits = (size: number): Bits => new Uint32Array((size + 31) >>> 5)

export function addBit(bits: Bits, i: number): void {
  bits[i >>> 5] = wordOf(bits, i >>> 5) | (1 << (i & 31))
}

export function removeBit(bits: Bits, i: number): void {
  bits[i >>> 5] = wordOf(bits, i >>> 5) & ~(1 << (i & 31))
}

export const hasBit = (bits: Uint32Array, i: number): boolean => ((wordOf(bits, i >>> 5) >>> (i & 31)) & 1) === 1

/** Adds what `other` has, which may have room for less. */
export function unite(bits: Bits, other: Uint32Array): void {
  for (let w = 0; w < other.length; w++) bits[w] = wordOf(bits, w) | wordOf(other, w)
}

/** Takes out what `other` has, which may have room for less. */
export function subtract(bits: Bits, other: Uint32Array): void {
  for (let w = 0; w < other.length; w++) bits[w] = wordOf(bits, w) & ~wordOf(other, w)
}

/** Leaves what `other` has as well, which may have room for less. */
export function intersect(bits: Bits, other: Uint32Array): void {
  for (let w = 0; w < bits.length; w++) bits[w] = wordOf(bits, w) & wordOf(other, w)
}

export function forEachBit(bits: Uint32Array, visit: (i: number) => void): void {
  for (let w = 0; w < bits.length; w++)
    for (let word = wordOf(bits, w); word !== 0; word &= word - 1) visit(w * 32 + 31 - Math.clz32(word & -word))
}

export function countBits(bits: Uint32Array): number {
  let count = 0
  forEachBit(bits, () => count++)
  return count
}

/** Everything inside `within` that is reached from `from` along the edges; `from` too. Added to `reached`. */
export function flood(from: number, edges: (i: number) => readonly Bits[], within: Bits, reached: Bits): void {
  const open = [from]
  addBit(reached, from)
  for (let at = open.pop(); at !== undefined; at = open.pop())
    for (const next of edges(at))
      for (let w = 0; w < next.length; w++) {
        const fresh = wordOf(next, w) & wordOf(within, w) & ~wordOf(reached, w)
        if (fresh === 0) continue
        reached[w] = wordOf(reached, w) | fresh
        for (let word = fresh; word !== 0; word &= word - 1) open.push(w * 32 + 31 - Math.clz32(word & -word))
      }
}

const wordOf = (bits: Uint32Array, w: number): number => bits[w] ?? 0
