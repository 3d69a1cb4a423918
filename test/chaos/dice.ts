export type Dice = {
  /** Uniform in [0, 1). */
  fraction(): number
  /** A whole number in [0, below). */
  below(below: number): number
  between(min: number, max: number): number
  pick<T>(from: readonly [T, ...T[]] | readonly T[]): T
  chance(share: number): boolean
  shuffled<T>(items: readonly T[]): T[]
}

/** The same seed gives the same throws (mulberry32). */
export function createDice(seed: number): Dice {
  let state = seed >>> 0
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number): number => Math.floor(fraction() * limit)
  return {
    fraction,
    below,
    between: (min, max) => min + fraction() * (max - min),
    pick(from) {
      const item = from[below(from.length)]
      if (item === undefined) throw new Error('nothing to pick from')
      return item
    },
    chance: (share) => fraction() < share,
    shuffled(items) {
      const all = [...items]
      for (let i = all.length - 1; i > 0; i--) {
        const j = below(i + 1)
        all.splice(j, 1, ...all.splice(i, 1, ...all.slice(j, j + 1)))
      }
      return all
    },
  }
}
