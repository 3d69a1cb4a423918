import type { PeerId } from '../../../crdt/ids.ts'
import { toHex } from '../../../protocols/codec.ts'
import type { Crypto, Signer } from '../../../protocols/crypto.ts'
import type { Epoch } from '../../../protocols/lease/epochs.ts'
import type { Estate, PackedEstate } from '../../../protocols/lease/estate.ts'
import type { LeaseMessage } from '../../../protocols/lease/frame.ts'
import { decodeRecord, encodeRecord } from '../../../protocols/lease/records.ts'
import { Signatures } from '../../../protocols/lease/signing.ts'
import { Voter } from '../../../protocols/lease/voter.ts'
import { hasCapability, type Membership } from '../../../protocols/membership/membership.ts'
import type { Clock } from '../../ports/clock.ts'
import type { LeaseJournal } from '../../ports/lease-journal.ts'
import type { Log } from '../../ports/log.ts'
import type { PeerNetwork } from '../../ports/peer-network.ts'
import type { Random } from '../../ports/random.ts'
import { VoterLoop, type Sink, type Work } from './lease-voter-loop.ts'
import { createQuickAnswers, KeptEstates } from './voter-answers.ts'
import { VoterServer } from './voter-server.ts'
import { createVoterSets } from './voter-sets.ts'

export type LeaseVoter = {
  /** For all of this node: what its own voter has signed needs no check. */
  readonly signatures: Signatures
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
  /** Called when a voter says that its epoch is sealed and cannot be completed by its voters. */
  onStalled(listener: (voter: PeerId, epoch: number) => void): void
  /** How long this voter waits before it grants again; 0 when it does not. */
  waitsMs(): number
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
  return known ?? (await renewVoterIncarnation(journal, random))
}

/**
 * From here on the voter of this journal is another one, as after a proof that its disk was rolled back: what it signs
 * counts in no configuration so far. What it has promised it goes on to know. Durable when this resolves.
 */
export async function renewVoterIncarnation(journal: LeaseJournal, random: Random): Promise<string> {
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
  const signatures = new Signatures({ crypto, signer })
  const replay = async (): Promise<{ voter: Voter; journalled: number }> => {
    const records = await journal.replay()
    const voter = new Voter(
      {
        signatures,
        sha256: (data) => crypto.sha256(data),
        isMember: (peer) => membership().members.has(peer),
        isAdmin: (peer) => hasCapability(membership(), peer, 'admin'),
        newIncarnation: () => createVoterIncarnation(random),
      },
      records,
      clock.monoMs(),
    )
    return { voter, journalled: records.length }
  }
  let { voter, journalled } = await replay()
  if (voter.incarnation === undefined) {
    await prepareVoterJournal(journal, random)
    ;({ voter, journalled } = await replay())
  }
  const running = runVoter(deps, { voter, signatures }, journalled)
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
  const { network, clock, membership } = deps
  const estates = new KeptEstates()
  let hearsOfStall: (voter: PeerId, epoch: number) => void = () => undefined
  const server = new VoterServer({
    ...deps,
    signatures,
    answerAtOnce: createQuickAnswers({
      voter,
      signatures,
      estates,
      membership,
      stalled: (by, epoch) => hearsOfStall(by, epoch),
    }),
    enqueue: (item) => loop.enqueue(item),
  })
  const loop = new VoterLoop({ ...deps, signatures, voter, hint: (to, lid) => server.hint(to, lid) }, journalled)
  const inTurn = (work: Work): Promise<void> =>
    new Promise((resolve) => loop.enqueue({ work, sink: () => undefined, done: resolve }))
  server.start()
  return {
    signatures,
    submit: (from, message, sink) => server.submit(from, message, sink),
    problem: () => loop.problem ?? journalProblem(voter, network.self),
    needs: (epoch) => voter.succession.needs(epoch),
    adopt: (epoch, left) => inTurn((one, nowMs) => one.succession.adopt(epoch, left, nowMs)),
    keepEstate: (estate) => estates.keep(estate),
    sealedEpoch: () => (voter.succession.isSealed ? voter.succession.set : undefined),
    onStalled: (listener) => void (hearsOfStall = listener),
    waitsMs: () => voter.waitsMs(clock.monoMs()),
    async close() {
      await server.close()
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
