import { z } from 'zod'
import { isVolatile, PeerId, type DocId } from '../../../crdt/ids.ts'
import { decodeCanonical, encodeCanonical } from '../../../protocols/codec.ts'
import type { FeedCut } from '../../../protocols/membership/membership.ts'
import type { FeedStore } from '../../ports/feed-store.ts'
import type { Replica } from './replica.ts'

const FACT = 'feeds/restoration'

/** `backup`: the store comes from a backup. `behind`: others had envelopes of ours that this store had not. */
const CAUSES = ['backup', 'behind'] as const

const Stored = z.object({
  v: z.literal(1),
  cause: z.enum(CAUSES),
  /** When this began, in ms; what a backup holds is as old as `asOf`. */
  since: z.int().min(0),
  asOf: z.int().min(0),
  heard: z.array(PeerId),
  waived: z.array(PeerId),
})
type Stored = z.infer<typeof Stored>

/** A peer id takes 55 bytes; a mesh has at most a few thousand members. */
const FACT_BYTES_MAX = 1024 * 1024

type Facts = Pick<FeedStore, 'getFact' | 'putFact'>

/** To be called on a store that was filled from a backup, before anything is opened on it. */
export const markRestored = (facts: Facts, { nowMs, asOf }: { nowMs: number; asOf: number }): Promise<void> =>
  save(facts, { v: 1, cause: 'backup', since: nowMs, asOf, heard: [], waived: [] })

const save = (facts: Facts, state: Stored | null): Promise<void> => facts.putFact(FACT, encodeCanonical(state))

export type RestorationView = {
  readonly cause: (typeof CAUSES)[number]
  /** Another process writes with our key: nothing but the end of one of the two helps. */
  readonly isCopied: boolean
  readonly since: number
  readonly asOf: number
  /** Members that have to say, or have not yet sent, what they have of us. */
  readonly awaited: readonly PeerId[]
  /** Another copy of this node has been seen at work by these members. */
  readonly seenBy: readonly PeerId[]
}

/** What a member says about this node. */
export type Testimony = {
  readonly heads: ReadonlyMap<DocId, FeedCut>
  readonly members: readonly PeerId[]
  /** It has lately heard another process with our key. */
  readonly isElsewhere: boolean
}

/**
 * Keeps this node from writing while its disk may be older than what it has signed: a place in a feed that is used twice
 * is proof of misbehaviour, and nobody could tell it from an accident. It may write again when every member that may hold
 * envelopes of ours has said where our feeds end there, and all up to there has come in.
 */
export type Restoration = {
  /** Undefined when nothing keeps this node from writing. */
  view(): RestorationView | undefined
  /** Why documents cannot be written, in words; undefined when they can. */
  refusal(): string | undefined
  heard(peer: PeerId, testimony: Testimony): Promise<void>
  /** Goes on without having heard from these: what they alone have of us is taken to be lost. */
  goOnWithout(peers: readonly PeerId[]): Promise<void>
  /** Envelopes of ours have come in. Unless this is expected, another process has written them, or this one has forgotten. */
  gotOwn(envelopes: readonly { readonly at: number }[]): Promise<void>
  /** Looks again who is awaited: the members have changed. */
  look(): Promise<void>
  onEnd(listener: () => void): () => void
}

/** Wall clocks of two machines, and of one before and after a correction, are closer than this. */
const CLOCKS_APART_MS = 120_000

export async function loadRestoration(replica: Replica): Promise<Restoration> {
  const bytes = await replica.store.getFact(FACT)
  const stored = bytes && decodeCanonical(Stored.nullable(), bytes, FACT_BYTES_MAX)
  return new Gate(replica, stored ?? undefined)
}

class Gate implements Restoration {
  readonly #replica: Replica
  readonly #startedMs: number
  readonly #listeners = new Set<() => void>()
  readonly #claims = new Map<PeerId, Testimony>()
  #state: Stored | undefined
  /** Found out by this very process: only its end, and that of the other one, makes a fresh start. */
  #isCopy = false
  #saving: Promise<void> = Promise.resolve()

  constructor(replica: Replica, state: Stored | undefined) {
    this.#replica = replica
    this.#startedMs = replica.clock.wallMs()
    this.#state = state
  }

