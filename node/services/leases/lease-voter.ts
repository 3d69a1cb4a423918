import type { PeerId } from '../../../crdt/ids.ts'
import { MalformedError, toHex } from '../../../protocols/codec.ts'
import type { Crypto, Signer } from '../../../protocols/crypto.ts'
import { verifyConfig, voterSetOf } from '../../../protocols/lease/config.ts'
import { decodeFrame, encodeMessage, FRAME_BYTES_MAX, type LeaseMessage } from '../../../protocols/lease/frame.ts'
import { LEASE_PROTOCOL, type Config } from '../../../protocols/lease/messages.ts'
import { decodeRecord, encodeRecord } from '../../../protocols/lease/records.ts'
import { Voter } from '../../../protocols/lease/voter.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import type { Clock } from '../../ports/clock.ts'
import type { LeaseJournal } from '../../ports/lease-journal.ts'
import type { Log } from '../../ports/log.ts'
import type { Channel, PeerNetwork } from '../../ports/peer-network.ts'
import type { Random } from '../../ports/random.ts'
import { createFrameWriter } from './lease-frames.ts'
import { VoterLoop, type Sink } from './lease-voter-loop.ts'

/** Requests of one member that wait for a decision or for the disk; its channel is not read any further. */
export const IN_FLIGHT_PER_MEMBER_MAX = 64
/** One in use, one while a peer reconnects before we have noticed that the old one is gone. */
const CHANNELS_PER_PEER_MAX = 2

export type LeaseVoter = {
  /** Hands over a message of a node; answers and hints come through `sink`, possibly never. */
  submit(from: PeerId, message: LeaseMessage, sink: Sink): void
  /** Why this voter answers nothing, for `status`; undefined while it works. */
  problem(): string | undefined
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
 * To be called once, before the mesh is created with the incarnation it returns: it is durable by then. A journal that
 * has been prepared before keeps its incarnation, so a first start that was interrupted can be repeated.
 */
export async function prepareVoterJournal(journal: LeaseJournal, random: Random): Promise<string> {
  for (const bytes of await journal.replay()) {
    const record = decodeRecord(bytes)
    if (record.t === 'init') return record.inc
  }
  const inc = createVoterIncarnation(random)
  journal.append(encodeRecord({ t: 'init', v: 1, inc }))
  await journal.sync()
  return inc
}

/**
 * Starts this node's voter from its journal and serves the lease protocol. To be called only on a node that the
 * configuration names as a voter. With a journal that is empty or belongs to another incarnation the voter answers
 * nothing and says so in `problem`.
 * @throws MalformedError when a record of the journal cannot be understood
 */
export async function openLeaseVoter(deps: LeaseVoterDeps): Promise<LeaseVoter> {
  const records = await deps.journal.replay()
  const { leaseConfig: config, mesh: space, founder } = deps.membership()
  if (!config || !verifyConfig(deps.crypto, config, { space, founder })) {
    return silentVoter('The mesh has no valid voter configuration.')
  }
  const voter = createVoter(deps, config, records)
  const own = config.voters.find(({ node }) => node === deps.signer.peer)
  if (!own) return silentVoter('This node is not a voter of its mesh.')
  if (voter.incarnation === undefined) {
    return silentVoter('The voter journal of this node is missing or empty: it must not vote with its old identity.')
  }
  if (voter.incarnation !== own.inc) {
    return silentVoter('The voter journal of this node belongs to another voter identity than the mesh knows.')
  }
  return runVoter(deps, voter, records.length)
}

function silentVoter(problem: string): LeaseVoter {
  return { submit: () => undefined, problem: () => problem, close: async () => undefined }
}

function createVoter(deps: LeaseVoterDeps, config: Config, records: readonly Uint8Array[]): Voter {
  const { crypto, signer, membership, random, clock } = deps
  const set = voterSetOf(crypto, config)
  return new Voter(
    {
      keys: { crypto, signer },
      voterSet: () => set,
      isMember: (peer) => membership().members.has(peer),
      newIncarnation: () => createVoterIncarnation(random),
    },
    records,
    clock.monoMs(),
  )
}

function runVoter(deps: LeaseVoterDeps, voter: Voter, journalled: number): LeaseVoter {
  const { network, log } = deps
  /** Where hints for a node go: its latest channel. */
  const sinks = new Map<PeerId, Sink>()
  const channels = new Set<Channel>()
  const loop = new VoterLoop(
    { ...deps, voter, hint: (to, lid) => sinks.get(to)?.({ t: 'free', m: { lid } }) },
    journalled,
  )

  const serve = async (channel: Channel): Promise<void> => {
    const write = createFrameWriter(channel)
    const sink: Sink = (message) => write(encodeMessage(message))
    const slots = new Slots(IN_FLIGHT_PER_MEMBER_MAX)
    sinks.set(channel.peer, sink)
    channels.add(channel)
    try {
      for await (const frame of channel.frames) {
        for (const message of decodeFrame(frame)) {
          while (slots.areTaken) await slots.freed()
          slots.take()
          loop.enqueue({ message, sink, done: () => slots.free() })
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
  return {
    submit(from, message, sink) {
      sinks.set(from, sink)
      loop.enqueue({ message, sink, done: () => undefined })
    },
    problem: () => loop.problem,
    async close() {
      await Promise.all([...channels].map((channel) => channel.close()))
      await loop.stop()
    },
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
