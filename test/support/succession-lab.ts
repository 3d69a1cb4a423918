import type { PeerId } from '../../crdt/ids.ts'
import { encodeCanonical } from '../../protocols/codec.ts'
import type { Accept, Ballot, Prepare, Promised, SealVote } from '../../protocols/lease/ballot.ts'
import { voterSetOf, type VoterSet } from '../../protocols/lease/config.ts'
import type { Decision } from '../../protocols/lease/decision.ts'
import { resolveEpochs, type Epoch, type EpochChain, type VoterSetRecord } from '../../protocols/lease/epochs.ts'
import { unpackEstate, type Estate } from '../../protocols/lease/estate.ts'
import type { Config, Voter } from '../../protocols/lease/messages.ts'
import { pack, type Signed } from '../../protocols/lease/signing.ts'
import { crypto } from './identity.ts'
import { configOf, hex, peer, signaturesOf, signedBy, space, VoterLab } from './lease-lab.ts'

export const ballotOf = (n: number, id = 0): Ballot => ({ n, id: hex(id) })
export const votersOf = (numbers: readonly number[]): Voter[] => numbers.map((n) => ({ node: peer(n), inc: hex(n) }))

/** The configuration that would follow a set, signed by admin 1. */
export const successorOf = (
  before: VoterSet,
  numbers: readonly number[],
  fields: Partial<Config> = {},
): Signed<Config> =>
  signedBy<Config>(1, 'config', {
    v: 1,
    space,
    epoch: before.epoch + 1,
    voters: votersOf(numbers),
    prev: before.cid,
    by: peer(1),
    ...fields,
  })

const placeOf = ({ epoch, cid }: VoterSet) => ({ v: 1 as const, space, epoch, cid })

export const prepareOf = (set: VoterSet, by: number, ballot: Ballot, fields: Partial<Prepare> = {}): Signed<Prepare> =>
  signedBy<Prepare>(by, 'prepare', { ...placeOf(set), ballot, node: peer(by), ...fields })

export const acceptOf = (
  set: VoterSet,
  ballot: Ballot,
  config: Signed<Config>,
  { by = 1, ...fields }: Partial<Accept> & { by?: number } = {},
): Signed<Accept> =>
  signedBy<Accept>(by, 'accept', { ...placeOf(set), ballot, config: pack(config), node: peer(by), ...fields })

export const sealOf = (
  before: VoterSet,
  next: Signed<Config>,
  by: number,
  fields: Partial<SealVote> = {},
): Signed<SealVote> =>
  signedBy<SealVote>(by, 'seal', {
    ...placeOf(before),
    voter: peer(by),
    inc: hex(by),
    ballot: ballotOf(1),
    next: next.hash,
    estate: new Uint8Array(32),
    pages: 1,
    vseq: 1,
    ...fields,
  })

export const sealCertificate = (config: Signed<Config>, seals: readonly Signed<SealVote>[]): Uint8Array =>
  encodeCanonical({ config: pack(config), seals: seals.map(pack) })

/** What follows a set by the word of these of its voters. */
export const sealedBy = (before: VoterSet, next: Signed<Config>, voters: readonly number[]): VoterSetRecord => ({
  kind: 'sealed',
  bytes: sealCertificate(
    next,
    voters.map((n) => sealOf(before, next, n)),
  ),
})

export const forcedBy = (config: Signed<Config>, by: PeerId = config.body.by): VoterSetRecord => ({
  kind: 'forced',
  bytes: encodeCanonical(pack(config)),
  by,
})

export const sealedEpoch = (config: Signed<Config>, seals: readonly Signed<SealVote>[] = []): Epoch => ({
  set: voterSetOf(config),
  origin: { is: 'sealed', seals: seals.map(({ body }) => body) },
})
export const forcedEpoch = (config: Signed<Config>): Epoch => ({ set: voterSetOf(config), origin: { is: 'forced' } })

/** What a node makes of the log, when identities 1 to `voters` vote in epoch 1 and 1 is the founder. */
export const chainOf = (records: readonly VoterSetRecord[], first = configOf(3)): EpochChain | undefined =>
  resolveEpochs(signaturesOf(40), { space, founder: peer(1), first: encodeCanonical(pack(first)) }, records)

/** A voter that also has a say in who votes next; every record of it is durable at once. */
export class SuccessionLab extends VoterLab {
  prepare(prepare: Signed<Prepare>): Decision {
    return this.keep(this.voter.succession.prepare(prepare, this.nowMs))
  }

  accept(accept: Signed<Accept>): Decision {
    return this.keep(this.voter.succession.accept(accept, this.nowMs))
  }

  promiseTo(prepare: Signed<Prepare>): Promised {
    const { reply } = this.prepare(prepare)
    if (reply?.is !== 'promise') throw new Error(`no promise but ${reply?.is ?? 'silence'}`)
    return reply.draft.body as Promised
  }

  sealFor(accept: Signed<Accept>): SealVote {
    const { reply } = this.accept(accept)
    if (reply?.is !== 'seal') throw new Error(`no seal but ${reply?.is ?? 'silence'}`)
    return reply.draft.body as SealVote
  }

  /** What this voter leaves to its successors. */
  estateOf({ estate: hash, pages: count }: SealVote): Estate {
    const pages = Array.from({ length: count }, (_, page) => this.voter.succession.page(hash, page)!)
    return unpackEstate((bytes) => crypto.sha256(bytes), { hash, pages })
  }
}

/** `promise`, `seal`, `outbid`, or `silence`. */
export const wordOf = ({ reply }: Decision): string => reply?.is ?? 'silence'