  view(): RestorationView | undefined {
    if (!this.#state) return undefined
    const { cause, since, asOf } = this.#state
    const seenBy = [...this.#claims].flatMap(([peer, { isElsewhere }]) => (isElsewhere ? [peer] : []))
    const isCopied = this.#isCopy || seenBy.length > 0
    return { cause, isCopied, since, asOf, awaited: this.#awaited(), seenBy }
  }

  refusal(): string | undefined {
    const view = this.view()
    if (!view) return undefined
    if (this.#isCopy) return COPY
    if (view.isCopied) return SEEN
    const why = view.cause === 'backup' ? 'it was restored from a backup' : 'its disk went back in time'
    const who = view.awaited.length === 1 ? 'one member has' : `${view.awaited.length} members have`
    return `This node may not write yet: ${why}, and ${who} yet to say what it wrote since (\`rookery restored\` names them).`
  }

  async heard(peer: PeerId, testimony: Testimony): Promise<void> {
    if (!this.#state) return
    this.#claims.set(peer, testimony)
    await this.look()
  }

  async goOnWithout(peers: readonly PeerId[]): Promise<void> {
    if (!this.#state) return
    this.#state = { ...this.#state, waived: [...new Set([...this.#state.waived, ...peers])] }
    await this.#save()
    await this.look()
  }

  async gotOwn(envelopes: readonly { readonly at: number }[]): Promise<void> {
    if (envelopes.length === 0) return
    const { clock, log } = this.#replica
    const isCopy = envelopes.some(({ at }) => at > this.#startedMs + CLOCKS_APART_MS)
    if (isCopy && !this.#isCopy) log.error({}, COPY)
    else if (!this.#state) log.error({}, BEHIND)
    this.#isCopy ||= isCopy
    if (this.#state && !isCopy) return await this.look()
    const now = Math.floor(clock.wallMs())
    // What others said before says nothing about what a copy goes on writing.
    this.#state = { v: 1, cause: 'behind', since: now, asOf: now, ...this.#state, heard: [], waived: [] }
    await this.#save()
  }

  async look(): Promise<void> {
    if (!this.#state) return
    const satisfied = [...this.#claims].flatMap(([peer, claim]) => (this.#hasAll(claim) ? [peer] : []))
    const heard = [...new Set([...this.#state.heard, ...satisfied])]
    if (heard.length > this.#state.heard.length) {
      this.#state = { ...this.#state, heard }
      await this.#save()
    }
    if (!this.#state || this.#isCopy || this.#awaited().length > 0) return
    this.#state = undefined
    await this.#save()
    this.#replica.log.info({}, 'this node has everything that others have of it, and may write again')
    for (const listener of this.#listeners) listener()
  }

  onEnd(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** What it holds of us we have too, and nobody else goes on writing in our name. */
  #hasAll({ heads, isElsewhere }: Testimony): boolean {
    if (isElsewhere) return false
    const { feeds, self } = this.#replica
    return [...heads].every(([doc, { seq }]) => isVolatile(doc) || (feeds.get(doc)?.heads.get(self)?.seq ?? 0) >= seq)
  }

  /** A member that another one knows of counts too: it may have been admitted after what is on our disk. */
  #awaited(): PeerId[] {
    const { self, membership } = this.#replica
    const { members, removed } = membership()
    const { heard = [], waived = [] } = this.#state ?? {}
    const done = new Set([self, ...heard, ...waived])
    const storing = [...members].flatMap(([peer, { capabilities }]) => (capabilities.has('store') ? [peer] : []))
    const named = [...this.#claims.values()].flatMap((claim) => claim.members)
    const unknown = named.filter((peer) => !members.has(peer) && !removed.has(peer))
    return [...new Set([...storing, ...unknown])].filter((peer) => !done.has(peer))
  }

  /** One after the other: the last state is what stays. */
  #save(): Promise<void> {
    const saved = this.#saving.then(() => save(this.#replica.store, this.#state ?? null))
    this.#saving = saved.catch(() => undefined) // whoever waits for this one handles its failure
    return saved
  }
}

const BEHIND = 'others have envelopes of this node that its disk had not: it writes nothing until all have answered'

const COPY =
  'This node may not write: another copy of it is running, with the same key. Stop one of them, then start the other again.'

const SEEN =
  'This node may not write: another copy of it is running, with the same key. Stop one of them; this one goes on when nobody has heard the other for a while.'
