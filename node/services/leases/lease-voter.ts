import type { PeerId } from '../../../crdt/ids.ts'
import { MalformedError, toHex } from '../../../protocols/codec.ts'
import type { Crypto, Signer } from '../../../protocols/crypto.ts'
import type { Epoch } from '../../../protocols/lease/epochs.ts'
import type { Estate, PackedEstate } from '../../../protocols/lease/estate.ts'
import { decodeFrame, encodeMessage, FRAME_BYTES_MAX, type LeaseMessage } from '../../../protocols/lease/frame.ts'
import { LEASE_PROTOCOL, VOTERS_MAX } from '../../../protocols/lease/messages.ts'
import { decodeRecord, encodeRecord } from '../../../protocols/lease/records.ts'
import { Signatures } from '../../../protocols/lease/signing.ts'
import { Voter } from '../../../protocols/lease/voter.ts'
import { hasCapability, type Membership } from '../../../protocols/membership/membership.ts'
import type { Clock } from '../../ports/clock.ts'
import type { LeaseJournal } from '../../ports/lease-journal.ts'
import type { Log } from '../../ports/log.ts'
import type { Channel, PeerNetwork } from '../../ports/peer-network.ts'
import type { Random } from '../../ports/random.ts'
import { createRateLimiter } from '../rate-limit.ts'
import { createFrameWriter } from './lease-frames.ts'
import { VoterLoop, type Item, type Sink } from './lease-voter-loop.ts'
import { createVoterSets } from './voter-sets.ts'

/** Requests of one member that wait for a decision or for the disk; its channel is not read any further. */
export const IN_FLIGHT_PER_MEMBER_MAX = 64
/** One in use, one while a peer reconnects before we have noticed that the old one is gone. */
const CHANNELS_PER_PEER_MAX = 2
/** Messages of one member per second, several times what one node's work needs; beyond it its channel waits. */
export const MESSAGES_PER_SECOND_MAX = 10_000
const MEMBERS_LIMITED_MAX = 1024

export type LeaseVoter = {
  /** Hands over a message of a node; answers and hints come through `sink`, possibly never. */
  submit(from: PeerId, message: LeaseMessage, sink: Sink): void
  /** Why this voter does not vote although it should, for `status`; undefined while all is well. */
  problem(): string | undefined
  /** Whether the epoch is news here, and what has to be fetched before this voter may grant in it. */
  needs(epoch: Epoch): 'nothing' | 'estates' | 'time' | undefined
  /** Enters an epoch; resolves when that is durable. `time`: waits until all promises of the epoch before have ended. */
  adopt(epoch: Epoch, estates: readonly Estate[] | 'time'): Promise<void>
  /** Serves what another voter left to those who ask for it. */
  keepEstate(estate: PackedEstate): void
  /** The epoch that is sealed here and whose successor is not known. */
  sealedEpoch(): Epoch['set'] | undefined
  /** How long this voter waits before it grants again; 0 when it does not. */
  waitsMs(): number
  readonly incarnation: () => string | undefined
  /** Stops answering and waits for what is being written. The journal stays open: it belongs to the caller. */
  close(): Promise<void>
}

