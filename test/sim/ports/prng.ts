import type { Random } from '../../../node/ports/random.ts'

/** A seeded source of chance (sfc32). Streams forked under different names do not disturb each other. */
export class Prng implements Random {
  readonly #seed: string
  #a = 0
  #b = 0
  #c = 0
  #counter = 1

  constructor(seed: string | number) {
    this.#seed = String(seed)
    const [a = 0, b = 0, c = 0] = [1, 2, 3].map((salt) => hashText(this.#seed, salt))
    this.#a = a
    this.#b = b
    this.#c = c
    for (let i = 0; i < 12; i++) this.next()
  }

  /** A stream of its own: the same name under the same seed, whatever was drawn before. */
  fork(name: string | number): Prng {
    return new Prng(`${this.#seed}/${name}`)
  }

  /** 32 uniform bits. */
  next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** Uniform in [0, 1). */
  fraction(): number {
    return this.next() / 2 ** 32
  }

  between(min: number, max: number): number {
    return min + (max - min) * this.fraction()
  }

  /** A whole number, both ends included. */
  int(min: number, max: number): number {
    return min + Math.floor((max - min + 1) * this.fraction())
  }

  chance(probability: number): boolean {
    return probability > 0 && this.fraction() < probability
  }

  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError('nothing to pick from')
    return items[this.int(0, items.length - 1)] as T
  }

  /** Exponentially distributed: the pause before the next of events that come so often on average. */
  pause(meanMs: number): number {
    return -Math.log(1 - this.fraction()) * meanMs
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count)
    for (let i = 0; i < count; i += 4) {
      const word = this.next()
      for (let j = 0; j < 4 && i + j < count; j++) bytes[i + j] = word >>> (8 * j)
    }
    return bytes
  }
}

/** FNV-1a with a final mix. */
function hashText(text: string, salt: number): number {
  let hash = 0x811c9dc5 ^ Math.imul(salt, 0x9e3779b1)
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
