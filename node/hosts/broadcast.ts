import { OUTPUT_BYTES_MAX, VIEWER_WINDOW_BYTES, type HostFrame } from '../../protocols/session-stream.ts'
import type { OutputRing } from './output-ring.ts'

/** The program is paused while even the furthest viewer is this far behind, … */
export const PAUSE_ABOVE_BYTES = 1024 * 1024
/** … until one is nearer than this: fewer switches, and still output to send in the meantime. */
export const RESUME_BELOW_BYTES = 256 * 1024

export type Viewer = {
  /** False: the acknowledgement makes no sense, the viewer is to be cut off. */
  acknowledge(seq: number, nowMs: number): boolean
  detach(): void
}

export type Exit = { readonly exitCode: number | null; readonly signal: string | null }

type State = {
  readonly send: (frame: HostFrame) => void
  sent: number
  acknowledged: number
  /** A gap that was told and is not acknowledged yet; at most one, so that counting stays simple and bounded. */
  gap: { from: number; to: number } | undefined
  /** Since when output waits for this viewer without any acknowledgement. */
  waitingSinceMs: number | undefined
  /** When the exit was sent, after everything else. */
  doneAtMs: number | undefined
}

/**
 * Gives one stream of output to any number of viewers. The furthest-ahead viewer sets the pace: the program pauses only
 * while every viewer is more than 1 MB behind, so no viewer freezes another, and a single acknowledging viewer never
 * loses a byte. A viewer that falls out of the ring is told the gap. Without viewers the program runs on.
 */
export class Broadcast {
  readonly #ring: OutputRing
  readonly #setPaused: (paused: boolean) => void
  readonly #viewers = new Set<State>()
  #paused = false
  #exit: Exit | undefined

  constructor(ring: OutputRing, setPaused: (paused: boolean) => void) {
    this.#ring = ring
    this.#setPaused = setPaused
  }

  get viewers(): number {
    return this.#viewers.size
  }

  get paused(): boolean {
    return this.#paused
  }

  /**
   * True when nobody is reading any more: every viewer has gone, or has had the exit for `graceMs`. What was merely sent
   * may still be on its way, and would be lost with this process: a write to a closed socket discards what is unread.
   */
  isDrained(nowMs: number, graceMs: number): boolean {
    return [...this.#viewers].every(({ doneAtMs }) => doneAtMs !== undefined && nowMs - doneAtMs >= graceMs)
  }

  /** `fromSeq` undefined: from the oldest byte there is. */
  attach(send: (frame: HostFrame) => void, fromSeq: number | undefined, nowMs: number): Viewer {
    const from = Math.min(fromSeq ?? this.#ring.tail, this.#ring.head)
    const viewer: State = {
      send,
      sent: from,
      acknowledged: from,
      gap: undefined,
      waitingSinceMs: undefined,
      doneAtMs: undefined,
    }
    this.#viewers.add(viewer)
    this.#pump(viewer, nowMs)
    this.#setPace()
    return {
      acknowledge: (seq, atMs) => this.#acknowledge(viewer, seq, atMs),
      detach: () => {
        this.#viewers.delete(viewer)
        this.#setPace()
      },
    }
  }

  /** To be called after output was appended to the ring. */
  produced(nowMs: number): void {
    for (const viewer of this.#viewers) this.#pump(viewer, nowMs)
    this.#setPace()
  }

  /** No output follows. Each viewer gets the exit after its last byte. */
  finish(exit: Exit, nowMs: number): void {
    this.#exit = exit
    for (const viewer of this.#viewers) this.#pump(viewer, nowMs)
  }

  /** Cuts off the viewers that acknowledged nothing for `slowMs` while output waited for them. */
  cutSlow(nowMs: number, slowMs: number): void {
    for (const viewer of this.#viewers) {
      if (viewer.waitingSinceMs === undefined || nowMs - viewer.waitingSinceMs < slowMs) continue
      this.#viewers.delete(viewer)
      viewer.send({ type: 'end', reason: 'slow' })
    }
    this.#setPace()
  }

  #acknowledge(viewer: State, seq: number, nowMs: number): boolean {
    if (seq < viewer.acknowledged || seq > viewer.sent) return false
    if (seq === viewer.acknowledged) return true
    viewer.acknowledged = seq
    if (viewer.gap && seq >= viewer.gap.to) viewer.gap = undefined
    const waited = viewer.waitingSinceMs !== undefined
    viewer.waitingSinceMs = undefined
    if (waited && this.#viewers.has(viewer)) {
      this.#pump(viewer, nowMs)
      this.#setPace()
    }
    return true
  }

  #pump(viewer: State, nowMs: number): void {
    while (viewer.doneAtMs === undefined) {
      if (viewer.sent < this.#ring.tail && !viewer.gap) this.#skip(viewer)
      const room = VIEWER_WINDOW_BYTES - inFlight(viewer)
      if (viewer.sent < this.#ring.tail || viewer.sent === this.#ring.head || room <= 0) break
      const bytes = this.#ring.read(viewer.sent, Math.min(room, OUTPUT_BYTES_MAX))
      viewer.send({ type: 'output', seq: viewer.sent, bytes })
      viewer.sent += bytes.byteLength
    }
    if (viewer.sent < this.#ring.head) viewer.waitingSinceMs ??= nowMs
    else this.#complete(viewer, nowMs)
  }

  #skip(viewer: State): void {
    viewer.gap = { from: viewer.sent, to: this.#ring.tail }
    viewer.send({ type: 'gap', ...viewer.gap })
    viewer.sent = viewer.gap.to
  }

  #complete(viewer: State, nowMs: number): void {
    if (!this.#exit || viewer.doneAtMs !== undefined) return
    viewer.doneAtMs = nowMs
    viewer.send({ type: 'exit', ...this.#exit })
  }

  #setPace(): void {
    const behind = Math.min(...[...this.#viewers].map((viewer) => this.#ring.head - viewer.sent))
    const paused = this.#viewers.size > 0 && behind > (this.#paused ? RESUME_BELOW_BYTES : PAUSE_ABOVE_BYTES)
    if (paused === this.#paused) return
    this.#paused = paused
    this.#setPaused(paused)
  }
}

/** Bytes sent and not acknowledged; those of a gap were never sent. */
function inFlight({ sent, acknowledged, gap }: State): number {
  const skipped = gap ? gap.to - Math.max(gap.from, Math.min(acknowledged, gap.to)) : 0
  return sent - acknowledged - skipped
}
