import type { Counts, Musts } from './counting.ts'
import type { SimWorld } from './sim-world.ts'

/** What of a world is given instead of drawn. */
export type Shape = Readonly<Record<string, number>>

/** A kind of worlds, one for each seed. */
export type Simulator = {
  /** What exports it as `simulator`, for threads. */
  readonly module: string
  /** The beginning of the command line that gets to it. */
  readonly command: string
  /** What it runs, in a sentence. */
  readonly says: string
  /** What may be given of a world, with what it means. */
  readonly shapes: Readonly<Record<string, string>>
  readonly emptyCounts: () => Counts
  readonly musts: Musts
  readonly create: (seed: number, shape: Shape) => SimWorld
}
