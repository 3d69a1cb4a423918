import type { Cancel } from '../../../node/ports/clock.ts'

type Event = { readonly atMs: number; readonly order: number; run: (() => void) | undefined }

/** Events handled per turn of the real event loop: a turn costs more than most events do. */
const EVENTS_PER_TURN = 64

/**
 * The one source of order in a simulation: events by time, then by when they were planned. Between two events all
 * promises settle, so nothing that is simulated may use a real timer or `setImmediate`.
 */
export class VirtualTime {
  nowMs = 0
  /** Events that have run. */
  count = 0
  /** Differs, in all likelihood, between two runs that differ in any event. */
  hash = 0
  /** Called when everything that followed from an event has settled. */
  afterEvent: () => void = () => undefined
  readonly #heap: Event[] = []
  #order = 0

  at(atMs: number, run: () => void): Cancel {
    const event: Event = { atMs: Math.max(atMs, this.nowMs), order: this.#order++, run }
    this.#push(event)
    return () => {
      event.run = undefined
    }
  }

  after(delayMs: number, run: () => void): Cancel {
    return this.at(this.nowMs + delayMs, run)
  }

  /** A pause in true time. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve))
  }

  /** Runs what happens up to that time. @throws what an event or `afterEvent` throws */
  async run(untilMs: number): Promise<void> {
    let isOver = false
    await new Promise<void>((resolve, reject) => {
      const turn = (): void => {
        // Node settles promises between two immediates, and needs no turn of its event loop for it.
        for (let i = 0; i < EVENTS_PER_TURN; i++) setImmediate(step)
        setImmediate(() => isOver || turn())
      }
      const step = (): void => {
        if (isOver) return
        try {
          this.afterEvent()
          isOver = !this.#next(untilMs)
          if (isOver) resolve()
        } catch (error) {
          isOver = true
          reject(error)
        }
      }
      turn()
    })
    this.nowMs = Math.max(this.nowMs, untilMs)
  }

  #next(untilMs: number): boolean {
    for (let first = this.#heap[0]; first && first.atMs <= untilMs; first = this.#heap[0]) {
      this.#pop()
      const { run, atMs, order } = first
      if (!run) continue
      this.nowMs = atMs
      this.count += 1
      this.hash = Math.imul(this.hash ^ order ^ Math.floor(atMs * 1024), 0x01000193) >>> 0
      run()
      return true
    }
    return false
  }

  #push(event: Event): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent] as Event
      if (isBefore(above, event)) break
      heap[at] = above
      at = parent
    }
    heap[at] = event
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop() as Event
    const size = heap.length
    if (size === 0) return
    let at = 0
    for (let child = 1; child < size; child = 2 * at + 1) {
      const right = child + 1
      if (right < size && isBefore(heap[right] as Event, heap[child] as Event)) child = right
      const below = heap[child] as Event
      if (isBefore(last, below)) break
      heap[at] = below
      at = child
    }
    heap[at] = last
  }
}

const isBefore = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
