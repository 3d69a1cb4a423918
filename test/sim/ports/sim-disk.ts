import type { Clock } from '../../../node/ports/clock.ts'
import { never, type Life } from './life.ts'
import type { Prng } from './prng.ts'

export type DiskFaults = {
  readonly syncMinMs: number
  readonly syncMaxMs: number
  /** So often a sync takes between 0.2 and 4 s. */
  readonly slowRate: number
}

export const SOUND_DISK: DiskFaults = { syncMinMs: 1, syncMaxMs: 5, slowRate: 0 }

const SLOW_SYNC_MIN_MS = 200
const SLOW_SYNC_MAX_MS = 4000

/**
 * A disk as a state that operations change in order. What was written and not synced takes effect, in a crash, up to a
 * random point: order is kept, the end is not.
 */
export class SimDisk<State> {
  state: State
  faults: DiskFaults
  readonly #create: () => State
  readonly #prng: Prng
  #pending: ((state: State) => void)[] = []
  #applied = 0
  #tail: Promise<void> = Promise.resolve()
  #onFailure: (() => void) | undefined
  #failure: Error | undefined

  constructor(create: () => State, faults: DiskFaults, prng: Prng) {
    this.#create = create
    this.state = create()
    this.faults = faults
    this.#prng = prng
  }

  write(life: Life, operation: (state: State) => void): void {
    if (this.#failure) throw this.#failure
    if (life.isAlive) this.#pending.push(operation)
  }

  /** Resolves when everything written before the call is durable; what waits at the same time shares the effort. */
  sync(life: Life, clock: Clock): Promise<void> {
    if (!life.isAlive) return never()
    const upTo = this.#applied + this.#pending.length
    const done = this.#tail.then(async () => {
      if (this.#failure) throw this.#failure
      if (upTo <= this.#applied) return
      await new Promise<void>((resolve) => clock.after(this.#durationMs(), resolve))
      this.#fail()
      this.#apply(upTo - this.#applied)
    })
    this.#tail = done.catch(() => undefined)
    return done
  }

  /** The next sync fails, and with it everything until the process has ended. */
  breakDown(onFailure: () => void): void {
    this.#onFailure = onFailure
  }

  crash(): void {
    this.#apply(this.#prng.int(0, this.#pending.length))
    this.#applied += this.#pending.length
    this.#pending = []
    this.#tail = Promise.resolve()
    this.#failure = undefined
    this.#onFailure = undefined
  }

  wipe(): void {
    this.crash()
    this.state = this.#create()
  }

  /** @throws when the disk breaks down: part of what it was to write may be there, who knows. */
  #fail(): void {
    const onFailure = this.#onFailure
    if (!onFailure) return
    this.#onFailure = undefined
    this.#failure = new Error('the simulated disk failed')
    onFailure()
    throw this.#failure
  }

  #apply(count: number): void {
    for (const operation of this.#pending.splice(0, count)) operation(this.state)
    this.#applied += count
  }

  #durationMs(): number {
    const { syncMinMs, syncMaxMs, slowRate } = this.faults
    if (this.#prng.chance(slowRate)) return this.#prng.between(SLOW_SYNC_MIN_MS, SLOW_SYNC_MAX_MS)
    return this.#prng.between(syncMinMs, syncMaxMs)
  }
}
