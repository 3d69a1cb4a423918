import type { PeerId } from '../../crdt/ids.ts'
import type { Life } from './ports/life.ts'
import type { Prng } from './ports/prng.ts'
import { SimClock } from './ports/sim-clock.ts'
import type { SimDisk } from './ports/sim-disk.ts'
import type { SimWorld } from './sim-world.ts'

const REBOOT_MS_MAX = 60_000
const WALL_START_MS = 1_800_000_000_000

type Identity = { readonly peer: PeerId; readonly name: string; readonly prng: Prng }

/** One machine: clocks and a disk that outlive its processes. */
export abstract class SimMachine {
  readonly peer: PeerId
  readonly name: string
  readonly clock: SimClock
  abstract readonly disk: Pick<SimDisk<unknown>, 'faults' | 'crash'>
  /** That of the process there is now. */
  protected life: Life | undefined
  protected readonly prng: Prng
  readonly #world: SimWorld

  constructor(world: SimWorld, { peer, name, prng }: Identity) {
    this.#world = world
    this.peer = peer
    this.name = name
    this.prng = prng
    this.clock = new SimClock(world.time, {
      bootMs: prng.between(0, REBOOT_MS_MAX),
      wallMs: WALL_START_MS + prng.between(-1e6, 1e6),
    })
  }

  get isUp(): boolean {
    return this.life !== undefined
  }

  /** Starts a process, if there is none and there can be one. */
  abstract start(): Promise<void>

  /** The process has ended. */
  protected abstract ended(): void

  /** The process ends at once; with `reboot` the clocks start anew. */
  crash(reboot: boolean): void {
    if (!this.life) return
    this.#world.trace?.(`${this.name} ${reboot ? 'loses power' : 'dies'}`)
    this.life.isAlive = false
    this.life = undefined
    this.clock.dropTimers()
    if (this.clock.isSuspended) this.clock.resume()
    if (reboot) this.clock.reboot(this.prng.between(0, REBOOT_MS_MAX))
    this.#world.network.leave(this.peer)
    this.disk.crash()
    this.ended()
  }

  suspend(): void {
    if (!this.life || this.clock.isSuspended) return
    this.#world.trace?.(`${this.name} falls asleep`)
    this.clock.suspend()
    this.#world.network.suspend(this.peer)
  }

  resume(): void {
    if (!this.clock.isSuspended) return
    this.#world.trace?.(`${this.name} wakes up`)
    this.clock.resume()
    this.touch()
    this.#world.network.resume(this.peer)
  }

  touch(): void {
    this.life?.touch()
  }
}
