import { z } from 'zod'
import { PeerId } from '../../../crdt/ids.ts'
import { decodeCanonical, encodeCanonical } from '../../../protocols/codec.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import type { Clock } from '../../ports/clock.ts'
import { every } from '../../ports/clock.ts'
import type { FeedStore } from '../../ports/feed-store.ts'
import type { Log } from '../../ports/log.ts'

export const CONTACTS_FACT = 'contacts'

/** After a crash contacts seem this much older than they are: little against a limit of days. */
const SAVE_EVERY_MS = 10 * 60_000
/** What clocks that are kept by a time server jump back; a clock that went back further says nothing about the time between. */
const STEP_MS = 60_000
/** A mesh of thousands of members. */
const FACT_BYTES_MAX = 1024 * 1024

/** Ages in ms at `savedAt` (wall). */
const Saved = z.object({ v: z.literal(1), savedAt: z.number(), ages: z.record(PeerId, z.number().min(0)) })

export type ContactDeps = {
  readonly self: PeerId
  readonly membership: () => Membership
  readonly voters: () => readonly PeerId[]
  readonly store: Pick<FeedStore, 'getFact' | 'putFact'>
  readonly clock: Clock
  readonly log: Log
  readonly nameOf: (peer: PeerId) => string
  /** The staleness limit. */
  readonly limitMs: number
}

/** When this node last compared its membership log with each member's: whoever was cut off may not know of a removal. */
export type Contacts = {
  /** This member's log and ours are the same, as far as it says. */
  heard(peer: PeerId): void
  /**
   * Why this machine runs nothing for the member any more: nobody who could have told us of its removal was heard of
   * within the limit. Any admin but the one that asks could, and so could a majority of the voters. Undefined when all
   * is well, and where nobody else could have removed it.
   */
  refusal(from: PeerId): string | undefined
  /** For `rookery status`: for whom this machine runs nothing at the moment. */
  problem(): string | undefined
  stop(): Promise<void>
}

/**
 * Survives restarts. While the node runs, the boot clock counts, suspension included; for the time between two runs there
 * is only the wall clock: one that was set back meanwhile counts as too long.
 */
export async function watchContacts(deps: ContactDeps): Promise<Contacts> {
  const watch = new ContactWatch(deps)
  await watch.load()
  watch.start()
  return watch
}

class ContactWatch implements Contacts {
  readonly #deps: ContactDeps
  /** By the boot clock of this run: negative for an earlier one. */
  #heardMs = new Map<PeerId, number>()
  #cancel: () => void = () => undefined
  /** One write at a time, in order. */
  #saving: Promise<void> = Promise.resolve()

  constructor(deps: ContactDeps) {
    this.#deps = deps
  }

  async load(): Promise<void> {
    const { clock, membership } = this.#deps
    const saved = await this.#read()
    const downMs = saved ? clock.wallMs() - saved.savedAt : 0
    const missedMs = downMs < -STEP_MS ? Infinity : Math.max(0, downMs)
    for (const peer of membership().members.keys())
      this.#heardMs.set(peer, clock.bootMs() - ((saved?.ages[peer] ?? 0) + missedMs))
  }

  start(): void {
    this.#cancel = every(this.#deps.clock, SAVE_EVERY_MS, () => void this.#save())
  }

  heard(peer: PeerId): void {
    if (this.#deps.membership().members.has(peer)) this.#heardMs.set(peer, this.#deps.clock.bootMs())
  }

  refusal(from: PeerId): string | undefined {
    const { self, voters, membership, nameOf } = this.#deps
    if (from === self) return undefined
    const admins = [...membership().members.values()]
      .filter(({ peer, capabilities }) => peer !== from && peer !== self && capabilities.has('admin'))
      .map(({ peer }) => peer)
    if (admins.length === 0 || admins.some((peer) => this.#isRecent(peer))) return undefined
    const recent = voters().filter((peer) => peer !== from && (peer === self || this.#isRecent(peer)))
    if (recent.length > voters().length / 2) return undefined
    const { limitMs } = this.#deps
    const named = admins.slice(0, 3).map(nameOf).join(', ')
    return `This machine has heard from no admin (${named}) and from no majority of the voters for more than ${spanOf(limitMs)} (sessions.staleAfterMs): whoever asks may have been removed since, so it runs nothing for other members. Connect it to one of them.`
  }

  problem(): string | undefined {
    const { membership, nameOf } = this.#deps
    const refused = [...membership().members.keys()].filter((peer) => this.refusal(peer) !== undefined)
    const [first] = refused
    if (first === undefined) return undefined
    return `${this.refusal(first)} Refused now: ${refused.slice(0, 8).map(nameOf).join(', ')}${refused.length > 8 ? ', …' : ''}.`
  }

  async stop(): Promise<void> {
    this.#cancel()
    await this.#save()
  }

  /** One that was admitted since the start counts from when it is first asked about. */
  #isRecent(peer: PeerId): boolean {
    const nowMs = this.#deps.clock.bootMs()
    const heardMs = this.#heardMs.get(peer) ?? nowMs
    this.#heardMs.set(peer, heardMs)
    return nowMs - heardMs <= this.#deps.limitMs
  }

  async #read(): Promise<z.infer<typeof Saved> | undefined> {
    const { store, log } = this.#deps
    const bytes = await store.getFact(CONTACTS_FACT)
    try {
      return bytes && decodeCanonical(Saved, bytes, FACT_BYTES_MAX)
    } catch (error) {
      log.warn({ err: error }, 'when the members were heard of cannot be read: as if it were long ago')
      return { v: 1, savedAt: Infinity, ages: {} }
    }
  }

  #save(): Promise<void> {
    const { store, clock, log, membership } = this.#deps
    this.#saving = this.#saving.then(async () => {
      const nowMs = clock.bootMs()
      const { members } = membership()
      for (const peer of this.#heardMs.keys()) if (!members.has(peer)) this.#heardMs.delete(peer)
      const ages = Object.fromEntries([...this.#heardMs].map(([peer, heardMs]) => [peer, ageOf(nowMs - heardMs)]))
      try {
        await store.putFact(CONTACTS_FACT, encodeCanonical({ v: 1, savedAt: Math.floor(clock.wallMs()), ages }))
      } catch (error) {
        log.warn({ err: error }, 'when the members were heard of could not be saved')
      }
    })
    return this.#saving
  }
}

/** Infinity has no canonical form; nothing is older than this. */
const AGE_MAX_MS = 2 ** 50
const ageOf = (ms: number): number => Math.floor(Math.min(Math.max(0, ms), AGE_MAX_MS))

const HOUR_MS = 3_600_000
const spanOf = (ms: number): string => (ms >= HOUR_MS ? `${Math.round(ms / HOUR_MS)} h` : `${Math.round(ms / 1000)} s`)
