import type { HeldLease } from '../../../node/services/leases/lease-service.ts'
import type { Operation } from './checkers/history.ts'
import type { Prng } from '../ports/prng.ts'
import type { VirtualTime } from '../ports/virtual-time.ts'

/** What an agent that outlives its node wrote down: enough to go on with a lease. */
export type Note = { readonly lease: HeldLease; readonly operation: Operation; readonly owner: string }

/** Until a note, or its removal, is durable. */
const WRITE_MS_MAX = 200

/** Leases that were being used on a machine, as they stand on its disk. */
export class Notebook {
  readonly #time: VirtualTime
  readonly #prng: Prng
  readonly #notes = new Map<string, Note>()

  constructor(time: VirtualTime, prng: Prng) {
    this.#time = time
    this.#prng = prng
  }

  /** `isAlive`: whether whoever writes is still there when the disk is. */
  write(note: Note, isAlive: () => boolean): void {
    this.#later(isAlive, () => this.#notes.set(note.lease.leaseId, note))
  }

  strike(leaseId: string, isAlive: () => boolean): void {
    this.#later(isAlive, () => this.#notes.delete(leaseId))
  }

  /** What an earlier process left; it is not there any more. */
  take(): Note[] {
    const notes = [...this.#notes.values()]
    this.#notes.clear()
    return notes
  }

  #later(isAlive: () => boolean, write: () => void): void {
    this.#time.after(this.#prng.between(0, WRITE_MS_MAX), () => {
      if (isAlive()) write()
    })
  }
}