export type LeaseVoterDeps = {
  readonly network: PeerNetwork
  readonly membership: () => Membership
  readonly journal: LeaseJournal
  readonly crypto: Crypto
  readonly signer: Signer
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** A fresh voter identity: whoever loses the journal loses it, and with it the right to vote. */
export const createVoterIncarnation = (random: Random): string => toHex(random.bytes(16))

/**
 * The incarnation of the journal; one that has none gets a fresh one, durable when this resolves. To be called before a
 * voter opens the journal.
 */
export async function prepareVoterJournal(journal: LeaseJournal, random: Random): Promise<string> {
  let known: string | undefined
  for (const bytes of await journal.replay()) {
    const record = decodeRecord(bytes)
    if (record.t === 'init') known = record.inc
  }
  if (known !== undefined) return known
  const inc = createVoterIncarnation(random)
  journal.append(encodeRecord({ t: 'init', v: 1, inc }))
  await journal.sync()
  return inc
}

/**
 * Starts this node's voter from its journal and serves the lease protocol. Every node has one: those that the mesh's
 * configuration does not name refuse, and stand ready to become voters. A journal that was lost comes back under a fresh
 * incarnation, whose votes count in no configuration so far.
 * @throws MalformedError when a record of the journal cannot be understood
 */
export async function openLeaseVoter(deps: LeaseVoterDeps): Promise<LeaseVoter> {
  const { crypto, signer, membership, random, clock, journal } = deps
  await prepareVoterJournal(journal, random)
  const records = await journal.replay()
  const signatures = new Signatures({ crypto, signer })
  const voter = new Voter(
    {
      signatures,
      sha256: crypto.sha256,
      isMember: (peer) => membership().members.has(peer),
      isAdmin: (peer) => hasCapability(membership(), peer, 'admin'),
      newIncarnation: () => createVoterIncarnation(random),
    },
    records,
    clock.monoMs(),
  )
  const running = runVoter(deps, { voter, signatures }, records.length)
  await enterFirstEpoch(running, createVoterSets(signatures, membership).current())
  return running
}

/** The founder's voter knows the first configuration from the start: nothing was promised before it. */
async function enterFirstEpoch(voter: LeaseVoter, epoch: Epoch | undefined): Promise<void> {
  if (epoch?.origin.is === 'founded' && voter.needs(epoch) === 'nothing') await voter.adopt(epoch, [])
}

function runVoter(
  deps: LeaseVoterDeps,
  { voter, signatures }: { voter: Voter; signatures: Signatures },
  journalled: number,
): LeaseVoter {
  const { network, log, clock } = deps
  const { self } = network
  /** Where hints for a node go: its latest channel. */
  const sinks = new Map<PeerId, Sink>()
  const channels = new Set<Channel>()
  const loop = new VoterLoop(
    { ...deps, signatures, voter, hint: (to, lid) => sinks.get(to)?.({ t: 'free', m: { lid } }) },
    journalled,
  )
  const estates = new KeptEstates()
  const answerAtOnce = createQuickAnswers(deps, { voter, signatures, estates })
  const bucket = createRateLimiter(clock, {
    count: MESSAGES_PER_SECOND_MAX,
    perMs: 1000,
    keysMax: MEMBERS_LIMITED_MAX,
  })

  const serve = async (channel: Channel): Promise<void> => {
    const write = createFrameWriter(channel)
    const sink: Sink = (message) => write(encodeMessage(message))
    const slots = new Slots(IN_FLIGHT_PER_MEMBER_MAX)
    sinks.set(channel.peer, sink)
    channels.add(channel)
    try {
      for await (const frame of channel.frames) {
        for (const message of decodeFrame(signatures, frame)) {
          const pauseMs = bucket.take(channel.peer)
          if (pauseMs !== undefined) await new Promise<void>((resolve) => void clock.after(pauseMs, resolve))
          if (answerAtOnce(message, sink)) continue
          while (slots.areTaken) await slots.freed()
          slots.take()
          loop.enqueue({ work: message, sink, done: () => slots.free() })
        }
      }
    } catch (error) {
      channel.abort(new Error('the lease channel failed', { cause: error }))
      if (error instanceof MalformedError) log.warn({ err: error, peer: channel.peer }, 'malformed lease frame')
    } finally {
      channels.delete(channel)
      if (sinks.get(channel.peer) === sink) sinks.delete(channel.peer)
    }
  }

  network.handle(
    LEASE_PROTOCOL,
    { policy: { who: 'member' }, frameBytesMax: FRAME_BYTES_MAX, channelsPerPeerMax: CHANNELS_PER_PEER_MAX },
    serve,
  )
  const inTurn = (work: Exclude<Item['work'], LeaseMessage>): Promise<void> =>
    new Promise((resolve) => loop.enqueue({ work, sink: () => undefined, done: resolve }))
  return {
    submit(from, message, sink) {
      sinks.set(from, sink)
      if (!answerAtOnce(message, sink)) loop.enqueue({ work: message, sink, done: () => undefined })
    },
    problem: () => loop.problem ?? journalProblem(voter, self),
    needs: (epoch) => voter.succession.needs(epoch),
    adopt: (epoch, estates) => inTurn((one, nowMs) => one.succession.adopt(epoch, estates, nowMs)),
    keepEstate: (estate) => estates.keep(estate),
    sealedEpoch: () => (voter.succession.isSealed ? voter.succession.set : undefined),
    waitsMs: () => voter.waitsMs(clock.monoMs()),
    incarnation: () => voter.incarnation,
    async close() {
      await Promise.all([...channels].map((channel) => channel.close()))
      await loop.stop()
    },
  }
}

function journalProblem({ succession: { set }, incarnation }: Voter, self: PeerId): string | undefined {
  const named = set?.incarnations.get(self)
  if (named === undefined || named === incarnation) return undefined
  return (
    'The voter journal of this machine was lost or belongs to another voter identity than the mesh knows: ' +
    'its votes do not count until `rookery voters set` names it again.'
  )
}

/** What needs neither the journal nor a place in its order. */
function createQuickAnswers(
  { membership }: LeaseVoterDeps,
  { voter, signatures, estates }: { voter: Voter; signatures: Signatures; estates: KeptEstates },
): (message: LeaseMessage, sink: Sink) => boolean {
  return (message, sink) => {
    if (message.t === 'pull') {
      const { estate, page } = message.m
      const bytes = voter.succession.page(estate, page) ?? estates.page(estate, page)
      if (bytes) sink({ t: 'page', m: { estate, page, bytes } })
      return true
    }
    const { incarnation: inc } = voter
    if (message.t !== 'ask' || inc === undefined) return message.t === 'ask'
    const offer = { v: 1 as const, space: membership().mesh, node: signatures.self, inc }
    sink({ t: 'candidate', m: signatures.sign('candidate', offer) })
    return true
  }
}

/** Of a change of voters there is one estate per voter before; the change before the last interests nobody. */
const ESTATES_KEPT_MAX = 2 * VOTERS_MAX

/** What other voters left, by its hash. */
class KeptEstates {
  readonly #estates = new Map<string, PackedEstate>()

  keep(estate: PackedEstate): void {
    this.#estates.set(toHex(estate.hash), estate)
    const oldest = this.#estates.keys().next()
    if (this.#estates.size > ESTATES_KEPT_MAX && !oldest.done) this.#estates.delete(oldest.value)
  }

  page(hash: Uint8Array, page: number): Uint8Array | undefined {
    return this.#estates.get(toHex(hash))?.pages[page]
  }
}

/** A counting semaphore for one taker, who never waits while a slot is free. */
class Slots {
  readonly #max: number
  #taken = 0
  #wake: () => void = () => undefined

  constructor(max: number) {
    this.#max = max
  }

  get areTaken(): boolean {
    return this.#taken >= this.#max
  }

  take(): void {
    this.#taken += 1
  }

  free(): void {
    this.#taken -= 1
    this.#wake()
  }

  freed(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve))
  }
}
