import { z } from 'zod'
import { PeerId } from '../../../crdt/ids.ts'
import { decodeCanonical, encodeCanonical } from '../../../protocols/codec.ts'
import { type Clock, every } from '../../ports/clock.ts'
import type { FeedStore } from '../../ports/feed-store.ts'
import type { Log } from '../../ports/log.ts'
import type { Presence, PresenceState } from '../sync/presence.ts'
import {
  addMinutes,
  type Availability,
  availabilityOf,
  HOURS_KEPT,
  MINUTES_PER_HOUR,
  type ObservedHour,
} from './availability.ts'

const SAMPLE_MS = 60_000
/** What a crash may lose of a week matters to nobody. */
const SAVE_EVERY_SAMPLES = 10
/** A sample that comes this late says that the host slept, or stood still: nobody was observed meanwhile. */
const LATE_MS = 1.5 * SAMPLE_MS
/** Members of a mesh are machines of a few people; what is kept of each is 336 bytes. */
const MEMBERS_MAX = 2048
export const AVAILABILITY_FACT = 'availability'
const FACT_BYTES_MAX = 1024 * 1024

const Hours = z.instanceof(Uint8Array).refine((bytes) => bytes.byteLength <= HOURS_KEPT)
/** One byte per hour: minutes observed, minutes reached. */
const Saved = z.strictObject({
  v: z.literal(1),
  savedAt: z.number(),
  members: z.record(PeerId, z.strictObject({ observed: Hours, reached: Hours })),
})

export type AvailabilityWatch = {
  /** How reachable a member was over the last week that this node was awake; of this node itself: how often it was. */
  of(peer: PeerId): Availability
  /** Saves once more. Does not fail: a record that cannot be written is logged. */
  stop(): Promise<void>
}

export type AvailabilityDeps = {
  readonly self: PeerId
  readonly store: Pick<FeedStore, 'getFact' | 'putFact'>
  readonly members: () => Iterable<PeerId>
  readonly presence: Pick<Presence, 'state'>
  readonly clock: Clock
  readonly log: Log
}

/** Starts to keep this node's own record of how reachable the others are. Nothing safe may depend on it. */
export async function watchAvailability(deps: AvailabilityDeps): Promise<AvailabilityWatch> {
  const watch = new Watch(deps)
  await watch.load()
  watch.start()
  return watch
}

class Watch implements AvailabilityWatch {
  readonly #deps: AvailabilityDeps
  #hours = new Map<PeerId, readonly ObservedHour[]>()
  #sampledBootMs: number
  #samples = 0
  #cancel: () => void = () => undefined
  /** One write at a time, in order. */
  #saving: Promise<void> = Promise.resolve()

  constructor(deps: AvailabilityDeps) {
    this.#deps = deps
    this.#sampledBootMs = deps.clock.bootMs()
  }

  async load(): Promise<void> {
    const { clock, self } = this.#deps
    const saved = await this.#read()
    if (!saved) return
    const { members, savedAt } = saved
    for (const [peer, { observed, reached }] of Object.entries(members))
      this.#hours.set(PeerId.parse(peer), unpack(observed, reached))
    // Only we can know that we were down; for whoever is not there, that we were not looking.
    this.#add(self, wholeMinutes(clock.wallMs() - savedAt), false)
  }

  start(): void {
    this.#cancel = every(this.#deps.clock, SAMPLE_MS, () => this.#sample())
  }

  of(peer: PeerId): Availability {
    return availabilityOf(this.#hours.get(peer) ?? [])
  }

  async stop(): Promise<void> {
    this.#cancel()
    await this.#save()
  }

  async #read(): Promise<z.infer<typeof Saved> | undefined> {
    const bytes = await this.#deps.store.getFact(AVAILABILITY_FACT)
    try {
      return bytes && decodeCanonical(Saved, bytes, FACT_BYTES_MAX)
    } catch (error) {
      // A later release may have written it: a week's observations are no reason not to start.
      this.#deps.log.warn({ err: error }, 'how available the members were cannot be read; it is observed anew')
      return undefined
    }
  }

  #sample(): void {
    const { clock, self, presence, members } = this.#deps
    const passedMs = clock.bootMs() - this.#sampledBootMs
    this.#sampledBootMs = clock.bootMs()
    const present = new Set([...members()].slice(0, MEMBERS_MAX))
    for (const peer of this.#hours.keys()) if (!present.has(peer)) this.#hours.delete(peer)
    const wasLate = passedMs > LATE_MS
    if (wasLate) this.#add(self, wholeMinutes(passedMs), false)
    else for (const peer of present) this.#add(peer, 1, peer === self || IS_REACHED[presence.state(peer)])
    if (++this.#samples % SAVE_EVERY_SAMPLES === 0) void this.#save()
  }

  #add(peer: PeerId, minutes: number, isReached: boolean): void {
    this.#hours.set(peer, addMinutes(this.#hours.get(peer) ?? [], minutes, isReached))
  }

  #save(): Promise<void> {
    const { store, clock, log } = this.#deps
    this.#saving = this.#saving.then(async () => {
      const members = Object.fromEntries([...this.#hours].map(([peer, hours]) => [peer, pack(hours)]))
      try {
        await store.putFact(AVAILABILITY_FACT, encodeCanonical({ v: 1, savedAt: clock.wallMs(), members }))
      } catch (error) {
        log.warn({ err: error }, 'how available the members are could not be saved')
      }
    })
    return this.#saving
  }
}

/** A member whose heartbeats have just stopped may only be late. */
const IS_REACHED: Readonly<Record<PresenceState, boolean>> = { online: true, stale: true, away: false, gone: false }

/** A clock that was set back says nothing about how long it was. */
const wholeMinutes = (ms: number): number => Math.max(0, Math.round(ms / SAMPLE_MS))

const pack = (hours: readonly ObservedHour[]): { observed: Uint8Array; reached: Uint8Array } => ({
  observed: Uint8Array.from(hours, ({ observed }) => observed),
  reached: Uint8Array.from(hours, ({ reached }) => reached),
})

const unpack = (observed: Uint8Array, reached: Uint8Array): ObservedHour[] =>
  Array.from(observed, (minutes, i) => {
    const known = Math.min(minutes, MINUTES_PER_HOUR)
    return { observed: known, reached: Math.min(reached[i] ?? 0, known) }
  })
